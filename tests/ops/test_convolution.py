"""Convolutions: published figures, TensorFlow's padding by hand, messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.integers import symbol
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op


def params(layer: Any, *shapes: Any) -> Any:
    return sum(t.elements for t in layer.weights(*shapes))


@pytest.mark.parametrize(
    ("layer", "shape", "output", "count"),
    [
        (op("Conv2d", 6, 5), (1, 3, 32, 32), (1, 6, 28, 28), 456),
        (op("Conv2d", 10, 5), (1, 6, 28, 28), (1, 10, 24, 24), 1_510),
        (op("Conv2d", 10, 5, padding=1), (1, 3, 32, 32), (1, 10, 30, 30), 760),  # meant: pad 2
        (op("Conv2d", 10, 5, padding=2), (1, 3, 32, 32), (1, 10, 32, 32), 760),
        (op("Conv2d", 96, 11, 4, bias=False), (1, 3, 227, 227), (1, 96, 55, 55), 34_848),
        (op("Conv2d", 32, 1), (1, 64, 56, 56), (1, 32, 56, 56), 2_080),
        (op("Conv2d", 1, 3, 2), (1, 1, 7, 7), (1, 1, 3, 3), 10),
        (op("Conv2d", 192, 5, padding=2), (1, 48, 19, 19), (1, 192, 19, 19), 230_592),  # AlphaGo
    ],
)
def test_the_figures_of_the_course_notes(layer: Any, shape: Any, output: Any, count: int) -> None:
    assert layer.output(shape) == output
    assert params(layer, shape) == count


def test_same_padding_of_an_odd_kernel() -> None:
    """P = (F − 1)/2 keeps the size."""
    for kernel in (1, 3, 5, 7):
        by_number = op("Conv2d", 8, kernel, padding=(kernel - 1) // 2)
        by_word = op("Conv2d", 8, kernel, padding="same")
        shape = (1, 3, 32, 31)
        assert by_number.output(shape) == by_word.output(shape) == (1, 8, 32, 31)


def test_tensorflow_same_by_hand() -> None:
    """tf.nn.conv1d of 1…4 with a kernel of ones: an odd row of padding goes to the end."""
    layer = op("Conv1d", 1, 3, 2, padding="tf_same", bias=False)
    conv = layer.build(NN, (1, 1, 4))
    torch.nn.init.ones_(conv.weight)
    assert conv(torch.arange(1.0, 5.0).reshape(1, 1, 4)).flatten().tolist() == [6, 7]
    # A stride larger than the kernel needs none.
    assert op("Conv1d", 1, 2, 5, padding="tf_same").windows((1, 1, 6))[0].before == 0


def test_separable_convolution_is_about_nine_times_cheaper() -> None:
    """8.7 times for 3×3 and 256 outputs: 1/(1/C + 1/9)."""
    shape = (1, 256, 14, 14)
    full = op("Conv2d", 256, 3, padding=1)
    depthwise, pointwise = op("Conv2d", 256, 3, padding=1, groups=256), op("Conv2d", 256, 1)
    macs = [layer.macs(layer.output(shape), shape) for layer in (full, depthwise, pointwise)]
    assert macs[0] / (macs[1] + macs[2]) == pytest.approx(1 / (1 / 256 + 1 / 9))


def test_costs_as_formulas() -> None:
    n, h, w = symbol("N"), symbol("H"), symbol("W")
    layer, shape = op("Conv2d", 64, 3, padding=1), (n, 3, h, w)
    assert layer.output(shape) == (n, 64, h, w)
    assert layer.macs(layer.output(shape), shape) == 1728 * n * h * w


@pytest.mark.parametrize(
    ("make", "message", "help"),
    [
        (
            lambda: op("Conv2d", 3, 64, 7, 2, 3),
            "Conv2d takes at most 4 arguments by position, not 5",
            "in_channels is taken from what flows in; write Conv2d(64, 7, stride=2, padding=3)",
        ),
        (
            lambda: op("Conv2d", 3, 64, 7, 2, 3, 1, 1, False),
            "Conv2d takes at most 4 arguments by position, not 8",
            (
                "in_channels is taken from what flows in; "
                "write Conv2d(64, 7, stride=2, padding=3, bias=false)"
            ),
        ),
        (
            lambda: op("Conv2d", 8, 3, 2, padding="same"),
            "padding=same needs stride 1, as in PyTorch; the stride here is 2",
            "write the padding as a number, or padding=tf_same for TensorFlow's rule",
        ),
        (
            lambda: op("Conv2d", 8, 3, padding="tf_same", padding_mode="reflect"),
            "padding=tf_same pads with zeros only",
            "leave padding_mode away",
        ),
        (lambda: op("Conv2d", 6, 3, groups=4), "6 out_channels do not divide into 4 groups", None),
        (
            lambda: op("Conv2d", 8, 1.5),
            "kernel_size must be a whole number of at least 1",
            "round it: int(…), round(…), ceil(…), or // instead of /",
        ),
        (
            lambda: op("Conv2d", 8, 3, paddng=1),
            "Conv2d has no argument 'paddng'",
            "did you mean 'padding'?",
        ),
        (
            lambda: op("Conv2d", 8),
            "Conv2d needs kernel_size",
            (
                "write Conv2d(out_channels, kernel_size, stride=1, padding=0, dilation=1, "
                "groups=1, bias=true, padding_mode=zeros)"
            ),
        ),
        (lambda: op("Conv2d", 8, 3, kernel_size=5), "Conv2d got 'kernel_size' twice", None),
        (
            lambda: op("Conv2d", 8, 3, in_channels=2.5),
            "in_channels must be a whole number of at least 1, not 2.5",
            "leave it away: in_channels is taken from what flows in",
        ),
        (
            lambda: op("ConvTranspose2d", 8, 3, output_padding=1),
            "output_padding 1 must be smaller than stride 1 or dilation 1",
            None,
        ),
        (
            lambda: op("Conv2d", 8, 3).check((1, 10)),
            "Conv2d takes N×C×H×W; what flows in is N×F",
            "a Flatten or Linear before it has removed the axes; put it before them",
        ),
    ],
)
def test_wrong_arguments(make: Any, message: str, help: str | None) -> None:
    with pytest.raises(LayerError) as raised:
        make()
    assert raised.value.message.startswith(message)
    assert help is None or raised.value.help == help


def test_too_small_an_input_shows_the_arithmetic() -> None:
    condition = op("Conv2d", 8, 5, padding=1, dilation=2).conditions((1, 3, 6, 32))[0]
    assert condition.holds() is False
    assert str(condition) == ("Conv2d: the padded height (6 + 1 + 1) must be at least 9, not 8")
    assert condition.help is not None
    assert "the kernel reaches over 9" in condition.help
