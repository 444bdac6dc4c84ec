r"""Figures as LaTeX: the names of sizes, a table of layers, the totals. It needs amsmath, and for
long tables longtable.

Formulas are plain mathematics (`\cdot`, `\left\lfloor \frac{…}{…} \right\rfloor`), digits are not
grouped, so that what is pasted into a program is still a number.
"""

from __future__ import annotations

from convcalc._version import __version__
from convcalc.integers import symbol
from convcalc.integers.printing import to_latex
from convcalc.report import memory, python, titles
from convcalc.report.sums import packed, terms
from convcalc.report.table import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convcalc.analysis.summary import Summary
    from convcalc.integers import Size
    from convcalc.report.tree import Line

#: Tables of more rows than a page surely has room for are broken over pages.
PAGE = 40

_WIDTH = 90  # of a line of a sum, in characters of source
_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "$": r"\$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "×": r"$\times$",
        "→": r"$\to$",
        "…": r"\ldots{}",
        "·": r"$\cdot$",
        "²": "$^2$",
        "³": "$^3$",
    }
)
_TITLES = {"macs": "MACs", "aux_macs": "aux MACs"}


def summary(report: Summary, *, depth: int | None = None, everything: bool = False) -> str:
    """Names and totals as aligned equations, the layers as a table of the depth of the text's."""
    view = View(report, ["layer", "output", "params", "macs"], depth, everything, None)
    rows = len(view.lines) + len(view.aux_lines)
    table = "longtable" if rows > PAGE else "tabular"
    packages = "amsmath,longtable" if rows > PAGE else "amsmath"
    lines = [
        f"% {' '.join(view.title.split())}; {view.subtitle}",
        f"% Written by convcalc {__version__}; needs \\usepackage{{{packages}}}.",
    ]
    missing = memory.no_formula(report)
    lines += [f"% {missing}"] if missing else []
    names = list(_names(report))
    if names:
        lines += [r"\allowdisplaybreaks"] if len(names) > PAGE else []
        lines += [r"\begin{align*}", *_joined(names), r"\end{align*}"]
    lines += [*_table(view, table), ""]  # a page may break between paragraphs
    figures = python.totals(report)
    if figures["trainable_params"] is figures["params"]:
        del figures["trainable_params"]
    totals = [
        row
        for name, size in figures.items()
        if view.aux or not name.startswith("aux")
        for row in _total(name, size)
    ]
    lines += [r"\begin{align*}", *_joined(totals), r"\end{align*}"]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Words as LaTeX has them, whatever signs they hold."""
    return text.translate(_ESCAPED)


def _names(report: Summary) -> Iterator[str]:
    r"""h_{1} &= …, & w_{1} &= …: names that bear the same number on one line."""
    sizes = report.definitions()
    for names in titles.together(sizes):
        yield " & ".join(f"{to_latex(symbol(name))} &= {to_latex(sizes[name])}" for name in names)


def _joined(rows: list[str]) -> Iterator[str]:
    for row in rows[:-1]:
        yield f"  {row} \\\\"
    yield f"  {rows[-1]}"


def _total(name: str, size: Size) -> Iterator[str]:
    title = _TITLES.get(name, name.replace("_", " "))
    first, *rest = packed(terms(to_latex(size)), _WIDTH)
    yield f"\\text{{{title}}} &= {first}"
    for line in rest:
        yield f"  &\\quad {{}} {line}"


def _table(view: View, table: str) -> Iterator[str]:
    yield f"\\begin{{{table}}}{{lrrr}}"
    yield r"  layer & output & params & MACs \\ \hline"
    for line in view.lines:
        yield f"  {_row(line)}"
    yield r"  \hline"
    summary = view.summary
    outputs = ", ".join(_shape(shape[1:]) for shape in summary.outputs.values())
    totals = (summary.totals.params, summary.totals.macs)
    told = [f"${to_latex(size)}$" if isinstance(size, int) else "below" for size in totals]
    yield f"  total & {outputs} & {' & '.join(told)} \\\\"
    if view.aux_lines:
        yield r"  \hline"
        for line in view.aux_lines:
            yield f"  {_row(line)}"
    yield f"\\end{{{table}}}"


def _row(line: Line) -> str:
    entry = line.entry
    indent = r"\quad " * (line.depth - 1)
    figures = []
    for name in ("params", "macs"):
        size = entry.figure(name)
        figures.append("--" if isinstance(size, int) and size == 0 else f"${to_latex(size)}$")
    output = _shape(entry.output[1:])
    return f"{indent}\\texttt{{{escaped(entry.text)}}} & {output} & {' & '.join(figures)} \\\\"


def _shape(sizes: Iterable[Size]) -> str:
    texts = [to_latex(size) for size in sizes]
    if len(texts) > 1:
        texts = [f"\\left({text}\\right)" if " " in text else text for text in texts]
    product = r" \times ".join(texts)
    return f"${product}$"
