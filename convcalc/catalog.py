"""The networks of the zoo side by side: chosen by what they cost, take and say of themselves.

    small = Filter("params", "<5M")
    [entry.name for entry in entries(filters=[small], sort="macs").shown]

Every variant is judged for itself.
"""

from __future__ import annotations

import re

from convcalc import zoo
from convcalc.errors import ConvcalcError, closest
from convcalc.language.faults import Fault
from convcalc.language.figures import parse_amount
from convcalc.network import Network, networks, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convcalc.analysis.summary import Summary
    from convcalc.integers import Size
    from convcalc.language import Document
    from convcalc.language.figures import Amount

#: What `entries` sorts by.
SORTS = ("name", "params", "macs", "year")

_YEAR = re.compile(r"\b(19[5-9]\d|20\d\d)\b(?!\.\d)")  # not the number of a paper: arXiv:2010.11929
_SIGNS = ("<=", ">=", "==", "<", ">", "=")


class FilterError(ConvcalcError):
    """A condition is not written as one. help: what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class Entry:
    """A network of the zoo in one of its variants, at its own input and one sample.

    name: as every command takes it. variants: how many it has, where it stands for all of them.
    cite: where it is published; year: when, None where that is not said.
    """

    def __init__(self, name: str, network: Network, variants: int) -> None:
        self.name = name
        self.network = network
        self.variants = variants
        self.cite = network.cite
        found = _YEAR.search(self.cite)
        self.year = int(found[1]) if found else None
        self._summary: Summary | None = None

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            self._summary = self.network.summary()
        return self._summary

    def figure(self, name: str) -> Size | None:
        """Its params, macs or year: a formula where that depends on a size which is left open."""
        if name == "year":
            return self.year
        size: Size = getattr(self.summary.totals, name)
        return size

    def says(self, word: str) -> bool:
        """Whether the word stands in its name, variant, title, source or notes."""
        document = self.network.document
        variant = self.network.variant or ""
        texts = (self.name, variant, document.name, self.cite, document.notes)
        return word.casefold() in "\n".join(texts).casefold()

    def uses(self, layer: str) -> bool:
        """Whether it has a layer of that name."""
        nodes = self.network.graph.nodes
        return any(node.op is not None and node.op.name() == layer for node in nodes)


class Range:
    """Numbers between bounds: `<5M`, `>=1G`, `5M..10M` (both ends in), `..10M`, `138M`.

    K, M, G, T are powers of 1000. One that stands alone is meant exactly, with a unit: what rounds
    to it. figure: the key it is about, as in `expect`. Raises FilterError.
    """

    def __init__(self, figure: str, text: str) -> None:
        self.text = text
        low, dots, high = text.partition("..")
        if dots:
            pairs = [(">=", low), ("<=", high)]
            pairs = [(sign, bound) for sign, bound in pairs if bound.strip()]
        else:
            sign = next((sign for sign in _SIGNS if text.strip().startswith(sign)), "")
            pairs = [(sign or "=", text.strip().removeprefix(sign))]
        if not pairs:
            raise FilterError(f"--{figure} takes a condition, not {text!r}", _help(figure))
        self.bounds = [(sign, self._amount(figure, bound.strip())) for sign, bound in pairs]
        if len(self.bounds) == 2:
            (_, least), (_, most) = self.bounds
            if least.digits * least.unit * most.scale > most.digits * most.unit * least.scale:
                raise FilterError(f"--{figure} {text!r}: nothing is between these bounds")

    def _amount(self, figure: str, bound: str) -> Amount:
        key = figure if figure in ("params", "macs") else "params"
        if key != figure and not (bound.isdecimal() and bound.isascii()):
            raise FilterError(f"--{figure} takes a condition, not {self.text!r}", _help(figure))
        try:
            return parse_amount(key, bound, 0, len(bound))
        except Fault as fault:
            message = f"--{figure} takes a condition, not {self.text!r}: {fault.message}"
            raise FilterError(message, _help(figure)) from None

    def holds(self, number: int) -> bool:
        return all(_compare(sign, number, amount) for sign, amount in self.bounds)


def _compare(sign: str, number: int, amount: Amount) -> bool:
    left, right = number * amount.scale, amount.digits * amount.unit
    if sign == "<":
        return left < right
    if sign == "<=":
        return left <= right
    if sign == ">":
        return left > right
    if sign == ">=":
        return left >= right
    return amount.matches(number)


def _help(figure: str) -> str:
    few, many = {"params": ("5M", "10M"), "macs": ("1G", "2.5G"), "year": ("2015", "2020")}.get(
        figure, ("224", "299")
    )
    return f"as in --{figure} '<{few}', '>={few}', {few}..{many} or {few}"


class Filter:
    """What a number of an entry must be. figure: "params", "macs" or "year"."""

    def __init__(self, figure: str, text: str) -> None:
        self.figure = figure
        self.range = Range(figure, text)


class InputFilter:
    """What the input of an entry must look like, one condition an axis: 3x224x224, 1x?, 3x>=299x?.

    ? stands for any size; a size that the design leaves open meets every condition. Of several
    inputs one must meet it. Raises FilterError.
    """

    def __init__(self, text: str) -> None:
        parts = [part.strip() for part in text.replace("×", "x").split("x")]
        if not all(parts):
            raise FilterError(
                f"--input takes a shape without the batch, not {text!r}",
                "as in --input 3x224x224, 3x?x?, or '3x>=299x?'; ? is any size",
            )
        self.ranges = [None if part == "?" else Range("input", part) for part in parts]

    def holds(self, shape: Sequence[Size]) -> bool:
        """shape: of one sample."""
        if len(shape) != len(self.ranges):
            return False
        pairs = zip(shape, self.ranges, strict=True)
        return all(not isinstance(size, int) or not r or r.holds(size) for size, r in pairs)


class Listing:
    """shown: the entries that were asked for, in order. total: how many were looked at.

    asked: whether there was any condition. open: those that could not be judged, for a figure
    depends on a size that they leave open.
    """

    def __init__(self, shown: list[Entry], total: int, asked: bool, open: list[Entry]) -> None:
        self.shown = shown
        self.total = total
        self.asked = asked
        self.open = open


def entries(
    words: Iterable[str] = (),
    filters: Sequence[Filter] = (),
    inputs: Sequence[InputFilter] = (),
    layers: Sequence[str] = (),
    *,
    sort: str = "name",
    reverse: bool = False,
    variants: bool = False,
    lectures: bool = False,
) -> Listing:
    """The networks of the zoo that meet all conditions.

    words: each in the name, variant, title, source or notes. layers: each among its layers.
    sort: one of SORTS; names in alphabetical order, variants as their file has them; entries
        that have no such number come last. reverse: the largest first.
    variants: an entry for each variant, as with any condition; otherwise the default one.
    lectures: the exercises of the lectures in place of the zoo.

    Raises FilterError for a layer that there is not.
    """
    for layer in layers:
        _known(layer)
    words = list(words)
    asked = bool(words or filters or inputs or layers)
    found: list[Entry] = []
    unknown: list[Entry] = []
    total = 0
    for entry in _all(asked or variants, zoo.LECTURES if lectures else ""):
        total += 1
        if not all(map(entry.says, words)) or not all(map(entry.uses, layers)):
            continue
        if not all(_takes(entry, condition) for condition in inputs):
            continue
        met = [_meets(entry, condition) for condition in filters]
        if all(met):
            found.append(entry)
        elif False not in met:
            unknown.append(entry)
    return Listing(_sorted(found, sort, reverse), total, asked, unknown)


def _all(every_variant: bool, folder: str) -> Iterator[Entry]:
    for name in zoo.names(folder):
        document = read(name)
        for network in _variants(document, every_variant):
            yield Entry(name, network, 0 if every_variant else len(document.variants))


def _variants(document: Document, every: bool) -> Iterable[Network]:
    return networks(document) if every else (Network(document, None, {}),)


def _known(layer: str) -> None:
    from convcalc.ops import REGISTRY

    if layer not in REGISTRY:
        near = closest(layer, REGISTRY)
        help = f"did you mean {near!r}?" if near else "`convcalc ops` lists them"
        raise FilterError(f"there is no layer {layer!r}", help)


def _takes(entry: Entry, condition: InputFilter) -> bool:
    return any(condition.holds(shape[1:]) for shape in entry.summary.inputs.values())


def _meets(entry: Entry, condition: Filter) -> bool | None:
    """None: that depends on a size which the design leaves open."""
    figure = entry.figure(condition.figure)
    if figure is None:
        return False
    return condition.range.holds(figure) if isinstance(figure, int) else None


def _sorted(found: list[Entry], by: str, reverse: bool) -> list[Entry]:
    if by == "name":
        return found[::-1] if reverse else found
    figures = [(entry, entry.figure(by)) for entry in found]
    known = [(figure, entry) for entry, figure in figures if isinstance(figure, int)]
    known.sort(key=lambda pair: pair[0], reverse=reverse)
    rest = [entry for entry, figure in figures if not isinstance(figure, int)]
    return [entry for _, entry in known] + rest


__all__ = ["SORTS", "Entry", "Filter", "FilterError", "InputFilter", "Listing", "Range", "entries"]
