"""Arithmetic that has no operator, written once for ints, formulas, arrays and open sizes."""

from __future__ import annotations

from math import prod

from .formulas import MAX, MIN, Formula, _operand, extreme, sum_formulas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """The product of the sizes; 1 for none."""
    return prod(sizes)


def total(sizes: Iterable[Size]) -> Size:
    """The sum of the sizes, 0 for none: for many formulas faster than adding one by one."""
    number = 0
    formulas: list[Formula] = []
    rest: list[Size] = []
    for size in sizes:
        if type(size) is int:
            number += size
        elif isinstance(size, Formula):
            formulas.append(size)
        else:
            rest.append(size)
    result: Size = sum_formulas([*formulas, number]) if formulas else number
    for size in rest:
        result = size + result
    return result
