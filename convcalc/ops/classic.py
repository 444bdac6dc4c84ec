"""Layers of the classics that torch.nn lacks: LeNet-5 as published in 1998, and unpooling."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import product
from convcalc.ops.arguments import Argument, count, flag, like, real, show, sizes
from convcalc.ops.base import (
    AXES,
    Condition,
    Op,
    Tensor,
    Window,
    as_asserted,
    rank_error,
)
from convcalc.ops.convolution import window_conditions, window_output
from convcalc.ops.memory import INT64, OUTPUT, WEIGHTS, Stored
from convcalc.ops.pooling import refuse_wide_padding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.integers import Size
    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Tape

#: Which maps of S2 each of the 16 maps of C3 reads: LeCun et al. 1998, table I, by column.
LENET5 = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


class ConnectionTable(Argument):
    """For each map that comes out the maps that it reads, numbered from 0; or the name of a table.

    Held as a tuple of tuples of ints, or as the word.
    """

    words = ("lenet5",)
    describe = "lenet5, or for each map that comes out a list of the maps that it reads"

    def convert(self, value: Any, spatial: int) -> Any:
        if isinstance(value, str) and value in self.words:
            return value
        if not isinstance(value, (list, tuple)) or not value:
            raise self.wrong(value)
        return tuple(self._row(row, number) for number, row in enumerate(value))

    def write(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return f"[{', '.join('[' + ', '.join(map(str, row)) + ']' for row in value)}]"

    def _row(self, row: Any, number: int) -> tuple[int, ...]:
        whole = isinstance(row, (list, tuple)) and all(type(entry) is int for entry in row)
        problem = None
        if not whole:
            problem = f"must be a list of numbers of maps, not {show(row)}"
        elif not row:
            problem = "reads no map"
        elif min(row) < 0:
            problem = f"reads map {min(row)}; maps are numbered from 0"
        elif len(set(row)) < len(row):
            problem = f"reads a map twice: {show(row)}"
        if problem:
            raise LayerError(f"{self.name}: row {number} {problem}", argument=self.name)
        return tuple(row)

    def schema(self, spatial: int) -> dict[str, Any]:
        row = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
        table = {"type": "array", "items": row, "minItems": 1}
        return {"anyOf": [{"enum": list(self.words)}, table]}


def connection_table(default: Any, *, doc: str = "") -> Any:
    return ConnectionTable(default, doc)


class ConnectionTableConv2d(Op):
    """Convolution in which each map that comes out reads some of the maps only, as a table says.

    N×C×H×W → N×rows×((H − F + 2P)/S + 1)×((W − F + 2P)/S + 1), one map for each row of the table.
    Parameters weight, connections×1×F×F: one kernel for each entry of the table; bias, one for each
    row. MACs connections·F²·outputs. LeNet-5's C3 has 60 kernels 5×5 and 16 biases: 1,516.
    Source: LeCun et al. 1998, section II.B and table I (`lenet5`); Torch7's SpatialConvolutionMap.
    """

    layout = "channels"
    spatial = 2
    positional = 2
    inferred = "in_channels"

    kernel_size = sizes(minimum=1)
    table = connection_table("lenet5", doc="[[0, 1], [1, 2]]: two maps out, which read two each")
    stride = sizes(1, minimum=1)
    padding = sizes(0, doc="zeros on each side")
    bias = flag(True)

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """For each map that comes out the maps that it reads."""
        return LENET5 if self.table == "lenet5" else self.table

    @property
    def connections(self) -> int:
        return sum(map(len, self.rows))

    def output(self, *shapes: Shape) -> Shape:
        n, _, *spatial = shapes[0]
        return (n, len(self.rows), *map(window_output, spatial, self.windows(*shapes)))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        reads = 1 + max(map(max, self.rows))
        conditions = [
            *window_conditions(self, shapes[0], self.windows(*shapes)),
            Condition(
                "equal",
                shapes[0][1],
                reads,
                f"{self.name()}: the maps that flow in and those that the table names",
                f"the table names the maps 0 to {reads - 1}",
            ),
        ]
        return [*conditions, *as_asserted(self, shapes[0][1])]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        kernels = Tensor("weight", (self.connections, 1, *self.kernel_size))
        return [kernels, Tensor("bias", (len(self.rows),))] if self.bias else [kernels]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        places = output[0] * product(output[2:])
        return places * product(self.kernel_size) * self.connections

    def windows(self, *shapes: Shape) -> list[Window]:
        axes = zip(self.kernel_size, self.stride, self.padding, strict=True)
        return [Window(kernel, stride, padding, padding) for kernel, stride, padding in axes]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        n, _, *spatial = tape.output
        places = tape.new((self.connections,), "indices", width=INT64)
        shape = (n, self.connections, *x.shape[2:])
        read = tape.kernel(shape, x, saves=[places], contiguous=True)
        tape.drop(places)
        maps = tape.kernel((n, self.connections, *spatial), read, tape.weights[0], saves=[read])
        parts = tape.split(maps, [len(row) for row in self.rows], 1)
        sums = [tape.reshape(tape.total(part, 1), (n, 1, *spatial)) for part in parts]
        out = tape.concatenate(sums, tape.output)
        tape.drop(*sums)
        if not self.bias:
            return out
        return tape.add(out, tape.reshape(tape.weights[1], (len(self.rows), 1, 1)))

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        kernel, values = told.kernel(self.kernel_size)
        values |= {"rows": len(self.rows), "connections": self.connections}
        told.size(1, "{rows}", values, "one map for each row of the table")
        told.windows(self.windows(*shapes))
        weight = f"{kernel}·{{connections}}"
        told.params(f"{weight} + {{rows}}" if self.bias else weight, values)
        told.macs(f"{told.outputs()}·{weight}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.ConnectionTableConv2d(
            self.rows, self.kernel_size, self.stride, self.padding, self.bias
        )


class Subsampling2d(Op):
    """The sum of each window, times one trained coefficient a map, plus one trained bias a map.

    N×C×H×W → N×C×((H − F)/S + 1)×((W − F)/S + 1). Parameters weight C, bias C. No MACs, as for all
    pooling. LeNet-5's S2 has 12 parameters, S4 32.
    Source: LeCun et al. 1998, section II.B; Torch7's SpatialSubSampling.
    """

    layout = "channels"
    spatial = 2

    kernel_size = sizes(2, minimum=1)
    stride = sizes(None, minimum=1, doc="kernel_size where not given")

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        return (n, channels, *map(window_output, spatial, self.windows(*shapes)))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return window_conditions(self, shapes[0], self.windows(*shapes))

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("weight", (shapes[0][1],)), Tensor("bias", (shapes[0][1],))]

    def windows(self, *shapes: Shape) -> list[Window]:
        strides = self.kernel_size if self.stride is None else self.stride
        return [Window(*axis) for axis in zip(self.kernel_size, strides, strict=True)]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        weight, bias = [tape.reshape(w, (*w.shape, 1, 1)) for w in tape.weights]
        strides = tape.suggested(x, tape.output)
        sums = tape.kernel(tape.output, x, saves=[x], strides=strides, maps=True)
        return tape.add(tape.multiply(sums, weight), bias)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Subsampling2d(shapes[0][1], self.kernel_size, self.stride)


class ScaledTanh(Op):
    """amplitude · tanh(slope · x): f(1) = 1 and f(−1) = −1.

    The shape stays. Source: LeCun et al. 1998, section II.B and appendix A: A = 1.7159, S = 2/3.
    """

    amplitude = real(1.7159)
    slope = real(2 / 3)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        scaled = tape.scaled(inputs[0])
        tanh = tape.pointwise(scaled, saves=[OUTPUT])
        tape.drop(scaled)
        return tape.scaled(tanh)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.ScaledTanh(self.amplitude, self.slope)


class RBF(Op):
    """The squared Euclidean distance to each of out_features fixed codes of −1 and 1.

    N×F → N×out_features. Buffer codes, out_features×F: fixed, not trained, drawn at random, which
    the paper gives as the alternative to its bitmaps of 7×12. No MACs: a distance is no matrix
    product. Source: LeCun et al. 1998, section II.B, the output layer of LeNet-5.
    """

    layout = "channels"
    inferred = "in_features"

    out_features = count(doc="number of codes, the classes")

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) != 2:
            error = rank_error(self, shapes[0], (0,))
            raise LayerError(error.message, "put Flatten before it")

    def output(self, *shapes: Shape) -> Shape:
        return (shapes[0][0], self.out_features)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return as_asserted(self, shapes[0][1])

    def buffers(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("codes", (self.out_features, shapes[0][1]))]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        n, features = inputs[0].shape
        x = tape.reshape(inputs[0], (n, 1, features))
        codes = Stored((self.out_features, features), WEIGHTS, tape.width)
        differences = tape.subtract(x, codes)
        squares = tape.power(differences)
        tape.drop(differences)
        return tape.total(squares, 2)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.RBF(shapes[0][1], self.out_features)


class MaxUnpool2d(Op):
    """Each value goes back to where the maximum of its window stood before a pool; else zeros.

    N×C×H×W → N×C×h×w, h×w the size of `like`, the value that went into the pool; H×W is what the
    pool makes of it. The places of the maxima are found again from `like`, by the same pool: no
    design has to carry indices. Torch's own layer is given them by MaxPool2d(return_indices=True);
    the result is the same, but `like` is kept instead of the indices.
    Source: Badrinarayanan et al. 2017, arXiv:1511.00561 (SegNet); torch/nn/modules/pooling.py.
    """

    layout = "channels"
    spatial = 2
    inputs = 2

    kernel_size = sizes(minimum=1, doc="that of the pool")
    like = like(doc="what went into the pool")
    stride = sizes(None, minimum=1, doc="that of the pool; kernel_size where not given")
    padding = sizes(0, doc="that of the pool")

    def prepare(self) -> None:
        refuse_wide_padding(self.padding, self.kernel_size)

    def check(self, *shapes: Shape) -> None:
        super().check(*shapes)
        if len(shapes[1]) != 4:
            raise rank_error(self, shapes[1], (2,))

    def _pool(self) -> list[Window]:
        strides = self.kernel_size if self.stride is None else self.stride
        axes = zip(self.kernel_size, strides, self.padding, strict=True)
        return [Window(kernel, stride, padding, padding) for kernel, stride, padding in axes]

    def output(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:2], *shapes[1][2:])

    def output_layout(self, *layouts: Layout) -> Layout:
        return "channels"

    def conditions(self, *shapes: Shape) -> list[Condition]:
        values, like = shapes
        conditions = [
            Condition(
                "equal",
                values[1],
                like[1],
                "MaxUnpool2d: the channels that flow in and those of like",
                "each channel needs maxima of its own: a convolution before it can make them equal",
            )
        ]
        # As values has at least one row, like has enough for a window where these are equal.
        pooled = map(window_output, like[2:], self._pool())
        conditions += [
            Condition(
                "equal",
                size,
                wanted,
                f"MaxUnpool2d: the {axis} that flows in and what the pool makes of like",
                "like is what went into the pool, with the pool's own arguments",
            )
            for axis, size, wanted in zip(AXES[2], values[2:], pooled, strict=True)
        ]
        return conditions

    def windows(self, *shapes: Shape) -> list[Window]:
        """Output i can come from every window of the pool that reads row i."""
        windows = []
        values, like = shapes
        for size, wanted, pool in zip(values[2:], like[2:], self._pool(), strict=True):
            before = pool.kernel - 1 - pool.before
            spread = (size - 1) * pool.stride + 1
            after = wanted - spread - before + pool.kernel - 1
            windows.append(Window(pool.kernel, 1, before, after, upsample=pool.stride))
        return windows

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        tape.new(x.shape, "pooled")
        places = tape.new(x.shape, "indices", width=INT64)
        strides = tape.suggested(x, tape.output)
        return tape.kernel(
            tape.output, x, saves=[places], strides=strides, contiguous=True, copies=True
        )

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        for axis, size in enumerate(shapes[1][2:], 2):
            told.size(axis, "{that of like}", {"that of like": size})

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.MaxUnpool2dLike(self.kernel_size, self.stride, self.padding)
