"""Shifts measured: what is computed agrees, and wrong rules are seen."""

from __future__ import annotations

from typing import Any

import pytest

import convcalc
from convcalc.analysis.equivariance import equivariance
from convcalc.graph import flow
from convcalc.language import parse_document
from convcalc.ops.attention import PositionBias
from convcalc.ops.base import Window
from convcalc.ops.convolution import Conv2d
from convcalc.ops.normalization import GroupNorm
from convcalc.ops.pooling import MaxPool2d
from convcalc.pytorch import Comparison
from convcalc.pytorch.equivariance import _up_to_features, compare_equivariance
from tests.analysis.test_equivariance import GATE, MAP, TWO


def measured(layers: str, *shape: int) -> list[Comparison]:
    text = f"convcalc: 1\ninput: {list(shape)}\nlayers:\n- {layers}\n"
    return compare_equivariance(flow(parse_document(text, "shift.yaml").build()))


def failing(layers: str, *shape: int) -> list[str | None]:
    return [c.path for c in measured(layers, *shape) if not c.ok]


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("lenet5", None),
        ("alexnet", None),
        ("m5", None),
        ("resnet", "resnet18"),
        ("squeezenet", None),
        ("vit_b16", None),
    ],
)
def test_networks(name: str, variant: str | None) -> None:
    comparisons = compare_equivariance(convcalc.load(name, variant).flow())
    assert comparisons
    assert [str(c) for c in comparisons if not c.ok] == []


NET = "Conv2d(4, 3, padding=1) -> ReLU -> MaxPool2d(2) -> Conv2d(4, 5, 2, 2) -> ReLU"
DECODER = "Conv2d(4, 3, 2, 1) -> ReLU -> ConvTranspose2d(4, 4, 2, 1) -> Conv2d(2, 3, padding=1)"


@pytest.mark.parametrize("layers", [NET, DECODER, "Upsample(scale_factor=2) -> Conv2d(2, 3)"])
def test_small_networks(layers: str) -> None:
    comparisons = measured(layers, 3, 32, 32)
    assert len(comparisons) == layers.count("->") + 1
    assert all(c.ok for c in comparisons)


def test_a_wrong_stride_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaxPool2d, "windows", lambda self, *shapes: [Window(2, 1)] * 2)
    assert "MaxPool2d" in failing(NET, 3, 32, 32)


def test_the_copy_that_is_run_is_thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has fewer channels, in depthwise convolutions too; a wrong rule still shows."""
    for name, variant in (("resnet", "resnet50"), ("mobilenetv1", None)):
        found = convcalc.load(name, variant).flow()
        cut, indices = _up_to_features(found.graph, equivariance(found))
        assert cut is not None
        pairs = [(node, found.graph.nodes[indices[node.index]]) for node in cut.layers]
        assert all(type(node.op) is type(own.op) for node, own in pairs)
        few, many = (sum(pair[i].structure[1] for pair in pairs) for i in (0, 1))
        assert few * 8 < many
    monkeypatch.setattr(MaxPool2d, "windows", lambda self, *shapes: [Window(2, 1)] * 2)
    assert "MaxPool2d" in failing(NET.replace("(4,", "(64,"), 3, 32, 32)


def test_forgotten_padding_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Conv2d.windows

    def windows(self: Conv2d, *shapes: Any) -> list[Window]:
        found = true(self, *shapes)
        return [Window(w.kernel, w.stride, 0, w.after, w.dilation) for w in found]

    monkeypatch.setattr(Conv2d, "windows", windows)
    monkeypatch.setattr(Conv2d, "output", lambda self, x: (x[0], 4, x[2], x[3]))
    assert failing("Conv2d(4, 3, padding=1)", 3, 16, 16) == ["Conv2d"]


@pytest.mark.parametrize(
    ("op", "layers"), [(GroupNorm, "GroupNorm(1)"), (PositionBias, "PositionBias")]
)
def test_what_treats_places_apart_is_seen(
    op: Any, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = f"Conv2d(4, 3) -> {layers} -> Conv2d(4, 3)"
    assert failing(chain, 3, 16, 16) == []
    monkeypatch.setattr(op, "fixed", "")
    assert op.__name__ in failing(chain, 3, 16, 16)


@pytest.mark.parametrize("text", [TWO, GATE, MAP], ids=["two", "gate", "map"])
def test_several_inputs(text: str) -> None:
    notes: list[str] = []
    network = convcalc.load(text)
    comparisons = compare_equivariance(network.flow(), notes)
    assert {c.path for c in comparisons} >= {n.path for n in network.equivariance().features}
    assert [str(c) for c in comparisons if not c.ok] == []
    assert notes == []


def test_inputs_that_are_not_shifted_together_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convcalc.analysis.equivariance._together", lambda several: several)
    assert [c.path for c in compare_equivariance(convcalc.load(TWO).flow()) if not c.ok] == ["Add"]


def test_a_map_of_features_taken_to_move_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convcalc.analysis.equivariance._placed", lambda *_: "")
    comparisons = compare_equivariance(convcalc.load(MAP).flow())
    assert [c.path for c in comparisons if not c.ok] == ["Concat"]


def test_check_measures_it_when_asked() -> None:
    (plain,) = convcalc.check("lenet5")
    (deep,) = convcalc.check("lenet5", deep=True)
    more = {c.figure for c in deep.comparisons} - {c.figure for c in plain.comparisons}
    assert more == {"equivariance"}
    assert deep.ok


def test_what_pytorch_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("convcalc.pytorch.equivariance.to_module", refuse)
    (deep,) = convcalc.check("lenet5", deep=True)
    (told,) = [c for c in deep.comparisons if c.figure == "equivariance"]
    assert not told.ok
    assert "out of memory" in told.measured
