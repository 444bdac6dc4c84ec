"""What a design says of itself (`expect`, `budget`), beside what comes out.

Claims are about one sample at the design's own input, whatever else is looked at: the summary
compared with must be made so.
"""

from __future__ import annotations

from convcalc.analysis.summary import Summary
from convcalc.errors import DesignError, Problem
from convcalc.graph import flow
from convcalc.integers import total
from convcalc.language.figures import MEMORY, total_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from convcalc.errors import Place
    from convcalc.integers import Size
    from convcalc.language.figures import Amount, Expected

    Kind = Literal["expect", "budget"]


class Claimed:
    """One claim and what came out.

    figure: the key in the file. path: of the layer or block it is about, None for the network.
    wanted: as it was written. computed: a number, or a shape without its batch. at: the batch and
    the optimizer of a figure of memory, in words.
    """

    __slots__ = ("at", "computed", "figure", "kind", "ok", "path", "place", "wanted")

    def __init__(
        self,
        kind: Kind,
        figure: str,
        path: str | None,
        wanted: str,
        computed: Any,
        ok: bool,
        place: Place | None,
    ) -> None:
        self.kind: Kind = kind
        self.figure = figure
        self.path = path
        self.wanted = wanted
        self.computed = computed
        self.ok = ok
        self.place = place
        self.at = ""

    def problem(self) -> Problem:
        """For a claim that does not hold: what to show."""
        of = f" of {self.path}" if self.path else ""
        of += f" {self.at}" if self.at else ""
        computed = show(self.computed)
        if self.kind == "budget":
            message = f"{self.figure}{of} is {computed}, over the budget of {self.wanted}"
        else:
            message = f"{self.figure}{of} is {computed}, but {self.wanted} is expected"
        return Problem(message, self.place, path=self.path, code=self.kind)

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else "failed"
        return f"Claimed({self.kind} {self.figure}: {self.wanted}, {self.computed}, {verdict})"


def show(figure: Any) -> str:
    """A number with separators, a shape in brackets."""
    if isinstance(figure, int):
        return f"{figure:,}"
    if isinstance(figure, (tuple, list)):
        return f"[{', '.join(map(str, figure))}]"
    return str(figure)


def compare(
    summary: Summary,
    expect: Iterable[Expected] = (),
    budget: Iterable[Expected] = (),
    *,
    steps: bool = True,
) -> list[Claimed]:
    """All claims of a design, in the order of the kinds.

    summary: at batch 1 and the design's own input. steps: with those that stand beside a step.

    Raises DesignError for a claim about a figure that depends on a size which the design leaves
    open.
    """
    claims = [_of_network(summary, claim, "expect") for claim in expect]
    if steps:
        claims += _of_steps(summary)
    claims += [_of_network(summary, claim, "budget") for claim in budget]
    return claims


def _of_network(summary: Summary, claim: Expected, kind: Kind) -> Claimed:
    if claim.key == "output":
        name = claim.output or next(iter(summary.outputs))
        shapes = {**summary.aux_outputs, **summary.outputs}
        return _shape(None, claim.wanted, shapes[name][1:], claim.place)
    if claim.batch != 1 or claim.optimizer != "none":
        summary = _at(summary, claim)
    computed = getattr(summary.totals, total_key(claim.key))
    if computed is None:
        of_training = claim.key == "training_peak"
        reason = summary.no_training_peak if of_training else summary.no_peak
        raise DesignError([Problem(f"there is no {claim.key}: {reason}", claim.place)])
    found = _amount(kind, claim.key, None, claim.wanted, computed, claim.place)
    if claim.key in MEMORY:
        steps = claim.key == "training_peak"
        found.at = at_text(claim.batch, claim.optimizer if steps else "none")
    return found


def _at(summary: Summary, claim: Expected) -> Summary:
    """The network at the batch and with the optimizer that a claim is about."""
    flowing = summary.flow
    if claim.batch != 1:
        inputs = {name: shape[1:] for name, shape in flowing.inputs.items()}
        flowing = flow(summary.graph, inputs, batch=claim.batch)
    return Summary(flowing, summary.dtype, optimizer=claim.optimizer)


def at_text(batch: int, optimizer: str) -> str:
    """`at batch 32 with adam`, without what goes without saying."""
    parts = [f"at batch {batch:,}"] if batch != 1 else []
    parts += [f"with {optimizer}"] if optimizer != "none" else []
    return " ".join(parts)


def _of_steps(summary: Summary) -> list[Claimed]:
    """Those that stand beside a step: about the layers that it added, or its value's shape."""
    claims = []
    flow = summary.flow
    for claim in summary.graph.expectations:
        path = summary.graph.nodes[claim.value].path
        if claim.key == "output":
            claims.append(_shape(path, claim.wanted, flow.shapes[claim.value][1:], claim.place))
            continue
        facts = [f for f in flow.facts[claim.first : claim.last] if f is not None]
        computed = total(getattr(f, claim.key) for f in facts)
        claims.append(_amount("expect", claim.key, path, claim.wanted, computed, claim.place))
    return claims


def _shape(
    path: str | None, wanted: Any, computed: tuple[Size, ...], place: Place | None
) -> Claimed:
    shape = tuple(wanted)
    same = len(shape) == len(computed) and all(
        isinstance(size, int) and size == other for size, other in zip(computed, shape, strict=True)
    )
    return Claimed("expect", "output", path, show(shape), computed, same, place)


def _amount(
    kind: Kind, figure: str, path: str | None, wanted: Any, computed: Size, place: Place | None
) -> Claimed:
    if not isinstance(computed, int):
        message = f"{figure} depends on a size that the design leaves open: {computed}"
        help = "a claim is about one number: give the size in `input`, or leave the claim away"
        raise DesignError([Problem(message, place, help=help, path=path)])
    amount: Amount = wanted
    ok = amount.allows(computed) if kind == "budget" else amount.matches(computed)
    return Claimed(kind, figure, path, str(wanted), computed, ok, place)
