"""Linear: every output a weighted sum of all features."""

from __future__ import annotations

from convcalc.integers import Size, product
from convcalc.ops.arguments import count, flag
from convcalc.ops.base import (
    AXES,
    GLOBAL,
    Condition,
    Op,
    Tensor,
    Window,
    as_asserted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape


class Linear(Op):
    """A dense ("fully connected") layer on the last axis.

    N×F → N×out_features; tokens N×L×E → N×L×out_features. As in PyTorch any rank is taken; on
    N×C×H×W it works along the width alone, of which a warning tells.
    Source: torch/nn/modules/linear.py.
    """

    positional = 1
    inferred = "in_features"

    out_features = count(doc="the features that come out")
    bias = flag(True)

    def output(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:-1], self.out_features)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return as_asserted(self, shapes[0][-1])

    def weights(self, *shapes: Shape) -> list[Tensor]:
        weight = Tensor("weight", (self.out_features, shapes[0][-1]))
        return [weight, Tensor("bias", (self.out_features,))] if self.bias else [weight]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        """Each output multiplies all features: ∏ of the input's sizes · out_features."""
        return product((*shapes[0], self.out_features))

    def windows(self, *shapes: Shape) -> list[Window]:
        # Of three axes the last are tokens' features: each token reads its own place.
        if len(shapes[0]) < 4:
            return []
        return [Window(1)] * (len(shapes[0]) - 3) + [GLOBAL]

    def warnings(self, *shapes: Shape, layouts: Sequence[Layout] = ()) -> list[tuple[str, str]]:
        rank = len(shapes[0])
        first = "channels" in layouts if layouts else rank > 3
        if rank < 3 or not first:
            return []
        last = AXES[rank - 2][-1] if rank - 2 in AXES else "last axis"
        message = (
            f"Linear works along the {last} alone; a convolution with kernel_size 1 works on "
            "the channels of each place, Flatten before it makes it work on all"
        )
        return [("linear-on-map", message)]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.linear(inputs[0], *tape.weights)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        values = {"E": shapes[0][-1], "K": self.out_features}
        told.size(len(output) - 1, "{K}", values)
        told.params("{E}·{K} + {K}" if self.bias else "{E}·{K}", values)
        places = shapes[0][1:-1]
        values["places"] = places
        told.macs("{places}·{E}·{K}" if places else "{E}·{K}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Linear(shapes[0][-1], self.out_features, self.bias)
