"""Whether a network fits into the memory there is, told before it is tried.

On the CPU an allocation that is too large often succeeds, and the process is killed when it writes.
So what a run needs is estimated first, generously: weights, the values that live at once, and what
kernels are known to need beside them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from convcalc.pytorch.devices import DTYPES
from convcalc.pytorch.module import as_number, last_uses, numbers

if TYPE_CHECKING:
    from convcalc.graph import Facts, Flow, Node
    from convcalc.ops.base import Shape, Tensor

GIB = 2**30
#: A tensor's bytes must be an int64 in PyTorch.
MAX_BYTES = 2**63 - 1


def shortage(flow: Flow, device: torch.device, dtype: str) -> str | None:
    """Why the network cannot run on the device, in one sentence, or None."""
    need, largest = needed_bytes(flow, device, dtype)
    if largest > MAX_BYTES:
        return f"not run: one tensor has {_gib(largest)}, more than PyTorch can address"
    return _lack(need, device)


def training_shortage(flow: Flow, device: torch.device, dtype: str, peak: int) -> str | None:
    """Why the network cannot train on the device, or None; peak: of training, above weights."""
    # What lives in forward counts in both: generous again.
    return _lack(needed_bytes(flow, device, dtype)[0] + peak, device)


def _lack(need: int, device: torch.device) -> str | None:
    have = available_bytes(device)
    if have is not None and need > have:
        return f"not run: needs about {_gib(need)}, {_gib(have)} are available"
    return None


def _gib(size: int) -> str:
    # Whole numbers first: a size can be too large for a float.
    tenths = size * 10 // GIB
    return f"{tenths // 10:,}.{tenths % 10} GiB"


def needed_bytes(flow: Flow, device: torch.device, dtype: str) -> tuple[int, int]:
    """About how many bytes one forward pass needs, weights included; and the largest tensor's."""
    graph = flow.graph
    width = DTYPES[dtype].itemsize
    sizes = [
        _elements(shape, node.path) * width
        for shape, node in zip(flow.shapes, graph.nodes, strict=True)
    ]
    drops = last_uses(graph.layers, [*graph.outputs.values(), *graph.aux.values()])
    live = peak = sum(sizes[: len(graph.inputs)])
    largest = max(sizes)
    weights = 0
    for node in graph.layers:
        facts = flow.facts[node.index]
        assert facts is not None
        own = [_bytes(t, width, node.path) for t in (*facts.weights, *facts.buffers)]
        weights += sum(own)
        largest = max([largest, *own])
        live += sizes[node.index]
        # oneDNN lays input, output and weights out anew; max pooling makes int64 indices.
        scratch = sum(sizes[i] for i in node.inputs) + 2 * sizes[node.index] + sum(own)
        scratch += _scores(node, facts, flow.shapes[node.inputs[0]]) * width
        if device.type == "cpu" and dtype != "float32":
            scratch += _columns(facts, flow.shapes[node.inputs[0]], node.path) * width
        peak = max(peak, live + scratch)
        live -= sum(sizes[i] for i in drops.get(node.index, ()))
    return weights + peak, largest


def _columns(facts: Facts, shape: Shape, path: str) -> int:
    """Elements of the input unfolded to one column a place, as a convolution without oneDNN does.

    Source: aten/src/ATen/native/ConvolutionMM2d.cpp, where the whole batch is unfolded at once;
    NaiveConvolutionTranspose2d.cpp for transposed ones, whose columns are of the output.
    """
    if not facts.weights or len(facts.weights[0].shape) < 3:
        return 0
    _, channels, *_ = numbers(shape, path)
    _, out, *_ = numbers(facts.output, path)
    kernel = numbers(facts.weights[0].shape, path)
    places = as_number(facts.macs, path) // math.prod(kernel)
    unfolded = channels if kernel[0] == out else out
    return places * unfolded * math.prod(kernel[2:])


def _scores(node: Node, facts: Facts, shape: Shape) -> int:
    """Elements of an attention's scores, their softmax and its copies of what flows in.

    A row of scores for each head and place, as long as its window (or all tokens) has places; the
    number of places that attend follows from the MACs, places · width · (4 · width + 2 · window).
    """
    op = node.op
    arguments = op.given() if op is not None else {}
    tokens = node.layout == "tokens"
    width = as_number(shape[2] if tokens else shape[1], node.path)
    if "num_heads" in arguments:
        heads = int(arguments["num_heads"])
    elif "head_dim" in arguments:
        heads = width // int(arguments["head_dim"])
    else:
        return 0
    window = as_number(shape[1], node.path) if tokens else math.prod(arguments["window_size"])
    places = as_number(facts.macs, node.path) // (width * (4 * width + 2 * window))
    return places * (3 * heads * window + 4 * width)


def _elements(shape: Shape, path: str) -> int:
    return math.prod(numbers(shape, path))


def _bytes(tensor: Tensor, width: int, path: str) -> int:
    return _elements(tensor.shape, path) * (8 if tensor.dtype == "int64" else width)


def available_bytes(device: torch.device) -> int | None:
    """Memory that can still be had on the device; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch has reserved and does not use, it hands out again.
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + reserved)
    limits = [limit for limit in (_system_bytes(), *_cgroup_bytes()) if limit is not None]
    return min(limits, default=None)


def _system_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Linux' own estimate of what can be had without swapping (proc_meminfo(5), MemAvailable)."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _cgroup_bytes(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """What each control group around this process still allows (a container's limit is one).

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/memory.rst.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        number, controllers, name = line.split(":", 2)
        if number == "0":
            base, limit, usage = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / name.lstrip("/")
        # In a container the name is the host's, and the limit stands at the root.
        for folder in (group, *group.parents):
            room = _room(folder, limit, usage)
            if room is not None:
                rooms.append(room)
            if folder == base:
                break
    return rooms


def _room(folder: Path, limit: str, usage: str) -> int | None:
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        stats = (folder / "memory.stat").read_text().split()
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return None
    # Files that were read and can be read again count as used, and go when memory is short.
    statistics = dict(zip(stats[::2], stats[1::2], strict=False))
    return max(0, most - used + int(statistics.get("inactive_file", 0)))
