"""The networks of the zoo, side by side."""

from __future__ import annotations

from convcalc.report import numbers
from convcalc.report.grid import PLAIN, Column, Row, draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from convcalc.analysis.summary import Summary
    from convcalc.report.grid import Style

_COLUMNS = (
    Column("name"),
    Column("variant"),
    Column("input", right=True),
    Column("params", right=True),
    Column("MACs", right=True),
    Column("from", gives=True),
)


class Listed:
    """One line: a network of the zoo in one of its variants.

    variants: how many it has; cite: where it is published.
    """

    def __init__(self, name: str, summary: Summary, variants: int, cite: str) -> None:
        self.name = name
        self.summary = summary
        self.variants = variants
        self.cite = cite

    @property
    def input(self) -> str:
        return ", ".join(numbers.shape(shape[1:]) for shape in self.summary.inputs.values())


def render(listed: Sequence[Listed], *, width: int | None = None, style: Style = PLAIN) -> str:
    """A table for people, with rounded figures. width: of the terminal; None for a pipe."""
    rows = []
    for one in listed:
        totals = one.summary.totals
        variant = one.summary.variant or ""
        if one.variants > 1:
            variant = f"{variant} of {one.variants}"
        figures = [_compact(totals.params), _compact(totals.macs)]
        rows.append(Row([one.name, variant, one.input, *figures, one.cite]))
    return "\n".join(draw(_COLUMNS, rows, width=width, style=style))


def _compact(size: Any) -> str:
    return numbers.compact(size) if isinstance(size, int) else numbers.count(size)


def dicts(listed: Iterable[Listed]) -> list[dict[str, Any]]:
    """For JSON: exact figures."""
    from convcalc.report.json import plain, shapes

    return [
        {
            "name": one.name,
            "title": one.summary.name,
            "variant": one.summary.variant,
            "file": one.summary.file,
            "input": shapes(one.summary.inputs),
            "params": plain(one.summary.totals.params),
            "macs": plain(one.summary.totals.macs),
            "cite": one.cite,
        }
        for one in listed
    ]


def csv(listed: Iterable[Listed]) -> str:
    """Exact figures, one network a line."""
    from convcalc.report.csv import table

    return table(
        ["name", "title", "variant", "input", "params", "macs", "cite"],
        [
            [
                one.name,
                one.summary.name,
                one.summary.variant,
                one.input.replace(numbers.TIMES, "x"),
                one.summary.totals.params,
                one.summary.totals.macs,
                one.cite,
            ]
            for one in listed
        ],
    )


def markdown(listed: Iterable[Listed]) -> str:
    """Exact figures as a Markdown table."""
    from convcalc.report.markdown import table

    rows = [
        [
            one.name,
            one.summary.variant or "",
            one.input,
            numbers.count(one.summary.totals.params),
            numbers.count(one.summary.totals.macs),
            one.cite,
        ]
        for one in listed
    ]
    return "\n".join(table(_COLUMNS, rows))
