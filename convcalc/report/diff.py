"""Two designs compared, as text, Markdown and JSON.

A layer that changed is told on three lines: as it was (~), as it is (→), and what that makes in
each figure. Blocks and layers that follow each other and changed alike are told once, counted.
"""

from __future__ import annotations

from convcalc.analysis.diff import subtracted
from convcalc.analysis.summary import MACS_CONVENTION
from convcalc.report import json, memory, numbers, titles
from convcalc.report.grid import PLAIN, Column, Row, draw
from convcalc.report.markdown import table as markdown_table
from convcalc.report.sums import equation
from convcalc.report.table import FITTING, wrapped
from convcalc.report.tree import ARROW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from convcalc.analysis.diff import Change, Diff, Part, Piece
    from convcalc.analysis.summary import Layer, Summary
    from convcalc.integers import Size
    from convcalc.report.grid import Style

#: The figures that have a column.
SHOWN = {"params": "params", "macs": "MACs"}
#: How totals are called, and how each is written.
TITLES = {
    "params": "params",
    "trainable_params": "trainable params",
    "buffers": "buffers",
    "aux_params": "aux params",
    "macs": "MACs",
    "aux_macs": "aux MACs",
    "weights_bytes": "weight bytes",
    "allocated_bytes": "allocated bytes",
    "saved_bytes": "saved bytes",
    "inference_peak_bytes": "inference peak, bytes",
    "training_peak_bytes": "training peak, bytes",
}
_SIGNS = {"added": "+", "removed": "-"}
_PAINTS = {"added": "green", "removed": "red"}


class Shown:
    """A part as it is shown: with those that follow it and changed alike.

    labels, outputs: before and after, None where there is none. figures: name → (before, after),
    all copies included.
    """

    __slots__ = ("children", "count", "figures", "kind", "labels", "outputs", "signature")

    def __init__(self, part: Part) -> None:
        before, after = part.before, part.after
        self.kind = part.kind
        self.count = 1
        self.labels = tuple(None if piece is None else piece.label for piece in (before, after))
        self.outputs = tuple(
            None if piece is None else numbers.shape(piece.output[1:]) for piece in (before, after)
        )
        self.figures = {name: (_figure(before, name), _figure(after, name)) for name in SHOWN}
        self.children = folded([Shown(c) for c in part.children if c.kind != "same"])
        self.signature: object = (
            self.kind,
            self.labels,
            self.outputs,
            tuple(tuple(map(str, pair)) for pair in self.figures.values()),
            tuple(child.signature for child in self.children),
        )

    def text(self, side: int) -> str:
        """How it is written on one side: `17 × Bottleneck(256)`."""
        label = self.labels[side] or ""
        return f"{self.count} × {label}" if self.count > 1 else label

    def amount(self, name: str, side: int) -> Size:
        return self.figures[name][side] * self.count

    def difference(self, name: str) -> Size:
        before, after = self.figures[name]
        return subtracted(after, before) * self.count


def _figure(piece: Piece | None, name: str) -> Size:
    return 0 if piece is None else piece.figure(name)


def folded(shown: Sequence[Shown]) -> list[Shown]:
    """Neighbours that are alike as one."""
    result: list[Shown] = []
    for one in shown:
        if result and result[-1].signature == one.signature:
            result[-1].count += one.count
        else:
            result.append(one)
    return result


class View:
    """What of a comparison is shown; the same for text and Markdown."""

    def __init__(self, diff: Diff, depth: int | None, everything: bool) -> None:
        self.diff = diff
        self.shown = folded([Shown(part) for part in diff.parts if part.kind != "same"])
        counts: list[int] = []
        level = self.shown
        while level:
            counts.append(3 * len(level) + (counts[-1] if counts else 0))
            level = [child for one in level for child in one.children]
        self.levels = len(counts)
        if everything:
            self.depth = self.levels
        elif depth is not None:
            self.depth = depth
        else:
            self.depth = max(1, sum(count <= FITTING for count in counts))

    @property
    def title(self) -> str:
        before, after = self.diff.before, self.diff.after
        if before.name != after.name:
            return f"{titles.design(before)}{ARROW}{titles.design(after)}"
        if before.variant != after.variant:
            return f"{before.name}: {before.variant}{ARROW}{after.variant}"
        if before.file != after.file:
            return f"{titles.design(before)}: {before.file}{ARROW}{after.file}"
        return titles.design(before)

    @property
    def subtitle(self) -> str:
        before, after = (_inputs(summary) for summary in (self.diff.before, self.diff.after))
        if before.keys() == after.keys():
            shapes = {n: dict.fromkeys((before[n], after[n])) for n in before}
            told = ", ".join(f"{name} {ARROW.join(both)}" for name, both in shapes.items())
        else:
            sides = [", ".join(f"{n} {s}" for n, s in side.items()) for side in (before, after)]
            told = ARROW.join(sides)
        return f"{told}; batch {numbers.count(self.diff.before.batch)}; {self.diff.before.dtype}"

    def rows(self) -> Iterator[tuple[int, Shown, bool]]:
        """(level, what is shown, whether what it holds stands below it)."""
        todo = [(1, one) for one in reversed(self.shown)]
        while todo:
            level, one = todo.pop()
            opened = bool(one.children) and level < self.depth
            yield level, one, opened
            if opened:
                todo += [(level + 1, child) for child in reversed(one.children)]

    def totals(self) -> Iterator[tuple[str, Size, Size, Size]]:
        """(title, before, after, difference); those that are zero in both are left out."""
        diff = self.diff
        for name in diff.totals:
            before, after, difference = diff.total(name)
            if name == "trainable_params" and all(
                summary.totals.trainable_params is summary.totals.params
                for summary in (diff.before, diff.after)
            ):
                continue
            if not all(isinstance(size, int) and size == 0 for size in (before, after)):
                yield TITLES.get(name, name.replace("_", " ")), before, after, difference

    def formulas(self) -> Iterator[str]:
        """What the named sizes stand for."""
        definitions = self.diff.definitions()
        yield from titles.definitions(definitions)
        if definitions:
            yield "for sizes that every layer of both accepts."

    def notes(self) -> Iterator[str]:
        diff = self.diff
        counts: dict[str, int] = dict.fromkeys(("changed", "added", "removed"), 0)
        for change in diff.changes:
            counts[change.kind] += 1
        told = [f"{count:,} {kind}" for kind, count in counts.items() if count]
        if told:
            layers = numbers.plural(len(diff.changes), "layer")
            yield f"{layers}: {', '.join(told)}; {diff.same:,} the same."
        elif diff.empty:
            yield f"Nothing differs: {numbers.plural(diff.same, 'layer')} the same."
        else:
            yield f"All {numbers.plural(diff.same, 'layer')} are the same."
        if told:
            yield f"{MACS_CONVENTION}."
        missing = (memory.no_formula(summary) for summary in (diff.before, diff.after))
        yield from dict.fromkeys(note for note in missing if note)
        if self.depth < self.levels:
            yield titles.deeper(self.depth, self.levels)


def _inputs(summary: Summary) -> dict[str, str]:
    return {name: numbers.shape(shape[1:]) for name, shape in summary.inputs.items()}


# --------------------------------------------------------------------------------- text


def render(
    diff: Diff,
    *,
    depth: int | None = None,
    everything: bool = False,
    width: int | None = None,
    style: Style = PLAIN,
) -> str:
    """The comparison for people: what changed, the totals, names of sizes, notes.

    depth: levels of blocks to show; None: as many as fit. width: of the terminal.
    """
    view = View(diff, depth, everything)
    lines = [style(view.title, "bold"), style(view.subtitle, "dim"), ""]
    columns = [Column("  layer", gives=True), Column("output", right=True)]
    columns += [Column(title, right=True, folds=True) for title in SHOWN.values()]
    rows = [row for level, one, opened in view.rows() for row in _rows(level, one, opened)]
    if rows:
        lines += [*draw(columns, rows, width=width, style=style), ""]
    columns = [Column("total")]
    columns += [Column(title, right=True) for title in ("before", "after", "difference", "")]
    totals = []
    equations: list[str] = []
    for title, before, after, difference in view.totals():
        if isinstance(before, int) and isinstance(after, int):
            change = _change(before, difference)
            totals.append(Row([title, numbers.count(before), numbers.count(after), *change]))
        else:  # too long for a cell
            equations += _equations(title, before, after, difference, width)
    lines += [*draw(columns, totals, width=width, style=style), ""] if totals else []
    lines += [*equations, ""] if equations else []
    formulas = list(view.formulas())
    lines += [*formulas, ""] if formulas else []
    for note in view.notes():
        lines += (style(part, "dim") for part in wrapped(note, width))
    return "\n".join(lines)


def _equations(
    title: str, before: Size, after: Size, difference: Size, width: int | None
) -> Iterator[str]:
    """A total that is a formula."""
    if isinstance(difference, int) and difference == 0:
        yield from equation(f"{title}, both", numbers.count(before), width)
        return
    yield title
    yield from equation("  before    ", numbers.count(before), width)
    yield from equation("  after     ", numbers.count(after), width)
    yield from equation("  difference", numbers.signed(difference), width)


def _change(before: Size, difference: Size) -> tuple[str, str]:
    if isinstance(difference, int) and difference == 0:
        return numbers.NONE, ""
    share = ""
    if isinstance(difference, int) and isinstance(before, int) and before:
        share = numbers.signed_percent(difference, before)
    return numbers.signed(difference), share


def _rows(level: int, one: Shown, opened: bool) -> Iterator[Row]:
    indent = "  " * (level - 1)
    if one.kind != "changed":
        side = 0 if one.kind == "removed" else 1
        sign, paint = _SIGNS[one.kind], _PAINTS[one.kind]
        yield Row([f"{sign} {indent}{one.text(side)}", *_figures(one, side)], paint)
        return
    same_label = one.labels[0] == one.labels[1]
    if opened:
        label = one.text(1) if same_label else f"{one.text(0)}{ARROW}{one.text(1)}"
        yield Row([f"  {indent}{label}", "", *("" for _ in SHOWN)], "dim")
        return
    yield Row([f"~ {indent}{one.text(0)}", *_figures(one, 0)])
    yield Row([f"→ {indent}{one.text(1)}", *_figures(one, 1)], "yellow")
    differences = [one.difference(name) for name in SHOWN]
    if any(not isinstance(size, int) or size for size in differences):
        yield Row(["", "", *map(_signed, differences)])


def _figures(one: Shown, side: int) -> list[str]:
    amounts = [one.amount(name, side) for name in SHOWN]
    return [one.outputs[side] or "", *map(_count, amounts)]


def _count(size: Size) -> str:
    return numbers.NONE if isinstance(size, int) and size == 0 else numbers.count(size)


def _signed(size: Size) -> str:
    return "" if isinstance(size, int) and size == 0 else numbers.signed(size)


# --------------------------------------------------------------------------------- Markdown


def markdown(diff: Diff, *, depth: int | None = None, everything: bool = False) -> str:
    """The comparison for a pull request: one row a change, totals first."""
    view = View(diff, depth, everything)
    lines = [f"**{view.title}** ({view.subtitle})", ""]
    columns = [Column("total")]
    columns += [Column(title, right=True) for title in ("before", "after", "difference")]
    rows = []
    for title, before, after, difference in view.totals():
        change, share = _change(before, difference)
        change += f" ({share})" if share else ""
        rows.append([title, numbers.count(before), numbers.count(after), change])
    lines += [*markdown_table(columns, rows), ""]
    columns = [Column(""), Column("layer"), Column("output", right=True)]
    columns += [Column(title, right=True) for title in SHOWN.values()]
    rows = [_markdown_row(level, one, opened) for level, one, opened in view.rows()]
    if rows:
        lines += [*markdown_table(columns, rows), ""]
    formulas = [f"    {line}" for line in view.formulas()]  # as code
    lines += [*formulas, ""] if formulas else []
    lines += view.notes()
    return "\n".join(lines)


def _markdown_row(level: int, one: Shown, opened: bool) -> list[str]:
    indent = "\N{NO-BREAK SPACE}" * (4 * (level - 1))
    texts = [f"`{one.text(side)}`" for side in (0, 1) if one.labels[side]]
    label = indent + ARROW.join(dict.fromkeys(texts))
    if opened:
        return ["", label, "", *("" for _ in SHOWN)]
    outputs = ARROW.join(dict.fromkeys(text for text in one.outputs if text))
    cells = []
    for name in SHOWN:
        difference = one.difference(name)
        if isinstance(difference, int) and difference == 0:
            cells.append(_count(one.amount(name, 1)))
        elif one.kind == "changed":
            pair = ARROW.join(_count(one.amount(name, side)) for side in (0, 1))
            cells.append(f"{pair} ({numbers.signed(difference)})")
        else:
            cells.append(numbers.signed(difference))
    return [f"**{_SIGNS.get(one.kind, '~')}**", label, outputs, *cells]


# --------------------------------------------------------------------------------- JSON


def as_dict(diff: Diff) -> dict[str, Any]:
    """What `convcalc diff --format json` prints, as plain Python values."""
    definitions = diff.definitions()
    result: dict[str, Any] = {
        **json.header(),
        "before": _design(diff.before),
        "after": _design(diff.after),
        "same": diff.same,
        "changes": [_change_dict(change, diff.figures) for change in diff.changes],
        "totals": {
            name: dict(
                zip(
                    ("before", "after", "difference"),
                    map(json.plain, diff.total(name)),
                    strict=True,
                )
            )
            for name in diff.totals
        },
    }
    if definitions:
        result["sizes"] = {name: json.plain(size) for name, size in definitions.items()}
    return result


def _design(summary: Summary) -> dict[str, Any]:
    found = {
        **json.design(summary),
        "layers": len(summary.layers),
        "outputs": json.shapes(summary.outputs),
    }
    if summary.no_memory_formula is not None:
        found["no_memory_formula"] = summary.no_memory_formula
    return found


def _change_dict(change: Change, figures: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "before": _layer(change.before, figures),
        "after": _layer(change.after, figures),
        "difference": {name: json.plain(change.difference(name)) for name in figures},
    }


def _layer(layer: Layer | None, figures: Sequence[str]) -> dict[str, Any] | None:
    if layer is None:
        return None
    return {
        "path": layer.path,
        "op": layer.op.name(),
        "args": json.plain(layer.args),
        "line": layer.line,
        "output": json.plain(layer.output),
        **{name: json.plain(getattr(layer, name)) for name in figures},
        "aux": layer.aux,
    }
