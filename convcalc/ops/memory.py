"""The memory facet of a layer: which kernels PyTorch runs for it, what each allocates and keeps.

An op's `memory` does with a `Tape` what its PyTorch module does with tensors, kernel by kernel. The
tape writes down what that means for memory: which storages come to life, which of them the autograd
graph keeps for backward, and what each of its nodes allocates when backward reaches it.

    def memory(self, tape, x):                    # Softsign: x / (1 + |x|)
        size = tape.absolute(x)
        below = tape.shifted(size)                # 1 + …
        tape.drop(size)
        return tape.divide(x, below)

Most layers are one kernel and need no more than `Op.memory`. The rules were measured with PyTorch
2.13 on the CPU, and the tests measure every one of them again. A kernel's own temporaries (copies
to another layout, unfolded columns) are no tensors and do not count.
"""

from __future__ import annotations

from convcalc.integers import minimum, product
from convcalc.ops import strides as lay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Any, TypeAlias

    from convcalc.integers import Size
    from convcalc.ops.base import Shape, Tensor
    from convcalc.ops.strides import Strides

    #: An int, or a formula where sizes are open; then no pass runs, and nobody looks.
    Bytes: TypeAlias = Any
    #: One gradient of a node: its kind, target, bytes, and what the kind needs: NEW its strides,
    #: BLOCK and PLACED the bytes of its storage, VIEW the view, LYING how it lies.
    Step: TypeAlias = tuple[int, int, Bytes, Any]
    Made: TypeAlias = "int | Block | Lying | View"
    #: How a new gradient comes about: the edge's place, bytes of what its formula makes, and of
    #: each further tensor that takes the place of the one before.
    Formula: TypeAlias = tuple[int, Size, Sequence[Size]]

INT64 = 8
FLOAT32 = 4
BOOL = 1

#: What a node of the autograd graph makes for an edge: a tensor of the edge's shape; one of the
#: output's shape, which is then summed to the edge's; the incoming gradient itself (summed, too,
#: where the shapes differ); a view of it; a tensor in a storage larger than it needs; a view of
#: such a tensor; a tensor of the edge's shape that lies as the incoming gradient makes it lie.
NEW, FULL, SAME, VIEW, BLOCK, PLACED, LYING = range(7)

#: Targets of gradients: nobody; parameter p is FIRST_PARAMETER − p.
NOBODY = -1
FIRST_PARAMETER = -2
#: The storage of parameters and buffers: none that counts.
WEIGHTS = -1


class Block:
    """A gradient of the edge's shape, in a storage of so many bytes."""

    __slots__ = ("bytes",)

    def __init__(self, size: Size) -> None:
        self.bytes = size


class Lying:
    """A gradient as FULL, or NEW, whose strides hang on those of the incoming one.

    strides_of: strides of the incoming gradient, where these are not contiguous → those of what is
    made. usual: what is made of a contiguous one. full: it is made in the output's shape.
    """

    __slots__ = ("full", "strides_of", "usual")

    def __init__(
        self,
        strides_of: Callable[[Strides], Strides],
        *,
        usual: Strides = None,
        full: bool = False,
    ) -> None:
        self.strides_of = strides_of
        self.usual = usual
        self.full = full


def times(*factors: Stored, shape: Shape) -> Lying:
    """The incoming gradient times factors, all in the output's shape; its order leads."""
    others = [(factor.shape, factor.strides) for factor in factors]
    return Lying(lambda strides: lay.pointwise(shape, [(shape, strides), *others]), full=True)


def as_value(x: Stored) -> Lying:
    """A gradient in x's shape, from x and the incoming gradient; x's order leads."""
    own = (x.shape, x.strides)
    return Lying(
        lambda strides: lay.pointwise(x.shape, [own, (x.shape, strides)]),
        usual=lay.pointwise(x.shape, [own]),
        full=True,
    )


def as_maps(shape: Shape, wanted: Shape) -> Lying:
    """A gradient of a shape, channels last where the incoming one of another shape is."""

    def back(strides: Strides) -> Strides:
        last = len(shape) == len(wanted) and lay.is_channels_last(shape, strides)
        return lay.channels_last(wanted) if last else None

    return Lying(back)


class View:
    """A gradient that is a view of the incoming one, or a copy where no view will do.

    strides_of: strides of the incoming gradient → (whether a view will do, the view's strides).
    usual: that of a contiguous one, where it is known.
    """

    __slots__ = ("_known", "_strides_of", "shape")

    def __init__(
        self,
        shape: Shape,
        strides_of: Callable[[Strides], tuple[bool, Strides]],
        usual: tuple[bool, Strides] | None = None,
    ) -> None:
        self.shape = shape
        self._strides_of = strides_of
        self._known: dict[Strides, tuple[bool, Strides]] = {}
        if usual is not None:
            self._known[None] = usual

    def of(self, strides: Strides) -> tuple[bool, Strides]:
        """Of an incoming gradient with these strides: whether a view will do, and its strides."""
        known = self._known.get(strides)
        if known is None:
            known = self._known[strides] = self._strides_of(strides)
        return known


class Stored:
    """A tensor: its shape and strides, and the number of the storage in which it lies.

    node: the target of its gradient, NOBODY where it takes no part in it. root: of a view the
    tensor that it is a view of, which is none itself. same: the tensor that this is, overwritten.
    """

    __slots__ = ("node", "root", "same", "shape", "store", "strides", "width")

    def __init__(
        self, shape: Shape, store: int, width: int, strides: Strides = None, node: int = NOBODY
    ) -> None:
        self.shape = shape
        self.store = store
        self.width = width
        self.strides = strides
        self.node = node
        self.root: Stored | None = None
        self.same: Stored | None = None

    @property
    def needs(self) -> bool:
        """Whether a gradient must reach it."""
        return self.node != NOBODY

    @property
    def bytes(self) -> Size:
        """Of the tensor; its storage may be larger."""
        return product(self.shape) * self.width


#: Among what a kernel saves: its own output.
OUTPUT = Stored((), WEIGHTS, 0)


class Kernel:
    """A node of the autograd graph, as backward runs it.

    plan: the gradients that it makes, in order. taken: bytes of others, which parameters take over
    as they are. peak: the most bytes of gradients and temporaries at once, above what lives before.
    saved: storages that it keeps until it has run. copies: bytes of a copy of the incoming
    gradient, made where that does not lie as `wants`. ports: how many outputs it has, where
    there are several.
    """

    __slots__ = ("copies", "peak", "plan", "ports", "saved", "taken", "wants")

    def __init__(
        self,
        plan: Sequence[Step],
        peak: Bytes,
        saved: Sequence[int],
        taken: Bytes = 0,
        copies: Bytes = 0,
        wants: Stored | None = None,
        ports: int = 0,
    ) -> None:
        self.plan = plan
        self.taken = taken
        self.peak = peak
        self.saved = saved
        self.copies = copies
        self.wants = wants
        self.ports = ports


class Trace:
    """What a layer does to memory in one pass.

    Storages are numbered: first those of its inputs, then the `new` ones that outlive the layer
    (their bytes). Targets of gradients likewise: first its inputs, then its nodes.

    peak: the most bytes that live at once, above what lives before. out: the output's storage.
    output, strides, node: its bytes, strides and target. flowing: its strides, and whether
    a gradient must reach it.
    kept: storages that backward needs, each once. names: what these are. nodes: in the order of
    creation; after one with several outputs a None for each of these.

    same: the input whose very tensor comes out, returned or overwritten; −1 where none does.
    view: the input of which, or of whose root, the output is a view; −1. root: where the output is
    a view of a tensor that was made here, that one's (target, bytes).
    overwrites: an input was overwritten. roots: inputs whose roots are counted among the targets,
    behind the inputs. rewrites: the node that then stands for a root's gradient; NOBODY.
    """

    __slots__ = (
        "flowing",
        "kept",
        "names",
        "new",
        "node",
        "nodes",
        "out",
        "output",
        "overwrites",
        "peak",
        "rewrites",
        "root",
        "roots",
        "same",
        "strides",
        "view",
    )

    def __init__(
        self,
        peak: Bytes,
        new: Sequence[Bytes],
        out: Stored,
        output: Size,
        nodes: Sequence[Kernel | None],
        kept: Collection[int],
        names: Sequence[str],
    ) -> None:
        self.peak = peak
        self.new = new
        self.out = out.store
        self.output = output
        self.node = out.node
        self.strides = out.strides
        self.flowing = (out.strides, out.needs)
        self.nodes = nodes
        self.kept = kept
        self.names = names
        self.same = self.view = -1
        self.root: tuple[int, Bytes] | None = None
        self.overwrites = False
        self.roots: Sequence[int] = ()
        self.rewrites = NOBODY


class Tape:
    """Writes down what PyTorch does for one layer.

    output: the output's shape. inputs: those of what flows in; flowing: its strides, and whether it
    needs a gradient.
    weights: the layer's parameters; trains: whether they get gradients. training: the mode of the
    module. width: bytes of an element. exact: all sizes are ints; otherwise no peak is told.
    roots: of a layer that overwrites what flows in, for each input that is a view the bytes of the
    tensor that it is a view of, else None.
    """

    def __init__(
        self,
        output: Shape,
        inputs: Sequence[Shape],
        flowing: Sequence[tuple[Strides, bool]],
        weights: Sequence[Tensor],
        *,
        roots: Sequence[Size | None] = (),
        trains: bool,
        training: bool,
        cuda: bool,
        width: int,
        exact: bool,
    ) -> None:
        self.output = output
        self._training = training
        self._asked = False  # whether what it does may hang on the mode
        self.cuda = cuda
        self.width = width
        self.inputs = [
            Stored(inputs[number], number, width, strides, number if needs else NOBODY)
            for number, (strides, needs) in enumerate(flowing)
        ]
        self.weights = [
            Stored(t.shape, WEIGHTS, width, None, FIRST_PARAMETER - number if trains else NOBODY)
            for number, t in enumerate(weights)
        ]
        self._exact = exact
        self._given = len(self.inputs)
        #: Targets before those of the nodes: inputs, then roots.
        self._flows = self._given
        self._roots: list[int] = []
        self._rewrites = NOBODY
        for number, size in enumerate(roots):
            if size is not None:
                root = Stored((size,), number, 1, None, self._flows)
                self.inputs[number].root = root
                self._roots.append(number)
                self._flows += 1
        # Of each storage made here: its bytes, and what it is.
        self._sizes: list[Size] = []
        self._names: list[str] = []
        self._kept: dict[int, None] = {}
        self._nodes: list[Kernel | None] = []
        self._live: Size = 0
        self._peak: Size = 0
        # The same where backward keeps nothing.
        self._passing_live: Size = 0
        self._passing_peak: Size = 0

    @property
    def training(self) -> bool:
        """The module's mode. To be asked last: evaluation is then traced by itself."""
        self._asked = True
        return self._training

    def learns(self, x: Stored) -> bool:
        """Whether a gradient must reach x, as none does in evaluation. To be asked last, too."""
        self._asked = True
        return x.needs

    @property
    def statistics(self) -> int:
        """Bytes of an element of the statistics of a normalisation: no halves on a GPU."""
        return max(self.width, FLOAT32) if self.cuda else self.width

    # ------------------------------------------------------------------ storages

    def new(
        self,
        shape: Shape,
        name: str,
        *,
        width: int | None = None,
        strides: Strides = None,
        storage: Size | None = None,
    ) -> Stored:
        """A new tensor that no gradient reaches: indices, statistics, noise."""
        width = self.width if width is None else width
        size = product(shape) * width if storage is None else storage
        store = self._given + len(self._sizes)
        self._sizes.append(size)
        self._names.append(name)
        if self._exact:
            live = self._live = self._live + size
            if live > self._peak:
                self._peak = live
            live = self._passing_live = self._passing_live + size
            if live > self._passing_peak:
                self._passing_peak = live
        return Stored(shape, store, width, strides)

    def drop(self, *values: Stored, unless: Stored | None = None) -> None:
        """The storages of these go now, as a variable's does that is overwritten.

        Without it they go when the layer is done. unless: a value that may lie in the same one.
        """
        if not self._exact:
            return
        for value in values:
            store = value.store
            if store >= self._given and (unless is None or store != unless.store):
                size = self._sizes[store - self._given]
                self._passing_live = self._passing_live - size
                if store not in self._kept:
                    self._live = self._live - size

    def finish(self, out: Stored) -> Trace:
        """The trace of a layer with that output."""
        given, sizes, kept = self._given, self._sizes, self._kept
        output = product(self.output) * self.width
        names = ["output" if s == out.store else self._name(s) for s in kept]
        lasting = [s for s in range(given, given + len(sizes)) if s in kept or s == out.store]
        if len(lasting) < len(sizes):  # the others are gone, and numbers close up
            renamed = {store: given + place for place, store in enumerate(lasting)}
            renamed.update((store, store) for store in range(given))
            for node in self._nodes:
                if node is not None:
                    node.saved = tuple([renamed[store] for store in node.saved])
            out.store = renamed[out.store]
            kept = {renamed[store]: None for store in kept}
        new = [sizes[store - given] for store in lasting]
        trace = Trace(self._peak, new, out, output, self._nodes, kept, names)
        trace.roots = self._roots
        trace.rewrites = self._rewrites
        root, same = out.root, out.same
        trace.overwrites = same is not None
        if out.store < given or root is not None:
            for number, value in enumerate(self.inputs):
                if value is out or value is same:
                    trace.same = number
                elif root is not None and (value is root or value.root is root):
                    trace.view = number
        if root is not None and trace.same < 0 and trace.view < 0:
            trace.root = (root.node, root.bytes)
        return trace

    def passing(self, trace: Trace) -> Trace | None:
        """What the layer does in evaluation, where nothing is kept; None: it asked for the mode."""
        if self._asked or not self._exact:
            return None
        own = trace.out - self._given
        new = trace.new[own : own + 1] if own >= 0 else []
        if len(new) == len(trace.new) and self._passing_peak == trace.peak:
            return trace
        out = Stored((), min(trace.out, self._given), self.width, trace.strides)
        return Trace(self._passing_peak, new, out, trace.output, (), (), ())

    def _name(self, store: int) -> str:
        if store >= self._given:
            return self._names[store - self._given]
        return "input" if self._given == 1 else f"input {store + 1}"

    # ------------------------------------------------------------------ kernels

    def kernel(
        self,
        shape: Shape,
        *edges: Stored,
        saves: Iterable[Stored] = (),
        makes: Sequence[Made] | None = None,
        scratch: Sequence[int] | None = None,
        first: int | None = None,
        extra: Size = 0,
        inplace: Stored | None = None,
        strides: Strides = None,
        contiguous: bool = False,
        maps: bool = False,
        copies: bool = False,
        storage: Size | None = None,
        width: int | None = None,
        name: str = "intermediate",
    ) -> Stored:
        """A kernel with one output.

        edges: what its output is differentiated by, in PyTorch's order.
        saves: what it keeps for backward if a gradient is needed: inputs, extras, OUTPUT.
        makes: the gradient of each edge; NEW where not given.
        scratch: temporaries of each gradient's formula, in tensors as large as what it makes.
        first: the edge whose formula is computed first, where that is not the order of the edges.
        extra: bytes of other temporaries, alive while the formulas are computed.
        inplace: the value that the kernel overwrites. strides: the output's.
        contiguous: so are new gradients, whatever the edges are. maps: they lie channels last where
        the edges do, else contiguous.
        copies: backward copies a gradient that does not lie as the output does.
        storage: bytes of the output's storage, where that is larger than it needs.
        width: bytes of an element of the output, where it is not the widest edge's.
        """
        if inplace is None:
            if width is None:
                width = edges[0].width
                for edge in edges:
                    if edge.width > width:
                        width = edge.width
            out = self.new(shape, name, width=width, strides=strides, storage=storage)
        else:
            out = self._alias(inplace, shape, inplace.strides)
            out.root, out.same = inplace.root, inplace.same or inplace
        out.node = self._node(
            out, edges, saves, makes, scratch, first, extra, contiguous, maps, copies
        )
        if inplace is not None and inplace.root is not None and out.node != NOBODY:
            out.node = self._rewritten(inplace, inplace.root)
        return out

    def _rewritten(self, x: Stored, root: Stored) -> int:
        """The last kernel has overwritten a view: now its root has another history, and so has x.

        Backward copies the root's gradient, and the stretch that was overwritten, for which the
        kernel's own backward then runs. x is made anew as a part of its root: AsStridedBackward0.
        Source: torch/csrc/autograd/functions/tensor.cpp, CopySlices; variable.cpp, rebase_history.
        """
        kernel = self._nodes[-1]
        assert kernel is not None
        size = root.bytes
        kernel.plan = ((NEW, root.node, size, None),)
        kernel.peak = size + x.bytes + kernel.peak
        self._rewrites = root.node = self._flows + len(self._nodes) - 1
        self._nodes.append(Kernel([(PLACED, root.node, size, size)], size, ()))
        return root.node + 1

    def view(self, x: Stored, shape: Shape, strides: Strides, makes: Made) -> Stored:
        """A tensor in the storage of x. makes: x's gradient."""
        out = self._alias(x, shape, strides)
        if x.node == NOBODY:
            return out
        if isinstance(makes, View):
            size = x.bytes if self._exact else 0
            out.node = self._add(Kernel([(VIEW, x.node, size, makes)], 0, ()))
        else:
            out.node = self._node(out, [x], makes=[makes], contiguous=True)
        return out

    def split(self, x: Stored, lengths: Sequence[Size], axis: int) -> list[Stored]:
        """Views of x, one after another along an axis; the gradients of all come back as one."""
        shapes = [(*x.shape[:axis], length, *x.shape[axis + 1 :]) for length in lengths]
        return self._parts(x, [(s, lay.narrowed(x.shape, x.strides, s)) for s in shapes])

    def unbind(self, x: Stored, axis: int) -> list[Stored]:
        """Every entry of an axis as a view; the gradients of all come back as one."""
        strides = lay.contiguous(x.shape) if x.strides is None else x.strides
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        part = lay.simplest(shape, (*strides[:axis], *strides[axis + 1 :]))
        return self._parts(x, [(shape, part)] * lay.number(x.shape[axis]))

    def _parts(self, x: Stored, parts: Sequence[tuple[Shape, Strides]]) -> list[Stored]:
        outs = [self._alias(x, shape, strides) for shape, strides in parts]
        node = self._node(x, [x], contiguous=True, ports=len(outs))
        if node != NOBODY:
            for number, out in enumerate(outs):
                self._nodes.append(None)
                out.node = node + 1 + number
        return outs

    def _alias(self, x: Stored, shape: Shape, strides: Strides) -> Stored:
        """A tensor in the storage of another: a view of it."""
        out = Stored(shape, x.store, x.width, strides)
        out.root = x.root or x
        return out

    def _node(
        self,
        out: Stored,
        edges: Sequence[Stored],
        saves: Iterable[Stored] = (),
        makes: Sequence[Made] | None = None,
        scratch: Sequence[int] | None = None,
        first: int | None = None,
        extra: Size = 0,
        contiguous: bool = False,
        maps: bool = False,
        copies: bool = False,
        ports: int = 0,
    ) -> int:
        """Add the node of the autograd graph, where a gradient is needed; the output's target."""
        exact = self._exact
        plan: list[Step] = []
        taken: Size = 0
        formulas: list[Formula] = []
        for number, edge in enumerate(edges):
            target = edge.node
            if target == NOBODY:
                continue
            made = NEW if makes is None else makes[number]
            size = full = edge.bytes if exact else 0
            stages: list[Size] = []
            lying = None
            if isinstance(made, Lying):
                lying, made = made, FULL if made.full else NEW
            if made != NEW:
                if isinstance(made, View):
                    plan.append((VIEW, target, size, made))
                    continue
                if isinstance(made, Block):
                    plan.append((BLOCK, target, size, made.bytes))
                    formulas.append((number, made.bytes, ()))
                    continue
                # What comes in the output's shape and dtype is summed, and turned into the edge's.
                if not lay.same(edge.shape, out.shape):
                    stages.append(product(edge.shape) * out.width if exact else 0)
                if edge.width != out.width:
                    stages.append(size)
                if made == SAME and not stages:
                    plan.append((SAME, target, size, None))
                    continue
                full = out.bytes if made == FULL and exact else 0
            formulas.append((number, full, stages))
            if lying is not None and not stages:
                plan.append((LYING, target, size, lying))
                continue
            own = None
            if edge.strides is not None and not contiguous:
                if maps:
                    own = self.suggested(edge, edge.shape)
                elif lay.is_dense(edge.shape, edge.strides):
                    own = edge.strides
            if target <= FIRST_PARAMETER and lay.is_contiguous(edge.shape, own):
                taken = taken + size
            else:
                plan.append((NEW, target, size, own))
        if not plan and not formulas:
            return NOBODY
        saved = []
        for value in saves:
            store = out.store if value is OUTPUT else value.store
            if store != WEIGHTS:
                self._kept[store] = None
                saved.append(store)
        peak = _worst(formulas, scratch, first, extra) if exact else 0
        copied = out.bytes if copies and exact else 0
        return self._add(Kernel(plan, peak, saved, taken, copied, out, ports))

    def _add(self, kernel: Kernel) -> int:
        self._nodes.append(kernel)
        return self._flows + len(self._nodes) - 1

    # ------------------------------------------------------------------ elementwise

    def pointwise(
        self,
        x: Stored,
        *,
        saves: Iterable[Stored] = (),
        inplace: bool = False,
        scratch: int = 0,
        leads: bool = False,
        as_x: bool = False,
        name: str = "intermediate",
    ) -> Stored:
        """f(x), each value by itself, with one new gradient.

        Backward works on the incoming gradient and on x or f(x): whose order it takes over hangs on
        which of them its kernel names first. leads: x or f(x). as_x: the output is made like x
        before the kernel runs, which shows where axes have size 1.
        """
        return self.kernel(
            x.shape,
            x,
            saves=saves,
            makes=[as_value(x) if leads else times(x, shape=x.shape)],
            scratch=[scratch],
            inplace=x if inplace else None,
            strides=lay.preserved(x.shape, x.strides)
            if as_x
            else lay.pointwise(x.shape, [(x.shape, x.strides)]),
            name=name,
        )

    def shifted(self, x: Stored) -> Stored:
        """x plus a number: the gradient passes."""
        strides = lay.pointwise(x.shape, [(x.shape, x.strides)])
        return self.kernel(x.shape, x, makes=[SAME], strides=strides)

    def scaled(self, x: Stored) -> Stored:
        """x times a number: so is its gradient."""
        strides = lay.pointwise(x.shape, [(x.shape, x.strides), ((), None)])
        return self.kernel(x.shape, x, makes=[times(shape=x.shape)], strides=strides)

    def absolute(self, x: Stored) -> Stored:
        """|x|; backward: grad · sgn(x)."""
        return self.pointwise(x, saves=[x], scratch=1)

    def cast(self, x: Stored, width: int) -> Stored:
        """x in a dtype of that width; x itself where it has it."""
        if x.width == width:
            return x
        strides = lay.pointwise(x.shape, [(x.shape, x.strides)])
        back = Lying(times(shape=x.shape).strides_of)  # made in x's dtype
        return self.kernel(x.shape, x, makes=[back], strides=strides, width=width)

    def power(self, x: Stored) -> Stored:
        """x to a number; backward: grad · (exponent · x^(exponent − 1))."""
        return self.pointwise(x, saves=[x], scratch=2)

    def _both(self, a: Stored, b: Stored) -> tuple[Shape, Strides]:
        """Shape and strides of an elementwise kernel of two; either may broadcast."""
        shape = lay.broadcast(a.shape, b.shape)
        if a.strides is None and b.strides is None:
            return shape, None
        return shape, lay.pointwise(shape, [(a.shape, a.strides), (b.shape, b.strides)])

    def add(self, a: Stored, b: Stored) -> Stored:
        """a + b: both get the incoming gradient."""
        shape, strides = self._both(a, b)
        return self.kernel(shape, a, b, makes=[SAME, SAME], strides=strides)

    def subtract(self, a: Stored, b: Stored) -> Stored:
        """a − b: b gets the negative of the incoming gradient."""
        shape, strides = self._both(a, b)
        return self.kernel(shape, a, b, makes=[SAME, times(shape=shape)], strides=strides)

    def multiply(self, a: Stored, b: Stored, *, inplace: bool = False) -> Stored:
        """a · b: each is kept if the other needs a gradient; products in full size, then sums."""
        shape, strides = self._both(a, b)
        saves = [value for value, other in ((a, b), (b, a)) if other.needs]
        return self.kernel(
            shape,
            a,
            b,
            saves=saves,
            makes=[times(b, shape=shape), times(a, shape=shape)],
            inplace=a if inplace else None,
            strides=strides,
        )

    def divide(self, a: Stored, b: Stored) -> Stored:
        """a / b; backward: −grad · ((a/b)/b) first, then grad / b."""
        shape, strides = self._both(a, b)
        saves = [a, b] if b.needs else [b]
        return self.kernel(
            shape,
            a,
            b,
            saves=saves,
            makes=[times(b, shape=shape), times(a, shape=shape)],
            scratch=[0, 3],
            first=1,
            strides=strides,
        )

    def dropout(
        self, x: Stored, p: float, noise: Shape | None = None, *, inplace: bool = False
    ) -> Stored:
        """x times noise, in x's shape where no other is given; x itself in evaluation.

        On a GPU noise of x's own shape is a mask of bytes, unless x is overwritten.
        Source: aten/src/ATen/native/Dropout.cpp.
        """
        if p == 0 or not self.training:
            return x
        if p == 1:  # x · 0, for which one number is enough
            return self.multiply(x, self.new((), "noise", width=x.width), inplace=inplace)
        if self.cuda and noise is None and not inplace:
            return self.pointwise(x, saves=[self.new(x.shape, "mask", width=BOOL)])
        noise_of = self.noise(x) if noise is None else self.new(noise, "noise", width=x.width)
        out = self.multiply(x, noise_of, inplace=inplace)
        self.drop(noise_of)
        return out

    def noise(self, x: Stored, name: str = "noise") -> Stored:
        """A number for each value of x, lying as these do."""
        strides = lay.preserved(x.shape, x.strides)
        return self.new(x.shape, name, width=x.width, strides=strides)

    # ------------------------------------------------------------------ shapes and places

    @staticmethod
    def suggested(x: Stored, shape: Shape) -> Strides:
        """Strides of what comes of maps: channels last where they flow in so, else contiguous."""
        if lay.is_channels_last(x.shape, x.strides) and len(shape) == len(x.shape):
            return lay.channels_last(shape)
        return None

    def reshape(self, x: Stored, shape: Shape) -> Stored:
        """Other axes over the same elements: a view, or a copy where the strides forbid it."""
        before = x.shape
        back = View(before, lambda strides: lay.reshaped(shape, strides, before))
        views, strides = lay.reshaped(before, x.strides, shape)
        if views:
            return self.view(x, shape, strides, back)
        return self.kernel(shape, x, makes=[back])

    def permute(self, x: Stored, order: Sequence[int]) -> Stored:
        """The axes in another order: a view."""
        shape = tuple([x.shape[axis] for axis in order])

        def back(strides: Strides) -> tuple[bool, Strides]:
            inverse = sorted(range(len(order)), key=order.__getitem__)
            return True, lay.permuted(shape, strides, inverse)

        return self.view(x, shape, lay.permuted(x.shape, x.strides, order), View(x.shape, back))

    def narrow(self, x: Stored, axis: int, length: Size) -> Stored:
        """Some rows of an axis: a view. Its gradient comes back in x's size, zeros around it."""
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        return self.view(x, shape, lay.narrowed(x.shape, x.strides, shape), NEW)

    def select(self, x: Stored, axis: int) -> Stored:
        """One entry of an axis, which goes: a view, with a gradient as of `narrow`."""
        strides = lay.contiguous(x.shape) if x.strides is None else x.strides
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return self.view(
            x, shape, lay.simplest(shape, (*strides[:axis], *strides[axis + 1 :])), NEW
        )

    def total(self, x: Stored, axis: int) -> Stored:
        """The sum along an axis, which goes; its gradient is stretched, a view."""

        def stretched(strides: Strides) -> tuple[bool, Strides]:
            full = lay.contiguous(shape) if strides is None else strides
            return True, lay.simplest(x.shape, (*full[:axis], 0, *full[axis:]))

        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return self.kernel(shape, x, makes=[View(x.shape, stretched)])

    def mean(self, x: Stored, shape: Shape) -> Stored:
        """The mean over some axes; its gradient is stretched, and divided in x's size."""
        return self.kernel(shape, x, contiguous=True)

    def padded(self, x: Stored, shape: Shape, *, grows: bool = True, crops: bool = False) -> Stored:
        """x with zeros around it, or without its rim: then a copy of what is left, as it lies.

        grows: a side has zeros more. crops: a side has rows less. Backward does the converse.
        Source: aten/src/ATen/native/PadNd.cpp, constant_pad_nd.
        """
        before = x.shape

        def cropped(strides: Strides) -> Strides:
            return lay.preserved(before, lay.narrowed(shape, strides, before))

        if grows and not lay.same(shape, before):
            strides = self.suggested(x, shape)
        else:
            strides = lay.preserved(shape, lay.narrowed(before, x.strides, shape))
        back = as_maps(shape, before) if crops else Lying(cropped)
        return self.kernel(shape, x, makes=[back], strides=strides, name="padded input")

    def resampled(self, x: Stored, shape: Shape) -> Stored:
        """Other places of the same maps; channels last where these are, and so the gradient."""
        strides = self.suggested(x, shape)
        return self.kernel(shape, x, makes=[as_maps(shape, x.shape)], strides=strides)

    def contiguous(self, x: Stored) -> Stored:
        """x itself where it is contiguous, else a copy."""
        if lay.is_contiguous(x.shape, x.strides):
            return x
        return self.kernel(x.shape, x, makes=[SAME])

    def concatenate(self, values: Sequence[Stored], shape: Shape) -> Stored:
        """Values one after another; their gradients are views of the incoming one."""
        # Stretches of something contiguous: with nothing before the axis so are they, too.
        axis = _differing_axis(values[0].shape, shape)
        full = None if _ones(shape[:axis]) else lay.contiguous(shape)
        makes = [_slice(v.shape, shape, full) if v.needs else SAME for v in values]
        first = values[0]
        strides = None
        if first.strides is not None and all(
            lay.is_channels_last(v.shape, v.strides) for v in values
        ):
            strides = lay.channels_last(shape)
        return self.kernel(shape, *values, makes=makes, strides=strides)

    def wrapped(self, x: Stored, before: Sequence[Size], after: Sequence[Size]) -> Stored:
        """Circular padding: the middle, then each side, copied into one tensor.

        Each copy's backward copies the whole gradient, and clears the stretch that was written.
        Source: aten/src/ATen/native/PadNd.cpp, _pad_circular;
        torch/csrc/autograd/functions/tensor.cpp, CopySlices.
        """
        rank = len(x.shape)
        sides = list(zip(range(2, rank), before, after, strict=True))
        sides.reverse()  # the last axis first
        shape = list(x.shape)
        middle = x
        for axis, low, high in sides:
            shape[axis] = x.shape[axis] + low + high
            kept = x.shape[axis] + minimum(low, 0) + minimum(high, 0)
            middle = self.narrow(middle, axis, kept)
        out = self.new(tuple(shape), "padded input")
        full = out.bytes
        out.node = self._node(out, [middle], extra=full)
        for axis, low, high in sides:
            for length in (low, high):
                if lay.number(length) > 0:
                    stretch = self.narrow(out, axis, length)
                    edges = [out, stretch]
                    out = Stored(out.shape, out.store, out.width)
                    out.node = self._node(out, edges, scratch=[0, 1])
        return out

    # ------------------------------------------------------------------ products of matrices

    def linear(self, x: Stored, weight: Stored, bias: Stored | None = None) -> Stored:
        """x · weightᵀ + bias on the last axis, all rows at once; x is kept if weight trains.

        To an x that is not contiguous the bias is added afterwards, in place.
        Source: aten/src/ATen/native/Linear.cpp, linear.
        """
        rows = x.shape[:-1]
        features = weight.shape[0]
        flat = x if len(rows) == 1 else self.reshape(x, (product(rows), x.shape[-1]))
        later = bias if len(rows) > 1 and not lay.is_contiguous(x.shape, x.strides) else None
        edges = [flat, weight] if bias is None or later else [flat, weight, bias]
        saves = [flat] if weight.needs else []
        out = self.kernel((flat.shape[0], features), *edges, saves=saves, makes=[NEW, NEW, SAME])
        if len(rows) == 1:
            return out
        self.drop(flat, unless=x)
        shape = (*rows, features)
        if bias is not None and later is None:
            return self.reshape(out, shape)
        out = self._refolded(out, shape)
        if later is not None:
            before, out = out, Stored(shape, out.store, out.width)
            out.node = self._node(out, [before, later], makes=[SAME, SAME])
        return out

    def matmul(self, a: Stored, b: Stored) -> Stored:
        """A product of matrices, for each of the axes before the last two; both are kept."""
        batch = product(a.shape[:-2])
        left = self.reshape(a, (batch, *a.shape[-2:]))
        right = self.reshape(b, (batch, *b.shape[-2:]))
        saves = [value for value, other in ((left, b), (right, a)) if other.needs]
        shape = (*left.shape[:2], right.shape[2])
        out = self.kernel(shape, left, right, saves=saves, contiguous=True)
        self.drop(left, unless=a)
        self.drop(right, unless=b)
        return self._refolded(out, (*a.shape[:-1], b.shape[-1]))

    def _refolded(self, x: Stored, shape: Shape) -> Stored:
        """A reshape that autograd does not take for a view: aten::_unsafe_view."""
        out = self.reshape(x, shape)
        out.root = None
        return out


def _differing_axis(part: Shape, whole: Shape) -> int:
    """The axis along which parts make up the whole; the first where there is but one part."""
    for axis, (own, all) in enumerate(zip(part, whole, strict=True)):
        if own is not all and lay.number(own) != lay.number(all):
            return axis
    return 0


def _ones(sizes: Iterable[Size]) -> bool:
    return all(lay.number(size) == 1 for size in sizes)


def _slice(part: Shape, whole: Shape, full: Strides) -> View:
    """A stretch of what comes in. full: the strides of the whole where its stretches have gaps."""
    usual = None if full is None else lay.simplest(part, full)
    return View(part, lambda strides: (True, lay.narrowed(whole, strides, part)), (True, usual))


def _worst(
    formulas: Sequence[Formula],
    scratch: Sequence[int] | None,
    first: int | None,
    extra: Size,
) -> Size:
    """The most bytes at once while a node computes its gradients, then sums them."""
    live: Size = 0
    staged = False
    for _, full, stages in formulas:
        live = live + full
        if stages:
            staged = True
    if scratch is None and not staged:  # all of them live at once
        return live + extra
    live = 0
    peak: Size = extra
    for number, full, _ in sorted(formulas, key=lambda f: f[0] != first):
        live = live + full
        own = full * scratch[number] if scratch is not None else 0
        peak = max(peak, live + own + extra)
    for _, full, stages in formulas:
        before = full
        for size in stages:
            peak = max(peak, live + size)
            live = live + size - before
            before = size
    return peak
