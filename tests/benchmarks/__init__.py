"""Speed and agreement with other tools; run by hand: `python -m tests.benchmarks.NAME`.

Each prints what it measured, as medians and as ratios to something that runs beside it. Nothing
here is collected by pytest.
"""
