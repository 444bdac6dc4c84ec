"""Shape: flattening, padding, cropping, resizing: figures by hand, layouts, messages."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder
from convcalc.integers import Open, evaluate, symbol
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op

MAP = (2, 12, 8, 6)


def test_flatten_makes_features_of_a_map() -> None:
    assert op("Flatten").output((1, 32, 4, 4)) == (1, 512)
    assert op("Flatten", 2).output(MAP) == (2, 12, 48)
    assert op("Flatten", 1, 2).output(MAP) == (2, 96, 6)
    height = symbol("H")
    assert op("Flatten").output((1, 8, height, height))[1] == 8 * height * height


def test_flattened_tokens_are_features() -> None:
    builder = GraphBuilder("test")
    tokens = builder.add(op("Tokens"), builder.input("input", (3, 8, 8)))
    flat = builder.add(op("Flatten"), tokens)
    assert (flat.layout, len(flat.shape)) == ("channels", 2)
    assert builder.add(op("Flatten", 2), tokens).layout == "tokens"


def test_unflatten_gives_back_what_flatten_took() -> None:
    flat = op("Flatten").output(MAP)
    assert op("Unflatten", 1, [12, 8, 6]).output(flat) == MAP
    assert op("Unflatten", 1, [12, -1]).output(flat) == (2, 12, 48)
    (condition,) = op("Unflatten", 1, [12, 8, 5]).conditions(flat)
    assert str(condition) == (
        "Unflatten: the channels and the product of (12, 8, 5) must be equal: 576 and 480"
    )


def test_padding_is_given_from_the_last_axis_as_in_torch() -> None:
    """Left, right, top, bottom."""
    layer = op("ZeroPad2d", (1, 2, 3, 4))
    assert layer.output((1, 1, 10, 10)) == (1, 1, 17, 13)
    top, left = layer.windows((1, 1, 10, 10))
    assert (top.before, top.after, left.before, left.after) == (3, 4, 1, 2)


def test_a_crop_is_a_negative_padding() -> None:
    assert op("ZeroPad2d", -1).output((1, 1, 10, 10)) == (1, 1, 8, 8)
    conditions = op("ZeroPad1d", (-10, 1)).conditions((1, 1, 10))
    assert [str(c) for c in conditions if c.holds() is False] == [
        "ZeroPad1d: what the crop leaves of the length must be at least 1, not 0"
    ]


def test_the_crop_of_unet() -> None:
    """Published: 64×64 to 56×56, and 568×568 to 392×392 at the top."""
    layer = op("CenterCrop")
    for size, wanted in ((64, 56), (568, 392)):
        top, _ = layer.windows((1, 64, size, size), (1, 64, wanted, wanted))
        assert -top.before == -top.after == (size - wanted) // 2


def test_an_odd_row_is_cropped_from_the_end() -> None:
    x = torch.arange(7.0).reshape(1, 1, 7)
    crop = op("CenterCrop").build(NN, x.shape, (1, 1, 4))
    assert crop(x, torch.zeros(1, 1, 4)).flatten().tolist() == [1, 2, 3, 4]


def test_a_crop_takes_the_stride_of_its_like() -> None:
    builder = GraphBuilder("test")
    skip = builder.input("input", (8, "H", "W"))
    small = builder.add(op("MaxPool2d", 2), skip)
    assert builder.add(op("CenterCrop"), skip, small).shape == (Open(), 8, Open(2), Open(2))
    with pytest.raises(LayerError, match="CenterCrop takes 2 values, not 1"):
        builder.add(op("CenterCrop"), skip)


def test_a_crop_is_written_with_its_like() -> None:
    assert str(op("CenterCrop")) == "CenterCrop(like)"
    assert op("CenterCrop").likes == 1
    with pytest.raises(LayerError, match="like must be a named output, or input, not 3"):
        op("CenterCrop", 3)


def test_pixel_shuffle_and_back() -> None:
    shuffled = op("PixelShuffle", 2).output(MAP)
    assert shuffled == (2, 3, 16, 12)
    assert op("PixelUnshuffle", 2).output(shuffled) == MAP


def test_unfold_gives_every_window_a_column() -> None:
    assert op("Unfold", 3, padding=1).output((1, 64, 14, 14)) == (1, 576, 196)


@pytest.mark.parametrize(
    ("factor", "size", "resized"),
    [(2, 7, 14), (0.5, 7, 3), (Fraction(3, 2), 7, 10), (1.5, 7, 10), (Fraction(1, 3), 9, 3)],
)
def test_factors_are_exact(factor: Any, size: int, resized: int) -> None:
    layer = op("Upsample", scale_factor=factor)
    assert layer.output((1, 1, size)) == (1, 1, resized)
    length = symbol("L")
    assert evaluate(layer.output((1, 1, length))[2], {"L": size}) == resized


def test_a_factor_is_written_as_a_ratio() -> None:
    assert str(op("Upsample", scale_factor=1.5)) == "Upsample(scale_factor=3/2)"
    assert str(op("Upsample", scale_factor=1 / 3)) == "Upsample(scale_factor=1/3)"
    two = op("Upsample", scale_factor=(2, 0.5))
    assert str(two) == "Upsample(scale_factor=[2, 1/2])"


def test_modes_change_no_size_but_what_is_read() -> None:
    def rows(mode: str, **named: Any) -> tuple[Any, ...]:
        layer = op("Upsample", scale_factor=2, mode=mode, **named)
        assert layer.output(MAP) == (2, 12, 16, 12)
        window = layer.windows(MAP)[0]
        return window.kernel, window.stride, window.upsample

    assert rows("nearest") == (2, 1, 2)  # one row
    assert rows("bilinear") == (7, 2, 4)  # two rows
    assert rows("bicubic") == (15, 2, 4)  # four rows


@pytest.mark.parametrize(
    ("make", "message", "help"),
    [
        (
            lambda: op("Upsample"),
            "Upsample takes size, scale_factor or like; none is given",
            "write Upsample(scale_factor=2)",
        ),
        (
            lambda: op("Upsample", 7, 2),
            "Upsample takes size, scale_factor or like; size and scale_factor are",
            None,
        ),
        (
            lambda: op("Upsample", scale_factor=0.29),
            "scale_factor 0.29 times a size can fall just short of a whole number",
            "give the size itself: size=",
        ),
        (lambda: op("Upsample", scale_factor=0), "scale_factor must be a positive number", None),
        (lambda: op("Upsample", scale_factor="x"), "scale_factor must be a positive number", None),
        (lambda: op("Upsample", scale_factor=float("nan")), "scale_factor must be", None),
        (lambda: op("Upsample", scale_factor=[]), "scale_factor must be", None),
        (
            lambda: op("Upsample", scale_factor=2**0.5),
            "scale_factor must be",
            "a factor is a ratio of small numbers, like 2 or 3/2",
        ),
        (
            lambda: op("Upsample", scale_factor=2, mode="bilinear").check((1, 3, 8)),
            "Upsample takes N×C×H×W; what flows in is N×C×L",
            "write mode=linear",
        ),
        (
            lambda: op("Upsample", (7, 7)).check((1, 3, 8)),
            "size has 2 numbers, but 1 are wanted here",
            "give one number for all axes, or one for each",
        ),
        (
            lambda: op("Upsample", 7, align_corners=True),
            "align_corners has no meaning with mode=nearest",
            None,
        ),
        (
            lambda: op("ZeroPad2d", (1, 2)),
            "padding has 2 numbers, but 4 are wanted here",
            "give one number for all, or 4 in parentheses",
        ),
        (
            lambda: op("Unflatten", 1, 3),
            "unflattened_size must be a list of whole numbers",
            "write a list: [3]",
        ),
        (lambda: op("Unflatten", 1, [-1, -1]), "unflattened_size must be a list", None),
        (lambda: op("Unflatten", 1, [0]), "unflattened_size must be a list", None),
        (lambda: op("Flatten", 0), "start_dim must be an axis", "axis 0 is the batch"),
        (lambda: op("Flatten", True), "start_dim must be an axis", None),
        (lambda: op("Flatten", 3, 2).check(MAP), "start_dim 3 comes after end_dim 2", None),
        (
            lambda: op("CenterCrop").check(MAP, (2, 3, 4)),
            "CenterCrop: what flows in is N×C×H×W, but like is N×C×L",
            None,
        ),
    ],
)
def test_wrong_arguments(make: Any, message: str, help: str | None) -> None:
    with pytest.raises(LayerError) as raised:
        make()
    assert raised.value.message.startswith(message)
    if help is not None:
        assert (raised.value.help or "").startswith(help)
