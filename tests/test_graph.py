"""The graph: paths, scopes, structure without sizes, and the flow of every kind of number."""

from __future__ import annotations

import sys

import pytest

from convcalc.errors import ConvcalcError, DesignError, LayerError
from convcalc.graph import Graph, GraphBuilder, Value, context_notes, flow
from convcalc.integers import IntArray, array, evaluate, symbol
from convcalc.ops import REGISTRY

Conv2d = REGISTRY["Conv2d"]
Add = REGISTRY["Add"]


def chain(count: int) -> Graph:
    builder = GraphBuilder("chain")
    value = builder.input("input", (3, 8, 8))
    conv = Conv2d(3, 3, padding=1)
    for _ in range(count):
        value = builder.add(conv, value)
    return builder.finish({"output": value})


def residual_block(builder: GraphBuilder, x: Value, channels: int, stride: int) -> Value:
    builder.push("block", "Block", [("", channels), ("s", stride)])
    builder.push("part", "body")
    y = builder.add(Conv2d(channels, 3, stride, 1), x)
    y = builder.add(Conv2d(channels, 3, padding=1), y)
    builder.pop()
    if not builder.same_structure(x, y):
        builder.push("part", "project")
        x = builder.add(Conv2d(channels, 1, stride), x)
        builder.pop()
    y = builder.add(Add(), y, x)
    builder.pop()
    return y


def small_resnet() -> Graph:
    builder = GraphBuilder("small")
    x = builder.input("input", (16, "H", "W"))
    for stride in (1, 2):
        x = residual_block(builder, x, 16, stride)
    return builder.finish({"output": x})


def test_paths_number_only_what_repeats() -> None:
    assert [n.path for n in small_resnet().nodes] == [
        "input",
        "Block[0].Conv2d[0]",
        "Block[0].Conv2d[1]",
        "Block[0].Add",
        "Block[1].Conv2d[0]",
        "Block[1].Conv2d[1]",
        "Block[1].Conv2d[2]",
        "Block[1].Add",
    ]


def test_paths_are_unique_in_loops_and_branches() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (3, 8, 8))
    for row in range(3):
        builder.push("loop", "", [("i", row)])
        for branch in range(2):
            builder.push("branch", "", [("", branch + 1)])
            builder.push("block", "Conv", [("", 3)])
            x = builder.add(Conv2d(3, 3, padding=1), x)
            builder.pop()
            builder.pop()
        builder.pop()
    paths = [n.path for n in builder.finish({"output": x}).nodes]
    assert len(set(paths)) == len(paths)
    assert paths[1] == "Conv[0].Conv2d"


def test_structure_sees_strides_not_sizes() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (16, 32, 32))
    same = builder.add(Conv2d(16, 3), x)  # smaller by 2, but of the same stride
    assert builder.same_structure(x, same)
    assert not builder.same_structure(x, builder.add(Conv2d(16, 3, 2, 1), x))
    assert not builder.same_structure(x, builder.add(Conv2d(8, 3, 1, 1), x))
    down = builder.add(Conv2d(16, 2, 2), x)
    up = builder.add(REGISTRY["ConvTranspose2d"](16, 2, 2), down)
    assert builder.same_structure(x, up)


def test_a_size_cannot_decide_structure() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (16, 32, 32))
    with pytest.raises(TypeError):
        bool(x.shape[2] > 3)  # type: ignore[operator]
    free = GraphBuilder("free").input("input", ("C", 32, 32))
    with pytest.raises(LayerError, match="depends on the size of the input"):
        _ = free.channels


def test_rank_and_channels_are_checked_while_building() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (3, 32))
    with pytest.raises(LayerError, match="takes N×C×H×W") as error:
        builder.add(Conv2d(8, 3), x)
    assert error.value.help == "write Conv1d"
    image = GraphBuilder("net").input("input", (3, 32, 32))
    with pytest.raises(LayerError, match="must be a multiple of 2"):
        builder.add(Conv2d(8, 3, groups=2), image)


def test_flow_of_formulas_and_arrays_equals_flow_of_ints() -> None:
    graph = small_resnet()
    n, h, w = symbol("N"), symbol("H"), symbol("W")
    formulas = flow(graph, {"input": (16, h, w)}, batch=n)
    heights, widths = [7, 32, 225], [9, 33, 64]
    arrays = flow(graph, {"input": (16, array(heights), array(widths))}, batch=2)
    for i, (height, width) in enumerate(zip(heights, widths, strict=True)):
        ints = flow(graph, {"input": (16, height, width)}, batch=2)
        sizes = {"N": 2, "H": height, "W": width}
        for node in graph.layers:
            exact, formula = ints.facts[node.index], formulas.facts[node.index]
            many = arrays.facts[node.index]
            assert exact is not None
            assert formula is not None
            assert many is not None
            assert [evaluate(s, sizes) for s in formula.output] == list(exact.output)
            assert evaluate(formula.macs, sizes) == exact.macs
            macs = many.macs.to_numpy()[i] if isinstance(many.macs, IntArray) else many.macs
            assert macs == exact.macs


def test_formulas_name_each_distinct_size_once() -> None:
    result = flow(small_resnet())
    shapes = [[str(s) for s in shape] for shape in result.shapes]
    assert shapes[1] == ["1", "16", "H", "W"]
    assert shapes[4] == shapes[7] == ["1", "16", "h1", "w1"]
    fact = result.facts[4]
    assert fact is not None
    assert str(fact.macs) == "2304*h1*w1"


def test_all_independent_faults_come_at_once() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (3, 8, 8))
    small = builder.add(Conv2d(4, 9), x)
    builder.add(Conv2d(4, 3), small)  # follows from the first fault, and is not told
    other = builder.add(Conv2d(4, 11), x)
    graph = builder.finish({"output": other})
    with pytest.raises(DesignError) as error:
        flow(graph)
    assert [p.path for p in error.value.problems] == ["Conv2d[0]", "Conv2d[2]"]
    assert "the padded height (8 + 0 + 0) must be at least 9, not 8" in str(error.value)


def test_unequal_branches_are_told_with_both_sizes() -> None:
    builder = GraphBuilder("net")
    x = builder.input("input", (3, 9, 9))
    builder.push("block", "Join", [("k", 3)])
    y = builder.add(Add(), x, builder.add(Conv2d(3, 3), x))
    builder.pop()
    with pytest.raises(DesignError, match="height must be equal: 9 and 7") as error:
        flow(builder.finish({"output": y}))
    assert "in Join(k=3)" in str(error.value)


def test_aux_marks_what_serves_it_alone() -> None:
    builder = GraphBuilder("net")
    x = builder.add(Conv2d(4, 3), builder.input("input", (3, 9, 9)))
    main = builder.add(Conv2d(4, 3), x)
    head = builder.add(Conv2d(2, 1), x)
    graph = builder.finish({"output": main}, {"aux": head})
    assert [n.aux for n in graph.nodes] == [False, False, False, True]


def test_a_long_chain_needs_no_recursion() -> None:
    count = 5 * sys.getrecursionlimit()
    result = flow(chain(count))
    assert len(result.shapes) == count + 1
    assert result.shapes[-1] == (1, 3, 8, 8)


def test_flow_refuses_another_rank() -> None:
    with pytest.raises(ConvcalcError, match="has 3 axes"):
        flow(chain(1), {"input": (3, 8)})


def test_context_names_what_led_there() -> None:
    builder = GraphBuilder("net")
    builder.push("loop", "", [("i", 1), ("c", 64)])
    builder.push("block", "Conv", [("", 64), ("s", 2)])
    assert context_notes(builder.scope) == ["in i=1, c=64", "in Conv(64, s=2)"]


def test_inputs_come_first_and_have_names_of_their_own() -> None:
    builder = GraphBuilder("wrong")
    value = builder.input("x", (3, 8, 8))
    with pytest.raises(ValueError, match="there is an input 'x' already"):
        builder.input("x", (1, 8, 8))
    builder.add(REGISTRY["ReLU"](), value)
    with pytest.raises(ValueError, match="inputs come before layers"):
        builder.input("y", (3, 8, 8))
