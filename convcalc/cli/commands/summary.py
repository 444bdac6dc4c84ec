"""convcalc summary: every layer's output size, parameters and MACs, and the totals."""

from __future__ import annotations

from convcalc.cli import FAILED, OK, console, options
from convcalc.cli.parser import Option, Parser, UsageError
from convcalc.report.columns import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcalc.analysis.summary import Summary
    from convcalc.cli.parser import Values

FORMATS = ("table", "json", "csv", "markdown", "latex", "python")

EXPLAINED = ("table", "json", "markdown")


def parser() -> Parser:
    return Parser(
        "summary",
        "Every layer's output size, parameters and MACs, the totals, and what is worth a second "
        "look. Reads the design alone: PyTorch is not needed.",
        argument=options.FILE,
        groups={
            "the design": [*options.design_options(), options.FREEZE],
            "memory": [
                *options.memory_options(),
                Option(
                    "timeline",
                    "FILE",
                    "live bytes over forward, backward and step, as a chart; written to a file "
                    "that ends in .svg or .csv",
                    bare=True,
                ),
                Option("inference", "", "for --timeline: of a forward pass alone"),
            ],
            "the report": [
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
                options.symbolic_option(),
                Option(
                    "explain",
                    "PATH",
                    "how each figure comes about, rule by rule; of one layer or block alone",
                    bare=True,
                ),
                Option("depth", "N", "levels of blocks to show"),
                Option("all", "", "show every level, and fold nothing"),
                Option("columns", "NAMES", f"of {', '.join(FIELDS)}; joined by commas"),
                options.STRICT,
            ],
        },
        examples=[
            "convcalc summary vgg16",
            "convcalc summary resnet --variant resnet50 --depth 1",
            "convcalc summary alexnet --input 3x224x224 --batch 8",
            "convcalc summary vgg16 --explain Conv[0]",
            "convcalc summary vgg16 --optimizer adam --timeline",
            "convcalc summary mobilenetv2 --set alpha=1.4 --format json",
            "convcalc summary unet --symbolic",
            "convcalc summary unet --symbolic base,classes --format python",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    names = None
    if values["columns"] is not None:
        names = [name.strip() for name in values["columns"].split(",") if name.strip()]
        if format in ("json", "python", "latex"):
            raise UsageError(f"--columns chooses those of a table; {format} has its own")
        if not names:
            raise UsageError("--columns names no column", f"it takes {', '.join(FIELDS)}")
    depth = options.whole("--depth", values["depth"])
    if values["explain"] is not None and format not in EXPLAINED:
        raise UsageError(f"--explain takes --format {', '.join(EXPLAINED)}, not {format}")
    _check_timeline(values)
    if depth is not None and values["all"]:
        raise UsageError("--all shows every level, so --depth has nothing to choose")
    shape, batch, dtype = options.flowing(values)
    symbolic, step = options.symbolic(values["symbolic"]), options.memory(values)
    network = options.network(values)
    summary = network.summary(shape, batch, dtype, symbolic=symbolic, **step)
    if values["timeline"] is not None:
        _timeline(summary, values["timeline"], values["inference"])
    elif values["explain"] is not None:
        console.write(_explained(summary, values["explain"] or None, format))
    else:
        console.write(_report(summary, format, names, depth, values["all"]))
    return FAILED if values["strict"] and summary.failing_warnings else OK


def _check_timeline(values: Values) -> None:
    file = values["timeline"]
    if file is None:
        if values["inference"]:
            raise UsageError("--inference goes with --timeline", "the table has both peaks")
        return
    if file and not file.lower().endswith((".svg", ".csv")):
        raise UsageError(
            f"--timeline writes a file that ends in .svg or .csv, not {file!r}",
            "without a file it draws a chart: put it last, or before another option",
        )
    if values["explain"] is not None or values["format"] != FORMATS[0]:
        raise UsageError("--timeline is a report of its own: leave --format and --explain out")


def _timeline(summary: Summary, file: str, inference: bool) -> None:
    """Draw, or write, live bytes over a pass."""
    course = summary.inference if inference else summary.training
    if course is None:
        reason = summary.no_peak if inference else summary.no_training_peak
        raise UsageError(f"there is no timeline: {reason}")
    from convcalc.report import timeline

    if not file:
        console.write(timeline.chart(summary, course, width=console.width(), style=console.style()))
        return
    svg = file.lower().endswith(".svg")
    text = timeline.svg(summary, course) if svg else timeline.table(course)
    with open(file, "w", encoding="utf-8") as out:
        out.write(text + "\n")


def _explained(summary: Summary, path: str | None, format: str) -> str:
    """--explain, which nothing else here needs: it is loaded when it is asked for."""
    from convcalc.analysis.explain import explain
    from convcalc.report import explain as told

    found = explain(summary, path)
    if format == "json":
        from convcalc.report import json

        return json.text(told.network_dict(found))
    if format == "markdown":
        return told.network_markdown(found)
    return told.network_text(found, width=console.width(), style=console.style())


def _report(
    summary: Summary, format: str, names: Sequence[str] | None, depth: int | None, everything: bool
) -> str:
    if format == "json":
        from convcalc.report import json

        return json.summary(summary)
    if format == "csv":
        from convcalc.report import csv

        return csv.summary(summary, names)
    if format == "python":
        from convcalc.report import python

        return python.summary(summary)
    if format == "latex":
        from convcalc.report import latex

        return latex.summary(summary, depth=depth, everything=everything)
    if format == "markdown":
        from convcalc.report import markdown

        return markdown.summary(summary, names=names, depth=depth, everything=everything)
    from convcalc.report import table

    return table.render(
        summary,
        names=names,
        depth=depth,
        everything=everything,
        width=console.width(),
        style=console.style(),
    )
