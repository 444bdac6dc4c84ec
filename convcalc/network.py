"""A design as a program uses it: load it, ask it for figures and formulas, build it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from convcalc import zoo
from convcalc.analysis.summary import Summary
from convcalc.errors import ConvcalcError, DesignError, Problem, closest
from convcalc.graph import check_batch, flow
from convcalc.integers import symbol
from convcalc.language import Document, load_document
from convcalc.ops.base import LETTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from convcalc.analysis.diff import Diff
    from convcalc.analysis.equivariance import Equivariance
    from convcalc.analysis.explain import Explained
    from convcalc.analysis.figures import Figure, LayerFigure
    from convcalc.analysis.fit import Fit
    from convcalc.analysis.memory import Memory
    from convcalc.graph import Flow, Graph
    from convcalc.integers import Formula, Names, Size
    from convcalc.language.document import Override
    from convcalc.pytorch.module import Network as Module

    #: One sample's shape, channels first, without the batch: (3, 224, 224), (3, "H", "W").
    InputShape = Sequence[int | str]
    Inputs = InputShape | Mapping[str, InputShape]

_BATCH = "N"


class Network:
    """One design, in one of its variants, with its vars set. Made by `load`.

    name, cite, file: of the design. variant: the one that was chosen, None where it has none.
    variants: the names of all. frozen: the words that were given to `freeze`.
    """

    def __init__(
        self,
        document: Document,
        variant: str | None,
        values: Mapping[str, Override],
        frozen: Sequence[str] = (),
    ) -> None:
        self.document = document
        self.variant = document.default if variant is None else variant
        self.values = dict(values)
        self.frozen = tuple(frozen)
        self._graph: Graph | None = None

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def cite(self) -> str:
        return self.document.cite

    @property
    def file(self) -> str:
        return self.document.file

    @property
    def variants(self) -> tuple[str, ...]:
        return self.document.variants

    @property
    def graph(self) -> Graph:
        """The layers and how they hang together, at the design's own input.

        Raises DesignError where the design cannot be built.
        """
        if self._graph is None:
            self._graph = self._build(None)
        return self._graph

    def _build(self, input: Inputs | None, values: Mapping[str, Override] | None = None) -> Graph:
        given = self.values if values is None else values
        graph = self.document.build(self.variant, given, input)
        if self.frozen:
            from convcalc.language.freezing import freeze

            for word in self.frozen:
                freeze(graph, word)
        return graph

    def flow(
        self, input: Inputs | None = None, batch: Size = 1, symbolic: bool | Iterable[str] = False
    ) -> Flow:
        """The shape of every value and the facts of every layer; arguments as `summary`."""
        graph = self._opened_graph(input, symbolic)
        if symbolic is False:
            return flow(graph, batch=batch)
        return self._symbolic_flow(graph, input)

    def _opened_graph(self, input: Inputs | None, symbolic: bool | Iterable[str]) -> Graph:
        """The graph, with the vars named left open."""
        if isinstance(symbolic, bool):
            return self.graph if input is None else self._build(input)
        values = self.document.opened(symbolic, self.variant, self.values)
        return self._build(input, values)

    @staticmethod
    def _symbolic_flow(graph: Graph, input: Inputs | None, names: Names | None = None) -> Flow:
        """With batch and spatial sizes open, but those of inputs that are given."""
        if input is None:
            given: Iterable[str] = ()
        else:
            given = input if isinstance(input, Mapping) else graph.inputs
        opened = {
            name: _opened(name, entries, graph)
            for name, entries in graph.inputs.items()
            if name not in given
        }
        return flow(graph, opened, batch=symbol(_BATCH), names=names)

    def freeze(self, *words: str) -> Network:
        """The same network with layers frozen: their parameters do not train.

        words: "layers.0-5" (of the top level, from 0), paths or their starts ("Bottleneck[0-2]"),
            several with commas; besides those that the design freezes. "none" thaws all before it.

        Figures and `to_torch` are then those of the frozen network. What names no layer raises
        LayerError as soon as the network is built.
        """
        from convcalc.language.freezing import split

        more = [word for text in words for word, _ in split(text)]
        return Network(self.document, self.variant, self.values, (*self.frozen, *more))

    def summary(
        self,
        input: Inputs | None = None,
        batch: int = 1,
        dtype: str = "float32",
        *,
        symbolic: bool | Iterable[str] = False,
        device: str = "cpu",
        optimizer: str = "none",
        foreach: bool | None = None,
        weight_decay: bool = False,
    ) -> Summary:
        """Every layer's figures and the totals.

        input: the shape of one sample without the batch, or a dict of them by name; None: the
            design's own. A name in capitals leaves a size open: (3, "H", "W").
        batch: how many samples; MACs and bytes are of all of them.
        dtype: "float32", "float64", "float16" or "bfloat16", for the bytes.
        symbolic: leave batch (N) and spatial sizes (H and W; L; D, H and W) open, all but those of
            inputs that are given. Figures are then ints where they do not depend on them, and
            formulas (`convcalc.integers.Formula`) where they do. Names of vars are left open
            besides, each a whole number of at least 1: symbolic=["classes"].
        device: "cpu" or "cuda": whose kernels' memory is told.
        optimizer: of the step whose peak is told: "none", "sgd", "momentum" (SGD with it), "adam",
            "adamw". foreach: it steps through lists of tensors; None: as PyTorch does, on a GPU.
            weight_decay: it is not 0.

        Raises DesignError where the design is wrong, or does not accept the input; or where a var
        cannot be left open, because it decides the structure or is no such number.
        """
        check_batch(batch)
        sizes = self.flow(input, batch, symbolic)
        return Summary(
            sizes,
            dtype,
            file=self.file,
            variant=self.variant,
            device=device,
            optimizer=optimizer,
            foreach=foreach,
            weight_decay=weight_decay,
        )

    def memory(
        self,
        input: Inputs | None = None,
        batch: int = 1,
        dtype: str = "float32",
        *,
        symbolic: bool = False,
        device: str = "cpu",
    ) -> Memory:
        """Memory to the byte: of each layer, in sums, and over a pass; arguments as `summary`.

        net.memory(batch=8).saved                       # kept for backward
        net.memory().inference().peak                   # most that lives at once, and .path: where
        net.memory().training("adam").moments           # a timeline
        net.freeze("layers.0-5").memory().gradients     # of the rest
        """
        return self.summary(input, batch, dtype, symbolic=symbolic, device=device).memory

    def formula(
        self,
        figure: Figure | LayerFigure = "macs",
        path: str | None = None,
        *,
        input: Inputs | None = None,
        dtype: str = "float32",
        vars: Iterable[str] = (),
    ) -> Formula | int:
        """A figure of the network, or of the layer at `path`, in N, H and W and the vars named.

        An int where it depends on none of them. `convcalc.evaluate(formula, {"N": 8, "H": 224, …})`
        gives its value; names in it like h1 stand for sizes inside the network, and
        `convcalc.definitions(formula)` tells which.

        Raises ConvcalcError for a figure or path that there is not, and for memory that no formula
        tells.
        """
        from convcalc.analysis.figures import FIGURES, LAYER_FIGURES

        summary = self.summary(input, dtype=dtype, symbolic=tuple(vars) or True)
        source: Any = summary.totals if path is None else summary.layer(path)
        known = FIGURES if path is None else LAYER_FIGURES
        if figure not in known:
            raise ConvcalcError(f"no figure {figure!r}; the figures are {', '.join(known)}")
        result: Formula | int | None = getattr(source, figure)
        if result is None:
            raise ConvcalcError(
                f"no formula of memory holds for every size: {summary.no_memory_formula}"
            )
        return result

    def explain(
        self,
        path: str | None = None,
        input: Inputs | None = None,
        batch: int = 1,
        dtype: str = "float32",
        *,
        symbolic: bool | Iterable[str] = False,
    ) -> Explained:
        """How every figure comes about: each layer's rules with their numbers, and the totals.

        path: of one layer or block, to have that alone. The others as in `summary`.

        Raises DesignError where the design is wrong; ConvcalcError for a path that there is not.
        """
        from convcalc.analysis.explain import explain

        return explain(self.summary(input, batch, dtype, symbolic=symbolic), path)

    def fit(self, input: Inputs | None = None, batch: int = 1, *, aux: bool = False) -> Fit:
        """Which input sizes fit: congruences, the smallest valid size, and more to ask of a `Fit`.

        input: as in `summary`; the sizes it leaves open are asked about, those it gives are fixed.
            None: all spatial sizes (H and W; L; D, H and W).
        batch: how many samples budgets count, and the few layers that ask for several are given.
        aux: with the layers that serve training-only outputs.

        Raises DesignError where the design is wrong.
        """
        from convcalc.analysis.fit import fit

        check_batch(batch)
        return fit(self.flow(input, symbolic=True), batch=batch, aux=aux)

    def equivariance(self, input: Inputs | None = None, *, symbolic: bool = False) -> Equivariance:
        """By which shifts of the input each layer moves along, and where padding has a part.

        input: as in `summary`. symbolic: with spatial sizes open; shifts are the same, and borders
            are not told.

        net.equivariance().features                     # the last layers that follow shifts
        net.equivariance().layer("MaxPool2d[4]")        # {"input": (Shift, Shift)}

        `convcalc.check(..., deep=True)` measures it. Raises DesignError where the design is wrong,
        or does not accept the input.
        """
        from convcalc.analysis.equivariance import equivariance

        return equivariance(self.flow(input, symbolic=symbolic))

    def to_torch(
        self,
        *,
        input: Inputs | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        initialise: bool = True,
    ) -> Module:
        """The network as a torch.nn.Module, initialised as PyTorch does.

        Its submodules stand in a tree along the layers' paths. `forward` takes the inputs in the
        design's order and returns the output, or a dict by name where there are several; in
        training mode aux outputs are in the dict too.

        input: as in `summary`; it matters where weights depend on the size, as behind a Flatten.
        initialise: False fills the weights with zeros, in no time.

        Raises TorchMissing where torch is not installed, DesignError where the design is wrong.
        """
        from convcalc.pytorch import to_module

        return to_module(self.flow(input), device=device, dtype=dtype, initialise=initialise)

    def __repr__(self) -> str:
        variant = f", {self.variant}" if self.variant else ""
        return f"Network({self.name!r}{variant})"


def _opened(name: str, entries: Sequence[int | str], graph: Graph) -> list[Size]:
    """An input's shape with its spatial sizes open; equal sizes of several inputs stay equal."""
    letters = LETTERS.get(len(entries) - 1, ())
    first = next(iter(graph.inputs.values()))
    names = [entry if isinstance(entry, str) else "" for entry in entries]
    for axis, letter in enumerate(letters, 1):
        if not names[axis]:
            same = len(first) == len(entries) and first[axis] == entries[axis]
            names[axis] = letter if same else f"{letter}_{name.upper()}"
    sizes: list[Size] = []
    for name, entry in zip(names, entries, strict=True):
        sizes.append(symbol(name) if name or isinstance(entry, str) else entry)
    return sizes


def find(source: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The path of a design: the path itself, or of the network of that name in the zoo.

    Raises DesignError where there is neither.
    """
    if not isinstance(source, str) or os.path.exists(source):
        return source
    known = zoo.path(source)
    if known is not None:
        return known
    if os.path.basename(source) != source:
        return source  # a path: reading it tells what is wrong
    names = zoo.names()
    near = closest(source.removesuffix(zoo.SUFFIX), names)
    help = f"did you mean {near!r}?" if near else None
    variant = _variant_of_zoo(source)
    if variant is not None:
        help = f"it is a variant of the network {variant!r}: add --variant {source}"
    message = f"there is no file {source!r}, and no network of that name"
    raise DesignError([Problem(message, help=help or "`convcalc list` shows the networks")])


def _variant_of_zoo(name: str) -> str | None:
    """The network of the zoo that has a variant of that name."""
    if not name.isidentifier():
        return None
    for network in zoo.names():
        path = zoo.path(network)
        if path is not None and name in load_document(path).variants:
            return network
    return None


def load(source: str | os.PathLike[str], variant: str | None = None, **values: Override) -> Network:
    """Read a design.

    source: the path of a YAML file; the name of a network of the zoo ("vgg16", "resnet"); or, where
        the text has a line break in it, the design itself.
    variant: one of the design's variants; None: its default one.
    values: for its vars and open sizes, as Python values or as the language writes them:
        `load("resnet", depths=[2, 2, 2, 2], block="Basic")`.

    Raises DesignError, which holds every fault found, each with its place. What only shows when the
    network is unrolled (unequal shapes, a value that does not suit) is raised by what is asked of
    the Network.
    """
    return Network(read(source), variant, values)


def fit(
    source: str | os.PathLike[str],
    variant: str | None = None,
    *,
    input: Inputs | None = None,
    batch: int = 1,
    aux: bool = False,
    **values: Override,
) -> Fit:
    """Which input sizes fit a design: `load(source, variant, **values).fit(input, batch, aux=aux)`.

    fit("vgg16").square.exact.congruence               # (32, (0,)): multiples of 32
    fit("vgg16").square.smallest                       # 32
    fit("vgg16").sizes_for(7).sizes["H"].solutions.up_to(1000)   # [(224, 255)]
    """
    return load(source, variant, **values).fit(input, batch, aux=aux)


def diff(
    before: Network | str | os.PathLike[str],
    after: Network | str | os.PathLike[str],
    *,
    input: Inputs | None = None,
    batch: int = 1,
    dtype: str = "float32",
    symbolic: bool | Iterable[str] = False,
) -> Diff:
    """What changed from one design to another: layers added, removed and changed, with figures.

    before, after: networks, or what `load` takes. The other arguments are those of
    `Network.summary`, for both; vars to leave open may be of one design alone. With symbolic, sizes
    bear the same names in both, and differences are formulas:

        old, new = convcalc.load("resnet", "resnet50"), convcalc.load("resnet", "resnet101")
        convcalc.diff(old, new, symbolic=True).difference("macs")    # 18939904*N*h4*w4

    Raises DesignError with what is wrong in either design.
    """
    from convcalc.analysis.diff import Diff

    networks = _each(lambda s: s if isinstance(s, Network) else load(s), (before, after))
    wanted: bool | tuple[str, ...] = symbolic if isinstance(symbolic, bool) else tuple(symbolic)
    if wanted is False:
        return Diff(*_each(lambda network: network.summary(input, batch, dtype), networks))
    graphs = _each(lambda n: n._opened_graph(input, _known(n, wanted, networks)), networks)
    from convcalc.integers import Names

    names = Names(
        tuple(dict.fromkeys(name for graph in graphs for name in graph.free)),
        unnamed=tuple(dict.fromkeys(name for graph in graphs for name in graph.open_vars)),
    )
    pairs = list(zip(networks, graphs, strict=True))
    summaries = _each(
        lambda pair: Summary(
            pair[0]._symbolic_flow(pair[1], input, names),
            dtype,
            file=pair[0].file,
            variant=pair[0].variant,
        ),
        pairs,
    )
    return Diff(*summaries)


def _known(
    network: Network, names: bool | tuple[str, ...], networks: Sequence[Network]
) -> bool | tuple[str, ...]:
    """Of the vars to leave open those that this design has; what no design has is an error."""
    if isinstance(names, bool):
        return names
    others = [name for n in networks if n is not network for name in n.document.vars]
    return tuple(n for n in names if n in network.document.vars or n not in others)


def _each(step: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
    """The step done with each; the faults of all are told together."""
    done = []
    problems: list[Problem] = []
    for thing in things:
        try:
            done.append(step(thing))
        except DesignError as error:
            told = set(map(str, problems))  # both may be one design
            problems += [problem for problem in error.problems if str(problem) not in told]
    if problems:
        raise DesignError(problems)
    return done


def read(source: str | os.PathLike[str]) -> Document:
    """The design that a source names, as `load` takes one. Raises DesignError."""
    if isinstance(source, str) and "\n" in source:
        return load_document(source)
    return load_document(find(source))


def networks(
    document: Document, variant: str | None = None, values: Mapping[str, Override] | None = None
) -> Iterator[Network]:
    """Every variant of a design, or the one named; the design itself where it has none."""
    names = [variant] if variant is not None or not document.variants else [*document.variants]
    for name in names:
        yield Network(document, name, values or {})


__all__ = ["Network", "diff", "find", "fit", "load", "networks", "read"]
