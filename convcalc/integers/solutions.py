"""Where a condition on one open size holds: all its solutions at once, exactly.

On each residue class of some modulus a formula of one symbol is a polynomial (`quasipolynomials`
has the reason), so its zeros and its signs on the class are known from a few values. The solutions
of a condition are therefore, on each class, finitely many stretches, the last of which may go on
for ever.
"""

from __future__ import annotations

from math import lcm

from .decide import GRID_LIMIT
from .decide import residues as periodic
from .differences import differences_of, roots, sign_changes
from .differences import value as value_at
from .errors import UndecidedError
from .evaluation import compile_unchecked, symbols
from .formulas import Formula, as_formula, expand
from .printing import short
from .quasipolynomials import shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .formulas import Size

    #: First and last member of a stretch of one residue class; None: it goes on for ever.
    Stretch = tuple[int, int | None]

#: Solutions of a larger modulus are not computed.
MAX_MODULUS = 1 << 16


class Solutions:
    """A set of ints x ≥ lower that is periodic from some x on. Immutable.

    `x in solutions`, `one & other`, `one | other`, `one == other` mean what they do for sets.
    """

    __slots__ = ("_classes", "lower", "modulus", "stretches")

    def __init__(self, lower: int, modulus: int, stretches: dict[int, tuple[Stretch, ...]]) -> None:
        """`stretches`: for each residue with members its stretches, in order, without touching."""
        self.lower = lower
        self.modulus = modulus
        self.stretches = stretches
        self._classes: tuple[int, tuple[int, ...], int] | None = None

    def __contains__(self, x: int) -> bool:
        return any(
            first <= x and (last is None or x <= last)
            for first, last in self.stretches.get(x % self.modulus, ())
        )

    def __and__(self, other: Solutions) -> Solutions:
        """Raises UndecidedError where the common modulus would be too large."""
        modulus = lcm(self.modulus, other.modulus)
        lower = max(self.lower, other.lower)
        if modulus > MAX_MODULUS:
            raise UndecidedError(f"the sizes have a period of {short(modulus)}")
        small, large = sorted((self, other), key=lambda s: len(s.stretches) * modulus // s.modulus)
        stretches: dict[int, tuple[Stretch, ...]] = {}
        for residue, mine in small.stretches.items():
            for r in range(residue, modulus, small.modulus):
                theirs = large.stretches.get(r % large.modulus)
                both = theirs and _common(mine, theirs, r, modulus)
                if both:
                    stretches[r] = both
        return Solutions(lower, modulus, stretches)

    def __or__(self, other: Solutions) -> Solutions:
        """The members of either; of both, the lower bound is the smaller one. Errors as `&`."""
        modulus = lcm(self.modulus, other.modulus)
        if modulus > MAX_MODULUS:
            raise UndecidedError(f"the sizes have a period of {short(modulus)}")
        stretches = {}
        for r in range(modulus):
            either = [*self._of_class(r, modulus), *other._of_class(r, modulus)]
            if either:
                stretches[r] = _joined(sorted(either, key=lambda stretch: stretch[0]), modulus)
        return Solutions(min(self.lower, other.lower), modulus, stretches)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Solutions):
            return NotImplemented
        modulus = lcm(self.modulus, other.modulus)
        pairs = ((self._of_class(r, modulus), other._of_class(r, modulus)) for r in range(modulus))
        return all(mine == theirs for mine, theirs in pairs)

    def _of_class(self, residue: int, modulus: int) -> tuple[Stretch, ...]:
        stretches = self.stretches.get(residue % self.modulus, ())
        return _common(stretches, [(self.lower, None)], residue, modulus)

    __hash__ = None  # type: ignore[assignment]  # equal sets may have unequal moduli

    @property
    def empty(self) -> bool:
        return not self.stretches

    @property
    def everything(self) -> bool:
        """Whether all ints from `lower` on belong to it."""
        return len(self.stretches) == self.modulus and all(
            stretches[0][0] - self.lower < self.modulus and stretches[0][1] is None
            for stretches in self.stretches.values()
        )

    @property
    def finite(self) -> bool:
        return all(stretches[-1][1] is not None for stretches in self.stretches.values())

    def smallest(self, at_least: int | None = None) -> int | None:
        """The smallest member that is at least so large; None where there is none."""
        return min(self._firsts(at_least), default=None)

    def _firsts(self, at_least: int | None) -> Iterator[int]:
        for residue, stretches in self.stretches.items():
            for first, last in stretches:
                if at_least is not None and first < at_least:
                    first = at_least + (residue - at_least) % self.modulus
                if last is None or first <= last:
                    yield first
                    break

    def largest(self, at_most: int | None = None) -> int | None:
        """The largest member that is at most so large; None where there is none, or no end."""
        found: list[int] = []
        for residue, stretches in self.stretches.items():
            for first, last in reversed(stretches):
                if at_most is not None and (last is None or last > at_most):
                    last = at_most - (at_most - residue) % self.modulus
                if last is None:
                    return None
                if first <= last:
                    found.append(last)
                    break
        return max(found, default=None)

    def next_outside(self, x: int) -> int | None:
        """The smallest int from x on that does not belong to it; None where all do."""
        settled = max(self.settled, x)
        while x < settled + self.modulus:
            if x not in self:
                return x
            x += 1
        return None

    @property
    def classes(self) -> tuple[int, tuple[int, ...]]:
        """(modulus, residues), the modulus the smallest: x belongs to it, from `settled` on, if and
        only if x has one of the residues."""
        return self._tail()[:2]

    @property
    def settled(self) -> int:
        """From where on membership is by `classes` alone."""
        return self._tail()[2]

    def _tail(self) -> tuple[int, tuple[int, ...], int]:
        if self._classes is None:
            endless = {r for r, found in self.stretches.items() if found[-1][1] is None}
            modulus, residues = periodic(lambda x: x % self.modulus in endless, self.modulus)
            settled = self.lower
            for stretches in self.stretches.values():
                first, last = stretches[-1]
                if last is not None:
                    settled = max(settled, last + 1)
                elif first - self.modulus >= self.lower:  # the one before it is no member
                    settled = max(settled, first - self.modulus + 1)
            self._classes = modulus, tuple(residues), settled
        return self._classes

    def up_to(self, limit: int) -> list[tuple[int, int]]:
        """The members up to a limit, as runs (first, last) of consecutive ints."""
        runs: list[tuple[int, int]] = []
        x = self.smallest()
        while x is not None and x <= limit:
            after = self.next_outside(x)
            last = limit if after is None else min(after - 1, limit)
            runs.append((x, last))
            x = self.smallest(last + 1)
        return runs

    def __repr__(self) -> str:
        modulus, residues = self.classes
        first = ", ".join(map(str, residues[:8])) or "none"
        told = f"{first}{', …' if len(residues) > 8 else ''} (mod {modulus})"
        return f"<sizes {told} from {self.settled} on, smallest {self.smallest()}>"


def _common(
    mine: Iterable[Stretch], theirs: Iterable[Stretch], residue: int, modulus: int
) -> tuple[Stretch, ...]:
    """What two lists of stretches share of one residue class, ends on members of the class."""
    result: list[Stretch] = []
    for a, b in mine:
        for c, d in theirs:
            first = max(a, c)
            first += (residue - first) % modulus
            last = b if d is None else d if b is None else min(b, d)
            if last is None:
                result.append((first, None))
                continue
            last -= (last - residue) % modulus
            if first <= last:
                result.append((first, last))
    return tuple(sorted(result, key=lambda stretch: stretch[0]))


def all_sizes(lower: int = 1) -> Solutions:
    """All ints from `lower` on."""
    return Solutions(lower, 1, {0: ((lower, None),)})


def no_sizes(lower: int = 1) -> Solutions:
    return Solutions(lower, 1, {})


def where_at_least(left: Size, right: Size, lower: int = 1) -> Solutions:
    """Where left ≥ right, for sizes of one symbol (`lower` is taken where there is none).

    Raises UndecidedError with several symbols, a symbolic divisor, a maximum or minimum whose
    winner never settles, or a period beyond the limit.
    """
    return _where(left, right, lower, lambda gap: gap >= 0, _stretches_at_least)


def where_equal(left: Size, right: Size, lower: int = 1) -> Solutions:
    """Where left = right; arguments and errors as `where_at_least`."""
    return _where(left, right, lower, lambda gap: gap == 0, _stretches_equal)


def where_divisible(size: Size, divisor: int, lower: int = 1) -> Solutions:
    """Where the divisor divides the size; arguments and errors as `where_at_least`."""
    return where_equal(size % divisor, 0, lower)


def _where(
    left: Size,
    right: Size,
    lower: int,
    holds: Callable[[int], bool],
    stretches: Callable[[list[int]], list[tuple[int, int | None]]],
) -> Solutions:
    if not (isinstance(left, (int, Formula)) and isinstance(right, (int, Formula))):
        raise TypeError("solutions are of ints and formulas")
    difference = expand(as_formula(left) - right)
    constant = difference.constant
    if constant is not None:
        return all_sizes(lower) if holds(constant) else no_sizes(lower)
    lowers = symbols(difference)
    if len(lowers) != 1:
        raise UndecidedError(f"{left} and {right} have several symbols: {', '.join(lowers)}")
    ((name, lower),) = lowers.items()
    axis = shape(difference).axes.get(name)
    if axis is None:
        raise UndecidedError(f"{left} and {right} have no shape in {name}")
    start, period = max(axis.start, lower), axis.period
    points = period * (axis.degree + 1) + start - lower
    if period > MAX_MODULUS or points > GRID_LIMIT:
        raise UndecidedError(f"a proof needs {short(points)} points; the limit is {GRID_LIMIT:,}")
    value = compile_unchecked(difference)
    pieces: dict[int, list[Stretch]] = {}
    for x in range(lower, start):  # before a maximum or minimum has settled
        if holds(value({name: x})):
            pieces.setdefault(x % period, []).append((x, x))
    for first in range(start, start + period):
        values = [value({name: first + period * j}) for j in range(axis.degree + 1)]
        for begin, end in stretches(values):
            last = None if end is None else first + period * end
            pieces.setdefault(first % period, []).append((first + period * begin, last))
    return Solutions(lower, period, {r: _joined(found, period) for r, found in pieces.items()})


def _joined(stretches: list[Stretch], period: int) -> tuple[Stretch, ...]:
    """Stretches, by their first members, as ones that neither touch nor overlap."""
    result: list[Stretch] = []
    for first, last in stretches:
        begin, end = result[-1] if result else (0, -period - 1)
        if result and (end is None or first <= end + period):
            if end is not None and (last is None or last > end):
                result[-1] = begin, last
        else:
            result.append((first, last))
    return tuple(result)


def _stretches_equal(values: list[int]) -> list[tuple[int, int | None]]:
    """All j ≥ 0 at which the polynomial of these first values is 0."""
    differences = differences_of(values)
    if not differences:
        return [(0, None)]
    if len(differences) == 2:  # nearly always
        start, step = differences
        j = -start // step
        return [(j, j)] if j >= 0 and j * step == -start else []
    return [(j, j) for j in roots(differences)]


def _stretches_at_least(values: list[int]) -> list[tuple[int, int | None]]:
    """All j ≥ 0 at which the polynomial of these first values is 0 or more."""
    differences = differences_of(values)
    if len(differences) == 2:  # nearly always
        start, step = differences
        if step > 0:
            return [(max(0, -(start // step)), None)]
        return [(0, start // -step)] if start >= 0 else []
    result: list[tuple[int, int | None]] = []
    changes = [0, *sign_changes(differences)]
    for begin, after in zip(changes, [*changes[1:], None], strict=True):
        if value_at(differences, begin) >= 0:
            result.append((begin, None if after is None else after - 1))
    return result


def factors(size: Size) -> tuple[int, dict[str, Formula], int] | None:
    """(c, parts, d) where the size is c · (the product of the parts) + d, one part a symbol.

    So `512*h5*w5` is 512 times what depends on H times what depends on W. None for other forms:
    several products, or a factor that depends on several symbols.
    """
    terms = dict(as_formula(size)._terms) if isinstance(size, (int, Formula)) else {}
    constant = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((monomial, coefficient),) = terms.items()
    parts: dict[str, Formula] = {}
    for number in monomial:
        factor = Formula({(number,): 1})
        names = list(symbols(factor))
        if len(names) != 1:
            return None
        parts[names[0]] = parts.get(names[0], as_formula(1)) * factor
    return coefficient, parts, constant
