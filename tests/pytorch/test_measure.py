"""What a run says of each layer."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convcalc.graph import flow
from convcalc.pytorch.measure import FlopCounter, measure
from convcalc.pytorch.module import to_module
from tests.graphs import chain, layer, residual, small, with_aux


class Everything(nn.Module):
    """Convolutions and matrix products of every kind, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, groups=2, padding=1, padding_mode="circular")
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2)
        self.linear = nn.Linear(6, 10)
        self.plain = nn.Linear(10, 8, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.conv(x)).flatten(2).transpose(1, 2)
        x = self.plain(self.linear(x))
        x, _ = self.attention(x, x, x, need_weights=False)
        return torch.baddbmm(x, x @ x.transpose(1, 2), x)


@pytest.mark.parametrize("training", [False, True])
def test_flops_are_those_of_torchs_own_counter(training: bool) -> None:
    module = Everything().train(training)
    x = torch.zeros(2, 4, 5, 5)
    ours, theirs = FlopCounter(), FlopCounterMode(display=False)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with torch.no_grad(), ours:
                module(x)
            with torch.no_grad(), theirs:
                module(x)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    assert ours.flops == theirs.get_total_flops() > 0


def test_each_layer_is_measured() -> None:
    network = to_module(flow(residual()))
    measured = measure(network, [torch.randn(1, 4, 9, 9)])
    rows = [(m.output, m.dtype, m.macs, m.ran) for m in measured.layers.values()]
    assert rows == [
        ((1, 8, 9, 9), "float32", 81 * 8 * 4 * 9, True),
        ((1, 8, 9, 9), "float32", 81 * 8 * 8 * 9, True),
        ((1, 8, 9, 9), "float32", 81 * 8 * 8, True),
        ((1, 8, 9, 9), "float32", 0, True),
        ((1, 5, 7, 7), "float32", 49 * 5 * 8 * 9, True),
    ]
    assert measured.outputs == {"output": (1, 5, 7, 7)}
    assert [(p.name, p.shape) for p in measured.layers[5].parameters] == [
        ("weight", (5, 8, 3, 3)),
        ("bias", (5,)),
    ]


def test_aux_layers_are_measured_too() -> None:
    measured = measure(to_module(flow(with_aux())), [torch.zeros(1, 3, 8, 8)])
    assert measured.outputs == {"aux1": (1, 7, 6, 6), "output": (1, 5, 4, 4)}
    assert [m.macs for m in measured.layers.values()] == [36 * 108, 36 * 28, 16 * 180]


def test_the_same_twice() -> None:
    sizes = flow(small())
    one, two = (
        [
            (m.output, m.macs, [p.shape for p in m.parameters])
            for m in measure(to_module(sizes), [torch.randn(1, 3, 32, 32)]).layers.values()
        ]
        for _ in range(2)
    )
    assert one == two


def test_a_layer_that_torch_refuses_to_run_keeps_its_message() -> None:
    network = to_module(flow(residual()))
    network.set_submodule("Basic.Conv2d[0]", nn.Conv2d(9, 8, 3, padding=1))
    layers = measure(network, [torch.zeros(1, 4, 9, 9)]).layers
    assert "expected input[1, 8, 9, 9] to have 9 channels" in str(layers[2].error)
    assert [layer.ran for layer in layers.values()] == [True, False, False, False, False]
    assert [layer.error is None for layer in layers.values()] == [True, False, True, True, True]


def test_the_state_of_torch_is_left_as_it_was() -> None:
    network = to_module(flow(small()))
    fast = torch.backends.mha.get_fastpath_enabled()
    flash = torch.backends.cuda.flash_sdp_enabled()
    measure(network, [torch.zeros(1, 3, 32, 32)])
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert torch.backends.cuda.flash_sdp_enabled() == flash
    assert torch.is_grad_enabled()
    assert not network.training


def test_nothing_of_a_run_stays_in_memory() -> None:
    """Not even until the garbage collector comes by: networks are checked one after another."""
    gc.disable()
    try:
        network = to_module(flow(chain(layer("Conv2d", 8, 3))), initialise=False)
        x = torch.zeros(1, 3, 32, 32)
        weights = [weakref.ref(p) for p in network.parameters()]
        measured = measure(network, [x])
        inputs = weakref.ref(x)
        del network, x
        assert inputs() is None
        assert not any(weight() is not None for weight in weights)
        assert measured.layers
    finally:
        gc.enable()
