"""PyTorch modules of the layers in convcalc.ops.attention that torch.nn lacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Tokens(nn.Module):
    """N×C×… → N×L×C."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class TokensToImage(nn.Module):
    """N×L×E → N×E×…, the spatial axes those of `like`."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *like.shape[2:])


class ClassToken(nn.Module):
    """N×L×E → N×(L + 1)×E."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)


class PositionEmbedding(nn.Module):
    """N×L×E → N×L×E. Drawn from N(0, 0.02²) at first, as in torchvision."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, length, width).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pos_embedding


class TakeToken(nn.Module):
    """N×L×E → N×E."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


class MeanTokens(nn.Module):
    """N×L×E → N×E."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class SelfAttention(nn.MultiheadAttention):
    """torch.nn.MultiheadAttention(batch_first=True) of a value with itself, as one layer.

    The same parameters and the same result, in training and in eval mode. Scores are computed by
    scaled_dot_product_attention, as torch does where nobody asks for the weights. FlopCounterMode
    counts that on the CPU only under sdpa_kernel(SDPBackend.MATH); torch's own module also takes a
    path in eval mode that it never counts (aten::_native_multi_head_attention), this one does not.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__(embed_dim, num_heads, dropout, bias, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one value in, one out
        n, length, _ = x.shape
        qkv = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        qkv = qkv.view(n, length, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # N×heads×L×E/heads
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


def relative_position_index(height: int, width: int) -> Tensor:
    """For each pair of places of a window the row of the bias table: places×places, int64."""
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    offsets = places[:, None] - places[None, :]
    return (offsets[..., 0] + height - 1) * (2 * width - 1) + offsets[..., 1] + width - 1


class WindowAttention(nn.Module):
    """torchvision.ops' ShiftedWindowAttention on N×C×H×W: the same parameters, the same result."""

    relative_position_bias_table: Tensor
    relative_position_index: Tensor

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: Sequence[int],
        shift_size: Sequence[int] = (0, 0),
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = tuple(window_size)
        self.shift_size = tuple(shift_size)
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        height, width = self.window_size
        self.relative_position_bias_table = nn.Parameter(
            torch.empty((2 * height - 1) * (2 * width - 1), num_heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        index = relative_position_index(height, width).flatten()
        self.register_buffer("relative_position_index", index)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        window_h, window_w = self.window_size
        x = x.movedim(1, -1)
        x = functional.pad(x, (0, 0, 0, -width % window_w, 0, -height % window_h))
        padded_h, padded_w = x.shape[1:3]
        rows, columns = padded_h // window_h, padded_w // window_w
        # One window along an axis has nothing to be shifted against.
        shift_h = self.shift_size[0] if rows > 1 else 0
        shift_w = self.shift_size[1] if columns > 1 else 0
        shifted = shift_h > 0 or shift_w > 0
        hidden = None
        if shifted:
            x = x.roll((-shift_h, -shift_w), (1, 2))
            hidden = self._seams(x, rows, columns, shift_h, shift_w)
        x = x.reshape(n, rows, window_h, columns, window_w, channels).transpose(2, 3)
        x = x.reshape(n, rows * columns, window_h * window_w, channels)
        x = self._attend(x, hidden)
        x = x.view(n, rows, columns, window_h, window_w, channels).transpose(2, 3)
        x = x.reshape(n, padded_h, padded_w, channels)
        if shifted:
            x = x.roll((shift_h, shift_w), (1, 2))
        return x[:, :height, :width].movedim(-1, 1).contiguous()

    def _attend(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """N×windows×places×C → the same; hidden: windows×1×places×places."""
        n, windows, places, channels = x.shape
        qkv = self.qkv(x).view(n, windows, places, 3, self.num_heads, -1)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index]
        scores = scores + bias.view(places, places, -1).movedim(-1, 0)
        if hidden is not None:
            # torchvision adds -100, whose exp is 4e-44: the same, but for a trace across the seam.
            # A sum keeps nothing for backward, as there; masked_fill would keep the mask.
            scores = scores + hidden
        weights = functional.dropout(scores.softmax(-1), self.attention_dropout, self.training)
        mixed = (weights @ value).transpose(2, 3).reshape(n, windows, places, channels)
        return functional.dropout(self.proj(mixed), self.dropout, self.training)

    def _seams(self, x: Tensor, rows: int, columns: int, shift_h: int, shift_w: int) -> Tensor:
        """-inf for pairs of places that the cyclic shift alone brought into one window, else 0."""
        window_h, window_w = self.window_size
        height, width = rows * window_h, columns * window_w
        below = torch.arange(height, device=x.device) >= height - shift_h
        beside = torch.arange(width, device=x.device) >= width - shift_w
        region = 2 * below[:, None] + 1 * beside[None, :]
        region = region.view(rows, window_h, columns, window_w).transpose(1, 2)
        region = region.reshape(rows * columns, 1, window_h * window_w)
        pairs = region[..., :, None] != region[..., None, :]
        return x.new_zeros(pairs.shape).masked_fill_(pairs, float("-inf"))


class RelativePositionAttention(nn.Module):
    """The attention of torchvision's MaxViT, with its partition of N×C×H×W into windows or grid."""

    relative_position_bias_table: Tensor
    relative_position_index: Tensor

    def __init__(
        self, feat_dim: int, head_dim: int, window_size: Sequence[int], grid: bool = False
    ) -> None:
        super().__init__()
        height, width = self.window_size = tuple(window_size)
        self.head_dim = head_dim
        self.grid = grid
        self.scale = feat_dim**-0.5  # of all heads together, in torchvision and the authors' code
        self.relative_position_bias_table = nn.Parameter(
            torch.empty((2 * height - 1) * (2 * width - 1), feat_dim // head_dim)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.to_qkv = nn.Linear(feat_dim, 3 * feat_dim)
        self.merge = nn.Linear(feat_dim, feat_dim)
        self.register_buffer("relative_position_index", relative_position_index(height, width))

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        window_h, window_w = self.window_size
        rows, columns = height // window_h, width // window_w
        if self.grid:
            x = x.reshape(n, channels, window_h, rows, window_w, columns)
            order = (0, 3, 5, 2, 4, 1)
        else:
            x = x.reshape(n, channels, rows, window_h, columns, window_w)
            order = (0, 2, 4, 3, 5, 1)
        x = x.permute(order).reshape(n, rows * columns, window_h * window_w, channels)
        x = self._attend(x).view(n, rows, columns, window_h, window_w, channels)
        x = x.permute([order.index(axis) for axis in range(6)])
        return x.reshape(n, channels, height, width)

    def _attend(self, x: Tensor) -> Tensor:
        """N×groups×places×C → the same."""
        n, groups, places, channels = x.shape
        qkv = self.to_qkv(x).view(n, groups, places, 3, -1, self.head_dim)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        scores = query @ (key * self.scale).transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index].movedim(-1, 0)
        scores = scores + bias
        weights = scores.softmax(-1)
        mixed = (weights @ value).transpose(2, 3).reshape(n, groups, places, channels)
        out: Tensor = self.merge(mixed)
        return out


class LayerScale(nn.Module):
    """A factor for each channel; the parameter's shape broadcasts from the right."""

    def __init__(self, shape: Sequence[int], init: float) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full(tuple(shape), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layer_scale


class PositionBias(nn.Module):
    """A bias for each position of each map; zeros at first."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(*shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


#: Name under which ops ask for it → class.
MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (
        Tokens,
        TokensToImage,
        ClassToken,
        PositionEmbedding,
        TakeToken,
        MeanTokens,
        SelfAttention,
        WindowAttention,
        RelativePositionAttention,
        LayerScale,
        PositionBias,
    )
}
