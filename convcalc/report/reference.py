"""The reference of the layers, generated from their classes: what each takes, gives and costs.

The formulas are what the rules themselves make of symbols: each argument that is a size stands for
itself, and so does each size of what flows in.
"""

from __future__ import annotations

from convcalc.errors import ConvcalcError, LayerError, closest
from convcalc.integers import Formula, definitions, named, symbol
from convcalc.ops import REGISTRY
from convcalc.ops.arguments import Argument, Axis, Choice, Count, Flag, Like, Real, Sizes
from convcalc.ops.base import AXES
from convcalc.report import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from convcalc.ops import Op
    from convcalc.ops.base import Shape

#: The families in the order of the reference: modules of convcalc.ops.
FAMILIES = (
    "convolution",
    "linear",
    "pooling",
    "normalization",
    "activation",
    "dropout",
    "shape",
    "joins",
    "attention",
    "classic",
)

_WIDTH = 100


class Rules:
    """What a layer makes of an input, as formulas in the input's sizes and its own arguments.

    flowing: the shapes that flow in, as text. figures: what it is → formula, as text. definitions:
    name of a size in them → what it is.
    """

    __slots__ = ("definitions", "figures", "flowing")

    def __init__(self, flowing: str, figures: dict[str, str], definitions: dict[str, str]) -> None:
        self.flowing = flowing
        self.figures = figures
        self.definitions = definitions


class Entry:
    """One layer in the reference. name, family, summary, text (its whole docstring), signature."""

    __slots__ = ("family", "name", "op", "signature", "summary", "text")

    def __init__(self, op: type[Op]) -> None:
        self.op = op
        self.name = op.name()
        self.family = op.__module__.rpartition(".")[2]
        self.text = _unindented(op.__doc__ or "")
        self.summary = _first_sentence(self.text)
        self.signature = op.signature()

    def arguments(self) -> list[tuple[str, str]]:
        """(`stride=1`, what it takes and means) of every argument, in order."""
        listed = []
        for argument in self.op.arguments:
            name = argument.name
            if not argument.required:
                name += f"={argument.write(argument.default)}"
            about = argument.describe
            listed.append((name, f"{about}; {argument.doc}" if argument.doc else about))
        if self.op.inferred:
            about = "taken from what flows in; where it is given, it is checked"
            listed.append((self.op.inferred, about))
        return listed

    def by_position(self) -> str:
        """How many arguments may stand without their name; empty where all may."""
        most, all_of_them = self.op.positional, len(self.op.arguments)
        if most is None or most >= all_of_them:
            return ""
        if most == 0:
            return "All arguments are given by name."
        first = "argument" if most == 1 else f"{most} arguments"
        return f"The first {first} may stand by position, the others by name."

    def rules(self) -> Rules | None:
        """None where shape and cost are those of the input, or no formula can tell them."""
        op = _with_symbols(self.op)
        if op is None:
            return None
        for shapes in _inputs(self.op):
            try:
                op.check(*shapes)
            except LayerError:
                continue
            return _rules(op, shapes)
        return None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rules = self.rules()
        return {
            "name": self.name,
            "family": self.family,
            "signature": self.signature,
            "summary": self.summary,
            "doc": self.text,
            "inferred": self.op.inferred or None,
            "positional": self.op.positional,
            "arguments": [_argument_dict(a, self.op) for a in self.op.arguments],
            "rules": rules
            and {
                "on": rules.flowing,
                "figures": rules.figures,
                "definitions": rules.definitions,
            },
        }


def entries(name: str | None = None) -> list[Entry]:
    """The layer of that name, the layers of that family, or all; in the order of the reference.

    Raises ConvcalcError where there is neither.
    """
    if name is not None and name in REGISTRY:
        return [Entry(REGISTRY[name])]
    everything = [Entry(op) for op in REGISTRY.values()]
    places = {family: place for place, family in enumerate(FAMILIES)}
    if name is None:
        return sorted(everything, key=lambda entry: places.get(entry.family, len(places)))
    family = [entry for entry in everything if entry.family == name]
    if family:
        return family
    near = closest(name, [*REGISTRY, *FAMILIES])
    hint = f"did you mean {near!r}?" if near else "convcalc ops lists them all"
    raise ConvcalcError(f"there is no layer {name!r}\n  help: {hint}")


def heading(members: Sequence[Entry]) -> str:
    """What a family is, in one line: the first sentence of its module."""
    import sys

    return _first_sentence(sys.modules[members[0].op.__module__].__doc__ or "")


# ---------------------------------------------------------------------------- plain text


def op_reference(name: str | None = None, *, width: int = _WIDTH) -> str:
    """The reference as plain text: one layer in full, or a line for each of a family, or of all.

    name: a layer ("Conv2d") or a family ("pooling"). Raises ConvcalcError for another.
    """
    listed = entries(name)
    if name in REGISTRY:
        return "\n".join(_page(listed[0], width))
    lines: list[str] = []
    longest = max(len(entry.name) for entry in listed)
    for members in _by_family(listed):
        if lines:
            lines.append("")
        lines += _wrapped(heading(members), width)
        for entry in members:
            lines += _wrapped(entry.summary, width, f"  {entry.name:<{longest}}  ")
    return "\n".join(lines)


def _page(entry: Entry, width: int) -> list[str]:
    lines = _wrapped(entry.signature, width, hanging=len(entry.name) + 1)
    lines += ["", *_paragraphs(entry.text, width)]
    listed = entry.arguments()
    if listed:
        lines += ["", "arguments"]
        longest = max(len(name) for name, _ in listed)
        for name, about in listed:
            lines += _wrapped(about, width, f"  {name:<{longest}}  ")
    if entry.by_position():
        lines += ["", *_wrapped(entry.by_position(), width)]
    rules = entry.rules()
    if rules is not None:
        lines += ["", f"formulas, on {rules.flowing}"]
        told = {**rules.figures, **{f"  {n}": text for n, text in rules.definitions.items()}}
        longest = max(map(len, told))
        for name, text in told.items():
            lines += _wrapped(text, width, f"  {name:<{longest}}  ")
    return lines


def _paragraphs(text: str, width: int) -> list[str]:
    """A docstring's own lines, those of a paragraph that is too wide broken anew."""
    lines = text.splitlines()
    if max(map(len, lines), default=0) <= width:
        return lines
    broken: list[str] = []
    for paragraph in text.split("\n\n"):
        body, source, reference = paragraph.partition("\nSource: ")
        broken += ["", *_wrapped(" ".join(body.split()), width)]
        if source:
            broken += _wrapped("Source: " + " ".join(reference.split()), width)
    return broken[1:]


def _wrapped(text: str, width: int, label: str = "", hanging: int | None = None) -> list[str]:
    """The text in lines of at most that width where words allow, later ones under the first."""
    from textwrap import wrap

    indent = " " * (len(label) if hanging is None else hanging)
    return wrap(
        text,
        max(width, len(indent) + 20),
        initial_indent=label,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [label.rstrip()]


# ---------------------------------------------------------------------------- Markdown


def op_markdown(name: str | None = None) -> str:
    """The reference as one Markdown document: every layer in full."""
    lines = [] if name else ["# Layers", ""]
    lines += [] if name else _contents()
    for members in _by_family(entries(name)):
        if name not in REGISTRY:
            lines += [f"## {heading(members).rstrip('.')}", ""]
        for entry in members:
            lines += _section(entry)
    return "\n".join(lines).rstrip("\n")


def _contents() -> list[str]:
    lines = []
    for members in _by_family(entries()):
        names = ", ".join(f"[{e.name}](#{e.name.lower()})" for e in members)
        lines.append(f"- {heading(members)} {names}")
    return [*lines, ""]


def _section(entry: Entry) -> list[str]:
    lines = [f"### {entry.name}", "", "```", entry.signature, "```", "", entry.text, ""]
    listed = entry.arguments()
    if listed:
        lines += ["| argument | takes |", "| --- | --- |"]
        lines += [f"| `{name}` | {_escaped(about)} |" for name, about in listed]
        lines.append("")
    if entry.by_position():
        lines += [entry.by_position(), ""]
    rules = entry.rules()
    if rules is not None:
        lines += [f"| on {rules.flowing} | formula |", "| --- | --- |"]
        told = {**rules.figures, **rules.definitions}
        lines += [f"| {what} | `{text}` |" for what, text in told.items()]
        lines.append("")
    return lines


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


# ---------------------------------------------------------------------------- from the classes


def _by_family(listed: Iterable[Entry]) -> list[list[Entry]]:
    members: dict[str, list[Entry]] = {}
    for entry in listed:
        members.setdefault(entry.family, []).append(entry)
    return list(members.values())


def _unindented(doc: str) -> str:
    """A docstring as it reads: Python before 3.13 keeps the indentation of the source."""
    from textwrap import dedent

    first, _, rest = doc.strip().partition("\n")
    return f"{first.strip()}\n{dedent(rest)}".strip()


def _first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, on one line."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + "." if stop else paragraph


#: The kinds of arguments, as JSON has them.
_KINDS: tuple[tuple[type[Argument], str], ...] = (
    (Count, "count"),
    (Sizes, "sizes"),
    (Flag, "flag"),
    (Real, "real"),
    (Choice, "choice"),
    (Axis, "axis"),
    (Like, "like"),
)


def _argument_dict(argument: Argument, op: type[Op]) -> dict[str, Any]:
    kind = next((word for cls, word in _KINDS if isinstance(argument, cls)), "list")
    return {
        "name": argument.name,
        "kind": kind,
        "required": argument.required,
        "default": None if argument.required else argument.write(argument.default),
        "takes": argument.describe,
        "doc": argument.doc,
        "schema": argument.schema(op.spatial or 1),
    }


def _with_symbols(op: type[Op]) -> Op | None:
    """The layer with every argument that is a size standing for itself; None if it cannot be made.

    Sizes that are taken from another argument where not given (a pool's stride) are given.
    """
    values: dict[str, Any] = {}
    for argument in op.arguments:
        if isinstance(argument, (Count, Sizes)) and argument.name != "dim":
            if argument.default is not None or argument.name == "stride":
                values[argument.name] = symbol(argument.name)
        elif isinstance(argument, Real) and argument.required:
            values[argument.name] = 1  # changes no size
    try:
        return op(**values)
    except LayerError:
        return None


def _inputs(op: type[Op]) -> list[tuple[Shape, ...]]:
    """What may flow in, the most usual first."""
    n = symbol("N")
    maps = {1: "CL", 2: "CHW", 3: "CDHW"}
    flat, tokens = "F", "LE"
    if op.spatial:
        usual = [maps[op.spatial]]
    elif op.layout in ("tokens", "features"):
        usual = [tokens]
    elif op.inferred.endswith("features"):
        usual = [flat]
    else:
        usual = [maps[2], flat, tokens]
    count = op.inputs or 2
    return [
        tuple(
            (n, *map(symbol, axes)) if number < count - op.likes else _like()
            for number in range(count)
        )
        for axes in usual
    ]


def _like() -> Shape:
    """A map of other height and width."""
    return tuple(symbol(axis) for axis in ("N", "C", "h", "w"))


def _rules(op: Op, shapes: tuple[Shape, ...]) -> Rules | None:
    output = _named(op.output(*shapes))
    figures: dict[str, str] = {}
    if any(output != shape for shape in shapes):
        figures["output"] = _shape(output)
    for tensor in (*op.weights(*shapes), *op.buffers(*shapes)):
        figures[tensor.name] = _shape(tensor.shape) or "one number"
    macs = op.macs(output, *shapes)
    if isinstance(macs, Formula) or macs:
        figures["MACs"] = str(macs)
    if not figures:
        return None
    used = definitions(*output)
    told = {name: str(size) for name, size in used.items()}
    flowing = " and ".join(map(_shape, shapes[: len(shapes) - op.likes]))
    if op.likes:
        flowing += f", like {_shape(shapes[-1])}"
    return Rules(flowing, figures, told)


def _shape(sizes: Shape) -> str:
    """N×out_channels×h1×w1; what is more than a name or a number stands in parentheses."""
    texts = [str(size) for size in sizes]
    if len(texts) > 1:
        texts = [t if t.replace("_", "").isalnum() else f"({t})" for t in texts]
    return numbers.TIMES.join(texts)


def _named(output: Shape) -> Shape:
    """The output with a name for each size along an axis that is a longer formula: h1, w1, …"""
    if not 3 <= len(output) <= 5:
        return output
    letters: Sequence[str] = [axis[0] for axis in AXES[len(output) - 2]]
    spatial = [
        named(size, f"{letter}1") if isinstance(size, Formula) and not size.is_symbol else size
        for size, letter in zip(output[2:], letters, strict=True)
    ]
    return (*output[:2], *spatial)
