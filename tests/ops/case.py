"""What a table of cases is made of.

    CASES = {
        "MaxPool2d": [
            good("3, 2, padding=1", (2, 3, 11, 12)),
            bad("3, padding=2", (2, 3, 11, 12)),
        ],
    }

`cases.py` and `cases_attention.py` hold tables; `harness.py` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from torch import nn

Shape = tuple[int, ...]


class Case(NamedTuple):
    """One use of a layer.

    arguments: as the language has them: `3, 2, padding=same`, with none, true, false, bare words.
    shapes: of what flows in, batch first.
    kind: "good": it is taken, and every facet equals PyTorch's. "bad": it is refused, by us and by
        PyTorch. "stricter": we refuse what PyTorch takes; the class's docstring says so.
    """

    arguments: str
    shapes: tuple[Shape, ...]
    kind: Literal["good", "bad", "stricter"]


def good(arguments: str, *shapes: Shape) -> Case:
    return Case(arguments, shapes, "good")


def bad(arguments: str, *shapes: Shape) -> Case:
    return Case(arguments, shapes, "bad")


def stricter(arguments: str, *shapes: Shape) -> Case:
    return Case(arguments, shapes, "stricter")


#: Makes the PyTorch module that a layer must equal: (positional, named, shapes) → module. Needed
#: for layers that torch.nn lacks, so that ours has something to be compared with.
Reference = Callable[[tuple[Any, ...], dict[str, Any], tuple[Shape, ...]], nn.Module]
