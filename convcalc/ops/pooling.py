"""Pooling: maxima, averages and norms of windows, and pools to a fixed size."""

from __future__ import annotations

from math import gcd

from convcalc.errors import LayerError
from convcalc.integers import Size, ceil_div, minimum
from convcalc.ops import strides as lay
from convcalc.ops.arguments import count, flag, real, sizes
from convcalc.ops.base import AXES, GLOBAL, Condition, Op, Window, rank_error
from convcalc.ops.convolution import (
    explain_tf_same,
    fixed_windows,
    padded_shape,
    tf_same_windows,
    window_conditions,
    window_output,
)
from convcalc.ops.memory import INT64, OUTPUT, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from convcalc.ops.base import Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape
    from convcalc.ops.strides import Strides


def ceil_output(size: Size, window: Window) -> Size:
    """⌈(W − F + 2P)/S⌉ + 1, without a last window that would start in the padding at the end.

    As one floor: (W + P + S − 1 + min(0, P − F + S))//S.
    Source: aten/src/ATen/native/Pool.h, pooling_output_shape_pad_lr.
    """
    padding, stride = window.before, window.stride
    spare = minimum(0, padding - window.reach + stride)
    return (size + (padding + stride - 1 + spare)) // stride


def refuse_wide_padding(paddings: Sequence[Size], kernels: Sequence[Size]) -> None:
    """A pool's padding is at most half of its kernel, not of what that reaches over.

    Source: aten/src/ATen/native/Pool.h, pool2d_shape_check.
    """
    for padding, kernel in zip(paddings, kernels, strict=True):
        if isinstance(padding, int) and isinstance(kernel, int) and 2 * padding > kernel:
            raise LayerError(
                f"padding {padding} is more than half of kernel_size {kernel}",
                "a window would lie in the padding alone; PyTorch refuses it too",
                argument="padding",
            )


class _Pool(Op):
    """What pools with a kernel share."""

    layout = "channels"

    kernel_size = sizes(minimum=1)
    stride = sizes(None, minimum=1, doc="kernel_size where not given")

    #: What a pool does that has no such argument.
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: Any = False
    #: `stride`, or `kernel_size` where it was not given.
    step: Any

    def prepare(self) -> None:
        axes = self.spatial or 1
        self.step = self.stride or self.kernel_size
        if self.padding == 0:
            self.padding = (0,) * axes
        if self.dilation == 1:
            self.dilation = (1,) * axes
        self._windows = fixed_windows(self, self.step)
        if self.padding == "tf_same":
            if self.ceil_mode:
                raise LayerError(
                    "padding=tf_same always gives ⌈W/S⌉; ceil_mode means nothing beside it",
                    "leave ceil_mode away",
                    argument="ceil_mode",
                )
            return
        refuse_wide_padding(self.padding, self.kernel_size)

    def windows(self, *shapes: Shape) -> Sequence[Window]:
        """With ceil_mode the last window may reach past the padding at the end, too."""
        if self.padding == "tf_same":
            return tf_same_windows(shapes[0][2:], self._windows)
        return self._windows

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        if self.padding == "tf_same":
            return (n, channels, *map(ceil_div, spatial, self.step))
        rule = ceil_output if self.ceil_mode else window_output
        return (n, channels, *map(rule, spatial, self.windows(*shapes)))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape, windows = shapes[0], self.windows(*shapes)
        if not self.ceil_mode:
            return window_conditions(self, shape, windows)
        # With ceil_mode a window may reach past the end, if only it starts before it.
        return [
            Condition(
                "at_least",
                size,
                1,
                f"{self.name()}: the output {axis}",
                "a smaller kernel, more padding, or fewer strides before it",
            )
            for size, axis in zip(self.output(*shapes)[2:], AXES[len(windows)], strict=True)
        ]

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        if self.padding == "tf_same":
            explain_tf_same(told, self.step)
        elif self.ceil_mode:
            windows = self.windows(*shapes)
            strides, _ = told.each("S", self.step)
            pads, _ = told.each("P", self.padding)
            for axis, letter in enumerate(told.letters):
                form, values = told.window(axis, windows, "up")
                start = f"⌈({{{letter}}} + {{{pads[axis]}}})/{{{strides[axis]}}}⌉"
                note = "the last window starts before the padding at the end"
                told.size(axis + 2, f"min({form}, {start})", values, note)


def pooled(tape: Tape, x: Stored, shape: Shape, saves: Sequence[Stored]) -> Stored:
    """A pool of maps; along one axis it works on N×C×1×L, and gives a view of that."""
    if len(shape) != 3:
        strides = tape.suggested(x, shape)
        return tape.kernel(shape, x, saves=saves, strides=strides, maps=True)
    n, channels, length = x.shape
    flat, wide = (n, channels, 1, length), (n, channels, 1, shape[2])
    image = tape.view(x, flat, _widened(x.shape, x.strides), View(x.shape, _narrowed(flat)))
    out = tape.kernel(wide, image, saves=saves, strides=tape.suggested(image, wide), maps=True)
    back = View(wide, lambda strides: (True, _widened(shape, strides)))
    return tape.view(out, shape, _narrowed(wide)(out.strides)[1], back)


def _widened(shape: Shape, strides: Strides) -> Strides:
    """The strides of N×C×1×L, a view of N×C×L. Source: ATen, TensorShape.cpp, unsqueeze."""
    n, channels, length = lay.contiguous(shape) if strides is None else strides
    wide = (*shape[:2], 1, shape[2])
    return lay.simplest(wide, (n, channels, length * shape[2], length))


def _narrowed(wide: Shape) -> Callable[[Strides], tuple[bool, Strides]]:
    """The strides of N×C×L, a view of N×C×1×L."""
    shape = (*wide[:2], wide[3])

    def narrowed(strides: Strides) -> tuple[bool, Strides]:
        n, channels, _, length = lay.contiguous(wide) if strides is None else strides
        return True, lay.simplest(shape, (n, channels, length))

    return narrowed


def largest(tape: Tape, x: Stored, *, indices: bool = True) -> Stored:
    """A max pool: with the maxima come their places, 8 bytes each, even where nobody needs them."""
    if not indices:
        return tape.kernel(tape.output, x)
    places = tape.new(tape.output, "indices", width=INT64)
    out = pooled(tape, x, tape.output, [x, places])
    tape.drop(places)
    return out


def same_padded(tape: Tape, op: _Pool, x: Stored) -> Stored:
    """What is pooled: x, or with padding=tf_same a copy with its padding, where there is any."""
    if op.padding != "tf_same":
        return x
    windows = op.windows(x.shape)
    shape = padded_shape(x.shape, [w.before for w in windows], [w.after for w in windows])
    return x if shape == x.shape else tape.padded(x, shape)


class _MaxPool(_Pool):
    """What the three max pools share. Nothing is learned, and no multiply-accumulate counted.

    A window that meets the padding alone is refused: PyTorch gives −∞, and an index outside of the
    input, where its backward then writes. Source: aten/src/ATen/native/cpu/MaxPoolKernel.cpp.
    """

    padding = sizes(
        0,
        words=("tf_same",),
        doc="rows of −∞ on each side, at most half the kernel; `tf_same` gives ⌈W/S⌉",
    )
    dilation = sizes(1, minimum=1)
    return_indices = flag(False, doc="no other value is taken: a layer has one output")
    ceil_mode = flag(False, doc="round the output's size up, not down")

    def prepare(self) -> None:
        super().prepare()
        _refuse_indices(self)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [*super().conditions(*shapes), *self._windows_meet(shapes[0])]

    def _windows_meet(self, shape: Shape) -> list[Condition]:
        """A row for every window: only a dilated one can step over the whole input.

        That is the first one if any: with padding of at most half the kernel, an input that small
        has no other that starts before it. Its first row past the padding is row ⌈P/d⌉·d − P.
        """
        if self.padding == "tf_same":
            return []  # PyTorch pools a padded copy there
        conditions = []
        axes = zip(AXES[len(shape) - 2], shape[2:], self.padding, self.dilation, strict=True)
        for axis, size, padding, dilation in axes:
            if padding == 0 or dilation == 1:
                continue
            conditions.append(
                Condition(
                    "at_least",
                    size,
                    ceil_div(padding, dilation) * dilation - padding + 1,
                    f"{self.name()}: the {axis}, padding left out,",
                    f"else a window with dilation {dilation} meets the padding alone; less "
                    "dilation, or fewer strides before it",
                )
            )
        return conditions

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = same_padded(tape, self, inputs[0])
        return largest(tape, x, indices=self.spatial != 1 or tape.cuda or tape.learns(x))

    def build(self, nn: Any, *shapes: Shape) -> Any:
        tf_same = self.padding == "tf_same"
        return getattr(nn, f"{self.name()}{'Same' if tf_same else ''}")(
            self.kernel_size,
            self.step,
            0 if tf_same else self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
        )


def _refuse_indices(op: Op) -> None:
    if op.given()["return_indices"]:
        raise LayerError(
            "return_indices makes a second output, and a layer has one",
            "leave return_indices away",
            argument="return_indices",
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window along one axis.

    N×C×L → N×C×((L − F + 2P)/S + 1), F = dilation·(kernel_size − 1) + 1.
    A window that meets the padding alone, of which PyTorch gives −∞, is refused.
    Source: torch/nn/modules/pooling.py.
    """

    spatial = 1


class MaxPool2d(_MaxPool):
    """The largest value of each window over height and width.

    N×C×H×W → N×C×((H − F + 2P)/S + 1)×…, F = dilation·(kernel_size − 1) + 1.
    A window that meets the padding alone, of which PyTorch gives −∞, is refused.
    Source: torch/nn/modules/pooling.py.
    """

    spatial = 2


class MaxPool3d(_MaxPool):
    """The largest value of each window over depth, height and width.

    N×C×D×H×W → N×C×((D − F + 2P)/S + 1)×…, F = dilation·(kernel_size − 1) + 1.
    A window that meets the padding alone, of which PyTorch gives −∞, is refused.
    Source: torch/nn/modules/pooling.py.
    """

    spatial = 3


def average(tape: Tape, x: Stored, shape: Shape) -> Stored:
    """An average pool: backward needs what went in."""
    if len(shape) == 5:
        return tape.kernel(shape, x, saves=[x], contiguous=True)
    return pooled(tape, x, shape, [x])


class _AvgPool(_Pool):
    """What the three average pools share."""

    padding = sizes(
        0,
        words=("tf_same",),
        doc="zeros on each side, at most half the kernel; `tf_same` gives ⌈W/S⌉, and its padding "
        "does not count in the average, as in TensorFlow",
    )
    ceil_mode = flag(False, doc="round the output's size up, not down")
    count_include_pad = flag(True, doc="padding counts in the average")

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.padding != "tf_same":
            return average(tape, x, tape.output)
        # The sum of each window is divided by how many of its places lie inside.
        inside = tape.new((1, 1, *x.shape[2:]), "places inside")
        pooled = self._padded_average(tape, x, tape.output)
        counts = self._padded_average(tape, inside, (1, 1, *tape.output[2:]))
        return tape.divide(pooled, counts)

    def _padded_average(self, tape: Tape, x: Stored, shape: Shape) -> Stored:
        padded = same_padded(tape, self, x)
        out = average(tape, padded, shape)
        if padded is not x:
            tape.drop(padded)
        return out

    def build(self, nn: Any, *shapes: Shape) -> Any:
        tf_same = self.padding == "tf_same"
        return getattr(nn, f"{self.name()}{'Same' if tf_same else ''}")(
            self.kernel_size,
            self.step,
            0 if tf_same else self.padding,
            self.ceil_mode,
            self.count_include_pad,
            **self._divisor(),
        )

    def _divisor(self) -> dict[str, int]:
        return {}


class _DividedAvgPool(_AvgPool):
    """What the average pools over two and three axes share."""

    divisor_override = count(None, doc="divide by this, not by the window's size")

    def prepare(self) -> None:
        super().prepare()
        if self.divisor_override is not None and self.padding == "tf_same":
            raise LayerError(
                "padding=tf_same divides by what lies inside; divisor_override has no place there",
                "leave divisor_override away",
                argument="divisor_override",
            )

    def _divisor(self) -> dict[str, int]:
        divisor = self.divisor_override
        return {} if divisor is None else {"divisor_override": divisor}


class AvgPool1d(_AvgPool):
    """The average of each window along one axis. N×C×L → N×C×((L − F + 2P)/S + 1).

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 1


class AvgPool2d(_DividedAvgPool):
    """The average of each window over height and width.

    N×C×H×W → N×C×((H − F + 2P)/S + 1)×…. A divisor_override below 1, which PyTorch takes, is
    refused. Source: torch/nn/modules/pooling.py.
    """

    spatial = 2


class AvgPool3d(_DividedAvgPool):
    """The average of each window over depth, height and width.

    N×C×D×H×W → N×C×((D − F + 2P)/S + 1)×…. A divisor_override below 1, which PyTorch takes, is
    refused. Source: torch/nn/modules/pooling.py.
    """

    spatial = 3

    def conditions(self, *shapes: Shape) -> list[Condition]:
        within = [] if self.padding == "tf_same" else kernel_within(self, shapes[0])
        return [*super().conditions(*shapes), *within]


def kernel_within(op: _Pool, shape: Shape) -> list[Condition]:
    """The kernel fits into the input itself: averages over three axes do not count the padding.

    Source: aten/src/ATen/native/Pool.h, pool3d_shape_check with check_input_size.
    """
    return [
        Condition(
            "at_least",
            size,
            kernel,
            f"{op.name()}: the {axis}, padding left out",
            "PyTorch refuses a kernel larger than the input here; a smaller one is needed",
        )
        for axis, size, kernel in zip(AXES[3], shape[2:], op.kernel_size, strict=True)
    ]


class _LPPool(_Pool):
    """What the three power-average pools share: (Σ xᵖ)^(1/p) of each window, p = norm_type."""

    norm_type = real(doc="p; 1 gives the sum")
    kernel_size = sizes(minimum=1)
    stride = sizes(None, minimum=1, doc="kernel_size where not given")
    ceil_mode = flag(False, doc="round the output's size up, not down")

    def prepare(self) -> None:
        super().prepare()
        if self.norm_type == 0:
            raise LayerError("norm_type must not be 0", argument="norm_type")

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """torch/nn/functional.py, lp_pool2d: (sign(y) · relu(|y|) · places)^(1/p), y = pool(xᵖ)."""
        powers = tape.power(inputs[0])
        pooled = average(tape, powers, tape.output)
        tape.drop(powers)
        sign = tape.scaled(pooled)
        size = tape.absolute(pooled)
        positive = tape.pointwise(size, saves=[OUTPUT])
        tape.drop(size)
        signed = tape.multiply(sign, positive)
        tape.drop(sign, positive)
        total = tape.scaled(signed)
        tape.drop(signed)
        return tape.power(total)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(
            self.norm_type, self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool1d(_LPPool):
    """The p-norm of each window along one axis. N×C×L → N×C×((L − kernel_size)/S + 1).

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 1

    def build(self, nn: Any, *shapes: Shape) -> Any:
        # torch.nn's class multiplies by kernel_size: it takes no tuple of one number
        stride = self.stride and self.stride[0]
        return nn.LPPool1d(self.norm_type, self.kernel_size[0], stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norm of each window over height and width. N×C×H×W → N×C×((H − kernel_size)/S + 1)×….

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 2


class LPPool3d(_LPPool):
    """The p-norm of each window over depth, height and width.

    N×C×D×H×W → N×C×((D − kernel_size)/S + 1)×…. Source: torch/nn/modules/pooling.py.
    """

    spatial = 3

    def conditions(self, *shapes: Shape) -> list[Condition]:
        # it is made of an average pool
        return [*super().conditions(*shapes), *kernel_within(self, shapes[0])]


def adaptive_average(tape: Tape, x: Stored) -> Stored:
    """To a single value by the mean, whose backward needs nothing; else as an average pool."""
    if all(isinstance(size, int) and size == 1 for size in tape.output[2:]):
        mean = tape.mean(x, tape.output)
        mean.strides = tape.suggested(x, tape.output)
        return tape.reshape(mean, mean.shape) if len(mean.shape) == 3 else mean
    return average(tape, x, tape.output)


class _AdaptivePool(Op):
    """What pools to a fixed size share. Output i reads the rows ⌊i·W/o⌋ … ⌈(i + 1)·W/o⌉ − 1."""

    layout = "channels"

    output_size = sizes(
        minimum=1, holes=True, doc="what comes out, whatever flows in; 1: a global pool"
    )

    def prepare(self) -> None:
        if self.spatial == 1 and self.output_size == (None,):
            raise LayerError(
                "output_size none keeps the only axis: this pool does nothing",
                "write a number",
                argument="output_size",
            )

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        return (
            n,
            channels,
            *(
                size if wanted is None else wanted
                for size, wanted in zip(spatial, self.output_size, strict=True)
            ),
        )

    def windows(self, *shapes: Shape) -> list[Window]:
        return [
            Window(1) if wanted is None else adaptive_window(size, wanted)
            for size, wanted in zip(shapes[0][2:], self.output_size, strict=True)
        ]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return adaptive_average(tape, inputs[0])

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        for axis, wanted in enumerate(self.output_size, 2):
            if wanted is not None:
                told.size(axis, "{output_size}", {"output_size": wanted}, "whatever flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.output_size)


def adaptive_window(size: Size, wanted: Size) -> Window:
    """How an adaptive pool from `size` rows to `wanted` reads them, even or not.

    With row r put at r·o, output i reads what lies in i·W − (o − 1) … (i + 1)·W − 1: the rows from
    ⌊i·W/o⌋ to ⌈(i + 1)·W/o⌉ − 1. Source: aten/src/ATen/native/AdaptivePooling.h.
    """
    if isinstance(wanted, int) and wanted == 1:
        return GLOBAL
    size, wanted = reduced(size, wanted)
    return Window(size + wanted - 1, size, wanted - 1, wanted - 1, upsample=wanted)


def reduced(size: Size, wanted: Size) -> tuple[Size, Size]:
    """The ratio of two sizes in lowest terms, where both are numbers."""
    if isinstance(size, int) and isinstance(wanted, int):
        common = gcd(size, wanted)
        return size // common, wanted // common
    return size, wanted


class AdaptiveAvgPool1d(_AdaptivePool):
    """Averages to a fixed size; 1 is the global average. N×C×L → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 1


class AdaptiveAvgPool2d(_AdaptivePool):
    """Averages to a fixed size; 1 is the global average. N×C×H×W → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 2


class AdaptiveAvgPool3d(_AdaptivePool):
    """Averages to a fixed size; 1 is the global average. N×C×D×H×W → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 3


class _AdaptiveMaxPool(_AdaptivePool):
    """What max pools to a fixed size share."""

    return_indices = flag(False, doc="no other value is taken: a layer has one output")

    def prepare(self) -> None:
        super().prepare()
        _refuse_indices(self)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.spatial != 3:
            return largest(tape, x)
        places = tape.new(tape.output, "indices", width=INT64)
        return tape.kernel(tape.output, x, saves=[x, places], contiguous=True)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima to a fixed size; 1 is the global maximum. N×C×L → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima to a fixed size; 1 is the global maximum. N×C×H×W → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima to a fixed size; 1 is the global maximum. N×C×D×H×W → N×C×output_size.

    Source: torch/nn/modules/pooling.py.
    """

    spatial = 3


class DepthMaxPool(Op):
    """The largest of each `kernel_size` neighbouring channels: depthwise max pooling.

    N×C×… → N×(C/kernel_size)×…. kernel_size divides the channels and is the stride, too.
    Source: Géron, Hands-On Machine Learning, 2nd ed., chapter 14; tf.nn.max_pool over the channels.
    """

    layout = "channels"

    kernel_size = count(doc="how many channels make one")

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) < 3:
            raise rank_error(self, shapes[0], (1, 2, 3))

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        return (n, channels // self.kernel_size, *spatial)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [
            Condition("divisible", shapes[0][1], self.kernel_size, f"{self.name()}: the channels")
        ]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        n, channels, *spatial = x.shape
        k = self.kernel_size
        groups = tape.reshape(x, (n, channels // k, k, *spatial))
        places = tape.new(tape.output, "indices", width=INT64)
        return tape.kernel(tape.output, groups, saves=[places], contiguous=True)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{C}/{F}", {"F": self.kernel_size})

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.DepthMaxPool(self.kernel_size)
