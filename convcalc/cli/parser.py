"""Command lines → values, with errors that say what to write instead.

Built on argparse: importing click takes about three times as long as Python's own start, and is
much of what `convcalc summary` may take in all.
"""

from __future__ import annotations

import argparse

from convcalc.errors import ConvcalcError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


class UsageError(ConvcalcError):
    """The command line is wrong. help: what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class Parser(argparse.ArgumentParser):
    """The options and arguments of one command.

    about: what the command does, in a sentence or a few. examples: command lines that work.
    """

    def __init__(self, command: str, about: str, examples: Sequence[str]) -> None:
        self.examples = tuple(examples)
        super().__init__(
            prog=f"convcalc {command}",
            description=about,
            epilog="\n".join(["examples:", *(f"  {line}" for line in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help lists what it takes")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of a command line; raises UsageError."""
        values, unknown = self.parse_known_args(words)
        if unknown:
            word = unknown[0]
            if not word.startswith("-"):
                self.error(f"{word!r} is one argument too many")
            name = word.partition("=")[0]
            near = closest(name, self._option_string_actions)
            help = f"did you mean {near}?" if near else f"{self.prog} --help lists the options"
            raise UsageError(f"{self.prog} has no option {name}", help)
        return values
