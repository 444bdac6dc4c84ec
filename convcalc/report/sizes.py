"""Sets of sizes in words: congruences and intervals."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convcalc.integers import Solutions

EVERY = "every size"
NONE = "no size"

#: So many runs of residues or of sizes are told.
SHOWN = 6
# Up to so many sizes are looked at for exceptions from a congruence.
_EARLY = 100_000


def congruence(solutions: Solutions, among: Solutions | None = None) -> str:
    """`0 (mod 32)`, `every size`, `1 or 3 (mod 4) from 9 on`: which sizes these are.

    among: the sizes that are looked at; None: all. Others are no exceptions.
    """
    if among is not None:
        common = solutions & among
        if common.empty:
            return NONE
        if not _odd(solutions, solutions, among):
            return _classes(solutions)
        solutions = common
    if solutions.empty:
        return NONE
    if solutions.finite:
        return intervals(solutions)
    odd = _odd(solutions, solutions, None)
    if not odd:
        return _classes(solutions)
    text = f"{_classes(solutions)} from {solutions.smallest(solutions.settled):,} on"
    early = solutions.up_to(min(solutions.settled - 1, _EARLY))
    if early:
        text += f", and {_runs(early)}"
    return text


def _odd(solutions: Solutions, classes: Solutions, among: Solutions | None) -> bool:
    """Whether some early size does not follow the congruence that holds in the end."""
    modulus, residues = classes.classes
    known = frozenset(residues)
    return any(
        (size in solutions) != (size % modulus in known)
        for size in range(solutions.lower, min(solutions.settled, _EARLY))
        if among is None or size in among
    )


def _classes(solutions: Solutions) -> str:
    modulus, residues = solutions.classes
    if modulus == 1:
        return EVERY
    left_out = [r for r in range(modulus) if r not in frozenset(residues)]
    if modulus > 4 and len(left_out) <= 2:
        return f"all but {_runs(runs_of(left_out))} (mod {modulus})"
    return f"{_runs(runs_of(residues), 'or')} (mod {modulus})"


def intervals(solutions: Solutions) -> str:
    """A finite set: `224–255`, or the first intervals and how many more there are."""
    largest = solutions.largest()
    if largest is None:
        return NONE
    return _runs(solutions.up_to(largest))


def runs_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs (first, last) of consecutive ones."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _runs(runs: Sequence[tuple[int, int]], joint: str = "and") -> str:
    told = []
    for first, last in runs[:SHOWN]:
        if first == last:
            told.append(f"{first:,}")
        elif last == first + 1:
            told += [f"{first:,}", f"{last:,}"]
        else:
            told.append(f"{first:,}–{last:,}")
    if len(runs) > SHOWN:
        return f"{', '.join(told)} and {len(runs) - SHOWN:,} more"
    if len(told) > 1:
        return f"{', '.join(told[:-1])} {joint} {told[-1]}"
    return told[0]


def as_json(solutions: Solutions) -> dict[str, object]:
    """A set of sizes: from `from` on those with one of the residues, before it the intervals of
    `before`; `residues` is empty for a finite set."""
    modulus, residues = solutions.classes
    settled = solutions.settled
    return {
        "smallest": solutions.smallest(),
        "modulus": modulus,
        "residues": list(residues),
        "from": settled,
        "before": [list(run) for run in solutions.up_to(settled - 1)],
    }
