"""Figures as a Markdown table (GitHub's), for an issue or a README."""

from __future__ import annotations

from convcalc.report import memory
from convcalc.report.grid import Column
from convcalc.report.table import View, warning_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convcalc.analysis.summary import Summary

_MEMORY = [
    Column("memory"),
    Column("size", right=True),
    Column("bytes", right=True),
    Column("what it counts"),
]


def summary(
    report: Summary,
    *,
    names: Sequence[str] | None = None,
    depth: int | None = None,
    everything: bool = False,
) -> str:
    """A summary, with the same lines as the table (`report.table.render`)."""
    view = View(report, names, depth, everything, None)
    rows = []
    for line in (*view.lines, *view.aux_lines):
        cells = view.cells(line.entry)
        for index, field in enumerate(view.fields):
            if field.name == "layer":  # as code: there the lines of the tree stand in their columns
                cells[index] = f"`{line.prefix}{cells[index]}`"
        rows.append(cells)
        if view.aux and line is view.lines[-1]:
            rows.append(_bold(view.totals()))
    if not view.aux:
        rows.append(_bold(view.totals()))
    columns = [field.column() for field in view.fields]
    lines = [f"**{view.title}** ({view.subtitle})", "", *table(columns, rows), ""]
    formulas = [f"    {line}" for line in view.formulas()]  # as code
    lines += [*formulas, ""] if formulas else []
    lines += view.notes()
    told = [(name, *memory.shown(size), about) for name, size, about in memory.lines(report)]
    if told:
        lines += ["", memory.title(report), "", *table(_MEMORY, told)]
    lines += warning_lines(report)
    return "\n".join(lines)


def _bold(cells: Iterable[str]) -> list[str]:
    return [f"**{cell}**" if cell else "" for cell in cells]


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    rules = ["---:" if column.right else "---" for column in columns]
    lines = [[column.title for column in columns], rules, *rows]
    return [f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").strip()
