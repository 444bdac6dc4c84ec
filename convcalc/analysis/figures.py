"""The names of the figures that `Network.formula` tells, for type checkers and for messages."""

from __future__ import annotations

from typing import Literal, get_args

#: Attributes of `Totals`.
Figure = Literal[
    "params",
    "trainable_params",
    "buffers",
    "macs",
    "aux_params",
    "aux_macs",
    "weights_bytes",
    "volumes",
    "allocated_bytes",
    "saved_bytes",
    "gradients_bytes",
]
#: Attributes of `Layer`.
LayerFigure = Literal[
    "params",
    "buffers",
    "macs",
    "output_bytes",
    "weights_bytes",
    "allocated_bytes",
    "saved_bytes",
]

FIGURES: tuple[str, ...] = get_args(Figure)
LAYER_FIGURES: tuple[str, ...] = get_args(LayerFigure)
