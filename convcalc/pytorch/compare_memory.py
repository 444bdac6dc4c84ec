"""Memory, computed beside measured: what each layer allocates and keeps, peaks, gradients.

On the CPU, to the byte. What cannot be measured is left out, and told in notes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from convcalc.analysis.memory import LayerMemory, Memory
from convcalc.pytorch.capacity import training_shortage
from convcalc.pytorch.compare import Comparison
from convcalc.pytorch.errors import reason
from convcalc.pytorch.memory import Held, Step, measure_inference, measure_step

if TYPE_CHECKING:
    from convcalc.graph import Flow
    from convcalc.pytorch.module import Network


def compare_memory(
    flow: Flow, network: Network, inputs: Sequence[torch.Tensor], dtype: str
) -> tuple[list[Comparison], list[str]]:
    """Run the network twice, without gradients and with, and compare; and what was left out.

    Raises RuntimeError or MemoryError where the first run, which needs less, does not fit.
    """
    device = inputs[0].device
    if device.type != "cpu":
        why = "its rules there come from PyTorch's source and were not measured"
        return [], [f"memory is not compared on {device.type}: {why}"]
    memory = Memory(flow, dtype)
    left_out = uncertain(flow)
    if left_out:
        return [], left_out
    comparisons: list[Comparison] = []
    peak = measure_inference(network, inputs).peak
    whole = [Comparison("inference_peak_bytes", None, memory.inference().peak, peak)]
    short = None
    if memory.untrainable is None:
        short = training_shortage(flow, device, dtype, memory.training().peak)
    if short is not None:
        return whole, [f"memory in training is not compared: {short}"]
    step, refusal = _trained(network, inputs)
    if step is None:
        assert refusal is not None
        if memory.untrainable is not None:
            whole.append(Comparison("trains", None, False, False))
            return whole, [f"memory in training is not compared: {memory.untrainable}"]
        if "not implemented for" in refusal:  # of the dtype, by this build for this processor
            return whole, [f"memory in training is not compared: PyTorch says {refusal}"]
        return [*whole, Comparison("trains", None, "trains", refusal)], []
    whole.append(Comparison("trains", None, memory.untrainable is None, True))
    for node in flow.graph.layers:
        ours, theirs = memory.layers[node.index], step.layers[node.index]
        comparisons += _layer(node.path, ours, theirs)
        kept, held = _by_path(flow, ours.kept), _by_path(flow, theirs.kept)
        comparisons.append(Comparison("keeps", node.path, kept, held))
    if memory.untrainable is None:
        whole += _network(memory, step)
    return comparisons + whole, []


def uncertain(flow: Flow) -> list[str]:
    """A note for each kind of layer whose memory hangs on more than the graph, with the reason."""
    kinds = {node.kind: node.op.uncertain for node in flow.graph.layers if node.op is not None}
    return [f"memory is not compared: {kind} {why}" for kind, why in kinds.items() if why]


def _trained(network: Network, inputs: Sequence[torch.Tensor]) -> tuple[Step | None, str | None]:
    """A measured step, or what PyTorch raised instead."""
    try:
        return measure_step(network, inputs), None
    except (ValueError, RuntimeError, MemoryError) as error:
        return None, reason(error)


def _by_path(flow: Flow, kept: Mapping[int, Any]) -> dict[str, int]:
    """Bytes kept, by the path of the value; what is no layer's value comes last."""
    nodes = flow.graph.nodes
    named = {nodes[index].path: kept[index] for index in sorted(kept) if index >= 0}
    return {**named, "besides": kept[-1]} if -1 in kept else named


def _layer(path: str, ours: LayerMemory, theirs: Held) -> list[Comparison]:
    return [
        Comparison("output_bytes", path, ours.output, theirs.output),
        Comparison("allocated_bytes", path, ours.allocated, theirs.allocated),
        Comparison("saved_bytes", path, ours.saved, theirs.saved),
    ]


def _network(memory: Memory, step: Step) -> list[Comparison]:
    training = memory.training()
    graph = memory.flow.graph
    held = step.layers
    figures = [
        (
            "allocated_bytes",
            memory.allocated,
            sum(held[node.index].allocated for node in graph.layers if not node.aux),
        ),
        ("saved_bytes", memory.saved, sum(layer.saved for layer in held.values())),
        ("after_forward_bytes", training.after_forward, step.peaks.ends["forward"]),
        ("training_peak_bytes", training.peak, step.peaks.peak),
        ("gradient_bytes", training.gradients, step.gradients),
    ]
    return [Comparison(figure, None, ours, theirs) for figure, ours, theirs in figures]
