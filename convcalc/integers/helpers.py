"""Arithmetic that has no operator, written once for ints, formulas, arrays and open sizes."""

from __future__ import annotations

from math import prod

from .formulas import MAX, MIN, Formula, _operand, extreme, multiply_formulas, sum_formulas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeGuard

    from .formulas import Size


def ceil_div(size: Size, divisor: Size) -> Size:
    """ceil(size / divisor). Raises ZeroDivisionError for a divisor (or an element of one) of 0."""
    if type(divisor) is int and divisor > 0 and type(size) is not int:
        # ceil(x/d) = floor((x + d - 1)/d) for d > 0: one floor, so that chains flatten (R3)
        return (size + (divisor - 1)) // divisor
    return -(-size // divisor)  # ceil(x/d) = -floor(-x/d)


def minimum(*sizes: Size) -> Size:
    """The smallest size, element by element for arrays."""
    return _chosen(sizes, MIN)


def maximum(*sizes: Size) -> Size:
    """The largest size, element by element for arrays."""
    return _chosen(sizes, MAX)


def _chosen(sizes: tuple[Size, ...], kind: int) -> Size:
    best: int | None = None
    others: list[Size] = []
    for size in sizes:
        if type(size) is not int:
            others.append(size)
        elif best is None or (size > best if kind == MAX else size < best):
            best = size
    if not others:
        if best is None:
            raise TypeError("minimum and maximum need at least one size")
        return best
    operands = [_operand(size) for size in others]
    if best is not None:
        operands.append(best)
        others.append(best)
    known = [operand for operand in operands if operand is not None]
    if len(known) == len(operands):
        ints = [operand for operand in known if not isinstance(operand, Formula)]
        if len(ints) == len(known):
            return max(ints) if kind == MAX else min(ints)
        result = extreme(known, kind)
        constant = result.constant
        return result if constant is None else constant
    method = "maximum" if kind == MAX else "minimum"
    start = next(index for index, operand in enumerate(operands) if operand is None)
    chosen: Size = others.pop(start)
    for other in others:
        combine = getattr(chosen, method, None)
        chosen = NotImplemented if combine is None else combine(other)
        if chosen is NotImplemented:
            raise TypeError(f"no {method} of {', '.join(type(s).__name__ for s in sizes)}")
    return chosen


def product(sizes: Iterable[Size]) -> Size:
    """The product of the sizes, 1 for none."""
    factors = tuple(sizes)
    if _some_formulas(factors):
        return multiply_formulas(factors)
    return prod(factors)


def total(sizes: Iterable[Size]) -> Size:
    """The sum of the sizes, 0 for none."""
    terms = tuple(sizes)
    if _some_formulas(terms):
        return sum_formulas(terms)
    return sum(terms)


def _some_formulas(sizes: tuple[Size, ...]) -> TypeGuard[tuple[int | Formula, ...]]:
    """Whether they are ints and formulas, which are faster put together at once."""
    return Formula in map(type, sizes) and _EXACT.issuperset(map(type, sizes))


_EXACT = {int, Formula}
