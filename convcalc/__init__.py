"""convcalc: the type checker and cost calculator of convolutional network designs.

    import convcalc

    net = convcalc.load("vgg16")                     # a name, a path, or YAML
    net.summary().totals.params                      # 138_357_544
    net.summary(input=(3, 256, 256), batch=8)        # every layer's figures
    net.formula("macs")                              # in N, H and W
    net.to_torch()                                   # the same network as a torch.nn.Module
    net.fit().square.smallest                        # 32: the smallest input that it takes
    net.equivariance().features                      # the last layers that follow shifts
    convcalc.diff("vgg16", "alexnet").changes        # layer by layer
    net.explain("Conv[0]").layers[0].rule("macs")    # how a figure comes about
    convcalc.layer("Conv2d(10, 5, padding=?)", (3, 32, 32), 32)     # one layer: padding is 2
    convcalc.check("vgg16")                          # every figure, proved by running it

Shapes are batch first, channels second. Parameters and buffers count elements. MACs are
multiply-accumulates of convolutions, linear layers and matrix products (FLOPs = 2 × MACs), of the
whole batch. Names are loaded when they are first used: `import convcalc` costs next to nothing.
"""

from __future__ import annotations

from convcalc._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.analysis.budget import Largest
    from convcalc.analysis.diff import Change, Diff
    from convcalc.analysis.equivariance import Equivariance, Shift
    from convcalc.analysis.expectations import Claimed
    from convcalc.analysis.explain import Derivation, Explained, Sharing
    from convcalc.analysis.fit import Axis, Fit, Sizes
    from convcalc.analysis.inverse import Inverse, Kept
    from convcalc.analysis.solve import Solution, Solved
    from convcalc.analysis.strides import AxisFit
    from convcalc.analysis.summary import Layer, Summary, Totals
    from convcalc.checking import Check, check
    from convcalc.errors import ConvcalcError, DesignError, LayerError, Place, Problem, Source
    from convcalc.integers import Answer, Formula, Solutions, definitions, evaluate
    from convcalc.network import Network, diff, fit, load
    from convcalc.ops.explanation import Rule
    from convcalc.pytorch import Comparison, DeviceError, Report, TorchMissing, verify_fit
    from convcalc.report.export import to_latex, to_python
    from convcalc.single import LayerReport, layer

__all__ = [
    "Answer",
    "Axis",
    "AxisFit",
    "Change",
    "Check",
    "Claimed",
    "Comparison",
    "ConvcalcError",
    "Derivation",
    "DesignError",
    "DeviceError",
    "Diff",
    "Equivariance",
    "Explained",
    "Fit",
    "Formula",
    "Inverse",
    "Kept",
    "Largest",
    "Layer",
    "LayerError",
    "LayerReport",
    "Network",
    "Place",
    "Problem",
    "Report",
    "Rule",
    "Sharing",
    "Shift",
    "Sizes",
    "Solution",
    "Solutions",
    "Solved",
    "Source",
    "Summary",
    "TorchMissing",
    "Totals",
    "__version__",
    "check",
    "definitions",
    "diff",
    "evaluate",
    "fit",
    "layer",
    "load",
    "to_latex",
    "to_python",
    "verify_fit",
]

_HOMES = {
    "convcalc.analysis.budget": ("Largest",),
    "convcalc.analysis.diff": ("Change", "Diff"),
    "convcalc.analysis.equivariance": ("Equivariance", "Shift"),
    "convcalc.analysis.expectations": ("Claimed",),
    "convcalc.analysis.explain": ("Derivation", "Explained", "Sharing"),
    "convcalc.analysis.fit": ("Axis", "Fit", "Sizes"),
    "convcalc.analysis.inverse": ("Inverse", "Kept"),
    "convcalc.analysis.solve": ("Solution", "Solved"),
    "convcalc.analysis.strides": ("AxisFit",),
    "convcalc.analysis.summary": ("Layer", "Summary", "Totals"),
    "convcalc.errors": (
        "ConvcalcError",
        "DesignError",
        "LayerError",
        "Place",
        "Problem",
        "Source",
    ),
    "convcalc.integers": ("Answer", "Formula", "Solutions", "definitions", "evaluate"),
    "convcalc.checking": ("Check", "check"),
    "convcalc.network": ("Network", "diff", "fit", "load"),
    "convcalc.ops.explanation": ("Rule",),
    "convcalc.single": ("LayerReport", "layer"),
    "convcalc.pytorch": ("Comparison", "DeviceError", "Report", "TorchMissing", "verify_fit"),
    "convcalc.report.export": ("to_latex", "to_python"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
