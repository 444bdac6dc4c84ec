"""Prove a design: what it says of itself, what is computed, what PyTorch measures."""

from __future__ import annotations

import os

from convcalc import zoo
from convcalc.errors import ConvcalcError, DesignError, Problem
from convcalc.graph import flow
from convcalc.network import Network, networks, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypedDict, Unpack

    from convcalc.analysis.expectations import Claimed
    from convcalc.analysis.summary import Summary
    from convcalc.language import Document
    from convcalc.language.document import Override
    from convcalc.network import Inputs
    from convcalc.pytorch import Comparison, Report

    class How(TypedDict, total=False):
        """The arguments of `check_network`."""

        input: Inputs | None
        batch: int
        dtype: str
        device: str
        run: bool
        deep: bool


_SUFFIXES = (".yaml", ".yml")
#: Sizes at which a design that leaves its own open is run: the first that every layer accepts.
TRIALS = (32, 64, 96, 128, 224, 256, 299, 512, 1024, 16_000)


class Check:
    """The outcome of checking one network.

    claims: what the design says of itself (`expect`, `budget`) beside what comes out.
    report: what PyTorch measured beside every computed figure; None where it was not run.
    summary: the figures, at the batch and input that were run.
    ok: whether all of it agrees.
    """

    __slots__ = ("claims", "network", "report", "summary")

    def __init__(
        self, network: Network, summary: Summary, claims: Sequence[Claimed], report: Report | None
    ) -> None:
        self.network = network
        self.summary = summary
        self.claims = tuple(claims)
        self.report = report

    @property
    def ok(self) -> bool:
        return not self.failed_claims and (self.report is None or self.report.ok)

    @property
    def failed_claims(self) -> list[Claimed]:
        return [claim for claim in self.claims if not claim.ok]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Computed beside measured, for each layer and the network; empty where it was not run."""
        return self.report.comparisons if self.report else ()

    def __repr__(self) -> str:
        return f"Check({self.network!r}, {'ok' if self.ok else 'failed'})"


class Broken:
    """A network that could not be checked, because the design is wrong.

    file: as it was named. variant: None where the file as a whole is wrong.
    """

    __slots__ = ("file", "problems", "variant")

    def __init__(self, file: str, variant: str | None, problems: Sequence[Problem]) -> None:
        self.file = file
        self.variant = variant
        self.problems = tuple(problems)

    def __repr__(self) -> str:
        return f"Broken({self.file!r}, {len(self.problems)} problems)"


def check_network(
    network: Network,
    *,
    input: Inputs | None = None,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "auto",
    run: bool = True,
    deep: bool = False,
) -> Check:
    """Compare what a network is said to be, what is computed, and what PyTorch measures.

    Claims are compared at the design's own input and one sample; the run is at `input` and `batch`.
    Sizes that the design leaves open are given for the run where `input` does not: `trial_input`.
    Where vars were set to other values the network is another one than its `expect` is about: this
    is then left aside, its `budget` is not. Arguments and errors as `check`.
    """
    from convcalc.analysis.expectations import compare

    own = network.summary()
    document = network.document
    expect = [] if network.values else document.expect(network.variant)
    claims = compare(own, expect, document.budget(network.variant), steps=not network.values)
    summary = own
    if run and input is None and network.graph.free:
        input = trial_input(network)
    if input is not None or batch != 1 or dtype != own.dtype:
        summary = network.summary(input, batch, dtype)
    report = None
    if run:
        from convcalc.pytorch import check_graph

        report = check_graph(
            summary.graph, flow=summary.flow, device=device, dtype=dtype, deep=deep
        )
    return Check(network, summary, claims, report)


def trial_input(network: Network) -> dict[str, tuple[int, ...]]:
    """An input to run a design at that leaves sizes open: the first of a few that it accepts.

    Every open size is the same number. Raises DesignError where no trial fits.
    """
    graph = network.graph
    for last, size in enumerate(TRIALS, 1 - len(TRIALS)):
        shapes = {
            name: tuple(size if isinstance(entry, str) else entry for entry in shape)
            for name, shape in graph.inputs.items()
        }
        try:
            flow(graph, shapes)
        except DesignError:
            if last == 0:
                raise
        else:
            return shapes
    raise AssertionError("TRIALS is empty")


def check(
    source: str | os.PathLike[str],
    *,
    variant: str | None = None,
    input: Inputs | None = None,
    batch: int = 1,
    dtype: str = "float32",
    device: str = "auto",
    run: bool = True,
    deep: bool = False,
    **values: Override,
) -> list[Check]:
    """Prove a design's figures: build it in PyTorch, run it once, compare all of them.

    Each of its variants is checked, or only `variant`. What the design claims of itself (`expect`,
    `budget`) is compared too.

    source, values: as in `load`. input, batch, dtype: of the run, as in `Network.summary`.
    device: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1".
    run: False leaves PyTorch out.
    deep: measure too how layers follow shifts of the input, in a few runs in float64.

    Raises DesignError where the design is wrong; TorchMissing, DeviceError.
    """
    return [
        check_network(
            network, input=input, batch=batch, dtype=dtype, device=device, run=run, deep=deep
        )
        for network in networks(read(source), variant, values)
    ]


def departure(check: Check) -> str | None:
    """For a copy of a network of the zoo that was changed: the first layer that is another one.

    A copy is known by its `name`. None for any other design, and where no layer differs.
    """
    from convcalc.analysis.relatives import first_difference

    own = check.network
    for name in zoo.names():
        document = read(name)
        if document.name != own.name:
            continue
        if own.variant is not None and own.variant not in document.variants:
            return None
        found = first_difference(own.summary(), Network(document, own.variant, {}).summary())
        if found is None:
            return None
        layer, how = found
        line = f", line {layer.line}" if layer.line else ""
        return f"{layer.path}{line} is the first layer unlike the zoo's {name}: {how}"
    return None


def collect(words: Iterable[str]) -> list[str]:
    """Files and names as they are, and every YAML file in and below each folder, in order.

    Raises DesignError for a folder that has none.
    """
    files: list[str] = []
    for word in words:
        if not os.path.isdir(word):
            files.append(word)
            continue
        found = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(word)
            for name in names
            if name.endswith(_SUFFIXES)
        ]
        if not found:
            raise DesignError([Problem(f"there is no {' or '.join(_SUFFIXES)} file in {word!r}")])
        files += sorted(found)
    return list(dict.fromkeys(files))


def prepare(
    files: Iterable[str],
    variant: str | None,
    values: Mapping[str, Override],
    reader: Callable[[str], Document] = read,
) -> Iterator[Network | Broken]:
    """The networks in files: all variants of each, or the one named. A wrong file stops none."""
    for file in files:
        try:
            yield from networks(reader(file), variant, values)
        except (DesignError, RecursionError, MemoryError) as error:
            yield broken(file, None, error)


def attempt(network: Network, **how: Unpack[How]) -> Check | Broken:
    """`check_network`, but a wrong design is an outcome."""
    from convcalc.pytorch.errors import DeviceError, TorchMissing

    try:
        return check_network(network, **how)
    except (DeviceError, TorchMissing):  # no fault of the design
        raise
    except (ConvcalcError, RecursionError, MemoryError) as error:
        return broken(network.file, network.variant, error)


def broken(file: str, variant: str | None, error: Exception) -> Broken:
    """An error as the outcome of a network."""
    if isinstance(error, DesignError):
        return Broken(file, variant, error.problems)
    if isinstance(error, RecursionError):
        return Broken(file, variant, [Problem(f"{file}: the design is nested too deeply")])
    if isinstance(error, MemoryError):
        return Broken(file, variant, [Problem(f"{file}: there is not enough memory for this")])
    help = getattr(error, "help", None)
    return Broken(file, variant, [Problem(f"{file}: {error}", help=help)])


__all__ = [
    "Broken",
    "Check",
    "attempt",
    "check",
    "check_network",
    "collect",
    "departure",
    "prepare",
    "trial_input",
]
