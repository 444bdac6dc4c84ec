"""Which rows of its input a layer reads: along one axis, for any kernel, stride and dilation."""

from __future__ import annotations

from math import gcd

from convcalc.integers import maximum, minimum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from convcalc.integers import Size
    from convcalc.ops.base import Window

#: Larger kernels are not looked at tap by tap.
MAX_TAPS = 100_000


class IntWindow:
    """A `Window` of which everything is an int."""

    __slots__ = ("after", "before", "dilation", "kernel", "stride", "upsample")

    def __init__(
        self, kernel: int, stride: int, before: int, after: int, dilation: int, upsample: int
    ) -> None:
        self.kernel = kernel
        self.stride = stride
        self.before = before
        self.after = after
        self.dilation = dilation
        self.upsample = upsample

    @classmethod
    def of(cls, window: Window | IntWindow) -> IntWindow | None:
        """The window, or None where something of it is a formula."""
        kernel, stride, dilation = window.kernel, window.stride, window.dilation
        before, after, upsample = window.before, window.after, window.upsample
        if (
            isinstance(kernel, int)
            and isinstance(stride, int)
            and isinstance(before, int)
            and isinstance(after, int)
            and isinstance(dilation, int)
            and isinstance(upsample, int)
        ):
            return cls(kernel, stride, before, after, dilation, upsample)
        return None

    @property
    def reach(self) -> int:
        """Rows from the first to the last that one output reads."""
        return self.dilation * (self.kernel - 1) + 1


def unread(size: Size, outputs: Size, window: Window | IntWindow) -> Size | None:
    """How many of the input's `size` rows none of the `outputs` rows reads.

    Row r is read where r = i·stride − before + j·dilation for some output i and tap j: rows past
    the last window are not, nor those between windows (stride > kernel) or between the taps of
    dilated ones. None where it cannot be told: a kernel or stride that is a formula, a formula for
    the size where windows do not meet, more than `MAX_TAPS` taps.
    """
    kernel, stride = window.kernel, window.stride
    if not (isinstance(kernel, int) and isinstance(stride, int)):
        return None
    if kernel == 0:  # GLOBAL: each output reads everything
        return 0
    plain = _is_one(window.dilation) and _is_one(window.upsample)
    before, after = window.before, window.after
    if plain and stride <= kernel:
        head: Size = 0
        if not (isinstance(before, int) and before >= 0):  # a crop
            head = minimum(maximum(-before, 0), size)
        return head + tail(size, outputs, window)
    numbers = IntWindow.of(window)
    if isinstance(size, int) and isinstance(outputs, int) and numbers is not None:
        if kernel > MAX_TAPS or (numbers.upsample > 1 and stride > 1):
            return None
        if numbers.upsample > 1:
            return size - _spread_rows_read(size, outputs, numbers)
        return size - _rows_read(size, outputs, numbers)
    if plain and all(isinstance(p, int) and p == 0 for p in (before, after)):
        return size - outputs * kernel  # the windows lie apart, all within the input
    return None


def tail(size: Size, outputs: Size, window: Window | IntWindow) -> Size:
    """How many of the last rows lie past the last window: 0 where it ends in padding."""
    before, after, reach = window.before, window.after, window.reach
    if isinstance(after, int) and after >= 0 and _is_one(window.stride):
        return 0  # outputs = size + before + after - reach + 1: the last window meets the last row
    past = maximum(size + before - (outputs - 1) * window.stride - reach, 0)
    if isinstance(before, int) and isinstance(reach, int) and before <= reach:
        return past  # the first window alone reaches the first row
    return minimum(past, size)


def _is_one(size: Size) -> bool:
    return isinstance(size, int) and size == 1


def residues_read(window: IntWindow) -> int:
    """Of every `stride` rows well inside the input, how many are read."""
    # j·dilation takes stride/gcd different values modulo the stride, then repeats.
    return min(window.kernel, window.stride // gcd(window.stride, window.dilation))


def padding_only_taps(size: int, outputs: int, window: IntWindow) -> int | None:
    """How many of the kernel's taps meet nothing but padding, whatever output they serve.

    None for more than `MAX_TAPS` taps.
    """
    if window.kernel > MAX_TAPS:
        return None
    blind = 0
    for tap in range(window.kernel):
        # Output i puts the tap on row i·stride − offset, for i from first to last within the input.
        offset = window.before - tap * window.dilation
        first = max(0, -(-offset // window.stride))
        last = min(outputs - 1, (offset + size - 1) // window.stride)
        blind += first > last
    return blind


def _rows_read(size: int, outputs: int, window: IntWindow) -> int:
    """Without upsampling: the rows are split by their residue modulo the stride."""
    stride, before = window.stride, window.before
    runs: dict[int, list[int]] = {}  # residue of the padded row → first steps of runs of `outputs`
    for tap in range(window.kernel):
        step, residue = divmod(tap * window.dilation, stride)
        runs.setdefault(residue, []).append(step)
    read = 0
    for residue, firsts in runs.items():
        low = -(-(before - residue) // stride)
        high = (before + size - 1 - residue) // stride
        read += _union(((first, first + outputs - 1) for first in firsts), low, high)
    return read


def _spread_rows_read(size: int, outputs: int, window: IntWindow) -> int:
    """With upsampling (then the stride is 1): row r stands at upsample·r + before."""
    before, upsample = window.before, window.upsample
    firsts = (tap * window.dilation - before for tap in range(window.kernel))
    runs = ((-(-f // upsample), (f + outputs - 1) // upsample) for f in firsts)
    return _union(runs, 0, size - 1)


def _union(runs: Iterable[tuple[int, int]], low: int, high: int) -> int:
    """How many ints from low to high lie in one of the runs, which come in ascending order."""
    covered = 0
    for first, last in runs:
        first = max(first, low)
        last = min(last, high)
        if first <= last:
            covered += last - first + 1
            low = last + 1
    return covered
