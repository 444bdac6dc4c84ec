"""Comparisons as people read them, word for word (`tests/golden.py` says how to renew it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import convcalc
from convcalc.integers import evaluate, parse
from convcalc.report import diff as told
from convcalc.report import grid
from tests import golden

GOLDEN = Path(__file__).parent / "golden"
PAIRS = {
    "resnet101": ("resnet:resnet50", "resnet:resnet101"),
    "zfnet": ("alexnet", "zfnet"),
    "efficientnet": ("efficientnet:b0", "efficientnet:b3"),
    "same": ("lenet5", "lenet5"),
}


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent.parent)


def compared(name: str, **options: Any) -> convcalc.Diff:
    before, after = (convcalc.load(*word.split(":")) for word in PAIRS[name])
    return convcalc.diff(before, after, **options)


@pytest.mark.parametrize("name", PAIRS)
def test_texts(name: str) -> None:
    golden.compare(GOLDEN / f"diff-{name}.txt", told.render(compared(name), width=80))


def test_formulas() -> None:
    text = told.render(compared("resnet101", symbolic=True), width=80)
    golden.compare(GOLDEN / "diff-resnet101-symbolic.txt", text)


@pytest.mark.parametrize("name", ["resnet101", "zfnet"])
def test_markdown(name: str) -> None:
    golden.compare(GOLDEN / f"diff-{name}.md", told.markdown(compared(name)))


def test_markdown_of_formulas() -> None:
    text = told.markdown(compared("resnet101", symbolic=True))
    assert "| MACs | " in text
    assert "| +18,939,904·N·h4·w4 |" in text
    assert "    where (// rounds down)\n" in text


@pytest.mark.parametrize("width", [70, 80, 120])
@pytest.mark.parametrize("symbolic", [False, True])
def test_no_line_is_too_wide(width: int, symbolic: bool) -> None:
    for name in PAIRS:
        text = told.render(compared(name, symbolic=symbolic), width=width, everything=True)
        lines = [line for line in text.splitlines() if line[:1] in "+-~→"]
        assert all(grid.text_width(line) <= max(width, 96) for line in lines)
        if not symbolic:
            assert all(grid.text_width(line) <= width for line in lines)


@pytest.mark.parametrize("name", PAIRS)
def test_shown_rows_add_up(name: str) -> None:
    """At any depth, the rows that are shown make up the difference of the totals."""
    diff = compared(name)
    for depth in (1, 2, 3, 9):
        view = told.View(diff, depth, False)
        for figure in told.SHOWN:
            shown = [one.difference(figure) for _, one, opened in view.rows() if not opened]
            leaves = [] if depth < view.levels else shown
            assert sum(shown) == diff.difference(figure) or _copies(view)
            assert not leaves or sum(leaves) == diff.difference(figure) or _copies(view)


def _copies(view: told.View) -> bool:
    """Whether a block that is shown opened stands for several: the rows below are of one."""
    return any(opened and one.count > 1 for _, one, opened in view.rows())


def test_json() -> None:
    report = told.as_dict(compared("zfnet"))
    assert report["schema"] == 1
    assert report["before"]["input"] == {"input": [1, 3, 227, 227]}
    kinds = [change["kind"] for change in report["changes"]]
    assert (kinds.count("added"), kinds.count("removed")) == (2, 2)
    for change in report["changes"]:
        assert (change["before"] is None) == (change["kind"] == "added")
        assert (change["after"] is None) == (change["kind"] == "removed")
        for figure, difference in change["difference"].items():
            before, after = ((change[s] or {}).get(figure, 0) for s in ("before", "after"))
            assert difference == after - before
    total = report["totals"]["macs"]
    assert total == {"before": 724406816, "after": 1168032896, "difference": 443626080}
    assert sum(c["difference"]["macs"] for c in report["changes"]) == total["difference"]


def test_json_of_formulas() -> None:
    report = told.as_dict(compared("resnet101", symbolic=True))
    assert report["totals"]["macs"]["difference"] == "18939904*N*h4*w4"
    point = {"N": 1, "H": 224, "W": 224}
    sizes = {name: evaluate(parse(text), point) for name, text in report["sizes"].items()}
    assert evaluate(parse(report["totals"]["macs"]["after"]), point | sizes) == 7_801_405_440


def test_a_title_names_what_differs(tmp_path: Path) -> None:
    text = Path("architectures/lenet5.yaml").read_text()
    (tmp_path / "net.yaml").write_text(text.replace("120", "128"))
    diff = convcalc.diff("lenet5", tmp_path / "net.yaml")
    assert told.render(diff).startswith(
        "LeNet-5 (full C3 connections): architectures/lenet5.yaml → "
    )
