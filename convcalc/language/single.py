"""One layer by itself, as `convcalc layer` takes it: `Conv2d(96, ?, stride=4)`.

It is written as in a design, and read by the same parser and evaluator; `?` stands in the place of
whole numbers to be found: of an argument, or of an entry of a list.
"""

from __future__ import annotations

from convcalc.errors import DesignError, LayerError, Problem
from convcalc.graph import GraphBuilder
from convcalc.language.calls import argument_span, pasted
from convcalc.language.evaluation import Evaluator, Scope, pasted_kernel
from convcalc.language.expressions import Call, Chain, Name, parse
from convcalc.language.faults import Absorbed, Fault, Problems, Text
from convcalc.language.values import BUILTINS, OpLayer, kind
from convcalc.ops.arguments import Argument, Count, Lengths, Like, Scale, Sizes
from convcalc.ops.base import AXES_REMOVED, REGISTRY, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from convcalc.graph import Entry, Graph, Value
    from convcalc.language.expressions import Expr
    from convcalc.ops.base import Layout

#: What stands for `?` while the text is parsed: a name of one character, so that places stay.
_BLANK = "_"
SOURCE = "layer"


class Unknown:
    """A `?` among the arguments: of which one, and which entry of its list (None: all of it)."""

    __slots__ = ("argument", "entry", "name", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.name = ""
        self.entry: int | None = None
        self.argument: Argument | None = None

    def __repr__(self) -> str:
        return f"Unknown({self.name!r})"


class SingleLayer:
    """A layer that was read, perhaps with unknowns.

    cls: its class. unknowns: in the order of the text. likes: names of the inputs that it takes as
    arguments.
    """

    def __init__(
        self,
        text: Text,
        expr: Expr,
        cls: type[Op],
        positional: Sequence[Any],
        named: Mapping[str, Any],
        paste: int = 0,
    ) -> None:
        self.text = text
        self.expr = expr
        self.cls = cls
        self._paste = paste
        self._positional = list(positional)
        self._named = dict(named)
        self.unknowns: list[Unknown] = []
        names = [argument.name for argument in cls.arguments]
        pairs = [*zip(names, positional, strict=False), *named.items()]
        for name, value in pairs:
            entries = value if isinstance(value, tuple) else (value,)
            for entry, found in enumerate(entries):
                if isinstance(found, Unknown):
                    several = isinstance(value, tuple)
                    self._place(found, name, entry if several else None)

    def _place(self, unknown: Unknown, name: str, entry: int | None) -> None:
        argument = next((a for a in self.cls.arguments if a.name == name), None)
        if not isinstance(argument, (Count, Sizes, Lengths, Scale)):
            what = "an argument that is inferred" if argument is None else argument.describe
            raise Fault(
                f"? stands for a whole number, but {name} is {what}",
                unknown.start,
                unknown.start + 1,
            )
        unknown.argument = argument
        unknown.entry = entry
        unknown.name = name if entry is None else f"{name}[{entry}]"
        self.unknowns.append(unknown)

    def make(self, values: Mapping[Unknown, Any] | None = None) -> Op:
        """The layer with numbers for its unknowns. Raises LayerError."""
        known = values or {}
        return self.cls(
            *(_filled(value, known) for value in self._positional),
            **{name: _filled(value, known) for name, value in self._named.items()},
        )

    def checked(self, values: Mapping[Unknown, Any] | None = None) -> Op:
        """The same. Raises DesignError, which shows the argument at fault."""
        try:
            return self.make(values)
        except LayerError as error:
            raise self.error(error) from None

    def error(self, error: LayerError, notes: Sequence[str] = ()) -> DesignError:
        """What a layer says, with its place in the text."""
        start, end = self.expr.start, self.expr.end
        at = error.argument
        asserted = self.cls.inferred and self.cls.inferred in error.message
        if at is None and asserted:
            at = self.cls.inferred
        if at and isinstance(self.expr, Call):
            start, end = argument_span(self.cls, self.expr, at, (start, end))
        place = self.text.place(start, end)
        problem = Problem(error.message, place, help=error.help, notes=[*error.notes, *notes])
        return DesignError([problem])

    def layouts(self, shapes: Sequence[Sequence[Entry]]) -> list[Layout]:
        """What the axes of the inputs mean: tokens where the layer takes them of such a shape."""
        return [
            "tokens" if index == 0 and len(shape) == 2 and _takes_tokens(self.cls) else "channels"
            for index, shape in enumerate(shapes)
        ]

    def graph(self, op: Op, inputs: Mapping[str, Sequence[Entry]]) -> Graph:
        """The network of this one layer. Raises DesignError."""
        builder = GraphBuilder(str(op))
        layouts = self.layouts(list(inputs.values()))
        values: list[Value] = []
        for (name, shape), layout in zip(inputs.items(), layouts, strict=True):
            value = builder.input(name, shape)
            value.node.layout = value.layout = layout
            values.append(value)
        place = self.text.place(self.expr.start, self.expr.end)
        self._check_paste(op, values)
        try:
            return builder.finish({"output": builder.add(op, *values, place=place)})
        except LayerError as error:
            error.help = _input_help(error, list(inputs.values()))
            raise self.error(error) from None

    def _check_paste(self, op: Op, values: Sequence[Value]) -> None:
        if not self._paste or values[0].shape[1] != op.given()["out_channels"]:
            return
        assert isinstance(self.expr, Call)
        start, end = self.expr.start, self.expr.end
        problems = Problems()
        problems.fault(self.text, pasted(op, self._paste, self.expr, self.text.text, start, end))
        raise problems.error()


def _takes_tokens(cls: type[Op]) -> bool:
    return cls.layout in ("tokens", "features") or cls.name() in ("TokensToImage", "Linear")


def _input_help(error: LayerError, inputs: Sequence[Sequence[Entry]]) -> str | None:
    """Nothing stands before the layer: it is the input that was written otherwise."""
    if error.help == AXES_REMOVED:
        return "an input has its channels first, then its height and width: 3x227x227"
    first = inputs[0]
    if "what flows in is" in error.message and len(first) > 2 and first[0] == 1:
        rest = "x".join(map(str, first[1:]))
        return f"{error.help}; or leave the batch out: {rest}" if error.help else None
    return error.help


def _filled(value: Any, known: Mapping[Unknown, Any]) -> Any:
    if isinstance(value, Unknown):
        return known[value]
    if isinstance(value, tuple) and any(isinstance(entry, Unknown) for entry in value):
        return tuple(_filled(entry, known) for entry in value)
    return value


class _Evaluator(Evaluator):
    """As of a design; a blank has no value."""

    def __init__(self, text: Text, names: Mapping[str, Any]) -> None:
        super().__init__({**BUILTINS, **REGISTRY, **names})
        self.text = text

    def name(self, expr: Name, scope: Scope) -> Any:
        if expr.name == _BLANK and self.text.text[expr.start] == "?":
            return Unknown(expr.start)
        return super().name(expr, scope)

    def solid(self, expr: Expr, scope: Scope) -> Any:
        value = super().solid(expr, scope)
        if isinstance(value, Unknown):  # it is part of something that is computed
            message = "? stands for a whole argument, or an entry of a list"
            raise Fault(message, expr.start, expr.end)
        return value


def read_layer(source: str, inputs: Sequence[str] = ()) -> SingleLayer:
    """Read a layer. inputs: names that may stand as arguments (`like`).

    Raises DesignError with the place of the fault.
    """
    text = Text(SOURCE, source)
    problems = Problems()
    try:
        return _read(text, inputs)
    except Fault as fault:
        help = fault.help() if callable(fault.help) else fault.help
        if help is None and fault.message.startswith("there is no"):
            fault.help = _known()
        problems.fault(text, fault)
    except Absorbed:
        pass
    raise problems.error()


def _read(text: Text, inputs: Sequence[str]) -> SingleLayer:
    raw = text.text
    if not raw.strip():
        raise Fault("no layer is given", 0, 1, "as in Conv2d(96, 11, stride=4)")
    for index, character in enumerate(raw):
        if character == "?" and not _alone(raw, index):
            message = "a ? stands by itself in the place of a whole number"
            raise Fault(message, index, index + 1, "as in Conv2d(96, ?, stride=4)")
    blanked = "".join(_BLANK if c == "?" else c for c in raw)
    expr = parse(blanked)
    builder = GraphBuilder("arguments")
    names = {name: builder.input(name, (1,)) for name in inputs}
    evaluator = _Evaluator(text, names)
    if isinstance(expr, Chain):
        second = expr.parts[1]
        raise Fault(
            "one layer is explained at a time, not a chain",
            second.start,
            second.end,
            "put a chain in a file: `convcalc summary FILE --explain` explains every layer",
        )
    if isinstance(expr, Call) and isinstance(
        callee := evaluator.solid(expr.callee, evaluator.globals), type
    ):
        return _called(text, expr, callee, evaluator)
    value = evaluator.solid(expr, evaluator.globals)
    if isinstance(value, type) and issubclass(value, Op):
        return _bare(text, expr, value)
    if isinstance(value, OpLayer) and value.call is not None:
        return _called(text, value.call, type(value.op), evaluator)
    raise Fault(f"this is {kind(value)}, not a layer", expr.start, expr.end, _known())


def _alone(raw: str, index: int) -> bool:
    """Whether a ? is no part of a name, a number or a word in quotes."""
    around = raw[index - 1 : index] + raw[index + 1 : index + 2]
    return not any(c.isalnum() or c in "_?'\"" for c in around)


def _known() -> str:
    return "`convcalc ops` lists the layers"


def _bare(text: Text, expr: Expr, cls: type[Op]) -> SingleLayer:
    missing = [a.name for a in cls.arguments if a.required and a.name not in _likes(cls)]
    if missing:
        raise Fault(
            f"{cls.name()} needs {' and '.join(missing)}",
            expr.start,
            expr.end,
            f"write {cls.signature()}",
        )
    return SingleLayer(text, expr, cls, (), {})


def _likes(cls: type[Op]) -> list[str]:
    return [a.name for a in cls.arguments if isinstance(a, Like)]


def _called(text: Text, expr: Call, cls: type[Op], evaluator: _Evaluator) -> SingleLayer:
    scope = evaluator.globals
    handlers = evaluator.arguments
    positional = [handlers[a.__class__](a, scope) for a in expr.positional]
    named = {k.name: handlers[k.value.__class__](k.value, scope) for k in expr.named}
    if cls.takes_likes:
        evaluator.take_likes(cls, expr, positional, named)
    evaluator.check(cls, expr)
    paste = pasted_kernel(cls, positional) if len(positional) > 2 else 0
    layer = SingleLayer(text, expr, cls, positional, named, paste)
    if not layer.unknowns:
        evaluator.make_op(cls, expr, positional, named)  # its faults know their places
    return layer


__all__ = ["SingleLayer", "Unknown", "read_layer"]
