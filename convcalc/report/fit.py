"""Which sizes fit, as text, Markdown and JSON."""

from __future__ import annotations

from convcalc.analysis.equivariance import Shift, equivariance_at
from convcalc.integers import Answer, Formula, definitions, evaluate, expand, symbols
from convcalc.ops.base import AXES
from convcalc.report import numbers, titles
from convcalc.report.explain import STEPS
from convcalc.report.grid import PLAIN, Column, Row, draw
from convcalc.report.sizes import NONE, as_json, congruence, intervals
from convcalc.report.table import wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from convcalc.analysis.budget import Largest
    from convcalc.analysis.equivariance import Equivariance
    from convcalc.analysis.fit import Axis, Demand, Fit, Join, Sizes, Stride
    from convcalc.analysis.inverse import Inverse, Kept
    from convcalc.graph import Node
    from convcalc.integers import Size, Solutions
    from convcalc.network import Network
    from convcalc.ops.base import Condition
    from convcalc.pytorch import Report
    from convcalc.report.grid import Style

#: So many choices of sizes are told; JSON has all.
SHOWN = 6
#: So many figures that disagree are told.
FAILURES = 12

_VERDICTS = {
    "always": "always agree",
    "sizes": "agree for some sizes",
    "never": "never agree",
    "unknown": "unknown",
}


class FitReport:
    """All that was asked of a network's sizes, ready to be told.

    inverses: the answers to `Fit.sizes_for`. budgets: those of `Fit.largest`. verified: what
    PyTorch said, None where it was not run.
    """

    __slots__ = ("_equivariance", "budgets", "fit", "inverses", "kept", "network", "verified")

    def __init__(
        self,
        network: Network,
        fit: Fit,
        inverses: Sequence[Inverse] = (),
        budgets: Sequence[Largest] = (),
        verified: Report | None = None,
    ) -> None:
        self.network = network
        self.fit = fit
        self.inverses = tuple(inverses)
        self.budgets = tuple(budgets)
        self.kept: Kept | None = fit.kept()
        self.verified = verified
        self._equivariance: Equivariance | None = None

    @property
    def equivariance(self) -> Equivariance:
        """What becomes of shifts, at the design's own sizes where it has them."""
        if self._equivariance is None:
            self._equivariance = equivariance_at(self.fit.flow, self.fit.declared)
        return self._equivariance

    @property
    def ok(self) -> bool:
        """Whether PyTorch agrees, as far as it was asked."""
        return self.verified is None or self.verified.ok

    @property
    def title(self) -> str:
        return titles.design(self.network)

    @property
    def subtitle(self) -> str:
        text = titles.inputs(self.fit.flow.inputs)
        if self.fit.declared:
            own = ", ".join(f"{name} = {size:,}" for name, size in self.fit.declared.items())
            text += f"; the design's own {own}"
        return text


class Table:
    """A part of the report: columns and rows under a heading."""

    def __init__(self, heading: str, columns: Sequence[Column], rows: Sequence[list[str]]) -> None:
        self.heading = heading
        self.columns = columns
        self.rows = rows


def render(report: FitReport, *, width: int | None = None, style: Style = PLAIN) -> str:
    """For people: the answers, what they follow from, what else was asked."""
    lines = [style(report.title, "bold"), style(report.subtitle, "dim")]
    for part in _parts(report):
        lines.append("")
        if isinstance(part, str):
            for line in part.splitlines():
                lines += wrapped(line, width, "  ")
            continue
        if part.heading:
            lines += [*wrapped(part.heading, width), ""]
        rows = [Row(cells) for cells in part.rows]
        lines += draw(part.columns, rows, width=width, style=style)
    return "\n".join(lines)


def markdown(report: FitReport) -> str:
    """The same for an issue or a README."""
    from convcalc.report.markdown import table

    lines = [f"**{report.title}** ({report.subtitle})"]
    for part in _parts(report):
        lines.append("")
        if isinstance(part, str):
            lines.append("\n\n".join(part.splitlines()))
            continue
        if part.heading:
            lines += [part.heading, ""]
        lines += table(part.columns, part.rows)
    return "\n".join(lines)


# ---------------------------------------------------------------------------- parts


def _parts(report: FitReport) -> Iterator[str | Table]:
    fit = report.fit
    groups = _groups(fit)
    if not groups:
        yield "The input has no open size: there is nothing to choose."
        return
    yield _answers(fit, groups)
    yield _convention(groups)
    notes = [note for axis in groups for note in _notes(report, axis)]
    if fit.mixed and all(axis.names[0] in fit.declared for axis in fit.axes):
        notes.append(_one_by_one(fit))
    if notes:
        yield "\n".join(dict.fromkeys(notes))  # a condition on several sizes is one of each
    for axis in groups:
        if axis.strides and axis is not fit.square:
            yield _strides(axis, groups)
    joins = [join for axis in groups if axis is not fit.square for join in axis.joins]
    if any(join.verdict != "always" for join in joins):
        yield _joins(joins)
    if all(axis.smallest is not None for axis in fit.axes):
        if fit.features is not None:
            yield _features(fit)
        yield "\n".join(_shifts(report))
    for found in report.inverses:
        yield _inverse(fit, found)
    if report.kept is not None:
        yield _kept(fit, report.kept)
    if report.budgets:
        yield "\n".join(_budget(fit, found) for found in report.budgets)
    if report.verified is not None:
        yield _verified(report.verified)


def _groups(fit: Fit) -> list[Axis]:
    """The axes, those with the same answers as one; and the square, where that has others."""
    groups: list[Axis] = []
    for axis in fit.axes:
        same = next((group for group in groups if _alike(group, axis)), None)
        if same is None:
            groups.append(_named_alike(axis, fit))
    square = fit.square
    if square is not None and (square.valid.answer is not groups[0].valid.answer):
        groups.append(square)
    return groups


def _alike(one: Axis, other: Axis) -> bool:
    return all(
        a.answer is b.answer and a.solutions == b.solutions
        for a, b in (
            (one.valid, other.valid),
            (one.exact, other.exact),
            (one.complete, other.complete),
        )
    ) and len(one.strides) == len(other.strides)


def _named_alike(axis: Axis, fit: Fit) -> Axis:
    """The axis under the names of all that have its answers."""
    shown = type(axis)(*(name for a in fit.axes if _alike(axis, a) for name in a.names))
    for attribute in ("valid", "exact", "complete", "strides", "joins", "demands", "agreeing"):
        setattr(shown, attribute, getattr(axis, attribute))
    return shown


def _answers(fit: Fit, groups: Sequence[Axis]) -> Table:
    heads = [(" = " if axis is fit.square else ", ").join(axis.names) for axis in groups]
    columns = [Column("", gives=True), *map(Column, heads)]
    rows = [
        ["valid", *(_labelled(axis.valid, congruence(axis.valid.solutions)) for axis in groups)],
        ["smallest valid", *(_smallest(axis.smallest, axis.valid) for axis in groups)],
        ["fits exactly", *(_exact(axis) for axis in groups)],
        [
            "smallest that fits",
            *(_smallest(axis.fitting.smallest, axis.fitting) for axis in groups),
        ],
        ["every row is read", *(_among(axis.complete, axis) for axis in groups)],
        ["joined branches", *(_joined(axis) for axis in groups)],
    ]
    return Table("", columns, rows)


def _convention(groups: Sequence[Axis]) -> str:
    text = (
        "Fits exactly: every stride divides size + padding − reach. Every row is read: no layer's "
        "last window ends before its input does."
    )
    answers = (a for axis in groups for a in (axis.valid, axis.exact, axis.complete))
    if all(sizes.answer is Answer.PROVED for sizes in answers):
        text += " All of this is proved for every size."
    return text


def _exact(axis: Axis) -> str:
    text = _among(axis.exact, axis)
    if text != NONE or axis.exact.solutions.empty or axis.valid.solutions.empty:
        return text
    return f"{congruence(axis.exact.solutions)}, none of them valid"


def _among(sizes: Sizes, axis: Axis) -> str:
    return _labelled(sizes, congruence(sizes.solutions, axis.valid.solutions))


def _labelled(sizes: Sizes, text: str) -> str:
    if sizes.answer is Answer.PROVED or text == NONE:
        return text
    return f"unknown; at most {text}"


def _smallest(size: int | None, sizes: Sizes) -> str:
    if size is None:
        return numbers.NONE
    return f"{size:,}" if sizes.answer is Answer.PROVED else f"at least {size:,}"


def _joined(axis: Axis) -> str:
    if not axis.agreeing and not axis.joins:
        return numbers.NONE
    verdicts = ["always"] * axis.agreeing + [join.verdict for join in axis.joins]
    told = []
    for verdict, words in _VERDICTS.items():
        count = verdicts.count(verdict)
        if count:
            told.append(f"{count:,} {words}")
    return ", ".join(told)


def _notes(report: FitReport, axis: Axis) -> Iterator[str]:
    fit = report.fit
    name = (" = " if axis is fit.square else " or ").join(axis.names)
    if axis is fit.square and fit.mixed:
        rest = [f"{n} = {size:,}" for n, size in fit.declared.items() if n not in axis.names]
        if rest:
            yield f"{name}: at the design's own {', '.join(rest)}."
    if axis.smallest is None:
        never = next((d for d in axis.demands if d.sizes.empty), None)
        yield f"No {name} is valid{': ' + _asks(never, never.condition) if never else ''}."
    limit = axis.limit
    if limit is not None and axis.smallest is not None:
        asked = _asks(limit, _refused(fit, axis, limit))
        yield f"{name} = {axis.smallest - 1:,} is refused by {asked}."
    if axis.conflict:
        told = [
            f"{stride.path}{_line(stride)} needs {congruence(stride.sizes)}"
            for stride in axis.conflict
        ]
        yield f"No {name} fits exactly: {'; '.join(told)}."
    for one in axis.names:
        of = axis if axis is fit.square else fit.axis(one)
        for undecided in (*of.valid.undecided, *of.exact.undecided, *of.complete.undecided):
            what = undecided.what.removeprefix(f"{undecided.node.kind}: ")
            yield f"Unknown: {undecided.path}{_line(undecided)}: {what}: {undecided.reason}."


def _one_by_one(fit: Fit) -> str:
    """What is valid of each size, where conditions ask for several at once."""
    told = []
    for axis in fit.axes:
        valid = fit.valid_at(axis, fit.declared)
        told.append(f"{axis.names[0]} {_labelled(valid, _set(valid.solutions))}")
    return f"With all other sizes at the design's own, valid: {'; '.join(told)}."


def _asks(demand: Demand, condition: Condition) -> str:
    text = condition.told(lambda size: numbers.count(expand(size)))
    text = text.removeprefix(f"{demand.node.kind}: ")
    return f"{demand.path}{_line(demand)}: {text}"


def _line(found: Any) -> str:
    node = found.node if hasattr(found, "node") else found.nodes[0]
    return f" (line {node.place.line})" if node.place else ""


def _refused(fit: Fit, axis: Axis, limit: Demand) -> Condition:
    """What a layer asks of the largest size that is too small, in numbers."""
    assert axis.smallest is not None
    point = {other.names[0]: other.fitting.smallest or other.smallest or 1 for other in fit.axes}
    point |= dict.fromkeys(axis.names, axis.smallest - 1)
    point["N"] = fit.batch
    node = limit.node
    assert node.op is not None
    shapes = [
        tuple(evaluate(size, point) if isinstance(size, Formula) else size for size in shape)
        for shape in (fit.flow.shapes[index] for index in node.inputs)
    ]
    failed = next((c for c in node.op.conditions(*shapes) if c.holds() is False), None)
    return limit.condition if failed is None else failed


def _strides(axis: Axis, groups: Sequence[Axis]) -> Table:
    name = ", ".join(axis.names)
    columns = [
        Column("layer", gives=True),
        Column("stride", right=True),
        Column("divides"),
        Column(f"for {axis.names[0]}"),
        Column("with all before it"),
    ]
    return Table(
        f"Strides along {name}: what each must divide, size + padding − reach",
        columns,
        [[_layers(s), str(s.stride), *_reads(s)] for s in axis.strides],
    )


def _layers(stride: Stride) -> str:
    count = len(stride.nodes)
    return stride.path if count == 1 else f"{stride.path} and {count - 1:,} more"


def _reads(stride: Stride) -> list[str]:
    return [
        numbers.count(stride.rest),
        congruence(stride.sizes),
        congruence(stride.together),
    ]


def _joins(joins: Iterable[Join]) -> Table:
    columns = [Column("joined at", gives=True), Column("sizes"), Column("agree for")]
    rows = [
        [
            f"{join.path}{_line(join)}",
            f"{numbers.count(expand(join.left))} and {numbers.count(expand(join.right))}",
            join.verdict if join.sizes is None or join.sizes.empty else congruence(join.sizes),
        ]
        for join in joins
        if join.verdict != "always"
    ]
    once = {str(row): row for row in rows}
    return Table("Branches that are joined, and do not always agree", columns, [*once.values()])


def _features(fit: Fit) -> str:
    node = fit.features
    assert node is not None
    shape = [expand(size) for size in fit.flow.shapes[node.index][1:]]
    text = f"The last map is {node.path}: {numbers.shape(shape)}"
    if all(name in fit.declared for size in shape for name in symbols(size)):
        own = [evaluate(size, fit.declared) for size in shape]
        text += f", {numbers.shape(own)} at the design's own input"
    return f"{text}."


def _shifts(report: FitReport) -> Iterator[str]:
    """By how much the input may be shifted so that features follow, and what padding does to it."""
    found = report.equivariance
    for node in found.features[:SHOWN]:
        of = {name: axes for name, axes in found.by_node[node.index].items() if axes}
        along = [
            {name: axis for name, axis in zip(of, axes, strict=True) if isinstance(axis, Shift)}
            for axes in zip(*of.values(), strict=True)
        ]
        alike = len({str(shifts) for shifts in along}) == 1
        for number, shifts in enumerate(along[:1] if alike else along):
            axis = AXES[len(along)][number]
            where = "" if alike else f" along the {axis}"
            noun = STEPS[axis][0] if where or len(along) == 1 else "row"
            several = len(found.graph.inputs) > 1
            yield f"{_shift(node, shifts, where, noun, several=several)}."
    if not found.features:
        yield f"No layer follows shifts of the input: {_lost(found)}."
    elif len(found.features) > SHOWN:
        yield f"{len(found.features) - SHOWN:,} more layers are the last to follow shifts."


def _shift(node: Node, shifts: Mapping[str, Shift], where: str, noun: str, *, several: bool) -> str:
    """noun: what lies along the axis. several: the network has other inputs, so that those that are
    shifted are named."""
    rows = {
        f"of {name}" if several else "of the input": numbers.plural(shift.shift, noun)
        for name, shift in shifts.items()
    }
    kept = next(iter(shifts.values()))
    together = " and ".join(f"{name} by {count}" for name, count in rows.items())
    if len(rows) > 1:
        what = f"{where} {together}"
    else:
        what = f" {together.replace(' by ', f'{where} by ')}"
    text = f"A shift{what} moves {node.path}{_at(node)} by "
    text += f"{numbers.plural(kept.moves, 'place')}"
    if kept.border is None:
        return f"{text} exactly, away from padding"
    if kept.inner is None:
        return f"{text} exactly, away from padding, which reaches all of it"
    start, end = kept.border
    if not start and not end:
        return f"{text} exactly: there is no padding"
    return (
        f"{text} exactly, but for the first {start} and the last {end} of {kept.places}, in which "
        "padding has a part"
    )


def _lost(found: Equivariance) -> str:
    """Why the first layer follows no shift."""
    for node in found.graph.layers:
        for several in found.by_node[node.index].values():
            for axis in several:
                if isinstance(axis, str):
                    return f"{node.path}{_at(node)}: {axis}"
    return "nothing depends on its places"


def _at(node: Node) -> str:
    return f" (line {node.place.line})" if node.place else ""


def _inverse(fit: Fit, found: Inverse) -> str:
    wanted = numbers.TIMES.join("any" if w is None else str(w) for w in found.wanted)
    if not found.possible:
        return f"No valid input gives {wanted} at {found.path}."
    told = []
    for names, sizes in _equal_sizes(found.sizes):
        text = f"{names} {_set(sizes.solutions)}"
        fitting = fit.axis(names.split(" ")[0]).exact.solutions & sizes.solutions
        if not fitting.empty:
            text += f" ({_set(fitting)} fits exactly)"
        told.append(_labelled(sizes, text))
    return f"{wanted} at {found.path} comes of {', '.join(told)}."


def _equal_sizes(sizes: dict[str, Sizes]) -> list[tuple[str, Sizes]]:
    """Open sizes with the same answer together."""
    groups: list[tuple[list[str], Sizes]] = []
    for name, one in sizes.items():
        for names, other in groups:
            if other.solutions == one.solutions and other.answer is one.answer:
                names.append(name)
                break
        else:
            groups.append(([name], one))
    return [(" and ".join(names), one) for names, one in groups]


def _set(solutions: Solutions) -> str:
    return intervals(solutions) if solutions.finite else congruence(solutions)


def _kept(fit: Fit, kept: Kept) -> str:
    first = kept.pinned[0]
    more = f" and {len(kept.pinned) - 1:,} more" if len(kept.pinned) > 1 else ""
    text = (
        f"The weights keep their shape ({first.path}{_line(first)}, {first.tensor}: "
        f"{numbers.count(first.size)} = {first.value:,}{more}{_where(first.size)})"
    )
    if kept.boxes is None:
        return f"{text}: for which sizes is unknown: {kept.reason}."
    own = [box for box in kept.boxes if _is_own(fit, box)]
    others = [box for box in kept.boxes if not _is_own(fit, box)]
    told = [_box(box) for box in (*own, *others)[:SHOWN]]
    hidden = len(kept.boxes) - len(told)
    if hidden:
        told.append(f"{numbers.plural(hidden, 'more choice')}, which --format json lists")
    return f"{text} for {'; or '.join(told)}." if told else f"{text} for no valid size."


def _where(size: Size) -> str:
    """What the names in a size stand for."""
    named = definitions(size) if isinstance(size, Formula) else {}
    told = [f"{name} = {numbers.count(body)}" for name, body in named.items()]
    return f"; {', '.join(told)}" if told else ""


def _is_own(fit: Fit, box: dict[str, Solutions]) -> bool:
    return all(name in fit.declared and fit.declared[name] in sizes for name, sizes in box.items())


def _box(box: dict[str, Solutions]) -> str:
    from convcalc.analysis.fit import Sizes

    named = {name: Sizes(solutions) for name, solutions in box.items()}
    return ", ".join(f"{names} {_set(s.solutions)}" for names, s in _equal_sizes(named))


def _budget(fit: Fit, found: Largest) -> str:
    in_bytes = found.figure.startswith("memory")
    amount = _bytes if in_bytes else numbers.count
    name = " = ".join(found.of)
    what = "batch" if found.of == ("N",) else "input"
    at = _elsewhere(fit, found)
    head = f"{found.figure} ≤ {amount(found.budget)}: "
    unit = "" if found.answer is Answer.PROVED else f" (unknown: {found.reason})"
    if found.unbounded:
        return f"{head}every {what}{at} keeps it: {found.reason}."
    if found.size is None:
        beyond = found.beyond
        least = (
            f": {name} = {beyond[0]:,} has {amount(beyond[1])}" if beyond else f": {found.reason}"
        )
        return f"{head}no {what}{at} keeps it{least}."
    text = (
        f"{head}the largest {what}{at} is {name} = {found.size:,}, with {amount(found.value or 0)}"
    )
    if found.beyond is not None:
        text += f"; {found.beyond[0]:,} has {amount(found.beyond[1])}"
    elif found.answer is Answer.PROVED:
        text += "; no larger one is valid"
    if found.fitting is not None and found.fitting != found.size:
        text += f"; the largest that fits exactly is {found.fitting:,}"
    return f"{text}{unit}."


def _bytes(size: Size) -> str:
    assert isinstance(size, int)
    return f"{numbers.memory(size)} ({size:,} bytes)"


def _elsewhere(fit: Fit, found: Largest) -> str:
    """At what the other sizes are held."""
    own = [f"{n} = {s:,}" for n, s in fit.declared.items() if n not in found.of]
    if found.of != ("N",) and found.figure != "params":
        own.append(f"batch {fit.batch:,}")
    return f" at {', '.join(own)}" if own else ""


def _verified(report: Report) -> str:
    count = len(report.comparisons)
    if not count:
        return "Not verified: there is no valid size at which to run PyTorch."
    where = f"PyTorch {report.torch} on {report.device}, {report.seconds:.1f} s"
    if report.ok:
        agree = "agrees" if count == 1 else "agree"
        told = numbers.plural(count, "figure")
        return f"Verified: {told} at boundary sizes {agree} with {where}."
    lines = [f"{len(report.failures)} of {count} boundary figures disagree with {where}:"]
    lines += [f"  {comparison}" for comparison in report.failures[:FAILURES]]
    if len(report.failures) > FAILURES:
        lines.append(f"  and {len(report.failures) - FAILURES:,} more, which --format json lists")
    return "\n".join(lines)


# ---------------------------------------------------------------------------- JSON


def as_dict(report: FitReport) -> dict[str, Any]:
    """What `convcalc fit --format json` prints, as plain Python values."""
    from convcalc.report.json import header, plain, shapes

    fit = report.fit
    result: dict[str, Any] = {
        **header(),
        "name": report.network.name,
        "file": report.network.file,
        "variant": report.network.variant,
        "input": shapes(fit.flow.inputs),
        "declared": dict(fit.declared),
        "axes": [_axis_dict(fit, axis) for axis in fit.axes],
        "square": None if fit.square is None else _axis_dict(fit, fit.square),
        "features": None,
        "weights": None if report.kept is None else _kept_dict(report.kept),
        "equivariance": _shifts_dict(report.equivariance),
        "outputs": [_inverse_dict(found) for found in report.inverses],
        "budgets": [_budget_dict(found) for found in report.budgets],
        "verified": None,
    }
    if fit.features is not None:
        shape = [expand(size) for size in fit.flow.shapes[fit.features.index]]
        result["features"] = {"path": fit.features.path, "output": plain(shape)}
    if report.verified is not None:
        result["verified"] = _verified_dict(report.verified)
    return result


def _shifts_dict(found: Equivariance) -> list[dict[str, Any]]:
    """The last layers that follow shifts: for each axis of each input the shift, by how many places
    it moves them, and in how many padding has a part at the start and end (null: sizes are open).
    """
    return [
        {
            "path": node.path,
            "input": input,
            "axes": [
                {
                    "shift": axis.shift,
                    "moves": axis.moves,
                    "places": axis.places if isinstance(axis.places, int) else None,
                    "border": None if axis.border is None else list(axis.border),
                }
                for axis in several
                if isinstance(axis, Shift)
            ],
        }
        for node in found.features
        for input, several in found.by_node[node.index].items()
    ]


def _axis_dict(fit: Fit, axis: Axis) -> dict[str, Any]:
    limit = axis.limit
    return {
        "names": list(axis.names),
        "exact": _sizes_dict(axis.exact),
        "complete": _sizes_dict(axis.complete),
        "valid": _sizes_dict(axis.valid),
        "smallest": axis.smallest,
        "smallest_fitting": axis.fitting.smallest,
        "limit": None
        if limit is None
        else {"path": limit.path, "message": str(_refused(fit, axis, limit))},
        "strides": [
            {
                "path": stride.path,
                "paths": [node.path for node in stride.nodes],
                "stride": stride.stride,
                "divides": _text(stride.rest),
                "sizes": as_json(stride.sizes),
                "together": as_json(stride.together),
            }
            for stride in axis.strides
        ],
        "conflict": [stride.path for stride in axis.conflict],
        "joins": [
            {
                "path": join.path,
                "left": _text(expand(join.left)),
                "right": _text(expand(join.right)),
                "verdict": join.verdict,
                "sizes": None if join.sizes is None else as_json(join.sizes),
            }
            for join in axis.joins
        ],
        "agreeing": axis.agreeing,
    }


def _sizes_dict(sizes: Sizes) -> dict[str, Any]:
    return {
        "answer": sizes.answer.value,
        **as_json(sizes.solutions),
        "undecided": [
            {"path": u.path, "condition": u.what, "reason": u.reason} for u in sizes.undecided
        ],
    }


def _text(size: Size) -> int | str:
    return size if isinstance(size, int) else str(size)


def _kept_dict(kept: Kept) -> dict[str, Any]:
    return {
        "pinned": [
            {"path": p.path, "tensor": p.tensor, "size": _text(p.size), "value": p.value}
            for p in kept.pinned
        ],
        "sizes": {
            name: str(body) for p in kept.pinned for name, body in definitions(p.size).items()
        },
        "answer": "unknown" if kept.boxes is None else "proved",
        "reason": kept.reason,
        "choices": [
            {name: as_json(solutions) for name, solutions in box.items()}
            for box in kept.boxes or ()
        ],
        "square": None if kept.square is None else _sizes_dict(kept.square),
    }


def _inverse_dict(found: Inverse) -> dict[str, Any]:
    return {
        "path": found.path,
        "wanted": list(found.wanted),
        "sizes": {name: _sizes_dict(sizes) for name, sizes in found.sizes.items()},
    }


def _budget_dict(found: Largest) -> dict[str, Any]:
    return {
        "figure": found.figure,
        "budget": found.budget,
        "of": list(found.of),
        "largest": found.size,
        "unbounded": found.unbounded,
        "value": found.value,
        "beyond": None if found.beyond is None else list(found.beyond),
        "largest_fitting": found.fitting,
        "answer": found.answer.value,
        "reason": found.reason,
    }


def _verified_dict(report: Report) -> dict[str, Any]:
    from convcalc.report.json import comparisons

    return {
        "ok": report.ok,
        "device": report.device,
        "torch": report.torch,
        "seconds": round(report.seconds, 3),
        "comparisons": comparisons(report.comparisons),
    }
