"""What an optimizer holds between steps, and what its step allocates for a moment.

In a step that is not the first. Source: torch/optim/sgd.py and adam.py (AdamW is Adam there), the
loops over single tensors (`foreach=False`) and over lists of them (`foreach=True`).
"""

from __future__ import annotations

from convcalc.errors import ConvcalcError, closest
from convcalc.language.figures import OPTIMIZERS
from convcalc.ops.memory import FLOAT32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def known_optimizer(name: str) -> str:
    """The name itself; raises ConvcalcError where there is no such optimizer."""
    if name not in OPTIMIZERS:
        near = closest(name, OPTIMIZERS)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConvcalcError(f"optimizer {name!r} is not one of {', '.join(OPTIMIZERS)}{hint}")
    return name


def state_bytes(optimizer: str, parameters: Sequence[int], *, cuda: bool) -> int:
    """What it keeps between steps. parameters: bytes of each one that trains.

    Momentum keeps one number for each parameter, Adam two, and for each tensor a count of its steps
    (float32; it stays on the CPU where the rest is on a GPU).
    """
    if optimizer == "momentum":
        return sum(parameters)
    if optimizer in ("adam", "adamw"):
        counts = 0 if cuda else FLOAT32 * len(parameters)
        return 2 * sum(parameters) + counts
    return 0


def step_bytes(
    optimizer: str, parameters: Sequence[int], *, foreach: bool, weight_decay: bool
) -> int:
    """The most that a step holds for a moment. parameters: bytes of each, in the module's order.

    SGD makes nothing new; weight decay adds a gradient that contains it. Adam makes the root of its
    second moment, and of that a quotient; one tensor at a time it holds the last one's quotient,
    too. AdamW shrinks parameters in place: its weight decay takes nothing.
    """
    decayed = weight_decay and optimizer != "adamw"
    if optimizer == "none" or not parameters:
        return 0
    if optimizer in ("sgd", "momentum"):
        if not decayed:
            return 0
        return sum(parameters) if foreach else max(parameters)
    if foreach:
        return sum(parameters)
    own = 3 if decayed else 2
    before = [0, *parameters[:-1]]
    return max([last + own * size for last, size in zip(before, parameters, strict=True)])
