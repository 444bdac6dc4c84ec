"""All solutions of a condition at once, against trying sizes one by one."""

from __future__ import annotations

import os
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcalc.integers import UndecidedError, maximum, minimum, named, solutions, symbol
from convcalc.integers.solutions import (
    Solutions,
    all_sizes,
    factors,
    no_sizes,
    where_at_least,
    where_divisible,
    where_equal,
)

from .trees import direct, formula_of, random_tree, trees, used

THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
TREES = 10_000 if THOROUGH else 120
REACH = 400

H, W = symbol("H"), symbol("W")


def members(found: Solutions, reach: int = REACH) -> set[int]:
    return {x for x in range(1, reach + 1) if x in found}


def within(x: int | None) -> int | None:
    """What brute force can see of an answer."""
    return x if x is not None and x <= REACH else None


def check(found: Solutions, expected: set[int]) -> None:
    """Everything that a set tells of itself, against the members up to REACH."""
    assert members(found) == expected
    assert within(found.smallest()) == min(expected, default=None)
    modulus, residues = found.classes
    for x in range(max(1, found.settled), REACH + 1):
        assert (x % modulus in residues) == (x in expected)
    if found.empty:
        assert not expected
    if found.everything:
        assert len(expected) == REACH
    assert found.finite == (not residues)
    for x in (1, 2, 7, 60, 399):
        assert within(found.smallest(x)) == min((m for m in expected if m >= x), default=None)
        outside = set(range(x, REACH + 1)) - expected
        assert within(found.next_outside(x)) == min(outside, default=None)
        assert found.largest(x) == max((m for m in expected if m <= x), default=None)
    runs = found.up_to(REACH)
    assert {x for first, last in runs for x in range(first, last + 1)} == expected
    assert all(before[1] + 1 < after[0] for before, after in pairwise(runs))


def check_tree(tree, bound: int, divisor: int) -> int:
    """How many conditions on a tree are solved; each as brute force has it."""
    formula = formula_of(tree)
    values = {x: direct(tree, {"H": x}) for x in range(1, REACH + 1)}
    solved = 0
    for solve, holds in (
        (lambda: where_at_least(formula, bound), lambda v: v >= bound),
        (lambda: where_equal(formula, bound), lambda v: v == bound),
        (lambda: where_divisible(formula, divisor), lambda v: v % divisor == 0),
    ):
        try:
            found = solve()
        except UndecidedError:
            continue
        solved += 1
        check(found, {x for x, value in values.items() if holds(value)})
        for x in (found.settled - 1, found.settled, found.settled + found.modulus, 10**6 + 7):
            if x >= 1:
                assert (x in found) == holds(direct(tree, {"H": x}))
    return solved


@pytest.mark.parametrize("extremes", [False, True])
def test_solutions_against_brute_force(extremes):
    rng = random.Random(f"solutions {extremes}")
    solved = 0
    for _ in range(TREES // 2):
        tree = random_tree(rng, rng.randint(1, 4), ("H",), extremes)
        solved += check_tree(tree, rng.randint(-5, 60), rng.choice((1, 2, 3, 4, 6, 16)))
    # Of one symbol nearly all is decided; maxima of products and long periods are not.
    assert solved > 3 * (TREES // 2) * (0.7 if extremes else 0.95)


@settings(max_examples=60, deadline=None)
@given(trees(names=("H",), leaves=5), trees(names=("H",), leaves=5), st.integers(-3, 40))
def test_intersections(left, right, bound):
    try:
        one, two = where_at_least(formula_of(left), bound), where_divisible(formula_of(right), 3)
        both, either = one & two, one | two
    except UndecidedError:
        return
    assert members(both) == members(one) & members(two)
    assert members(either) == members(one) | members(two)
    check(either, members(either))
    assert either == two | one
    assert both == two & one
    assert both | one == one
    assert both & one == both
    if one.settled < REACH - one.modulus and two.settled < REACH - two.modulus:
        assert (one == two) == (members(one) == members(two) and one.classes == two.classes)


@pytest.mark.parametrize("wrong", ["_stretches_at_least", "_stretches_equal"])
def test_a_wrong_root_is_caught(monkeypatch, wrong):
    """A planted fault: the first member of every stretch is left out."""
    original = getattr(solutions, wrong)

    def late(values):
        return [(a + 1, b) for a, b in original(values) if b is None or a < b]

    monkeypatch.setattr(solutions, wrong, late)
    with pytest.raises(AssertionError):
        sum(check_tree(("//", ("-", "H", 35), 4), bound, 2) for bound in range(20))


def test_a_wrong_period_is_caught(monkeypatch):
    original = solutions.shape

    def wrong(formula):
        found = original(formula)
        axes = {name: axis._replace(period=1) for name, axis in found.axes.items()}
        return found._replace(axes=axes)

    monkeypatch.setattr(solutions, "shape", wrong)
    with pytest.raises(AssertionError):
        check_tree(("//", "H", 5), 3, 2)


def test_known_solutions():
    assert where_divisible(H - 11, 4).classes == (4, (3,))
    assert where_at_least((H - 35) // 32, 1).smallest() == 67
    seven = where_equal(H // 32, 7)
    assert seven.finite
    assert seven.up_to(10**6) == [(224, 255)]
    assert where_equal(H // 32, 7).largest() == 255
    assert where_at_least(H, 5).largest() is None
    assert where_equal(16 * (H // 16), H).classes == (16, (0,))
    assert where_equal(H // 2 + (H + 1) // 2, H).everything
    assert where_equal(H, H + 1).empty
    # (H - 3)(H - 10) >= 0: below 3 and from 10 on
    assert where_at_least(H * H - 13 * H + 30, 0).up_to(12) == [(1, 3), (10, 12)]
    assert where_at_least(H * H - 13 * H + 30, 0).settled == 10
    assert where_equal(maximum(H, 10), H).up_to(11) == [(10, 11)]
    assert where_equal(minimum(H, 10), H).up_to(99) == [(1, 10)]
    assert where_at_least(symbol("H", 9), 3).lower == 9
    assert where_at_least(named(H // 2, "h1"), 3).smallest() == 6
    assert where_at_least(3, 3) == all_sizes()
    assert where_equal(3, 4) == no_sizes()
    far = where_equal(H // 1000, 10**9)
    assert (far.smallest(), far.largest()) == (10**12, 10**12 + 999)


def test_what_cannot_be_solved():
    with pytest.raises(UndecidedError, match="several symbols"):
        where_equal(H, W)
    with pytest.raises(UndecidedError, match="divides by a formula"):
        where_equal(7 // H, 0)
    with pytest.raises(UndecidedError, match="cannot be compared"):
        where_at_least(maximum(H * H, H), 9)
    with pytest.raises(UndecidedError, match="points; the limit"):
        where_equal(H // 1009 + H // 1013, 9)
    one, two = where_divisible(H, 1009), where_divisible(H, 1013)
    with pytest.raises(UndecidedError, match="a period of"):
        one & two
    with pytest.raises(TypeError):
        where_equal("H", 3)


def test_factors():
    h, w = named(H // 32, "h5"), named(W // 32, "w5")
    assert factors(512 * h * w) == (512, {"H": h, "W": w}, 0)
    assert factors(H * W * H + 1) == (1, {"H": H * H, "W": W}, 1)
    assert factors(H + W) is None
    assert factors(named(H + W, "s") * 3) is None
    assert factors(25) is None


@settings(deadline=None)
@given(st.integers(1, 400), trees(names=("H",), leaves=4))
def test_repr_tells_the_smallest(bound, tree):
    if used(tree):
        try:
            found = where_at_least(formula_of(tree), bound)
        except UndecidedError:
            return
        assert f"smallest {found.smallest()}" in repr(found)
