"""Sizes against PyTorch for arguments that nobody would write: what is taken, and what comes out.

PyTorch runs on the CPU: on the meta device it checks less (a kernel of 0 passes there).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convcalc.errors import LayerError
from convcalc.integers import IntArray, array, evaluate, symbol
from convcalc.ops import REGISTRY
from convcalc.ops.convolution import tf_same_padding
from tests.ops.references import _count

often = settings(max_examples=150, deadline=None)

small = st.integers(0, 6)  # 0 is wrong where a number must be positive
size = st.integers(1, 24)
pair = st.tuples(small, small)


def ours(name: str, shape: tuple[int, ...], *args: Any, **named: Any) -> tuple[int, ...] | None:
    """The output's shape, or None where the layer is refused."""
    try:
        op = REGISTRY[name](*args, **named)
        op.check(shape)
    except LayerError:
        return None
    if any(c.holds() is not True for c in op.conditions(shape)):
        return None
    _other_kinds(op, shape)
    return op.output(shape)  # type: ignore[return-value]  # between ints


def _other_kinds(op: Any, shape: tuple[int, ...]) -> None:
    """The same rule on formulas and on arrays gives the same sizes."""
    expected = op.output(shape)
    names = "NCDHW"[: len(shape)]
    formulas = op.output(tuple(map(symbol, names)))
    values = dict(zip(names, shape, strict=True))
    assert tuple(evaluate(s, values) for s in formulas) == expected
    arrays = op.output(tuple(array([s, s + 1]) for s in shape))
    assert expected == tuple(int(s.to_numpy()[0]) if isinstance(s, IntArray) else s for s in arrays)


#: What PyTorch raises where it refuses something.
REFUSALS = (
    ArithmeticError,
    AssertionError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def torchs(module: str, shape: tuple[int, ...], *args: Any, **named: Any) -> Any:
    try:
        with torch.no_grad():
            layer = getattr(nn, module)(*args, **named)
            found = tuple(layer(torch.zeros(shape)).shape)
    except REFUSALS:
        return None
    return None if 0 in found else found  # no size is 0 with us


@often
@given(size, size, pair, pair, pair, pair, st.booleans())
def test_max_pool(
    h: int, w: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> None:
    shape = (2, 3, h, w)
    args = (kernel, stride, padding, dilation, False, ceil)
    assert ours("MaxPool2d", shape, *args) == torchs("MaxPool2d", shape, *args)


@often
@given(size, small, small, small, small, st.booleans())
def test_max_pool_1d(
    length: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool
) -> None:
    shape = (2, 3, length)
    args = (kernel, stride, padding, dilation, False, ceil)
    assert ours("MaxPool1d", shape, *args) == torchs("MaxPool1d", shape, *args)


@often
@given(size, size, size, small, st.none() | small, small, st.booleans(), st.booleans())
def test_average_pool(
    d: int, h: int, w: int, kernel: int, stride: int | None, padding: int, ceil: bool, count: bool
) -> None:
    for name, shape in (
        ("AvgPool1d", (2, 3, w)),
        ("AvgPool2d", (2, 3, h, w)),
        ("AvgPool3d", (2, 3, d, h, w)),
    ):
        args = (kernel, stride, padding, ceil, count)
        assert ours(name, shape, *args) == torchs(name, shape, *args)


@often
@given(size, small, st.none() | small, st.booleans())
def test_power_average_pool(length: int, kernel: int, stride: int | None, ceil: bool) -> None:
    args = (2.0, kernel, stride, ceil)
    for name, shape in (("LPPool1d", (2, 3, length)), ("LPPool2d", (2, 3, length, 9))):
        assert ours(name, shape, *args) == torchs(name, shape, *args)


@often
@given(size, size, st.none() | st.integers(1, 30), st.none() | st.integers(1, 30))
def test_adaptive_pool(h: int, w: int, out_h: int | None, out_w: int | None) -> None:
    shape = (2, 3, h, w)
    for name in ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"):
        assert ours(name, shape, (out_h, out_w)) == torchs(name, shape, (out_h, out_w))


@often
@given(
    size,
    size,
    pair,
    pair,
    pair | st.sampled_from(["same", "valid"]),
    pair,
    st.sampled_from([0, 1, 2, 3, 6]),
    st.sampled_from([2, 3, 6]),
    st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
)
def test_convolution(
    h: int,
    w: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    out: int,
    mode: str,
) -> None:
    shape = (2, 6, h, w)
    got = ours(
        "Conv2d",
        shape,
        out,
        kernel,
        stride,
        padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
    )
    named = {"groups": groups, "padding_mode": mode}
    assert got == torchs("Conv2d", shape, 6, out, kernel, stride, padding, dilation, **named)


@often
@given(
    size,
    small,
    small,
    small,
    small,
    small,
    st.sampled_from([1, 2, 3]),
    st.sampled_from([2, 3, 6]),
)
def test_transposed_convolution(
    length: int,
    kernel: int,
    stride: int,
    padding: int,
    extra: int,
    dilation: int,
    groups: int,
    out: int,
) -> None:
    shape = (2, 6, length)
    named = {"output_padding": extra, "groups": groups, "dilation": dilation}
    got = ours("ConvTranspose1d", shape, out, kernel, stride, padding, **named)
    theirs = torchs("ConvTranspose1d", shape, 6, out, kernel, stride, padding, **named)
    assert got == (theirs if dilation else None)  # PyTorch takes 0 beside a kernel of 1


@often
@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_tensorflow_same(length: int, kernel: int, stride: int, dilation: int) -> None:
    """⌈W/S⌉ windows fit with the padding, and one row less would lose one, unless it is 0."""
    reach = dilation * (kernel - 1) + 1
    before, after = tf_same_padding(length, reach, stride)
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert 0 <= after - before <= 1
    total = before + after
    wanted = len(range(0, length, stride))
    assert _count(length + total, kernel, stride, dilation) >= wanted
    assert total == 0 or _count(length + total - 1, kernel, stride, dilation) < wanted
    for name in ("MaxPool1d", "Conv1d"):
        args = (8, kernel) if name == "Conv1d" else (kernel,)
        named = {"stride": stride, "padding": "tf_same", "dilation": dilation}
        assert ours(name, (1, 8, length), *args, **named) == (1, 8, wanted)


sides = st.integers(-8, 14)


@often
@given(size, size, sides, sides, sides, sides)
@pytest.mark.parametrize("kind", ["Zero", "Reflection", "Replication", "Circular"])
def test_padding(kind: str, h: int, w: int, left: int, right: int, top: int, bottom: int) -> None:
    shape, padding = (2, 3, h, w), (left, right, top, bottom)
    got, theirs = (side(f"{kind}Pad2d", shape, padding) for side in (ours, torchs))
    if kind == "Circular" and min(padding) < 0 and got is None:
        return  # PyTorch takes some of what overlaps itself, and gives what it happens to read
    rows = min(h + min(top, 0) + min(bottom, 0), w + min(left, 0) + min(right, 0))
    if kind in ("Zero", "Circular") and rows < 1:
        theirs = None  # PyTorch also takes a crop that leaves no row, and pads that
    assert got == theirs


@often
@given(size, size, pair, pair, pair, pair)
def test_unfold(h: int, w: int, kernel: Any, dilation: Any, padding: Any, stride: Any) -> None:
    shape, args = (2, 3, h, w), (kernel, dilation, padding, stride)
    assert ours("Unfold", shape, *args) == torchs("Unfold", shape, *args)


@often
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(-6, 6), st.integers(-6, 6))
def test_flatten(sizes: list[int], start: int, end: int) -> None:
    shape = tuple(sizes)
    got, theirs = (side("Flatten", shape, start, end) for side in (ours, torchs))
    batch = {0, -len(shape)}  # PyTorch flattens the batch in, too
    assert got == (None if {start, end} & batch else theirs)


@often
@given(
    st.integers(1, 24),
    st.lists(st.sampled_from([-1, 1, 2, 3, 4, 6, 12]), min_size=1, max_size=3),
)
def test_unflatten(features: int, sizes: list[int]) -> None:
    shape = (2, features)
    assert ours("Unflatten", shape, 1, sizes) == torchs("Unflatten", shape, 1, tuple(sizes))


@often
@given(st.integers(1, 100_000), st.integers(1, 60), st.integers(1, 60))
def test_resizing_by_a_ratio(length: int, numerator: int, denominator: int) -> None:
    """What we take comes out as in PyTorch; what we refuse it gets wrong for some size."""
    factor = Fraction(numerator, denominator)
    shape = (1, 1, length)
    theirs = torchs("Upsample", shape, scale_factor=float(factor))
    try:
        REGISTRY["Upsample"](scale_factor=factor)
    except LayerError:
        wholes = range(factor.denominator, 400 * factor.denominator, factor.denominator)
        assert any(math.floor(n * float(factor)) != n * factor for n in wholes)
    else:
        assert ours("Upsample", shape, scale_factor=factor) == theirs
        assert ours("Upsample", shape, scale_factor=float(factor)) == theirs


@often
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(0, 7))
def test_moves_between_channels_and_places(h: int, w: int, r: int, groups: int) -> None:
    shape = (2, 12, h, w)
    for name, argument in (
        ("PixelShuffle", r),
        ("PixelUnshuffle", r),
        ("ChannelShuffle", groups),
    ):
        assert ours(name, shape, argument) == torchs(name, shape, argument)


@often
@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 3), st.integers(0, 7))
def test_groups_of_a_normalisation(n: int, channels: int, h: int, groups: int) -> None:
    shape = (n, channels, h, 1)
    assert ours("GroupNorm", shape, groups) == torchs("GroupNorm", shape, groups, channels)
    assert ours("InstanceNorm2d", shape) == torchs("InstanceNorm2d", shape, channels)
    for kept in (True, False):
        named = {"track_running_stats": kept}
        theirs = torchs("BatchNorm2d", shape, channels, **named)
        if kept and n * h == 1:
            assert theirs is None  # in training, of which a warning tells
            assert REGISTRY["BatchNorm2d"]().warnings(shape)
        else:
            assert ours("BatchNorm2d", shape, **named) == theirs


odd_values = st.sampled_from(
    [
        *(None, True, False, -1, 0, 1, 2, 3, 7, 10**30, -0.5, 0.5, 2.5, Fraction(1, 3)),
        *(float("nan"), float("inf"), "same", "x", "", symbol("K"), (symbol("K"), 2), {"a": 1}),
        *((), (1,), (1, 2), [2, 2], (-1, -1), (1, 2, 3), (1, 2, 3, 4), [None, 1], [[0, 1]]),
        *(["x"], (True, 1)),
    ]
)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=6).map(tuple)


def made(
    name: str, args: list[Any], named: dict[str, Any], inputs: list[Any]
) -> tuple[Any, LayerError | None]:
    """The layer, or why it is refused."""
    try:
        op = REGISTRY[name](*args, **named)
        op.check(*inputs)
    except LayerError as error:
        return None, error
    return op, None


@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("name", sorted(REGISTRY))
@given(data=st.data())
def test_nothing_is_raised_but_layer_errors(name: str, data: st.DataObject) -> None:
    """Whatever is written and whatever flows in: a layer, or an error that says what is wrong."""
    cls = REGISTRY[name]
    names = [argument.name for argument in cls.arguments]
    inferred = [cls.inferred] if cls.inferred else []
    args = data.draw(st.lists(odd_values, max_size=3))
    chosen = data.draw(st.sets(st.sampled_from([*names, *inferred, "colour"])))
    named = {key: data.draw(odd_values) for key in chosen}
    inputs = data.draw(st.lists(shapes, min_size=cls.inputs or 2, max_size=cls.inputs or 3))
    op, error = made(name, args, named, inputs)
    if error is not None:
        assert error.message
        assert "object at 0x" not in f"{error.message} {error.help}"
        return
    assert str(op).startswith(name)
    conditions = op.conditions(*inputs)
    assert all(str(condition) for condition in conditions)
    if any(condition.holds() is False for condition in conditions):
        return
    op.macs(op.output(*inputs), *inputs)
    op.weights(*inputs)
    op.buffers(*inputs)
    op.windows(*inputs)
    op.warnings(*inputs, layouts=["channels"] * len(inputs))
