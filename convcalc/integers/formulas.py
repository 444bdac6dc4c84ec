"""Formulas: polynomials with integer coefficients over atoms, in a canonical form.

An atom is a symbol (an integer, at least its lower bound), the floor of a formula over a positive
int, a named size, a maximum or minimum, or a quotient of two formulas. `%` and ceil are rewritten
to floor. Atoms are interned for the life of the process and know their bounds; a formula is a
`{monomial: coefficient}` dict, a monomial the sorted tuple of its atoms' numbers (repeats are
powers). An atom's number is larger than the numbers of the atoms inside it, so going through
atoms in the order of their numbers needs no recursion, however deep a formula is.
"""

from __future__ import annotations

from _thread import allocate_lock
from keyword import iskeyword
from math import gcd

from .errors import FormulaTooLargeError

TYPE_CHECKING = False  # not typing's: importing typing costs more than this whole package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, TypeAlias, TypeVar

    from .arrays import IntArray
    from .open_size import Open

    Monomial: TypeAlias = tuple[int, ...]
    Terms: TypeAlias = dict[Monomial, int]
    Key: TypeAlias = frozenset[tuple[Monomial, int]]
    Size: TypeAlias = "int | Formula | IntArray | Open"
    AnySize = TypeVar("AnySize", bound="Size")
    Bound: TypeAlias = int | None

else:
    Size = object  # for annotations only; the real one would import numpy

SYMBOL, FLOOR, NAMED, MAX, MIN, QUOTIENT = range(6)

MAX_TERMS = 10_000  # of one formula; real networks have a few dozen
MAX_POWER = 64
_CAP = 1 << 256  # bounds beyond it are dropped, so that they stay cheap
_FEW_TERMS = 50  # of formulas whose bounds are sharpened
_MEMO_LIMIT = 1 << 16  # entries; a full memo is emptied
_RESERVED = frozenset({"max", "min", "floor", "ceil"})


class Atom:
    """What a formula is built of. `low` and `high` bound its value; None means unbounded."""

    __slots__ = ("divisor", "high", "kind", "low", "name", "named", "parts")

    def __init__(
        self,
        kind: int,
        low: Bound,
        high: Bound,
        name: str = "",
        parts: tuple[Formula, ...] = (),
        divisor: int = 1,
    ) -> None:
        self.kind = kind
        self.low = low
        self.high = high
        self.name = name  # of a symbol or a named size
        self.parts = parts  # floor: numerator; named: definition; quotient: both; max, min: all
        self.divisor = divisor  # of a floor
        self.named = kind == NAMED or any(map(_has_names, parts))


ATOMS: list[Atom] = []
_NUMBERS: dict[object, int] = {}
_LOCK = allocate_lock()


def _has_names(formula: Formula) -> bool:
    for monomial in formula._terms:
        for number in monomial:
            if ATOMS[number].named:
                return True
    return False


def _intern(key: object, make: Callable[[], Atom]) -> Formula:
    number = _NUMBERS.get(key)
    if number is None:
        atom = make()
        with _LOCK:
            number = _NUMBERS.get(key)
            if number is None:
                number = len(ATOMS)
                ATOMS.append(atom)
                _NUMBERS[key] = number
    return Formula({(number,): 1})


class Formula:
    """An integer that depends on symbols. Immutable. Made by `symbol`, `parse` and arithmetic.

    `+ - *` take ints and formulas on either side, `**` a small int, `//` and `%` an int other
    than zero (exact, as Python's) or a formula (then nothing more can be proved of the result).
    `==` means equal for all values of the symbols: True and False are proved, otherwise it
    raises UndecidedError. Order and truth raise TypeError: ask `at_least`, `equal`.
    """

    __slots__ = ("_hash", "_key", "_terms")
    __array_ufunc__ = None  # numpy leaves arithmetic with formulas to us

    _hash: int | None
    _key: Key | None
    _terms: Terms

    def __init__(self, terms: Terms) -> None:
        """`terms` must be canonical (no zero coefficients) and is not copied: internal."""
        self._terms = terms
        self._key = None
        self._hash = None

    @property
    def key(self) -> Key:
        """The canonical form, hashable: equal keys mean equal formulas, not the other way round."""
        key = self._key
        if key is None:
            key = self._key = frozenset(self._terms.items())
        return key

    @property
    def constant(self) -> int | None:
        """The value of a formula without symbols in its canonical form, else None."""
        terms = self._terms
        if not terms:
            return 0
        return terms.get(()) if len(terms) == 1 else None

    @property
    def is_symbol(self) -> bool:
        """Whether it is one symbol and nothing else."""
        atom = single_atom(self)
        return atom is not None and atom.kind == SYMBOL

    @property
    def definition(self) -> Formula | None:
        """What a named size stands for; None for any other formula."""
        atom = single_atom(self)
        return atom.parts[0] if atom is not None and atom.kind == NAMED else None

    # Arithmetic. Operands may be Size to a type checker; at run time a formula meets only ints
    # and formulas: arrays and open sizes belong to other runs of the same rules.

    def __add__(self, other: Size) -> Formula:
        if type(other) is Formula:
            return _add(self._terms, other._terms)
        value = other if type(other) is int else _operand(other)
        if value is None:
            return NotImplemented
        if isinstance(value, Formula):
            return _add(self._terms, value._terms)
        if value == 0:
            return self
        terms = self._terms.copy()
        total = terms.get((), 0) + value
        if total:
            terms[()] = total
        else:
            del terms[()]
        return Formula(terms)

    __radd__ = __add__

    def __neg__(self) -> Formula:
        return Formula({monomial: -c for monomial, c in self._terms.items()})

    def __pos__(self) -> Formula:
        return self

    def __sub__(self, other: Size) -> Formula:
        if type(other) is int:
            return self + -other
        value = _operand(other)
        if value is None:
            return NotImplemented
        return self + -value

    def __rsub__(self, other: int) -> Formula:
        return -self + other

    def __mul__(self, other: Size) -> Formula:
        if type(other) is Formula:
            return _multiply(self._terms, other._terms)
        factor = other if type(other) is int else _operand(other)
        if factor is None:
            return NotImplemented
        if isinstance(factor, Formula):
            return _multiply(self._terms, factor._terms)
        if factor == 1:
            return self
        if factor == 0:
            return Formula({})
        if len(self._terms) == 1:  # costs are: one product of sizes, times many numbers
            for monomial, c in self._terms.items():
                return Formula({monomial: c * factor})
        return Formula({monomial: c * factor for monomial, c in self._terms.items()})

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Formula:
        if not isinstance(exponent, int):
            return NotImplemented
        if exponent < 0:
            raise ValueError(f"a formula has no negative power ({exponent})")
        if exponent > MAX_POWER:
            raise FormulaTooLargeError(f"powers go up to {MAX_POWER}, not {exponent}")
        result = Formula({(): 1})
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Size) -> Formula:
        if type(other) is int:
            return floor_divide(self, other)
        value = _operand(other)
        if value is None:
            return NotImplemented
        return floor_divide(self, value)

    def __rfloordiv__(self, other: int) -> Formula:
        value = _operand(other)
        if value is None:
            return NotImplemented
        return floor_divide(as_formula(value), self)

    def __mod__(self, other: Size) -> Formula:
        # x % d = x - d * floor(x/d), for d != 0 (Python's sign)
        value = _operand(other)
        if value is None:
            return NotImplemented
        return self - floor_divide(self, value) * value

    def __rmod__(self, other: int) -> Formula:
        value = _operand(other)
        if value is None:
            return NotImplemented
        return value - floor_divide(as_formula(value), self) * self

    def __divmod__(self, other: Size) -> tuple[Formula, Formula]:
        value = _operand(other)
        if value is None:
            return NotImplemented
        quotient = floor_divide(self, value)
        return quotient, self - quotient * value

    # Comparison.

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        operand = _operand(other)
        if operand is None:
            return NotImplemented
        value = as_formula(operand)
        if self._terms == value._terms:
            return True
        if hash(self) != hash(value):  # they differ at one of the probe points
            return False
        from .decide import decided_equal

        return decided_equal(self, value)

    def __hash__(self) -> int:
        """Of the values at fixed points, so that equal formulas of any form have equal hashes."""
        if self._hash is None:
            from .evaluation import probe_values

            one, two = probe_values(self)
            self._hash = hash(one) if one == two else hash((one, two))  # 3 == what is always 3
        return self._hash

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"whether {self} is zero depends on its symbols; ask equal(…, 0) or at_least(…, 1)"
        )

    def _no_order(self, other: object) -> NoReturn:
        raise TypeError(
            f"the order of {self} and {other} depends on symbols; "
            "ask at_least(…, bound), or use minimum and maximum"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _no_order

    def __index__(self) -> int:
        constant = self.constant
        if constant is None:
            raise TypeError(f"{self} is a formula, not a number; evaluate it first")
        return constant

    __int__ = __index__

    # Text, copies, values.

    def __str__(self) -> str:
        from .printing import shown

        return shown(self)

    def __repr__(self) -> str:
        return f"Formula('{self}')"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __copy__(self) -> Formula:
        return self

    def __deepcopy__(self, memo: object) -> Formula:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        from .evaluation import pack, unpack

        return unpack, (pack(self),)

    def __call__(self, **values: Any) -> Any:
        """The value at symbol=value, …: `evaluate(self, values)`."""
        from .evaluation import evaluate

        return evaluate(self, values)


def _operand(value: object) -> int | Formula | None:
    """An int or formula for what counts as one (bool and numpy's integers do), else None."""
    if type(value) is Formula or type(value) is int:
        return value
    if isinstance(value, Formula):
        return value
    index = getattr(type(value), "__index__", None)
    if index is None:
        return None
    try:
        return int(index(value))
    except TypeError:  # an array of several numbers
        return None


def as_formula(value: int | Formula) -> Formula:
    """The same value as a formula."""
    if isinstance(value, Formula):
        return value
    return Formula({(): value} if value else {})


def single_atom(formula: Formula) -> Atom | None:
    """The atom that the formula consists of, if it is nothing else."""
    if len(formula._terms) == 1:
        ((monomial, coefficient),) = formula._terms.items()
        if coefficient == 1 and len(monomial) == 1:
            return ATOMS[monomial[0]]
    return None


def _add(left: Terms, right: Terms) -> Formula:
    if len(left) < len(right):
        left, right = right, left
    terms = left.copy()
    for monomial, c in right.items():
        total = terms.get(monomial, 0) + c
        if total:
            terms[monomial] = total
        else:
            del terms[monomial]
    if len(terms) > MAX_TERMS:
        raise FormulaTooLargeError(f"a formula of more than {MAX_TERMS:,} terms")
    return Formula(terms)


def _multiply(left: Terms, right: Terms) -> Formula:
    if len(left) * len(right) > 10 * MAX_TERMS:
        raise FormulaTooLargeError(
            f"a product of formulas of {len(left):,} and {len(right):,} terms"
        )
    if len(left) == 1 and len(right) == 1:
        for first, factor in left.items():
            for second, c in right.items():
                return Formula({tuple(sorted(first + second)): factor * c})
    terms: Terms = {}
    for first, factor in left.items():
        for second, c in right.items():
            monomial = tuple(sorted(first + second))
            total = terms.get(monomial, 0) + c * factor
            if total:
                terms[monomial] = total
            else:
                del terms[monomial]
    if len(terms) > MAX_TERMS:
        raise FormulaTooLargeError(f"a formula of more than {MAX_TERMS:,} terms")
    return Formula(terms)


def multiply_formulas(sizes: Iterable[int | Formula]) -> Formula:
    """The product; factors of one term, as most sizes are, are put together at once."""
    number = 1
    factors: Monomial = ()
    sums: list[Formula] = []
    for size in sizes:
        if isinstance(size, int):
            number *= size
        elif len(size._terms) == 1:
            ((monomial, c),) = size._terms.items()
            factors += monomial
            number *= c
        else:
            sums.append(size)
    result = Formula({tuple(sorted(factors)): number} if number else {})
    for size in sums:
        result = result * size
    return result


def sum_formulas(sizes: Iterable[int | Formula]) -> Formula:
    """The sum, in time linear in the number of terms given."""
    number = 0
    terms: Terms = {}
    for size in sizes:
        if isinstance(size, int):
            number += size
            continue
        for monomial, c in size._terms.items():
            terms[monomial] = terms.get(monomial, 0) + c
    terms[()] = terms.get((), 0) + number
    if len(terms) > MAX_TERMS:
        raise FormulaTooLargeError(f"a formula of more than {MAX_TERMS:,} terms")
    return Formula({monomial: c for monomial, c in terms.items() if c})


# Making atoms.


def symbol(name: str, lower: int = 1) -> Formula:
    """The integer `name`, of which only this is known: it is at least `lower`."""
    check_name(name)
    if type(lower) is not int:
        raise TypeError(f"the lower bound of {name} must be an int, not {lower!r}")
    return _intern((SYMBOL, name, lower), lambda: Atom(SYMBOL, lower, None, name))


def named(formula: Formula, name: str) -> Formula:
    """The same value under a name of its own, so that what is built from it stays short.

    The definition is `expand`ed, so names never stand on names. Two definitions may bear one
    name (in two networks, say); a formula that holds both shows the second as `name_2`. `Names`
    numbers the sizes of one network so that this does not happen.
    """
    check_name(name)
    definition = expand(formula)

    def make() -> Atom:
        low, high = bounds(definition)
        return Atom(NAMED, low, high, name, (definition,))

    result = _intern((NAMED, name, definition.key), make)
    result._hash = definition._hash  # of its value: the same, where it is known
    return result


def check_name(name: str) -> None:
    """Raises ValueError unless `name` can stand in a printed formula and in Python."""
    if not (name.isascii() and name.isidentifier()) or iskeyword(name) or name in _RESERVED:
        raise ValueError(f"{name!r} cannot name a size: letters, digits and _, no reserved word")


_FLOORS: dict[tuple[Key, int], Formula] = {}


def floor_divide(formula: Formula, divisor: int | Formula) -> Formula:
    """floor(formula / divisor), exact for every int divisor but zero."""
    if isinstance(divisor, Formula):
        constant = divisor.constant
        if constant is None:
            return _quotient(formula, divisor)
        divisor = constant
    if divisor == 1:
        return formula
    if divisor <= 0:
        if divisor == 0:
            raise ZeroDivisionError(f"{formula} // 0")
        return floor_divide(-formula, -divisor)  # floor(x/-d) = floor(-x/d)
    key = (formula.key, divisor)
    result = _FLOORS.get(key)
    if result is None:
        if len(_FLOORS) >= _MEMO_LIMIT:
            _FLOORS.clear()
        result = _FLOORS[key] = _floor(formula, divisor)
    return result


def _floor(formula: Formula, divisor: int) -> Formula:
    whole: Terms = {}
    rest: Terms = {}
    # R1: floor((d*q + r)/d) = q + floor(r/d) for d > 0, q integer: of each coefficient, 0 <= r < d
    for monomial, c in formula._terms.items():
        q, r = divmod(c, divisor)
        if q:
            whole[monomial] = q
        if r:
            rest[monomial] = r
    constant = rest.pop((), 0)
    if not rest:
        return Formula(whole)  # floor(r/d) = 0 for 0 <= r < d
    # R2: floor((g*y + c)/(g*d)) = floor((y + floor(c/g))/d) for g, d > 0, y integer
    common = gcd(divisor, *rest.values())
    if common > 1:
        divisor //= common
        constant //= common
        rest = {monomial: c // common for monomial, c in rest.items()}
    # R3: floor((floor(x/n) + a)/d) = floor((x + n*a)/(n*d)) for n, d > 0, a integer. Wrong where
    # the inner floor has another coefficient than 1; with several floors the result would
    # depend on which is opened first, so only where there is exactly one
    inner = _lone_floor(rest)
    if inner is not None:
        atom = ATOMS[inner]
        del rest[(inner,)]
        if constant:
            rest[()] = constant
        nested = atom.parts[0]
        if rest:
            nested = nested + Formula(rest) * atom.divisor
        flattened = floor_divide(nested, atom.divisor * divisor)
        return Formula(whole) + flattened if whole else flattened
    if constant:
        rest[()] = constant
    numerator = Formula(rest)

    def make() -> Atom:
        low, high = bounds(numerator)
        return Atom(
            FLOOR,
            None if low is None else low // divisor,
            None if high is None else high // divisor,
            parts=(numerator,),
            divisor=divisor,
        )

    atom_formula = _intern((FLOOR, numerator.key, divisor), make)
    if not whole:
        return atom_formula
    return _add(whole, atom_formula._terms)


def _lone_floor(terms: Terms) -> int | None:
    """The number of the only floor in `terms`, if it stands alone with coefficient 1."""
    found = None
    for monomial, c in terms.items():
        for number in monomial:
            if ATOMS[number].kind == FLOOR:
                if found is not None or c != 1 or len(monomial) != 1:
                    return None
                found = number
    return found


def _quotient(numerator: Formula, divisor: Formula) -> Formula:
    """floor(numerator / divisor) where the divisor has symbols: an atom, if it is not exact."""
    exact = _exact_quotient(numerator._terms, divisor)
    if exact is not None:
        return exact

    def make() -> Atom:
        low, high = bounds(numerator)
        least, _ = bounds(divisor)
        if low is None or low < 0 or least is None or least < 1:
            return Atom(QUOTIENT, None, None, parts=(numerator, divisor))
        # 0 <= n//d <= n//least for n >= 0 and d >= least >= 1
        most = None if high is None else high // least
        return Atom(QUOTIENT, 0, most, parts=(numerator, divisor))

    return _intern((QUOTIENT, numerator.key, divisor.key), make)


def _exact_quotient(numerator: Terms, divisor: Formula) -> Formula | None:
    """R4: floor(d*q / d) = q for d != 0, q a formula. Found for a divisor of one term, and for
    numerators that are a whole number of times the divisor."""
    least, _ = bounds(divisor)
    if least is None or least < 1:
        return None
    if len(divisor._terms) > 1:
        first, c = next(iter(divisor._terms.items()))
        times = numerator.get(first, 0) // c
        return Formula({(): times}) if times and numerator == (divisor * times)._terms else None
    ((factors, c),) = divisor._terms.items()
    result: Terms = {}
    for monomial, coefficient in numerator.items():
        rest = list(monomial)
        for factor in factors:
            if factor not in rest:
                return None
            rest.remove(factor)
        if coefficient % c:
            return None
        result[tuple(rest)] = coefficient // c
    return Formula(result)


def extreme(formulas: Iterable[int | Formula], kind: int) -> Formula:
    """The maximum (kind MAX) or minimum (MIN); what bounds show to be never chosen is left out."""
    operands = [as_formula(formula) for formula in formulas]
    common = _common_terms(operands)
    if common:  # max(x + a, x + b) = x + max(a, b)
        shared = Formula(common)
        return shared + extreme([operand - shared for operand in operands], kind)
    parts: list[Formula] = []
    for formula in operands:
        atom = single_atom(formula)
        nested = atom.parts if atom is not None and atom.kind == kind else (formula,)
        for part in nested:  # max(max(a, b), c) = max(a, b, c)
            if not any(_dominates(kept, part, kind) for kept in parts):
                parts = [kept for kept in parts if not _dominates(part, kept, kind)]
                parts.append(part)
    if not parts:
        raise ValueError("minimum and maximum need at least one size")
    if len(parts) == 1:
        return parts[0]
    parts.sort(key=lambda part: sorted(part._terms.items()))  # max(a, b) = max(b, a)

    def make() -> Atom:
        lows, highs = zip(*(bounds(part) for part in parts), strict=True)
        if kind == MAX:
            known = [low for low in lows if low is not None]
            return Atom(
                MAX,
                max(known) if known else None,
                None if None in highs else max(highs),
                parts=tuple(parts),
            )
        known = [high for high in highs if high is not None]
        return Atom(
            MIN,
            None if None in lows else min(lows),
            min(known) if known else None,
            parts=tuple(parts),
        )

    return _intern((kind, tuple(part.key for part in parts)), make)


def _common_terms(formulas: list[Formula]) -> Terms:
    """The terms with a symbol that all formulas have, where they are not all the same."""
    first, *others = formulas or [Formula({})]
    return {
        monomial: c
        for monomial, c in first._terms.items()
        if monomial and others and all(other._terms.get(monomial) == c for other in others)
    }


def _dominates(winner: Formula, loser: Formula, kind: int) -> bool:
    difference = winner - loser if kind == MAX else loser - winner
    low, _ = bounds(difference)
    return low is not None and low >= 0


# Names.

_EXPANDED: dict[int, Formula] = {}


def expand(size: AnySize) -> AnySize:
    """The same value with every named size replaced by its definition."""
    if not isinstance(size, Formula) or not _has_names(size):
        return size
    from .evaluation import rebuild

    return rebuild(size, {}, _EXPANDED)  # type: ignore[return-value] # AnySize is Formula here


# Bounds.


def bounds(formula: int | Formula) -> tuple[Bound, Bound]:
    """A sound interval (low, high) of the values, None where no bound was found."""
    if isinstance(formula, int):
        return formula, formula
    terms = formula._terms
    low, high = _interval(terms)
    if (low is None or low != high) and len(terms) <= _FEW_TERMS and _worth_relaxing(terms):
        tighter = _relaxed_low(formula)
        if tighter is not None and (low is None or tighter > low):
            low = tighter
        tighter = _relaxed_low(-formula)
        if tighter is not None and (high is None or -tighter < high):
            high = -tighter
    return low, high


def _interval(terms: Terms) -> tuple[Bound, Bound]:
    low: Bound = 0
    high: Bound = 0
    for monomial, c in terms.items():
        least: Bound = c
        most: Bound = c
        for number in monomial:
            atom = ATOMS[number]
            least, most = _times(least, most, atom.low, atom.high)
        low = None if low is None or least is None else low + least
        high = None if high is None or most is None else high + most
        if low is None and high is None:
            break
    if low is not None and abs(low) > _CAP:
        low = _CAP if low > 0 else None
    if high is not None and abs(high) > _CAP:
        high = -_CAP if high < 0 else None
    return low, high


def _times(a: Bound, b: Bound, c: Bound, d: Bound) -> tuple[Bound, Bound]:
    """The interval [a, b] * [c, d]; None is infinite (-inf at the left, +inf at the right)."""
    if a is not None and a >= 0 and c is not None and c >= 0:
        if b == 0 or d == 0:
            return 0, 0
        return a * c, None if b is None or d is None else b * d
    if b is not None and b <= 0 and c is not None and c >= 0:
        return None if a is None or d is None else a * d, b * c
    if a is None or b is None or c is None or d is None:
        return None, None
    products = (a * c, a * d, b * c, b * d)
    return min(products), max(products)


def _worth_relaxing(terms: Terms) -> bool:
    """Whether floors may cancel against other terms: several terms, one of them a floor."""
    return len(terms) - (() in terms) > 1 and any(
        ATOMS[number].kind == FLOOR for monomial in terms for number in monomial
    )


def _relaxed_low(formula: Formula) -> Bound:
    """A lower bound by (x - (d-1))/d <= floor(x/d) <= x/d, outermost floors first."""
    best: Bound = None
    scale = 1  # the bound is that of formula * scale
    done: set[int] = set()
    for _ in range(8):
        candidates = [
            number
            for monomial in formula._terms
            for number in monomial
            if ATOMS[number].kind == FLOOR and number not in done
        ]
        if not candidates:
            break
        number = max(candidates)
        done.add(number)
        atom = ATOMS[number]
        d = atom.divisor
        above = atom.parts[0]
        below = above + (1 - d)
        pieces = []
        kept: Terms = {}
        for monomial, c in formula._terms.items():
            others = tuple(n for n in monomial if n != number)
            if len(others) == len(monomial) - 1 and all(_nonnegative(n) for n in others):
                # c * others * floor(x/d) >= c * others * (either bound), as others >= 0
                pieces.append(Formula({others: c}) * (below if c > 0 else above))
            else:
                kept[monomial] = c * d
        formula = sum_formulas([Formula(kept), *pieces])
        scale *= d
        low, _ = _interval(formula._terms)
        if low is not None:
            low = -(-low // scale)
            best = low if best is None else max(best, low)
    return best


def _nonnegative(number: int) -> bool:
    low = ATOMS[number].low
    return low is not None and low >= 0
