"""Questions about all values of the symbols at once: proved, refuted, or unknown; never a guess.

Why finitely many points prove something. Take x = r + m*j, r fixed. By induction, every formula of
symbols, + - * and floor(P/d) is, on each residue class r of a modulus m, a polynomial in j with
integer coefficients: a symbol with m = 1; sums and products with the lcm of the moduli; and if P
is such a polynomial in j, then with j = d*i all its coefficients but the constant one are
multiples of d, so floor(P/d) is such a polynomial in i. With several symbols the same holds in all
j's at once. So a formula has a period and a degree in each symbol, and it is zero everywhere if and
only if it is zero on `period * (degree + 1)` consecutive values of each symbol.
"""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from itertools import product as grid_points
from math import comb, gcd, lcm

from .errors import UndecidedError
from .evaluation import atoms_of, compile_unchecked, probe_point, symbols
from .formulas import (
    ATOMS,
    FLOOR,
    NAMED,
    QUOTIENT,
    SYMBOL,
    Formula,
    as_formula,
    bounds,
    expand,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    from .formulas import Size, Terms

GRID_LIMIT = 200_000  # points evaluated for one answer


class Answer(Enum):
    """What became of a question."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


class Decision:
    """An answer, a counterexample {symbol: value} if refuted, and why."""

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
        at = ", ".join(f"{name}={value}" for name, value in (self.counterexample or {}).items())
        return f"<{self.answer.value}{' at ' + at if at else ''}: {self.reason}>"


def _proved(reason: str) -> Decision:
    return Decision(Answer.PROVED, reason)


def _unknown(reason: str) -> Decision:
    return Decision(Answer.UNKNOWN, reason)


def _refuted(reason: str, at: dict[str, int]) -> Decision:
    return Decision(Answer.REFUTED, reason, at)


# Periods and degrees.


def periods(formula: int | Formula) -> dict[str, tuple[int, int]]:
    """{symbol: (period, degree)} of an integer formula, by the argument above.

    The period is a multiple of the smallest one. Raises UndecidedError where a maximum, minimum or
    symbolic divisor comes in.
    """
    if not isinstance(formula, Formula):
        return {}
    known: dict[int, dict[str, tuple[int, int]]] = {}
    for number in atoms_of([formula]):
        atom = ATOMS[number]
        if atom.kind == SYMBOL:
            known[number] = {atom.name: (1, 1)}
        elif atom.kind == NAMED:
            known[number] = _polynomial_periods(atom.parts[0]._terms, known)
        elif atom.kind == FLOOR:
            known[number] = _floor_periods(atom.parts[0]._terms, atom.divisor, known)
        else:
            what = "a symbolic divisor" if atom.kind == QUOTIENT else "a maximum or minimum"
            raise UndecidedError(f"{formula} has no known period: it holds {what}")
    return _polynomial_periods(formula._terms, known)


def _polynomial_periods(
    terms: Terms, known: dict[int, dict[str, tuple[int, int]]]
) -> dict[str, tuple[int, int]]:
    result: dict[str, tuple[int, int]] = {}
    for monomial in terms:
        for name, (period, degree) in _monomial_periods(monomial, known).items():
            old_period, old_degree = result.get(name, (1, 0))
            result[name] = (lcm(old_period, period), max(old_degree, degree))
    return result


def _monomial_periods(
    monomial: Iterable[int], known: dict[int, dict[str, tuple[int, int]]]
) -> dict[str, tuple[int, int]]:
    result: dict[str, tuple[int, int]] = {}
    for number in monomial:
        for name, (period, degree) in known[number].items():
            old_period, old_degree = result.get(name, (1, 0))
            result[name] = (lcm(old_period, period), old_degree + degree)
    return result


def _floor_periods(
    terms: Terms, divisor: int, known: dict[int, dict[str, tuple[int, int]]]
) -> dict[str, tuple[int, int]]:
    # A monomial's coefficient c stands in all its coefficients in j, so j = i * d/gcd(d, c) is
    # enough for it to become a multiple of d.
    result = _polynomial_periods(terms, known)
    factors: dict[str, int] = {}
    for monomial, c in terms.items():
        factor = divisor // gcd(divisor, c)
        for number in monomial:
            for name in known[number]:
                factors[name] = lcm(factors.get(name, 1), factor)
    return {name: (p * factors[name], degree) for name, (p, degree) in result.items()}


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
        return _plain_equality(left, right)
    difference = expand(as_formula(left) - right)
    constant = difference.constant
    if constant is not None:
        return _constant_decision(constant == 0, f"they differ by {constant}", "the same form")
    lowers = symbols(difference)
    value = compile_unchecked(difference)
    point = _first(_samples(lowers), value, lambda v: v != 0)
    if point is None:
        try:
            shape = periods(difference)
        except UndecidedError as error:
            return _unknown(str(error))
        size = 1
        for period, degree in shape.values():
            size *= period * (degree + 1)
        if size > GRID_LIMIT:
            return _unknown(f"a proof needs {_count(size)} points; the limit is {GRID_LIMIT:,}")
        axes = [
            range(lowers[name], lowers[name] + period * (degree + 1))
            for name, (period, degree) in shape.items()
        ]
        grid = (dict(zip(shape, at, strict=True)) for at in grid_points(*axes))
        point = _first(grid, value, lambda v: v != 0)
        if point is None:
            return _proved(f"equal on a grid of {size:,} points, which decides")
    return _refuted(f"they differ by {value(point)} at {_at(point)}", point)


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"about 2**{number.bit_length()}"


def _plain_equality(left: Size, right: Size) -> Decision:
    return _constant_decision(bool(left == right), "they differ", "the same")


def _constant_decision(holds: bool, why_not: str, why: str) -> Decision:
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

    Exact for formulas of one symbol, and for those of several in which every residue class is
    either constant, linear, or has no falling coefficient; otherwise often unknown.
    """
    if isinstance(size, int):
        return _constant_decision(size >= bound, f"it is {size}", f"it is {size}")
    if not isinstance(size, Formula):
        return _array_at_least(size, bound)
    formula = expand(size)
    low, _ = bounds(formula)
    if low is not None and low >= bound:
        return _proved(f"it is at least {low} by the bounds of its parts")
    constant = formula.constant
    if constant is not None:
        return _refuted(f"it is {constant}", {})
    lowers = symbols(formula)
    value = compile_unchecked(formula)
    point = _first(_samples(lowers), value, lambda v: v < bound)
    if point is not None:
        return _refuted(f"it is {value(point)} at {_at(point)}", point)
    try:
        shape = periods(formula)
    except UndecidedError as error:
        return _unknown(str(error))
    return _least_by_classes(value, shape, lowers, bound)


def _array_at_least(size: Any, bound: int) -> Decision:
    from .arrays import IntArray

    if not isinstance(size, IntArray):
        raise TypeError(f"{size} has no value that could be at least {bound}")
    least = size.least
    if least is None or least >= bound:
        return _proved("no element is smaller")
    return _refuted(f"an element is {least}", {})


def _least_by_classes(
    value: Callable[[dict[str, int]], int],
    shape: dict[str, tuple[int, int]],
    lowers: dict[str, int],
    bound: int,
) -> Decision:
    names = list(shape)
    size = 1
    for period, degree in shape.values():
        size *= period * (degree + 1)
    if size > GRID_LIMIT:
        return _unknown(f"a proof needs {_count(size)} points; the limit is {GRID_LIMIT:,}")
    open_question = False
    for start in grid_points(*(range(lowers[n], lowers[n] + shape[n][0]) for n in names)):
        if len(names) == 1:
            (name,) = names
            period, degree = shape[name]
            values = [value({name: start[0] + period * j}) for j in range(degree + 1)]
            j = _falls_below(_differences(values), bound)
            if j is not None:
                point = {name: start[0] + period * j}
                return _refuted(f"it is {value(point)} at {_at(point)}", point)
            continue
        found = _class_of_several(value, shape, names, start, bound)
        if isinstance(found, dict):
            return _refuted(f"it is {value(found)} at {_at(found)}", found)
        open_question = open_question or not found
    if open_question:
        return _unknown("terms of several symbols fall and rise; no value below was found")
    return _proved(f"shown on {size:,} points: every residue class rises from there")


def _class_of_several(
    value: Callable[[dict[str, int]], int],
    shape: dict[str, tuple[int, int]],
    names: list[str],
    start: tuple[int, ...],
    bound: int,
) -> dict[str, int] | bool:
    """On one residue class: True if never below `bound`, False if not known, or a point below.

    f = sum of D[k] * C(j1, k1) * C(j2, k2) …, D the mixed forward differences at the start; all
    binomials are >= 0, so it cannot fall below f(start) if no D is negative.
    """
    ranges = [range(shape[name][1] + 1) for name in names]

    def point(steps: tuple[int, ...]) -> dict[str, int]:
        return {
            name: first + shape[name][0] * step
            for name, first, step in zip(names, start, steps, strict=True)
        }

    table = {steps: value(point(steps)) for steps in grid_points(*ranges)}
    for axis, steps_range in enumerate(ranges):
        for order in range(1, len(steps_range)):
            for steps in sorted(table, reverse=True):
                if steps[axis] >= order:
                    before = (*steps[:axis], steps[axis] - 1, *steps[axis + 1 :])
                    table[steps] -= table[before]
    origin = (0,) * len(names)
    if table[origin] < bound:
        return point(origin)
    falling = [steps for steps, difference in table.items() if difference < 0]
    if not falling:
        return True
    for steps in falling:  # far along the falling terms' own axes, they may win
        for exponent in range(1, 40):
            at = point(tuple((1 << exponent) * (step > 0) for step in steps))
            if value(at) < bound:
                return at
    return False


# Polynomials on the integers j >= 0, by their forward differences at 0:
# p(j) = sum of differences[k] * C(j, k).


def _differences(values: list[int]) -> list[int]:
    result = []
    while values:
        result.append(values[0])
        values = [after - before for before, after in pairwise(values)]
    while result and not result[-1]:
        result.pop()
    return result


def _value(differences: list[int], j: int) -> int:
    return sum(difference * comb(j, k) for k, difference in enumerate(differences))


def _sign_changes(differences: list[int]) -> list[int]:
    """The j > 0 where the sign of p(j) differs from that of p(j - 1), exactly, in order."""
    if len(differences) < 2:
        return []
    # p is monotone between the sign changes of its difference; past the last one for ever.
    ends = [0, *_sign_changes(differences[1:])]
    last = ends[-1]
    step = 1
    rising = differences[-1] > 0
    while (_value(differences, last + step) > 0) != rising or not _value(differences, last + step):
        step *= 2
    ends.append(last + step)
    changes: list[int] = []
    for first, end in pairwise(ends):
        j = first
        while j < end and (following := _next_change(differences, j, end)) is not None:
            changes.append(following)
            j = following
    return sorted(set(changes))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _next_change(differences: list[int], start: int, end: int) -> int | None:
    """The first j in (start, end] whose sign differs from that at `start`; p is monotone there."""
    sign = _sign(_value(differences, start))
    if _sign(_value(differences, end)) == sign:
        return None
    low, high = start, end
    while high - low > 1:
        middle = (low + high) // 2
        if _sign(_value(differences, middle)) == sign:
            low = middle
        else:
            high = middle
    return high


def _roots(differences: list[int]) -> list[int]:
    """All j >= 0 with p(j) = 0, where p is not zero everywhere."""
    roots = set()
    for j in (0, *_sign_changes(differences)):
        while not _value(differences, j):  # neighbouring roots show no change of sign
            roots.add(j)
            j += 1
    return sorted(roots)


def _falls_below(differences: list[int], bound: int) -> int | None:
    """A j >= 0 with p(j) < bound, or None if there is none."""
    if not differences:
        return 0 if bound > 0 else None
    shifted = [differences[0] - bound, *differences[1:]]
    if shifted[0] < 0:
        return 0
    for j in _sign_changes(shifted):
        if _value(shifted, j) < 0:
            return j
    return None


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
    `extra`, all at or above x's lower bound. Raises UndecidedError with a maximum, minimum,
    symbolic divisor, a second symbol, or a period beyond the limit.
    """
    difference = expand(as_formula(left) - right)
    constant = difference.constant
    if constant is not None:
        return (1, [0], []) if constant == 0 else (1, [], [])
    lowers = symbols(difference)
    if len(lowers) != 1:
        raise UndecidedError(f"{left} and {right} have several symbols: {', '.join(lowers)}")
    shape = periods(difference)
    ((name, lower),) = lowers.items()
    period, degree = shape[name]
    if period * (degree + 1) > GRID_LIMIT:
        raise UndecidedError(f"the period of {left} - ({right}) in {name} is {_count(period)}")
    value = compile_unchecked(difference)
    holds = [False] * period
    extra: list[int] = []
    for first in range(lower, lower + period):
        differences = _differences([value({name: first + period * j}) for j in range(degree + 1)])
        if not differences:
            holds[first % period] = True
            continue
        extra.extend(first + period * j for j in _roots(differences))
    modulus, classes = _compressed(holds)
    return modulus, classes, sorted(extra)
