"""Which whole numbers, in the place of those left open, make a layer give a wanted output.

Every unknown is tried in a stated finite range. Unknowns that only one axis of the output depends
on are tried axis by axis: for each choice of the others that is a sum of tries, not a product. What
depends on what is read off the rule itself, run on formulas; where a rule cannot be run so, all
unknowns are tried together. Every solution is at last computed with its numbers.
"""

from __future__ import annotations

from itertools import product as choices
from math import prod

from convcalc.analysis.strides import readings
from convcalc.errors import ConvcalcError, LayerError
from convcalc.integers import Formula, IntegersError, expand, symbol, symbols, where_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from convcalc.analysis.strides import Reading
    from convcalc.ops.base import Op, Shape

    #: Numbers for some unknowns, in the order of the unknowns.
    Values = tuple[int, ...]

#: So many layers are tried at most; ranges are cut so that this is enough.
TRIES = 12_000
#: However few unknowns there are, no size that flows in is tried beyond this.
MAX_SIZE = 4096
#: Where many are open, these ranges are cut last: of arguments, and of sizes that flow in.
FEW, MANY = 12, 256
#: So many solutions are kept; the rest is counted. They are the best of the first so many.
KEPT = 1000
RANKED = 4000
#: So many near misses are told.
NEAREST = 3


class Variable:
    """An unknown: its name, the least and the largest number it may be, and, where it is clear, the
    only one. flows: it is a size of what flows in."""

    __slots__ = ("flows", "least", "most", "name", "only")

    def __init__(self, name: str, least: int, most: int, *, flows: bool = False) -> None:
        self.name = name
        self.least = least
        self.most = most
        self.flows = flows
        self.only: int | None = None


class Solution:
    """Numbers for the unknowns, by name in the order they were given; the layer, what flows in and
    what comes out.

    readings: for each spatial axis how it is read; none for layers without windows. fits: whether
    every stride divides and every row is read; None for such layers.
    """

    __slots__ = ("inputs", "op", "output", "readings", "values")

    def __init__(self, values: dict[str, int], op: Op, inputs: Sequence[Shape], output: Shape):
        self.values = values
        self.op = op
        self.inputs = tuple(inputs)
        self.output = output
        self.readings: tuple[Reading, ...] = readings(op, inputs[0], output)

    @property
    def fits(self) -> bool | None:
        return all(reading.exact for reading in self.readings) if self.readings else None

    @property
    def sensible(self) -> bool:
        """Whether every row is read, and no output reads padding alone."""
        return all(r.unread in (0, None) and not r.blind for r in self.readings)

    def __repr__(self) -> str:
        return f"Solution({self.values}, {self.output})"


class Solved:
    """What was found.

    ranges: for each unknown the first and last number tried. solutions: KEPT of `count`; in front
    those that read every row, and padding alone nowhere, and of these the smallest. nearest: where
    there is none, what comes nearest to the wanted output.
    """

    __slots__ = ("count", "nearest", "ranges", "solutions")

    def __init__(
        self,
        ranges: dict[str, tuple[int, int]],
        solutions: Sequence[Solution],
        count: int,
        nearest: Sequence[Solution],
    ) -> None:
        self.ranges = ranges
        self.solutions = tuple(solutions)
        self.count = count
        self.nearest = tuple(nearest)

    def __repr__(self) -> str:
        return f"Solved({self.count} in {self.ranges})"


class _Search:
    def __init__(
        self,
        variables: Sequence[Variable],
        build: Callable[[Mapping[str, Any]], tuple[Op, Sequence[Shape]]],
        wanted: Sequence[int | None],
    ) -> None:
        self.variables = list(variables)
        self.build = build
        self.wanted = tuple(wanted)
        self.axes = [axis for axis, size in enumerate(wanted) if size is not None]
        self.shared: list[Variable] = []
        self.own: dict[int, list[Variable]] = {axis: [] for axis in self.axes}
        self._divide()
        self.ranges = self._ranges()

    # ------------------------------------------------------------------ what depends on what

    def _divide(self) -> None:
        """Unknowns of one axis alone, and those that several share."""
        free = [v for v in self.variables if v.only is None]
        touched = self._touched(free)
        for variable in self.variables:
            axes = touched.get(variable.name, ()) if touched is not None else ()
            if variable.only is None and len(axes) == 1:
                self.own[next(iter(axes))].append(variable)
            else:
                self.shared.append(variable)

    def _touched(self, free: Sequence[Variable]) -> dict[str, set[int]] | None:
        """For each unknown the axes of the output that its formula shows; None: cannot be told."""
        names = {v.name: f"u{i}" for i, v in enumerate(free)}
        values: dict[str, Any] = {v.name: v.only for v in self.variables}
        values |= {name: symbol(word) for name, word in names.items()}
        try:
            op, shapes = self.build(values)
            op.check(*shapes)
            output = [expand(size) for size in op.output(*shapes)[1:]]
        except (ConvcalcError, ArithmeticError, TypeError, ValueError):
            return None
        if len(output) != len(self.wanted):
            return None
        found: dict[str, set[int]] = {name: set() for name in names}
        for axis in self.axes:
            size = output[axis]
            within = set(symbols(size)) if isinstance(size, Formula) else set()
            for name, word in names.items():
                if word in within:
                    found[name].add(axis)
        return found

    def _ranges(self) -> dict[str, tuple[int, int]]:
        """Ranges for which there are no more than TRIES tries."""
        spans = {v.name: v.most - v.least + 1 if v.only is None else 1 for v in self.variables}
        groups = [group for group in self.own.values() if group]

        def tries() -> int:
            outer = prod(spans[v.name] for v in self.shared)
            return outer * (1 + sum(prod(spans[v.name] for v in group) for group in groups))

        # The widest is cut, arguments down to FEW, then sizes down to MANY, then whatever it is.
        for flows, floor in ((False, FEW), (True, MANY), (None, 1)):
            cut = [v for v in self.variables if flows is None or v.flows is flows]
            while cut and tries() > TRIES:
                widest = max(cut, key=lambda v: spans[v.name])
                if spans[widest.name] <= floor:
                    break
                spans[widest.name] -= max(1, spans[widest.name] // 16)
        return {
            v.name: (v.least, v.least + spans[v.name] - 1) if v.only is None else (v.only, v.only)
            for v in self.variables
        }

    def span(self, variables: Sequence[Variable]) -> Iterator[Values]:
        ranges = [self.ranges[v.name] for v in variables]
        return choices(*(range(low, high + 1) for low, high in ranges))

    # ------------------------------------------------------------------ trying

    def output(self, values: Mapping[str, Any]) -> Shape | None:
        """What comes out without the batch, or None where the layer is refused."""
        try:
            op, shapes = self.build(values)
            op.check(*shapes)
            if any(condition.holds() is False for condition in op.conditions(*shapes)):
                return None
            return op.output(*shapes)[1:]
        except (ConvcalcError, ArithmeticError):
            return None

    def run(self) -> Solved:
        found: list[dict[str, int]] = []
        near: list[tuple[int, int, dict[str, int]]] = []
        count = 0
        groups = {axis: group for axis, group in self.own.items() if group}
        own = [v for group in groups.values() for v in group]
        free = {v.name: symbol(f"u{i}") for i, v in enumerate(own)}
        for shared in self.span(self.shared):
            base = dict(zip((v.name for v in self.shared), shared, strict=True))
            miss = self._miss({**base, **free}, [a for a in self.axes if a not in groups])
            if miss is None:
                continue
            parts = [self._axis(axis, group, {**free, **base}) for axis, group in groups.items()]
            if any(not exact and best is None for exact, best in parts):
                continue
            if miss == 0 and all(exact for exact, _ in parts):
                count += self._join(base, [exact for exact, _ in parts], found)
                continue
            values = dict(base)
            for exact, best in parts:
                if exact or best is None:
                    values |= exact[0]
                else:
                    miss += best[0]
                    values |= best[1]
            near.append((miss, sum(values.values()), values))
            if len(near) > 4 * KEPT:
                near = sorted(near, key=lambda entry: entry[:2])[:KEPT]
        solutions = [s for v in self._sorted(found) if (s := self._solution(v, exactly=True))]
        count -= len(found) - len(solutions)
        solutions.sort(key=lambda solution: not solution.sensible)
        del solutions[KEPT:]
        nearest: list[Solution] = []
        if not solutions:
            for _, _, values in sorted(near, key=lambda entry: entry[:2]):
                solution = self._solution(values, exactly=False)
                if solution is not None:
                    nearest.append(solution)
                if len(nearest) == NEAREST:
                    break
        return Solved(self.ranges, solutions, count, nearest)

    def _miss(self, values: Mapping[str, Any], axes: Sequence[int]) -> int | None:
        """How far these axes of the output are from what is wanted; None where it is refused."""
        output = self.output(values)
        if output is None or len(output) != len(self.wanted):
            return None
        miss = 0
        for axis in axes:
            size, wanted = output[axis], self.wanted[axis]
            if not isinstance(size, int) or wanted is None:
                return None
            miss += abs(size - wanted)
        return miss

    def _axis(
        self, axis: int, group: Sequence[Variable], base: Mapping[str, Any]
    ) -> tuple[list[dict[str, int]], tuple[int, dict[str, int]] | None]:
        """The values of an axis's own unknowns that give what is wanted of it; the nearest miss."""
        exact: list[dict[str, int]] = []
        best: tuple[int, dict[str, int]] | None = None
        if len(group) == 1:
            exact = list(self._by_formula(axis, group[0], base))
            if exact:
                return exact, None
        for values in self.span(group):
            own = dict(zip((v.name for v in group), values, strict=True))
            miss = self._miss({**base, **own}, [axis])
            if miss == 0:
                exact.append(own)
            elif miss is not None and (best is None or miss < best[0]):
                best = miss, own
        return exact, best

    def _by_formula(
        self, axis: int, variable: Variable, base: Mapping[str, Any]
    ) -> Iterator[dict[str, int]]:
        """The same for one unknown, without trying each number; nothing where that cannot be."""
        output = self.output({**base, variable.name: symbol("u")})
        size = None if output is None or len(output) != len(self.wanted) else output[axis]
        if not isinstance(size, Formula) or list(symbols(size)) != ["u"]:
            return
        low, high = self.ranges[variable.name]
        wanted = self.wanted[axis]
        assert wanted is not None
        try:
            runs = where_equal(size, wanted).up_to(high)
        except IntegersError:
            return
        for first, last in runs:
            for number in range(max(first, low), last + 1):
                if self._miss({**base, variable.name: number}, [axis]) == 0:
                    yield {variable.name: number}

    def _join(
        self,
        base: Mapping[str, int],
        parts: Sequence[list[dict[str, int]]],
        found: list[dict[str, int]],
    ) -> int:
        """Every combination of the axes' values, as many as are kept; gives how many there are."""
        count = 1
        for part in parts:
            count *= len(part)
        room = RANKED - len(found)
        for combination in choices(*parts):
            if room <= 0:
                break
            room -= 1
            values = dict(base)
            for own in combination:
                values |= own
            found.append(values)
        return count

    def _sorted(self, found: list[dict[str, int]]) -> list[dict[str, int]]:
        names = [v.name for v in self.variables]
        return sorted(found, key=lambda v: (sum(v.values()), [v[name] for name in names]))

    def _solution(self, values: Mapping[str, int], *, exactly: bool) -> Solution | None:
        """The layer at these numbers, if it is valid, and gives what is wanted."""
        ordered = {v.name: values[v.name] for v in self.variables}
        try:
            op, shapes = self.build(ordered)
            op.check(*shapes)
        except LayerError:
            return None
        if any(condition.holds() is not True for condition in op.conditions(*shapes)):
            return None
        output = op.output(*shapes)
        if exactly and any(output[axis + 1] != self.wanted[axis] for axis in self.axes):
            return None
        return Solution(ordered, op, shapes, output)


def solve(
    variables: Sequence[Variable],
    build: Callable[[Mapping[str, Any]], tuple[Op, Sequence[Shape]]],
    wanted: Sequence[int | None],
) -> Solved:
    """Find numbers for the variables.

    build: makes the layer and the shapes that flow in of numbers, or formulas, by name; raises
        LayerError for numbers that the layer refuses.
    wanted: the output without the batch; None for sizes that may be any.
    """
    return _Search(variables, build, wanted).run()
