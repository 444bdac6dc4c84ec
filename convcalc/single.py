"""One layer by itself, without a file: its figures, how they come about, and what is left open."""

from __future__ import annotations

from convcalc.analysis.explain import derive
from convcalc.analysis.solve import MAX_SIZE, Variable, solve
from convcalc.analysis.summary import Summary
from convcalc.errors import ConvcalcError, DesignError, LayerError, Problem
from convcalc.graph import check_batch, flow
from convcalc.integers import symbol
from convcalc.language.single import read_layer
from convcalc.ops.explanation import axis_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from convcalc.analysis.explain import Derivation
    from convcalc.analysis.solve import Solved
    from convcalc.analysis.summary import Layer
    from convcalc.errors import Problem as Warning
    from convcalc.language.single import SingleLayer
    from convcalc.ops.base import Op, Shape

    #: One sample's shape: a size, the name of an open one ("H"), or "?" for one to be found.
    InputShape = Sequence[int | str]
    Wanted = int | Sequence[int | str | None]

UNKNOWN = "?"
#: An argument is tried up to this, or twice the largest size that is given.
_RANGE = 32


class LayerReport:
    """What is to be said of one layer.

    expression: as it was written. layer: its figures, a `Layer`; derivation: how they come about.
    Both are None where unknowns have no solution. solved: what the unknowns may be; None where
    there are none. Of several solutions `layer` is the first, the smallest.
    wanted: the output that was asked for, without the batch and with None for any size; None where
    none was. ok: whether that is what comes out.
    """

    __slots__ = ("derivation", "expression", "layer", "solved", "summary", "wanted")

    def __init__(
        self,
        expression: str,
        summary: Summary | None,
        wanted: Sequence[int | None] | None,
        solved: Solved | None,
    ) -> None:
        self.expression = expression
        self.summary = summary
        self.layer: Layer | None = summary.layers[0] if summary else None
        self.derivation: Derivation | None = derive(summary.layers[0], summary) if summary else None
        self.wanted = None if wanted is None else tuple(wanted)
        self.solved = solved

    @property
    def ok(self) -> bool:
        if self.layer is None:
            return False
        if self.wanted is None:
            return True
        output = self.layer.output[1:]
        return len(output) == len(self.wanted) and all(
            want is None or (isinstance(size, int) and size == want)
            for size, want in zip(output, self.wanted, strict=True)
        )

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What is worth a second look."""
        return self.summary.warnings if self.summary else ()

    @property
    def fits(self) -> bool | None:
        """Whether every stride divides exactly; None with open sizes, and without windows."""
        fits = [fit.fits for fit in self.derivation.fits] if self.derivation else []
        return None if None in fits or not fits else all(fits)

    def __repr__(self) -> str:
        return f"LayerReport({self.expression!r}, {self.layer})"


def layer(
    expression: str,
    input: InputShape | Mapping[str, InputShape] | Sequence[InputShape],
    output: Wanted | None = None,
    *,
    batch: int = 1,
    dtype: str = "float32",
) -> LayerReport:
    """One layer: its figures, the rules behind them, whether it fits, and what is left open.

    expression: as a design has it: "Conv2d(96, 11, stride=4)"; `?` stands in the place of whole
        numbers to be found.
    input: the shape of one sample, without the batch; a list of them, or a dict by name, where the
        layer takes several. A name in capitals leaves a size open; "?" is to be found.
    output: what should come out: one number for all spatial axes, one for each, or the whole shape
        without the batch; None or "?" for any. Needed where something is to be found.
    batch: MACs and bytes are of all of it.

    layer("Conv2d(96, 11, stride=4)", (3, 227, 227)).layer.output       # (1, 96, 55, 55)
    layer("Conv2d(10, 5, padding=?)", (3, 32, 32), 32).solved.solutions[0].values   # padding: 2

    Raises DesignError where the layer is wrong, or does not accept the input; ConvcalcError.
    """
    check_batch(batch)
    shapes = _shapes(input)
    found = read_layer(expression, [*shapes])
    wanted = None if output is None else _sizes(output)
    open_sizes = any(entry == UNKNOWN for shape in shapes.values() for entry in shape)
    if found.unknowns or open_sizes:
        return _solved(found, expression, shapes, wanted, batch, dtype)
    summary = _summary(found, found.checked(), shapes, batch, dtype)
    if wanted is not None:
        wanted = _aligned(wanted, summary.layers[0].output)
    return LayerReport(expression, summary, wanted, None)


def _shapes(
    given: InputShape | Mapping[str, InputShape] | Sequence[InputShape],
) -> dict[str, tuple[int | str, ...]]:
    """The inputs by name, in order."""
    from collections.abc import Mapping as Named

    if isinstance(given, Named):
        named = {str(name): tuple(shape) for name, shape in given.items()}
    elif given and all(isinstance(shape, (list, tuple)) for shape in given):
        names = ["input", *(f"input{i}" for i in range(2, len(given) + 1))]
        named = {name: tuple(s) for name, s in zip(names, given, strict=True)}  # type: ignore[arg-type]
    else:
        named = {"input": tuple(given)}  # type: ignore[arg-type]
    for shape in named.values():
        for size in shape:
            if isinstance(size, str):
                good = size == UNKNOWN or (size.isidentifier() and size.isupper())
            else:
                good = isinstance(size, int) and not isinstance(size, bool) and 0 < size < 1 << 62
            if not good:
                raise ConvcalcError(
                    f"{size!r} is no size: whole numbers of at least 1, names in capitals, or '?'"
                )
        if not 1 <= len(shape) <= 4:
            raise ConvcalcError("an input has 1 to 4 sizes: channels first, without the batch")
    if not named:
        raise ConvcalcError("a layer needs an input: its shape without the batch, as (3, 227, 227)")
    return named


def _sizes(given: Wanted) -> list[int | None]:
    if isinstance(given, int):
        return [given]
    wanted: list[int | None] = []
    for size in given:
        if size is not None and size != UNKNOWN and not isinstance(size, int):
            raise ConvcalcError(f"{size!r} is no size of an output: whole numbers, or '?' for any")
        wanted.append(size if isinstance(size, int) else None)
    return wanted


def _aligned(wanted: list[int | None], output: Shape) -> list[int | None]:
    """The sizes wanted, for every axis of the output behind the batch."""
    axes = len(output) - 1
    spatial = axes - 1
    if len(wanted) == axes:
        return wanted
    if spatial and len(wanted) == spatial:
        return [None, *wanted]
    if spatial and len(wanted) == 1:
        return [None, *wanted * spatial]
    names = ", ".join(axis_names(len(output), "channels"))
    raise ConvcalcError(
        f"{len(wanted)} sizes are wanted of an output that has {axes} ({names}): "
        "give one for each, or for each but the channels"
    )


def _summary(
    found: SingleLayer,
    op: Op,
    shapes: Mapping[str, Sequence[int | str]],
    batch: int,
    dtype: str,
) -> Summary:
    try:
        return Summary(flow(found.graph(op, shapes), batch=batch), dtype)
    except DesignError as error:
        problems = [
            Problem(p.message, p.place, help=p.help, notes=_notes(p.notes), code=p.code)
            for p in error.problems
        ]
        raise DesignError(problems) from None


def _notes(notes: Sequence[str]) -> list[str]:
    return [f"what flows in: {n.partition('into which flows ')[2]}" for n in notes if "flows" in n]


# ---------------------------------------------------------------------------- unknowns


def _solved(
    found: SingleLayer,
    expression: str,
    shapes: Mapping[str, Sequence[int | str]],
    wanted: list[int | None] | None,
    batch: int,
    dtype: str,
) -> LayerReport:
    if wanted is None:
        raise ConvcalcError("? is found from the output that is wanted: which one?")
    if any(
        isinstance(size, str) and size != UNKNOWN for shape in shapes.values() for size in shape
    ):
        raise ConvcalcError("an input has open sizes or sizes to be found, not both")
    search = _Unknowns(found, shapes, wanted)
    solved = solve(search.variables, search.build, search.wanted)
    if not solved.solutions:
        return LayerReport(expression, None, search.wanted, solved)
    first = solved.solutions[0]
    inputs = {name: shape[1:] for name, shape in zip(shapes, first.inputs, strict=True)}
    summary = _summary(found, first.op, inputs, batch, dtype)  # type: ignore[arg-type]  # ints
    return LayerReport(expression, summary, search.wanted, solved)


class _Unknowns:
    """A layer and its inputs with variables in the place of each `?`."""

    def __init__(
        self,
        found: SingleLayer,
        shapes: Mapping[str, Sequence[int | str]],
        wanted: list[int | None],
    ) -> None:
        self.found = found
        self.shapes = [tuple(shape) for shape in shapes.values()]
        known = [size for shape in (*self.shapes, wanted) for size in shape if type(size) is int]
        self.variables = []
        for unknown in found.unknowns:
            least = _least(unknown.argument)
            most = least - 1 + max(_RANGE, 2 * min(max(known, default=0), MAX_SIZE))
            self.variables.append(Variable(unknown.name, least, most))
        self.sizes: dict[tuple[int, int], str] = {}
        layouts = found.layouts(self.shapes)
        for number, (name, shape) in enumerate(shapes.items()):
            names = axis_names(len(shape) + 1, layouts[number])
            for axis, size in enumerate(shape):
                if size == UNKNOWN:
                    word = f"input {names[axis]}" if number == 0 else f"{name} {names[axis]}"
                    self.sizes[number, axis] = word
                    self.variables.append(Variable(word, 1, MAX_SIZE, flows=True))
        self.wanted = self._align(wanted)
        for variable in self.variables:
            if variable.name in ("out_channels", "out_features"):
                axis = 0 if layouts[0] == "channels" else len(self.wanted) - 1
                if variable.name == "out_features":
                    axis = len(self.wanted) - 1
                variable.only = self.wanted[axis]
                if variable.only is None:
                    raise ConvcalcError(
                        f"{variable.name} is that of the output: name it there, as in "
                        f"--output {'x'.join(['64', *(str(w or '?') for w in self.wanted[1:])])}"
                    )

    def _align(self, wanted: list[int | None]) -> list[int | None]:
        """Every axis of the output, whose number follows with any numbers for the unknowns."""
        for trial in (lambda least: least, lambda least: symbol("u")):
            values = {v.name: trial(v.least) for v in self.variables}
            try:
                op, shapes = self.build(values)
                op.check(*shapes)
                return _aligned(wanted, op.output(*shapes))
            except LayerError as error:
                failed = error
            except ArithmeticError:
                continue
        raise self.found.error(failed)

    def build(self, values: Mapping[str, Any]) -> tuple[Op, list[Shape]]:
        """The layer and what flows in. Raises LayerError."""
        op = self.found.make({u: values[u.name] for u in self.found.unknowns})
        shapes: list[Shape] = []
        for number, shape in enumerate(self.shapes):
            sizes: list[Any] = [
                values[self.sizes[number, axis]] if size == UNKNOWN else size
                for axis, size in enumerate(shape)
            ]
            shapes.append((1, *sizes))
        return op, shapes


def _least(argument: Any) -> int:
    """The least number to try for an argument."""
    minimum = getattr(argument, "minimum", 1)
    return 0 if minimum is None else int(minimum)
