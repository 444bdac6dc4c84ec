"""The largest batch, or input, under a budget: the figure never falls, so double, then bisect.

All on exact ints. That the figure never falls is proved where it is a formula (`at_least` of its
difference). A figure that is known at numbers alone, as a peak of memory is, may fall: what is
proved then is proved by a formula that it never undercuts, and by trying every size between.
"""

from __future__ import annotations

from convcalc.analysis.summary import Summary
from convcalc.errors import ConvcalcError
from convcalc.graph import flow as send
from convcalc.integers import Answer, Formula, at_least, compile_formula, substitute, symbol
from convcalc.integers.solutions import all_sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convcalc.analysis.fit import Fit
    from convcalc.graph import Flow
    from convcalc.integers import Size
    from convcalc.integers.solutions import Solutions

    # The size, its figure, what lies beyond, and whether every size keeps the budget.
    _Found = tuple[int | None, int | None, tuple[int, int] | None, bool]

_BATCH = "N"
#: So many sizes are tried one by one, where a figure is known at numbers alone.
TRIED = 200
#: Beyond this size nothing is looked for.
MAX_SIZE = 1 << 40


class Largest:
    """The largest value of one open size under a budget.

    figure, budget: what is bounded, and how. of: the names of the sizes that vary as one. size: the
    largest that keeps it; None where not even the smallest does, or there is no largest
    (`unbounded`). value: the figure there. beyond: the next size that there is, and its figure,
    which breaks the budget; None where there is none. fitting: the largest one, up to `size`, that
    fits exactly; None for a batch. answer: proved, or unknown where the figure is only taken to
    rise; `reason` tells why.
    """

    __slots__ = (
        "answer",
        "beyond",
        "budget",
        "figure",
        "fitting",
        "of",
        "reason",
        "size",
        "unbounded",
        "value",
    )

    def __init__(
        self,
        figure: str,
        budget: int,
        of: tuple[str, ...],
        size: int | None,
        value: int | None,
        beyond: tuple[int, int] | None,
        unbounded: bool,
        answer: Answer,
        reason: str,
    ) -> None:
        self.figure = figure
        self.budget = budget
        self.of = of
        self.size = size
        self.value = value
        self.beyond = beyond
        self.unbounded = unbounded
        self.answer = answer
        self.reason = reason
        self.fitting: int | None = None

    def __repr__(self) -> str:
        size = "any" if self.unbounded else self.size
        return f"Largest({self.figure} ≤ {self.budget}: {'='.join(self.of)} = {size})"


def largest(
    figure: str,
    amount: Size | Callable[[int], int],
    budget: int,
    of: tuple[str, ...],
    sizes: Solutions | None = None,
    floor: Size = 0,
) -> Largest:
    """The largest size for which `amount` is at most `budget`.

    amount: a formula of one symbol, of[0], or an int, or a function of the size. sizes: those that
    there are to choose from; None: every int from 1 on. floor: a formula which a function's value
    is never below.
    """
    choice = all_sizes() if sizes is None else sizes
    smallest = choice.smallest()
    if smallest is None:
        none = "no size is valid"
        return Largest(figure, budget, of, None, None, None, False, Answer.PROVED, none)
    if isinstance(amount, int):
        held = amount <= budget
        reason = f"it is {amount:,} for every size"
        end = None if not held or not choice.finite else choice.largest()
        return Largest(
            figure, budget, of, end, amount, None, held and end is None, Answer.PROVED, reason
        )
    answer, reason = Answer.UNKNOWN, f"that no larger one keeps it takes {figure} to rise with it"
    if isinstance(amount, Formula):
        rises = never_falls(amount, of[0], smallest)
        at = compile_formula(amount)
        if rises is None:
            answer, reason = Answer.PROVED, f"{figure} never falls as it grows"
        else:
            reason = rises

        def value(size: int) -> int:
            return int(at({of[0]: size}))
    else:
        value = amount  # type: ignore[assignment]  # a function is left
    found = _search(value, budget, choice, smallest)
    if not isinstance(amount, Formula) and isinstance(floor, Formula):
        sure = _surely(value, floor, budget, of[0], choice, found)
        if sure is not None:
            found = sure
            answer = Answer.PROVED
            reason = "beyond it what is surely held breaks it, or each size was tried"
    return Largest(figure, budget, of, *found, answer, reason)


def _surely(
    value: Callable[[int], int],
    floor: Formula,
    budget: int,
    name: str,
    choice: Solutions,
    found: _Found,
) -> _Found | None:
    """The largest size, if it is sure: beyond some size the floor alone breaks the budget, and
    each one between is tried. None where that cannot be proved, or there are too many."""
    smallest = choice.smallest()
    size, _, _, unbounded = found
    if smallest is None or unbounded or never_falls(floor, name, smallest) is not None:
        return None
    at = compile_formula(floor)
    last, _, _, endless = _search(lambda s: int(at({name: s})), budget, choice, smallest)
    if endless:
        return None
    if last is None:  # not even the floor of the smallest keeps it
        return found
    tried = 0
    beyond = None
    while size is None or last > size:
        if tried == TRIED:
            return None
        held = value(last)
        if held <= budget:
            return last, held, beyond or found[2], False
        beyond = last, held
        before = choice.largest(last - 1)
        if before is None:
            return found
        last, tried = before, tried + 1
    return found


def never_falls(amount: Formula, name: str, smallest: int) -> str | None:
    """None where it is proved that a formula never falls from a size to the next; else why not."""
    size = symbol(name, smallest)
    after = substitute(amount, {name: size + 1})
    decision = at_least(after - substitute(amount, {name: size}), 0)
    if decision.proved:
        return None
    return f"it is {'false' if decision.refuted else 'not proved'} that it never falls: " + (
        decision.reason
    )


def _search(value: Callable[[int], int], budget: int, choice: Solutions, smallest: int) -> _Found:
    low, low_value = smallest, value(smallest)
    if low_value > budget:
        return None, None, (low, low_value), False
    while True:  # double until it breaks
        high = choice.smallest(2 * low)
        if high is None:
            high = choice.largest(2 * low)
            if high is None or high <= low:
                return low, low_value, None, False
        if high > MAX_SIZE:
            return None, None, None, True
        high_value = value(high)
        if high_value > budget:
            break
        low, low_value = high, high_value
    while True:  # bisect among the sizes that there are
        middle = choice.largest((low + high) // 2)
        if middle is None or middle <= low:
            middle = choice.smallest(low + 1)
            assert middle is not None  # high is one
            if middle >= high:
                return low, low_value, (high, high_value), False
        middle_value = value(middle)
        if middle_value > budget:
            high, high_value = middle, middle_value
        else:
            low, low_value = middle, middle_value


def under_budget(
    fit: Fit,
    figure: str,
    budget: int,
    *,
    measure: Callable[[Flow], int] | None = None,
    floor: Size = 0,
) -> list[Largest]:
    """The largest batch at the design's own input, and the largest input at `fit.batch` samples.

    figure: "params" or "macs", or with `measure` the name of another. measure: the figure of a
    network with numbers flowing through it; floor: a formula in `fit`'s sizes that it is never
    below, with which the answer can be proved. The input's sizes vary as `fit.square` has it, or
    one by one, the others at the design's own; so of a design that leaves a size open without
    giving another input there is less to tell. Only valid sizes are chosen.

    Raises ConvcalcError for a figure that there is not.
    """
    amount: Size = 0
    if measure is None:
        if figure not in ("params", "macs"):
            raise ConvcalcError(f"no figure {figure!r}; the figures are params, macs")
        amount = getattr(Summary(fit.flow).totals, figure)
    names = [axis.names[0] for axis in fit.axes]
    found = []
    open_batch = isinstance(fit.flow.batch, Formula)
    if open_batch and figure != "params" and all(name in fit.declared for name in names):
        question = _Question(fit, fit.declared, _BATCH, measure)
        least = question.formula(floor)
        found.append(largest(figure, question.amount(amount), budget, (_BATCH,), floor=least))
    together = fit.square.names if fit.square is not None else ()
    groups = [fit.square] if fit.square is not None else []
    groups += [axis for axis in fit.axes if axis.names[0] not in together]
    for axis in groups:
        rest = {name: fit.declared.get(name) for name in names if name not in axis.names}
        if any(size is None for size in rest.values()):
            continue
        point = {
            **{name: size for name, size in rest.items() if size is not None},
            _BATCH: fit.batch,
        }
        question = _Question(fit, point, axis.names[0], measure, axis.names)
        valid = fit.valid_at(axis, point)
        sizes = valid.solutions
        least = question.formula(floor)
        result = largest(figure, question.amount(amount), budget, axis.names, sizes, least)
        if result.size is not None:
            result.fitting = (sizes & axis.exact.solutions).largest(result.size)
        if valid.undecided:
            undecided = valid.undecided[0]
            result.answer = Answer.UNKNOWN
            result.reason = f"whether {undecided.path} accepts it: {undecided.reason}"
        found.append(result)
    return found


class _Question:
    """A figure as it depends on one name alone, the others being fixed, or equal to it."""

    def __init__(
        self,
        fit: Fit,
        point: Mapping[str, int],
        name: str,
        measure: Callable[[Flow], int] | None,
        alike: Sequence[str] = (),
    ) -> None:
        self.fit = fit
        self.point = dict(point)
        self.name = name
        self.measure = measure
        self.alike = alike

    def amount(self, formula: Size) -> Size | Callable[[int], int]:
        return self.formula(formula) if self.measure is None else self._measured

    def formula(self, formula: Size) -> Size:
        """A formula in the name alone."""
        equal: dict[str, int | Formula] = {**self.point}
        equal |= {other: symbol(self.name) for other in self.alike if other != self.name}
        return substitute(formula, equal)

    def _measured(self, size: int) -> int:
        assert self.measure is not None
        point = {**self.point, self.name: size, **dict.fromkeys(self.alike, size)}
        flow = self.fit.flow
        inputs = {
            name: [substitute(s, point) for s in shape[1:]] for name, shape in flow.inputs.items()
        }
        batch = substitute(flow.batch, point)
        return self.measure(send(flow.graph, inputs, batch=batch))
