"""Translation equivariance measured: a network runs on an image, and on the same one shifted.

Both are cut from one larger image, so that what leaves at one edge and comes in at the other is
new. In float64, with random weights of such a size that values neither grow nor vanish, a layer's
places that no padding has a part in must be those of the other run, moved; to 10 digits of the
largest, as sums may be taken in another order. Layers behind the last that follows shifts are left
out: the network is run up to there, and with fewer channels, as their number has no part in it.

The image is longer along the axis that is looked at, until there are inner places to compare, and
small along the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from convcalc.analysis.equivariance import Equivariance, Shift, equivariance
from convcalc.errors import ConvcalcError
from convcalc.graph import Graph, GraphBuilder, Value, ancestors
from convcalc.graph import flow as send
from convcalc.pytorch.capacity import shortage
from convcalc.pytorch.compare import Comparison
from convcalc.pytorch.module import Network, numbers, to_module
from convcalc.pytorch.receptive import along

if TYPE_CHECKING:
    from convcalc.graph import Flow, Node
    from convcalc.ops.base import Op

    #: Of each input, without the batch.
    Sizes = Mapping[str, Sequence[int]]

#: Two values are the same to so many parts of the largest.
SAME = 1e-10
#: A layer whose values vary less than this tells nothing.
VARIED = 1e-6
#: Of one the weights may leave nothing of a layer: what is missing is tried with the next.
SEEDS = (0, 1, 2)
#: The axis at hand grows by these factors.
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
#: Longer inputs are not tried.
MAX_LENGTH = 1 << 14
#: Along the other axes an input is as small as the network takes it.
SMALL = (8, 16, 32, 64, 96, 128, 224, 256)
#: Numbers of channels are divided by the first of these with which the network is a valid one.
THINNER = (16, 8, 4, 2, 1)
#: Of fewer channels a ReLU may leave nothing.
FEWEST = 4


def compare_equivariance(
    flow: Flow, notes: list[str] | None = None, *, device: str = "cpu"
) -> list[Comparison]:
    """How every layer follows shifts, as computed beside what it does.

    Figure "equivariance" of a layer: for each axis with what shift of the input it moves by how
    many places, and from which to which; several inputs are shifted together, each by its own. What
    could not be measured is told to `notes`.
    """
    told = [] if notes is None else notes
    graph = flow.graph
    whole = equivariance(flow)
    cut, indices = _up_to_features(graph, whole)
    if cut is None:
        return []
    axes = max(len(entries) - 1 for entries in cut.inputs.values())
    comparisons: list[Comparison] = []
    done: dict[int, list[tuple[Any, Any]]] = {}
    known: dict[tuple[Any, ...], dict[int, tuple[Any, Any]]] = {}
    own = {name: numbers(flow.inputs[name], name)[1:] for name in cut.inputs}
    for axis in range(axes):
        key = along(flow, axis)  # axes that look alike are measured once
        if key not in known:
            known[key] = _axis(cut, own, axis, told, device)
        for index, pair in known[key].items():
            done.setdefault(index, []).append(pair)
    for index, pairs in sorted(done.items()):
        path = graph.nodes[indices[index]].path
        computed, measured = ([pair[i] for pair in pairs] for i in (0, 1))
        comparisons.append(Comparison("equivariance", path, computed, measured))
    every = {n.index for n in cut.layers if any(whole.by_node[indices[n.index]].values())}
    missing = every - done.keys()
    if missing:
        told.append(
            f"whether {len(missing):,} of {len(every):,} layers follow shifts was not "
            "measured: no input that was tried has places there without padding"
        )
    return comparisons


def _up_to_features(graph: Graph, whole: Equivariance) -> tuple[Graph | None, dict[int, int]]:
    """The network up to the last layers that follow shifts, and the nodes that its own stand for.

    Their paths are other ones; None where no layer follows shifts.
    """
    needed = ancestors(graph.nodes, (node.index for node in whole.features))
    if not whole.features:
        return None, {}
    for factor in THINNER[:-1]:
        try:
            return _copy(graph, whole, needed, factor)
        except ConvcalcError:  # channels that do not divide
            continue
    return _copy(graph, whole, needed, 1)


def _copy(
    graph: Graph, whole: Equivariance, needed: set[int], factor: int
) -> tuple[Graph, dict[int, int]]:
    builder = GraphBuilder(graph.name)
    values: dict[int, Value] = {}
    indices: dict[int, int] = {}
    for node in graph.nodes:
        if node.op is None:
            values[node.index] = builder.input(node.path, graph.inputs[node.path])
        elif node.index in needed:
            flowing = [values[i] for i in node.inputs]
            own = graph.nodes[node.inputs[0]].structure
            op = _thinner(node.op, own[1], flowing[0].shape[1], factor)
            values[node.index] = builder.add(op, *flowing)
        else:
            continue
        indices[values[node.index].node.index] = node.index
    outputs = {f"out{i}": values[node.index] for i, node in enumerate(whole.features)}
    return builder.finish(outputs), indices


def _thinner(op: Op, channels: Any, left: Any, factor: int) -> Op:
    """The layer with fewer channels where their number can be divided; raises LayerError.

    channels: that flow into it. left: what they have become.
    """
    given = op.given()
    count = given.get("out_channels")
    if factor == 1 or not isinstance(count, int):
        return op
    if count % factor == 0 and count // factor >= FEWEST:
        given["out_channels"] = count // factor
    groups = given.get("groups", 1)
    if groups > 1:
        given["groups"] = left if groups == channels else gcd(groups, left, given["out_channels"])
    return type(op)(**given)


def _axis(
    graph: Graph, own: Sizes, axis: int, notes: list[str], device: str
) -> dict[int, tuple[Any, Any]]:
    """For each layer what is computed and measured along one axis."""
    found: dict[int, tuple[Any, Any]] = {}
    sizes = _sizes(graph, own, axis)
    if sizes is None:
        return found
    length = max(shape[1 + axis] for shape in sizes.values() if len(shape) > 1 + axis)
    factors = [f for f in FACTORS if f == 1 or length * f <= MAX_LENGTH]
    for number, factor in enumerate(factors, 1):
        flow = _flow(graph, {name: _longer(shape, axis, factor) for name, shape in sizes.items()})
        if flow is None:
            continue
        known = equivariance(flow)
        wanted = _wanted(known, graph, axis)
        every = sum(_has_axis(known, node, axis) for node in graph.layers)
        # One run, where all can be compared, or at the last as many as can.
        if len(wanted) < every and number < len(factors):
            continue
        short = shortage(flow, torch.device(device), "float64")
        if short is not None:
            notes.append(f"equivariance was not measured: {short}")
        else:
            for seed in SEEDS:
                left = {index: asked for index, asked in wanted.items() if index not in found}
                if left:
                    found |= _measured(flow, axis, left, device, seed)
        break
    return found


def _has_axis(known: Equivariance, node: Node, axis: int) -> bool:
    return any(len(several) > axis for several in known.by_node[node.index].values())


def _longer(shape: Sequence[int], axis: int, factor: int) -> tuple[int, ...]:
    return tuple(size * factor if i == 1 + axis else size for i, size in enumerate(shape))


def _sizes(graph: Graph, own: Sizes, axis: int) -> Sizes | None:
    """The design's own inputs, their other axes as small as it takes them."""
    others = [
        size for shape in own.values() for i, size in enumerate(shape) if i not in (0, axis + 1)
    ]
    largest = max(others, default=1)

    def smaller(size: int, small: int, scaled: bool) -> int:
        # Axes that differ may have to keep their ratio.
        return max(size * min(small, largest) // largest, 1) if scaled else min(size, small)

    for small in (*SMALL, largest):
        for scaled in (False, True):
            sizes = {
                name: tuple(
                    size if i in (0, axis + 1) else smaller(size, small, scaled)
                    for i, size in enumerate(shape)
                )
                for name, shape in own.items()
            }
            if _flow(graph, sizes) is not None:
                return sizes
    return None


def _flow(graph: Graph, sizes: Sizes) -> Flow | None:
    try:
        return send(graph, sizes)
    except ConvcalcError:
        return None


class Asked:
    """What a layer is asked: a shift by `rows` of each input that it depends on moves it by
    `moves`, from place `low` to `high`, where padding has no part."""

    __slots__ = ("high", "low", "moves", "rows")

    def __init__(self, shifts: Mapping[str, Shift], times: int) -> None:
        shift = next(iter(shifts.values()))
        assert shift.inner is not None
        self.low, self.high = shift.inner
        self.rows = {name: each.shift * times for name, each in shifts.items()}
        self.moves = shift.moves * times

    @property
    def enough(self) -> bool:
        """Whether a place moves to another one without padding."""
        return self.high - self.low >= self.moves

    @property
    def text(self) -> str:
        rows = [f"{count} rows" for count in self.rows.values()]
        if len(rows) > 1:
            rows = [f"{count} rows of {name}" for name, count in self.rows.items()]
        return " and ".join(rows)


def _wanted(known: Equivariance, graph: Graph, axis: int) -> dict[int, Asked]:
    """For each layer with enough inner places the shift that it is asked about.

    Many layers are asked about the same one, a multiple of their own, so that few runs do: the own
    is kept where it is a single row, and where it moves a layer by several places.
    """
    found: dict[int, dict[str, Shift]] = {}
    for node in graph.layers:
        axes = [
            (name, several[axis])
            for name, several in known.by_node[node.index].items()
            if len(several) > axis
        ]
        shifts = {
            name: shift
            for name, shift in axes
            if isinstance(shift, Shift) and shift.inner is not None
        }
        if shifts and len(shifts) == len(axes):
            found[node.index] = shifts
    common = lcm(*(shift.shift for shifts in found.values() for shift in shifts.values()))
    wanted = {}
    for index, shifts in found.items():
        largest = max(shift.shift for shift in shifts.values())
        moves = next(iter(shifts.values())).moves
        own = largest == 1 or moves > 1 or common > MAX_LENGTH
        asked = Asked(shifts, 1 if own else common // largest)
        if not asked.enough:
            asked = Asked(shifts, 1)
        if asked.enough:
            wanted[index] = asked
    return wanted


def _runs(wanted: Mapping[int, Asked]) -> list[tuple[dict[str, int], list[int]]]:
    """By how many rows inputs are shifted, run by run, and which layers are then looked at; an
    input that none of them depends on stands still."""
    runs: list[tuple[dict[str, int], list[int]]] = []
    for index, asked in sorted(wanted.items(), key=lambda pair: -len(pair[1].rows)):
        for rows, indices in runs:
            if all(rows.get(name, count) == count for name, count in asked.rows.items()):
                rows.update(asked.rows)
                indices.append(index)
                break
        else:
            runs.append((dict(asked.rows), [index]))
    return runs


def _measured(
    flow: Flow, axis: int, wanted: Mapping[int, Asked], device: str, seed: int
) -> dict[int, tuple[Any, Any]]:
    """The same images twice, for every shift that a layer asks for."""
    network = to_module(flow, device=device, dtype="float64")
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    _spread(network, generator)
    runs = _runs(wanted)
    images: dict[str, Tensor] = {}
    for name, sizes in flow.inputs.items():
        shape = list(numbers(sizes, name))
        if len(shape) > 2 + axis:
            shape[2 + axis] += max(rows.get(name, 0) for rows, _ in runs)
        images[name] = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)

    def seen(rows: Mapping[str, int]) -> dict[int, Tensor]:
        # What stood at row r + shift stands at row r: outputs move towards the start.
        cut = [
            image.narrow(2 + axis, rows.get(name, 0), numbers(flow.inputs[name], name)[2 + axis])
            if image.dim() > 2 + axis
            else image
            for name, image in images.items()
        ]
        return _run(network, cut, wanted)

    still = seen({})
    found: dict[int, tuple[Any, Any]] = {}
    for rows, indices in runs:
        moved = seen(rows)
        for index in indices:
            pair = _compared(still[index], moved[index], wanted[index], axis)
            if pair is not None:
                found[index] = pair
    return found


def _compared(still: Tensor, moved: Tensor, asked: Asked, axis: int) -> tuple[Any, Any] | None:
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
    computed = f"{asked.text} move it by {moves}, places {low} to {asked.high}"
    wrong = ((before - after).abs() > SAME * largest).movedim(2 + axis, 0).flatten(1).any(1)
    if not bool(wrong.any()):
        return computed, computed
    place = low + int(wrong.nonzero()[0])
    return computed, f"{asked.text} do not move place {place + moves} to {place}"


def _run(
    network: Network, images: Sequence[Tensor], wanted: Mapping[int, Asked]
) -> dict[int, Tensor]:
    """The outputs of the layers that are asked for."""
    seen: dict[int, Tensor] = {}
    with torch.no_grad():
        values = network.begin(list(images))
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
