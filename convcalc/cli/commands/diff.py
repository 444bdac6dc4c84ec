"""convcalc diff: what changed from one design to another."""

from __future__ import annotations

import os

from convcalc.cli import FAILED, OK, console, options
from convcalc.cli.parser import Option, Parser, UsageError
from convcalc.errors import DesignError, Problem
from convcalc.network import Network, diff
from convcalc.report import diff as told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.analysis.diff import Diff
    from convcalc.cli.parser import Values

FORMATS = ("table", "json", "markdown")
STDIN = "-"
DESIGNS = (
    "A B",
    (
        "each a YAML file, the name of a network of the zoo, or - for stdin; with a variant behind "
        "a colon, as resnet:resnet50"
    ),
)


def parser() -> Parser:
    common = [option for option in options.design_options() if option.name != "variant"]
    return Parser(
        "diff",
        "What changed from design A to design B: layers aligned, those added, removed and changed "
        "with each figure before, after and the difference, and the totals.",
        argument=DESIGNS,
        least=2,
        most=2,
        groups={
            "the designs": [
                Option("variant", "NAME", "the variant of each that names none"),
                *common,
                Option("set-a", "NAME=VALUE", "a value for a var of A alone", repeated=True),
                Option("set-b", "NAME=VALUE", "a value for a var of B alone", repeated=True),
            ],
            "the report": [
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
                options.symbolic_option(),
                Option("depth", "N", "levels of blocks to show"),
                Option("all", "", "show every level"),
                Option("exit-code", "", "exit with 1 where anything differs, as git diff does"),
            ],
        },
        examples=[
            "convcalc diff resnet:resnet50 resnet:resnet101",
            "convcalc diff resnet:resnet50 resnet:resnet101 --symbolic",
            "convcalc diff efficientnet:b0 efficientnet:b3 --depth 1",
            "convcalc diff mobilenetv2 mobilenetv2 --set-b alpha=1.4 --format markdown",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    depth = options.whole("--depth", values["depth"])
    if depth is not None and values["all"]:
        raise UsageError("--all shows every level, so --depth has nothing to choose")
    shape, batch, dtype = options.flowing(values)
    symbolic = options.symbolic(values["symbolic"])
    before, after = _networks(values)
    found = diff(before, after, input=shape, batch=batch, dtype=dtype, symbolic=symbolic)
    console.write(_text(found, format, depth, values["all"]))
    return FAILED if values["exit-code"] and not found.empty else OK


def _networks(values: Values) -> list[Network]:
    """Both designs; what is wrong in either is told together."""
    words = values["a b"]
    if words.count(STDIN) > 1:
        raise UsageError("only one of the designs can be read from stdin")
    networks = []
    problems: list[Problem] = []
    for word, key in zip(words, ("set-a", "set-b"), strict=True):
        file, variant = _file_and_variant(word)
        settings = options.assignments([*values["set"], *values[key]])
        try:
            document = options.read_document(file)
            networks.append(Network(document, variant or values["variant"], settings))
        except DesignError as error:
            problems += error.problems
    if problems:
        raise DesignError(problems)
    return networks


def _file_and_variant(word: str) -> tuple[str, str | None]:
    """`resnet:resnet50` in its parts; a path may have a colon in it."""
    file, colon, variant = word.rpartition(":")
    if not colon or not file or not variant or os.path.exists(word) or os.sep in variant:
        return word, None
    return file, variant


def _text(found: Diff, format: str, depth: int | None, everything: bool) -> str:
    if format == "json":
        from convcalc.report import json

        return json.text(told.as_dict(found))
    if format == "markdown":
        return told.markdown(found, depth=depth, everything=everything)
    return told.render(
        found,
        depth=depth,
        everything=everything,
        width=console.width(),
        style=console.style(),
    )
