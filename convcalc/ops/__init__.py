"""The layers: one family a file, one class a layer. `base` is the contract.

`REGISTRY` maps every layer's name to its class.
"""

from convcalc.ops import attention, classic, convolution, joins
from convcalc.ops.base import REGISTRY, Condition, Op, Tensor, Window

__all__ = [
    "REGISTRY",
    "Condition",
    "Op",
    "Tensor",
    "Window",
    "attention",
    "classic",
    "convolution",
    "joins",
]
