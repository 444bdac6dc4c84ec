"""The checker fails where it should: a wrong rule, planted in any facet of any layer, is named.

The functions are those that test_against_torch.py calls.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convcalc.errors import LayerError
from convcalc.integers import Formula, IntArray, Open
from convcalc.ops import REGISTRY, Op, Window
from convcalc.ops.base import Tensor as Weight
from convcalc.pytorch.namespace import NN
from tests.ops import harness
from tests.ops.case import Case


def first(name: str) -> Case:
    return next(case for case in harness.cases()[name] if case.kind == "good")


def largest(name: str) -> Case:
    """The good case with the most axes: the one in which most can go wrong."""
    good = [case for case in harness.cases()[name] if case.kind == "good"]
    return max(good, key=lambda case: len(case.shapes[0]))


def plant(monkeypatch: pytest.MonkeyPatch, op: Op, rule: str, change: Callable[[Any], Any]) -> None:
    """From now on the rule's result is changed."""
    right = getattr(type(op), rule)
    monkeypatch.setattr(type(op), rule, lambda self, *args: change(right(self, *args)))


def larger(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*shape[:-1], shape[-1] + 1)


ALL = sorted(REGISTRY)


def grown(tensor: Weight) -> Weight:
    return Weight(tensor.name, (*tensor.shape, 1), tensor.dtype)


def renamed(tensor: Weight) -> Weight:
    return Weight(f"{tensor.name}s", tensor.shape, tensor.dtype)


def retyped(tensor: Weight) -> Weight:
    return Weight(tensor.name, tensor.shape, "int32")


def each(change: Callable[[Weight], Weight]) -> Callable[[list[Weight]], list[Weight]]:
    return lambda tensors: list(map(change, tensors))


@pytest.mark.parametrize("name", ALL)
def test_a_wrong_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong output, cost or tensor is named, by its facet and no other."""
    case = first(name)
    op, module = harness.make(name, case.arguments), harness.torch_side(name, case)

    def named(rule: str, change: Callable[[Any], Any]) -> list[str]:
        with monkeypatch.context() as patch:
            plant(patch, op, rule, change)
            return harness.differences(op, module, case.shapes)

    assert "output" in named("output", larger)  # MACs come of the output
    assert named("macs", lambda macs: macs + 1) == ["macs"]
    for facet in ("weights", "buffers"):
        assert named(facet, lambda tensors: [*tensors, Weight("more", (1,))]) == [facet]
        if getattr(op, facet)(*case.shapes):
            assert named(facet, lambda tensors: tensors[:-1]) == [facet]
            for change in (grown, renamed, retyped):
                assert named(facet, each(change)) == [facet]


@pytest.mark.parametrize("facet", ["weights", "buffers"])
def test_tensors_out_of_order(facet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = first("BatchNorm2d")
    op, module = harness.make("BatchNorm2d", ""), harness.torch_side("BatchNorm2d", case)
    plant(monkeypatch, op, facet, lambda tensors: tensors[::-1])
    assert harness.differences(op, module, case.shapes) == [facet]


def read_too_much(window: Window) -> Window:
    """One row more; where rows are spread apart, as many places as hold one. GLOBAL reads one."""
    kernel = window.kernel and window.kernel + window.upsample * window.dilation
    return Window(
        kernel or 1,
        window.stride,
        window.before,
        window.after,
        window.dilation,
        window.upsample,
    )


def checked_by_windows(name: str) -> bool:
    case = largest(name)
    op = harness.make(name, case.arguments)
    same_places = len(op.output(*case.shapes)) == len(case.shapes[0])
    # Which rows MaxUnpool2d reads of those that it may is up to the data.
    return harness.reads_by_windows(op, case.shapes) and same_places and name != "MaxUnpool2d"


@pytest.mark.parametrize("name", [name for name in ALL if checked_by_windows(name)])
def test_windows_that_read_too_much(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = largest(name)
    op = harness.make(name, case.arguments)
    windows = op.windows(*case.shapes)
    tokens = harness.layout_of(op, case.shapes[0]) == "tokens"
    axes = 1 if tokens else len(case.shapes[0]) - 2
    wrong = list(map(read_too_much, windows)) or [Window(2)] * axes
    plant(monkeypatch, op, "windows", lambda _: wrong)
    module = op.build(NN, *case.shapes)
    assert harness.window_differences(op, module, case.shapes) != []


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "MaxPool2d"])
@pytest.mark.parametrize("change", ["before", "after", "stride", "dilation"])
def test_windows_that_do_not_make_the_output(name: str, change: str) -> None:
    case = first(name)
    op = harness.make(name, case.arguments)
    windows = list(map(copy, op.windows(*case.shapes)))
    assert harness.rows_left(op, windows, case.shapes) == []
    for window in windows:
        setattr(window, change, getattr(window, change) + 1)
    assert harness.rows_left(op, windows, case.shapes) != []


@pytest.mark.parametrize("name", ALL)
def test_a_rule_that_differs_by_the_kind_of_its_sizes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = first(name)
    op = harness.make(name, case.arguments)

    def named(rule: str, kind: type, compare: Callable[..., list[str]]) -> list[str]:
        right = getattr(type(op), rule)

        def by_kind(self: Op, *args: Any) -> Any:
            result = right(self, *args)
            if not any(isinstance(size, kind) for size in args[-1]):
                return result
            return larger(result) if rule == "output" else result + 1

        with monkeypatch.context() as patch:
            patch.setattr(type(op), rule, by_kind)
            return compare(op, case.shapes)

    for rule in ("output", "macs"):
        assert rule in named(rule, Formula, harness.formula_differences)
        assert rule in named(rule, IntArray, harness.array_differences)


def test_a_stride_lost_on_open_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    case = first("MaxPool2d")
    op = harness.make("MaxPool2d", case.arguments)
    right = type(op).output
    monkeypatch.setattr(
        type(op),
        "output",
        lambda self, *shapes: shapes[0] if isinstance(shapes[0][2], Open) else right(self, *shapes),
    )
    assert harness.open_differences(op, case.shapes) == ["axis 2", "axis 3"]


def refused_by_conditions(name: str) -> list[Case]:
    """The cases that arguments and ranks alone would let pass."""

    def by_condition(case: Case) -> bool:
        try:
            op = harness.make(name, case.arguments)
            op.check(*case.shapes)
        except LayerError:
            return False
        return any(c.holds() is not True for c in op.conditions(*case.shapes))

    return [c for c in harness.cases()[name] if c.kind != "good" and by_condition(c)]


@pytest.mark.parametrize("name", [name for name in ALL if refused_by_conditions(name)])
def test_a_condition_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = refused_by_conditions(name)
    assert all(harness.refusal(name, case) for case in wrong)
    monkeypatch.setattr(REGISTRY[name], "conditions", lambda self, *shapes: [])
    assert not any(harness.refusal(name, case) for case in wrong)


@pytest.mark.parametrize(
    ("name", "arguments", "wrong", "named"),
    [
        ("Conv2d", "8, 3, padding=1", "8, 3, padding=1, padding_mode=circular", "padding_mode"),
        ("AvgPool2d", "3, padding=1", "3, padding=1, count_include_pad=false", "count_include_pad"),
        ("Dropout", "0.2", "0.3", "p"),
        ("LeakyReLU", "", "0.2", "negative_slope"),
        ("BatchNorm2d", "", "eps=0.1", "eps"),
        ("LayerNorm2d", "", "eps=0.1", "values"),
        ("Concat", "dim=2", "dim=3", "dim"),
    ],
)
def test_an_argument_that_is_not_handed_on(
    name: str, arguments: str, wrong: str, named: str
) -> None:
    shapes: tuple[tuple[int, ...], ...] = ((2, 4, 6, 6), (2, 4, 6, 6))
    shapes = shapes if name == "Concat" else shapes[:1]
    expected = harness.torch_side(name, Case(arguments, shapes, "good"))
    if name == "Concat":
        expected = harness.make(name, arguments).build(NN, *shapes)
    assert named in harness.built_differences(harness.make(name, wrong), expected, shapes)


def test_a_module_that_computes_something_else() -> None:
    class Shifted(nn.ReLU):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.01

    op = harness.make("ReLU", "")
    assert harness.built_differences(op, Shifted(), ((2, 3),)) == ["values"]
    assert harness.built_differences(op, nn.ReLU(), ((2, 3),)) == []


def test_rows_are_found_by_changing_them() -> None:
    inputs = [torch.rand(1, 1, 5, dtype=torch.float64)]
    pool = nn.MaxPool1d(3, 2, padding=1)
    assert harness.reads(pool, inputs, 2, 2) == [{0, 1}, {1, 2, 3}, {3, 4}]
