"""A network as a graph: nodes, edges, order, and the flow of sizes through them.

A graph's structure never depends on the size of the input or the batch. `GraphBuilder` therefore
builds it with spatial sizes that are `Open`: they carry their stride against the input and nothing
else, so nothing that decides structure can look at a size. `flow` then sends sizes of any kind
through a finished graph: ints, formulas or arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from convcalc.errors import ConvcalcError, DesignError, LayerError, Place, Problem
from convcalc.integers import Formula, Open, symbol, total
from convcalc.ops.base import AXES, REGISTRY, Condition, Op, Tensor, Window
from convcalc.ops.joins import show_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from convcalc.integers import Names, Size
    from convcalc.ops.base import Layout, Shape

    ScopeKind = Literal["network", "block", "loop", "repeat", "branch", "part"]
    # What one entry of an input's shape may be: a number, or the name of a free size.
    Entry = int | str

#: More nodes than this are no network but a mistake.
MAX_NODES = 100_000


class Scope:
    """A part of the network as it was written: what a node stands in.

    kind: "network" (the root), "block" (a call of a block, or a named result), "loop" (one row of a
        `for`), "repeat" (one of `n * …`), "branch" (one of a join), "part" (the body, shortcut or
        projection of a residual, an aux or output).
    label: a block's name, a result's name, "body", "project"; empty for loops, repeats, branches.
    values: a block's arguments, a loop's names and values, the number of a repeat or branch.
    place: the call, the row, the branch.
    """

    __slots__ = ("_names", "kind", "label", "ordinal", "owner", "parent", "place", "values")

    def __init__(
        self,
        kind: ScopeKind,
        label: str,
        parent: Scope | None,
        place: Place | None,
        values: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.kind = kind
        self.label = label
        self.parent = parent
        self.place = place
        self.values = values
        self._names: dict[str, int] = {}
        self.ordinal = 0
        # Only the network and blocks make a path; a loop's layers belong to what the loop is in.
        self.owner: Scope = self
        if parent is not None:
            self.owner = self if kind == "block" else parent.owner
            if kind == "block":
                self.ordinal = parent.owner.count(label)

    def count(self, label: str) -> int:
        """The ordinal of one more child of that label."""
        ordinal = self._names.get(label, 0)
        self._names[label] = ordinal + 1
        return ordinal

    def segment(self, label: str, ordinal: int) -> str:
        """A child's part of the path: numbered where several bear the same label."""
        return f"{label}[{ordinal}]" if self._names[label] > 1 else label

    def describe(self) -> str:
        """As a note of an error and a heading of a table have it: `Bottleneck(64, s=2)`."""
        if self.kind == "block":
            args = ", ".join(v if not n else f"{n}={v}" for n, v in self.shown_values())
            return f"{self.label}({args})" if args else self.label
        if self.kind == "loop":
            return ", ".join(f"{n}={v}" for n, v in self.shown_values())
        if self.kind in ("repeat", "branch"):
            return f"{self.kind} {self.values[0][1]}"
        return self.label

    def shown_values(self) -> Iterator[tuple[str, str]]:
        for name, value in self.values:
            if isinstance(value, Value):
                yield name, value.path
            elif isinstance(value, (list, tuple)):
                yield name, "[…]" if len(value) > 8 else str(list(value))
            else:
                yield name, str(value)

    def chain(self) -> list[Scope]:
        """From just below the network down to this scope."""
        scopes: list[Scope] = []
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            scopes.append(scope)
            scope = scope.parent
        scopes.reverse()
        return scopes


class Node:
    """One layer of the network, or one of its inputs (then `op` is None).

    inputs: indices of the nodes whose outputs flow in.
    aux: it serves only outputs that exist in training, and is counted apart.
    frozen: its parameters get no gradient: `requires_grad_(False)`.
    path: `Bottleneck[3].Conv[1].BatchNorm2d`: blocks and named results from the outermost in, the
        layer's name last, each numbered from 0 where several of that name stand in the same block.
    """

    __slots__ = (
        "aux",
        "frozen",
        "index",
        "inputs",
        "layout",
        "op",
        "ordinal",
        "path",
        "place",
        "scope",
        "structure",
    )

    def __init__(
        self,
        index: int,
        op: Op | None,
        inputs: tuple[int, ...],
        scope: Scope,
        place: Place | None,
        structure: Shape,
        layout: Layout,
        label: str,
    ) -> None:
        self.index = index
        self.op = op
        self.inputs = inputs
        self.scope = scope
        self.place = place
        self.structure = structure
        self.layout: Layout = layout
        self.aux = False
        self.frozen = False
        self.path = label
        self.ordinal = scope.owner.count(label)

    @property
    def kind(self) -> str:
        """The layer's name: "Conv2d"; "Input" for an input."""
        return "Input" if self.op is None else self.op.name()

    def __repr__(self) -> str:
        return f"Node({self.path!r}, {self.op})"


class Value:
    """What flows at one point while a graph is built: which node gives it, and its structure."""

    __slots__ = ("layout", "node", "shape")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.shape = node.structure
        self.layout: Layout = node.layout

    @property
    def path(self) -> str:
        return self.node.path

    @property
    def channels(self) -> int | Formula:
        """The number of channels (of features, for tokens); a formula where vars are open.

        Raises LayerError where it depends on the size of the input, as after a Flatten: structure
        must not depend on it.
        """
        size = self.shape[-1] if self.layout == "tokens" else self.shape[1]
        if isinstance(size, (int, Formula)):
            return size
        raise LayerError(
            "the number of channels here depends on the size of the input",
            "structure must not depend on the input's size; write the number, or a var",
        )

    def __repr__(self) -> str:
        return f"Value({self.path}, {show_shape(self.shape)})"


class Expectation:
    """An `expect:` of one step: the nodes it added, its value, and what must come out."""

    __slots__ = ("first", "key", "last", "place", "value", "wanted")

    def __init__(
        self, key: str, wanted: Any, place: Place | None, first: int, last: int, value: int
    ) -> None:
        self.key = key
        self.wanted = wanted
        self.place = place
        self.first = first
        self.last = last
        self.value = value


class Graph:
    """A finished network.

    nodes: in an order in which each comes after what it needs; the inputs come first.
    inputs: name → shape of one sample, without the batch; an entry is a number or a free size's
        name.
    outputs, aux: name → index of the node that gives it.
    open_vars: the vars that were left open; layers' arguments hold them as formulas.
    """

    def __init__(
        self,
        name: str,
        nodes: list[Node],
        inputs: dict[str, tuple[Entry, ...]],
        outputs: dict[str, int],
        aux: dict[str, int],
        expectations: Sequence[Expectation],
        root: Scope,
    ) -> None:
        self.name = name
        self.nodes = nodes
        self.inputs = inputs
        self.outputs = outputs
        self.aux = aux
        self.expectations = tuple(expectations)
        self.root = root
        self.open_vars: tuple[str, ...] = ()

    @property
    def layers(self) -> list[Node]:
        """The nodes that are not inputs."""
        return self.nodes[len(self.inputs) :]

    @property
    def free(self) -> list[str]:
        """The names of the sizes that the design leaves open, in order."""
        names = (e for shape in self.inputs.values() for e in shape if isinstance(e, str))
        return list(dict.fromkeys(names))

    def users(self) -> list[list[int]]:
        """For each node the indices of those that read it."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for index in node.inputs:
                users[index].append(node.index)
        return users


class GraphBuilder:
    """Builds a graph, node by node. The language is its main user; a program may be another.

    >>> from convcalc.graph import GraphBuilder
    >>> from convcalc.ops import REGISTRY
    >>> builder = GraphBuilder("tiny")
    >>> x = builder.input("input", (3, 32, 32))
    >>> y = builder.add(REGISTRY["Conv2d"](6, 5), x)
    >>> graph = builder.finish({"output": y})
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = Scope("network", name, None, None)
        self.scope = self.root
        self._nodes: list[Node] = []
        self._inputs: dict[str, tuple[Entry, ...]] = {}
        self._expectations: list[Expectation] = []
        # Blocks repeat: the same op on the same structure gives the same result.
        self._known: dict[tuple[Any, ...], tuple[Shape, Layout]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def input(self, name: str, shape: Sequence[Entry], place: Place | None = None) -> Value:
        """An input of the network: the shape of one sample, channels first, without the batch."""
        if any(node.op is not None for node in self._nodes):
            raise ValueError("inputs come before layers")
        if name in self._inputs:
            raise ValueError(f"there is an input {name!r} already")
        channels: Size = shape[0] if isinstance(shape[0], int) else Open()
        structure = (Open(), channels, *(Open() for _ in shape[1:]))
        self._inputs[name] = tuple(shape)
        node = Node(len(self._nodes), None, (), self.root, place, structure, "channels", name)
        self._nodes.append(node)
        return Value(node)

    def add(self, op: Op, *values: Value, place: Place | None = None) -> Value:
        """One more layer, on the values given; raises LayerError where they do not fit."""
        layouts = tuple(v.layout for v in values)
        shapes = tuple(v.shape for v in values)
        key = (op, shapes, layouts)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._structure(op, shapes, layouts)
        if len(self._nodes) >= MAX_NODES:
            raise LayerError(f"the network has more than {MAX_NODES:,} layers")
        structure, layout = known
        node = Node(
            len(self._nodes),
            op,
            tuple(v.node.index for v in values),
            self.scope,
            place,
            structure,
            layout,
            op.name(),
        )
        self._nodes.append(node)
        return Value(node)

    @staticmethod
    def _structure(
        op: Op, shapes: tuple[Shape, ...], layouts: tuple[Layout, ...]
    ) -> tuple[Shape, Layout]:
        for shape, layout in zip(shapes, layouts, strict=True):
            if op.layout == "any" or layout == op.layout:
                continue
            if op.layout == "features" and (layout == "tokens" or len(shape) == 2):
                continue
            raise _layout_error(op, shape, layout)
        if op.inputs and len(shapes) != op.inputs:
            values = "1 value" if op.inputs == 1 else f"{op.inputs} values"
            raise LayerError(f"{op.name()} takes {values}, not {len(shapes)}")
        op.check(*shapes)
        for condition in op.conditions(*shapes):
            if condition.holds() is False:
                raise LayerError(str(condition), condition.help)
        return op.output(*shapes), op.output_layout(*layouts)

    def push(
        self,
        kind: ScopeKind,
        label: str = "",
        values: Sequence[tuple[str, Any]] = (),
        place: Place | None = None,
    ) -> Scope:
        """Enter a part of the network; `pop` leaves it."""
        self.scope = Scope(kind, label, self.scope, place, values)
        return self.scope

    def pop(self) -> None:
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    @staticmethod
    def same_structure(one: Value, other: Value) -> bool:
        """Whether channels and strides agree, so that a residual needs no projection."""
        return one.layout == other.layout and one.shape == other.shape

    def expect(self, key: str, wanted: Any, place: Place | None, first: int, value: Value) -> None:
        """Record an `expect:` of the step that added the nodes from `first` on."""
        last = len(self._nodes)
        self._expectations.append(Expectation(key, wanted, place, first, last, value.node.index))

    def finish(self, outputs: Mapping[str, Value], aux: Mapping[str, Value] | None = None) -> Graph:
        """The finished graph. Nodes that serve aux outputs alone are marked so."""
        self._name_paths()
        aux = aux or {}
        if aux:
            served = ancestors(self._nodes, (v.node.index for v in aux.values()))
            main = ancestors(self._nodes, (v.node.index for v in outputs.values()))
            for index in served - main:
                self._nodes[index].aux = True
        return Graph(
            self.name,
            self._nodes,
            self._inputs,
            {name: v.node.index for name, v in outputs.items()},
            {name: v.node.index for name, v in aux.items()},
            self._expectations,
            self.root,
        )

    def _name_paths(self) -> None:
        prefixes: dict[Scope, str] = {self.root: ""}

        def prefix(owner: Scope) -> str:
            if owner not in prefixes:
                assert owner.parent is not None
                above = owner.parent.owner
                part = above.segment(owner.label, owner.ordinal)
                prefixes[owner] = f"{prefix(above)}{part}."
            return prefixes[owner]

        for node in self._nodes:
            owner = node.scope.owner
            node.path = prefix(owner) + owner.segment(node.path, node.ordinal)


def ancestors(nodes: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """Indices of the nodes from which one of the given ones is reached, themselves included."""
    reached: set[int] = set()
    todo = list(ends)
    while todo:
        index = todo.pop()
        if index not in reached:
            reached.add(index)
            todo += nodes[index].inputs
    return reached


def _layout_error(op: Op, shape: Shape, layout: Layout) -> LayerError:
    """The axes of what flows in do not mean what the op takes them for."""
    have = "tokens, N×L×E" if layout == "tokens" else "a value with channels first"
    want, help = "channels first", None
    if op.layout != "channels":
        want = "tokens, N×L×E" if op.layout == "tokens" else "tokens, N×L×E, or N×F"
        help = "put Tokens before it"
        if f"{op.name()}2d" in REGISTRY and len(shape) == 4:
            help = f"write {op.name()}2d, which works on the channels"
    message = f"{op.name()} takes {want}; {have} flows in: {show_shape(shape)}"
    return LayerError(message, help)


def context_notes(scope: Scope) -> list[str]:
    """What led to a layer, from the outermost in: one line each, with its line in the file."""
    notes = []
    for part in scope.chain():
        text = part.describe()
        if text:
            line = f", line {part.place.line}" if part.place else ""
            notes.append(f"in {text}{line}")
    if len(notes) > 12:
        notes[6:-6] = [f"… {len(notes) - 12} more …"]
    return notes


# ---------------------------------------------------------------------------- flow


class Facts:
    """What an op makes of given input shapes; shared by all nodes where both are the same.

    inputs: the shapes that flow in. output: the output's shape. weights, buffers: the tensors it
    owns. params, buffer_elements, macs: their counts. windows: how it reads each axis. conditions:
    what must hold.
    """

    __slots__ = (
        "buffer_elements",
        "buffers",
        "conditions",
        "inputs",
        "macs",
        "output",
        "params",
        "weights",
        "windows",
    )

    def __init__(
        self,
        op: Op,
        shapes: tuple[Shape, ...],
        names: Names | None,
        conditions: Sequence[Condition] | None = None,
    ) -> None:
        if conditions is None:
            conditions = op.conditions(*shapes)
        self.inputs = shapes
        self.conditions: Sequence[Condition] = conditions
        output = op.output(*shapes)
        self.output: Shape = output if names is None else _named(output, names)
        self.weights: Sequence[Tensor] = op.weights(*shapes)
        self.buffers: Sequence[Tensor] = op.buffers(*shapes)
        self.params: Size = _elements(self.weights)
        self.buffer_elements: Size = _elements(self.buffers)
        self.macs: Size = op.macs(self.output, *shapes)
        self.windows: Sequence[Window] = op.windows(*shapes)


def _elements(tensors: Sequence[Tensor]) -> Size:
    if len(tensors) == 1:
        return tensors[0].elements
    return total([tensor.elements for tensor in tensors]) if tensors else 0


def _named(shape: Shape, names: Names) -> Shape:
    """The shape with its spatial sizes under names (h1, w1, …), so that costs stay short."""
    if names.given.issuperset(map(id, shape[2:])):
        return shape  # most layers hand theirs on
    axes = AXES.get(len(shape) - 2)
    if axes is None:
        return shape
    sizes = [names.name(size, axis[0]) for size, axis in zip(shape[2:], axes, strict=True)]
    return (*shape[:2], *sizes)


def check_batch(batch: object) -> None:
    """Raises ConvcalcError for what is no number of samples."""
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise ConvcalcError(f"batch is a whole number of at least 1, not {batch!r}")


class Flow:
    """A graph with sizes flowing through it.

    shapes: the output shape of every node, batch first, by index.
    facts: what each layer made of its inputs; None for inputs.
    open_conditions: (node, condition) pairs that could not be decided because a size is a formula
        or an array; the figures hold where they do.
    names: where sizes are formulas, the names that the distinct ones bear in shapes and costs.
    """

    def __init__(self, graph: Graph, batch: Size, inputs: dict[str, Shape]) -> None:
        self.graph = graph
        self.batch = batch
        self.inputs = inputs
        self.shapes: list[Shape] = []
        self.facts: list[Facts | None] = []
        self.open_conditions: list[tuple[Node, Condition]] = []
        self.names: Names | None = None


def flow(
    graph: Graph,
    inputs: Mapping[str, Sequence[Size]] | None = None,
    *,
    batch: Size = 1,
    names: Names | None = None,
) -> Flow:
    """Send sizes through a graph.

    inputs: name → shape of one sample, without the batch, of ints, formulas or arrays; inputs that
        are not named take the design's own sizes, a free size standing as the formula of its name.
    batch: the first axis of every shape.
    names: where sizes are formulas, names to go on with, so that two networks share them.

    Raises DesignError, with all independent faults, where a layer does not accept what flows in.
    """
    shapes_in = _input_shapes(graph, inputs or {}, batch)
    result = Flow(graph, batch, shapes_in)
    symbolic = any(isinstance(s, Formula) for shape in shapes_in.values() for s in shape)
    if symbolic or graph.open_vars:
        # Formulas are rarer than ints: what only they need is loaded for them.
        from convcalc.integers.names import Names

        result.names = names or Names(tuple(graph.free), unnamed=graph.open_vars)
    # Equal shapes become one object, so that what is known is found by identity: sizes that are
    # formulas take long to hash.
    one: dict[Shape, Shape] = {}
    known: dict[tuple[object, ...], Facts] = {}
    problems: list[Problem] = []
    broken: set[int] = set()
    shapes, facts = result.shapes, result.facts
    for node in graph.nodes:
        op = node.op
        if op is None:
            shape = shapes_in[node.path]
            shapes.append(one.setdefault(shape, shape))
            facts.append(None)
            continue
        if broken and not broken.isdisjoint(node.inputs):
            broken.add(node.index)
            shapes.append(())
            facts.append(None)
            continue
        flowing = tuple(map(shapes.__getitem__, node.inputs))
        key = (op, *map(id, flowing))
        fact = known.get(key)
        if fact is None:
            conditions = op.conditions(*flowing)
            held = [condition.holds() for condition in conditions]
            if False in held:
                failed = conditions[held.index(False)]
                problems.append(flow_problem(node, failed, flowing))
                broken.add(node.index)
                shapes.append(())
                facts.append(None)
                continue
            if None in held:
                result.open_conditions += [
                    (node, c)
                    for c, holds in zip(conditions, held, strict=True)
                    if holds is None and c.left is not c.right
                ]
            fact = known[key] = Facts(op, flowing, result.names, conditions)
            fact.output = one.setdefault(fact.output, fact.output)
        shapes.append(fact.output)
        facts.append(fact)
    if problems:
        raise DesignError(problems)
    return result


def _input_shapes(
    graph: Graph, inputs: Mapping[str, Sequence[Size]], batch: Size
) -> dict[str, Shape]:
    """Batch first, free sizes as formulas; raises ConvcalcError for another number of axes."""
    shapes: dict[str, Shape] = {}
    for name, entries in graph.inputs.items():
        sizes = inputs.get(name, entries)
        if len(sizes) != len(entries):
            raise ConvcalcError(
                f"input {name!r} has {len(entries)} axes without the batch, not {len(sizes)}"
            )
        shapes[name] = (batch, *(symbol(s) if isinstance(s, str) else s for s in sizes))
    return shapes


def flow_problem(node: Node, condition: Condition, shapes: Sequence[Shape]) -> Problem:
    """A layer that does not accept what flows in, with its place and what led there."""
    into = " and ".join(show_shape(s) for s in shapes)
    notes = [*context_notes(node.scope), f"{node.path} = {node.op}, into which flows {into}"]
    return Problem(
        str(condition), node.place, help=condition.help, notes=notes, path=node.path, code="invalid"
    )
