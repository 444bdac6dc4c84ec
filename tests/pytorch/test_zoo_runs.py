"""The zoo, really run: a variant of each file. `convcalc check architectures/` proves all."""

from __future__ import annotations

from pathlib import Path

import pytest

import convcalc

ZOO = Path(__file__).parent.parent.parent / "architectures"


@pytest.mark.parametrize("file", sorted(ZOO.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_figure_is_what_pytorch_measures(file: Path) -> None:
    network = convcalc.load(file)
    (check,) = convcalc.check(file, variant=network.variant)
    assert check.ok, [c for c in check.comparisons if not c.ok] or check.failed_claims
    assert len(check.comparisons) > 3 * len(network.graph.layers)
