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
    """--name VALUE, or without a metavar a flag. repeated: its values make a list. bare: it may
    stand without its value, which is then ""."""

    __slots__ = ("bare", "default", "help", "metavar", "name", "repeated")

    def __init__(
        self,
        name: str,
        metavar: str,
        help: str,
        default: Any = None,
        *,
        repeated: bool = False,
        bare: bool = False,
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.help = help
        self.default = default
        self.repeated = repeated
        self.bare = bare

    @property
    def shown(self) -> str:
        """As help has it: --name VALUE."""
        if self.bare:
            return f"--{self.name} [{self.metavar}]"
        return f"--{self.name} {self.metavar}".rstrip()

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

    about: what it does, in a sentence or a few. argument: name and help of its positional ones;
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

    def joined(self, words: Sequence[str]) -> list[str]:
        """The words, with = behind every option that may stand bare, and its value where it has
        one: the next word, where there are more than the command takes without it."""
        bare = {name for name, option in self.options.items() if option.bare}
        if bare.isdisjoint(words):
            return list(words)
        result: list[str] = []
        values: list[int] = []  # where in the result a word stands that may be a value
        free = 0
        rest = iter(words)
        for word in rest:
            option = self.options.get(word)
            if word == "--":
                result += [word, *rest]
                break
            if word in bare:
                result.append(f"{word}=")
                continue
            if not word.startswith("-") or word == "-":
                free += 1
                if result and result[-1].endswith("=") and result[-1][:-1] in bare:
                    values.append(len(result))
            result.append(word)
            if option is not None and option.metavar:
                result += [value for value in [next(rest, None)] if value is not None]
        for place in reversed(values):  # from the back, so that places stay right
            if self.most is not None and free > self.most:
                result[place - 1 : place + 1] = [result[place - 1] + result[place]]
                free -= 1
        return result

    def plain(self, words: Sequence[str]) -> Values | None:
        """The values of a line in which nothing is wrong or out of the ordinary, or None."""
        values = {option.name: option.initial for option in self.options.values()}
        found: list[str] = []
        rest = iter(self.joined(words))
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
