"""Receptive fields: published figures, brute force over sets of rows, and what joins do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcalc import zoo
from convcalc.analysis import receptive
from convcalc.analysis.receptive import Field, ReceptiveFields, receptive_fields
from convcalc.analysis.summary import Summary
from convcalc.graph import Graph, GraphBuilder, Value, flow
from convcalc.integers import symbol
from convcalc.network import load
from convcalc.ops.base import Op, Window
from tests.graphs import chain, two_joined
from tests.graphs import layer as op


def built(*ops: Op, shape: tuple[int | str, ...] = (1, 64)) -> Graph:
    return chain(*ops, shape=shape)


def last(graph: Graph) -> tuple[Field, ...]:
    return receptive_fields(flow(graph)).of(len(graph.nodes) - 1)


def field(*ops: Op, shape: tuple[int | str, ...] = (1, 64)) -> Field:
    return last(built(*ops, shape=shape))[0]


def figures(field: Field) -> tuple[Any, Any, Any]:
    return field.size, field.jump, field.offset


def at_last(fields: ReceptiveFields, kind: str) -> tuple[Field, ...]:
    """The fields of the last layer of that kind, those of aux outputs left out."""
    nodes = [n for n in fields.graph.layers if n.kind == kind and not n.aux]
    return fields.of(nodes[-1].index)


# ---------------------------------------------------------------------------- published figures


@pytest.mark.parametrize(
    ("name", "variant", "size", "jump"),
    [
        # float64 gradients of torchvision's models, at the last convolution
        ("vgg16", None, 196, 16),
        ("resnet", "resnet50", 427, 32),
        ("mobilenetv2", None, 491, 32),
        ("densenet121", "densenet121", 2071, 32),
    ],
)
def test_sizes_at_the_last_convolution(
    name: str, variant: str | None, size: int, jump: int
) -> None:
    fields = at_last(receptive_fields(load(name, variant).flow()), "Conv2d")
    assert [(f.size, f.jump, f.is_global) for f in fields] == [(size, jump, False)] * 2


def test_a_gate_makes_it_global_and_leaves_the_local_field_beside_it() -> None:
    summary = load("efficientnet", "b0").summary()
    fields = receptive_fields(summary.flow)
    local = at_last(fields, "Conv2d")
    assert [(f.size, f.jump, f.is_global) for f in local] == [(851, 32, True)] * 2
    assert str(local[0]) == "global (851)"
    # Before the first gate nothing is global; in the gate there is nothing local.
    first = next(n for n in summary.graph.layers if n.kind == "Mul")
    gate = fields.of(first.inputs[1])
    assert [(f.size, f.jump, f.is_global) for f in gate] == [(None, None, True)] * 2
    assert not fields.of(first.inputs[0])[0].is_global


def test_googlenet_of_torchvision() -> None:
    """It has 3×3 kernels where the paper has 5×5, and one pool of 2×2."""
    path = zoo.path("googlenet")
    assert path is not None
    with open(path, encoding="utf-8") as file:
        paper = file.read()
    assert at_last(receptive_fields(load(paper).flow()), "Conv2d")[0].size == 651
    theirs = paper.replace("Conv(c5, 5)", "Conv(c5, 3)")
    at = theirs.rindex("- Pool\n")
    theirs = f"{theirs[:at]}- MaxPool2d(2, 2, ceil_mode=true)\n{theirs[at + 7 :]}"
    theirs = theirs[: theirs.index("expect:")]
    assert at_last(receptive_fields(load(theirs).flow()), "Conv2d")[0].size == 379


def test_unpadded_u_net_sees_from_where_its_output_lies() -> None:
    """572 → 388: the output's first pixel lies 92 in from the edge, at the jump of the input."""
    fields = at_last(receptive_fields(load("unet").flow()), "Conv2d")
    assert [(f.jump, f.offset) for f in fields] == [(1, 92)] * 2
    grid = fields[0].grid
    assert grid is not None
    assert (grid.shift, grid.moves) == (16, 16)


def test_fcn8s_adds_branches_that_do_not_look_at_the_same_places() -> None:
    """The published network pads its first layer by 100, and crops in the middle, not at 5."""
    fields = receptive_fields(load("fcn8s").flow())
    assert [(m.node.path, m.axis) for m in fields.misaligned] == [
        ("Fuse[0].Add", 0),
        ("Fuse[0].Add", 1),
        ("Fuse[1].Add", 0),
        ("Fuse[1].Add", 1),
    ]
    first = fields.misaligned[0]
    assert first.jumps == (16, 16)
    assert first.offsets[0] != first.offsets[1]


# ---------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([op("Conv1d", 1, 3)], (3, 1, 1)),
        ([op("Conv1d", 1, 3, padding=1)], (3, 1, 0)),
        ([op("Conv1d", 1, 4, padding="same")], (4, 1, Fraction(1, 2))),
        ([op("Conv1d", 1, 3, 2, 1)], (3, 2, 0)),
        ([op("Conv1d", 1, 3, dilation=2)], (5, 1, 2)),
        ([op("Conv1d", 1, 7, 2, 3), op("MaxPool1d", 3, 2, 1)], (11, 4, 0)),
        ([op("ZeroPad1d", 3)], (1, 1, -3)),
        ([op("ZeroPad1d", (-3, 0)), op("Conv1d", 1, 3)], (3, 1, 4)),
        ([op("Upsample", scale_factor=2)], (1, Fraction(1, 2), Fraction(-1, 4))),
        ([op("ConvTranspose1d", 1, 2, 2)], (1, Fraction(1, 2), Fraction(-1, 4))),
        ([op("ConvTranspose1d", 1, 4, 2, 1)], (2, Fraction(1, 2), Fraction(-1, 4))),
        ([op("AvgPool1d", 2), op("Upsample", scale_factor=2)], (2, 1, 0)),
        ([op("AdaptiveAvgPool1d", 32)], (2, 2, Fraction(1, 2))),
        ([op("AdaptiveAvgPool1d", 1)], (None, None, None)),
        ([op("Conv1d", 1, 3), op("Flatten")], (3, None, None)),
        ([op("Conv1d", 1, 3), op("ReLU"), op("BatchNorm1d")], (3, 1, 1)),
        # a stride of more than the kernel: rows between are skipped, the field has holes
        ([op("MaxPool1d", 2, 3), op("Conv1d", 1, 2)], (5, 3, 2)),
    ],
    ids=str,
)
def test_one_axis_by_hand(ops: list[Op], expected: tuple[Any, ...]) -> None:
    assert figures(field(*ops)) == expected


def test_axes_are_independent() -> None:
    fields = last(built(op("Conv2d", 1, (3, 7), (1, 2), (0, 3)), shape=(1, 20, 20)))
    assert [figures(f) for f in fields] == [(3, 1, 1), (7, 2, 0)]


def test_linear_on_features_is_global_and_on_a_map_along_its_last_axis() -> None:
    flat = last(built(op("Conv2d", 2, 3), op("Flatten"), op("Linear", 4), shape=(1, 9, 9)))
    assert [str(f) for f in flat] == ["global", "global"]
    across = last(built(op("Conv2d", 2, 3), op("Linear", 4), shape=(1, 9, 9)))
    assert [str(f) for f in across] == ["3", "global"]
    along = last(built(op("Conv1d", 2, 3), op("Linear", 4), shape=(1, 9)))
    assert [str(f) for f in along] == ["global"]
    softmax = last(built(op("Conv1d", 2, 3), op("Softmax", 2), shape=(1, 9)))
    assert [str(f) for f in softmax] == ["global"]
    gated = field(op("Conv1d", 2, 3), op("GLU", 2), shape=(1, 10))
    assert figures(gated) == (7, 1, 3)  # row j goes with row j + 4


def test_tokens_keep_their_size_and_get_their_places_back() -> None:
    builder = GraphBuilder("tokens")
    x = builder.input("input", (3, 32, 32))
    patches = builder.add(op("Conv2d", 8, 4, 4), x)
    tokens = builder.add(op("Tokens"), patches)
    tokens = builder.add(op("Linear", 8), tokens)
    image = builder.add(op("TokensToImage"), tokens, patches)
    graph = builder.finish({"output": image})
    fields = receptive_fields(flow(graph))
    assert [figures(f) for f in fields.of(tokens.node.index)] == [(4, None, None)] * 2
    assert [figures(f) for f in fields.of(image.node.index)] == [(4, 4, Fraction(3, 2))] * 2


def test_attention_is_global_beside_the_local_field_of_the_skip() -> None:
    network = load("vit_b16")
    fields = receptive_fields(network.flow())
    adds = [n for n in network.graph.layers if n.kind == "Add"]
    assert {tuple(map(str, fields.of(n.index))) for n in adds} == {("global (16)", "global (16)")}
    assert set(map(str, fields.of(network.graph.layers[-1].index))) == {"global"}


def test_concat_along_a_spatial_axis_keeps_the_larger_size() -> None:
    builder = GraphBuilder("side by side")
    x = builder.input("input", (1, 16, 16))
    one = builder.add(op("Conv2d", 1, 3, padding=1), x)
    two = builder.add(op("Conv2d", 1, 5, padding=2), x)
    both = builder.add(op("Concat", 2), one, two)
    after = builder.add(op("Conv2d", 1, 3, padding=1), both)
    graph = builder.finish({"output": after})
    fields = receptive_fields(flow(graph))
    assert [(f.size, f.jump) for f in fields.of(both.node.index)] == [(5, None), (5, 1)]
    assert [(f.size, f.known) for f in fields.of(after.node.index)] == [(None, False), (7, True)]


def branches(*sides: list[Op], shape: tuple[int | str, ...] = (1, 64), join: str = "Add") -> Graph:
    builder = GraphBuilder("branches")
    x = builder.input("input", shape)
    values = []
    for ops in sides:
        value = x
        for each in ops:
            value = builder.add(each, value)
        values.append(value)
    return builder.finish({"output": builder.add(op(join), *values)})


def test_branches_unite() -> None:
    graph = branches([op("Conv1d", 1, 3, 2, 1)], [op("Conv1d", 1, 1, 2)])
    fields = receptive_fields(flow(graph))
    assert figures(fields.of(3)[0]) == (3, 2, 0)
    assert fields.misaligned == []


def test_branches_whose_centres_differ_are_told() -> None:
    graph = branches([op("Conv1d", 1, 3, 2, 1)], [op("AvgPool1d", 2)])
    fields = receptive_fields(flow(graph))
    assert figures(fields.of(3)[0]) == (3, 2, 0)
    (found,) = fields.misaligned
    assert (found.node.path, found.axis, found.jumps) == ("Add", 0, (2, 2))
    assert found.offsets == (0, Fraction(1, 2))


def test_branches_of_unequal_jumps_have_a_size_and_no_jump() -> None:
    # 64 → 32 rows of jump 2, and the first 32 rows of jump 1: at output 31, rows 61 … 63 and 31
    graph = branches([op("Conv1d", 1, 3, 2, 1)], [op("ZeroPad1d", (0, -32))])
    fields = receptive_fields(flow(graph))
    joined = fields.of(3)[0]
    assert (joined.size, joined.jump, joined.exact) == (63 - 31 + 1, None, True)
    assert [m.jumps for m in fields.misaligned] == [(2, 1)]


def test_likes_give_sizes_and_no_field() -> None:
    builder = GraphBuilder("crop")
    x = builder.input("input", (1, 20))
    wide = builder.add(op("Conv1d", 1, 9), x)
    cropped = builder.add(op("CenterCrop"), x, wide)
    graph = builder.finish({"output": cropped})
    assert figures(last(graph)[0]) == (1, 1, 4)


def test_several_inputs() -> None:
    fields = receptive_fields(flow(two_joined()))
    assert set(fields.by_node[2]) == {"left"}
    assert figures(fields.of(4, "left")[0]) == (3, 1, 0)
    assert figures(fields.of(4, "right")[0]) == (5, 1, 0)
    assert fields.of(4) == fields.of(4, "right")  # the larger


def test_open_sizes() -> None:
    """Sizes and jumps do not depend on an open size; an offset may."""
    h = symbol("H")
    graph = built(op("Conv1d", 1, 3, 2, padding="tf_same"), op("Conv1d", 1, 3), shape=(1, "L"))
    seen = receptive_fields(flow(graph, {"input": (1, h)})).of(2)[0]
    assert figures(seen) == (7, 2, None)
    # A window in the ratio of sizes that are open cannot be told.
    pooled = built(op("AdaptiveAvgPool1d", 7), shape=(1, "L"))
    assert not receptive_fields(flow(pooled, {"input": (1, h)})).of(1)[0].known


@pytest.mark.parametrize("name", ["vgg16", "resnet", "unet", "efficientnet", "googlenet"])
def test_the_zoo_with_open_sizes_has_the_same_sizes(name: str) -> None:
    network = load(name)
    closed = receptive_fields(network.flow())
    opened = receptive_fields(network.flow(symbolic=True))
    kinds = {"Conv2d", "MaxPool2d", "Mul", "Add"}
    for node in network.graph.layers:
        if node.kind in kinds and not node.aux:
            pairs = zip(closed.of(node.index), opened.of(node.index), strict=True)
            for one, two in pairs:
                assert one.is_global == two.is_global
                if two.known:
                    assert (one.size, one.jump) == (two.size, two.jump)
                else:  # the crops of an unpadded U-Net shift by what the open size gives
                    assert name == "unet"


def test_many_turns_are_bounded() -> None:
    """More turns than are kept one by one: an upper bound, and it says so."""
    ops = [op("Upsample", scale_factor=Fraction(101, 100)), op("Conv1d", 1, 3)]
    seen = field(*ops, shape=(1, 1000))
    exact = _brute([reads(each) for each in ops], 101)
    assert not seen.exact
    assert str(seen).startswith("≤ ")
    assert seen.jump == Fraction(100, 101)
    widest = max(max(rows) - min(rows) + 1 for rows in exact)
    assert isinstance(seen.size, int)
    assert widest <= seen.size <= widest + 2


def test_time_is_linear_in_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: a layer's windows are gone through once."""
    calls = 0
    through = receptive.Grid.through

    def counted(self: receptive.Grid, window: Any) -> receptive.Grid | None:
        nonlocal calls
        calls += 1
        return through(self, window)

    monkeypatch.setattr(receptive.Grid, "through", counted)
    for layers in (50, 100):
        calls = 0
        receptive_fields(flow(built(*[op("Conv1d", 1, 3, padding=1)] * layers)))
        assert calls == layers


# ---------------------------------------------------------------------------- brute force

#: Which rows of its input an output reads, on maps that go on for ever.
Reads = Callable[[int], Iterable[int]]


def reads(each: Op) -> Reads:
    """From the definitions of the layers, not from their windows."""
    given: dict[str, Any] = {
        name: value[0] if isinstance(value, tuple) else value
        for name, value in each.given().items()
    }
    if each.name() == "ConvTranspose1d":
        kernel, stride, padding = given["kernel_size"], given["stride"], given["padding"]
        dilation = given["dilation"]

        def spread(output: int) -> set[int]:
            # Input row r adds to outputs r·stride − padding + j·dilation.
            shifted = [output + padding - j * dilation for j in range(kernel)]
            return {place // stride for place in shifted if place % stride == 0}

        return spread
    if each.name() == "Upsample":
        factor = Fraction(given["scale_factor"])
        if given["mode"] == "nearest":
            return lambda output: {floor(output / factor)}

        def between(output: int) -> set[int]:
            place = (output + Fraction(1, 2)) / factor - Fraction(1, 2)
            low = floor(place)
            return {low} if place == low else {low, low + 1}

        return between
    kernel = given["kernel_size"]
    stride = given["stride"] or kernel
    padding, dilation = given.get("padding", 0), given.get("dilation", 1)
    return lambda output: {output * stride - padding + j * dilation for j in range(kernel)}


def _brute(layers: list[Reads], outputs: int, first: int = 0) -> list[set[int]]:
    """The rows of the input that outputs first … first + outputs − 1 of a chain depend on."""
    found = []
    for output in range(first, first + outputs):
        rows = {output}
        for layer in reversed(layers):
            rows = {row for each in rows for row in layer(each)}
        found.append(rows)
    return found


def _agrees(seen: Field, brute: Callable[[int], set[int]]) -> None:
    """A field beside the sets of rows of many outputs."""
    grid = seen.grid
    assert grid is not None
    span = range(-2 * grid.moves, 2 * grid.moves + 1)
    sets = {output: brute(output) for output in span}
    widest = max((max(rows) - min(rows) + 1 for rows in sets.values() if rows), default=0)
    assert seen.size == widest
    # The jump, from what one whole round of turns moves
    for output in range(grid.moves):
        here, there = sets[output], sets[output + grid.moves]
        assert {row + grid.shift for row in here} == there
    assert seen.jump == Fraction(grid.shift, grid.moves)
    if not any(sets.values()):
        return
    jump = Fraction(grid.shift, grid.moves)
    low = min(min(rows) - i * jump for i, rows in sets.items() if rows)
    high = max(max(rows) - i * jump for i, rows in sets.items() if rows)
    assert seen.offset == (low + high) / 2


KEEP = [
    op("Conv1d", 1, 1),
    op("Conv1d", 1, 3, padding=1),
    op("Conv1d", 1, 5, padding=2),
    op("Conv1d", 1, 3, padding=3, dilation=3),
    op("MaxPool1d", 3, 1, 1),
]
DOWN = {
    2: [op("Conv1d", 1, 3, 2, 1), op("AvgPool1d", 2), op("Conv1d", 1, 1, 2)],
    3: [op("Conv1d", 1, 3, 3), op("Conv1d", 1, 5, 3, 1)],
}
UP = {
    2: [
        op("Upsample", scale_factor=2),
        op("Upsample", scale_factor=2, mode="linear"),
        op("ConvTranspose1d", 1, 2, 2),
        op("ConvTranspose1d", 1, 4, 2, 1),
        op("ConvTranspose1d", 1, 1, 2, output_padding=1),
        op("ConvTranspose1d", 1, 3, 2, 1, output_padding=1),
    ],
    3: [
        op("Upsample", scale_factor=3),
        op("Upsample", scale_factor=3, mode="linear"),
        op("ConvTranspose1d", 1, 3, 3),
        op("ConvTranspose1d", 1, 2, 3, 1, output_padding=2, dilation=2),
    ],
}
ANY = [
    *KEEP,
    *(each for ops in DOWN.values() for each in ops),
    *(each for ops in UP.values() for each in ops),
    op("Conv1d", 1, 2),
    op("Conv1d", 1, 4, 2, 3, dilation=2),
    op("MaxPool1d", 2, 3),
    op("MaxPool1d", 3, 2, 1, 2, ceil_mode=True),
    op("Upsample", scale_factor=Fraction(3, 2)),
    op("Upsample", scale_factor=Fraction(3, 2), mode="linear"),
    op("Upsample", scale_factor=Fraction(2, 3)),
    op("ConvTranspose1d", 1, 3, 3, 1, dilation=2),
    op("ConvTranspose1d", 1, 2, 5, 0),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(ANY), min_size=1, max_size=6))
def test_random_chains_against_sets_of_rows(ops: list[Op]) -> None:
    seen = field(*ops, shape=(1, 3000))
    layers = [reads(each) for each in ops]
    if seen.grid is None or not seen.exact or seen.grid.moves > 40:
        return
    _agrees(seen, lambda output: _brute(layers, 1, output)[0])


class Net:
    """A random network along one axis, and which rows each of its outputs depends on."""

    def __init__(self) -> None:
        self.builder = GraphBuilder("random")
        self.value: Value = self.builder.input("input", (1, 2 * 2 * 2 * 3 * 3 * 40))
        self.rows: Callable[[int], frozenset[int]] = lambda output: frozenset([output])

    def chain(
        self, ops: Iterable[Op], value: Value, rows: Callable[[int], frozenset[int]]
    ) -> tuple[Value, Callable[[int], frozenset[int]]]:
        for each in ops:
            value = self.builder.add(each, value)
            rows = _after(reads(each), rows)
        return value, rows


def _after(
    layer: Reads, before: Callable[[int], frozenset[int]]
) -> Callable[[int], frozenset[int]]:
    @cache
    def rows(output: int) -> frozenset[int]:
        return frozenset(row for each in layer(output) for row in before(each))

    return rows


@st.composite
def networks(draw: st.DrawFn) -> Net:
    net = Net()
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["keep", "down", "up"]))
        factor = draw(st.sampled_from([2, 3]))
        table = {"keep": KEEP, "down": DOWN[factor], "up": UP[factor]}[kind]
        ends = []
        for _ in range(draw(st.integers(1, 3))):
            ops = [draw(st.sampled_from(table))]
            ops += draw(st.lists(st.sampled_from(KEEP), max_size=2))
            ends.append(net.chain(ops, net.value, net.rows))
        if len(ends) == 1:
            net.value, net.rows = ends[0]
        else:
            net.value = net.builder.add(op("Add"), *(value for value, _ in ends))
            parts = [rows for _, rows in ends]
            net.rows = cache(lambda i, parts=parts: frozenset().union(*(p(i) for p in parts)))
    return net


@settings(max_examples=300, deadline=None)
@given(networks())
def test_random_branches_against_sets_of_rows(net: Net) -> None:
    graph = net.builder.finish({"output": net.value})
    _agrees(last(graph)[0], lambda output: set(net.rows(output)))


@pytest.mark.parametrize("fault", ["dilation", "before", "stride", "union"])
def test_brute_force_finds_planted_faults(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    through, united = receptive.Grid.through, receptive.Grid.united

    def wrong(self: receptive.Grid, window: Any) -> receptive.Grid | None:
        changed = Window(
            window.kernel,
            window.stride,
            window.before,
            window.after,
            window.dilation,
            window.upsample,
        )
        setattr(changed, fault, getattr(changed, fault) + 1)
        return through(self, changed)

    if fault == "union":
        monkeypatch.setattr(receptive.Grid, "united", lambda self, other: self)
        assert united is not receptive.Grid.united
    else:
        monkeypatch.setattr(receptive.Grid, "through", wrong)
    graph = branches([op("Conv1d", 1, 1, 2)], [op("Conv1d", 1, 3, 2, 1)])
    rows = [reads(op("Conv1d", 1, 1, 2)), reads(op("Conv1d", 1, 3, 2, 1))]
    with pytest.raises(AssertionError):
        _agrees(last(graph)[0], lambda output: {r for each in rows for r in each(output)})


# ---------------------------------------------------------------------------- warnings


def told(graph: Graph, code: str) -> list[tuple[str | None, str]]:
    return [(w.path, w.message) for w in Summary(flow(graph)).warnings if w.code == code]


def test_the_first_layer_that_sees_more_than_the_input_is_told_once() -> None:
    network = load("resnet", "resnet50")
    found = [w for w in network.summary().warnings if w.code == "field-exceeds-input"]
    assert [w.path for w in found] == ["Bottleneck[11].Conv[1].Conv2d"]
    assert "is 235×235, more than the 224×224 input" in found[0].message
    larger = network.summary((3, 427, 427)).warnings
    assert [w for w in larger if w.code == "field-exceeds-input"] == []
    assert load("vgg16").summary().warnings == ()
    # With open sizes there is nothing to exceed.
    assert network.summary(symbolic=True).warnings == ()


def test_a_kernel_larger_than_its_input_is_told_of_alone() -> None:
    graph = built(op("Conv1d", 1, 9, padding=4), shape=(1, 5))
    assert told(graph, "field-exceeds-input") == []
    assert len(told(graph, "kernel-exceeds-input")) == 1


def test_misaligned_branches_are_warned_of() -> None:
    centres = branches([op("Conv1d", 1, 3, 2, 1)], [op("AvgPool1d", 2)])
    (found,) = told(centres, "branches-misaligned")
    assert found[0] == "Add"
    assert found[1].endswith("their first outputs are centred on input rows 0 and 0.5")
    jumps = branches([op("Conv1d", 1, 3, 2, 1)], [op("ZeroPad1d", (0, -32))])
    assert told(jumps, "branches-misaligned") == [
        ("Add", "Add joins branches along the length that move by 2 and 1 input rows an output")
    ]
    aligned = branches([op("Conv1d", 1, 3, 2, 1)], [op("Conv1d", 1, 1, 2)])
    assert told(aligned, "branches-misaligned") == []


def test_layers_tell_their_fields() -> None:
    layer = load("efficientnet", "b0").summary().layer("Conv[1].Conv2d")
    assert layer.receptive_field == (851, 851)
    assert layer.is_global == (True, True)
    assert layer.jump == (32, 32)
    assert layer.offset == (0, 0)
