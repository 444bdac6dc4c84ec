"""How figures come about, layer by layer and in total, and what a layer's sharing of weights saves.

Rules of sizes, parameters and MACs are the op's (`convcalc.ops.explanation`); here come those that
need more than the layer: bytes, and the receptive field from that of what flows in.
"""

from __future__ import annotations

from convcalc.analysis.memory import Memory
from convcalc.analysis.receptive import windows_along
from convcalc.analysis.strides import axis_fits
from convcalc.analysis.summary import DTYPE_BYTES
from convcalc.errors import ConvcalcError, closest
from convcalc.integers import expand, pretty, product
from convcalc.ops.explanation import Explanation, Rule, axis_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from convcalc.analysis.memory import LayerMemory
    from convcalc.analysis.receptive import Field
    from convcalc.analysis.strides import AxisFit
    from convcalc.analysis.summary import Layer, Summary
    from convcalc.integers import Size
    from convcalc.ops.base import Window

#: Layers that learn a kernel and use it at every place.
_SHARING = ("Conv", "ConvTranspose", "ConnectionTableConv")


class Sharing:
    """What other layers would need to make this output of this input.

    params: of the layer itself. unshared: of a locally connected one, with a kernel of its own at
    each place. dense: of a dense one, in which every output sees every input. places: how many
    places one kernel serves. All with biases where the layer has them.
    """

    __slots__ = ("dense", "params", "places", "unshared")

    def __init__(self, params: Size, unshared: Size, dense: Size, places: Size) -> None:
        self.params = params
        self.unshared = unshared
        self.dense = dense
        self.places = places

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("params", "unshared", "dense", "places")}

    def __repr__(self) -> str:
        return f"Sharing({self.params}, unshared={self.unshared}, dense={self.dense})"


class Derivation:
    """How one layer's figures come about.

    layer: the layer with its figures. rules: one `Rule` a figure, in this order: the axes of the
    output, parameters, buffers, MACs, bytes of the output, bytes saved for backward, receptive
    field and jump of each axis. sharing: None for layers that share no kernel. fits: one `AxisFit`
    a spatial axis that is read in windows. memory: what is allocated and kept, a `LayerMemory`.
    """

    __slots__ = ("fits", "layer", "memory", "rules", "sharing")

    def __init__(
        self,
        layer: Layer,
        rules: Sequence[Rule],
        sharing: Sharing | None,
        fits: Sequence[AxisFit],
        memory: LayerMemory,
    ) -> None:
        self.layer = layer
        self.memory = memory
        self.rules = tuple(rules)
        self.sharing = sharing
        self.fits = tuple(fits)

    def rule(self, figure: str) -> Rule:
        """The rule of a figure: "height", "params", "macs", … Raises ConvcalcError."""
        for rule in self.rules:
            if rule.figure == figure:
                return rule
        known = ", ".join(rule.figure for rule in self.rules)
        raise ConvcalcError(f"{self.layer.op} has no rule of {figure!r}; it has {known}")

    def __repr__(self) -> str:
        return f"Derivation({self.layer.path!r}, {len(self.rules)} rules)"


class Explained:
    """The derivations of a network, or of the part of it that was asked for.

    layers: one `Derivation` a layer, in order. totals: the rules of the network's totals; none for
    a part.
    """

    __slots__ = ("layers", "path", "summary", "totals")

    def __init__(
        self,
        summary: Summary,
        path: str | None,
        layers: Sequence[Derivation],
        totals: Sequence[Rule],
    ) -> None:
        self.summary = summary
        self.path = path
        self.layers = tuple(layers)
        self.totals = tuple(totals)

    def __repr__(self) -> str:
        return f"Explained({self.summary.name!r}, {len(self.layers)} layers)"


def explain(summary: Summary, path: str | None = None) -> Explained:
    """Every layer's derivation, or that of the layer or block at `path`.

    Raises ConvcalcError where there is neither.
    """
    layers = list(summary.layers)
    if path is not None:
        layers = [layer for layer in layers if layer.path == path]
        if not layers:
            layers = [layer for layer in summary.layers if layer.path.startswith(f"{path}.")]
        if not layers:
            near = closest(path, _blocks_and_layers(summary))
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConvcalcError(f"{summary.name} has no layer or block {path!r}{hint}")
    derivations = [derive(layer, summary, summary.memory) for layer in layers]
    return Explained(summary, path, derivations, [] if path is not None else _totals(summary))


def _blocks_and_layers(summary: Summary) -> list[str]:
    """Every path that can be asked for, blocks before what is in them."""
    found: dict[str, None] = {}
    for layer in summary.layers:
        parts = layer.path.split(".")
        for end in range(1, len(parts) + 1):
            found[".".join(parts[:end])] = None
    return [*found]


def derive(layer: Layer, summary: Summary, memory: Memory | None = None) -> Derivation:
    """How one layer's figures come about.

    memory: of the network; None for a layer by itself, which keeps what it would within a network.
    """
    memory = memory or Memory(summary.flow, summary.dtype, input_needs=True)
    own = Explanation(
        layer.op, layer.figures.facts, layer.input_shapes, layer.input_layouts, layer.node.layout
    )
    rules = own.rules()
    found = memory.layers[layer.node.index]
    rules += _bytes(layer, summary, found)
    rules += _fields(layer, summary)
    return Derivation(layer, rules, sharing(layer), axis_fits(layer), found)


# ---------------------------------------------------------------------------- memory


def _bytes(layer: Layer, summary: Summary, found: LayerMemory) -> list[Rule]:
    shape = tuple(layer.output)
    width = DTYPE_BYTES[summary.dtype]
    new = found.allocated
    # None: no formula tells it, and `Summary.no_memory_formula` says why.
    note = "" if new is None or new is found.output else _new(new, found.output)
    values: dict[str, Any] = {"output": shape, "bytes": width}
    rules = [Rule("output_bytes", "{output}·{bytes}", values, layer.output_bytes, note)]
    if found.keeps:
        parts: dict[str, Size] = {}
        for name, size in found.keeps:
            word = name
            while word in parts:
                word += "'"
            parts[word] = size
        kept: Size = 0
        for size in parts.values():
            kept = kept + size
        note = "kept for backward"
        first = found.saved
        assert first is not None  # nothing is told of what it keeps
        if str(expand(kept)) != str(expand(first)):
            if isinstance(first, int) and first == 0:
                note += ", by a layer before it already"
            else:
                note += f"; {_shown(first)} of it new, the rest a layer before keeps"
        form = " + ".join(f"{{{name}}}" for name in parts)
        rules.append(Rule("saved_bytes", form, parts, kept, note))
    return rules


def _new(allocated: Size, output: Size) -> str:
    if isinstance(allocated, int) and allocated == 0:
        return "none of it new: a view, or in place"
    return "" if str(allocated) == str(output) else f"{_shown(allocated)} allocated"


def _shown(size: Size) -> str:
    return f"{size:,}" if isinstance(size, int) else pretty(size)


# ---------------------------------------------------------------------------- receptive field


def _fields(layer: Layer, summary: Summary) -> list[Rule]:
    """Size and jump along each axis, where they follow from one value that flows in."""
    fields = layer.fields
    node, op = layer.node, layer.op
    if not fields:
        return []
    known = summary.receptive_fields.by_node
    inputs = node.inputs[: len(node.inputs) - op.likes]
    name = next((n for n, f in known[node.index].items() if f is fields), None)
    windows: Sequence[Window] = ()
    before: Sequence[Field] = ()
    if len(inputs) == 1 and name is not None:
        before = known[inputs[0]].get(name, ())
        windows = windows_along(
            op, layer.figures.facts.windows, layer.input_shapes[0], layer.input_layouts[0]
        )
    names = axis_names(len(fields) + 2, "channels")[1:]
    rules: list[Rule] = []
    for axis, field in enumerate(fields):
        window = windows[axis] if len(windows) == len(fields) else None
        start = before[axis] if len(before) == len(fields) else None
        label = names[axis] if axis < len(names) else f"axis {axis}"
        rules += _field(f"receptive_field_{label}", f"jump_{label}", field, start, window)
    return rules


def _field(
    figure: str, jump: str, field: Field, start: Field | None, window: Window | None
) -> list[Rule]:
    if field.size is None:
        return []
    rules = []
    if start is not None and _follows(field, start, window):
        values: dict[str, Any] = {"field in": start.size, "jump in": start.jump}
        form, moves = "{field in}", "{jump in}"
        if window is not None:
            form += " + {d}·({F} − 1)·{jump in}"
            moves += "·{S}"
            values |= {"F": window.kernel, "d": window.dilation, "S": window.stride}
        return [
            Rule(figure, form, values, field.size),
            Rule(jump, moves, values, field.jump),
        ]
    if start is not None and field.size == start.size and field.jump is None:
        return [Rule(figure, "{field in}", {"field in": start.size}, field.size, "in a row")]
    note = "the union of what it joins" if start is None else "the union of what it reads"
    if field.turns > 1:
        note = "the largest of its outputs"
    if field.is_global:
        note = "of local paths; another one sees the whole axis"
    rules.append(Rule(figure, str(field.size), {}, field.size, note))
    if field.jump is not None:
        # A fraction after resizing: input rows from one output to the next.
        rules.append(Rule(jump, str(field.jump), {}, field.jump))
    return rules


def _follows(field: Field, start: Field, window: Window | None) -> bool:
    """Whether size and jump are those that the rule gives."""
    if start.size is None or not isinstance(start.jump, int):
        return False
    if window is None:
        return field.size == start.size and field.jump == start.jump
    kernel, stride, dilation = window.kernel, window.stride, window.dilation
    if not (isinstance(kernel, int) and isinstance(stride, int) and isinstance(dilation, int)):
        return False
    if kernel < 1 or not (isinstance(window.upsample, int) and window.upsample == 1):
        return False
    size = start.size + dilation * (kernel - 1) * start.jump
    return field.size == size and field.jump == start.jump * stride


# ---------------------------------------------------------------------------- sharing


def sharing(layer: Layer) -> Sharing | None:
    """What a locally connected and a dense layer would need in the place of a convolution."""
    name = layer.op.name()
    if not name.endswith(("1d", "2d", "3d")) or name[:-2] not in _SHARING:
        return None
    batch, inputs, outputs = layer.output[0], layer.input_shapes[0][1:], layer.output[1:]
    biased = len(layer.figures.facts.weights) > 1
    biases = product(outputs) if biased else 0
    # Every multiplication of a sample has a weight of its own.
    one = layer.macs if isinstance(batch, int) and batch == 1 else layer.macs // batch
    transposed = name.startswith("ConvTranspose")
    return Sharing(
        layer.params,
        one + biases,
        product(inputs) * product(outputs) + biases,
        product((inputs if transposed else outputs)[1:]),
    )


# ---------------------------------------------------------------------------- totals


def _totals(summary: Summary) -> list[Rule]:
    """Parameters, buffers and MACs as sums over the layers, equal terms together."""
    main = [layer for layer in summary.layers if not layer.aux]
    rules = []
    for figure in ("params", "buffers", "macs"):
        counts: dict[str, tuple[Size, int]] = {}
        for layer in main:
            size = getattr(layer, figure)  # in named sizes, as the total
            if not (isinstance(size, int) and size == 0):
                known, count = counts.get(str(size), (size, 0))
                counts[str(size)] = (known, count + 1)
        total = getattr(summary.totals, figure)
        if not counts:
            continue
        values: dict[str, Any] = {}
        terms = []
        for number, (size, count) in enumerate(counts.values(), 1):
            values[f"t{number}"] = size
            terms.append(f"{count}·{{t{number}}}" if count > 1 else f"{{t{number}}}")
        layers = sum(count for _, count in counts.values())
        note = f"{layers} layers, equal ones together" if len(counts) < layers else ""
        rules.append(Rule(figure, " + ".join(terms), values, total, note))
    return rules


__all__ = ["Derivation", "Explained", "Rule", "Sharing", "derive", "explain", "sharing"]
