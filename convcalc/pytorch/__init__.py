"""A design in PyTorch: as a module, and proved by running it.

These are the only rooms that import torch, and only when one of these functions is called; without
torch each raises `TorchMissing`, which says what to install.
"""

from __future__ import annotations

from convcalc.pytorch.compare import Comparison, Report
from convcalc.pytorch.errors import BuildError, DeviceError, TorchMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from convcalc.analysis.fit import Fit
    from convcalc.analysis.inverse import Inverse
    from convcalc.graph import Flow, Graph
    from convcalc.pytorch.module import Network

__all__ = [
    "BuildError",
    "Comparison",
    "DeviceError",
    "Report",
    "TorchMissing",
    "check_graph",
    "require_torch",
    "to_module",
    "verify_fit",
]


def require_torch() -> ModuleType:
    """The torch module. Raises TorchMissing where there is none."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that torch needs does not load
        raise TorchMissing(str(error)) from error
    return torch


def to_module(
    flow: Flow, *, device: str = "cpu", dtype: str = "float32", initialise: bool = True
) -> Network:
    """The network as an nn.Module, for the sizes that flow through it (all of them numbers).

    Its submodules stand in a tree along the layers' paths, so that state_dict keys read
    "Bottleneck[3].Conv[1].BatchNorm2d.weight" and `get_submodule` takes a layer's path. A part of a
    path that nn.Module has as an attribute ("half") gets an underscore: "half_".

    `forward` takes the inputs by position, in the design's order, and returns the output, or a dict
    by name where the design has several outputs. In training mode a design with aux outputs returns
    a dict with these too; in eval mode their layers do not run. Parameters of frozen layers have
    `requires_grad=False`.

    device: "auto", "cpu", "cuda", "cuda:1".
    dtype: "float32", "float64", "float16" or "bfloat16".
    initialise: False draws nothing at random, weights are zeros: enough to measure, not to train.

    Raises TorchMissing, DeviceError, BuildError; ConvcalcError where a size is still open.
    """
    require_torch()
    from convcalc.pytorch import module

    return module.to_module(flow, device=device, dtype=dtype, initialise=initialise)


def check_graph(
    graph: Graph,
    *,
    flow: Flow | None = None,
    device: str = "auto",
    batch: int = 1,
    dtype: str = "float32",
    deep: bool = False,
) -> Report:
    """Build the network, really run it once, and compare every figure with what torch says.

    flow: the sizes to run at (`batch` is then the flow's own); None: those of the design.
    device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1".
    dtype: "float32", "float64", "float16" or "bfloat16".
    deep: measure too whether layers follow shifts of the input; this takes several runs in float64.

    Whatever torch refuses to build or run is a failed comparison that names the layer; so is a
    network that needs more memory than there is, which is not run.

    Raises TorchMissing, DeviceError; DesignError where the design itself is wrong; ConvcalcError
    where a size is still open.
    """
    require_torch()
    from convcalc.pytorch import check

    return check.check_graph(graph, flow=flow, device=device, batch=batch, dtype=dtype, deep=deep)


def verify_fit(
    fit: Fit, inverses: Sequence[Inverse] = (), *, device: str = "auto", dtype: str = "float32"
) -> Report:
    """Run PyTorch at the sizes where the answers of `fit` change, and compare.

    That is the last invalid and the first valid size, whether strides divide there and beside it,
    which rows get no gradient, and both ends of each interval of `inverses` and of the sizes that
    keep the weights.

    Raises TorchMissing, DeviceError.
    """
    require_torch()
    from convcalc.pytorch import boundaries

    return boundaries.verify(fit, inverses, device=device, dtype=dtype)
