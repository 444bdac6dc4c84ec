"""Translation equivariance: by how much the input may be shifted so that features shift along.

A convolution commutes with translation, a strided one only with shifts by multiples of its stride.
So a value moves by `moves` places when the input is shifted by `shift` rows, exactly, where

- every path to it moves alike: shift and moves are those of its receptive field's grid, the least
  common multiple over branches and resizes (a U-Net of four levels moves by 16, though its output
  has the jump 1);
- no path sees the whole axis, and no layer treats places apart (`Op.fixed`: a bias for each
  position, statistics of the whole map);
- no padding has a part in it: `inner` are the outputs that read none, in any layer before them.

A value that depends on several inputs moves where all of them are shifted together, each by its own
`shift`; were one to stand still, its part would. An input without places (features) may stay as it
is, unless a map is made of it (Unflatten), which then stands still.

Source: Azulay & Weiss, Why do deep convolutional networks generalize so poorly to small image
transformations?, JMLR 2019; Zhang, Making Convolutional Networks Shift-Invariant Again, ICML 2019.
"""

from __future__ import annotations

from math import gcd, lcm

from convcalc.analysis.coverage import IntWindow
from convcalc.analysis.receptive import receptive_fields, windows_along
from convcalc.errors import ConvcalcError, DesignError, closest
from convcalc.graph import flow as send
from convcalc.integers import Formula, evaluate, symbols
from convcalc.ops.attention import BlockWindow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from convcalc.analysis.receptive import Field, ReceptiveFields
    from convcalc.graph import Flow, Graph, Node
    from convcalc.ops.base import Shape, Window

    Range = tuple[int, int]

#: Outputs past a bound that are looked at one by one: a spread input has nothing between its rows.
_NEARBY = 64


class Shift:
    """How a value follows shifts of an input along one axis.

    shift, moves: a shift of the input by `shift` rows moves it by `moves` places; where it depends
        on several inputs, if these are shifted too, each by its own.
    inner: its first and last place that padding has no part in; None where there is none, or sizes
        are open. places: how many there are along the axis.
    """

    __slots__ = ("inner", "moves", "places", "shift")

    def __init__(self, shift: int, moves: int, places: Any, inner: Range | None) -> None:
        self.shift = shift
        self.moves = moves
        self.places = places
        self.inner = inner

    @property
    def border(self) -> tuple[int, int] | None:
        """How many places padding reaches at the start and at the end; None with open sizes."""
        if not isinstance(self.places, int):
            return None
        if self.inner is None:
            return self.places, 0
        return self.inner[0], self.places - 1 - self.inner[1]

    def __repr__(self) -> str:
        return f"Shift(shift={self.shift}, moves={self.moves}, border={self.border})"


class Equivariance:
    """What becomes of shifts throughout a network; made by `Network.equivariance`.

    by_node: for each node, by index, input name → for each axis of that input a `Shift`, or in
        words why no shift is kept. features: the last layers that keep one, from which only layers
        that do not are reached.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.by_node: list[dict[str, tuple[Shift | str, ...]]] = []

    def of(self, index: int, input: str | None = None) -> tuple[Shift | str, ...]:
        """Of a node: on the input named, else on the first that it depends on."""
        kept = self.by_node[index]
        return kept.get(input, ()) if input is not None else next(iter(kept.values()), ())

    def layer(self, path: str) -> dict[str, tuple[Shift | str, ...]]:
        """Of the layer at a path: input name → for each axis a `Shift`, or why there is none.

        Raises ConvcalcError where there is no such layer.
        """
        for node in self.graph.layers:
            if node.path == path:
                return self.by_node[node.index]
        near = closest(path, [node.path for node in self.graph.layers])
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConvcalcError(f"{self.graph.name} has no layer {path!r}{hint}")

    @property
    def features(self) -> list[Node]:
        users = self.graph.users()
        return [
            node
            for node in self.graph.layers
            if self.keeps(node.index)
            and not node.aux
            and not any(self.keeps(user) for user in users[node.index])
        ]

    def keeps(self, index: int) -> bool:
        """Whether a node's value follows shifts along every axis of every input."""
        axes = [axis for several in self.by_node[index].values() for axis in several]
        return bool(axes) and all(isinstance(axis, Shift) for axis in axes)


def equivariance(flow: Flow) -> Equivariance:
    """What becomes of shifts in a network with sizes flowing through it."""
    windows = [() if facts is None else facts.windows for facts in flow.facts]
    return equivariance_of(flow.graph, flow.shapes, windows, receptive_fields(flow))


def equivariance_at(flow: Flow, sizes: Mapping[str, int]) -> Equivariance:
    """The same where the open sizes are these; where some are not among them, or the network does
    not take them, of the open ones."""
    inputs = {}
    for name, shape in flow.inputs.items():
        open_sizes = {s for size in shape[1:] if isinstance(size, Formula) for s in symbols(size)}
        if not open_sizes <= sizes.keys():
            return equivariance(flow)
        inputs[name] = [
            evaluate(size, {s: sizes[s] for s in symbols(size)})
            if isinstance(size, Formula)
            else size
            for size in shape[1:]
        ]
    try:
        return equivariance(send(flow.graph, inputs))
    except DesignError:  # a design that does not take its own sizes
        return equivariance(flow)


def equivariance_of(
    graph: Graph,
    shapes: Sequence[Shape],
    windows: Sequence[Sequence[Window]],
    fields: ReceptiveFields,
) -> Equivariance:
    """The same from shapes, windows and fields; nodes whose shape is () are left out."""
    result = Equivariance(graph)
    # For each node, input and axis: the inner places, and why no shift is kept.
    inner: list[dict[str, list[Range | None]]] = []
    fixed: list[str] = []
    for node in graph.nodes:
        shape = shapes[node.index]
        own = fields.by_node[node.index]
        ranges: dict[str, list[Range | None]] = {}
        if node.op is None:
            fixed.append("")
            ranges[node.path] = [_all(size) for size in shape[2:]]
        else:
            values = node.inputs[: len(node.inputs) - node.op.likes]
            words = (fixed[i] for i in values)
            fixed.append(node.op.fixed or next(filter(None, words), "") or _placed(own, shape))
            for name, several in own.items():
                ranges[name] = _inner_of(node, name, len(several), graph, shapes, windows, inner)
        inner.append(ranges)
        result.by_node.append(
            _together(
                {
                    name: tuple(
                        _kept(axis, field, shape, fixed[node.index], ranges[name][axis])
                        for axis, field in enumerate(several)
                    )
                    for name, several in own.items()
                }
            )
        )
    return result


def _together(several: dict[str, tuple[Shift | str, ...]]) -> dict[str, tuple[Shift | str, ...]]:
    """The inputs of one value shifted together, so that they move it by as many places."""
    spatial = {name: axes for name, axes in several.items() if axes}
    if len(spatial) < 2:
        return several
    result = {name: list(axes) for name, axes in several.items()}
    for position in range(max(map(len, spatial.values()))):
        along = {name: a[position] for name, a in spatial.items() if position < len(a)}
        lost = next(
            (f"{name}: {axis}" for name, axis in along.items() if isinstance(axis, str)), ""
        )
        if len(along) < len(spatial):
            lost = "its inputs have different axes"
        shifts = {name: axis for name, axis in along.items() if isinstance(axis, Shift)}
        moves = lcm(*(shift.moves for shift in shifts.values()))
        inner: Range | None = None
        for number, shift in enumerate(shifts.values()):
            inner = shift.inner if number == 0 else _common(inner, shift.inner)
        for name, shift in shifts.items():
            rows = shift.shift * (moves // shift.moves)
            result[name][position] = lost or Shift(rows, moves, shift.places, inner)
    return {name: tuple(axes) for name, axes in result.items()}


def _placed(fields: Mapping[str, Sequence[Field]], shape: Shape) -> str:
    """Why a map that is made of features alone follows no shift: it has places of its own."""
    if any(fields.values()) or all(isinstance(size, int) and size == 1 for size in shape[2:]):
        return ""
    return f"its places come of {' and '.join(fields)}, which has none"


def _all(size: Any) -> Range | None:
    return (0, size - 1) if isinstance(size, int) else None


def _kept(axis: int, field: Field, shape: Shape, fixed: str, inner: Range | None) -> Shift | str:
    if fixed:
        return fixed
    if field.is_global:
        return "a path sees the whole axis"
    grid = field.grid
    if grid is None or len(shape) <= 2 + axis:
        return "its places do not stand on the input's grid"
    return Shift(grid.shift, grid.moves, shape[2 + axis], inner)


def _inner_of(
    node: Node,
    name: str,
    axes: int,
    graph: Graph,
    shapes: Sequence[Shape],
    windows: Sequence[Sequence[Window]],
    inner: Sequence[dict[str, list[Range | None]]],
) -> list[Range | None]:
    op = node.op
    assert op is not None
    values = node.inputs[: len(node.inputs) - op.likes]
    before = [inner[index][name] for index in values if name in inner[index]]
    output = shapes[node.index]
    result: list[Range | None] = []
    first = values[0]
    along = windows_along(op, windows[node.index], shapes[first], graph.nodes[first].layout)
    for axis in range(axes):
        ranges = [several[axis] for several in before]
        if len(output) != axes + 2 or any(r is None for r in ranges):
            result.append(None)
            continue
        low = max(r[0] for r in ranges if r is not None)
        high = min(r[1] for r in ranges if r is not None)
        if low > high:
            result.append(None)
        elif len(along) == axes and len(values) == 1:
            result.append(inner_outputs((low, high), output[2 + axis], along[axis]))
        else:
            result.append((low, high))
    if op.name() == "MaxUnpool2d":
        # Where values go depends on what went into the pool, which stands place by place.
        likes = inner[node.inputs[-1]].get(name, [])
        result = [_common(one, other) for one, other in zip(result, likes, strict=False)]
    return result


def _common(one: Range | None, other: Range | None) -> Range | None:
    if one is None or other is None:
        return None
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def inner_outputs(rows: Range, outputs: Any, given: Window) -> Range | None:
    """The first and last output whose window lies within these rows; None where none does, or
    sizes are open."""
    window = IntWindow.of(given)
    if window is None or not isinstance(outputs, int) or window.kernel == 0:
        return None
    low, high = rows
    if isinstance(given, BlockWindow):
        size, shift = given.size, given.shift
        if not (isinstance(size, int) and isinstance(shift, int)):
            return None
        first = -((shift - low) // size) * size + shift  # the first whole block
        last = (high + 1 - shift) // size * size + shift - 1
        return (first, min(last, outputs - 1)) if first <= last else None
    stride, before, upsample = window.stride, window.before, window.upsample
    dilation, reach = window.dilation, window.reach - 1
    # Of the taps every `apart`-th meets a row, if any does: those that a multiple of upsample is.
    common = gcd(dilation, upsample)
    apart = upsample // common
    inverse = pow(dilation // common, -1, apart)

    def within(output: int) -> bool:
        start = output * stride - before
        tap = -start // common * inverse % apart
        if start % common or tap >= window.kernel:
            return True
        last = window.kernel - 1 - (window.kernel - 1 - tap) % apart
        return (
            low * upsample <= start + tap * dilation and start + last * dilation <= high * upsample
        )

    first = max(-((-low * upsample - before) // stride), 0)
    last = min((high * upsample + before - reach) // stride, outputs - 1)
    # Between the rows of a spread input there is nothing, so the bounds can lie further out.
    for _ in range(_NEARBY):
        if first <= 0 or not within(first - 1):
            break
        first -= 1
    for _ in range(_NEARBY):
        if last >= outputs - 1 or not within(last + 1):
            break
        last += 1
    return (first, last) if first <= last else None
