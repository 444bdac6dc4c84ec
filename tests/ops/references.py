"""PyTorch modules for the layers that torch.nn lacks, written from their papers and docs alone.

They share no code and no formula with convcalc: `same` padding, say, is found by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.ops.case import Reference, Shape


class Calls(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)


def function(make: Callable[..., Callable[..., Tensor]]) -> Reference:
    """A reference without weights: `make` takes the layer's arguments and gives the function."""

    def reference(args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]) -> Calls:
        return Calls(make(*args, **named))

    return reference


def _equal(values: tuple[Tensor, ...]) -> Any:
    return torch.broadcast_tensors(*values)  # type: ignore[no-untyped-call]


def _parts(x: Tensor, sizes: list[int], axis: int) -> Any:
    """torch.split, which raises unless the sizes add up."""
    return x.split(sizes, axis)  # type: ignore[no-untyped-call]


def _sum() -> Callable[..., Tensor]:
    return lambda *values: torch.stack(list(_equal(values))).sum(0)


def _product() -> Callable[..., Tensor]:
    return lambda *values: torch.stack(list(_equal(values))).prod(0)


def _concat(dim: int = 1) -> Callable[..., Tensor]:
    return lambda *values: torch.cat(values, dim)


def _split(start: int, size: int) -> Callable[[Tensor], Tensor]:
    return lambda x: _parts(x, [start, size, x.shape[1] - start - size], 1)[1]


def _center_crop() -> Callable[[Tensor, Tensor], Tensor]:
    def crop(x: Tensor, like: Tensor) -> Tensor:
        for axis in range(2, max(x.dim(), like.dim(), 3)):
            # Rows are taken off the end and the front in turn, the end first.
            while x.shape[axis] != like.shape[axis]:
                extra = x.shape[axis] - like.shape[axis]
                if extra < 0:
                    raise ValueError("like is larger")
                front = 1 - extra % 2
                x = _parts(x, [front, x.shape[axis] - 1, 1 - front], axis)[1]
        return x

    return crop


def _depth_max_pool(kernel_size: int) -> Callable[[Tensor], Tensor]:
    def pool(x: Tensor) -> Tensor:
        if x.dim() < 3 or x.shape[1] % kernel_size:
            raise ValueError("the channels do not divide")
        # torch's own pool, with the channels brought to the place of a length
        channels_last = x.movedim(1, -1)
        rows = channels_last.reshape(-1, 1, x.shape[1])
        pooled = functional.max_pool1d(rows, kernel_size)
        return pooled.reshape(*channels_last.shape[:-1], -1).movedim(-1, 1)

    return pool


class LayerNorm2dReference(nn.Module):
    """Mean and variance over the channels, written out."""

    def __init__(
        self, channels: int, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if elementwise_affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        x = (x - mean) / (variance + self.eps).sqrt()
        if self.weight is not None:
            x = torch.einsum("nchw,c->nchw", x, self.weight)
        return x if self.bias is None else x + self.bias[:, None, None]


def _layer_norm2d(
    args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]
) -> nn.Module:
    _, channels, _, _ = shapes[0]
    if named.pop("normalized_shape", channels) != channels:
        raise ValueError("channels differ")
    return LayerNorm2dReference(channels, *args, **named)


def _stochastic_depth(p: float, mode: str = "row") -> Callable[[Tensor], Tensor]:
    if not 0 <= p <= 1 or mode not in ("row", "batch"):
        raise ValueError("no such stochastic depth")
    return lambda x: x  # in evaluation; training is tested by its statistics


REFERENCES: dict[str, Reference] = {
    "Add": function(_sum),
    "Mul": function(_product),
    "Concat": function(_concat),
    "Split": function(_split),
    "CenterCrop": function(_center_crop),
    "DepthMaxPool": function(_depth_max_pool),
    "LayerNorm2d": _layer_norm2d,
    "StochasticDepth": function(_stochastic_depth),
}


class PaddedSame(nn.Module):
    """TensorFlow's SAME around a torch.nn layer without padding.

    The padding is found by trying: the fewest rows that give ⌈W/S⌉ outputs, the larger half at the
    end. An average leaves padding out: it is taken as sum over count, by convolutions.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        # The names of the parameters are those of the layer alone.
        self._parameters = layer._parameters
        self._modules.clear()
        object.__setattr__(self, "layer", layer)

    def forward(self, x: Tensor) -> Tensor:
        layer: Any = self.layer
        axes = x.dim() - 2

        def each(value: Any) -> tuple[int, ...]:
            return value if isinstance(value, tuple) else (value,) * axes

        kernel, stride = each(layer.kernel_size), each(layer.stride)
        dilation = each(getattr(layer, "dilation", 1))
        for axis in range(axes):
            size = x.shape[2 + axis]
            wanted = len(range(0, size, stride[axis]))
            total = 0
            while _count(size + total, kernel[axis], stride[axis], dilation[axis]) < wanted:
                total += 1
            pads = [0, 0] * (axes - 1 - axis) + [total // 2, total - total // 2]
            x = functional.pad(x, pads, value=float("nan"))
        inside = (~x.isnan()).to(x.dtype)
        is_max = isinstance(layer, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d))
        out: Tensor = layer(x.nan_to_num(float("-inf") if is_max else 0.0))
        if isinstance(layer, (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)):
            out = out / layer(inside)
        return out


def _count(size: int, kernel: int, stride: int, dilation: int) -> int:
    """How many windows fit, counted one by one."""
    starts = range(0, max(size, 0), stride)
    return sum(start + dilation * (kernel - 1) < size for start in starts)
