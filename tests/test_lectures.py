"""Claims of the course notes that a network file cannot state: what does not fit, and ratios."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

import convcalc
from convcalc.analysis.memory import Memory
from convcalc.analysis.summary import Summary
from convcalc.cli import main
from convcalc.errors import DesignError
from convcalc.graph import flow
from convcalc.language import parse_document
from convcalc.ops.convolution import Conv2d


def summary(layers: str, *shape: int) -> Summary:
    text = f"convcalc: 1\ninput: {list(shape)}\nlayers:\n- {layers}\n"
    return Summary(flow(parse_document(text, "claim.yaml").build()))


def macs_of(name: str, variant: str | None = None) -> int:
    """MACs of a network of the zoo."""
    macs = convcalc.load(name, variant=variant).summary().totals.macs
    assert isinstance(macs, int)
    return macs


def output(layers: str, *shape: int) -> tuple[object, ...]:
    return summary(layers, *shape).outputs["output"][1:]


def exercise(file: str, variant: str) -> Summary:
    return convcalc.load(f"lectures/{file}", variant=variant).summary()


@pytest.mark.parametrize(
    ("file", "variant", "code"),
    [
        ("d0_cs231n", "stride_3", "rows-dropped"),
        ("d4_cs231n", "stride_3", "rows-dropped"),
        ("d4_cs231n", "conv1_of_224", "rows-dropped"),
        ("d4_cs231n", "pooling_2_3", "rows-skipped"),
        ("d3_hands_on_ml", "valid_strided", "rows-dropped"),
    ],
)
def test_what_does_not_fit_is_warned_of(file: str, variant: str, code: str) -> None:
    assert [warning.code for warning in exercise(file, variant).warnings] == [code]


@pytest.mark.parametrize(
    ("file", "variants"),
    [
        ("d0_cs231n", ("stride_1", "stride_2", "pad_1", "pad_2", "pad_3", "stride_2_pad_4")),
        ("d3_hands_on_ml", ("valid", "same", "same_strided")),
        ("d4_cs231n", ("stride_1", "stride_2", "pad_1", "conv1", "pooling_3_2")),
    ],
)
def test_what_fits_is_not(file: str, variants: tuple[str, ...]) -> None:
    for variant in variants:
        assert not exercise(file, variant).warnings


def test_stride_3_does_not_fit_7() -> None:
    (warning,) = summary("Conv2d(1, 3, 3)", 1, 7, 7).warnings
    assert warning.path == "Conv2d"
    assert "never reads the last row and column of its 7×7 input" in warning.message
    assert "6 or 9 rows and columns fit exactly; padding=1" in str(warning.help)


def test_pooling_of_2_at_stride_3_skips_every_third_row() -> None:
    (warning,) = summary("MaxPool2d(2, 3)", 64, 224, 224).warnings
    assert (warning.code, warning.path) == ("rows-skipped", "MaxPool2d")
    assert not summary("MaxPool2d(3, 2)", 64, 225, 225).warnings  # F = 3, S = 2 was meant


def test_the_eighth_unpadded_layer_is_named() -> None:
    network = convcalc.load("lectures/d4_cs231n", "shrink", depth=8)
    with pytest.raises(DesignError) as raised:
        network.summary()
    (problem,) = raised.value.problems
    assert problem.path == "Conv2d[7]"  # counted from 0
    assert "must be at least 5, not 4" in problem.message


def test_alexnet_fits_where_the_size_is_3_more_than_a_multiple_of_32() -> None:
    network = convcalc.load("alexnet")
    sizes = range(195, 262)
    fit = [n for n in sizes if not network.summary(input=(3, n, n)).warnings]
    assert fit == [n for n in sizes if n % 32 == 3]
    assert 227 in fit
    assert 224 not in fit


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 11])
def test_half_the_kernel_keeps_the_size(kernel: int) -> None:
    for n in (1, 7, 32):
        layer = f"Conv2d(1, {kernel}, padding={(kernel - 1) // 2})"
        assert output(layer, 1, n, n) == (1, n, n)


@pytest.mark.parametrize(("n", "kernel", "stride"), [(7, 3, 2), (9, 5, 3), (8, 4, 2), (19, 5, 1)])
def test_the_padding_that_keeps_the_size_at_any_stride(n: int, kernel: int, stride: int) -> None:
    """P = ((S − 1)(N − 1) + (F − 1))/2, where that is whole; half a row of padding does not fit."""
    twice = (stride - 1) * (n - 1) + (kernel - 1)
    op = Conv2d(1, kernel, stride, twice // 2)
    fits = [p for p in range(n * stride) if n - kernel + 2 * p == stride * (n - 1)]
    assert fits == ([twice // 2] if twice % 2 == 0 else [])
    if fits:
        assert op.output((1, 1, n, n)) == (1, 1, n, n)


def test_max_pooling_loses_three_quarters() -> None:
    before, after = 64 * 28 * 28, output("MaxPool2d(2)", 64, 28, 28)
    assert after == (64, 14, 14)
    assert 1 - 64 * 14 * 14 / before == 0.75


def test_75_products_a_place() -> None:
    totals = summary("Conv2d(1, 5)", 3, 32, 32).totals
    assert totals.macs == 75 * 28 * 28


def test_separable_is_87_times_cheaper_not_9() -> None:
    full, separable = (macs_of("lectures/d3_hands_on_ml", v) for v in ("full", "separable"))
    assert round(full / separable, 1) == 8.7
    assert separable * 9 * 256 == full * (9 + 256)  # 1/256 + 1/9


def test_vgg_volumes() -> None:
    """The notes add the volumes to 24M values, 93 MB an image, about 200 MB with backward.

    They are 15,237,608 values. 73 MB are kept for backward; what a step of training takes above
    the weights is 616 MB, most of it the weights' gradients."""
    layers = convcalc.load("vgg16").summary().layers
    listed = [x for x in layers if x.op.name() in ("Conv2d", "MaxPool2d", "Linear")]
    values = 3 * 224 * 224
    for layer in listed:
        bytes = layer.output_bytes
        assert isinstance(bytes, int)
        values += bytes // 4
    assert (values, 4 * values) == (15_237_608, 60_950_432)
    text = Path(convcalc.load("vgg16").file).read_text(encoding="utf-8")
    published = Memory(convcalc.load(text).flow())
    assert published.saved == 73_254_912
    # torchvision's form averages 7×7 to 7×7, for which its input is kept.
    torchvision = Memory(
        convcalc.load(text.replace("Flatten", "AdaptiveAvgPool2d(7) -> Flatten")).flow()
    )
    assert torchvision.saved == published.saved + 4 * 512 * 7 * 7 == 73_355_264
    assert torchvision.training().peak == 616_136_520


def test_alphago_keeps_19_throughout() -> None:
    layers = convcalc.load("alphago").summary().layers
    assert {x.output[2:] for x in layers if x.op.name() == "Conv2d"} == {(19, 19)}


def test_flops_grow_as_2_to_the_phi() -> None:
    """Compound scaling, by the rule and as published: what lectures/d3_compound_scaling.yaml says.

    1.92 times a step, and 96 times in seven; a little less than 2, and 128."""
    rule = Fraction("1.2") * Fraction("1.1") ** 2 * Fraction("1.15") ** 2
    assert round(float(rule), 2) == 1.92
    exact = [macs_of("lectures/d3_compound_scaling", f"phi_{i}") for i in range(8)]
    published = [macs_of("efficientnet", f"b{i}") for i in range(8)]
    for macs, least, most, in_all in ((exact, 1.8, 2.6, 103), (published, 1.4, 2.4, 98)):
        steps = [round(after / before, 1) for before, after in pairwise(macs)]
        assert (min(steps), max(steps)) == (least, most)
        assert round(macs[7] / macs[0]) == in_all
        assert abs((macs[7] / macs[0]) ** (1 / 7) - float(rule)) < 0.03


def test_the_ratios_in_the_file_of_compound_scaling() -> None:
    path = convcalc.load("lectures/d3_compound_scaling").file
    said = re.findall(r"phi_(\d): .*# +(\d+\.\d) +(\d+\.\d)", Path(path).read_text("utf-8"))
    assert [int(phi) for phi, _, _ in said] == list(range(1, 8))
    for phi, by_rule, published in said:
        pairs = (
            ("lectures/d3_compound_scaling", "phi_", by_rule),
            ("efficientnet", "b", published),
        )
        for file, name, ratio in pairs:
            found = macs_of(file, f"{name}{phi}") / macs_of(file, f"{name}0")
            assert f"{found:.1f}" == ratio


def test_a_filter_finds_its_pattern_wherever_it_stands() -> None:
    """The notes' example: [0, 3, 2, 0, 0] gives [0, 1, 0, 0].

    No two weights alone do that: 3·b = 0 and 2·a = 0 beside 3·a + 2·b = 1. A filter that looks for
    (3, 2), with a bias and a ReLU, does; and where the pattern moves, its answer moves along.
    """
    torch = pytest.importorskip("torch")
    from convcalc.pytorch import to_module

    text = "convcalc: 1\ninput: [1, 5]\nlayers: Conv1d(1, 2) -> ReLU\n"
    module = to_module(flow(parse_document(text, "pattern.yaml").build()))
    with torch.no_grad():
        for parameter, values in zip(module.parameters(), ([[[3.0, 2.0]]], [-12.0]), strict=True):
            parameter.copy_(torch.tensor(values))
        for shift in range(4):
            sample = torch.zeros(1, 1, 5)
            sample[..., shift : shift + 2] = torch.tensor([3.0, 2.0])
            wanted = [float(place == shift) for place in range(4)]
            assert module(sample).flatten().tolist() == wanted


def test_convolution_commutes_with_shifts_by_its_stride() -> None:
    torch = pytest.importorskip("torch")
    from convcalc.pytorch import to_module

    text = "convcalc: 1\ninput: [1, 32]\nlayers: Conv1d(2, 3, {stride}, bias=false)\n"
    values = torch.randint(-5, 6, (1, 1, 32)).float()
    for stride, shift, same in [(1, 1, True), (2, 2, True), (2, 1, False)]:
        document = parse_document(text.format(stride=stride), "shift.yaml")
        module = to_module(flow(document.build()))
        for parameter in module.parameters():
            parameter.data = torch.arange(1.0, 7.0).reshape(parameter.shape)
        moved = torch.roll(values, shift, -1)
        with torch.no_grad():
            before, after = module(values), module(moved)
        moves = shift // stride
        inner = slice(4, -4)
        rolled = torch.roll(before, moves, -1)
        assert torch.equal(rolled[..., inner], after[..., inner]) == same


@pytest.mark.parametrize(
    ("name", "variant", "said", "params"),
    [
        ("alexnet", None, 60, 60_965_224),
        ("vgg", "D", 138, 138_357_544),
        ("googlenet", None, 5, 6_998_552),  # wrong by 2 million
        ("googlenet", None, 6, 6_998_552),  # "about 6M" in the other notes
    ],
)
def test_sizes_in_millions(name: str, variant: str | None, said: int, params: int) -> None:
    totals = convcalc.load(name, variant=variant).summary().totals
    assert totals.params == params
    right = abs(params / 1e6 - said) < 1
    assert right == (said != 5)


def test_vgg_16_has_16_layers_with_weights_and_most_of_them_in_one() -> None:
    summary = convcalc.load("vgg16").summary()
    weights = [layer for layer in summary.layers if layer.params]
    assert len(weights) == 16
    assert max(weights, key=lambda layer: layer.params).params == 102_764_544


def test_a_trunk_and_its_new_head() -> None:
    """Transfer learning: what a frozen trunk leaves to train."""
    whole = convcalc.load("xception").summary()
    old_head = whole.layers[-1].params
    flowers = convcalc.load("xception", variant="flowers").summary().totals
    assert whole.totals.params == whole.totals.trainable_params
    assert whole.totals.params - old_head == 20_806_952
    assert flowers.params - flowers.trainable_params == 20_806_952
    assert flowers.trainable_params == 5 * 2048 + 5


def test_what_b3_costs_more_than_b0(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that lectures/d3_compound_scaling.yaml names."""
    text = Path(convcalc.load("lectures/d3_compound_scaling").file).read_text("utf-8")
    found = re.search(r"`convcalc (diff [\w: ]+)`", text)
    assert found
    assert main(found[1].split()) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("MACs  ")]
    assert line.split()[1:4] == ["385,814,752", "1,827,141,392", "+1,441,326,640"]
