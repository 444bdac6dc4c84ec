"""The networks of the zoo, side by side."""

from __future__ import annotations

from convcalc.integers import expand, symbols
from convcalc.report import numbers
from convcalc.report.grid import PLAIN, Column, Row, draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from convcalc.catalog import Entry, Listing
    from convcalc.integers import Size
    from convcalc.report.grid import Style

_COLUMNS = (
    Column("name"),
    Column("variant"),
    Column("input", right=True),
    Column("params", right=True),
    Column("MACs", right=True),
    Column("from", gives=True),
)
_PEAKS = (Column("inference peak", right=True), Column("training peak", right=True))


def _input(entry: Entry) -> str:
    return ", ".join(numbers.shape(shape[1:]) for shape in entry.summary.inputs.values())


def render(listing: Listing, *, width: int | None = None, style: Style = PLAIN) -> str:
    """A table for people, with rounded figures. width: of the terminal; None for a pipe."""
    rows = []
    for one in listing.shown:
        totals = one.summary.totals
        variant = one.summary.variant or ""
        if one.variants > 1:
            variant = f"{variant} of {one.variants}"
        figures = [_compact(totals.params), _compact(totals.macs)]
        rows.append(Row([one.name, variant, _input(one), *figures, one.cite]))
    lines = draw(_COLUMNS, rows, width=width, style=style) if rows else []
    notes = _notes(listing)
    return "\n".join([*lines, "", *notes] if lines and notes else [*lines, *notes])


def _notes(listing: Listing) -> list[str]:
    """How many met the conditions, where there were any, and which could not be judged."""
    if not listing.asked:
        return []
    notes = [f"{len(listing.shown)} of {numbers.plural(listing.total, 'network')}."]
    if listing.open:
        names = ", ".join(entry.name for entry in listing.open)
        notes.append(f"Figures that depend on an open size meet no condition: {names}.")
    return notes


def _alone(size: Size) -> Size:
    """A formula without names of sizes, for here nothing says what they are."""
    return expand(size)


def _compact(size: Size) -> str:
    if isinstance(size, int):
        return numbers.compact(size)
    return f"depends on {', '.join(symbols(_alone(size)))}"


def as_dict(listing: Listing) -> dict[str, Any]:
    """For JSON: exact figures. total: how many were looked at; open: names of those that could not
    be judged, for a figure depends on a size that they leave open."""
    names = [entry.name for entry in listing.open]
    return {"networks": _dicts(listing.shown), "total": listing.total, "open": names}


def _dicts(listed: Iterable[Entry]) -> list[dict[str, Any]]:
    from convcalc.report.json import plain, shapes

    return [
        {
            "name": one.name,
            "title": one.summary.name,
            "variant": one.summary.variant,
            "file": one.summary.file,
            "input": shapes(one.summary.inputs),
            "params": plain(_alone(one.summary.totals.params)),
            "macs": plain(_alone(one.summary.totals.macs)),
            "cite": one.cite,
            "year": one.year,
        }
        for one in listed
    ]


def csv(listed: Iterable[Entry]) -> str:
    """Exact figures, one network a line."""
    from convcalc.report.csv import table

    return table(
        ["name", "title", "variant", "input", "params", "macs", "cite"],
        [
            [
                one.name,
                one.summary.name,
                one.summary.variant,
                _input(one).replace(numbers.TIMES, "x"),
                _alone(one.summary.totals.params),
                _alone(one.summary.totals.macs),
                one.cite,
            ]
            for one in listed
        ],
    )


def markdown(listed: Iterable[Entry]) -> str:
    """Exact figures as a Markdown table, and what one sample takes in memory above the weights."""
    from convcalc.report.markdown import table

    rows = [
        [
            one.name,
            one.summary.variant or "",
            _input(one),
            numbers.count(_alone(one.summary.totals.params)),
            numbers.count(_alone(one.summary.totals.macs)),
            _peak(one.summary.totals.inference_peak_bytes),
            _peak(one.summary.totals.training_peak_bytes),
            one.cite,
        ]
        for one in listed
    ]
    return "\n".join(table((*_COLUMNS[:-1], *_PEAKS, _COLUMNS[-1]), rows))


def _peak(size: int | None) -> str:
    """None: a size is open, or one sample is too few to train with."""
    return numbers.NONE if size is None else numbers.memory(size)
