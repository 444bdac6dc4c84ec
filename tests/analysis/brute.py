"""What sizes a network takes, found by trying them one by one in ints: an oracle for `fit`.

Nothing here knows formulas, residues or proofs. Whether a stride fits is seen from where its
windows stand: the last of them ends with the last row of the padded input, or it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from convcalc.graph import Graph, Node


class Tried(NamedTuple):
    """One input: whether every layer accepts it; if so, of each axis of the input, whether every
    stride along it fits and every row is read. refused: the path of the first layer that does not
    accept it."""

    valid: bool
    exact: tuple[bool, ...] = ()
    complete: tuple[bool, ...] = ()
    refused: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()


class Oracle:
    """Tries inputs; the same layer on the same shapes is computed once.

    blind: a layer has strides along other axes than the input's (behind an Unflatten): of what was
    tried last, nothing is known but whether it is valid.
    """

    def __init__(self, graph: Graph, aux: bool = False) -> None:
        self.graph = graph
        self.aux = aux
        self.blind = False
        self._known: dict[object, tuple[tuple[int, ...], list[bool], list[bool]] | None] = {}

    def try_sizes(self, *sizes: int) -> Tried:
        """With these spatial sizes for every input."""
        axes = len(sizes)
        exact, complete = [True] * axes, [True] * axes
        self.blind = False
        shapes: list[tuple[int, ...]] = []
        for node in self.graph.nodes:
            if node.op is None:
                (entries,) = (self.graph.inputs[node.path],)
                shapes.append((1, entries[0], *sizes))
                continue
            if node.aux and not self.aux:
                shapes.append(())
                continue
            flowing = tuple(shapes[index] for index in node.inputs)
            key = (node.op, flowing)
            if key not in self._known:
                self._known[key] = self._layer(node, flowing)
            found = self._known[key]
            if found is None:
                return Tried(False, refused=node.path)
            shapes.append(found[0])
            if found[1] and len(found[1]) != axes:
                self.blind = True
            if len(found[1]) == axes:
                exact = [a and b for a, b in zip(exact, found[1], strict=True)]
                complete = [a and b for a, b in zip(complete, found[2], strict=True)]
        return Tried(True, tuple(exact), tuple(complete), None, tuple(shapes))

    @staticmethod
    def _layer(
        node: Node, flowing: tuple[tuple[int, ...], ...]
    ) -> tuple[tuple[int, ...], list[bool], list[bool]] | None:
        op = node.op
        if any(condition.holds() is False for condition in op.conditions(*flowing)):
            return None
        output = op.output(*flowing)
        exact, complete = [], []
        windows, sizes = op.windows(*flowing), flowing[0][2:]
        for axis, window in enumerate(windows if len(windows) == len(sizes) else ()):
            size = sizes[axis]
            ends = stands(size, window)
            exact.append(ends is None or ends[-1:] == [padded_end(size, window)])
            # Rows that a layer leaves out by design do not count, nor does a resize.
            read = ends is None or window.upsample != 1 or window.kernel < window.stride
            if not read:
                many = output[axis + 2] if len(output) == len(flowing[0]) else len(ends)
                first = -window.before + (window.kernel - 1) * window.dilation
                read = first + (many - 1) * window.stride >= size - 1
            complete.append(read)
        return output, exact, complete


def padded_end(size, window) -> int:
    """The last row of the padded input, in rows of the input spread `upsample` apart."""
    return (size - 1) * window.upsample + window.after


def stands(size: int, window) -> list[int] | None:
    """Where the windows end that lie within the padded input, step by step; None without stride.

    Strides of adaptive pools and of resizes to a fixed size come of the sizes themselves.
    """
    if window.kernel == 0 or window.stride == 1:
        return None
    ends = []
    end = -window.before + (window.kernel - 1) * window.dilation
    while end <= padded_end(size, window):
        ends.append(end)
        end += window.stride
    return ends
