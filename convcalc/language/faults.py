"""What goes wrong while a file is read, and the list in which all of it is collected.

Inside the language a place is a pair of indices into the text: it becomes a `Place`, with a line
and a column, only where it is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from convcalc.errors import DesignError, Place, Problem, Source

#: So many problems are shown; the rest is counted.
SHOWN = 20


class Text(Source):
    """A source that finds the line and column of an index."""

    __slots__ = ("_starts",)

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self._starts: list[int] | None = None

    def place(self, start: int, end: int | None = None) -> Place:
        """The stretch from index `start` to `end`, cut at the end of its first line."""
        if self._starts is None:
            total = 0
            starts = []
            for line in self.text.splitlines(keepends=True):  # the same lines as Source.line
                starts.append(total)
                total += len(line)
            if not starts or self.text[-1:] in _BREAKS:
                starts.append(total)
            self._starts = starts
        row = bisect_right(self._starts, start) - 1
        column = start - self._starts[row]
        length = 1 if end is None else max(1, min(end, self._line_end(row)) - start)
        return Place(self, row + 1, column + 1, length)

    def _line_end(self, row: int) -> int:
        assert self._starts is not None
        return self._starts[row] + len(self.line(row + 1))


_BREAKS = "\n\r\x85\u2028\u2029"


class Fault(Exception):
    """One thing wrong with a stretch of the text; caught where it can be given its source.

    start, end: indices into the text.
    """

    def __init__(
        self,
        message: str,
        start: int,
        end: int,
        help: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.help = help
        self.notes = tuple(notes)


class Exhausted(Fault):
    """A bound on the whole design was passed: nothing more is unrolled."""


class Absorbed(Exception):
    """What is asked for depends on something that was reported already: say nothing more."""


class Problems:
    """The problems found so far, each once, in the order of the file when raised."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, int, int, str], Problem] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: Problem) -> None:
        place = problem.place
        where = (place.source.name, place.line, place.column) if place else ("", 0, 0)
        self._found.setdefault((*where, problem.message), problem)

    def fault(self, text: Text, fault: Fault, path: str | None = None) -> None:
        self.add(
            Problem(
                fault.message,
                text.place(fault.start, fault.end),
                help=fault.help,
                notes=fault.notes,
                path=path,
            )
        )

    def at(
        self,
        text: Text,
        start: int,
        end: int,
        message: str,
        help: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.fault(text, Fault(message, start, end, help, notes))

    def error(self) -> DesignError:
        """All of them as one error: the first `SHOWN`, and how many more there are."""
        found = sorted(
            self._found.values(),
            key=lambda p: (p.place.line, p.place.column) if p.place else (0, 0),
        )
        more = len(found) - SHOWN
        if more > 0:
            plural = "errors" if more > 1 else "error"
            found = [*found[:SHOWN], Problem(f"and {more} more {plural}")]
        return DesignError(found)

    def raise_if_any(self) -> None:
        if self._found:
            raise self.error()
