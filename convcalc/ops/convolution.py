"""Convolutions and transposed convolutions, in one, two and three dimensions."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import ceil_div, maximum, product
from convcalc.ops import strides as lay
from convcalc.ops.arguments import choice, count, flag, sizes
from convcalc.ops.base import AXES, Condition, Op, Tensor, Window, as_asserted
from convcalc.ops.memory import Stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from convcalc.integers import Size
    from convcalc.ops.base import Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Tape


class ReachCondition(Condition):
    """The padded input must be as large as the kernel's reach.

    Few conditions are ever told, and to print formulas takes longer than all else about a layer:
    its words are made when they are asked for.
    """

    __slots__ = ("_axis", "_op", "_size", "_window")

    def __init__(self, op: Op, axis: str, size: Size, window: Window) -> None:
        self.kind = "at_least"
        self.left = size + (window.before + window.after)
        self.right = window.reach
        self._op = op
        self._axis = axis
        self._size = size
        self._window = window

    @property
    def what(self) -> str:
        size, window = self._size, self._window
        rows = f"{size} + {window.before} + {window.after}"
        return f"{self._op.name()}: the padded {self._axis} ({rows})"

    @property
    def help(self) -> str:
        return (
            f"the kernel reaches over {self.right}: a smaller kernel, more padding, "
            "or fewer strides before it"
        )


def window_conditions(op: Op, shape: Shape, windows: Sequence[Window]) -> list[Condition]:
    """The padded input must be as large as the kernel's reach, on every axis."""
    axes = zip(AXES[len(windows)], shape[2:], windows, strict=True)
    return [ReachCondition(op, axis, size, window) for axis, size, window in axes]


def window_output(size: Size, window: Window) -> Size:
    """(W − F + 2P)/S + 1, rounded down; F the kernel's reach. Valid where W + 2P ≥ F."""
    if isinstance(window.stride, int) and window.stride == 1:
        return size + (window.before + window.after - window.reach + 1)
    return (size + (window.before + window.after - window.reach)) // window.stride + 1


def tf_same_padding(size: Size, reach: Size, stride: Size) -> tuple[Size, Size]:
    """Padding of TensorFlow's "SAME": the output is ⌈W/S⌉, an odd row goes to the end.

    Source: tensorflow/core/framework/kernel_shape_util.cc, GetWindowedOutputSizeVerbose.
    """
    total = maximum((ceil_div(size, stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def fixed_windows(op: Op, strides: Sequence[Size]) -> tuple[Window, ...]:
    """The windows of a convolution or pool as far as its arguments tell them, made once: they are
    asked for several times a layer. Of `padding=tf_same` the padding is left out."""
    windows = []
    arguments: Any = op
    padding = arguments.padding
    axes = zip(arguments.kernel_size, strides, arguments.dilation, strict=True)
    for axis, (kernel, stride, dilation) in enumerate(axes):
        before: Size = 0
        after: Size = 0
        if padding == "same":
            # torch/nn/modules/conv.py, _ConvNd: the odd row goes to the end
            total = dilation * (kernel - 1)
            before, after = total // 2, total - total // 2
        elif not isinstance(padding, str):
            before = after = padding[axis]
        windows.append(Window(kernel, stride, before, after, dilation))
    return tuple(windows)


def tf_same_windows(spatial: Sequence[Size], windows: Sequence[Window]) -> list[Window]:
    """The same windows with the padding that these sizes need."""
    return [
        Window(w.kernel, w.stride, *tf_same_padding(size, w.reach, w.stride), w.dilation)
        for size, w in zip(spatial, windows, strict=True)
    ]


def explain_tf_same(told: Explanation, strides: Sequence[Size]) -> None:
    """⌈H/S⌉ along each axis."""
    names, values = told.each("S", strides)
    for axis, (name, letter) in enumerate(zip(names, told.letters, strict=True), 2):
        told.size(axis, f"⌈{{{letter}}}/{{{name}}}⌉", values)


def padded_shape(shape: Shape, before: Sequence[Size], after: Sequence[Size]) -> Shape:
    """N×C×… with so many rows more on the sides of each axis."""
    spatial = [n + b + a for n, b, a in zip(shape[2:], before, after, strict=True)]
    return (*shape[:2], *spatial)


def reflected(tape: Tape, x: Stored, shape: Shape) -> Stored:
    """x with rows of its own around it: its values repeated outwards, or reflected.

    Source: aten/src/ATen/native/ReflectionPad.cpp, ReplicationPadding.cpp.
    """
    strides = tape.suggested(x, shape)
    return tape.kernel(shape, x, saves=[x], strides=strides, maps=True, name="padded input")


def convolved(tape: Tape, x: Stored, storage: Size | None = None, *, plain: bool = False) -> Stored:
    """A convolution, transposed or not, of what lies as it is passed to the kernel.

    storage: bytes of the output's storage, where it is larger than it needs. plain: it knows no
    channels last.
    """
    last = lay.is_channels_last(x.shape, x.strides) and not plain
    weight, *bias = tape.weights
    if last:  # then the weight's gradient has its channels last, too
        lies = lay.channels_last(weight.shape)
        weight = Stored(weight.shape, weight.store, weight.width, lies, weight.node)
    return tape.kernel(
        tape.output,
        x,
        weight,
        *bias,
        saves=[x],
        strides=lay.channels_last(tape.output) if last else None,
        contiguous=not last,  # x's gradient, too, however x lies
        maps=True,
        storage=storage,
    )


def _large(kernel_size: Sequence[Size]) -> bool:
    """Whether the last two axes of a kernel are large in the eyes of PyTorch."""
    return all(lay.number(size) > 3 for size in kernel_size[-2:])


class _Grouped(Op):
    """What convolutions and transposed ones share: groups divide the channels on both sides."""

    layout = "channels"
    positional = 4
    inferred = "in_channels"

    out_channels: Any
    groups: Any

    def prepare(self) -> None:
        out, groups = self.out_channels, self.groups
        if isinstance(out, int) and isinstance(groups, int) and out % groups:
            raise LayerError(
                f"{out} out_channels do not divide into {groups} groups",
                argument="groups",
            )

    def _channels(self, shape: Shape) -> list[Condition]:
        """The conditions on the channels that flow in."""
        conditions = as_asserted(self, shape[1])
        if self.groups == 1:
            return conditions
        what = f"{self.name()}: the input channels"
        return [Condition("divisible", shape[1], self.groups, what), *conditions]


class _Convolution(_Grouped):
    """What the three convolutions share."""

    out_channels = count(doc="number of kernels, the maps that come out")
    kernel_size = sizes(minimum=1)
    stride = sizes(1, minimum=1)
    padding = sizes(
        0,
        words=("same", "valid", "tf_same"),
        doc="zeros on each side; `same` keeps the size (stride 1 only), `valid` is 0, "
        "`tf_same` gives ⌈W/S⌉ with the odd row at the end, as TensorFlow does",
    )
    dilation = sizes(1, minimum=1)
    groups = count(1, doc="divides the channels on both sides")
    bias = flag(True)
    padding_mode = choice("zeros", "reflect", "replicate", "circular", default="zeros")

    def prepare(self) -> None:
        if self.padding == "same" and any(s != 1 for s in self.stride):
            raise LayerError(
                f"padding=same needs stride 1, as in PyTorch; the stride here is {self.stride[0]}",
                "write the padding as a number, or padding=tf_same for TensorFlow's rule",
                argument="padding",
            )
        if self.padding == "tf_same" and self.padding_mode != "zeros":
            raise LayerError(
                "padding=tf_same pads with zeros only",
                "leave padding_mode away",
                argument="padding_mode",
            )
        super().prepare()
        self._windows = fixed_windows(self, self.stride)

    def output(self, *shapes: Shape) -> Shape:
        n, _, *spatial = shapes[0]
        if self.padding == "tf_same":
            return (n, self.out_channels, *map(ceil_div, spatial, self.stride))
        windows = self.windows(*shapes)
        return (n, self.out_channels, *map(window_output, spatial, windows))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape = shapes[0]
        conditions = window_conditions(self, shape, self.windows(*shapes))
        conditions += self._channels(shape)
        if self.padding_mode in ("reflect", "circular"):
            conditions += self._padding_within(shape)
        return conditions

    def _padding_within(self, shape: Shape) -> list[Condition]:
        """Reflection needs padding < size, circular padding ≤ size (ATen, ReflectionPad.cpp and
        PadNd.cpp)."""
        spare = 1 if self.padding_mode == "reflect" else 0
        return [
            Condition(
                "at_least",
                size,
                maximum(window.before, window.after) + spare,
                f"{self.name()}: the {axis} under padding_mode={self.padding_mode}",
            )
            for axis, size, window in zip(
                AXES[len(shape) - 2], shape[2:], self.windows(shape), strict=True
            )
        ]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        kernel = Tensor(
            "weight", (self.out_channels, shapes[0][1] // self.groups, *self.kernel_size)
        )
        return [kernel, Tensor("bias", (self.out_channels,))] if self.bias else [kernel]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        """Each output position multiplies one kernel: N · outputs · (C/groups) · ∏ kernel."""
        per_place: Size = shapes[0][1] // self.groups * product(self.kernel_size)
        return product((*output, per_place))

    def windows(self, *shapes: Shape) -> Sequence[Window]:
        if self.padding == "tf_same":
            return tf_same_windows(shapes[0][2:], self._windows)
        return self._windows

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = self._padded(tape, inputs[0])
        plain = self.spatial == 3 and not tape.cuda and not self._by_onednn(tape.width, x.shape)
        return convolved(tape, x, plain=plain)

    def _by_onednn(self, width: int, shape: Shape) -> bool:
        """Whether oneDNN convolves volumes, on more than one thread.

        Source: aten/src/ATen/native/Convolution.cpp, use_mkldnn.
        """
        if width != 4:
            return width == 2
        n, *sizes = map(lay.number, shape[:4])
        many = n > 1 or product(sizes) > 20480
        return many or lay.number(self.groups) > 1 or _large(self.kernel_size)

    def _padded(self, tape: Tape, x: Stored) -> Stored:
        """What is convolved: x itself, or a padded copy where the kernel cannot pad so."""
        if self.padding_mode == "zeros" and self.padding not in ("same", "tf_same"):
            return x
        windows = self.windows(x.shape)
        before = [window.before for window in windows]
        after = [window.after for window in windows]
        if self.padding_mode == "circular":
            return tape.wrapped(x, before, after)
        if self.padding == "same" and self.padding_mode == "zeros":
            # aten/src/ATen/native/Convolution.cpp, _convolution_same: what is more on one side
            after = [b - a for a, b in zip(before, after, strict=True)]
            before = [0] * len(windows)
        shape = padded_shape(x.shape, before, after)
        if self.padding_mode != "zeros":
            return reflected(tape, x, shape)
        return x if shape == x.shape else tape.padded(x, shape)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{K}", note="one map for each kernel")
        if self.padding == "tf_same":
            explain_tf_same(told, self.stride)
        else:
            told.windows(self.windows(*shapes))
        kernel, values = told.kernel(self.kernel_size)
        values["G"] = self.groups
        one_group = isinstance(self.groups, int) and self.groups == 1
        weight = f"{kernel}·{{C}}" if one_group else f"{kernel}·({{C}}/{{G}})"
        told.params(f"{weight}·{{K}} + {{K}}" if self.bias else f"{weight}·{{K}}", values)
        told.macs(f"{told.outputs()}·{{K}}·{weight}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        tf_same = self.padding == "tf_same"
        return getattr(nn, f"{self.name()}{'Same' if tf_same else ''}")(
            shapes[0][1],
            self.out_channels,
            self.kernel_size,
            self.stride,
            0 if tf_same else self.padding,
            self.dilation,
            self.groups,
            self.bias,
            self.padding_mode,
        )


class Conv1d(_Convolution):
    """Convolution (cross-correlation) along one axis.

    N×C×L → N×out_channels×((L − F + 2P)/S + 1), F = dilation·(kernel_size − 1) + 1.
    Source: torch/nn/modules/conv.py.
    """

    spatial = 1


class Conv2d(_Convolution):
    """Convolution (cross-correlation) over height and width.

    N×C×H×W → N×out_channels×((H − F + 2P)/S + 1)×((W − F + 2P)/S + 1),
    F = dilation·(kernel_size − 1) + 1.
    Source: torch/nn/modules/conv.py.
    """

    spatial = 2


class Conv3d(_Convolution):
    """Convolution (cross-correlation) over depth, height and width.

    N×C×D×H×W → N×out_channels×…, (D − F + 2P)/S + 1 along each axis,
    F = dilation·(kernel_size − 1) + 1.
    Source: torch/nn/modules/conv.py.
    """

    spatial = 3


class _TransposedConvolution(_Grouped):
    """What the three transposed convolutions share."""

    out_channels = count(doc="the maps that come out")
    kernel_size = sizes(minimum=1)
    stride = sizes(1, minimum=1)
    padding = sizes(0, doc="rows taken off each side of the output")
    output_padding = sizes(0, doc="rows added at the end; smaller than stride or dilation")
    groups = count(1, doc="divides the channels on both sides")
    bias = flag(True)
    dilation = sizes(1, minimum=1)

    def prepare(self) -> None:
        for extra, stride, dilation in zip(
            self.output_padding, self.stride, self.dilation, strict=True
        ):
            values = (extra, stride, dilation)
            if all(isinstance(v, int) for v in values) and extra >= max(stride, dilation):
                raise LayerError(
                    f"output_padding {extra} must be smaller than stride {stride} "
                    f"or dilation {dilation}",
                    argument="output_padding",
                )
        super().prepare()

    def output(self, *shapes: Shape) -> Shape:
        """(W − 1)·S − 2P + dilation·(F − 1) + output_padding + 1 along each axis."""
        n, _, *spatial = shapes[0]
        sizes_out = [
            (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
            for size, kernel, stride, padding, extra, dilation in zip(
                spatial,
                self.kernel_size,
                self.stride,
                self.padding,
                self.output_padding,
                self.dilation,
                strict=True,
            )
        ]
        return (n, self.out_channels, *sizes_out)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape = shapes[0]
        conditions = [
            Condition(
                "at_least", size, 1, f"{self.name()}: the output {axis}", "less padding is needed"
            )
            for size, axis in zip(self.output(*shapes)[2:], AXES[len(shape) - 2], strict=True)
        ]
        return conditions + self._channels(shape)

    def weights(self, *shapes: Shape) -> list[Tensor]:
        kernel = Tensor(
            "weight", (shapes[0][1], self.out_channels // self.groups, *self.kernel_size)
        )
        return [kernel, Tensor("bias", (self.out_channels,))] if self.bias else [kernel]

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        """Each input position multiplies one kernel: N · inputs · (out/groups) · ∏ kernel."""
        n, channels, *spatial = shapes[0]
        per_place: Size = self.out_channels // self.groups * product(self.kernel_size)
        return n * channels * product(spatial) * per_place

    def windows(self, *shapes: Shape) -> list[Window]:
        """A convolution of stride 1 over the input spread `stride` apart, padded by F − 1 − P."""
        windows = []
        for kernel, stride, padding, extra, dilation in zip(
            self.kernel_size,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            strict=True,
        ):
            rim = dilation * (kernel - 1) - padding
            windows.append(Window(kernel, 1, rim, rim + extra, dilation, upsample=stride))
        return windows

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return convolved(tape, inputs[0])

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(1, "{K}", note="one map for each kernel")
        axes = [
            told.each(*pair)
            for pair in (
                ("F", self.kernel_size),
                ("S", self.stride),
                ("P", self.padding),
                ("d", self.dilation),
                ("o", self.output_padding),
            )
        ]
        values = {name: value for _, known in axes for name, value in known.items()}
        for axis, letter in enumerate(told.letters):
            f, s, p, d, o = (names[axis] for names, _ in axes)
            form = f"({{{letter}}} − 1)·{{{s}}} − 2·{{{p}}} + {{{d}}}·({{{f}}} − 1) + {{{o}}} + 1"
            told.size(axis + 2, form, values)
        kernel, known = told.kernel(self.kernel_size)
        values |= {**known, "G": self.groups}
        one_group = isinstance(self.groups, int) and self.groups == 1
        weight = f"{kernel}·{{K}}" if one_group else f"{kernel}·({{K}}/{{G}})"
        told.params(f"{weight}·{{C}} + {{K}}" if self.bias else f"{weight}·{{C}}", values)
        inputs = "·".join(f"{{{letter}}}" for letter in told.letters)
        note = "each place that flows in multiplies one kernel"
        told.macs(f"{inputs}·{{C}}·{weight}", values, note)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(
            shapes[0][1],
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.bias,
            self.dilation,
        )


class ConvTranspose1d(_TransposedConvolution):
    """Transposed ("fractionally strided") convolution along one axis.

    N×C×L → N×out_channels×((L − 1)·S − 2P + dilation·(kernel_size − 1) + output_padding + 1).
    Source: torch/nn/modules/conv.py.
    """

    spatial = 1


class ConvTranspose2d(_TransposedConvolution):
    """Transposed ("fractionally strided") convolution over height and width.

    N×C×H×W → N×out_channels×…, (H − 1)·S − 2P + dilation·(kernel_size − 1) + output_padding + 1
    along each axis. Source: torch/nn/modules/conv.py.
    """

    spatial = 2


class ConvTranspose3d(_TransposedConvolution):
    """Transposed ("fractionally strided") convolution over depth, height and width.

    N×C×D×H×W → N×out_channels×…, (D − 1)·S − 2P + dilation·(kernel_size − 1) + output_padding + 1
    along each axis. Source: torch/nn/modules/conv.py.
    """

    spatial = 3
    uncertain = (
        "runs with oneDNN or without, by the processor, the dtype and the number of threads, and "
        "allocates differently"
    )

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """Without oneDNN the output begins as a tensor like the input, and only its shape changes.

        Source: aten/src/ATen/native/NaiveConvolutionTranspose3d.cpp; Convolution.cpp, use_mkldnn.
        """
        x = inputs[0]
        storage = None
        # Where there are groups, the output of each is copied into its place.
        plain = not tape.cuda and not self._by_onednn(tape.width, x)
        if lay.number(self.groups) == 1 and plain:
            storage = maximum(x.bytes, product(tape.output) * tape.width)
        return convolved(tape, x, storage, plain=plain)

    def _by_onednn(self, width: int, x: Stored) -> bool:
        """Float32 with much to do, and bfloat16; with more than one thread also 1×1×1 kernels."""
        sides = zip(self.output_padding, self.stride, strict=True)
        if width == 8 or any(lay.number(extra) >= lay.number(step) for extra, step in sides):
            return False
        n, channels, depth, height, _ = map(lay.number, x.shape)
        large = n > 1 or channels * depth * height > 20480
        return width == 2 or large or _large(self.kernel_size)
