"""Receptive fields: which rows of the network's input a value depends on, along each axis.

A field is told away from the borders, as if maps went on for ever: what padding hides of it at an
edge does not count. It has a size (rows from the first to the last), a jump (how far it moves from
one output to the next: the cumulative stride, a fraction after upsampling) and an offset (the
centre of the first output's field, in input rows counted from 0; padding shifts it).

What joins, gates and moves of axes do:

- Branches (Add, Mul, Concat along the channels) unite: from the first row that one of them reads to
  the last. Branches whose jumps differ have no common grid: the size is then the largest of any
  output, and there is no jump. Such branches, and those whose centres differ, are `misaligned`.
- Whatever reads a whole axis (a pool to size 1, attention over all tokens, Linear on features) is
  global, and so is all that it flows into. The local field leaves these paths out: behind a
  squeeze-excite gate, it is what is seen without the gate. Where no other path is left, as behind a
  classifier's pool, there is no local field.
- A pool to another fixed size, and a resize to one, read windows in the ratio of the sizes at hand.
- Rows that a resize or a transposed convolution makes read by turns different rows. All turns are
  kept: size is that of the largest, jump their mean, offset the middle of what bounds them all.
- Flatten, Tokens and Unfold put places in a row: an element keeps its field, which has a size but
  no jump. TokensToImage brings the places back. After Unflatten, ClassToken, TakeToken and Concat
  along a spatial axis the places are not followed, and a window over them has no field that could
  be told (`None`, and not global).
- Windows of attention read their own block, on a map of many blocks.
- `like` gives sizes alone, so CenterCrop shifts the offset by what it leaves out before.
- Statistics over whole maps (group and instance normalisation) do not count.

One pass in the order of the graph, so linear in the nodes. Source: Araujo, Norris & Sim, Computing
Receptive Fields of Convolutional Neural Networks, Distill 2019, whose extents and offsets of paths
are what is kept for each turn here.
"""

from __future__ import annotations

from math import gcd, lcm

from convcalc.integers import Formula
from convcalc.ops.attention import BlockWindow
from convcalc.ops.base import GLOBAL, Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction
    from typing import Any

    from convcalc.graph import Flow, Graph, Node
    from convcalc.integers import Size
    from convcalc.ops.base import Layout, Op, Shape

    Interval = tuple[Any, Any]  # first and last row: ints, formulas, or fractions that bound them

#: Turns that are kept one by one; where there are more, only bounds of them all are.
MAX_TURNS = 64


class Grid:
    """The fields of all outputs along one axis: what recurs, and how far it moves.

    turns: the first and last row that outputs 0 … moves − 1 read, None for one that reads nothing.
    Output i reads those of output i mod moves, moved by shift · (i // moves). So a shift of the
    input by `shift` rows moves the output by `moves`.
    bounds: where there are more than MAX_TURNS turns, `turns` is empty, and output i reads rows
    from bounds[0] + i·jump to bounds[1] + i·jump at most.
    """

    __slots__ = ("_bounds", "moves", "shift", "turns")

    def __init__(
        self,
        shift: int,
        moves: int,
        turns: Sequence[Interval | None],
        bounds: Interval | None = None,
    ) -> None:
        self.shift = shift
        self.moves = moves
        self.turns = tuple(turns)
        self._bounds = bounds

    @property
    def jump(self) -> int | Fraction:
        jump: int | Fraction = ratio(self.shift, self.moves)
        return jump

    @property
    def size(self) -> int:
        """Rows from the first to the last, of the output that reads the most."""
        if self._bounds is not None:
            return int((self._bounds[1] - self._bounds[0]) // 1) + 1
        sizes = [turn[1] - turn[0] + 1 for turn in self.turns if turn is not None]
        # They are numbers: rows that are formulas are only kept where they differ by numbers.
        return max(map(_number, sizes), default=0)

    @property
    def exact(self) -> bool:
        return self._bounds is None

    def bounds(self) -> Interval | None:
        """(a, b): output i reads rows from a + i·jump to b + i·jump at most; fractions.

        None where a row is a formula and there are several turns, or no output reads anything.
        """
        if self._bounds is not None:
            return self._bounds
        if self.moves == 1:
            return self.turns[0]
        rows = [(i, turn) for i, turn in enumerate(self.turns) if turn is not None]
        if not rows or not all(isinstance(row, int) for _, turn in rows for row in turn):
            return None
        # in units of 1/moves, all are ints
        low = min(turn[0] * self.moves - i * self.shift for i, turn in rows)
        high = max(turn[1] * self.moves - i * self.shift for i, turn in rows)
        return ratio(low, self.moves), ratio(high, self.moves)

    @property
    def offset(self) -> int | float | Fraction | None:
        """The centre of the field of output 0, on the grid of all outputs' centres."""
        bounds = self.bounds()
        if bounds is None or isinstance(bounds[0], Formula) or isinstance(bounds[1], Formula):
            return None
        twice: int | Fraction = bounds[0] + bounds[1]
        if isinstance(twice, int):
            # Between two rows, as of every even kernel: exact without a Fraction, which costs
            # `summary` 5 ms of imports.
            return twice / 2 if twice % 2 else twice // 2
        middle: int | Fraction = ratio(twice, 2)
        return middle

    def at(self, output: int) -> Interval | None:
        """The first and last row that one output reads, if there are not too many turns."""
        if self._bounds is not None:
            jump = self.jump
            return self._bounds[0] + output * jump, self._bounds[1] + output * jump
        times, turn = divmod(output, self.moves)
        rows = self.turns[turn]
        if rows is None or times == 0:
            return rows
        return rows[0] + times * self.shift, rows[1] + times * self.shift

    def through(self, window: Window) -> Grid | None:
        """The fields after a layer that reads this axis by a window; None where sizes are open."""
        kernel, stride, before, dilation, upsample = (
            window.kernel,
            window.stride,
            window.before,
            window.dilation,
            window.upsample,
        )
        if isinstance(window, BlockWindow):
            return self._through_blocks(window)
        if not (
            isinstance(kernel, int)
            and isinstance(stride, int)
            and isinstance(dilation, int)
            and isinstance(upsample, int)
        ):
            return None
        common = gcd(stride, self.moves * upsample)
        shift, moves = self.shift * (stride // common), self.moves * upsample // common
        if not isinstance(before, int):
            if not isinstance(before, Formula) or self.moves * upsample != 1 or not self.turns[0]:
                return None
            low, high = self.turns[0]
            start = -self.shift * before
            reach = self.shift * dilation * (kernel - 1)
            return Grid(shift, moves, [(low + start, high + start + reach)])
        if moves > MAX_TURNS or self._bounds is not None:
            reach = dilation * (kernel - 1)
            first = ratio(-before * self.shift, upsample * self.moves)
            last = ratio((reach - before) * self.shift, upsample * self.moves)
            return self._bounded(shift, moves, first, last)
        try:
            turns = [
                self._read(i * stride - before, kernel, dilation, upsample) for i in range(moves)
            ]
        except _UndecidedError:
            return None
        return Grid(shift, moves, turns)

    def _read(self, start: int, kernel: int, dilation: int, upsample: int) -> Interval | None:
        """What taps from `start` on read, when row r of this axis stands at r·upsample."""
        if upsample == 1:
            return self._united(start, dilation, kernel)
        apart = upsample // gcd(upsample, dilation)  # between taps that meet a row
        for tap in range(min(apart, kernel)):
            at = start + tap * dilation
            if at % upsample == 0:
                count = (kernel - 1 - tap) // apart + 1
                return self._united(at // upsample, apart * dilation // upsample, count)
        return None

    def _united(self, row: int, step: int, count: int) -> Interval | None:
        """From the first to the last of what outputs row, row + step, … read together."""
        last = row + step * (count - 1)
        if self.moves == 1:
            turn = self.turns[0]
            if turn is None:
                return None
            return turn[0] + row * self.shift, turn[1] + last * self.shift
        # One may begin before another that comes before it, but all turns come by in time.
        count = min(count, self.moves)
        firsts = [self.at(row + k * step) for k in range(count)]
        lasts = [self.at(last - k * step) for k in range(count)]
        hull: Interval | None = _hull(firsts, lasts)
        return hull

    def _through_blocks(self, window: BlockWindow) -> Grid | None:
        size, start = window.size, window.shift
        if not isinstance(size, int) or not isinstance(start, int):
            return None
        moves = lcm(self.moves, size)
        shift = self.shift * (moves // self.moves)
        if moves > MAX_TURNS or self._bounds is not None:
            rim = ratio((size - 1) * self.shift, self.moves)
            return self._bounded(shift, moves, -rim, rim)
        try:
            turns = [
                self._united((i - start) // size * size + start, 1, size) for i in range(moves)
            ]
        except _UndecidedError:
            return None
        return Grid(shift, moves, turns)

    def _bounded(self, shift: int, moves: int, first: Any, last: Any) -> Grid | None:
        bounds = self.bounds()
        if bounds is None or isinstance(bounds[0], Formula) or isinstance(bounds[1], Formula):
            return None
        return Grid(shift, moves, (), (bounds[0] + first, bounds[1] + last))

    def united(self, other: Grid) -> Grid | None:
        """The fields where both flow together; None where their jumps differ or sizes are open."""
        if self.shift * other.moves != other.shift * self.moves:
            return None
        moves = lcm(self.moves, other.moves)
        shift = self.shift * (moves // self.moves)
        if moves > MAX_TURNS or not (self.exact and other.exact):
            one, two = self.bounds(), other.bounds()
            if one is None or two is None:
                return None
            if any(isinstance(row, Formula) for row in (*one, *two)):
                return None
            return Grid(shift, moves, (), (min(one[0], two[0]), max(one[1], two[1])))
        pairs = [(self.at(i), other.at(i)) for i in range(moves)]
        try:
            return Grid(shift, moves, [_hull(pair, pair) for pair in pairs])
        except _UndecidedError:
            return None

    def __repr__(self) -> str:
        return f"Grid(size={self.size}, jump={self.jump}, offset={self.offset})"


def _number(size: Size) -> int:
    constant = size.constant if isinstance(size, Formula) else size
    assert isinstance(constant, int)
    return constant


def ratio(numerator: Any, denominator: int) -> Any:
    """A quotient, as an int where it is whole, else as an exact fraction."""
    if denominator == 1 or isinstance(numerator, Formula):
        return numerator
    from fractions import Fraction  # 3 ms, for networks that upsample

    quotient = Fraction(numerator) / denominator
    return quotient.numerator if quotient.denominator == 1 else quotient


class _UndecidedError(Exception):
    """Two rows are formulas, and which comes first depends on the open sizes."""


def _least(rows: Sequence[Any]) -> Any:
    """The first of several rows; formulas must differ by numbers. Raises _UndecidedError."""
    least = rows[0]
    for row in rows[1:]:
        difference = row - least
        if isinstance(difference, Formula):
            difference = difference.constant
            if difference is None:
                raise _UndecidedError
        if difference < 0:
            least = row
    return least


def _hull(intervals: Iterable[Interval | None], others: Iterable[Interval | None]) -> Any:
    """From the first row of some intervals to the last of others; None where there are none."""
    lows = [rows[0] for rows in intervals if rows is not None]
    highs = [-rows[1] for rows in others if rows is not None]
    return (_least(lows), -_least(highs)) if lows and highs else None


class Row:
    """Places that stand in a row, or in another order than that of the input.

    sizes: of the map whose places they are; None where they are not those of a map alone.
    complete: a layer that reads the whole row reads the whole map.
    """

    __slots__ = ("complete", "sizes")

    def __init__(self, sizes: tuple[Size, ...] | None, complete: bool) -> None:
        self.sizes = sizes
        self.complete = complete

    def is_that_of(self, sizes: tuple[Size, ...]) -> bool:
        """Whether it is that of a map of these sizes, as far as can be told without a proof."""
        own = self.sizes
        return (
            own is not None
            and len(own) == len(sizes)
            and all(
                a is b or (isinstance(a, int) and isinstance(b, int) and a == b)
                for a, b in zip(own, sizes, strict=True)
            )
        )

    def same(self, other: Row | None) -> bool:
        if self is other:
            return True
        return other is not None and other.sizes is not None and self.is_that_of(other.sizes)


class Field:
    """What a value depends on along one axis of one input, away from the borders.

    size: rows from the first to the last that an output reads, on paths that are local. None: no
        such path, or it cannot be told (where branches differ by an open size).
    jump: input rows from one output to the next: an int or Fraction; None where places are not on
        a grid (features, tokens, branches of unequal jumps).
    offset: the centre of the first output's field in input rows, from 0: an int, a float that ends
        in .5, or a Fraction; None likewise.
    is_global: a path sees the whole axis.
    known: False where there is a local path, or may be one, but no size can be told.
    exact: False where `size` is an upper bound (more than MAX_TURNS turns).
    grid: all of it for a value whose axis corresponds to the input's, else None.
    row: in which other order the places stand, where they do.
    """

    __slots__ = ("_extent", "_grid", "exact", "is_global", "known", "row")

    def __init__(
        self,
        grid: Grid | None,
        is_global: bool = False,
        row: Row | None = None,
        extent: int | None = None,
        exact: bool = True,
        known: bool = True,
    ) -> None:
        self._grid = grid
        self.is_global = is_global
        self.row = row
        # The size where no grid is left.
        self._extent = extent
        self.exact = exact if grid is None else grid.exact
        self.known = known

    @property
    def grid(self) -> Grid | None:
        return None if self.row is not None else self._grid

    @property
    def size(self) -> int | None:
        return self._extent if self._grid is None else self._grid.size

    @property
    def jump(self) -> int | Fraction | None:
        grid = self.grid
        return None if grid is None else grid.jump

    @property
    def offset(self) -> int | float | Fraction | None:
        grid = self.grid
        return None if grid is None else grid.offset

    @property
    def intervals(self) -> tuple[Interval | None, ...]:
        """The first and last row that each turn reads; empty where they are not kept."""
        return () if self._grid is None else self._grid.turns

    @property
    def mean_jump(self) -> int | Fraction:
        """The jump, also of places in a row; 0 where there is none."""
        return 0 if self._grid is None else self._grid.jump

    @property
    def turns(self) -> int:
        """After how many outputs the fields recur, one shift later; 0 where that is not known."""
        return 0 if self._grid is None else self._grid.moves

    def __str__(self) -> str:
        size = self.size
        if size is None and self.known:
            return "global"
        text = "?" if size is None else f"{'' if self.exact else '≤ '}{size}"
        return f"global ({text})" if self.is_global else text

    def __repr__(self) -> str:
        return f"Field({self}, jump={self.jump}, offset={self.offset})"

    # ------------------------------------------------------------------ what layers make of it

    def through(self, window: Window) -> Field:
        """After a layer that reads this axis by a window."""
        if _is_global(window):
            return _GLOBAL
        if _trivial(window) or self.size is None:
            return self
        grid = self._grid and self._grid.through(window)
        return Field(grid, self.is_global) if grid else self.unknown()

    def across(self, windows: Sequence[Window]) -> Field:
        """After a layer with windows over places that do not stand as in the input."""
        if any(_is_global(window) for window in windows):
            return _GLOBAL if self.row is None or self.row.complete else self.unknown()
        if all(_trivial(window) for window in windows) or self.size is None:
            return self
        return self.unknown()

    def put(self, row: Row | None) -> Field:
        """Its places in a row; None: back on their map."""
        if self.size is None and self.known:
            return self
        return Field(self._grid, self.is_global, row, self._extent, self.exact, self.known)

    def unknown(self) -> Field:
        """There is a local path, and no size."""
        return Field(None, self.is_global, self.row, known=False)

    def globally(self) -> Field:
        """The same, and a path that sees the whole axis."""
        if self.is_global:
            return self
        return Field(self._grid, True, self.row, self._extent, self.exact, self.known)


#: After a layer that reads the whole axis.
_GLOBAL = Field(None, True)
_START = Field(Grid(1, 1, [(0, 0)]))
#: Layers whose every output depends on all features of N×F.
_MIX_FEATURES = frozenset({"Linear", "RBF", "Softmax", "LogSoftmax", "Softmin"})


def _is_global(window: Window) -> bool:
    return isinstance(window.kernel, int) and window.kernel == 0


def _trivial(window: Window) -> bool:
    """Whether output i reads row i alone."""
    numbers = (
        (window.kernel, 1),
        (window.stride, 1),
        (window.before, 0),
        (window.upsample, 1),
    )
    return all(isinstance(number, int) and number == wanted for number, wanted in numbers)


class Misalignment:
    """Branches that are joined but look at different places.

    axis: of the input, from 0. jumps: of the branches that have a grid. offsets: their centres,
    None where they depend on open sizes.
    """

    __slots__ = ("axis", "input", "jumps", "node", "offsets")

    def __init__(
        self,
        node: Node,
        input: str,
        axis: int,
        jumps: tuple[int | Fraction, ...],
        offsets: tuple[int | float | Fraction | None, ...],
    ) -> None:
        self.node = node
        self.input = input
        self.axis = axis
        self.jumps = jumps
        self.offsets = offsets

    def __repr__(self) -> str:
        return f"Misalignment({self.node.path!r}, jumps={self.jumps}, offsets={self.offsets})"


class ReceptiveFields:
    """The fields of every value of a network.

    by_node: for each node, by index, input name → one Field an axis of that input; an input that a
        value does not depend on is not in it.
    misaligned: every join of branches that look at different places, in the order of the network.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.by_node: list[dict[str, tuple[Field, ...]]] = []
        self.misaligned: list[Misalignment] = []

    def of(self, index: int, input: str | None = None) -> tuple[Field, ...]:
        """The fields of a node: on the input named, else on that where they are the largest."""
        fields = self.by_node[index]
        if input is not None:
            return fields.get(input, ())
        return max(fields.values(), key=_weight, default=())


def _weight(fields: Sequence[Field]) -> tuple[bool, int]:
    sizes = [field.size for field in fields]
    known = [size for size in sizes if isinstance(size, int)]
    return any(field.is_global for field in fields), max(known, default=0)


def receptive_fields(flow: Flow) -> ReceptiveFields:
    """The fields of a network with sizes flowing through it."""
    windows = [() if facts is None else facts.windows for facts in flow.facts]
    return fields_of(flow.graph, flow.shapes, windows)


def fields_of(
    graph: Graph, shapes: Sequence[Shape], windows: Sequence[Sequence[Window]]
) -> ReceptiveFields:
    """The fields of a network from the shape and the windows of each node.

    A node whose shape is () is left out, and so is what it flows into.
    """
    result = ReceptiveFields(graph)
    for node in graph.nodes:
        if node.op is None:
            result.by_node.append({node.path: (_START,) * (len(shapes[node.index]) - 2)})
        elif shapes[node.index]:
            result.by_node.append(_Layer(node, node.op, graph, shapes, windows, result).fields())
        else:
            result.by_node.append({})
    return result


class _Layer:
    """One layer, on the way from the fields that flow in to those that come out."""

    __slots__ = ("graph", "node", "op", "output", "result", "shapes", "values", "windows")

    def __init__(
        self,
        node: Node,
        op: Op,
        graph: Graph,
        shapes: Sequence[Shape],
        windows: Sequence[Sequence[Window]],
        result: ReceptiveFields,
    ) -> None:
        self.node = node
        self.op = op
        self.graph = graph
        self.result = result
        self.values = node.inputs[: len(node.inputs) - op.likes]
        self.shapes = [shapes[index] for index in node.inputs]
        self.output = shapes[node.index]
        self.windows = windows[node.index]

    def fields(self) -> dict[str, tuple[Field, ...]]:
        known = self.result.by_node
        if len(self.values) == 1:
            fields = known[self.values[0]]
            if not self.windows and self.op.places == "kept" and len(self.shapes[0]) > 3:
                return fields
            return {name: self._advanced(several) for name, several in fields.items()}
        names = dict.fromkeys(name for index in self.values for name in known[index])
        return {name: self._joined(name) for name in names}

    # ------------------------------------------------------------------ one value

    def _advanced(self, fields: Sequence[Field]) -> tuple[Field, ...]:
        op, shape = self.op, self.shapes[0]
        if op.places == "lost":
            return self._lost(fields)
        windows = windows_along(op, self.windows, shape, self._layout(0))
        on_map = len(shape) - 2 == len(fields) and all(field.row is None for field in fields)
        if on_map and len(windows) == len(fields):
            fields = [field.through(w) for field, w in zip(fields, windows, strict=True)]
        elif windows:
            fields = [field.across(windows) for field in fields]
        if op.places == "folded":
            complete = all(field.row is None or field.row.complete for field in fields)
            row = Row(shape[2:] if on_map else None, complete and self._folds_all())
            return tuple(field.put(row) for field in fields)
        if op.places == "restored":
            sizes = self.shapes[-1][2:]
            lost = Row(None, False)
            return tuple(
                f.put(None if f.row is None or f.row.is_that_of(sizes) else lost) for f in fields
            )
        return tuple(fields)

    def _folds_all(self) -> bool:
        """Whether a row holds all places of a map: Flatten can leave an axis out."""
        if self.op.name() != "Flatten":
            return True
        rank = len(self.shapes[0])
        given = self.op.given()
        return bool(given["start_dim"] % rank <= 2 and given["end_dim"] % rank == rank - 1)

    def _lost(self, fields: Sequence[Field]) -> tuple[Field, ...]:
        """One place of all, or places in an order that is not followed."""
        if any(_is_global(window) for window in self.windows):
            return tuple(_GLOBAL for _ in fields)
        if len(self.output) < len(self.shapes[0]):
            # One token. What attention has gathered in it is left; else it depends on which it is.
            one = Row(None, False)
            return tuple(_GLOBAL if f.is_global else f.unknown().put(one) for f in fields)
        longer = self.op.layout == "tokens"  # a class token among them
        row = Row(None, longer and all(f.row is not None and f.row.complete for f in fields))
        return tuple(field.put(row) for field in fields)

    def _layout(self, number: int) -> Layout:
        return self.graph.nodes[self.node.inputs[number]].layout

    # ------------------------------------------------------------------ several values

    def _joined(self, name: str) -> tuple[Field, ...]:
        known = self.result.by_node
        branches = [
            (known[index][name], shape)
            for index, shape in zip(self.values, self.shapes, strict=False)
            if name in known[index]
        ]
        axes = len(branches[0][0])
        return tuple(self._united(name, axis, branches) for axis in range(axes))

    def _united(
        self, name: str, axis: int, branches: Sequence[tuple[tuple[Field, ...], Shape]]
    ) -> Field:
        fields = []
        for several, shape in branches:
            field = several[axis]
            if self._stretched(axis, shape):
                field = _GLOBAL  # one place for all of the others'
            fields.append(field)
        is_global = any(field.is_global for field in fields)
        local = [field for field in fields if field.size is not None or not field.known]
        if not local:
            return _GLOBAL
        first = local[0]
        in_line = self._in_line(axis)
        if any(not field.known for field in local):
            row = None if all(field.row is None for field in local) else Row(None, False)
            return Field(None, is_global, row, known=False)
        if in_line:
            # Of tokens in one row, others than one map's.
            row = Row(None, True) if first.row is not None else None
            return self._largest(local, is_global, row)
        same = all(f.row is first.row or (f.row and f.row.same(first.row)) for f in local)
        if len(local) == 1:
            return first.globally() if is_global else first
        grids = [field._grid for field in local if field._grid is not None]
        if len(grids) < len(local) or not same:
            # Features side by side read each their own; a sum would read both.
            if self.op.name() == "Concat":
                return self._largest(local, is_global, self._side_by_side(local))
            alike = same and first.row is not None and len({field.size for field in local}) == 1
            if alike and len(grids) == 0:
                return first.globally() if is_global else first
            return Field(None, is_global, Row(None, False), known=False)
        united = grids[0]
        for grid in grids[1:]:
            both = united.united(grid)
            if both is None:
                return self._without_grid(name, axis, grids, is_global)
            united = both
        self._align(name, axis, grids)
        return Field(united, is_global, first.row)

    @staticmethod
    def _side_by_side(fields: Sequence[Field]) -> Row:
        return Row(None, all(field.row is not None and field.row.complete for field in fields))

    def _stretched(self, axis: int, shape: Shape) -> bool:
        """Whether a gate's single place is spread over the axis."""
        if len(shape) != len(self.output) or len(shape) < axis + 3:
            return False
        size, wanted = shape[axis + 2], self.output[axis + 2]
        return isinstance(size, int) and size == 1 and not (isinstance(wanted, int) and wanted == 1)

    def _in_line(self, axis: int) -> bool:
        """Whether places of this axis are put after one another, not channels side by side."""
        if self.op.name() != "Concat":
            return False
        dim: int = self.op.given()["dim"]
        return dim == 1 if self._layout(0) == "tokens" else dim == axis + 2

    @staticmethod
    def _largest(fields: Sequence[Field], is_global: bool, row: Row | None) -> Field:
        exact = all(field.exact for field in fields)
        return Field(None, is_global, row, max(_size(f) for f in fields), exact)

    def _without_grid(self, name: str, axis: int, grids: Sequence[Grid], is_global: bool) -> Field:
        """Branches of unequal jumps: the largest of all outputs' fields on the map at hand."""
        self._align(name, axis, grids)
        outputs = self.output[axis + 2] if len(self.output) > axis + 2 else None
        if not isinstance(outputs, int):
            return Field(None, is_global, known=False)
        exact = all(grid.exact for grid in grids)
        turns = lcm(*(grid.moves for grid in grids)) if exact else 1
        if turns > MAX_TURNS:
            exact, turns = False, 1
        turns = min(turns, outputs)
        # From one turn to the next, sizes are the largest of linear ones: so they are at the ends.
        largest = 0
        for output in {*range(turns), *range(outputs - turns, outputs)}:
            bounds = [self._rows(grid, output, exact) for grid in grids]
            rows = [pair for pair in bounds if pair is not None]
            if any(isinstance(row, Formula) for pair in rows for row in pair):
                return Field(None, is_global, known=False)
            if rows:
                low, high = _hull(rows, rows)
                largest = max(largest, int((high - low) // 1) + 1)
        return Field(None, is_global, None, largest, exact)

    @staticmethod
    def _rows(grid: Grid, output: int, exact: bool) -> Interval | None:
        if exact:
            return grid.at(output)
        bounds = grid.bounds()
        return bounds and (bounds[0] + output * grid.jump, bounds[1] + output * grid.jump)

    def _align(self, name: str, axis: int, grids: Sequence[Grid]) -> None:
        """Take down branches whose jumps or centres differ."""
        jumps = tuple(grid.jump for grid in grids)
        offsets = tuple(grid.offset for grid in grids)
        differ = len(set(jumps)) > 1 or (None not in offsets and len(set(offsets)) > 1)
        if differ:
            self.result.misaligned.append(Misalignment(self.node, name, axis, jumps, offsets))


def _size(field: Field) -> int:
    size = field.size
    assert size is not None
    return size


def windows_along(
    op: Op, windows: Sequence[Window], shape: Shape, layout: Layout
) -> Sequence[Window]:
    """The windows of a layer, also over features and along the only axis of N×C×L.

    `Op.windows` tells of spatial axes; it is not told the layout, and takes values of three axes
    for tokens, whose last axis is their features.
    """
    if len(shape) == 2 and op.name() in _MIX_FEATURES:
        return [GLOBAL]
    if windows or op.layout != "any" or layout != "channels" or len(shape) != 3:
        return windows
    if op.name() == "Linear":
        return [GLOBAL]
    if op.given().get("dim", 1) % 3 != 2:
        return windows
    # As on a map of L×L along its last axis: the window that does something is the one.
    lifted = type(op)(**{**op.given(), "dim": -1}).windows((*shape, shape[2]))
    return [window for window in lifted if not _trivial(window)]


def propagate(
    graph: Graph, inputs: dict[str, Shape], ops: Sequence[Op | None]
) -> tuple[list[Shape], list[Any]]:
    """The shape and windows of every node at these input shapes (batch first).

    ops: of each node, in place of its own. Where a layer does not accept its input, its shape and
    those after it are ().
    """
    shapes: list[Shape] = []
    windows: list[Any] = []
    for node, op in zip(graph.nodes, ops, strict=True):
        if op is None:
            shapes.append(tuple(inputs[node.path]))
            windows.append(())
            continue
        flowing = [shapes[index] for index in node.inputs]
        if not all(flowing) or any(c.holds() is False for c in op.conditions(*flowing)):
            shapes.append(())
            windows.append(())
            continue
        shapes.append(op.output(*flowing))
        windows.append(op.windows(*flowing))
    return shapes, windows
