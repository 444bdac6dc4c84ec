"""Which shifts of the input a network follows, and where padding breaks it."""

from __future__ import annotations

import pytest

import convcalc
from convcalc.analysis.equivariance import Equivariance, Shift, equivariance, inner_outputs
from convcalc.graph import flow
from convcalc.language import parse_document
from convcalc.ops.base import Window
from convcalc.ops.convolution import window_output


def of(layers: str, *shape: int) -> Equivariance:
    text = f"convcalc: 1\ninput: {list(shape)}\nlayers:\n- {layers}\n"
    return equivariance(flow(parse_document(text, "shift.yaml").build()))


def last(found: Equivariance) -> tuple[str, int, int, tuple[int, int] | None]:
    (node,) = found.features
    kept = found.of(node.index)[0]
    assert isinstance(kept, Shift)
    return node.path, kept.shift, kept.moves, kept.border


@pytest.mark.parametrize(
    ("name", "variant", "input", "told"),
    [
        ("vgg16", None, None, ("MaxPool2d[4]", 32, 1, (3, 3))),
        ("alexnet", None, None, ("MaxPool2d[2]", 32, 1, (2, 2))),
        ("resnet", "resnet50", (3, 1024, 1024), ("Bottleneck[15].ReLU[2]", 32, 1, (7, 6))),
        ("unet", None, None, ("Conv2d", 16, 16, (0, 0))),
        ("lenet5", None, None, ("Act[2].Tanh", 4, 1, (0, 0))),
        ("vit_b16", None, None, ("Conv2d", 16, 1, (0, 0))),
    ],
)
def test_networks(name: str, variant: str | None, input: object, told: object) -> None:
    network = convcalc.load(name, variant)
    assert last(equivariance(network.flow(input))) == told  # type: ignore[arg-type]


def test_what_follows_no_shift() -> None:
    assert not of("Flatten -> Linear(3)", 3, 8, 8).features
    assert not of("GroupNorm(1)", 4, 8, 8).features
    gated = of("Conv2d(4, 3) -> AdaptiveAvgPool2d(1) -> Conv2d(4, 1)", 3, 8, 8)
    assert [node.path for node in gated.features] == ["Conv2d[0]"]
    assert gated.of(3) == ("a path sees the whole axis",) * 2


TWO = """convcalc: 1
name: two
inputs:
  left: [3, 32, 32]
  right: [3, 64, 64]
layers:
- a = left -> Conv2d(4, 3, padding=1)
- b = right -> Conv2d(4, 4, 4, 1) -> Upsample(scale_factor=2)
- add: [a, b]
"""
FEATURES = """convcalc: 1
name: an image and features
inputs: {x: [3, 16, 16], z: [64]}
layers:
- a = x -> Conv2d(4, 3)
- b = z -> Linear(%d) -> Unflatten(1, [4, %d, %d])
- %s: [a, b]
"""
GATE = FEATURES % (4, 1, 1, "mul")
MAP = FEATURES % (784, 14, 14, "concat")


def test_several_inputs_are_shifted_together() -> None:
    found = convcalc.load(TWO).equivariance()
    assert [node.path for node in found.features] == ["Add"]
    told = {
        name: [(axis.shift, axis.moves, axis.border) for axis in axes if isinstance(axis, Shift)]
        for name, axes in found.layer("Add").items()
    }
    # the right moves by two places at a time, the left alone would by one
    assert told == {"left": [(2, 2, (2, 1))] * 2, "right": [(4, 2, (2, 1))] * 2}
    assert str(found.layer("a.Conv2d")["left"][0]) == "Shift(shift=1, moves=1, border=(1, 1))"


def test_features_beside_an_image() -> None:
    """They may scale it, but a map that is made of them stands still."""
    gated = convcalc.load(GATE).equivariance()
    assert [node.path for node in gated.features] == ["Mul"]
    joined = convcalc.load(MAP).equivariance()
    assert [node.path for node in joined.features] == ["a.Conv2d"]
    assert joined.layer("Concat")["x"] == ("its places come of z, which has none",) * 2


def test_inputs_with_other_axes() -> None:
    text = """convcalc: 1
name: an image and a line
inputs:
  x: [3, 8, 8]
  y: [3, 38]
layers:
- a = x -> Conv2d(4, 3)
- b = a -> Flatten(2)
- c = y -> Conv1d(4, 3)
- concat: [b, c]
"""
    found = convcalc.load(text).equivariance()
    assert [node.path for node in found.features] == ["a.Conv2d", "c.Conv1d"]
    assert not found.keeps(found.graph.layers[-1].index)


def test_a_layer_by_its_path() -> None:
    network = convcalc.load("vgg16")
    (height, width) = network.equivariance().layer("MaxPool2d[4]")["input"]
    assert isinstance(height, Shift)
    assert (height.shift, height.moves, height.border) == (32, 1, (3, 3))
    assert str(width) == str(height)
    found = network.equivariance(symbolic=True).layer("MaxPool2d[4]")["input"][0]
    assert isinstance(found, Shift)
    assert (found.shift, found.border) == (32, None)
    with pytest.raises(convcalc.ConvcalcError, match="did you mean 'MaxPool2d"):
        network.equivariance().layer("MaxPol2d[4]")


def test_inner_outputs_of_very_large_windows() -> None:
    """Taps are not gone through one by one."""
    size = 10**9
    window = Window(2 * size, 1, size - 1, size - 1, upsample=size)
    assert inner_outputs((0, size - 1), size**2, window) is not None


@pytest.mark.parametrize("upsample", [1, 2, 3, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_inner_outputs(upsample: int, stride: int, dilation: int) -> None:
    """Beside a look at every tap of every output."""
    for kernel in (1, 2, 3, 5):
        for before in range(4):
            for size in (7, 12):
                window = Window(kernel, stride, before, before, dilation, upsample)
                spread = (size - 1) * upsample + 1
                outputs = window_output(spread, Window(kernel, stride, before, before, dilation))
                for low, high in ((0, size - 1), (2, size - 2), (4, 4)):
                    inner = [
                        output
                        for output in range(max(outputs, 0))  # type: ignore[arg-type]  # ints
                        if all(
                            low * upsample <= tap <= high * upsample or tap % upsample
                            for tap in range(
                                output * stride - before,
                                output * stride - before + dilation * kernel,
                                dilation,
                            )
                        )
                    ]
                    found = inner_outputs((low, high), outputs, window)
                    told = list(range(found[0], found[1] + 1)) if found else []
                    # What reads nothing but gaps lies far out, too: there not all are told.
                    assert told == inner if upsample == 1 else set(told) <= set(inner)
                    assert told or upsample > 1 or not inner
