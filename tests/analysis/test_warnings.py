"""Warnings beside a simulation of which rows are read; what their help suggests is tried out."""

from __future__ import annotations

import itertools
import re

import pytest

import convcalc
from convcalc.errors import Problem
from tests.analysis import designs


def one_layer(layer: str, *shape: int) -> str:
    return f"convcalc: 1\nname: t\ninput: [2, {', '.join(map(str, shape))}]\nlayers: {layer}\n"


def warnings(layer: str, *shape: int) -> list[Problem]:
    return [*convcalc.load(one_layer(layer, *shape)).summary().warnings]


def codes(layer: str, *shape: int) -> set[str]:
    return {w.code for w in warnings(layer, *shape)}


def simulated(size: int, kernel: int, stride: int, padding: int, dilation: int) -> set[str]:
    """The codes of a square layer, from the rows that each output reads."""
    reach = dilation * (kernel - 1) + 1
    outputs = (size + 2 * padding - reach) // stride + 1
    taps = itertools.product(range(outputs), range(kernel))
    read = {i * stride + j * dilation - padding for i, j in taps}
    end = (outputs - 1) * stride + reach - padding  # the first row past the last window
    unread = set(range(size)) - read
    found = set()
    residues = {j * dilation % stride for j in range(kernel)}
    if kernel > 1 and len(residues) < stride and outputs > 1:
        found.add("rows-skipped")
    elif kernel > 1 and len(residues) == stride and any(row >= end for row in unread):
        found.add("rows-dropped")
    if kernel > 1 and reach > size:
        found.add("kernel-exceeds-input")
    return found


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_codes_are_those_of_a_simulation(kernel: int, stride: int, dilation: int) -> None:
    for size, padding in itertools.product(range(1, 14), range(3)):
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            continue
        layer = f"Conv2d(4, {kernel}, {stride}, {padding}, dilation={dilation})"
        want = simulated(size, kernel, stride, padding, dilation)
        assert codes(layer, size, size) == want, (layer, size)


def test_a_sampling_projection_is_left_alone() -> None:
    assert not codes("Conv2d(4, 1, 2)", 8, 8)
    layer = convcalc.load(one_layer("Conv2d(4, 1, 2)", 8, 8)).summary().layers[0]
    assert layer.dropped == (4, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "message", "help"),
    [
        (
            "Conv2d(4, 11, 4)",
            (224, 224),
            (
                "Conv2d(4, 11, stride=4) never reads the last row and column of its 224×224 input: "
                "(224 − 11)/4 + 1 = 54 1/4, rounded down to 54"
            ),
            "223 or 227 rows and columns fit exactly; padding=2 would read all of 224",
        ),
        (
            "MaxPool2d(2)",
            (7, 8),
            (
                "MaxPool2d(2) never reads the last row of the 7 there are: "
                "(7 − 2)/2 + 1 = 3 1/2, rounded down to 3"
            ),
            "6 or 8 rows fit exactly; padding=1 or ceil_mode=true would read all of 7",
        ),
        (
            "MaxPool2d(2, 3)",
            (8, 8),
            "MaxPool2d(2, stride=3) skips every third row and column: F = 2, S = 3",
            "a stride of at most 2 reads every row and column",
        ),
        (
            "Conv1d(4, 2, 5)",
            (32,),
            "Conv1d(4, 2, stride=5) reads only 2 of every 5 positions: F = 2, S = 5",
            "a stride of at most 2 reads every position",
        ),
        (
            "Conv2d(4, 3, 2, 2, dilation=2)",
            (9, 9),
            (
                "Conv2d(4, 3, stride=2, padding=2, dilation=2) skips every second row and column: "
                "F = 3, S = 2, dilation = 2"
            ),
            "a stride and a dilation without a common factor read more",
        ),
        (
            "Conv2d(4, 3, padding=1)",
            (1, 1),
            (
                "Conv2d(4, 3, padding=1) reaches over 3 rows and columns, more than its 1×1 input "
                "has: 2 of the 3 meet nothing but padding"
            ),
            "a kernel of at most 1, a larger input, or fewer strides before it",
        ),
        (
            "Conv3d(4, 3, padding=1)",
            (2, 8, 8),
            "Conv3d(4, 3, padding=1) reaches over 3 slices, more than the 2 there are",
            "a kernel of at most 2, a larger input, or fewer strides before it",
        ),
        (
            "MaxPool1d(5, 4)",
            (12,),
            (
                "MaxPool1d(5, stride=4) never reads the last 3 positions of its input of 12: "
                "(12 − 5)/4 + 1 = 2 3/4, rounded down to 2"
            ),
            "9 or 13 positions fit exactly; padding=1 or ceil_mode=true would read all of 12",
        ),
    ],
)
def test_words(layer: str, shape: tuple[int, ...], message: str, help: str) -> None:
    found = warnings(layer, *shape)
    assert [(w.message, w.help) for w in found] == [(message, help)]
    assert found[0].severity == "warning"
    assert found[0].path == layer.partition("(")[0]
    assert found[0].place is not None
    assert found[0].place.line == 4


@pytest.mark.parametrize("name", ["Conv2d(4, ", "MaxPool2d(", "AvgPool2d("])
def test_what_the_help_suggests_helps(name: str) -> None:
    """Every size and padding that a warning names reads all rows."""
    tried = 0
    for size, kernel, stride in itertools.product(range(5, 15), range(2, 6), range(2, 5)):
        layer = f"{name}{kernel}, {stride})"
        found = [w for w in warnings(layer, size, size) if w.code == "rows-dropped"]
        if not found:
            continue
        help = found[0].help or ""
        sizes = re.match(r"(\d+)(?: or (\d+))? rows", help)
        assert sizes, help
        for fits in sizes.groups():
            if fits is not None:
                assert (int(fits) - kernel) % stride == 0
                assert "rows-dropped" not in codes(layer, int(fits), int(fits))
        for change in re.findall(r"(padding=\d+|ceil_mode=true)", help):
            assert "rows-dropped" not in codes(f"{layer[:-1]}, {change})", size, size)
            tried += 1
    assert tried > 20


def test_a_layer_repeated_warns_for_each_path() -> None:
    text = one_layer("3 * MaxPool2d(2)", 23, 23)
    found = convcalc.load(text).summary().warnings
    assert [w.path for w in found] == ["MaxPool2d[0]", "MaxPool2d[1]", "MaxPool2d[2]"]


def test_an_op_tells_its_own() -> None:
    assert "linear-on-map" in codes("Linear(10)", 8, 8)


def test_no_warnings_of_open_sizes() -> None:
    network = convcalc.load(one_layer("MaxPool2d(2)", 7, 7))
    assert not network.summary(symbolic=True).warnings


def test_branches_that_agree_for_no_input() -> None:
    """With open sizes a difference that is a number refutes the join; one that is not may be 0."""
    text = designs.NEVER_AGREE.replace("[3, 64, 64]", "[3, H, W]")
    found = [w for w in convcalc.load(text).summary().warnings if w.code == "never-valid"]
    assert [w.message for w in found] == [
        f"Concat: {axis} must be equal: {letter} - 2 and {letter} - 4, which no input makes them"
        for axis, letter in (("height", "H"), ("width", "W"))
    ]
    sometimes = text.replace("Conv2d(8, 5)", "Conv2d(8, 3, 2)")
    for alike in (sometimes, text.replace("Conv2d(8, 5)", "Conv2d(8, 5, padding=1)")):
        codes = {w.code for w in convcalc.load(alike).summary().warnings}
        assert "never-valid" not in codes
