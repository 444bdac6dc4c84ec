"""What goes wrong while a file is read, and the list in which all of it is collected.

Inside the language a place is a pair of indices into the text: it becomes a `Place`, with a line
and a column, only where it is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from convcalc.errors import DesignError, Place, Problem, Source, closest

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

    def index(self, place: Place) -> int:
        """The index that a place was made from."""
        self.place(0)
        assert self._starts is not None
        return self._starts[place.line - 1] + place.column - 1

    def _line_end(self, row: int) -> int:
        assert self._starts is not None
        return self._starts[row] + len(self.line(row + 1))


_BREAKS = "\n\r\x85\u2028\u2029"


#: What to write instead; a function where finding it takes time: it is called only if it is shown.
Help = str | Callable[[], str | None] | None


def did_you_mean(word: str, words: Iterable[str]) -> str | None:
    """The word most like a mistyped one, as a help. Of many words only the first are looked at."""
    if len(word) > _LONGEST_WORD:
        return None
    near = closest(word, list(islice((w for w in words if len(w) <= _LONGEST_WORD), 1000)))
    return f"did you mean {near!r}?" if near else None


_LONGEST_WORD = 60


class Fault(Exception):
    """One thing wrong with a stretch of the text; caught where it can be given its source.

    start, end: indices into the text.
    """

    def __init__(
        self,
        message: str,
        start: int,
        end: int,
        help: Help = None,
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
        self._found: dict[tuple[object, int, str], _Found] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: Problem) -> None:
        """One that stands nowhere in the text, or is placed already."""
        found = _Found(problem)
        self._found.setdefault((None, found.order, problem.message), found)

    def fault(self, text: Text, fault: Fault) -> None:
        key = (text, fault.start, fault.message)
        if key not in self._found:
            self._found[key] = _Found(fault, text)

    def at(
        self,
        text: Text,
        start: int,
        end: int,
        message: str,
        help: Help = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.fault(text, Fault(message, start, end, help, notes))

    def error(self) -> DesignError:
        """All of them as one error: the first `SHOWN`, and how many more there are."""
        found = sorted(self._found.values(), key=lambda f: f.order)
        problems = [f.problem() for f in found[:SHOWN]]
        more = len(found) - SHOWN
        if more > 0:
            problems.append(Problem(f"and {more} more {'errors' if more > 1 else 'error'}"))
        return DesignError(problems)

    def raise_if_any(self) -> None:
        if self._found:
            raise self.error()


class _Found:
    """A problem, or a fault that becomes one where it is shown."""

    __slots__ = ("fault", "order", "text")

    def __init__(self, fault: Fault | Problem, text: Text | None = None) -> None:
        self.fault = fault
        self.text = text
        self.order = -1
        if isinstance(fault, Fault):
            self.order = fault.start
        elif fault.place is not None and isinstance(fault.place.source, Text):
            self.order = fault.place.source.index(fault.place)

    def problem(self) -> Problem:
        fault, text = self.fault, self.text
        if isinstance(fault, Problem) or text is None:
            assert isinstance(fault, Problem)
            return fault
        help = fault.help() if callable(fault.help) else fault.help
        place = text.place(fault.start, fault.end)
        return Problem(_short(fault.message), place, help=help and _short(help), notes=fault.notes)


def _short(words: str) -> str:
    """A sentence into which something very long was copied, cut."""
    return words if len(words) <= 600 else f"{words[:500]} …"
