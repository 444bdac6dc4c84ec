"""Devices and dtypes by the names that the command line takes."""

from __future__ import annotations

import torch

from convcalc.errors import ConvcalcError
from convcalc.pytorch.errors import DeviceError, reason

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def resolve_device(name: str) -> torch.device:
    """The device of that name; raises DeviceError where this machine has none such.

    "auto" is CUDA where there is one, else the CPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r}: {reason(error)}") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}: write auto, cpu, cuda or cuda:0")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"{count} CUDA device{'s' if count > 1 else ''}" if count else "no CUDA device"
            raise DeviceError(f"device {name!r}: this machine has {have}, as PyTorch sees it")
    return device


def resolve_dtype(name: str) -> torch.dtype:
    """The dtype of that name; raises ConvcalcError where it is not one that networks run in."""
    if name not in DTYPES:
        raise ConvcalcError(f"dtype {name!r} is not one of {', '.join(DTYPES)}")
    return DTYPES[name]
