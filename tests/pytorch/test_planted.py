"""A wrong rule, planted in each facet of a layer, is caught and named.

Each test changes one rule of one op, checks a network of several layers, and wants the first
failure to be that figure of that layer, and the report to fail. Nothing else may look wrong where
nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convcalc.graph import Graph, GraphBuilder
from convcalc.ops.base import Tensor
from convcalc.ops.convolution import Conv2d, ConvTranspose2d
from convcalc.ops.joins import Add, Concat, Mul
from convcalc.pytorch import Report, check_graph
from convcalc.pytorch import check as checking
from convcalc.pytorch.measure import Measurement
from tests.graphs import layer, small

Facet = Callable[..., Any]


def network() -> Graph:
    """Three layers; the faults are planted in the transposed convolution in the middle."""
    builder = GraphBuilder("planted")
    x = builder.input("input", (3, 12, 12))
    x = builder.add(layer("Conv2d", 8, 3), x)
    builder.push("block", "Up")
    x = builder.add(layer("ConvTranspose2d", 6, 2, stride=2), x)
    builder.pop()
    return builder.finish({"output": builder.add(layer("Conv2d", 4, 3), x)})


def failed(graph: Graph) -> list[tuple[str, str | None]]:
    report = check_graph(graph, device="cpu")
    assert not report.ok
    return [(c.figure, c.path) for c in report.failures]


def plant(monkeypatch: pytest.MonkeyPatch, op: type, facet: str, wrong: Facet) -> None:
    """Replace a rule by one that is given what the true rule says."""
    true = getattr(op, facet)
    monkeypatch.setattr(op, facet, lambda self, *shapes: wrong(true(self, *shapes), *shapes))


def test_without_a_fault_all_is_well() -> None:
    assert check_graph(network(), device="cpu").ok


def test_output(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "output", lambda s, *_: (*s[:2], *(n + 1 for n in s[2:])))
    assert failed(network())[0] == ("output", "Up.ConvTranspose2d")


def test_output_of_one_axis_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Width one too large; where it runs out of the last layer it shows there too, and only so."""
    plant(monkeypatch, ConvTranspose2d, "output", lambda s, *_: (*s[:3], s[3] + 1))
    assert failed(network()) == [
        ("output", "Up.ConvTranspose2d"),
        ("output", "Conv2d[1]"),
        ("macs", "Conv2d[1]"),
        ("macs", None),
        ("outputs", None),
    ]


def test_output_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next layer is then built for channels that do not come, and torch refuses to run it."""
    plant(monkeypatch, ConvTranspose2d, "output", lambda s, *_: (s[0], s[1] + 1, *s[2:]))
    report = check_graph(network(), device="cpu")
    assert [(c.figure, c.path) for c in report.failures] == [
        ("output", "Up.ConvTranspose2d"),
        ("run", "Conv2d[1]"),
        ("macs", None),
        ("outputs", None),
        ("layers", None),
    ]
    message = report.failures[1].measured
    assert "expected input[1, 6, 20, 20] to have 7 channels, but got 6" in message


def test_weights_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Axes in another order: as many elements, and yet wrong."""

    def swapped(tensors: list[Tensor], *_: object) -> list[Tensor]:
        kernel, bias = tensors
        return [Tensor("weight", (kernel.shape[1], kernel.shape[0], *kernel.shape[2:])), bias]

    plant(monkeypatch, ConvTranspose2d, "weights", swapped)
    assert failed(network()) == [("parameters", "Up.ConvTranspose2d")]


def test_weights_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(
        monkeypatch,
        ConvTranspose2d,
        "weights",
        lambda tensors, *_: [Tensor("kernel", tensors[0].shape), tensors[1]],
    )
    assert failed(network()) == [("parameters", "Up.ConvTranspose2d")]


def test_weights_order(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "weights", lambda tensors, *_: tensors[::-1])
    assert failed(network()) == [("parameters", "Up.ConvTranspose2d")]


def test_weights_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(
        monkeypatch,
        ConvTranspose2d,
        "weights",
        lambda tensors, *_: [tensors[0], Tensor("bias", tensors[1].shape, "float64")],
    )
    assert failed(network()) == [("parameters", "Up.ConvTranspose2d"), ("weights_bytes", None)]


def test_a_forgotten_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "weights", lambda tensors, *_: tensors[:1])
    assert failed(network()) == [
        ("parameters", "Up.ConvTranspose2d"),
        ("params", "Up.ConvTranspose2d"),
        ("params", None),
        ("trainable_params", None),
        ("weights_bytes", None),
    ]


def test_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "buffers", lambda *_: [Tensor("running_mean", (6,))])
    assert failed(network()) == [
        ("buffers", "Up.ConvTranspose2d"),
        ("buffers", None),
        ("weights_bytes", None),
    ]


def test_macs(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "macs", lambda macs, *_: 4 * macs)
    assert failed(network()) == [("macs", "Up.ConvTranspose2d"), ("macs", None)]


def test_macs_of_a_layer_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConvTranspose2d, "macs", lambda *_: 0)
    assert failed(network()) == [("macs", "Up.ConvTranspose2d"), ("macs", None)]


def test_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer whose module gives another dtype than the network's."""
    build = Conv2d.build

    def widened(self: Conv2d, nn: Any, *shapes: Any) -> Any:
        module = build(self, nn, *shapes)
        if self.out_channels == 4:
            module.register_forward_hook(lambda _module, _args, out: out.double())
        return module

    monkeypatch.setattr(Conv2d, "build", widened)
    assert failed(network()) == [("dtype", "Conv2d[1]")]


def test_build_with_another_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are right and the module is not the layer that they describe."""
    build = ConvTranspose2d.build

    def without_bias(self: ConvTranspose2d, nn: Any, *shapes: Any) -> Any:
        module = build(self, nn, *shapes)
        module.bias = None
        return module

    monkeypatch.setattr(ConvTranspose2d, "build", without_bias)
    assert failed(network())[:2] == [
        ("parameters", "Up.ConvTranspose2d"),
        ("params", "Up.ConvTranspose2d"),
    ]


def test_frozen_parameters_do_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    build = ConvTranspose2d.build
    monkeypatch.setattr(
        ConvTranspose2d,
        "build",
        lambda self, nn, *shapes: build(self, nn, *shapes).requires_grad_(False),
    )
    assert failed(network()) == [("trainable_params", None)]


def test_a_build_that_torch_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ConvTranspose2d, "build", lambda self, nn, *shapes: nn.ConvTranspose2d(8, 6, 2, groups=5)
    )
    report = check_graph(network(), device="cpu")
    (failure,) = report.failures
    assert (failure.figure, failure.path) == ("build", "Up.ConvTranspose2d")
    assert "divisible by groups" in failure.measured


# ---------------------------------------------------------------- joins


def joined(join: str) -> Graph:
    builder = GraphBuilder("joined")
    x = builder.input("input", (3, 8, 8))
    one = builder.add(layer("Conv2d", 5, 3), x)
    other = builder.add(layer("Conv2d", 5, 3), x)
    y = builder.add(layer(join), one, other)
    return builder.finish({"output": builder.add(layer("Conv2d", 2, 1), y)})


@pytest.mark.parametrize(("join", "op"), [("Add", Add), ("Mul", Mul), ("Concat", Concat)])
def test_output_of_a_join(monkeypatch: pytest.MonkeyPatch, join: str, op: type) -> None:
    assert check_graph(joined(join), device="cpu").ok
    plant(monkeypatch, op, "output", lambda s, *_: (s[0] + 1, *s[1:]))
    assert failed(joined(join))[0] == ("output", join)


def test_a_join_of_the_wrong_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph adds, the module concatenates."""
    monkeypatch.setattr(Add, "build", lambda self, nn, *shapes: nn.Concat(1))
    assert failed(joined("Add"))[:2] == [("output", "Add"), ("run", "Conv2d[2]")]


def test_swapped_edges_of_a_graph() -> None:
    """The module's second layer reads what the first one reads."""
    graph = small()
    assert check_graph(graph, device="cpu").ok
    module_of = checking.to_module

    def shortcut(*args: Any, **named: Any) -> Any:
        network = module_of(*args, **named)
        network._steps[0].drop = ()
        network._steps[1].inputs = (0,)
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "to_module", shortcut)
        assert failed(graph)[0] == ("run", "Conv2d[1]")


# ---------------------------------------------------------------- the checker itself


def test_a_layer_that_is_never_run_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    module_of = checking.to_module

    def cut(*args: Any, **named: Any) -> Any:
        network = module_of(*args, **named)
        network._steps = network._steps[:-1]
        return network

    monkeypatch.setattr(checking, "to_module", cut)
    report = check_graph(network(), device="cpu")
    assert (report.failures[0].figure, report.failures[0].path) == ("run", "Conv2d[1]")
    assert [c.figure for c in report.failures[1:]] == ["macs", "outputs", "layers"]


def test_a_comparison_of_nothing_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "compare", lambda *_: [])
    monkeypatch.setattr(checking, "compare_fields", lambda *_: [])
    monkeypatch.setattr(checking, "compare_memory", lambda *_: ([], []))
    assert not check_graph(network(), device="cpu").ok


def test_a_measurement_that_measures_nothing_does_not_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def idle(network: Any, inputs: Any) -> Measurement:
        return Measurement(network)

    monkeypatch.setattr(checking, "measure", idle)
    report: Report = check_graph(network(), device="cpu")
    assert [c.figure for c in report.failures] == ["macs", "outputs", "layers"]
