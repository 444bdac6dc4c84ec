"""IntArray against Python's ints, above all where int64 would wrap."""

from __future__ import annotations

import operator
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcalc.integers import (
    IntArray,
    OverflowFallbackWarning,
    array,
    ceil_div,
    evaluate,
    maximum,
    minimum,
    product,
    symbol,
    total,
)

np = pytest.importorskip("numpy")

EDGES = (0, 1, -1, 2, 3, -7, 2**31, 2**32 + 1, 2**62, 2**63 - 1, -(2**63), 2**63, -(2**64), 10**30)
numbers = st.one_of(st.sampled_from(EDGES), st.integers(-(2**65), 2**65), st.integers(-50, 50))
OPERATIONS = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "//": (operator.floordiv, operator.floordiv),
    "%": (operator.mod, operator.mod),
    "minimum": (minimum, min),
    "maximum": (maximum, max),
    "ceil_div": (ceil_div, lambda a, b: -(-a // b)),
}


def values(size):
    return [int(v) for v in size.to_numpy().flat]


@pytest.mark.filterwarnings("ignore::convcalc.integers.OverflowFallbackWarning")
@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.data())
def test_operations_agree_with_ints(name, pairs, data):
    ours, pythons = OPERATIONS[name]
    lefts, rights = [a for a, _ in pairs], [b for _, b in pairs]
    if data.draw(st.booleans()):
        rights = [rights[0]] * len(rights)
        right = rights[0]
    else:
        right = array(rights)
    if name in ("//", "%", "ceil_div") and 0 in rights:
        with pytest.raises(ZeroDivisionError):
            ours(array(lefts), right)
        return
    result = ours(array(lefts), right)
    assert values(result) == [pythons(a, b) for a, b in zip(lefts, rights, strict=True)]
    assert result.low <= min(values(result))
    assert max(values(result)) <= result.high
    fits = all(-(2**63) <= v < 2**63 for v in (result.low, result.high))
    assert (result.to_numpy().dtype == np.int64) is fits


@pytest.mark.filterwarnings("ignore::convcalc.integers.OverflowFallbackWarning")
@settings(max_examples=100, deadline=None)
@given(numbers, st.lists(numbers, min_size=1, max_size=4), st.sampled_from(["-", "//", "%"]))
def test_ints_on_the_left(left, rights, name):
    ours, pythons = OPERATIONS[name]
    if name != "-" and 0 in rights:
        with pytest.raises(ZeroDivisionError):
            ours(left, array(rights))
    else:
        assert values(ours(left, array(rights))) == [pythons(left, b) for b in rights]


def test_numpy_alone_would_be_wrong():
    with np.errstate(all="ignore"):
        assert (np.array([2**62]) * 4)[0] == 0
        assert (np.array([7]) // np.array([0]))[0] == 0
    with pytest.warns(OverflowFallbackWarning, match="exact Python integers"):
        assert values(array([2**62]) * 4) == [2**64]
    with pytest.raises(ZeroDivisionError):
        array([7]) // array([0])


def test_bounds_are_measured_before_falling_back():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = array([2**40, 5]) // 2**38
        wide = IntArray(small.to_numpy(), 0, 2**62)  # true, but loose
        assert values(wide * 8) == [32, 0]
        assert (wide * 8).to_numpy().dtype == np.int64


def test_small_again_is_int64_again():
    with pytest.warns(OverflowFallbackWarning):
        big = array([2**62, 3]) * 2**10
    assert big.to_numpy().dtype == object
    assert (big // 2**20).to_numpy().dtype == np.int64


def test_broadcasting():
    rows, columns = array([[1], [2], [3]]), array([10, 20])
    assert (rows * columns + 1).shape == (3, 2)
    assert values(rows * columns) == [10, 20, 20, 40, 30, 60]
    assert values(maximum(3, rows, 2)) == [3, 3, 3]
    assert values(product([2, rows, columns])) == [20, 40, 40, 80, 60, 120]
    assert values(total([1, rows, 2])) == [4, 5, 6]
    assert values(array(5) + 1) == [6]
    assert values(array([1, 2]) + np.array([10, 20])) == [11, 22]
    assert values(np.int64(10) - array([1, 2])) == [9, 8]
    assert values(array([3, -2]) ** 3) == [27, -8]
    assert values(-array([-(2**63) + 1])) == [2**63 - 1]


def test_what_arrays_are_made_of():
    assert values(array(np.array([1, 2], dtype=np.uint8)) - 3) == [-2, -1]
    with pytest.warns(OverflowFallbackWarning):
        assert values(array(np.array([2**64 - 1], dtype=np.uint64)) + 1) == [2**64]
    assert values(array([True, False])) == [1, 0]
    assert array([]).shape == (0,)
    assert values(array([]) * 2**70) == []
    source = np.array([1, 2])
    copied = array(source)
    source[0] = 99
    assert values(copied) == [1, 2]
    for bad in ([1.5], 1.5, np.array([1.0]), "12", None, [None], {"H": 1}):
        with pytest.raises(TypeError, match="sizes are integers"):
            array(bad)


def test_comparison_truth_and_text():
    one = array([1, 2])
    assert one == array([1, 2])
    assert one != array([1, 3])
    assert one != array([1, 2, 3])
    assert array([4, 4]) == 4
    assert hash(array([4, 4])) == hash(4)
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(one)
    with pytest.raises(TypeError, match="by element"):
        one < 3  # noqa: B015 (the comparison itself raises)
    with pytest.raises(TypeError):
        one + symbol("H")
    with pytest.raises(TypeError):
        maximum(one, symbol("H"))
    with pytest.raises(TypeError):
        one + 1.5
    assert repr(one) == "IntArray([1, 2])"


def test_formulas_swept_over_arrays_fall_back_too():
    cost = symbol("H") ** 3 * 2**40
    with pytest.warns(OverflowFallbackWarning):
        assert evaluate(cost, {"H": np.array([2, 3000])}).tolist() == [2**43, 27 * 10**9 * 2**40]
    kept = evaluate(cost, {"H": array([1, 2])})
    assert isinstance(kept, IntArray)
