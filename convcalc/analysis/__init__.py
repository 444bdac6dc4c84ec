"""Figures that need the whole graph, from sizes that flow through it (`convcalc.graph.flow`).

Every layer's figures and the totals (`summary`), memory (`memory`, with `passes` and `optimizers`),
receptive fields, which input sizes fit (`fit`, with `inverse`, `budget`, `memory_budget`), shifts
that features follow (`equivariance`), what changed (`diff`), how figures come about (`explain`,
with `strides`), claims (`expectations`), warnings, and one layer's unknowns (`solve`).
"""
