"""Which sizes of the input fit a network: questions about all sizes at once.

Of a network with open sizes flowing through it (H, W; L; D, H, W) this tells, for each of them:

| figure | the sizes |
| --- | --- |
| valid | that every layer accepts: kernels fit, and branches that are joined agree |
| exact | for which every stride divides x + before + after − reach: padding counted, no rest |
| complete | for which no layer's last window ends before the last row of its input |

Each is the intersection of one condition a layer, and each condition is solved for all sizes at
once (`integers.solutions`): on residue classes sizes are polynomials, so finitely many values are a
proof. What cannot be solved is `undecided`; the answer is then labelled unknown.

Strides without a window of their own do not count: adaptive pools and resizes to a fixed size read
what there is. A kernel smaller than its stride (1×1, stride 2) leaves rows out by design: `exact`
asks that the stride divides, `complete` leaves it aside. Training-only outputs are left aside too.
"""

from __future__ import annotations

from convcalc.errors import ConvcalcError
from convcalc.integers import (
    Answer,
    Formula,
    UndecidedError,
    at_least,
    equal,
    expand,
    substitute,
    symbol,
    symbols,
)
from convcalc.integers.solutions import (
    Solutions,
    all_sizes,
    no_sizes,
    where_at_least,
    where_divisible,
    where_equal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from convcalc.analysis.budget import Largest
    from convcalc.analysis.inverse import Inverse, Kept
    from convcalc.graph import Facts, Flow, Node
    from convcalc.integers import Size
    from convcalc.ops.base import Condition, Window


class Undecided:
    """A condition that could not be solved: the answers that it is part of are unknown."""

    __slots__ = ("node", "reason", "what")

    def __init__(self, node: Node, what: str, reason: str) -> None:
        self.node = node
        self.what = what
        self.reason = reason

    @property
    def path(self) -> str:
        return self.node.path

    def __repr__(self) -> str:
        return f"Undecided({self.path!r}: {self.what}: {self.reason})"


class Sizes:
    """The values of an open size that meet some conditions.

    solutions: the values, exactly, where `answer` is proved. Else those that meet all conditions
    that could be decided; `undecided` tells the others.
    """

    __slots__ = ("solutions", "undecided")

    def __init__(self, solutions: Solutions, undecided: Iterable[Undecided] = ()) -> None:
        self.solutions = solutions
        self.undecided = tuple(undecided)

    @property
    def answer(self) -> Answer:
        """`Answer.PROVED`, or `Answer.UNKNOWN` where a condition is undecided.

        Then no value is known to meet them all; that values outside `solutions` do not is proved.
        """
        return Answer.UNKNOWN if self.undecided else Answer.PROVED

    @property
    def smallest(self) -> int | None:
        """The smallest value; None where there is none."""
        return self.solutions.smallest()

    @property
    def congruence(self) -> tuple[int, tuple[int, ...]]:
        """(modulus, residues): from some size on it is these classes. (1, (0,)) is every size."""
        return self.solutions.classes

    def __contains__(self, size: int) -> bool:
        return size in self.solutions

    def __and__(self, other: Sizes) -> Sizes:
        return Sizes(self.solutions & other.solutions, (*self.undecided, *other.undecided))

    def __repr__(self) -> str:
        return f"Sizes({self.answer.value}: {self.solutions!r})"


class Stride:
    """A layer that reads an axis by strides.

    size: of the axis. rest: size + before + after − reach, which the stride must divide. sizes: for
    which it does; together: for which it and all strides before it do. nodes: every layer with this
    condition, the first in front.
    """

    __slots__ = ("nodes", "rest", "size", "sizes", "together", "window")

    def __init__(
        self, node: Node, size: Size, window: Window, rest: Size, sizes: Solutions
    ) -> None:
        self.nodes = [node]
        self.size = size
        self.window = window
        self.rest = rest
        self.sizes = sizes
        self.together = sizes

    @property
    def path(self) -> str:
        return self.nodes[0].path

    @property
    def stride(self) -> int:
        """A whole number: other strides are not told."""
        assert isinstance(self.window.stride, int)
        return self.window.stride

    def __repr__(self) -> str:
        return f"Stride({self.path!r}: {self.stride} divides {self.rest})"


class Join:
    """Branches that are joined: whether the first and another agree in size, along one axis.

    verdict: "always", "never", "sizes" (for those of `sizes`), "unknown".
    """

    __slots__ = ("left", "node", "right", "sizes")

    def __init__(self, node: Node, left: Size, right: Size, sizes: Solutions | None) -> None:
        self.node = node
        self.left = left
        self.right = right
        self.sizes = sizes

    @property
    def path(self) -> str:
        return self.node.path

    @property
    def verdict(self) -> str:
        if self.sizes is None:
            return "unknown"
        if self.sizes.empty:
            return "never"
        return "always" if self.sizes.everything else "sizes"

    def __repr__(self) -> str:
        return f"Join({self.path!r}: {self.left} = {self.right}, {self.verdict})"


class Demand:
    """What one layer asks of an open size, and the sizes that it accepts."""

    __slots__ = ("condition", "node", "sizes")

    def __init__(self, node: Node, condition: Condition, sizes: Solutions) -> None:
        self.node = node
        self.condition = condition
        self.sizes = sizes

    @property
    def path(self) -> str:
        return self.node.path

    def __repr__(self) -> str:
        return f"Demand({self.path!r}: {self.condition})"


class Axis:
    """One open size, the others being large enough; or several that are equal (a square input).

    names: of the open size, or sizes. valid, exact, complete: see this module's head. strides: the
    layers that read it by strides, in order. joins: where branches may disagree; `agreeing` more
    agree for all sizes. demands: the conditions that `valid` consists of.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.valid = Sizes(all_sizes())
        self.exact = Sizes(all_sizes())
        self.complete = Sizes(all_sizes())
        self.strides: list[Stride] = []
        self.joins: list[Join] = []
        self.demands: list[Demand] = []
        self.agreeing = 0

    @property
    def smallest(self) -> int | None:
        """The smallest valid size; None where there is none."""
        return self.valid.smallest

    @property
    def fitting(self) -> Sizes:
        """The valid sizes that fit exactly."""
        return self.valid & self.exact

    def refusal(self, size: int) -> Demand | None:
        """What the first layer that refuses this size asks for; None where all accept it."""
        return next((demand for demand in self.demands if size not in demand.sizes), None)

    @property
    def limit(self) -> Demand | None:
        """Why no smaller size than `smallest` is valid; None where that is 1."""
        smallest = self.smallest
        return self.refusal(smallest - 1) if smallest is not None and smallest > 1 else None

    @property
    def conflict(self) -> tuple[Stride, ...]:
        """Where no size fits exactly: strides that exclude one another, none of which could be
        spared. Empty otherwise."""
        if not self.exact.solutions.empty:
            return ()
        return _smallest_conflict(self.strides)

    def __repr__(self) -> str:
        return f"Axis({'='.join(self.names)}: smallest {self.smallest}, exact {self.exact})"


class Fit:
    """What sizes a network takes; made by `fit`.

    flow: with the open sizes. batch: how many samples conditions are about. declared: open size →
    the design's own number, where it has one.
    axes: one `Axis` for each open size. square: the axes that the design gives one number, as one;
    None where there are not two. mixed: conditions on several open sizes at once; they make the
    answers about each of these axes unknown, not those about `square`. implied: such conditions
    that hold for all sizes that are otherwise valid.
    features: the last value, on the way to the outputs, with open spatial sizes; None without one.
    """

    def __init__(self, flow: Flow, *, batch: int = 1, aux: bool = False) -> None:
        self.flow = flow
        self.batch = batch
        self.aux = aux
        self._batch_name = _names(flow.batch)[0] if isinstance(flow.batch, Formula) else None
        self.declared: dict[str, int] = {}
        # (spatial rank, position) → the open size that stands there in an input
        self._positions: dict[tuple[int, int], str] = {}
        self._by_name: dict[str, Axis] = {}
        self._find_axes()
        self.axes = tuple(self._by_name.values())
        self.mixed: list[tuple[Node, Condition]] = []
        self._solved: dict[object, Solutions] = {}
        self._strides: dict[object, Stride] = {}
        self._gates: dict[Axis, Solutions] = {}
        self._collect()
        for axis, gates in self._gates.items():
            axis.valid = Sizes(axis.valid.solutions | gates, axis.valid.undecided)
        for axis in self.axes:
            _add_up(axis.strides)
        always = [(pair, self._always(pair[1])) for pair in self.mixed]
        self.implied = [pair for pair, holds in always if holds]
        self.mixed = [pair for pair, holds in always if not holds]
        for node, condition in self.mixed:
            undecided = Undecided(node, written(condition), "it depends on several sizes at once")
            for name in self._by_name.keys() & {*_names(condition.left, condition.right)}:
                axis = self._by_name[name]
                axis.valid = axis.valid & Sizes(all_sizes(), [undecided])
        self.square = self._square()
        self.features = self._features()

    def axis(self, name: str) -> Axis:
        """The axis of an open size; raises KeyError where there is none of that name."""
        return self._by_name[name]

    def layers(self) -> Iterator[tuple[Node, Facts]]:
        """The layers that count, with what they make of the open sizes."""
        for node in self.flow.graph.layers:
            facts = self.flow.facts[node.index]
            if facts is not None and (self.aux or not node.aux):
                yield node, facts

    # ------------------------------------------------------------------ further questions

    def sizes_for(self, output: int | Sequence[int | None], path: str | None = None) -> Inverse:
        """Which input sizes give a layer's output the wanted size.

        output: one number for all spatial axes, or one for each, None where any will do. path: of
        the layer; None: `features`. Raises ConvcalcError where there is no such layer or axis.
        """
        from convcalc.analysis.inverse import inverse

        return inverse(self, output, path)

    def kept(self) -> Kept | None:
        """For which sizes all weights keep the shape they have at the design's own input; None
        where they do for every size."""
        from convcalc.analysis.inverse import kept

        return kept(self)

    def largest(
        self,
        figure: str,
        budget: int,
        *,
        measure: Callable[[Flow], int] | None = None,
        floor: Size = 0,
    ) -> list[Largest]:
        """The largest batch at the design's own input, and the largest input at `batch`, under a
        budget: see `convcalc.analysis.budget.under_budget`."""
        from convcalc.analysis.budget import under_budget

        return under_budget(self, figure, budget, measure=measure, floor=floor)

    def largest_in_memory(
        self,
        budget: int,
        *,
        training: bool = True,
        dtype: str = "float32",
        device: str = "cpu",
        optimizer: str = "none",
        foreach: bool | None = None,
        weight_decay: bool = False,
    ) -> list[Largest]:
        """The same for bytes: parameters and buffers, and above them what a step of training (else
        a forward pass) holds at most; the rest as `Network.summary` has it.

        That no larger batch or input keeps the budget is proved, where that is possible, with what
        surely lives at once: what is kept for backward; in inference a layer's inputs and output.

        Answers for which a layer cannot train (BatchNorm of one value) are left out; raises
        ConvcalcError where none is left.
        """
        from convcalc.analysis.memory_budget import MemoryQuestion

        question = MemoryQuestion(training, dtype, device, optimizer, foreach, weight_decay)
        floor = question.floor(self)
        found = self.largest(question.figure, budget, measure=question.measure, floor=floor)
        refused = question.untrainable
        if refused is not None:
            found = [f for f in found if f.value or (f.size is None and not f.unbounded)]
            if not found:
                raise ConvcalcError(refused)
        return found

    # ------------------------------------------------------------------ collecting

    def _find_axes(self) -> None:
        graph = self.flow.graph
        for name, shape in self.flow.inputs.items():
            sizes, entries = shape[2:], graph.inputs[name][1:]
            for position, (size, entry) in enumerate(zip(sizes, entries, strict=True)):
                if not isinstance(size, Formula) or not size.is_symbol:
                    continue
                letter = _names(size)[0]
                self._positions.setdefault((len(sizes), position), letter)
                self._by_name.setdefault(letter, Axis(letter))
                if isinstance(entry, int):
                    self.declared.setdefault(letter, entry)

    def _collect(self) -> None:
        known: dict[Facts, list[Stride]] = {}
        for node, facts in self.layers():
            for axis in self._agreeing(node, facts):
                axis.agreeing += 1
            strides = known.get(facts)
            if strides is None:
                known[facts] = self._take(node, facts)
            else:
                for stride in strides:
                    stride.nodes.append(node)

    def _agreeing(self, node: Node, facts: Facts) -> set[Axis]:
        """The axes along which all the branches that a layer joins have the same size by name."""
        if node.op is None or node.op.inputs:
            return set()
        equal_ones: set[Axis] = set()
        others: set[Axis] = set()
        for condition in facts.conditions:
            for name in _names(condition.left, condition.right):
                axis = self._by_name.get(name)
                if axis is not None:
                    (equal_ones if condition.left is condition.right else others).add(axis)
        return equal_ones - others

    def _take(self, node: Node, facts: Facts) -> list[Stride]:
        for condition in facts.conditions:
            if condition.left is not condition.right:
                self._add_condition(node, condition)
        sizes = self.flow.shapes[node.inputs[0]][2:]
        if len(facts.windows) != len(sizes):
            return []
        strides = []
        for position, (size, window) in enumerate(zip(sizes, facts.windows, strict=True)):
            # A stride that is a formula belongs to an adaptive pool or a resize to a fixed size,
            # one that divides the spread of the rows to a resize by a whole factor.
            if isinstance(window.stride, int) and not _steps_within(window):
                found = self._add_stride(node, position, size, window)
                if found is not None:
                    strides.append(found)
                self._add_reading(node, facts, position, size, window)
        return strides

    def _add_condition(self, node: Node, condition: Condition) -> None:
        left, right = (self._at_batch(expand(side)) for side in (condition.left, condition.right))
        names = _names(left, right)
        if not names:  # the flow has refused what fails between ints: this is about the batch
            if solve(condition.kind, left, right).empty:
                for every in self.axes:
                    every.valid = every.valid & Sizes(no_sizes())
                    every.demands.append(Demand(node, condition, no_sizes()))
            return
        axis = self._by_name.get(names[0]) if len(names) == 1 else None
        if axis is None:
            self.mixed.append((node, condition))
            return
        sizes = None
        try:
            sizes = self._solve(condition.kind, left, right)
        except UndecidedError as error:
            undecided = Undecided(node, written(condition), str(error))
            axis.valid = axis.valid & Sizes(all_sizes(), [undecided])
        else:
            axis.valid = axis.valid & Sizes(sizes)
            axis.demands.append(Demand(node, condition, sizes))
            if node.kind == "Mul" and condition.kind == "equal":
                self._add_gate(axis, node, left, right, sizes)
        if condition.kind == "equal" and node.op is not None and node.op.inputs == 0:
            axis.joins.append(Join(node, condition.left, condition.right, sizes))

    def _add_gate(self, axis: Axis, node: Node, left: Size, right: Size, sizes: Solutions) -> None:
        """Where a branch of a Mul happens to have one place alone, it is taken for a gate: then the
        branches need not agree, and what comes after them has another size."""
        gates = self._solve("equal", left, 1) | self._solve("equal", right, 1)
        if (sizes | gates) == sizes:
            return
        told = f"a branch of {node.op} with one place alone is a gate"
        reason = "it is one for some sizes, and for others not"
        axis.valid = axis.valid & Sizes(all_sizes(), [Undecided(node, told, reason)])
        self._gates[axis] = self._gates.get(axis, gates) | gates

    def _at_batch(self, size: Size) -> Size:
        """A few layers ask for several samples, or for several places of all samples."""
        if self._batch_name is None or self._batch_name not in _names(size):
            return size
        return substitute(size, {self._batch_name: self.batch})

    def _solve(self, kind: str, left: Size, right: Size) -> Solutions:
        """Blocks repeat, and many layers ask for the same: each condition is solved once."""
        key = (kind, _key(left), _key(right))
        found = self._solved.get(key)
        if found is None:
            found = self._solved[key] = solve(kind, left, right)
        return found

    def _axis_at(self, size: Size, rank: int, position: int) -> Axis | None:
        """The axis that a size belongs to: it is made of it, or stands in its place."""
        names = _names(size)
        name = names[0] if len(names) == 1 else self._positions.get((rank, position))
        return None if name is None else self._by_name.get(name)

    def _add_stride(self, node: Node, position: int, size: Size, window: Window) -> Stride | None:
        # rows stand `upsample` apart: 1 but for resizes by a fraction
        spread = (size - 1) * window.upsample + 1
        rest = expand(spread + window.before + window.after - window.reach)
        axis = self._axis_at(rest, len(self.flow.shapes[node.inputs[0]]) - 2, position)
        assert isinstance(window.stride, int)
        if axis is None:
            return None
        key = (axis.names, _key(rest), window.stride)
        found = self._strides.get(key)
        if found is not None:
            found.nodes.append(node)
            return found
        try:
            solutions = where_divisible(rest, window.stride)
        except UndecidedError as error:
            undecided = Undecided(node, f"{window.stride} divides {rest}", str(error))
            axis.exact = axis.exact & Sizes(all_sizes(), [undecided])
            return None
        axis.exact = axis.exact & Sizes(solutions)
        found = self._strides[key] = Stride(node, size, window, rest, solutions)
        axis.strides.append(found)
        return found

    def _add_reading(
        self, node: Node, facts: Facts, position: int, size: Size, window: Window
    ) -> None:
        """No row past the last window: (outputs − 1)·stride + reach − before ≥ size."""
        kernel, stride, upsample = window.kernel, window.stride, window.upsample
        if not (isinstance(kernel, int) and isinstance(stride, int) and isinstance(upsample, int)):
            return
        axis = self._axis_at(size, len(facts.windows), position)
        if axis is None or kernel < stride or upsample != 1:
            return
        if len(facts.output) - 2 == len(facts.windows):
            outputs = facts.output[position + 2]
        else:  # Unfold puts its windows in a row
            outputs = (size + window.before + window.after - window.reach) // stride + 1
        last = expand((outputs - 1) * stride + window.reach - window.before)
        try:
            key = ("complete", _key(last), _key(expand(size)))
            found = self._solved.get(key)
            if found is None:
                found = self._solved[key] = where_at_least(last, size)
            axis.complete = axis.complete & Sizes(found)
        except UndecidedError as error:
            undecided = Undecided(node, f"its windows end at {last} of {size}", str(error))
            axis.complete = axis.complete & Sizes(all_sizes(), [undecided])

    # ------------------------------------------------------------------ several sizes at once

    def _always(self, condition: Condition) -> bool:
        """Whether a condition on several sizes holds for all that are otherwise valid."""
        least = {axis.names[0]: symbol(axis.names[0], axis.smallest or 1) for axis in self.axes}
        left = substitute(self._at_batch(condition.left), least)
        right = substitute(self._at_batch(condition.right), least)
        if condition.kind == "at_least":
            return at_least(left - right, 0).proved
        if condition.kind == "divisible":
            return equal(left % right, 0).proved
        return equal(left, right).proved

    def _square(self) -> Axis | None:
        """The first axes to which the design gives the same number."""
        alike: dict[int | None, list[Axis]] = {}
        for axis in self.axes:
            alike.setdefault(self.declared.get(axis.names[0]), []).append(axis)
        equals = next((axes for axes in alike.values() if len(axes) > 1), None)
        if equals is None:
            return None
        square = Axis(*(axis.names[0] for axis in equals))
        for axis in equals:
            square.valid = square.valid & Sizes(axis.valid.solutions, self._own(axis))
            square.exact = square.exact & axis.exact
            square.complete = square.complete & axis.complete
            square.joins += axis.joins
            square.demands += axis.demands
            square.agreeing += axis.agreeing
        square.strides = sorted(
            (stride for axis in equals for stride in axis.strides),
            key=lambda stride: stride.nodes[0].index,
        )
        for node, condition, sizes in self._solved_at(self.one_size(square.names)):
            square.valid = square.valid & sizes
            if not sizes.undecided:
                square.demands.append(Demand(node, condition, sizes.solutions))
        square.demands.sort(key=lambda demand: demand.node.index)
        return square

    def valid_at(self, axis: Axis, point: Mapping[str, int]) -> Sizes:
        """The valid sizes of one axis with the other open sizes at the numbers of `point`: those
        that conditions on several sizes at once leave."""
        if axis is self.square:
            return axis.valid
        valid = Sizes(axis.valid.solutions, self._own(axis))
        rest = {name: size for name, size in point.items() if name not in axis.names}
        for _, _, sizes in self._solved_at(rest):
            valid = valid & sizes
        return valid

    def _solved_at(
        self, known: Mapping[str, int | Formula]
    ) -> Iterator[tuple[Node, Condition, Sizes]]:
        """The conditions on several sizes at once, solved for the one that is left."""
        for node, condition in self.mixed:
            left = expand(substitute(self._at_batch(condition.left), known))
            right = expand(substitute(self._at_batch(condition.right), known))
            try:
                sizes = Sizes(solve(condition.kind, left, right))
            except UndecidedError as error:
                sizes = Sizes(all_sizes(), [Undecided(node, written(condition), str(error))])
            yield node, condition, sizes

    def _own(self, axis: Axis) -> list[Undecided]:
        """What is undecided of an axis by itself."""
        mixed = {id(node) for node, _ in self.mixed}
        return [u for u in axis.valid.undecided if id(u.node) not in mixed]

    def one_size(self, names: Sequence[str]) -> Mapping[str, int | Formula]:
        """What to substitute so that these open sizes are one, and the others the design's own."""
        rest = {name: size for name, size in self.declared.items() if name not in names}
        return {**rest, **{name: symbol(names[0]) for name in names[1:]}}

    def _features(self) -> Node | None:
        graph = self.flow.graph
        reached: set[int] = set()
        todo = list(graph.outputs.values())
        while todo:
            index = todo.pop()
            if index not in reached:
                reached.add(index)
                todo += graph.nodes[index].inputs
        for index in sorted(reached, reverse=True):
            node, shape = graph.nodes[index], self.flow.shapes[index]
            if node.layout == "channels" and any(_names(size) for size in shape[2:]):
                return node
        return None

    def __repr__(self) -> str:
        return f"Fit({self.flow.graph.name!r}: {', '.join(map(repr, self.axes))})"


def written(condition: Condition) -> str:
    """A condition in the open sizes themselves: nothing says what h1 would be."""
    return condition.told(lambda size: str(expand(size)))


def solve(kind: str, left: Size, right: Size) -> Solutions:
    """The sizes for which a condition holds; raises UndecidedError."""
    if kind == "at_least":
        return where_at_least(left, right)
    if kind == "equal":
        return where_equal(left, right)
    if not isinstance(right, int):
        raise UndecidedError(f"it asks which sizes {right} divides")
    return where_divisible(left, right)


def _steps_within(window: Window) -> bool:
    upsample = window.upsample
    return isinstance(upsample, int) and upsample % window.stride == 0


def _names(*sizes: Size) -> tuple[str, ...]:
    """The open sizes in these sizes."""
    return tuple(dict.fromkeys(name for size in sizes for name in symbols(size)))


def _key(size: Size) -> object:
    return size.key if isinstance(size, Formula) else size


def _add_up(strides: Sequence[Stride]) -> None:
    """What each stride and all before it ask for."""
    together = all_sizes()
    for stride in strides:
        together = stride.together = together & stride.sizes


def _smallest_conflict(strides: Sequence[Stride]) -> tuple[Stride, ...]:
    """Strides with no common size, none of which could be spared."""
    kept: list[Stride] = []
    common = all_sizes()
    for stride in strides:
        kept.append(stride)
        common = common & stride.sizes
        if common.empty:
            break
    for stride in kept[:-1]:
        rest = all_sizes()
        for other in kept:
            if other is not stride:
                rest = rest & other.sizes
        if rest.empty:
            kept.remove(stride)
    return tuple(kept)


def fit(flow: Flow, *, batch: int = 1, aux: bool = False) -> Fit:
    """What sizes a network takes, from a flow of open sizes through it.

    batch: where the flow's is open, what a layer that asks for several samples is given (a
    BatchNorm without running statistics). aux: with the layers that serve training-only outputs.
    """
    return Fit(flow, batch=batch, aux=aux)
