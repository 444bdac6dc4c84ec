"""Names for the sizes of one network: h1, h2, w1, …"""

from __future__ import annotations

from .formulas import ATOMS, NAMED, Formula, as_formula, expand, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .formulas import Key, Size


class Names:
    """Numbers the sizes of one network, so that one value has one name and one name one value.

    A cost that multiplies named sizes stays a short polynomial: `64*N*h2*w2`. Rules may run on
    named sizes: naming their result expands it first, so a chain of layers stays one floor.
    """

    def __init__(self, reserved: tuple[str, ...] = (), unnamed: tuple[str, ...] = ()) -> None:
        """`reserved` names (those of the network's symbols) are never given. What depends on
        symbols in `unnamed` alone keeps its form: `4*width` says more than a name."""
        self._taken = {*reserved, *unnamed}
        self._unnamed = frozenset(unnamed)
        self._counts: dict[str, int] = {}
        self._by_key: dict[Key, Formula] = {}
        #: The ids of all results, which are kept alive: these sizes need no name any more.
        self.given: set[int] = set()
        self._kept: list[Formula] = []
        self._by_hash: dict[int, list[tuple[Formula, Formula]]] = {}

    def name(self, size: Size, stem: str) -> Size:
        """`size` under the next free name of `stem` (h1, h2, …), or the one its value has.

        Ints, arrays, open sizes, constants and plain symbols need no name and come back as they
        are (constants as ints).
        """
        if not isinstance(size, Formula):
            return size
        found = self._by_key.get(size.key)
        if found is not None:
            return found
        definition = expand(size)
        constant = definition.constant
        if constant is not None:
            return constant
        if definition.is_symbol or self._keeps_form(definition):
            result = definition
        else:
            result = self._named(definition, stem)
        self._by_key[size.key] = self._by_key[definition.key] = self._by_key[result.key] = result
        self.given.add(id(result))
        self._kept.append(result)
        return result

    def _keeps_form(self, definition: Formula) -> bool:
        if not self._unnamed:
            return False
        from .evaluation import symbols

        return self._unnamed.issuperset(symbols(definition))

    def adopt(self, size: Size) -> Size:
        """The same value with the names of other networks replaced by names of this one."""
        if not isinstance(size, Formula):
            return size
        total = as_formula(0)
        for monomial, c in size._terms.items():
            product: Size = c
            for number in monomial:
                atom = ATOMS[number]
                factor: Size
                factor = alone = Formula({(number,): 1})
                if atom.kind == NAMED:
                    factor = self.name(alone, atom.name.rstrip("0123456789_") or "s")
                elif atom.named:
                    factor = expand(alone)
                product = product * factor
            total = total + product
        return total

    def _named(self, definition: Formula, stem: str) -> Formula:
        found = self._by_key.get(definition.key)
        if found is not None:
            return found
        same_hash = self._by_hash.setdefault(hash(definition), [])
        if same_hash:  # maybe another form of the same value: H - H//2 is (H + 1)//2
            from .decide import equal

            for known, result in same_hash:
                if equal(known, definition).proved:
                    return result
        count = self._counts.get(stem, 0) + 1
        while f"{stem}{count}" in self._taken:
            count += 1
        self._counts[stem] = count
        result = named(definition, f"{stem}{count}")
        same_hash.append((definition, result))
        return result
