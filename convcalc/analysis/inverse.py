"""Backwards through a network: which input sizes give a wanted one, and which keep the weights.

A layer's output along an axis is a formula f(H); f(H) = v is solved for all H at once, which gives
an interval for a chain of layers (VGG-16: 7 comes of 224 … 255). Behind a Flatten a size is a
product, f(H)·g(W): each way to write the wanted number as a product gives a choice of H and of W.
"""

from __future__ import annotations

from math import isqrt

from convcalc.analysis.fit import Sizes, Undecided
from convcalc.errors import ConvcalcError
from convcalc.integers import Formula, UndecidedError, evaluate, expand, substitute, symbols
from convcalc.integers.solutions import Solutions, all_sizes, factors, where_equal
from convcalc.ops.joins import axis_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convcalc.analysis.fit import Fit
    from convcalc.graph import Node
    from convcalc.integers import Size

    #: For each open size its values; every combination of them is meant.
    Box = dict[str, Solutions]

#: Larger numbers are not written as products: that would take long.
MAX_PRODUCT = 10**12
#: So many choices of sizes are told.
MAX_BOXES = 2_000


class Inverse:
    """The input sizes for which a layer's output has the wanted size.

    node: the layer. wanted: one number for each spatial axis of its output, None where any will do.
    sizes: open size → the `Sizes` that are valid and give it; all others are left open.
    """

    __slots__ = ("node", "sizes", "wanted")

    def __init__(self, node: Node, wanted: tuple[int | None, ...], sizes: dict[str, Sizes]) -> None:
        self.node = node
        self.wanted = wanted
        self.sizes = sizes

    @property
    def path(self) -> str:
        return self.node.path

    @property
    def possible(self) -> bool:
        """Whether any input gives it, as far as is decided."""
        return not any(sizes.solutions.empty for sizes in self.sizes.values())

    def __repr__(self) -> str:
        told = ", ".join(f"{name}: {s.solutions!r}" for name, s in self.sizes.items())
        return f"Inverse({self.path!r} = {self.wanted}: {told})"


def inverse(fit: Fit, wanted: int | Sequence[int | None], path: str | None = None) -> Inverse:
    """Which input sizes give a layer's output the wanted size.

    wanted: one number for all spatial axes, or one for each. path: of the layer; None: the last
    value with open spatial sizes, `fit.features`.

    Raises ConvcalcError where there is no such layer, or it has other axes.
    """
    node = _node(fit, path)
    spatial = fit.flow.shapes[node.index][2:] if node.layout == "channels" else ()
    if not any(isinstance(size, Formula) for size in spatial):
        raise ConvcalcError(f"the output of {node.path} does not depend on the input's size")
    asked = (wanted,) * len(spatial) if isinstance(wanted, int) else tuple(wanted)
    if len(asked) != len(spatial):
        raise ConvcalcError(
            f"the output of {node.path} has {len(spatial)} spatial axes, not {len(asked)}"
        )
    found: dict[str, Sizes] = {}
    for axis, (size, value) in enumerate(zip(spatial, asked, strict=True), 2):
        if value is None:
            continue
        names = list(symbols(size))
        if not names:
            if size != value:
                free = "x".join(
                    str(v) if v is not None and symbols(s) else "?"
                    for s, v in zip(spatial, asked, strict=True)
                )
                raise ConvcalcError(
                    f"the {axis_name(axis, len(spatial) + 2)} of {node.path} is {size}, "
                    f"whatever the input; not {value}: ask for {free}"
                )
            continue
        try:
            sizes = Sizes(where_equal(size, value))
        except UndecidedError as error:
            sizes = Sizes(all_sizes(), [Undecided(node, f"{size} = {value}", str(error))])
        for name in names:
            before = found.get(name)
            found[name] = (fit.axis(name).valid if before is None else before) & sizes
    return Inverse(node, asked, found)


def _node(fit: Fit, path: str | None) -> Node:
    if path is None:
        if fit.features is None:
            raise ConvcalcError("no value on the way to the output has an open spatial size")
        return fit.features
    nodes = {node.path: node for node in fit.flow.graph.nodes}
    if path not in nodes:
        from convcalc.errors import closest

        near = closest(path, nodes)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConvcalcError(f"{fit.flow.graph.name} has no layer {path!r}{hint}")
    return nodes[path]


# ---------------------------------------------------------------------------- weights


class Pinned:
    """An entry of a weight's shape that depends on the input's size, as behind a Flatten.

    node, tensor: whose it is. size: the entry. value: what it is at the design's own input.
    """

    __slots__ = ("node", "size", "tensor", "value")

    def __init__(self, node: Node, tensor: str, size: Formula, value: int) -> None:
        self.node = node
        self.tensor = tensor
        self.size = size
        self.value = value

    @property
    def path(self) -> str:
        return self.node.path

    def __repr__(self) -> str:
        return f"Pinned({self.path!r}, {self.tensor}: {self.size} = {self.value})"


class Kept:
    """The sizes for which every weight keeps the shape that it has at the design's own input.

    pinned: the weights that depend on the size. boxes: choices of sizes for all open ones; None
    where they could not be solved, then `reason` tells why. square: those of `Fit.square`.
    """

    __slots__ = ("boxes", "pinned", "reason", "square")

    def __init__(
        self,
        pinned: Sequence[Pinned],
        boxes: Sequence[Box] | None,
        reason: str | None,
        square: Sizes | None,
    ) -> None:
        self.pinned = tuple(pinned)
        self.boxes = None if boxes is None else tuple(boxes)
        self.reason = reason
        self.square = square

    def __repr__(self) -> str:
        return f"Kept({self.pinned!r}, {self.boxes!r})"


def kept(fit: Fit) -> Kept | None:
    """For which sizes the design's weights still fit; None where they do for all.

    It is about a design whose input has numbers: those that it leaves open pin nothing.
    """
    pinned = list(_pinned(fit))
    if not pinned:
        return None
    boxes: list[Box] | None = [{axis.names[0]: axis.valid.solutions for axis in fit.axes}]
    reason = None
    for weight in pinned:
        try:
            boxes = _meet(boxes or [], boxes_where(weight.size, weight.value))
        except UndecidedError as error:
            boxes, reason = None, str(error)
            break
    return Kept(pinned, boxes, reason, _square(fit, pinned))


def _pinned(fit: Fit) -> Iterator[Pinned]:
    known = set()
    for node, facts in fit.layers():
        for tensor in facts.weights:
            for size in tensor.shape:
                if not isinstance(size, Formula) or size.key in known:
                    continue
                if all(name in fit.declared for name in symbols(size)):
                    known.add(size.key)
                    yield Pinned(node, tensor.name, size, evaluate(size, fit.declared))


def _square(fit: Fit, pinned: Iterable[Pinned]) -> Sizes | None:
    if fit.square is None:
        return None
    one = fit.one_size(fit.square.names)
    sizes = fit.square.valid
    for weight in pinned:
        size = expand(substitute(weight.size, one))
        try:
            sizes = sizes & Sizes(where_equal(size, weight.value))
        except UndecidedError as error:
            what = f"{weight.size} = {weight.value}"
            sizes = sizes & Sizes(all_sizes(), [Undecided(weight.node, what, str(error))])
    return sizes


def boxes_where(size: Size, value: int) -> list[Box]:
    """Every choice of open sizes for which a size has a value, as boxes that do not overlap.

    The size is one of a single open size, or a product of such (plus a number). Raises
    UndecidedError for others, and where there are too many choices.
    """
    names = list(symbols(size))
    if len(names) == 1:
        solutions = where_equal(size, value)
        return [] if solutions.empty else [{names[0]: solutions}]
    form = factors(size)
    if form is None:
        raise UndecidedError(f"{size} is no product of sizes that depend on one input size each")
    coefficient, parts, constant = form
    product, rest = divmod(value - constant, coefficient)
    if rest or product < 1:
        return []
    if product > MAX_PRODUCT:
        raise UndecidedError(f"{product:,} is too large to be written as products")
    divisors = _divisors(product)
    # What is chosen so far, and the number that the parts to come multiply to.
    choices: list[tuple[Box, int]] = [({}, product)]
    last = list(parts)[-1]
    for name, part in parts.items():
        known = {divisor: where_equal(part, divisor) for divisor in divisors}
        after: list[tuple[Box, int]] = []
        for box, rest in choices:
            for divisor in (rest,) if name == last else divisors:
                if rest % divisor == 0 and not known[divisor].empty:
                    after.append(({**box, name: known[divisor]}, rest // divisor))
        if len(after) > MAX_BOXES:
            raise UndecidedError(f"there are more than {MAX_BOXES:,} ways to write {product:,}")
        choices = after
    return [box for box, _ in choices]


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _meet(boxes: Iterable[Box], others: Sequence[Box]) -> list[Box]:
    """The sizes that are in a box of both."""
    result = []
    for one in boxes:
        for other in others:
            met = {
                name: one[name] & other[name] if name in one and name in other else solutions
                for name, solutions in {**one, **other}.items()
            }
            if not any(solutions.empty for solutions in met.values()):
                result.append(met)
    return result
