"""Memory from the graph beside what a run on the CPU takes: to the byte, and per layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import convcalc
from convcalc.analysis.memory import Memory
from convcalc.ops.activation import ReLU
from convcalc.pytorch import to_module
from convcalc.pytorch.memory import measure_training

from .memory import computed, differing, measured

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
    "like": "- skip = Conv2d(8, 3)\n- MaxPool2d(2) -> Conv2d(8, 3)\n- add:\n  - skip\n"
    "  - Upsample(like=skip, mode=bilinear)\n- Upsample(like=input, mode=area)\n",
}

MAPS = """- map = Identity
- Tokens -> Linear(8)
- residual: Linear(16) -> GELU -> Linear(8)
- TokensToImage(like=map)
"""
MAPLESS = "- Conv2d(8, 1) -> LayerNorm2d -> AdaptiveAvgPool2d(1)\n"
#: Maps made of tokens lie channels last. Whether their gradient lies so, too, shows in the tokens:
#: else the last Linear copies it, while the residual still holds it.
LYING = {
    "convolution": ("8, 25", MAPS + "- residual: Conv1d(8, 3, padding=1)\n"),
    "transposed": ("8, 25", MAPS + "- ConvTranspose1d(8, 3)\n"),
    "3-D": ("8, 5, 6, 4", MAPS + "- Conv3d(8, 3)\n"),
    "1×1×1": ("8, 5, 6, 4", MAPS + "- Conv3d(8, 1)\n"),
    "activation": ("8, 25", MAPS + "- Conv1d(8, 3, padding=1) -> GELU -> Conv1d(8, 3)\n"),
    "pool": ("8, 6, 6", MAPS + "- residual: AvgPool2d(3, 1, padding=1) -> SiLU\n- Flatten\n"),
    "mean": ("8, 25", MAPS + "- AdaptiveAvgPool1d(1) -> Flatten\n"),
    # PyTorch guesses the layout by the strides of axes of size 1, too.
    "gaps": ("8, 25", "- Tokens -> Linear(8) -> TakeToken(0) -> GroupNorm(2) -> Linear(3)\n"),
    "one map": (
        "4, 8, 8",
        "- Conv2d(8, 1) -> LayerNorm2d -> Conv2d(1, 3) -> ReLU -> Conv2d(8, 3) -> Flatten\n",
    ),
    "one place": (
        "4, 8, 8",
        MAPLESS + "- Conv2d(8, 1) -> ReLU6 -> ConvTranspose2d(4, 3) -> Flatten -> Linear(3)\n",
    ),
    "gate": ("8, 25", MAPS + "- mul:\n  - AdaptiveAvgPool1d(1) -> Sigmoid\n  - Identity\n"),
    "bias": (
        "8, 25",
        "- map = Identity\n- Tokens -> Linear(8)\n- TokensToImage(like=map)\n- Conv1d(8, 3)\n",
    ),
}

#: Where torchvision's module differs from the zoo's design in what it does to memory.
FORMS = {
    # It pools to 7×7 before its head, also where the map has that size.
    "vgg16": [("- Flatten ->", "- AdaptiveAvgPool2d(7) -> Flatten ->")],
}
ARCHITECTURES = Path(__file__).parents[2] / "architectures"


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_byte_is_measured(name: str, batch: int) -> None:
    flow = convcalc.load(HEAD + DESIGNS[name]).flow(batch=batch)
    assert differing(computed(flow), measured(flow)) == {}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LYING)
def test_values_and_gradients_lie_as_pytorchs(name: str, dtype: str, batch: int) -> None:
    shape, layers = LYING[name]
    text = f"convcalc: 1\nname: net\ninput: [{shape}]\nlayers:\n{layers}"
    flow = convcalc.load(text).flow(batch=batch)
    assert differing(computed(flow, dtype), measured(flow, dtype)) == {}


#: What comes after a convolution: does it train, and if not, of what the message tells.
IN_PLACE = {
    "Sigmoid -> ReLU(inplace=true)": "ReLU cannot train in place: it overwrites what Sigmoid keeps",
    "ReLU -> Flatten -> Dropout(0.5, inplace=true)": "Dropout cannot train in place: it overwrites "
    "what ReLU keeps",
    "Conv2d(4, 1) -> ReLU(inplace=true)": None,
    "ReLU -> Dropout(0, inplace=true)": None,
    "GELU -> ReLU(inplace=true)": None,
    "SiLU(inplace=true) -> SiLU(inplace=true)": None,
    "ReLU(inplace=true) -> ReLU(inplace=true)": "ReLU[1] cannot train in place: it overwrites what "
    "ReLU[0] keeps",
    "concat: ['Conv2d(4, 1)', ReLU(inplace=true)]": "overwrites what",
    "concat: [ReLU(inplace=true), 'Conv2d(4, 1)']": None,
    "LeakyReLU(-0.5, inplace=true)": "LeakyReLU cannot train: in place, negative_slope must be at "
    "least 0, not -0.5",
    "ELU(-1, inplace=true)": "ELU cannot train: in place, alpha must be at least 0, not -1",
    "CELU(-2, inplace=true)": "CELU cannot train: in place, alpha must be at least 0, not -2",
    "ELU(-1)": None,
    "RReLU(-0.5, -0.2, inplace=true)": None,
}


@pytest.mark.parametrize("frozen", [False, True], ids=["trains", "frozen"])
@pytest.mark.parametrize("layers", IN_PLACE)
def test_what_has_no_backward_in_place_is_known(layers: str, frozen: bool) -> None:
    """Where all that learns is frozen no backward is needed, and all is well."""
    flow = convcalc.load(f"{HEAD}- Conv2d(8, 3)\n- {layers}\n").flow(batch=2)
    held = [n.index for n in flow.graph.layers if frozen and n.kind == "Conv2d"]
    memory = Memory(flow, frozen=held)
    told = None if frozen else IN_PLACE[layers]
    refused = memory.untrainable
    if told is None:
        assert refused is None
        assert differing(computed(flow, frozen=held), measured(flow, frozen=held)) == {}
        return
    assert told in str(refused)
    network = to_module(flow, initialise=False)
    inputs = [torch.zeros(shape) for shape in flow.inputs.values()]
    with pytest.raises(RuntimeError):
        measure_training(network, inputs)  # as users train, without hooks
    with pytest.raises(RuntimeError):
        measured(flow)


@pytest.mark.parametrize("foreach", [False, True], ids=["one by one", "foreach"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_an_optimizers_step(optimizer: str, foreach: bool) -> None:
    flow = convcalc.load(HEAD + DESIGNS["chain"]).flow(batch=2)
    steps = (optimizer, foreach)
    assert differing(computed(flow, steps=steps), measured(flow, steps=steps)) == {}


def test_a_wrong_facet_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """ReLU keeps its output; were it said to keep its input, the output would be told as kept by
    the layer behind it, which keeps it too."""
    flow = convcalc.load(HEAD + DESIGNS["chain"]).flow(batch=2)
    monkeypatch.setattr(ReLU, "keeps", "input")
    paths = {node.path for node in flow.graph.layers}
    found = paths.intersection(differing(computed(flow), measured(flow)))
    assert found == {"ReLU", "MaxPool2d"}


# Measured on torchvision's own modules by an independent program (torch 2.13, CPU, float32,
# 224×224): saved for backward, inference peak, training peak, in bytes above weights.
@pytest.mark.parametrize(
    ("name", "variant", "batch", "saved", "inference", "training"),
    [
        ("vgg16", None, 1, 73_355_264, 26_292_224, 616_136_520),
        ("resnet", "resnet50", 1, 86_121_984, 10_235_904, 165_612_872),
        ("resnet", "resnet50", 8, 687_488_512, 81_887_232, 735_660_712),
        ("googlenet_torchvision", None, 1, 48_355_072, 7_024_640, 83_086_152),
        ("densenet121", "densenet121", 1, 130_695_936, 9_031_680, 140_696_136),
        ("mobilenetv2", None, 1, 78_345_984, 10_235_904, 86_097_992),
        ("efficientnet", "b0", 1, 88_362_116, 10_235_904, 98_535_632),
    ],
)
def test_fixed_points(
    name: str, variant: str | None, batch: int, saved: int, inference: int, training: int
) -> None:
    text = (ARCHITECTURES / f"{name}.yaml").read_text(encoding="utf-8")
    for ours, torchvisions in FORMS.get(name, []):
        assert text.count(ours) == 1
        text = text.replace(ours, torchvisions)
    memory = Memory(convcalc.load(text, variant=variant).flow(batch=batch))
    peaks = (memory.inference().peak, memory.training().peak)
    assert (memory.saved, *peaks) == (saved, inference, training)
