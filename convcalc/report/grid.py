"""Columns of text, for a terminal or a pipe.

Written here rather than with rich because of its start: drawing this table takes rich about as long
as everything else that `convcalc summary` does, Python's own start included.
"""

from __future__ import annotations

from convcalc.errors import text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
ELLIPSIS = "…"
#: The least width to which the column that gives way is cut.
LEAST = 16

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Style:
    """Marks text for a terminal, or leaves it alone."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, text: str, *styles: str) -> str:
        codes = [_STYLES[style] for style in styles if style]
        if not self.color or not codes or not text:
            return text
        return f"\033[{';'.join(codes)}m{text}\033[0m"


PLAIN = Style(False)


def cut(text: str, width: int) -> str:
    """The text, its end replaced by … where it is wider."""
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


class Column:
    """right: figures stand to the right. Where the table would be too wide, a column that folds
    takes a sum's terms onto several lines, and then one that gives is cut."""

    __slots__ = ("folds", "gives", "right", "title")

    def __init__(
        self, title: str, *, right: bool = False, gives: bool = False, folds: bool = False
    ) -> None:
        self.title = title
        self.right = right
        self.gives = gives
        self.folds = folds


class Row:
    """The cells of a line.

    styles: of the whole line ("bold", "dim"). quiet: so many characters of the first cell are dim
    (the lines of a tree).
    """

    __slots__ = ("cells", "quiet", "styles")

    def __init__(self, cells: Sequence[str], *styles: str, quiet: int = 0) -> None:
        self.cells = cells
        self.styles = styles
        self.quiet = quiet


#: In the place of a Row: a line across.
RULE = Row(())


def draw(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    width: int | None = None,
    style: Style = PLAIN,
) -> list[str]:
    """The table's lines: titles, a rule, the rows.

    width: of the terminal; None for a pipe, where nothing is cut. Figures are never cut: where they
    alone are wider than the terminal, lines are longer than it.
    """
    shown = [row for row in rows if row is not RULE]
    widths = [
        max([text_width(c.title), *(text_width(row.cells[i]) for row in shown)])
        for i, c in enumerate(columns)
    ]
    full = sum(widths) + len(GAP) * (len(columns) - 1)
    if width is not None and full > width:
        rows = _folded(columns, rows, widths, full - width)
        full = sum(widths) + len(GAP) * (len(columns) - 1)
    giving = next((i for i, c in enumerate(columns) if c.gives), None)
    if width is not None and giving is not None and full > width:
        least = max(LEAST, text_width(columns[giving].title))
        widths[giving] = min(widths[giving], max(least, widths[giving] - (full - width)))
        full = sum(widths) + len(GAP) * (len(columns) - 1)
    titles = Row([c.title for c in columns], "dim")
    rule = style("─" * full, "dim")
    lines = [_line(columns, titles, widths, style), rule]
    lines += [rule if row is RULE else _line(columns, row, widths, style) for row in rows]
    return lines


def _folded(
    columns: Sequence[Column], rows: Sequence[Row], widths: list[int], excess: int
) -> list[Row]:
    """Rows with sums on several lines, so that the table is `excess` columns narrower, or as many
    as that can give; `widths` become the new ones."""
    from convcalc.report.sums import packed, terms

    folding = [index for index, column in enumerate(columns) if column.folds]
    for index in sorted(folding, key=lambda i: -widths[i]):
        cells = [row.cells[index] for row in rows if row is not RULE]
        least = [text_width(term) for cell in cells for term in terms(cell)]
        narrower = max([widths[index] - excess, text_width(columns[index].title), *least])
        if narrower < widths[index]:
            excess -= widths[index] - narrower
            widths[index] = narrower
    result: list[Row] = []
    for row in rows:
        if row is RULE or all(text_width(row.cells[i]) <= widths[i] for i in folding):
            result.append(row)
            continue
        stacks = [
            packed(terms(cell), widths[i]) if i in folding else [cell]
            for i, cell in enumerate(row.cells)
        ]
        below = row.cells[0][: row.quiet].replace("├─", "│ ").replace("└─", "  ")
        for line in range(max(map(len, stacks))):
            cells = [stack[line] if line < len(stack) else "" for stack in stacks]
            if line:
                cells[0] = below + cells[0]
            result.append(Row(cells, *row.styles, quiet=row.quiet))
    return result


def _line(columns: Sequence[Column], row: Row, widths: Sequence[int], style: Style) -> str:
    parts = []
    for column, cell, width in zip(columns, row.cells, widths, strict=True):
        cell = cut(cell, width)
        space = " " * (width - text_width(cell))
        parts.append(space + cell if column.right else cell + space)
    line = GAP.join(parts).rstrip()
    if row.quiet:
        return style(line[: row.quiet], "dim") + style(line[row.quiet :], *row.styles)
    return style(line, *row.styles)
