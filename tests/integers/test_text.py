"""Formulas as text: what is printed, that it means the same, and what the parser refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convcalc.integers import (
    Formula,
    FormulaSyntaxError,
    FormulaTooLargeError,
    ceil_div,
    definitions,
    evaluate,
    expand,
    maximum,
    minimum,
    named,
    parse,
    pretty,
    symbol,
    to_latex,
    to_python,
    to_text,
)

from .trees import LOWERS, direct, formula_of, points, trees

H, W, N = symbol("H"), symbol("W"), symbol("N")


@settings(max_examples=300, deadline=None)
@given(trees(), points())
@example(("*", 2, ("//", "H", 16)), {"H": 5, "W": 0, "N": 0})
@example(("neg", ("//", "H", 2)), {"H": 5, "W": 0, "N": 0})
def test_plain_text_parses_back(tree, point):
    formula = formula_of(tree)
    text = to_text(formula)
    back = parse(text, LOWERS, definitions(formula))
    assert evaluate(back, point) == direct(tree, point), text
    if isinstance(formula, Formula):
        assert isinstance(back, int) or back.key == expand(formula).key
        assert str(formula) == text


@settings(max_examples=200, deadline=None)
@given(trees(), points())
def test_python_text_evaluates_to_the_same(tree, point):
    formula = formula_of(tree)
    text = to_python(formula)
    assert not re.search(r"[^\w\s+*/(),-]|(?<!/)/(?!/)", text)
    scope = {"max": max, "min": min, "__builtins__": {}, **point}
    for name, definition in definitions(formula).items():
        scope[name] = eval(to_python(definition), scope)
    assert eval(text, scope) == direct(tree, point)


@settings(max_examples=200, deadline=None)
@given(trees(), points())
def test_latex_evaluates_to_the_same(tree, point):
    formula = formula_of(tree)
    scope = {"max": max, "min": min, "__builtins__": {}, **point}
    for name, definition in definitions(formula).items():
        scope[name] = eval(_python_of_latex(to_latex(definition)), scope)
    assert eval(_python_of_latex(to_latex(formula)), scope) == direct(tree, point)


def _python_of_latex(text: str) -> str:
    """Reads back what LaTeX would show, innermost braces first."""
    text = re.sub(r"([a-z])_\{(\d+)\}", r"\1_\2", text)  # s_{2}, as the tests name sizes
    while "{" in text:
        text, powers = re.subn(r"\{([^{}]*)\}\^\{(\d+)\}", r"(\1)**\2", text)
        text, floors = re.subn(
            r"\\left\\lfloor \\frac\{([^{}]*)\}\{([^{}]*)\} \\right\\rfloor",
            r"((\1)//(\2))",
            text,
        )
        assert powers or floors, text
    for latex, python in {
        r"\left(": "(",
        r"\right)": ")",
        r"\max": "max",
        r"\min": "min",
        r"\cdot": "*",
    }.items():
        text = text.replace(latex, python)
    assert not set(text) & set("\\}^"), text
    return text


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ((H - 1) // 2 + 1, "(H + 1)//2"),
        ((H - 35) // 32, "(H - 35)//32"),
        (H // 2 - 3, "H//2 - 3"),
        (2 * (H // 16), "2*(H//16)"),
        (2 * ((H - 35) // 32), "2*((H - 35)//32)"),
        (-(H // 2), "-(H//2)"),
        (W - H // 2, "W - H//2"),
        (H - W, "H - W"),
        (W - H, "W - H"),
        (-H - W, "-H - W"),
        (3 * H // 2 - H, "H//2"),
        ((3 * H) // 5, "(3*H)//5"),
        ((H // 2) * (W // 2) * N * 64, "64*N*(H//2)*(W//2)"),
        (H**3 - 1, "H**3 - 1"),
        (N * H * W + 10**6, "N*H*W + 1000000"),
        (ceil_div(H, 2), "(H + 1)//2"),
        (H % 7, "H - 7*(H//7)"),
        (maximum(H, W, 0), "max(H, W)"),
        (maximum(W + 1, H * H), "max(H**2, W + 1)"),
        (minimum(H, 3), "min(3, H)"),
        (H // W, "H//W"),
        ((H + 1) // (W + 1), "(H + 1)//(W + 1)"),
        (symbol("h10") + symbol("h2"), "h2 + h10"),
        (H - H, "0"),
        (H - H - 5, "-5"),
    ],
)
def test_golden_texts(formula, text):
    assert to_text(formula) == text


def test_pretty_and_latex():
    cost = 18_939_904 * N * named(H // 4, "h4") * named(W // 4, "w4") - 1000
    assert pretty(cost) == "18,939,904·N·h4·w4 - 1,000"
    assert to_text(cost) == "18939904*N*h4*w4 - 1000"
    assert to_latex(cost) == r"18939904 \cdot N \cdot h_{4} \cdot w_{4} - 1000"
    assert to_latex(2 * ((H + 1) // 2)) == r"2 \cdot \left\lfloor \frac{H + 1}{2} \right\rfloor"
    assert to_latex(symbol("in_width")) == r"\mathrm{in\_width}"
    assert to_text(7) == to_python(7) == to_latex(7) == "7"
    with pytest.raises(TypeError):
        to_text("7")


def test_one_name_with_two_definitions_is_told_apart():
    both = named(H // 2, "h1") + 3 * named(H // 3, "h1")
    assert set(definitions(both)) == {"h1", "h1_2"}
    assert parse(to_text(both), names=definitions(both)).key == expand(both).key
    clash = named(W // 2, "H") * H
    assert sorted(definitions(clash)) == ["H_2"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000 + 2", 1002),
        ("-2**2", -4),
        ("7//2*2", 6),
        ("-7//2", -4),
        ("7%-4", -1),
        ("2 - 3 - 4", -5),
        ("floor(7/2) + ceil(7/2) + ceil(-7/2)", 4),
        ("ceil(3*5/4)", 4),
        ("floor(5)", 5),
        ("max(1, 2*3, -4) - min(3)", 3),
        ("+-+3", -3),
        ("(2)**3", 8),
    ],
)
def test_parse_numbers(text, value):
    assert parse(text) == value


def test_parse_symbols_and_names():
    assert parse("ceil((H + 1)/2)").key == ((H + 2) // 2).key
    assert parse("H*W").key == (H * W).key
    assert parse("s + 1", names={"s": H // 2}).key == (H // 2 + 1).key
    low = parse("H + T", lower={"H": 5})
    assert low.key == (symbol("H", 5) + symbol("T")).key
    assert parse("H", lower=0).key == symbol("H", 0).key
    assert parse("H - H + 3") == 3


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "expected a number or a name, the formula ends"),
        ("H +", 4, "the formula ends"),
        ("H $ 2", 3, "'$' has no meaning"),
        ("H 2", 3, "expected an operator or the end, found '2'"),
        ("(H", 3, "expected ')', the formula ends"),
        ("H/2", 2, "divided by '//'"),
        ("floor(1 + H/2)", 12, "only in floor(a/b)"),
        ("2 * (H/2)", 7, "divided by '//'"),
        ("H//0", 2, "division by zero"),
        ("ceil(H/0)", 7, "division by zero"),
        ("sqrt(H)", 1, "no function 'sqrt'; there are max, min, floor, ceil"),
        ("1.5*H", 1, "'1.5' is not an integer"),
        ("0x10", 1, "not an integer"),
        ("1__0", 1, "not an integer"),
        ("H**W", 1, "an exponent is a number"),
        ("H**-1", 4, "expected a number or a name"),
        ("H**100", 1, "an exponent is a number from 0 to 64"),
        ("max", 1, "cannot name a size"),
        ("lambda", 1, "cannot name a size"),
        ("ceil(1, 2)", 1, "takes one argument"),
        ("H·W", 2, "has no meaning"),
        ("Ä", 1, "has no meaning"),
        ("1²", 1, "not an integer"),
        ("(" * 200 + "H" + ")" * 200, 101, "more than 100 levels"),
        ("-" * 200 + "H", 101, "more than 100 levels"),
        ("9" * 2000, 1, "more than 1000 digits"),
        ("H" * 200_000, 100_000, "more than 100,000 characters"),
        ("(H + W + N + 1)**64", 1, "terms"),
    ],
)
def test_parse_errors_have_a_column(text, column, message):
    with pytest.raises(FormulaSyntaxError, match=re.escape(message)) as caught:
        parse(text)
    assert caught.value.column == column


@settings(max_examples=300, deadline=None)
@given(st.text("HW12 +-*/%(),_max.ceil", max_size=30))
def test_any_text_parses_or_is_a_syntax_error(text):
    column = 1
    try:
        result = parse(text)
    except FormulaSyntaxError as error:
        column = error.column
    else:
        assert isinstance(result, int | Formula)
    assert 1 <= column <= len(text) + 1


def test_long_texts_and_deep_formulas():
    assert parse(" + ".join(["H"] * 20_000)).key == (20_000 * H).key
    deep = H
    for _ in range(3_000):  # coefficient 2: no rule flattens this
        deep = (2 * deep + 1) // 3
    assert str(deep).startswith("<a formula of 3,001 parts in H")
    with pytest.raises(FormulaTooLargeError):
        to_text(deep)
    value = 10
    for _ in range(3_000):
        value = (2 * value + 1) // 3
    assert deep(H=10) == value


def test_shared_parts_do_not_explode():
    x = H
    for _ in range(200):  # as a tree it would have 2**200 leaves
        x = (2 * x + x // 3) // 5
    assert str(x).startswith("<a formula of")
    assert isinstance(x(H=1000), int)
