"""Pooling: the figures of the course notes, modules that torch.nn lacks, messages."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder, flow
from convcalc.integers import Open, evaluate, symbol
from convcalc.ops.base import GLOBAL, Window
from convcalc.ops.pooling import adaptive_window, ceil_output
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op


@pytest.mark.parametrize(
    ("layer", "height", "pooled"),
    [
        (op("MaxPool2d", 2, 2), 224, 112),  # CS231n prints 114, and elsewhere 244 → 112
        (op("MaxPool2d", 2, 2), 244, 122),
        (op("MaxPool2d", 3, 2), 55, 27),  # AlexNet
        (op("MaxPool2d", 3, 2), 27, 13),
        (op("MaxPool2d", 3, 2), 13, 6),
        (op("MaxPool2d", 2), 28, 14),  # LeNet
        (op("MaxPool2d", 3, 2, ceil_mode=True), 112, 56),  # GoogLeNet
        (op("MaxPool2d", 3, 2, 1), 112, 56),  # ResNet
        (op("MaxPool2d", 3, 2, padding="tf_same"), 147, 74),  # Xception
        (op("AvgPool2d", 5, 3), 14, 4),  # GoogLeNet's auxiliary classifiers
    ],
)
def test_published_sizes(layer: Any, height: int, pooled: int) -> None:
    assert layer.output((1, 8, height, height)) == (1, 8, pooled, pooled)


def test_pooling_learns_nothing_and_multiplies_nothing() -> None:
    layer, shape = op("MaxPool2d", 2), (1, 8, 4, 4)
    assert layer.weights(shape) == ()
    assert layer.macs(layer.output(shape), shape) == 0


def test_ceil_mode_leaves_out_a_window_that_would_start_in_the_padding() -> None:
    """Rounding up alone is wrong here: 4 rows, kernel 2, stride 3, padding 1 would give 3."""
    assert ceil_output(4, Window(2, 3, 1, 1)) == 2
    assert torch.nn.MaxPool1d(2, 3, 1, ceil_mode=True)(torch.zeros(1, 1, 4)).shape[-1] == 2


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_a_window_that_meets_the_padding_alone_is_refused(spatial: int) -> None:
    """Exactly where PyTorch gives −∞; along one axis its index shows that it lies outside."""
    pool = getattr(torch.nn.functional, f"max_pool{spatial}d")
    refused = 0
    for kernel, stride, padding, dilation, ceil, size in product(
        (2, 3, 4, 5), (1, 2, 3), (0, 1, 2), (1, 2, 3, 4), (False, True), range(1, 7)
    ):
        if 2 * padding > kernel:
            continue
        layer = op(f"MaxPool{spatial}d", kernel, stride, padding, dilation, ceil_mode=ceil)
        shape = (1, 1, *[9] * (spatial - 1), size)
        failed = [c for c in layer.conditions(shape) if not c.holds()]
        if failed and "padding left out" not in failed[0].what:  # PyTorch refuses it, too
            continue
        x = torch.zeros(shape)
        out, at = pool(x, kernel, stride, padding, dilation, ceil, return_indices=True)
        assert bool(failed) == bool((out == -torch.inf).any())
        assert spatial > 1 or bool(failed) == bool((at >= size).any())
        refused += len(failed)
    assert refused > 20


def test_what_a_dilated_pool_needs_is_told() -> None:
    layer = op("MaxPool1d", 2, padding=1, dilation=4)
    (failed,) = [c for c in layer.conditions((1, 1, 3)) if not c.holds()]
    assert str(failed) == "MaxPool1d: the length, padding left out, must be at least 4, not 3"
    assert "meets the padding alone" in (failed.help or "")


def test_a_chain_of_pools_is_one_floor() -> None:
    height = symbol("H")
    shape: Any = (1, 3, height, height)
    for _ in range(5):
        shape = op("MaxPool2d", 2).output(shape)
    assert str(shape[2]) == "H//32"


def test_tensorflow_same_by_hand() -> None:
    """tf.nn.max_pool and tf.nn.avg_pool on 1…5, kernel 2, stride 2: windows (1,2) (3,4) (5)."""
    x = torch.arange(1.0, 6.0).reshape(1, 1, 5)
    same = {"padding": "tf_same"}
    maximum = op("MaxPool1d", 2, **same).build(NN, (1, 1, 5))
    assert maximum(x).flatten().tolist() == [2, 4, 5]
    assert maximum(-x).flatten().tolist() == [-1, -3, -5]  # padded with −∞, not 0
    average = op("AvgPool1d", 2, **same).build(NN, (1, 1, 5))
    assert average(x).flatten().tolist() == [1.5, 3.5, 5]  # the padding does not count
    # kernel 3, stride 2 over 4 rows: one row of padding, and it goes to the end
    average = op("AvgPool1d", 3, 2, **same).build(NN, (1, 1, 4))
    assert average(x[..., :4]).flatten().tolist() == pytest.approx([2, 3.5])


def test_depthwise_max_pooling_by_hand() -> None:
    x = torch.tensor([1.0, 5.0, 2.0, 4.0, 9.0, -1.0]).reshape(1, 6, 1, 1)
    layer = op("DepthMaxPool", 3)
    assert layer.output((1, 6, 1, 1)) == (1, 2, 1, 1)
    assert layer.build(NN, (1, 6, 1, 1))(x).flatten().tolist() == [5, 9]


def test_depthwise_max_pooling_says_what_divides() -> None:
    builder = GraphBuilder("test")
    value = builder.input("input", (64, 8, 8))
    with pytest.raises(LayerError, match="DepthMaxPool: the channels must be a multiple of 3, not"):
        builder.add(op("DepthMaxPool", 3), value)


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize("wanted", range(1, 9))
def test_adaptive_windows_by_the_definition(size: int, wanted: int) -> None:
    """Output i averages the rows from ⌊i·W/o⌋ up to ⌈(i + 1)·W/o⌉."""
    window: Any = adaptive_window(size, wanted)
    if wanted == 1:
        assert window is GLOBAL
        return
    for index in range(wanted):
        first = index * window.stride - window.before
        places = range(first, first + window.kernel)
        rows = [p // window.upsample for p in places if p % window.upsample == 0]
        start, stop = index * size // wanted, -(-(index + 1) * size // wanted)
        assert rows == list(range(start, stop))


def test_an_even_adaptive_pool_is_a_plain_one() -> None:
    window = adaptive_window(12, 4)
    assert (window.kernel, window.stride, window.before, window.upsample) == (3, 3, 0, 1)
    assert adaptive_window(7, 7).kernel == 1


def test_a_pool_to_a_fixed_size_frees_the_rest_of_the_network_from_the_input() -> None:
    builder = GraphBuilder("test")
    value = builder.input("input", (3, "H", "W"))
    pooled = builder.add(op("AdaptiveAvgPool2d", (None, 7)), value)
    assert pooled.shape == (Open(), 3, Open(), 7)
    out = flow(builder.finish({"output": pooled})).shapes[-1]
    assert [evaluate(s, {"H": 9, "W": 5}) for s in out] == [1, 3, 9, 7]


@pytest.mark.parametrize(
    ("make", "message", "help"),
    [
        (
            lambda: op("MaxPool2d", 2, return_indices=True),
            "return_indices makes a second output, and a layer has one",
            "leave return_indices away",
        ),
        (
            lambda: op("MaxPool2d", 3, padding=2),
            "padding 2 is more than half of kernel_size 3",
            None,
        ),
        (
            lambda: op("MaxPool2d", 3, padding="tf_same", ceil_mode=True),
            "padding=tf_same always gives ⌈W/S⌉; ceil_mode means nothing beside it",
            "leave ceil_mode away",
        ),
        (
            lambda: op("AvgPool2d", 3, padding="tf_same", divisor_override=2),
            "padding=tf_same divides by what lies inside",
            "leave divisor_override away",
        ),
        (
            lambda: op("AdaptiveAvgPool1d", (None,)),
            "output_size none keeps the only axis: this pool does nothing",
            "write a number",
        ),
        (lambda: op("MaxPool2d", 2, padding="same"), "padding must be a whole number", None),
        (lambda: op("MaxPool2d", 0), "kernel_size must be a whole number of at least 1", None),
        (lambda: op("LPPool2d", 0, 2), "norm_type must not be 0", None),
    ],
)
def test_wrong_arguments(make: Any, message: str, help: str | None) -> None:
    with pytest.raises(LayerError) as raised:
        make()
    assert raised.value.message.startswith(message)
    assert help is None or raised.value.help == help


def test_too_small_an_input_says_how_small() -> None:
    builder = GraphBuilder("test")
    value = builder.input("input", (3, 5, 5))
    deep = builder.add(op("MaxPool2d", 2), builder.add(op("MaxPool2d", 2), value))
    builder.finish({"output": builder.add(op("MaxPool2d", 2), deep)})
    condition = op("MaxPool2d", 2).conditions((1, 3, 1, 1))[0]
    assert str(condition) == ("MaxPool2d: the padded height (1 + 0 + 0) must be at least 2, not 1")


def test_the_wrong_rank_names_the_sibling() -> None:
    with pytest.raises(LayerError) as raised:
        op("MaxPool2d", 2).check((1, 3, 8))
    assert raised.value.message == "MaxPool2d takes N×C×H×W; what flows in is N×C×L"
    assert raised.value.help == "write MaxPool1d"
