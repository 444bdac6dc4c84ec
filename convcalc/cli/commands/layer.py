"""convcalc layer: one layer without a file."""

from __future__ import annotations

from convcalc.cli import FAILED, OK, console, options
from convcalc.cli.parser import Option, Parser, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.cli.parser import Values
    from convcalc.single import LayerReport

FORMATS = ("table", "json", "markdown")


def parser() -> Parser:
    return Parser(
        "layer",
        "One layer, without a file: the rule of each figure and its numbers, whether its stride "
        "fits, what dense and locally connected layers would need in its place. A ? in the layer "
        "or in --input stands for a whole number, which is found for the --output that is wanted.",
        argument=(
            "LAYER",
            "as in a design: 'Conv2d(96, 11, stride=4)', 'Conv2d(10, ?, padding=2)'",
        ),
        groups={
            "what flows": [
                Option(
                    "input",
                    "SHAPE",
                    "of one sample: 3x227x227; a name in capitals leaves a size open (3xHxW), ? is "
                    "found; repeated for a layer that takes several",
                    repeated=True,
                ),
                Option(
                    "output",
                    "SHAPE",
                    "what should come out: 32, 32x32 or 10x32x32, with ? for any; needed to find ?",
                ),
                *options.run_options(),
            ],
            "the report": [
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
                Option("strict", "", "exit with 1 where there are warnings, or it does not fit"),
            ],
        },
        examples=[
            "convcalc layer 'Conv2d(96, 11, stride=4)' --input 3x227x227",
            "convcalc layer 'Conv2d(10, 5, padding=?)' --input 3x32x32 --output 32x32",
            "convcalc layer 'MaxPool2d(3, 2)' --input 64x?x? --output 56x56",
            "convcalc layer 'Conv2d(96, 11, stride=4)' --input 3xHxW",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    shapes = options.layer_inputs(values["input"])
    if not shapes:
        raise UsageError("a layer needs --input, what flows in", "as in --input 3x227x227")
    batch, dtype = options.batch(values["batch"]), options.dtype(values["dtype"])
    wanted = None if values["output"] is None else options.sizes(values["output"])
    unknown = "?" in values["layer"] or any("?" in shape for shape in shapes.values())
    if unknown and wanted is None:
        raise UsageError(
            "? is found from the output that is wanted, and --output is not given",
            "as in --output 32x32",
        )
    from convcalc.single import layer

    report = layer(values["layer"], shapes, wanted, batch=batch, dtype=dtype)
    console.write(_text(report, format))
    failed = values["strict"] and (report.warnings or report.fits is False)
    return FAILED if failed or not report.ok else OK


def _text(report: LayerReport, format: str) -> str:
    from convcalc.report import explain

    if format == "json":
        from convcalc.report import json

        return json.text(explain.layer_dict(report))
    if format == "markdown":
        return explain.layer_markdown(report)
    return explain.layer_text(report, width=console.width(), style=console.style())
