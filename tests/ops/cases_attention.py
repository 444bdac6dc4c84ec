"""Uses of the layers for vision transformers and of the classics, right and wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convcalc.ops import REGISTRY
from convcalc.pytorch.namespace import NN
from tests.ops.case import Case, Reference, Shape, bad, good, stricter
from tests.ops.references import function

FLAT = (2, 12)
MAP = (2, 12, 6, 8)
VOLUME = (2, 4, 3, 4, 5)
TOKENS = (2, 5, 12)

CASES: dict[str, list[Case]] = {
    # ------------------------------------------------------------------ tokens
    "Tokens": [
        good("", MAP),
        good("", VOLUME),
        good("", (1, 3, 1, 1)),
        stricter("", (2, 4, 3, 4, 5, 6)),
        bad("1", MAP),
        bad("", FLAT),
    ],
    "TokensToImage": [
        good("", (2, 48, 12), (2, 3, 6, 8)),
        good("", (2, 60, 4), VOLUME),
        bad("", (2, 49, 12), (2, 3, 6, 8)),
        bad("", MAP, MAP),
        bad("", TOKENS, FLAT),
    ],
    "ClassToken": [good("", TOKENS), good("", (1, 1, 1)), bad("", FLAT), bad("", MAP)],
    "PositionEmbedding": [
        good("", TOKENS),
        good("", (1, 1, 1)),
        stricter("", FLAT),
        bad("1", TOKENS),
    ],
    "TakeToken": [
        good("", TOKENS),
        good("4", TOKENS),
        good("index=1", TOKENS),
        bad("5", TOKENS),
        bad("0.5", TOKENS),
        stricter("-1", TOKENS),
        stricter("", MAP),
    ],
    "MeanTokens": [good("", TOKENS), good("", (1, 1, 1)), stricter("", MAP), bad("", (12,))],
    # ------------------------------------------------------------------ attention
    "MultiheadAttention": [
        good("1", TOKENS),
        good("3", TOKENS),
        good("4, bias=false", TOKENS),
        good("2, dropout=0.1, embed_dim=12", TOKENS),
        good("1", (1, 1, 1)),
        bad("5", TOKENS),
        bad("0", TOKENS),
        bad("3, embed_dim=16", TOKENS),
        bad("12, 3", TOKENS),
        bad("3, dropout=2", TOKENS),
        bad("3", MAP),
        stricter("3", FLAT),
    ],
    "WindowAttention": [
        good("3, 2", MAP),
        good("4, (3, 4)", MAP),
        good("4, 4, 2", MAP),
        good("2, 5, (2, 1)", MAP),
        good("2, 3, shift_size=(0, 1)", MAP),
        good("2, (7, 3), 1", MAP),
        good("2, 9, 3, dim=12", MAP),
        good("6, 1", MAP),
        good("1, 7, 3", (1, 3, 1, 1)),
        good("4, 2, qkv_bias=false, proj_bias=false", MAP),
        good("4, 2, attention_dropout=0.1, dropout=0.1", MAP),
        bad("5, 2", MAP),
        bad("4, 2, dim=16", MAP),
        bad("4, 0", MAP),
        bad("4, 2, 2", MAP),
        bad("4, 2, -1", MAP),
        bad("4", MAP),
        bad("4, (2, 2, 2)", MAP),
        bad("4, 2", TOKENS),
        bad("4, 2", VOLUME),
    ],
    "RelativePositionAttention": [
        good("4, 2", MAP),
        good("3, (3, 4)", MAP),
        good("12, (6, 8)", MAP),
        good("4, 2, true", MAP),
        good("3, (3, 4), grid=true", MAP),
        good("6, (6, 1), grid=true, feat_dim=12", MAP),
        good("1, 1", (1, 1, 1, 1)),
        bad("5, 2", MAP),
        bad("4, 4", MAP),
        bad("4, 4, grid=true", MAP),
        bad("4, 2, feat_dim=16", MAP),
        bad("4", MAP),
        bad("4, 2, 1", MAP),
        bad("4, 2", TOKENS),
    ],
    # ------------------------------------------------------------------ scales and biases
    "LayerScale": [
        good("", MAP),
        good("", VOLUME),
        good("", FLAT),
        good("0.1", (1, 1, 1, 1)),
        good("dim=-1", TOKENS),
        good("1, dim=3", MAP),
        bad("dim=0", MAP),
        bad("dim=none", MAP),
        bad("big", MAP),
        stricter("dim=4", MAP),
    ],
    "PositionBias": [
        good("", (2, 1, 19, 19)),
        good("", (2, 12, 7)),
        good("", VOLUME),
        stricter("", FLAT),
        bad("1", MAP),
    ],
    # ------------------------------------------------------------------ LeNet-5 and SegNet
    "ConnectionTableConv2d": [
        good("5", (2, 6, 14, 14)),
        good("(3, 2), stride=(2, 1), padding=(1, 0)", (2, 6, 8, 9)),
        good("3, [[0, 1], [1, 2], [3]], bias=false", (2, 4, 8, 9)),
        good("1, [[0, 1], [0, 1]], in_channels=2", (2, 2, 8, 9)),
        good("2, [[0]]", (1, 1, 2, 2)),
        bad("5", (2, 5, 14, 14)),
        bad("5", (2, 6, 4, 14)),
        bad("5, in_channels=3", (2, 6, 14, 14)),
        bad("5, lenet", (2, 6, 14, 14)),
        bad("5, [[0, 0]]", (2, 1, 14, 14)),
        bad("5, [[0], []]", (2, 1, 14, 14)),
        bad("5, [0]", (2, 1, 14, 14)),
        bad("5", (2, 6, 14)),
        stricter("5", (2, 8, 14, 14)),
        stricter("5, [[0, -1]]", (2, 1, 14, 14)),
    ],
    "Subsampling2d": [
        good("", (2, 6, 28, 28)),
        good("3, 2", MAP),
        good("(2, 3), stride=(1, 3)", MAP),
        good("2, 3", MAP),
        bad("7", MAP),
        bad("0", MAP),
        bad("2, 0", MAP),
        bad("", VOLUME),
    ],
    "ScaledTanh": [
        good("", FLAT),
        good("", MAP),
        good("2, 1/4", TOKENS),
        good("slope=-1", MAP),
        bad("steep", FLAT),
    ],
    "RBF": [
        good("10", (2, 84)),
        good("1, in_features=12", FLAT),
        bad("10, in_features=84", FLAT),
        bad("0", FLAT),
        bad("", FLAT),
        stricter("10", TOKENS),
    ],
    "MaxUnpool2d": [
        good("2", (2, 3, 4, 5), (2, 3, 8, 10)),
        good("2", (2, 3, 4, 5), (2, 3, 9, 11)),
        good("3, stride=2, padding=1", (2, 3, 4, 5), (2, 3, 8, 9)),
        good("(2, 3), stride=(2, 1), padding=(1, 0)", (2, 3, 3, 5), (2, 3, 5, 7)),
        good("2, stride=3", (2, 3, 3, 4), (2, 3, 8, 11)),
        bad("2", (2, 3, 4, 5), (2, 3, 8, 12)),
        bad("2", (2, 3, 4, 5), (2, 6, 8, 10)),
        bad("2, padding=2", (2, 3, 4, 5), (2, 3, 8, 10)),
        bad("0", (2, 3, 4, 5), (2, 3, 8, 10)),
        bad("2", (2, 3, 4, 5), (2, 3)),
        bad("", (2, 3, 4, 5), (2, 3, 8, 10)),
    ],
}


# ---------------------------------------------------------------------------- what they must equal
# WindowAttention and RelativePositionAttention stand beside torchvision's, and beside sums over
# single pairs of places, in test_attention.py.


class Learned(nn.Module):
    """A function of the input and one parameter."""

    def __init__(
        self, name: str, shape: Sequence[int], function: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.name = name
        self.register_parameter(name, nn.Parameter(torch.randn(*shape)))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.get_parameter(self.name))


def _tokens() -> Callable[[Tensor], Tensor]:
    def tokens(x: Tensor) -> Tensor:
        places = x.reshape(x.shape[0], x.shape[1], -1)
        if x.dim() < 3:
            raise ValueError("no positions")
        return torch.stack([places[:, :, i] for i in range(places.shape[2])], 1)

    return tokens


def _tokens_to_image() -> Callable[[Tensor, Tensor], Tensor]:
    def image(x: Tensor, like: Tensor) -> Tensor:
        out = x.new_empty(x.shape[0], x.shape[2], *like.shape[2:])
        flat = out.view(x.shape[0], x.shape[2], -1)
        for place in range(flat.shape[2]):
            flat[:, :, place] = x[:, place]
        if flat.shape[2] != x.shape[1]:
            raise ValueError("tokens are left over")
        return out

    return image


def _class_token(args: Any, named: Any, shapes: tuple[Shape, ...]) -> nn.Module:
    n, _, width = shapes[0]
    return Learned(
        "class_token", (1, 1, width), lambda x, token: torch.cat([token.repeat(n, 1, 1), x], 1)
    )


def _position_embedding(args: Any, named: Any, shapes: tuple[Shape, ...]) -> nn.Module:
    if args:
        raise TypeError("takes no arguments")
    return Learned("pos_embedding", (1, *shapes[0][1:]), torch.add)


def _position_bias(args: Any, named: Any, shapes: tuple[Shape, ...]) -> nn.Module:
    if args:
        raise TypeError("takes no arguments")
    return Learned("bias", shapes[0][1:], torch.add)


def _layer_scale(args: Any, named: dict[str, Any], shapes: tuple[Shape, ...]) -> nn.Module:
    dim = named.get("dim", 1)
    if dim == 0 or dim is None or isinstance((*args, 1)[0], str):
        raise ValueError("no such scale")
    shape = [1] * len(shapes[0])
    if dim < len(shape):
        shape[dim] = shapes[0][dim]
    kept = shape[dim % len(shape) :] if dim < len(shape) else [1]
    return Learned("layer_scale", kept, torch.mul)


class _SelfAttention(nn.MultiheadAttention):
    """torch's own, asked for the weights too, so that it multiplies plain matrices.

    Query and key are two tensors, which keeps it from a path in eval mode that is never counted.
    """

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one value in, one out
        key = x.view_as(x)
        return super().forward(x, key, key, need_weights=True)[0]


def _multihead_attention(
    args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]
) -> nn.Module:
    named = {"embed_dim": shapes[0][-1], "batch_first": True, **named}
    if len(args) > 1:
        raise TypeError("embed_dim, num_heads")
    return _SelfAttention(named.pop("embed_dim"), *args, **named)


class _RowByRow(nn.Module):
    """A convolution of its own for each map that comes out."""

    def __init__(self, rows: Sequence[Sequence[int]], bias: bool, **settings: Any) -> None:
        super().__init__()
        self.convolutions = [nn.Conv2d(len(row), 1, bias=bias, **settings) for row in rows]
        kernels = [c.weight.detach().transpose(0, 1) for c in self.convolutions]
        self.weight = nn.Parameter(torch.cat(kernels))
        self.bias = nn.Parameter(torch.randn(len(rows))) if bias else None
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        first, maps = 0, []
        for number, (row, convolution) in enumerate(zip(self.rows, self.convolutions, strict=True)):
            weight = self.weight[first : first + len(row)].transpose(0, 1)
            first += len(row)
            inputs = torch.stack([x[:, channel] for channel in row], 1)
            bias = None if self.bias is None else self.bias[number : number + 1]
            maps.append(convolution._conv_forward(inputs, weight, bias))
        return torch.cat(maps, 1)


#: Table I of LeCun et al. 1998: a row for each map of S2, a column for each map of C3.
TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""
LENET5_ROWS = [
    [i for i, mark in enumerate(column) if mark == "X"]
    for column in zip(*TABLE_I.split(), strict=True)
]


def _connection_table(
    args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]
) -> nn.Module:
    settings = {"bias": True, **named}
    table = settings.pop("table", args[1] if len(args) > 1 else "lenet5")
    rows = LENET5_ROWS if table == "lenet5" else table
    wanted = settings.pop("in_channels", shapes[0][1])
    if wanted != shapes[0][1] or isinstance(rows, str):
        raise ValueError("not as asserted")
    if any(len(set(row)) < len(row) for row in rows):
        raise ValueError("a map twice")
    return _RowByRow(rows, kernel_size=args[0], **settings)


class _Subsampling(nn.Module):
    def __init__(self, channels: int, kernel_size: Any = 2, stride: Any = None) -> None:
        super().__init__()
        self.average = nn.AvgPool2d(kernel_size, stride)
        self.sides = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * 2
        self.weight = nn.Parameter(torch.randn(channels))
        self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        sums = self.average(x) * (self.sides[0] * self.sides[1])
        return torch.einsum("nchw,c->nchw", sums, self.weight) + self.bias[:, None, None]


def _subsampling(
    args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]
) -> nn.Module:
    return _Subsampling(shapes[0][1], *args, **named)


def _scaled_tanh(amplitude: Any = 1.7159, slope: Any = 2 / 3) -> Callable[[Tensor], Tensor]:
    steepness = 2 * float(slope)  # tanh x = 2·sigmoid(2x) − 1
    return lambda x: float(amplitude) * (2 * torch.sigmoid(steepness * x) - 1)


class _Distances(nn.Module):
    def __init__(self, features: int, codes: int) -> None:
        super().__init__()
        if codes < 1:
            raise ValueError("no codes")
        self.register_buffer("codes", torch.randn(codes, features).sign())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.get_buffer("codes")) ** 2


def _rbf(args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]) -> nn.Module:
    return _Distances(named.get("in_features", shapes[0][-1]), *args)


def _as_asserted(name: str, asserted: str) -> Reference:
    """Our own module, made for as many channels as the caller asserts."""

    def module(
        args: tuple[Any, ...], named: dict[str, Any], shapes: tuple[Shape, ...]
    ) -> nn.Module:
        n, channels, *spatial = shapes[0]
        channels = named.pop(asserted, channels)
        built: nn.Module = REGISTRY[name](*args, **named).build(NN, (n, channels, *spatial))
        return built

    return module


def _max_unpool(
    kernel_size: Any, *, stride: Any = None, padding: Any = 0
) -> Callable[[Tensor, Tensor], Tensor]:
    def unpool(x: Tensor, like: Tensor) -> Tensor:
        _, indices = nn.MaxPool2d(kernel_size, stride, padding, return_indices=True)(like)
        layer = nn.MaxUnpool2d(kernel_size, stride, padding)
        out: Tensor = layer(x, indices, like.shape[2:])
        return out

    return unpool


REFERENCES: dict[str, Reference] = {
    "Tokens": function(_tokens),
    "TokensToImage": function(_tokens_to_image),
    "ClassToken": _class_token,
    "PositionEmbedding": _position_embedding,
    "TakeToken": function(lambda index=0: lambda x: x.select(1, index)),
    "MeanTokens": function(lambda: lambda x: x.sum(1) / x.shape[1]),
    "MultiheadAttention": _multihead_attention,
    "WindowAttention": _as_asserted("WindowAttention", "dim"),
    "RelativePositionAttention": _as_asserted("RelativePositionAttention", "feat_dim"),
    "LayerScale": _layer_scale,
    "PositionBias": _position_bias,
    "ConnectionTableConv2d": _connection_table,
    "Subsampling2d": _subsampling,
    "ScaledTanh": function(_scaled_tanh),
    "RBF": _rbf,
    "MaxUnpool2d": function(_max_unpool),
}
