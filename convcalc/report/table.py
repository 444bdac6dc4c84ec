"""A summary as a table for people."""

from __future__ import annotations

from convcalc.analysis.summary import MACS_CONVENTION
from convcalc.report import columns, memory, numbers, titles, tree
from convcalc.report.grid import PLAIN, RULE, Row, draw
from convcalc.report.sums import equation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convcalc.analysis.summary import Summary
    from convcalc.errors import Problem
    from convcalc.report.columns import Field
    from convcalc.report.grid import Style
    from convcalc.report.tree import Entry, Line

#: A table that nobody has asked the depth of is as deep as these many lines allow.
FITTING = 60
# A column → the attribute of `Totals` that stands below it.
_TOTALS = {
    "params": "params",
    "buffers": "buffers",
    "macs": "macs",
    "weights": "weights_bytes",
    "allocated": "allocated_bytes",
    "saved": "saved_bytes",
}
_MEMORY = {"allocated": "allocated_bytes", "saved": "saved_bytes"}
_BELOW = "below"
# What a figure counts stands beside it, if there are so many columns left for it.
_LEAST_ABOUT = 20


def render(
    summary: Summary,
    *,
    names: Sequence[str] | None = None,
    depth: int | None = None,
    everything: bool = False,
    width: int | None = None,
    style: Style = PLAIN,
) -> str:
    """The whole report: title, table, totals, the convention, what is hidden, warnings.

    names: of `columns.FIELDS`; None: what there is room for. depth: levels of blocks to show; None:
    as many as fit in about `FITTING` lines. everything: all levels, nothing folded. width: of the
    terminal; None for a pipe, where no cell is cut.
    """
    view = View(summary, names, depth, everything, width)
    cells = [field.column() for field in view.fields]
    rows = [_row(line, view) for line in view.lines]
    rows += [RULE, Row(view.totals(), "bold")]
    if view.aux:
        rows += [RULE, *(_row(line, view) for line in view.aux_lines)]
    lines = [style(view.title, "bold"), style(view.subtitle, "dim"), ""]
    lines += draw(cells, rows, width=width, style=style)
    formulas = list(view.formulas())
    lines += ["", *formulas, ""] if formulas else [""]
    for line in view.notes():
        lines += (style(part, "dim") for part in wrapped(line, width))
    lines += memory_lines(summary, width, style)
    lines += warning_lines(summary, width, style)
    return "\n".join(lines)


def memory_lines(summary: Summary, width: int | None = None, style: Style = PLAIN) -> Iterator[str]:
    """The totals of memory, each with what it counts."""
    rows = [(name, *memory.shown(size), about) for name, size, about in memory.lines(summary)]
    if not rows:
        return
    yield ""
    yield from (style(part, "dim") for part in wrapped(memory.title(summary), width))
    names, units, sizes = (max(len(row[i]) for row in rows) for i in range(3))
    for name, unit, exact, about in rows:
        head = f"  {name:<{names}}  {unit:>{units}}  {exact:>{sizes}}  "
        indent = " " * len(head)
        first, *rest = wrapped(head + about, width, indent)
        least = max(_LEAST_ABOUT, *map(len, about.split()))
        if width is not None and width - len(head) < least:
            first, *rest = head.rstrip(), *wrapped(f"    {about}", width, "    ")
        yield first[: len(head)] + style(first[len(head) :], "dim")
        yield from (style(part, "dim") for part in rest)


def wrapped(line: str, width: int | None, indent: str = "") -> list[str]:
    """The line at words, where it is wider than the terminal."""
    if width is None or len(line) <= width:
        return [line]
    from textwrap import wrap

    return wrap(
        line,
        max(width, 40),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


class View:
    """What of a summary is shown, and how it is told; the same for text and Markdown."""

    def __init__(
        self,
        summary: Summary,
        names: Sequence[str] | None,
        depth: int | None,
        everything: bool,
        width: int | None,
    ) -> None:
        self.summary = summary
        self.width = width
        if names is None:
            wide = width is not None and width >= columns.WIDE_FROM and not summary.flow.names
            names = columns.WIDE if wide else columns.DEFAULT
            if any(layer.frozen and layer.params for layer in summary.layers):
                names = (*names, "frozen")
        self.fields: list[Field] = columns.chosen(names)
        remembers = any(field.name in columns.MEMORY for field in self.fields)
        root = tree.build(summary, fold=not everything, memory=remembers)
        self.main = [entry for entry in root.children if not entry.aux]
        self.aux = [entry for entry in root.children if entry.aux]
        counts = tree.depths(root)
        self.levels = len(counts)
        if everything:
            self.depth = self.levels
        elif depth is not None:
            self.depth = max(1, min(depth, self.levels))
        else:
            self.depth = max(1, sum(count <= FITTING for count in counts))
        self.lines: list[Line] = list(tree.lines(self.main, self.depth))
        self.aux_lines: list[Line] = list(tree.lines(self.aux, self.depth))

    @property
    def title(self) -> str:
        return titles.design(self.summary)

    @property
    def subtitle(self) -> str:
        return titles.flowing(self.summary)

    def cells(self, entry: Entry) -> list[str]:
        return [field.cell(entry, self.summary) for field in self.fields]

    def totals(self) -> list[str]:
        """The last line: the network's figures, as the report's `totals` have them."""
        summary = self.summary
        cells = []
        for field in self.fields:
            if field.name == "layer":
                cells.append(f"total of {numbers.plural(len(self._counted()), 'layer')}")
            elif field.name == "output":
                shapes = [numbers.shape(shape[1:]) for shape in summary.outputs.values()]
                cells.append(", ".join(shapes))
            elif field.name in _TOTALS:
                total = getattr(summary.totals, _TOTALS[field.name])
                told = "?" if total is None else _BELOW
                cells.append(numbers.count(total) if isinstance(total, int) else told)
            else:
                cells.append("")
        return cells

    def formulas(self) -> Iterator[str]:
        """Totals that are formulas, too long for a cell, and the sizes that are named in them."""
        definitions = self.summary.definitions()
        names = [field.name for field in self.fields]
        for field in self.fields:
            if field.name in _TOTALS:
                total = getattr(self.summary.totals, _TOTALS[field.name])
                if total is not None and not isinstance(total, int):
                    yield from equation(field.title, numbers.count(total), self.width)
        if definitions and self.summary.no_memory_formula is None:  # no columns have room for them
            for title, figure in _MEMORY.items():
                if title not in names:
                    size = numbers.count(getattr(self.summary.totals, figure))
                    yield from equation(f"{title} bytes", size, self.width)
        yield from titles.definitions(definitions)
        if definitions and self.summary.flow.open_conditions:
            yield "for sizes that every layer accepts."

    def _counted(self) -> list[object]:
        return [layer for layer in self.summary.layers if not layer.aux]

    def notes(self) -> Iterator[str]:
        """The convention, and everything that the table does not show."""
        totals = self.summary.totals
        yield f"{MACS_CONVENTION}."
        if self.summary.no_peak and isinstance(totals.weights_bytes, int):
            yield f"Parameters and buffers take {numbers.memory(totals.weights_bytes)}."
        formulas = bool(self.summary.definitions()) and not self.summary.no_memory_formula
        if any(field.name in columns.MEMORY for field in self.fields) or formulas:
            yield (
                "Allocated: bytes that a layer newly allocates and returns; saved: those that it "
                "is the first to keep for backward."
            )
            if self.summary.no_peak:
                yield f"No peaks: {self.summary.no_peak}."
        missing = memory.no_formula(self.summary)
        if missing:
            yield missing
        if totals.params is not totals.trainable_params:
            yield (
                f"Trainable: {numbers.count(totals.trainable_params)} params; frozen: "
                f"{numbers.count(totals.params - totals.trainable_params)}."
            )
        if self.aux:
            yield (
                f"Below the total, training-only outputs, counted apart: "
                f"{numbers.count(totals.aux_params)} params, {numbers.count(totals.aux_macs)} MACs."
            )
        shown = [line.entry for line in (*self.lines, *self.aux_lines)]
        if any(entry.count > 1 for entry in shown):
            told = "n × stands for n identical blocks or layers: its figures are those of all n"
            opened = any(line.open and line.entry.count > 1 for line in self.lines)
            yield f"{told}, the lines below it those of one." if opened else f"{told}."
        if self.depth < self.levels:
            yield titles.deeper(self.depth, self.levels)
        elif any(entry.count > 1 for entry in shown):
            yield "--all shows every layer on a line of its own."


def _row(line: Line, view: View) -> Row:
    cells = view.cells(line.entry)
    first = view.fields[0].name == "layer"
    if first:
        cells[0] = line.prefix + cells[0]
    return Row(cells, quiet=len(line.prefix) if first else 0)


def warning_lines(
    summary: Summary, width: int | None = None, style: Style = PLAIN
) -> Iterator[str]:
    """Every warning, the same one at the same place told once."""
    for problem, paths in grouped(summary.warnings):
        yield ""
        where = f"{problem.place.source.name}:{problem.place.line}: " if problem.place else ""
        first, *rest = wrapped(f"{where}warning: {problem.message}", width, "  ")
        yield first.replace("warning:", f"{style('warning', 'yellow')}:", 1)
        yield from rest
        more = f" and {numbers.plural(len(paths) - 1, 'more layer')}" if len(paths) > 1 else ""
        yield from wrapped(f"  in {paths[0]}{more}", width, "    ")
        if problem.help:
            yield from wrapped(f"  help: {problem.help}", width, "    ")


def grouped(problems: Iterable[Problem]) -> list[tuple[Problem, list[str]]]:
    """Problems that say the same of the same place together, each with the paths it concerns."""
    groups: dict[tuple[object, ...], tuple[Problem, list[str]]] = {}
    for problem in problems:
        place = problem.place
        where = (place.line, place.column) if place else problem.path
        key = (problem.code, problem.message, where)
        groups.setdefault(key, (problem, []))[1].append(problem.path or "")
    return list(groups.values())
