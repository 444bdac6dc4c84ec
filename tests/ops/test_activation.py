"""Activations: PReLU's weights, axes of GLU and softmax, messages."""

from __future__ import annotations

from typing import Any

import pytest

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder
from convcalc.ops.base import GLOBAL
from tests.graphs import layer as op

MAP = (2, 64, 8, 6)


def test_prelu_learns_one_slope_or_one_a_channel() -> None:
    assert op("PReLU").weights(MAP)[0].shape == (1,)
    assert op("PReLU", 64).weights(MAP)[0].shape == (64,)
    assert op("PReLU", 1).conditions(MAP) == []
    (condition,) = op("PReLU", 32).conditions(MAP)
    assert str(condition) == "PReLU: the channels and num_parameters must be equal: 64 and 32"


def test_glu_halves_the_axis_that_is_named() -> None:
    assert op("GLU", 1).output(MAP) == (2, 32, 8, 6)
    assert op("GLU").output(MAP) == (2, 64, 8, 3)
    assert op("GLU", -2).output(MAP) == (2, 64, 4, 6)
    assert op("GLU", 1).windows(MAP) == []
    first, second = op("GLU").windows(MAP)
    assert (first.kernel, second.kernel, second.dilation) == (1, 2, 3)


def test_softmax_along_a_spatial_axis_reads_all_of_it() -> None:
    assert op("Softmax").windows(MAP) == []
    assert op("Softmax", 3).windows(MAP)[1] is GLOBAL
    assert op("Softmax", 3).windows(MAP)[0].kernel == 1


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "GLU"])
def test_axis_1_of_tokens_is_not_their_features(name: str) -> None:
    builder = GraphBuilder("test")
    tokens = builder.add(op("Tokens"), builder.input("input", (64, 8, 8)))
    with pytest.raises(LayerError) as raised:
        builder.add(op(name, 1), tokens)
    assert raised.value.help == f"write {name}(dim=-1)"
    assert builder.add(op(name, -1), tokens).layout == "tokens"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: op("Softmax", 0), "dim must be an axis: 1 for the channels"),
        (lambda: op("Softmax", 4).check(MAP), "dim 4 is no axis of what flows in: 4 axes"),
        (lambda: op("RReLU", 0.5, 0.25), "lower must be no more than upper: 0.5 and 0.25"),
        (lambda: op("Hardtanh", 1, 1), "min_val must be less than max_val: 1 and 1"),
        (lambda: op("CELU", 0), "alpha must not be 0: it divides"),
        (lambda: op("Softshrink", -1), "lambd must be a number of at least 0, not -1"),
        (lambda: op("GELU", "erf"), "approximate must be one of none, tanh, not 'erf'"),
        (lambda: op("ReLU", 6), "inplace must be true or false, not 6"),
        (lambda: op("Threshold", 1), "Threshold needs value"),
        (lambda: op("Sigmoid", 1), "Sigmoid takes no arguments by position, not 1"),
        (lambda: op("LeakyReLU", slope=0.2), "LeakyReLU has no argument 'slope'"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(LayerError) as raised:
        make()
    assert raised.value.message.startswith(message)


def test_none_is_gelus_word_too() -> None:
    """`approximate=none`: none is a value in the language, and a word in torch.nn."""
    assert op("GELU", None).approximate == "none"
    assert str(op("GELU", None)) == "GELU"
