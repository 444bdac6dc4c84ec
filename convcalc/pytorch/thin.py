"""A thin copy of a network: one channel, one axis, every layer a positive linear map.

Which rows of the input an output depends on does not hang on channels, nor on what a layer makes of
the values: so a convolution of ones stands for any convolution, an average for a maximum, a sum for
a product, nothing for what works on each place. What is left are PyTorch's own strides, paddings
and interpolations, along one axis; none of our windows. Statistics over whole maps are left out.

Values are 1×1×L. A layer that reads a whole axis is an average over it; or nothing at all, where
only the local paths are asked for. What lies past the ends of a map is `fill`: with 0 the copy is
what stands above, with 1 it finds out which outputs padding has a part in, when zeros flow in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from convcalc.pytorch.modules_standard import CenterCrop, same_padding

if TYPE_CHECKING:
    from convcalc.ops.base import Layout, Op

    Shape = tuple[int, ...]


class Place:
    """Where a layer stands: its op, the axis (0 is the first spatial one), shapes and layouts.

    along: the length of the output along the axis; None where it has no such axis.
    local: leave out what reads a whole axis. fill: what lies past the ends.
    on_map: what flows in has this axis. gathered: the layer has read a whole axis.
    """

    __slots__ = (
        "along",
        "axis",
        "fill",
        "gathered",
        "layout",
        "local",
        "on_map",
        "op",
        "output",
        "shapes",
    )

    def __init__(
        self,
        op: Op,
        axis: int,
        shapes: Sequence[Shape],
        output: Shape,
        layout: Layout,
        *,
        axes: int,
        local: bool,
        fill: float = 0.0,
    ) -> None:
        self.op = op
        self.axis = axis
        self.shapes = shapes
        self.output = output
        self.layout = layout
        self.local = local
        self.fill = fill
        self.gathered = False
        self.on_map = len(shapes[0]) == axes + 2 and layout != "tokens"
        self.along = output[2 + axis] if len(output) == axes + 2 and layout != "tokens" else None

    def argument(self, name: str) -> Any:
        """An argument of the op along this axis; words and flags as they are."""
        value = getattr(self.op, name)
        return value[self.axis] if isinstance(value, tuple) else value

    def pad(self, x: Tensor, before: int, after: int) -> Tensor:
        return functional.pad(x, (before, after), value=self.fill)

    def whole(self, x: Tensor) -> Tensor:
        """Every output reads the whole axis."""
        self.gathered = True
        mean = x.mean(-1, keepdim=True)
        if self.local:
            mean = torch.zeros_like(mean)
        return mean if self.along is None else mean.expand(-1, -1, self.along)


Thin = Callable[..., Tensor]


def layer_of(name: str) -> Thin:
    """The thin copy of the layers of that name; raises KeyError."""
    base = name[:-2] if name.endswith(("1d", "2d", "3d")) else name
    return LAYERS.get(name) or LAYERS[base]


def thin(place: Place, *values: Tensor) -> Tensor:
    """What the thin copy of a layer makes of its values."""
    layer = layer_of(place.op.name())
    if layer not in ANYWHERE and not place.on_map:
        return _somewhere(*values)
    return layer(place, *values)


def _somewhere(*values: Tensor) -> Tensor:
    """Where axes are not those of the input, all that can be said is what it can depend on."""
    return torch.cat(values, 2).mean(2, keepdim=True)


def changes(op: Op) -> bool:
    """Whether a layer does anything to a thin value."""
    return layer_of(op.name()) is not _each_place


def _each_place(place: Place, x: Tensor, *others: Tensor) -> Tensor:
    return x


def _ones(x: Tensor, kernel: int) -> Tensor:
    return torch.full((1, 1, kernel), 1 / kernel, dtype=x.dtype, device=x.device)


# ---------------------------------------------------------------------------- windows


def _convolution(place: Place, x: Tensor) -> Tensor:
    kernel, stride = place.argument("kernel_size"), place.argument("stride")
    padding, dilation = place.argument("padding"), getattr(place.op, "dilation", 1)
    dilation = dilation[place.axis] if isinstance(dilation, tuple) else dilation
    mode = getattr(place.op, "padding_mode", "zeros")
    if padding == "tf_same":
        sides = same_padding(x.shape[2:], (kernel,), (stride,), (dilation,))
        x, padding = place.pad(x, *sides), 0
    elif padding == "same" and (place.fill or mode != "zeros"):
        total = dilation * (kernel - 1)  # torch/nn/modules/conv.py, _ConvNd
        x, padding = _padded(place, x, total // 2, total - total // 2, mode), 0
    elif isinstance(padding, int) and (place.fill or mode != "zeros"):
        x, padding = _padded(place, x, padding, padding, mode), 0
    return functional.conv1d(x, _ones(x, kernel), None, stride, padding, dilation)


def _padded(place: Place, x: Tensor, before: int, after: int, mode: str) -> Tensor:
    if place.fill or mode in ("zeros", "constant"):
        return place.pad(x, before, after)
    return functional.pad(x, (before, after), mode)


def _transposed(place: Place, x: Tensor) -> Tensor:
    kernel, stride = place.argument("kernel_size"), place.argument("stride")
    padding, dilation = place.argument("padding"), place.argument("dilation")
    if place.fill:
        # As many rows past the ends as can reach an output, whose own rows are cut off again.
        rim = dilation * kernel // stride + 1
        x, padding = place.pad(x, rim, rim), padding + rim * stride
    return functional.conv_transpose1d(
        x,
        _ones(x, kernel),
        None,
        stride,
        padding,
        place.argument("output_padding"),
        1,
        dilation,
    )


def _pool(place: Place, x: Tensor) -> Tensor:
    kernel, stride = place.argument("kernel_size"), place.argument("stride") or 0
    stride = stride or kernel
    padding, dilation = place.argument("padding"), place.argument("dilation")
    ceil = bool(getattr(place.op, "ceil_mode", False))
    if padding == "tf_same":
        x = place.pad(x, *same_padding(x.shape[2:], (kernel,), (stride,), (dilation,)))
        padding = 0
    # The length is that of PyTorch's own pool; what is read, that of a convolution of as many taps.
    like = torch.empty((1, 1, x.shape[2]), dtype=torch.float32)
    length = functional.max_pool1d(like, kernel, stride, padding, dilation, ceil).shape[2]
    x = place.pad(x, padding, padding + kernel * dilation + stride)
    read = functional.conv1d(x, _ones(x, kernel), None, stride, 0, dilation)
    return read.narrow(2, 0, length)


def _subsampling(place: Place, x: Tensor) -> Tensor:
    kernel = place.argument("kernel_size")
    stride = place.op.given()["stride"]
    stride = kernel if stride is None else stride[place.axis]
    return functional.conv1d(x, _ones(x, kernel), None, stride)


def _to_size(place: Place, x: Tensor) -> Tensor:
    if not place.on_map:
        sizes = place.op.given()["output_size"]
        return place.whole(x) if all(size == 1 for size in sizes) else _somewhere(x)
    length = place.argument("output_size")
    if length is None:
        return x
    if length == 1:
        return place.whole(x)
    return functional.adaptive_avg_pool1d(x, length)


def _unpool(place: Place, x: Tensor, like: Tensor) -> Tensor:
    kernel, stride = place.argument("kernel_size"), place.op.given()["stride"]
    step = kernel if stride is None else stride[place.axis]
    rim = kernel // step + 1
    spread = functional.conv_transpose1d(place.pad(x, rim, rim), _ones(x, kernel), None, step)
    first = rim * step + place.argument("padding")
    spread = functional.pad(spread, (0, max(first + like.shape[2] - spread.shape[2], 0)))
    return spread.narrow(2, first, like.shape[2])


# ---------------------------------------------------------------------------- shape


def _pad(mode: str) -> Thin:
    def layer(place: Place, x: Tensor) -> Tensor:
        axes = len(place.shapes[0]) - 2
        at = 2 * (axes - 1 - place.axis)  # the last axis comes first
        before, after = place.op.given()["padding"][at : at + 2]
        return _padded(place, x, before, after, mode)

    return layer


def _crop(place: Place, x: Tensor, like: Tensor) -> Tensor:
    return CenterCrop()(x, like)  # type: ignore[no-any-return]  # a module's call is Any


def _shuffle(place: Place, x: Tensor) -> Tensor:
    return x.repeat_interleave(place.op.given()["upscale_factor"], 2)


def _unshuffle(place: Place, x: Tensor) -> Tensor:
    return functional.avg_pool1d(x, place.op.given()["downscale_factor"])


def _resize(place: Place, x: Tensor, like: Tensor | None = None) -> Tensor:
    op = place.op
    size, factor, mode = place.argument("size"), place.argument("scale_factor"), _text(op, "mode")
    if like is not None:
        size = like.shape[2]
    factor = None if factor is None else float(factor)
    corners = bool(getattr(op, "align_corners", False))
    if mode == "area":
        return functional.interpolate(x, size, factor, "area")
    if mode in ("nearest", "nearest_exact"):
        return functional.interpolate(x, size, factor, mode.replace("_", "-"))
    if place.fill:
        # Past the ends the last row stands for what is not there; more outputs than do are marked.
        grown = functional.interpolate(x, size, factor, "linear", corners)
        rim = 2 * (grown.shape[2] // x.shape[2] + 1)
        grown[:, :, :rim] = grown[:, :, -rim:] = place.fill
        return grown
    if mode != "bicubic":
        return functional.interpolate(x, size, factor, "linear", corners)
    flat = x.unsqueeze(2)
    out = functional.interpolate(
        flat,
        None if size is None else (1, size),
        None if factor is None else (1.0, factor),
        "bicubic",
        corners,
    )
    # Weights of a cubic are negative, too: what comes back must not cancel out.
    if out.requires_grad:
        noise = torch.rand_like(out).add_(1)
        out.register_hook(lambda grad: grad * noise)  # type: ignore[no-untyped-call]  # torch has no types
    return out.squeeze(2)


def _text(op: Op, name: str) -> str:
    return str(getattr(op, name))


# ---------------------------------------------------------------------------- joins


def _sum(place: Place, *values: Tensor) -> Tensor:
    length = max(value.shape[2] for value in values)
    total = torch.zeros_like(values[0][:, :, :1]).expand(-1, -1, length)
    for value in values:
        total = total + value  # a gate's one place is spread over all
    return total


def _concat(place: Place, *values: Tensor) -> Tensor:
    dim = place.op.given()["dim"]
    in_line = dim == 1 if place.layout == "tokens" else dim == 2 + place.axis
    lengths = {value.shape[2] for value in values}
    if in_line or len(lengths) > 1:
        return torch.cat(values, 2)
    return _sum(place, *values)


# ---------------------------------------------------------------------------- whole axes, blocks


def _whole(place: Place, x: Tensor) -> Tensor:
    return place.whole(x)


def _linear(place: Place, x: Tensor) -> Tensor:
    rank = len(place.shapes[0])
    if place.layout == "tokens":
        return x
    if rank == 2 or not place.on_map or place.axis == rank - 3:
        return place.whole(x)
    return x


def _softmax(place: Place, x: Tensor) -> Tensor:
    rank = len(place.shapes[0])
    dim = place.op.given()["dim"] % rank
    if rank == 2 or (place.layout != "tokens" and dim == 2 + place.axis):
        return place.whole(x)
    return x


def _halves(place: Place, x: Tensor) -> Tensor:
    dim = place.op.given()["dim"] % len(place.shapes[0])
    if place.layout == "tokens" or dim != 2 + place.axis:
        return x
    half = x.shape[2] // 2
    return x.narrow(2, 0, half) + x.narrow(2, half, half)


def _blocks(place: Place, x: Tensor) -> Tensor:
    if place.op.given().get("grid"):
        return place.whole(x)
    size = place.argument("window_size")
    length = x.shape[2]
    shift = 0
    if hasattr(place.op, "shift_size") and length > size:  # one window alone is not moved
        shift = place.argument("shift_size")
    places = torch.arange(length, device=x.device) - shift
    block = torch.div(places, size, rounding_mode="floor") + 1
    sums = torch.zeros_like(x[:, :, :1]).repeat(1, 1, int(block.max()) + 1)
    read = sums.index_add(2, block, x)
    if place.fill:
        short = sums.index_add(2, block, torch.ones_like(x)) < size
        read = read.masked_fill(short, place.fill)
    return read[:, :, block]


# Layers for one, two and three axes stand under one name.
LAYERS: dict[str, Thin] = {
    "Conv": _convolution,
    "ConnectionTableConv": _convolution,
    "Unfold": _convolution,
    "ConvTranspose": _transposed,
    "MaxPool": _pool,
    "AvgPool": _pool,
    "LPPool": _pool,
    "Subsampling": _subsampling,
    "AdaptiveAvgPool": _to_size,
    "AdaptiveMaxPool": _to_size,
    "MaxUnpool": _unpool,
    "ZeroPad": _pad("constant"),
    "ConstantPad": _pad("constant"),
    "ReflectionPad": _pad("reflect"),
    "ReplicationPad": _pad("replicate"),
    "CircularPad": _pad("circular"),
    "CenterCrop": _crop,
    "PixelShuffle": _shuffle,
    "PixelUnshuffle": _unshuffle,
    "Upsample": _resize,
    "UpsamplingNearest": _resize,
    "UpsamplingBilinear": _resize,
    "Add": _sum,
    "Mul": _sum,
    "Concat": _concat,
    "Linear": _linear,
    "RBF": _whole,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Softmin": _softmax,
    "GLU": _halves,
    "MeanTokens": _whole,
    "TakeToken": _whole,  # asked for behind attention alone, which has gathered all in it
    "MultiheadAttention": _whole,
    "WindowAttention": _blocks,
    "RelativePositionAttention": _blocks,
}
LAYERS.update(
    dict.fromkeys(
        (
            # places in a row and back; in the thin copy they are that already
            "Flatten",
            "Unflatten",
            "Tokens",
            "TokensToImage",
            "ClassToken",
            # channels
            "Split",
            "ChannelShuffle",
            "DepthMaxPool",
            "LocalResponseNorm",
            "Softmax2d",
            # statistics do not count
            "BatchNorm",
            "InstanceNorm",
            "GroupNorm",
            "LayerNorm",
            "RMSNorm",
            # each value by itself
            "LayerScale",
            "PositionBias",
            "PositionEmbedding",
            "Dropout",
            "AlphaDropout",
            "FeatureAlphaDropout",
            "StochasticDepth",
            "Identity",
            "ReLU",
            "ReLU6",
            "LeakyReLU",
            "PReLU",
            "RReLU",
            "ELU",
            "SELU",
            "CELU",
            "GELU",
            "SiLU",
            "Mish",
            "Softplus",
            "Softsign",
            "Sigmoid",
            "LogSigmoid",
            "Tanh",
            "ScaledTanh",
            "Tanhshrink",
            "Softshrink",
            "Hardshrink",
            "Hardtanh",
            "Hardsigmoid",
            "Hardswish",
            "Threshold",
        ),
        _each_place,
    )
)
#: Those that know what to do where the input's axes are gone.
ANYWHERE = (_each_place, _sum, _concat, _whole, _linear, _softmax, _halves, _to_size)
