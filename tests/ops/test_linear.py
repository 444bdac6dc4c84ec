"""Linear: published counts, any rank, messages."""

from __future__ import annotations

from typing import Any

import pytest

from convcalc.errors import LayerError
from convcalc.ops import REGISTRY


def linear(*args: Any, **named: Any) -> Any:
    return REGISTRY["Linear"](*args, **named)


@pytest.mark.parametrize(
    ("features", "out", "params"),
    [
        (32 * 32 * 3, 10, 30_730),  # the linear classifier of CS231n
        (7 * 7 * 512, 4096, 102_764_544),  # FC6 of VGG-16
        (120, 84, 10_164),  # F6 of LeNet-5
    ],
)
def test_published_counts(features: int, out: int, params: int) -> None:
    layer, shape = linear(out), (1, features)
    assert sum(t.elements for t in layer.weights(shape)) == params
    assert layer.macs(layer.output(shape), shape) == features * out


def test_each_token_is_by_itself() -> None:
    layer, shape = linear(8), (2, 5, 3)
    assert layer.output(shape) == (2, 5, 8)
    assert layer.macs(layer.output(shape), shape) == 2 * 5 * 3 * 8
    assert layer.windows(shape) == []
    assert layer.warnings(shape, layouts=["tokens"]) == []


def test_on_a_map_it_works_along_the_width_and_says_so() -> None:
    layer = linear(8)
    ((code, message),) = layer.warnings((2, 3, 4, 5), layouts=["channels"])
    assert code == "linear-on-map"
    assert message.startswith("Linear works along the width alone")
    assert "along the length" in layer.warnings((2, 3, 5), layouts=["channels"])[0][1]
    assert layer.warnings((2, 3), layouts=["channels"]) == []


@pytest.mark.parametrize(
    ("args", "help"),
    [
        ((4096, 1000), "in_features is taken from what flows in; write Linear(1000)"),
        (
            (4096, 1000, False),
            "in_features is taken from what flows in; write Linear(1000, bias=false)",
        ),
        ((1000, False), "write Linear(1000, bias=false)"),
    ],
)
def test_a_pasted_call_is_told_what_to_write(args: tuple[Any, ...], help: str) -> None:
    with pytest.raises(LayerError) as raised:
        linear(*args)
    assert raised.value.message == f"Linear takes at most 1 argument by position, not {len(args)}"
    assert raised.value.help == help


def test_an_assertion_is_checked() -> None:
    (condition,) = linear(10, in_features=512).conditions((1, 2048))
    assert condition.holds() is False
    assert "in_features and the channels that flow in must be equal: 2048 and 512" in str(condition)
