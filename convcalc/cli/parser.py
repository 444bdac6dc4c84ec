"""Command lines → values, and the help of each command.

Written here because of the start: importing click takes two or three times as long as Python's
own start, argparse with its translations half of one, and `convcalc summary` may take five in all.
"""

from __future__ import annotations

from convcalc.errors import ConvcalcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class UsageError(ConvcalcError):
    """The command line is wrong. help: what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class Option:
    """--name VALUE, or without a metavar a flag. repeated: its values make a list."""

    __slots__ = ("default", "help", "metavar", "name", "repeated")

    def __init__(
        self, name: str, metavar: str, help: str, default: Any = None, *, repeated: bool = False
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.help = help
        self.default = default
        self.repeated = repeated

    @property
    def initial(self) -> Any:
        if self.repeated:
            return []
        return self.default if self.metavar else False


class Values:
    """What a command line says: `values["batch"]`, `values["file"]`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)


class Parser:
    """The arguments and options of one command.

    about: what it does, in a sentence or a few. argument: name and help of its positional one;
    least, most: how many there may be (None: any number). groups: title → options. examples:
    command lines that work.
    """

    def __init__(
        self,
        command: str,
        about: str,
        *,
        argument: tuple[str, str] | None = None,
        least: int = 1,
        most: int | None = 1,
        groups: dict[str, list[Option]],
        examples: Sequence[str],
    ) -> None:
        self.program = f"convcalc {command}"
        self.about = about
        self.argument = argument
        self.least = least if argument else 0
        self.most = most if argument else 0
        self.groups = groups
        self.examples = tuple(examples)
        self.options = {f"--{o.name}": o for options in groups.values() for o in options}

    def parse(self, words: Sequence[str]) -> Values | None:
        """The values of a command line; None where it asked for help, which click then has shown.

        Raises UsageError where the command line is wrong.
        """
        plain = self.plain(words)
        if plain is not None:
            return plain
        from convcalc.cli import clicked

        return clicked.parse(self, words)

    def plain(self, words: Sequence[str]) -> Values | None:
        """The values of a line in which nothing is wrong or out of the ordinary, or None."""
        values = {option.name: option.initial for option in self.options.values()}
        found: list[str] = []
        rest = iter(words)
        for word in rest:
            if not word.startswith("-") or word == "-":
                found.append(word)
                continue
            name, sign, value = word.partition("=")
            option = self.options.get(name)
            if option is None:
                return None
            if option.metavar:
                if not sign:
                    following = next(rest, None)
                    if following is None:
                        return None
                    value = following
                if option.repeated:
                    values[option.name].append(value)
                else:
                    values[option.name] = value
            elif sign:
                return None
            else:
                values[option.name] = True
        if len(found) < self.least or (self.most is not None and len(found) > self.most):
            return None
        if self.argument:
            single = self.most == 1
            values[self.argument[0].lower()] = (found[0] if found else None) if single else found
        return Values(values)
