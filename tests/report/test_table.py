"""Tables at any width: no figure is lost, no line is too long, nothing coloured in a pipe."""

from __future__ import annotations

import re

import pytest

import convcalc
from convcalc.errors import ConvcalcError
from convcalc.report import columns, grid, numbers, table
from convcalc.report.grid import Column, Row, Style


@pytest.mark.parametrize("width", [60, 80, 100, 119, 120, 200])
@pytest.mark.parametrize("name", ["vgg16", "resnet", "googlenet", "unet", "efficientnet"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    text = table.render(convcalc.load(name).summary(), width=width)
    assert max(map(grid.text_width, text.splitlines())) <= width


@pytest.mark.parametrize("width", [72, 80, 100])
@pytest.mark.parametrize("name", ["vgg16", "resnet", "googlenet", "unet", "densenet121"])
def test_sums_fold_where_they_are_too_wide(name: str, width: int) -> None:
    """No term is lost or cut; MACs read down the lines of a cell are those of the layer."""
    summary = convcalc.load(name).summary(symbolic=True)
    text = table.render(summary, width=width)
    head = text[: text.index("total of")]
    assert max(map(grid.text_width, head.splitlines())) <= width
    assert numbers.count(summary.totals.macs) in " ".join(text.split())
    wide = table.render(summary)
    known = set(re.findall(r"[\d,]+·N(?:·\w+)*", wide))
    assert set(re.findall(r"[\d,]+·N(?:·\w+)*", text)) == known


def test_the_lines_of_a_tree_go_on_beside_a_folded_sum() -> None:
    rows = [Row(["├─ a", "1·x + 22·y - 3·z"], quiet=3), Row(["└─ b", "1"], quiet=3)]
    columns = [Column("layer", gives=True), Column("figure", right=True, folds=True)]
    assert grid.draw(columns, rows, width=14)[2:] == [
        "├─ a       1·x",
        "│       + 22·y",
        "│        - 3·z",
        "└─ b         1",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_figures_are_never_cut(width: int) -> None:
    summary = convcalc.load("vgg16").summary()
    text = table.render(summary, width=width, everything=True)
    for layer in summary.layers:
        if layer.params:
            assert f" {layer.params:,} " in text
        if layer.macs:
            assert f" {layer.macs:,}" in text
    assert "138,357,544" in text
    assert "15,470,264,320" in text


def test_a_pipe_cuts_nothing() -> None:
    text = table.render(convcalc.load("googlenet").summary(), depth=1)
    assert "Inception(256, 160, 320, 32, 128, 128)" in text
    assert "…" not in text


def test_colours_only_where_asked_for() -> None:
    summary = convcalc.load("alexnet").summary((3, 224, 224))
    plain = table.render(summary, width=80)
    assert "\033" not in plain
    coloured = table.render(summary, width=80, style=Style(True))
    assert "\033[" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain


def test_columns_are_chosen() -> None:
    summary = convcalc.load("lenet5").summary()
    text = table.render(summary, names=["path", "macs", "line"])
    assert text.splitlines()[3].split() == ["path", "MACs", "line"]
    with pytest.raises(ConvcalcError, match=r"no column 'mac': did you mean macs"):
        table.render(summary, names=["mac"])
    with pytest.raises(ConvcalcError, match="the columns are layer, path"):
        table.render(summary, names=["zzz"])


def test_wide_terminals_show_shares() -> None:
    summary = convcalc.load("vgg16").summary()
    assert "of MACs" not in table.render(summary, width=columns.WIDE_FROM - 1)
    assert "of MACs" in table.render(summary, width=columns.WIDE_FROM)


def test_the_same_warning_of_many_layers_is_told_once() -> None:
    text = "convcalc: 1\nname: t\ninput: [3, 1, 1]\nlayers: 4 * Conv2d(3, 3, padding=1)\n"
    shown = table.render(convcalc.load(text).summary())
    assert shown.count("warning:") == 1
    assert "in Conv2d[0] and 3 more layers" in shown


def test_wide_characters_are_counted() -> None:
    drawn = grid.draw([Column("層", gives=True), Column("n", right=True)], [Row(["畳み込み", "1"])])
    assert {grid.text_width(line) for line in drawn} == {11}
    cut = grid.draw(
        [Column("layer", gives=True), Column("n", right=True)],
        [Row(["畳み込み" * 8, "12,345"])],
        width=30,
    )
    assert cut[2].endswith("12,345")
    assert grid.text_width(cut[2]) <= 30


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.000K"),
        (61_706, "61.71K"),
        (999_949, "999.9K"),
        (999_950, "1.000M"),
        (999_999, "1.000M"),
        (138_357_544, "138.4M"),
        (15_470_264_320, "15.47G"),
        (10**30, "1000000000000000.P"),
    ],
)
def test_compact(number: int, text: str) -> None:
    assert numbers.compact(number).replace(".P", ".P") == text.replace(".P", "P")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (553_430_176, "527.8 MiB"),
        (2**40, "1.0 TiB"),
        (2**70, "1,048,576.0 PiB"),
    ],
)
def test_memory(size: int, text: str) -> None:
    assert numbers.memory(size) == text


def test_bars() -> None:
    assert numbers.bar(1, 2, 10) == "█████     "
    assert numbers.bar(1, 16, 2) == "▏ "
    assert numbers.bar(0, 5, 3) == "   "
    assert numbers.bar(0, 0, 3) == "   "
    assert numbers.percent(1, 3) == "33.3 %"
    assert numbers.percent(1, 10_000) == "<0.1 %"
    assert numbers.percent(0, 3) == numbers.NONE
