"""The harness catches a wrong rule in each facet of attention and the classics, and names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from convcalc.integers import product
from convcalc.ops import REGISTRY, Condition, Op, Tensor, Window
from convcalc.ops.attention import BlockWindow
from convcalc.pytorch import modules_attention
from convcalc.pytorch.namespace import NN
from tests.ops import harness
from tests.ops.case import Case, Shape

Rule = Callable[..., Any]

#: Layer, its arguments, what flows in, the facet, and a wrong rule for it.
FAULTS: list[tuple[str, str, tuple[Shape, ...], str, Rule]] = [
    # the tokens of one axis alone
    ("Tokens", "", ((2, 3, 4, 5),), "output", lambda self, x: (x[0], x[2], x[1])),
    # no token more
    ("ClassToken", "", ((2, 5, 12),), "output", lambda self, x: x),
    # queries, keys and values, but no projection after them
    (
        "MultiheadAttention",
        "3",
        ((2, 5, 12),),
        "macs",
        lambda self, out, x: 3 * x[0] * x[1] * x[2] ** 2 + 2 * x[0] * x[1] ** 2 * x[2],
    ),
    # each head as wide as the whole
    (
        "MultiheadAttention",
        "3",
        ((2, 5, 12),),
        "macs",
        lambda self, out, x: 4 * x[0] * x[1] * x[2] ** 2 + 2 * 3 * x[0] * x[1] ** 2 * x[2],
    ),
    # bias=false forgotten
    (
        "MultiheadAttention",
        "3, bias=false",
        ((2, 5, 12),),
        "weights",
        lambda self, x: [
            Tensor("in_proj_weight", (36, 12)),
            Tensor("in_proj_bias", (36,)),
            Tensor("out_proj.weight", (12, 12)),
            Tensor("out_proj.bias", (12,)),
        ],
    ),
    # the input's own size, not padded to whole windows
    (
        "WindowAttention",
        "3, 4",
        ((2, 12, 6, 8),),
        "macs",
        lambda self, out, x: x[0] * x[2] * x[3] * x[1] * (4 * x[1] + 2 * 16),
    ),
    # an index of the wrong dtype: 8 bytes an element are told as 4
    (
        "WindowAttention",
        "3, 4",
        ((2, 12, 6, 8),),
        "buffers",
        lambda self, x: [Tensor("relative_position_index", (256,))],
    ),
    # the index of torchvision's Swin where MaxViT's has two axes
    (
        "RelativePositionAttention",
        "3, 2",
        ((2, 12, 6, 8),),
        "buffers",
        lambda self, x: [Tensor("relative_position_index", (16,), "int64")],
    ),
    # one bias for each map
    ("PositionBias", "", ((2, 3, 4, 5),), "weights", lambda self, x: [Tensor("bias", x[1:2])]),
    # tokens' last axis
    (
        "LayerScale",
        "",
        ((2, 3, 4, 5),),
        "weights",
        lambda self, x: [Tensor("layer_scale", (x[-1],))],
    ),
    # every map reads every map
    (
        "ConnectionTableConv2d",
        "5",
        ((2, 6, 14, 14),),
        "macs",
        lambda self, out, x: product(out) * x[1] * 25,
    ),
    (
        "ConnectionTableConv2d",
        "5",
        ((2, 6, 14, 14),),
        "weights",
        lambda self, x: [Tensor("weight", (16, 6, 5, 5)), Tensor("bias", (16,))],
    ),
    # as if one coefficient served all maps
    (
        "Subsampling2d",
        "",
        ((2, 6, 8, 8),),
        "weights",
        lambda self, x: [Tensor("weight", (1,)), Tensor("bias", (1,))],
    ),
    # a distance is no matrix product
    ("RBF", "10", ((2, 84),), "macs", lambda self, out, x: product(x) * 10),
    ("RBF", "10", ((2, 84),), "buffers", lambda self, x: []),
    # twice the size, where the pool dropped a row
    (
        "MaxUnpool2d",
        "2",
        ((2, 3, 4, 5), (2, 3, 9, 11)),
        "output",
        lambda self, x, like: (*x[:2], 2 * x[2], 2 * x[3]),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "shapes", "facet", "rule"), FAULTS)
def test_a_wrong_rule_is_named(
    name: str,
    arguments: str,
    shapes: tuple[Shape, ...],
    facet: str,
    rule: Rule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    op = harness.make(name, arguments)
    module = op.build(NN, *shapes)
    assert harness.differences(op, module, shapes) == []
    monkeypatch.setattr(REGISTRY[name], facet, rule)
    assert harness.differences(op, module, shapes) == [facet]


def test_a_missing_condition_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, arguments, shape in (
        ("MultiheadAttention", "5", (2, 5, 12)),
        ("WindowAttention", "5, 2", (2, 12, 6, 8)),
        ("RelativePositionAttention", "4, 4", (2, 12, 6, 8)),
        ("TakeToken", "5", (2, 5, 12)),
        ("ConnectionTableConv2d", "5", (2, 5, 14, 14)),
    ):
        case = Case(arguments, (shape,), "bad")
        assert harness.refusal(name, case) is not None
        monkeypatch.setattr(REGISTRY[name], "conditions", lambda self, *shapes: [])
        assert harness.refusal(name, case) is None


def _blocks(self: Any, *shapes: Shape) -> list[Window]:
    return [BlockWindow(size) for size in self.window_size]


@pytest.mark.parametrize(
    ("name", "arguments", "wrong"),
    [
        ("WindowAttention", "3, 4, 1", _blocks),  # the shift forgotten
        ("WindowAttention", "3, 4, 1", lambda self, x: []),  # each place for itself
        ("WindowAttention", "3, 4", lambda self, x: [Window(7, 1, 3, 3)] * 2),  # a sliding window
        ("RelativePositionAttention", "3, 2, true", _blocks),  # windows for a grid
        ("RelativePositionAttention", "3, 2", lambda self, x: [Window(0)] * 2),
    ],
)
def test_a_wrong_window_is_named(
    name: str, arguments: str, wrong: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, shapes = harness.make(name, arguments), ((1, 6, 10, 12),)
    module = op.build(NN, *shapes)
    assert harness.window_differences(op, module, shapes) == []
    monkeypatch.setattr(REGISTRY[name], "windows", wrong)
    assert harness.window_differences(op, module, shapes) != []


def test_a_module_that_forgets_the_seam_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its mask, what the cyclic shift brought together attends to each other."""
    op, shapes = harness.make("WindowAttention", "3, 4, 1"), ((1, 6, 10, 12),)

    def nowhere(self: Any, x: torch.Tensor, rows: int, columns: int, *rest: Any) -> torch.Tensor:
        return x.new_zeros(rows * columns, 1, 16, 16)

    monkeypatch.setattr(modules_attention.WindowAttention, "_seams", nowhere)
    assert harness.window_differences(op, op.build(NN, *shapes), shapes) != []


def test_a_look_at_a_size_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule with an `if` on a size runs on ints alone."""

    def macs(self: Any, output: Any, x: Any) -> Any:
        padded = x[2] if x[2] % 4 == 0 else x[2] + 4 - x[2] % 4
        return padded * x[0] * x[3] * x[1] * (4 * x[1] + 2 * 16)

    op: Op = harness.make("WindowAttention", "3, 4")
    shapes = ((2, 12, 8, 8),)
    monkeypatch.setattr(REGISTRY["WindowAttention"], "macs", macs)
    assert harness.differences(op, op.build(NN, *shapes), shapes) == []  # right between ints
    assert harness.formula_differences(op, shapes) == ["macs"]


def test_a_condition_is_compared_on_formulas_too(monkeypatch: pytest.MonkeyPatch) -> None:
    op = harness.make("TakeToken", "1")
    assert harness.formula_differences(op, ((2, 5, 12),)) == []
    wrong = [Condition("at_least", 1, 2, "always wrong")]
    monkeypatch.setattr(REGISTRY["TakeToken"], "conditions", lambda self, x: wrong)
    assert harness.formula_differences(op, ((2, 5, 12),)) == ["conditions"]
