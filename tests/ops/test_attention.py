"""Attention beside torch's and torchvision's own, and beside sums over single pairs of places."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder, flow
from convcalc.integers import Open, evaluate, symbol
from convcalc.ops import REGISTRY
from convcalc.ops.attention import BlockWindow
from convcalc.ops.base import GLOBAL, Window
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op
from tests.ops import harness

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def built(op: Any, *shapes: tuple[int, ...]) -> nn.Module:
    """The module of an op in float64, its parameters drawn at random (some start at zero)."""
    torch.manual_seed(0)
    module: nn.Module = op.build(NN, *shapes).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module


def counted(module: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    flops: int = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


def macs(layer: Any, *shapes: tuple[int, ...]) -> int:
    result: int = layer.macs(layer.output(*shapes), *shapes)
    return result


def torchvision(module: str) -> Any:
    """A module of torchvision; skips the test where it is missing, or does not fit this torch."""
    try:
        return importlib.import_module(f"torchvision.models.{module}")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs torchvision: {error}")


# ---------------------------------------------------------------------------- MultiheadAttention


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(("heads", "bias"), [(1, True), (3, False), (4, True)])
def test_multihead_attention_is_torchs_own(
    heads: int, bias: bool, grad: bool, training: bool
) -> None:
    ours = built(op("MultiheadAttention", heads, bias=bias), (2, 5, 12)).train(training)
    theirs = nn.MultiheadAttention(12, heads, bias=bias, batch_first=True).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    theirs.train(training)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_multihead_attention_drops_weights_in_training_only() -> None:
    ours = built(op("MultiheadAttention", 3, dropout=0.5), (2, 5, 12))
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    assert not torch.equal(ours.train()(x), ours(x))
    assert torch.equal(ours.eval()(x), ours(x))


@pytest.mark.parametrize("training", [False, True])
def test_multihead_attention_counts_by_torchs_unfused_module(training: bool) -> None:
    """torch's module, asked for its weights, multiplies matrices that FlopCounterMode sees.

    With three heads: for an even number it takes a path in eval mode that is never counted.
    """
    layer = op("MultiheadAttention", 3)
    x = torch.randn(2, 5, 12)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).train(training)
    with FlopCounterMode(display=False) as counter:
        theirs(x, x, x, need_weights=True)
    assert macs(layer, (2, 5, 12)) == counter.get_total_flops() / 2
    ours = layer.build(NN, (2, 5, 12)).train(training)
    with sdpa_kernel(SDPBackend.MATH):
        assert macs(layer, (2, 5, 12)) == counted(ours, x)


def test_multihead_attention_reads_all_tokens() -> None:
    ours = built(op("MultiheadAttention", 3), (1, 5, 12))
    x = torch.randn(1, 5, 12, dtype=torch.float64, requires_grad=True)
    ours(x)[0, 2].sum().backward()
    assert x.grad is not None
    assert bool((x.grad.abs().sum(-1) > 0).all())
    assert op("MultiheadAttention", 3).windows((1, 5, 12)) == [GLOBAL]


def test_multihead_attention_pasted_from_torch() -> None:
    with pytest.raises(LayerError) as error:
        op("MultiheadAttention", 768, 12)
    assert error.value.help is not None
    assert error.value.help.endswith("write MultiheadAttention(12)")


# ---------------------------------------------------------------------------- windows

# window, shift, height, width: padded and not, one window only, unequal axes, shift on one axis
WINDOWS = [
    ((2, 2), (0, 0), 4, 6),
    ((2, 2), (1, 1), 4, 6),
    ((3, 2), (1, 1), 7, 5),
    ((3, 2), (0, 1), 5, 8),
    ((3, 2), (2, 0), 9, 3),
    ((4, 4), (2, 2), 4, 9),
    ((4, 4), (2, 2), 3, 2),
    ((1, 3), (0, 2), 5, 7),
]


def attention_by_pairs(
    x: torch.Tensor,
    blocks: list[tuple[int, int]],
    offsets: list[tuple[int, int]],
    weights: dict[str, torch.Tensor],
    window: tuple[int, int],
    heads: int,
    scale: float,
) -> torch.Tensor:
    """Attention place by place: those with the same block attend to each other.

    x: places×C. blocks: which block each place lies in. offsets: its row and column there.
    weights: qkv, its bias, the table, the last projection and its bias.
    """
    places, channels = x.shape
    query, key, value = (x @ weights["qkv"].T + weights["qkv_bias"]).chunk(3, 1)
    width = channels // heads
    mixed = torch.zeros_like(x)
    for head in range(heads):
        of_head = slice(head * width, (head + 1) * width)
        for i in range(places):
            others = [j for j in range(places) if blocks[j] == blocks[i]]
            scores = []
            for j in others:
                down = offsets[i][0] - offsets[j][0] + window[0] - 1
                right = offsets[i][1] - offsets[j][1] + window[1] - 1
                bias = weights["table"][down * (2 * window[1] - 1) + right, head]
                scores.append(query[i, of_head] @ key[j, of_head] * scale + bias)
            share = torch.stack(scores).softmax(0)
            mixed[i, of_head] = share @ value[others, of_head]
    return mixed @ weights["proj"].T + weights["proj_bias"]


@pytest.mark.parametrize(("window", "shift", "height", "width"), WINDOWS)
def test_window_attention_pair_by_pair(
    window: tuple[int, int], shift: tuple[int, int], height: int, width: int
) -> None:
    layer = op("WindowAttention", 2, window, shift)
    module: Any = built(layer, (1, 4, height, width))
    x = torch.randn(1, 4, height, width, dtype=torch.float64)
    padded_h = -(-height // window[0]) * window[0]
    padded_w = -(-width // window[1]) * window[1]
    full = torch.zeros(padded_h, padded_w, 4, dtype=torch.float64)
    full[:height, :width] = x[0].permute(1, 2, 0)
    shift_h = shift[0] if padded_h > window[0] else 0
    shift_w = shift[1] if padded_w > window[1] else 0
    places = list(itertools.product(range(padded_h), range(padded_w)))
    # Windows begin at `shift`; what lies before the first one is a block of its own.
    blocks = [((r - shift_h) // window[0], (c - shift_w) // window[1]) for r, c in places]
    with torch.no_grad():
        expected = attention_by_pairs(
            full.reshape(-1, 4),
            blocks,
            places,
            {
                "qkv": module.qkv.weight,
                "qkv_bias": module.qkv.bias,
                "table": module.relative_position_bias_table,
                "proj": module.proj.weight,
                "proj_bias": module.proj.bias,
            },
            window,
            heads=2,
            scale=2**-0.5,
        )
        expected = expected.view(padded_h, padded_w, 4)[:height, :width].permute(2, 0, 1)
        torch.testing.assert_close(module(x)[0], expected)


@pytest.mark.parametrize(("window", "shift", "height", "width"), WINDOWS)
def test_window_attention_is_torchvisions(
    window: tuple[int, int], shift: tuple[int, int], height: int, width: int
) -> None:
    swin = torchvision("swin_transformer")
    layer = op("WindowAttention", 2, window, shift)
    ours = built(layer, (2, 4, height, width))
    theirs = swin.ShiftedWindowAttention(4, list(window), list(shift), 2).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    index = ours.state_dict()["relative_position_index"]
    assert torch.equal(index, theirs.relative_position_index)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, height, width, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    assert macs(layer, (2, 4, height, width)) == counted(theirs, x.permute(0, 2, 3, 1))


@pytest.mark.parametrize(("window", "shift", "height", "width"), WINDOWS)
def test_window_attention_counts(
    window: tuple[int, int], shift: tuple[int, int], height: int, width: int
) -> None:
    layer = op("WindowAttention", 2, window, shift)
    shape = (2, 4, height, width)
    module = layer.build(NN, shape)
    for training in (False, True):
        assert macs(layer, shape) == counted(module.train(training), torch.randn(shape))


def test_window_attention_reads_its_blocks_and_nothing_else() -> None:
    """Exactly nothing: a mask of -100, as torchvision has it, leaves a trace of 1e-44."""
    module = built(op("WindowAttention", 2, 3, 1), (1, 4, 7, 8))
    for row, column in itertools.product(range(7), range(8)):
        x = torch.randn(1, 4, 7, 8, dtype=torch.float64, requires_grad=True)
        module(x)[0, :, row, column].sum().backward()
        assert x.grad is not None
        read = x.grad.abs().sum((0, 1)) > 0
        rows = [r for r in range(7) if (r - 1) // 3 == (row - 1) // 3]
        columns = [c for c in range(8) if (c - 1) // 3 == (column - 1) // 3]
        expected = torch.zeros(7, 8, dtype=torch.bool)
        expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        assert torch.equal(read, expected)
        for window, axis, at in zip(
            op("WindowAttention", 2, 3, 1).windows((1, 4, 7, 8)),
            (rows, columns),
            (row, column),
            strict=True,
        ):
            assert isinstance(window, BlockWindow)
            assert set(axis) <= set(window.rows(at))
            hull = harness.rows_of(Window(window.kernel, 1, window.before), at, 100)
            assert set(axis) <= hull


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize(
    ("window", "height", "width"), [((2, 2), 4, 6), ((2, 3), 4, 3), ((1, 4), 3, 8)]
)
def test_relative_position_attention_pair_by_pair(
    window: tuple[int, int], height: int, width: int, grid: bool
) -> None:
    module: Any = built(op("RelativePositionAttention", 2, window, grid), (1, 6, height, width))
    x = torch.randn(1, 6, height, width, dtype=torch.float64)
    places = list(itertools.product(range(height), range(width)))
    across = (height // window[0], width // window[1])
    if grid:
        blocks = [(r % across[0], c % across[1]) for r, c in places]
        offsets = [(r // across[0], c // across[1]) for r, c in places]
    else:
        blocks = [(r // window[0], c // window[1]) for r, c in places]
        offsets = [(r % window[0], c % window[1]) for r, c in places]
    with torch.no_grad():
        expected = attention_by_pairs(
            x[0].permute(1, 2, 0).reshape(-1, 6),
            blocks,
            offsets,
            {
                "qkv": module.to_qkv.weight,
                "qkv_bias": module.to_qkv.bias,
                "table": module.relative_position_bias_table,
                "proj": module.merge.weight,
                "proj_bias": module.merge.bias,
            },
            window,
            heads=3,
            scale=6**-0.5,
        )
        torch.testing.assert_close(module(x)[0], expected.view(height, width, 6).permute(2, 0, 1))


@pytest.mark.parametrize("kind", ["window", "grid"])
@pytest.mark.parametrize("size", [2, 3])
def test_relative_position_attention_is_maxvits(kind: str, size: int) -> None:
    maxvit = torchvision("maxvit")
    layer = op("RelativePositionAttention", 2, size, kind == "grid")
    shape = (2, 6, 6, 6)
    ours = built(layer, shape)
    theirs = maxvit.PartitionAttentionLayer(
        6, 2, size, kind, (6, 6), 4, nn.GELU, nn.LayerNorm, 0.0, 0.0, 0.0
    ).double()
    attention = theirs.attn_layer[1]
    assert list(ours.state_dict()) == list(attention.state_dict())
    attention.load_state_dict(ours.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    parts = theirs.partition_swap(theirs.partition_op(x, theirs.p))
    theirs_count = counted(attention, parts)
    mixed = theirs.departition_swap(attention(parts))
    expected = theirs.departition_op(mixed, theirs.p, 6 // theirs.p, 6 // theirs.p)
    torch.testing.assert_close(ours(x), expected)
    assert macs(layer, shape) == theirs_count


# ---------------------------------------------------------------------------- tokens, scales


@pytest.mark.parametrize("spatial", [(4,), (4, 5), (2, 3, 4)])
def test_tokens_and_back(spatial: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *spatial)
    tokens = op("Tokens").build(NN, x.shape)(x)
    places = list(itertools.product(*map(range, spatial)))
    assert op("Tokens").output(tuple(x.shape)) == tuple(tokens.shape) == (2, len(places), 3)
    for number, place in enumerate(places):
        here = x
        for at in place:
            here = here.select(2, at)
        assert torch.equal(tokens[:, number], here)
    back = op("TokensToImage")
    like = torch.empty(1, 1, *spatial)
    assert back.output(tuple(tokens.shape), tuple(like.shape)) == tuple(x.shape)
    assert torch.equal(back.build(NN, tokens.shape, like.shape)(tokens, like), x)


def test_layer_scale_is_torchvisions() -> None:
    """ConvNeXt multiplies by a parameter of shape (C, 1, 1), which begins at 1e-6."""
    convnext = torchvision("convnext")
    theirs = convnext.CNBlock(6, 1e-6, 0.0)
    ours = op("LayerScale").build(NN, (2, 6, 4, 5))
    assert torch.equal(ours.layer_scale, theirs.layer_scale)


def test_layer_scale_scales_the_channels() -> None:
    for shape, dim, at in (((2, 3, 4, 5), 1, 1), ((2, 3, 4), 1, 1), ((2, 3, 4), -1, 2)):
        module: Any = built(op("LayerScale", dim=dim), shape)
        x = torch.randn(shape, dtype=torch.float64)
        y = module(x)
        for channel, factor in enumerate(module.layer_scale.flatten()):
            torch.testing.assert_close(y.select(at, channel), x.select(at, channel) * factor)


def test_embeddings_begin_as_torchvisions_vit() -> None:
    assert not op("ClassToken").build(NN, (2, 5, 8)).class_token.any()
    embedding = op("PositionEmbedding").build(NN, (2, 400, 768)).pos_embedding
    assert abs(float(embedding.detach().std()) - 0.02) < 1e-3


def test_alphagos_bias_differs_at_each_position() -> None:
    """19×19 positions of one map: 361 biases, where a convolution has one."""
    layer = op("PositionBias")
    assert [t.elements for t in layer.weights((1, 1, 19, 19))] == [361]
    module: Any = built(layer, (2, 1, 19, 19))
    x = torch.randn(2, 1, 19, 19, dtype=torch.float64)
    torch.testing.assert_close(module(x) - x, module.bias.expand(2, -1, -1, -1))


# ---------------------------------------------------------------------------- in a network


def tiny_vit(builder: GraphBuilder, side: int | str) -> None:
    """A ViT of width 8 and depth 2; its output in the builder's graph."""
    x = builder.input("input", (3, side, side))
    x = builder.add(op("Conv2d", 8, 4, 4), x)
    for layer in (op("Tokens"), op("ClassToken"), op("PositionEmbedding")):
        x = builder.add(layer, x)
    attention, add = op("MultiheadAttention", 2), REGISTRY["Add"]()
    for _ in range(2):
        x = builder.add(add, x, builder.add(attention, x))
    builder.output = builder.add(op("TakeToken", 0), x)  # type: ignore[attr-defined]


def test_vit_in_formulas() -> None:
    builder = GraphBuilder("tiny")
    tiny_vit(builder, "H")
    graph = builder.finish({"output": builder.output})  # type: ignore[attr-defined]
    at_size = flow(graph, {"input": (3, 32, 32)}, batch=2)
    formulas = flow(graph, batch=symbol("N"))
    values = {"H": 32, "N": 2}
    for exact, formula, shape, named in zip(
        at_size.facts, formulas.facts, at_size.shapes, formulas.shapes, strict=True
    ):
        assert tuple(evaluate(s, values) for s in named) == shape
        if exact is not None and formula is not None:
            assert evaluate(formula.macs, values) == exact.macs
            assert evaluate(formula.params, values) == exact.params


def test_strides_of_open_sizes() -> None:
    """Tokens multiply the strides of their axes, and a ResNet-like shortcut still sees them."""
    batch, side = Open(), Open(16)
    assert op("Tokens").output((batch, 8, side, side))[1] is Open(256)
    assert op("ClassToken").output((batch, Open(256), 8)) == (batch, Open(256), 8)
    assert op("TakeToken", 0).output((batch, Open(256), 8)) == (batch, 8)
    for layer in (op("WindowAttention", 2, 7, 3), op("LayerScale"), op("PositionBias")):
        assert layer.output((batch, 8, side, side)) == (batch, 8, side, side)
        assert all(c.holds() is not False for c in layer.conditions((batch, 8, side, side)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (op("MultiheadAttention", 3), (2, 5, 12)),
        (op("WindowAttention", 3, 2, 1), (2, 12, 5, 4)),
        (op("RelativePositionAttention", 4, 2, grid=True), (2, 12, 4, 4)),
        (op("ClassToken"), (2, 5, 12)),
        (op("PositionEmbedding"), (2, 5, 12)),
        (op("LayerScale"), (2, 12, 5, 4)),
        (op("PositionBias"), (2, 12, 5, 4)),
    ],
    ids=str,
)
def test_runs_and_learns_in_every_dtype(
    layer: Any, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    module = layer.build(NN, shape).to(dtype)
    y = module(torch.randn(shape, dtype=dtype))
    assert y.dtype is dtype
    y.sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    for tensor in layer.buffers(shape):
        assert module.get_buffer(tensor.name).dtype is getattr(torch, tensor.dtype or str(dtype))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_attention_on_a_gpu(dtype: torch.dtype) -> None:
    for layer, shape in (
        (op("MultiheadAttention", 3), (2, 5, 48)),
        (op("WindowAttention", 3, 2, 1), (2, 12, 5, 4)),
        (op("RelativePositionAttention", 4, 2), (2, 12, 4, 4)),
    ):
        module = built(layer, shape).to(dtype)
        x = torch.randn(shape, dtype=dtype)
        expected = module(x)
        module.cuda()
        torch.testing.assert_close(module(x.cuda()).cpu(), expected, atol=0.05, rtol=0.05)
        with sdpa_kernel(SDPBackend.MATH):
            assert macs(layer, shape) == counted(module, x.cuda())


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: op("WindowAttention", 3, 7, 7), "shift_size 7 must be smaller than window_size 7"),
        (lambda: op("WindowAttention", 3), "needs window_size"),
        (lambda: op("WindowAttention", 3, (7, 7, 7)), "2 are wanted"),
        (lambda: op("MultiheadAttention", 0), "at least 1"),
        (lambda: op("MultiheadAttention", 2, dropout=1.5), "from 0 to 1"),
        (lambda: op("MultiheadAttention", 2, batch_first=True), "no argument 'batch_first'"),
        (lambda: op("TakeToken", -1), "at least 0"),
        (lambda: op("LayerScale", dim=0), "dim must be an axis"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shapes", "words"),
    [
        (op("MultiheadAttention", 5), [(1, 4, 12)], "must be a multiple of 5, not 12"),
        (op("MultiheadAttention", 4, embed_dim=16), [(1, 4, 12)], "must be equal: 12 and 16"),
        (op("WindowAttention", 5, 7), [(1, 12, 8, 8)], "must be a multiple of 5, not 12"),
        (op("WindowAttention", 4, 7, dim=16), [(1, 12, 8, 8)], "must be equal: 12 and 16"),
        (op("RelativePositionAttention", 5, 2), [(1, 12, 8, 8)], "must be a multiple of 5, not 12"),
        (
            op("RelativePositionAttention", 4, 3),
            [(1, 12, 9, 8)],
            "the width must be a multiple of 3, not 8",
        ),
        (op("TakeToken", 4), [(1, 4, 12)], "must be at least 5, not 4"),
        (op("TokensToImage"), [(1, 17, 12), (1, 3, 4, 4)], "must be equal: 17 and 16"),
    ],
    ids=str,
)
def test_wrong_sizes(layer: Any, shapes: list[tuple[int, ...]], words: str) -> None:
    layer.check(*shapes)
    failed = [str(c) for c in layer.conditions(*shapes) if c.holds() is False]
    assert len(failed) == 1
    assert words in failed[0]


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (op("Tokens"), [(1, 3)]),
        (op("MultiheadAttention", 2), [(1, 4, 4, 4)]),
        (op("ClassToken"), [(1, 4)]),
        (op("WindowAttention", 2, 7), [(1, 4, 8)]),
        (op("RelativePositionAttention", 2, 7), [(1, 4, 8)]),
        (op("TokensToImage"), [(1, 4, 8), (1, 4)]),
        (op("TokensToImage"), [(1, 4, 2, 2), (1, 4, 2, 2)]),
        (op("PositionBias"), [(1, 4)]),
        (op("LayerScale", dim=4), [(1, 4, 2, 2)]),
    ],
    ids=str,
)
def test_wrong_ranks(layer: Any, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(LayerError):
        layer.check(*shapes)


def test_windows_larger_than_the_map_are_worth_a_look() -> None:
    layer = op("WindowAttention", 2, (7, 3), 1)
    assert not layer.warnings((1, 4, 7, 4))
    [(code, message)] = layer.warnings((1, 4, 6, 4))
    assert code == "kernel-exceeds-input"
    assert "its input's height 6: the rest is padding" in message
    [(_, message)] = layer.warnings((1, 4, 6, 2))
    assert "height 6 and width 2" in message
    assert not layer.warnings((1, 4, symbol("H"), symbol("W")))


def test_tokens_are_told_from_maps() -> None:
    """N×L×E and N×C×L have the same rank; the layout tells."""
    builder = GraphBuilder("tiny")
    x = builder.input("input", (4, 16))
    with pytest.raises(LayerError, match="takes tokens"):
        builder.add(op("MultiheadAttention", 2), x)
    with pytest.raises(LayerError, match="takes tokens"):
        builder.add(op("TokensToImage"), x, x)
    tokens = builder.add(op("Tokens"), x)
    with pytest.raises(LayerError, match="channels first"):
        builder.add(op("Tokens"), tokens)
    with pytest.raises(LayerError, match="like are tokens"):
        builder.add(op("TokensToImage"), tokens, tokens)
    with pytest.raises(LayerError, match="factor for each token") as error:
        builder.add(op("LayerScale"), tokens)
    assert error.value.help is not None
    assert "LayerScale(dim=-1)" in error.value.help
    assert builder.add(op("LayerScale", dim=-1), tokens).layout == "tokens"
    assert builder.add(op("TokensToImage"), tokens, x).layout == "channels"
    assert builder.add(op("MeanTokens"), tokens).layout == "channels"
