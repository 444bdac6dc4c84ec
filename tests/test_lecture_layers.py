"""What the course notes claim of single layers, each as a `layer` call; the wrong ones shown wrong.

D0 and D4: CS231n, lecture 7. D1: a university course, max pooling. D2: a text on CNN against DNN.
D3: a review of Hands-On Machine Learning, chapter 14.
"""

from __future__ import annotations

from typing import Any

import pytest

import convcalc

Shape = tuple[Any, ...]


@pytest.mark.parametrize(
    ("claim", "layer", "input", "output", "right"),
    [
        ("D0: 32×32×3, one 5×5 filter: 28×28×1", "Conv2d(1, 5)", (3, 32, 32), (1, 28, 28), True),
        ("D4: five 5×5 filters: 28×28×5", "Conv2d(5, 5)", (3, 32, 32), (5, 28, 28), True),
        ("D0: six 5×5 filters: 28×28×6", "Conv2d(6, 5)", (3, 32, 32), (6, 28, 28), True),
        ("D0: ten 5×5×6 on it: 24×24×10", "Conv2d(10, 5)", (6, 28, 28), (10, 24, 24), True),
        ("D0: 7×7, 3×3: stride 1 → 5", "Conv2d(1, 3)", (1, 7, 7), (1, 5, 5), True),
        ("D4: stride 2 → 3", "Conv2d(1, 3, 2)", (1, 7, 7), (1, 3, 3), True),
        ("D4: (7+2−3)/1+1 = 7", "Conv2d(1, 3, padding=1)", (1, 7, 7), (1, 7, 7), True),
        (
            "D0: ten 5×5, stride 1, pad 1: the same size?",
            "Conv2d(10, 5, padding=1)",
            (3, 32, 32),
            (10, 32, 32),
            False,
        ),
        (
            "D0: pad 2 was meant",
            "Conv2d(10, 5, padding=2)",
            (3, 32, 32),
            (10, 32, 32),
            True,
        ),
        ("D0: 224 pooled is 114", "MaxPool2d(2)", (64, 224, 224), (64, 114, 114), False),
        ("D0: 112 is", "MaxPool2d(2)", (64, 224, 224), (64, 112, 112), True),
        ("D4: 244 pooled is 112", "MaxPool2d(2)", (64, 244, 244), (64, 112, 112), False),
        ("D4: 244 pooled is 122", "MaxPool2d(2)", (64, 244, 244), (64, 122, 122), True),
        (
            "D4: AlexNet's conv1: (227−11)/4+1 = 55",
            "Conv2d(96, 11, stride=4)",
            (3, 227, 227),
            (96, 55, 55),
            True,
        ),
        (
            "D4: of 224, as printed",
            "Conv2d(96, 11, stride=4)",
            (3, 224, 224),
            (96, 55, 55),
            False,
        ),
        ("D4: pooled 3/2: 27", "MaxPool2d(3, 2)", (96, 55, 55), (96, 27, 27), True),
        ("D4: LeNet: (32−5)/1+1 = 28", "Conv2d(6, 5)", (1, 32, 32), (6, 28, 28), True),
        ("D4: LeNet: (28−2)/2+1 = 14", "AvgPool2d(2)", (6, 28, 28), (6, 14, 14), True),
        ("D4: 1×1, 64 → 32", "Conv2d(32, 1)", (64, 56, 56), (32, 56, 56), True),
        ("D4: ZFNet's 7×7 at stride 2", "Conv2d(96, 7, 2, 1)", (3, 224, 224), (96, 110, 110), True),
        (
            "D4: AlphaGo's 5×5 with pad 2 keeps 19",
            "Conv2d(192, 5, padding=2)",
            (48, 19, 19),
            (192, 19, 19),
            True,
        ),
        (
            "D4: AlphaGo's 3×3 with pad 1 keeps 19",
            "Conv2d(192, 3, padding=1)",
            (192, 19, 19),
            (192, 19, 19),
            True,
        ),
        ("D1: 4×4×32 flattens to 512", "Flatten", (32, 4, 4), (512,), True),
        ("D1: pool of 8×8×144: 4×4×144", "MaxPool2d(2)", (144, 8, 8), (144, 4, 4), True),
        ("D1: which flattens to 2024", "Flatten", (144, 4, 4), (2024,), False),
        ("D1: to 2304", "Flatten", (144, 4, 4), (2304,), True),
        ("D1: conv3 gives 8×8×144", "Conv2d(144, 3)", (72, 8, 8), (144, 8, 8), False),
        ("D1: not padded it gives 6×6", "Conv2d(144, 3)", (72, 8, 8), (144, 6, 6), True),
        ("D1: padded, 8×8", "Conv2d(144, 3, padding=1)", (72, 8, 8), (144, 8, 8), True),
        ("D1: which then flatten to 1296", "Flatten", (144, 3, 3), (1296,), True),
        ("D3: 6×6, 3×3: 4×4", "Conv2d(1, 3)", (1, 6, 6), (1, 4, 4), True),
        ("D3: padded to 8×8: 6×6", "Conv2d(1, 3, padding=same)", (1, 6, 6), (1, 6, 6), True),
        ("D3: depthwise max pooling of 3", "DepthMaxPool(3)", (96, 8, 8), (32, 8, 8), True),
        ("D0: pooling keeps depth", "MaxPool2d(2)", (64, 8, 8), (64, 4, 4), True),
        (
            "D3: the global average: one a map",
            "AdaptiveAvgPool2d(1)",
            (512, 7, 7),
            (512, 1, 1),
            True,
        ),
    ],
)
def test_sizes(claim: str, layer: str, input: Shape, output: Shape, right: bool) -> None:
    found = convcalc.layer(layer, input, output)
    assert found.ok is right, claim


@pytest.mark.parametrize(
    ("claim", "layer", "input", "figure", "said", "true"),
    [
        ("D0: ten 5×5 on 3 maps: 760", "Conv2d(10, 5)", (3, 32, 32), "params", 760, 760),
        ("D4: conv1 34,848", "Conv2d(96, 11, 4)", (3, 227, 227), "params", 34_848, 34_944),
        (
            "D4: without biases",
            "Conv2d(96, 11, 4, bias=false)",
            (3, 227, 227),
            "params",
            34_848,
            34_848,
        ),
        ("D4: a 5×5×3 filter: 75", "Conv2d(1, 5, bias=false)", (3, 5, 5), "macs", 75, 75),
        ("D2: one 3×3 filter: 9", "Conv2d(1, 3, bias=false)", (1, 8, 8), "params", 9, 9),
        ("D2: six: 54", "Conv2d(6, 3, bias=false)", (1, 8, 8), "params", 54, 54),
        ("D2: with biases 60", "Conv2d(6, 3)", (1, 8, 8), "params", 54, 60),
        ("D4: FC6, about 100M", "Linear(4096)", (25_088,), "params", 102_764_544, 102_764_544),
        ("D0: linear, 3072 → 10", "Linear(10)", (3072,), "params", 30_730, 30_730),
        ("D0: pooling has none", "MaxPool2d(2)", (64, 8, 8), "params", 0, 0),
        ("D3: LeNet-5's C1", "Conv2d(6, 5)", (1, 32, 32), "params", 156, 156),
        ("D3: its S2, trained", "Subsampling2d", (6, 28, 28), "params", 12, 12),
        ("D3: its C3 by table", "ConnectionTableConv2d(5)", (6, 14, 14), "params", 1516, 1516),
        ("D3: its S4", "Subsampling2d", (16, 10, 10), "params", 32, 32),
        ("D3: its C5", "Conv2d(120, 5)", (16, 5, 5), "params", 48_120, 48_120),
        ("D3: its F6", "Linear(84)", (120,), "params", 10_164, 10_164),
        ("D3: its RBF is not trained", "RBF(10)", (84,), "params", 0, 0),
    ],
)
def test_counts(claim: str, layer: str, input: Shape, figure: str, said: int, true: int) -> None:
    found = convcalc.layer(layer, input).layer
    assert found is not None
    assert getattr(found, figure) == true, claim
    assert (said == true) is (claim not in {"D4: conv1 34,848", "D2: with biases 60"})


@pytest.mark.parametrize(
    ("claim", "layer", "input", "unread", "sizes", "near"),
    [
        (
            "D0, D4: 7×7, 3×3, stride 3 does not fit",
            "Conv2d(1, 3, 3)",
            (1, 7, 7),
            [(6, 6)],
            (6, 9),
            {"padding": (1,), "stride": (2, 4), "kernel_size": (1, 4)},
        ),
        (
            "D4: 224 is a misprint: 227",
            "Conv2d(96, 11, 4)",
            (3, 224, 224),
            [(223, 223)],
            (223, 227),
            {"stride": (3,), "kernel_size": (8, 12)},
        ),
        ("D3: a fraction is dropped", "Conv2d(1, 3, 2)", (1, 6, 6), [(5, 5)], (5, 7), None),
    ],
)
def test_what_does_not_fit(
    claim: str, layer: str, input: Shape, unread: Any, sizes: Any, near: Any
) -> None:
    found = convcalc.layer(layer, input)
    assert found.fits is False, claim
    assert found.derivation is not None
    for fit in found.derivation.fits:
        assert list(fit.unread) == unread
        assert fit.sizes == sizes
        assert near is None or fit.near == near
        for size in fit.sizes:
            assert convcalc.layer(layer, (input[0], size, size)).fits


def test_a_stride_above_the_kernel() -> None:
    """D4: "F = 2, S = 3" is said to be common; it skips every third row. F = 3, S = 2 was meant."""
    found = convcalc.layer("MaxPool2d(2, 3)", (64, 224, 224))
    assert [warning.code for warning in found.warnings] == ["rows-skipped"]
    assert found.derivation is not None
    assert found.derivation.fits[0].unread_rows == 74
    assert not convcalc.layer("MaxPool2d(3, 2)", (64, 225, 225)).warnings


def test_the_eighth_layer_has_nothing_left() -> None:
    """D4: eight unpadded 5×5 layers shrink 32 to nothing."""
    size = 32
    for _ in range(7):
        found = convcalc.layer("Conv2d(1, 5)", (1, size, size)).layer
        assert found is not None
        size = found.output[2]  # type: ignore[assignment]  # ints flow in
    assert size == 4
    with pytest.raises(convcalc.DesignError, match="must be at least 5, not 4"):
        convcalc.layer("Conv2d(1, 5)", (1, size, size))


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 11])
def test_the_padding_that_keeps_the_size(kernel: int) -> None:
    """D0, D4: P = (F − 1)/2."""
    solved = convcalc.layer(f"Conv2d(1, {kernel}, padding=?)", (1, 32, 32), 32).solved
    assert solved is not None
    assert [s.values for s in solved.solutions] == [{"padding": (kernel - 1) // 2}]


@pytest.mark.parametrize(("n", "kernel", "stride"), [(7, 3, 2), (9, 5, 3), (8, 4, 2), (19, 5, 1)])
def test_the_padding_at_any_stride(n: int, kernel: int, stride: int) -> None:
    """D4: P = ((S − 1)(N − 1) + (F − 1))/2 keeps N, where that is whole, without a rest."""
    twice = (stride - 1) * (n - 1) + (kernel - 1)
    layer = f"Conv2d(1, {kernel}, {stride}, ?)"
    solved = convcalc.layer(layer, (1, n, n), n).solved
    assert solved is not None
    exact = [
        s.values["padding"]
        for s in solved.solutions
        if (n - kernel + 2 * s.values["padding"]) % stride == 0
    ]
    assert exact == ([twice // 2] if twice % 2 == 0 else [])


def test_pooling_loses_three_quarters() -> None:
    """D3: 2×2 pooling at stride 2 loses 75 %."""
    found = convcalc.layer("MaxPool2d(2)", (64, 28, 28)).layer
    assert found is not None
    assert 4 * 64 * 14 * 14 == 64 * 28 * 28
    assert found.output == (1, 64, 14, 14)


def test_a_separable_convolution_is_87_times_cheaper() -> None:
    """D3: "about 9 times": 1/(1/C + 1/9), 8.7 for 256 maps."""

    def macs(layer: str) -> int:
        found = convcalc.layer(layer, (256, 56, 56)).layer
        assert found is not None
        return found.macs  # type: ignore[return-value]  # ints flow in

    full = macs("Conv2d(256, 3, padding=1)")
    separable = macs("Conv2d(256, 3, padding=1, groups=256)") + macs("Conv2d(256, 1)")
    assert round(full / separable, 1) == 8.7
    assert round(full / separable) == 9


def test_weights_are_shared() -> None:
    """D2, D4: what dense and locally connected layers need in the place of AlexNet's first."""
    found = convcalc.layer("Conv2d(96, 11, stride=4)", (3, 227, 227)).derivation
    assert found is not None
    sharing = found.sharing
    assert sharing is not None
    neurons = 55 * 55 * 96
    assert sharing.unshared == neurons * (11 * 11 * 3 + 1) == 105_705_600
    assert sharing.dense == neurons * (227 * 227 * 3 + 1)
    assert sharing.unshared == 3025 * found.layer.params
    assert sharing.places == 3025


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolution_commutes_with_shifts_by_its_stride(stride: int) -> None:
    """D2: for shifts by multiples of the jump; `test_lectures` runs it, `check --deep` networks."""
    found = convcalc.layer(f"Conv1d(1, 2, {stride})", (1, 24)).layer
    assert found is not None
    assert found.jump == (stride,)
