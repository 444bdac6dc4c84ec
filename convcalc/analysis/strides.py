"""Whether a layer's stride fits its input, and what near it would.

A stride fits where it divides size + padding − reach. Where it does not, the last rows lie past the
last window; they are never read unless they are padding.
"""

from __future__ import annotations

from convcalc.analysis.coverage import MAX_TAPS, IntWindow, unread
from convcalc.errors import LayerError
from convcalc.integers import expand
from convcalc.ops.attention import BlockWindow
from convcalc.ops.explanation import axis_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from convcalc.analysis.summary import Layer
    from convcalc.integers import Size
    from convcalc.ops.base import Op, Shape, Window

#: So far from the value at hand another one is looked for, in both directions.
NEAR = 64
#: Rows of larger inputs are counted, not listed.
MAX_ROWS = 1 << 16
#: The arguments that may be changed for a stride to fit.
ARGUMENTS = ("padding", "stride", "kernel_size")


class AxisFit:
    """One spatial axis of a layer that reads it in windows.

    axis: from 0. name: "height", … size: what flows in. total: size + padding − reach, which the
    stride must divide; rest: what is left over (None where the size is open, and then `residue`:
    the sizes that fit are residue (mod stride)). unread: the rows that no output reads, as runs of
    (first, last), from 0; empty, too, for inputs of more than MAX_ROWS. unread_rows: how many they
    are; None where that cannot be told. sizes: the nearest ones that fit. near: for "padding",
    "stride" and "kernel_size" the nearest values that fit at this size.
    """

    __slots__ = (
        "axis",
        "name",
        "near",
        "residue",
        "rest",
        "size",
        "sizes",
        "stride",
        "unread",
        "unread_rows",
    )

    def __init__(self, axis: int, name: str, size: Size, stride: int) -> None:
        self.axis = axis
        self.name = name
        self.size = size
        self.stride = stride
        self.rest: int | None = None
        self.residue: int | None = None
        self.unread: tuple[tuple[int, int], ...] = ()
        self.unread_rows: int | None = 0
        self.sizes: tuple[int, ...] = ()
        self.near: dict[str, tuple[int, ...]] = {}

    @property
    def fits(self) -> bool | None:
        """Whether the stride divides; None for an open size."""
        return None if self.rest is None else self.rest == 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "axis": self.name,
            "fits": self.fits,
            "rest": self.rest,
            "unread": [list(run) for run in self.unread],
            "unread_rows": self.unread_rows,
            "sizes": list(self.sizes),
            "congruence": None if self.residue is None else [self.stride, self.residue],
            **{name: list(values) for name, values in self.near.items()},
        }

    def __repr__(self) -> str:
        return f"AxisFit({self.name}, fits={self.fits}, unread={self.unread})"


def axis_fits(layer: Layer) -> list[AxisFit]:
    """One for each spatial axis; none for layers that do not read theirs in windows."""
    sizes, outputs = layer.input_shapes[0][2:], layer.output[2:]
    windows = int_windows(layer.figures.facts.windows, sizes, outputs)
    found = []
    names = axis_names(len(sizes) + 2, "channels")[1:]
    for axis, (size, window) in enumerate(zip(sizes, windows, strict=False)):
        fit = AxisFit(axis, names[axis], size, window.stride)
        slack = window.before + window.after - window.reach
        if isinstance(size, int) and isinstance(outputs[axis], int):
            fit.rest = (size + slack) % window.stride
            dropped = layer.dropped[axis]
            fit.unread_rows = dropped if isinstance(dropped, int) else None
            fit.unread = tuple(_unread(size, outputs[axis], window))  # type: ignore[arg-type]
            if fit.rest:
                smaller, larger = size - fit.rest, size - fit.rest + window.stride
                valid = smaller >= 1 and smaller + slack >= 0
                fit.sizes = (smaller, larger) if valid else (larger,)
                for name in ARGUMENTS:
                    values = _near(layer.op, layer.input_shapes, name, axis)
                    if values:
                        fit.near[name] = values
        elif str(expand(size)).isidentifier():
            fit.residue = -slack % window.stride
        found.append(fit)
    return found


def int_windows(
    windows: Sequence[Window], sizes: Sequence[Size], outputs: Sequence[Size]
) -> list[IntWindow]:
    """Those of a layer that reads its axes in windows, one an axis; else none."""
    if not len(windows) == len(sizes) == len(outputs):
        return []
    found = []
    for given in windows:
        window = IntWindow.of(given)
        if isinstance(given, BlockWindow) or window is None:
            return []
        if window.kernel == 0 or window.upsample != 1:
            return []
        found.append(window)
    return found


class Reading:
    """How one axis is read at sizes that are numbers.

    rest: what the stride leaves over of size + padding − reach. unread: how many rows no output
    reads; None where that cannot be told. blind: some output reads padding alone.
    """

    __slots__ = ("blind", "rest", "unread")

    def __init__(self, size: int, outputs: int, window: IntWindow) -> None:
        reach = window.reach
        self.rest = (size + window.before + window.after - reach) % window.stride
        found = unread(size, outputs, window)
        self.unread = found if isinstance(found, int) else None
        last = (outputs - 1) * window.stride - window.before
        self.blind = window.before >= reach or last >= size

    @property
    def exact(self) -> bool:
        """Whether the stride divides, and every row is read."""
        return self.rest == 0 and self.unread == 0

    def __repr__(self) -> str:
        return f"Reading(rest={self.rest}, unread={self.unread}, blind={self.blind})"


def readings(op: Op, shape: Shape, output: Shape) -> tuple[Reading, ...]:
    """One for each spatial axis; none for layers that do not read theirs in windows."""
    sizes, outputs = shape[2:], output[2:]
    windows = int_windows(op.windows(shape), sizes, outputs)
    return tuple(
        Reading(size, many, window)
        for size, many, window in zip(sizes, outputs, windows, strict=False)
        if isinstance(size, int) and isinstance(many, int)
    )


def _unread(size: int, outputs: int, window: IntWindow) -> Iterator[tuple[int, int]]:
    """The rows that no output reads, as runs."""
    if size > MAX_ROWS or window.kernel > MAX_TAPS or outputs * window.kernel > 64 * MAX_ROWS:
        return
    read = bytearray(size)
    for output in range(outputs):
        start = output * window.stride - window.before
        for row in range(start, start + window.dilation * window.kernel, window.dilation):
            if 0 <= row < size:
                read[row] = 1
    first = None
    for row in range(size + 1):
        if row < size and not read[row]:
            first = row if first is None else first
        elif first is not None:
            yield first, row - 1
            first = None


def _near(op: Op, shapes: Sequence[Any], name: str, axis: int) -> tuple[int, ...]:
    """The nearest values of an argument, along one axis, at which the stride fits."""
    given = op.given()
    own = given.get(name)
    if name == "stride" and own is None:
        own = given.get("kernel_size")
    if not isinstance(own, tuple) or not isinstance(own[axis], int):
        return ()
    found: list[int] = []
    for direction in (-1, 1):
        for distance in range(1, NEAR + 1):
            value = own[axis] + direction * distance
            if value < (0 if name == "padding" else 1):
                break
            entries = (*own[:axis], value, *own[axis + 1 :])
            if _fits_with(op, shapes, {**given, name: entries}, axis):
                found.append(value)
                break
    return tuple(found)


def _fits_with(op: Op, shapes: Sequence[Any], given: dict[str, Any], axis: int) -> bool:
    """Whether the layer with these arguments is valid, and its stride fits along the axis."""
    try:
        other = type(op)(**given)
    except LayerError:
        return False
    if any(condition.holds() is not True for condition in other.conditions(*shapes)):
        return False
    window = IntWindow.of(other.windows(*shapes)[axis])
    if window is None:
        return False
    total = shapes[0][2 + axis] + window.before + window.after - window.reach
    return bool(total % window.stride == 0)
