"""convcalc summary: every layer's output size, parameters and MACs, and the totals."""

from __future__ import annotations

from convcalc.cli import FAILED, OK, console, options
from convcalc.cli.parser import Parser, UsageError
from convcalc.network import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from convcalc.analysis.summary import Summary

FORMATS = ("table", "json", "csv", "markdown")


def parser() -> Parser:
    result = Parser(
        "summary",
        "Every layer's output size, parameters and MACs, the totals, and what is worth a second "
        "look.\nReads the design alone: PyTorch is not needed.",
        [
            "convcalc summary vgg16",
            "convcalc summary resnet --variant resnet50 --depth 1",
            "convcalc summary alexnet --input 3x224x224 --batch 8 --strict",
            "convcalc summary mobilenetv2 --set width=1.4 --format json",
            "convcalc summary unet --symbolic",
        ],
    )
    result.add_argument("file", metavar="FILE", help=options.FILE_HELP)
    options.add_design(result)
    group = result.add_argument_group("the report")
    group.add_argument("--format", metavar="FORMAT", default="table", help=", ".join(FORMATS))
    group.add_argument(
        "--symbolic",
        action="store_true",
        help="leave batch and spatial sizes open (N, H, W): figures become formulas",
    )
    group.add_argument("--depth", metavar="N", help="levels of blocks to show")
    group.add_argument("--all", action="store_true", help="every level, and nothing folded")
    group.add_argument(
        "--columns", metavar="NAMES", help=f"of {', '.join(_columns())}, joined by commas"
    )
    group.add_argument("--strict", action="store_true", help="exit with 1 where there are warnings")
    return result


def _columns() -> list[str]:
    from convcalc.report.columns import FIELDS

    return list(FIELDS)


def run(arguments: Namespace) -> int:
    format = options.choice("--format", arguments.format, FORMATS)
    names = None
    if arguments.columns is not None:
        names = [name.strip() for name in arguments.columns.split(",") if name.strip()]
        if format == "json":
            raise UsageError("--columns chooses those of a table; JSON has all figures")
        if not names:
            raise UsageError("--columns names no column", f"it takes {', '.join(_columns())}")
    depth = options.whole("--depth", arguments.depth)
    if depth is not None and arguments.all:
        raise UsageError("--all shows every level, so --depth has nothing to choose")
    shape, batch = options.inputs(arguments.input), options.batch(arguments.batch)
    dtype, values = options.dtype(arguments.dtype), options.assignments(arguments.set)
    document = options.read_document(arguments.file)
    network = Network(document, arguments.variant, values)
    summary = network.summary(shape, batch, dtype, symbolic=arguments.symbolic)
    console.write(_report(summary, format, names, depth, arguments.all))
    return FAILED if arguments.strict and summary.warnings else OK


def _report(
    summary: Summary, format: str, names: Sequence[str] | None, depth: int | None, everything: bool
) -> str:
    if format == "json":
        from convcalc.report import json

        return json.summary(summary)
    if format == "csv":
        from convcalc.report import csv

        return csv.summary(summary, names)
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
