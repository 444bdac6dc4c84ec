"""What the command line writes, and where: colours, widths and encodings of terminals and pipes."""

from __future__ import annotations

import os
import sys

from convcalc.report.grid import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from convcalc.errors import Problem

# What stands for our signs where the output's encoding lacks them.
_ASCII = str.maketrans(
    {
        "×": "x",
        "–": "-",
        "−": "-",
        "·": "*",
        "²": "**2",
        "³": "**3",
        "─": "-",
        "│": "|",
        "├": "|",
        "└": "`",
        "→": "->",
        "…": "...",
        "█": "#",
        **dict.fromkeys("▁▂▃", "."),
        **dict.fromkeys("▄▅", ":"),
        **dict.fromkeys("▆▇", "#"),
        "┤": "+",
        "▼": "v",
        "≈": "~",
        "⌈": "ceil(",
        "⌉": ")",
    }
)


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text and the end of its last line to stdout, or the stream given.

    Raises ConvcalcError where stdout is closed.
    """
    if stream is None:
        stream = sys.stdout
        if stream is None:
            from convcalc.errors import ConvcalcError

            raise ConvcalcError("there is nothing to write to: stdout is closed")
    text += "\n"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # an old terminal, or a file's name that is no text
        text = text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    stream.write(text)


def tell(text: str) -> None:
    """Write text to stderr, if that is open."""
    if sys.stderr is not None:
        write(text, sys.stderr)


def style(stream: TextIO | None = None) -> Style:
    """Colours for a terminal, none for a pipe, by the conventions of no-color.org."""
    stream = sys.stdout if stream is None else stream
    environment = os.environ
    if environment.get("NO_COLOR"):
        return Style(False)
    if environment.get("FORCE_COLOR"):
        return Style(True)
    old_windows = os.name == "nt" and not environment.keys() & {"WT_SESSION", "ANSICON", "TERM"}
    return Style(is_terminal(stream) and environment.get("TERM") != "dumb" and not old_windows)


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # replaced, or closed
        return False


def width() -> int | None:
    """Columns of the terminal that stdout is; None for a pipe, where nothing is cut."""
    if not is_terminal(sys.stdout):
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def show_problems(problems: Iterable[Problem]) -> None:
    """Problems on stderr, each with its place, the line of the file, and what to write instead."""
    paint = style(sys.stderr)
    blocks = ["\n".join(_painted(problem, paint)) for problem in problems]
    tell("\n\n".join(blocks))


def _painted(problem: Problem, paint: Style) -> list[str]:
    lines = problem.render()
    if not paint.color:
        return lines
    color = "red" if problem.severity == "error" else "yellow"
    head, word, message = lines[0].partition(f"{problem.severity}:")
    lines[0] = f"{paint(head, 'bold')}{paint(word, color, 'bold')}{message}"
    for index, line in enumerate(lines[1:], 1):
        if line.startswith("  help: "):
            lines[index] = f"  {paint('help:', 'cyan')} {line[8:]}"
        elif problem.place and index == 2:
            lines[index] = paint(line, color)
        elif problem.place and index == 1:
            number, bar, text = line.partition(" | ")
            lines[index] = paint(number + bar, "dim") + text
    return lines


def show_error(message: str, help: str | None = None) -> None:
    """An error without a place, on stderr."""
    paint = style(sys.stderr)
    lines = [f"{paint('error:', 'red', 'bold')} {message}"]
    if help:
        lines.append(f"  {paint('help:', 'cyan')} {help}")
    tell("\n".join(lines))
