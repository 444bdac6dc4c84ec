"""convcalc list: the networks that come with convcalc."""

from __future__ import annotations

from convcalc import zoo
from convcalc.cli import OK, console, options
from convcalc.cli.parser import Option, Parser
from convcalc.network import Network, networks, read
from convcalc.report import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcalc.cli.parser import Values

FORMATS = ("table", "json", "csv", "markdown")


def parser() -> Parser:
    return Parser(
        "list",
        "The networks that come with convcalc. Each name can stand for a file in every command. "
        "Figures are those of the default variant, at its own input and one sample.",
        groups={
            "the report": [
                Option("variants", "", "a line for each variant"),
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
            ]
        },
        examples=["convcalc list", "convcalc list --variants --format markdown"],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    listed = list(_listed(values["variants"]))
    if format == "json":
        from convcalc.report import json

        console.write(json.text({**json.header(), "networks": listing.dicts(listed)}))
    elif format == "csv":
        console.write(listing.csv(listed))
    elif format == "markdown":
        console.write(listing.markdown(listed))
    else:
        console.write(listing.render(listed, width=console.width(), style=console.style()))
    return OK


def _listed(every_variant: bool) -> Iterator[listing.Listed]:
    for name in zoo.names():
        document = read(name)
        each = networks(document) if every_variant else [Network(document, None, {})]
        for network in each:
            number = 0 if every_variant else len(document.variants)
            yield listing.Listed(name, network.summary(), number, document.cite or "")
