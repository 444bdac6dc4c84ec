"""Expressions → values. No Python is generated or run; every walk is bounded.

A name is looked up from the inside out: loop values, the results named so far, a block's
parameters, then vars, blocks, layers, functions, and last the words that layers take (`same`,
`reflect`).
"""

from __future__ import annotations

from collections.abc import Callable

from convcalc.errors import LayerError
from convcalc.graph import MAX_NODES, Value
from convcalc.language.calls import (
    argument_span,
    builtin_faults,
    check_part,
    not_callable,
    signature_faults,
    unknown_attribute,
    unknown_name,
    words,
)
from convcalc.language.expressions import (
    Attribute,
    BrokenExpr,
    Call,
    Chain,
    Decimal,
    Expr,
    Index,
    ListExpr,
    Literal,
    Name,
    Operation,
    Parameter,
    Ternary,
    Unary,
)
from convcalc.language.faults import Absorbed, Exhausted, Fault
from convcalc.language.steps import Block, Definition
from convcalc.language.values import (
    POISON,
    BlockLayer,
    Builtin,
    ChainLayer,
    Family,
    OpLayer,
    Repeat,
    ValueFault,
    arithmetic,
    closing,
    compare,
    effort,
    exact,
    is_layer,
    kind,
    large,
    make_list,
    negate,
    pick,
    show,
    truth,
)
from convcalc.ops.arguments import Like
from convcalc.ops.base import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Repeats, loop rows: more than this is no network but a mistake.
MOST_REPEATS = MAX_NODES
#: Steps taken, blocks and functions called in one network. What else takes time counts by its size:
#: see `Evaluator.spend`, `values.effort`.
MOST_WORK = 120_000
#: An expression of so many characters counts as a step each time it is evaluated.
LONG = 32
#: Frames of Python that nested blocks, functions and steps may take, about a third of its limit:
#: the expression within the innermost one takes some 300 more at the worst.
MOST_FRAMES = 350


class Scope:
    """Names and their values. frame: the scope of the block or network that this one is part of."""

    __slots__ = ("frame", "names", "parent")

    def __init__(self, names: dict[str, Any], parent: Scope | None, inner: bool = False) -> None:
        self.names = names
        self.parent = parent
        self.frame: Scope = parent.frame if inner and parent is not None else self

    def all_names(self) -> list[str]:
        """Every name that has a value here, the nearest first."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names += scope.names
            scope = scope.parent
        return names


class Evaluator:
    """Evaluates the expressions of one design.

    globals: vars, blocks, layers, functions. results: the names that steps give, with their lines.
    """

    def __init__(self, globals: dict[str, Any], results: dict[str, int] | None = None) -> None:
        self.globals = Scope(globals, None)
        self.results = results or {}
        self.work = 0
        self.frames = 0
        self._ops: dict[Any, Op] = {}
        self._checked: set[tuple[int, int]] = set()
        self.handlers: dict[type, Callable[[Any, Scope], Any]] = {
            Literal: self.literal,
            Decimal: self.decimal,
            Name: self.name,
            ListExpr: self.list_value,
            Call: self.call,
            Index: self.index,
            Attribute: self.attribute,
            Unary: self.unary,
            Operation: self.operation,
            Ternary: self.ternary,
            Chain: self.chain,
            BrokenExpr: self.broken,
        }
        self.arguments: dict[type, Callable[[Any, Scope], Any]] = {
            **self.handlers,
            Decimal: self.double,
        }

    def evaluate(self, expr: Expr, scope: Scope) -> Any:
        """The value of an expression. Raises Fault, or Absorbed where it was reported before."""
        if expr.end - expr.start >= LONG:
            self.spend((expr.end - expr.start) // LONG, expr.start, expr.end)
        return self.handlers[expr.__class__](expr, scope)

    # ---------------------------------------------------------------- bounds

    def spend(self, amount: int, start: int, end: int) -> None:
        """Count work done at a place; raises Exhausted where it is too much."""
        self.work += amount
        if self.work > MOST_WORK:
            raise Exhausted(
                f"the design takes more than {MOST_WORK:,} steps to unroll",
                start,
                end,
                "fewer repeats, or smaller lists",
            )

    def enter(self, frames: int, start: int, end: int, what: str) -> None:
        """Go one call deeper; `leave` with the same number of frames."""
        self.frames += frames
        if self.frames > MOST_FRAMES:
            self.frames -= frames
            raise Fault(
                f"{what} nested too deeply",
                start,
                end,
                "about 40 blocks, functions and chains can stand in one another",
            )

    def leave(self, frames: int) -> None:
        self.frames -= frames

    # ---------------------------------------------------------------- atoms

    def literal(self, expr: Literal, scope: Scope) -> Any:
        return expr.value

    def decimal(self, expr: Decimal, scope: Scope) -> Any:
        return exact(expr.digits, expr.exponent)

    def broken(self, expr: BrokenExpr, scope: Scope) -> Any:
        raise Absorbed

    def name(self, expr: Name, scope: Scope) -> Any:
        name = expr.name
        inner: Scope | None = scope
        while inner is not None:
            names = inner.names
            if name in names:
                return names[name]
            inner = inner.parent
        if expr.faulty:
            raise Absorbed
        if name in words():
            return name
        raise self.unknown(expr, scope)

    def unknown(self, expr: Name, scope: Scope) -> Fault:
        if expr.name in self.results:
            return Fault(
                f"{expr.name!r} has no value here",
                expr.start,
                expr.end,
                f"the step on line {self.results[expr.name]} that names it was not taken",
            )
        return unknown_name(expr, scope.all_names)

    def list_value(self, expr: ListExpr, scope: Scope) -> Any:
        handlers = self.handlers
        entries = [handlers[e.__class__](e, scope) for e in expr.items]
        if POISON in entries:
            raise Absorbed
        made = tuple(entries)
        self.spend(effort(made), expr.start, expr.end)
        return self.guard(expr, make_list, made)

    def guard(self, expr: Expr, function: Callable[..., Any], *values: Any) -> Any:
        """A function of values, its fault placed at `expr`."""
        try:
            return function(*values)
        except ValueFault as fault:
            raise Fault(fault.message, expr.start, expr.end, fault.help) from None

    # ---------------------------------------------------------------- operators

    def unary(self, expr: Unary, scope: Scope) -> Any:
        value = self.solid(expr.operand, scope)
        if expr.operator == "not":
            return not self.guard(expr.operand, truth, value)
        if expr.operator == "-":
            try:
                return negate(value)
            except ValueFault as fault:
                raise Fault(fault.message, expr.start, expr.start + 1, fault.help) from None
        return self.guard(expr, arithmetic, "+", 0, value)

    def solid(self, expr: Expr, scope: Scope) -> Any:
        """A value that is not poisoned."""
        value = self.evaluate(expr, scope)
        if value is POISON:
            raise Absorbed
        return value

    def operation(self, expr: Operation, scope: Scope) -> Any:
        rank = expr.rank
        if rank <= 2:
            return self.logic(expr, scope)
        left = self.solid(expr.first, scope)
        if rank == 4:
            return self.comparison(expr, left, scope)
        for operator, at, operand in expr.rest:
            right = self.solid(operand, scope)
            if operator == "*" and is_layer(right):
                left = self.repeat(left, right, expr.first, operand)
                continue
            try:
                left = arithmetic(operator, left, right)
            except ValueFault as fault:
                raise Fault(fault.message, at, at + len(operator), fault.help) from None
            if left.__class__ is not int:
                self.spend(effort(left), expr.start, expr.end)
        return left

    def logic(self, expr: Operation, scope: Scope) -> Any:
        """and, or: the operand that decides, as in Python."""
        value = self.solid(expr.first, scope)
        before = expr.first
        for operator, _, operand in expr.rest:
            if self.guard(before, truth, value) == (operator == "or"):
                return value
            value, before = self.solid(operand, scope), operand
        return value

    def comparison(self, expr: Operation, left: Any, scope: Scope) -> bool:
        for operator, at, operand in expr.rest:
            right = self.solid(operand, scope)
            if right.__class__ is not int:
                self.spend(effort(right), expr.start, expr.end)
            try:
                if not compare(operator, left, right):
                    return False
            except ValueFault as fault:
                raise Fault(fault.message, at, at + len(operator), fault.help) from None
            left = right
        return True

    def repeat(self, count: Any, layer: Any, count_expr: Expr, expr: Expr) -> Repeat:
        if count.__class__ is not int or count < 0:
            help = closing(count)
            if help is None and count.__class__ is not int:
                help = "round it: int(…), ceil(…), or // instead of /"
            raise Fault(
                f"a layer is repeated a whole number of times, not {show(count)}",
                count_expr.start,
                count_expr.end,
                help,
            )
        if count > MOST_REPEATS:
            raise Fault(
                f"{large(count)} repeats; {MOST_REPEATS:,} are the most",
                count_expr.start,
                count_expr.end,
            )
        return Repeat(count, layer, expr.start, expr.end)

    def ternary(self, expr: Ternary, scope: Scope) -> Any:
        condition = self.solid(expr.condition, scope)
        chosen = self.guard(expr.condition, truth, condition)
        branch = expr.then if chosen else expr.otherwise
        return self.handlers[branch.__class__](branch, scope)

    def index(self, expr: Index, scope: Scope) -> Any:
        base = self.solid(expr.base, scope)
        return self.guard(expr, pick, base, self.solid(expr.index, scope))

    def attribute(self, expr: Attribute, scope: Scope) -> Any:
        base = self.solid(expr.base, scope)
        if not isinstance(base, Value):
            raise Fault(
                f"{kind(base)} has no .{expr.name}",
                expr.name_start,
                expr.end,
                "only the output of a layer has .channels; give it a name before"
                if is_layer(base)
                else None,
            )
        if expr.name != "channels":
            raise unknown_attribute(expr)
        try:
            return base.channels
        except LayerError as error:
            raise Fault(error.message, expr.start, expr.end, error.help, error.notes) from None

    def chain(self, expr: Chain, scope: Scope) -> ChainLayer:
        """A chain as a value, in parentheses or as an argument."""
        parts = []
        for position, part in enumerate(expr.parts):
            value = self.solid(part, scope)
            check_part(value, part, position == 0)
            parts.append((value, part.start, part.end))
        return ChainLayer(parts)

    # ---------------------------------------------------------------- calls

    def call(self, expr: Call, scope: Scope) -> Any:
        if expr.faulty:
            raise Absorbed
        callee = self.solid(expr.callee, scope)
        if isinstance(callee, type):
            return self.op(callee, expr, scope)
        if isinstance(callee, Block):
            self.check(callee, expr)
            given, shown = self.bind(callee.parameters, expr, scope)
            return BlockLayer(callee, given, shown)
        if isinstance(callee, Builtin):
            return self.builtin(callee, expr, scope)
        if isinstance(callee, Definition):
            return self.function(callee, expr, scope)
        raise not_callable(expr, callee)

    def check(self, callee: Block | Definition | type[Op], expr: Call) -> None:
        """Once for each pair of call and callee: do the arguments fit the signature?"""
        key = (id(expr), id(callee))
        if expr.checked or key in self._checked:
            return
        for fault in signature_faults(callee, expr):
            raise fault
        self._checked.add(key)

    def bind(
        self, parameters: list[Parameter], expr: Call, scope: Scope
    ) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """The arguments of a call by name, and as they were given."""
        handlers = self.handlers
        given: dict[str, Any] = {}
        shown: list[tuple[str, Any]] = []
        for parameter, argument in zip(parameters, expr.positional, strict=False):
            value = given[parameter.name] = handlers[argument.__class__](argument, scope)
            shown.append(("", value))
        for keyword in expr.named:
            value = handlers[keyword.value.__class__](keyword.value, scope)
            given[keyword.name] = value
            shown.append((keyword.name, value))
        return given, shown

    def builtin(self, callee: Builtin, expr: Call, scope: Scope) -> Any:
        values = [self.solid(argument, scope) for argument in expr.positional]
        for fault in builtin_faults(callee, expr):
            raise fault
        self.spend(1 + sum(map(effort, values)), expr.start, expr.end)
        try:
            result = self.guard(expr, callee.function, *values)
        except OverflowError:
            message = f"{callee.name} of numbers that are too large"
            raise Fault(message, expr.start, expr.end) from None
        self.spend(effort(result), expr.start, expr.end)
        return result

    def function(self, callee: Definition, expr: Call, scope: Scope) -> Any:
        """A function of `vars`: its expression, with its parameters bound."""
        if callee.parameters is None:
            raise not_callable(expr, self.globals.names.get(callee.name))
        self.check(callee, expr)
        given, _ = self.bind(callee.parameters, expr, scope)
        inner = Scope(given, self.globals)
        depth = callee.depth + 3
        self.spend(2 + (len(callee.parameters) >> 4), expr.start, expr.end)
        self.enter(depth, expr.start, expr.end, "functions")
        try:
            for parameter in callee.parameters:
                if parameter.name not in given:
                    assert parameter.default is not None  # signature_faults has looked
                    given[parameter.name] = self.solid(parameter.default, inner)
            return self.solid(callee.expr, inner)
        finally:
            self.leave(depth)

    # ---------------------------------------------------------------- layers

    def op(self, cls: type[Op], expr: Call, scope: Scope) -> OpLayer:
        """A layer with its arguments; equal calls give the same op."""
        handlers = self.arguments
        positional = [handlers[a.__class__](a, scope) for a in expr.positional]
        named = {k.name: handlers[k.value.__class__](k.value, scope) for k in expr.named}
        likes: tuple[Value, ...] = ()
        if cls.takes_likes:
            likes = self.take_likes(cls, expr, positional, named)
        values = (*positional, *named.values())
        # The types are in the key because 1 == true == 1.0, which are different arguments.
        key = (cls, values, tuple(map(type, values)), tuple(named))
        op = self._ops.get(key)
        if op is None:
            if POISON in values:
                raise Absorbed
            op = self.make_op(cls, expr, positional, named)
            if not any(value.__class__ is tuple for value in values) or _whole_lists(values):
                self._ops[key] = op
        paste = pasted_kernel(cls, positional) if len(positional) > 2 else 0
        return OpLayer(op, likes, expr, paste)

    def double(self, expr: Decimal, scope: Scope) -> float:
        """A decimal as a layer's argument: its double at once, as no size depends on it."""
        return float(f"{expr.digits}e{expr.exponent}")

    def make_op(
        self, cls: type[Op], expr: Call, positional: list[Any], named: dict[str, Any]
    ) -> Op:
        self.check(cls, expr)
        for name, value in [
            *zip((a.name for a in cls.arguments), positional, strict=False),
            *named.items(),
        ]:
            if isinstance(value, (Value, Family)) or is_layer(value):
                start, end = argument_span(cls, expr, name)
                help = "write .channels behind it" if isinstance(value, Value) else None
                raise Fault(f"{name} cannot be {kind(value)}", start, end, help)
        try:
            return cls(*positional, **named)
        except LayerError as error:
            start, end = argument_span(cls, expr, error.argument)
            raise Fault(error.message, start, end, error.help, error.notes) from None

    def bare_op(self, cls: type[Op], start: int, end: int) -> Op:
        """A layer that was not called: all its arguments have defaults."""
        op = self._ops.get(cls)
        if op is None:
            try:
                op = self._ops[cls] = cls()
            except LayerError as error:
                raise Fault(error.message, start, end, error.help, error.notes) from None
        return op

    def take_likes(
        self, cls: type[Op], expr: Call, positional: list[Any], named: dict[str, Any]
    ) -> tuple[Value, ...]:
        """The named outputs among the arguments, which flow in. The op learns that there is one."""
        found: list[Value] = []
        for position, argument in enumerate(cls.arguments):
            if not isinstance(argument, Like):
                continue
            if argument.name in named:
                value, named[argument.name] = named[argument.name], True
            elif position < len(positional):
                value, positional[position] = positional[position], True
            elif not argument.required:
                continue
            else:
                raise Fault(
                    f"{cls.name()} needs {argument.name}",
                    expr.start,
                    expr.end,
                    f"write {cls.signature()}",
                )
            if value is POISON:
                raise Absorbed
            if not isinstance(value, Value):
                start, end = argument_span(cls, expr, argument.name)
                message = f"{argument.name} must be {argument.describe}, not {kind(value)}"
                raise Fault(message, start, end)
            found.append(value)
        return tuple(found)


def _whole_lists(values: tuple[Any, ...]) -> bool:
    """Whether all lists among them hold whole numbers alone: equal ones are then the same."""
    return all(
        entry.__class__ is int for value in values if value.__class__ is tuple for entry in value
    )


def pasted_kernel(cls: type[Op], positional: list[Any]) -> int:
    """The second argument of a convolution where it looks like a number of channels.

    A pasted torch.nn.Conv2d(in, out, kernel) would mean out_channels, kernel_size, stride here. A
    kernel of 8 and more that is even, and more than twice the stride, or an even one of 6 and more
    with an odd stride of 3 and more, is one that hardly any network has.
    """
    if cls.inferred != "in_channels":
        return 0
    kernel, stride = positional[1], positional[2]
    if stride.__class__ is tuple and stride:
        stride = stride[0]
    if kernel.__class__ is not int or stride.__class__ is not int or kernel % 2:
        return 0
    if kernel >= 8 and kernel > 2 * stride:
        return kernel
    if kernel >= 6 and stride >= 3 and stride % 2:
        return kernel
    return 0
