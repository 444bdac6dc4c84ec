"""LeNet-5's own layers beside the paper's figures and plain sums; unpooling beside torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convcalc.errors import LayerError
from convcalc.graph import GraphBuilder, flow
from convcalc.integers import Answer, Open, equal, evaluate, symbol
from convcalc.ops import REGISTRY
from convcalc.ops.classic import LENET5
from convcalc.pytorch.namespace import NN
from tests.graphs import layer as op
from tests.ops.cases_attention import TABLE_I


def built(op: Any, *shapes: tuple[int, ...]) -> Any:
    torch.manual_seed(0)
    return op.build(NN, *shapes).double()


def macs(layer: Any, *shapes: Any) -> Any:
    return layer.macs(layer.output(*shapes), *shapes)


def params(layer: Any, *shapes: tuple[int, ...]) -> int:
    return sum(t.elements for t in layer.weights(*shapes))


# ---------------------------------------------------------------------------- LeNet-5, 1998


def test_the_connection_table_is_the_papers() -> None:
    columns = zip(*TABLE_I.split(), strict=True)
    assert tuple(tuple(i for i, c in enumerate(col) if c == "X") for col in columns) == LENET5


def test_c3_has_1516_parameters_and_151600_connections() -> None:
    """The paper's own figures, section II.B: connections are MACs and one bias an output."""
    layer = op("ConnectionTableConv2d", 5)
    shape = (1, 6, 14, 14)
    assert layer.output(shape) == (1, 16, 10, 10)
    assert params(layer, shape) == 1516
    assert macs(layer, shape) + 16 * 10 * 10 == 151_600


def test_subsampling_has_the_papers_figures() -> None:
    """S2: 12 parameters, S4: 32 (section II.B)."""
    layer = op("Subsampling2d")
    assert params(layer, (1, 6, 28, 28)) == 12
    assert params(layer, (1, 16, 10, 10)) == 32
    assert layer.output((1, 6, 28, 28)) == (1, 6, 14, 14)


def test_lenet5_has_60000_trained_parameters() -> None:
    """ "60,000 trainable free parameters", the paper says; layer by layer as it says too."""
    builder = GraphBuilder("LeNet-5")
    x = builder.input("input", (1, 32, 32))
    counted = {}
    for name, layer in (
        ("C1", op("Conv2d", 6, 5)),
        ("S2", op("Subsampling2d")),
        ("C3", op("ConnectionTableConv2d", 5)),
        ("S4", op("Subsampling2d")),
        ("C5", op("Conv2d", 120, 5)),
        ("flatten", REGISTRY["Flatten"]()),
        ("F6", op("Linear", 84)),
        ("squash", op("ScaledTanh")),
        ("output", op("RBF", 10)),
    ):
        x = builder.add(layer, x)
        counted[name] = x.node.index
    result = flow(builder.finish({"output": x}))
    found = {name: result.facts[index] for name, index in counted.items()}
    assert {name: f.params for name, f in found.items() if f is not None and f.params} == {
        "C1": 156,
        "S2": 12,
        "C3": 1516,
        "S4": 32,
        "C5": 48_120,
        "F6": 10_164,
    }
    assert sum(f.params for f in found.values() if f is not None) == 60_000
    assert found["output"] is not None
    assert found["output"].buffer_elements == 840
    assert result.shapes[-1] == (1, 10)


TABLES: list[Any] = ["lenet5", [[0, 1], [1, 2], [2]], [[0], [2, 0], [1], [0, 1, 2]], [[0, 1]]]


@pytest.mark.parametrize("table", TABLES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((5, 5), 1, 0), ((3, 2), (2, 1), (1, 0))]
)
def test_table_convolution_is_a_dense_one_with_zeros(
    table: Any, bias: bool, kernel: Any, stride: Any, padding: Any
) -> None:
    layer = op("ConnectionTableConv2d", kernel, table, stride=stride, padding=padding, bias=bias)
    channels = 1 + max(map(max, layer.rows))
    module = built(layer, (2, channels, 9, 8))
    dense = torch.zeros(len(layer.rows), channels, *kernel, dtype=torch.float64)
    connections = [(out, into) for out, row in enumerate(layer.rows) for into in row]
    for kernel_of, (out, into) in zip(module.weight, connections, strict=True):
        dense[out, into] = kernel_of[0]
    x = torch.randn(2, channels, 9, 8, dtype=torch.float64)
    expected = nn.functional.conv2d(x, dense, module.bias, stride, padding)
    torch.testing.assert_close(module(x), expected)
    assert layer.output((2, channels, 9, 8)) == tuple(expected.shape)
    for training in (False, True):
        module.train(training)
        with FlopCounterMode(display=False) as counter:
            module(x)
        assert macs(layer, (2, channels, 9, 8)) == counter.get_total_flops() / 2


def test_table_convolution_starts_within_the_papers_limits() -> None:
    """±2.4 divided by the inputs of the unit (appendix A): 75 for the first map of C3."""
    module = built(op("ConnectionTableConv2d", 5), (1, 6, 14, 14))
    assert 0.8 * 2.4 / 75 < float(module.weight[:3].detach().abs().max()) <= 2.4 / 75
    assert 0.8 * 2.4 / 150 < float(module.weight[-6:].detach().abs().max()) <= 2.4 / 150


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), ((2, 3), (1, 2))])
def test_subsampling_is_a_trained_sum(kernel: Any, stride: Any) -> None:
    layer = op("Subsampling2d", kernel, stride)
    module = built(layer, (2, 3, 8, 9))
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(module(x), nn.AvgPool2d(kernel, stride)(x))  # as it starts
    with torch.no_grad():
        module.weight.normal_()
        module.bias.normal_()
    ones = torch.ones(3, 1, *layer.kernel_size, dtype=torch.float64)
    sums = nn.functional.conv2d(x, ones, None, stride or kernel, groups=3)
    expected = torch.stack(
        [sums[:, c] * module.weight[c] + module.bias[c] for c in range(3)], dim=1
    )
    torch.testing.assert_close(module(x), expected)
    assert layer.output((2, 3, 8, 9)) == tuple(expected.shape)


def test_scaled_tanh() -> None:
    """The paper chose A and S so that f(±1) = ±1, and A is where it saturates."""
    squash = built(op("ScaledTanh"), (1, 3))
    values = squash(torch.tensor([[-1.0, 0.0, 1.0, 1e9]], dtype=torch.float64))
    torch.testing.assert_close(
        values, torch.tensor([[-1.0, 0.0, 1.0, 1.7159]], dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert str(op("ScaledTanh")) == "ScaledTanh"
    assert str(op("ScaledTanh", slope=1)) == "ScaledTanh(slope=1)"


def test_rbf_is_a_distance_to_fixed_codes() -> None:
    module = built(op("RBF", 10), (4, 84))
    x = torch.randn(4, 84, dtype=torch.float64, requires_grad=True)
    y = module(x)
    torch.testing.assert_close(y, torch.cdist(x, module.codes) ** 2)
    assert set(module.codes.flatten().tolist()) == {-1.0, 1.0}
    assert len({tuple(code.tolist()) for code in module.codes}) == 10
    assert not list(module.parameters())
    y.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())
    state = torch.random.get_rng_state()
    again = op("RBF", 10).build(NN, (4, 84))
    assert torch.equal(module.codes, again.codes.double())
    assert torch.equal(state, torch.random.get_rng_state())  # nobody else's numbers change
    with FlopCounterMode(display=False) as counter:
        module(x)
    assert counter.get_total_flops() == 0 == macs(op("RBF", 10), (4, 84))


@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_modules_are_made_on_the_device_at_hand(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    for layer, shape in (
        (op("ConnectionTableConv2d", 5), (1, 6, 14, 14)),
        (op("Subsampling2d"), (1, 6, 14, 14)),
        (op("RBF", 10), (1, 84)),
        (op("WindowAttention", 2, 7, 3), (1, 4, 14, 14)),
        (op("RelativePositionAttention", 2, 7), (1, 4, 14, 14)),
        (op("PositionEmbedding"), (1, 5, 4)),
    ):
        with torch.device(device):
            module = layer.build(NN, shape)
            y = module(torch.ones(shape))
        assert tuple(y.shape) == layer.output(shape)
        assert {t.device.type for t in (*module.parameters(), *module.buffers(), y)} == {device}


# ---------------------------------------------------------------------------- unpooling


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        (2, None, 0, (8, 6)),
        (2, None, 0, (9, 7)),
        (3, 2, 1, (8, 9)),
        ((2, 3), (2, 1), (1, 0), (5, 7)),
    ],
)
def test_unpooling_is_torchs(kernel: Any, stride: Any, padding: Any, size: Any) -> None:
    layer = op("MaxUnpool2d", kernel, stride=stride, padding=padding)
    before = torch.randn(2, 3, *size, dtype=torch.float64)
    pooled, indices = nn.MaxPool2d(kernel, stride, padding, return_indices=True)(before)
    values = torch.randn_like(pooled)
    expected = nn.MaxUnpool2d(kernel, stride, padding)(values, indices, before.shape[2:])
    shapes = (tuple(values.shape), tuple(before.shape))
    layer.check(*shapes)
    assert all(c.holds() for c in layer.conditions(*shapes))
    assert layer.output(*shapes) == tuple(expected.shape)
    torch.testing.assert_close(built(layer, *shapes)(values, before), expected)


def test_unpooling_reads_what_its_windows_say() -> None:
    """Where the maxima lie is up to the data: over many draws every row within reach is read."""
    layer = op("MaxUnpool2d", 3, stride=2, padding=1)
    shapes = ((1, 1, 4, 4), (1, 1, 8, 8))
    module = built(layer, *shapes)
    read: dict[int, set[int]] = {row: set() for row in range(8)}
    torch.manual_seed(1)
    for _ in range(60):
        like = torch.randn(shapes[1], dtype=torch.float64)
        values = torch.arange(1.0, 17.0, dtype=torch.float64).view(shapes[0])
        y = module(values, like)[0, 0]
        for row in range(8):
            read[row] |= {int(v - 1) // 4 for v in y[row] if v > 0}
    window = layer.windows(*shapes)[0]
    for row in range(8):
        spread = range(row - window.before, row - window.before + window.reach)
        rows = {r // window.upsample for r in spread if r % window.upsample == 0}
        assert read[row] == {r for r in rows if 0 <= r < 4}


def test_segnet_in_small() -> None:
    """Pool, convolve, unpool by name: the sizes come back, odd ones too."""
    builder = GraphBuilder("SegNet")
    x = builder.input("input", (3, "H", "W"))
    before = builder.add(op("Conv2d", 4, 3, padding=1), x)
    pooled = builder.add(REGISTRY["MaxPool2d"](2), before)
    middle = builder.add(op("Conv2d", 4, 3, padding=1), pooled)
    output = builder.add(op("MaxUnpool2d", 2), middle, before)
    assert output.shape[2] is Open()
    graph = builder.finish({"output": output})
    assert flow(graph, {"input": (3, 9, 7)}).shapes[-1] == (1, 4, 9, 7)
    sizes = [c for n, c in flow(graph).open_conditions if n.kind == "MaxUnpool2d"]
    assert len(sizes) == 2
    assert all(equal(c.left, c.right).answer is Answer.PROVED for c in sizes)


# ---------------------------------------------------------------------------- on formulas


def test_formulas() -> None:
    n, h, w = symbol("N"), symbol("H"), symbol("W")
    values = {"N": 2, "H": 14, "W": 11}
    for layer, channels in ((op("ConnectionTableConv2d", 5), 6), (op("Subsampling2d", 3, 2), 6)):
        exact = (2, channels, 14, 11)
        formula = (n, channels, h, w)
        assert tuple(evaluate(s, values) for s in layer.output(*[formula])) == layer.output(exact)
        assert evaluate(macs(layer, formula), values) == layer.macs(layer.output(exact), exact)


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: op("ConnectionTableConv2d", 5, [[0, 1], []]), "row 1 reads no map"),
        (lambda: op("ConnectionTableConv2d", 5, [[0, 0]]), "row 0 reads a map twice"),
        (lambda: op("ConnectionTableConv2d", 5, [[-1]]), "numbered from 0"),
        (lambda: op("ConnectionTableConv2d", 5, [0, 1]), "row 0 must be a list of numbers"),
        (lambda: op("ConnectionTableConv2d", 5, [[0, True]]), "row 0 must be a list of numbers"),
        (lambda: op("ConnectionTableConv2d", 5, []), "table must be lenet5, or"),
        (lambda: op("ConnectionTableConv2d", 5, "lenet"), "table must be lenet5, or"),
        (lambda: op("MaxUnpool2d", 2, padding=2), "more than half of kernel_size"),
        (lambda: op("RBF"), "needs out_features"),
        (lambda: op("ScaledTanh", slope="steep"), "must be a number"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shapes", "words"),
    [
        (op("ConnectionTableConv2d", 5), [(1, 8, 14, 14)], "must be equal: 8 and 6"),
        (op("ConnectionTableConv2d", 5), [(1, 6, 4, 14)], "must be at least 5, not 4"),
        (op("Subsampling2d", 3), [(1, 6, 4, 2)], "must be at least 3, not 2"),
        (op("RBF", 10, in_features=84), [(1, 83)], "must be equal: 83 and 84"),
        (op("MaxUnpool2d", 2), [(1, 6, 4, 4), (1, 3, 8, 8)], "must be equal: 6 and 3"),
        (op("MaxUnpool2d", 2), [(1, 6, 4, 5), (1, 6, 8, 8)], "must be equal: 5 and 4"),
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
        (op("ConnectionTableConv2d", 5), [(1, 6, 14)]),
        (op("Subsampling2d"), [(1, 6)]),
        (op("RBF", 10), [(1, 84, 1, 1)]),
        (op("MaxUnpool2d", 2), [(1, 6, 4, 4), (1, 6)]),
    ],
    ids=str,
)
def test_wrong_ranks(layer: Any, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(LayerError):
        layer.check(*shapes)


def test_a_table_is_written_as_a_table() -> None:
    """Equal rows are rows all the same."""
    layer = op("ConnectionTableConv2d", 5, [[0, 1], [0, 1]])
    assert str(layer) == "ConnectionTableConv2d(5, table=[[0, 1], [0, 1]])"
