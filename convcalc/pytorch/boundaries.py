"""What `fit` says of sizes, beside what PyTorch does at their boundaries.

Nothing of ours computes a size here: each layer is built for the shapes that PyTorch itself made of
the input, and run. It is tried at the sizes where an answer changes:

- accepts: the last invalid size and the first valid one, and around the first gap between valid
  ones; compared is the layer at which PyTorch refuses.
- divides, dropped: the first size that fits exactly, and for each stride one at which it does not;
  compared is whether the stride divides the steps that the same layer takes with stride 1, and how
  many of the last rows of the layer's own input no output reads.
- output: both ends of each interval of an `Inverse`, and beyond; compared are the shapes.
- weights: both ends of each interval of `kept`, and beyond; compared is whether the module made for
  the design's own input takes this one.

A row is read if the gradient of the layer's output reaches it: weights are ones, and only this row
is not zero, so that it is the maximum of every window that reads it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from convcalc.analysis.coverage import tail
from convcalc.analysis.inverse import kept
from convcalc.errors import DesignError
from convcalc.graph import ancestors
from convcalc.graph import flow as send
from convcalc.integers import evaluate
from convcalc.ops.base import AXES
from convcalc.pytorch.compare import Comparison, Report
from convcalc.pytorch.devices import resolve_device, resolve_dtype
from convcalc.pytorch.errors import reason
from convcalc.pytorch.module import Undrawn, last_uses, to_module
from convcalc.pytorch.namespace import NN

if TYPE_CHECKING:
    from convcalc.analysis.fit import Axis, Demand, Fit, Stride
    from convcalc.analysis.inverse import Inverse
    from convcalc.graph import Node
    from convcalc.integers import Size
    from convcalc.ops.base import Op

    Shape = tuple[int, ...]
    #: Open size → number.
    Point = Mapping[str, int]

#: Of a set of sizes so many intervals are tried.
MAX_RUNS = 8
#: So far a valid size is looked for at which a stride does not divide.
MAX_GAP = 10_000


class Ran:
    """What PyTorch made of one input: shapes by node index, and the layer at which it refused."""

    __slots__ = ("reason", "refused", "shapes")

    def __init__(self) -> None:
        self.shapes: dict[int, Shape] = {}
        self.refused: str | None = None
        self.reason = ""


def verify(
    fit: Fit, inverses: Sequence[Inverse] = (), *, device: str = "auto", dtype: str = "float32"
) -> Report:
    """See `convcalc.pytorch.verify_fit`."""
    start = time.perf_counter()
    trial = _Trial(fit, inverses, resolve_device(device), resolve_dtype(dtype))
    comparisons = list(trial.comparisons())
    return Report(
        fit.flow.graph.name,
        comparisons,
        device=str(trial.device),
        torch=torch.__version__,
        batch=1,
        dtype=dtype,
        seconds=time.perf_counter() - start,
    )


class _Trial:
    """Runs a network's layers at one size after another."""

    def __init__(
        self, fit: Fit, inverses: Sequence[Inverse], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.fit = fit
        self.inverses = inverses
        self.device = device
        self.dtype = dtype
        self._ran: dict[tuple[tuple[str, int], ...], Ran] = {}
        graph = fit.flow.graph
        ends = {d.node.index for axis in self._axes() for d in axis.demands}
        ends |= {stride.nodes[0].index for axis in self._axes() for stride in axis.strides}
        ends |= {found.node.index for found in inverses}
        if fit.features is not None:
            ends.add(fit.features.index)
        self.needed = ancestors(graph.nodes, ends)

    def _axes(self) -> list[Axis]:
        axes = list(self.fit.axes)
        return [*axes, self.fit.square] if self.fit.square else axes

    def comparisons(self) -> Iterator[Comparison]:
        for axis in self._tried():
            yield from self._validity(axis)
            yield from self._strides(axis)
        for found in self.inverses:
            yield from self._output(found)
        yield from self._weights()

    # ------------------------------------------------------------------ where to try

    def _tried(self) -> list[Axis]:
        """Each open size by itself; those with the same answers as one, which says as much."""
        square = self.fit.square
        if square is None:
            return list(self.fit.axes)
        same = [self.fit.axis(name) for name in square.names]
        alike = all(
            axis.valid.solutions == same[0].valid.solutions
            and axis.exact.solutions == same[0].exact.solutions
            for axis in same[1:]
        )
        others = [axis for axis in self.fit.axes if not (alike and axis in same)]
        return [square, *others]

    def _at(self, axis: Axis, size: int) -> dict[str, int]:
        """This size along its axis, and along the others the smallest that fit."""
        point = {}
        for other in self.fit.axes:
            least = other.fitting.smallest or other.smallest
            point[other.names[0]] = least or self.fit.declared.get(other.names[0], 1)
        return {**point, **dict.fromkeys(axis.names, size)}

    # ------------------------------------------------------------------ questions

    def _validity(self, axis: Axis) -> Iterator[Comparison]:
        smallest = axis.smallest
        if smallest is None:
            return
        sizes = [smallest - 1, smallest]
        gap = axis.valid.solutions.next_outside(smallest)
        if gap is not None:
            after = axis.valid.solutions.smallest(gap)
            sizes += [gap] if after is None else [gap, after]
        for size in dict.fromkeys(sizes):
            demand = axis.refusal(size)
            if size < 1 or (demand is not None and _asserted(demand)):
                continue
            ran = self._run(self._at(axis, size))
            computed = "runs" if demand is None else f"refused by {demand.path}"
            measured = "runs" if ran.refused is None else f"refused by {ran.refused}"
            yield Comparison(f"accepts {_told(axis, size)}", None, computed, measured)

    def _strides(self, axis: Axis) -> Iterator[Comparison]:
        start = axis.fitting.smallest or axis.smallest
        if start is None:
            return
        for stride in axis.strides:
            for size in (start, _beside(axis, stride, start)):
                if size is None:
                    continue
                shape = self._run(self._at(axis, size)).shapes.get(stride.nodes[0].inputs[0])
                if shape is not None:
                    yield from self._stride(axis, stride, size, shape)

    def _stride(self, axis: Axis, stride: Stride, size: int, shape: Shape) -> Iterator[Comparison]:
        node = stride.nodes[0]
        assert node.op is not None
        position = self._position(stride)
        window = node.op.windows(shape)[position]
        if window.upsample != 1:
            return  # a resize: rows between its own are nothing that a gradient could reach
        told = f"{AXES[len(shape) - 2][position]} at {_told(axis, size)}"
        outputs = node.op.output(shape)
        try:
            divides = self._divides(node.op, shape, position, stride.stride)
            if divides is not None:
                yield Comparison(f"divides {told}", node.path, size in stride.sizes, divides)
            if len(outputs) == len(shape):
                dropped = tail(shape[position + 2], outputs[position + 2], window)
                measured = self._dropped(_dense(node.op, shape), shape, position)
                yield Comparison(f"dropped {told}", node.path, dropped, measured)
        except RuntimeError as error:
            yield Comparison(f"reads {told}", node.path, "runs", reason(error))

    def _position(self, stride: Stride) -> int:
        """Along which spatial axis of its layer's input a stride reads."""
        shape = self.fit.flow.shapes[stride.nodes[0].inputs[0]]
        facts = self.fit.flow.facts[stride.nodes[0].index]
        assert facts is not None
        return next(
            at
            for at, (size, window) in enumerate(zip(shape[2:], facts.windows, strict=True))
            if size is stride.size and window is stride.window
        )

    def _output(self, found: Inverse) -> Iterator[Comparison]:
        shape = self.fit.flow.shapes[found.node.index]
        groups: list[list[str]] = []  # open sizes with the same answer are tried as one
        for name, sizes in found.sizes.items():
            alike = (g for g in groups if found.sizes[g[0]].solutions == sizes.solutions)
            group = next(alike, None)
            if group is None:
                groups.append([name])
            else:
                group.append(name)
        for group in groups:
            solutions = found.sizes[group[0]].solutions
            ends = [x for run in solutions.up_to(solutions.largest() or 0)[:MAX_RUNS] for x in run]
            around = sorted(
                {x for first in ends[::2] for x in (first - 1, first)}
                | {x for last in ends[1::2] for x in (last, last + 1)}
            )
            for size in around:
                if size < 1:
                    continue
                refusal = self._refusal(group, size)
                valid = all(size in self.fit.axis(name).valid for name in group)
                # What no layer refuses by itself, or by what PyTorch knows, is not tried.
                if not valid and (refusal is None or _asserted(refusal)):
                    continue
                point = self._point(found, group, size)
                ran = self._run(point)
                measured = ran.shapes.get(found.node.index, ())[1:]
                told = _point_told(point)
                if valid:
                    computed = tuple(_value(s, point) for s in shape[1:])
                    yield Comparison(f"output at {told}", found.path, computed, measured)
                wanted = all(point[n] in sizes for n, sizes in found.sizes.items())
                gives = (
                    ran.refused is None
                    and len(measured) == len(shape) - 1
                    and all(
                        value in (None, made)
                        for value, made in zip(found.wanted, measured[1:], strict=True)
                    )
                )
                yield Comparison(f"wanted output at {told}", found.path, wanted, gives)

    def _refusal(self, names: Iterable[str], size: int) -> Demand | None:
        """What the first layer asks for that refuses this size along one of these axes."""
        refusals = (self.fit.axis(name).refusal(size) for name in names)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _point(self, found: Inverse, group: Sequence[str], size: int) -> dict[str, int]:
        """This size for some open sizes, and for the others the smallest that are wanted."""
        point = {}
        for axis in self.fit.axes:
            name = axis.names[0]
            sizes = found.sizes.get(name)
            least = None if sizes is None else sizes.smallest
            point[name] = least or axis.smallest or self.fit.declared.get(name, 1)
        return {**point, **dict.fromkeys(group, size)}

    def _weights(self) -> Iterator[Comparison]:
        """The module of the design's own size takes the sizes of `kept`, and those beside not."""
        held, square = kept(self.fit), self.fit.square
        if held is None or held.square is None or square is None:
            return
        solutions = held.square.solutions
        if not solutions.finite or solutions.empty or len(self.fit.declared) < len(self.fit.axes):
            return
        try:
            module = to_module(
                send(self.fit.flow.graph), device=str(self.device), initialise=False
            ).eval()
        except DesignError:  # its own size is no valid one
            return
        module = module.to(self.dtype)
        for first, last in solutions.up_to(solutions.largest() or 0):
            for size in dict.fromkeys((first - 1, first, last, last + 1)):
                if size not in square.valid:
                    continue
                point = {**self.fit.declared, **dict.fromkeys(square.names, size)}
                yield Comparison(
                    f"weights kept at {_told(square, size)}",
                    held.pinned[0].path,
                    size in solutions,
                    self._takes(module, point),
                )

    # ------------------------------------------------------------------ runs

    def _inputs(self, point: Point) -> list[torch.Tensor]:
        shapes = [
            (1, *(_value(size, point) for size in shape[1:]))
            for shape in self.fit.flow.inputs.values()
        ]
        return [torch.zeros(s, dtype=self.dtype, device=self.device) for s in shapes]

    def _takes(self, module: nn.Module, point: Point) -> bool:
        try:
            with torch.no_grad():
                module(*self._inputs(point))
        except RuntimeError:
            return False
        return True

    def _run(self, point: Point) -> Ran:
        """Layer by layer, each built for what flows in, until one refuses."""
        key = tuple(sorted(point.items()))
        found = self._ran.get(key)
        if found is not None:
            return found
        result = self._ran[key] = Ran()
        graph = self.fit.flow.graph
        nodes = [node for node in graph.layers if node.index in self.needed]
        drops = last_uses(nodes, ())
        values: dict[int, torch.Tensor] = dict(enumerate(self._inputs(point)))
        result.shapes = {index: tuple(value.shape) for index, value in values.items()}
        for node in nodes:
            flowing = [values[index] for index in node.inputs]
            try:
                with torch.no_grad():
                    made = self._built(node, [tuple(v.shape) for v in flowing])(*flowing)
            except Exception as error:  # whatever torch raises, it refuses
                result.refused, result.reason = node.path, reason(error)
                return result
            if _broadcast(node, flowing) or not made.numel():
                # A design neither broadcasts nor goes on without a row, which PyTorch may.
                result.refused = node.path
                result.reason = f"it makes {tuple(made.shape)}"
                return result
            values[node.index] = made
            result.shapes[node.index] = tuple(made.shape)
            for index in drops.get(node.index, ()):
                del values[index]
        return result

    def _built(self, node: Node, shapes: Sequence[Shape]) -> nn.Module:
        assert node.op is not None
        with self.device, Undrawn():
            module: nn.Module = node.op.build(NN, *shapes)
        return module.to(self.dtype).eval()

    # ------------------------------------------------------------------ one layer's rows

    def _divides(self, op: Op, shape: Shape, position: int, stride: int) -> bool | None:
        """Whether windows, taken one row on each time, come out even by strides; None for layers
        that cannot be built with stride 1, or pad by their stride (tf_same)."""
        given = op.given()
        if "stride" not in given or given.get("padding") == "tf_same":
            return None
        steps = [1 if at == position else value for at, value in enumerate(_strides(op, shape))]
        given = {**given, "stride": tuple(steps)}
        if "ceil_mode" in given:
            given["ceil_mode"] = False
        with self.device, Undrawn():
            module: nn.Module = type(op)(**given).build(NN, shape)
        values = torch.zeros(shape, dtype=torch.float64, device=self.device)
        try:
            with torch.no_grad():
                places = module.to(torch.float64).eval()(values).shape
        except RuntimeError:  # none lies within: with ceil_mode it may reach past the end
            return False
        return len(places) == len(shape) and (places[position + 2] - 1) % stride == 0

    def _dropped(self, op: Op, shape: Shape, position: int) -> int:
        """How many of the last rows get no gradient."""
        length = shape[position + 2]
        for count in range(length):
            if self._reads(op, shape, position, length - 1 - count):
                return count
        return length

    def _reads(self, op: Op, shape: Shape, position: int, row: int) -> bool:
        """Whether the gradient of the layer's output reaches this row."""
        with self.device, Undrawn():
            module: nn.Module = op.build(NN, shape)
        module = module.to(torch.float64).eval()
        with torch.no_grad():
            for weight in module.parameters():
                weight.fill_(1)
        values = torch.zeros(shape, dtype=torch.float64, device=self.device)
        values.select(position + 2, row).fill_(1)
        values.requires_grad_()
        module(values).sum().backward()
        assert values.grad is not None
        return bool(values.grad.select(position + 2, row).any())


def _strides(op: Op, shape: Shape) -> list[int]:
    return [_whole(window.stride) for window in op.windows(shape)]


def _dense(op: Op, shape: Shape) -> Op:
    """The same without holes in its windows: between dilated taps rows may lie that none reads,
    and yet within the last window."""
    given = op.given()
    if "dilation" not in given:
        return op
    reach = tuple(_whole(window.reach) for window in op.windows(shape))
    return type(op)(**{**given, "kernel_size": reach, "dilation": 1})


def _broadcast(node: Node, flowing: Sequence[torch.Tensor]) -> bool:
    """Whether a sum or a product joins maps of different shapes; gates (N×C×1×1) are no maps."""
    if node.kind not in ("Add", "Mul"):
        return False
    shapes = {tuple(value.shape) for value in flowing}
    if node.kind == "Mul":
        shapes = {shape for shape in shapes if any(size != 1 for size in shape[2:])}
    return len(shapes) > 1


def _asserted(demand: Demand) -> bool:
    """Whether a condition is the design's own word (in_features=…), which PyTorch knows not of."""
    op = demand.node.op
    return op is not None and op.asserted is not None and demand.condition.kind == "equal"


def _beside(axis: Axis, stride: Stride, start: int) -> int | None:
    """The first valid size from `start` on at which a stride does not divide."""
    size = stride.sizes.next_outside(start)
    while size is not None and size not in axis.valid and size < start + MAX_GAP:
        size = stride.sizes.next_outside(size + 1)
    return size if size is not None and size in axis.valid else None


def _whole(size: Size) -> int:
    assert isinstance(size, int)
    return size


def _value(size: Size, point: Point) -> int:
    return _whole(evaluate(size, point))


def _told(axis: Axis, size: int) -> str:
    return f"{' = '.join(axis.names)} = {size}"


def _point_told(point: Point) -> str:
    return ", ".join(f"{name} = {size}" for name, size in point.items())
