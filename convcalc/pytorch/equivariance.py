"""Translation equivariance measured: a network runs on an image, and on the same one shifted.

Both are cut from one larger image, so that what leaves at one edge and comes in at the other is
new. In float64, with random weights of such a size that values neither grow nor vanish, a layer's
places that no padding has a part in must be those of the other run, moved; to 10 digits of the
largest, as sums may be taken in another order. Layers behind the last that follows shifts are left
out: the network is run up to there.

The image is longer along the axis that is looked at, until there are inner places to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convcalc.analysis.equivariance import Equivariance, Kept, equivariance
from convcalc.errors import ConvcalcError
from convcalc.graph import Graph, GraphBuilder, Value
from convcalc.graph import flow as send
from convcalc.pytorch.capacity import shortage
from convcalc.pytorch.compare import Comparison
from convcalc.pytorch.module import Network, numbers, to_module
from convcalc.pytorch.receptive import along

if TYPE_CHECKING:
    from convcalc.graph import Flow

    Shapes = dict[str, tuple[int, ...]]

#: Two values are the same to so many parts of the largest.
SAME = 1e-10
#: A layer whose values vary less than this tells nothing.
VARIED = 1e-6
#: The axis at hand grows by these factors.
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16)
#: Longer inputs are not tried.
MAX_LENGTH = 4096
#: Along the other axes an input is as small as the network takes it.
SMALL = (32, 64, 96, 128, 224, 256)


def compare_equivariance(
    flow: Flow, notes: list[str] | None = None, *, device: str = "cpu"
) -> list[Comparison]:
    """How every layer follows shifts, as computed beside what it does.

    Figure "equivariance" of a layer: for each axis with what shift of the input it moves by how
    many places, and from which to which. What could not be measured is told to `notes`.
    """
    told = [] if notes is None else notes
    graph = flow.graph
    if len(graph.inputs) != 1:
        told.append("equivariance is measured of networks with one input")
        return []
    whole = equivariance(flow)
    cut, indices = _up_to_features(graph, whole)
    if cut is None:
        return []
    (name, entries), *_ = graph.inputs.items()
    axes = len(entries) - 1
    comparisons: list[Comparison] = []
    done: dict[int, list[tuple[Any, Any]]] = {}
    known: dict[tuple[Any, ...], dict[int, tuple[Any, Any]]] = {}
    for axis in range(axes):
        key = along(flow, axis)  # axes that look alike are measured once
        if key not in known:
            known[key] = _axis(cut, name, flow.inputs[name][1:], axis, told, device)
        for index, pair in known[key].items():
            done.setdefault(index, []).append(pair)
    for index, pairs in sorted(done.items()):
        path = graph.nodes[indices[index]].path
        computed, measured = ([pair[i] for pair in pairs] for i in (0, 1))
        comparisons.append(Comparison("equivariance", path, computed, measured))
    missing = {n.index for n in cut.layers} - done.keys()
    if missing:
        told.append(
            f"whether {len(missing):,} of {len(cut.layers):,} layers follow shifts was not "
            "measured: no input that was tried has places there without padding"
        )
    return comparisons


def _up_to_features(graph: Graph, whole: Equivariance) -> tuple[Graph | None, dict[int, int]]:
    """The network up to the last layers that follow shifts, and the nodes that its own stand for.

    Their paths are other ones; None where no layer follows shifts.
    """
    needed = {node.index for node in whole.features}
    for node in reversed(graph.nodes):
        if node.index in needed:
            needed.update(node.inputs)
    builder = GraphBuilder(graph.name)
    values: dict[int, Value] = {}
    indices: dict[int, int] = {}
    for node in graph.nodes:
        if node.op is None:
            values[node.index] = builder.input(node.path, graph.inputs[node.path])
        elif node.index in needed:
            values[node.index] = builder.add(node.op, *(values[i] for i in node.inputs))
        else:
            continue
        indices[values[node.index].node.index] = node.index
    if not whole.features:
        return None, indices
    outputs = {f"out{i}": values[node.index] for i, node in enumerate(whole.features)}
    return builder.finish(outputs), indices


def _axis(
    graph: Graph, name: str, own: Sequence[Any], axis: int, notes: list[str], device: str
) -> dict[int, tuple[Any, Any]]:
    """For each layer what is computed and measured along one axis."""
    found: dict[int, tuple[Any, Any]] = {}
    sizes = _sizes(graph, name, own, axis)
    if sizes is None:
        return found
    length = sizes[1 + axis]
    lengths = [length * f for f in FACTORS if f == 1 or length * f <= MAX_LENGTH]
    for number, longer in enumerate(lengths, 1):
        flow = _flow(graph, name, (*sizes[: 1 + axis], longer, *sizes[2 + axis :]))
        if flow is None:
            continue
        wanted = _wanted(equivariance(flow), graph, axis)
        # One run, where all can be compared, or at the last as many as can.
        if len(wanted) < len(graph.layers) and number < len(lengths):
            continue
        short = shortage(flow, torch.device(device), "float64")
        if short is not None:
            notes.append(f"equivariance was not measured: {short}")
        elif wanted:
            found = _measured(flow, name, axis, wanted, device)
        break
    return found


def _sizes(graph: Graph, name: str, own: Sequence[Any], axis: int) -> tuple[int, ...] | None:
    """The design's own input, its other axes as small as it takes them."""
    for small in SMALL:
        sizes = tuple(
            size if i in (0, axis + 1) else min(small, size) for i, size in enumerate(own)
        )
        if _flow(graph, name, sizes) is not None:
            return sizes
    return tuple(own) if _flow(graph, name, tuple(own)) is not None else None


def _flow(graph: Graph, name: str, sizes: Sequence[int]) -> Flow | None:
    try:
        return send(graph, {name: tuple(sizes)})
    except ConvcalcError:
        return None


class Shift:
    """What a layer is asked: a shift of the input by `rows` moves it by `moves`, from place `low`
    to `high`, where padding has no part."""

    __slots__ = ("high", "low", "moves", "rows")

    def __init__(self, kept: Kept, times: int) -> None:
        assert kept.inner is not None
        self.low, self.high = kept.inner
        self.rows = kept.shift * times
        self.moves = kept.moves * times


def _wanted(known: Equivariance, graph: Graph, axis: int) -> dict[int, Shift]:
    """For each layer with enough inner places the shift that it is asked about.

    Many layers are asked about the same one, a multiple of their own, so that few runs do: the own
    is kept where it is a single row, and where it moves a layer by several places.
    """
    found: dict[int, Kept] = {}
    for node in graph.layers:
        axes = known.of(node.index)
        kept = axes[axis] if len(axes) > axis else None
        if isinstance(kept, Kept) and kept.inner is not None:
            found[node.index] = kept
    common = lcm(*(kept.shift for kept in found.values()))
    wanted = {}
    for index, kept in found.items():
        own = kept.shift == 1 or kept.moves > 1 or common > MAX_LENGTH
        shift = Shift(kept, 1 if own else common // kept.shift)
        if shift.high - shift.low < shift.moves:
            shift = Shift(kept, 1)
        if shift.high - shift.low >= shift.moves:
            wanted[index] = shift
    return wanted


def _measured(
    flow: Flow, name: str, axis: int, wanted: dict[int, Shift], device: str
) -> dict[int, tuple[Any, Any]]:
    """The same image twice, for every shift that a layer asks for."""
    network = to_module(flow, device=device, dtype="float64")
    network.eval()
    generator = torch.Generator().manual_seed(0)
    _spread(network, generator)
    shifts = sorted({asked.rows for asked in wanted.values()})
    shape = list(numbers(flow.inputs[name], name))
    room = shape[:]
    room[2 + axis] += max(shifts)
    image = torch.randn(room, generator=generator, dtype=torch.float64).to(device)
    length = shape[2 + axis]
    still = _run(network, image.narrow(2 + axis, 0, length), wanted)
    found: dict[int, tuple[Any, Any]] = {}
    for shift in shifts:
        # What stood at row r + shift stands at row r: outputs move towards the start.
        moved = _run(network, image.narrow(2 + axis, shift, length), wanted)
        for index, asked in wanted.items():
            if asked.rows == shift:
                pair = _compared(still[index], moved[index], asked, axis)
                if pair is not None:
                    found[index] = pair
    return found


def _compared(still: Tensor, moved: Tensor, asked: Shift, axis: int) -> tuple[Any, Any] | None:
    """What is computed of a layer, and what its two outputs say; None where they say nothing."""
    largest = float(still.abs().max())
    if not largest > 0 or float(still.std()) < VARIED * largest:
        return None
    low, moves = asked.low, asked.moves
    count = asked.high - low + 1 - moves
    places = still.shape[2 + axis]
    if asked.high >= places:
        return f"places up to {asked.high}", f"{places} places"
    before = still.narrow(2 + axis, low + moves, count)
    after = moved.narrow(2 + axis, low, count)
    computed = f"{asked.rows} rows move it by {moves}, places {low} to {asked.high}"
    wrong = ((before - after).abs() > SAME * largest).movedim(2 + axis, 0).flatten(1).any(1)
    if not bool(wrong.any()):
        return computed, computed
    place = low + int(wrong.nonzero()[0])
    return computed, f"{asked.rows} rows do not move place {place + moves} to {place}"


def _run(network: Network, image: Tensor, wanted: dict[int, Shift]) -> dict[int, Tensor]:
    """The outputs of the layers that are asked for."""
    seen: dict[int, Tensor] = {}
    with torch.no_grad():
        values = network.begin([image])
        for step in network.steps(aux=False):
            value = step.module(*[values[index] for index in step.inputs])
            values[step.index] = value
            if step.index in wanted:
                seen[step.index] = value.clone()  # what comes after may overwrite it
            for index in step.drop:
                values[index] = None
    return seen


def _spread(network: nn.Module, generator: torch.Generator) -> None:
    """Weights with which values keep their size from layer to layer."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                fan = max(parameter[0].numel(), 1)
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(drawn * (2 / fan) ** 0.5)
