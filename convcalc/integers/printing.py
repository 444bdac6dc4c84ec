"""Formulas as text: plain (parses back), pretty, Python and LaTeX.

The text of a formula does not depend on what else the process has computed before: factors and
terms are ordered by their text, batch size N first.
"""

from __future__ import annotations

from .errors import FormulaTooLargeError
from .evaluation import atoms_of, symbols
from .formulas import ATOMS, FLOOR, MAX, NAMED, QUOTIENT, SYMBOL, Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .formulas import Atom, Key, Monomial, Size, Terms

MAX_TEXT = 1 << 20  # characters of a formula's text and of the texts of all its parts
_SHOWN_LIMIT = 1 << 12  # texts kept; a full table is emptied
_MAX_BITS = 1 << 13  # of a coefficient; Python prints no more than about that


def to_text(size: Size) -> str:
    """The size as plain text that `parse` reads back: `2*(H//16) + 1`.

    Names of named sizes stand for themselves (`definitions` tells them). Raises
    FormulaTooLargeError where the text would take more than a megabyte.
    """
    return _Plain().text(size)


def pretty(size: Size) -> str:
    """For reading, not for parsing: `18,939,904·N·h4·w4 + d²`."""
    return _Pretty().text(size)


def to_python(size: Size) -> str:
    """A Python expression in the symbols and names, of ints, + - * // **, max and min only."""
    return _Plain().text(size)


def to_latex(size: Size) -> str:
    """LaTeX (math mode), floors as \\left\\lfloor \\frac{…}{…} \\right\\rfloor."""
    return _Latex().text(size)


_SHOWN: dict[Key, str] = {}


def shown(formula: Formula) -> str:
    """`to_text`, or a description of a formula that is too large to print."""
    text = _SHOWN.get(formula.key)
    if text is None:
        try:
            text = to_text(formula)
        except FormulaTooLargeError:
            names = ", ".join(symbols(formula))
            text = f"<a formula of {len(atoms_of([formula])):,} parts in {names}>"
        if len(_SHOWN) >= _SHOWN_LIMIT:
            _SHOWN.clear()
        _SHOWN[formula.key] = text
    return text


def short(number: int) -> str:
    """A number in a message: Python refuses to print more than 4300 digits."""
    return f"{number:,}" if number.bit_length() < 200 else f"a number of {number.bit_length()} bits"


def definitions(*sizes: Size) -> dict[str, Formula]:
    """The named sizes in these sizes: {name as printed: definition}, h2 before h10."""
    numbers = atoms_of([size for size in sizes if isinstance(size, Formula)])
    shown_names = display_names(numbers)
    return {
        shown_names[number]: ATOMS[number].parts[0]
        for number in sorted(shown_names, key=lambda n: _natural(shown_names[n]))
        if ATOMS[number].kind == NAMED
    }


def display_names(numbers: list[int]) -> dict[int, str]:
    """How the symbols and named sizes among these atoms are printed: each name once."""
    result = {}
    taken = set()
    for number in numbers:
        if ATOMS[number].kind == SYMBOL:  # one name is one variable, whatever bound it came with
            result[number] = ATOMS[number].name
            taken.add(ATOMS[number].name)
    for number in numbers:
        atom = ATOMS[number]
        if atom.kind == NAMED:
            name, count = atom.name, 1
            while name in taken:
                count += 1
                name = f"{atom.name}_{count}"
            result[number] = name
            taken.add(name)
    return result


def _natural(text: str) -> tuple[object, ...]:
    """Orders N first, then by letters and numbers: h2 before h10."""
    pieces: list[tuple[int, int, str]] = []
    index = 0
    while index < len(text):
        start = index
        digit = text[index].isdecimal()
        while index < len(text) and text[index].isdecimal() == digit:
            index += 1
        piece = text[start:index]
        pieces.append((0, int(piece), "") if digit and len(piece) < 19 else (1, 0, piece))
    return (text != "N", pieces)


class _Plain:
    """Writes a formula. Subclasses change the notation, not the order or the grouping."""

    digits = "d"  # how numbers are formatted
    floor_binds = False  # whether a floor may stand in a product as it is

    def number(self, value: int) -> str:
        if value.bit_length() > _MAX_BITS:
            raise FormulaTooLargeError(f"the text of {short(value)}")
        return format(value, self.digits)

    def name(self, name: str) -> str:
        return name

    def times(self, factors: list[str]) -> str:
        return "*".join(factors)

    def power(self, base: str, exponent: int) -> str:
        return f"{base}**{exponent}"

    def group(self, text: str) -> str:
        return f"({text})"

    def floor(self, numerator: str, bare: bool, divisor: str) -> str:
        return f"{numerator if bare else self.group(numerator)}//{divisor}"

    def call(self, function: str, arguments: list[str]) -> str:
        return f"{function}({', '.join(arguments)})"

    def text(self, size: Size) -> str:
        if not isinstance(size, Formula):
            if not isinstance(size, int):
                raise TypeError(f"only ints and formulas have a text, not {type(size).__name__}")
            return self.number(size)
        numbers = atoms_of([size])
        names = display_names(numbers)
        self.texts: dict[int, str] = {}
        self.order: dict[int, tuple[object, ...]] = {}
        length = 0
        for number in numbers:
            atom = ATOMS[number]
            text = self.name(names[number]) if number in names else self._compound(atom)
            self.texts[number] = text
            self.order[number] = (0, *_natural(text)) if number in names else (1, text)
            length += len(text)
            if length > MAX_TEXT:
                raise FormulaTooLargeError(f"the text of a formula of {len(numbers):,} parts")
        return self._whole(size._terms)

    def _compound(self, atom: Atom) -> str:
        if atom.kind == FLOOR:
            return self._floor(atom, 0)
        parts = [self._whole(part._terms) for part in atom.parts]
        if atom.kind == QUOTIENT:
            divisor = parts[1] if self._bare(atom.parts[1]._terms) else self.group(parts[1])
            return self.floor(parts[0], self._bare(atom.parts[0]._terms), divisor)
        return self.call("max" if atom.kind == MAX else "min", sorted(parts))

    def _floor(self, atom: Atom, whole: int) -> str:
        """floor(P/d) + whole, the whole number taken into the floor."""
        terms = (atom.parts[0] + whole * atom.divisor)._terms
        return self.floor(self._sum(terms), self._bare(terms), self.number(atom.divisor))

    def _bare(self, terms: Terms) -> bool:
        """Whether the text may stand before // and after * as it is."""
        if len(terms) != 1:
            return not terms
        ((monomial, c),) = terms.items()
        if not monomial:
            return c >= 0
        return c == 1 and len(monomial) == 1 and ATOMS[monomial[0]].kind not in (FLOOR, QUOTIENT)

    def _whole(self, terms: Terms) -> str:
        """The shortest of the sum as it is and with its constant inside its only floor."""
        plain = self._sum(terms)
        constant = terms.get((), 0)
        if len(terms) != 2 or not constant:
            return plain
        ((monomial, c),) = ((m, c) for m, c in terms.items() if m)
        if len(monomial) != 1 or ATOMS[monomial[0]].kind != FLOOR or constant % c:
            return plain
        folded = self._floor(ATOMS[monomial[0]], constant // c)
        if c != 1:
            inner = folded if self.floor_binds else self.group(folded)
            sign = "-" if c < 0 else ""
            factors = [inner] if abs(c) == 1 else [self.number(abs(c)), inner]
            folded = sign + self.times(factors)
        return folded if len(folded) <= len(plain) else plain

    def _sum(self, terms: Terms) -> str:
        if not terms:
            return self.number(0)
        ordered = sorted(terms, key=self._place)
        first = next((m for m in ordered if terms[m] > 0), ordered[0])  # H - W, not -W + H
        ordered.remove(first)
        pieces = [self._signed(first, terms[first])]
        for monomial in ordered:
            c = terms[monomial]
            pieces.append(" - " if c < 0 else " + ")
            pieces.append(self._product(monomial, abs(c)))
        return "".join(pieces)

    def _signed(self, monomial: Monomial, c: int) -> str:
        if c > 0:
            return self._product(monomial, c)
        if c == -1 and len(monomial) == 1 and not self.floor_binds:
            text = self.texts[monomial[0]]  # -(H//2): the minus sign would bind first
            return "-" + (self.group(text) if self._divides(monomial[0]) else text)
        return "-" + self._product(monomial, -c)

    def _place(self, monomial: Monomial) -> tuple[object, ...]:
        return (-len(monomial), sorted(self.order[number] for number in monomial))

    def _divides(self, number: int) -> bool:
        return ATOMS[number].kind in (FLOOR, QUOTIENT) and not self.floor_binds

    def _product(self, monomial: Monomial, c: int) -> str:
        if not monomial:
            return self.number(c)
        if c == 1 and len(monomial) == 1:
            return self.texts[monomial[0]]
        factors = [] if c == 1 else [self.number(c)]
        for number in sorted(set(monomial), key=lambda n: self.order[n]):
            text = self.texts[number]
            if self._divides(number):
                text = self.group(text)
            count = monomial.count(number)
            factors.append(text if count == 1 else self.power(text, count))
        return self.times(factors)


_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


class _Pretty(_Plain):
    digits = ","

    def times(self, factors: list[str]) -> str:
        return "·".join(factors)

    def power(self, base: str, exponent: int) -> str:
        if exponent < len(_SUPERSCRIPTS):
            return f"{base}{_SUPERSCRIPTS[exponent]}"
        return super().power(base, exponent)


class _Latex(_Plain):
    floor_binds = True

    def name(self, name: str) -> str:
        stem = name.rstrip("0123456789")
        digits = name[len(stem) :]
        stem = stem.rstrip("_") or stem
        letters = stem if len(stem) == 1 else "\\mathrm{" + stem.replace("_", "\\_") + "}"
        return f"{letters}_{{{digits}}}" if digits else letters

    def times(self, factors: list[str]) -> str:
        return " \\cdot ".join(factors)

    def power(self, base: str, exponent: int) -> str:
        return f"{{{base}}}^{{{exponent}}}"

    def group(self, text: str) -> str:
        return f"\\left({text}\\right)"

    def floor(self, numerator: str, bare: bool, divisor: str) -> str:
        return f"\\left\\lfloor \\frac{{{numerator}}}{{{divisor}}} \\right\\rfloor"

    def call(self, function: str, arguments: list[str]) -> str:
        return f"\\{function}\\left({', '.join(arguments)}\\right)"
