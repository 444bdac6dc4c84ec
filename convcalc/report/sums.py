"""Sums too long for a line or a cell, broken between their terms."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OPENING = "([{"
_CLOSING = ")]}"


def terms(text: str) -> list[str]:
    """The terms of a formula's text, each with its sign: `2·H`, `+ 3·W`, `- 1`.

    What stands in brackets is not taken apart.
    """
    found: list[str] = []
    level = start = 0
    for index, character in enumerate(text):
        if character in _OPENING:
            level += 1
        elif character in _CLOSING:
            level -= 1
        elif level == 0 and index > start and text[index : index + 3] in (" + ", " - "):
            found.append(text[start:index])
            start = index + 1
    found.append(text[start:])
    return found


def packed(parts: Sequence[str], width: int) -> list[str]:
    """Terms in lines of at most that width, where no single one is wider."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def equation(name: str, text: str, width: int | None) -> list[str]:
    """`name = text`, later lines beginning below the text."""
    head = f"{name} = "
    if width is None or len(head) + len(text) <= width:
        return [head + text]
    first, *rest = packed(terms(text), max(width - len(head), 1))
    return [head + first, *(" " * len(head) + line for line in rest)]
