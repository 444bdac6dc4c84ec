"""Live bytes over a pass: a chart for the terminal, SVG for a page, CSV for a spreadsheet.

Each layer's turn in forward and in backward is as wide as any other; its height is the most that
lives in it, weights left out.
"""

from __future__ import annotations

from convcalc.report import csv, numbers, titles
from convcalc.report.grid import PLAIN
from convcalc.report.memory import at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcalc.analysis.memory import Course
    from convcalc.analysis.passes import Moment
    from convcalc.analysis.summary import Summary
    from convcalc.report.grid import Style

HEIGHT = 12
#: Where nothing says how wide a terminal is.
WIDTH = 80
#: The optimizer's step is one turn among hundreds, and is shown so wide.
_STEP = 4
_LEAST = 20
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_COLORS = {"forward": "cyan", "backward": "yellow", "step": "red"}


def title(summary: Summary, course: Course) -> str:
    """`VGG-16: bytes that live in a step of training, batch 1, float32, adam`."""
    training = any(moment.phase != "forward" for moment in course.moments)
    what = "a step of training" if training else "a forward pass"
    parts = [f"batch {numbers.count(summary.batch)}", summary.dtype]
    if training and summary.optimizer != "none":
        parts.append(summary.optimizer)
    return f"{titles.design(summary)}: bytes that live in {what}, {', '.join(parts)}"


def chart(
    summary: Summary, course: Course, *, width: int | None = None, style: Style = PLAIN
) -> str:
    """The chart as text. width: of the terminal; None for a pipe."""
    moments = course.moments
    ticks = [numbers.memory(course.peak), numbers.memory(course.peak // 2), "0"]
    margin = max(map(len, ticks))
    columns = max((WIDTH if width is None else width) - margin - 2, _LEAST)
    spans = _spans(moments, columns)
    tops: list[int] = []
    paints: list[str] = []
    for phase, first, last, count in spans:
        tops += _binned([moment.peak for moment in moments[first:last]], count)
        paints += [_COLORS[phase]] * count
    lines = [style(title(summary, course), "bold"), ""]
    lines.append(" " * (margin + 1) + style(_pointer(course, tops), "bold"))
    for row in range(HEIGHT, 0, -1):
        tick = {HEIGHT: ticks[0], HEIGHT // 2: ticks[1]}.get(row, "")
        axis = "┤" if tick else "│"
        cells = [_cell(top, course.peak, row) for top in tops]
        lines.append(f"{tick:>{margin}}{style(axis, 'dim')}{_painted(cells, paints, style)}")
    lines.append(f"{ticks[2]:>{margin}}" + style("└" + "─" * len(tops), "dim"))
    lines.append(" " * (margin + 1) + _names(spans, style))
    lines += ["", f"Peak: {course.peak:,} bytes above the weights, {at(course)}."]
    return "\n".join(line.rstrip() for line in lines)


def _spans(moments: Sequence[Moment], columns: int) -> list[tuple[str, int, int, int]]:
    """Of each phase: its name, its first moment and the one after its last, how many columns."""
    starts = [i for i, m in enumerate(moments) if i == 0 or m.phase != moments[i - 1].phase]
    ends = [*starts[1:], len(moments)]
    phases = [moments[first].phase for first in starts]
    step = _STEP if phases[-1] == "step" else 0
    turns = len(moments) - (1 if step else 0)
    spans: list[tuple[str, int, int, int]] = []
    used = 0
    for phase, first, last in zip(phases, starts, ends, strict=True):
        count = step
        if phase != "step":
            reached = last * (columns - step) // max(turns, 1)
            count = max(1, reached - used)
            used += count
        spans.append((phase, first, last, count))
    return spans


def _binned(values: Sequence[int], count: int) -> list[int]:
    """So many columns, each as high as the highest of the values that it stands for."""
    found = []
    for column in range(count):
        first = column * len(values) // count
        last = max(first + 1, (column + 1) * len(values) // count)
        found.append(max(values[first:last]))
    return found


def _cell(top: int, peak: int, row: int) -> str:
    """The part of a column that stands in a row, from 1 at the bottom."""
    eighths = -(-top * HEIGHT * 8 // max(peak, 1)) - (row - 1) * 8  # what lives is never nothing
    return _EIGHTHS[min(max(eighths, 0), 8)]


def _painted(cells: Sequence[str], paints: Sequence[str], style: Style) -> str:
    """The cells of a row, neighbours of one colour together."""
    parts = []
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or paints[index] != paints[start]:
            parts.append(style("".join(cells[start:index]), paints[start]))
            start = index
    return "".join(parts)


def _pointer(course: Course, tops: Sequence[int]) -> str:
    """▼ above the first column that is as high as the peak, and where it is."""
    column = tops.index(max(tops))
    place = at(course).removeprefix("in ")
    if column + 2 + len(place) <= len(tops) or column < len(place):
        return f"{'':{column}}▼ {place}"
    return f"{place:>{column - 1}} ▼"


def _names(spans: Sequence[tuple[str, int, int, int]], style: Style) -> str:
    """The phases below their columns; the last may stand out."""
    parts = []
    for number, (phase, _, _, count) in enumerate(spans):
        last = number == len(spans) - 1
        text = phase if last else phase[: max(count - 1, 0)]
        parts.append(style(text, _COLORS[phase]) + " " * (count - len(text)))
    return "".join(parts)


def table(course: Course) -> str:
    """CSV: one line a turn, with the most that lives in it and what lives after it."""
    rows = [
        (turn, moment.phase, moment.node.path if moment.node else "", moment.peak, moment.after)
        for turn, moment in enumerate(course.moments)
    ]
    return csv.table(("turn", "phase", "path", "peak_bytes", "after_bytes"), rows)


# ---------------------------------------------------------------------------- SVG

_WIDE, _HIGH = 960, 400
_LEFT, _TOP, _RIGHT, _BOTTOM = 90, 60, 20, 50
_FILLS = {"forward": "#3b82c4", "backward": "#e0a030", "step": "#c0504d"}


def svg(summary: Summary, course: Course) -> str:
    """A picture that needs nothing else: no script, no font, no style sheet."""
    across, up = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
    floor = _TOP + up
    spans = _spans(course.moments, across)
    shapes, labels = [], []
    x = float(_LEFT)
    peak_x = x
    seen = False
    for phase, first, last, count in spans:
        turns = course.moments[first:last]
        broad = count / len(turns)
        labels.append(_text(x, floor + 20, phase, fill=_FILLS[phase]))
        points = [f"{x:.2f},{floor}"]
        for moment in turns:
            y = floor - up * moment.peak / max(course.peak, 1)
            points += [f"{x:.2f},{y:.2f}", f"{x + broad:.2f},{y:.2f}"]
            if not seen and moment.peak == course.peak:
                seen, peak_x = True, x + broad / 2
            x += broad
        points.append(f"{x:.2f},{floor}")
        shapes.append(f'<polygon points="{" ".join(points)}" fill="{_FILLS[phase]}"/>')
    grid = []
    for quarter in range(5):
        y = floor - up * quarter / 4
        grid.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDE - _RIGHT}" stroke="#ddd"/>')
        size = numbers.memory(course.peak * quarter // 4)
        labels.append(_text(_LEFT - 8, y + 4, size, anchor="end"))
    anchor = "start" if peak_x < _LEFT + across / 2 else "end"
    note = f"{numbers.memory(course.peak)} {at(course)}"
    labels.append(_text(peak_x, _TOP - 10, note, anchor=anchor))
    labels.append(f'<path d="M{peak_x:.2f} {_TOP - 6}v6" stroke="#222"/>')
    labels.append(_text(_LEFT, 24, title(summary, course), size=16))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}">',
        '<g font-family="sans-serif">',
        f'<rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>',
        *grid,
        *shapes,
        *labels,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, fill: str = "#222"
) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = "".join(c if c.isprintable() else " " for c in safe)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{fill}">{safe}</text>'
    )
