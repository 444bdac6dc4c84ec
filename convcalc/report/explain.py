"""How figures come about, as text, Markdown and JSON: of one layer, and of a network's layers."""

from __future__ import annotations

from convcalc.integers import Formula, expand
from convcalc.ops.explanation import LEGEND, axis_names
from convcalc.report import memory, numbers, titles
from convcalc.report.grid import PLAIN, Column, Row, draw
from convcalc.report.table import warning_lines, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from convcalc.analysis.explain import Derivation, Explained, Sharing
    from convcalc.analysis.solve import Solution, Solved
    from convcalc.analysis.strides import AxisFit, Reading
    from convcalc.analysis.summary import Layer, Summary
    from convcalc.integers import Size
    from convcalc.ops.explanation import Rule
    from convcalc.report.grid import Style
    from convcalc.single import LayerReport

#: So many solutions are told; JSON has all that were kept.
SHOWN = 12

_LABELS = {
    "params": "parameters",
    "buffers": "buffers",
    "macs": "MACs",
    "output_bytes": "output bytes",
    "saved_bytes": "saved bytes",
}
#: What lies along an axis, one and several.
STEPS = {
    "length": ("position", "positions"),
    "depth": ("slice", "slices"),
    "height": ("row", "rows"),
    "width": ("column", "columns"),
}
_KEPT = "as it flows in"


class Line:
    """One rule, or several that say the same of several axes."""

    __slots__ = ("axes", "kind", "rule")

    def __init__(self, kind: str, rule: Rule) -> None:
        self.kind = kind
        self.rule = rule
        self.axes: list[str] = []

    @property
    def label(self) -> str:
        """height, width; receptive field; jump, height"""
        return ", ".join([self.kind, *self.axes] if self.kind else self.axes)

    @property
    def value(self) -> str:
        value = self.rule.value
        text = numbers.count(value) if isinstance(value, (int, Formula)) else str(value)
        if self.kind.endswith("bytes") and isinstance(value, int) and value >= 1024:
            text += f" ({numbers.memory(value)})"
        return text

    @property
    def steps(self) -> list[str]:
        """The rule, its numbers, what comes out; each once."""
        steps = [self.rule.text]
        if self.rule.substituted != str(self.rule.value):
            steps.append(self.rule.in_numbers(numbers.count))
        return [*(step for step in steps if step), self.value]

    @property
    def text(self) -> str:
        note = f"   ({self.rule.note})" if self.rule.note else ""
        return " = ".join(self.steps) + note


def lines_of(rules: Iterable[Rule], *, kept: bool = True) -> list[Line]:
    """The rules, those alike of several axes as one. kept: also those of sizes that stay."""
    rules = list(rules)
    lines: list[Line] = []
    known: dict[tuple[str, ...], Line] = {}
    spatial = sum(rule.figure in STEPS for rule in rules)
    for rule in rules:
        kind, axis = _parts(rule.figure)
        if not kept and (rule.note == _KEPT or (kind != "size" and _stays(rule))):
            continue
        alike = kind if axis != "channels" else axis
        key = (alike, rule.note, rule.substituted, str(rule.value))
        same = known.get(key) if axis else None
        if same is not None:
            same.axes.append(axis)
            continue
        line = Line(_LABELS.get(rule.figure, "" if kind == "size" else kind), rule)
        line.axes += [axis] if axis else []
        lines.append(line)
        if axis:
            known[key] = line
    for kind in ("receptive field", "jump"):
        alone = [line for line in lines if line.kind == kind]
        if len(alone) == 1 and len(alone[0].axes) >= spatial:
            alone[0].axes = []  # it is that of all axes
    return lines


def _parts(figure: str) -> tuple[str, str]:
    """What kind of figure it is, and of which axis."""
    for prefix, kind in (("receptive_field_", "receptive field"), ("jump_", "jump")):
        if figure.startswith(prefix):
            return kind, figure.removeprefix(prefix)
    return ("figure", "") if figure in _LABELS else ("size", figure)


def _stays(rule: Rule) -> bool:
    return rule.form in ("{field in}", "{jump in}")


def legend(lines: Iterable[Line]) -> str:
    """What the letters mean that stand in the rules."""
    letters = dict.fromkeys(
        name.split("_")[0]
        for line in lines
        if line.rule.text != line.rule.substituted
        for name in line.rule.values
    )
    told = [f"{letter} {LEGEND[letter]}" for letter in LEGEND if letter in letters]
    primes = any(letter.endswith("'") for letter in letters)
    if primes:
        told.append("with ' what comes out")
    return ", ".join(told)


def _told(summary: Summary, lines: Iterable[Line]) -> Iterator[str]:
    """What the letters mean, what the named sizes are, and why there is no memory, once."""
    letters = legend(lines)
    if letters:
        yield f"{letters}."
    sizes = summary.definitions()
    if sizes:
        yield ", ".join(f"{name} = {numbers.count(size)}" for name, size in sizes.items()) + "."
    missing = memory.no_formula(summary)
    if missing:
        yield missing


# ---------------------------------------------------------------------------- one layer


def layer_text(report: LayerReport, *, width: int | None = None, style: Style = PLAIN) -> str:
    """For people: rules, whether it fits, what it saves, and what was found for each `?`."""
    out: list[str] = []
    if report.solved is not None:
        out += [*_solutions_text(report, width, style), ""]
    if report.layer is None or report.derivation is None or report.summary is None:
        return "\n".join(out).rstrip()
    out += [style(_title(report.layer), "bold"), style(_subtitle(report.summary), "dim"), ""]
    lines = lines_of(report.derivation.rules)
    out += _rule_lines(lines, width, style)
    out.append("")
    for paragraph in _told(report.summary, lines):
        out += [*wrapped(paragraph, width), ""]
    for paragraph in _paragraphs(report):
        out += [*wrapped(paragraph, width), ""]
    if report.derivation.sharing is not None:
        out += [*_sharing_table(report.derivation.sharing, width, style), ""]
    out += list(warning_lines(report.summary, width, style))[1:] if _warned(report) else []
    return "\n".join(out).rstrip()


def layer_markdown(report: LayerReport) -> str:
    """The same for an issue or lecture notes."""
    from convcalc.report.markdown import table

    out: list[str] = []
    if report.solved is not None:
        columns, rows = _solutions(report)
        out += [_found(report), "", *(table(columns, rows) if rows else []), ""]
    if report.layer is None or report.derivation is None or report.summary is None:
        return "\n".join(out).rstrip()
    out += [f"**{_title(report.layer)}** ({_subtitle(report.summary)})", ""]
    lines = lines_of(report.derivation.rules)
    out += [*_rule_table(lines), ""]
    for paragraph in (*_told(report.summary, lines), *_paragraphs(report)):
        out += [paragraph, ""]
    if report.derivation.sharing is not None:
        columns, rows = _sharing(report.derivation.sharing)
        out += [*table(columns, rows), ""]
    out += list(warning_lines(report.summary))[1:] if _warned(report) else []
    return "\n".join(out).rstrip()


def layer_dict(report: LayerReport) -> dict[str, Any]:
    """What `convcalc layer --format json` prints, as plain Python values."""
    from convcalc.report import json

    result: dict[str, Any] = {**json.header(), "layer": report.expression, "ok": report.ok}
    summary, layer = report.summary, report.layer
    if report.wanted is not None:
        result["wanted"] = list(report.wanted)
    if report.solved is not None:
        result["solved"] = _solved_dict(report.solved)
    if summary is None or layer is None or report.derivation is None:
        return result
    result |= {
        "op": layer.op.name(),
        "args": json.plain(layer.args),
        "input": json.shapes(summary.inputs),
        "batch": json.plain(summary.batch),
        "dtype": summary.dtype,
        "output": json.plain(layer.output),
        "params": _plain(layer.params),
        "buffers": _plain(layer.buffers),
        "macs": _plain(layer.macs),
        "output_bytes": _plain(layer.output_bytes),
        "receptive_field": list(layer.receptive_field),
        "jump": json.plain(layer.jump),
        "offset": json.plain(layer.offset),
        "fits": report.fits,
        **derivation_dict(report.derivation),
        **_sizes_dict(summary),
        "warnings": [json.problem(warning) for warning in report.warnings],
    }
    return result


def derivation_dict(derivation: Derivation) -> dict[str, Any]:
    """The rules of a layer, what its sharing saves, and its axes."""
    sharing = derivation.sharing
    return {
        "allocated_bytes": _plain(derivation.memory.allocated),
        "saved_bytes": _plain(derivation.memory.saved),
        "rules": [_rule_dict(rule) for rule in derivation.rules],
        "sharing": None
        if sharing is None
        else {name: _plain(size) for name, size in sharing.as_dict().items()},
        "axes": [fit.as_dict() for fit in derivation.fits],
    }


def _sizes_dict(summary: Summary) -> dict[str, Any]:
    """What the named sizes are, and why there are no formulas of memory, where there are none."""
    found: dict[str, Any] = {
        "sizes": {name: str(size) for name, size in summary.definitions().items()}
    }
    if summary.no_memory_formula is not None:
        found["no_memory_formula"] = summary.no_memory_formula
    return found


def _rule_dict(rule: Rule) -> dict[str, Any]:
    return {name: _plain(value) for name, value in rule.as_dict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Formula):
        return str(value)
    return value if value is None or isinstance(value, (int, str)) else str(value)


def _title(layer: Layer) -> str:
    shapes = " and ".join(numbers.shape(map(expand, shape[1:])) for shape in layer.input_shapes)
    return f"{layer.op}: {shapes} → {numbers.shape(map(expand, layer.output[1:]))}"


def _subtitle(summary: Summary) -> str:
    return f"batch {summary.batch}; {summary.dtype}"


def _rule_lines(
    lines: Sequence[Line], width: int | None, style: Style, indent: str = ""
) -> list[str]:
    room = max((len(line.label) for line in lines), default=0) + 2
    out = []
    for line in lines:
        text = wrapped(line.text, None if width is None else max(24, width - room - len(indent)))
        out.append(f"{indent}{style(line.label.ljust(room), 'dim')}{text[0]}")
        out += [f"{indent}{' ' * room}{more.strip()}" for more in text[1:]]
    return out


def _rule_table(lines: Sequence[Line]) -> list[str]:
    from convcalc.report.markdown import table

    columns = [Column("figure"), Column("rule"), Column("in numbers"), Column("", right=True)]
    rows = []
    for line in lines:
        *steps, value = line.steps
        if len(steps) == 1:
            steps.append("")
        note = f" ({line.rule.note})" if line.rule.note else ""
        rows.append([line.label, (steps or ["", ""])[0] + note, (steps or ["", ""])[1], value])
    return table(columns, rows)


# ---------------------------------------------------------------------------- fit, sharing


def _paragraphs(report: LayerReport) -> Iterator[str]:
    derivation = report.derivation
    assert derivation is not None
    if report.wanted is not None and report.solved is None:
        wanted = numbers.TIMES.join("?" if size is None else str(size) for size in report.wanted)
        made = numbers.shape(map(expand, report.layer.output[1:])) if report.layer else numbers.NONE
        if report.ok:
            yield f"Wanted: {wanted}. That is what comes out."
        else:
            yield f"Wanted: {wanted}, but {made} comes out. Put ? for a number to have it found."
    if derivation.fits:
        yield from fit_sentences(derivation.fits)


def fit_sentences(fits: Sequence[AxisFit]) -> Iterator[str]:
    """Whether the stride divides, which rows are never read, and what near would fit."""
    groups: dict[str, list[AxisFit]] = {}
    for fit in fits:
        groups.setdefault(str({**fit.as_dict(), "axis": None, "size": str(fit.size)}), []).append(
            fit
        )
    for group in groups.values():
        yield _fit_sentence(group)


def _fit_sentence(group: Sequence[AxisFit]) -> str:
    first = group[0]
    along = " and ".join(fit.name for fit in group)
    rows = [STEPS.get(fit.name, ("row", "rows")) for fit in group]
    one, many = (" and ".join(words[i] for words in rows) for i in (0, 1))
    unread = _unread(first, one, many)
    if first.fits is None:
        if first.residue is None:
            return f"Whether it fits along {along} cannot be told while the size is open."
        if first.stride == 1:
            return f"Fits every {along}: the stride is 1."
        return f"Fits where {along} is {first.residue} (mod {first.stride})."
    if first.fits:
        if unread:
            return f"The stride {first.stride} fits {along}, but {unread}."
        return f"Fits: the stride {first.stride} divides the {along}; every {one} is read."
    text = f"Does not fit: {first.rest} is left over along {along}; "
    text += unread or f"what is left over is padding: every {one} is read"
    sizes = " or ".join(map(str, first.sizes))
    text += f". Nearest that fit: {along} {sizes}"
    for name, values in first.near.items():
        text += f"; {name}={' or '.join(map(str, values))}"
    return text + "."


def _unread(fit: AxisFit, one: str, many: str) -> str:
    count = fit.unread_rows
    if count is None:
        return f"which {many} are read is not told"
    if not count:
        return ""
    if not fit.unread:
        return (
            f"{count:,} {one} is never read" if count == 1 else f"{count:,} {many} are never read"
        )
    runs = [f"{a}" if a == b else f"{a}–{b}" for a, b in fit.unread[:6]]
    more = "…" if len(fit.unread) > 6 else ""
    where = ", ".join(runs) + (f", {more}" if more else "")
    if count == 1:
        return f"{one} {where} (from 0) is never read"
    return f"{count:,} {many} are never read: {where} (from 0)"


def _sharing(sharing: Sharing) -> tuple[list[Column], list[list[str]]]:
    columns = [Column("in its place", gives=True), Column("parameters", right=True)]
    columns.append(Column("times", right=True))
    places = numbers.count(sharing.places)
    rows = [
        ["this layer", numbers.count(sharing.params), "1"],
        [
            f"locally connected: a kernel of its own at each of {places} places",
            numbers.count(sharing.unshared),
            _times(sharing.unshared, sharing.params),
        ],
        [
            "dense: every output sees every input",
            numbers.count(sharing.dense),
            _times(sharing.dense, sharing.params),
        ],
    ]
    return columns, rows


def _sharing_table(sharing: Sharing, width: int | None, style: Style) -> list[str]:
    columns, rows = _sharing(sharing)
    return draw(columns, [Row(cells) for cells in rows], width=width, style=style)


def _times(more: Size, less: Size) -> str:
    """How many times as much, with one decimal where it is not whole."""
    if not (isinstance(more, int) and isinstance(less, int)) or not less:
        return numbers.NONE
    tenths = (20 * more + less) // (2 * less)
    return f"{tenths // 10:,}" if more % less == 0 else f"{tenths // 10:,}.{tenths % 10}"


def _warned(report: LayerReport) -> bool:
    """Whether warnings say more than what stands there already."""
    return any(warning.code != "rows-dropped" for warning in report.warnings)


# ---------------------------------------------------------------------------- solutions


def _found(report: LayerReport) -> str:
    solved = report.solved
    assert solved is not None
    wanted = numbers.TIMES.join("?" if s is None else str(s) for s in report.wanted or ())
    ranges = ", ".join(
        f"{name} {first}" if first == last else f"{name} {first}–{last}"
        for name, (first, last) in solved.ranges.items()
    )
    count = numbers.plural(solved.count, "solution") if solved.count else "no solution"
    text = f"{report.expression} → {wanted}: {count} among {ranges}"
    fitting = [solution.fits for solution in solved.solutions]
    if None not in fitting and len(fitting) == solved.count > 1:
        exact = fitting.count(True)
        some = "all" if exact == solved.count else str(exact or "none")
        text += f", {some} of which {'fits' if exact == 1 else 'fit'} exactly"
    text += "."
    if not solved.solutions and solved.nearest:
        text += " The nearest:"
    elif len(solved.solutions) > SHOWN:
        text += f" The first {SHOWN}:"
    return text


def _solutions(report: LayerReport) -> tuple[list[Column], list[list[str]]]:
    solved = report.solved
    assert solved is not None
    columns = [Column(name, right=True) for name in solved.ranges]
    columns += [Column("layer", gives=True), Column("input"), Column("output")]
    shown = (solved.solutions or solved.nearest)[:SHOWN]
    windows = any(found.readings for found in shown)
    if windows:
        columns.append(Column("fits"))
    rows = [_solution(found, windows) for found in shown]
    return columns, rows


def _solution(found: Solution, windows: bool) -> list[str]:
    cells = [
        *(str(value) for value in found.values.values()),
        str(found.op),
        numbers.shape(found.inputs[0][1:]),
        numbers.shape(found.output[1:]),
    ]
    if windows:
        cells.append(_readings(found.readings))
    return cells


def _readings(readings: Sequence[Reading]) -> str:
    """Whether a layer fits, in a few words; of each axis where they differ."""
    told = [_reading(reading) for reading in readings]
    if len(set(told)) < 2:
        return told[0] if told else numbers.NONE
    names = axis_names(len(told) + 2, "channels")[1:]
    return "; ".join(f"{name} {words}" for name, words in zip(names, told, strict=True))


def _reading(reading: Reading) -> str:
    """Of one axis whether the layer fits, in a few words."""
    if reading.exact:
        return "exactly"
    if reading.unread is None:
        return f"{reading.rest} left over"
    if reading.unread:
        return f"{reading.unread:,} never read"
    return f"{reading.rest} left over, in padding"


def _solutions_text(report: LayerReport, width: int | None, style: Style) -> list[str]:
    columns, rows = _solutions(report)
    lines = wrapped(_found(report), width)
    if rows:
        lines += ["", *draw(columns, [Row(cells) for cells in rows], width=width, style=style)]
    return lines


def _solved_dict(solved: Solved) -> dict[str, Any]:
    def told(found: Iterable[Solution]) -> list[dict[str, Any]]:
        return [
            {
                "values": dict(s.values),
                "layer": str(s.op),
                "inputs": [list(shape[1:]) for shape in s.inputs],
                "output": list(s.output[1:]),
                "fits": s.fits,
                "unread_rows": [reading.unread for reading in s.readings],
            }
            for s in found
        ]

    return {
        "ranges": {name: list(ends) for name, ends in solved.ranges.items()},
        "count": solved.count,
        "solutions": told(solved.solutions),
        "nearest": told(solved.nearest),
    }


# ---------------------------------------------------------------------------- a network


def network_text(found: Explained, *, width: int | None = None, style: Style = PLAIN) -> str:
    """Every layer's rules, then the totals."""
    summary = found.summary
    out = [style(_network_title(found), "bold"), style(titles.flowing(summary), "dim")]
    every: list[Line] = []
    for derivation in found.layers:
        lines = lines_of(derivation.rules, kept=False)
        every += lines
        out += ["", style(_heading(derivation.layer), "bold")]
        out += _rule_lines(lines, width, style, "  ")
        for sentence in fit_sentences([f for f in derivation.fits if f.fits is False]):
            out += [f"  {line}" for line in wrapped(sentence, width and width - 2)]
    if found.totals:
        out += ["", style("Totals", "bold")]
        out += _rule_lines(_total_lines(found), width, style, "  ")
    for paragraph in _told(summary, every):
        out += ["", *wrapped(paragraph, width)]
    return "\n".join(out)


def network_markdown(found: Explained) -> str:
    """The same for an issue or lecture notes."""
    out = [f"**{_network_title(found)}** ({titles.flowing(found.summary)})"]
    every: list[Line] = []
    for derivation in found.layers:
        lines = lines_of(derivation.rules, kept=False)
        every += lines
        out += ["", f"`{_heading(derivation.layer)}`", ""]
        out += _rule_table(lines) if lines else ["as it flows in"]
        sentences = list(fit_sentences([f for f in derivation.fits if f.fits is False]))
        out += ["", *sentences] if sentences else []
    if found.totals:
        out += ["", "Totals", "", *_rule_table(_total_lines(found))]
    for paragraph in _told(found.summary, every):
        out += ["", paragraph]
    return "\n".join(out)


def network_dict(found: Explained) -> dict[str, Any]:
    """What `convcalc summary --explain --format json` prints, as plain Python values."""
    from convcalc.report import json

    summary = found.summary
    return {
        **json.header(),
        **json.design(summary),
        "layers": [
            {
                "path": derivation.layer.path,
                "op": derivation.layer.op.name(),
                "line": derivation.layer.line,
                "output": [_plain(size) for size in derivation.layer.output],
                **derivation_dict(derivation),
            }
            for derivation in found.layers
        ],
        "totals": [_rule_dict(rule) for rule in found.totals],
        **_sizes_dict(summary),
    }


def _total_lines(found: Explained) -> list[Line]:
    """Sums alone: their letters say nothing."""
    return [_Sum(_LABELS.get(rule.figure, rule.figure), rule) for rule in found.totals]


class _Sum(Line):
    __slots__ = ()

    @property
    def steps(self) -> list[str]:
        if self.rule.form == "{t1}":
            return [self.value]
        return [self.rule.in_numbers(numbers.count), self.value]


def _heading(layer: Layer) -> str:
    shapes = " and ".join(numbers.shape(map(expand, shape[1:])) for shape in layer.input_shapes)
    output = numbers.shape(map(expand, layer.output[1:]))
    line = f" (line {layer.line})" if layer.line else ""
    return f"{layer.path}{line}: {layer.op}: {shapes} → {output}"


def _network_title(found: Explained) -> str:
    summary = found.summary
    title = titles.design(summary)
    return f"{title}: {found.path}" if found.path else title
