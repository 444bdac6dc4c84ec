"""A pass through a network, storage by storage: forward, loss, backward.

Eager PyTorch, as its engine runs (torch/csrc/autograd): a value goes after its last use. A storage
goes when nothing refers to it any more; the node of the autograd graph that keeps it is one that
does. Backward visits the nodes in reverse order of creation. Each makes all its gradients while
what flows in and what it keeps still live. Where gradients meet, the second is added into the first
if that is no view and nothing else refers to it or to its storage; else the sum is new. A parameter
takes its gradient over, unless that is shared or lies in another order: then it is copied.
"""

from __future__ import annotations

from convcalc.integers import product
from convcalc.ops import strides as lay
from convcalc.ops.memory import BLOCK, NEW, NOBODY, PLACED, SAME, TIMES, VIEW, Kernel, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Literal, TypeAlias

    from convcalc.graph import Node
    from convcalc.ops.base import Shape
    from convcalc.ops.memory import Step, Trace
    from convcalc.ops.strides import Strides

    Phase = Literal["forward", "backward", "step"]
    #: Bytes of a node's value, by its index.
    Sizes: TypeAlias = Callable[[int], int]


class Storage:
    """A block of memory; `uses` counts what refers to it."""

    __slots__ = ("size", "uses")

    def __init__(self, size: int) -> None:
        self.size = size
        self.uses = 0


class Gradient:
    """A gradient on its way: the storage it lies in, how, and how many places refer to it.

    view: it is a view, and keeps the tensor that it is a view of; such is never added to in place.
    shape: known of views, and of sums of them.
    """

    __slots__ = ("shape", "storage", "strides", "uses", "view")

    def __init__(
        self, storage: Storage, strides: Strides, *, view: bool = False, shape: Shape | None = None
    ) -> None:
        self.storage = storage
        self.strides = strides
        self.view = view
        self.shape = shape
        self.uses = 1
        storage.uses += 1


class Entry:
    """A node of the autograd graph.

    flows: the nodes of its layer's inputs. shift: turns numbers of the layer's own nodes, which
    come after these, into numbers on the tape. kept: the storages it keeps. node: its layer.
    """

    __slots__ = ("flows", "kept", "kernel", "node", "shift")

    def __init__(
        self,
        kernel: Kernel,
        flows: Sequence[int],
        shift: int,
        kept: Sequence[Storage],
        node: Node | None,
    ) -> None:
        self.kernel = kernel
        self.flows = flows
        self.shift = shift
        self.kept = kept
        self.node = node


class Moment:
    """A layer's turn: the most bytes that live in it, and those that live after it.

    node: the layer's; None for the loss.
    """

    __slots__ = ("after", "node", "peak", "phase")

    def __init__(self, phase: Phase, node: Node | None, peak: int, after: int) -> None:
        self.phase: Phase = phase
        self.node = node
        self.peak = peak
        self.after = after

    def __repr__(self) -> str:
        path = self.node.path if self.node else None
        return f"Moment({self.phase!r}, {path!r}, {self.peak}, {self.after})"


class Turns:
    """The moments of a pass, as columns: there are four of them a layer, and few are looked at.

    back: how many come before backward.
    """

    __slots__ = ("afters", "back", "nodes", "peaks")

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self.peaks: list[int] = []
        self.afters: list[int] = []
        self.back = 0

    def add(self, node: Node | None, peak: int, after: int) -> None:
        self.nodes.append(node)
        self.peaks.append(peak)
        self.afters.append(after)

    def phase(self, at: int) -> Phase:
        return "forward" if at < self.back else "backward"

    def moments(self, more: int) -> list[Moment]:
        """All of them, with so many bytes besides."""
        rows = enumerate(zip(self.nodes, self.peaks, self.afters, strict=True))
        return [Moment(self.phase(i), node, p + more, a + more) for i, (node, p, a) in rows]


class Targets:
    """Where the gradient of each value goes: a number on the tape.

    Values that are one tensor (what is overwritten, and what then flows on) have one target. A view
    that is overwritten changes its root's history, and with it that of all other views.
    """

    def __init__(self, inputs: int, tape: list[Entry | None], sizes: Sizes) -> None:
        self._tape = tape
        self._sizes = sizes
        self._tensors = {index: index for index in range(inputs)}  # value → its tensor
        self._targets = dict.fromkeys(range(inputs), NOBODY)  # tensor → target
        self._roots: dict[int, int] = {}  # tensor that is a view → the tensor it is a view of
        self._bytes: dict[int, int] = {}  # root that was made within a layer → bytes
        self._stale: set[int] = set()  # views whose root has another history by now

    def now(self, index: int) -> int:
        """The target of a value."""
        tensor = self._tensors[index]
        if tensor in self._stale:
            self._renew(tensor)
        return self._targets[tensor]

    def of(self, node: Node, trace: Trace) -> list[int]:
        """Those of what flows into a layer, and of the roots that it asks for."""
        if self._stale:
            flows = [self.now(i) for i in node.inputs]
        else:
            tensors, targets = self._tensors, self._targets
            flows = [targets[tensors[i]] for i in node.inputs]
        for number in trace.roots:
            flows.append(self._targets[self._roots[self._tensors[node.inputs[number]]]])
        return flows

    def add(self, node: Node, trace: Trace, flows: Sequence[int], shift: int) -> None:
        """The value that a layer gives."""
        index, target = node.index, trace.node
        if target != NOBODY:
            target = flows[target] if target < len(flows) else target + shift
        if trace.same >= 0:
            tensor = self._tensors[index] = self._tensors[node.inputs[trace.same]]
            if trace.overwrites and target != NOBODY:
                self._targets[tensor] = target
                self._overwritten(tensor, trace, shift)
            return
        self._tensors[index] = index
        self._targets[index] = target
        if trace.view >= 0:
            tensor = self._tensors[node.inputs[trace.view]]
            self._roots[index] = self._roots.get(tensor, tensor)
        elif trace.root is not None:
            root, size = trace.root
            inner = self._roots[index] = ~index  # it has no index of its own
            self._targets[inner] = NOBODY if root == NOBODY else root + shift
            self._bytes[inner] = size

    def _overwritten(self, tensor: int, trace: Trace, shift: int) -> None:
        root = self._roots.get(tensor, tensor)
        if root != tensor:
            self._targets[root] = trace.rewrites + shift
        self._stale.update([t for t, r in self._roots.items() if r == root and t != tensor])

    def _renew(self, tensor: int) -> None:
        """The view's history begins anew: as a part of its root. Source: variable.cpp, grad_fn."""
        self._stale.discard(tensor)
        root = self._roots.get(tensor, tensor)
        if self._targets[tensor] == NOBODY:
            return
        size = self._bytes[root] if root in self._bytes else self._sizes(root)
        self._tape.append(
            Entry(Kernel([(PLACED, 0, size, size)], size, ()), [self._targets[root]], 0, (), None)
        )
        self._targets[tensor] = len(self._tape) - 1


class DeadEnds:
    """Layers that lead to no output: nobody waits for their gradients.

    The autograd graph lets go of such a layer when its value has gone and all that came of it.
    """

    def __init__(self, dead: Collection[int]) -> None:
        self._dead = dead
        self._entries: dict[int, tuple[Node, list[Entry]]] = {}
        self._holders: dict[int, int] = {}

    def add(self, node: Node, entries: Iterable[Entry | None]) -> None:
        self._entries[node.index] = (node, [entry for entry in entries if entry is not None])
        self._holders[node.index] = 1
        for index in node.inputs:
            if index in self._dead:
                self._holders[index] += 1

    def drop(self, index: int) -> int:
        """The value goes; returns the bytes that go with it."""
        freed = 0
        todo = [index]
        while todo:
            index = todo.pop()
            self._holders[index] -= 1
            if self._holders[index]:
                continue
            node, entries = self._entries[index]
            todo += [i for i in node.inputs if i in self._dead]
            for entry in entries:
                for storage in entry.kept:
                    storage.uses -= 1
                    if not storage.uses:
                        freed += storage.size
                entry.kept = ()
        return freed


class Pass:
    """One pass. Once `forward`, `loss` and `backward` have run, it tells what lives, in bytes.

    live: now. turns: one for each layer and phase, in order; the first is the input alone.
    gradients: bytes of the storages that hold parameters' gradients.
    """

    def __init__(self, shapes: Sequence[Shape], width: int) -> None:
        self.live = 0
        self.turns = Turns()
        self.gradients = 0
        self._shapes = shapes
        self._width = width
        self._top = 0  # the most that lived since the last moment
        self._tape: list[Entry | None] = []
        self._outputs: list[tuple[int, int]] = []  # of each its index and target
        self._result = NOBODY

    # ------------------------------------------------------------------ forward

    def _size(self, index: int) -> int:
        """Bytes of a node's value; all sizes are numbers."""
        size = product(self._shapes[index]) * self._width
        assert isinstance(size, int)
        return size

    def forward(
        self,
        inputs: int,
        steps: Iterable[tuple[Node, Trace]],
        drops: Mapping[int, Sequence[int]],
        outputs: Sequence[int],
        dead: Collection[int] = (),
        *,
        learns: bool,
    ) -> None:
        """Run the layers.

        inputs: how many inputs the network has; they live throughout.
        drops: for a layer's index those of the values that nobody reads after it.
        outputs: indices of what is returned; it lives on.
        dead: indices of layers that lead to no output. learns: with gradients; backward follows.
        """
        storages = {index: Storage(self._size(index)) for index in range(inputs)}
        for storage in storages.values():
            storage.uses = 2  # the caller holds it, too
        live = sum([storage.size for storage in storages.values()])
        targets = Targets(inputs, self._tape, self._size)
        ends = DeadEnds(dead)
        tape, turns = self._tape, self.turns
        turns.add(None, live, live)
        for node, trace in steps:
            index, top = node.index, live + trace.peak
            held = [storages[i] for i in node.inputs]
            for size in trace.new:
                held.append(Storage(size))
                live += size
            out = storages[index] = held[trace.out]
            out.uses += 1
            if learns:
                flows = targets.of(node, trace)
                first = len(tape)
                shift = first - len(flows)
                for kernel in trace.nodes:
                    if kernel is None:
                        tape.append(None)
                        continue
                    kept: Sequence[Storage] = ()
                    if kernel.saved:
                        kept = [held[k] for k in kernel.saved]
                        for storage in kept:
                            storage.uses += 1
                    tape.append(Entry(kernel, flows, shift, kept, node))
                targets.add(node, trace, flows, shift)
                if index in dead:
                    ends.add(node, tape[first:])
            for gone in drops.get(index, ()):
                storage = storages.pop(gone)
                storage.uses -= 1
                if not storage.uses:
                    live -= storage.size
                if learns and gone in dead:
                    live -= ends.drop(gone)
            turns.add(node, top, live)
        turns.back = len(turns.nodes)
        self.live = live
        if learns:
            self._outputs = [(index, targets.now(index)) for index in outputs]

    # ------------------------------------------------------------------ loss and backward

    def loss(self) -> None:
        """`sum(output.sum() for output in outputs)`, or `output.sum()` of one: a single number."""
        width = self._width
        single = len(self._outputs) == 1
        for index, target in self._outputs:
            expansion = _expansion(self._shapes[index])
            target = self._node([target], [(VIEW, 0, self._size(index), expansion)])
            if single:
                self._result = target
            else:  # Python's sum begins with 0 + …
                flows = [self._result, target]
                plan: list[Step] = [(SAME, i, width, None) for i in (0, 1) if flows[i] != NOBODY]
                self._result = self._node(flows, plan)
        top = self.live + (width if single else 3 * width)
        self.live += width
        self.turns.add(None, top, self.live)
        self.turns.back += 1

    def _node(self, flows: list[int], plan: list[Step]) -> int:
        if all(target == NOBODY for target in flows):
            return NOBODY
        self._tape.append(Entry(Kernel(plan, 0, ()), flows, 0, (), None))
        return len(self._tape) - 1

    def backward(self) -> None:
        """From the loss to the parameters; nothing where none of them trains."""
        if self._result == NOBODY:
            return
        incoming: list[Gradient | None] = [None] * len(self._tape)
        root = Gradient(self._new(self._width), None)
        root.uses += 1  # the call itself holds it throughout
        incoming[self._result] = root
        for number in range(len(self._tape) - 1, -1, -1):
            entry = self._tape[number]
            if entry is None:  # one of several outputs: the kernel comes later, and takes it
                continue
            ports = entry.kernel.ports
            if ports:
                arrived = [g for g in incoming[number : number + ports + 1] if g is not None]
                incoming[number : number + ports + 1] = [None] * (ports + 1)
            else:
                gradient = incoming[number]
                arrived = [] if gradient is None else [gradient]
                incoming[number] = None
            self._top = self.live
            if arrived:
                self._run(entry, arrived, incoming)
            else:
                self._forget(entry)
            self.turns.add(entry.node, self._top, self.live)
        self._release(root)
        self.turns.afters[-1] = self.live

    def _run(self, entry: Entry, arrived: list[Gradient], incoming: list[Gradient | None]) -> None:
        """One node: make its gradients, let go of what it had, pass the gradients on."""
        kernel, flows = entry.kernel, entry.flows
        self._top = self.live + kernel.peak
        if kernel.copies and arrived[0].strides != kernel.wants:
            self._top += kernel.copies
        made = []
        for kind, target, size, how in kernel.plan:
            if kind == NEW:
                if target < 0 and how is None:  # a parameter takes it over as it is
                    self.live += size
                    if self.live > self._top:
                        self._top = self.live
                    self.gradients += size
                    continue
                gradient = Gradient(self._new(size), how)
            elif kind == SAME:
                gradient = arrived[0]
                gradient.uses += 1
            elif kind == TIMES:
                strides = arrived[0].strides
                if strides is not None:  # its order leads; where it is stretched, the other's
                    shape, other, order = how
                    strides = lay.pointwise(shape, [(shape, strides), (other, order)])
                gradient = Gradient(self._new(size), strides)
            elif kind in (BLOCK, PLACED):
                gradient = Gradient(self._new(how), None, view=kind == PLACED)
            else:
                gradient = self._viewed(arrived[0], how, size)
            made.append((target, size, gradient))
        for gradient in arrived:
            self._release(gradient)
        if entry.kept:
            self._forget(entry)
        parameters = []
        for target, size, gradient in made:
            if target < 0:
                parameters.append((size, gradient))
                continue
            target = flows[target] if target < len(flows) else target + entry.shift
            before = incoming[target]
            incoming[target] = gradient if before is None else self._sum(before, gradient, size)
        for size, gradient in parameters:
            self._take(gradient, size)

    def _new(self, size: int) -> Storage:
        self.live += size
        if self.live > self._top:
            self._top = self.live
        return Storage(size)

    def _viewed(self, gradient: Gradient, view: View, size: int) -> Gradient:
        """The view of a gradient, or a copy where the strides allow none."""
        if gradient.strides is None:
            views, strides = view.views, view.strides
        else:
            views, strides = view.strides_of(gradient.strides)
        if views:
            return Gradient(gradient.storage, strides, view=True, shape=view.shape)
        return Gradient(self._new(size), None)

    def _sum(self, first: Gradient, second: Gradient, size: int) -> Gradient:
        """Source: torch/csrc/autograd/input_buffer.cpp, accumulate."""
        if not first.view and first.uses == 1 and first.storage.uses == 1:
            self._release(second)
            return first
        strides = first.strides
        shape = second.shape if first.shape is None else first.shape
        if (
            shape is not None
        ):  # a view: the sum is dense, in the order of the first, then the second
            strides = lay.pointwise(shape, [(shape, first.strides), (shape, second.strides)])
        both = Gradient(self._new(size), strides, shape=shape)
        self._release(first)
        self._release(second)
        return both

    def _take(self, gradient: Gradient, size: int) -> None:
        """A parameter's gradient. Source: torch/csrc/autograd/functions/accumulate_grad.h."""
        if gradient.uses == 1 and gradient.strides is None:
            self.gradients += gradient.storage.size
            return
        self._new(size)
        self.gradients += size
        self._release(gradient)

    def _release(self, gradient: Gradient) -> None:
        gradient.uses -= 1
        if not gradient.uses:
            storage = gradient.storage
            storage.uses -= 1
            if not storage.uses:
                self.live -= storage.size

    def _forget(self, entry: Entry) -> None:
        for storage in entry.kept:
            storage.uses -= 1
            if not storage.uses:
                self.live -= storage.size


def _expansion(shape: Shape) -> View:
    """A single number stretched to a shape: all strides are 0."""
    strides = lay.simplest(shape, (0,) * len(shape))
    return View(shape, lambda _: (True, strides))
