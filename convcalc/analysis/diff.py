"""What changed between two designs: layers aligned, and figures before, after and their difference.

Each design is a tree of the blocks it was written in (loops and repeats are only ways of writing,
and are taken apart). Blocks and layers of one level are aligned as sequences: what is equal first,
then what bears the same name; two aligned blocks that are not equal are compared inside.
"""

from __future__ import annotations

from convcalc.analysis.figures import LAYER_FIGURES
from convcalc.errors import ConvcalcError
from convcalc.integers import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Literal, TypeAlias

    from convcalc.analysis.summary import Layer, Summary
    from convcalc.graph import Scope
    from convcalc.integers import Size
    from convcalc.ops.base import Shape

    Kind = Literal["same", "changed", "added", "removed"]
    Pair: TypeAlias = tuple["Piece | None", "Piece | None"]

#: The figures of a layer that are compared.
FIGURES = LAYER_FIGURES
_MEMORY = ("allocated_bytes", "saved_bytes")
#: The totals that are compared, those that both designs have.
TOTALS = (
    "params",
    "trainable_params",
    "buffers",
    "aux_params",
    "macs",
    "aux_macs",
    "weights_bytes",
    "allocated_bytes",
    "saved_bytes",
    "inference_peak_bytes",
    "training_peak_bytes",
)

# Aligning n with m pieces by dynamic programming takes n·m steps; longer sequences are cut first.
_CELLS = 20_000
_CHUNK = 100
# Of two alignments the one with more pairs of a name wins, unless the other has many more equals;
# a pair with weights counts as two without.
_EQUAL, _NAMED = 20, 16
#: Arguments that count channels: without them a layer is known by how it reads its input.
_CHANNELS = ("out_channels", "out_features", "groups", "in_channels")


class Piece:
    """A layer of one design, or a block of them. A block around a single layer is that layer.

    label: as it is written (`Act: Tanh`). names: those it bears. structure: equal for pieces of the
    same layers and arguments; full: also of the same shapes and figures; shape: whatever their
    channels; skeleton: of the same kinds of layers. check: of the structure, in every process the
    same. heavy: whether it has weights.
    """

    __slots__ = (
        "check",
        "children",
        "full",
        "heavy",
        "label",
        "last",
        "layer",
        "names",
        "shape",
        "skeleton",
        "structure",
    )

    def __init__(self, name: str, label: str, layer: Layer | None = None) -> None:
        self.names: tuple[str, ...] = (name,)
        self.label = label
        self.layer = layer
        self.children: list[Piece] = []
        self.last: Layer | None = layer
        self.structure = self.full = self.shape = self.skeleton = self.check = 0
        self.heavy = False

    @property
    def output(self) -> Shape:
        """The shape of what comes out at its end, batch first."""
        assert self.last is not None
        return self.last.output

    def layers(self) -> Iterator[Layer]:
        todo = [self]
        while todo:
            piece = todo.pop()
            if piece.layer is not None:
                yield piece.layer
            todo += reversed(piece.children)

    def figure(self, name: str) -> Size:
        """The sum over its layers."""
        from convcalc.integers import total

        return total(getattr(layer, name) for layer in self.layers())


class Part:
    """A piece of one design beside its counterpart in the other.

    kind: "same", "changed", "added" (there is no `before`), "removed" (no `after`). children: the
    parts of two aligned blocks, else empty.
    """

    __slots__ = ("after", "before", "children", "kind")

    def __init__(
        self, kind: Kind, before: Piece | None, after: Piece | None, children: Sequence[Part] = ()
    ) -> None:
        self.kind: Kind = kind
        self.before = before
        self.after = after
        self.children = tuple(children)

    def difference(self, figure: str) -> Size:
        """After minus before."""
        before = 0 if self.before is None else self.before.figure(figure)
        after = 0 if self.after is None else self.after.figure(figure)
        return subtracted(after, before)


class Change:
    """A layer that was added, removed or changed.

    kind: "added" (`before` is None), "removed" (`after` is None), "changed": its arguments, its
    output or a figure.
    """

    __slots__ = ("after", "before", "kind")

    def __init__(self, kind: Kind, before: Layer | None, after: Layer | None) -> None:
        self.kind: Kind = kind
        self.before = before
        self.after = after

    def difference(self, figure: str) -> Size:
        """After minus before, of one of `FIGURES`; a layer that is not there counts nothing."""
        before = 0 if self.before is None else getattr(self.before, figure)
        after = 0 if self.after is None else getattr(self.after, figure)
        return subtracted(after, before)

    def __repr__(self) -> str:
        paths = [layer.path for layer in (self.before, self.after) if layer is not None]
        return f"Change({self.kind!r}, {' → '.join(dict.fromkeys(paths))})"


class Diff:
    """Two designs compared.

    before, after: their summaries. changes: every layer that differs, in the order of the designs.
    same: how many layers do not. parts: the same as a tree of blocks.
    """

    def __init__(self, before: Summary, after: Summary) -> None:
        self.before = before
        self.after = after
        self.parts: tuple[Part, ...] = tuple(_Comparison().run(before, after))
        self.changes = tuple(_changes(self.parts))
        gone = sum(change.before is not None for change in self.changes)
        self.same = len(before.layers) - gone

    @property
    def empty(self) -> bool:
        """Whether no layer and no total differs, and the inputs are the same."""
        shapes = [
            {name: [*map(_token, shape)] for name, shape in summary.inputs.items()}
            for summary in (self.before, self.after)
        ]
        return (
            not self.changes
            and shapes[0] == shapes[1]
            and not any(_differ(*self.total(figure)[:2]) for figure in self.totals)
        )

    @property
    def figures(self) -> tuple[str, ...]:
        """Those of `FIGURES` that hold at every size that is open."""
        return tuple(name for name in FIGURES if name not in _MEMORY or self._memory)

    @property
    def _memory(self) -> bool:
        return not (self.before.no_memory_formula or self.after.no_memory_formula)

    @property
    def totals(self) -> tuple[str, ...]:
        """The names of the totals that both designs have; peaks only where all is numbers."""
        sides = self.before.totals, self.after.totals
        return tuple(
            name
            for name in TOTALS
            if name not in _MEMORY or self._memory
            if all(isinstance(getattr(side, name), (int, Formula)) for side in sides)
        )

    def total(self, figure: str) -> tuple[Size, Size, Size]:
        """(before, after, after minus before) of a total; a formula where sizes are open.

        Raises ConvcalcError for one that there is not.
        """
        if figure not in self.totals:
            raise ConvcalcError(f"no total {figure!r}; there are {', '.join(self.totals)}")
        before, after = getattr(self.before.totals, figure), getattr(self.after.totals, figure)
        return before, after, subtracted(after, before)

    def difference(self, figure: str = "macs") -> Size:
        """After minus before of a total: `str(diff.difference("macs"))` is
        "18939904*N*h4*w4" from ResNet-50 to ResNet-101."""
        return self.total(figure)[2]

    def definitions(self) -> dict[str, Formula]:
        """What the named sizes in both designs stand for: h1 = (H + 1)//2; {} for ints."""
        if self.before.flow.names is None and self.after.flow.names is None:
            return {}
        from convcalc.integers import definitions

        formulas: list[Size] = []
        for summary in (self.before, self.after):
            for layer in {layer.figures: layer for layer in summary.layers}.values():
                formulas += [*layer.output, layer.params, layer.macs]
        return definitions(*formulas)

    def __repr__(self) -> str:
        return f"Diff({self.before.name!r}, {self.after.name!r}, {len(self.changes)} changes)"


def subtracted(after: Size, before: Size) -> Size:
    """after − before, an int where it is one."""
    difference = after - before
    constant = difference.constant if isinstance(difference, Formula) else None
    return difference if constant is None else constant


def _differ(one: Size, other: Size) -> bool:
    """Whether they are not shown to be equal."""
    difference = subtracted(one, other)
    if isinstance(difference, Formula):
        from convcalc.integers import equal

        return not equal(one, other).proved
    return bool(difference != 0)


def _changes(parts: Iterable[Part]) -> Iterator[Change]:
    todo = list(reversed(list(parts)))
    while todo:
        part = todo.pop()
        if part.children:
            todo += reversed(part.children)
        elif part.kind == "changed":
            assert part.before is not None
            assert part.after is not None
            yield Change("changed", part.before.layer, part.after.layer)
        elif part.kind == "removed":
            assert part.before is not None
            for layer in part.before.layers():
                yield Change("removed", layer, None)
        elif part.kind == "added":
            assert part.after is not None
            for layer in part.after.layers():
                yield Change("added", None, layer)


# --------------------------------------------------------------------------------- trees


class _Comparison:
    """Numbers the structures of both designs alike, and compares them."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._shared: dict[object, tuple[str, int, int, int, int, int]] = {}

    def run(self, before: Summary, after: Summary) -> list[Part]:
        return self._parts(self._tree(before), self._tree(after))

    def _number(self, *key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _tree(self, summary: Summary) -> list[Piece]:
        """The pieces of the first level."""
        root = Piece("", "")
        groups: dict[Scope, Piece] = {summary.graph.root: root}

        def group(scope: Scope) -> Piece:
            found = groups.get(scope)
            if found is None:
                assert scope.parent is not None
                above = group(scope.parent)
                if scope.kind in ("loop", "repeat"):
                    found = above
                else:
                    found = Piece(scope.label or scope.kind, scope.describe())
                    above.children.append(found)
                groups[scope] = found
            return found

        for layer in summary.layers:
            group(layer.node.scope).children.append(self._leaf(layer))
        self._finish(root)
        return root.children

    def _leaf(self, layer: Layer) -> Piece:
        piece = Piece(layer.op.name(), "", layer)
        # What is kept for backward depends on what earlier layers keep.
        memory = _token(layer.allocated_bytes), _token(layer.saved_bytes)
        key = (layer.figures, layer.aux, memory)
        known = self._shared.get(key)
        if known is None:
            from zlib import crc32

            label = str(layer.op)
            figures = [_token(getattr(layer, name)) for name in FIGURES]
            kind = layer.op.name()
            given = [f"{k}={v}" for k, v in layer.op.given().items() if k not in _CHANNELS]
            known = self._shared[key] = (
                label,
                self._number("layer", label),
                self._number("layer", label, layer.aux, *map(_token, layer.output), *figures),
                self._number("layer", kind, *given),
                self._number("layer", kind),
                crc32(label.encode()),
            )
        piece.label, piece.structure, piece.full, piece.shape, piece.skeleton, piece.check = known
        piece.heavy = not isinstance(layer.params, int) or layer.params > 0
        return piece

    def _finish(self, piece: Piece) -> None:
        """Number the groups, from the innermost out."""
        if piece.layer is not None:
            return
        from zlib import crc32

        for child in piece.children:
            self._finish(child)
        children = piece.children = [_alone(child) for child in piece.children]
        if children:
            piece.last = children[-1].last
        piece.heavy = any(child.heavy for child in children)
        (name,) = piece.names
        piece.structure = self._number(name, *(child.structure for child in children))
        piece.full = self._number("full", name, *(child.full for child in children))
        piece.shape = self._number("shape", name, *(child.shape for child in children))
        piece.skeleton = self._number("skeleton", name, *(child.skeleton for child in children))
        piece.check = crc32(f"{name}{[child.check for child in children]}".encode())

    # ---------------------------------------------------------------- comparing

    def _parts(self, before: Sequence[Piece], after: Sequence[Piece]) -> list[Part]:
        parts = []
        for one, other in align(before, after):
            if one is None:
                parts.append(Part("added", None, other))
            elif other is None:
                parts.append(Part("removed", one, None))
            else:
                parts.append(self._pair(one, other))
        return parts

    def _pair(self, one: Piece, other: Piece) -> Part:
        if one.full == other.full:
            return Part("same", one, other)
        if one.layer is not None and other.layer is not None:
            return Part("same" if _alike(one.layer, other.layer) else "changed", one, other)
        if one.structure == other.structure:
            pairs = zip(one.children, other.children, strict=True)
            children = [self._pair(*pair) for pair in pairs]
        else:  # a layer may have become a block that holds it
            children = self._parts(one.children or [one], other.children or [other])
        if all(child.kind == "same" for child in children):
            return Part("same", one, other)
        return Part("changed", one, other, children)


def _alone(piece: Piece) -> Piece:
    """A block of one is that one, under both labels and names."""
    if len(piece.children) != 1:
        return piece
    only = piece.children[0]
    if piece.label:
        only.label = f"{piece.label}: {only.label}"
    only.names = (*piece.names, *only.names)
    return only


def _token(size: Size | None) -> object:
    """What stands for a size where equal forms are looked for."""
    return size.key if isinstance(size, Formula) else size


def _alike(one: Layer, other: Layer) -> bool:
    """Whether nothing differs, where figures are equal in another form."""
    if str(one.op) != str(other.op) or one.aux != other.aux or len(one.output) != len(other.output):
        return False
    pairs = [
        *zip(one.output, other.output, strict=True),
        *((getattr(one, name), getattr(other, name)) for name in FIGURES),
    ]
    return not any(_differ(*pair) for pair in pairs)


# --------------------------------------------------------------------------------- alignment


def align(before: Sequence[Piece], after: Sequence[Piece]) -> list[Pair]:
    """Every piece once, in order, beside its counterpart or None.

    Takes time linear in the longer sequence but for a constant of some hundred steps a piece.
    Which design comes first makes no difference: `align(b, a)` has the same pairs turned round.
    """
    if [piece.check for piece in after] < [piece.check for piece in before]:
        return _in_order([(one, other) for other, one in _aligned(after, before)])
    return _in_order(_aligned(before, after))


def _in_order(pairs: list[Pair]) -> list[Pair]:
    """Between two pairs first what was removed, then what was added; as many of both, layers or
    blocks alike, are each other's replacements."""
    result: list[Pair] = []
    removed: list[Piece] = []
    added: list[Piece] = []

    def close() -> None:
        alike = len(removed) == len(added) and all(
            (one.layer is None) == (other.layer is None)
            for one, other in zip(removed, added, strict=True)
        )
        if alike:
            result.extend(zip(removed, added, strict=True))
        else:
            result.extend((piece, None) for piece in removed)
            result.extend((None, piece) for piece in added)
        removed.clear()
        added.clear()

    for one, other in pairs:
        if one is not None and other is not None:
            close()
            result.append((one, other))
        elif one is not None:
            removed.append(one)
        elif other is not None:
            added.append(other)
    close()
    return result


def _aligned(before: Sequence[Piece], after: Sequence[Piece]) -> list[Pair]:
    result: list[Pair] = []
    todo = [(before, after)]  # a stack of stretches; what lies on top comes first
    while todo:
        one, other = todo.pop()
        start = 0
        while start < min(len(one), len(other)) and _equal(one[start], other[start]):
            start += 1
        result += zip(one[:start], other[:start], strict=True)
        one, other = one[start:], other[start:]
        end = 0
        while end < min(len(one), len(other)) and _equal(one[-1 - end], other[-1 - end]):
            end += 1
        if end:
            todo.append((one[-end:], other[-end:]))
            one, other = one[:-end], other[:-end]
        if len(one) * len(other) <= _CELLS:
            result += _best(one, other)
            continue
        stretches = _cut(one, other)
        todo += reversed(stretches)
    return result


def _equal(one: Piece, other: Piece) -> bool:
    return one.structure == other.structure


def _cut(
    one: Sequence[Piece], other: Sequence[Piece]
) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    """Shorter stretches: between pieces that stand once in each (patience), or of even lengths."""
    anchors = _anchors(one, other)
    if not anchors:
        pieces = -(-max(len(one), len(other)) // _CHUNK)
        anchors = [(len(one) * k // pieces, len(other) * k // pieces) for k in range(1, pieces)]
    stretches = []
    left = right = 0
    for first, second in [*anchors, (len(one), len(other))]:
        stretches.append((one[left:first], other[right:second]))
        left, right = first, second
    return stretches


def _anchors(one: Sequence[Piece], other: Sequence[Piece]) -> list[tuple[int, int]]:
    """The longest run, ascending in both, of structures that each sequence has once."""
    from bisect import bisect_left

    places = _once(one)
    there = _once(other)
    pairs = [(place, there[key]) for key, place in places.items() if key in there]
    tails: list[int] = []  # the least end of an ascending run of each length
    at: list[int] = []  # which pair that is
    previous: list[int] = []
    for index, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        previous.append(at[length - 1] if length else -1)
        if length == len(tails):
            tails.append(second)
            at.append(index)
        else:
            tails[length], at[length] = second, index
    run = []
    index = at[-1] if at else -1
    while index >= 0:
        run.append(pairs[index])
        index = previous[index]
    # A cut before the first pieces of both would leave the stretch as long as it was.
    return [pair for pair in reversed(run) if pair != (0, 0)]


def _once(pieces: Sequence[Piece]) -> dict[int, int]:
    """Structure → place, of those that stand there once, in order."""
    places: dict[int, int] = {}
    many = set()
    for place, piece in enumerate(pieces):
        if piece.structure in places:
            many.add(piece.structure)
        places[piece.structure] = place
    return {key: place for key, place in places.items() if key not in many}


def _score(one: Piece, other: Piece) -> int:
    """How well two pieces go together; 0 for those that are no counterparts."""
    score = 0
    if one.structure == other.structure:
        score = _EQUAL
    elif any(name in other.names for name in one.names):
        score = _NAMED + (one.skeleton == other.skeleton) + (one.shape == other.shape)
    return 2 * score if one.heavy and other.heavy else score


def _best(one: Sequence[Piece], other: Sequence[Piece]) -> list[Pair]:
    """The alignment with the highest score, by dynamic programming from the end."""
    if not one or not other:
        return [*((piece, None) for piece in one), *((None, piece) for piece in other)]
    scores: dict[tuple[object, ...], list[int]] = {}  # of a piece beside each of `other`
    rows = [[0] * (len(other) + 1)]
    for first in reversed(one):
        kind = (first.structure, first.names)
        beside = scores.get(kind)
        if beside is None:
            beside = scores[kind] = [_score(first, second) for second in other]
        below = rows[-1]
        row = [0] * (len(other) + 1)
        best = 0
        for place in range(len(other) - 1, -1, -1):
            if below[place] > best:
                best = below[place]
            score = below[place + 1] + beside[place]
            if score > best:
                best = score
            row[place] = best
        rows.append(row)
    rows.reverse()
    pairs: list[Pair] = []
    i = j = 0
    while i < len(one) and j < len(other):
        here, score = rows[i][j], _score(one[i], other[j])
        if score and here == rows[i + 1][j + 1] + score:
            pairs.append((one[i], other[j]))
            i += 1
            j += 1
        elif here == rows[i + 1][j]:
            pairs.append((one[i], None))
            i += 1
        else:
            pairs.append((None, other[j]))
            j += 1
    pairs += [(piece, None) for piece in one[i:]]
    pairs += [(None, piece) for piece in other[j:]]
    return pairs
