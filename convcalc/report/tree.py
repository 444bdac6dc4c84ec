"""A network's layers as a tree of the blocks and loops that they were written in.

Neighbours that are identical in layers, arguments, shapes and figures are folded into one entry
that counts them all. Nothing is lost: an entry's figures are those of all its layers.
"""

from __future__ import annotations

from convcalc.integers import total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcalc.analysis.summary import Layer, Summary
    from convcalc.graph import Scope
    from convcalc.integers import Size
    from convcalc.ops.base import Shape

ARROW = " → "
# So many names of an unnamed group's parts are told.
_NAMED = 4


class Entry:
    """A layer, or a group of them.

    layer: for a leaf, else None. label: how it is written. line: of the file where the layer
    stands, or the block is called. children: of one copy. count: how many identical copies are
    folded into it.
    """

    __slots__ = (
        "_sums",
        "children",
        "count",
        "kind",
        "label",
        "last",
        "layer",
        "line",
        "signature",
    )

    def __init__(
        self, label: str, kind: str, layer: Layer | None = None, line: int | None = None
    ) -> None:
        self.label = label
        self.kind = kind
        self.line = layer.line if layer is not None else line
        self.layer = layer
        self.children: list[Entry] = []
        self.count = 1
        self.last: Layer | None = layer
        self.signature: object = None
        self._sums: dict[str, Size] = {}

    @property
    def output(self) -> Shape:
        """The shape of what comes out at its end, batch first."""
        assert self.last is not None
        return self.last.output

    @property
    def aux(self) -> bool:
        """Whether all its layers serve only outputs that exist in training."""
        if self.layer is not None:
            return self.layer.aux
        return all(child.aux for child in self.children)

    def figure(self, name: str) -> Size:
        """The sum over all its layers, all copies included."""
        found = self._sums.get(name)
        if found is None:
            if self.layer is not None:
                one: Size = getattr(self.layer, name)
            else:
                one = total(child.figure(name) for child in self.children)
            found = self._sums[name] = one * self.count
        return found

    def leaves(self) -> int:
        """How many layers it stands for, all copies included."""
        one = 1 if self.layer is not None else sum(child.leaves() for child in self.children)
        return one * self.count

    @property
    def folds(self) -> bool:
        """Whether copies are folded in it or below it."""
        return self.count > 1 or any(child.folds for child in self.children)

    @property
    def text(self) -> str:
        """As a table has it: `3 × Bottleneck(64)`."""
        return f"{self.count} × {self.label}" if self.count > 1 else self.label

    def _name(self) -> str:
        name = self.layer.op.name() if self.layer else self.label.partition("(")[0] or "…"
        return f"{self.count} × {name}" if self.count > 1 else name

    def __repr__(self) -> str:
        return f"Entry({self.text!r}, {len(self.children)} children)"


class Line:
    """One line of the table: an entry, how deep it stands, and the lines of the tree before it."""

    __slots__ = ("depth", "entry", "open", "prefix")

    def __init__(self, entry: Entry, depth: int, prefix: str, open: bool) -> None:
        self.entry = entry
        self.depth = depth
        self.prefix = prefix
        self.open = open  # its children are shown below it


def build(summary: Summary, *, fold: bool = True, memory: bool = False) -> Entry:
    """The tree of all layers; its root is the network.

    memory: only what also allocates and keeps the same is identical.
    """
    root = Entry(summary.name, "network")
    groups: dict[Scope, Entry] = {summary.graph.root: root}

    def group(scope: Scope) -> Entry:
        found = groups.get(scope)
        if found is None:
            assert scope.parent is not None
            label = "" if scope.kind == "repeat" else scope.describe()
            line = scope.place.line if scope.place else None
            found = groups[scope] = Entry(label, scope.kind, None, line)
            group(scope.parent).children.append(found)
        return found

    for layer in summary.layers:
        group(layer.node.scope).children.append(Entry("", "layer", layer))
    _Tidier(fold, memory).tidy(root)
    return root


class _Tidier:
    """Folds copies, takes away groups that say nothing, and labels the rest."""

    def __init__(self, fold: bool, memory: bool) -> None:
        self.fold = fold
        self.memory = memory
        self._signatures: dict[object, int] = {}
        self._known: dict[tuple[object, ...], tuple[str, int]] = {}

    def tidy(self, entry: Entry) -> None:
        if entry.layer is not None:
            layer = entry.layer
            key: tuple[object, ...] = (layer.figures, layer.frozen)
            if self.memory:
                key = (*key, layer.allocated_bytes, layer.saved_bytes)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = self._leaf(layer, key[1:])
            entry.label, entry.signature = known
            return
        children: list[Entry] = []
        for child in entry.children:
            self.tidy(child)
            children.append(_alone(child))
        if self.fold:
            children = _folded(children)
        flat: list[Entry] = []
        for child in children:
            if child.kind == "repeat" and child.count == 1:
                flat += child.children
            else:
                flat.append(child)
        entry.children = _folded(flat) if self.fold else flat
        for child in entry.children:
            if child.kind == "repeat":
                child.label = _unnamed(child.children)
        entry.last = entry.children[-1].last
        parts = [part for c in entry.children for part in (c.label, c.count, c.signature)]
        entry.signature = self._sign(entry.label, *parts)

    def _leaf(self, layer: Layer, more: tuple[object, ...]) -> tuple[str, int]:
        """How a layer is written, and its signature: arguments, shapes and so all figures."""
        label = str(layer.op)
        return label, self._sign(label, *layer.input_shapes, layer.output, *more)

    def _sign(self, *parts: object) -> int:
        """A number for these parts: equal numbers mean equal parts."""
        return self._signatures.setdefault(parts, len(self._signatures))


def _alone(entry: Entry) -> Entry:
    """A group of one is that one, under both labels."""
    if entry.layer is not None or len(entry.children) != 1:
        return entry
    only = entry.children[0]
    if entry.kind == "repeat":
        return only
    if only.count == 1:
        if entry.label:
            only.label = f"{entry.label}: {only.label}"
            only.line = only.line if only.layer is not None else entry.line
        only.signature = entry.signature
        return only
    return entry


def _folded(entries: list[Entry]) -> list[Entry]:
    """Neighbours that are equal as one."""
    result: list[Entry] = []
    for entry in entries:
        before = result[-1] if result else None
        if (
            before is not None
            and before.signature == entry.signature
            and before.label == entry.label
            and before.kind == entry.kind
        ):
            before.count += entry.count
            before.last = entry.last
        else:
            result.append(entry)
    return result


def _unnamed(children: list[Entry]) -> str:
    names = [child._name() for child in children[:_NAMED]]
    if len(children) > _NAMED:
        names.append("…")
    return f"({ARROW.join(names)})"


def depths(root: Entry) -> list[int]:
    """How many lines a table of depth 1, 2, … has."""
    counts: list[int] = []
    level = root.children
    while level:
        counts.append(len(level) + (counts[-1] if counts else 0))
        level = [child for entry in level for child in entry.children]
    return counts


def lines(entries: list[Entry], depth: int | None = None) -> Iterator[Line]:
    """The lines down to that depth, from 1; None: all."""
    stack = [(entry, 1, "", "") for entry in reversed(entries)]
    while stack:
        entry, level, prefix, below = stack.pop()
        opened = bool(entry.children) and (depth is None or level < depth)
        yield Line(entry, level, prefix, opened)
        if opened:
            last = len(entry.children) - 1
            stack += [
                (
                    child,
                    level + 1,
                    below + ("└─ " if index == last else "├─ "),
                    below + ("   " if index == last else "│  "),
                )
                for index, child in reversed(list(enumerate(entry.children)))
            ]
