"""A network's memory, to the byte: what eager PyTorch's tensors occupy, from the graph alone.

| figure | what it counts |
| --- | --- |
| output | a layer's output tensor |
| allocated | what a layer newly allocates and returns: 0 for a view, and in place |
| saved | what a layer is the first to keep for backward; parameters and buffers never count |
| inference peak | the most that lives during a forward pass without gradients, in evaluation mode |
| training peak | the most that lives in forward, `output.sum()`, backward and optimizer's step |

In bytes, above parameters and buffers, the input included; values are dropped after their last use.
The step is not the first: the optimizer's state exists, and counts in the training peak. Sums are
ints, or formulas where sizes are open; a peak is told where every size is a number.

    memory = Memory(flow, "bfloat16", frozen=["features", "classifier.0"])
    memory.saved, memory.allocated, memory.gradients        # sums, ints or formulas
    memory.layers[index].saved                              # of one layer, and what it keeps
    memory.inference().peak, memory.inference().path        # and where
    memory.untrainable                                      # why no step can run, or None
    memory.training("adam").peak, .phase, .path, .moments   # a timeline

A frozen layer is one whose parameters get no gradient (`requires_grad_(False)`); it runs in
training mode all the same. Backward stops where nothing before it trains, and what only it would
need is not kept.
"""

from __future__ import annotations

from convcalc.analysis.optimizers import known_optimizer, state_bytes, step_bytes
from convcalc.analysis.passes import Moment, Pass, Run, Turns
from convcalc.analysis.summary import DTYPE_BYTES
from convcalc.errors import ConvcalcError, closest
from convcalc.integers import product, total
from convcalc.ops.memory import NOBODY, Tape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from convcalc.analysis.passes import Phase
    from convcalc.graph import Facts, Flow, Graph, Node
    from convcalc.integers import Size
    from convcalc.ops.memory import Trace
    from convcalc.ops.strides import Strides


class LayerMemory:
    """One layer's bytes: its output, what of it is new, what it is the first to keep for backward.

    new: whether its output is no view, nor written in place.
    allocated and saved are None, and nothing is told of what it keeps, where `Memory.no_formula`
    says why.
    """

    __slots__ = ("_kept", "_names", "_run", "allocated", "new", "output", "saved")

    def __init__(
        self,
        output: Size,
        new: bool,
        allocated: Size | None,
        saved: Size | None,
        run: Run,
        kept: Sequence[int] = (),
        names: Sequence[str] = (),
    ) -> None:
        self.output = output
        self.new = new
        self.allocated = allocated
        self.saved = saved
        self._run = run
        self._kept = kept
        self._names = names

    @property
    def keeps(self) -> tuple[tuple[str, Size], ...]:
        """Each storage that it keeps for backward, whoever kept it first: (what it is, bytes)."""
        sizes = self._run.sizes
        return tuple([(n, sizes[s]) for n, s in zip(self._names, self._kept, strict=True)])

    @property
    def kept(self) -> dict[int, Size]:
        """Their bytes, by the index of the node whose value lies in them; NOBODY for all others."""
        sizes, owners = self._run.sizes, self._run.owners
        kept: dict[int, Size] = {}
        for storage in self._kept:
            owner = owners.get(storage, NOBODY)
            kept[owner] = kept.get(owner, 0) + sizes[storage]
        return kept

    def __repr__(self) -> str:
        return f"LayerMemory({self.output}, {self.allocated}, {self.saved}, {self.keeps})"


class Course:
    """How memory rises and falls over a pass.

    peak: the most bytes that live at once. phase, node: where that is first so: "forward",
    "backward" or "step"; the layer's node, None for input, loss and step.
    """

    __slots__ = ("_state", "_step", "_turns", "node", "peak", "phase")

    def __init__(self, turns: Turns, state: int = 0, step: Moment | None = None) -> None:
        highest = max(turns.peaks)
        at = turns.peaks.index(highest)
        self.peak = highest
        self.phase: Phase = turns.phase(at)
        self.node = turns.nodes[at]
        if step is not None and step.peak > highest:
            self.peak, self.phase, self.node = step.peak, step.phase, step.node
        self.peak += state
        self._turns = turns
        self._state = state
        self._step = step

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Each layer's turn, in order."""
        moments = self._turns.moments(self._state)
        if self._step is not None:
            step, more = self._step, self._state
            moments.append(Moment(step.phase, step.node, step.peak + more, step.after + more))
        return tuple(moments)

    @property
    def path(self) -> str | None:
        """The path of the layer in whose turn the peak is."""
        return None if self.node is None else self.node.path

    def __repr__(self) -> str:
        return f"Course({self.peak} in {self.phase}, {self.path})"


class Training(Course):
    """A training step. after_forward: bytes that live once the loss is known. gradients: of the
    storages that hold those of parameters. state: what the optimizer keeps between steps.
    """

    __slots__ = ("after_forward", "gradients", "state")

    def __init__(
        self,
        turns: Turns,
        step: Moment | None,
        after_forward: int,
        gradients: int,
        state: int,
    ) -> None:
        super().__init__(turns, state, step)
        self.after_forward = after_forward + state
        self.gradients = gradients
        self.state = state


class Memory:
    """A network's memory at one input, batch and dtype.

    device: "cpu" or "cuda"; the rules for a GPU are from PyTorch's source, not from measurements.
    frozen: layers whose parameters do not train, besides those that are `frozen` in the graph:
    indices of nodes, paths, or starts of paths ("layers" is all below it).
    input_needs: the inputs take a gradient, as if layers came before them.

    Raises ConvcalcError for a path that is none.
    """

    def __init__(
        self,
        flow: Flow,
        dtype: str = "float32",
        *,
        device: str = "cpu",
        frozen: Iterable[int | str] = (),
        input_needs: bool = False,
    ) -> None:
        self.flow = flow
        self._input_needs = input_needs
        self.dtype = dtype
        #: Indices of the layers whose parameters do not train.
        self.frozen = frozen_layers(flow.graph, frozen)
        self.cuda = device.startswith("cuda")
        self._width = DTYPE_BYTES[dtype]
        # Where what flows in is ints, and no var is open, so are all sizes.
        flowing = [size for shape in flow.inputs.values() for size in shape]
        self._exact = flow.names is None and {type(size) for size in flowing} <= {int}
        self._layers: dict[int, LayerMemory] | None = None
        self._saved_in_general: Size = 0
        self._training: Pass | None = None
        self._trained: Run | None = None
        # What layers do in evaluation, by their facts and the strides of what flows in.
        self._passing: dict[tuple[Facts | None, tuple[Strides, ...]], Trace] = {}
        self._gradients: list[Size] | None = None
        self._after_forward = 0
        self._inference: Course | None = None
        self._reached_values: set[int] | None = None
        self._refusal: str | None = None
        self._refusal_known = False

    # ------------------------------------------------------------------ what each layer does

    def _in_training(self) -> Run:
        """The layers that run in training, in order, each with what it does to memory."""
        facts, shapes, frozen = self.flow.facts, self.flow.shapes, self.frozen
        run = Run(
            [product(shape) * self._width for shape in self.flow.inputs.values()], len(shapes)
        )
        known: dict[Any, Trace] = {}
        # Of each value its strides, and whether it needs a gradient; a layer's come as it runs.
        flowing: list[tuple[Strides, bool]] = [(None, self._input_needs)] * len(shapes)
        roots: dict[int, Size] = {}  # of views: bytes of what they are views of
        for node in self.flow.graph.layers:
            index, inputs = node.index, node.inputs
            trains = index not in frozen
            into = tuple([flowing[i] for i in inputs])
            overwritten: tuple[Size | None, ...] = ()
            if roots and getattr(node.op, "inplace", False):
                overwritten = tuple([roots.get(i) for i in inputs])
            key = (facts[index], trains, into, overwritten)
            trace = known.get(key)
            if trace is None:
                trace = self._trace(node, into, trains=trains, overwritten=overwritten)
                known[key] = trace
            flowing[index] = trace.flowing
            if trace.root is not None:
                roots[index] = trace.root[1]
            elif trace.same >= 0:
                of = inputs[trace.same]
                if of in roots:
                    roots[index] = roots[of]
            elif trace.view >= 0:
                of = inputs[trace.view]
                roots[index] = roots[of] if of in roots else product(shapes[of]) * self._width
            run.add(node, trace)
        return run

    def _in_evaluation(self) -> Turns:
        """A forward pass in evaluation. No gradient flows, and a layer leaves its output alone."""
        facts, known = self.flow.facts, self._passing
        nodes = [node for node in self.flow.graph.layers if not node.aux]
        strides: list[Strides] = [None] * len(facts)
        sizes: list[Any] = [product(shape) * self._width for shape in self.flow.inputs.values()]
        uses = [2] * len(sizes)  # of each storage what refers to it; the caller holds the inputs
        lies = list(range(len(facts)))
        last = last_uses(nodes, self.flow.graph.outputs.values(), len(facts))
        live = sum(sizes)
        turns = Turns()
        turns.nodes = [None, *nodes]
        turns.peaks, turns.afters = peaks, afters = [live], [live]
        for node in nodes:
            index, inputs = node.index, node.inputs
            lie = tuple([strides[i] for i in inputs])
            trace = known.get((facts[index], lie))
            if trace is None:
                into = [(strides, False) for strides in lie]
                trace = self._trace(node, into, trains=False, training=False)
            strides[index] = trace.strides
            peaks.append(live + trace.peak)
            if trace.new:
                lies[index] = len(sizes)
                sizes += trace.new
                uses.append(1)
                live += sizes[-1]
            else:
                lies[index] = lies[inputs[trace.out]]
                uses[lies[index]] += 1
            for gone in (*inputs, index):
                if last[gone] == index:
                    last[gone] = NOBODY  # it may flow in twice
                    storage = lies[gone]
                    uses[storage] -= 1
                    if not uses[storage]:
                        live -= sizes[storage]
            afters.append(live)
        turns.back = len(turns.nodes)
        return turns

    def _trace(
        self,
        node: Node,
        into: Sequence[tuple[Strides, bool]],
        *,
        trains: bool,
        training: bool = True,
        overwritten: Sequence[Size | None] = (),
    ) -> Trace:
        facts = self.flow.facts[node.index]
        assert facts is not None
        assert node.op is not None
        shapes = self.flow.shapes
        tape = Tape(
            facts.output,
            [shapes[i] for i in node.inputs],
            into,
            facts.weights,
            trains=trains,
            training=training,
            cuda=self.cuda,
            width=self._width,
            exact=self._exact,
            roots=overwritten,
        )
        trace = tape.finish(node.op.memory(tape, *tape.inputs))
        passing = tape.passing(trace) if training else trace
        if passing is not None:
            self._passing[facts, tuple([strides for strides, _ in into])] = passing
        return trace

    @property
    def _forward(self) -> Run:
        """The layers in training."""
        if self._trained is None:
            self._trained = self._in_training()
        return self._trained

    # ------------------------------------------------------------------ sums

    @property
    def no_formula(self) -> str | None:
        """Why no formulas tell what is allocated and saved; None where they do, or all is ints.

        It is so of the whole network: a layer whose storages are not known may be the first to keep
        what others keep too.
        """
        if self.flow.names is None:
            return None
        for node in self.flow.graph.layers:
            if node.op is not None and node.op.degenerate:
                return f"{node.op.name()}: {node.op.degenerate}"
        return None

    @property
    def layers(self) -> dict[int, LayerMemory]:
        """By index of the node, in order. Those of aux outputs are among them."""
        if self._layers is None:
            self._layers = self._measure_layers()
        return self._layers

    def _measure_layers(self) -> dict[int, LayerMemory]:
        """What is kept twice counts at the first layer."""
        told = self.no_formula is None
        run = self._forward
        sizes = run.sizes
        kept: set[int] = set()
        in_general: Size = 0
        layers = {}
        for node, trace, held in run.steps:
            saved: Size = 0
            keeps = [held[number] for number in trace.kept]
            for storage in keeps:
                if storage not in kept:
                    kept.add(storage)
                    saved = saved + sizes[storage]
            in_general = in_general + saved
            new = trace.out >= len(node.inputs)
            layers[node.index] = (
                LayerMemory(
                    trace.output,
                    new,
                    sizes[held[trace.out]] if new else 0,
                    saved,
                    run,
                    keeps,
                    trace.names,
                )
                if told
                else LayerMemory(trace.output, new, None, None, run)
            )
        self._saved_in_general = in_general
        return layers

    @property
    def allocated(self) -> Size | None:
        """What a forward pass would hold if nothing were freed; without layers of aux outputs.

        None: `no_formula` says why.
        """
        main = [node.index for node in self.flow.graph.layers if not node.aux]
        layers = self.layers
        return _total([layers[index].allocated for index in main])

    @property
    def saved(self) -> Size | None:
        """What is kept for backward; aux outputs take part in training. None: see `no_formula`."""
        return _total([layer.saved for layer in self.layers.values()])

    @property
    def saved_in_general(self) -> Size:
        """What is kept for backward where no size is degenerate: a bound of it from below."""
        _ = self.layers  # adds it up
        return self._saved_in_general

    @property
    def gradients(self) -> Size:
        """The gradients of the parameters that train and that the loss depends on.

        As tensors; a storage may be larger: at batch 1 a class token's gradient is a view.
        """
        return total(self._parameters())

    @property
    def untrainable(self) -> str | None:
        """Why PyTorch refuses a training step at this size: the first layer, and what it needs."""
        if not self._refusal_known:
            self._refusal = self._forward_refused() or self._backward_refused()
            self._refusal_known = True
        return self._refusal

    def _forward_refused(self) -> str | None:
        shapes = self.flow.shapes
        seen = set()
        for node in self.flow.graph.layers:
            facts = self.flow.facts[node.index]
            if facts in seen:
                continue
            seen.add(facts)
            assert node.op is not None
            for condition in node.op.training_conditions(*[shapes[i] for i in node.inputs]):
                if condition.holds() is False:
                    help = f" ({condition.help})" if condition.help else ""
                    return f"{node.path} cannot train: {condition}{help}"
        return None

    def _backward_refused(self) -> str | None:
        """Layers that have no backward, and such as overwrite what an earlier one keeps for it.

        Source: torch/csrc/autograd/saved_variable.cpp, unpack.
        """
        steps = self._forward.steps
        for node, trace, _ in steps:
            refused = node.op is not None and node.op.no_backward
            if refused and trace.nodes and node.index in self._reached:
                return f"{node.path} cannot train: {refused}"
        if not any(trace.overwrites for _, trace, _ in steps):
            return None
        reached = self._reached
        keepers: dict[int, Node] = {}  # of each storage the first layer that keeps it
        for node, trace, held in steps:
            keeper = keepers.get(held[trace.out]) if trace.overwrites else None
            if keeper is not None:
                return (
                    f"{node.path} cannot train in place: it overwrites what {keeper.path} keeps "
                    "for backward (leave inplace away)"
                )
            if node.index in reached:
                for number in trace.kept:
                    keepers.setdefault(held[number], node)
        return None

    @property
    def _reached(self) -> set[int]:
        """Indices of the values on which the loss depends."""
        if self._reached_values is not None:
            return self._reached_values
        graph = self.flow.graph
        reached = {*graph.outputs.values(), *graph.aux.values()}
        known: dict[Trace, set[int]] = {}  # of each its targets
        for node, trace, _ in reversed(self._forward.steps):
            if node.index not in reached:
                continue
            targets = known.get(trace)
            if targets is None:
                steps = [step for kernel in trace.nodes if kernel for step in kernel.plan]
                targets = {trace.node, trace.same, trace.view, *[step[1] for step in steps]}
                known[trace] = targets
            for at, index in enumerate(node.inputs):
                if at in targets:
                    reached.add(index)
        self._reached_values = reached
        return reached

    def _parameters(self) -> list[Size]:
        """Bytes of every parameter that gets a gradient, in the order of the module's parameters().

        That is the order of the tree of paths: what stands under one name stands together.
        """
        if self._gradients is None:
            self._gradients = self._measure_gradients()
        return self._gradients

    def _measure_gradients(self) -> list[Size]:
        facts, reached, width = self.flow.facts, self._reached, self._width
        known: dict[Facts, list[Size]] = {}
        tree: dict[str, Any] = {}
        branches = {"": tree}
        for node in self.flow.graph.layers:
            fact = facts[node.index]
            if fact is None or not fact.weights or node.index in self.frozen:
                continue
            if node.index not in reached:
                continue
            if fact not in known:
                known[fact] = [t.elements * width for t in fact.weights]
            above, _, name = node.path.rpartition(".")
            if above not in branches:
                _grow(branches, above)
            branches[above][f"{name} "] = known[fact]
        sizes: list[Size] = []
        todo: list[Any] = [tree]
        while todo:
            part = todo.pop()
            if isinstance(part, dict):
                todo += reversed(part.values())
            else:
                sizes += part
        return sizes

    # ------------------------------------------------------------------ passes

    def inference(self) -> Course:
        """A forward pass without gradients, in evaluation mode.

        Raises ConvcalcError where a size is still open.
        """
        if self._inference is None:
            self._check_exact()
            self._inference = Course(self._in_evaluation())
        return self._inference

    def training(
        self, optimizer: str = "none", *, foreach: bool | None = None, weight_decay: bool = False
    ) -> Training:
        """Forward, loss, backward, and the optimizer's step, which is not its first.

        optimizer: "none", "sgd", "momentum", "adam" or "adamw". foreach: it steps through lists of
        tensors, not one by one; None: as PyTorch does, on a GPU. weight_decay: it is not 0.

        Raises ConvcalcError for another optimizer, where a size is still open, and where a layer
        is `untrainable`.
        """
        known_optimizer(optimizer)
        refused = self.untrainable
        if refused is not None:
            raise ConvcalcError(refused)
        if self._training is None:
            self._check_exact()
            graph, shapes = self.flow.graph, self.flow.shapes
            outputs = [*graph.outputs.values(), *graph.aux.values()]
            last = last_uses(graph.layers, outputs, len(shapes))
            run = Pass(self._forward, shapes, self._width)
            run.forward(len(graph.inputs), last, outputs, dead_ends(graph.layers, outputs))
            run.loss()
            self._after_forward = run.live
            run.backward()
            self._training = run
        run = self._training
        sizes: Any = self._parameters()  # ints: the pass has run
        state = state_bytes(optimizer, sizes, cuda=self.cuda)
        step = None
        if optimizer != "none":
            lists = self.cuda if foreach is None else foreach
            extra = step_bytes(optimizer, sizes, foreach=lists, weight_decay=weight_decay)
            step = Moment("step", None, run.live + extra, run.live)
        return Training(run.turns, step, self._after_forward, run.gradients, state)

    def _check_exact(self) -> None:
        if not self._exact:
            raise ConvcalcError("a peak is told where every size is a number: give those left open")


def _grow(branches: dict[str, dict[str, Any]], path: str) -> None:
    """Put a branch into the tree, and those on the way to it. branches: all of them, by path."""
    start = ""
    branch = branches[start]
    for name in path.split("."):
        start = f"{start}.{name}" if start else name
        if start not in branches:
            branches[start] = branch[name] = {}
        branch = branches[start]


def _total(sizes: Iterable[Size | None]) -> Size | None:
    known = list(sizes)
    told = [size for size in known if size is not None]
    return total(told) if len(told) == len(known) else None


def frozen_layers(graph: Graph, named: Iterable[int | str] = ()) -> frozenset[int]:
    """Indices of the layers that do not train: those frozen in the graph, and those named.

    named: indices, paths, or starts of paths. Raises ConvcalcError for one that names no layer.
    """
    frozen = {node.index for node in graph.layers if node.frozen}
    named = list(named)
    paths = {node.path: node.index for node in graph.layers} if named else {}
    for name in named:
        if isinstance(name, int):
            found = [name] if len(graph.inputs) <= name < len(graph.nodes) else []
        else:
            start = f"{name}."
            found = [i for path, i in paths.items() if path == name or path.startswith(start)]
        if not found:
            near = closest(name, _starts(paths)) if isinstance(name, str) else None
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConvcalcError(f"nothing to freeze: {name!r} names no layer{hint}")
        frozen.update(found)
    return frozenset(frozen)


def _starts(paths: Iterable[str]) -> dict[str, None]:
    """The paths, and each part of the network on the way to one."""
    starts: dict[str, None] = {}
    for path in paths:
        while path:
            starts[path] = None
            path = path.rpartition(".")[0]
    return starts


def last_uses(nodes: Iterable[Node], returned: Collection[int], values: int) -> list[int]:
    """For each value, by index, the layer after which nobody reads it: its own if nobody does.

    NOBODY for what is returned, and for inputs that nobody reads.
    """
    last = [NOBODY] * values
    for node in nodes:
        index = last[node.index] = node.index
        for read in node.inputs:
            last[read] = index
    for index in returned:
        last[index] = NOBODY
    return last


def dead_ends(nodes: Sequence[Node], returned: Iterable[int]) -> set[int]:
    """The indices of layers from which nothing that is returned can be reached."""
    needed = set(returned)
    dead = set()
    for node in reversed(nodes):
        if node.index in needed:
            needed.update(node.inputs)
        else:
            dead.add(node.index)
    return dead
