"""Where outputs and gradients lie in memory, beside PyTorch's own strides.

Whether a reshape copies, and whether two gradients are summed in place, hangs on strides. Each case
of the tables is run on inputs that lie in several orders, with an incoming gradient that does.

    CONVCALC_THOROUGH=1 python -m pytest tests/ops/test_layouts.py

tries every pair of orders, not a few.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from convcalc.ops import REGISTRY, Op
from convcalc.ops import strides as lay
from convcalc.ops.memory import LYING, NEW, SAME, VIEW, Kernel, Stored, Tape, Trace
from convcalc.pytorch.namespace import NN
from tests.ops import harness
from tests.ops.case import Case

Order = tuple[int, ...]
Pair = tuple[str, str]

#: Of the inputs, of the incoming gradient: contiguous, channels last, height and width swapped, a
#: single number stretched.
PAIRS: list[Pair] = [("rows", "last"), ("last", "rows"), ("last", "one")]
if os.environ.get("CONVCALC_THOROUGH"):
    PAIRS = [(x, g) for x in ("rows", "last", "swap") for g in ("rows", "last", "swap", "one")]


def strides(shape: tuple[int, ...], order: str) -> Order:
    """Dense strides in one of these orders."""
    rank = len(shape)
    if order == "one":
        return (0,) * rank
    axes = [*range(rank - 1, -1, -1)]  # from the innermost out
    if order == "last":
        axes = [1, *range(rank - 1, 1, -1), 0]
    elif order == "swap":
        axes[:2] = axes[1::-1]
    steps = [0] * rank
    step = 1
    for axis in axes:
        steps[axis] = step
        step *= shape[axis]
    return tuple(steps)


def told(shape: tuple[int, ...], steps: Any) -> Any:
    """Strides as the rules have them: None where contiguous."""
    return lay.simplest(shape, steps)


def computed(op: Op, case: Case, pair: Pair) -> list[Any]:
    """Strides of the output, then of the gradient of each input."""
    shapes, out = case.shapes, tuple(op.output(*case.shapes))
    tape = Tape(
        out,
        shapes,
        [(told(shape, strides(shape, pair[0])), True) for shape in shapes],
        op.weights(*shapes),
        trains=True,
        training=True,
        cuda=False,
        width=4,
        exact=True,
        roots=[None] * len(shapes),
    )
    trace = tape.finish(op.memory(tape, *tape.inputs))
    return [trace.flowing[0], *gradients(trace, shapes, told(out, strides(out, pair[1])))]


def gradients(trace: Trace, shapes: Sequence[tuple[int, ...]], incoming: Any) -> list[Any]:
    """Backward, of which only the strides are followed; "none" for what gets no gradient."""
    arrived: dict[int, Any] = {trace.node: incoming}
    for number in range(len(trace.nodes) - 1, -1, -1):
        kernel = trace.nodes[number]
        if kernel is None:
            continue
        at = len(shapes) + number
        given = [arrived[i] for i in range(at, at + kernel.ports + 1) if i in arrived]
        if given:
            _pass_on(kernel, given[0], arrived, shapes)
    return [arrived.get(number, "none") for number in range(len(shapes))]


def _pass_on(
    kernel: Kernel, incoming: Any, arrived: dict[int, Any], shapes: Sequence[tuple[int, ...]]
) -> None:
    for kind, target, _, how in kernel.plan:
        made = None
        if kind == NEW:
            made = how
        elif kind == SAME:
            made = incoming
        elif kind == VIEW:
            views, found = how.of(incoming)
            made = found if views else None
        elif kind == LYING:
            made = how.usual if incoming is None else how.strides_of(incoming)
        if target in arrived and 0 <= target < len(shapes):  # a sum, in which the first leads
            both = [(shapes[target], arrived[target]), (shapes[target], made)]
            made = lay.pointwise(shapes[target], both)
        arrived[target] = made


def measured(op: Op, case: Case, pair: Pair) -> list[Any]:
    shapes, out = case.shapes, tuple(op.output(*case.shapes))
    leaves = [torch.empty_strided(s, strides(s, pair[0])).uniform_(0.1, 0.9) for s in shapes]
    inputs = [leaf.requires_grad_() for leaf in leaves]
    module = op.build(NN, *shapes).train()
    value = module(*[leaf.clone() for leaf in inputs])
    incoming = torch.empty_strided(out, strides(out, pair[1]))
    found = torch.autograd.grad(value, inputs, incoming, allow_unused=True)
    return [
        told(out, value.stride()),
        *["none" if g is None else told(tuple(g.shape), g.stride()) for g in found],
    ]


def compared(name: str, case: Case) -> list[Any]:
    """What differs: pair of orders, ours, PyTorch's."""
    op = harness.make(name, case.arguments)
    found = []
    for pair in PAIRS:
        try:
            theirs = measured(op, case, pair)
        except RuntimeError as error:
            # LocalResponseNorm takes a view of volumes that do not lie so.
            if "view size" not in str(error):
                raise
            continue
        ours = computed(op, case, pair)
        if ours != theirs:
            found.append((pair, ours, theirs))
    return found


def _takes_part(name: str, case: Case) -> bool:
    op = harness.make(name, case.arguments)
    shapes = [*case.shapes, op.output(*case.shapes)]
    maps = all(len(shape) >= 3 for shape in shapes)
    # Of an axis of length 1 the stride is nobody's business; PyTorch guesses by it all the same.
    return maps and not op.uncertain and not op.no_backward and all(1 not in s[1:] for s in shapes)


CASES = [p for p in harness.each("good") if _takes_part(*p.values)]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_values_and_gradients_lie_as_pytorchs(name: str, case: Case) -> None:
    assert compared(name, case) == []


def _as_it_flows(self: Op, tape: Tape, x: Stored) -> Stored:
    """The gradient lies as x, whatever comes in."""
    return tape.pointwise(x, saves=[x], leads=True)


def _by_rows(self: Op, tape: Tape, *inputs: Stored) -> Stored:
    return tape.kernel(tape.output, *inputs, *tape.weights, saves=inputs, contiguous=True)


@pytest.mark.parametrize(
    ("name", "wrong"), [("GELU", _as_it_flows), ("Conv2d", _by_rows), ("MaxPool2d", _by_rows)]
)
def test_a_wrong_order_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Stored]
) -> None:
    rows = [p.values for p in CASES if p.values[0] == name]
    case: Any = rows[0][1]
    assert compared(name, case) == []
    monkeypatch.setattr(REGISTRY[name], "memory", wrong)
    assert compared(name, case) != []
