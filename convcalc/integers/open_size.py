"""Open: a size that is not known yet, but whose stride against the input is.

The structure of a network is built without looking at any size. Where it must
know whether a branch changes the resolution, sizes flow through as `Open`s: dividing by a stride
multiplies the stride, adding padding changes nothing.
"""

from __future__ import annotations

from math import gcd

from .formulas import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .formulas import Size

_INTERNED: dict[tuple[int, int], Open] = {}


class Open:
    """A size that is one element for every `numerator / denominator` elements of the input.

    Interned: equal strides are the same object. The stride (0, 0) is unknown; unknown sizes equal
    each other and nothing else. Comparing, `int()` and truth raise TypeError.
    """

    __slots__ = ("_divided", "_multiplied", "stride")
    __array_ufunc__ = None

    stride: tuple[int, int]
    _divided: dict[int, Open]
    _multiplied: dict[int, Open]

    def __new__(cls, numerator: int = 1, denominator: int = 1) -> Open:
        found = _INTERNED.get((numerator, denominator))
        if found is not None:
            return found
        if (numerator, denominator) != (0, 0):
            if numerator < 1 or denominator < 1:
                raise ValueError(f"a stride of {numerator}/{denominator} is not positive")
            common = gcd(numerator, denominator)
            if common > 1:
                return cls(numerator // common, denominator // common)
        self = super().__new__(cls)
        self.stride = (numerator, denominator)
        self._divided = {}
        self._multiplied = {}
        return _INTERNED.setdefault((numerator, denominator), self)

    @property
    def known(self) -> bool:
        """Whether the stride against the input is known."""
        return self.stride[1] != 0

    def __add__(self, other: Size) -> Open:
        if type(other) is int or other is self:
            return self
        if isinstance(other, Open):
            return UNKNOWN
        return self if isinstance(other, (int, Formula)) else NotImplemented

    __radd__ = __add__
    __sub__ = __add__
    __rsub__ = __add__

    def __neg__(self) -> Open:
        return self

    def __pos__(self) -> Open:
        return self

    def __mul__(self, other: Size) -> Open:
        if isinstance(other, int):
            found = self._multiplied.get(other)
            if found is None:
                found = self._multiplied[other] = _scaled(self, 1, other)
            return found
        if isinstance(other, Formula):
            return UNKNOWN
        if not isinstance(other, Open):
            return NotImplemented
        if not self.known or not other.known:
            return UNKNOWN
        return Open(self.stride[0] * other.stride[0], self.stride[1] * other.stride[1])

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Open:
        if isinstance(other, int):
            found = self._divided.get(other)
            if found is None:
                if other == 0:
                    raise ZeroDivisionError("an open size // 0")
                found = self._divided[other] = _scaled(self, other, 1)
            return found
        return UNKNOWN if isinstance(other, (Open, Formula)) else NotImplemented

    def __rfloordiv__(self, other: int) -> Open:
        return UNKNOWN if isinstance(other, (int, Formula)) else NotImplemented

    def __mod__(self, other: Size) -> Open:
        if isinstance(other, int) and other == 0:
            raise ZeroDivisionError("an open size % 0")
        return UNKNOWN if isinstance(other, (int, Open, Formula)) else NotImplemented

    __rmod__ = __rfloordiv__

    def __pow__(self, exponent: int) -> Open:
        return self if exponent == 1 else UNKNOWN

    def minimum(self, other: Size) -> Open:
        """With an int the size itself: which one is smaller is not known."""
        return self.__add__(other)

    maximum = minimum

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no value yet: nothing here may depend on it")

    def _no_value(self, *_: object) -> NoReturn:
        raise TypeError(f"{self} has no value yet: nothing here may depend on it")

    __int__ = __index__ = __float__ = _no_value
    __lt__ = __le__ = __gt__ = __ge__ = _no_value

    # __eq__ and __hash__ stay those of object: interning makes equality identity.

    def __copy__(self) -> Open:
        return self

    def __deepcopy__(self, memo: object) -> Open:
        return self

    def __reduce__(self) -> tuple[type[Open], tuple[int, int]]:
        return Open, self.stride

    def __repr__(self) -> str:
        if not self.known:
            return "an open size of unknown stride"
        numerator, denominator = self.stride
        ratio = f"{numerator}/{denominator}" if denominator != 1 else f"{numerator}"
        return f"an open size of stride {ratio}"


def _scaled(size: Open, times: int, over: int) -> Open:
    if not size.known or times == 0 or over == 0:
        return UNKNOWN
    numerator, denominator = size.stride
    return Open(numerator * abs(times), denominator * abs(over))


UNKNOWN = Open(0, 0)
