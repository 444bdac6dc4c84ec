"""Whether convcalc and PyTorch agree on a random network.

Layers that the design takes are compared twice: all figures of the module built from the graph, run
on the CPU (the product's own check), and each layer beside torch.nn's own, made from the arguments
as they were drawn. A layer that the design refuses must be refused by torch.nn too, when it is made
or when it runs in eval or training mode, unless it is refused on purpose (`on_purpose`).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from convcalc.errors import DesignError, LayerError
from convcalc.graph import flow
from convcalc.integers import evaluate, symbol
from convcalc.ops.base import Condition, Op
from convcalc.pytorch.compare import compare
from convcalc.pytorch.measure import measure
from convcalc.pytorch.module import to_module
from tests.ops.case import Case
from tests.ops.harness import make, reference
from tests.random_networks import Layer, RandomNetwork, Refused, Shape


def disagreements(network: RandomNetwork) -> list[str]:
    """What differs, in words; empty where both say the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of odd arguments, as it should
        found = _of_the_design(network) + _of_formulas(network)
        for at, layer in enumerate(network.layers, len(network.graph.inputs)):
            shapes = tuple(network.shapes[i] for i in layer.inputs)
            found += _of_a_layer(layer, shapes, network.shapes[at])
        if network.refused:
            found += _of_a_refusal(network.refused)
    return found


def _of_the_design(network: RandomNetwork) -> list[str]:
    """The design's own figures beside a run; or flow's refusal beside the one that was drawn."""
    graph = network.graph
    by_size = network.refused is not None and network.refused.stage == "sizes"
    try:
        sizes = flow(graph, batch=network.batch)
    except DesignError as error:
        wanted = [graph.nodes[-1].path] if by_size else []
        paths = [problem.path for problem in error.problems]
        return [] if paths == wanted else [f"flow refuses {paths}: {error}"]
    if by_size:
        return ["flow takes what one of its conditions forbids"]
    module = to_module(sizes, initialise=False)
    inputs = [torch.zeros(shape) for shape in network.shapes[: len(graph.inputs)]]
    comparisons = compare(sizes, measure(module, inputs), "float32")
    return [str(c) for c in comparisons if not c.ok]


def _of_formulas(network: RandomNetwork) -> list[str]:
    """The design with batch and sizes left open: its formulas, evaluated, beside its numbers."""
    graph = network.graph
    batch, channels, *sizes = network.shapes[0]
    names = ("D", "H", "W")[-len(sizes) :]
    point = {"N": batch, **dict(zip(names, sizes, strict=True))}
    open_sizes = (channels, *map(symbol, names))
    try:
        formulas = flow(graph, {"input": open_sizes}, batch=symbol("N"))
    except DesignError as error:
        if network.refused and network.refused.stage == "sizes":
            return []  # it holds for no size at all
        return [f"formulas refuse what numbers do not: {error}"]
    held = []
    for node, c in formulas.open_conditions:
        left, right = evaluate(c.left, point), evaluate(c.right, point)
        if node.kind == "Mul" and left != right and 1 in (left, right):
            return []  # a gate by chance, at this size alone: formulas do not speak of it
        held.append(Condition(c.kind, left, right, c.what).holds())
    if network.refused and network.refused.stage == "sizes":
        return [] if False in held else ["formulas leave open no condition that fails here"]
    if False in held:
        return ["formulas leave a condition open that fails here, and numbers do not"]
    numbers = flow(graph, batch=batch)
    found = []
    for node, ours, open_facts in zip(graph.nodes, numbers.facts, formulas.facts, strict=True):
        if ours is None or open_facts is None:
            continue
        for figure in ("output", "params", "macs"):
            wanted, formula = getattr(ours, figure), getattr(open_facts, figure)
            if figure == "output":
                got: Any = tuple(evaluate(size, point) for size in formula)
            else:
                got = evaluate(formula, point)
            if got != wanted:
                found.append(f"{node.path}: {figure}: numbers give {wanted}, formulas {got}")
    return found


def _of_a_layer(layer: Layer, shapes: tuple[Shape, ...], output: Shape) -> list[str]:
    """A layer that is taken, beside torch.nn's own."""
    try:
        module = reference(layer.name, Case(layer.text, shapes, "good"))
        if module is None:
            return []
        result = _run(module.eval(), shapes)
    except Exception as error:  # whatever torch raises: it refuses
        return [f"{layer}: convcalc takes it, PyTorch does not: {type(error).__name__}: {error}"]
    found = []
    if tuple(result.shape) != output:
        found.append(f"{layer}: convcalc says {output}, PyTorch {tuple(result.shape)}")
    ours = [(t.name, t.shape) for t in make(layer.name, layer.text).weights(*shapes)]
    theirs = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    if ours != theirs:
        found.append(f"{layer}: convcalc has the parameters {ours}, PyTorch {theirs}")
    return found


def _of_a_refusal(refused: Refused) -> list[str]:
    """A layer that is refused, beside torch.nn's own."""
    if not taken_by_torch(refused) or on_purpose(refused):
        return []
    return [f"{refused.layer} at {refused.shapes}: PyTorch takes it: {refused.message}"]


def taken_by_torch(refused: Refused) -> bool:
    """Whether torch.nn's own layer takes what convcalc refuses, in eval and in training mode."""
    try:
        module = _reference(refused)
        if module is None:
            return False
        _run(module.eval(), refused.shapes)
        _run(module.train(), refused.shapes)
    except Exception:  # whatever torch raises: it refuses
        return False
    return True


def _reference(refused: Refused) -> nn.Module | None:
    return reference(refused.layer.name, Case(refused.layer.text, refused.shapes, "bad"))


def _run(module: nn.Module, shapes: tuple[Shape, ...]) -> Any:
    with torch.no_grad():
        return module(*[torch.zeros(shape) for shape in shapes])


def on_purpose(refused: Refused) -> str | None:
    """Why convcalc refuses what PyTorch may take; None where it should not."""
    layer, op, shapes, layouts = refused.layer, refused.op, refused.shapes, refused.layouts
    rank = len(shapes[0])
    if op is None:
        if "padding=tf_same" in layer.text:
            return "TensorFlow's padding is none of PyTorch's"
        if "scale_factor" in layer.text and "floating point" in refused.message:
            return "a factor for which floating point can miss a whole number"
        return None
    features = op.layout == "features"
    if op.layout != "any" and any(
        layout != ("tokens" if features else op.layout) and not (features and rank == 2)
        for layout in layouts
    ):
        return "PyTorch knows no layouts"
    if op.spatial is not None and rank != op.spatial + 2:
        return "PyTorch takes an axis less for a sample without its batch"
    if layer.name in ("Add", "Mul") and len(set(shapes)) > 1:
        return "nothing broadcasts"
    axes = [getattr(op, name) for name in ("dim", "start_dim", "end_dim") if hasattr(op, name)]
    if any(axis + rank == 0 for axis in axes):
        return "no layer works across samples"
    if layouts[0] == "tokens" and "axis 1 of tokens" in refused.message:
        return "softmax and halving work on features, not across tokens"
    if "Pad" in layer.name and "what the crop leaves" in refused.message:
        return "nothing is left to be padded"
    if _empties(op, shapes):
        return "PyTorch takes empty values"
    if "MaxPool" in layer.name and "padding left out" in refused.message and _infinite(refused):
        return "windows that meet the padding alone"
    return STRICTER.get(layer.name)


def _empties(op: Op, shapes: tuple[Shape, ...]) -> bool:
    """Whether an axis of the output has size 0."""
    try:
        op.check(*shapes)
    except LayerError:
        return False
    return 0 in op.output(*shapes)


def _infinite(refused: Refused) -> bool:
    """Whether torch.nn's own layer makes infinite values of zeros."""
    module = _reference(refused)
    return module is not None and bool(torch.isinf(_run(module, refused.shapes)).any())


#: Layers that take less than they might, as their docstrings say.
STRICTER = {
    "CenterCrop": "on one to three spatial axes",
    "ConnectionTableConv2d": "the table names all maps",
    "LayerScale": "a factor for each channel, not for each token",
    "PositionBias": "on maps alone",
    "RBF": "on features alone",
    "Tokens": "on one to three spatial axes",
}
