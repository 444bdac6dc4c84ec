"""Random networks, built from the registry of layers.

A network is drawn step by step: single layers, residuals, branches that are added, concatenated or
multiplied, gates, splits, heads, and attention on tokens. Arguments are drawn from what each op
declares of them (so a new layer takes part by itself), without looking whether they fit. Where the
design refuses one, the network ends: that layer is its `refused`.

    networks()                    a hypothesis strategy, which shrinks
    random_network(Random(7))     one network from a seed
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies

from convcalc.errors import LayerError
from convcalc.graph import Graph, GraphBuilder, Value
from convcalc.ops import REGISTRY
from convcalc.ops.arguments import (
    Argument,
    Axis,
    Choice,
    Count,
    Flag,
    Lengths,
    Like,
    Real,
    Scale,
    Sizes,
)
from convcalc.ops.base import Op
from convcalc.ops.classic import ConnectionTable
from tests.ops.harness import make

Shape = tuple[int, ...]

#: Beyond these a layer is not taken into a network, so that one runs in milliseconds.
MOST_ELEMENTS = 20_000
MOST_PARAMS = 200_000
MOST_MACS = 3_000_000
MOST_TOKENS = 150

#: Arguments that make a layer no layer (a second output), or that every case leaves alone.
LEFT_ALONE = {"return_indices"}

CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16)
FAVOURED = ("Conv", "MaxPool", "AvgPool", "ConvTranspose", "BatchNorm")
#: Small numbers by the argument's name: what is usual, and a little beyond.
NUMBERS: dict[str, tuple[int, ...]] = {
    "kernel_size": (1, 2, 3, 3, 3, 4, 5, 7),
    "stride": (1, 1, 2, 2, 3, 4),
    "padding": (0, 0, 1, 1, 2, 3),
    "output_padding": (0, 0, 0, 1, 2),
    "dilation": (1, 1, 2, 3),
    "output_size": (1, 1, 2, 3, 7),
    "window_size": (1, 2, 2, 3, 4),
    "shift_size": (0, 1, 1, 2),
    "out_channels": CHANNELS,
    "out_features": (1, 2, 5, 10, 12, 16),
    "num_heads": (1, 2, 3),
    "start": (0, 0, 1, 2),
    "index": (0, 0, 1, 5),
    "size": (1, 2, 3, 5),
}
#: Where they divide the channels, or equal them.
OF_CHANNELS = {"groups", "num_groups", "num_parameters", "num_heads", "head_dim"}


class Layer(NamedTuple):
    """One layer as it was drawn.

    text: its arguments, as a design has them. inputs: which values flow in, counted as in `values`.
    """

    name: str
    text: str
    inputs: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}({self.text}) on {', '.join(map(str, self.inputs))}"


class Refused(NamedTuple):
    """The layer at which the design ends.

    op: None where its arguments alone are refused. shapes: of what flows in.
    stage: "arguments", "structure" (GraphBuilder.add refuses it) or "sizes" (flow does).
    """

    layer: Layer
    op: Op | None
    shapes: tuple[Shape, ...]
    layouts: tuple[str, ...]
    stage: str
    message: str


class RandomNetwork:
    """A network and how it was drawn.

    layers: those that are taken, in the order of the graph. shapes: of every value, the inputs
    first. graph: of the taken layers, and with stage "sizes" of the refused one too.
    """

    def __init__(
        self,
        graph: Graph,
        batch: int,
        layers: list[Layer],
        shapes: list[Shape],
        refused: Refused | None,
    ) -> None:
        self.graph = graph
        self.batch = batch
        self.layers = layers
        self.shapes = shapes
        self.refused = refused

    def __repr__(self) -> str:
        inputs = len(self.graph.inputs)
        rows = [f"  {i}: {self.shapes[i]}" for i in range(inputs)]
        rows += [
            f"  {i}: {layer} -> {self.shapes[i]}" for i, layer in enumerate(self.layers, inputs)
        ]
        if self.refused:
            rows.append(f"  refused: {self.refused.layer}: {self.refused.message}")
        return "\n".join(["RandomNetwork", *rows])


class _End(Exception):
    """The network is finished: a layer was refused."""


class _Artist:
    """Draws one network."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.builder = GraphBuilder("random")
        self.layers: list[Layer] = []
        self.values: list[Value] = []
        self.shapes: list[Shape] = []
        self.refused: Refused | None = None
        self.batch = random.choice((1, 1, 2, 3))

    # ------------------------------------------------------------------ one network

    def network(self) -> RandomNetwork:
        at = self._input()
        try:
            for _ in range(self.random.randint(1, 8)):
                at = self._part(at)
        except _End:
            at = len(self.shapes) - 1
        outputs = {"output": self.values[-1 if at >= len(self.values) else at]}
        aux = {}
        if self.random.random() < 0.2 and len(self.values) > 2:
            aux["aux"] = self.values[self.random.randrange(1, len(self.values))]
            if aux["aux"].node is outputs["output"].node:
                aux = {}
        graph = self.builder.finish(outputs, aux)
        return RandomNetwork(graph, self.batch, self.layers, self.shapes, self.refused)

    def _input(self) -> int:
        spatial = self.random.choice((1, 2, 2, 2, 3))
        most = {1: 40, 2: 20, 3: 9}[spatial]
        sizes = tuple(self.random.randint(1, most) for _ in range(spatial))
        shape = (self.random.choice(CHANNELS), *sizes)
        self.values.append(self.builder.input("input", shape))
        self.shapes.append((self.batch, *shape))
        return 0

    def _part(self, at: int) -> int:
        """Some layers more, after the value `at`; gives where they end."""
        rank, layout = len(self.shapes[at]), self.values[at].layout
        parts = [self._any_layer] * 6 + [self._residual, self._branches, self._sized_like]
        if layout == "channels" and 3 <= rank <= 5:
            parts += [self._gate, self._split, self._head, self._attention]
        part = self.random.choice(parts)
        if part in (self._any_layer, self._head, self._attention, self._sized_like):
            return part(at)
        self.builder.push("block", part.__name__.strip("_").title())
        end = part(at)
        self.builder.pop()
        return end

    # ------------------------------------------------------------------ parts

    def _any_layer(self, at: int) -> int:
        return self._layer(self._choose(at), at)

    def _residual(self, at: int) -> int:
        """The value added to what a few layers make of it, which mostly keep its shape."""
        end = at
        for _ in range(self.random.randint(1, 3)):
            end = self._shape_keeping(end, at) if self.random.random() < 0.9 else self._part(end)
        return self._layer("Add", end, at)

    def _branches(self, at: int) -> int:
        ends = []
        join = self.random.choice(("Add", "Concat", "Concat", "Mul"))
        for _ in range(self.random.randint(2, 3)):
            if self.random.random() < 0.9:
                ends.append(self._shape_keeping(at, at if join != "Concat" else None))
            else:
                ends.append(self._any_layer(at))
        text = "" if join != "Concat" or self.random.random() < 0.8 else None
        return self._layer(join, *ends, text=text)

    def _sized_like(self, at: int) -> int:
        """A layer that takes its size from an earlier value."""
        rank, layout = len(self.shapes[at]), self.values[at].layout
        names = [n for n, op in REGISTRY.items() if op.takes_likes]
        if self.random.random() < 0.95:
            fits = {
                "CenterCrop": rank > 2,
                "MaxUnpool2d": rank == 4,
                "TokensToImage": False,
                "Upsample": rank > 2,
            }
            names = [n for n in names if fits.get(n, True) and layout == "channels"] or ["Identity"]
        name = self.random.choice(names)
        if not REGISTRY[name].takes_likes:
            return self._layer(name, at)
        if name == "MaxUnpool2d" and rank == 4:
            kernel = self.random.choice(("2", "3, stride=2", "(2, 1)", "3, padding=1"))
            return self._layer(name, self._layer("MaxPool2d", at, text=kernel), at, text=kernel)
        same = [i for i, shape in enumerate(self.shapes) if len(shape) == rank]
        text = None
        if name == "Upsample":
            smooth = {3: "linear", 4: "bilinear", 5: "trilinear"}.get(rank, "nearest")
            mode = self.random.choice(("nearest", "nearest_exact", "area", smooth))
            text = f"mode={mode}, like=true"
        return self._layer(name, at, self.random.choice(same), text=text)

    def _gate(self, at: int) -> int:
        """Squeeze and excitation."""
        spatial, channels = len(self.shapes[at]) - 2, self.shapes[at][1]
        squeezed = self._layer(f"AdaptiveAvgPool{spatial}d", at, text="1")
        squeezed = self._layer(f"Conv{spatial}d", squeezed, text=f"{channels}, 1")
        squeezed = self._layer(self.random.choice(("Sigmoid", "Hardsigmoid")), squeezed)
        order = (at, squeezed) if self.random.random() < 0.5 else (squeezed, at)
        return self._layer("Mul", *order)

    def _split(self, at: int) -> int:
        """The channels in two shares, mostly all of them, and together again."""
        channels = self.shapes[at][1]
        first = self.random.randint(1, max(1, channels - 1))
        rest = max(1, channels - first + self.random.choice((0, 0, 0, 0, 0, 0, 0, 1, -1)))
        one = self._layer("Split", at, text=f"0, {first}")
        other = self._layer("Split", at, text=f"{first}, {rest}")
        return self._layer("Concat", self._shape_keeping(one, None), other, text="")

    def _head(self, at: int) -> int:
        at = self._layer("Flatten", at, text="" if self.random.random() < 0.8 else None)
        for _ in range(self.random.randint(1, 2)):
            at = self._layer(self.random.choice(("ReLU", "Dropout", "BatchNorm1d")), at)
            at = self._layer("Linear", at)
        return at

    def _attention(self, at: int) -> int:
        """A block of a vision transformer, and back to maps or to features."""
        image = at
        at = self._layer("Tokens", at)
        if self.random.random() < 0.4:
            at = self._layer("ClassToken", at)
        if self.random.random() < 0.4:
            at = self._layer("PositionEmbedding", at)
        inner = self._layer("LayerNorm", at)
        at = self._layer("Add", self._layer("MultiheadAttention", inner), at)
        width = self.shapes[at][2]
        hidden = self._layer(self.random.choice(("GELU", "SiLU")), self._layer("Linear", at))
        at = self._layer("Add", self._layer("Linear", hidden, text=str(width)), at)
        end = self.random.choice(("TokensToImage", "TakeToken", "MeanTokens", "LayerNorm"))
        return self._layer(end, at, image) if end == "TokensToImage" else self._layer(end, at)

    def _shape_keeping(self, at: int, like: int | None) -> int:
        """A layer that keeps the spatial sizes; with `like` it gives as many channels as that."""
        shape, layout = self.shapes[at], self.values[at].layout
        if layout == "tokens" or not 3 <= len(shape) <= 5:
            width = shape[-1] if like is None else self.shapes[like][-1]
            return self._layer("Linear", at, text=str(width))
        spatial = len(shape) - 2
        channels = self.random.choice(CHANNELS) if like is None else self.shapes[like][1]
        kind = self.random.randrange(4)
        if kind == 0 and channels == shape[1]:
            padding = self.random.choice((1, 1, 0))
            return self._layer(f"MaxPool{spatial}d", at, text=f"3, 1, padding={padding}")
        if kind == 1:
            return self._layer(f"Conv{spatial}d", at, text=f"{channels}, 3, padding=1")
        kernel = self.random.choice((1, 2, 3, 4, 5))
        dilation = self.random.choice((1, 1, 2))
        text = f"{channels}, {kernel}, padding=same, dilation={dilation}"
        return self._layer(f"Conv{spatial}d", at, text=text)

    # ------------------------------------------------------------------ one layer

    def _layer(self, name: str, *inputs: int, text: str | None = None) -> int:
        """One layer more; the value itself where the layer would be too large."""
        shapes = tuple(self.shapes[i] for i in inputs)
        layouts = tuple(self.values[i].layout for i in inputs)
        if text is None:
            text = self._arguments(name, shapes[0], layouts[0])
        layer = Layer(name, text, inputs)
        op = None
        stage = "arguments"
        try:
            op = make(name, text)
            stage = "structure"
            if self._too_large(op, shapes):
                return inputs[0]
            value = self.builder.add(op, *(self.values[i] for i in inputs))
        except LayerError as error:
            self.refused = Refused(layer, op, shapes, layouts, stage, str(error))
            raise _End from None
        failed = [c for c in op.conditions(*shapes) if c.holds() is False]
        if failed:
            self.refused = Refused(layer, op, shapes, layouts, "sizes", str(failed[0]))
            self.values.append(value)
            raise _End
        self.layers.append(layer)
        self.values.append(value)
        self.shapes.append(tuple(op.output(*shapes)))
        return len(self.shapes) - 1

    @staticmethod
    def _too_large(op: Op, shapes: tuple[Shape, ...]) -> bool:
        """Whether a layer that is taken would take long to run."""
        op.check(*shapes)
        if any(condition.holds() is False for condition in op.conditions(*shapes)):
            return False
        out = op.output(*shapes)
        tokens = shapes[0][1] if op.name() == "MultiheadAttention" else 0
        return (
            math.prod(out) > MOST_ELEMENTS
            or op.macs(out, *shapes) > MOST_MACS
            or sum(t.elements for t in op.weights(*shapes)) > MOST_PARAMS
            or tokens > MOST_TOKENS
        )

    def _choose(self, at: int) -> str:
        """A layer, mostly one that takes values of that rank."""
        spatial, layout = len(self.shapes[at]) - 2, self.values[at].layout
        fits = [
            name
            for name, op in REGISTRY.items()
            if op.inputs == 1
            and op.spatial in (None, spatial)
            and (op.layout in ("any", layout) or (op.layout == "features" and spatial < 1))
            and (name != "BatchNorm1d" or spatial < 2)
        ]
        if self.random.random() < 0.03:
            fits = [name for name, op in REGISTRY.items() if op.inputs == 1]
        favoured = [name for name in fits if name.startswith(FAVOURED)]
        return self.random.choice(favoured if favoured and self.random.random() < 0.5 else fits)

    # ------------------------------------------------------------------ arguments

    def _arguments(self, name: str, shape: Shape, layout: str) -> str:
        """Required arguments by position, some of the others by name."""
        op = REGISTRY[name]
        channels = shape[-1] if layout == "tokens" else shape[1]
        texts = []
        for argument in op.arguments:
            if argument.name in LEFT_ALONE or isinstance(argument, Like):
                continue
            if argument.required:
                texts.append(self._value(argument, op, shape, channels))
            elif self.random.random() < 0.3:
                value = self._value(argument, op, shape, channels)
                texts.append(f"{argument.name}={value}")
        return ", ".join(texts)

    def _value(self, argument: Argument, op: type[Op], shape: Shape, channels: int) -> str:
        pick = self.random.choice
        axes = op.spatial or max(len(shape) - 2, 1)
        if isinstance(argument, Flag):
            # torch.nn's default of align_corners is None: a false that is given is no default there
            return "true" if argument.name == "align_corners" else pick(("true", "false"))
        if isinstance(argument, Choice):
            return pick(argument.words)
        if isinstance(argument, Real):
            usual = (-1.5, 0, 0.1, 0.5, 1, 2)
            return str(pick([x for x in usual if argument.low <= x <= argument.high]))
        if isinstance(argument, Axis):
            return str(pick((1, 1, 2, 3, -1, -1, -2, 4)))
        if isinstance(argument, Scale):
            factors = ("2", "2", "3", "1/2", "3/2", "0.7", "1.5")
            return pick(factors) if self.random.random() < 0.8 else self._each(factors, axes)
        if isinstance(argument, Lengths):
            return self._lengths(argument, shape, axes)
        if isinstance(argument, ConnectionTable):
            rows = [
                sorted({self.random.randrange(channels + 1) for _ in range(pick((1, 2, 3)))})
                for _ in range(pick((1, 2, 5)))
            ]
            rows[0] = sorted({*rows[0], channels - 1})
            return str(rows)
        if isinstance(argument, Sizes):
            return self._sizes(argument, axes)
        assert isinstance(argument, Count), f"no way to draw {argument.name} of {op.__name__}"
        return str(self._count(argument, channels))

    def _count(self, argument: Count, channels: int) -> int:
        if argument.name in OF_CHANNELS and self.random.random() < 0.8:
            return self.random.choice([d for d in range(1, channels + 1) if channels % d == 0])
        numbers = NUMBERS.get(argument.name, (1, 2, 2, 3, 4))
        return max(argument.minimum, self.random.choice(numbers))

    def _sizes(self, argument: Sizes, axes: int) -> str:
        if argument.words and self.random.random() < 0.3:
            return self.random.choice(argument.words)
        numbers = [*NUMBERS.get(argument.name, (1, 2, 3))]
        if argument.minimum is None:
            numbers += [-1, -1]
        else:
            numbers = [max(argument.minimum, n) for n in numbers]
        if self.random.random() < 0.7:
            return str(self.random.choice(numbers))
        entries = [*map(str, numbers), *(["none"] * 2 if argument.holes else [])]
        return self._each(entries, axes * argument.sides)

    def _lengths(self, argument: Lengths, shape: Shape, axes: int) -> str:
        if argument.rest:  # Unflatten: what divides the channels, mostly
            share = self.random.choice([d for d in range(1, shape[1] + 1) if shape[1] % d == 0])
            return self.random.choice((f"[{share}, -1]", f"[-1, {share}, 1]", "[2, 3]"))
        if argument.single and self.random.random() < 0.6:
            return str(self.random.choice((1, 4, 7, 10)))
        return f"[{self._each(('1', '3', '8'), axes)[1:-1]}]"

    def _each(self, entries: Any, many: int) -> str:
        return f"({', '.join(self.random.choice(list(entries)) for _ in range(many))})"


def random_network(random: Random) -> RandomNetwork:
    """One network; the same for the same state of `random`."""
    return _Artist(random).network()


def networks() -> strategies.SearchStrategy[RandomNetwork]:
    """Random networks for hypothesis, which shrinks what they are drawn from."""
    return strategies.randoms(use_true_random=False).map(random_network)
