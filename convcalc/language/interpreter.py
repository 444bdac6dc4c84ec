"""Steps → graph: blocks and loops unrolled, each layer added to a `GraphBuilder`.

After a fault what flows is POISON: it absorbs everything until a step that does not depend on it,
so that later independent faults show too and no consequences of the first one do. Walks are loops
over steps; only nesting (blocks in blocks, branches in branches) recurses, and that is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convcalc.errors import LayerError, Place, Problem
from convcalc.graph import MAX_NODES, Graph, GraphBuilder, Value, context_notes
from convcalc.integers import Formula
from convcalc.language.calls import argument_span, check_part, pasted
from convcalc.language.evaluation import LONG, MOST_REPEATS, MOST_WORK, Evaluator, Scope
from convcalc.language.expressions import Binding, Chain, Expr, ListExpr
from convcalc.language.faults import Absorbed, Exhausted, Fault, Problems, Text
from convcalc.language.figures import Claim
from convcalc.language.steps import (
    Block,
    Body,
    BrokenStep,
    Design,
    DoStep,
    Entry,
    ExprStep,
    ForStep,
    IfStep,
    JoinStep,
    ResidualStep,
    Step,
)
from convcalc.language.values import (
    POISON,
    BlockLayer,
    ChainLayer,
    Family,
    OpLayer,
    Repeat,
    ValueFault,
    closing,
    compare,
    is_open,
    kind,
    large,
    show,
    truth,
)
from convcalc.ops.base import REGISTRY, Op
from convcalc.ops.joins import show_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from convcalc.graph import Entry as Size
    from convcalc.graph import ScopeKind

_JOINS = {kind: REGISTRY[kind.capitalize()] for kind in ("add", "mul", "concat")}
_SPLIT = REGISTRY["Split"]
_JOIN_HELP = {
    "Add": "nothing broadcasts: bring the branches to one shape, with Conv2d(c, 1, stride) in one",
    "Mul": "nothing broadcasts but a gate: as many channels, and size 1 along every other axis",
    "Concat": "all but the channels must be equal: CenterCrop, a stride or padding in one branch",
}


#: Said where nothing else was: it would be a fault of ours.
NO_RESULT = "the network's output cannot be computed"


class TooMany(Exception):
    """Enough was found wrong: going on would only find the same again."""


class Interpreter:
    """Unrolls one design, for one choice of its vars."""

    def __init__(
        self, design: Design, text: Text, evaluator: Evaluator, problems: Problems
    ) -> None:
        self.design = design
        self.text = text
        self.evaluator = evaluator
        self.problems = problems
        self.builder = GraphBuilder(design.name or text.name)
        self.add_op = _JOINS["add"]()
        self.places: dict[tuple[int, int], Place] = {}
        self.handlers: dict[type, Callable[[Any, Any, Scope], Any]] = {
            ExprStep: self.expr_step,
            JoinStep: self.join,
            ResidualStep: self.residual,
            ForStep: self.loop,
            IfStep: self.choice,
            DoStep: self.do,
            BrokenStep: self.broken,
        }
        self.appliers: dict[type, Callable[[Any, Any, int, int], Any]] = {
            OpLayer: self.add_layer,
            type: self.add_bare,
            BlockLayer: self.call_block,
            Block: self.bare_block,
            Repeat: self.repeat,
            ChainLayer: self.chain,
        }

    # ---------------------------------------------------------------- faults, places

    def place(self, start: int, end: int) -> Place:
        place = self.places.get((start, end))
        if place is None:
            place = self.places[start, end] = self.text.place(start, end)
        return place

    def report(self, fault: Fault) -> None:
        """A fault, with what led to it."""
        scope = self.builder.scope
        fault.notes = (*context_notes(scope), *fault.notes)
        self.problems.fault(self.text, fault)
        if len(self.problems) > 200 or isinstance(fault, Exhausted):
            raise TooMany

    def layer_fault(self, error: LayerError, start: int, end: int, into: Sequence[Value]) -> Fault:
        if len(self.builder) >= MAX_NODES:
            return Exhausted(error.message, start, end, "fewer repeats")
        flowing = " and ".join(show_shape(v.shape) for v in into)
        notes = [*error.notes, f"what flows in: {flowing}"] if flowing else error.notes
        return Fault(error.message, start, end, error.help, notes)

    # ---------------------------------------------------------------- the whole network

    def run(self, inputs: dict[str, tuple[Size, ...]]) -> Graph | None:
        """The graph; None where something is wrong, which then stands in `problems`."""
        design = self.design
        names: dict[str, Any] = {}
        first: Any = POISON
        for entry in design.inputs:
            shape = inputs.get(entry.name)
            value: Any = POISON
            if shape is not None:
                place = self.place(entry.start, entry.end)
                value = self.builder.input(entry.name, shape, place)
            names[entry.name] = value
            if first is POISON:
                first = value
        scope = Scope(names, self.evaluator.globals)
        try:
            result = self.body(design.layers, first, scope)
            aux = self.named(design.aux, result, scope)
            outputs = {"output": result}
            if design.outputs:
                outputs = self.named(design.outputs, result, scope)
        except TooMany:
            return None
        if not self.problems and POISON in (*outputs.values(), *aux.values()):
            layers = design.layers
            self.problems.at(self.text, layers.start, layers.end, NO_RESULT)
        if self.problems:
            return None
        graph = self.builder.finish(outputs, aux)
        self.nothing_lost(graph)
        return None if self.problems else graph

    def named(self, entries: list[Entry], result: Any, scope: Scope) -> dict[str, Any]:
        values = {}
        for entry in entries:
            assert entry.body is not None
            values[entry.name] = self.part(entry.name, entry.body, result, scope)
        return values

    def nothing_lost(self, graph: Graph) -> None:
        """Every input and every layer must lead to an output."""
        ends = {*graph.outputs.values(), *graph.aux.values()}
        for node, users in zip(graph.nodes, graph.users(), strict=True):
            if users or node.index in ends:
                continue
            assert node.place is not None
            what = f"input {node.path!r}" if node.op is None else f"the result of {node.kind}"
            help = "name it under outputs: or aux:, use it, or remove it"
            message = f"{what} is used by nothing"
            self.problems.add(Problem(message, node.place, help=help, path=node.path))

    # ---------------------------------------------------------------- steps

    def body(self, body: Body, value: Any, scope: Scope) -> Any:
        """What flows out of a body when `value` flows in."""
        evaluator = self.evaluator
        evaluator.enter(4, body.start, body.end, "steps")
        for step in body.steps:
            if step.binding is not None or step.claims:
                value = self.named_step(step, value, scope)
            else:
                value = self.step(step, value, scope)
        evaluator.leave(4)
        return value

    def step(self, step: Step, value: Any, scope: Scope) -> Any:
        """What flows out of one step; POISON where it is at fault."""
        evaluator = self.evaluator
        evaluator.work += 1
        depth = evaluator.frames
        try:
            if evaluator.work > MOST_WORK:
                evaluator.spend(0, step.start, step.end)
            return self.handlers[step.__class__](step, value, scope)
        except Fault as fault:
            self.report(fault)
        except Absorbed:
            pass
        evaluator.frames = depth
        return POISON

    def named_step(self, step: Step, value: Any, scope: Scope) -> Any:
        """A step whose result has a name, an expectation or both."""
        binding = step.binding
        first = len(self.builder)
        if binding is not None:
            label = self.label(binding, scope)
            self.builder.push("block", label, (), self.place(binding.start, binding.end))
        value = self.step(step, value, scope)
        if binding is not None:
            self.builder.pop()
            self.define(binding, value, scope)
        if value is not POISON:
            self.claim(step, value, first, scope)
        return value

    def label(self, binding: Binding, scope: Scope) -> str:
        index = self.index(binding, scope)
        return binding.name if index is None else f"{binding.name}[{index}]"

    def index(self, binding: Binding, scope: Scope) -> Any:
        if binding.index is None:
            return None
        try:
            return self.evaluator.evaluate(binding.index, scope)
        except (Fault, Absorbed):
            return POISON  # `define` reports it

    def define(self, binding: Binding, value: Any, scope: Scope) -> None:
        """Give a result its name: `x` in the loop or block at hand, `x[i]` in the whole block."""
        if binding.index is None:
            scope.names[binding.name] = value
            return
        try:
            index = self.evaluator.evaluate(binding.index, scope)
        except Fault as fault:
            self.report(fault)
            index = POISON
        except Absorbed:
            index = POISON
        names = scope.frame.names
        family = names.get(binding.name)
        if family is None:
            family = names[binding.name] = Family(binding.name)
        if index is POISON or not isinstance(family, Family):
            names[binding.name] = POISON  # any index may be the one that is missing
            return
        message = None
        if index.__class__ is not int:
            message = f"an index must be a whole number, not {kind(index)}"
        elif index in family.entries:
            message = f"{binding.name}[{index}] is defined twice"
        if message:
            self.report(Fault(message, binding.index.start, binding.index.end))
        else:
            family.entries[index] = value

    def claim(self, step: Step, value: Value, first: int, scope: Scope) -> None:
        """The step's own `expect:`."""
        for claim in step.claims:
            wanted: Any = claim.amount
            if claim.shape is not None:
                try:
                    wanted = claimed_shape(claim, self.evaluator, scope)
                except Fault as fault:
                    self.report(fault)
                    continue
                except Absorbed:
                    continue
            place = self.place(claim.value_start, claim.value_end)
            self.builder.expect(claim.key, wanted, place, first, value)

    # ---------------------------------------------------------------- one method a step

    def expr_step(self, step: ExprStep, value: Any, scope: Scope) -> Any:
        return self.flow(step.expr, value, scope)

    def flow(self, expr: Expr, value: Any, scope: Scope) -> Any:
        """What comes out of an expression's layers when `value` flows in."""
        handlers = self.evaluator.handlers
        appliers = self.appliers
        depth = self.evaluator.frames
        if expr.end - expr.start >= LONG:
            self.evaluator.spend((expr.end - expr.start) // LONG, expr.start, expr.end)
        parts = expr.parts if isinstance(expr, Chain) else (expr,)
        for part in parts:
            try:
                layer = handlers[part.__class__](part, scope)
                applier = appliers.get(layer.__class__)
                if applier is not None:
                    value = applier(layer, value, part.start, part.end)
                elif layer is POISON:
                    value = POISON
                else:
                    check_part(layer, part, part is parts[0])
                    value = layer
            except Fault as fault:
                self.report(fault)
                value = POISON
                self.evaluator.frames = depth
            except Absorbed:
                value = POISON
                self.evaluator.frames = depth
        return value

    # ---------------------------------------------------------------- one method a kind of layer

    def add_layer(self, layer: OpLayer, value: Any, start: int, end: int) -> Any:
        """A layer with its arguments. Raises Fault."""
        if value is POISON:
            return POISON
        try:
            if layer.paste:
                self.check_paste(layer, value, start, end)
            return self.builder.add(layer.op, value, *layer.likes, place=self.place(start, end))
        except LayerError as error:
            asserted = layer.op.asserted is not None and layer.op.inferred in error.message
            at = layer.op.inferred if asserted else error.argument
            if layer.call is not None and at:
                start, end = argument_span(layer.op.__class__, layer.call, at, (start, end))
            raise self.layer_fault(error, start, end, (value, *layer.likes)) from None

    def add_bare(self, cls: type[Op], value: Any, start: int, end: int) -> Any:
        """A layer that was not called. Raises Fault."""
        op = self.evaluator.bare_op(cls, start, end)
        if op.likes:
            raise Fault(
                f"{op.name()} needs {' and '.join(a.name for a in op.arguments if a.required)}",
                start,
                end,
                f"write {op.signature()}",
            )
        if value is POISON:
            return POISON
        try:
            return self.builder.add(op, value, place=self.place(start, end))
        except LayerError as error:
            raise self.layer_fault(error, start, end, (value,)) from None

    def call_block(self, layer: BlockLayer, value: Any, start: int, end: int) -> Any:
        return self.block(layer.block, layer.given, layer.shown, value, start, end)

    def bare_block(self, block: Block, value: Any, start: int, end: int) -> Any:
        return self.block(block, {}, (), value, start, end)

    def chain(self, layer: ChainLayer, value: Any, start: int, end: int) -> Any:
        self.evaluator.spend(len(layer.parts) >> 4, start, end)
        self.evaluator.enter(2, start, end, "chains")
        for part, part_start, part_end in layer.parts:
            applier = self.appliers.get(part.__class__)
            # What is no layer is a named output, at the beginning: check_part has looked.
            value = applier(part, value, part_start, part_end) if applier else part
        self.evaluator.leave(2)
        return value

    def check_paste(self, layer: OpLayer, value: Value, start: int, end: int) -> None:
        """`Conv2d(3, 64, 7)` on 3 channels: a torch.nn call, pasted with its in_channels."""
        op, kernel = layer.op, layer.paste
        channels = op.given()["out_channels"]
        if not isinstance(value.shape[1], int) or value.shape[1] != channels:
            return
        assert layer.call is not None
        raise pasted(op, kernel, layer.call, self.text.text, start, end)

    def block(
        self,
        block: Block,
        given: dict[str, Any],
        arguments: Sequence[tuple[str, Any]],
        value: Any,
        start: int,
        end: int,
    ) -> Any:
        """A block's body, in a scope of its own that holds its parameters and `input`."""
        evaluator = self.evaluator
        evaluator.spend(1 + (len(block.parameters) >> 4), start, end)
        try:
            evaluator.enter(4, start, end, "blocks")
        except Fault as fault:
            around = [s.label for s in self.builder.scope.chain() if s.kind == "block"]
            fault.message += f": … → {' → '.join([*around[-4:], block.name])}"
            raise
        self.builder.push("block", block.name, _shown(arguments), self.place(start, end))
        try:
            names = {**given, "input": value}
            scope = Scope(names, evaluator.globals)
            for parameter in block.parameters:
                if parameter.name in names:
                    continue
                if parameter.default is None:
                    raise self.missing(block, start, end)
                names[parameter.name] = self.default(parameter.default, scope)
            result = self.body(block.body, value, scope)
        finally:
            self.builder.pop()
        evaluator.leave(4)
        return result

    def missing(self, block: Block, start: int, end: int) -> Fault:
        required = [p.name for p in block.parameters if p.default is None]
        return Fault(
            f"{block.name} needs {' and '.join(required)}",
            start,
            end,
            f"write {block.name}({', '.join(required)})",
        )

    def default(self, expr: Expr, scope: Scope) -> Any:
        try:
            return self.evaluator.evaluate(expr, scope)
        except Fault as fault:
            self.report(fault)
        except Absorbed:
            pass
        return POISON

    def repeat(self, layer: Repeat, value: Any, start: int, end: int) -> Any:
        inner, start, end = layer.layer, layer.start, layer.end
        applier = self.appliers.get(inner.__class__)
        assert applier is not None
        evaluator = self.evaluator
        if layer.count == 1:
            evaluator.enter(2, start, end, "repeats")
            value = applier(inner, value, start, end)
            evaluator.leave(2)
            return value
        push, pop = self.builder.push, self.builder.pop
        place = self.place(start, end)
        evaluator.enter(2, start, end, "repeats")
        for number in range(1, layer.count + 1):
            evaluator.spend(1, start, end)
            push("repeat", "", (("", number),), place)
            try:
                value = applier(inner, value, start, end)
            finally:
                pop()
            if value is POISON:
                break  # the others would say the same
        evaluator.leave(2)
        return value

    def broken(self, step: BrokenStep, value: Any, scope: Scope) -> Any:
        raise Absorbed

    def do(self, step: DoStep, value: Any, scope: Scope) -> Any:
        return self.body(step.body, value, scope)

    def choice(self, step: IfStep, value: Any, scope: Scope) -> Any:
        condition = self.evaluator.solid(step.condition, scope)
        if self.evaluator.guard(step.condition, truth, condition):
            return self.body(step.then, value, scope)
        if step.otherwise is not None:
            return self.body(step.otherwise, value, scope)
        return value

    def loop(self, step: ForStep, value: Any, scope: Scope) -> Any:
        rows = self.evaluator.solid(step.rows, scope)
        if not step.names:
            raise Absorbed
        if rows.__class__ is int:
            rows = self.counted(rows, step)
        elif not isinstance(rows, tuple):
            raise Fault(
                f"in: takes a count, a list or a table, not {kind(rows)}",
                step.rows.start,
                step.rows.end,
                closing(rows),
            )
        literal = step.rows.items if isinstance(step.rows, ListExpr) else None
        for number, row in enumerate(rows):
            spot: Expr | ForStep = literal[number] if literal is not None else step
            names = self.row(step, row, spot)
            shown = _shown(names.items())
            self.builder.push("loop", "", shown, self.place(spot.start, spot.end))
            try:
                value = self.body(step.body, value, Scope(names, scope, inner=True))
            finally:
                self.builder.pop()
        return value

    def counted(self, count: int, step: ForStep) -> range:
        if not 0 <= count <= MOST_REPEATS:
            raise Fault(
                f"a loop of {large(count)} rounds; 0 to {MOST_REPEATS:,} are possible",
                step.rows.start,
                step.rows.end,
            )
        return range(count)

    def row(self, step: ForStep, row: Any, spot: Expr | ForStep) -> dict[str, Any]:
        """The names of a loop with the values of one row."""
        if len(step.names) == 1:
            return {step.names[0][0]: row}
        if isinstance(spot, ForStep):
            start, end = step.rows.start, step.rows.end
        else:
            start, end = spot.start, spot.end
        if not isinstance(row, tuple):
            names = ", ".join(name for name, _, _ in step.names)
            raise Fault(
                f"each row must be a list with {len(step.names)} values for {names}, "
                f"not {kind(row)}",
                start,
                end,
            )
        if len(row) != len(step.names):
            names = ", ".join(name for name, _, _ in step.names)
            values = f"{len(row)} value{'s' if len(row) != 1 else ''}"
            raise Fault(
                f"this row has {values}, but there are {len(step.names)} names: {names}", start, end
            )
        return {name: value for (name, _, _), value in zip(step.names, row, strict=True)}

    # ---------------------------------------------------------------- branches

    def residual(self, step: ResidualStep, value: Any, scope: Scope) -> Any:
        """The body's result plus the value; plus its projection where the two differ."""
        result = self.part("body", step.body, value, scope)
        if step.shortcut is not None:
            other = self.part("shortcut", step.shortcut, value, scope)
        elif result is POISON or value is POISON:
            if step.project is not None:
                self.part("project", step.project, value, scope)
            return POISON
        elif self.same_structure(step, value, result):
            other = value
        elif step.no_project:
            return result
        elif step.project is not None:
            other = self.part("project", step.project, value, scope)
        else:
            raise self.no_projection(step, value, result)
        if other is POISON or result is POISON:
            return POISON
        return self.joined(self.add_op, [result, other], step.start, step.end)

    def same_structure(self, step: ResidualStep, value: Value, result: Value) -> bool:
        """Whether the value can be added as it is; with open vars this must be decided."""
        if not any(isinstance(size, Formula) for v in (value, result) for size in v.shape):
            return self.builder.same_structure(value, result)
        from convcalc.language import open_vars

        try:
            same = open_vars.same_structure(value.shape, result.shape)
        except open_vars.OpenFault as fault:
            message = f"whether the shortcut needs a projection: {fault.message}"
            raise Fault(message, step.start, step.end, fault.help) from None
        return same and value.layout == result.layout

    def part(self, label: str, body: Body, value: Any, scope: Scope) -> Any:
        return self.scoped("part", label, (), body, value, scope)

    def scoped(
        self,
        kind: ScopeKind,
        label: str,
        values: Sequence[tuple[str, Any]],
        body: Body,
        value: Any,
        scope: Scope,
    ) -> Any:
        """A body that is a part of its own in paths and tables."""
        self.builder.push(kind, label, values, self.place(body.start, body.end))
        try:
            return self.body(body, value, scope)
        finally:
            self.builder.pop()

    def no_projection(self, step: ResidualStep, value: Value, result: Value) -> Fault:
        before, after = value.shape, result.shape
        if len(before) != len(after) or value.layout != result.layout:
            reason = f"{show_shape(before)} flows in, {show_shape(after)} comes out of the body"
        elif before[1] != after[1] and isinstance(before[1], int) and isinstance(after[1], int):
            reason = f"{before[1]} channels flow in, {after[1]} come out of the body"
        else:
            reason = "the body changes the resolution"
        return Fault(
            f"the value cannot be added to the body's result: {reason}",
            step.start,
            step.end,
            "write project: and the layers that fit it (Conv2d(c, 1, s)), "
            "or project: none to add nothing here",
        )

    def join(self, step: JoinStep, value: Any, scope: Scope) -> Any:
        """add, mul, concat."""
        inputs = [value] * len(step.branches)
        if step.split is not None:
            inputs = self.split(step, value, scope)
        values = []
        for number, (branch, start) in enumerate(zip(step.branches, inputs, strict=True), 1):
            values.append(self.scoped("branch", "", (("", number),), branch, start, scope))
        op = self.add_op
        if step.kind != "add":
            op = self.join_op(step, scope)
        if len(values) < 2 or POISON in values:
            return POISON
        return self.joined(op, values, step.start, step.end)

    def join_op(self, step: JoinStep, scope: Scope) -> Op:
        cls = _JOINS[step.kind]
        if step.dim is None:
            return self.evaluator.bare_op(cls, step.start, step.end)
        dim = self.evaluator.solid(step.dim, scope)
        try:
            return cls(dim)
        except LayerError as error:
            raise Fault(error.message, step.dim.start, step.dim.end, error.help) from None

    def joined(self, op: Op, values: list[Value], start: int, end: int) -> Value:
        try:
            return self.builder.add(op, *values, place=self.place(start, end))
        except LayerError as error:
            if error.help is None:
                error.help = _JOIN_HELP.get(op.name())
            raise self.layer_fault(error, start, end, values) from None

    def split(self, step: JoinStep, value: Any, scope: Scope) -> list[Any]:
        """Each branch's share of the channels."""
        assert step.split is not None
        start, end = step.split.start, step.split.end
        wanted = self.evaluator.solid(step.split, scope)
        branches = len(step.branches)
        sizes = wanted if isinstance(wanted, tuple) else (wanted,)
        if is_open(wanted) or any(s.__class__ is not int and not is_open(s) for s in sizes):
            sizes = ()
        if not sizes or any(size.__class__ is int and size < 1 for size in sizes):
            raise Fault(
                f"split takes the number of branches, or a list of sizes, not {kind(wanted)}",
                start,
                end,
            )
        count = len(sizes) if isinstance(wanted, tuple) else wanted
        if count != branches:
            raise Fault(
                f"split makes {show(count)} shares, but there are {branches} branches", start, end
            )
        if value is POISON:
            return [POISON] * branches
        try:
            channels = value.channels
        except LayerError as error:
            raise Fault(error.message, start, end, error.help) from None
        if not isinstance(wanted, tuple):
            if not self.decided(channels % count, 0, start, end):
                raise Fault(
                    f"{channels} channels cannot be split into {count} equal shares",
                    start,
                    end,
                    "write a list of sizes",
                )
            sizes = (channels // count,) * count
        if not self.decided(sum(sizes), channels, start, end):
            raise Fault(
                f"the shares {' + '.join(map(str, sizes))} add up to {sum(sizes)}, "
                f"but {channels} channels flow in",
                start,
                end,
            )
        shares = []
        before = 0
        for size in sizes:
            shares.append(self.joined(_SPLIT(before, size), [value], start, end))
            before += size
        return shares

    def decided(self, left: Any, right: Any, start: int, end: int) -> bool:
        """Whether two whole numbers are equal; where vars are open this must be decided."""
        try:
            return compare("==", left, right)
        except ValueFault as fault:
            raise Fault(fault.message, start, end, fault.help) from None


def _shown(arguments: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Arguments as paths and tables show them: numbers and values as they are, others as text."""
    return [
        (name, value if value.__class__ is int or value.__class__ is Value else show(value))
        for name, value in arguments
    ]


def claimed_shape(claim: Claim, evaluator: Evaluator, scope: Scope) -> tuple[int, ...]:
    """The sizes of an `output:` claim."""
    assert claim.shape is not None
    shape = evaluator.solid(claim.shape, scope)
    for size in shape:
        if size.__class__ is not int or size < 1:
            raise Fault(
                f"output is a list of whole numbers, not {show(shape)}",
                claim.value_start,
                claim.value_end,
            )
    return tuple(shape)
