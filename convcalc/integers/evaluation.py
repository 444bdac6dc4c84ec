"""Values of formulas: at ints, at arrays, at other formulas; compiled; packed for pickle."""

from __future__ import annotations

from .errors import MissingSymbolError, OutOfRangeError
from .formulas import (
    ATOMS,
    FLOOR,
    MAX,
    NAMED,
    QUOTIENT,
    SYMBOL,
    Atom,
    Formula,
    as_formula,
    extreme,
    floor_divide,
    named,
    symbol,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping
    from typing import Any

    from .formulas import Size, Terms


def atoms_of(formulas: Iterable[Formula], known: Container[int] = ()) -> list[int]:
    """The numbers of all atoms in the formulas, also those inside others, inner ones first.

    Without those that are `known`, and what is only in them.
    """
    seen: set[int] = set()
    stack = [n for formula in formulas for monomial in formula._terms for n in monomial]
    while stack:
        number = stack.pop()
        if number not in seen and number not in known:
            seen.add(number)
            for part in ATOMS[number].parts:
                for monomial in part._terms:
                    stack.extend(monomial)
    return sorted(seen)


def symbols(formula: Size) -> dict[str, int]:
    """The symbols in a size, also inside named ones, with their lower bounds, by name."""
    lowers: dict[str, int] = {}
    if isinstance(formula, Formula):
        for number in atoms_of([formula]):
            atom = ATOMS[number]
            if atom.kind == SYMBOL and atom.low is not None:
                lowers[atom.name] = max(atom.low, lowers.get(atom.name, atom.low))
    return dict(sorted(lowers.items()))


def _polynomial(terms: Terms, values: Mapping[int, Any]) -> Any:
    total: Any = 0
    for monomial, c in terms.items():
        product: Any = c
        for number in monomial:
            product = values[number] * product
        total = product + total
    return total


def _atom_value(atom: Atom, values: Mapping[int, Any]) -> Any:
    """The value of an atom that is no symbol, from those of the atoms inside it."""
    parts = [_polynomial(part._terms, values) for part in atom.parts]
    if atom.kind == FLOOR:
        return parts[0] // atom.divisor
    if atom.kind == NAMED:
        return parts[0]
    if atom.kind == QUOTIENT:
        return parts[0] // parts[1]
    from .helpers import maximum, minimum

    return maximum(*parts) if atom.kind == MAX else minimum(*parts)


def value_at(formula: Formula, environment: Mapping[str, Any]) -> Any:
    """The value where the symbols have these values, of any kind of number; checks nothing."""
    values: dict[int, Any] = {}
    for number in atoms_of([formula]):
        atom = ATOMS[number]
        if atom.kind == SYMBOL:
            try:
                values[number] = environment[atom.name]
            except KeyError:
                raise MissingSymbolError(atom.name, str(formula)) from None
        else:
            values[number] = _atom_value(atom, values)
    return _polynomial(formula._terms, values)


def _checked(environment: Mapping[str, Any], lowers: Mapping[str, int]) -> tuple[Any, bool]:
    """The environment with arrays guarded against overflow, and whether to unwrap the result."""
    guarded: dict[str, Any] = {}
    unwrap = False
    for name, lower in lowers.items():
        if name not in environment:
            continue  # told where it is missed
        value = environment[name]
        if type(value) is not int:
            from .arrays import IntArray, array

            if isinstance(value, IntArray):
                least = value.least
            elif isinstance(value, Formula):
                raise TypeError(f"{name} is given as a formula; use substitute")
            elif getattr(value, "shape", ()) == () and hasattr(type(value), "__index__"):
                value = least = int(value)
            else:
                value, unwrap = array(value), True
                least = value.least
        else:
            least = value
        if least is not None and least < lower:
            raise OutOfRangeError(f"{name} is at least {lower}, but was given {least}")
        guarded[name] = value
    return guarded, unwrap


def evaluate(size: Size, values: Mapping[str, Any]) -> Any:
    """The value of a size where its symbols have these values: {"H": 224, …}.

    Values are ints (the result is an int), or arrays (numpy arrays give a numpy array, `IntArray`s
    an `IntArray`; both are guarded against overflow). Names that the size lacks are ignored.
    Raises MissingSymbolError, and OutOfRangeError below a symbol's lower bound.
    """
    if not isinstance(size, Formula):
        return size
    guarded, unwrap = _checked(values, symbols(size))
    result = value_at(size, guarded)
    return result.to_numpy() if unwrap and not isinstance(result, int) else result


def compile_formula(size: Size) -> Callable[[Mapping[str, Any]], Any]:
    """`evaluate` for one size at many points: a function of {"H": 224, …}.

    The size is translated to Python once; a call costs little more than its arithmetic.
    """
    if not isinstance(size, Formula):
        return lambda values: size
    lowers = symbols(size)
    run = compile_unchecked(size)
    text = str(size)

    def compiled(values: Mapping[str, Any]) -> Any:
        guarded, unwrap = _checked(values, lowers)
        try:
            result = run(guarded)
        except KeyError as error:
            raise MissingSymbolError(str(error.args[0]), text) from None
        return result.to_numpy() if unwrap and not isinstance(result, int) else result

    return compiled


def compile_unchecked(formula: Formula) -> Callable[[Mapping[str, Any]], Any]:
    """A function of {symbol: number}; shared parts are computed once; nothing is checked."""
    from .helpers import maximum, minimum

    # One assignment an atom. The text holds numbers and names made here, and symbols' names,
    # which are identifiers, as quoted keys.
    lines = []
    for number in atoms_of([formula]):
        atom = ATOMS[number]
        parts = [_source(part._terms) for part in atom.parts]
        if atom.kind == SYMBOL:
            value = f"values[{atom.name!r}]"
        elif atom.kind == FLOOR:
            value = f"({parts[0]}) // {atom.divisor}"
        elif atom.kind == QUOTIENT:
            value = f"({parts[0]}) // ({parts[1]})"
        elif atom.kind == NAMED:
            value = parts[0]
        else:
            value = f"{'maximum' if atom.kind == MAX else 'minimum'}({', '.join(parts)})"
        lines.append(f"    a{number} = {value}\n")
    source = f"def run(values):\n{''.join(lines)}    return {_source(formula._terms)}\n"
    scope: dict[str, Any] = {"maximum": maximum, "minimum": minimum}
    exec(compile(source, "<formula>", "exec"), scope)
    run: Callable[[Mapping[str, Any]], Any] = scope["run"]
    return run


def _source(terms: Terms) -> str:
    products = []
    for monomial, c in terms.items():
        factors = [f"a{number}" for number in monomial]
        if c != 1 or not factors:
            factors.append(f"({c})" if c < 0 else str(c))
        products.append(" * ".join(factors))
    return " + ".join(products) or "0"


def rebuild(formula: Formula, replacements: Mapping[str, Any], memo: dict[int, Formula]) -> Formula:
    """The formula made anew with symbols replaced and names expanded; `memo` is by atom."""
    for number in atoms_of([formula], memo):
        atom = ATOMS[number]
        if atom.kind == SYMBOL:
            memo[number] = as_formula(replacements.get(atom.name, Formula({(number,): 1})))
        elif not replacements and not atom.named:
            memo[number] = Formula({(number,): 1})
        elif not replacements and atom.kind == NAMED:
            memo[number] = atom.parts[0]  # which holds no names
        else:
            memo[number] = _remade(atom, memo)
    return as_formula(_polynomial(formula._terms, memo))


def _remade(atom: Atom, memo: Mapping[int, Formula]) -> Formula:
    parts = [as_formula(_polynomial(part._terms, memo)) for part in atom.parts]
    if atom.kind == FLOOR:
        return floor_divide(parts[0], atom.divisor)
    if atom.kind == NAMED:
        return parts[0]
    if atom.kind == QUOTIENT:
        return floor_divide(parts[0], parts[1])
    return extreme(parts, atom.kind)


def substitute(size: Size, values: Mapping[str, int | Formula]) -> Size:
    """The size with symbols replaced by ints or formulas; an int where nothing stays open.

    Names that depend on a replaced symbol are expanded. A replacement must keep to the symbol's
    lower bound, on which maxima and minima may have been decided: a constant below raises
    OutOfRangeError; for a formula this is the caller's to know (`at_least` decides it).
    """
    if not isinstance(size, Formula):
        return size
    replaced = {}
    for name, lower in symbols(size).items():
        if name in values:
            value = as_formula(values[name])
            constant = value.constant
            if constant is not None and constant < lower:
                raise OutOfRangeError(f"{name} is at least {lower}, but was given {constant}")
            replaced[name] = value
    if not replaced:
        return size
    result = rebuild(size, replaced, _unaffected(size, replaced))
    constant = result.constant
    return result if constant is None else constant


def _unaffected(formula: Formula, replaced: Mapping[str, Any]) -> dict[int, Formula]:
    """Atoms that hold none of the replaced symbols, as they are: their names need not go."""
    affected: set[int] = set()
    memo = {}
    for number in atoms_of([formula]):
        atom = ATOMS[number]
        if atom.kind == SYMBOL:
            hit = atom.name in replaced
        else:
            hit = any(n in affected for part in atom.parts for m in part._terms for n in m)
        if hit:
            affected.add(number)
        else:
            memo[number] = Formula({(number,): 1})
    return memo


# Probe points: fixed values by which formulas are hashed and told apart quickly.


def probe_point(name: str, lower: int, index: int) -> int:
    """A value for a symbol, the same in every process, above any usual lower bound."""
    state = 0xCBF29CE484222325 + index  # FNV-1a, 64 bits
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % (1 << 64)
    value = (1 << 20) + (state ^ (state >> 32)) % (1 << 20)
    return value if value >= lower else value + lower


_PROBED: tuple[dict[int, int], dict[int, int]] = {}, {}  # atom: value, at either point


def probe_values(formula: Formula) -> tuple[int, int]:
    """The values at the two probe points; 0 where a symbolic divisor is zero there."""
    one, two = _PROBED
    for number in atoms_of([formula], two):
        atom = ATOMS[number]
        one[number] = _probe(atom, 0, one)
        two[number] = _probe(atom, 1, two)
    return _polynomial(formula._terms, one), _polynomial(formula._terms, two)


def _probe(atom: Atom, index: int, values: Mapping[int, int]) -> int:
    if atom.kind == SYMBOL:
        return probe_point(atom.name, atom.low or 0, index)
    try:
        value: int = _atom_value(atom, values)
    except ZeroDivisionError:
        return 0
    return value


# Packed form: plain tuples, for pickle. Atoms refer to earlier ones by position.


def pack(formula: Formula) -> tuple[object, ...]:
    """The formula as nested tuples of ints and strings, which mean the same in every process."""
    numbers = atoms_of([formula])
    position = {number: index for index, number in enumerate(numbers)}

    def packed(terms: Terms) -> tuple[tuple[int, tuple[int, ...]], ...]:
        return tuple((c, tuple(position[n] for n in monomial)) for monomial, c in terms.items())

    table = []
    for number in numbers:
        atom = ATOMS[number]
        extra = atom.low if atom.kind == SYMBOL else atom.divisor
        table.append((atom.kind, atom.name, extra, tuple(packed(p._terms) for p in atom.parts)))
    return tuple(table), packed(formula._terms)


def unpack(packed: Any) -> Formula:
    """The formula of a `pack`ed form."""
    table, terms = packed
    memo: dict[int, Formula] = {}

    def formula(pairs: Any) -> Formula:
        return as_formula(_polynomial({monomial: c for c, monomial in pairs}, memo))

    for index, (kind, name, extra, packed_parts) in enumerate(table):
        parts = [formula(part) for part in packed_parts]
        if kind == SYMBOL:
            memo[index] = symbol(name, extra)
        elif kind == NAMED:
            memo[index] = named(parts[0], name)
        elif kind == FLOOR:
            memo[index] = floor_divide(parts[0], extra)
        elif kind == QUOTIENT:
            memo[index] = floor_divide(parts[0], parts[1])
        else:
            memo[index] = extreme(parts, kind)
    return formula(terms)
