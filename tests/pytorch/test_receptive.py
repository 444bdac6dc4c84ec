"""Receptive fields as computed beside gradients: of thin copies, and of whole networks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

import convcalc
from convcalc.analysis import receptive
from convcalc.analysis.receptive import receptive_fields
from convcalc.errors import DesignError
from convcalc.graph import Graph, GraphBuilder, flow
from convcalc.ops import REGISTRY
from convcalc.ops.base import GLOBAL, Window
from convcalc.pytorch import receptive as measuring
from convcalc.pytorch.receptive import compare_fields
from convcalc.pytorch.thin import layer_of
from tests.graphs import chain, layer, two_joined
from tests.random_networks import random_network


def failures(graph: Graph) -> list[tuple[str, str | None]]:
    return [(c.figure, c.path) for c in compare_fields(flow(graph)) if not c.ok]


def test_every_layer_has_a_thin_copy() -> None:
    for name in REGISTRY:
        layer_of(name)


# The other networks of the zoo are compared where they are run: test_zoo_runs.
@pytest.mark.parametrize(
    ("name", "variant"), [("efficientnet", "b0"), ("swin_t", None), ("unet", None)]
)
def test_every_layer_of_a_network_is_measured(name: str, variant: str | None) -> None:
    network = convcalc.load(name, variant)
    comparisons = compare_fields(network.flow())
    assert [str(c) for c in comparisons if not c.ok] == []
    assert {c.path for c in comparisons} == {n.path for n in network.graph.layers}


def test_what_is_measured_of_the_published_networks() -> None:
    """The measured side alone, at the last convolution."""
    for name, variant, size, is_global in (
        ("vgg16", None, 196, False),
        ("resnet", "resnet50", 427, False),
        ("mobilenetv2", None, 491, False),
        ("googlenet_torchvision", None, 379, False),
        ("densenet121", "densenet121", 2071, False),
        ("efficientnet", "b0", 851, True),
    ):
        network = convcalc.load(name, variant)
        nodes = [n for n in network.graph.layers if n.kind == "Conv2d" and not n.aux]
        told = {
            c.figure: c.measured for c in compare_fields(network.flow()) if c.path == nodes[-1].path
        }
        assert told["receptive_field"] == [size, size], name
        assert told["global"] == [is_global, is_global], name


def test_random_networks() -> None:
    """Thousands more were run when this was written: `random_network` of seeds 0 … 35,999."""
    compared = 0
    for seed in range(250):
        graph = random_network(Random(seed)).graph
        try:
            sizes = flow(graph, batch=2)
        except DesignError:
            continue
        comparisons = compare_fields(sizes)
        compared += len(comparisons)
        assert [f"seed {seed}: {c}" for c in comparisons if not c.ok] == []
    assert compared > 2000


# ---------------------------------------------------------------------------- whole networks


def rows_of_gradient(
    network: convcalc.Network, size: int, path: str, output: int
) -> tuple[int, int]:
    """The rows that one row of a layer's output depends on, by the gradient of the real network.

    Weights are made positive averages, so that all paths add up and no activation stops them.
    """
    module: nn.Module = network.to_torch(input=(3, size, size), dtype="float64").eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_().add_(1e-3)
            if parameter.dim() > 1:
                parameter.div_(parameter.flatten(1).sum(1).view(-1, *[1] * (parameter.dim() - 1)))
    kept: list[torch.Tensor] = []
    module.get_submodule(path).register_forward_hook(lambda _, __, out: kept.append(out))
    x = torch.rand(1, 3, size, size, dtype=torch.float64).requires_grad_()
    module(x)
    (gradient,) = torch.autograd.grad(kept[0][:, :, output].sum(), x)
    rows = gradient.abs().amax((0, 1, 3)).nonzero().flatten()
    return int(rows[0]), int(rows[-1])


@pytest.mark.parametrize(
    ("name", "variant", "size", "output"),
    [("lenet5", None, 32, 0), ("resnet", "resnet18", 448, 7), ("squeezenet", None, 256, 8)],
)
def test_gradients_of_the_real_network(
    name: str, variant: str | None, size: int, output: int
) -> None:
    torch.manual_seed(0)
    network = convcalc.load(name, variant)
    node = [n for n in network.graph.layers if n.kind == "Conv2d"][-1]
    grid = receptive_fields(network.flow()).of(node.index)[0].grid
    assert grid is not None
    assert rows_of_gradient(network, size, node.path, output) == grid.at(output)


def test_gradients_of_a_real_gate() -> None:
    torch.manual_seed(0)
    network = convcalc.load("efficientnet", "b0")
    gate = next(n for n in network.graph.layers if n.kind == "Mul")
    before, after = gate.inputs[0], gate.index
    fields = receptive_fields(network.flow())
    assert [f.is_global for f in (*fields.of(before), *fields.of(after))] == [False] * 2 + [
        True
    ] * 2
    assert rows_of_gradient(network, 224, gate.path, 20) == (0, 223)


# ---------------------------------------------------------------------------- planted faults


def small() -> Graph:
    """A stride, a branch, a gate, an upsampling."""
    builder = GraphBuilder("small")
    x = builder.input("input", (3, 48, 48))
    x = builder.add(layer("Conv2d", 4, 3, 2, 1), x)
    x = builder.add(layer("MaxPool2d", 3, 2, 1), x)
    y = builder.add(layer("Conv2d", 4, 3, padding=2, dilation=2), x)
    y = builder.add(layer("Add"), x, y)
    gate = builder.add(layer("AdaptiveAvgPool2d", 1), y)
    gate = builder.add(layer("Conv2d", 4, 1), gate)
    y = builder.add(layer("Mul"), y, gate)
    y = builder.add(layer("ConvTranspose2d", 4, 4, 2, 1), y)
    return builder.finish({"output": builder.add(layer("ReLU"), y)})


def test_without_a_fault_all_is_well() -> None:
    assert failures(small()) == []


Facet = Callable[[list[Window]], list[Window]]


def changed(window: Window, **values: int) -> Window:
    names = ("kernel", "stride", "before", "after", "dilation", "upsample")
    return Window(**{name: values.get(name, getattr(window, name)) for name in names})


@pytest.mark.parametrize(
    ("op", "wrong", "first"),
    [
        ("MaxPool2d", lambda w: changed(w, kernel=4), ("receptive_field", "MaxPool2d")),
        ("MaxPool2d", lambda w: changed(w, stride=3), ("jump", "MaxPool2d")),
        ("MaxPool2d", lambda w: changed(w, before=0), ("offset", "MaxPool2d")),
        ("MaxPool2d", lambda w: changed(w, dilation=2), ("receptive_field", "MaxPool2d")),
        ("MaxPool2d", lambda w: GLOBAL, ("receptive_field", "MaxPool2d")),
        ("AdaptiveAvgPool2d", lambda w: Window(3), ("receptive_field", "AdaptiveAvgPool2d")),
        (
            "ConvTranspose2d",
            lambda w: changed(w, upsample=1),
            ("receptive_field", "ConvTranspose2d"),
        ),
        ("ConvTranspose2d", lambda w: changed(w, kernel=6), ("receptive_field", "ConvTranspose2d")),
        ("ReLU", lambda w: Window(3, 1, 1, 1), ("receptive_field", "ReLU")),
    ],
)
def test_a_wrong_window_is_found_and_named(
    op: str, wrong: Any, first: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = REGISTRY[op]
    true = kind.windows
    monkeypatch.setattr(
        kind, "windows", lambda self, *s: [wrong(w) for w in true(self, *s) or [Window(1)] * 2]
    )
    assert failures(small())[0] == first


def test_a_branch_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receptive.Grid, "united", lambda self, other: self)
    assert failures(small())[0] == ("receptive_field", "Add")


def test_a_gate_taken_for_local_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receptive.Field, "globally", lambda self: self)
    assert failures(small())[0] == ("global", "Mul")


def test_an_offset_without_padding_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = receptive.Grid.through

    def unpadded(self: receptive.Grid, window: Window) -> receptive.Grid | None:
        return true(self, changed(window, before=0))

    monkeypatch.setattr(receptive.Grid, "through", unpadded)
    assert failures(small())[0] == ("offset", "Conv2d[0]")


def test_an_even_kernel_is_not_odd() -> None:
    """padding=same puts the odd row at the end: the centre lies half a row on."""
    graph = chain(layer("Conv2d", 2, 4, padding="same"), shape=(1, 32, 32))
    told = {c.figure: c.measured for c in compare_fields(flow(graph))}
    assert told["offset"] == ["1/2", "1/2"]


def test_axes_that_look_alike_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    axes: list[int] = []
    true = measuring._axis

    def counted(sizes: Any, name: str, axis: int, left_out: set[int]) -> Any:
        axes.append(axis)
        return true(sizes, name, axis, left_out)

    monkeypatch.setattr(measuring, "_axis", counted)
    compare_fields(flow(small()))
    assert axes == [0]
    axes.clear()
    compare_fields(flow(chain(layer("Conv2d", 2, (3, 5)), shape=(1, 32, 32))))
    assert axes == [0, 1]


def test_of_a_very_deep_network_layers_evenly_spaced_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = chain(*[layer("Conv2d", 1, 3, padding=1)] * 40, shape=(1, 32, 32))
    notes: list[str] = []
    every = compare_fields(flow(graph), notes)
    assert len({c.path for c in every}) == 40
    assert not notes
    monkeypatch.setattr(measuring, "MOST", 100_000)
    some = compare_fields(flow(graph), notes)
    measured = {c.path for c in some}
    assert 5 < len(measured) < 40
    (note,) = notes
    assert note.startswith(f"receptive fields of {40 - len(measured)} of 40 layers were not")
    assert all(c.ok for c in some)


def test_several_inputs_are_told_by_name() -> None:
    told = {(c.figure, c.path): c.measured for c in compare_fields(flow(two_joined()))}
    assert told["receptive_field of left", "Concat"] == [3]
    assert told["receptive_field of right", "Concat"] == [5]
    assert ("receptive_field of right", "Conv1d[0]") not in told
