"""Backwards: which sizes give an output, which keep the weights, which keep a budget."""

from __future__ import annotations

import pytest

import convcalc
from convcalc import Answer, ConvcalcError, Fit
from convcalc.analysis import budget, inverse
from convcalc.analysis.budget import largest, never_falls
from convcalc.analysis.inverse import boxes_where
from convcalc.integers import UndecidedError, named, symbol, where_divisible, where_equal
from tests.analysis import designs
from tests.analysis.brute import Oracle

H, W = symbol("H"), symbol("W")


def runs(solutions, limit: int = 100_000) -> list[tuple[int, int]]:
    return solutions.up_to(limit)


# ---------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    ("name", "wanted", "interval"),
    [
        ("vgg16", 7, (224, 255)),
        ("alexnet", 6, (227, 258)),
        ("resnet", 7, (193, 224)),
        ("googlenet_torchvision", 7, (207, 238)),
        ("densenet121", 7, (221, 252)),
    ],
)
def test_an_interval_gives_an_output(name, wanted, interval):
    found = convcalc.fit(name).sizes_for(wanted)
    assert found.possible
    for sizes in found.sizes.values():
        assert sizes.answer is Answer.PROVED
        assert runs(sizes.solutions) == [interval]
    network = convcalc.load(name)
    at = next(n.index for n in network.graph.nodes if n.path == found.path)
    oracle = Oracle(network.graph)
    for size in (interval[0] - 1, *interval, interval[1] + 1):
        shape = oracle.try_sizes(size, size).shapes[at]
        assert (shape[2:] == (wanted, wanted)) == (interval[0] <= size <= interval[1])


def test_an_output_at_a_layer():
    fit = convcalc.fit("googlenet")
    found = fit.sizes_for((14, None), "i4a.Inception.Concat")
    assert list(found.sizes) == ["H"]
    assert runs(found.sizes["H"].solutions) == [(223, 238)]
    assert not convcalc.fit("unet_padded").sizes_for(7).possible
    even = convcalc.fit("unet").sizes_for((388, None)).sizes["H"]
    assert runs(even.solutions) == [(572, 587)]


def test_outputs_that_cannot_be_asked_for():
    fit = convcalc.fit("vgg16")
    with pytest.raises(ConvcalcError, match="2 spatial axes, not 3"):
        fit.sizes_for((7, 7, 7))
    with pytest.raises(ConvcalcError, match=r"no layer 'MaxPool2d\[5\]'; did you mean"):
        fit.sizes_for(7, "MaxPool2d[5]")
    with pytest.raises(ConvcalcError, match="does not depend on the input's size"):
        fit.sizes_for(7, "Linear")
    with pytest.raises(ConvcalcError, match="has an open spatial size"):
        convcalc.fit("convcalc: 1\nname: flat\ninput: [9]\nlayers: Linear(3)\n").sizes_for(7)
    with pytest.raises(ConvcalcError, match=r"width of .* whatever the input; not 8: ask for 7x\?"):
        convcalc.fit("resnet", input=(3, "H", 224)).sizes_for((7, 8))


def test_maps_of_more_than_three_axes():
    layers = "Conv3d(8, 3, 2) -> Unflatten(1, [2, 4])"
    fit = convcalc.fit(f"convcalc: 1\nname: six\ninput: [8, D, H, W]\nlayers: {layers}\n")
    found = fit.sizes_for((4, 3, 3, 3)).sizes
    assert list(found) == ["D", "H", "W"]
    assert all(runs(sizes.solutions) == [(7, 8)] for sizes in found.values())
    with pytest.raises(ConvcalcError, match="axis 2 of Unflatten is 4, whatever the input; not 5"):
        fit.sizes_for((5, 3, 3, 3))


# ---------------------------------------------------------------------------- weights


def kept_by_brute_force(fit: Fit, reach: int) -> set[tuple[int, int]]:
    """The pairs (H, W) at which every weight has the shape it has at the design's own input."""
    graph = fit.flow.graph
    oracle = Oracle(graph)

    def weights(sizes: tuple[int, ...]) -> list[object] | None:
        tried = oracle.try_sizes(*sizes)
        if not tried.valid:
            return None
        return [
            tuple(tensor.shape)
            for node in graph.layers
            if not node.aux
            for tensor in node.op.weights(*(tried.shapes[index] for index in node.inputs))
        ]

    own = weights(tuple(fit.declared[axis.names[0]] for axis in fit.axes))
    pairs = ((h, w) for h in range(1, reach + 1) for w in range(1, reach + 1))
    return {pair for pair in pairs if weights(pair) == own}


@pytest.mark.parametrize(
    "text",
    [
        "layers: MaxPool2d(2) -> Conv2d(3, 3) -> Flatten -> Linear(4)",
        "layers: Conv2d(3, 3, 2) -> Tokens -> ClassToken -> PositionEmbedding -> TakeToken(0)",
        "layers: Conv2d(3, 3, 2, 1) -> PositionBias -> Flatten -> Linear(2)",
        "layers: Conv2d(3, 3) -> AdaptiveAvgPool2d((2, none)) -> Flatten -> Linear(4)",
    ],
)
def test_sizes_that_keep_the_weights(text):
    fit = convcalc.fit(f"convcalc: 1\nname: kept\ninput: [3, 14, 11]\n{text}\n")
    kept = fit.kept()
    assert kept.reason is None
    pairs = {
        (h, w)
        for box in kept.boxes
        for h in range(1, 41)
        for w in range(1, 41)
        if h in box["H"] and w in box["W"]
    }
    assert pairs == kept_by_brute_force(fit, 40)
    assert sum((11 in b["W"]) and (14 in b["H"]) for b in kept.boxes) == 1


def test_three_sizes_that_keep_a_product():
    fit = convcalc.fit("convcalc: 1\ninput: [1, 6, 5, 4]\nlayers: Flatten -> Linear(2)\n")
    found = [tuple(box[name].smallest() for name in "DHW") for box in fit.kept().boxes]
    ways = [
        (d, h, 120 // (d * h)) for d in range(1, 121) for h in range(1, 121) if 120 % (d * h) == 0
    ]
    assert sorted(found) == ways
    assert all(
        box[name].largest() == box[name].smallest() for box in fit.kept().boxes for name in "DHW"
    )


def test_known_weights():
    vgg = convcalc.fit("vgg16").kept()
    assert [(p.path, p.tensor, p.value) for p in vgg.pinned] == [("FC[0].Linear", "weight", 25_088)]
    assert runs(vgg.square.solutions) == [(224, 255)]
    assert [{n: runs(s) for n, s in box.items()} for box in vgg.boxes] == [
        {"H": [(32, 63)], "W": [(1568, 1599)]},
        {"H": [(224, 255)], "W": [(224, 255)]},
        {"H": [(1568, 1599)], "W": [(32, 63)]},
    ]
    assert convcalc.fit("resnet").kept() is None  # a global pool before its Linear
    assert convcalc.fit("vgg16", input=(3, "H", "W")).kept() is None  # nothing says how large
    assert len(convcalc.fit("c3d").kept().boxes) == 15


def test_weights_that_are_not_solved(monkeypatch):
    text = "convcalc: 1\nname: sum\ninput: [3, 9, 9]\nlayers: Flatten -> Linear(2)\n"
    monkeypatch.setattr(inverse, "MAX_PRODUCT", 80)
    kept = convcalc.fit(text).kept()
    assert kept.boxes is None
    assert "too large" in kept.reason
    assert runs(kept.square.solutions) == [(9, 9)]


def test_boxes():
    h, w, d = named(H // 2, "h1"), named(W // 3, "w1"), symbol("D")
    boxes = boxes_where(4 * h * w * d + 1, 25)
    found = {
        (x, y, z)
        for box in boxes
        for x in range(1, 16)
        for y in range(1, 25)
        for z in range(1, 9)
        if x in box["H"] and y in box["W"] and z in box["D"]
    }
    points = ((x, y, z) for x in range(1, 16) for y in range(1, 25) for z in range(1, 9))
    assert found == {(x, y, z) for x, y, z in points if 4 * (x // 2) * (y // 3) * z + 1 == 25}
    assert boxes_where(4 * h * w, 27) == []
    assert boxes_where(h * w, 0) == []
    assert boxes_where(h, 3)[0]["H"].up_to(99) == [(6, 7)]
    with pytest.raises(UndecidedError, match="no product"):
        boxes_where(H + W, 5)


# ---------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("name", ["vgg16", "resnet", "unet_padded", "alexnet", "m5", "c3d"])
def test_budgets_against_the_sizes_beside(name):
    """At the largest size the figure keeps the budget, at the next valid one it does not."""
    fit = convcalc.fit(name, batch=2)
    network = convcalc.load(name)
    for limit in (3 * 10**8, 7 * 10**9):
        for found in fit.largest("macs", limit):
            assert found.answer is Answer.PROVED
            if found.size is None:
                assert found.beyond[1] > limit
                continue
            assert found.value <= limit < found.beyond[1]
            for size, value in ((found.size, found.value), found.beyond):
                point = {**fit.declared, **dict.fromkeys(found.of, size)}
                batch = point.pop("N", 2)
                shape = (network.graph.inputs["input"][0], *point.values())
                assert network.summary(shape, batch).totals.macs == value
            if found.of != ("N",):
                together = fit.square is not None and fit.square.names == found.of
                axis = fit.square if together else fit.axis(found.of[0])
                assert found.size in axis.valid
                assert axis.valid.solutions.smallest(found.size + 1) == found.beyond[0]
                assert found.fitting is None or found.fitting in axis.fitting


def test_known_budgets():
    batch, square = convcalc.fit("resnet").largest("macs", 5 * 10**9)
    assert (batch.of, batch.size, batch.value) == (("N",), 1, 4_089_184_256)
    assert (square.of, square.size, square.fitting) == (("H", "W"), 240, 225)
    (vgg,) = convcalc.fit("vgg16").largest("params", 60_000_000)
    assert (vgg.size, vgg.beyond) == (127, (128, 69_151_528))
    (resnet,) = convcalc.fit("resnet").largest("params", 60_000_000)
    assert resnet.unbounded
    assert resnet.value == 25_557_032
    (small,) = convcalc.fit("resnet").largest("params", 10**6)
    assert (small.size, small.unbounded, small.value) == (None, False, 25_557_032)
    assert [found.of for found in convcalc.fit("unet_padded").largest("macs", 10**10)] == [
        ("H", "W")  # no input of its own, so no batch to ask about
    ]
    with pytest.raises(ConvcalcError, match="no figure 'flops'"):
        convcalc.fit("resnet").largest("flops", 1)


def test_a_figure_that_is_measured():
    """As memory is: known at numbers alone, so that it rises is taken for granted, and said."""
    fit = convcalc.fit("resnet", "resnet18")
    sizes = []

    def measure(flow) -> int:
        sizes.append(flow.inputs["input"])
        return sum(shape[0] * shape[2] * shape[3] for shape in flow.inputs.values())

    batch, square = fit.largest("pixels", 10**6, measure=measure)
    assert (batch.size, square.size) == (10**6 // 224**2, 1000)
    assert batch.answer is square.answer is Answer.UNKNOWN
    assert "takes pixels to rise" in batch.reason
    assert len(sizes) < 60


def test_search():
    even = where_divisible(H, 2)
    assert largest("f", H * H, 100, ("H",), even).size == 10
    assert largest("f", H * H, 99, ("H",), even).beyond == (10, 100)
    assert largest("f", H * H, 3, ("H",), even).size is None
    some = where_equal(H // 10, 3)
    assert largest("f", H, 1000, ("H",), some).size == 39
    assert largest("f", 5, 5, ("H",), some).size == 39
    assert largest("f", 5, 5, ("H",)).unbounded
    assert largest("f", 5, 4, ("H",)).size is None
    assert largest("f", H, 10**15, ("H",)).unbounded  # beyond MAX_SIZE
    for limit in range(1, 300):
        found = largest("f", lambda x: x * x // 3, limit, ("H",), where_divisible(H + 1, 3))
        assert found.size == max((x for x in range(2, 40, 3) if x * x // 3 <= limit), default=None)
    nothing = where_equal(H, H + 1)
    assert largest("f", H, 9, ("H",), nothing).reason == "no size is valid"


def test_a_figure_that_falls_is_not_proved():
    falling = 100 - H // 3
    assert "false" in never_falls(falling, "H", 1)
    assert largest("f", falling, 99, ("H",)).answer is Answer.UNKNOWN
    assert never_falls(H * (H // 32), "H", 1) is None
    assert never_falls((H - 10) * (H - 10), "H", 1) is not None
    assert never_falls((H - 10) * (H - 10), "H", 10) is None


def test_a_wrong_bisection_is_caught(monkeypatch):
    original = budget._search

    def wrong(value, limit, choice, smallest):
        found = original(value, limit, choice, smallest)
        return (*(found[2] or found), *found[2:])

    monkeypatch.setattr(budget, "_search", wrong)
    with pytest.raises(AssertionError):
        test_search()


def test_an_asserted_weight_is_a_condition():
    fit = convcalc.fit(designs.ASSERTED)
    found = fit.largest("macs", 10**9)
    assert [f.size for f in found if f.of != ("N",)] == [35]
