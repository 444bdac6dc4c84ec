"""Shape: flattening, padding, cropping, resizing, and moves between channels and places."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import Size, maximum, minimum, product
from convcalc.ops.arguments import (
    axis,
    choice,
    count,
    flag,
    lengths,
    like,
    real,
    scale,
    show,
    sizes,
)
from convcalc.ops.base import (
    AXES,
    GLOBAL,
    Condition,
    Op,
    Window,
    at_least_one,
    rank_error,
    rank_name,
)
from convcalc.ops.convolution import reflected, window_conditions, window_output
from convcalc.ops.joins import axis_name, resolve_axis
from convcalc.ops.memory import Block
from convcalc.ops.pooling import adaptive_average, adaptive_window, reduced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape


# ---------------------------------------------------------------------------- flattening


class Flatten(Op):
    """The axes from start_dim to end_dim as one: N×C×H×W → N×(C·H·W).

    PyTorch can flatten the batch in as well; here that is refused.
    Source: torch/nn/modules/flatten.py.
    """

    places = "folded"

    start_dim = axis(1)
    end_dim = axis(-1)

    def _ends(self, rank: int) -> tuple[int, int]:
        return resolve_axis(self, "start_dim", rank), resolve_axis(self, "end_dim", rank)

    def check(self, *shapes: Shape) -> None:
        start, end = self._ends(len(shapes[0]))
        if start > end:
            raise LayerError(
                f"start_dim {self.start_dim} comes after end_dim {self.end_dim} "
                f"for a value of {len(shapes[0])} axes",
                argument="start_dim",
            )

    def output(self, *shapes: Shape) -> Shape:
        shape = shapes[0]
        start, end = self._ends(len(shape))
        return (*shape[:start], product(shape[start : end + 1]), *shape[end + 1 :])

    def output_layout(self, *layouts: Layout) -> Layout:
        # Tokens have three axes; flattened, they are N×F, for which both layouts mean the same.
        if layouts[0] == "tokens" and self._ends(3) == (1, 2):
            return "channels"
        return layouts[0]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.reshape(inputs[0], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        start, end = self._ends(len(shapes[0]))
        told.size(start, "·".join(f"{{{name}}}" for name in told.axes[start - 1 : end]))
        for number in range(start + 1, len(output)):
            told.size(number, f"{{{told.axes[number + end - start - 1]}}}", note="as it flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Flatten(self.start_dim, self.end_dim)


class Unflatten(Op):
    """One axis as several: N×F → N×C×H×W with Unflatten(1, [C, H, W]); one of them may be -1.

    Source: torch/nn/modules/flatten.py.
    """

    layout = "channels"
    places = "lost"

    dim = axis(doc="the axis that is divided")
    unflattened_size = lengths(rest=True, doc="its new sizes")

    def check(self, *shapes: Shape) -> None:
        resolve_axis(self, "dim", len(shapes[0]))

    def _known(self) -> Size:
        """The product of the sizes that are given."""
        return product(s for s in self.unflattened_size if not self._is_rest(s))

    @staticmethod
    def _is_rest(size: Size) -> bool:
        return isinstance(size, int) and size == -1

    def output(self, *shapes: Shape) -> Shape:
        shape = shapes[0]
        at = resolve_axis(self, "dim", len(shape))
        rest = shape[at] // self._known()
        divided = [rest if self._is_rest(s) else s for s in self.unflattened_size]
        return (*shape[:at], *divided, *shape[at + 1 :])

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape = shapes[0]
        at = resolve_axis(self, "dim", len(shape))
        rest = any(map(self._is_rest, self.unflattened_size))
        what = f"Unflatten: the {axis_name(at, len(shape))}"
        if not rest:
            what += f" and the product of {show(self.unflattened_size)}"
        return [Condition("divisible" if rest else "equal", shape[at], self._known(), what)]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.reshape(inputs[0], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        at = resolve_axis(self, "dim", len(shapes[0]))
        count = len(self.unflattened_size)
        for number, size in enumerate(self.unflattened_size):
            if self._is_rest(size):
                others = tuple(s for s in self.unflattened_size if not self._is_rest(s))
                form = f"{{{told.axes[at - 1]}}}"
                form += "/({others})" if others else ""
                told.size(at + number, form, {"others": others})
            else:
                told.size(at + number, "{unflattened_size}", {"unflattened_size": size})
        for number in range(at + count, len(output)):
            told.size(number, f"{{{told.axes[number - count]}}}", note="as it flows in")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Unflatten(self.dim, self.unflattened_size)


# ---------------------------------------------------------------------------- padding


class _Pad(Op):
    """What the padding layers share.

    padding: one number for all sides, or the two sides of each axis, the last axis first (left,
    right, top, bottom), as in PyTorch. A negative number crops.
    """

    layout = "channels"

    padding = sizes(
        minimum=None, sides=2, doc="all sides, or left, right, top, bottom, …; negative crops"
    )

    def windows(self, *shapes: Shape) -> list[Window]:
        pairs = list(zip(self.padding[::2], self.padding[1::2], strict=True))
        return [Window(1, 1, before, after) for before, after in reversed(pairs)]

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        return (n, channels, *map(window_output, spatial, self.windows(*shapes)))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return at_least_one(self.output(*shapes), self.name())

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.padded(
            inputs[0],
            tape.output,
            grows=not all(isinstance(p, int) and p <= 0 for p in self.padding),
            crops=any(isinstance(p, int) and p < 0 for p in self.padding),
        )

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        for number, (letter, window) in enumerate(
            zip(told.letters, self.windows(*shapes), strict=True), 2
        ):
            values = {"before": window.before, "after": window.after}
            told.size(number, f"{{{letter}}} + {{before}} + {{after}}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.padding)


class _CroppedPad(_Pad):
    """What the paddings share that crop first, and then pad what is left."""

    def left(self, shape: Shape) -> list[Size]:
        """The rows that a crop leaves."""
        return [
            size + minimum(window.before, 0) + minimum(window.after, 0)
            for size, window in zip(shape[2:], self.windows(shape), strict=True)
        ]

    def conditions(self, *shapes: Shape) -> list[Condition]:
        if all(isinstance(p, int) and p >= 0 for p in self.padding):
            return list(super().conditions(*shapes))
        cropped = [
            Condition("at_least", left, 1, f"{self.name()}: what the crop leaves of the {axis}")
            for axis, left in zip(AXES[self.spatial or 1], self.left(shapes[0]), strict=True)
        ]
        return [*super().conditions(*shapes), *cropped]


class ZeroPad1d(_CroppedPad):
    """Zeros around N×C×L. Source: torch/nn/modules/padding.py."""

    spatial = 1


class ZeroPad2d(_CroppedPad):
    """Zeros around N×C×H×W. Source: torch/nn/modules/padding.py."""

    spatial = 2


class ZeroPad3d(_CroppedPad):
    """Zeros around N×C×D×H×W. Source: torch/nn/modules/padding.py."""

    spatial = 3


class _ConstantPad(_CroppedPad):
    """What the three paddings with a constant share."""

    value = real(doc="what the padding holds")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.padding, self.value)


class ConstantPad1d(_ConstantPad):
    """A constant around N×C×L. Source: torch/nn/modules/padding.py."""

    spatial = 1


class ConstantPad2d(_ConstantPad):
    """A constant around N×C×H×W. Source: torch/nn/modules/padding.py."""

    spatial = 2


class ConstantPad3d(_ConstantPad):
    """A constant around N×C×D×H×W. Source: torch/nn/modules/padding.py."""

    spatial = 3


class _ReflectionPad(_Pad):
    """What the three reflections share."""

    def conditions(self, *shapes: Shape) -> list[Condition]:
        # aten/src/ATen/native/ReflectionPad.cpp: the row at the edge is not repeated
        windows = self.windows(*shapes)
        inside = [
            Condition(
                "at_least",
                size,
                maximum(window.before, window.after) + 1,
                f"{self.name()}: the {axis}",
                "a reflection needs one row more than it pads",
            )
            for axis, size, window in zip(AXES[len(windows)], shapes[0][2:], windows, strict=True)
        ]
        return [*super().conditions(*shapes), *inside]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return reflected(tape, inputs[0], tape.output)


class ReflectionPad1d(_ReflectionPad):
    """N×C×L reflected at its edges. Source: torch/nn/modules/padding.py."""

    spatial = 1


class ReflectionPad2d(_ReflectionPad):
    """N×C×H×W reflected at its edges. Source: torch/nn/modules/padding.py."""

    spatial = 2


class ReflectionPad3d(_ReflectionPad):
    """N×C×D×H×W reflected at its edges. Source: torch/nn/modules/padding.py."""

    spatial = 3


class _ReplicationPad(_Pad):
    """What the three that repeat the outermost values share."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return reflected(tape, inputs[0], tape.output)


class ReplicationPad1d(_ReplicationPad):
    """The outermost values of N×C×L repeated outwards. Source: torch/nn/modules/padding.py."""

    spatial = 1


class ReplicationPad2d(_ReplicationPad):
    """The outermost values of N×C×H×W repeated outwards. Source: torch/nn/modules/padding.py."""

    spatial = 2


class ReplicationPad3d(_ReplicationPad):
    """The outermost values of N×C×D×H×W repeated outwards. Source: torch/nn/modules/padding.py."""

    spatial = 3


class _CircularPad(_CroppedPad):
    """What the three circular paddings share."""

    def conditions(self, *shapes: Shape) -> list[Condition]:
        # aten/src/ATen/native/PadNd.cpp, _pad_circular: once around at most, within what is left
        windows = self.windows(*shapes)
        inside = [
            Condition(
                "at_least",
                size,
                maximum(
                    window.before - minimum(window.after, 0),
                    window.after - minimum(window.before, 0),
                ),
                f"{self.name()}: the {axis}",
                "circular padding goes around once at most",
            )
            for axis, size, window in zip(AXES[len(windows)], shapes[0][2:], windows, strict=True)
        ]
        return [*super().conditions(*shapes), *inside]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        windows = self.windows(inputs[0].shape)
        before, after = [w.before for w in windows], [w.after for w in windows]
        return tape.wrapped(inputs[0], before, after)


class CircularPad1d(_CircularPad):
    """N×C×L continued from its other end. Source: torch/nn/modules/padding.py."""

    spatial = 1


class CircularPad2d(_CircularPad):
    """N×C×H×W continued from its other side. Source: torch/nn/modules/padding.py."""

    spatial = 2


class CircularPad3d(_CircularPad):
    """N×C×D×H×W continued from its other side. Source: torch/nn/modules/padding.py."""

    spatial = 3


def same_rank(op: Op, value: Shape, other: Shape) -> None:
    """What flows in has as many axes as `like`; raises LayerError."""
    if len(value) != len(other):
        raise LayerError(
            f"{op.name()}: what flows in is {rank_name(len(value) - 2)}, "
            f"but like is {rank_name(len(other) - 2)}",
            argument="like",
        )


class CenterCrop(Op):
    """The middle of N×C×…, as large as `like`: U-Net's crop of a skip connection.

    ⌊(H − h)/2⌋ rows are left out before it, the rest after. torchvision's center_crop rounds to
    even instead, and so starts a row later where H − h is 3, 7, 11, …; it also pads a value that is
    too small, which is refused here. Source: Ronneberger et al., MICCAI 2015.
    """

    layout = "channels"
    inputs = 2

    like = like(doc="the named output whose size is taken")

    def check(self, *shapes: Shape) -> None:
        if not 3 <= len(shapes[0]) <= 5:
            raise rank_error(self, shapes[0], (1, 2, 3))
        same_rank(self, *shapes)

    def output(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:2], *shapes[1][2:])

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape, wanted = shapes
        return [
            Condition("at_least", size, small, f"CenterCrop: the {axis}", "like must be smaller")
            for axis, size, small in zip(AXES[len(shape) - 2], shape[2:], wanted[2:], strict=True)
        ]

    def windows(self, *shapes: Shape) -> list[Window]:
        windows = []
        for size, wanted in zip(shapes[0][2:], shapes[1][2:], strict=True):
            before = (size - wanted) // 2
            windows.append(Window(1, 1, -before, before + wanted - size))
        return windows

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        for number in range(2, len(x.shape)):
            x = tape.narrow(x, number, tape.output[number])
        return x

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        for number, size in enumerate(shapes[1][2:], 2):
            told.size(number, "{that of like}", {"that of like": size})

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.CenterCrop()


# ---------------------------------------------------------------------------- channels and places


class PixelShuffle(Op):
    """r² channels become an r×r block of places: N×C×H×W → N×(C/r²)×(H·r)×(W·r).

    Source: Shi et al., CVPR 2016; torch/nn/modules/pixelshuffle.py.
    """

    layout = "channels"
    spatial = 2

    upscale_factor = count(doc="r; r² divides the channels")

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        r = self.upscale_factor
        return (n, channels // (r * r), *(size * r for size in spatial))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        r = self.upscale_factor
        return [Condition("divisible", shapes[0][1], r * r, "PixelShuffle: the channels")]

    def windows(self, *shapes: Shape) -> list[Window]:
        return [spread_window(self.upscale_factor)] * 2

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.resampled(inputs[0], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        values = {"r": self.upscale_factor}
        told.size(1, "{C}/({r}·{r})", values)
        for number, letter in enumerate(told.letters, 2):
            told.size(number, f"{{{letter}}}·{{r}}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.PixelShuffle(self.upscale_factor)


def spread_window(factor: Size) -> Window:
    """Each row r times over: output i reads row ⌊i/r⌋, the one true row of r spread ones."""
    return Window(factor, 1, factor - 1, factor - 1, upsample=factor)


class PixelUnshuffle(Op):
    """r×r blocks of places become r² channels: N×C×H×W → N×(C·r²)×(H/r)×(W/r).

    Source: torch/nn/modules/pixelshuffle.py.
    """

    layout = "channels"
    spatial = 2

    downscale_factor = count(doc="r; divides height and width")

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        r = self.downscale_factor
        return (n, channels * (r * r), *(size // r for size in spatial))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        r = self.downscale_factor
        return [
            Condition("divisible", size, r, f"PixelUnshuffle: the {axis}")
            for axis, size in zip(AXES[2], shapes[0][2:], strict=True)
        ]

    def windows(self, *shapes: Shape) -> list[Window]:
        return [Window(self.downscale_factor, self.downscale_factor)] * 2

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.resampled(inputs[0], tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        values = {"r": self.downscale_factor}
        told.size(1, "{C}·{r}·{r}", values)
        for number, letter in enumerate(told.letters, 2):
            told.size(number, f"{{{letter}}}/{{r}}", values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.PixelUnshuffle(self.downscale_factor)


class ChannelShuffle(Op):
    """The channels of each group dealt out over all groups; N×C×….

    Source: Zhang et al., CVPR 2018; torch/nn/modules/channelshuffle.py.
    """

    layout = "channels"

    groups = count(doc="divides the channels")

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) < 3:
            raise rank_error(self, shapes[0], (1, 2, 3))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [Condition("divisible", shapes[0][1], self.groups, "ChannelShuffle: the channels")]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.resampled(inputs[0], tape.output)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.ChannelShuffle(self.groups)


class Unfold(Op):
    """Every window as one column: N×C×H×W → N×(C·∏ kernel_size)×L, L the number of windows.

    Along each axis there are (H + 2P − F)/S + 1 of them, F = dilation·(kernel_size − 1) + 1.
    Source: torch/nn/modules/fold.py.
    """

    layout = "channels"
    spatial = 2
    places = "folded"

    kernel_size = sizes(minimum=1)
    dilation = sizes(1, minimum=1)
    padding = sizes(0, doc="zeros on each side")
    stride = sizes(1, minimum=1)

    def windows(self, *shapes: Shape) -> list[Window]:
        return [
            Window(kernel, stride, padding, padding, dilation)
            for kernel, stride, padding, dilation in zip(
                self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        ]

    def output(self, *shapes: Shape) -> Shape:
        n, channels, *spatial = shapes[0]
        places = map(window_output, spatial, self.windows(*shapes))
        return (n, channels * product(self.kernel_size), product(places))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return window_conditions(self, shapes[0], self.windows(*shapes))

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        # Both kernels make their output from an empty tensor like their input, and stretch it:
        # aten/src/ATen/native/Im2Col.cpp, Col2Im.cpp.
        larger = maximum(inputs[0].bytes, product(tape.output) * tape.width)
        return tape.kernel(tape.output, inputs[0], makes=[Block(larger)], storage=larger)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        kernel, values = told.kernel(self.kernel_size)
        told.size(1, f"{{C}}·{kernel}", values)
        forms = []
        for number in range(2):
            form, known = told.window(number, self.windows(*shapes))
            forms.append(f"({form})")
            values |= known
        told.size(2, "·".join(forms), values, "one column for each window")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Unfold(self.kernel_size, self.dilation, self.padding, self.stride)


# ---------------------------------------------------------------------------- resizing

#: The modes of Upsample: which spatial ranks they take, and how many rows to each side they weigh
#: (0: the nearest row alone).
_MODES = {
    "nearest": ((1, 2, 3), 0),
    "nearest_exact": ((1, 2, 3), 0),
    "area": ((1, 2, 3), 0),
    "linear": ((1,), 1),
    "bilinear": ((2,), 1),
    "trilinear": ((3,), 1),
    "bicubic": ((2,), 2),
}


class _Upsample(Op):
    """What the resizing layers share."""

    layout = "channels"

    size = lengths(None, single=True, doc="what comes out; size or scale_factor, not both")
    scale_factor = scale(None, doc="what comes out over what flows in; a ratio such as 3/2")

    #: What a layer does that has no such argument.
    mode: Any = "nearest"
    align_corners: Any = False
    like: Any = None

    def prepare(self) -> None:
        given = [n for n in ("size", "scale_factor", "like") if getattr(self, n) is not None]
        if len(given) != 1:
            names = "size, scale_factor or like" if self.takes_likes else "size or scale_factor"
            have = f"{' and '.join(given)} are given" if given else "none is given"
            raise LayerError(
                f"{self.name()} takes {names}; {have}",
                f"write {self.name()}(scale_factor=2)",
                argument=given[-1] if given else "size",
            )
        if self.like:
            self.inputs, self.likes = 2, 1
        if self.align_corners and not _MODES[self.mode][1]:
            raise LayerError(
                f"align_corners has no meaning with mode={self.mode}", argument="align_corners"
            )

    def check(self, *shapes: Shape) -> None:
        if self.like:
            same_rank(self, *shapes)
        axes = len(shapes[0]) - 2
        ranks = _MODES[self.mode][0]
        if axes not in ranks:
            error = rank_error(self, shapes[0], ranks)
            if ranks != (1, 2, 3) and axes in (1, 2, 3):
                error.help = f"write mode={('linear', 'bilinear', 'trilinear')[axes - 1]}"
            raise error
        for name in ("size", "scale_factor"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != axes:
                raise LayerError(
                    f"{name} has {len(value)} numbers, but {axes} are wanted here",
                    "give one number for all axes, or one for each",
                    argument=name,
                )

    def _sizes(self, *shapes: Shape) -> list[Size]:
        spatial = shapes[0][2:]
        if self.like:
            return list(shapes[1][2:])
        if self.size is not None:
            return list(_each(self.size, len(spatial)))
        return [
            size * factor.numerator // factor.denominator
            for size, factor in zip(spatial, _each(self.scale_factor, len(spatial)), strict=True)
        ]

    def output(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:2], *self._sizes(*shapes))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return at_least_one(self.output(*shapes), self.name())

    def windows(self, *shapes: Shape) -> list[Window]:
        spatial = shapes[0][2:]
        ratios = list(zip(spatial, self._sizes(*shapes), strict=True))
        if self.mode == "area":
            return [adaptive_window(size, wanted) for size, wanted in ratios]
        if self.align_corners:
            return [self._corner_window(size, wanted) for size, wanted in ratios]
        if self.scale_factor is not None:
            factors = _each(self.scale_factor, len(spatial))
            ratios = [(factor.denominator, factor.numerator) for factor in factors]
        return [self._window(*reduced(size, wanted)) for size, wanted in ratios]

    def _window(self, size: Size, wanted: Size) -> Window:
        """How `wanted` rows come of each `size`, when rows are spread far enough apart.

        nearest reads row ⌊i·W/o⌋, nearest_exact row ⌊(i + ½)·W/o⌋, the others all rows less than 1
        (linear) or 2 (cubic) from (i + ½)·W/o − ½. Source: aten/src/ATen/native/UpSample.h.
        """
        if self.mode == "nearest":
            return Window(wanted, size, wanted - 1, wanted - size, upsample=wanted)
        spread = 2 * wanted  # makes the halves whole
        if self.mode == "nearest_exact":
            return Window(spread, 2 * size, spread - 1 - size, spread - size, upsample=spread)
        far = _MODES[self.mode][1] * spread - 1
        rim = far - (size - wanted)
        return Window(2 * far + 1, 2 * size, rim, rim, upsample=spread)

    def _corner_window(self, size: Size, wanted: Size) -> Window:
        """The same for align_corners, where output i lies at i·(W − 1)/(o − 1)."""
        if isinstance(size, int) and size == 1:
            return GLOBAL
        spread, stride = maximum(wanted - 1, 1), size - 1
        far = _MODES[self.mode][1] * spread - 1
        after = far + (wanted - 1 - spread) * stride  # a single output reads the first row alone
        return Window(2 * far + 1, stride, far, after, upsample=spread)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.mode == "area":
            return adaptive_average(tape, x)
        if self.mode == "bicubic" or (len(x.shape) == 5 and self.mode.startswith("nearest")):
            strides = tape.suggested(x, tape.output)
            return tape.kernel(tape.output, x, strides=strides, contiguous=True)
        return tape.resampled(x, tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        for number, letter in enumerate(told.letters, 2):
            if self.size is not None:
                told.size(number, "{size}", {"size": output[number]}, "whatever flows in")
                continue
            if self.like:
                told.size(number, "{that of like}", {"that of like": output[number]})
                continue
            factor = _each(self.scale_factor, len(output) - 2)[number - 2]
            values = {"r": factor.numerator, "s": factor.denominator}
            whole = isinstance(factor, int)
            told.size(
                number, f"{{{letter}}}·{{r}}" if whole else f"⌊{{{letter}}}·{{r}}/{{s}}⌋", values
            )

    def build(self, nn: Any, *shapes: Shape) -> Any:
        factors = self.scale_factor
        if isinstance(factors, tuple):
            factors = tuple(map(float, factors))
        elif factors is not None:
            factors = float(factors)
        mode = "nearest-exact" if self.mode == "nearest_exact" else self.mode
        corners = True if self.align_corners else None
        if self.like:
            return nn.UpsampleLike(mode, corners)
        return nn.Upsample(self.size, factors, mode, corners)


def _each(value: Any, axes: int) -> tuple[Any, ...]:
    """One value an axis."""
    return value if isinstance(value, tuple) else (value,) * axes


class Upsample(_Upsample):
    """The value resized: to a size, by a factor (⌊H · scale_factor⌋), or to another value's size.

    N×C×…, with one to three spatial axes. Factors are exact ratios (2, 3/2); one for which
    PyTorch's floating point can miss a whole number (0.29 · 100) is refused. torch.nn's mode
    nearest-exact is written nearest_exact; recompute_scale_factor is left out: it changes no size.
    Source: torch/nn/modules/upsampling.py.
    """

    mode = choice(*_MODES, default="nearest")
    align_corners = flag(
        False, doc="the outermost rows stay where they are; linear and cubic modes only"
    )
    like = like(None, doc="the named output whose size is taken, as x.shape[2:] in PyTorch")


class UpsamplingNearest2d(_Upsample):
    """N×C×H×W resized, each output the nearest value. Source: torch/nn/modules/upsampling.py."""

    spatial = 2


class UpsamplingBilinear2d(_Upsample):
    """N×C×H×W resized bilinearly, the corners kept in place (align_corners).

    Source: torch/nn/modules/upsampling.py.
    """

    spatial = 2
    mode = "bilinear"
    align_corners = True
