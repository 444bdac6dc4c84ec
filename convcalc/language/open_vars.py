"""Vars that are left open: formulas in the place of whole numbers.

A var may be open where it only counts something: channels, classes, a growth rate. What decides the
structure (repeats, loops, conditions that depend on it) needs a number, and so does what makes a
fraction of it. A comparison that comes out the same for every value decides nothing, and is taken.
"""

from __future__ import annotations

from convcalc.integers import Formula, at_least, equal, maximum, minimum, symbols
from convcalc.language.values import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class OpenFault(Exception):
    """What cannot be done with an open var. help: what to write instead."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def is_open(value: object) -> bool:
    return isinstance(value, Formula)


def closing(*values: object) -> str:
    """What to do about open vars that need a number here."""
    names = dict.fromkeys(name for v in values if isinstance(v, Formula) for name in symbols(v))
    return f"give {' and '.join(names)} a number: it cannot be left open in this design"


def plain(value: Any) -> Any:
    """A formula without open vars as a number."""
    constant = value.constant if isinstance(value, Formula) else None
    return value if constant is None else constant


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """left operator right, where one of them is open."""
    for value in (left, right):
        if value.__class__ is not int and not isinstance(value, Formula):
            told = f"{show(left)} {operator} {show(right)}"
            message = f"{told} is no whole number for every {_open(left, right)}"
            raise OpenFault(message, closing(left, right))
    if operator == "+":
        return plain(left + right)
    if operator == "-":
        return plain(left - right)
    if operator == "*":
        return plain(left * right)
    if operator == "**":
        if right.__class__ is not int or right < 0:
            raise OpenFault(f"an exponent must be a whole number, not {right}", closing(right))
        return plain(left**right)
    if right.__class__ is int and right == 0:
        raise OpenFault(f"division by zero: {left} {operator} 0", "divide by another number")
    if right.__class__ is not int and not at_least(right, 1).proved:
        raise OpenFault(f"{left} {operator} {right}: this may divide by zero", closing(right))
    if operator == "%":
        return plain(left % right)
    quotient = left // right
    if operator == "/" and not equal(quotient * right, left).proved:
        raise OpenFault(
            f"{left} / {right} is no whole number for every {_open(left, right)}",
            f"write // instead of /, or {closing(left, right)}",
        )
    return plain(quotient)


def _open(*values: object) -> str:
    return ", ".join(dict.fromkeys(n for v in values if isinstance(v, Formula) for n in symbols(v)))


def compare(operator: str, left: Any, right: Any) -> bool:
    """left operator right, where one of them is open and both are whole; it must be decided."""
    if operator in (">", ">="):
        left, right = right, left
        operator = "<" if operator == ">" else "<="
    ahead = right - left
    if operator in ("==", "!="):
        if equal(left, right).proved:
            return operator == "=="
        if at_least(ahead, 1).proved or at_least(-ahead, 1).proved:
            return operator == "!="
    else:
        strict = operator == "<"
        if at_least(ahead, 1 if strict else 0).proved:
            return True
        if at_least(-ahead, 0 if strict else 1).proved:
            return False
    raise OpenFault(
        f"whether {left} {operator} {right} decides the structure, and depends on "
        f"{_open(left, right)}",
        closing(left, right),
    )


def truth(value: Formula) -> bool:
    """A condition: true where the formula is never 0."""
    return compare("!=", value, 0)


def extreme(name: str, values: Sequence[Any]) -> Any:
    """min or max of whole numbers, some of them open."""
    for value in values:
        if value.__class__ is not int and not isinstance(value, Formula):
            raise OpenFault(
                f"{name} of {show(value)} and an open var is no formula", closing(*values)
            )
    return plain(minimum(*values) if name == "min" else maximum(*values))


def divisible(value: Formula, divisor: int) -> Any:
    """The multiple of `divisor` nearest to a whole number, never below 90 % of it.

    As `values.divisible`: (v + d/2)//d·d, at least d; and d more where 10 times that is less than
    9·v, that is max(0, min(1, 9·v − 10·nearest)) times d more.
    """
    nearest = maximum((2 * value + divisor) // 2 // divisor * divisor, divisor)
    short = maximum(0, minimum(1, 9 * value - 10 * nearest))
    return plain(nearest + divisor * short)


def same_structure(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two shapes are equal; raises OpenFault where that depends on an open var."""
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if a is b:
            continue
        if not (isinstance(a, Formula) or isinstance(b, Formula)):
            if a != b:
                return False
        elif not (isinstance(a, (int, Formula)) and isinstance(b, (int, Formula))):
            return False  # a spatial size that has another stride
        elif not compare("==", a, b):
            return False
    return True
