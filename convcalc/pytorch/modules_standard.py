"""PyTorch modules of the standard layers that torch.nn lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Add(nn.Module):
    """The sum of values of one shape."""

    def forward(self, *values: Tensor) -> Tensor:
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Mul(nn.Module):
    """The elementwise product; N×C×1×1 gates N×C×H×W."""

    def forward(self, *values: Tensor) -> Tensor:
        result = values[0]
        for value in values[1:]:
            result = result * value
        return result


class Concat(nn.Module):
    """Values one after another along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, self.dim)


class Split(nn.Module):
    """`size` channels from `start` on: a view."""

    def __init__(self, start: int, size: int) -> None:
        super().__init__()
        self.start = start
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.start, self.size)


class CenterCrop(nn.Module):
    """The middle of N×C×…, as large as `like`: a view. An odd row too many goes at the end."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        for axis in range(2, x.dim()):
            size, wanted = x.shape[axis], like.shape[axis]
            x = x.narrow(axis, (size - wanted) // 2, wanted)
        return x


class UpsampleLike(nn.Module):
    """torch.nn.Upsample to the size of `like`."""

    def __init__(self, mode: str, align_corners: bool | None) -> None:
        super().__init__()
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        size = like.shape[2:]
        return functional.interpolate(x, size, None, self.mode, self.align_corners)


class LayerNorm2d(nn.LayerNorm):
    """torchvision's LayerNorm2d: the channels at each place of N×C×H×W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DepthMaxPool(nn.Module):
    """The largest of each `kernel_size` neighbouring channels."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        n, channels, *spatial = x.shape
        groups = x.reshape(n, channels // self.kernel_size, self.kernel_size, *spatial)
        return groups.max(2).values


class StochasticDepth(nn.Module):
    """torchvision's StochasticDepth: in training a branch is 0 with probability p."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        kept = 1.0 - self.p
        noise = x.new_empty((rows, *[1] * (x.dim() - 1))).bernoulli_(kept)
        if kept > 0.0:
            noise = noise.div_(kept)
        return x * noise


# ---------------------------------------------------------------------------- TensorFlow's "SAME"


def same_padding(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """What functional.pad takes for TensorFlow's SAME: the output is ⌈W/S⌉, an odd row at the end.

    Source: tensorflow/core/framework/kernel_shape_util.cc.
    """
    padding: list[int] = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        last = (size - 1) // s * s  # where the last window starts in the input
        total = max(last + d * (k - 1) + 1 - size, 0)
        padding = [total // 2, total - total // 2, *padding]  # functional.pad: last axis first
    return padding


class _Same:
    """Pads what flows in, as TensorFlow's SAME does, and goes on with the class beside it.

    All arguments are given as tuples of one number an axis.
    """

    kernel_size: Any
    stride: Any
    dilation: Any = None
    fill = 0.0

    def pad(self, x: Tensor) -> Tensor:
        kernel, dilation = self.kernel_size, self.dilation or (1,) * len(self.kernel_size)
        padding = same_padding(x.shape[2:], kernel, self.stride, dilation)
        return functional.pad(x, padding, value=self.fill) if any(padding) else x

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.pad(x))  # type: ignore[misc,no-any-return]  # the class beside it


class _SameMax(_Same):
    fill = float("-inf")


class _SameAverage(_Same):
    """Each sum is divided by the number of places inside, as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        inside = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        return super().forward(x) / super().forward(inside)


class Conv1dSame(_Same, nn.Conv1d):
    """Conv1d with TensorFlow's SAME padding."""


class Conv2dSame(_Same, nn.Conv2d):
    """Conv2d with TensorFlow's SAME padding."""


class Conv3dSame(_Same, nn.Conv3d):
    """Conv3d with TensorFlow's SAME padding."""


class MaxPool1dSame(_SameMax, nn.MaxPool1d):
    """MaxPool1d with TensorFlow's SAME padding."""


class MaxPool2dSame(_SameMax, nn.MaxPool2d):
    """MaxPool2d with TensorFlow's SAME padding."""


class MaxPool3dSame(_SameMax, nn.MaxPool3d):
    """MaxPool3d with TensorFlow's SAME padding."""


class AvgPool1dSame(_SameAverage, nn.AvgPool1d):
    """AvgPool1d with TensorFlow's SAME padding."""


class AvgPool2dSame(_SameAverage, nn.AvgPool2d):
    """AvgPool2d with TensorFlow's SAME padding."""


class AvgPool3dSame(_SameAverage, nn.AvgPool3d):
    """AvgPool3d with TensorFlow's SAME padding."""


#: Name under which ops ask for it → class.
MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (
        Add,
        Mul,
        Concat,
        Split,
        CenterCrop,
        UpsampleLike,
        LayerNorm2d,
        DepthMaxPool,
        StochasticDepth,
        Conv1dSame,
        Conv2dSame,
        Conv3dSame,
        MaxPool1dSame,
        MaxPool2dSame,
        MaxPool3dSame,
        AvgPool1dSame,
        AvgPool2dSame,
        AvgPool3dSame,
    )
}
