"""convcalc ops: the layers there are, with arguments, rules and sources."""

from __future__ import annotations

from convcalc.cli import OK, console, options
from convcalc.cli.parser import Option, Parser
from convcalc.report import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.cli.parser import Values

FORMATS = ("text", "json", "markdown")
_WIDEST = 100


def parser() -> Parser:
    return Parser(
        "ops",
        "The layers there are. Without a name a line for each; with one its arguments, the shape "
        "and the cost of what comes out as formulas, and its source.",
        argument=("NAME", "a layer (Conv2d) or a family of layers (pooling)"),
        least=0,
        groups={"the report": [Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0])]},
        examples=["convcalc ops", "convcalc ops Conv2d", "convcalc ops pooling --format markdown"],
    )


def run(values: Values) -> int:
    format, name = options.choice("--format", values["format"], FORMATS), values["name"]
    if format == "json":
        from convcalc.report import json

        ops = [entry.as_dict() for entry in reference.entries(name)]
        console.write(json.text({**json.header(), "ops": ops}))
    elif format == "markdown":
        console.write(reference.op_markdown(name))
    else:
        width = min(console.width() or _WIDEST, _WIDEST)
        console.write(reference.op_reference(name, width=width))
    return OK
