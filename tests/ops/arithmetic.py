"""Reads the right side of a printed rule: `⌊(224 − 11 + 2·0)/4⌋ + 1` → 54."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Mapping
from fractions import Fraction

_SIGNS = str.maketrans({"·": "*", "−": "-", "⌊": "⟨", "⌋": ")", "⌈": "⟪", "⌉": ")"})
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_CALLS = {"floor": math.floor, "ceil": math.ceil, "min": min, "max": max}


def value(text: str, names: Mapping[str, int] | None = None) -> Fraction:
    """What the text comes to, exactly. names: the open sizes in it."""
    plain = text.translate(_SIGNS).replace("⟨", "floor(").replace("⟪", "ceil(")
    return _value(ast.parse(plain, mode="eval").body, names or {})


def _value(node: ast.expr, names: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int() as number):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(names[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            result = _BINARY[type(op)](_value(left, names), _value(right, names))
            return Fraction(result)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return Fraction(_CALLS[name](*(_value(a, names) for a in arguments)))
    raise AssertionError(f"no arithmetic: {ast.unparse(node)}")
