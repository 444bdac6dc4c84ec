"""Polynomials on the integers j >= 0, by their forward differences at 0.

p(j) = sum of differences[k] * C(j, k): exact in integers, and found from p(0) … p(degree) alone.
"""

from __future__ import annotations

from itertools import pairwise
from math import comb


def differences_of(values: list[int]) -> list[int]:
    """The forward differences at 0 of the polynomial with p(0), p(1), … = values; no last zeros."""
    result = []
    while values:
        result.append(values[0])
        values = [after - before for before, after in pairwise(values)]
    while result and not result[-1]:
        result.pop()
    return result


def value(differences: list[int], j: int) -> int:
    """p(j)."""
    return sum(difference * comb(j, k) for k, difference in enumerate(differences))


def sign_changes(differences: list[int]) -> list[int]:
    """All j > 0 at which p(j) has another sign (-, 0, +) than p(j - 1), in order."""
    if len(differences) < 2:
        return []
    # p is monotone between the changes of sign of its own difference, and for ever after the last.
    ends = [0, *sign_changes(differences[1:])]
    final = _sign(differences[-1])
    last, step = ends[-1], 1
    while _sign(value(differences, last + step)) != final:
        step *= 2
    ends.append(last + step)
    changes: list[int] = []
    for first, end in pairwise(ends):
        sign = _sign(value(differences, first))
        while sign != _sign(value(differences, end)):
            first = _first_of_other_sign(differences, first, end)
            sign = _sign(value(differences, first))
            changes.append(first)
    return changes


def roots(differences: list[int]) -> list[int]:
    """All j >= 0 with p(j) = 0, where p is not zero everywhere."""
    found = set()
    for j in (0, *sign_changes(differences)):
        while not value(differences, j):  # neighbouring roots show no change of sign
            found.add(j)
            j += 1
    return sorted(found)


def falls_below(differences: list[int], bound: int) -> int | None:
    """A j >= 0 with p(j) < bound; None if there is none. Zeros at the end do no harm."""
    constant, *others = differences or [0]
    above = [constant - bound, *others]
    while above and not above[-1]:
        above.pop()
    return next((j for j in (0, *sign_changes(above)) if value(above, j) < 0), None)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _first_of_other_sign(differences: list[int], start: int, end: int) -> int:
    """The first j in (start, end] where a monotone p has another sign than at start."""
    sign = _sign(value(differences, start))
    low, high = start, end
    while high - low > 1:
        middle = (low + high) // 2
        if _sign(value(differences, middle)) == sign:
            low = middle
        else:
            high = middle
    return high
