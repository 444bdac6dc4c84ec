"""convcalc schema: the language as a JSON Schema, for editors."""

from __future__ import annotations

from convcalc.cli import OK, console
from convcalc.cli.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.cli.parser import Values


def parser() -> Parser:
    return Parser(
        "schema",
        "The language as a JSON Schema (draft-07). An editor that knows it completes names, shows "
        "what they mean and underlines mistakes: save it, and begin a design with the line "
        "'# yaml-language-server: $schema=PATH'.",
        groups={},
        examples=["convcalc schema > convcalc.schema.json"],
    )


def run(values: Values) -> int:
    from json import dumps

    from convcalc.language.schema import schema

    console.write(dumps(schema(), indent=1))
    return OK
