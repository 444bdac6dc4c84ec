"""Command lines → values, and the help of each command.

Written here because of the start: importing click takes two or three times as long as Python's
own start, argparse with its translations half of one, and `convcalc summary` may take five in all.
"""

from __future__ import annotations

from convcalc.errors import ConvcalcError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_WIDTH = 80


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
        """The values of a command line; None where it asks for help. Raises UsageError."""
        values = {option.name: option.initial for option in self.options.values()}
        found: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                found += rest
                break
            if word in ("-h", "--help"):
                return None
            if word.startswith("-") and word != "-":
                self._option(word, rest, values)
            else:
                found.append(word)
        if self.argument:
            name = self.argument[0]
            if len(found) < self.least:
                raise UsageError(f"{self.program} needs {name}: {self.argument[1]}", self._example)
            values[name.lower()] = (found[0] if found else None) if self.most == 1 else found
        if self.most is not None and len(found) > self.most:
            raise UsageError(f"{self.program} does not take {found[self.most]!r}", self._example)
        return Values(values)

    def _option(self, word: str, rest: list[str], values: dict[str, Any]) -> None:
        name, sign, value = word.partition("=")
        option = self.options.get(name)
        if option is None:
            near = closest(name, self.options)
            hint = f"did you mean {near}?" if near else f"{self.program} --help lists the options"
            raise UsageError(f"{self.program} has no option {name}", hint)
        if not option.metavar:
            if sign:
                raise UsageError(f"{name} takes no value")
            values[option.name] = True
            return
        if not sign:
            if not rest:
                raise UsageError(f"{name} needs a value: {option.help}", self._example)
            value = rest.pop(0)
        if option.repeated:
            values[option.name].append(value)
        else:
            values[option.name] = value

    @property
    def _example(self) -> str:
        return f"as in {self.examples[0]}"

    def help(self) -> str:
        """The command's help, for a terminal of 80 columns."""
        usage = [self.program]
        if self.argument:
            name = self.argument[0]
            many = f"{name} …" if self.most is None else name
            usage.append(many if self.least else f"[{many}]")
        if self.options:
            usage.append("[OPTION …]")
        lines = [f"usage: {' '.join(usage)}", "", *_wrapped(self.about, "")]
        width = max(len(head) for _, rows in self._sections() for head, _ in rows) + 2
        for title, rows in self._sections():
            lines += ["", *([f"{title}:"] if title else [])]
            for head, about in rows:
                first, *more = _wrapped(about, " " * (width + 2))
                lines += [f"  {head:<{width}}{first.lstrip()}", *more]
        lines += ["", "examples:", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)

    def _sections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        if self.argument:
            yield "", [self.argument]
        for title, options in self.groups.items():
            yield title, [(f"--{o.name} {o.metavar}".rstrip(), o.help) for o in options]
        yield "", [("--help", "show this")]


def _wrapped(text: str, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
