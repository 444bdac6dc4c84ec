"""Computed figures beside measured ones. Needs no torch.

The computed side comes from the flow of sizes through the graph alone, the measured side from torch
alone; here they only meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.graph import Facts, Flow, Node
    from convcalc.ops.base import Tensor
    from convcalc.pytorch.measure import Held, Layer, Measurement


#: Bytes of one element.
_WIDTHS = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8}


class Comparison:
    """One figure, computed and measured.

    figure: of a layer "output", "dtype", "parameters", "buffers" (name → dtype and shape, in
        PyTorch's order), "params" (elements), "macs", "receptive_field", "global", "jump", "offset"
        (see `convcalc.pytorch.receptive`), "equivariance" (see `convcalc.pytorch.equivariance`),
        "output_bytes", "allocated_bytes", "saved_bytes" (see `convcalc.analysis.memory`), "keeps"
        (path of a value that backward needs → bytes; "besides" for what is no layer's value); of
        the network "params", "trainable_params", "buffers" (elements), "weights_bytes", "macs",
        "outputs", all without what serves aux outputs alone; "aux_params", "aux_macs",
        "aux_outputs" for that; "layers" (that ran). "build" and "run" stand only where torch
        refused.
    path: the layer's; None for the network's.
    """

    __slots__ = ("computed", "figure", "measured", "ok", "path")

    def __init__(self, figure: str, path: str | None, computed: Any, measured: Any) -> None:
        self.figure = figure
        self.path = path
        self.computed = computed
        self.measured = measured
        # Names are compared in order, and dicts alone would not tell.
        self.ok: bool = _ordered(computed) == _ordered(measured)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; shapes become lists there."""
        names = ("figure", "path", "computed", "measured", "ok")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.figure}: computed {self.computed}, measured {self.measured}"

    def __repr__(self) -> str:
        return f"Comparison({self}, ok={self.ok})"


class Report:
    """The outcome of one network's check.

    ok: something was compared, and everything agrees.
    device: as torch names it. skipped: why the network was not run, or None; then `comparisons`
    holds the same as a failure. notes: what was left out, and why. seconds: of the whole check,
    building included.
    """

    __slots__ = (
        "batch",
        "comparisons",
        "device",
        "dtype",
        "network",
        "notes",
        "seconds",
        "skipped",
        "torch",
    )

    def __init__(
        self,
        network: str,
        comparisons: Sequence[Comparison],
        *,
        device: str,
        torch: str,
        batch: int,
        dtype: str,
        seconds: float,
        skipped: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.network = network
        self.comparisons = tuple(comparisons)
        self.device = device
        self.torch = torch
        self.batch = batch
        self.dtype = dtype
        self.seconds = seconds
        self.skipped = skipped
        self.notes = tuple(notes)

    @property
    def ok(self) -> bool:
        return bool(self.comparisons) and all(c.ok for c in self.comparisons)

    @property
    def failures(self) -> list[Comparison]:
        """What disagrees, in the order of the network."""
        return [c for c in self.comparisons if not c.ok]

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else f"{len(self.failures)} failed"
        return f"Report({self.network!r}, {len(self.comparisons)} comparisons, {verdict})"


def _ordered(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


def compare(flow: Flow, measured: Measurement, dtype: str) -> list[Comparison]:
    """Every figure of every layer, then those of the network.

    A layer that did not run because one before it failed has no "output", "dtype" and "macs" here;
    the network's "layers" tells how many did.
    """
    comparisons: list[Comparison] = []
    for node in flow.graph.layers:
        facts = _facts(flow, node.index)
        shape = flow.shapes[node.index]
        layer = measured.layers.get(node.index)
        if layer is None:
            comparisons.append(Comparison("run", node.path, "runs", "the module has no such layer"))
        else:
            comparisons += _layer(node, facts, shape, layer, dtype)
    return comparisons + _network(flow, measured, dtype)


def _layer(
    node: Node, facts: Facts, shape: Sequence[Any], layer: Layer, dtype: str
) -> list[Comparison]:
    path = node.path
    comparisons = [
        Comparison("parameters", path, _told(facts.weights, dtype), _held(layer.parameters)),
        Comparison("buffers", path, _told(facts.buffers, dtype), _held(layer.buffers)),
        Comparison("params", path, facts.params, _elements(layer.parameters)),
    ]
    if layer.error is not None:
        comparisons.append(Comparison("run", path, "runs", layer.error))
    if layer.ran:
        comparisons += [
            Comparison("output", path, tuple(shape), layer.output),
            Comparison("dtype", path, dtype, layer.dtype),
            Comparison("macs", path, facts.macs, layer.macs),
        ]
    return comparisons


def _network(flow: Flow, measured: Measurement, dtype: str) -> list[Comparison]:
    """Layers of aux outputs are counted apart; what is left of the module is the network."""
    graph = flow.graph
    main = [node.index for node in graph.layers if not node.aux]
    aux = [node.index for node in graph.layers if node.aux]
    layers = measured.layers
    aux_parameters = [p for i in aux if i in layers for p in layers[i].parameters]
    aux_buffers = [b for i in aux if i in layers for b in layers[i].buffers]
    params = _sum(flow, main, "params")
    tensors = [t for i in main for t in (*_facts(flow, i).weights, *_facts(flow, i).buffers)]
    figures = [
        ("params", params, _elements(measured.parameters) - _elements(aux_parameters)),
        (
            "trainable_params",
            _sum(flow, [i for i in main if not graph.nodes[i].frozen], "params"),
            _elements(p for p in measured.parameters if p.trains)
            - _elements(p for p in aux_parameters if p.trains),
        ),
        ("aux_params", _sum(flow, aux, "params"), _elements(aux_parameters)),
        (
            "buffers",
            _sum(flow, main, "buffer_elements"),
            _elements(measured.buffers) - _elements(aux_buffers),
        ),
        (
            "weights_bytes",
            sum(t.elements * _WIDTHS[t.dtype or dtype] for t in tensors),
            _bytes(measured.parameters, measured.buffers) - _bytes(aux_parameters, aux_buffers),
        ),
        ("macs", _sum(flow, main, "macs"), sum(layers[i].macs for i in main if i in layers)),
        ("aux_macs", _sum(flow, aux, "macs"), sum(layers[i].macs for i in aux if i in layers)),
        ("outputs", *_shapes(flow, measured, graph.outputs)),
        ("aux_outputs", *_shapes(flow, measured, graph.aux)),
        ("layers", len(graph.layers), sum(layer.ran for layer in layers.values())),
    ]
    return [Comparison(figure, None, ours, theirs) for figure, ours, theirs in figures]


def _facts(flow: Flow, index: int) -> Facts:
    facts = flow.facts[index]
    assert facts is not None
    return facts


def _sum(flow: Flow, indices: Iterable[int], figure: str) -> Any:
    return sum(getattr(flow.facts[index], figure) for index in indices)


def _shapes(flow: Flow, measured: Measurement, names: dict[str, int]) -> tuple[Any, Any]:
    ours = {name: flow.shapes[index] for name, index in names.items()}
    return ours, {name: measured.outputs.get(name) for name in names}


def _elements(held: Iterable[Held]) -> int:
    return sum(h.elements for h in held)


def _bytes(*kinds: Iterable[Held]) -> int:
    return sum(h.bytes for held in kinds for h in held)


def _told(tensors: Iterable[Tensor], dtype: str) -> dict[str, str]:
    return {t.name: f"{t.dtype or dtype}{[*t.shape]}" for t in tensors}


def _held(tensors: Iterable[Held]) -> dict[str, str]:
    return {h.name: f"{h.dtype}{[*h.shape]}" for h in tensors}
