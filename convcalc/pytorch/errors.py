"""What can go wrong on the way from a graph to a run in PyTorch. Needs no torch itself."""

from __future__ import annotations

from convcalc.errors import ConvcalcError


class TorchMissing(ConvcalcError):
    """PyTorch is not installed, or cannot be loaded."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this needs PyTorch, which cannot be imported here ({reason})\n"
            "  help: install it: pip install 'convcalc[torch]'"
        )
        self.reason = reason


class DeviceError(ConvcalcError):
    """The device asked for is unknown, or this machine has none such."""


class BuildError(ConvcalcError):
    """PyTorch refuses to make a layer.

    path: the layer. reason: what PyTorch says.
    """

    def __init__(self, path: str, layer: str, reason: str) -> None:
        super().__init__(f"{path}: PyTorch cannot build {layer}: {reason}")
        self.path = path
        self.reason = reason


def reason(error: BaseException) -> str:
    """An exception in one line: its first line of text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
