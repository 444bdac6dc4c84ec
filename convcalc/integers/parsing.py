"""Text to formulas: what `to_text` prints, and what people write for the same."""

from __future__ import annotations

from .errors import FormulaSyntaxError, IntegersError
from .formulas import MAX_POWER, Formula, as_formula, symbol
from .helpers import ceil_div, maximum, minimum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Value: TypeAlias = int | Formula | "_Ratio"
    Token: TypeAlias = tuple[str, str, int]

MAX_LENGTH = 100_000  # characters
MAX_DEPTH = 100  # brackets and signs inside each other
MAX_DIGITS = 1000  # of one number
MAX_BITS = 4096  # of what numbers alone give

_BINDING = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2, "/": 2}
_UNARY = 3  # binds tighter than *, looser than **, as in Python
_FUNCTIONS = ("max", "min", "floor", "ceil")


class _Ratio:
    """a / b, which may stand only directly in floor(…) or ceil(…)."""

    __slots__ = ("column", "denominator", "numerator")

    def __init__(self, numerator: int | Formula, denominator: int | Formula, column: int) -> None:
        self.numerator = numerator
        self.denominator = denominator
        self.column = column


def parse(
    text: str,
    lower: int | Mapping[str, int] = 1,
    names: Mapping[str, int | Formula] | None = None,
) -> int | Formula:
    """The formula that `text` writes; an int where it has no symbols.

    Ints, names, `+ - * // %`, `**` with a small int, brackets, `max(…)`, `min(…)`, `floor(a/b)` and
    `ceil(a/b)`, with Python's precedence. A name in `names` stands for what is given there; any
    other is a symbol with the lower bound `lower` (one for all, or by name, 1 for the rest).
    Raises FormulaSyntaxError with the column.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaSyntaxError(f"a formula of more than {MAX_LENGTH:,} characters", MAX_LENGTH)
    return _Parser(text, lower, names or {}).whole()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    index = 0
    while index < len(text):
        start = index
        character = text[index]
        if character in " \t\r\n":
            index += 1
            continue
        if character.isascii() and character.isdecimal():
            while index < len(text) and (text[index].isalnum() or text[index] in "_."):
                index += 1
            tokens.append(("number", text[start:index], start + 1))
        elif character.isascii() and (character.isalpha() or character == "_"):
            while (
                index < len(text)
                and text[index].isascii()
                and (text[index].isalnum() or text[index] == "_")
            ):
                index += 1
            tokens.append(("name", text[start:index], start + 1))
        elif text[index : index + 2] in ("**", "//"):
            index += 2
            tokens.append(("sign", text[start:index], start + 1))
        elif character in "+-*/%(),":
            index += 1
            tokens.append(("sign", character, start + 1))
        else:
            raise FormulaSyntaxError(f"{character!r} has no meaning in a formula", start + 1)
    tokens.append(("end", "the end", len(text) + 1))
    return tokens


class _Parser:
    def __init__(
        self, text: str, lower: int | Mapping[str, int], names: Mapping[str, int | Formula]
    ) -> None:
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0
        self.lower = lower
        self.names = names

    def whole(self) -> int | Formula:
        value = self.plain(self.expression(0))
        if self.kind != "end":
            raise self.error(f"expected an operator or the end, found {self.sign!r}")
        if isinstance(value, Formula):
            constant = value.constant
            return value if constant is None else constant
        return value

    @property
    def kind(self) -> str:
        return self.tokens[self.index][0]

    @property
    def sign(self) -> str:
        kind, text, _ = self.tokens[self.index]
        return text if kind != "number" else text[:40]

    @property
    def column(self) -> int:
        return self.tokens[self.index][2]

    def error(self, message: str, column: int | None = None) -> FormulaSyntaxError:
        return FormulaSyntaxError(message, self.column if column is None else column)

    def expect(self, sign: str) -> None:
        if self.kind != "sign" or self.sign != sign:
            found = "the formula ends" if self.kind == "end" else f"found {self.sign!r}"
            raise self.error(f"expected {sign!r}, {found}")
        self.index += 1

    def plain(self, value: Value) -> int | Formula:
        if isinstance(value, _Ratio):
            raise self.error(
                "'/' stands only in floor(a/b) and ceil(a/b); sizes are divided by '//'",
                value.column,
            )
        return value

    def expression(self, binding: int) -> Value:
        """Everything from here whose operators bind tighter than `binding`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of brackets and signs")
        value = self.operand()
        while self.kind == "sign" and _BINDING.get(self.sign, 0) > binding:
            operator, column = self.sign, self.column
            self.index += 1
            left = self.plain(value)
            right = self.plain(self.expression(_BINDING[operator]))
            value = self.combined(operator, left, right, column)
        self.depth -= 1
        return value

    def combined(
        self, operator: str, left: int | Formula, right: int | Formula, column: int
    ) -> Value:
        if operator == "/":
            return _Ratio(left, right, column)
        try:
            if operator == "+":
                result = left + right
            elif operator == "-":
                result = left - right
            elif operator == "*":
                result = left * right
            else:
                result = left // right if operator == "//" else left % right
            return self.bounded(result, column)
        except ZeroDivisionError:
            raise self.error("division by zero", column) from None
        except IntegersError as error:
            raise self.error(str(error), column) from None

    def bounded(self, value: int | Formula, column: int) -> int | Formula:
        constant = value.constant if isinstance(value, Formula) else value
        if constant is not None and constant.bit_length() > MAX_BITS:
            raise self.error(f"a number of more than {MAX_BITS} bits", column)
        return value

    def operand(self) -> Value:
        if self.kind == "sign" and self.sign in "+-":
            negative = self.sign == "-"
            self.index += 1
            signed = self.plain(self.expression(_UNARY))
            return -signed if negative else signed
        column = self.column
        value = self.primary()
        if self.kind == "sign" and self.sign == "**":
            self.index += 1
            exponent = self.primary()
            if not isinstance(exponent, int) or exponent > MAX_POWER:
                raise self.error(f"an exponent is a number from 0 to {MAX_POWER}", column)
            try:
                power = as_formula(self.plain(value)) ** exponent
                return self.bounded(power, column)
            except IntegersError as error:
                raise self.error(str(error), column) from None
        return value

    def primary(self) -> Value:
        kind, sign, column = self.kind, self.sign, self.column
        if kind == "number":
            self.index += 1
            return self.number(self.tokens[self.index - 1][1], column)
        if kind == "name":
            self.index += 1
            if self.kind == "sign" and self.sign == "(":
                return self.call(sign, column)
            return self.name(sign, column)
        if kind == "sign" and sign == "(":
            self.index += 1
            value = self.expression(0)
            self.expect(")")
            return value
        found = "the formula ends" if kind == "end" else f"found {sign!r}"
        raise self.error(f"expected a number or a name, {found}")

    def number(self, text: str, column: int) -> int:
        digits = text.replace("_", "")
        if not digits.isdecimal() or "__" in text or text.endswith("_"):
            raise self.error(f"{text[:40]!r} is not an integer", column)
        if len(digits) > MAX_DIGITS:
            raise self.error(f"a number of more than {MAX_DIGITS} digits", column)
        return int(digits)

    def name(self, name: str, column: int) -> int | Formula:
        if name in self.names:
            return self.names[name]
        lower = self.lower if isinstance(self.lower, int) else self.lower.get(name, 1)
        try:
            return symbol(name, lower)
        except ValueError as error:
            raise self.error(str(error), column) from None

    def call(self, function: str, column: int) -> int | Formula:
        if function not in _FUNCTIONS:
            raise self.error(f"no function {function!r}; there are max, min, floor, ceil", column)
        self.expect("(")
        arguments = [self.expression(0)]
        while self.kind == "sign" and self.sign == ",":
            self.index += 1
            arguments.append(self.expression(0))
        self.expect(")")
        if function in ("max", "min"):
            sizes = [self.plain(argument) for argument in arguments]
            chosen = maximum(*sizes) if function == "max" else minimum(*sizes)
            if not isinstance(chosen, (int, Formula)):
                raise TypeError(f"{function} of formulas is {type(chosen).__name__}")
            return chosen
        if len(arguments) != 1:
            raise self.error(f"{function} takes one argument, a quotient a/b", column)
        (argument,) = arguments
        if not isinstance(argument, _Ratio):
            return self.plain(argument)  # an integer already
        numerator, denominator = argument.numerator, argument.denominator
        try:
            if function == "floor":
                return numerator // denominator
            quotient = ceil_div(numerator, denominator)
        except ZeroDivisionError:
            raise self.error("division by zero", argument.column) from None
        if not isinstance(quotient, (int, Formula)):
            raise TypeError(f"{function} of formulas is {type(quotient).__name__}")
        return quotient
