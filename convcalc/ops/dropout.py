"""Dropout: values, channels, or a whole residual branch left out at random in training."""

from __future__ import annotations

from convcalc.ops.arguments import choice, flag, real
from convcalc.ops.base import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.ops.base import Shape


class _Dropout(Op):
    """What the dropouts share. All keep the shape, and do nothing in evaluation."""

    p = real(0.5, low=0, high=1, doc="the probability that a value is left out")
    inplace = flag(False, doc="overwrite what flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.p, self.inplace)


class Dropout(_Dropout):
    """Single values left out; any shape. Source: torch/nn/modules/dropout.py."""


class Dropout1d(_Dropout):
    """Whole channels of N×C×L left out. Source: torch/nn/modules/dropout.py."""

    layout = "channels"
    spatial = 1


class Dropout2d(_Dropout):
    """Whole channels of N×C×H×W left out.

    PyTorch takes other ranks too, with a warning; here they are refused.
    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"
    spatial = 2


class Dropout3d(_Dropout):
    """Whole channels of N×C×D×H×W left out.

    PyTorch takes other ranks too, with a warning; here they are refused.
    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"
    spatial = 3


class AlphaDropout(_Dropout):
    """Single values set to SELU's lower end, mean and variance kept; any shape.

    Source: torch/nn/modules/dropout.py.
    """


class FeatureAlphaDropout(_Dropout):
    """Whole channels set to SELU's lower end, mean and variance kept; N×C×….

    Source: torch/nn/modules/dropout.py.
    """

    layout = "channels"


class StochasticDepth(Op):
    """A whole residual branch left out, for each sample or for the whole batch; any shape.

    What is kept is divided by 1 − p. It stands at the end of a residual branch. torchvision gives
    `mode` no default. Source: Huang et al., ECCV 2016; torchvision/ops/stochastic_depth.py.
    """

    p = real(low=0, high=1, doc="the probability that the branch is left out")
    mode = choice(
        "row", "batch", default="row", doc="row: each sample by itself; batch: all together"
    )

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.StochasticDepth(self.p, self.mode)
