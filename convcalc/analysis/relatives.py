"""Where a design departs from another one that it was written after."""

from __future__ import annotations

from convcalc.ops.joins import show_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.analysis.summary import Layer, Summary


def first_difference(summary: Summary, other: Summary) -> tuple[Layer, str] | None:
    """The first layer that is another one than in the other network, and how, in words.

    Layers are compared in order. None where there is no difference, or the other one only goes on.
    """
    for layer, there in zip(summary.layers, other.layers, strict=False):
        if str(layer.op) != str(there.op):
            return layer, f"{layer.op}, where that has {there.op}"
        if layer.output != there.output:
            return layer, f"output {show_shape(layer.output)}, where that has " + show_shape(
                there.output
            )
    if len(summary.layers) > len(other.layers):
        layer = summary.layers[len(other.layers)]
        return layer, f"{layer.op}, where that has no more layers"
    return None
