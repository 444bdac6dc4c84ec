"""Expressions: the grammar against Python's own, arithmetic against Fraction."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcalc.language.evaluation import Evaluator
from convcalc.language.expressions import (
    Attribute,
    Call,
    Chain,
    Expr,
    Index,
    ListExpr,
    Literal,
    Name,
    Operation,
    Ternary,
    Unary,
    parse,
    parse_signature,
    parse_step,
)
from convcalc.language.faults import Fault
from convcalc.language.values import BUILTINS


def value(text: str, **names: Any) -> Any:
    evaluator = Evaluator({**BUILTINS, **names})
    return evaluator.evaluate(parse(text), evaluator.globals)


def fault(text: str, **names: Any) -> Fault:
    with pytest.raises(Fault) as raised:
        value(text, **names)
    return raised.value


# --------------------------------------------------------------------------------- grammar

_numbers = st.integers(0, 12).map(str)
_ORDER = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def _join(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


def _sums(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _join(inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner),
        _join(st.just("-"), inner),
        _join(_numbers, st.just("**"), st.integers(0, 3).map(str)),
        inner.map("({})".format),
        st.lists(inner, min_size=1, max_size=3).map(lambda e: f"min({', '.join(['7', *e])})"),
        st.tuples(inner, inner, _ORDER, inner, inner).map(
            "({0[0]} if {0[1]} {0[2]} {0[3]} else {0[4]})".format
        ),
    )


_arithmetic = st.recursive(_numbers, _sums, max_leaves=10)


def _logic(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _join(inner, st.sampled_from(["and", "or"]), inner),
        _join(st.just("not"), inner),
        inner.map("({})".format),
    )


_comparisons = st.one_of(
    _join(_arithmetic, _ORDER, _arithmetic),
    _join(_arithmetic, _ORDER, _arithmetic, _ORDER, _arithmetic),
)
_conditions = st.recursive(_comparisons, _logic, max_leaves=6)


@given(st.one_of(_arithmetic, _conditions))
def test_operators_bind_and_compute_as_in_python(text: str) -> None:
    expected: object
    try:
        expected = eval(text, {"__builtins__": {}, "min": min})
    except ZeroDivisionError:
        assert "division by zero" in fault(text).message
        return
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


_fractions = st.fractions(min_value=-20, max_value=20, max_denominator=8)


@given(_fractions, _fractions, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "=="]))
def test_rationals_are_exact(a: Fraction, b: Fraction, operator: str) -> None:
    text = f"({a.numerator}/{a.denominator}) {operator} ({b.numerator}/{b.denominator})"
    if b == 0 and operator in "//%":
        assert "division by zero" in fault(text).message
        return
    computed = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "//": lambda: a // b,
        "%": lambda: a % b,
        "<": lambda: a < b,
        "==": lambda: a == b,
    }[operator]()
    found = value(text)
    assert found == computed
    assert isinstance(found, int) == (isinstance(computed, bool) or computed.denominator == 1)


@given(st.integers(0, 10**12), st.integers(0, 12), st.integers(-6, 6))
def test_decimals_are_exact(digits: int, places: int, exponent: int) -> None:
    whole, rest = divmod(digits, 10**places)
    text = f"{whole}.{rest:0{places}d}e{exponent}" if places else f"{whole}e{exponent}"
    assert value(text) == Fraction(text)


@given(st.decimals(-1000, 1000, allow_nan=False, places=3))
def test_rounding_is_python_s(number: Any) -> None:
    exact = Fraction(number)
    text = f"({exact.numerator} / {exact.denominator})"
    assert value(f"round({text})") == round(exact)
    assert value(f"int({text})") == int(exact)
    assert value(f"ceil({text})") == math.ceil(exact)
    assert value(f"floor({text})") == math.floor(exact)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int(32 * 0.75)", 24),
        ("1.4 * 10", 14),
        ("0.1 + 0.2 == 0.3", True),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1 * 2", 1),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("10 / 4 * 2", 5),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("3 in [1, 2, 3]", True),
        ("4 not in (1, 2, 3)", True),
        ("not 1 == 2", True),
        ("0 or 3", 3),
        ("2 and 0", 0),
        ("1 or 1 / 0", 1),
        ("true and none", None),
        ("1 == true", False),
        ("1 if 0 else 2 if 1 else 3", 2),
        ("[1, 2] + (3,)", (1, 2, 3)),
        ("[0] * 3", (0, 0, 0)),
        ("[1, [2, 3]][1][-1]", 3),
        ("()", ()),
        ("range(3)", (0, 1, 2)),
        ("range(3, -1, -1)", (3, 2, 1, 0)),
        ("enumerate([5, 6])", ((0, 5), (1, 6))),
        ("zip([1, 2], [3, 4])", ((1, 3), (2, 4))),
        ("sum([1, 0.5, 0.5])", 2),
        ("min([3, 2])", 2),
        ("max(1, 2.5)", Fraction(5, 2)),
        ("abs(-3)", 3),
        ("len([])", 0),
        ("divisible(33)", 32),
        ("divisible(30, 8)", 32),
        ("divisible(1)", 8),
        ("divisible(10, 9)", 9),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("int(-2.5)", -2),
        ("sqrt(9) == 3", True),
        ("8 ** (1 / 3) < 2.0001", True),
        ("'same' == 'same'", True),
        ("same", "same"),
        ("1_000_000", 1_000_000),
        ("1e5", 100_000),
        ("1e-5 * 10 ** 5", 1),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_divisible_is_torchvision_s() -> None:
    """torchvision.models._utils._make_divisible, on floats."""

    def make_divisible(v: float, divisor: int) -> int:
        new_v = max(divisor, int(v + divisor / 2) // divisor * divisor)
        if new_v < 0.9 * v:
            new_v += divisor
        return new_v

    for quarter in range(1, 4000):
        for divisor in (4, 8, 16):
            assert value(f"divisible({quarter} / 4, {divisor})") == make_divisible(
                quarter / 4, divisor
            )


# --------------------------------------------------------------------------------- trees


def spans(expr: Expr) -> list[Expr]:
    found = [expr]
    if isinstance(expr, Chain):
        children = expr.parts
    elif isinstance(expr, Call):
        children = [expr.callee, *expr.positional, *(k.value for k in expr.named)]
    elif isinstance(expr, Operation):
        children = [expr.first, *(operand for _, _, operand in expr.rest)]
    elif isinstance(expr, Ternary):
        children = [expr.then, expr.condition, expr.otherwise]
    elif isinstance(expr, (Index,)):
        children = [expr.base, expr.index]
    elif isinstance(expr, Attribute):
        children = [expr.base]
    elif isinstance(expr, Unary):
        children = [expr.operand]
    elif isinstance(expr, ListExpr):
        children = expr.items
    else:
        children = []
    for child in children:
        found += spans(child)
    return found


@given(st.one_of(_arithmetic, _conditions), st.integers(0, 50))
def test_every_part_knows_its_stretch(text: str, base: int) -> None:
    """What stands in a part's stretch parses to the part itself."""
    for part in spans(parse(text, base)):
        stretch = text[part.start - base : part.end - base]
        again = parse(stretch, part.start)
        assert (again.start, again.end, type(again)) == (part.start, part.end, type(part))


def test_step() -> None:
    binding, expr = parse_step("skip[i + 1] = Conv2d(64, 3) -> ReLU")
    assert binding is not None
    assert binding.name == "skip"
    assert isinstance(binding.index, Operation)
    assert isinstance(expr, Chain)
    binding, expr = parse_step("x == 3")
    assert binding is None
    binding, expr = parse_step("skip[0]")
    assert binding is None
    assert isinstance(expr, Index)


def test_signature() -> None:
    signature = parse_signature("Conv(c, k=1, act=LeakyReLU(0.1))")
    assert signature.parameters is not None
    assert [p.name for p in signature.parameters] == ["c", "k", "act"]
    assert parse_signature("Pool").parameters is None
    for wrong in ("3", "Conv(1)", "Conv(a=1, b)", "Conv(a", "Conv(a) -> b", ""):
        with pytest.raises(Fault):
            parse_signature(wrong)


def test_call() -> None:
    call = parse("Conv2d(64, kernel_size=3, padding=(0, 1))")
    assert isinstance(call, Call)
    assert isinstance(call.callee, Name)
    assert [type(p) for p in call.positional] == [Literal]
    assert [k.name for k in call.named] == ["kernel_size", "padding"]


# --------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "[" * 100_000,
        "-" * 100_000 + "1",
        "not " * 100_000 + "1",
        "2" + "**2" * 100_000,
        "f(" * 100_000,
        "x" + "[0]" * 100_000,
        "x" + ".a" * 100_000,
        "1 if 1 else " * 20_000 + "1",
        "9" * 100_000,
        "1e" + "9" * 100_000,
        "1." + "9" * 100_000,
        "1e-100000",
        "x" * 300_000,
        "2 ** 2000",
        "10 ** 1000 * 10 ** 1000",
        "2 ** 1000 * 2 ** 1000 * 2 ** 1000",
        "0.5 ** 1000 / 2 ** 1000 / 2 ** 1000",
        "2.5 ** 1000",
        "range(10 ** 30)",
        "range(10 ** 20, 10 ** 20 + 3)",
        "[0] * 10 ** 9",
        "range(100000) + [1]",
        "zip(range(100000), range(100000))",
        "10 ** 300 * sqrt(2)",
        "sqrt(2) ** 10000",
        "log(10 ** 1000) ** 1000",
        "1 / 0",
        "0.0 ** -1",
        "(-8) ** 0.5",
        "sqrt(-1)",
        "log(0)",
        "[[[[[[[[[1]]]]]]]]]",
    ],
)
def test_bounded(text: str) -> None:
    try:
        found = value(text)
    except Fault:
        return
    assert isinstance(found, (int, float, tuple))
    assert len(str(found)) < 1_000_000


def test_long_sums_are_flat() -> None:
    assert value("1" + " + 1" * 20_000) == 20_001
    assert value(" and ".join(["1"] * 20_000)) == 1


@given(st.text(alphabet="ab12 .,()[]+-*/%=<>!'\"_eif\n->", max_size=60))
def test_any_text_parses_or_faults(text: str) -> None:
    for entrance in (parse, parse_step, parse_signature):
        place = None
        try:
            entrance(text, 7)
        except Fault as error:
            place = (error.start, error.end)
        assert place is None or 7 <= place[0] < place[1] <= 7 + len(text) + 1
