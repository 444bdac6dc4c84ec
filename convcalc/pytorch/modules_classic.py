"""PyTorch modules of the layers in convcalc.ops.classic."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConnectionTableConv2d(nn.Module):
    """A convolution with one kernel for each connection of a table; see the op of that name.

    Starts as in the paper's appendix A: uniform within ±2.4 / (inputs of the unit).
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        kernel_size: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        bias: bool,
    ) -> None:
        super().__init__()
        self.inputs = [channel for row in rows for channel in row]
        self.lengths = [len(row) for row in rows]
        self.stride = tuple(stride)
        self.padding = tuple(padding)
        limits = [2.4 / (n * prod(kernel_size)) for n in self.lengths]
        each = [limit for limit, n in zip(limits, self.lengths, strict=True) for _ in range(n)]
        kernels = 2 * torch.rand(len(self.inputs), 1, *kernel_size) - 1
        self.weight = nn.Parameter(kernels * torch.tensor(each).view(-1, 1, 1, 1))
        shifts = 2 * torch.rand(len(rows)) - 1
        self.bias = nn.Parameter(shifts * torch.tensor(limits)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        # One map for each connection, each with its own kernel; then the sums over every row.
        read = x[:, self.inputs]
        maps = functional.conv2d(
            read, self.weight, None, self.stride, self.padding, groups=len(self.inputs)
        )
        out = torch.stack([part.sum(1) for part in torch.split(maps, self.lengths, 1)], 1)
        return out if self.bias is None else out + self.bias.view(-1, 1, 1)


class Subsampling2d(nn.Module):
    """Sum of each window · weight + bias, both one a map. Starts as an average."""

    def __init__(
        self, channels: int, kernel_size: Sequence[int], stride: Sequence[int] | None
    ) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        self.stride = self.kernel_size if stride is None else tuple(stride)
        self.weight = nn.Parameter(torch.full((channels,), 1 / prod(self.kernel_size)))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        sums = functional.avg_pool2d(x, self.kernel_size, self.stride, divisor_override=1)
        return sums * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class ScaledTanh(nn.Module):
    """amplitude · tanh(slope · x)."""

    def __init__(self, amplitude: float, slope: float) -> None:
        super().__init__()
        self.amplitude = amplitude
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return self.amplitude * torch.tanh(self.slope * x)


class RBF(nn.Module):
    """Squared Euclidean distance to fixed codes: the same ones at each construction, everywhere."""

    codes: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1998)
        signs = torch.randint(2, (out_features, in_features), generator=generator, device="cpu")
        default = torch.empty(0).device  # that of a surrounding `with torch.device(…)`
        self.register_buffer("codes", (2.0 * signs - 1).to(default))

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) - self.codes).square().sum(-1)


class MaxUnpool2dLike(nn.Module):
    """torch.nn.MaxUnpool2d that finds the indices again from what went into the pool."""

    def __init__(
        self,
        kernel_size: Sequence[int],
        stride: Sequence[int] | None,
        padding: Sequence[int],
    ) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        self.stride = self.kernel_size if stride is None else tuple(stride)
        self.padding = tuple(padding)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        _, indices = functional.max_pool2d(
            like.detach(), self.kernel_size, self.stride, self.padding, return_indices=True
        )
        return functional.max_unpool2d(
            x, indices, self.kernel_size, self.stride, self.padding, like.shape[2:]
        )


#: Name under which ops ask for it → class.
MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (ConnectionTableConv2d, Subsampling2d, ScaledTanh, RBF, MaxUnpool2dLike)
}
