"""Every layer's memory facet beside PyTorch: what it allocates, what it keeps, what backward makes.

Each case of the tables becomes a small network, run thrice: all trains, only what comes before
trains (the layer is frozen), and nothing before it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convcalc.analysis.memory import Memory
from convcalc.graph import Flow, GraphBuilder, flow
from convcalc.ops import REGISTRY, Op
from convcalc.ops.memory import OUTPUT, Stored, Tape
from tests.ops import harness
from tests.ops.case import Case
from tests.pytorch.memory import computed, differing, measured

#: What trains: the layer, and what comes before it.
SCENES = {"all": (True, True), "before": (False, True), "itself": (True, False)}


def network(name: str, case: Case, *, itself: bool, before: bool) -> Flow:
    """The layer on inputs of the case; where `before` trains, behind a layer that keeps shapes."""
    op = harness.make(name, case.arguments)
    builder = GraphBuilder(name)
    takes_tokens = op.layout in ("tokens", "features") or name == "TokensToImage"
    tokens = [takes_tokens and len(shape) == 3 for shape in case.shapes]
    values = []
    for shape, swap in zip(case.shapes, tokens, strict=True):
        own = (shape[2], shape[1]) if swap else shape[1:]
        values.append(builder.input(f"input{len(values)}", own))
    for at, swap in enumerate(tokens):
        if swap:
            values[at] = builder.add(REGISTRY["Tokens"](), values[at])
    if before:
        values = [builder.add(REGISTRY["PReLU"](), value) for value in values]
    out = builder.add(op, *values)
    out.node.frozen = not itself
    return flow(builder.finish({"output": out}), batch=case.shapes[0][0])


def differences(name: str, case: Case, scene: str) -> dict[str, Any]:
    itself, before = SCENES[scene]
    sizes = network(name, case, itself=itself, before=before)
    if Memory(sizes).untrainable is not None:
        with pytest.raises((RuntimeError, ValueError)):
            measured(sizes)
        return {}
    return differing(computed(sizes), measured(sizes))


@pytest.mark.parametrize(("name", "case"), harness.each("good"))
def test_every_byte_is_pytorchs(name: str, case: Case) -> None:
    if REGISTRY[name].uncertain:
        pytest.skip(REGISTRY[name].uncertain)
    assert {scene: differences(name, case, scene) for scene in SCENES} == {
        scene: {} for scene in SCENES
    }


def _copies(self: Op, tape: Tape, x: Stored) -> Stored:
    """An output, and a copy of it that backward keeps."""
    return tape.pointwise(x, saves=[tape.new(x.shape, "copy"), OUTPUT])


def _forgets(self: Op, tape: Tape, x: Stored) -> Stored:
    return tape.kernel(tape.output, x, *tape.weights)


def _allocates(self: Op, tape: Tape, x: Stored) -> Stored:
    """A temporary that PyTorch does without."""
    between = tape.pointwise(x)
    out = tape.kernel(tape.output, between, *tape.weights, saves=[x])
    tape.drop(between)
    return out


def _in_place(self: Op, tape: Tape, x: Stored) -> Stored:
    return tape.pointwise(x, saves=[OUTPUT], inplace=True)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ReLU", _copies),
        ("Sigmoid", _in_place),
        ("Conv2d", _forgets),
        ("Linear", _allocates),
        ("AvgPool2d", _forgets),
    ],
)
def test_a_wrong_facet_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Stored]
) -> None:
    case = next(case for case in harness.cases()[name] if case.kind == "good")
    assert differences(name, case, "all") == {}
    monkeypatch.setattr(REGISTRY[name], "memory", wrong)
    assert differences(name, case, "all") != {}
