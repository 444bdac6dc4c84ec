"""Every layer's figures and the network's totals, from a graph with sizes flowing through it.

All figures count elements or bytes as they are named, for the whole batch, by the conventions of
`MACS_CONVENTION`. They are ints, or formulas where sizes are open. Memory and receptive fields are
computed where they are asked for.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter, mul

from convcalc.analysis.coverage import unread
from convcalc.errors import ConvcalcError
from convcalc.integers import product, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction
    from typing import Any

    from convcalc.analysis.memory import Course, LayerMemory, Memory, Training
    from convcalc.analysis.receptive import Field, ReceptiveFields
    from convcalc.errors import Place, Problem
    from convcalc.graph import Facts, Flow, Graph, Node
    from convcalc.integers import Formula, Size
    from convcalc.ops.base import Layout, Op, Shape

MACS_CONVENTION = (
    "MACs: multiply-accumulates of convolutions, linear layers and matrix products; "
    "FLOPs = 2 × MACs"
)

#: Bytes of one element, by the names of torch's dtypes.
DTYPE_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8}
#: The dtypes that a network may have.
DTYPES = ("float32", "float64", "float16", "bfloat16")


class Figures:
    """What all layers with the same op and the same input shapes share."""

    __slots__ = (
        "_dropped",
        "facts",
        "findings",
        "output_bytes",
        "weights_bytes",
    )

    def __init__(self, facts: Facts, width: int, output_bytes: Size) -> None:
        self.facts = facts
        self.output_bytes = output_bytes
        self.weights_bytes: Size = (facts.params + facts.buffer_elements) * width
        for tensor in facts.buffers:
            if tensor.dtype is not None:
                self.weights_bytes += tensor.elements * (DTYPE_BYTES[tensor.dtype] - width)
        self._dropped: tuple[Size | None, ...] | None = None
        self.findings: tuple[Any, ...] = ()

    @property
    def dropped(self) -> tuple[Size | None, ...]:
        if self._dropped is None:
            sizes, outputs = self.facts.inputs[0][2:], self.facts.output[2:]
            windows = self.facts.windows
            if len(windows) == len(sizes) == len(outputs):
                self._dropped = tuple(map(unread, sizes, outputs, windows))
            else:  # it reads each place, or takes the axes apart
                self._dropped = (0,) * len(sizes)
        return self._dropped


class Layer:
    """One layer of the network with its figures.

    params, buffers: elements. macs: multiply-accumulates. output: batch first. output_bytes: of the
    output tensor. weights_bytes: of its parameters and buffers. dropped: for each spatial axis of
    its (first) input, how many rows no output reads; None where that cannot be told. aux: it serves
    only outputs that exist in training, and is not in the totals. frozen: its parameters do not
    train.
    """

    __slots__ = ("_figures", "_summary", "node")

    def __init__(self, node: Node, figures: Figures, summary: Summary) -> None:
        self.node = node
        self._figures = figures
        self._summary = summary

    @property
    def path(self) -> str:
        return self.node.path

    @property
    def op(self) -> Op:
        assert self.node.op is not None
        return self.node.op

    @property
    def args(self) -> dict[str, Any]:
        """Every argument of the op with its value, in torch.nn's order."""
        return self.op.given()

    @property
    def place(self) -> Place | None:
        return self.node.place

    @property
    def line(self) -> int | None:
        """The line of the file, from 1; None for a graph that was built by a program."""
        return self.node.place.line if self.node.place else None

    @property
    def aux(self) -> bool:
        return self.node.aux

    @property
    def frozen(self) -> bool:
        return self.node.frozen

    @property
    def trainable_params(self) -> Size:
        return 0 if self.node.frozen else self.params

    @property
    def memory(self) -> LayerMemory:
        """What it allocates, and what it is the first to keep for backward, with names."""
        return self._summary.memory.layers[self.node.index]

    @property
    def allocated_bytes(self) -> Size | None:
        """What it newly allocates and returns: 0 for a view, and in place.

        None where no formula tells it: `Summary.no_memory_formula` says why.
        """
        return self.memory.allocated

    @property
    def saved_bytes(self) -> Size | None:
        """What it is the first to keep for backward; parameters and buffers never count.

        None as for `allocated_bytes`.
        """
        return self.memory.saved

    @property
    def inputs(self) -> tuple[str, ...]:
        """The paths of the layers whose outputs flow in."""
        nodes = self._summary.graph.nodes
        return tuple([nodes[index].path for index in self.node.inputs])

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        shapes = self._summary.flow.shapes
        return tuple([shapes[index] for index in self.node.inputs])

    @property
    def input_layouts(self) -> tuple[Layout, ...]:
        """For each input "channels" (first) or "tokens" (N×L×E)."""
        nodes = self._summary.graph.nodes
        return tuple([nodes[index].layout for index in self.node.inputs])

    @property
    def figures(self) -> Figures:
        """The figures themselves: one object for all layers that share them."""
        return self._figures

    @property
    def output(self) -> Shape:
        return self._figures.facts.output

    @property
    def params(self) -> Size:
        return self._figures.facts.params

    @property
    def buffers(self) -> Size:
        return self._figures.facts.buffer_elements

    @property
    def macs(self) -> Size:
        return self._figures.facts.macs

    @property
    def output_bytes(self) -> Size:
        return self._figures.output_bytes

    @property
    def weights_bytes(self) -> Size:
        return self._figures.weights_bytes

    @property
    def dropped(self) -> tuple[Size | None, ...]:
        return self._figures.dropped

    @property
    def fields(self) -> tuple[Field, ...]:
        """What its output depends on, one `Field` an axis of the input.

        Of several inputs, the one that it sees most of; `Summary.receptive_fields` has all.
        """
        return self._summary.receptive_fields.of(self.node.index)

    @property
    def named_fields(self) -> dict[str, tuple[Field, ...]]:
        """The same on every input that it depends on, by name."""
        return self._summary.receptive_fields.by_node[self.node.index]

    @property
    def receptive_field(self) -> tuple[int | None, ...]:
        """Input rows and columns that an output sees on local paths: None where it sees them on
        none, or that cannot be told."""
        return tuple([field.size for field in self.fields])

    @property
    def jump(self) -> tuple[int | Fraction | None, ...]:
        """Input rows and columns from one output to the next; None where there is no grid."""
        return tuple([field.jump for field in self.fields])

    @property
    def offset(self) -> tuple[int | float | Fraction | None, ...]:
        """Where the first output's field has its centre, in input rows and columns from 0."""
        return tuple([field.offset for field in self.fields])

    @property
    def is_global(self) -> tuple[bool, ...]:
        """Whether a path sees the whole axis."""
        return tuple([field.is_global for field in self.fields])

    def __repr__(self) -> str:
        return f"Layer({self.path!r}, {self.op})"


class Totals:
    """The network's figures; layers that serve aux outputs alone are counted apart.

    params, trainable_params, buffers, aux_params: elements. macs, aux_macs: multiply-accumulates of
    the whole batch. weights_bytes: parameters and buffers. Memory, above these, by the definitions
    of `convcalc.analysis.memory`: see the properties.
    """

    __slots__ = (
        "_summary",
        "aux_macs",
        "aux_params",
        "buffers",
        "macs",
        "params",
        "trainable_params",
        "weights_bytes",
    )

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        main = Counter(map(attrgetter("_figures"), summary.layers))
        special = [layer for layer in summary.layers if layer.node.aux or layer.node.frozen]
        aux = Counter([layer.figures for layer in special if layer.aux])
        if aux:
            main -= aux
        self.params: Size = _sum(main, "facts.params")
        frozen = [layer.params for layer in special if not layer.aux]
        # One object where none is frozen: reports tell the sum once.
        self.trainable_params: Size = self.params - total(frozen) if frozen else self.params
        self.buffers: Size = _sum(main, "facts.buffer_elements")
        self.aux_params: Size = _sum(aux, "facts.params")
        self.macs: Size = _sum(main, "facts.macs")
        self.aux_macs: Size = _sum(aux, "facts.macs")
        self.weights_bytes: Size = _sum(main, "weights_bytes")

    @property
    def volumes(self) -> Size:
        """Values of the input and of each layer's output, as lectures list them.

        Without layers that can work in place (ReLU and its like, dropout), without views.
        """
        summary = self._summary
        sizes = [product(shape) for shape in summary.inputs.values()]
        for layer in summary.layers:
            if layer.aux or any(argument.name == "inplace" for argument in layer.op.arguments):
                continue
            if layer.memory.new:
                sizes.append(product(layer.output))
        return total(sizes)

    @property
    def allocated_bytes(self) -> Size | None:
        """What a forward pass would hold if nothing were freed; without layers of aux outputs.

        None where no formula tells it: `Summary.no_memory_formula` says why.
        """
        return self._summary.memory.allocated

    @property
    def saved_bytes(self) -> Size | None:
        """What is kept for backward; aux outputs take part in training. None as allocated_bytes."""
        return self._summary.memory.saved

    @property
    def gradients_bytes(self) -> Size:
        """The gradients of the parameters that train."""
        return self._summary.memory.gradients

    @property
    def inference_peak_bytes(self) -> int | None:
        """The most that lives in a forward pass without gradients; None where a size is open."""
        course = self._summary.inference
        return None if course is None else course.peak

    @property
    def training_peak_bytes(self) -> int | None:
        """The most that lives in a step of training, the optimizer's state included.

        None where a size is open, or a layer cannot train: `Summary.no_training_peak` says why.
        """
        course = self._summary.training
        return None if course is None else course.peak

    @property
    def optimizer_bytes(self) -> int | None:
        """What the optimizer keeps between steps; None as for `training_peak_bytes`."""
        course = self._summary.training
        return None if course is None else course.state

    def as_dict(self) -> dict[str, Size]:
        """The counts; memory is computed where it is asked for."""
        names = (
            "params",
            "trainable_params",
            "buffers",
            "aux_params",
            "macs",
            "aux_macs",
            "weights_bytes",
        )
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"Totals({', '.join(f'{k}={v}' for k, v in self.as_dict().items())})"


def _sum(counts: Counter[Figures], name: str) -> Size:
    return total(map(mul, map(attrgetter(name), counts), counts.values()))


class Summary:
    """A network's figures with sizes flowing through it (`convcalc.graph.flow`).

    dtype: of values and weights, one of `DTYPES`. device, optimizer, foreach, weight_decay: of the
        step whose peak is told, as `Memory` and its `training` take them. file, variant: of the
        design, where it has them.

    layers: one `Layer` a layer, in an order in which each comes after what it needs.
    totals: a `Totals`. inputs, outputs, aux_outputs: name → shape, batch first.
    warnings: what is worth a second look, each a `Problem` of severity "warning".
    name: of the design.

    Raises ConvcalcError for another dtype, device or optimizer than there are.
    """

    def __init__(
        self,
        flow: Flow,
        dtype: str = "float32",
        *,
        file: str | None = None,
        variant: str | None = None,
        device: str = "cpu",
        optimizer: str = "none",
        foreach: bool | None = None,
        weight_decay: bool = False,
    ) -> None:
        _check_settings(dtype, device, optimizer)
        self.graph: Graph = flow.graph
        self.flow = flow
        self.dtype = dtype
        self.name = flow.graph.name
        self.file = file
        self.variant = variant
        self.device = device
        self.optimizer = optimizer
        self.foreach = device.startswith("cuda") if foreach is None else foreach
        self.weight_decay = weight_decay
        self.batch: Size = flow.batch
        self.inputs: dict[str, Shape] = flow.inputs
        self.outputs = {name: flow.shapes[i] for name, i in flow.graph.outputs.items()}
        self.aux_outputs = {name: flow.shapes[i] for name, i in flow.graph.aux.items()}
        # Equal layers share their facts, and equal shapes are one object: each is looked at once.
        width = DTYPE_BYTES[dtype]
        shapes = dict(zip(map(id, flow.shapes), flow.shapes, strict=True))
        output_bytes = {key: product((*shape, width)) for key, shape in shapes.items()}
        known = {
            facts: Figures(facts, width, output_bytes[id(facts.output)])
            for facts in dict.fromkeys(flow.facts)
            if facts is not None
        }
        self.layers = [
            Layer(node, known[facts], self)
            for node, facts in zip(flow.graph.nodes, flow.facts, strict=True)
            if facts is not None
        ]
        self.totals = Totals(self)
        self._by_path: dict[str, Layer] | None = None
        self._warnings: tuple[Problem, ...] | None = None
        self._fields: ReceptiveFields | None = None
        self._memory: Memory | None = None
        self._training: Training | None = None

    @property
    def memory(self) -> Memory:
        """Memory to the byte: of each layer, in sums, and over passes."""
        if self._memory is None:
            from convcalc.analysis.memory import Memory

            self._memory = Memory(self.flow, self.dtype, device=self.device)
        return self._memory

    @property
    def no_memory_formula(self) -> str | None:
        """Why no formulas tell memory at every size; None where they do, or all is ints."""
        return None if self.flow.names is None else self.memory.no_formula

    @property
    def no_peak(self) -> str | None:
        """Why there are no peaks: a size is open."""
        if self.flow.names is None:
            return None
        return "a peak is told where every size is a number; here some are open"

    @property
    def no_training_peak(self) -> str | None:
        """Why there is none of training: a size is open, or a layer cannot train at this size."""
        return self.no_peak or self.memory.untrainable

    @property
    def inference(self) -> Course | None:
        """A forward pass without gradients, in evaluation mode; None: `no_peak` says why."""
        return None if self.no_peak else self.memory.inference()

    @property
    def training(self) -> Training | None:
        """A step of training with this optimizer; None: `no_training_peak` says why."""
        if self._training is None and self.no_training_peak is None:
            self._training = self.memory.training(
                self.optimizer, foreach=self.foreach, weight_decay=self.weight_decay
            )
        return self._training

    @property
    def receptive_fields(self) -> ReceptiveFields:
        """What every value depends on, on each input."""
        if self._fields is None:
            from convcalc.analysis.receptive import receptive_fields

            self._fields = receptive_fields(self.flow)
        return self._fields

    @property
    def warnings(self) -> tuple[Problem, ...]:
        if self._warnings is None:
            from convcalc.analysis.warnings import field_warnings, warnings_of

            self._warnings = (*warnings_of(self.layers), *field_warnings(self))
        return self._warnings

    @property
    def failing_warnings(self) -> tuple[Problem, ...]:
        """Those that `--strict` does not let pass."""
        from convcalc.analysis.warnings import ADVICE

        return tuple(found for found in self.warnings if found.code not in ADVICE)

    def layer(self, path: str) -> Layer:
        """The layer of that path; raises ConvcalcError where there is none."""
        if self._by_path is None:
            self._by_path = {layer.path: layer for layer in self.layers}
        layer = self._by_path.get(path)
        if layer is None:
            from convcalc.errors import closest

            near = closest(path, self._by_path)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConvcalcError(f"{self.name} has no layer {path!r}{hint}")
        return layer

    def definitions(self) -> dict[str, Formula]:
        """What the named sizes in shapes and figures stand for: h1 = (H + 1)//2; {} for ints."""
        if self.flow.names is None:
            return {}
        from convcalc.integers import Formula, definitions

        known = dict.fromkeys(layer.figures.facts for layer in self.layers)
        return definitions(*_formulas(known, Formula))

    def __repr__(self) -> str:
        return f"Summary({self.name!r}, {len(self.layers)} layers, {self.totals})"


def _formulas(known: Iterable[Facts], formula: type[Formula]) -> Iterable[Formula]:
    for facts in known:
        for size in (*facts.output, facts.params, facts.macs):
            if isinstance(size, formula):
                yield size


def _check_settings(dtype: str, device: str, optimizer: str) -> None:
    if dtype not in DTYPES:
        raise ConvcalcError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ConvcalcError(f"device {device!r} is not one of cpu, cuda")
    if optimizer != "none":
        from convcalc.analysis.optimizers import known_optimizer

        known_optimizer(optimizer)
