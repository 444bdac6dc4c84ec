"""Proved, refuted, unknown: against brute force, and against isl."""

from __future__ import annotations

import itertools
import math
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcalc.integers import (
    Answer,
    UndecidedError,
    array,
    at_least,
    bounds,
    equal,
    equal_classes,
    evaluate,
    maximum,
    minimum,
    named,
    periods,
    quasipolynomials,
    residues,
    symbol,
    symbols,
)

from .trees import LOWERS, direct, formula_of, random_tree, trees

THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
PAIRS = 20_000 if THOROUGH else 400

H, W, N = symbol("H"), symbol("W"), symbol("N")


def rewritten(rng, tree):
    """A tree of the same value in another form; with a small chance not quite the same."""
    if not isinstance(tree, tuple):
        choice = rng.random()
        if choice < 0.3:  # Hermite: floor(x/2) + floor((x + 1)/2) = x
            return ("+", ("//", tree, 2), ("//", ("+", tree, 1), 2))
        if choice < 0.5:
            return ("+", ("*", 3, ("//", tree, 3)), ("%", tree, 3))
        if choice < 0.55:
            return ("+", ("*", 2, ("//", tree, 2)), ("//", ("%", tree, 3), 2))  # not the same
        return tree
    operator, *operands = tree
    new = [
        rewritten(rng, operand)
        if operand != operands[-1] or operator not in ("//", "%", "ceil")
        else operand
        for operand in operands
    ]
    if operator == "ceil" and operands[1] > 0:
        return ("//", ("+", new[0], operands[1] - 1), operands[1])
    if operator == "max":
        return ("-", ("+", new[0], new[1]), ("min", new[0], new[1]))
    if operator == "-":
        return ("+", new[0], ("*", -1, new[1]))
    return (operator, *new)


def grid(names):
    """All points of one symbol up to 200, of several up to 30 or 12."""
    if len(names) == 1:
        (name,) = names
        return [{**LOWERS, name: value} for value in range(LOWERS[name], 201)]
    reach = 30 if len(names) == 2 else 12
    result = [dict(LOWERS)]
    for name in names:
        result = [
            {**point, name: value}
            for point in result
            for value in range(LOWERS[name], LOWERS[name] + reach)
        ]
    return result


def check_pair(left, right, names, counts):
    """Whatever `equal` and `at_least` say of two trees, brute force does not contradict it."""
    one, two = formula_of(left), formula_of(right)
    points = grid(names)
    gaps = [direct(left, point) - direct(right, point) for point in points]
    decision = equal(one, two)
    counts[decision.answer] += 1
    if decision.proved:
        assert not any(gaps), (left, right)
    elif decision.refuted:
        assert decision.counterexample is not None
        at = {**LOWERS, **decision.counterexample}
        assert all(at[name] >= LOWERS[name] for name in LOWERS)
        assert direct(left, at) != direct(right, at)
    order = at_least(one - two, 0)
    counts[order.answer] += 1
    if order.proved:
        assert min(gaps) >= 0, (left, right)
    elif order.refuted:
        at = {**LOWERS, **order.counterexample}
        assert direct(left, at) < direct(right, at)
    low, high = bounds(one - two)
    assert low is None or low <= min(gaps)
    assert high is None or high >= max(gaps)


@pytest.mark.parametrize("names", [("H",), ("H", "W"), ("H", "W", "N")])
@pytest.mark.parametrize("extremes", [False, True])
def test_decisions_against_brute_force(names, extremes):
    rng = random.Random(f"{names}{extremes}")
    counts = dict.fromkeys(Answer, 0)
    for _ in range(PAIRS // 4 // len(names)):
        left = random_tree(rng, rng.randint(1, 4), names, extremes)
        check_pair(left, rewritten(rng, left), names, counts)
        check_pair(left, random_tree(rng, 2, names, extremes), names, counts)
    assert counts[Answer.PROVED] > 10
    assert counts[Answer.REFUTED] > 10
    if len(names) == 1 and not extremes:
        # Everything of one symbol with constant divisors is decided, up to the size of the grid.
        assert counts[Answer.UNKNOWN] < sum(counts.values()) / 50


def test_a_wrong_period_is_caught(monkeypatch):
    """With a period that ignores divisors, false claims would be "proved"."""
    original = quasipolynomials._of_floor

    def wrong(atom, known):
        shape = original(atom, known)
        axes = {name: axis._replace(period=1) for name, axis in shape.axes.items()}
        return shape._replace(axes=axes)

    monkeypatch.setattr(quasipolynomials, "_of_floor", wrong)
    monkeypatch.setattr("convcalc.integers.decide._samples", lambda lowers: [])
    with pytest.raises(AssertionError):
        check_pair(("//", "H", 5), 0, ("H",), dict.fromkeys(Answer, 0))


KNOWN = [
    (H // 2 + (H + 1) // 2, H, Answer.PROVED),  # Hermite's identity; sympy gets it wrong
    ((H - 1) // 2 + 1, (H + 1) // 2, Answer.PROVED),  # JAX says False
    (sum((H + i) // 7 for i in range(7)), H, Answer.PROVED),
    (H // 2, H // 3, Answer.REFUTED),
    (8 * (H // 8), H, Answer.REFUTED),
    ((H * H + H) // 2 - H * (H + 1) // 2, 0, Answer.PROVED),
    ((H // 2) * 2 + H % 2, H, Answer.PROVED),
    ((H // 6) // 5, (H // 5) // 6, Answer.PROVED),
    ((H * W) // 2, (H // 2) * W, Answer.REFUTED),
    (maximum(H, 5) + minimum(H, 5), H + 5, Answer.PROVED),
    (maximum(H // 2, H // 3), H // 2, Answer.PROVED),
    (maximum(6 - (H - 1) % 4, 0), 6 - (H - 1) % 4, Answer.PROVED),
    (maximum(H, W) + minimum(H, W), H + W, Answer.UNKNOWN),
    (maximum(H, W), H, Answer.REFUTED),
    ((H // W) * W, H, Answer.REFUTED),
    (named(H // 2, "h1") * 2, H - H % 2, Answer.PROVED),
    ((H // 1009) * 2, (2 * H - 2 * (H % 1009)) // 1009, Answer.PROVED),
]


@pytest.mark.parametrize(("left", "right", "answer"), KNOWN)
def test_known_equalities(left, right, answer):
    decision = equal(left, right)
    assert decision.answer is answer, decision
    if answer is Answer.UNKNOWN:
        with pytest.raises(UndecidedError, match="is unknown"):
            assert left == right
    else:
        assert (left == right) is decision.proved
        if decision.proved:
            assert hash(left) == hash(right)


def test_a_grid_beyond_the_limit_is_unknown():
    big = H // 1009 + H // 1013
    decision = equal(big // 2 + (big + 1) // 2, big)  # true, but not shown
    assert decision.unknown
    assert "limit" in decision.reason


def test_at_least():
    assert at_least(5, 5).proved
    assert at_least(4, 5).refuted
    assert at_least(H - 1, 0).proved
    assert at_least(H - 3, 0).refuted
    assert at_least(symbol("H", 3) - 3, 0).proved
    assert at_least(H * H - 20 * H + 100, 0).proved
    touching = at_least(H * H - 20 * H + 99, 0)
    assert touching.counterexample == {"H": 10}
    late = at_least(10**9 - H // 7, 0)  # no sample point is this far out
    assert late.refuted
    assert late.counterexample["H"] // 7 > 10**9
    assert at_least(H * W - H - W + 1, 0).proved  # (H - 1) * (W - 1)
    assert at_least(H * W - H - W, 0).refuted
    assert at_least(10**15 + H - W // 3, 0).refuted
    assert at_least((H - W) * (H - W), 0).unknown  # true, but not by these means
    assert at_least(maximum(10 - H, H // 2), 3).proved
    assert at_least(maximum(10 - H, H // 2), 4).refuted
    assert at_least(minimum(H, 7), 1).proved
    assert at_least(H // (W + 1), 0).proved
    assert at_least(array([3, 4]), 3).proved
    assert at_least(array([3, 4]), 4).refuted
    assert equal(array([3, 4]), array([3, 4])).proved
    assert equal(array([3, 4]), 3).refuted


def test_decisions_have_no_truth():
    with pytest.raises(TypeError, match="three answers"):
        assert equal(H, W)
    assert repr(equal(H, W + 1)).startswith("<refuted at H = ")
    assert equal(H, H).proved
    assert not equal(H, H).refuted


@settings(max_examples=100, deadline=None)
@given(trees(names=("H",)), trees(names=("H",), leaves=3))
def test_equal_classes_against_brute_force(left, right):
    one, two = formula_of(left), formula_of(right)
    try:
        modulus, classes, extra = equal_classes(one, two)
    except UndecidedError:
        return
    agree = {h for h in range(1, 401) if direct(left, {"H": h}) == direct(right, {"H": h})}
    assert agree == {h for h in range(1, 401) if h % modulus in classes} | {
        h for h in extra if h <= 400
    }
    assert not any(h % modulus in classes for h in extra)
    for h in extra:
        assert direct(left, {"H": h}) == direct(right, {"H": h})


def test_equal_classes():
    assert equal_classes(16 * (H // 16), H) == (16, [0], [])
    assert equal_classes(2 * (H // 2) + 2 * (H // 3), 2 * H - 2) == (1, [], [1, 2, 3, 4, 6])
    assert equal_classes((H + 1) // 2, (H - 1) // 2 + 1) == (1, [0], [])
    assert equal_classes(H * H * H, 6 * H * H - 11 * H + 6) == (1, [], [1, 2, 3])
    assert equal_classes(H, H + 1) == (1, [], [])
    assert equal_classes(maximum(H, 10), 12) == (1, [], [12])
    with pytest.raises(UndecidedError, match="from H = 10"):
        equal_classes(maximum(H, 10), H)
    with pytest.raises(UndecidedError, match="several symbols"):
        equal_classes(H, W)
    with pytest.raises(UndecidedError, match="divides by a formula"):
        equal_classes(7 // H, 0)


def test_periods():
    assert periods(H) == {"H": (1, 1)}
    assert periods((H + 31) // 32) == {"H": (32, 1)}
    assert periods((H // 2) * (W // 3) * N) == {"H": (2, 1), "W": (3, 1), "N": (1, 1)}
    assert periods((2 * H + W) // 4) == {"H": (2, 1), "W": (4, 1)}
    assert periods((2 * (H // 3) + 1) // 5) == {"H": (15, 1)}
    assert periods(maximum(6 - (H - 1) % 8, 0)) == {"H": (8, 1)}
    assert periods(12) == {}
    with pytest.raises(UndecidedError, match="only from H = 9 on"):
        periods(maximum(H, 9))
    with pytest.raises(UndecidedError):
        periods(maximum(H, W))
    with pytest.raises(UndecidedError):
        periods(H // W)


@settings(max_examples=100, deadline=None)
@given(trees(names=("H",)))
def test_periods_are_periods(tree):
    try:
        found = periods(formula_of(tree))
    except UndecidedError:
        return
    if not found or found["H"][0] > 10**5:
        return
    period, degree = found["H"]
    for start in (1, 2, 7, period):
        values = [direct(tree, {"H": start + period * j}) for j in range(degree + 3)]
        for _ in range(degree + 1):
            values = [after - before for before, after in itertools.pairwise(values)]
        assert not any(values)


@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.integers(1, 6))
def test_residues_are_the_smallest(modulus, chosen, repeats):
    chosen = {r % modulus for r in chosen}
    found, classes = residues(lambda x: x % modulus in chosen, modulus * repeats)
    everything = range(1, 200)
    assert {x for x in everything if x % found in classes} == {
        x for x in everything if x % modulus in chosen
    }
    for smaller in range(1, found):  # no smaller modulus tells them apart
        if modulus % smaller == 0:
            by_class = {}
            assert any(
                by_class.setdefault(x % smaller, x % modulus in chosen) != (x % modulus in chosen)
                for x in range(modulus)
            )
    assert modulus % found == 0


def test_residues_asks_for_positive_sizes():
    assert residues(lambda h: evaluate(H % 4, {"H": h}) == 3, 32) == (4, [3])
    with pytest.raises(ValueError, match="at least 1"):
        residues(lambda h: True, 0)


def _isl(tree):
    """The tree in isl's language, or None where it is not quasi-affine."""
    if not isinstance(tree, tuple):
        return f"({tree})"
    operator, *operands = tree
    if operator == "*":
        numbers = [operand for operand in operands if isinstance(operand, int)]
        others = [operand for operand in operands if not isinstance(operand, int)]
        if len(others) > 1:
            return None
        factor = math.prod(numbers)
        inner = _isl(others[0]) if others else "(1)"
        return None if inner is None else f"({factor}*{inner})"
    inner = [_isl(operand) for operand in operands]
    if None in inner or operator == "square":
        return None
    match operator:
        case "+" | "-":
            return f"({inner[0]} {operator} {inner[1]})"
        case "neg":
            return f"(-1*{inner[0]})"
        case "named":
            return inner[0]
        case "max" | "min":
            return f"{operator}({inner[0]}, {inner[1]})"
    by = operands[1]
    sign, by = ("-1*", -by) if by < 0 else ("", by)
    if operator == "//":
        return f"floor(({sign}{inner[0]})/{by})"
    if operator == "ceil":
        return f"ceil(({sign}{inner[0]})/{by})"
    return None if sign else f"({inner[0]} - {by}*floor({inner[0]}/{by}))"


def test_decisions_agree_with_isl():
    isl = pytest.importorskip("islpy")
    rng = random.Random(7)
    domain = isl.Set("{ [H] : H >= 1 }")
    compared = 0
    for _ in range(PAIRS):
        left = random_tree(rng, rng.randint(1, 4), ("H",))
        right = rewritten(rng, left) if rng.random() < 0.7 else random_tree(rng, 2, ("H",))
        texts = _isl(left), _isl(right)
        if None in texts:
            continue
        one, two = (isl.PwAff(f"{{ [H] -> [{text}] }}") for text in texts)
        same = domain.is_subset(one.eq_set(two))
        above = domain.is_subset(one.ge_set(two))
        decision, order = (
            equal(formula_of(left), formula_of(right)),
            at_least(formula_of(left) - formula_of(right), 0),
        )
        assert decision.unknown or decision.proved == same, (left, right)
        assert order.unknown or order.proved == above, (left, right)
        compared += not decision.unknown and not order.unknown
    assert compared > PAIRS / 3


def test_symbols():
    assert symbols(H * (W // 2) + symbol("H", 5)) == {"H": 5, "W": 1}
    assert symbols(named(H // 2, "h1")) == {"H": 1}
    assert symbols(3) == {}
