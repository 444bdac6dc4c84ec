"""Random expressions in sizes, and what they are worth by Python's own integer arithmetic.

A tree is a nested tuple (operator, operand, …) with ints and symbol names as leaves. `run` carries
it out on any kind of number; `direct` on ints, with nothing of convcalc in it: the oracle.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from convcalc.integers import Formula, ceil_div, evaluate, maximum, minimum, named, symbol, symbols

#: Symbols and their lower bounds.
LOWERS = {"H": 1, "W": 0, "N": -4}

BINARY = ("+", "-", "*", "max", "min")
BY_NUMBER = ("//", "%", "ceil")  # the right operand is an int other than 0
UNARY = ("neg", "named", "square")
DIVISORS = (1, 2, 2, 3, 4, 5, 6, 7, 8, 12, 32, -1, -2, -3, -8)

Tree = Any


def direct(tree: Tree, values: Mapping[str, int]) -> int:
    """The value by Python's integers alone."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return values[tree]
    operator, *operands = tree
    numbers = [direct(operand, values) for operand in operands]
    match operator, numbers:
        case "+", (a, b):
            return a + b
        case "-", (a, b):
            return a - b
        case "*", (a, b):
            return a * b
        case "//", (a, b):
            return a // b
        case "%", (a, b):
            return a % b
        case "ceil", (a, b):
            return -(a // -b)
        case "max", (a, b):
            return a if a > b else b
        case "min", (a, b):
            return a if a < b else b
        case "neg", (a,):
            return -a
        case "square", (a,):
            return a * a
        case "named", (a,):
            return a
    raise AssertionError(tree)


def run(tree: Tree, leaves: Mapping[str, Any]) -> Any:
    """The tree carried out by convcalc's arithmetic on the numbers in `leaves`."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return leaves[tree]
    operator, *operands = tree
    numbers = [run(operand, leaves) for operand in operands]
    match operator, numbers:
        case "+", (a, b):
            return a + b
        case "-", (a, b):
            return a - b
        case "*", (a, b):
            return a * b
        case "//", (a, b):
            return a // b
        case "%", (a, b):
            return a % b
        case "ceil", (a, b):
            return ceil_div(a, b)
        case "max", (a, b):
            return maximum(a, b)
        case "min", (a, b):
            return minimum(a, b)
        case "neg", (a,):
            return -a
        case "square", (a,):
            return a**2
        case "named", (a,):
            return named(a, "s") if isinstance(a, Formula) else a
    raise AssertionError(tree)


def formula_of(tree: Tree) -> int | Formula:
    """The tree as a formula (an int where it has no symbols)."""
    result = run(tree, {name: symbol(name, lower) for name, lower in LOWERS.items()})
    assert isinstance(result, int | Formula)
    return result


def used(tree: Tree) -> set[str]:
    """The symbols in a tree."""
    if isinstance(tree, tuple):
        return set().union(*(used(operand) for operand in tree[1:]))
    return {tree} if isinstance(tree, str) else set()


def random_tree(
    rng: random.Random, depth: int, names: tuple[str, ...] = tuple(LOWERS), extremes: bool = True
) -> Tree:
    """A tree of at most that depth."""
    if depth == 0 or rng.random() < 0.12:
        return rng.choice(names) if rng.random() < 0.7 else rng.randint(-12, 40)
    kind = rng.random()
    below = depth - 1
    if kind < 0.42:
        by = rng.choice(DIVISORS)
        return (rng.choice(BY_NUMBER), random_tree(rng, below, names, extremes), by)
    if kind < 0.9:
        operator = rng.choice(BINARY if extremes else BINARY[:3])
        left = random_tree(rng, below, names, extremes)
        return (operator, left, random_tree(rng, below, names, extremes))
    return (rng.choice(UNARY[:2]), random_tree(rng, below, names, extremes))


def trees(
    names: tuple[str, ...] = tuple(LOWERS), extremes: bool = True, leaves: int = 10
) -> st.SearchStrategy[Tree]:
    """Trees for hypothesis, which shrinks them."""
    leaf = st.one_of(st.sampled_from(names), st.integers(-12, 40))
    operators = BINARY if extremes else BINARY[:3]

    def grown(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.one_of(
            st.tuples(st.sampled_from(BY_NUMBER), children, st.sampled_from(DIVISORS)),
            st.tuples(st.sampled_from(operators), children, children),
            st.tuples(st.sampled_from(UNARY), children),
        )

    return st.recursive(leaf, grown, max_leaves=leaves)


def points(names: Mapping[str, int] = LOWERS) -> st.SearchStrategy[dict[str, int]]:
    """Values at or above the lower bounds: mostly small, where rounding matters, some large."""
    return st.fixed_dictionaries(
        {
            name: st.one_of(
                st.integers(lower, lower + 40), st.integers(lower, 600), st.integers(lower, 10**12)
            )
            for name, lower in names.items()
        }
    )


def random_point(rng: random.Random) -> dict[str, int]:
    """A point as `points` has them."""
    reach = rng.choice((3, 40, 600, 10**12))
    return {name: rng.randint(lower, lower + reach) for name, lower in LOWERS.items()}


def check_value(tree: Tree, point: Mapping[str, int]) -> None:
    """The property: the formula of a tree is worth what Python's integers say."""
    formula = formula_of(tree)
    expected = direct(tree, point)
    assert evaluate(formula, point) == expected, f"{tree} at {point}: {formula}"
    assert set(symbols(formula)) <= used(tree)


def check_values(seed: int, count: int) -> None:
    """`check_value` on many random trees."""
    rng = random.Random(seed)
    for _ in range(count):
        check_value(random_tree(rng, rng.randint(1, 6)), random_point(rng))
