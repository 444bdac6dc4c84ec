"""What can be wrong with a name, a call, or a part of a chain, in the words that people read.

`checks` asks before anything is unrolled, `evaluation` where what is called shows only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from convcalc.graph import Value
from convcalc.language.expressions import (
    Attribute,
    Call,
    Decimal,
    Expr,
    Literal,
    Name,
    yaml_boolean,
)
from convcalc.language.faults import Fault, Help, did_you_mean
from convcalc.language.steps import Block, Definition
from convcalc.language.values import BlockLayer, Builtin, Family, OpLayer, is_layer, kind, show
from convcalc.ops.base import REGISTRY, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Which argument comes after so many.
_FIFTH = {2: "third", 3: "fourth", 4: "fifth"}


@cache
def words() -> frozenset[str]:
    """The bare words that some layer takes."""
    return frozenset(w for op in REGISTRY.values() for a in op.arguments for w in a.words)


def unknown_name(expr: Name, known: Callable[[], list[str]]) -> Fault:
    """A name that nothing defines, with what was most likely meant among the known ones."""
    name = expr.name
    message = f"there is no {'layer or block' if name[0].isupper() else 'value'} {name!r}"
    boolean = yaml_boolean(name)
    from convcalc.language.foreign import layer_help

    help: Help = layer_help(name)
    if boolean is not None and help is None:
        help = f"write {boolean}: there are true and false"
    if name in ("add", "mul", "concat", "residual", "split"):
        help = f"{name}: is a step of its own, with its branches on the lines below it"
    if help is None and name.isupper() and len(name) <= 2:
        help = "a free size can only stand in input:; structure cannot depend on it"
    if help is None:
        words_too = [] if name[0].isupper() else sorted(words())

        def help() -> str | None:
            return did_you_mean(name, [*words_too, *known()])

    return Fault(message, expr.start, expr.end, help)


def pasted(op: Op, kernel: int, expr: Call, text: str, start: int, end: int) -> Fault:
    """`Conv2d(3, 64, 7)` on 3 channels: a torch.nn call, pasted with its in_channels."""
    channels = op.given()["out_channels"]
    written = text[expr.positional[1].start : expr.positional[-1].end]
    return Fault(
        f"this reads as a torch.nn call: {channels} channels flow in, and {op.name()} would make "
        f"{channels} of them with a kernel of {kernel}",
        start,
        end,
        f"write {op.name()}({written}): in_channels are inferred; if the kernel is meant, write "
        f"kernel_size={kernel}",
    )


def unknown_attribute(expr: Attribute) -> Fault:
    sizes = ("shape", "size", "height", "width", "length", "depth", "batch", "h", "w", "n")
    if expr.name.lower() in sizes:
        message = (
            f"no expression can read .{expr.name}: structure never depends on the input's size"
        )
        help = "only .channels can be read; a var can hold a number"
    else:
        message = f"a value has no .{expr.name}"
        help = did_you_mean(expr.name, ["channels"]) or "only .channels can be read"
    return Fault(message, expr.name_start, expr.end, help)


def not_callable(expr: Call, callee: Any) -> Fault:
    name = expr.callee.name
    if isinstance(callee, (OpLayer, BlockLayer)):
        message, help = (
            f"{name} is {kind(callee)}, which has its arguments already",
            f"write {name}",
        )
    elif isinstance(callee, Family):
        message, help = f"{name} is {kind(callee)}", f"write {name}[…]"
    else:
        message, help = f"{name} is {kind(callee)} and cannot be called", None
        if kind(callee).startswith("the number"):
            help = f"write {name} * (…) to multiply"
    return Fault(message, expr.callee.start, expr.callee.end, help)


def check_part(value: Any, part: Expr, first: bool) -> None:
    """Whether a value can stand in a chain: a layer anywhere, a named output at the beginning."""
    if is_layer(value):
        return
    if isinstance(value, Value):
        if first:
            return
        raise Fault(
            "a named output can only begin a chain: what flows before it would be lost",
            part.start,
            part.end,
            "use add: or concat: to join the two",
        )
    if isinstance(value, Family):
        raise Fault(f"which {value.name}?", part.start, part.end, f"write {value.name}[index]")
    help = None
    if isinstance(value, str):
        help = did_you_mean(value, REGISTRY)
    elif isinstance(value, tuple):
        help = "join steps with ->"
    raise Fault(f"a chain is made of layers; this is {kind(value)}", part.start, part.end, help)


def argument_span(
    cls: type[Op], expr: Call, name: str | None, otherwise: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Where an argument stands in a call; the layer's name (or `otherwise`) if it was not given."""
    for keyword in expr.named:
        if keyword.name == name:
            return keyword.value.start, keyword.value.end
    for argument, value in zip(cls.arguments, expr.positional, strict=False):
        if argument.name == name:
            return value.start, value.end
    return otherwise or (expr.callee.start, expr.callee.end)


def _names(callee: Block | Definition | type[Op]) -> list[tuple[str, bool]]:
    """Every parameter, and whether it must be given."""
    if isinstance(callee, (Block, Definition)):
        return [(p.name, p.default is None) for p in callee.parameters or ()]
    return [(a.name, a.required) for a in callee.arguments]


def signature_faults(callee: Block | Definition | type[Op], expr: Call) -> Iterator[Fault]:
    """What in a call does not fit the names and number of its parameters."""
    parameters = _names(callee)
    names = [name for name, _ in parameters]
    label = callee.__name__ if isinstance(callee, type) else callee.name
    most, inferred = len(names), ""
    if isinstance(callee, type):
        inferred = callee.inferred
        most = most if callee.positional is None else callee.positional
    if len(expr.positional) > most:
        yield _too_many(callee, label, most, expr)
        return
    given = set(names[: len(expr.positional)])
    unknown = False
    for keyword in expr.named:
        name = keyword.name
        if name in given:
            help = None
            if inferred and len(expr.positional) >= 2:
                help = f"{inferred} is taken from what flows in: leave it away"
            yield Fault(f"{label} gets {name!r} twice", keyword.start, keyword.end, help)
        elif name in names or (inferred and name == inferred):
            given.add(name)
        else:
            unknown = True
            yield _unknown_argument(callee, label, name, keyword.start, keyword.end)
    missing = [name for name, required in parameters if required and name not in given]
    if missing and not unknown:  # one of the unknown may be what is missing
        yield Fault(
            f"{label} needs {' and '.join(missing)}",
            expr.callee.start,
            expr.callee.end,
            f"write {_signature(callee)}",
        )


def _unknown_argument(
    callee: Block | Definition | type[Op], label: str, name: str, start: int, end: int
) -> Fault:
    def help() -> str:
        from convcalc.language.foreign import argument_help

        names = [known for known, _ in _names(callee)]
        foreign = None
        if isinstance(callee, type):
            names += [callee.inferred] if callee.inferred else []
            foreign = argument_help(name, label, names)
        return foreign or did_you_mean(name, names) or f"write {_signature(callee)}"

    return Fault(f"{label} has no argument {name!r}", start, end, help)


def _count(most: int) -> str:
    if most == 0:
        return "no arguments"
    return f"{most} argument{'s' if most > 1 else ''} by position"


def _too_many(callee: Block | Definition | type[Op], label: str, most: int, expr: Call) -> Fault:
    """More arguments by position than there may be."""
    count = len(expr.positional)
    start, end = expr.positional[most].start, expr.positional[-1].end
    most_words = f"{'at most ' if most and isinstance(callee, type) else ''}{_count(most)}"
    message = f"{label} takes {most_words}, not {count}"
    help = f"write {_signature(callee)}"
    if isinstance(callee, type) and callee.inferred:
        pasted = _without_inferred(callee, label, most, expr)
        start, end = expr.positional[0].start, expr.positional[-1].end
        by_name = _by_name(callee, label, most, expr)
        help = f"{callee.inferred} is taken from what flows in; {by_name or help}"
        if pasted is not None:
            at = expr.positional[callee.inferred_at]
            start, end = at.start, at.end
            help = f"in a torch.nn call that is {callee.inferred}, which is inferred here; {pasted}"
            if by_name and _could_be_kernel(expr.positional[1]):
                help += f"; if it is {callee.arguments[0].name}, {by_name}"
    return Fault(message, start, end, help)


def _by_name(cls: type[Op], label: str, most: int, expr: Call) -> str | None:
    """What to write where the arguments are the layer's own, only too many by position."""
    names = [a.name for a in cls.arguments]
    if most < 2 or len(expr.positional) > len(names):
        return None
    texts = [_literal(e) for e in expr.positional]
    own = [f"{n}={t or '…'}" for n, t in zip(names[most:], texts[most:], strict=False)]
    if "" in texts:
        return f"from the {_FIFTH.get(most, 'next')} on they go by name: {', '.join(own)}"
    return f"write {label}({', '.join([*texts[:most], *own])})"


def _could_be_kernel(expr: Expr) -> bool:
    """Whether a second argument may be a kernel's size rather than a number of channels."""
    return not (isinstance(expr, Literal) and isinstance(expr.value, int) and expr.value > 11)


def _without_inferred(cls: type[Op], label: str, most: int, expr: Call) -> str | None:
    """What to write for a pasted torch.nn call of literals; None where it is none."""
    names = [a.name for a in cls.arguments]
    at = cls.inferred_at
    texts = [_literal(e) for e in (*expr.positional[:at], *expr.positional[at + 1 :])]
    if len(texts) > len(names) or "" in texts or at >= len(expr.positional):
        return None
    written = texts[:most] + [f"{n}={t}" for n, t in zip(names, texts, strict=False)][most:]
    return f"write {label}({', '.join(written)})" if written else f"write {label}"


def _literal(expr: Expr) -> str:
    """A literal as one writes it; empty for other expressions."""
    if isinstance(expr, Literal):
        return show(expr.value)
    return f"{expr.digits}e{expr.exponent}" if isinstance(expr, Decimal) else ""


def _signature(callee: Block | Definition | type[Op]) -> str:
    if isinstance(callee, type):
        return callee.signature()
    parts = [p.name if p.default is None else f"{p.name}=…" for p in callee.parameters or ()]
    return f"{callee.name}({', '.join(parts)})" if parts else callee.name


def builtin_faults(callee: Builtin, expr: Call) -> Iterator[Fault]:
    """What in a call of a function of the language does not fit it."""
    least, most = callee.arity
    count = len(expr.positional)
    if expr.named:
        keyword = expr.named[0]
        yield Fault(
            f"{callee.name} takes no arguments by name", keyword.start, keyword.end, "leave it away"
        )
    if count < least or (most is not None and count > most):
        wanted = f"{least}" if least == most else f"{least} or more"
        if most is not None and most > least:
            wanted = f"{least} to {most}"
        plural = "" if wanted == "1" else "s"
        yield Fault(
            f"{callee.name} takes {wanted} argument{plural}, not {count}", expr.start, expr.end
        )
