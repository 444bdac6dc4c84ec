"""Layers by their names, and small graphs of them."""

from __future__ import annotations

from collections.abc import Sequence

from convcalc.graph import Graph, GraphBuilder
from convcalc.ops import REGISTRY
from convcalc.ops.base import Op


def layer(name: str, *args: object, **named: object) -> Op:
    return REGISTRY[name](*args, **named)


def chain(*ops: Op, shape: Sequence[int | str] = (3, 32, 32), name: str = "chain") -> Graph:
    """The layers one after another."""
    builder = GraphBuilder(name)
    value = builder.input("input", shape)
    for op in ops:
        value = builder.add(op, value)
    return builder.finish({"output": value})


def small() -> Graph:
    """A few convolutions, strided, grouped, transposed, one with asymmetric padding."""
    return chain(
        layer("Conv2d", 8, 3, padding=1),
        layer("Conv2d", 16, 5, stride=2, groups=4, bias=False),
        layer("Conv2d", 12, (1, 3), padding="same", dilation=2),
        layer("ConvTranspose2d", 6, 2, stride=2),
    )


def residual() -> Graph:
    """conv → block(conv → conv, added to what flows in) → conv."""
    builder = GraphBuilder("residual")
    x = builder.input("input", (4, 9, 9))
    x = builder.add(layer("Conv2d", 8, 3, padding=1), x)
    builder.push("block", "Basic")
    y = builder.add(layer("Conv2d", 8, 3, padding=1), x)
    y = builder.add(layer("Conv2d", 8, 1), y)
    y = builder.add(layer("Add"), y, x)
    builder.pop()
    return builder.finish({"output": builder.add(layer("Conv2d", 5, 3), y)})


def with_aux() -> Graph:
    """Two layers to the output, and a head of one layer that exists in training only."""
    builder = GraphBuilder("aux")
    x = builder.input("input", (3, 8, 8))
    x = builder.add(layer("Conv2d", 4, 3), x)
    aux = builder.add(layer("Conv2d", 7, 1), x)
    y = builder.add(layer("Conv2d", 5, 3), x)
    return builder.finish({"output": y}, {"aux1": aux})


def two_joined() -> Graph:
    """Two signals, read by 3 and by 5, put after one another."""
    builder = GraphBuilder("joined")
    left = builder.input("left", (1, 16))
    right = builder.input("right", (1, 16))
    one = builder.add(layer("Conv1d", 1, 3, padding=1), left)
    two = builder.add(layer("Conv1d", 1, 5, padding=2), right)
    return builder.finish({"output": builder.add(layer("Concat"), one, two)})


def two_in_two_out() -> Graph:
    builder = GraphBuilder("two")
    left = builder.input("left", (3, 8, 8))
    right = builder.input("right", (5, 6, 6))
    shallow = builder.add(layer("Conv2d", 4, 3), left)
    deep = builder.add(layer("Concat"), shallow, right)
    return builder.finish({"shallow": shallow, "deep": builder.add(layer("Conv2d", 2, 3), deep)})
