"""Dropout: values, channels, or a whole residual branch left out at random in training."""

from __future__ import annotations

from convcalc.ops.arguments import choice, flag, real
from convcalc.ops.base import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.ops.base import Shape
    from convcalc.ops.memory import Stored, Tape


def each_channel(shape: Shape) -> Shape:
    """N×C×1×…: one number for a channel."""
    return (*shape[:2], *[1] * (len(shape) - 2))


class _Dropout(Op):
    """What the dropouts share. All keep the shape, and do nothing in evaluation."""

    p = real(0.5, low=0, high=1, doc="the probability that a value is left out")
    inplace = flag(False, doc="overwrite what flows in")

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        return tape.dropout(x, self.p, self.noise(x.shape), inplace=self.inplace)

    def noise(self, shape: Shape) -> Shape | None:
        """The shape of the noise that x is multiplied by; None: x's own."""
        return None

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.p, self.inplace)


class Dropout(_Dropout):
    """Single values left out; any shape. Source: torch/nn/modules/dropout.py."""


class Dropout1d(_Dropout):
    """Whole channels of N×C×L left out. Source: torch/nn/modules/dropout.py."""

    layout = "channels"
    spatial = 1

    def noise(self, shape: Shape) -> Shape | None:
        return each_channel(shape)


class Dropout2d(_Dropout):
    """Whole channels of N×C×H×W left out.

    PyTorch takes other ranks too, with a warning; here they are refused.
    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"
    spatial = 2

    def noise(self, shape: Shape) -> Shape | None:
        return each_channel(shape)


class Dropout3d(_Dropout):
    """Whole channels of N×C×D×H×W left out.

    PyTorch takes other ranks too, with a warning; here they are refused.
    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"
    spatial = 3

    def noise(self, shape: Shape) -> Shape | None:
        return each_channel(shape)


class _AlphaDropout(_Dropout):
    """What the two that keep mean and variance share: a second draw of noise is added, in place."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.p in (0, 1) or not tape.training:
            return tape.dropout(x, self.p, self.noise(x.shape))
        shape = self.noise(x.shape)
        if shape is None:
            first, second = tape.noise(x), tape.noise(x, "shift")
        else:
            first, second = tape.new(shape, "noise"), tape.new(shape, "shift")
        out = tape.multiply(x, first)  # `inplace` is ignored here
        tape.drop(first, second)
        return out


class AlphaDropout(_AlphaDropout):
    """Single values set to SELU's lower end, mean and variance kept; any shape.

    Source: torch/nn/modules/dropout.py.
    """


class FeatureAlphaDropout(_AlphaDropout):
    """Whole channels set to SELU's lower end, mean and variance kept; N×C×….

    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"

    def noise(self, shape: Shape) -> Shape | None:
        return each_channel(shape)


class StochasticDepth(Op):
    """A whole residual branch left out, for each sample or for the whole batch; any shape.

    What is kept is divided by 1 − p. It stands at the end of a residual branch. torchvision gives
    `mode` no default. Source: Huang et al., ECCV 2016; torchvision/ops/stochastic_depth.py.
    """

    p = real(low=0, high=1, doc="the probability that the branch is left out")
    mode = choice(
        "row", "batch", default="row", doc="row: each sample by itself; batch: all together"
    )

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.p == 0 or not tape.training:
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        return tape.multiply(x, tape.new((rows, *[1] * (len(x.shape) - 1)), "noise"))

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.StochasticDepth(self.p, self.mode)
