"""The columns of a summary: how each is titled, and what it says of a layer or a group of them."""

from __future__ import annotations

from convcalc.errors import ConvcalcError, closest
from convcalc.report import numbers
from convcalc.report.grid import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from convcalc.analysis.receptive import Field as AxisField
    from convcalc.analysis.summary import Summary
    from convcalc.integers import Size
    from convcalc.report.tree import Entry

    # What a column says of an entry of the tree.
    Cell = Callable[[Entry, Summary], str]

_BAR_WIDTH = 10
_BYTES = ("allocated_bytes", "saved_bytes")


class Field:
    """A column by its name on the command line. right: it stands to the right, as figures do."""

    __slots__ = ("about", "cell", "name", "right", "title")

    def __init__(self, name: str, title: str, about: str, cell: Cell, right: bool = True) -> None:
        self.name = name
        self.title = title
        self.about = about
        self.cell = cell
        self.right = right

    def column(self) -> Column:
        return Column(
            self.title,
            right=self.right,
            gives=self.name == "layer",
            folds=self.name in ("params", "buffers", "macs", "bytes", "weights"),
        )


def _figure(name: str) -> Cell:
    def cell(entry: Entry, summary: Summary) -> str:
        if name in _BYTES and summary.no_memory_formula is not None:
            return "?"  # a note below the table says why
        value = entry.figure(name)
        return numbers.NONE if isinstance(value, int) and value == 0 else numbers.count(value)

    return cell


def _share(name: str) -> Cell:
    def cell(entry: Entry, summary: Summary) -> str:
        part: Size = entry.figure(name)
        whole: Size = getattr(summary.totals, name)
        if entry.aux or not (isinstance(part, int) and isinstance(whole, int)):
            return ""
        return f"{numbers.bar(part, whole, _BAR_WIDTH)} {numbers.percent(part, whole):>7}"

    return cell


def _label(entry: Entry, summary: Summary) -> str:
    return entry.text


def _path(entry: Entry, summary: Summary) -> str:
    return entry.layer.path if entry.layer else ""


def _inputs(entry: Entry, summary: Summary) -> str:
    return ", ".join(entry.layer.inputs) if entry.layer else ""


def _output(entry: Entry, summary: Summary) -> str:
    return numbers.shape(entry.output[1:])


def _field(entry: Entry, summary: Summary) -> str:
    assert entry.last is not None
    return field_text(entry.last.fields)


def field_text(fields: Sequence[AxisField]) -> str:
    """`35×35`; `global (35×35)` where another path sees the whole input."""
    sizes = [field.size for field in fields]
    if not fields or not all(field.is_global for field in fields) or None in sizes:
        texts = dict.fromkeys(map(str, fields)) if None in sizes else map(str, fields)
        return numbers.TIMES.join(texts) or numbers.NONE
    return f"global ({numbers.TIMES.join(map(str, sizes))})"


def _jump(entry: Entry, summary: Summary) -> str:
    assert entry.last is not None
    jumps = entry.last.jump
    if all(jump is None for jump in jumps):
        return numbers.NONE
    return numbers.TIMES.join(numbers.NONE if jump is None else str(jump) for jump in jumps)


def _dropped(entry: Entry, summary: Summary) -> str:
    if entry.layer is None:
        return ""
    dropped = entry.layer.dropped
    if all(isinstance(d, int) and d == 0 for d in dropped):
        return numbers.NONE
    return numbers.TIMES.join("?" if d is None else numbers.count(d) for d in dropped)


def _aux(entry: Entry, summary: Summary) -> str:
    return "aux" if entry.aux else ""


def _frozen(entry: Entry, summary: Summary) -> str:
    params, trainable = entry.figure("params"), entry.figure("trainable_params")
    if params == trainable:
        return ""
    return "frozen" if isinstance(trainable, int) and trainable == 0 else "in part"


def _line(entry: Entry, summary: Summary) -> str:
    return str(entry.line or "")


FIELDS = {
    field.name: field
    for field in (
        Field("layer", "layer", "the layer or block as it is written", _label, False),
        Field("path", "path", "the layer's path, by which check and JSON name it", _path, False),
        Field("inputs", "inputs", "the paths of the layers that flow in", _inputs, False),
        Field("output", "output", "shape of the output, without the batch", _output),
        Field("params", "params", "elements of learned tensors", _figure("params")),
        Field("buffers", "buffers", "elements of tensors that are not learned", _figure("buffers")),
        Field("macs", "MACs", "multiply-accumulates, of the whole batch", _figure("macs")),
        Field("bytes", "output bytes", "of the whole batch", _figure("output_bytes")),
        Field(
            "allocated", "allocated", "bytes that are new in forward", _figure("allocated_bytes")
        ),
        Field("saved", "saved", "bytes first kept for backward here", _figure("saved_bytes")),
        Field("weights", "weight bytes", "of parameters and buffers", _figure("weights_bytes")),
        Field("field", "field", "receptive field: input rows and columns an output sees", _field),
        Field("jump", "jump", "input rows and columns from one output to the next", _jump),
        Field("dropped", "dropped", "rows and columns of the input that no output reads", _dropped),
        Field("params-share", "of params", "share of the parameters, with a bar", _share("params")),
        Field("macs-share", "of MACs", "share of the MACs, with a bar", _share("macs")),
        Field("aux", "aux", "whether only outputs of training are served", _aux, False),
        Field("frozen", "frozen", "whether its parameters do not train", _frozen, False),
        Field("line", "line", "line of the file", _line),
    )
}
#: Those of memory: with them, layers that keep different things are not folded into one line.
MEMORY = ("allocated", "saved")
DEFAULT = ("layer", "output", "params", "macs")
#: Where there is room for more: on a terminal at least `WIDE_FROM` columns wide.
WIDE = ("layer", "output", "field", "params", "params-share", "macs", "macs-share")
WIDE_FROM = 120


def chosen(names: Iterable[str]) -> list[Field]:
    """The columns of these names; raises ConvcalcError for one that there is not."""
    fields = []
    for name in names:
        field = FIELDS.get(name)
        if field is None:
            near = closest(name, FIELDS)
            hint = f"did you mean {near}?" if near else f"the columns are {', '.join(FIELDS)}"
            raise ConvcalcError(f"no column {name!r}: {hint}")
        fields.append(field)
    return fields
