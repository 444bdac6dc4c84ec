"""The outcome of checks: a table, what disagrees, JSON."""

from __future__ import annotations

from convcalc.checking import Broken, Check, departure
from convcalc.report import numbers
from convcalc.report.grid import PLAIN, Column, Row, draw
from convcalc.report.table import warning_lines, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from convcalc.errors import Problem
    from convcalc.pytorch import Comparison
    from convcalc.report.grid import Style

    Outcome = Check | Broken

#: So many disagreements of one network are told; JSON has all.
SHOWN = 12

_COLUMNS = (
    Column("network", gives=True),
    Column("params", right=True),
    Column("MACs", right=True),
    Column("claims", right=True),
    Column("compared", right=True),
    Column("seconds", right=True),
    Column("result"),
)


def failed(outcome: Outcome, *, strict: bool = False) -> bool:
    """Whether a figure, a claim, or (strict) a warning speaks against the network."""
    if isinstance(outcome, Broken):
        return True
    return not outcome.ok or (strict and bool(outcome.summary.failing_warnings))


def render(
    outcomes: Sequence[Outcome],
    *,
    strict: bool = False,
    width: int | None = None,
    style: Style = PLAIN,
) -> str:
    """A line for each network, then everything that disagrees, then the verdict."""
    lines = draw(_COLUMNS, [_row(o, strict) for o in outcomes], width=width, style=style)
    for outcome in outcomes:
        if isinstance(outcome, Check):
            lines += _details(outcome, strict, width, style)
    lines += ["", *wrapped(verdict(outcomes, strict=strict), width)]
    return "\n".join(lines)


def _name(outcome: Outcome) -> str:
    if isinstance(outcome, Broken):
        parts = [outcome.file, outcome.variant]
    else:
        parts = [outcome.network.name, outcome.network.variant]
    return ", ".join(part for part in parts if part)


def _row(outcome: Outcome, strict: bool) -> Row:
    if isinstance(outcome, Broken):
        dashes = [numbers.NONE] * (len(_COLUMNS) - 2)
        return Row([_name(outcome), *dashes, "error"], "red")
    totals, report = outcome.summary.totals, outcome.report
    wrong = failed(outcome, strict=strict)
    cells = [
        _name(outcome),
        numbers.count(totals.params),
        numbers.count(totals.macs),
        str(len(outcome.claims) or numbers.NONE),
        numbers.count(len(report.comparisons)) if report else numbers.NONE,
        f"{report.seconds:.1f}" if report else numbers.NONE,
        _result(outcome, strict),
    ]
    return Row(cells, "red" if wrong else "")


def _result(outcome: Check, strict: bool) -> str:
    problems = len(outcome.failed_claims) + (len(outcome.report.failures) if outcome.report else 0)
    if problems:
        return f"{problems} failed"
    warnings = len(outcome.summary.warnings)
    if warnings:
        told = numbers.plural(warnings, "warning")
        return told if failed(outcome, strict=strict) else f"ok, {told}"
    return "ok"


def _details(outcome: Check, strict: bool, width: int | None, style: Style) -> Iterator[str]:
    for claim in outcome.failed_claims:
        yield ""
        yield from problem_lines(claim.problem(), outcome.network.file, style)
    unlike = departure(outcome) if outcome.failed_claims else None
    if unlike:
        yield from wrapped(f"  {unlike}", width, "    ")
    free = outcome.network.graph.free
    if outcome.report and free:
        inputs = outcome.summary.flow.inputs.values()
        shapes = ", ".join(numbers.TIMES.join(map(str, shape[1:])) for shape in inputs)
        yield ""
        told = f"{_name(outcome)} leaves {', '.join(free)} open and was run at {shapes}"
        yield from wrapped(f"{told}; --input chooses another size", width, "  ")
    for note in outcome.report.notes if outcome.report else ():
        yield ""
        yield from wrapped(f"{_name(outcome)}: {note}", width, "  ")
    failures = outcome.report.failures if outcome.report else []
    if failures:
        yield ""
        first = f"{_name(outcome)}: PyTorch measured something else than was computed"
        yield style(first, "red")
    for comparison in failures[:SHOWN]:
        yield from wrapped(f"  {_disagreement(outcome, comparison)}", width, "      ")
    if len(failures) > SHOWN:
        yield f"  and {len(failures) - SHOWN:,} more, which --format json lists"
    if strict:
        yield from warning_lines(outcome.summary, width, style)


def problem_lines(problem: Problem, file: str, style: Style = PLAIN) -> list[str]:
    """A problem as it stands in errors, with its line of the file."""
    lines = problem.render(file)
    head, word, rest = lines[0].partition(f"{problem.severity}:")
    lines[0] = head + style(word, "red" if problem.severity == "error" else "yellow") + rest
    return lines


def _disagreement(outcome: Check, comparison: Comparison) -> str:
    where = "the whole network"
    if comparison.path is not None:
        layer = outcome.summary.layer(comparison.path)
        where = f"{comparison.path}, {layer.op}"
        if layer.place:
            where = f"{layer.place.source.name}:{layer.place.line}: {where}"
    computed, measured = _differing(comparison.computed, comparison.measured)
    return f"{where}: {comparison.figure} computed {computed}, measured {measured}"


def _differing(computed: Any, measured: Any) -> tuple[str, str]:
    """Both values as text; of dicts only the entries that differ."""
    if isinstance(computed, dict) and isinstance(measured, dict):
        names = [n for n in {**computed, **measured} if computed.get(n) != measured.get(n)]
        if names:
            computed, measured = (
                ", ".join(f"{n} {_text(d[n])}" for n in names if n in d) or "none"
                for d in (computed, measured)
            )
    return _text(computed), _text(measured)


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple):
        return numbers.TIMES.join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items()) or "none"
    return str(value)


def verdict(outcomes: Sequence[Outcome], *, strict: bool = False) -> str:
    """One line: how many networks agree, what was compared, where."""
    wrong = [o for o in outcomes if failed(o, strict=strict)]
    checks = [o for o in outcomes if isinstance(o, Check)]
    reports = [o.report for o in checks if o.report]
    told = numbers.plural(len(outcomes), "network")
    if wrong:
        text = f"{len(wrong):,} of {told} failed"
    else:
        text = f"{told}, all right"
    claims = sum(len(o.claims) for o in checks)
    compared = f"{numbers.plural(claims, 'claim')} of the designs"
    if reports:
        figures = sum(len(r.comparisons) for r in reports)
        devices = ", ".join(dict.fromkeys(r.device for r in reports))
        compared += (
            f", {numbers.plural(figures, 'figure')} measured by PyTorch {reports[0].torch} "
            f"on {devices}"
        )
    else:
        compared += "; nothing was run in PyTorch"
    return f"{text} ({compared})."


def dicts(outcomes: Iterable[Outcome], *, strict: bool = False) -> list[dict[str, Any]]:
    """For JSON, one object a network."""
    return [_dict(outcome, strict) for outcome in outcomes]


def _dict(outcome: Outcome, strict: bool) -> dict[str, Any]:
    from convcalc.report.json import comparisons, header, plain, problem, shapes

    if isinstance(outcome, Broken):
        return {
            **header(),
            "name": None,
            "file": outcome.file,
            "variant": outcome.variant,
            "ok": False,
            "errors": [problem(p) for p in outcome.problems],
        }
    summary, report = outcome.summary, outcome.report
    return {
        **header(),
        "name": summary.name,
        "file": summary.file,
        "variant": summary.variant,
        "ok": not failed(outcome, strict=strict),
        "input": shapes(summary.inputs),
        "batch": plain(summary.batch),
        "dtype": summary.dtype,
        "totals": {name: plain(size) for name, size in summary.totals.as_dict().items()},
        "claims": [
            {
                "kind": claim.kind,
                "figure": claim.figure,
                "path": claim.path,
                "wanted": claim.wanted,
                "computed": plain(claim.computed),
                "ok": claim.ok,
                "line": claim.place.line if claim.place else None,
            }
            for claim in outcome.claims
        ],
        "comparisons": comparisons(outcome.comparisons),
        "device": report.device if report else None,
        "torch": report.torch if report else None,
        "seconds": round(report.seconds, 3) if report else None,
        "skipped": report.skipped if report else None,
        "notes": list(report.notes) if report else [],
        "warnings": [problem(w) for w in summary.warnings],
        "errors": [],
    }
