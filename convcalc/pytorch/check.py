"""One network's check: build it, run it, compare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from convcalc.graph import flow as send
from convcalc.pytorch.capacity import shortage
from convcalc.pytorch.compare import Comparison, Report, compare
from convcalc.pytorch.compare_memory import compare_memory
from convcalc.pytorch.devices import resolve_device, resolve_dtype
from convcalc.pytorch.equivariance import compare_equivariance
from convcalc.pytorch.errors import BuildError, reason
from convcalc.pytorch.measure import measure
from convcalc.pytorch.module import as_number, numbers, to_module
from convcalc.pytorch.receptive import compare_fields

if TYPE_CHECKING:
    from convcalc.graph import Flow, Graph


def check_graph(
    graph: Graph,
    *,
    flow: Flow | None = None,
    device: str = "auto",
    batch: int = 1,
    dtype: str = "float32",
    deep: bool = False,
) -> Report:
    """See `convcalc.pytorch.check_graph`."""
    start = time.perf_counter()
    target = resolve_device(device)
    resolve_dtype(dtype)
    if flow is None:
        flow = send(graph, batch=batch)
    skipped = shortage(flow, target, dtype)
    notes: list[str] = []
    if skipped is None:
        comparisons = _compared(flow, target, dtype, notes)
        if deep and not any(c.figure in ("build", "run") for c in comparisons):
            comparisons += _deep(flow, target, notes)
    else:
        comparisons = [Comparison("run", None, "runs", skipped)]
    return Report(
        graph.name,
        comparisons,
        device=_device_name(target),
        torch=torch.__version__,
        batch=as_number(flow.batch, "batch"),
        dtype=dtype,
        seconds=time.perf_counter() - start,
        skipped=skipped,
        notes=notes,
    )


def _compared(flow: Flow, device: torch.device, dtype: str, notes: list[str]) -> list[Comparison]:
    """Run and compare everything; what is left out is added to the notes."""
    try:
        network = to_module(flow, device=str(device), dtype=dtype, initialise=False)
        inputs = [
            torch.zeros(numbers(shape, name), dtype=resolve_dtype(dtype), device=device)
            for name, shape in flow.inputs.items()
        ]
        measured = measure(network, inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # a kernel's failure shows only here
        comparisons = compare(flow, measured, dtype)
        if all(comparison.ok for comparison in comparisons):  # else it may not even run
            compared, left_out = compare_memory(flow, network, inputs, dtype)
            comparisons += compared
            notes += left_out
        else:
            notes.append("memory is not compared where other figures disagree")
    except BuildError as error:
        return [Comparison("build", error.path, "builds", error.reason)]
    except (RuntimeError, MemoryError) as error:  # what does not fit after all, a lost device
        return [Comparison("run", None, "runs", reason(error))]
    return comparisons + compare_fields(flow, notes)


def _deep(flow: Flow, device: torch.device, notes: list[str]) -> list[Comparison]:
    try:
        return compare_equivariance(flow, notes, device=str(device))
    except BuildError as error:
        return [Comparison("equivariance", error.path, "builds", error.reason)]
    except (RuntimeError, MemoryError) as error:
        return [Comparison("equivariance", None, "runs", reason(error))]


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
