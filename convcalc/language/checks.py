"""Looks a whole design over before anything is unrolled: names, signatures, cycles.

What it finds wrong it marks (`faulty`), so that unrolling says nothing about it again. It looks at
blocks that nothing uses and at choices that are not taken, where unrolling does not come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convcalc.language.calls import (
    builtin_faults,
    signature_faults,
    unknown_attribute,
    unknown_name,
    words,
)
from convcalc.language.expressions import (
    Attribute,
    Binding,
    BrokenExpr,
    Call,
    Chain,
    Expr,
    Index,
    ListExpr,
    Name,
    Operation,
    Parameter,
    Ternary,
    Unary,
)
from convcalc.language.faults import Fault, Problems, Text
from convcalc.language.figures import Claim
from convcalc.language.steps import (
    Block,
    Body,
    Definition,
    Design,
    DoStep,
    ExprStep,
    ForStep,
    IfStep,
    JoinStep,
    ResidualStep,
    Step,
)
from convcalc.language.values import BUILTINS
from convcalc.ops.base import REGISTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.language.steps import Entry


def check_design(design: Design, text: Text, problems: Problems) -> None:
    """Adds to `problems` what is wrong with the design's names and calls."""
    _Checker(design, text, problems).run()


def free_sizes(design: Design) -> list[str]:
    """The UPPERCASE names in `input` that nothing defines."""
    found: dict[str, None] = {}
    for entry in design.inputs:
        if isinstance(entry.shape, ListExpr):
            for item in entry.shape.items:
                if isinstance(item, Name) and item.name.isupper() and item.name not in design.vars:
                    found[item.name] = None
    return list(found)


def children(expr: Expr) -> Iterator[Expr]:
    """The expressions that one is made of, from the left."""
    if isinstance(expr, Call):
        yield expr.callee
        yield from expr.positional
        for keyword in expr.named:
            yield keyword.value
    elif isinstance(expr, Operation):
        yield expr.first
        for _, _, operand in expr.rest:
            yield operand
    elif isinstance(expr, ListExpr):
        yield from expr.items
    elif isinstance(expr, Chain):
        yield from expr.parts
    elif isinstance(expr, Ternary):
        yield expr.then
        yield expr.condition
        yield expr.otherwise
    elif isinstance(expr, Index):
        yield expr.base
        yield expr.index
    elif isinstance(expr, Attribute):
        yield expr.base
    elif isinstance(expr, Unary):
        yield expr.operand


def depth(expr: Expr) -> int:
    """How many frames evaluating an expression takes: two a level."""
    levels, level = 0, [expr]
    while level:
        level = [child for parent in level for child in children(parent)]
        levels += 1
    return 2 * levels


def names_in(expr: Expr) -> Iterator[str]:
    """Every name in an expression."""
    todo = [expr]
    while todo:
        part = todo.pop()
        if isinstance(part, Name):
            yield part.name
        todo += children(part)


def find_cycle(edges: dict[str, list[str]]) -> list[list[str]]:
    """Cycles of a graph of names, each as `a, b, a`; at most one through each name."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for root in edges:
        if root in done:
            continue
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(edges[root]))]
        trail.append(root)
        on_trail.add(root)
        while stack:
            name, following = stack[-1]
            advance = next(following, None)
            if advance is None:
                stack.pop()
                trail.pop()
                on_trail.discard(name)
                done.add(name)
            elif advance in on_trail:
                cycles.append([*trail[trail.index(advance) :], advance])
            elif advance in edges and advance not in done:
                stack.append((advance, iter(edges[advance])))
                trail.append(advance)
                on_trail.add(advance)
    return cycles


def shown_cycle(names: list[str]) -> str:
    """`a → b → a`, shortened in the middle."""
    if len(names) > 10:
        names = [*names[:5], "…", *names[-4:]]
    return " → ".join(names)


def in_order(definitions: dict[str, Definition]) -> list[str]:
    """Names of vars and functions, each after those that it uses. Without recursion."""
    order: list[str] = []
    state: dict[str, int] = {}
    for root in definitions:
        stack = [root]
        while stack:
            name = stack[-1]
            if state.get(name) == 2:
                stack.pop()
                continue
            if state.get(name) == 1:
                state[name] = 2
                order.append(name)
                stack.pop()
                continue
            state[name] = 1
            stack += [
                used
                for used in uses(definitions[name])
                if used in definitions and used not in state
            ]
    return order


def uses(definition: Definition) -> list[str]:
    """The names that a var or function uses, its own parameters left out."""
    parameters = definition.parameters or []
    own = {p.name for p in parameters}
    exprs = [definition.expr, *(p.default for p in parameters if p.default is not None)]
    found = dict.fromkeys(name for expr in exprs for name in names_in(expr))
    return [name for name in found if name not in own]


#: The layers that steps make, and how.
_JOINS = {
    "Add": "write add: and a list of branches, or residual:",
    "Mul": "write mul: and a list of branches",
    "Concat": "write concat: and a list of branches",
    "Split": "write split: beside concat:, add: or mul:",
}


class _Names:
    """The names that can be used at one point of a block or of the network, with their indices.

    defined: what has a value here. families: those of them that are used as `x[i]`.
    coming: results that get their value further down.
    hidden: results of a loop, which have none outside it.
    """

    __slots__ = ("coming", "defined", "families", "hidden")

    def __init__(self, defined: dict[str, int]) -> None:
        self.defined = defined
        self.families: set[str] = set()
        self.coming: dict[str, int] = {}
        self.hidden: dict[str, int] = {}


class _Checker:
    def __init__(self, design: Design, text: Text, problems: Problems) -> None:
        self.design = design
        self.text = text
        self.problems = problems
        layers = REGISTRY.keys() - _JOINS.keys()
        self.known: set[str] = {*layers, *BUILTINS, *design.vars, *design.blocks}
        self.words = words()

    def report(self, fault: Fault) -> None:
        self.problems.fault(self.text, fault)

    def line(self, start: int) -> int:
        return self.text.place(start).line

    def run(self) -> None:
        design = self.design
        for definition in self.definitions():
            if definition.name in BUILTINS:
                message = f"{definition.name!r} is a function of the language"
                help = "choose another name"
                self.report(Fault(message, definition.start, definition.end, help))
            self.definition(definition)
        self.cycles(design.vars)
        for variant in design.variants.values():
            if variant.definitions:
                self.cycles({**design.vars, **variant.definitions})
        for block in design.blocks.values():
            self.block(block)
        self.block_cycles()
        self.network()

    def definitions(self) -> Iterator[Definition]:
        yield from self.design.vars.values()
        for variant in self.design.variants.values():
            yield from variant.definitions.values()

    # ---------------------------------------------------------------- definitions

    def definition(self, definition: Definition) -> None:
        names = _Names({})
        self.parameters(definition.parameters or [], names)
        self.expr(definition.expr, names)

    def parameters(self, parameters: Iterable[Parameter], names: _Names) -> None:
        """Defaults may use the parameters before them."""
        for parameter in parameters:
            if parameter.default is not None:
                self.expr(parameter.default, names)
            names.defined[parameter.name] = parameter.start

    def cycles(self, definitions: dict[str, Definition]) -> None:
        edges = {name: uses(d) for name, d in definitions.items()}
        for cycle in find_cycle(edges):
            definition = definitions[cycle[0]]
            functions = any(definitions[name].parameters is not None for name in cycle)
            what = "recursion" if functions else "a var is defined by itself"
            for name in cycle:
                definitions[name].expr = BrokenExpr(
                    definitions[name].expr.start, definitions[name].expr.end
                )
            message = f"{what}: {shown_cycle(cycle)}"
            self.report(Fault(message, definition.start, definition.end, "break the circle"))

    def block(self, block: Block) -> None:
        names = _Names({"input": block.start})
        self.parameters(block.parameters, names)
        self.frame(block.body, names)

    def block_cycles(self) -> None:
        design = self.design
        edges: dict[str, list[str]] = {}
        for block in design.blocks.values():
            own = {p.name for p in block.parameters}
            found = dict.fromkeys(
                name
                for expr in [*_exprs(block.body), *_defaults(block.parameters)]
                for name in names_in(expr)
            )
            edges[block.name] = [n for n in found if n in design.blocks and n not in own]
        for cycle in find_cycle(edges):
            block = design.blocks[cycle[0]]
            help = "repeat with `n * Block` or for:"
            if len(cycle) == 2 and cycle[0] in REGISTRY:
                help = f"the block hides the layer {cycle[0]}: give it another name"
            for name in cycle[:-1]:
                design.blocks[name].body = Body([], block.start, block.end)
            message = f"a block cannot contain itself: {shown_cycle(cycle)}"
            self.report(Fault(message, block.start, block.end, help))

    # ---------------------------------------------------------------- the network

    def network(self) -> None:
        design = self.design
        if not design.several_inputs:
            for entry in design.inputs:
                self.shape(entry)
        names = _Names({})
        for entry in design.inputs:
            if design.several_inputs:
                self.shape(entry)
            names.defined[entry.name] = entry.start
        self.frame(design.layers, names)
        for entry in (*design.aux, *design.outputs):
            assert entry.body is not None
            self.frame(entry.body, names)
        self.claims(design.expect, _Names({}))
        for variant in design.variants.values():
            self.claims(variant.expect, _Names({}))
        outputs = [e.name for e in design.outputs] or ["output"]
        named = [*outputs, *(e.name for e in design.aux)]
        for claim in (*design.expect, *(c for v in design.variants.values() for c in v.expect)):
            if claim.output is not None and claim.output not in named:
                message = f"there is no output {claim.output!r}"
                help = f"the outputs are {', '.join(named)}"
                self.report(Fault(message, claim.start, claim.end, help))
            elif claim.shape is not None and claim.output is None and len(outputs) > 1:
                message = "there are several outputs: which one is meant?"
                help = f"write output: {{{outputs[0]}: […]}}"
                self.report(Fault(message, claim.start, claim.end, help))

    def shape(self, entry: Entry) -> None:
        """An input's shape; a bare UPPERCASE name in it that nothing defines is a free size."""
        if not isinstance(entry.shape, ListExpr):
            return
        items = entry.shape.items
        if not 1 <= len(items) <= 4:
            message = f"an input has 1 to 4 sizes, not {len(items)}"
            help = "channels first, without the batch: [3, 224, 224]"
            self.report(Fault(message, entry.shape.start, entry.shape.end, help))
        names = _Names({})
        for item in items:
            if isinstance(item, Name) and item.name.isupper() and item.name not in self.known:
                continue
            self.expr(item, names)

    # ---------------------------------------------------------------- bodies

    def frame(self, body: Body, names: _Names) -> None:
        """The body of a block, or of the network: a result is known from its step on.

        A family `x[i]` is known everywhere in it: a loop may read what its last round named.
        """
        plain: dict[str, Binding] = {}
        for binding, hidden in sorted(_bindings(body), key=lambda pair: pair[0].start):
            name = binding.name
            self.design.results.setdefault(name, self.line(binding.start))
            if binding.index is not None:
                if name not in names.families and name in names.defined:
                    self.twice(binding, names.defined[name])
                elif name in plain:
                    self.twice(binding, plain[name].start)
                names.families.add(name)
                names.defined.setdefault(name, binding.start)
                continue
            if name in names.families:
                self.twice(binding, names.defined[name])
            plain.setdefault(name, binding)
            (names.hidden if hidden else names.coming).setdefault(name, binding.start)
        self.body(body, names)

    def twice(self, binding: Binding, first: int) -> None:
        help = "rename one of them"
        if binding.name == "input":
            help = "`input` is what flows into the block"
        self.report(
            Fault(
                f"{binding.name!r} is defined twice, first on line {self.line(first)}",
                binding.start,
                binding.end,
                help,
            )
        )

    def body(self, body: Body, names: _Names) -> None:
        for step in body.steps:
            self.step(step, names)
            self.claims(step.claims, names)
            if step.binding is not None:
                self.bind(step.binding, names)

    def bind(self, binding: Binding, names: _Names) -> None:
        if binding.index is not None:
            self.expr(binding.index, names)
            return
        first = names.defined.setdefault(binding.name, binding.start)
        if first != binding.start and binding.name not in names.families:
            self.twice(binding, first)
        names.coming.pop(binding.name, None)

    def claims(self, claims: Iterable[Claim], names: _Names) -> None:
        for claim in claims:
            if claim.shape is not None:
                self.expr(claim.shape, names)

    def step(self, step: Step, names: _Names) -> None:
        if isinstance(step, ExprStep):
            self.expr(step.expr, names)
        elif isinstance(step, JoinStep):
            for expr in (step.split, step.dim):
                if expr is not None:
                    self.expr(expr, names)
            for branch in step.branches:
                self.body(branch, names)
        elif isinstance(step, ResidualStep):
            for body in (step.body, step.project, step.shortcut):
                if body is not None:
                    self.body(body, names)
        elif isinstance(step, ForStep):
            self.loop(step, names)
        elif isinstance(step, IfStep):
            self.choice(step, names)
        elif isinstance(step, DoStep):
            self.body(step.body, names)

    def choice(self, step: IfStep, names: _Names) -> None:
        """Only one of the two is taken, so that both may define the same name."""
        self.expr(step.condition, names)
        before = dict(names.defined)
        self.body(step.then, names)
        after_then = names.defined
        names.defined = before
        if step.otherwise is not None:
            self.body(step.otherwise, names)
        names.defined = {**after_then, **names.defined}

    def loop(self, step: ForStep, names: _Names) -> None:
        """Loop values, and results named in the loop, are known in the loop alone."""
        self.expr(step.rows, names)
        before, coming = names.defined, names.coming
        names.defined, names.coming = dict(before), {}
        for name, start, end in step.names:
            if name in before:
                self.twice(Binding(name, None, start, end), before[name])
            names.defined[name] = start
        for binding, hidden in _bindings(step.body):
            if binding.index is None and not hidden:
                names.coming.setdefault(binding.name, binding.start)
        self.body(step.body, names)
        names.defined, names.coming = before, coming

    # ---------------------------------------------------------------- expressions

    def expr(self, expr: Expr, names: _Names) -> None:
        todo = [expr]
        while todo:
            part = todo.pop()
            if isinstance(part, Name):
                self.name(part, names)
            elif isinstance(part, Call):
                self.call(part, names)
            elif isinstance(part, Attribute):
                if part.name != "channels" and not isinstance(part.base, Name):
                    self.report(unknown_attribute(part))
                elif part.name != "channels" and self.known_here(part.base, names):
                    self.report(unknown_attribute(part))
                    part.base = BrokenExpr(part.base.start, part.base.end)
            todo += children(part)

    def known_here(self, base: Expr, names: _Names) -> bool:
        return isinstance(base, Name) and (base.name in names.defined or base.name in self.known)

    def name(self, expr: Name, names: _Names) -> None:
        name = expr.name
        if name in _JOINS and name not in names.defined and name not in self.design.blocks:
            expr.faulty = True
            message = f"{name} joins branches, and one value flows through a chain"
            self.report(Fault(message, expr.start, expr.end, _JOINS[name]))
            return
        if name in names.defined or name in self.known or name in self.words:
            return
        expr.faulty = True
        if self.design.lost or name in self.design.lost_names:
            return
        if name in names.coming:
            line = self.line(names.coming[name])
            message = f"{name!r} has no value yet: it is named on line {line}"
            self.report(Fault(message, expr.start, expr.end, "move this below it"))
        elif name in names.hidden:
            line = self.line(names.hidden[name])
            message = f"{name!r} is named in a loop, on line {line}, and has no value outside it"
            self.report(Fault(message, expr.start, expr.end, f"write {name}[i] = … in the loop"))
        elif name == "input":
            inputs = ", ".join(e.name for e in self.design.inputs)
            message = "'input' has no value here"
            help = f"the inputs are {inputs}" if self.design.several_inputs else None
            self.report(Fault(message, expr.start, expr.end, help))
        else:
            self.report(unknown_name(expr, lambda: [*names.defined, *sorted(self.known)]))

    def call(self, expr: Call, names: _Names) -> None:
        """A call of a block, layer or function that is known by its own name."""
        name = expr.callee.name
        if name in names.defined:
            return
        design = self.design
        faults: Iterator[Fault] = iter(())
        if name in design.vars:
            definition = design.vars[name]
            if definition.parameters is not None:
                faults = signature_faults(definition, expr)
        elif name in design.blocks:
            faults = signature_faults(design.blocks[name], expr)
        elif name in REGISTRY:
            faults = signature_faults(REGISTRY[name], expr)
        elif name in BUILTINS:
            faults = builtin_faults(BUILTINS[name], expr)
        expr.checked = name not in design.vars
        for fault in faults:
            expr.faulty = True
            self.report(fault)


def _bindings(body: Body) -> Iterator[tuple[Binding, bool]]:
    """Every result that a body names, at any depth, and whether it is local to a loop in it."""
    todo: list[tuple[Body, bool]] = [(body, False)]
    while todo:
        part, hidden = todo.pop()
        for step in part.steps:
            if step.binding is not None:
                yield step.binding, hidden
            inner = isinstance(step, ForStep) or hidden
            todo += [(b, inner) for b in _bodies(step)]


def _bodies(step: Step) -> list[Body]:
    if isinstance(step, JoinStep):
        return step.branches
    if isinstance(step, ResidualStep):
        return [b for b in (step.body, step.project, step.shortcut) if b is not None]
    if isinstance(step, IfStep):
        return [b for b in (step.then, step.otherwise) if b is not None]
    if isinstance(step, (ForStep, DoStep)):
        return [step.body]
    return []


def _exprs(body: Body) -> Iterator[Expr]:
    """Every expression of a body, at any depth."""
    todo = [body]
    while todo:
        for step in todo.pop().steps:
            if isinstance(step, ExprStep):
                yield step.expr
            elif isinstance(step, JoinStep):
                yield from (e for e in (step.split, step.dim) if e is not None)
            elif isinstance(step, ForStep):
                yield step.rows
            elif isinstance(step, IfStep):
                yield step.condition
            todo += _bodies(step)


def _defaults(parameters: Iterable[Parameter]) -> list[Expr]:
    return [p.default for p in parameters if p.default is not None]
