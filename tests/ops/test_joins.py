"""Joins: gates, concatenation, shares of the channels, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder
from convcalc.integers import symbol
from convcalc.ops.joins import resolve_axis, show_shape
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op

MAP = (2, 64, 8, 6)
GATE = (2, 64, 1, 1)


def failed(layer: Any, *shapes: Any) -> list[str]:
    return [str(c) for c in layer.conditions(*shapes) if c.holds() is False]


def test_nothing_broadcasts_in_a_sum() -> None:
    assert failed(op("Add"), MAP, MAP) == []
    assert failed(op("Add"), MAP, GATE) == [
        "Add: height must be equal: 8 and 1",
        "Add: width must be equal: 6 and 1",
    ]
    assert failed(op("Add"), MAP, (2, 32, 8, 6)) == ["Add: channels must be equal: 64 and 32"]


def test_a_gate_multiplies_every_place() -> None:
    for shapes in ((MAP, GATE), (GATE, MAP), (GATE, MAP, GATE)):
        assert op("Mul").output(*shapes) == MAP
        assert failed(op("Mul"), *shapes) == []
    assert failed(op("Mul"), MAP, (2, 16, 1, 1)) == ["Mul: channels must be equal: 64 and 16"]
    height = symbol("H")
    assert op("Mul").output(GATE, (2, 64, height, height))[2] == height


def test_the_channels_of_an_inception_module_add_up() -> None:
    branches = [(1, c, 28, 28) for c in (64, 128, 32, 32)]
    assert op("Concat").output(*branches) == (1, 256, 28, 28)
    assert failed(op("Concat"), branches[0], (1, 8, 28, 27)) == [
        "Concat: width must be equal: 28 and 27"
    ]


def test_a_split_is_a_view_of_its_share() -> None:
    x = torch.rand(MAP)
    share = op("Split", 16, 8).build(NN, MAP)(x)
    assert torch.equal(share, x[:, 16:24])
    assert share.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert failed(op("Split", 60, 8), MAP) == ["Split: the channels must be at least 68, not 64"]


def test_tokens_and_maps_do_not_join() -> None:
    builder = GraphBuilder("test")
    value = builder.input("input", (64, 8))
    tokens = builder.add(op("Tokens"), value)
    with pytest.raises(LayerError, match="joins tokens with a value that has channels first"):
        builder.add(op("Add"), value, tokens)
    with pytest.raises(LayerError, match="joins values of unequal rank"):
        builder.add(op("Add"), value, builder.add(op("Flatten"), value))


def test_an_axis_counts_from_either_end() -> None:
    layer = op("Softmax", -1)
    assert resolve_axis(layer, "dim", 4) == 3
    with pytest.raises(LayerError) as raised:
        resolve_axis(op("Softmax", 3), "dim", 3)
    assert raised.value.argument == "dim"
    assert raised.value.help == "1 is the channels, 2 or -1 the last"


def test_shapes_are_shown_without_their_batch() -> None:
    assert show_shape(MAP) == "64×8×6"
