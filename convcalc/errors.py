"""A place in a file, and errors that show it.

Everything that can be wrong with a design is a `Problem`: one sentence, where it stands, how the
network came there, and what to write instead. A `DesignError` carries all problems found at once.

    vgg.yaml:4:30: error: Conv2d has no argument 'paddng'
        4 |   Conv(c, k=3): Conv2d(c, k, paddng=k // 2) -> ReLU
          |                              ^^^^^^
      help: did you mean 'padding'?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` costs start-up time and is needed for nothing else here
    from typing import Literal

    Severity = Literal["error", "warning"]

# A line longer than this is shown as a window around the fault.
_SHOWN_WIDTH = 96


# The signs of our own reports, each one column wide: most texts need no more than these.
_SINGLE = str.maketrans(dict.fromkeys("×–─│├└→…·−²³█▏▎▍▌▋▊▉", " "))


class ConvcalcError(Exception):
    """Base of every error that this library raises on purpose."""


class Source:
    """A text that was read, with its name: a path, or "<text>" for a string."""

    __slots__ = ("_lines", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._lines: list[str] | None = None

    def line(self, number: int) -> str:
        """The line of that number, from 1; empty past the end."""
        if self._lines is None:
            self._lines = self.text.splitlines()
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""


class Place:
    """A stretch of one line of a source. `line` and `column` count characters from 1."""

    __slots__ = ("column", "length", "line", "source")

    def __init__(self, source: Source, line: int, column: int, length: int = 1) -> None:
        self.source = source
        self.line = line
        self.column = column
        self.length = length

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Place({self})"

    def excerpt(self) -> list[str]:
        """The source line and, below it, carets under the stretch."""
        text = self.source.line(self.line).replace("\t", " ")
        start = self.column - 1
        shift = 0
        if len(text) > _SHOWN_WIDTH:
            shift = max(0, min(start - _SHOWN_WIDTH // 2, len(text) - _SHOWN_WIDTH))
            text = text[shift : shift + _SHOWN_WIDTH]
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        start -= shift
        before = text[:start].ljust(start)
        carets = max(1, text_width(text[start : start + self.length]))
        return [f"{self.line:5} | {text}", f"      | {' ' * text_width(before)}{'^' * carets}"]


class Problem:
    """One thing that is wrong, or (severity "warning") worth a second look.

    message: one sentence, no full stop.
    place: where, or None where there is no text to point at.
    help: what to write instead.
    notes: how the network came there: blocks and loop values from the outermost in, shapes,
        the arithmetic.
    code: a short fixed name, for programs ("rows-dropped").
    path: the layer's path in the network, where the problem has one.
    """

    __slots__ = ("code", "help", "message", "notes", "path", "place", "severity")

    def __init__(
        self,
        message: str,
        place: Place | None = None,
        *,
        help: str | None = None,
        notes: Sequence[str] = (),
        code: str = "",
        path: str | None = None,
        severity: Severity = "error",
    ) -> None:
        self.message = message
        self.place = place
        self.help = help
        self.notes = tuple(notes)
        self.code = code
        self.path = path
        self.severity = severity

    def __str__(self) -> str:
        return "\n".join(self.render())

    def __repr__(self) -> str:
        return f"Problem({self.message!r}, {self.place})"

    def render(self, file: str | None = None) -> list[str]:
        """The problem as lines of plain text; `file` names it where there is no place."""
        where = str(self.place) if self.place else file
        head = f"{where}: " if where else ""
        lines = [f"{head}{self.severity}: {self.message}"]
        if self.place:
            lines += self.place.excerpt()
        lines += [f"  {note}" for note in self.notes]
        if self.help:
            lines.append(f"  help: {self.help}")
        return lines


class DesignError(ConvcalcError):
    """A design is wrong. `problems` holds every fault found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n\n".join(str(p) for p in self.problems))


class LayerError(ConvcalcError):
    """A layer cannot be made, or does not accept what flows into it.

    It knows nothing of files: who reads a file adds the place and raises a `DesignError`.

    argument: the argument at fault, by name, or None where the fault lies in the input.
    """

    def __init__(
        self,
        message: str,
        help: str | None = None,
        *,
        argument: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.argument = argument
        self.notes = tuple(notes)


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii() or text.translate(_SINGLE).isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def closest(word: str, words: Iterable[str]) -> str | None:
    """The word most like a mistyped one, or None where none is near."""
    import difflib  # only on the way to an error

    # By folded case first: "maxpool2d" is MaxPool2d, not MaxUnpool2d.
    words = list(words)
    folded: dict[str, str] = {}
    for known in words:
        folded.setdefault(known.lower(), known)
    if word.lower() in folded:
        return folded[word.lower()]
    near = difflib.get_close_matches(word, words, 1, 0.6)
    if near:
        return near[0]
    near = difflib.get_close_matches(word.lower(), list(folded), 1, 0.8)
    return folded[near[0]] if near else None
