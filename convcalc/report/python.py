"""Figures as Python source: a function of the sizes left open, of plain integer arithmetic.

It needs nothing but Python, and gives what `convcalc summary --format json` gives at these sizes.
"""

from __future__ import annotations

from json import dumps

from convcalc._version import __version__
from convcalc.analysis.summary import MACS_CONVENTION
from convcalc.integers import Formula
from convcalc.integers.evaluation import symbols
from convcalc.integers.printing import to_python
from convcalc.report import memory, numbers, titles
from convcalc.report.sums import packed, terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from convcalc.analysis.summary import Layer, Summary
    from convcalc.integers import Size
    from convcalc.ops.base import Condition

_WIDTH = 96
_LAYER = ("params", "buffers", "macs", "output_bytes", "weights_bytes")
_MEMORY = ("allocated_bytes", "saved_bytes")
_WORDS = {"N": "batch", "H": "height", "W": "width", "D": "depth", "L": "length"}


def summary(report: Summary) -> str:
    """The source of one function, of the symbols that the figures depend on."""
    opened = open_sizes(report)
    lines = [
        f'"""{_title(report)}: sizes and figures, written by convcalc {__version__}.',
        "",
        f"{MACS_CONVENTION}.",
        *filter(None, [memory.no_formula(report)]),
        '"""',
        "",
        "",
        f"def {function_name(report)}({', '.join(opened)}):",
        *_docstring(report, opened),
    ]
    for name, definition in report.definitions().items():
        lines += _assigned(name, definition)
    lines += _guard(report, opened)
    lines.append("    layers = {")
    names = _LAYER if report.no_memory_formula else _LAYER + _MEMORY
    lines += [f"        {dumps(layer.path)}: {_layer(layer, names)}," for layer in report.layers]
    lines += ["    }", "    return {", f'        "input": {_shapes(report.inputs)},']
    lines.append(f'        "outputs": {_shapes(report.outputs)},')
    if report.aux_outputs:
        lines.append(f'        "aux_outputs": {_shapes(report.aux_outputs)},')
    lines += ['        "layers": layers,', '        "totals": {']
    for name, size in totals(report).items():
        lines += _entry(name, size)
    lines += ["        },", "    }"]
    return "\n".join(lines)


def totals(report: Summary) -> dict[str, Size]:
    """Every total that is a number or a formula, memory included; peaks are neither."""
    figures = report.totals.as_dict()
    for name in ("volumes", "allocated_bytes", "saved_bytes", "gradients_bytes"):
        if name not in _MEMORY or report.no_memory_formula is None:
            figures[name] = getattr(report.totals, name)
    return {name: size for name, size in figures.items() if isinstance(size, (int, Formula))}


def open_sizes(report: Summary) -> list[str]:
    """The symbols that stand in the inputs, the batch and open vars: N first."""
    found: dict[str, None] = {}
    for shape in report.inputs.values():
        for size in shape:
            if isinstance(size, Formula):
                found |= dict.fromkeys(symbols(size))
    return [*found, *(name for name in report.graph.open_vars if name not in found)]


def function_name(report: Summary) -> str:
    """The variant's or the file's name, as far as it can name a function."""
    from keyword import iskeyword
    from os.path import basename

    stem = basename(report.file or "").partition(".")[0]
    for name in (report.variant or "", stem, report.name):
        word = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower())
        word = "_".join(part for part in word.split("_") if part)
        if word and not word[0].isdecimal() and not iskeyword(word):
            return word
    return "network"


def _title(report: Summary) -> str:
    return (
        " ".join(titles.design(report).split()).replace("\\", "/").replace('"', "'")
    )  # whatever ends a string


def _docstring(report: Summary, opened: Iterable[str]) -> Iterator[str]:
    told = [f"{_WORDS[name]} {name}" if name in _WORDS else name for name in opened]
    batch = numbers.count(report.batch)
    yield f'    """The figures at {titles.inputs(report.inputs)}, batch {batch}, {report.dtype}.'
    yield ""
    if told:
        yield f"    {', '.join(told)}: ints of at least 1. Raises ValueError for sizes that a layer"
        yield "    does not accept. Layers by their paths, shapes with the batch first."
    else:
        yield "    Layers by their paths, shapes with the batch first."
    yield '    """'


def _assigned(name: str, size: Size) -> Iterator[str]:
    yield f"    {name} = {to_python(size)}"


def _guard(report: Summary, opened: list[str]) -> list[str]:
    """What must hold, each demand once, without those that others imply."""
    demands = list(_demands(report, opened))
    if not demands:
        return []
    parts = [demands[0], *(f"and {demand}" for demand in demands[1:])]
    lines = ["    accepted = (", *(f"        {line}" for line in packed(parts, _WIDTH - 8))]
    told = ", ".join(f"{name}={{{name}}}" for name in opened)
    name = _title(report).replace("{", "{{").replace("}", "}}")
    message = f'f"{name} does not accept {told}"'
    return [*lines, "    )", "    if not accepted:", f"        raise ValueError({message})"]


def _demands(report: Summary, opened: list[str]) -> Iterator[str]:
    from convcalc.integers import symbol

    least: dict[frozenset[object], tuple[int, Formula]] = {}  # terms but the constant → constant
    others: dict[str, None] = {}

    def at_least(left: Size, right: Size) -> None:
        ahead = left - right
        if not isinstance(ahead, Formula):
            return
        constant = ahead._terms.get((), 0)
        key = (ahead - constant).key
        known = least.get(key)
        if known is None or constant < known[0]:
            least[key] = constant, ahead - constant

    for name in opened:
        at_least(symbol(name), 1)
    for _, condition in report.flow.open_conditions:
        if condition.kind == "at_least":
            at_least(condition.left, condition.right)
        else:
            others[_demand(condition)] = None
    for constant, rest in least.values():
        yield _ahead(rest, constant)
    yield from others


def _ahead(rest: Formula, constant: int) -> str:
    """rest + constant >= 0, with what is subtracted on the other side."""
    left = Formula({monomial: c for monomial, c in rest._terms.items() if c > 0})
    if left.constant == 0:
        return f"{to_python(-rest)} <= {constant}"
    return f"{to_python(left)} >= {to_python(left - rest - constant)}"


def _demand(condition: Condition) -> str:
    left, right = to_python(condition.left), to_python(condition.right)
    if condition.kind == "equal":
        return f"{left} == {right}"
    divisor = right if right.isalnum() else f"({right})"
    if isinstance(condition.left, Formula) and not left.isalnum():
        left = f"({left})"
    if isinstance(condition.right, int):
        return f"{left} % {divisor} == 0"
    return f"({right}) != 0 and {left} % {divisor} == 0"


def _layer(layer: Layer, names: Iterable[str]) -> str:
    figures = {"output": _shape(layer.output)}
    figures |= {name: to_python(getattr(layer, name)) for name in names}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in figures.items()) + "}"


def _shape(shape: Iterable[Size]) -> str:
    texts = [to_python(size) for size in shape]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _shapes(named: Mapping[str, Iterable[Size]]) -> str:
    return "{" + ", ".join(f"{dumps(name)}: {_shape(shape)}" for name, shape in named.items()) + "}"


def _entry(name: str, size: Size) -> list[str]:
    """One line of a dict, a long sum on several."""
    text = to_python(size)
    head = f'            "{name}": '
    if len(head) + len(text) < _WIDTH:
        return [f"{head}{text},"]
    lines = packed(terms(text), _WIDTH - 16)
    return [f"{head}(", *(f"                {line}" for line in lines), "            ),"]
