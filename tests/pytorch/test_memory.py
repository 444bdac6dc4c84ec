"""Memory from the graph beside what a run on the CPU takes: to the byte, and per layer."""

from __future__ import annotations

import pytest
import torch

import convcalc
from convcalc.analysis.memory import Memory
from convcalc.graph import Flow
from convcalc.ops.activation import ReLU
from convcalc.pytorch import to_module
from convcalc.pytorch.memory import measure_inference, measure_layers, measure_training

HEAD = "convcalc: 1\nname: net\ninput: [4, 16, 16]\nlayers:\n"
DESIGNS = {
    "chain": "- Conv2d(8, 3) -> BatchNorm2d -> ReLU -> MaxPool2d(2) -> Flatten -> Linear(5)\n",
    "in place": "- Conv2d(8, 3) -> ReLU(inplace=true) -> Conv2d(8, 3) -> SiLU(inplace=true)\n",
    "residual": "- Conv2d(8, 1)\n- residual: ReLU -> Conv2d(8, 3, padding=1) -> BatchNorm2d\n"
    "- ReLU\n",
    "dense": "- 2 * (Conv2d(8, 1) -> ReLU)\n- concat:\n  - Identity\n  - Conv2d(4, 1) -> Tanh\n"
    "- AvgPool2d(2) -> Conv2d(2, 1)\n",
    "gate": "- Conv2d(8, 3)\n- mul:\n  - Identity\n"
    "  - AdaptiveAvgPool2d(1) -> Conv2d(8, 1) -> Sigmoid\n- Dropout(0.5)\n",
    "norms": "- Conv2d(8, 3) -> GroupNorm(2) -> GELU -> LayerNorm2d -> Hardswish"
    " -> LocalResponseNorm(3)\n",
    "tokens": "- Conv2d(8, 4, 4) -> Tokens -> ClassToken -> PositionEmbedding\n"
    "- residual: LayerNorm -> MultiheadAttention(2)\n- TakeToken(0) -> Linear(3)\n",
    "up": "- Conv2d(8, 3, 2) -> ConvTranspose2d(4, 4, 2) -> PixelShuffle(2)"
    " -> Upsample(scale_factor=2)\n",
}


def computed(flow: Flow, optimizer: str = "none", foreach: bool = False) -> dict[str, object]:
    memory = Memory(flow)
    training = memory.training(optimizer, foreach=foreach)
    return {
        "saved": {index: layer.saved for index, layer in memory.layers.items()},
        "inference": memory.inference().peak,
        "training": training.peak,
        "after forward": training.after_forward,
        "gradients": training.gradients,
    }


def measured(flow: Flow, optimizer: str = "none", foreach: bool = False) -> dict[str, object]:
    network = to_module(flow, initialise=False)
    inputs = [torch.zeros(shape) for shape in flow.inputs.values()]
    layers = measure_layers(network, inputs)
    training = measure_training(network, inputs, optimizer, foreach=foreach)
    return {
        "saved": {index: layer.saved for index, layer in layers.items()},
        "inference": measure_inference(network, inputs).peak,
        "training": training.peaks.peak,
        "after forward": training.peaks.ends["forward"],
        "gradients": training.gradients,
    }


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_byte_is_measured(name: str, batch: int) -> None:
    flow = convcalc.load(HEAD + DESIGNS[name]).flow(batch=batch)
    assert computed(flow) == measured(flow)


@pytest.mark.parametrize("foreach", [False, True], ids=["one by one", "foreach"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_an_optimizers_step(optimizer: str, foreach: bool) -> None:
    flow = convcalc.load(HEAD + DESIGNS["chain"]).flow(batch=2)
    assert computed(flow, optimizer, foreach) == measured(flow, optimizer, foreach)


def test_a_wrong_facet_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """ReLU keeps its output; were it said to keep its input, the output would be told as kept by
    the layer behind it, which keeps it too."""
    flow = convcalc.load(HEAD + DESIGNS["chain"]).flow(batch=2)
    monkeypatch.setattr(ReLU, "keeps", "input")
    wrong, right = computed(flow), measured(flow)
    assert wrong["saved"] != right["saved"]
    assert isinstance(wrong["saved"], dict)
    assert isinstance(right["saved"], dict)
    differing = [i for i, kept in right["saved"].items() if wrong["saved"][i] != kept]
    assert [flow.graph.nodes[i].path for i in differing] == ["MaxPool2d"]


# Bytes kept for backward by torchvision's own modules, measured by an independent program with
# saved_tensors_hooks (torch 2.13, CPU, float32, 224×224).
@pytest.mark.parametrize(
    ("name", "variant", "batch", "saved"),
    [
        # torchvision pools to 7×7 before its head, and keeps what flows into that pool too
        ("vgg16", None, 1, 73_355_264 - 512 * 7 * 7 * 4),
        ("resnet", "resnet50", 1, 86_121_984),
        ("resnet", "resnet50", 8, 687_488_512),
        ("densenet121", "densenet121", 1, 130_695_936),
        ("mobilenetv2", None, 1, 78_345_984),
    ],
)
def test_fixed_points(name: str, variant: str | None, batch: int, saved: int) -> None:
    flow = convcalc.load(name, variant=variant).flow(batch=batch)
    assert Memory(flow).saved == saved
