"""Figures of a summary, beside arithmetic by hand and beside sums over its layers."""

from __future__ import annotations

import pytest

import convcalc
from convcalc.analysis.summary import DTYPES

TINY = """convcalc: 1
name: Tiny
input: [3, 8, 6]
layers:
- Conv2d(4, 3, padding=1, bias=false) -> BatchNorm2d -> ReLU
- mid = MaxPool2d(2)
- Flatten -> Linear(10)
aux:
  early: mid -> Flatten -> Linear(5)
"""
NETWORKS = ["vgg16", "googlenet", "unet", "mobilenetv3", "densenet121", "swin_t", "c3d", "m5"]


@pytest.fixture
def tiny() -> convcalc.Network:
    return convcalc.load(TINY)


def test_by_hand(tiny: convcalc.Network) -> None:
    summary = tiny.summary(batch=2)
    conv, norm, relu, pool, flatten, linear, aux_flatten, aux = summary.layers
    assert conv.output == (2, 4, 8, 6)
    assert conv.params == 4 * 3 * 9
    assert conv.macs == 2 * 4 * 8 * 6 * 27
    assert conv.output_bytes == 2 * 4 * 8 * 6 * 4
    assert conv.weights_bytes == 4 * 3 * 9 * 4
    assert (norm.params, norm.buffers) == (8, 9)
    # weight, bias, mean and variance of 4 elements, and an int64 that counts batches
    assert norm.weights_bytes == 4 * 4 * 4 + 8
    assert (relu.params, relu.macs, relu.dropped) == (0, 0, (0, 0))
    assert pool.output == (2, 4, 4, 3)
    assert flatten.output == (2, 48)
    assert (linear.params, linear.macs) == (48 * 10 + 10, 2 * 48 * 10)
    assert aux.aux
    assert aux_flatten.aux
    assert aux.path == "Linear[1]"
    assert aux.inputs == ("Flatten[1]",)
    assert conv.line == 5
    assert conv.args["kernel_size"] == (3, 3)

    totals = summary.totals
    assert totals.params == totals.trainable_params == 108 + 8 + 490
    assert totals.buffers == 9
    assert totals.aux_params == 48 * 5 + 5
    assert totals.macs == conv.macs + linear.macs
    assert totals.aux_macs == 2 * 48 * 5
    assert totals.weights_bytes == 4 * (108 + 8 + 490 + 8) + 8
    assert summary.outputs == {"output": (2, 10)}
    assert summary.aux_outputs == {"early": (2, 5)}
    assert summary.inputs == {"input": (2, 3, 8, 6)}


@pytest.mark.parametrize(("dtype", "width"), [("float64", 8), ("float16", 2), ("bfloat16", 2)])
def test_bytes_follow_the_dtype(tiny: convcalc.Network, dtype: str, width: int) -> None:
    summary = tiny.summary(dtype=dtype)
    assert summary.layers[0].output_bytes == 4 * 8 * 6 * width
    assert summary.totals.weights_bytes == width * (108 + 8 + 490 + 8) + 8


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_sums_of_the_layers(name: str) -> None:
    summary = convcalc.load(name).summary(batch=3)
    main = [layer for layer in summary.layers if not layer.aux]
    aux = [layer for layer in summary.layers if layer.aux]
    totals = summary.totals
    assert totals.params == sum(layer.params for layer in main)
    assert totals.buffers == sum(layer.buffers for layer in main)
    assert totals.macs == sum(layer.macs for layer in main)
    assert totals.weights_bytes == sum(layer.weights_bytes for layer in main)
    assert totals.aux_params == sum(layer.params for layer in aux)
    assert totals.aux_macs == sum(layer.macs for layer in aux)
    assert summary.flow.graph.layers == [layer.node for layer in summary.layers]


@pytest.mark.parametrize("name", NETWORKS)
def test_formulas_evaluate_to_the_numbers(name: str) -> None:
    """Symbolic figures, at the design's own sizes and others, beside a summary at these."""
    network = convcalc.load(name)
    formulas = network.summary(symbolic=True)
    own = network.summary().inputs["input"][1:]
    letters = {2: "L", 3: "HW", 4: "DHW"}[len(own)]
    for batch, scale in ((1, 1), (3, 2)):
        channels, *spatial = own
        values = {"N": batch} | {k: v * scale for k, v in zip(letters, spatial, strict=True)}
        numbers = network.summary((channels, *(v * scale for v in spatial)), batch)
        for left, right in zip(formulas.layers, numbers.layers, strict=True):
            for figure in ("params", "buffers", "macs", "output_bytes", "weights_bytes"):
                found = convcalc.evaluate(getattr(left, figure), values)
                assert found == getattr(right, figure), (left.path, figure)
            assert tuple(convcalc.evaluate(s, values) for s in left.output) == right.output
            for mine, theirs in zip(left.dropped, right.dropped, strict=True):
                assert mine is None or convcalc.evaluate(mine, values) == theirs, left.path
        for figure, total in formulas.totals.as_dict().items():
            assert convcalc.evaluate(total, values) == numbers.totals.as_dict()[figure]


def test_named_sizes_have_definitions() -> None:
    summary = convcalc.load("vgg16").summary(symbolic=True)
    told = {name: str(size) for name, size in summary.definitions().items()}
    assert told == {
        f"{letter.lower()}{i}": f"{letter}//{2**i}" for letter in "HW" for i in range(1, 6)
    }
    assert convcalc.load("vgg16").summary().definitions() == {}


def test_layers_by_path(tiny: convcalc.Network) -> None:
    summary = tiny.summary()
    assert summary.layer("Conv2d").params == 108
    with pytest.raises(convcalc.ConvcalcError, match=r"'Conv2'; did you mean 'Conv2d'"):
        summary.layer("Conv2")


def test_an_unknown_dtype_is_refused(tiny: convcalc.Network) -> None:
    with pytest.raises(convcalc.ConvcalcError, match=", ".join(DTYPES)):
        tiny.summary(dtype="int8")


@pytest.mark.parametrize("batch", [0, -1, 1.5, True, "2"])
def test_a_wrong_batch_is_refused(tiny: convcalc.Network, batch: object) -> None:
    with pytest.raises(convcalc.ConvcalcError, match="batch"):
        tiny.summary(batch=batch)  # type: ignore[arg-type]
