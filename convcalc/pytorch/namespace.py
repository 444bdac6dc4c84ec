"""The `nn` from which layers are built: torch.nn's classes, and ours where torch.nn has none."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from convcalc.pytorch import modules_attention, modules_classic, modules_standard

_TORCH = {name: value for name, value in vars(nn).items() if isinstance(value, type)}

# A name that stands twice raises a TypeError here: no class replaces another unseen.
NN = SimpleNamespace(
    **_TORCH,
    **modules_standard.MODULES,
    **modules_attention.MODULES,
    **modules_classic.MODULES,
)
