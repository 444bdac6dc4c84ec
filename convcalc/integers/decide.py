"""Questions about all values of the symbols at once: proved, refuted, or unknown; never a guess.

A formula is refuted by a point, and proved by its bounds or by a finite grid of points that decides
(`quasipolynomials` has the reason).
"""

from __future__ import annotations

from enum import Enum
from itertools import product as grid_points

from .differences import differences_of, falls_below, roots
from .errors import UndecidedError
from .evaluation import compile_unchecked, probe_point, symbols
from .formulas import Formula, as_formula, bounds, expand
from .printing import short
from .quasipolynomials import Axis, shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    from .formulas import Size

GRID_LIMIT = 200_000  # points evaluated for one answer
_SEARCHES = 50  # residue classes in which a lower value is looked for far away


class Answer(Enum):
    """What became of a question."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


class Decision:
    """An answer, why, and for a refuted formula a counterexample {symbol: value}."""

    __slots__ = ("answer", "counterexample", "reason")

    def __init__(
        self, answer: Answer, reason: str, counterexample: dict[str, int] | None = None
    ) -> None:
        self.answer = answer
        self.reason = reason
        self.counterexample = counterexample

    @property
    def proved(self) -> bool:
        return self.answer is Answer.PROVED

    @property
    def refuted(self) -> bool:
        return self.answer is Answer.REFUTED

    @property
    def unknown(self) -> bool:
        return self.answer is Answer.UNKNOWN

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has three answers; ask .proved, .refuted or .unknown")

    def __repr__(self) -> str:
        at = _at(self.counterexample or {})
        return f"<{self.answer.value}{' at ' + at if at else ''}: {self.reason}>"


def _proved(reason: str) -> Decision:
    return Decision(Answer.PROVED, reason)


def _unknown(reason: str) -> Decision:
    return Decision(Answer.UNKNOWN, reason)


def _refuted(reason: str, at: dict[str, int]) -> Decision:
    return Decision(Answer.REFUTED, reason, at)


# Points to try.


def _samples(lowers: dict[str, int]) -> Iterator[dict[str, int]]:
    """Points where a false claim is likely to fail: small ones, mixed ones, large ones."""
    steps = (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 15, 23, 31, 63, 64, 223, 224, 226, 997)
    for step in steps:
        yield {name: lower + step for name, lower in lowers.items()}
    if len(lowers) > 1:
        for shift in range(1, 20):
            yield {
                name: lower + steps[(shift * (place + 1) ** 2 + 7 * place) % len(steps)]
                for place, (name, lower) in enumerate(lowers.items())
            }
    for index in range(4):
        yield {name: probe_point(name, lower, index) for name, lower in lowers.items()}


def _first(
    points: Iterable[dict[str, int]],
    value: Callable[[dict[str, int]], int],
    fails: Callable[[int], bool],
) -> dict[str, int] | None:
    for point in points:
        try:
            if fails(value(point)):
                return point
        except ZeroDivisionError:  # a symbolic divisor: no value there
            continue
    return None


def _at(point: dict[str, int]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in point.items())


# Equality.


def equal(left: Size, right: Size) -> Decision:
    """Whether two sizes are equal for all values of their symbols (arrays: in all elements)."""
    if not (isinstance(left, (int, Formula)) and isinstance(right, (int, Formula))):
        return _of_constants(bool(left == right), "they differ", "the same")
    difference = expand(as_formula(left) - right)
    constant = difference.constant
    if constant is not None:
        return _of_constants(constant == 0, f"they differ by {short(constant)}", "of the same form")
    lowers = symbols(difference)
    value = compile_unchecked(difference)
    point = _first(_samples(lowers), value, lambda v: v != 0)
    if point is None:
        try:
            axes = shape(difference).axes
        except UndecidedError as error:
            return _unknown(f"{difference} = 0 cannot be decided: {error}")
        size = _grid_size(axes, lowers)
        if size > GRID_LIMIT:
            return _unknown(_too_large(size))
        ranges = [
            range(lowers[name], max(axis.start, lowers[name]) + axis.period * (axis.degree + 1))
            for name, axis in axes.items()
        ]
        grid = (dict(zip(axes, at, strict=True)) for at in grid_points(*ranges))
        point = _first(grid, value, lambda v: v != 0)
        if point is None:
            return _proved(f"equal at {size:,} points, which decide")
    return _refuted(f"they differ by {short(value(point))} at {_at(point)}", point)


def _grid_size(axes: dict[str, Axis], lowers: dict[str, int]) -> int:
    size = 1
    for name, axis in axes.items():
        size *= max(axis.start - lowers[name], 0) + axis.period * (axis.degree + 1)
    return size


def _too_large(size: int) -> str:
    return f"a proof needs {short(size)} points; the limit is {GRID_LIMIT:,}"


def _of_constants(holds: bool, why_not: str, why: str) -> Decision:
    return _proved(why) if holds else _refuted(why_not, {})


def decided_equal(left: Formula, right: Formula) -> bool:
    """`==` of formulas: `equal`, but UndecidedError for unknown."""
    decision = equal(left, right)
    if decision.unknown:
        raise UndecidedError(f"whether {left} equals {right} is unknown: {decision.reason}")
    return decision.proved


# Order.


def at_least(size: Size, bound: int) -> Decision:
    """Whether size >= bound for all values of its symbols at or above their lower bounds.

    Exact for formulas of one symbol, and for those of several that are linear on each residue
    class; with products of several symbols it may stay unknown.
    """
    if isinstance(size, int):
        return _of_constants(size >= bound, f"it is {short(size)}", f"it is {short(size)}")
    if not isinstance(size, Formula):
        return _array_at_least(size, bound)
    formula = expand(size)
    low, _ = bounds(formula)
    if low is not None and low >= bound:
        return _proved(f"it is at least {short(low)} by the bounds of its parts")
    constant = formula.constant
    if constant is not None:
        return _refuted(f"it is {short(constant)}", {})
    lowers = symbols(formula)
    value = compile_unchecked(formula)
    point = _first(_samples(lowers), value, lambda v: v < bound)
    if point is not None:
        return _refuted(f"it is {short(value(point))} at {_at(point)}", point)
    try:
        axes = shape(formula).axes
    except UndecidedError as error:
        return _unknown(f"{formula} >= {bound} cannot be decided: {error}")
    size = _grid_size(axes, lowers)
    if size > GRID_LIMIT:
        return _unknown(_too_large(size))
    return _least_on_cells(value, axes, lowers, bound, size)


def _array_at_least(size: Any, bound: int) -> Decision:
    from .arrays import IntArray

    if not isinstance(size, IntArray):
        raise TypeError(f"{size} has no value that could be at least {bound}")
    least = size.least
    if least is None or least >= bound:
        return _proved("no element is smaller")
    return Decision(Answer.REFUTED, f"an element is {least}")


def _least_on_cells(
    value: Callable[[dict[str, int]], int],
    axes: dict[str, Axis],
    lowers: dict[str, int],
    bound: int,
    size: int,
) -> Decision:
    """Goes through the single values below each start and the residue classes from there on."""
    choices = []
    for name, axis in axes.items():
        start = max(axis.start, lowers[name])
        single = [Axis(at, 0, 0) for at in range(lowers[name], start)]
        choices.append(single + [axis._replace(start=start + r) for r in range(axis.period)])
    undecided = 0
    for cell in grid_points(*choices):
        search = undecided < _SEARCHES
        found = _cell_falls(value, dict(zip(axes, cell, strict=True)), bound, search)
        if isinstance(found, dict):
            return _refuted(f"it is {short(value(found))} at {_at(found)}", found)
        undecided += not found
    if undecided:
        return _unknown("some terms of several symbols rise and others fall")
    return _proved(f"shown by {size:,} points, which decide")


def _cell_falls(
    value: Callable[[dict[str, int]], int], cell: dict[str, Axis], bound: int, search: bool
) -> dict[str, int] | bool:
    """On start + period * j, j >= 0: a point below `bound`; else True if there is none, False if
    that is not known. `search` looks for one far away."""

    def point(steps: tuple[int, ...]) -> dict[str, int]:
        return {
            name: axis.start + axis.period * step
            for (name, axis), step in zip(cell.items(), steps, strict=True)
        }

    degrees = [axis.degree for axis in cell.values()]
    table = _mixed_differences(lambda steps: value(point(steps)), degrees)
    for place, degree in enumerate(degrees):  # along each symbol alone, exactly

        def along(j: int, place: int = place) -> tuple[int, ...]:
            return tuple(j if other == place else 0 for other in range(len(degrees)))

        j = falls_below([table[along(k)] for k in range(degree + 1)], bound)
        if j is not None:
            return point(along(j))
    # As binomials are never negative, with no negative difference the start is the least.
    falling = [steps for steps, difference in table.items() if difference < 0]
    if not falling or len(degrees) == 1:
        return True
    for steps in falling if search else ():  # far along the symbols of a falling term, it may win
        for exponent in range(1, 40):
            far = point(tuple((1 << exponent) * (step > 0) for step in steps))
            if value(far) < bound:
                return far
    return False


def _mixed_differences(
    value: Callable[[tuple[int, ...]], int], degrees: list[int]
) -> dict[tuple[int, ...], int]:
    """D of f(j1, j2, …) = sum of D[k1, k2, …] * C(j1, k1) * C(j2, k2) * …, of those degrees."""
    table = {steps: value(steps) for steps in grid_points(*(range(d + 1) for d in degrees))}
    for place, degree in enumerate(degrees):
        for order in range(1, degree + 1):
            for steps in sorted(table, reverse=True):
                if steps[place] >= order:
                    before = (*steps[:place], steps[place] - 1, *steps[place + 1 :])
                    table[steps] -= table[before]
    return table


# One symbol: residue classes.


def residues(predicate: Callable[[int], bool], modulus: int) -> tuple[int, list[int]]:
    """(smallest modulus, residues) of the numbers for which a periodic predicate holds.

    `predicate` must have the period `modulus`; it is asked for modulus … 2 * modulus - 1, so never
    for a size below 1.
    """
    if modulus < 1:
        raise ValueError(f"a modulus is at least 1, not {modulus}")
    return _compressed([predicate(modulus + r) for r in range(modulus)])


def _compressed(holds: list[bool]) -> tuple[int, list[int]]:
    modulus = len(holds)
    factor = 2
    rest = modulus
    while rest > 1:  # divide by each prime factor as often as the pattern repeats
        if factor * factor > rest:
            factor = rest
        if rest % factor:
            factor += 1
            continue
        rest //= factor
        smaller = modulus // factor
        if holds[:smaller] * factor == holds[:modulus]:
            modulus = smaller
    return modulus, [r for r in range(modulus) if holds[r]]


def equal_classes(left: int | Formula, right: int | Formula) -> tuple[int, list[int], list[int]]:
    """Where two sizes of one symbol x agree: (modulus, residues, extra).

    They are equal exactly for x = r (mod modulus), r a residue, and for the sporadic values
    `extra`, all at or above x's lower bound. Raises UndecidedError with a second symbol, a symbolic
    divisor, a maximum or minimum that breaks the pattern, or a period beyond the limit.
    """
    difference = expand(as_formula(left) - right)
    constant = difference.constant
    if constant is not None:
        return (1, [0], []) if constant == 0 else (1, [], [])
    lowers = symbols(difference)
    if len(lowers) != 1:
        raise UndecidedError(f"{left} and {right} have several symbols: {', '.join(lowers)}")
    ((name, lower),) = lowers.items()
    axis = shape(difference).axes[name]
    size = _grid_size({name: axis}, lowers)
    if size > GRID_LIMIT:
        raise UndecidedError(f"where {left} and {right} agree: {_too_large(size)}")
    value = compile_unchecked(difference)
    start, period = max(axis.start, lower), axis.period
    holds = [False] * period
    extra: list[int] = []
    for first in range(start, start + period):
        values = [value({name: first + period * j}) for j in range(axis.degree + 1)]
        differences = differences_of(values)
        if differences:
            extra.extend(first + period * j for j in roots(differences))
        else:
            holds[first % period] = True
    early = range(lower, start)  # before a maximum or minimum has settled
    agree = {x for x in early if value({name: x}) == 0}
    broken = [x for x in early if holds[x % period] and x not in agree]
    if broken:
        raise UndecidedError(
            f"{left} and {right} agree on residue classes only from {name} = {broken[-1] + 1} on"
        )
    extra.extend(x for x in agree if not holds[x % period])
    modulus, classes = _compressed(holds)
    return modulus, classes, sorted(extra)
