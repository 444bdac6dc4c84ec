"""The values of the language and what may be done with them.

none, true and false, whole numbers (int; Formula where a var is left open), exact rationals that
are not whole (Fraction), floats (from `log`, `sqrt` and fractional powers alone), words (str),
lists (tuple), layers, named outputs.

Whatever a design computes stays small: numbers, lists and exponents are bounded, so that no file
can make the interpreter hang or fill the memory. Faults are `ValueFault`s, without a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from convcalc.graph import Value
from convcalc.integers import Formula
from convcalc.language.steps import Block, Definition
from convcalc.ops.base import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fractions import Fraction
    from typing import Any

    from convcalc.language.expressions import Call

#: Bounds on what is computed.
MOST_BITS = 2048
MOST_EXPONENT = 1024
MOST_ENTRIES = 100_000
MOST_LIST_LEVELS = 8


class ValueFault(Exception):
    """Something that cannot be computed; who evaluates an expression adds the place."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


# --------------------------------------------------------------------------------- kinds


class _Poison:
    """Stands for a value whose computation failed and was reported: it absorbs what uses it."""

    def __repr__(self) -> str:
        return "POISON"


POISON = _Poison()


class OpLayer:
    """A layer with its arguments.

    likes: named outputs that flow in besides, for their size.
    paste: the kernel that would be the channels if this were a pasted torch.nn call, or 0.
    """

    __slots__ = ("call", "likes", "op", "paste")

    def __init__(self, op: Op, likes: tuple[Value, ...], call: Call | None, paste: int = 0) -> None:
        self.op = op
        self.likes = likes
        self.call = call
        self.paste = paste


class BlockLayer:
    """A block with the arguments that were given.

    given: name → value. shown: the same as written, for paths and tables: ("", value) by position.
    """

    __slots__ = ("block", "given", "shown")

    def __init__(self, block: Block, given: dict[str, Any], shown: list[tuple[str, Any]]) -> None:
        self.block = block
        self.given = given
        self.shown = shown


class Repeat:
    """`count * layer`. start, end: where the layer stands."""

    __slots__ = ("count", "end", "layer", "start")

    def __init__(self, count: int, layer: Any, start: int, end: int) -> None:
        self.count = count
        self.layer = layer
        self.start = start
        self.end = end


class ChainLayer:
    """`a -> b -> c` as a value. parts: (layer, start, end)."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[tuple[Any, int, int]]) -> None:
        self.parts = parts


class Family:
    """The named outputs `name[index]`."""

    __slots__ = ("entries", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[int, Any] = {}


class Builtin:
    """A function of the language."""

    __slots__ = ("arity", "function", "name")

    def __init__(
        self, name: str, function: Callable[..., Any], arity: tuple[int, int | None]
    ) -> None:
        self.name = name
        self.function = function
        self.arity = arity


def is_layer(value: object) -> bool:
    """Whether a value can be flowed through."""
    return isinstance(value, (type, OpLayer, BlockLayer, Block, Repeat, ChainLayer))


def is_number(value: object) -> bool:
    """An int, a Fraction or a float; true and false are none."""
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    return value.__class__.__name__ == "Fraction"


def is_open(value: object) -> bool:
    """A var that is left open, or what was computed of one: a formula."""
    return isinstance(value, Formula)


def closing(value: object) -> str | None:
    """What to do about an open var that needs a number; None for any other value."""
    return str(_opened("closing", value)) if is_open(value) else None


def _whole_or_open(value: object) -> bool:
    return value.__class__ is int or isinstance(value, Formula)


def kind(value: object) -> str:
    """What a value is, for a message."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return f"the number {show(value)}"
    if is_open(value):
        return f"{value}, which is left open"
    if isinstance(value, str):
        return f"the word {value!r}"
    if isinstance(value, tuple):
        return "a list"
    if isinstance(value, Value):
        return "the output of a layer"
    if isinstance(value, Family):
        return "a family of named outputs"
    if isinstance(value, (Builtin, Definition)):
        return f"the function {value.name}"
    return f"the layer {show(value)}" if is_layer(value) else "a value"


def show(value: object) -> str:
    """A value as one would write it, shortened where it is long."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        if len(value) > 6:
            return f"[{', '.join(map(show, value[:5]))}, …]"
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, OpLayer):
        return str(value.op)
    if isinstance(value, (Block, Family, Builtin, Definition)):
        return value.name
    if isinstance(value, BlockLayer):
        return value.block.name
    if isinstance(value, Value):
        return value.path
    if isinstance(value, Repeat):
        return f"{value.count} * {show(value.layer)}"
    if isinstance(value, ChainLayer):
        shown = [show(part) for part, _, _ in value.parts[:4]]
        return "(" + " -> ".join(shown + ["…"] * (len(value.parts) > 4)) + ")"
    return _show_number(value)


def large(number: int) -> str:
    """A whole number with its thousands apart, shortened where it is very long."""
    return f"{number:,}" if number.bit_length() < 80 else _show_number(number)


def _show_number(value: object) -> str:
    """A whole number or Fraction; a decimal that ends is shown as one."""
    if value.__class__.__name__ == "Fraction":
        denominator = value.denominator  # type: ignore[attr-defined]
        rest = denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and denominator < 10**9:
            return f"{float(value):.12g}"  # type: ignore[arg-type]
    text = str(value)
    return text if len(text) <= 40 else f"{text[:20]}…{text[-8:]}"


# --------------------------------------------------------------------------------- numbers


def exact(digits: int, exponent: int) -> Fraction:
    """digits · 10^exponent, exponent < 0."""
    from fractions import Fraction  # about 5 ms, and most designs have whole numbers alone

    return Fraction(digits, 10**-exponent)


def normal(value: Any) -> Any:
    """A number in its one form: whole ones as int; bounded; finite."""
    if value.__class__ is int:
        if value.bit_length() > MOST_BITS:
            raise ValueFault(f"a number of more than {MOST_BITS * 3 // 10} digits")
        return value
    if value.__class__ is float:
        if not -1e300 < value < 1e300:  # also where it is nan
            raise ValueFault("the result is not a finite number")
        return value
    if value.denominator == 1:
        return normal(value.numerator)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise ValueFault(f"a number of more than {MOST_BITS * 3 // 10} digits")
    return value


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """left operator right, for + - * / // % and ** on numbers; + and * on lists too."""
    if not (is_number(left) and is_number(right)):
        return _on_others(operator, left, right)
    try:
        if operator == "+":
            return normal(left + right)
        if operator == "-":
            return normal(left - right)
        if operator == "*":
            return normal(left * right)
        if operator == "**":
            return power(left, right)
        if operator == "//":
            result = left // right
            return normal(int(result) if result.__class__ is float else result)
        if operator == "%":
            return normal(left % right)
        return _divide(left, right)
    except ZeroDivisionError:
        raise ValueFault(f"division by zero: {show(left)} {operator} {show(right)}") from None
    except (OverflowError, ValueError):  # ValueError: int(nan)
        raise ValueFault("the result is not a finite number") from None


def _divide(left: Any, right: Any) -> Any:
    """Exact, except between floats."""
    if left.__class__ is int and right.__class__ is int:
        if left % right == 0:
            return left // right
        from fractions import Fraction

        return normal(Fraction(left, right))
    return normal(left / right)


def power(base: Any, exponent: Any) -> Any:
    """Exact for a whole exponent, a float for others. Exponents are bounded."""
    if exponent.__class__ is int:
        if abs(exponent) > MOST_EXPONENT:
            raise ValueFault(f"an exponent of {large(exponent)}; {MOST_EXPONENT} is the most")
        if base.__class__ is float:
            return normal(base**exponent)
        bits = max(abs(base.numerator), base.denominator).bit_length()
        if bits * abs(exponent) > 2 * MOST_BITS:
            raise ValueFault(f"a number of more than {MOST_BITS * 3 // 10} digits")
        if exponent >= 0:
            return normal(base**exponent)
        return _divide(1, normal(base**-exponent))
    if base < 0:
        raise ValueFault(
            f"a fractional power of a negative number: {show(base)} ** {show(exponent)}"
        )
    return normal(float(base) ** float(exponent))


def _on_others(operator: str, left: Any, right: Any) -> Any:
    if is_open(left) or is_open(right):
        return _on_open(operator, left, right)
    if operator == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return make_list(left + right)
    if operator == "*" and isinstance(left, tuple) and right.__class__ is int:
        left, right = right, left
    if operator == "*" and left.__class__ is int and isinstance(right, tuple):
        if max(left, 0) * len(right) > MOST_ENTRIES:
            raise ValueFault(f"a list of more than {MOST_ENTRIES:,} entries")
        return make_list(left * right)
    if operator == "*" and is_layer(left) and is_number(right):
        raise ValueFault(
            "the number of repeats stands before the layer", f"write {show(right)} * {show(left)}"
        )
    if is_layer(left) or is_layer(right):
        help = "join steps with ->"
        if operator == "-":
            help += "; a step on a line of its own begins with a dash and a space: '- '"
        raise ValueFault(f"{operator!r} does not work on layers", help)
    wrong = right if is_number(left) else left
    channels = "write .channels behind it" if isinstance(wrong, Value) else None
    raise ValueFault(f"{operator!r} needs numbers, not {kind(wrong)}", channels)


def _on_open(operator: str, left: Any, right: Any) -> Any:
    """Where one of them is a var that is left open, which is a formula."""
    wrong = next((v for v in (left, right) if not (is_number(v) or is_open(v))), None)
    if wrong is not None:
        if operator == "*" and is_layer(wrong):
            raise ValueFault("the number of repeats stands before the layer")
        raise ValueFault(f"{operator!r} needs numbers, not {kind(wrong)}")
    return _opened("arithmetic", operator, left, right)


def _opened(function: str, *values: Any) -> Any:
    """A function of `open_vars`, which few designs need."""
    from convcalc.language import open_vars

    try:
        return getattr(open_vars, function)(*values)
    except open_vars.OpenFault as fault:
        raise ValueFault(fault.message, fault.help) from None


def negate(value: Any) -> Any:
    if is_open(value):
        return -value
    if is_number(value):
        return normal(-value)
    if is_layer(value):
        raise ValueFault(
            "'-' does not work on layers", "a step begins with a dash and a space: '- '"
        )
    raise ValueFault(f"'-' needs a number, not {kind(value)}")


def compare(operator: str, left: Any, right: Any) -> bool:
    """==, != between values of any kind, in between a value and a list, the others on numbers."""
    if operator in ("in", "not in"):
        if not isinstance(right, tuple):
            raise ValueFault(f"{operator!r} needs a list, not {kind(right)}")
        found = any(_equal(left, entry) for entry in right)
        return found if operator == "in" else not found
    if operator in ("==", "!="):
        return _equal(left, right) if operator == "==" else not _equal(left, right)
    if _whole_or_open(left) and _whole_or_open(right) and (is_open(left) or is_open(right)):
        return bool(_opened("compare", operator, left, right))
    if not (is_number(left) and is_number(right)):
        wrong = right if is_number(left) else left
        help = "join steps with ->" if is_layer(left) or is_layer(right) else None
        raise ValueFault(f"{operator!r} needs numbers, not {kind(wrong)}", help)
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    if operator == ">":
        return bool(left > right)
    return bool(left >= right)


def _equal(left: Any, right: Any) -> bool:
    """Whether two values are the same; true is not 1, and a layer's output equals nothing."""
    for value in (left, right):
        if isinstance(value, (Value, Family)):
            raise ValueFault(
                "the output of a layer cannot be compared", "write .channels behind it"
            )
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    if is_open(left) or is_open(right):
        both = _whole_or_open(left) and _whole_or_open(right)
        return both and bool(_opened("compare", "==", left, right))
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, OpLayer) and isinstance(right, OpLayer):
        return str(left.op) == str(right.op)
    return bool(left == right)


def truth(value: Any) -> bool:
    """A condition: true, false, none, a number (0 is false) or a list (an empty one is false)."""
    if value is None or isinstance(value, (bool, tuple)) or is_number(value):
        return bool(value)
    if is_open(value):
        return bool(_opened("truth", value))
    raise ValueFault(f"a condition must be true or false, not {kind(value)}")


# --------------------------------------------------------------------------------- lists


def make_list(entries: Iterable[Any]) -> tuple[Any, ...]:
    """A list, bounded in all that it holds and in how deep it is nested."""
    made = tuple(entries)
    if len(made) > MOST_ENTRIES:
        raise ValueFault(f"a list of more than {MOST_ENTRIES:,} entries")
    if tuple in set(map(type, made)) and _weigh(made, 1) > MOST_ENTRIES:
        raise ValueFault(f"a list of more than {MOST_ENTRIES:,} entries")
    return made


def _weigh(entries: tuple[Any, ...], level: int) -> int:
    """How many values a list holds, at all levels."""
    if level > MOST_LIST_LEVELS:
        raise ValueFault(f"lists nested more than {MOST_LIST_LEVELS} levels deep")
    weight = len(entries)
    for entry in entries:
        if entry.__class__ is tuple:
            weight += _weigh(entry, level + 1)
            if weight > MOST_ENTRIES:
                break
    return weight


def effort(value: Any) -> int:
    """The work of going through a value once: eight entries of a list count as one, and so do 256
    bits of a rational, whose arithmetic takes long."""
    if value.__class__ is tuple:
        return (len(value) >> 3) + sum([effort(v) for v in value if v.__class__ is not int])
    if value.__class__.__name__ == "Fraction":
        return (value.numerator.bit_length() + value.denominator.bit_length()) >> 8  # type: ignore[no-any-return]
    return 0


def pick(base: Any, index: Any) -> Any:
    """base[index]; a negative index counts from the end of a list."""
    if isinstance(base, Family):
        if index.__class__ is not int:
            raise ValueFault(f"the index of {base.name} must be a whole number, not {kind(index)}")
        if index not in base.entries:
            have = ", ".join(map(str, islice(base.entries, 12))) or "none yet"
            raise ValueFault(f"there is no {base.name}[{index}]", f"the indices are {have}")
        return base.entries[index]
    if not isinstance(base, tuple):
        raise ValueFault(f"only lists and named outputs have an index, not {kind(base)}")
    if index.__class__ is not int:
        raise ValueFault(f"an index must be a whole number, not {kind(index)}")
    if not -len(base) <= index < len(base):
        entries = f"{len(base)} entries" if len(base) != 1 else "1 entry"
        raise ValueFault(
            f"index {index} is outside a list of {entries}", "the first entry has index 0"
        )
    return base[index]


# --------------------------------------------------------------------------------- functions


def _number(name: str, value: Any) -> Any:
    if not is_number(value):
        raise ValueFault(f"{name} needs a number, not {kind(value)}", closing(value))
    return value


def _whole(name: str, value: Any) -> int:
    if value.__class__ is not int:
        raise ValueFault(f"{name} needs whole numbers, not {kind(value)}", closing(value))
    return int(value)


def _list(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise ValueFault(f"{name} needs a list, not {kind(value)}")
    return value


def _numbers(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The numbers given, or those of the one list given."""
    if len(values) == 1 and isinstance(values[0], tuple):
        values = values[0]
    if not values:
        raise ValueFault(f"{name} of an empty list")
    for value in values:
        if not is_open(value):
            _number(name, value)
    return values


def _extreme(name: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    def chosen(*values: Any) -> Any:
        numbers = _numbers(name, values)
        if any(map(is_open, numbers)):
            return _opened("extreme", name, numbers)
        return function(numbers)

    return chosen


def _integer(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def rounded(value: Any) -> Any:
        if is_open(value):
            return value  # it is a whole number already
        return normal(int(function(_number(name, value))))

    return rounded


def _ceil(value: Any) -> Any:
    from math import ceil

    return ceil(value)


def _floor(value: Any) -> Any:
    from math import floor

    return floor(value)


def _real_function(name: str) -> Callable[[Any], float]:
    def applied(value: Any) -> float:
        import math

        function = math.log if name == "log" else math.sqrt
        try:
            return normal(function(_number(name, value)))  # type: ignore[no-any-return]
        except ValueError:
            raise ValueFault(f"{name} of {show(value)} is not a real number") from None
        except OverflowError:
            raise ValueFault(f"{name} of a number that is too large: {show(value)}") from None

    return applied


def divisible(value: Any, divisor: Any = 8) -> Any:
    """The multiple of `divisor` nearest to a number, never below 90 % of it.

    Source: _make_divisible of torchvision, after the MobileNet code of TensorFlow's models.
    """
    if not is_open(value):
        _number("divisible", value)
    if _whole("divisible", divisor) < 1:
        raise ValueFault(f"divisible needs a divisor of at least 1, not {divisor}")
    if is_open(value):
        return _opened("divisible", value, divisor)
    # int(value + divisor/2) // divisor * divisor, exact
    nearest = max(
        divisor,
        int((2 * value + divisor) / 2 if value.__class__ is float else (2 * value + divisor) // 2)
        // divisor
        * divisor,
    )
    if 10 * nearest < 9 * value:
        nearest += divisor
    return normal(nearest)


def _range(*limits: Any) -> tuple[int, ...]:
    for limit in limits:
        _whole("range", limit)
    if len(limits) == 3 and limits[2] == 0:
        raise ValueFault("range needs a step other than 0")
    made = range(*limits)
    first, last = (made[0], made[-1]) if made else (0, 0)
    if max(abs(first), abs(last)) > 1 << 62 or len(made) > MOST_ENTRIES:
        raise ValueFault(f"a list of more than {MOST_ENTRIES:,} entries")
    return tuple(made)


def _zip(*lists: Any) -> tuple[Any, ...]:
    """Rows of the entries that stand at one place in each list. Python's zip cuts to the shortest;
    here nothing is lost silently."""
    lengths = [len(_list("zip", entries)) for entries in lists]
    if len(set(lengths)) > 1:
        raise ValueFault(
            f"zip needs lists of one length, not {' and '.join(map(str, lengths[:6]))}"
        )
    return make_list(zip(*lists, strict=True))


def _sum(values: Any) -> Any:
    total: Any = 0
    for value in _list("sum", values):
        total = arithmetic("+", total, value if is_open(value) else _number("sum", value))
    return total


_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "min": (_extreme("min", min), 1, None),
    "max": (_extreme("max", max), 1, None),
    "abs": (lambda value: abs(_number("abs", value)), 1, 1),
    "ceil": (_integer("ceil", _ceil), 1, 1),
    "floor": (_integer("floor", _floor), 1, 1),
    "round": (_integer("round", round), 1, 1),
    "int": (_integer("int", int), 1, 1),
    "divisible": (divisible, 1, 2),
    "range": (_range, 1, 3),
    "zip": (_zip, 1, None),
    "enumerate": (lambda values: make_list(enumerate(_list("enumerate", values))), 1, 1),
    "len": (lambda values: len(_list("len", values)), 1, 1),
    "sum": (_sum, 1, 1),
    "log": (_real_function("log"), 1, 1),
    "sqrt": (_real_function("sqrt"), 1, 1),
}
#: The functions of the language, by name.
BUILTINS = {
    name: Builtin(name, function, (least, most))
    for name, (function, least, most) in _FUNCTIONS.items()
}
