"""Layers by name: the words of `freeze:` and `--freeze`, and the layers that they mean.

    layers.0-5             the first six of the network's top-level layers and blocks
    layers                 all of them
    Bottleneck[3]          a path, or the start of one: that layer, or everything in that block
    Bottleneck             every one of that name, whatever its number
    Bottleneck[0-2].Conv   numbers from 0 to 2

A frozen layer is one whose parameters do not train: `requires_grad_(False)`.
"""

from __future__ import annotations

import re

from convcalc.errors import LayerError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcalc.graph import Graph, Node

#: The word for the network's top-level layers and blocks, and that for no layer at all.
LAYERS = "layers"
NONE = "none"

_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?$")
_PART = re.compile(r"([A-Za-z_]\w*)(?:\[(\d{1,9})(?:-(\d{1,9}))?\])?$")


def split(text: str) -> Iterator[tuple[str, int]]:
    """The words that commas separate, each with its index in the text."""
    for match in re.finditer(r"[^,\s][^,]*", text):
        yield match[0].rstrip(), match.start()


def freeze(graph: Graph, word: str) -> None:
    """Freeze the layers that a word means; `none` thaws all. Raises LayerError."""
    if word == NONE:
        for node in graph.layers:
            node.frozen = False
        return
    for node in meant(graph, word):
        node.frozen = True


def meant(graph: Graph, word: str) -> list[Node]:
    """The layers that a word means, at least one. Raises LayerError where there are none."""
    parts = word.split(".")
    starts = {node.path.partition(".")[0] for node in graph.layers}
    if parts[0] == LAYERS and LAYERS not in starts:
        return _numbered(graph, word, parts)
    wanted = [_part(word, part) for part in parts]
    found = [node for node in graph.layers if _fits(node.path, wanted)]
    if not found:
        known: dict[str, None] = {}
        for node in graph.layers:
            path = node.path
            while path:
                known.setdefault(path)
                known.setdefault(re.sub(r"\[\d+\]$", "", path))
                path = path.rpartition(".")[0]
        near = closest(word, known) if len(word) < 100 else None
        help = f"did you mean {near!r}?" if near else "`summary --columns path,layer` names them"
        raise LayerError(f"{graph.name or 'the network'} has no layer or block {word!r}", help)
    return found


def _numbered(graph: Graph, word: str, parts: list[str]) -> list[Node]:
    """`layers`, `layers.3` or `layers.0-5`: of the top level, in the network's order."""
    if len(parts) == 1:
        return graph.layers
    top = list(dict.fromkeys(node.path.partition(".")[0] for node in graph.layers))
    match = _NUMBERS.match(parts[1]) if len(parts) == 2 else None
    if match is None:
        help = "write layers.3 or layers.0-5; what is in a block is reached by its path"
        raise LayerError(f"{word!r} is no range of the network's layers", help)
    first = int(match[1])
    last = int(match[2] or first)
    if not first <= last < len(top):
        told = f"the {len(top)} top-level layers are layers.0-{len(top) - 1}"
        if first > last:
            told = f"the smaller number first: {LAYERS}.{last}-{first}"
        raise LayerError(f"{word!r} is no range of the network's layers", told)
    wanted = frozenset(top[first : last + 1])
    return [node for node in graph.layers if node.path.partition(".")[0] in wanted]


def _part(word: str, part: str) -> tuple[str, int, int]:
    """One part of a path: its name, and the numbers from which to which."""
    match = _PART.match(part)
    if match is None:
        help = "as in layers.0-5, Bottleneck[3] or Bottleneck[0-2].Conv; commas between several"
        raise LayerError(f"{word!r} is no path of a layer", help)
    if match[2] is None:
        return match[1], 0, 1 << 30
    return match[1], int(match[2]), int(match[3] or match[2])


def _fits(path: str, wanted: list[tuple[str, int, int]]) -> bool:
    parts = path.split(".")
    if len(parts) < len(wanted):
        return False
    for part, (name, first, last) in zip(parts, wanted, strict=False):  # the rest lies below
        own, _, number = part.partition("[")
        if own != name or not first <= int(number[:-1] or 0) <= last:
            return False
    return True
