"""The `nn` from which layers are built: torch.nn's classes, and ours where torch.nn has none."""

from __future__ import annotations

import importlib
import pkgutil
from types import SimpleNamespace

from torch import nn

import convcalc.pytorch

_TORCH = {name: value for name, value in vars(nn).items() if isinstance(value, type)}
_OWN = {}
for _info in pkgutil.iter_modules(convcalc.pytorch.__path__):
    if _info.name.startswith("modules_"):
        _OWN.update(importlib.import_module(f"convcalc.pytorch.{_info.name}").MODULES)

# A name that both have raises a TypeError here: nothing of torch.nn is replaced unseen.
NN = SimpleNamespace(**_TORCH, **_OWN)
