"""The layers: one family a file, one class a layer. `base` is the contract.

`REGISTRY` maps every layer's name to its class.
"""

from convcalc.ops import (
    activation,
    attention,
    classic,
    convolution,
    dropout,
    joins,
    linear,
    normalization,
    pooling,
    shape,
)
from convcalc.ops.base import REGISTRY, Condition, Op, Tensor, Window

__all__ = [
    "REGISTRY",
    "Condition",
    "Op",
    "Tensor",
    "Window",
    "activation",
    "attention",
    "classic",
    "convolution",
    "dropout",
    "joins",
    "linear",
    "normalization",
    "pooling",
    "shape",
]
