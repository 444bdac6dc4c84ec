"""Layers that do not train: which ones a word means, in YAML and in Python, and what is wrong."""

from __future__ import annotations

import re

import pytest

import convcalc
from convcalc.errors import DesignError, LayerError
from convcalc.language import parse_document
from convcalc.language.freezing import meant

DESIGN = """convcalc: 1
name: trunk
input: [3, 32, 32]
blocks:
  Conv(c): Conv2d(c, 3, padding=1, bias=false) -> BatchNorm2d -> ReLU
  Stage(c): 2 * Conv(c) -> MaxPool2d(2)
layers:
- Conv(8) -> Stage(16) -> Stage(32)
- Flatten -> Linear(10)
"""


def paths(*words: str) -> set[str]:
    graph = convcalc.load(DESIGN).freeze(*words).graph
    return {node.path for node in graph.layers if node.frozen}


def starting(pattern: str) -> set[str]:
    """The oracle: paths of the design that match a regular expression from the start."""
    graph = convcalc.load(DESIGN).graph
    return {node.path for node in graph.layers if re.match(pattern, node.path)}


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("layers", ""),
        ("layers.0", r"Conv\."),
        ("layers.0-1", r"Conv\.|Stage\[0\]\."),
        ("layers.1-2", r"Stage"),
        ("layers.4", "Linear$"),
        ("layers.0-4", ""),
        ("Conv", r"Conv\."),
        ("Stage", r"Stage\["),
        ("Stage[1]", r"Stage\[1\]"),
        ("Stage[0-1].Conv[1]", r"Stage\[[01]\]\.Conv\[1\]"),
        ("Stage[1].Conv[0-7].Conv2d", r"Stage\[1\]\.Conv\[[01]\]\.Conv2d$"),
        ("Stage.Conv.BatchNorm2d", r"Stage\[\d\]\.Conv\[\d\]\.BatchNorm2d"),
        ("Linear, Conv", r"Linear|Conv\."),
        ("layers, none, Linear", "Linear"),
    ],
)
def test_what_a_word_means(word: str, pattern: str) -> None:
    assert paths(word) == starting(pattern) != set()


def test_a_prefix_of_a_name_is_not_the_name() -> None:
    text = DESIGN.replace("Stage(c): 2 * Conv(c)", "Conv2(c): 2 * Conv(c)").replace(
        "Stage", "Conv2"
    )
    found = convcalc.load(text).freeze("Conv").graph
    assert not [node.path for node in found.layers if node.frozen and node.path.startswith("Conv2")]


@pytest.mark.parametrize(
    ("word", "message", "help"),
    [
        ("layers.5", "no range", "the 5 top-level layers are layers.0-4"),
        ("layers.3-1", "no range", "layers.1-3"),
        ("layers.x", "no range", "layers.0-5"),
        ("layers.0-1.Conv", "no range", "by its path"),
        ("Stag[0]", "trunk has no layer or block 'Stag[0]'", "did you mean 'Stage[0]'?"),
        ("Linaer", "no layer or block", "did you mean 'Linear'?"),
        ("Stage[7]", "no layer or block", "did you mean 'Stage[1]'?"),
        ("Stage[1-0]", "no layer or block", "Stage"),
        ("Conv Linear", "no path", "commas between several"),
        ("*", "no path", "layers.0-5"),
    ],
)
def test_what_names_nothing(word: str, message: str, help: str) -> None:
    with pytest.raises(LayerError) as caught:
        meant(convcalc.load(DESIGN).graph, word)
    assert message in caught.value.message
    assert help in str(caught.value.help)


def test_in_yaml_it_stands_at_its_place() -> None:
    with pytest.raises(DesignError) as caught:
        parse_document(DESIGN + "freeze: layers.0, Stage[0-1], Linaer\n", "t.yaml").build()
    (problem,) = caught.value.problems
    assert str(problem.place) == "t.yaml:10:31"
    assert problem.help == "did you mean 'Linear'?"
    with pytest.raises(DesignError, match="freeze must name layers, and is a mapping"):
        parse_document(DESIGN + "freeze: {layers: 3}\n")
    with pytest.raises(DesignError, match="and is empty"):
        parse_document(DESIGN + "freeze:\n")


def test_a_variant_has_its_own() -> None:
    text = DESIGN.replace("input:", "vars: {n: 1}\ninput:")
    text += "freeze: layers.0\nvariants:\n  a: {n: 1}\n  b: {freeze: [Stage, Linear]}\n"
    text += "  c: {freeze: none}\n"

    def frozen(variant: str) -> set[str]:
        graph = convcalc.load(text, variant).graph
        return {node.path for node in graph.layers if node.frozen}

    assert frozen("a") == starting(r"Conv\.")
    assert frozen("b") == starting("Stage|Linear")
    assert frozen("c") == set()
    more = convcalc.load(text, "a").freeze("Linear").graph
    assert {node.path for node in more.layers if node.frozen} == starting(r"Conv\.|Linear")


def test_figures_of_a_frozen_network() -> None:
    network = convcalc.load("vgg16")
    whole, part = network.summary(), network.freeze("layers.0-5").summary()
    own = sum(layer.params for layer in whole.layers[:10])
    assert part.totals.params == whole.totals.params
    assert part.totals.trainable_params == whole.totals.params - own
    assert part.totals.gradients_bytes == 4 * part.totals.trainable_params
    assert not any(layer.saved_bytes for layer in part.layers[:10])
    # From the first that trains on, all is as it was; its input was kept before it.
    assert part.layer("Conv[4].Conv2d").saved_bytes == 4 * 128 * 56 * 56
    for layer in part.layers[11:]:
        assert layer.saved_bytes == whole.layer(layer.path).saved_bytes
    assert network.freeze("layers").summary().totals.saved_bytes == 0


@pytest.mark.parametrize("words", ["layers.0-1", "layers.0-2", "Stage", "Conv, Linear", "layers"])
@pytest.mark.parametrize("batch", [1, 3])
def test_pytorch_keeps_as_much(words: str, batch: int) -> None:
    """Storages that autograd's hooks see, each once, weights left out; and the gradients."""
    torch = pytest.importorskip("torch")
    network = convcalc.load(DESIGN).freeze(words)
    module = network.to_torch()
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept = {}

    def pack(tensor: object) -> object:
        storage = tensor.untyped_storage()  # type: ignore[attr-defined]
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(torch.zeros(batch, 3, 32, 32))
    totals = network.summary(batch=batch).totals
    assert totals.saved_bytes == sum(storage.nbytes() for storage in kept.values())
    if output.requires_grad:
        output.sum().backward()
    gradients = [p.grad.nbytes for p in module.parameters() if p.grad is not None]
    assert totals.gradients_bytes == sum(gradients)
    trainable = [p for p in module.parameters() if p.requires_grad]
    assert totals.trainable_params == sum(p.numel() for p in trainable)
