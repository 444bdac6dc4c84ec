"""Layers of vision transformers: maps as tokens, attention, embeddings, scales."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import ceil_div, minimum, product
from convcalc.ops import strides as lay
from convcalc.ops.arguments import axis, count, flag, like, real, sizes
from convcalc.ops.base import (
    AXES,
    GLOBAL,
    Condition,
    Op,
    Tensor,
    Window,
    as_asserted,
    rank_error,
)
from convcalc.ops.joins import show_shape
from convcalc.ops.memory import BOOL, FLOAT32, INT64, OUTPUT, SAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from convcalc.integers import Size
    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape


class BlockWindow(Window):
    """Output i reads all rows of the block of `size` rows in which it lies.

    Blocks begin at shift + b·size for whole b; what lies before `shift` is a block of its own. As a
    Window it is what any output may read: size − 1 rows to both sides.
    """

    __slots__ = ("shift", "size")

    def __init__(self, size: Size, shift: Size = 0) -> None:
        super().__init__(2 * size - 1, 1, size - 1, size - 1)
        self.size = size
        self.shift = shift

    def rows(self, index: int) -> range:
        """The rows that output `index` reads, if all is in numbers; some may be past the ends."""
        size, shift = self.size, self.shift
        assert isinstance(size, int)
        assert isinstance(shift, int)
        first = (index - shift) // size * size + shift
        return range(first, first + size)


class GridWindow(Window):
    """Output i reads `count` rows spread over the whole axis: i modulo step, and every step-th.

    As a Window it is GLOBAL.
    """

    __slots__ = ("count", "step")

    def __init__(self, count: Size, step: Size) -> None:
        super().__init__(0)
        self.count = count
        self.step = step

    def rows(self, index: int) -> range:
        """The rows that output `index` reads, if all is in numbers."""
        count, step = self.count, self.step
        assert isinstance(count, int)
        assert isinstance(step, int)
        return range(index % step, count * step, step)


# ---------------------------------------------------------------------------- tokens


class Tokens(Op):
    """Every position of a map as one token: the positions in a row, channels last.

    N×C×H×W → N×(H·W)×C; likewise N×C×L and N×C×D×H×W. PyTorch: x.flatten(2).transpose(1, 2).
    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.
    """

    layout = "channels"
    places = "folded"

    def check(self, *shapes: Shape) -> None:
        if not 3 <= len(shapes[0]) <= 5:
            raise rank_error(self, shapes[0], (1, 2, 3))

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        return (n, product(spatial), channels)

    def output_layout(self, *layouts: Layout) -> Layout:
        return "tokens"

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        n, features, *spatial = x.shape
        return tape.permute(tape.reshape(x, (n, features, product(spatial))), (0, 2, 1))

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "·".join(f"{{{letter}}}" for letter in told.letters))
        told.size(2, "{C}", note="as it flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Tokens()


def tokens_error(op: Op, shape: Shape) -> LayerError:
    """What flows in are no tokens."""
    return LayerError(
        f"{op.name()} takes tokens, N×L×E; what flows in is {show_shape(shape)}",
        "put Tokens before it",
    )


class TokensToImage(Op):
    """Tokens back in their places on a map; `like` gives the map's height and width.

    N×L×E → N×E×H×W, L = H·W; likewise N×E×L and N×E×D×H×W. The inverse of Tokens; a class token
    has no place on a map. PyTorch: x.transpose(1, 2).unflatten(2, like.shape[2:]).
    """

    layout = "any"  # tokens, and a `like` that has channels first: output_layout looks
    inputs = 2
    places = "restored"

    like = like(doc="a value with channels first; its sizes are taken, nothing else of it")

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) != 3:
            raise tokens_error(self, shapes[0])
        if not 3 <= len(shapes[1]) <= 5:
            raise LayerError(
                f"TokensToImage: like is {show_shape(shapes[1])}, which has no spatial axes",
                "name a value with channels first: N×C×L, N×C×H×W or N×C×D×H×W",
                argument="like",
            )

    def output(self, *shapes: Shape) -> Shape:
        n, _, features = shapes[0]
        return (n, features, *shapes[1][2:])

    def output_layout(self, *layouts: Layout) -> Layout:
        if layouts[0] != "tokens":
            raise LayerError("TokensToImage takes tokens, N×L×E", "leave it away: this is a map")
        if layouts[1] != "channels":
            raise LayerError(
                "TokensToImage: like are tokens, which have no height and width",
                "name a value with channels first",
                argument="like",
            )
        return "channels"

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [
            Condition(
                "equal",
                shapes[0][1],
                product(shapes[1][2:]),
                "TokensToImage: the tokens and the positions of like",
                "a ClassToken has no place on the map: leave it away",
            )
        ]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.reshape(tape.permute(inputs[0], (0, 2, 1)), tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{E}", note="as it flows in")
        for number, size in enumerate(shapes[1][2:], 2):
            told.size(number, "{that of like}", {"that of like": size})

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.TokensToImage()


class _OnTokens(Op):
    """A layer that takes tokens."""

    layout = "tokens"

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) != 3:
            raise tokens_error(self, shapes[0])


class ClassToken(_OnTokens):
    """One learned token before all others, for a classifier to read.

    N×L×E → N×(L + 1)×E. Parameter class_token, 1×1×E, zeros at first.
    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; torchvision/models/vision_transformer.py.
    """

    places = "lost"

    def output(self, *shapes: Shape) -> Shape:
        n, length, features = shapes[0]
        return (n, length + 1, features)

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("class_token", (1, 1, shapes[0][2]))]

    def windows(self, *shapes: Shape) -> list[Window]:
        return [Window(1, before=1)]  # token i is what was token i − 1, the first is none

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x, token = inputs[0], tape.weights[0]
        each = tape.view(token, (x.shape[0], *token.shape[1:]), None, SAME)
        return tape.concatenate([each, x], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{L} + 1")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.ClassToken(shapes[0][2])


class PositionEmbedding(_OnTokens):
    """A learned vector added to each token, another one at each place.

    N×L×E → N×L×E. Parameter pos_embedding, 1×L×E: it ties the network to one size of input.
    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; torchvision/models/vision_transformer.py.
    """

    fixed = "each token has a vector of its own"

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("pos_embedding", (1, *shapes[0][1:]))]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.add(inputs[0], tape.weights[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.PositionEmbedding(*shapes[0][1:])


class TakeToken(_OnTokens):
    """One token alone: 0 is the class token.

    N×L×E → N×E. PyTorch: x[:, index].
    """

    places = "lost"

    index = count(0, minimum=0, doc="which token, from 0")

    def output(self, *shapes: Shape) -> Shape:
        n, _, features = shapes[0]
        return (n, features)

    def output_layout(self, *layouts: Layout) -> Layout:
        return "channels"

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [Condition("at_least", shapes[0][1], self.index + 1, "TakeToken: the tokens")]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.select(inputs[0], 1)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{E}", note="as it flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.TakeToken(self.index)


class MeanTokens(_OnTokens):
    """The mean of all tokens.

    N×L×E → N×E. PyTorch: x.mean(1).
    """

    def output(self, *shapes: Shape) -> Shape:
        n, _, features = shapes[0]
        return (n, features)

    def output_layout(self, *layouts: Layout) -> Layout:
        return "channels"

    def windows(self, *shapes: Shape) -> list[Window]:
        return [GLOBAL]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.mean(inputs[0], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{E}", note="as it flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.MeanTokens()


# ---------------------------------------------------------------------------- attention


def heads_divide(op: Op, features: Size, heads: Size) -> Condition:
    """Every head has the same share of the features."""
    return Condition(
        "divisible",
        features,
        heads,
        f"{op.name()}: the width that flows in",
        "num_heads divides it",
    )


def flash_attention(tape: Tape, query: Stored, key: Stored, value: Stored) -> Stored:
    """N×heads×L×D three times → the same, in one kernel that never holds the L×L weights.

    The output lies as N×L×heads×D. Source: aten/src/ATen/native/transformers/attention.cpp,
    _scaled_dot_product_flash_attention_cpu.
    """
    shape = query.shape
    logarithms = tape.new(shape[:3], "logarithms of sums", width=max(tape.width, FLOAT32))
    out = tape.kernel(
        shape,
        query,
        key,
        value,
        saves=[query, key, value, OUTPUT, logarithms],
        strides=lay.in_order(shape, (3, 1, 2, 0)),
    )
    tape.drop(logarithms)
    return out


def attention(tape: Tape, query: Stored, key: Stored, value: Stored, dropout: float) -> Stored:
    """The same by products of matrices, with dropout of the weights.

    Source: aten/src/ATen/native/transformers/attention.cpp, _scaled_dot_product_attention_math.
    """
    wide = [tape.cast(part, max(tape.width, FLOAT32)) for part in (query, key, value)]
    asks = tape.scaled(wide[0])
    answers = tape.scaled(wide[1])
    scores = tape.matmul(asks, tape.permute(answers, (0, 1, 3, 2)))
    tape.drop(answers)
    soft = tape.pointwise(scores, saves=[OUTPUT])
    tape.drop(scores)
    weights = tape.dropout(soft, dropout)
    tape.drop(soft, unless=weights)
    narrow = tape.cast(weights, tape.width)  # a second result, which nobody asks for
    mixed = tape.matmul(weights, wide[2])
    out = tape.cast(mixed, tape.width)
    tape.drop(mixed, unless=out)
    tape.drop(asks, weights)
    tape.drop(narrow, unless=weights)
    for part, given in zip(wide, (query, key, value), strict=True):
        tape.drop(part, unless=given)
    return out


def attention_with_bias(
    tape: Tape,
    x: Stored,
    table: Stored,
    qkv: Sequence[Stored],
    proj: Sequence[Stored],
    hidden: Stored | None = None,
    dropout: float = 0.0,
    dropout_after: float = 0.0,
    *,
    scaled: Literal["query", "key"] = "query",
) -> Stored:
    """N×windows×places×C → the same: attention in each window, a bias added to the scores."""
    n, windows, places, channels = x.shape
    heads = table.shape[1]
    together = tape.linear(x, *qkv)
    split = tape.reshape(together, (n, windows, places, 3, heads, channels // heads))
    query, key, value = tape.unbind(tape.permute(split, (3, 0, 1, 4, 2, 5)), 0)
    if scaled == "query":
        factor = query = tape.scaled(query)
    else:
        factor = key = tape.scaled(key)
    scores = tape.matmul(query, tape.permute(key, (0, 1, 2, 4, 3)))
    tape.drop(factor)
    pairs = tape.kernel((places * places, heads), table)
    bias = tape.permute(tape.reshape(pairs, (places, places, heads)), (2, 0, 1))
    scores, plain = tape.add(scores, bias), scores
    tape.drop(plain)
    if hidden is not None:
        scores, whole = tape.kernel(scores.shape, scores), scores
        tape.drop(whole)
    soft = tape.pointwise(scores, saves=[OUTPUT])
    weights = tape.dropout(soft, dropout)
    tape.drop(soft, unless=weights)
    mixed = tape.matmul(weights, value)
    rows = tape.reshape(tape.permute(mixed, (0, 1, 3, 2, 4)), x.shape)
    tape.drop(mixed, unless=rows)
    projected = tape.linear(rows, *proj)
    out = tape.dropout(projected, dropout_after)
    tape.drop(projected, unless=out)
    tape.drop(together, scores, pairs, weights, rows)
    return out


class MultiheadAttention(_OnTokens):
    """Every token asks all tokens (self-attention), in several heads, and mixes their answers.

    N×L×E → N×L×E. Parameters in_proj_weight 3E×E, in_proj_bias 3E, out_proj.weight E×E,
    out_proj.bias E; no bias with bias=false. MACs 4·N·L·E² + 2·N·L²·E: three projections and one,
    queries by keys, and weights by values, whatever the number of heads.
    Source: Vaswani et al. 2017, arXiv:1706.03762; torch/nn/modules/activation.py,
    MultiheadAttention(batch_first=True), called without weights.
    """

    positional = 1
    inferred = "embed_dim"

    num_heads = count(doc="divides the width E")
    dropout = real(0.0, low=0, high=1, doc="share of the attention weights dropped in training")
    bias = flag(True)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        features = shapes[0][2]
        return [heads_divide(self, features, self.num_heads), *as_asserted(self, features)]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        width = shapes[0][2]
        tensors = [
            Tensor("in_proj_weight", (3 * width, width)),
            Tensor("in_proj_bias", (3 * width,)),
            Tensor("out_proj.weight", (width, width)),
            Tensor("out_proj.bias", (width,)),
        ]
        return tensors if self.bias else tensors[::2]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        n, length, width = shapes[0]
        return 4 * n * length * width * width + 2 * n * length * length * width

    def windows(self, *shapes: Shape) -> list[Window]:
        return [GLOBAL]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        n, length, width = x.shape
        split = (n, length, 3, self.num_heads, width // self.num_heads)
        half = len(tape.weights) // 2
        qkv = tape.reshape(tape.linear(x, *tape.weights[:half]), split)
        query, key, value = tape.unbind(tape.permute(qkv, (2, 0, 3, 1, 4)), 0)
        if self.dropout > 0 and tape.training:
            mixed = attention(tape, query, key, value, self.dropout)
        else:
            mixed = flash_attention(tape, query, key, value)
        rows = tape.reshape(tape.permute(mixed, (0, 2, 1, 3)), x.shape)
        return tape.linear(rows, *tape.weights[half:])

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        note = "four projections; queries by keys, and weights by values"
        told.macs("4·{L}·{E}·{E} + 2·{L}·{L}·{E}", note=note)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.SelfAttention(shapes[0][2], self.num_heads, self.dropout, self.bias)


def relative_positions(window: Sequence[Size]) -> tuple[Size, Size]:
    """How many offsets there are between two places of a window, and how many places it has."""
    height, width = window
    return (2 * height - 1) * (2 * width - 1), height * width


class WindowAttention(Op):
    """Self-attention within windows, with a learned bias for each offset between two places.

    N×C×H×W → N×C×H×W. H and W are padded with zeros at the end to multiples H′, W′ of the window,
    and cut again. shift_size moves the windows (up and left, cyclically, what is not adjacent being
    masked) along each axis where there is more than one.
    Parameters relative_position_bias_table (2h − 1)(2w − 1)×num_heads for a window h×w, qkv.weight
    3C×C, qkv.bias, proj.weight C×C, proj.bias. Buffer relative_position_index, (h·w)².
    MACs N·H′·W′·(4·C² + 2·h·w·C).
    Source: Liu et al. 2021, arXiv:2103.14030; torchvision/models/swin_transformer.py,
    ShiftedWindowAttention, here with channels first.
    """

    degenerate = "with a single window some reshapes are views"
    layout = "channels"
    spatial = 2
    positional = 3
    inferred = "dim"

    num_heads = count(doc="divides the channels")
    window_size = sizes(minimum=1)
    shift_size = sizes(0, doc="rows and columns; smaller than the window, half of it in Swin")
    qkv_bias = flag(True)
    proj_bias = flag(True)
    attention_dropout = real(0.0, low=0, high=1)
    dropout = real(0.0, low=0, high=1)

    def prepare(self) -> None:
        for shift, window in zip(self.shift_size, self.window_size, strict=True):
            if isinstance(shift, int) and isinstance(window, int) and shift >= window:
                raise LayerError(
                    f"shift_size {shift} must be smaller than window_size {window}",
                    f"Swin shifts by half a window: shift_size={window // 2}",
                    argument="shift_size",
                )

    def conditions(self, *shapes: Shape) -> list[Condition]:
        channels = shapes[0][1]
        return [heads_divide(self, channels, self.num_heads), *as_asserted(self, channels)]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        channels = shapes[0][1]
        offsets, _ = relative_positions(self.window_size)
        tensors = [Tensor("relative_position_bias_table", (offsets, self.num_heads))]
        tensors.append(Tensor("qkv.weight", (3 * channels, channels)))
        if self.qkv_bias:
            tensors.append(Tensor("qkv.bias", (3 * channels,)))
        tensors.append(Tensor("proj.weight", (channels, channels)))
        if self.proj_bias:
            tensors.append(Tensor("proj.bias", (channels,)))
        return tensors

    def buffers(self, *shapes: Shape) -> list[Tensor]:
        _, places = relative_positions(self.window_size)
        return [Tensor("relative_position_index", (places * places,), "int64")]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        n, channels, *spatial = shapes[0]
        positions = n * product(
            ceil_div(size, window) * window
            for size, window in zip(spatial, self.window_size, strict=True)
        )
        _, places = relative_positions(self.window_size)
        return positions * channels * (4 * channels + 2 * places)

    def windows(self, *shapes: Shape) -> list[Window]:
        windows: list[Window] = []
        for size, window, shift in zip(
            shapes[0][2:], self.window_size, self.shift_size, strict=True
        ):
            # 0 where there is one window, else the shift
            moved = minimum(shift, (ceil_div(size, window) - 1) * shift)
            windows.append(BlockWindow(window, moved))
        return windows

    def warnings(self, *shapes: Shape, layouts: Sequence[Layout] = ()) -> list[tuple[str, str]]:
        axes = zip(AXES[2], shapes[0][2:], self.window_size, strict=True)
        larger = [
            f"{name} {size}"
            for name, size, window in axes
            if isinstance(size, int) and isinstance(window, int) and window > size
        ]
        message = (
            f"{self} has windows larger than its input's {' and '.join(larger)}: the rest is "
            "padding, to which positions attend and which MACs count"
        )
        return [("kernel-exceeds-input", message)] if larger else []

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """As forward of the module of this name in convcalc/pytorch/modules_attention.py."""
        n, channels, *spatial = inputs[0].shape
        counts = [ceil_div(s, w) for s, w in zip(spatial, self.window_size, strict=True)]
        padded = [c * w for c, w in zip(counts, self.window_size, strict=True)]
        # One window along an axis has nothing to be shifted against.
        shifted = any(
            lay.number(shift) > 0 and lay.number(count) > 1
            for shift, count in zip(self.shift_size, counts, strict=True)
        )
        x = tape.permute(inputs[0], (0, 2, 3, 1))
        x = tape.padded(x, (n, *padded, channels))
        hidden = None
        if shifted:
            x, still = tape.kernel(x.shape, x), x
            tape.drop(still)
            hidden = self._seams(tape, counts, padded)
        split = (n, counts[0], self.window_size[0], counts[1], self.window_size[1], channels)
        places = product(self.window_size)
        windows = tape.reshape(
            tape.permute(tape.reshape(x, split), (0, 1, 3, 2, 4, 5)),
            (n, product(counts), places, channels),
        )
        tape.drop(x, unless=windows)
        cut = len(tape.weights) - 1 - self.proj_bias
        table, qkv, proj = tape.weights[0], tape.weights[1:cut], tape.weights[cut:]
        out = attention_with_bias(
            tape, windows, table, qkv, proj, hidden, self.attention_dropout, self.dropout
        )
        tape.drop(windows)
        joined = (n, counts[0], counts[1], *self.window_size, channels)
        x = tape.reshape(
            tape.permute(tape.reshape(out, joined), (0, 1, 3, 2, 4, 5)), (n, *padded, channels)
        )
        tape.drop(out, unless=x)
        if shifted:
            x, still = tape.kernel(x.shape, x), x
            tape.drop(still)
        for number, (size, whole) in enumerate(zip(spatial, padded, strict=True), 1):
            if lay.number(size) != lay.number(whole):
                x = tape.narrow(x, number, size)
        return tape.contiguous(tape.permute(x, (0, 3, 1, 2)))

    def _seams(self, tape: Tape, counts: Sequence[Size], padded: Sequence[Size]) -> Stored:
        """What is added to scores of places that a shift brought together: made of int64."""
        conditions = []
        for length in padded:
            numbers = tape.new((length,), "numbers", width=INT64)
            conditions.append(tape.new((length,), "numbers", width=BOOL))
            tape.drop(numbers)
        weighted = [tape.new((length,), "numbers", width=INT64) for length in padded]
        regions = tape.new(tuple(padded), "regions", width=INT64)
        tape.drop(*weighted)
        places = product(self.window_size)
        split = (counts[0], self.window_size[0], counts[1], self.window_size[1])
        windows = tape.reshape(
            tape.permute(tape.reshape(regions, split), (0, 2, 1, 3)), (product(counts), 1, places)
        )
        tape.drop(regions, unless=windows)
        shape = (product(counts), 1, places, places)
        pairs = tape.new(shape, "pairs", width=BOOL)
        hidden = tape.new(shape, "seams")
        tape.drop(*conditions, windows, pairs)
        return hidden

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        height, width = self.window_size
        places = "⌈{H}/{h}⌉·{h}·⌈{W}/{w}⌉·{w}"
        note = "places in whole windows; four projections; queries by keys, and weights by values"
        values = {"h": height, "w": width}
        told.macs(f"{places}·(4·{{C}}·{{C}} + 2·{{h}}·{{w}}·{{C}})", values, note)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.WindowAttention(shapes[0][1], **self.given())


class RelativePositionAttention(Op):
    """MaxViT's self-attention, within windows or across a grid, with a bias for each offset.

    N×C×H×W → N×C×H×W, with window_size h×w dividing H×W. Positions attend to those of their own
    window; with grid=true to the h×w positions that lie H/h and W/w apart, so that every position
    sees the whole map. Heads have head_dim channels each.
    Parameters relative_position_bias_table (2h − 1)(2w − 1)×C/head_dim, to_qkv.weight 3C×C,
    to_qkv.bias, merge.weight C×C, merge.bias. Buffer relative_position_index, (h·w)×(h·w).
    MACs N·H·W·(4·C² + 2·h·w·C).
    Source: Tu et al. 2022, arXiv:2204.01697; torchvision/models/maxvit.py, PartitionAttentionLayer
    and RelativePositionalMultiHeadAttention.
    """

    degenerate = "with a single window some reshapes are views"
    layout = "channels"
    spatial = 2
    inferred = "feat_dim"

    head_dim = count(doc="channels of a head; divides the channels")
    window_size = sizes(minimum=1, doc="divides height and width")
    grid = flag(False, doc="across the map instead of within windows")

    def conditions(self, *shapes: Shape) -> list[Condition]:
        _, channels, *spatial = shapes[0]
        conditions = [
            Condition(
                "divisible",
                channels,
                self.head_dim,
                f"{self.name()}: the channels that flow in",
                "head_dim divides them",
            )
        ]
        conditions += [
            Condition(
                "divisible",
                size,
                window,
                f"{self.name()}: the {name}",
                "nothing is padded here, as in MaxViT: choose a window_size that divides it",
            )
            for name, size, window in zip(AXES[2], spatial, self.window_size, strict=True)
        ]
        return [*conditions, *as_asserted(self, channels)]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        channels = shapes[0][1]
        offsets, _ = relative_positions(self.window_size)
        return [
            Tensor("relative_position_bias_table", (offsets, channels // self.head_dim)),
            Tensor("to_qkv.weight", (3 * channels, channels)),
            Tensor("to_qkv.bias", (3 * channels,)),
            Tensor("merge.weight", (channels, channels)),
            Tensor("merge.bias", (channels,)),
        ]

    def buffers(self, *shapes: Shape) -> list[Tensor]:
        _, places = relative_positions(self.window_size)
        return [Tensor("relative_position_index", (places, places), "int64")]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        n, channels, *spatial = shapes[0]
        _, places = relative_positions(self.window_size)
        return n * product(spatial) * channels * (4 * channels + 2 * places)

    def windows(self, *shapes: Shape) -> list[Window]:
        axes = zip(shapes[0][2:], self.window_size, strict=True)
        if self.grid:
            return [GridWindow(window, size // window) for size, window in axes]
        return [BlockWindow(window) for _, window in axes]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """As forward of the module of this name in convcalc/pytorch/modules_attention.py."""
        x = inputs[0]
        n, channels, *spatial = x.shape
        window = tuple(self.window_size)
        counts = [size // w for size, w in zip(spatial, window, strict=True)]
        if self.grid:
            split = (n, channels, window[0], counts[0], window[1], counts[1])
            order = (0, 3, 5, 2, 4, 1)
        else:
            split = (n, channels, counts[0], window[0], counts[1], window[1])
            order = (0, 2, 4, 3, 5, 1)
        windows = tape.reshape(
            tape.permute(tape.reshape(x, split), order),
            (n, product(counts), product(window), channels),
        )
        table, *weights = tape.weights
        out = attention_with_bias(tape, windows, table, weights[:2], weights[2:], scaled="key")
        tape.drop(windows)
        joined = tape.reshape(out, (n, *counts, *window, channels))
        back = [order.index(axis) for axis in range(6)]
        return tape.reshape(tape.permute(joined, back), x.shape)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        height, width = self.window_size
        note = "four projections; queries by keys, and weights by values"
        values = {"h": height, "w": width}
        told.macs("{H}·{W}·(4·{C}·{C} + 2·{h}·{w}·{C})", values, note)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.RelativePositionAttention(
            shapes[0][1], self.head_dim, self.window_size, self.grid
        )


# ---------------------------------------------------------------------------- scales and biases


class LayerScale(Op):
    """A learned factor for each channel, close to 0 at first, so that a block begins as identity.

    The shape stays. Parameter layer_scale: C×1×1 on N×C×H×W, E on tokens N×L×E (dim=-1).
    Source: Touvron et al. 2021, arXiv:2103.17239; torchvision/models/convnext.py.
    """

    init = real(1e-6, doc="the factor at first")
    dim = axis(1, doc="the axis of the channels: 1, or -1 for tokens")

    def check(self, *shapes: Shape) -> None:
        rank = len(shapes[0])
        if not -rank < self.dim < rank:
            raise LayerError(
                f"dim {self.dim} is past the last axis of {show_shape(shapes[0])}",
                "1 is the channels, -1 the last axis",
                argument="dim",
            )

    def output_layout(self, *layouts: Layout) -> Layout:
        if layouts[0] == "tokens" and self.dim in (1, -2):
            raise LayerError(
                f"LayerScale(dim={self.dim}) would learn a factor for each token, not each channel",
                "tokens have their channels last: write LayerScale(dim=-1)",
                argument="dim",
            )
        return layouts[0]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        shape = shapes[0]
        at = self.dim % len(shape)
        return [Tensor("layer_scale", (shape[at], *(1 for _ in shape[at + 1 :])))]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.multiply(inputs[0], tape.weights[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.LayerScale(self.weights(*shapes)[0].shape, self.init)


class PositionBias(Op):
    """A learned bias for each single position of each map.

    N×C×H×W → N×C×H×W; likewise N×C×L, N×C×D×H×W and tokens. Parameter bias, C×H×W: it ties the
    network to one size of input. Source: Silver et al. 2016, Nature 529 (AlphaGo), Methods: "a
    convolution of 1 filter of kernel size 1×1 with a different bias for each position".
    """

    fixed = "each place has a bias of its own"

    def check(self, *shapes: Shape) -> None:
        if not 3 <= len(shapes[0]) <= 5:
            raise rank_error(self, shapes[0], (1, 2, 3))

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("bias", shapes[0][1:])]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.add(inputs[0], tape.weights[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.PositionBias(shapes[0][1:])
