"""YAML text → places → expressions → blocks and loops unrolled → graph.

`load_document` and `parse_document` read a design, `Document.build` unrolls it. The modules, in the
order in which a text goes through them: `reader` (YAML events → nodes), `parsing` (nodes → a
`Design`, with `expressions` and `figures` for what stands in scalars), `checks` (names, signatures,
cycles), `interpreter` (steps → layers of a graph, with `evaluation`, `calls` and `values` for what
stands in expressions; `open_vars` for formulas). What is wrong is told by `faults`, in the words of
`calls` and `foreign`. `freezing` finds layers by name, `single` reads one layer by itself, `schema`
is for editors.
"""

from convcalc.language.document import Document, load_document, parse_document
from convcalc.language.figures import FIGURES, Amount, Expected, total_key

__all__ = [
    "FIGURES",
    "Amount",
    "Document",
    "Expected",
    "load_document",
    "parse_document",
    "total_key",
]
