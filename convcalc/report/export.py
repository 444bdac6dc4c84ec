"""Formulas and whole summaries as text for other programs."""

from __future__ import annotations

from convcalc.analysis.summary import Summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.integers import Size


def to_python(figures: Summary | Size) -> str:
    """Python source that gives the same numbers.

    Of a summary, a function of the sizes left open (`N`, `H`, `W`, vars) that returns totals and
    every layer's figures, under the keys of `--format json`; it raises ValueError for sizes that a
    layer does not accept. Of a formula, an expression.
    """
    if isinstance(figures, Summary):
        from convcalc.report import python

        return python.summary(figures)
    from convcalc.integers import to_python as expression

    return expression(figures)


def to_latex(figures: Summary | Size) -> str:
    """LaTeX: of a summary the names of sizes, a table of layers and the totals, of a formula the
    formula in math mode."""
    if isinstance(figures, Summary):
        from convcalc.report import latex

        return latex.summary(figures)
    from convcalc.integers import to_latex as expression

    return expression(figures)
