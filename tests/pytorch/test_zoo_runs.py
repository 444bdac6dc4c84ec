"""The zoo, really run: a variant of each file, and all exercises of the lectures.

`convcalc check architectures/` proves all, memory of the largest too."""

from __future__ import annotations

from pathlib import Path

import pytest

import convcalc
from convcalc.pytorch import check as checking

#: A step of training takes three times as long as the run that all else is measured in.
LARGE = 10**10

ZOO = Path(__file__).parent.parent.parent / "architectures"
EXERCISES = [
    (path, variant)
    for path in sorted((ZOO / "lectures").glob("*.yaml"))
    for variant in convcalc.load(path).variants
    if "scaling" not in path.stem or variant == "phi_0"  # the others take more than they show
]


@pytest.mark.parametrize("file", sorted(ZOO.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_figure_is_what_pytorch_measures(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = convcalc.load(file)
    if network.graph.free or network.summary().totals.macs > LARGE:
        monkeypatch.setattr(checking, "compare_memory", lambda *_: ([], []))
    (check,) = convcalc.check(file, variant=network.variant)
    assert check.ok, [c for c in check.comparisons if not c.ok] or check.failed_claims
    assert len(check.comparisons) > 3 * len(network.graph.layers)


@pytest.mark.parametrize(("file", "variant"), EXERCISES, ids=lambda v: getattr(v, "stem", v))
def test_every_exercise_is_what_pytorch_measures(file: Path, variant: str) -> None:
    (check,) = convcalc.check(file, variant=variant)
    assert check.ok, [c for c in check.comparisons if not c.ok] or check.failed_claims
    assert check.claims
