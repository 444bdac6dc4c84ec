"""On which residue classes a formula is a polynomial: why finitely many points prove something.

Take x = r + m*j, r fixed. By induction every formula of symbols, + - * and floor(P/d) is, on each
residue class r of some modulus m, a polynomial in j with integer coefficients: a symbol with m = 1;
sums and products with the lcm of the moduli; and if P is one in j, then with j = d*i all its
coefficients but the constant one are multiples of d, so floor(P/d) is one in i. With several
symbols this holds in all of them at once. A maximum or minimum of sizes that are linear in the
same symbol is such a polynomial too, from the value on where one of them has won for good.

So a formula has in each symbol a start, a period and a degree, and it is zero for all values if and
only if it is zero up to `start + period * (degree + 1) - 1` in each symbol.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import TYPE_CHECKING, NamedTuple

from .errors import UndecidedError
from .evaluation import atoms_of
from .formulas import ATOMS, FLOOR, MAX, NAMED, QUOTIENT, SYMBOL, Formula

if TYPE_CHECKING:
    from .formulas import Atom, Terms


class Axis(NamedTuple):
    """For values >= start, a polynomial of that degree on every residue class of the period."""

    start: int
    period: int
    degree: int


class Line(NamedTuple):
    """low <= scale * value - slope * symbol <= high, from the symbol's start on.

    The symbol is "" for a constant. Lines tell which part of a maximum wins in the end.
    """

    symbol: str
    slope: int
    scale: int
    low: int
    high: int

    def times(self, c: int) -> Line:
        ends = sorted((self.low * c, self.high * c))
        return Line(self.symbol, self.slope * c, self.scale, *ends)

    def at_scale(self, scale: int) -> Line:
        factor = scale // self.scale
        return Line(self.symbol, self.slope * factor, scale, self.low * factor, self.high * factor)

    def plus(self, other: Line) -> Line | None:
        """The line of the sum; None if it needs two symbols."""
        if self.symbol and other.symbol and self.symbol != other.symbol:
            return None
        scale = lcm(self.scale, other.scale)
        a, b = self.at_scale(scale), other.at_scale(scale)
        symbol = a.symbol or b.symbol
        return Line(symbol, a.slope + b.slope, scale, a.low + b.low, a.high + b.high)

    def floor(self, divisor: int) -> Line:
        # x - (d - 1) <= d * floor(x/d) <= x
        low = self.low - self.scale * (divisor - 1)
        return Line(self.symbol, self.slope, self.scale * divisor, low, self.high)


class Shape(NamedTuple):
    """How a formula behaves in each of its symbols; no line where it is not linear in only one."""

    axes: dict[str, Axis]
    line: Line | None


def shape(formula: Formula) -> Shape:
    """The shape of a formula.

    Raises UndecidedError where a symbolic divisor comes in, or a maximum or minimum of sizes that
    are not linear in one and the same symbol.
    """
    known: dict[int, Shape] = {}
    for number in atoms_of([formula]):
        atom = ATOMS[number]
        if atom.kind == SYMBOL:
            assert atom.low is not None  # a symbol's lower bound
            known[number] = Shape({atom.name: Axis(atom.low, 1, 1)}, Line(atom.name, 1, 1, 0, 0))
        elif atom.kind == NAMED:
            known[number] = _of_sum(atom.parts[0]._terms, known)
        elif atom.kind == FLOOR:
            known[number] = _of_floor(atom, known)
        elif atom.kind == QUOTIENT:
            raise UndecidedError("it divides by a formula")
        else:
            known[number] = _of_extreme(atom, known)
    return _of_sum(formula._terms, known)


def periods(formula: int | Formula) -> dict[str, tuple[int, int]]:
    """{symbol: (period, degree)}: on each residue class of the period, for all values at or above
    the lower bounds, the formula is a polynomial of that degree.

    The period is a multiple of the smallest one. Raises UndecidedError where none is known, as with
    symbolic divisors and with most maxima and minima.
    """
    if not isinstance(formula, Formula):
        return {}
    from .evaluation import symbols

    lowers = symbols(formula)
    result = {}
    for name, axis in shape(formula).axes.items():
        if axis.start > lowers[name]:
            raise UndecidedError(f"{formula} is periodic only from {name} = {axis.start} on")
        result[name] = axis.period, axis.degree
    return result


def _of_sum(terms: Terms, known: dict[int, Shape]) -> Shape:
    axes: dict[str, Axis] = {}
    line: Line | None = Line("", 0, 1, 0, 0)
    for monomial, c in terms.items():
        product: dict[str, Axis] = {}
        for number in monomial:
            for name, axis in known[number].axes.items():
                old = product.get(name, Axis(axis.start, 1, 0))
                product[name] = _common(old, axis, old.degree + axis.degree)
        for name, axis in product.items():
            old = axes.get(name, axis)
            axes[name] = _common(old, axis, max(old.degree, axis.degree))
        own = None
        if not monomial:
            own = Line("", 0, 1, c, c)
        elif len(monomial) == 1:
            base = known[monomial[0]].line
            own = None if base is None else base.times(c)
        line = None if line is None or own is None else line.plus(own)
    return Shape(axes, line)


def _common(left: Axis, right: Axis, degree: int) -> Axis:
    return Axis(max(left.start, right.start), lcm(left.period, right.period), degree)


def _of_floor(atom: Atom, known: dict[int, Shape]) -> Shape:
    terms, divisor = atom.parts[0]._terms, atom.divisor
    inner = _of_sum(terms, known)
    # A monomial's coefficient c is a factor of all its coefficients in j: with j = i * d/gcd(d, c)
    # they become multiples of d.
    factors: dict[str, int] = {}
    for monomial, c in terms.items():
        factor = divisor // gcd(divisor, c)
        for number in monomial:
            for name in known[number].axes:
                factors[name] = lcm(factors.get(name, 1), factor)
    axes = {
        name: Axis(axis.start, axis.period * factors[name], axis.degree)
        for name, axis in inner.axes.items()
    }
    return Shape(axes, None if inner.line is None else inner.line.floor(divisor))


def _of_extreme(atom: Atom, known: dict[int, Shape]) -> Shape:
    shapes = [_of_sum(part._terms, known) for part in atom.parts]
    best = shapes[0]
    for other in shapes[1:]:
        best = _winner(best, other, 1 if atom.kind == MAX else -1)
    return best


def _winner(left: Shape, right: Shape, sign: int) -> Shape:
    """Of the larger (sign 1) or smaller (-1) of two."""
    one, two = left.line, right.line
    gap = None if one is None or two is None else one.plus(two.times(-1))
    if one is None or two is None or gap is None:
        raise UndecidedError("it holds the maximum or minimum of sizes that cannot be compared")
    axes = dict(left.axes)
    for name, axis in right.axes.items():
        old = axes.get(name, axis)
        axes[name] = _common(old, axis, max(old.degree, axis.degree))
    if gap.slope == 0:
        # Their difference is bounded, so constant on each residue class: one of them wins there.
        one, two = one.at_scale(gap.scale), two.at_scale(gap.scale)
        pick = max if sign > 0 else min
        low, high = pick(one.low, two.low), pick(one.high, two.high)
        return Shape(axes, Line(gap.symbol, one.slope, gap.scale, low, high))
    # left >= right once slope * x + low >= 0; left <= right once slope * x + high <= 0
    if gap.slope > 0:
        crossing = -(gap.low // gap.slope)
    else:
        crossing = -(-gap.high // -gap.slope)
    axis = axes[gap.symbol]
    axes[gap.symbol] = axis._replace(start=max(axis.start, crossing))
    return Shape(axes, one if (gap.slope > 0) == (sign > 0) else two)
