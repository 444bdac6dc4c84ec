"""Figures as JSON: a contract, versioned by "schema". What is not computed yet has no key.

Keys that are added do not change the version; a key that goes or changes its meaning does. Sizes
are ints, or where they are open strings in the syntax that `convcalc.integers.parse` reads; "sizes"
then tells what the names in them stand for. Shapes are lists with the batch first. Bytes and MACs
are of the whole batch.
"""

from __future__ import annotations

from json import dumps

from convcalc._version import __version__
from convcalc.integers import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from convcalc.analysis.summary import Figures, Layer, Summary
    from convcalc.errors import Problem
    from convcalc.pytorch import Comparison

SCHEMA = 1


def header() -> dict[str, Any]:
    """The keys that every report begins with."""
    return {"convcalc": __version__, "schema": SCHEMA}


def summary(report: Summary) -> str:
    """A summary as text, one layer a line."""
    return text(summary_dict(report))


def summary_dict(report: Summary) -> dict[str, Any]:
    """What `convcalc summary --format json` prints, as plain Python values."""
    result: dict[str, Any] = {
        **header(),
        **design(report),
        "layers": list(_layers(report)),
        "outputs": shapes(report.outputs),
    }
    if report.aux_outputs:
        result["aux_outputs"] = shapes(report.aux_outputs)
    definitions = report.definitions()
    if definitions:
        result["sizes"] = {name: plain(size) for name, size in definitions.items()}
    result["memory"] = {
        "device": report.device,
        "optimizer": report.optimizer,
        "foreach": report.foreach,
        "weight_decay": report.weight_decay,
    }
    result["totals"] = _totals(report)
    result["warnings"] = [problem(warning) for warning in report.warnings]
    return result


def design(report: Summary) -> dict[str, Any]:
    """Which design it is, and what flows in."""
    return {
        "name": report.name,
        "file": report.file,
        "variant": report.variant,
        "input": shapes(report.inputs),
        "batch": plain(report.batch),
        "dtype": report.dtype,
    }


def _totals(report: Summary) -> dict[str, Any]:
    """A figure that there is none of is null, and what stands beside it says why."""
    totals = report.totals
    figures = {name: plain(size) for name, size in totals.as_dict().items()}
    for name in ("volumes", "allocated_bytes", "saved_bytes", "gradients_bytes"):
        figures[name] = plain(getattr(totals, name))
    if report.no_memory_formula is not None:
        figures["no_memory_formula"] = report.no_memory_formula
    figures["optimizer_bytes"] = totals.optimizer_bytes
    for name, course, missing in (
        ("inference", report.inference, report.no_peak),
        ("training", report.training, report.no_training_peak),
    ):
        figures[f"{name}_peak_bytes"] = course and course.peak
        where = {"phase": course.phase, "path": course.path} if course else {"reason": missing}
        figures[f"{name}_peak_at"] = where
    return figures


def _layers(report: Summary) -> Iterator[dict[str, Any]]:
    known: dict[Figures, tuple[Any, dict[str, Any]]] = {}
    for layer in report.layers:
        figures = layer.figures
        shared = known.get(figures)
        if shared is None:
            shared = known[figures] = (plain(layer.args), _figures(layer))
        yield {
            "path": layer.path,
            "op": layer.op.name(),
            "args": shared[0],
            "line": layer.line,
            "inputs": list(layer.inputs),
            **shared[1],
            "allocated_bytes": plain(layer.allocated_bytes),
            "saved_bytes": plain(layer.saved_bytes),
            **_fields(layer, several=len(report.inputs) > 1),
            "aux": layer.aux,
            "frozen": layer.frozen,
        }


def _figures(layer: Layer) -> dict[str, Any]:
    """What layers with the same op and input share."""
    return {
        "output": plain(layer.output),
        "params": plain(layer.params),
        "buffers": plain(layer.buffers),
        "macs": plain(layer.macs),
        "output_bytes": plain(layer.output_bytes),
        "weights_bytes": plain(layer.weights_bytes),
        "dropped": plain(layer.dropped),
    }


def _fields(layer: Layer, *, several: bool) -> dict[str, Any]:
    """Receptive fields, one entry an axis of the input; of each input where there are several."""
    axes = layer.fields
    figures: dict[str, Any] = {
        "receptive_field": [field.size for field in axes],
        "global": [field.is_global for field in axes],
        "jump": [plain(field.jump) for field in axes],
        "offset": [plain(field.offset) for field in axes],
    }
    if several:
        figures["receptive_fields"] = {
            name: [field.size for field in fields] for name, fields in layer.named_fields.items()
        }
    return figures


def problem(found: Problem) -> dict[str, Any]:
    """A warning or an error: where it stands, what it says, what to write instead."""
    return {
        "severity": found.severity,
        "code": found.code,
        "path": found.path,
        "line": found.place.line if found.place else None,
        "column": found.place.column if found.place else None,
        "message": found.message,
        "help": found.help,
    }


def comparisons(found: Iterable[Comparison]) -> list[dict[str, Any]]:
    """Figures as computed beside those that PyTorch measured."""
    return [plain(one.as_dict()) for one in found]


def shapes(named: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
    return {name: plain(shape) for name, shape in named.items()}


def plain(value: Any) -> Any:
    """A value in JSON's own types: formulas as text, tuples as lists, 3/2 as 1.5, 1/3 as text."""
    if value.__class__ is int:
        return value
    if isinstance(value, Formula):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    parts = getattr(value, "denominator", 0)  # a Fraction, without importing them
    if parts and parts & (parts - 1) == 0:
        return float(value)
    return str(value)


def text(report: Mapping[str, Any]) -> str:
    """JSON with one key a line, and lists of objects with one object a line."""
    return "{\n" + ",\n".join(_entry(k, v) for k, v in report.items()) + "\n}"


def texts(reports: Iterable[Mapping[str, Any]]) -> str:
    """A list of reports."""
    return "[\n" + ",\n".join(text(report) for report in reports) + "\n]"


def _entry(key: str, value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = ",\n".join(f"  {dumps(item)}" for item in value)
        return f"{dumps(key)}: [\n{lines}\n]"
    return f"{dumps(key)}: {dumps(value)}"
