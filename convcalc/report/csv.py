"""Figures as CSV, for spreadsheets and data frames: one line a layer, nothing folded."""

from __future__ import annotations

import csv
import io

from convcalc.report.columns import chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from convcalc.analysis.summary import Layer, Summary

    Cell = Callable[[Layer, Summary], object]


def _sizes(shape: Iterable[object]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def _fields(sizes: Iterable[int | None], is_global: Iterable[bool]) -> str:
    """Sizes on local paths; `global`, alone or after the size, where a path sees a whole axis."""
    texts = []
    for size, whole in zip(sizes, is_global, strict=True):
        parts = [str(size)] if size is not None else []
        texts.append(" ".join([*parts, "global"]) if whole else "".join(parts) or "?")
    return "x".join(texts)


def _share(name: str) -> Cell:
    def cell(layer: Layer, report: Summary) -> object:
        part, whole = getattr(layer, name), getattr(report.totals, name)
        if layer.aux or not (isinstance(part, int) and isinstance(whole, int) and whole):
            return ""
        return f"{part / whole:.6f}"

    return cell


# A column's name on the command line → its title here (JSON's key) and what it says.
_CELLS: dict[str, tuple[str, Cell]] = {
    "path": ("path", lambda layer, _: layer.path),
    "layer": ("layer", lambda layer, _: layer.op),
    "line": ("line", lambda layer, _: layer.line),
    "inputs": ("inputs", lambda layer, _: " ".join(layer.inputs)),
    "output": ("output", lambda layer, _: _sizes(layer.output)),
    "params": ("params", lambda layer, _: layer.params),
    "params-share": ("params_share", _share("params")),
    "buffers": ("buffers", lambda layer, _: layer.buffers),
    "macs": ("macs", lambda layer, _: layer.macs),
    "macs-share": ("macs_share", _share("macs")),
    "bytes": ("output_bytes", lambda layer, _: layer.output_bytes),
    "allocated": ("allocated_bytes", lambda layer, _: layer.allocated_bytes),
    "saved": ("saved_bytes", lambda layer, _: layer.saved_bytes),
    "weights": ("weights_bytes", lambda layer, _: layer.weights_bytes),
    "field": (
        "receptive_field",
        lambda layer, _: _fields(layer.receptive_field, layer.is_global),
    ),
    "jump": ("jump", lambda layer, _: _sizes(layer.jump)),
    "dropped": ("dropped", lambda layer, _: _sizes(layer.dropped)),
    "aux": ("aux", lambda layer, _: str(layer.aux).lower()),
    "frozen": ("frozen", lambda layer, _: str(layer.frozen).lower()),
}
_DEFAULT = (
    "path",
    "layer",
    "line",
    "inputs",
    "output",
    "params",
    "buffers",
    "macs",
    "bytes",
    "allocated",
    "saved",
    "weights",
    "field",
    "jump",
    "dropped",
    "aux",
    "frozen",
)


def summary(report: Summary, names: Sequence[str] | None = None) -> str:
    """A summary's layers. names: of `columns.FIELDS`; None: all but the shares."""
    if names is None:
        names = _DEFAULT
    else:
        names = [field.name for field in chosen(names)]
    cells = [_CELLS[name] for name in names]
    rows = [[show(layer, report) for _, show in cells] for layer in report.layers]
    return table([title for title, _ in cells], rows)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV (RFC 4180, but with \\n), without the last line's end."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")
