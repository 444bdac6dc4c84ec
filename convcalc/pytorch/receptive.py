"""Receptive fields measured: float64 gradients through a thin copy of the network.

The gradient of one output says which rows of the input it depends on. The input is made larger,
by whole multiples of the design's size, until a layer has neighbouring outputs in which no padding
of any layer before it has a part. Sizes, jumps and offsets then follow from their rows alone.

Each gradient is set to 1 where it is not 0, layer by layer: products of a thousand small weights
would underflow (in float32, densenet121 then reads 1359 instead of 2071).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from convcalc.analysis.receptive import Field, ReceptiveFields, fields_of, propagate
from convcalc.pytorch.compare import Comparison
from convcalc.pytorch.thin import Place, changes, thin

if TYPE_CHECKING:
    from fractions import Fraction

    from convcalc.graph import Flow, Graph, Node
    from convcalc.ops.base import Op

    Rows = tuple[int, int] | None
    # A node's index, and which of its outputs along the axis.
    Request = tuple[int, int]

#: So many rows of gradients are taken at once, over all outputs asked for.
AT_ONCE = 1 << 18
#: So many values all layers together keep meanwhile: a quarter of a gibibyte of them.
KEPT = 1 << 25
#: So many values are computed at most for the gradients along one axis, half a minute of work
#: (HRNet, the largest of the zoo, takes nearly as many): a chain of n layers takes n³ of them.
#: Where there would be more, fewer layers are measured.
MOST = 3 << 29
#: Where fields recur after more outputs than this, only two neighbours are asked for.
MAX_TURNS = 64
#: Of fields that recur sooner, two rounds are asked for; of others, a few outputs.
FEW_TURNS = 4
#: The input grows by these factors, one after the other.
FACTORS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
#: An input of this length, and four times what a layer reads, is large.
LONG = 256
#: Longer inputs are not tried.
MAX_LENGTH = 1 << 15


class Copy:
    """The thin copy of a network along one axis, at given ops and shapes of its nodes.

    A node whose shape is () is left out.
    """

    def __init__(
        self,
        graph: Graph,
        ops: Sequence[Op | None],
        shapes: Sequence[Any],
        input: str,
        axis: int,
    ) -> None:
        self.graph = graph
        self.ops = ops
        self.shapes = shapes
        self.input = input
        self.source = list(graph.inputs).index(input)
        self.axis = axis
        self.axes = len(graph.inputs[input]) - 1
        #: Whether a layer that was run reads a whole axis.
        self.gathers = False

    def length(self, index: int) -> int | None:
        """How many places a node's value has along the axis; None where it has no such axis."""
        node, shape = self.graph.nodes[index], self.shapes[index]
        if not shape or len(shape) != self.axes + 2 or node.layout == "tokens":
            return None
        size: int = shape[2 + self.axis]
        return size

    def rows(self, requests: Sequence[Request], *, local: bool) -> dict[Request, Rows]:
        """The first and last row of the input on which each of some outputs depends."""
        asked = list(dict.fromkeys(requests))
        found: dict[Request, Rows] = {}
        length = self.length(self.source)
        assert length is not None
        size = max(min(AT_ONCE, KEPT // len(self.graph.nodes)) // length, 16)
        for start in range(0, len(asked), size):
            chunk = asked[start : start + size]
            found.update(zip(chunk, self._gradients(chunk, local), strict=True))
        return found

    def _gradients(self, requests: Sequence[Request], local: bool) -> list[Rows]:
        # A sample of the batch for each: with gradients given, even as one batch
        # (is_grads_batched), torch/autograd/__init__.py imports the compiler.
        batch = len(requests)
        x, values = self._run({index for index, _ in requests}, local=local, batch=batch)
        asked = [values[index][i, 0, output] for i, (index, output) in enumerate(requests)]
        total = torch.stack(asked).sum()
        if not total.requires_grad:
            return [None] * batch
        (gradients,) = torch.autograd.grad(total, x)
        return [_extent(gradient[0]) for gradient in gradients]

    def inner(self, wanted: set[int]) -> dict[int, Tensor]:
        """For each of some nodes, which of its outputs no padding has a part in."""
        with torch.no_grad():
            _, values = self._run(wanted, local=True, fill=1.0)
        return {index: values[index][0, 0] == 0 for index in wanted}

    def same_as(self, index: int) -> int:
        """The node whose thin value this one's is: not its own where the layer does nothing."""
        while True:
            node = self.graph.nodes[index]
            if node.op is None or changes(node.op):
                return index
            index = node.inputs[0]

    def _ancestors(self, wanted: set[int]) -> set[int]:
        needed = set(wanted)
        for node in reversed(self.graph.nodes):
            if node.index in needed:
                needed.update(node.inputs)
        return needed

    def _run(
        self, wanted: set[int], *, local: bool, fill: float = 0.0, batch: int = 1
    ) -> tuple[Tensor, dict[int, Tensor]]:
        needed = self._ancestors(wanted)
        values: dict[int, Tensor] = {}
        source: Tensor | None = None
        for node in self.graph.nodes:
            if node.index not in needed:
                continue
            if node.op is None:
                length = self.length(node.index)
                size = 1 if length is None else length
                value = torch.zeros((batch, 1, size), dtype=torch.float64)
                if node.index == self.source:
                    source = value.requires_grad_()  # the rest is linear in it
            else:
                flowing = [values[i] for i in node.inputs]
                place = self._place(node, local, fill)
                value = thin(place, *flowing)
                self.gathers = self.gathers or place.gathered
                if fill:
                    value = (value != 0).to(value.dtype)
                elif value.requires_grad and changes(node.op):
                    value.register_hook(_marked)  # type: ignore[no-untyped-call]  # torch has no types here
            values[node.index] = value
        assert source is not None
        return source, values

    def _place(self, node: Node, local: bool, fill: float) -> Place:
        op = self.ops[node.index]
        assert op is not None
        layout = self.graph.nodes[node.inputs[0]].layout
        return Place(
            op,
            self.axis,
            [self.shapes[i] for i in node.inputs],
            self.shapes[node.index],
            layout,
            axes=self.axes,
            local=local,
            fill=fill,
        )


def middle_run(inner: Tensor, count: int) -> int | None:
    """Where so many outputs stand side by side, all of them inner ones, nearest to the middle."""
    if len(inner) < count:
        return None
    runs = inner.to(torch.int8).unfold(0, count, 1).amin(1).nonzero().flatten()
    if not len(runs):
        return None
    middle = (len(inner) - count) / 2
    return int(runs[(runs - middle).abs().argmin()])


def _marked(gradient: Tensor) -> Tensor:
    return (gradient != 0).to(gradient.dtype)


def _extent(gradient: Tensor) -> Rows:
    rows = gradient.nonzero()
    return (int(rows[0]), int(rows[-1])) if len(rows) else None


class Measured:
    """What the gradients say of a layer along one axis.

    rows: by output; of a round of turns, or a few of many. is_global: paths that read a whole axis
    add to them.
    """

    __slots__ = ("field", "is_global", "rows")

    def __init__(self, field: Field, rows: Mapping[int, Rows], *, is_global: bool) -> None:
        self.field = field
        self.rows = {output: pair for output, pair in rows.items() if pair is not None}
        self.is_global = is_global

    @property
    def size(self) -> int | None:
        return max((last - first + 1 for first, last in self.rows.values()), default=None)

    @property
    def twice(self) -> bool:
        """Whether a turn was seen twice, so that there is a jump to tell."""
        turns = round_of(self.field)
        return any(output + turns in self.rows for output in self.rows)

    @property
    def jump(self) -> int | Fraction | None:
        """How far the field moves from one output to the next, on the mean of a round of turns."""
        from fractions import Fraction

        turns = round_of(self.field)
        moved = {
            self.rows[output + turns][end] - pair[end]
            for output, pair in self.rows.items()
            if output + turns in self.rows
            for end in (0, 1)
        }
        if len(moved) != 1:
            return None  # the field grows or shrinks: there is no grid
        jump = Fraction(moved.pop(), turns)
        return jump.numerator if jump.denominator == 1 else jump

    @property
    def offset(self) -> int | Fraction | None:
        """The middle of what bounds all fields, at output 0."""
        from fractions import Fraction

        jump = self.jump
        if jump is None:
            return None
        low = min(first - output * jump for output, (first, _) in self.rows.items())
        high = max(last - output * jump for output, (_, last) in self.rows.items())
        middle = Fraction(low + high) / 2
        return middle.numerator if middle.denominator == 1 else middle


def compare_fields(flow: Flow, notes: list[str] | None = None) -> list[Comparison]:
    """Every layer's receptive field as computed beside what gradients say of it.

    Figures "receptive_field", "jump", "offset" and "global", each a list with one entry an axis; of
    the input where there are several, the figure names it: "receptive_field of left". Entries that
    cannot be told are left out. A pool or resize to a fixed size grows with the input, so that the
    ratio of sizes, of which its field depends, stays as near as their rounding lets it.

    Of a network so deep that the gradients of each layer would take minutes, layers evenly spaced
    are measured, the last among them; `notes` is told how many.
    """
    left_out: set[int] = set()
    comparisons: list[Comparison] = []
    graph = flow.graph
    several = len(graph.inputs) > 1
    for name, entries in graph.inputs.items():
        axes = len(entries) - 1
        if axes < 1:
            continue
        computed: dict[int, list[Field | None]] = {}
        measured: dict[int, list[Measured | None]] = {}
        known: dict[tuple[Any, ...], dict[int, tuple[Field, Measured]]] = {}
        for axis in range(axes):
            key = along(flow, axis)
            if key not in known:
                known[key] = _axis(flow, name, axis, left_out)
            for index, (field, seen) in known[key].items():
                computed.setdefault(index, [None] * axes)[axis] = field
                measured.setdefault(index, [None] * axes)[axis] = seen
        for index in sorted(computed):
            path = graph.nodes[index].path
            suffix = f" of {name}" if several else ""
            comparisons += _compared(path, suffix, computed[index], measured[index])
    if left_out and notes is not None:
        every = len(graph.layers)
        notes.append(
            f"receptive fields of {len(left_out):,} of {every:,} layers were not measured: their "
            "gradients would take too long; those of layers evenly spaced between were"
        )
    return comparisons


def along(flow: Flow, axis: int) -> tuple[Any, ...]:
    """What a network looks like along an axis: axes that look alike are measured once."""
    seen: list[Any] = []
    for node in flow.graph.nodes:
        shape = flow.shapes[node.index]
        seen.append(shape[2 + axis] if len(shape) > 2 + axis else None)
        if node.op is not None:
            values = []
            for value in node.op.given().values():
                spatial = node.op.spatial or 0
                if isinstance(value, tuple) and len(value) == spatial:
                    values.append(value[axis] if axis < len(value) else None)
                elif isinstance(value, tuple) and len(value) == 2 * spatial:
                    values.append(value[2 * (spatial - 1 - axis) : 2 * (spatial - axis)])
                else:
                    values.append(str(value))
            # Layers that treat axes by their number look different along each.
            if node.kind in ("Concat", "Linear", "GLU") or "Softmax" in node.kind:
                values.append(axis)
            seen.append(tuple(values))
    return tuple(seen)


def _axis(
    flow: Flow, name: str, axis: int, left_out: set[int]
) -> dict[int, tuple[Field, Measured]]:
    """For each layer that depends on an input the field along an axis, computed and measured.

    Left out are fields that cannot be told, and maps that stay too small at any size of the input
    for an output without padding; and layers beyond what MOST allows, which are added to left_out.
    """
    graph = flow.graph
    room = MOST
    results: dict[int, tuple[Field, Measured]] = {}
    todo = {node.index for node in graph.layers}
    for factor in FACTORS:
        inputs = {
            n: (1, shape[1], *(size * factor for size in shape[2:]))
            for n, shape in flow.inputs.items()
        }
        length = inputs[name][2 + axis]
        if (factor > 1 and length > MAX_LENGTH) or not todo:
            break
        ops = [node.op and grown(node.op, factor) for node in graph.nodes]
        shapes, windows = propagate(graph, inputs, ops)
        fields = fields_of(graph, shapes, windows)
        copy = Copy(graph, ops, shapes, name, axis)
        asked = _questions(copy, fields, name, todo)
        dropped, cost = _affordable(copy, asked, room)
        room -= cost
        todo -= dropped
        left_out |= dropped
        for index, seen in _answers(copy, asked).items():
            results[index] = (seen.field, seen)
            todo.discard(index)
    return results


def grown(op: Op, factor: int) -> Op:
    """A layer that makes maps of a fixed size makes larger ones of larger ones, in proportion."""
    name = "output_size" if op.name().startswith("Adaptive") else "size"
    given = {key: value for key, value in op.given().items() if value is not None}
    if factor == 1 or not op.name().startswith(("Adaptive", "Upsampl")) or name not in given:
        return op
    fixed = given[name]
    entries = fixed if isinstance(fixed, tuple) else (fixed,)
    larger = tuple(size if size in (None, 1) else size * factor for size in entries)
    given[name] = larger if isinstance(fixed, tuple) else larger[0]
    return type(op)(**given)


def _questions(
    copy: Copy, fields: ReceptiveFields, name: str, todo: Iterable[int]
) -> dict[int, tuple[Field, list[int]]]:
    """For each layer that can be measured: its field, and the outputs to ask for."""
    told = {}
    length = copy.length(copy.source)
    assert length is not None
    for index in sorted(todo):
        several = fields.by_node[index].get(name)
        field = several[copy.axis] if several else None
        # An input smaller than what was computed could not hold it.
        if field is not None and field.known and (field.size or 0) <= length:
            told[index] = field
    if not told:
        return {}
    inner = copy.inner({copy.same_as(index) for index in told})
    asked = {}
    for index, field in told.items():
        first = middle_run(inner[copy.same_as(index)], max(2 * round_of(field), 1))
        if first is not None:
            asked[index] = (field, _outputs(field, first))
        elif length >= max(LONG, 4 * (field.size or 0)):
            # A map that stays small, as one of a fixed size: one output tells the size, no more.
            first = middle_run(inner[copy.same_as(index)], 1)
            if first is not None and copy.length(index) in range(2 * round_of(field)):
                asked[index] = (field, [first])
    return asked


def _affordable(
    copy: Copy, asked: dict[int, tuple[Field, list[int]]], room: int
) -> tuple[set[int], int]:
    """Take out of what is asked so many layers, evenly, that the rest costs no more than `room`.

    Returns those, and what the rest costs: values computed on the way from each output back.
    """
    length = copy.length(copy.source)
    assert length is not None
    costs: dict[int, int] = {}
    known: set[tuple[int, int]] = set()
    before = [0]  # how many layers do anything up to a node
    for node in copy.graph.nodes:
        before.append(before[-1] + (node.op is not None and changes(node.op)))
    for index, (_, outputs) in asked.items():
        source = copy.same_as(index)
        new = {(source, output) for output in outputs} - known
        known |= new
        costs[index] = len(new) * before[source + 1] * length
    total = sum(costs.values())
    if total <= room:
        return set(), total
    # Layers in order, a share room/total of them: each whose number takes that share further. At
    # least the last is kept.
    order = sorted(asked)
    kept = {
        index
        for number, index in enumerate(order, 1)
        if number * room // total > (number - 1) * room // total
    } or {order[-1]}
    dropped = set(order) - kept
    for index in dropped:
        del asked[index]
    return dropped, sum(costs[index] for index in kept)


def round_of(field: Field) -> int:
    """How many outputs make a round of turns, as far as they are asked for."""
    return field.turns if field.turns <= MAX_TURNS else 1


def _outputs(field: Field, first: int) -> list[int]:
    """Which of two rounds of outputs to ask for: all of a few turns; of many those that read the
    first row, the last, and the most, and two others."""
    turns = round_of(field)
    if turns <= FEW_TURNS:
        return list(range(first, first + max(2 * turns, 1)))
    jump = field.mean_jump
    told = {turn: rows for turn, rows in enumerate(field.intervals) if rows is not None}
    wanted = {turns // 3, 2 * turns // 3}
    again = first
    if told:
        largest = max(told, key=lambda turn: told[turn][1] - told[turn][0])
        wanted.add(min(told, key=lambda turn: told[turn][0] - turn * jump))
        wanted.add(max(told, key=lambda turn: told[turn][1] - turn * jump))
        again = first + (largest - first) % turns
    # The same turn of the next round tells the jump.
    return sorted({*(first + (turn - first) % turns for turn in wanted), again, again + turns})


def _answers(copy: Copy, asked: Mapping[int, tuple[Field, list[int]]]) -> dict[int, Measured]:
    requests = {
        index: [(copy.same_as(index), output) for output in outputs]
        for index, (_, outputs) in asked.items()
    }
    local = copy.rows([r for several in requests.values() for r in several], local=True)
    # One output that reads something tells whether other paths add to it.
    telling = {
        index: next(([r] for r in several if local[r] is not None), several)
        for index, several in requests.items()
    }
    whole = local
    if copy.gathers:  # else there are local paths alone
        whole = copy.rows([r for several in telling.values() for r in several], local=False)
    length = copy.length(copy.source)
    assert length is not None
    found = {}
    for index, (field, _) in asked.items():
        rows = {request[1]: local[request] for request in requests[index]}
        reads = any(whole[request] for request in telling[index])
        # On a map of one row all taps of a kernel can fall beside it, and a local path that reads
        # the whole input hides one that is not: a larger one tells more.
        if field.size == 0 or (reads and (0, length - 1) not in rows.values()):
            more = any(whole[request] != local[request] for request in telling[index])
            found[index] = Measured(field, rows, is_global=more)
    return found


def _compared(
    path: str, suffix: str, computed: Sequence[Field | None], measured: Sequence[Measured | None]
) -> list[Comparison]:
    pairs = [
        (field, seen)
        for field, seen in zip(computed, measured, strict=True)
        if field is not None and seen is not None
    ]
    if not pairs:
        return []
    comparisons = [
        Comparison(
            f"receptive_field{suffix}",
            path,
            [field.size for field, _ in pairs],
            [_size(field, seen) for field, seen in pairs],
        ),
        Comparison(
            f"global{suffix}",
            path,
            [field.is_global for field, _ in pairs],
            [_is_global(field, seen) for field, seen in pairs],
        ),
    ]
    on_grid = [(f, s) for f, s in pairs if f.grid is not None and f.exact and s.twice]
    if on_grid:
        comparisons += [
            Comparison(
                f"{figure}{suffix}",
                path,
                [_exact(getattr(field, figure)) for field, _ in on_grid],
                [_exact(getattr(seen, figure)) for _, seen in on_grid],
            )
            for figure in ("jump", "offset")
        ]
    return comparisons


def _exact(rows: float | Fraction | None) -> str:
    """`15/2`, whether it is a float or a Fraction."""
    from fractions import Fraction

    return "None" if rows is None else str(Fraction(rows))


def _size(field: Field, seen: Measured) -> int | None:
    size = seen.size
    bound = not field.exact or not field.turns  # of any output; those in the middle may read less
    if bound and size is not None and field.size is not None and size <= field.size:
        return field.size
    return 0 if size is None and field.size == 0 else size


def _is_global(field: Field, seen: Measured) -> bool:
    # Of values put after one another, and of features side by side, the one asked for may be local.
    some = field.size is not None and field.grid is None
    return seen.is_global or (some and field.is_global)
