"""Arrays of sizes: the rules for many designs at once, exact where numpy would wrap silently.

The only module here that imports numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .errors import OverflowFallbackWarning

if TYPE_CHECKING:
    from .formulas import Size

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class IntArray:
    """Integers of any size in a numpy array, with Python-int bounds `low <= values <= high`.

    The data are int64 while the bounds show that nothing can overflow. Where they do not, they are
    measured anew, and where that does not help either, the data become Python ints (dtype object)
    with an OverflowFallbackWarning: slow, never wrong. Operands broadcast. Division by zero raises
    ZeroDivisionError. `==` is one bool: whether all elements are equal.
    """

    __slots__ = ("_data", "high", "low")
    __array_ufunc__ = None

    def __init__(self, data: np.ndarray[Any, Any], low: int, high: int) -> None:
        """`data` (int64, or object of ints) must keep to the bounds and is not copied: internal."""
        self._data = data
        self.low = low
        self.high = high

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """A copy of the values: int64, or dtype object where they need more."""
        return self._data.copy()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array (the designs, not any network's)."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def least(self) -> int | None:
        """The smallest element, None in an empty array."""
        return int(self._data.min()) if self._data.size else None

    @property
    def most(self) -> int | None:
        """The largest element, None in an empty array."""
        return int(self._data.max()) if self._data.size else None

    def _tightened(self) -> IntArray:
        least, most = self.least, self.most
        if least is None or most is None:
            return IntArray(self._data, 0, 0)
        return IntArray(self._data, least, most)

    def __add__(self, other: Size) -> IntArray:
        return _combined(self, other, np.add, _add_bounds)

    __radd__ = __add__

    def __neg__(self) -> IntArray:
        return self * -1

    def __pos__(self) -> IntArray:
        return self

    def __sub__(self, other: Size) -> IntArray:
        return _combined(self, other, np.subtract, _subtract_bounds)

    def __rsub__(self, other: int) -> IntArray:
        return _reflected(self, other, np.subtract, _subtract_bounds)

    def __mul__(self, other: Size) -> IntArray:
        return _combined(self, other, np.multiply, _multiply_bounds)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> IntArray:
        return _combined(self, other, np.floor_divide, _divide_bounds)

    def __rfloordiv__(self, other: int) -> IntArray:
        return _reflected(self, other, np.floor_divide, _divide_bounds)

    def __mod__(self, other: Size) -> IntArray:
        return _combined(self, other, np.remainder, _remainder_bounds)

    def __rmod__(self, other: int) -> IntArray:
        return _reflected(self, other, np.remainder, _remainder_bounds)

    def __pow__(self, exponent: int) -> IntArray:
        if not isinstance(exponent, int):
            return NotImplemented
        if exponent < 0:
            raise ValueError(f"an integer array has no negative power ({exponent})")
        result = self * 0 + 1
        for _ in range(exponent):
            result = result * self
        return result

    def minimum(self, other: Size) -> IntArray:
        """The smaller of the two, element by element."""
        return _combined(self, other, np.minimum, _minimum_bounds)

    def maximum(self, other: Size) -> IntArray:
        """The larger of the two, element by element."""
        return _combined(self, other, np.maximum, _maximum_bounds)

    def __eq__(self, other: object) -> bool:
        value = _as_array(other)
        if value is None:
            return NotImplemented
        try:
            return bool(np.all(self._data == value._data))
        except ValueError:  # shapes that do not broadcast
            return False

    def __hash__(self) -> int:
        # Equal arrays may differ in dtype and, broadcast, in shape; so only of one element.
        return hash(int(self._data.flat[0])) if self._data.size else 0

    def __bool__(self) -> NoReturn:
        raise TypeError("an array of sizes is neither true nor false; ask at_least or equal")

    def _no_order(self, other: object) -> NoReturn:
        raise TypeError("the order of arrays differs by element; ask at_least, or use to_numpy()")

    __lt__ = __le__ = __gt__ = __ge__ = _no_order

    def __repr__(self) -> str:
        return f"IntArray({np.array2string(self._data, threshold=10, separator=', ')})"


def array(values: Any) -> IntArray:
    """An IntArray of a numpy integer array, nested sequences of ints, or one int. Copies.

    Raises TypeError for anything that is not an integer: floats are not rounded.
    """
    if isinstance(values, IntArray):
        return values
    if isinstance(values, np.ndarray):
        data = values
    else:
        _refuse_floats(values)
        data = np.array(values, dtype=object)
    if data.dtype == object or data.dtype.kind == "u":
        data = data.astype(object)  # also turns unsigned integers into Python's
        flat = [_exact_int(value) for value in data.flat]
        low, high = (min(flat), max(flat)) if flat else (0, 0)
        dtype: type = np.int64 if _fits(low, high) else object
        if dtype is object:
            _warn()
        exact: np.ndarray[Any, Any] = np.array(flat, dtype=dtype)
        return IntArray(exact.reshape(data.shape), low, high)
    if data.dtype.kind not in "ib":
        raise TypeError(f"sizes are integers, not {data.dtype}")
    return IntArray(data.astype(np.int64), 0, 0)._tightened()


def _refuse_floats(values: Any) -> None:
    if isinstance(values, float):
        raise TypeError(f"sizes are integers, not {values!r}")
    if not isinstance(values, (int, np.integer, Sequence)) or isinstance(values, (str, bytes)):
        raise TypeError(f"sizes are integers in lists or numpy arrays, not {type(values).__name__}")


def _exact_int(value: Any) -> int:
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"sizes are integers, not {value!r}")
    return int(value)


def _fits(low: int, high: int) -> bool:
    return low >= _LEAST and high <= _MOST


def _warn() -> None:
    warnings.warn(
        "sizes beyond 2**63 - 1: going on with exact Python integers, which is slow",
        OverflowFallbackWarning,
        stacklevel=4,
    )


def _as_array(value: object) -> IntArray | None:
    if isinstance(value, IntArray):
        return value
    if isinstance(value, (int, np.integer)):
        number = int(value)
        dtype: type = np.int64 if _fits(number, number) else object
        return IntArray(np.array(number, dtype=dtype), number, number)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return array(value)
    return None


_Bounds = Callable[[int, int, int, int], tuple[int, int]]


def _reflected(right: IntArray, left: int, function: np.ufunc, bounds: _Bounds) -> IntArray:
    value = _as_array(left)
    if value is None:
        return NotImplemented  # type: ignore[no-any-return] # mypy knows it only in methods
    return _combined(value, right, function, bounds)


def _combined(left: IntArray, other: Size, function: np.ufunc, bounds: _Bounds) -> IntArray:
    right = _as_array(other)
    if right is None:
        return NotImplemented  # type: ignore[no-any-return] # mypy knows it only in methods
    if bounds in (_divide_bounds, _remainder_bounds) and right.low <= 0 <= right.high:
        right = right._tightened()  # so that the bounds hold zero only if the data may
        if not np.all(right._data):
            raise ZeroDivisionError("an array of sizes divided by zero")
    low, high = bounds(left.low, left.high, right.low, right.high)
    if not _fits(low, high):
        left, right = left._tightened(), right._tightened()
        low, high = bounds(left.low, left.high, right.low, right.high)
    if _fits(low, high) and left._data.dtype != object and right._data.dtype != object:
        return IntArray(np.asarray(function(left._data, right._data)), low, high)
    if _fits(low, high):  # small again: back to int64
        data = _by_objects(function, left, right)
        return IntArray(data.astype(np.int64), low, high)
    if left._data.dtype != object and right._data.dtype != object:
        _warn()
    return IntArray(_by_objects(function, left, right), low, high)


def _by_objects(function: np.ufunc, left: IntArray, right: IntArray) -> np.ndarray[Any, Any]:
    result = function(left._data.astype(object), right._data.astype(object))
    return np.array(result, dtype=object)  # numpy returns a bare int for 0-d operands


# Bounds of the result, from the bounds [a, b] of the left and [c, d] of the right operand.


def _add_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return a + c, b + d


def _subtract_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return a - d, b - c


def _multiply_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    products = (a * c, a * d, b * c, b * d)
    return min(products), max(products)


def _divide_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    # x // y is monotone in x, and in y on either side of zero
    divisors = [y for y in (c, d, *((-1,) if c < 0 < d else ()), *((1,) if c < 0 < d else ())) if y]
    if c < 0 and d == 0:
        divisors.append(-1)
    if c == 0 and d > 0:
        divisors.append(1)
    quotients = [x // y for x in (a, b) for y in divisors]
    return (min(quotients), max(quotients)) if quotients else (0, 0)


def _remainder_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    # 0 <= x % y < y for y > 0, and y < x % y <= 0 for y < 0
    return min(0, c + 1), max(0, d - 1)


def _minimum_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return min(a, c), min(b, d)


def _maximum_bounds(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    return max(a, c), max(b, d)
