"""What is worth a second look in a design that is valid.

| code | meaning |
| --- | --- |
| rows-dropped | the last rows lie past the last window: (W − F + 2P)/S is not whole |
| rows-skipped | rows between windows, or between the taps of dilated ones, are never read |
| kernel-exceeds-input | the kernel reaches over more rows than the input has without its padding |
| field-exceeds-input | the first layer that sees more rows than the network's input has |
| branches-misaligned | branches that are joined look at different places of the input |
| never-valid | sizes that must be equal differ by a number, whatever open sizes will be |

and those that an op tells of itself. A 1×1 kernel with a stride is left alone: it samples by design
(`dropped` still counts what it leaves out).
"""

from __future__ import annotations

from convcalc.analysis.coverage import IntWindow, padding_only_taps, residues_read
from convcalc.errors import Problem
from convcalc.integers import Formula, expand, pretty
from convcalc.ops.attention import BlockWindow
from convcalc.ops.base import AXES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    from convcalc.analysis.receptive import Field, Misalignment
    from convcalc.analysis.summary import Figures, Layer, Summary
    from convcalc.integers import Size
    from convcalc.ops.base import Op, Shape, Window

#: What deserves to be known and is right in most deep networks: `--strict` lets it pass.
ADVICE = frozenset({"field-exceeds-input"})

_ROWS = {
    1: (("position", "positions"),),
    2: (("row", "rows"), ("column", "columns")),
    3: (("slice", "slices"), ("row", "rows"), ("column", "columns")),
}
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh"}
# So many larger paddings are tried for one that fits.
_TRIED = 64


_ALIKE = "pad, crop or pool the branches alike"


class Finding:
    """A warning before it is tied to a layer."""

    __slots__ = ("code", "help", "message")

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        self.code = code
        self.message = message
        self.help = help


def warnings_of(layers: Iterable[Layer]) -> Iterator[Problem]:
    """All warnings, in the order of the network, one for each layer that they concern."""
    known: dict[tuple[Figures, tuple[str, ...]], list[Finding]] = {}
    for layer in layers:
        key = (layer.figures, layer.input_layouts)
        found = known.get(key)
        if found is None:
            found = known[key] = list(findings(layer))
        for finding in found:
            yield Problem(
                finding.message,
                layer.place,
                help=finding.help,
                code=finding.code,
                path=layer.path,
                severity="warning",
            )


def findings(layer: Layer) -> Iterator[Finding]:
    """What is worth a second look in this layer."""
    op, inputs = layer.op, layer.input_shapes
    sizes, outputs = inputs[0][2:], layer.output[2:]
    windows = layer.figures.facts.windows
    if len(windows) == len(sizes) == len(outputs):
        for axes in _equal_axes(sizes, outputs, windows):
            yield from axes.findings(op)
    for condition in layer.figures.facts.conditions:
        if condition.kind == "equal" and _differ(condition.left, condition.right):
            told = condition.told(lambda size: pretty(expand(size)))
            yield Finding("never-valid", f"{told}, which no input makes them", _ALIKE)
    for code, message in op.warnings(*inputs, layouts=layer.input_layouts):
        yield Finding(code, message)


def _differ(left: Size, right: Size) -> bool:
    """Whether two sizes, one of them open at least, differ by a number other than 0."""
    if left is right or not (isinstance(left, Formula) or isinstance(right, Formula)):
        return False
    difference = expand(left - right)
    return bool(difference.constant if isinstance(difference, Formula) else difference)


def field_warnings(summary: Summary) -> Iterator[Problem]:
    """What receptive fields tell: of the network as a whole, and of joins."""
    fields = summary.receptive_fields
    for name, shape in summary.inputs.items():
        for layer in summary.layers:
            own = layer.named_fields.get(name, ())
            pairs = list(zip(own, shape[2:], strict=False))  # not every layer depends on it
            if any(f.size is not None and isinstance(s, int) and f.size > s for f, s in pairs):
                if not _told_of_kernel(layer):
                    yield _exceeding_field(layer, name, own, shape, len(summary.inputs) > 1)
                break
    joins: dict[tuple[int, str], list[Misalignment]] = {}
    for found in fields.misaligned:
        joins.setdefault((found.node.index, found.input), []).append(found)
    for several in joins.values():
        yield _misaligned(several)


def _told_of_kernel(layer: Layer) -> bool:
    """Whether its own kernel reaches over more than what flows in, of which a warning tells."""
    return any(finding.code == "kernel-exceeds-input" for finding in findings(layer))


def _exceeding_field(
    layer: Layer, name: str, fields: Sequence[Field], shape: Shape, several: bool
) -> Problem:
    seen = "×".join(map(str, (field.size for field in fields)))
    there = "×".join(map(str, shape[2:]))
    what = f"input {name!r} of {there}" if several else f"{there} input"
    message = f"the receptive field of {layer.op} is {seen}, more than the {what}"
    return Problem(
        message,
        layer.place,
        help="each output from here on sees padding; with a larger input, or fewer strides and "
        "layers before it, it would not",
        code="field-exceeds-input",
        path=layer.path,
        severity="warning",
    )


def _misaligned(several: Sequence[Misalignment]) -> Problem:
    first = several[0]
    node = first.node
    names = AXES.get(len(node.structure) - 2, ())
    along = " and ".join(names[m.axis] for m in several if m.axis < len(names))
    along = f" along the {along}" if along else ""
    if len(set(first.jumps)) > 1:
        jumps = " and ".join(map(_decimal, dict.fromkeys(first.jumps)))
        message = f"{node.op} joins branches{along} that move by {jumps} input rows an output"
        help = "strides and resizes of the branches must multiply to the same"
    else:
        centres = " and ".join(map(_decimal, dict.fromkeys(first.offsets)))
        message = (
            f"{node.op} joins branches{along} that look at different places: their first outputs "
            f"are centred on input rows {centres}"
        )
        help = "pad, crop and pool the branches alike, or so that their centres agree"
    return Problem(
        message,
        node.place,
        help=help,
        code="branches-misaligned",
        path=node.path,
        severity="warning",
    )


def _decimal(rows: int | float | Fraction | None) -> str:
    """−11.5"""
    assert rows is not None
    return f"{float(rows):g}".replace("-", "−")


class _Axes:
    """Axes of a layer that have the same sizes and the same window."""

    def __init__(self, size: int, outputs: int, window: IntWindow, rank: int) -> None:
        self.size = size
        self.outputs = outputs
        self.window = window
        self.rank = rank
        self.axes: list[int] = []
        # Rows past the last window, where it does not end in padding.
        past = size + window.before - (outputs - 1) * window.stride - window.reach
        self.left = max(0, min(past, size))

    def findings(self, op: Op) -> Iterator[Finding]:
        window = self.window
        if window.kernel < 2 or window.upsample != 1:
            return
        covered = residues_read(window)
        if covered < window.stride:
            if self.outputs > 1:
                yield self._skipped(op, covered)
        elif self.left:
            yield self._dropped(op)
        if window.reach > self.size:
            yield self._exceeding(op)

    def _names(self, plural: bool) -> str:
        return " and ".join(_ROWS[self.rank][axis][plural] for axis in self.axes)

    @property
    def _input(self) -> str:
        if len(self.axes) == self.rank:
            shape = "×".join([str(self.size)] * self.rank)
            return f"its {shape} input" if self.rank > 1 else f"its input of {shape}"
        return f"the {self.size} there are"

    def _dropped(self, op: Op) -> Finding:
        window, size, left = self.window, self.size, self.left
        last = "the last " + (self._names(False) if left == 1 else f"{left} {self._names(True)}")
        whole, rest = divmod(size + window.before + window.after - window.reach, window.stride)
        message = (
            f"{op} never reads {last} of {self._input}: {self._fraction()} = "
            f"{whole + 1} {rest}/{window.stride}, rounded down to {whole + 1}"
        )
        return Finding("rows-dropped", message, self._fitting(op, rest))

    def _fraction(self) -> str:
        """(W − F + 2P)/S + 1 with its numbers."""
        window = self.window
        if window.before == window.after:
            padding = f" + 2·{window.before}" if window.before else ""
        else:
            padding = f" + {window.before} + {window.after}"
        return f"({self.size} − {window.reach}{padding})/{window.stride} + 1"

    def _fitting(self, op: Op, rest: int) -> str:
        """The nearest sizes at which the stride fits, and what else reads every row."""
        window, size = self.window, self.size
        sizes = [size - rest, size + window.stride - rest]
        if sizes[0] < 1 or sizes[0] + window.before + window.after < window.reach:
            del sizes[0]
        rows = self._names(True)
        text = f"{' or '.join(map(str, sizes))} {rows} fit exactly"
        others = []
        padding = self._fitting_padding(op)
        if padding is not None:
            others.append(f"padding={padding}")
        if getattr(op, "ceil_mode", None) is False:
            others.append("ceil_mode=true")
        if others:
            text += f"; {' or '.join(others)} would read all of {size}"
        return text

    def _fitting_padding(self, op: Op) -> int | None:
        """The smallest larger padding with which every row is read, where the op takes one."""
        window = self.window
        if window.before != window.after or not isinstance(getattr(op, "padding", None), tuple):
            return None
        # Pooling windows must not lie in the padding (PyTorch: at most half the kernel).
        most = window.kernel // 2 if hasattr(op, "ceil_mode") else window.reach - 1
        for padding in range(window.before + 1, min(most, window.before + _TRIED) + 1):
            rest = (self.size + 2 * padding - window.reach) % window.stride
            if rest <= padding:
                return padding
        return None

    def _skipped(self, op: Op, covered: int) -> Finding:
        window = self.window
        stride = window.stride
        if stride - covered == 1 and stride in _ORDINALS:
            what = f"skips every {_ORDINALS[stride]} {self._names(False)}"
        else:
            what = f"reads only {covered} of every {stride} {self._names(True)}"
        arithmetic = f"F = {window.kernel}, S = {stride}"
        if window.dilation != 1:
            arithmetic += f", dilation = {window.dilation}"
            help = "a stride and a dilation without a common factor read more"
        else:
            help = f"a stride of at most {window.kernel} reads every {self._names(False)}"
        return Finding("rows-skipped", f"{op} {what}: {arithmetic}", help)

    def _exceeding(self, op: Op) -> Finding:
        window = self.window
        reach = f"{window.reach} {self._names(True)}"
        message = f"{op} reaches over {reach}, more than {self._input} has"
        if len(self.axes) < self.rank:
            message = f"{op} reaches over {reach}, more than {self._input}"
        blind = padding_only_taps(self.size, self.outputs, window)
        if blind:
            meet = "meets" if blind == 1 else "meet"
            message += f": {blind} of the {window.kernel} {meet} nothing but padding"
        smaller = (self.size - 1) // window.dilation + 1
        return Finding(
            "kernel-exceeds-input",
            message,
            f"a kernel of at most {smaller}, a larger input, or fewer strides before it",
        )


def _equal_axes(
    sizes: Sequence[object], outputs: Sequence[object], windows: Sequence[Window]
) -> list[_Axes]:
    """The axes, those alike together; axes whose sizes are formulas are left out."""
    groups: dict[tuple[int, ...], _Axes] = {}
    for axis, (size, out, given) in enumerate(zip(sizes, outputs, windows, strict=True)):
        if isinstance(given, BlockWindow):
            continue  # every block is read whole, the last one with padding
        window = IntWindow.of(given)
        if window is None or not (isinstance(size, int) and isinstance(out, int)):
            continue
        key = (
            size,
            out,
            window.kernel,
            window.stride,
            window.before,
            window.after,
            window.dilation,
            window.upsample,
        )
        groups.setdefault(key, _Axes(size, out, window, len(sizes))).axes.append(axis)
    return list(groups.values())
