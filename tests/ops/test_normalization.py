"""Normalisation: what is learned and kept, what is taken from what flows in, messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op

MAP = (2, 64, 8, 8)


def test_batch_norm_learns_two_and_keeps_two_numbers_a_channel_and_one_count() -> None:
    layer = op("BatchNorm2d")
    assert [(t.name, t.shape) for t in layer.weights(MAP)] == [("weight", (64,)), ("bias", (64,))]
    buffers = [(t.name, t.shape, t.dtype, t.elements) for t in layer.buffers(MAP)]
    assert buffers == [
        ("running_mean", (64,), None, 64),
        ("running_var", (64,), None, 64),
        ("num_batches_tracked", (), "int64", 1),
    ]


@pytest.mark.parametrize(
    ("name", "args", "inferred", "write"),
    [
        ("BatchNorm1d", (64,), "num_features", "BatchNorm1d"),
        ("BatchNorm2d", (64,), "num_features", "BatchNorm2d"),
        ("BatchNorm2d", (64, 0.001, 0.01), "num_features", "BatchNorm2d(eps=0.001, momentum=0.01)"),
        ("BatchNorm3d", (64,), "num_features", "BatchNorm3d"),
        ("InstanceNorm2d", (64,), "num_features", "InstanceNorm2d"),
        ("LayerNorm", (64,), "normalized_shape", "LayerNorm"),
        ("LayerNorm2d", (64, 1e-6), "normalized_shape", "LayerNorm2d(eps=1e-06)"),
        ("RMSNorm", (64,), "normalized_shape", "RMSNorm"),
        ("GroupNorm", (32, 64), "num_channels", "GroupNorm(32)"),
        ("GroupNorm", (32, 64, 0.001), "num_channels", "GroupNorm(32, eps=0.001)"),
    ],
)
def test_a_pasted_call_is_told_what_to_write(
    name: str, args: tuple[Any, ...], inferred: str, write: str
) -> None:
    with pytest.raises(LayerError) as raised:
        op(name, *args)
    assert raised.value.help == f"{inferred} is taken from what flows in; write {write}"


def test_an_assertion_is_checked() -> None:
    (condition,) = op("BatchNorm2d", num_features=32).conditions(MAP)
    assert condition.holds() is False
    assert str(condition) == (
        "BatchNorm2d: num_features and the channels that flow in must be equal: 64 and 32"
    )
    assert op("BatchNorm2d", num_features=64).conditions(MAP)[0].holds() is True
    assert op("LayerNorm", normalized_shape=[12]).conditions((1, 5, 12))[0].holds() is True
    with pytest.raises(LayerError, match="LayerNorm normalises over the last axis alone"):
        op("LayerNorm", normalized_shape=[5, 12])
    with pytest.raises(LayerError, match="num_features must be a whole number"):
        op("BatchNorm2d", num_features="all")


@pytest.mark.parametrize(("name", "sibling"), [("LayerNorm", "LayerNorm2d"), ("RMSNorm", None)])
def test_features_last_is_no_map(name: str, sibling: str | None) -> None:
    builder = GraphBuilder("test")
    value = builder.input("input", (64, 8, 8))
    with pytest.raises(LayerError) as raised:
        builder.add(op(name), value)
    assert raised.value.message == (
        f"{name} takes tokens, N×L×E, or N×F; a value with channels first flows in: 64×?×?"
    )
    assert raised.value.help is not None
    assert (sibling or "Tokens") in raised.value.help


def test_features_last_takes_tokens_and_flat_values_but_no_sequence() -> None:
    builder = GraphBuilder("test")
    sequence = builder.input("input", (64, 8))
    tokens = builder.add(op("Tokens"), sequence)
    assert builder.add(op("LayerNorm"), tokens).layout == "tokens"
    flat = builder.add(op("Flatten"), sequence)
    assert builder.add(op("LayerNorm"), flat).shape == flat.shape
    with pytest.raises(LayerError, match="channels first flows in"):
        builder.add(op("LayerNorm"), sequence)


def test_layer_norm_2d_is_layer_norm_with_the_channels_last() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 3, 4)
    layer = op("LayerNorm2d", eps=1e-6).build(NN, x.shape)
    plain = torch.nn.LayerNorm(6, 1e-6)
    torch.testing.assert_close(layer(x), plain(x.movedim(1, -1)).movedim(-1, 1))


def test_one_value_a_channel_cannot_be_trained() -> None:
    (warning,) = op("BatchNorm2d").warnings((1, 64, 1, 1))
    assert warning[0] == "one-value-a-channel"
    assert "a batch of 1 gives each channel one value" in warning[1]
    assert op("BatchNorm2d").warnings((2, 64, 1, 1)) == []
    assert op("BatchNorm1d").warnings((1, 64)) != []
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        torch.nn.BatchNorm2d(64)(torch.zeros(1, 64, 1, 1))


def test_groups_say_what_divides() -> None:
    divides, _ = op("GroupNorm", 3).conditions(MAP)
    assert str(divides) == "GroupNorm: the channels must be a multiple of 3, not 64"
