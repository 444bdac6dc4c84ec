"""Memory of a design, computed and measured, as two dicts that must be equal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from convcalc.analysis.memory import LayerMemory, Memory
from convcalc.graph import Flow
from convcalc.pytorch import to_module
from convcalc.pytorch.memory import Held, measure_inference, measure_step, measure_training

#: Optimizer and whether it steps through lists of tensors.
Steps = tuple[str, bool]


def computed(
    flow: Flow,
    dtype: str = "float32",
    *,
    frozen: Collection[int] = (),
    steps: Steps | None = None,
) -> dict[str, Any]:
    """By figure; of layers by path."""
    memory = Memory(flow, dtype, frozen=frozen)
    training = memory.training()
    figures: dict[str, Any] = {
        "inference": memory.inference().peak,
        "inference by itself": Memory(flow, dtype).inference().peak,
        "training": training.peak,
        "after forward": training.after_forward,
        "gradients": training.gradients,
    }
    figures |= _layers(flow, memory.layers)
    if steps is not None:
        course = memory.training(steps[0], foreach=steps[1])
        figures["with an optimizer"] = (course.peak, course.state)
    return figures


def measured(
    flow: Flow,
    dtype: str = "float32",
    *,
    frozen: Collection[int] = (),
    steps: Steps | None = None,
) -> dict[str, Any]:
    """The same by running it. Raises what PyTorch raises."""
    network = to_module(flow, dtype=dtype, initialise=False)
    for step in network.steps(aux=True):
        if step.index in frozen:
            step.module.requires_grad_(False)
    inputs = [torch.zeros(shape, dtype=getattr(torch, dtype)) for shape in flow.inputs.values()]
    run = measure_step(network, inputs)
    inference = measure_inference(network, inputs).peak
    figures: dict[str, Any] = {
        "inference": inference,
        "inference by itself": inference,
        "training": run.peaks.peak,
        "after forward": run.peaks.ends["forward"],
        "gradients": run.gradients,
    }
    figures |= _layers(flow, run.layers)
    if steps is not None:
        training = measure_training(network, inputs, steps[0], foreach=steps[1])
        figures["with an optimizer"] = (training.peaks.peak, training.optimizer)
    return figures


def _layers(flow: Flow, layers: Mapping[int, LayerMemory] | Mapping[int, Held]) -> dict[str, Any]:
    paths = [node.path for node in flow.graph.nodes]
    return {
        paths[index]: (held.output, held.allocated, held.saved, dict(sorted(held.kept.items())))
        for index, held in layers.items()
    }


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The figures that differ: computed and measured."""
    return {
        name: (ours.get(name), theirs.get(name))
        for name in {**ours, **theirs}
        if ours.get(name) != theirs.get(name)
    }
