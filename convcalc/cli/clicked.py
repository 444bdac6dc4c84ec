"""The commands as click has them: help, mistakes, completion in a shell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from convcalc._version import __version__
from convcalc.cli import COMMANDS, EXAMPLES, EXIT_CODES, command
from convcalc.cli.parser import Option, Parser, UsageError, Values
from convcalc.errors import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class Command(click.Command):
    """A command with its options in groups, and its examples."""

    def __init__(self, parser: Parser) -> None:
        params: list[click.Parameter] = []
        if parser.argument:
            name = parser.argument[0]
            metavar = name if parser.least else f"[{name}]"
            argument = click.Argument(
                [name.lower()],
                nargs=parser.most or -1,
                required=parser.least > 0,
                metavar=metavar if parser.most else f"{metavar}...",
            )
            params.append(argument)
        params += [_option(option) for option in parser.options.values()]
        super().__init__(
            parser.program.split()[-1], params=params, help=parser.about, context_settings=SETTINGS
        )
        self.parser = parser

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.parser.argument:
            with formatter.section("Argument"):
                formatter.write_dl([self.parser.argument])
        for title, options in self.parser.groups.items():
            with formatter.section(title.capitalize()):
                rows = [(o.shown, o.help) for o in options]
                formatter.write_dl([*rows])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _examples(formatter, self.parser.examples)


class Commands(click.Group):
    """convcalc itself; each command is loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return Command(command(cmd_name).parser()) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), about) for code, about in EXIT_CODES.items()])
        _examples(formatter, EXAMPLES)


def _option(option: Option) -> click.Option:
    name = option.name.replace("-", "_")
    if not option.metavar:
        return click.Option([name, f"--{option.name}"], is_flag=True, help=option.help)
    return click.Option(
        [name, f"--{option.name}"],
        metavar=option.metavar,
        default=None if option.repeated else option.default,
        multiple=option.repeated,
        help=option.help,
    )


def _examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def group() -> Commands:
    """The whole command line."""
    about = "The type checker and cost calculator of convolutional network designs."
    made = Commands("convcalc", help=about, context_settings=SETTINGS)
    click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")(made)
    return made


def overview(words: Sequence[str]) -> None:
    """What stands before any command: help, the version, mistakes; `help NAME` is `NAME --help`."""
    if words and words[0] == "help":
        words = [*words[1:2], "--help"]
        if not words[0].startswith("-"):
            command(words[0])  # says what is near where there is none
    with _told("convcalc", EXAMPLES[0]):
        group().main(list(words) or ["--help"], "convcalc", standalone_mode=False)


def complete() -> None:
    """Answer a shell that asks how a command line may go on; exits where it did."""
    group().main([], "convcalc", complete_var="_CONVCALC_COMPLETE")


def parse(parser: Parser, words: Sequence[str]) -> Values | None:
    """As `Parser.parse`, by click."""
    made = Command(parser)
    with _told(parser.program, parser.examples[0], parser):
        try:
            context = made.make_context(parser.program, parser.joined(words))
        except click.exceptions.Exit:  # it has shown the help
            return None
    found: dict[str, Any] = context.params
    values: dict[str, Any] = {}
    for option in parser.options.values():
        value = found[option.name.replace("-", "_")]
        values[option.name] = list(value) if option.repeated else value
    if parser.argument:
        name = parser.argument[0].lower()
        values[name] = found[name] if parser.most == 1 else list(found[name])
    return Values(values)


@contextmanager
def _told(program: str, example: str, parser: Parser | None = None) -> Iterator[None]:
    """What click says of a mistake, in our words where they say more."""
    try:
        yield
    except click.exceptions.NoSuchOption as error:
        known = parser.options if parser else ()
        near = closest(error.option_name, known)
        hint = f"did you mean {near}?" if near else f"{program} --help lists the options"
        raise UsageError(f"{program} has no option {error.option_name}", hint) from None
    except (click.MissingParameter, click.BadArgumentUsage) as error:
        about = f"{parser.argument[0]}: {parser.argument[1]}" if parser and parser.argument else ""
        raise UsageError(
            f"{program} needs {about or error.format_message()}", f"as in {example}"
        ) from None
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        message = message[:1].lower() + message[1:]
        raise UsageError(f"{program}: {message}", f"as in {example}") from None
