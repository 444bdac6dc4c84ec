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
from convcalc.ops.memory import LYING, NEW, NOBODY, PLACED, SAME, VIEW, Kernel, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Literal, TypeAlias

    from convcalc.graph import Node
    from convcalc.ops.base import Shape
    from convcalc.ops.memory import Bytes, Step, Trace
    from convcalc.ops.strides import Strides

    Phase = Literal["forward", "backward", "step"]
    #: Bytes of a node's value, by its index.
    Sizes: TypeAlias = Callable[[int], int]
    #: A node of the autograd graph: what it does; the targets of its layer's inputs; what turns
    #: numbers of the layer's own nodes, which come after these, into numbers on the tape; the
    #: storages that it keeps; its layer.
    Entry: TypeAlias = tuple[Kernel, Sequence[int], int, tuple[int, ...], Node | None]


class Run:
    """The layers that run in training, in order, and the storages of values, numbered as they come.

    steps: each layer, what it does, and the storages that it knows: those of its inputs, then those
    that it makes. sizes: bytes of each storage. lies: by its index, where a node's value lies.
    """

    __slots__ = ("_owners", "lies", "sizes", "steps")

    def __init__(self, inputs: Iterable[Bytes], nodes: int) -> None:
        self.steps: list[tuple[Node, Trace, tuple[int, ...]]] = []
        self.sizes = list(inputs)
        self.lies = list(range(nodes))  # right of the inputs; a layer's own comes as it runs
        self._owners: dict[int, int] | None = None

    def add(self, node: Node, trace: Trace) -> None:
        """A layer runs, after those that it reads."""
        lies, sizes = self.lies, self.sizes
        held = tuple([lies[i] for i in node.inputs])
        if trace.new:
            first = len(sizes)
            sizes += trace.new
            held += tuple(range(first, len(sizes)))
        lies[node.index] = held[trace.out]
        self.steps.append((node, trace, held))

    @property
    def owners(self) -> dict[int, int]:
        """By storage the index of the first node whose value lies there; all layers have run."""
        if self._owners is None:
            self._owners = {}
            for index, storage in enumerate(self.lies):
                self._owners.setdefault(storage, index)
        return self._owners


class Gradient:
    """A gradient on its way, and how many places refer to it.

    size: bytes of its storage. base: of a view the gradient in whose storage it lies. views: how
    many lie in the storage of this one. part: it is a view, and keeps the tensor that it is a view
    of; such is never added to in place. shape: known of views, and of sums of them.
    """

    __slots__ = ("base", "part", "shape", "size", "strides", "uses", "views")

    def __init__(
        self, size: int, strides: Strides, part: bool = False, shape: Shape | None = None
    ) -> None:
        self.size = size
        self.strides = strides
        self.part = part
        self.shape = shape
        self.base: Gradient | None = None
        self.uses = 1
        self.views = 0

    def view(self, shape: Shape, strides: Strides) -> Gradient:
        """A view of it."""
        view = Gradient(self.size, strides, True, shape)
        base = view.base = self.base or self
        base.views += 1
        return view


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

    def __init__(self, nodes: int, tape: list[Entry | None], sizes: Sizes) -> None:
        self._tape = tape
        self._sizes = sizes
        self._tensors = list(range(nodes))  # value → its tensor
        # Tensor → target; behind those of the nodes' come roots that were made within a layer.
        self._targets = [NOBODY] * (2 * nodes)
        self._roots: dict[int, int] = {}  # tensor that is a view → the tensor it is a view of
        self._bytes: dict[int, int] = {}  # root that was made within a layer → bytes
        self._stale: set[int] = set()  # views whose root has another history by now

    def now(self, index: int) -> int:
        """The target of a value."""
        tensor = self._tensors[index]
        if tensor in self._stale:
            self._renew(tensor)
        return self._targets[tensor]

    def through(self, node: Node, trace: Trace) -> list[int]:
        """Those of what flows into a layer, and of the roots that it asks for; its own are next."""
        index, inputs = node.index, node.inputs
        tensors, targets = self._tensors, self._targets
        if self._stale:
            flows = [self.now(i) for i in inputs]
        else:
            flows = [targets[tensors[i]] for i in inputs]
        for number in trace.roots:
            flows.append(targets[self._roots[tensors[inputs[number]]]])
        target, shift = trace.node, len(self._tape) - len(flows)
        if target != NOBODY:
            target = flows[target] if target < len(flows) else target + shift
        if trace.same >= 0:
            tensor = tensors[index] = tensors[inputs[trace.same]]
            if trace.overwrites and target != NOBODY:
                targets[tensor] = target
                self._overwritten(tensor, trace, shift)
            return flows
        targets[index] = target
        if trace.view >= 0:
            tensor = tensors[inputs[trace.view]]
            self._roots[index] = self._roots.get(tensor, tensor)
        elif trace.root is not None:
            root, size = trace.root
            inner = self._roots[index] = index + len(tensors)
            targets[inner] = NOBODY if root == NOBODY else root + shift
            self._bytes[inner] = size
        return flows

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
        kernel = Kernel([(PLACED, 0, size, size)], size, ())
        self._tape.append((kernel, [self._targets[root]], 0, (), None))
        self._targets[tensor] = len(self._tape) - 1


class DeadEnds:
    """Layers that lead to no output: nobody waits for their gradients.

    The autograd graph lets go of such a layer when its value has gone and all that came of it.
    """

    def __init__(self, dead: Collection[int], tape: list[Entry | None]) -> None:
        self._dead = dead
        self._tape = tape
        self._entries: dict[int, tuple[Node, range]] = {}  # of each layer its places on the tape
        self._holders: dict[int, int] = {}

    def add(self, node: Node, entries: range) -> None:
        self._entries[node.index] = (node, entries)
        self._holders[node.index] = 1
        for index in node.inputs:
            if index in self._dead:
                self._holders[index] += 1

    def drop(self, index: int) -> list[int]:
        """The value goes; returns the storages that were kept and no longer are."""
        gone: list[int] = []
        todo = [index]
        while todo:
            index = todo.pop()
            self._holders[index] -= 1
            if self._holders[index]:
                continue
            node, entries = self._entries[index]
            todo += [i for i in node.inputs if i in self._dead]
            for number in entries:
                entry = self._tape[number]
                if entry is not None:
                    kernel, flows, shift, kept, of = entry
                    gone += kept
                    self._tape[number] = (kernel, flows, shift, (), of)
        return gone


class Pass:
    """A step of training. Once `forward`, `loss` and `backward` have run, it tells what lives, in
    bytes.

    live: now. turns: one for each layer and phase, in order; the first is the input alone.
    gradients: bytes of the storages that hold parameters' gradients.
    """

    def __init__(self, run: Run, shapes: Sequence[Shape], width: int) -> None:
        self.live = 0
        self.turns = Turns()
        self.gradients = 0
        self._run = run
        self._uses = [0] * len(run.sizes)  # of each storage what refers to it
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
        last: list[int],
        outputs: Sequence[int],
        dead: Collection[int],
    ) -> None:
        """Run the layers; backward follows.

        inputs: how many inputs the network has; they live throughout.
        last: see `last_uses`; it is used up. outputs: indices of what is returned; it lives on.
        dead: indices of layers that lead to no output.
        """
        sizes, lies, uses = self._run.sizes, self._run.lies, self._uses
        uses[:inputs] = [2] * inputs  # the caller holds it, too
        live = sum(sizes[:inputs])
        targets = Targets(len(lies), self._tape, self._size)
        tape = self._tape
        ends = DeadEnds(dead, tape)
        peaks, afters = [live], [live]
        for node, trace, held in self._run.steps:
            index = node.index
            peaks.append(live + trace.peak)
            for size in trace.new:
                live += size
            uses[held[trace.out]] += 1
            flows = targets.through(node, trace)
            first = len(tape)
            shift = first - len(flows)
            for kernel in trace.nodes:
                if kernel is None:
                    tape.append(None)
                    continue
                kept: tuple[int, ...] = ()
                if kernel.saved:
                    kept = tuple([held[number] for number in kernel.saved])
                    for storage in kept:
                        uses[storage] += 1
                tape.append((kernel, flows, shift, kept, node))
            if index in dead:
                ends.add(node, range(first, len(tape)))
            for gone in (*node.inputs, index):
                if last[gone] != index:
                    continue
                last[gone] = NOBODY  # it may flow in twice
                released = [lies[gone]]
                if gone in dead:
                    released += ends.drop(gone)
                for storage in released:
                    uses[storage] -= 1
                    if not uses[storage]:
                        live -= sizes[storage]
            afters.append(live)
        turns = self.turns
        turns.nodes = [None, *[node for node, _, _ in self._run.steps]]
        turns.peaks, turns.afters = peaks, afters
        turns.back = len(turns.nodes)
        self.live = live
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
        turns = self.turns
        turns.nodes.append(None)
        turns.peaks.append(top)
        turns.afters.append(self.live)
        turns.back += 1

    def _node(self, flows: list[int], plan: list[Step]) -> int:
        if all(target == NOBODY for target in flows):
            return NOBODY
        self._tape.append((Kernel(plan, 0, ()), flows, 0, (), None))
        return len(self._tape) - 1

    def backward(self) -> None:
        """From the loss to the parameters; nothing where none of them trains."""
        if self._result == NOBODY:
            return
        tape = self._tape
        peaks, afters = self.turns.peaks, self.turns.afters
        incoming: list[Gradient | None] = [None] * len(tape)
        self.live += self._width
        root = Gradient(self._width, None)
        root.uses += 1  # the call itself holds it throughout
        incoming[self._result] = root
        for number in range(len(tape) - 1, -1, -1):
            entry = tape[number]
            if entry is None:  # one of several outputs: the kernel comes later, and takes it
                continue
            first = incoming[number]
            incoming[number] = None
            arrived = [] if first is None else [first]
            ports = entry[0].ports
            if ports:
                more = slice(number + 1, number + 1 + ports)
                arrived += [gradient for gradient in incoming[more] if gradient is not None]
                incoming[more] = [None] * ports
            self._top = self.live
            if arrived:
                self._pass_on(entry, arrived, incoming)
            else:
                self._forget(entry[3])
            peaks.append(self._top)
            afters.append(self.live)
        self._release(root)
        afters[-1] = self.live
        self.turns.nodes += [entry[4] for entry in reversed(tape) if entry is not None]

    def _pass_on(
        self, entry: Entry, arrived: list[Gradient], incoming: list[Gradient | None]
    ) -> None:
        """One node: make its gradients, let go of what it had, pass the gradients on."""
        kernel, flows, shift, kept, _ = entry
        first = arrived[0]
        strides = first.strides
        live = self.live
        top = live + kernel.peak
        wants = kernel.wants
        if kernel.copies and wants and not lay.alike(wants.shape, strides, wants.strides):
            top += kernel.copies
        if kernel.taken:
            live += kernel.taken
            self.gradients += kernel.taken
        made = []
        for kind, target, size, how in kernel.plan:
            if kind == NEW:
                gradient = Gradient(size, how)
                live += size
            elif kind == VIEW:
                views, lie = how.of(strides)
                if views:
                    gradient = first.view(how.shape, lie)
                else:
                    gradient = Gradient(size, None)
                    live += size
            elif kind == SAME:
                gradient = first
                gradient.uses += 1
            elif kind == LYING:
                gradient = Gradient(size, how.usual if strides is None else how.strides_of(strides))
                live += size
            else:  # BLOCK, PLACED
                gradient = Gradient(how, None, part=kind == PLACED)
                live += how
            made.append((target, size, gradient))
        self.live = live
        self._top = top if top > live else live
        for gradient in arrived:
            self._release(gradient)
        if kept:
            self._forget(kept)
        parameters = []
        for target, size, gradient in made:
            if target < 0:
                parameters.append((size, gradient))
                continue
            target = flows[target] if target < len(flows) else target + shift
            before = incoming[target]
            incoming[target] = gradient if before is None else self._sum(before, gradient, size)
        for size, gradient in parameters:
            self._take(gradient, size)

    def _grow(self, size: int) -> None:
        self.live += size
        self._top = max(self._top, self.live)

    def _sum(self, first: Gradient, second: Gradient, size: int) -> Gradient:
        """Source: torch/csrc/autograd/input_buffer.cpp, accumulate."""
        if not first.part and first.uses == 1 and not first.views:
            self._release(second)
            return first
        strides = first.strides
        shape = second.shape if first.shape is None else first.shape
        if shape is not None:  # a view: the sum is dense, in the first's order, then the second's
            strides = lay.pointwise(shape, [(shape, first.strides), (shape, second.strides)])
        self._grow(size)
        self._release(first)
        self._release(second)
        return Gradient(size, strides, shape=shape)

    def _take(self, gradient: Gradient, size: int) -> None:
        """A parameter's gradient. Source: torch/csrc/autograd/functions/accumulate_grad.h."""
        shape, strides = gradient.shape, gradient.strides
        if gradient.uses == 1 and (
            strides is None
            or (shape is not None and 0 not in strides and lay.is_contiguous(shape, strides))
        ):
            self.gradients += (gradient.base or gradient).size
            return
        self._grow(size)
        self.gradients += size
        self._release(gradient)

    def _release(self, gradient: Gradient) -> None:
        gradient.uses -= 1
        if gradient.uses:
            return
        owner = gradient.base
        if owner is None:
            owner = gradient
        else:
            owner.views -= 1
        if not owner.uses and not owner.views:
            self.live -= owner.size

    def _forget(self, kept: Sequence[int]) -> None:
        sizes, uses = self._run.sizes, self._uses
        for storage in kept:
            uses[storage] -= 1
            if not uses[storage]:
                self.live -= sizes[storage]


def _expansion(shape: Shape) -> View:
    """A single number stretched to a shape: all strides are 0."""
    strides = lay.simplest(shape, (0,) * len(shape))
    return View(shape, lambda _: (True, strides))
