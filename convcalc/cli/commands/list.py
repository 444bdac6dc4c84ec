"""convcalc list: the networks that come with convcalc."""

from __future__ import annotations

from convcalc.catalog import SORTS, Filter, InputFilter, entries
from convcalc.cli import OK, console, options
from convcalc.cli.parser import Option, Parser
from convcalc.report import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.cli.parser import Values

FORMATS = ("table", "json", "csv", "markdown")


def parser() -> Parser:
    return Parser(
        "list",
        "The networks that come with convcalc. Each name can stand for a file in every command. "
        "Figures are those of the default variant, at its own input and one sample. WORDs, and "
        "conditions such as '<5M', '>=1G', 5M..10M or 138M (what rounds to it), choose among all "
        "variants; what is given must all be true.",
        argument=("WORD", "what stands in the name, variant, title, source or notes"),
        least=0,
        most=None,
        groups={
            "which": [
                Option("params", "CONDITION", "by parameters: '<5M'", repeated=True),
                Option("macs", "CONDITION", "by multiply-accumulates: '>1G'", repeated=True),
                Option("year", "CONDITION", "by the year of its source: 2015..2020", repeated=True),
                Option(
                    "input",
                    "SHAPE",
                    "by the input, ? for any size: 3x224x224, '3x>=299x?', 1x?",
                    repeated=True,
                ),
                Option("uses", "LAYER", "by a layer that is in it: LayerNorm", repeated=True),
                Option("lectures", "", "the exercises of the lectures in place of the zoo"),
            ],
            "the report": [
                Option("variants", "", "a line for each variant"),
                Option("sort", "BY", f"by {', '.join(SORTS)}", SORTS[0]),
                Option("reverse", "", "the other way round: the largest first"),
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
            ],
        },
        examples=[
            "convcalc list",
            "convcalc list --params '<5M' --sort macs",
            "convcalc list efficientnet --macs 1G..5G",
            "convcalc list --input '1x?' --uses BatchNorm1d",
            "convcalc list --variants --format markdown",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    found = entries(
        values["word"],
        [Filter(name, text) for name in ("params", "macs", "year") for text in values[name]],
        [InputFilter(text) for text in values["input"]],
        values["uses"],
        sort=options.choice("--sort", values["sort"], SORTS),
        reverse=values["reverse"],
        variants=values["variants"],
        lectures=values["lectures"],
    )
    if format == "json":
        from convcalc.report import json

        console.write(json.text({**json.header(), **listing.as_dict(found)}))
    elif format == "csv":
        console.write(listing.csv(found.shown))
    elif format == "markdown":
        console.write(listing.markdown(found.shown))
    else:
        console.write(listing.render(found, width=console.width(), style=console.style()))
    return OK
