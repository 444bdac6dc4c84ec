"""Sizes: ints, formulas in open sizes, arrays of many designs, and proofs about them.

Rules are written once, in `+ - * //`, `ceil_div`, `minimum`, `maximum`, `product` and `total`, and
run on every kind of `Size`:

- `int`, exact;
- `Formula`, an integer that depends on symbols, made by `symbol`, `parse` and arithmetic;
- `IntArray`, made by `array`: many designs at once, never silently wrong (imports numpy);
- `Open`, a size of which only the stride against the input is known.

Only formulas and open sizes are loaded at once; the rest when it is first used.
"""

from __future__ import annotations

from .errors import (
    FormulaSyntaxError,
    FormulaTooLargeError,
    IntegersError,
    MissingSymbolError,
    OutOfRangeError,
    OverflowFallbackWarning,
    UndecidedError,
)
from .formulas import Formula, Size, bounds, expand, named, symbol
from .helpers import ceil_div, maximum, minimum, product, total
from .open_size import Open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .arrays import IntArray, array
    from .decide import Answer, Decision, at_least, equal, equal_classes, residues
    from .evaluation import compile_formula, evaluate, substitute, symbols
    from .names import Names
    from .parsing import parse
    from .printing import definitions, pretty, to_latex, to_python, to_text
    from .quasipolynomials import periods
    from .solutions import Solutions, where_at_least, where_divisible, where_equal

__all__ = [
    "Answer",
    "Decision",
    "Formula",
    "FormulaSyntaxError",
    "FormulaTooLargeError",
    "IntArray",
    "IntegersError",
    "MissingSymbolError",
    "Names",
    "Open",
    "OutOfRangeError",
    "OverflowFallbackWarning",
    "Size",
    "Solutions",
    "UndecidedError",
    "array",
    "at_least",
    "bounds",
    "ceil_div",
    "compile_formula",
    "definitions",
    "equal",
    "equal_classes",
    "evaluate",
    "expand",
    "maximum",
    "minimum",
    "named",
    "parse",
    "periods",
    "pretty",
    "product",
    "residues",
    "substitute",
    "symbol",
    "symbols",
    "to_latex",
    "to_python",
    "to_text",
    "total",
    "where_at_least",
    "where_divisible",
    "where_equal",
]

_LAZY = {
    "arrays": ("IntArray", "array"),
    "decide": ("Answer", "Decision", "at_least", "equal", "equal_classes", "residues"),
    "evaluation": ("compile_formula", "evaluate", "substitute", "symbols"),
    "names": ("Names",),
    "parsing": ("parse",),
    "quasipolynomials": ("periods",),
    "solutions": ("Solutions", "where_at_least", "where_divisible", "where_equal"),
    "printing": ("definitions", "pretty", "to_latex", "to_python", "to_text"),
}


def __getattr__(name: str) -> Any:
    for module, exported in _LAZY.items():
        if name in exported:
            from importlib import import_module

            value = getattr(import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
