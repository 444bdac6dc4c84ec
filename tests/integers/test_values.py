"""Formulas are worth what the same arithmetic on ints is worth."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings

from convcalc.integers import (
    Formula,
    MissingSymbolError,
    OutOfRangeError,
    bounds,
    compile_formula,
    evaluate,
    expand,
    formulas,
    substitute,
    symbol,
)

from .trees import LOWERS, check_value, check_values, direct, formula_of, points, trees

#: Set CONVCALC_THOROUGH=1 for the long run.
THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
EXAMPLES = 100_000 if THOROUGH else 3_000

H, W = symbol("H"), symbol("W")


@settings(max_examples=400, deadline=None)
@given(trees(), points())
def test_formulas_agree_with_direct_evaluation(tree, point):
    check_value(tree, point)


def test_many_random_formulas_agree_with_direct_evaluation():
    check_values(seed=1, count=EXAMPLES)


@settings(max_examples=150, deadline=None)
@given(trees(), points(), points())
def test_every_way_to_evaluate_agrees(tree, one, other):
    formula = formula_of(tree)
    expected = [direct(tree, point) for point in (one, other)]
    compiled = compile_formula(formula)
    assert [compiled(one), compiled(other)] == expected
    if isinstance(formula, Formula):
        assert evaluate(expand(formula), one) == expected[0]
    assert substitute(formula, one) == expected[0]
    low, high = bounds(formula)
    assert all((low is None or low <= v) and (high is None or v <= high) for v in expected)


@pytest.mark.filterwarnings("ignore::convcalc.integers.OverflowFallbackWarning")
@settings(max_examples=150, deadline=None)
@given(trees(), points(), points())
def test_arrays_agree_with_ints(tree, one, other):
    np = pytest.importorskip("numpy")
    formula = formula_of(tree)
    arrays = {name: np.array([one[name], other[name]]) for name in LOWERS}
    expected = [direct(tree, point) for point in (one, other)]
    for way in (evaluate, lambda f, values: compile_formula(f)(values)):
        result = way(formula, arrays)
        assert np.broadcast_to(np.asarray(result, dtype=object), 2).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(trees(), trees(), points())
def test_substitution_is_composition(outer, inner, point):
    # Replacements must keep to the lower bound of what they replace.
    replacement = formula_of(("max", inner, LOWERS["H"]))
    result = substitute(formula_of(outer), {"H": replacement})
    inside = {**point, "H": direct(("max", inner, LOWERS["H"]), point)}
    assert evaluate(result, point) == direct(outer, inside)


def _wrong_lone_floor(terms):
    """R3's condition without "coefficient 1": floor((2*floor(x/n))/d) is opened too."""
    for monomial in terms:
        if len(monomial) == 1 and formulas.ATOMS[monomial[0]].kind == formulas.FLOOR:
            return monomial[0]
    return None


def test_a_wrong_r3_is_caught(monkeypatch):
    monkeypatch.setattr(formulas, "_lone_floor", _wrong_lone_floor)
    monkeypatch.setattr(formulas, "_FLOORS", {})
    with pytest.raises(AssertionError, match="//"):
        check_values(seed=2, count=3_000)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("divmod", lambda c, d: (int(c / d), c - int(c / d) * d)),  # R1, rounding as C does
        ("gcd", lambda d, *rest: d if rest and rest[0] * 2 > d else 1),  # R2, any factor
    ],
)
def test_wrong_r1_and_r2_are_caught(monkeypatch, fault, wrong):
    monkeypatch.setattr(formulas, fault, wrong, raising=False)
    monkeypatch.setattr(formulas, "_FLOORS", {})
    with pytest.raises((AssertionError, ArithmeticError, LookupError)):
        check_values(seed=3, count=3_000)


@pytest.mark.parametrize("d", [2, 3, -2, -3])
@pytest.mark.parametrize("n", [2, 3, -2, -3])
@pytest.mark.parametrize("c", [1, 2, -1, 3])
def test_nested_floors_with_signs(n, d, c):
    """Where flattening is wrong: torch's FloorDiv gets (a // 2) // -3 wrong."""
    nested = (c * (H // n) + 1) // d
    assert [evaluate(nested, {"H": h}) for h in range(1, 100)] == [
        (c * (h // n) + 1) // d for h in range(1, 100)
    ]


def test_missing_symbols_and_values_out_of_range():
    with pytest.raises(MissingSymbolError, match=r"no value for W in H\*W; pass W=") as caught:
        evaluate(H * W, {"H": 3})
    assert caught.value.name == "W"
    with pytest.raises(MissingSymbolError):
        compile_formula(H * W)({"W": 1})
    with pytest.raises(OutOfRangeError, match="H is at least 1, but was given 0"):
        (H + 1)(H=0)
    with pytest.raises(OutOfRangeError):
        substitute(H + W, {"H": 0})
    with pytest.raises(TypeError, match="substitute"):
        evaluate(H, {"H": W})
    assert evaluate(7, {}) == 7
    assert (H * W)(H=3, W=5, unused=1) == 15


def test_division_by_zero_raises():
    with pytest.raises(ZeroDivisionError):
        H // 0
    with pytest.raises(ZeroDivisionError):
        H % 0
    with pytest.raises(ZeroDivisionError):
        (H // (W - 3))(H=1, W=3)
    assert (H // (W - 3))(H=9, W=5) == 4
    assert (7 // W)(W=2) == 3
    assert (7 % W)(W=4) == 3
    assert divmod(H, 4)[1](H=11) == 3
