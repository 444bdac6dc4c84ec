"""How a layer's figures come about: rules in letters, and the numbers that stand for them.

An op tells its own rules in `Op.explain`; what it leaves out is derived here from its facets: sizes
from its windows, parameters from the shapes of its weights. A rule is text that can be computed:
`substituted`, read as arithmetic, gives `value`, which comes from the op's facets and not from
here. So a wrong rule shows, and a test looks at every rule of every layer.

Letters: N batch, C channels, D, H, W (L) sizes that flow in; K channels, D', H', W' (L') sizes that
come out; F kernel, S stride, P padding, d dilation, G groups. Where axes differ, F_h, F_w.
"""

from __future__ import annotations

import re

from convcalc.integers import Formula, expand, product
from convcalc.ops.attention import BlockWindow
from convcalc.ops.base import AXES, LETTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from convcalc.integers import Size
    from convcalc.ops.base import Layout, Op, Shape, Window

    #: What a letter stands for; several numbers are their product.
    Value = Size | tuple[Size, ...]

_LETTER = re.compile(r"\{([^{}]*)\}")
#: A rule that is a sum of letters, some of them several times.
_SUM = re.compile(r"(\d+·)?\{[^{}]*\}( \+ (\d+·)?\{[^{}]*\})*")
_COMPOUND = re.compile(r" [+-] |//|^-")

#: What letters mean, where a rule is told to people.
LEGEND = {
    "N": "batch",
    "C": "channels in",
    "K": "channels out",
    "F": "kernel_size",
    "S": "stride",
    "P": "padding",
    "d": "dilation",
    "G": "groups",
    "o": "output_padding",
    "E": "features in",
    "r": "factor",
}


class Rule:
    """How one number comes about.

    figure: what it is: an axis of the output ("channels", "height", …), "params", "macs", …
    form: the rule with its letters in braces: `({H} − {F} + 2·{P})/{S} + 1`; + − · / have their
        meaning, ⌊ ⌋ and ⌈ ⌉ round, min( , ) is the smaller.
    values: what the letters stand for. value: what comes out. note: what else there is to say.
    """

    __slots__ = ("figure", "form", "note", "value", "values")

    def __init__(
        self, figure: str, form: str, values: Mapping[str, Value], value: Any, note: str = ""
    ) -> None:
        self.figure = figure
        self.form = form
        self.values = {name: values[name] for name in _LETTER.findall(form)}
        self.value = value
        self.note = note

    @property
    def text(self) -> str:
        """The rule in letters; empty where there are none."""
        return _LETTER.sub(lambda found: found[1], self.form) if self.values else ""

    @property
    def substituted(self) -> str:
        """The rule in numbers; sizes left open stand as they are printed."""
        return self.in_numbers(str)

    def in_numbers(self, show: Callable[[Size], str]) -> str:
        """The same with each number and each open size as `show` writes it."""
        alone = not _LETTER.sub("", self.form)  # the letter is the whole rule
        summed = _SUM.fullmatch(self.form) is not None
        return _LETTER.sub(
            lambda found: _number(self.values[found[1]], show, alone, summed), self.form
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "figure": self.figure,
            "rule": self.text or None,
            "substituted": self.substituted,
            "value": self.value,
            "note": self.note or None,
        }

    def __repr__(self) -> str:
        return f"Rule({self.figure}: {self.text} = {self.substituted} = {self.value})"


def _number(
    value: Value, show: Callable[[Size], str], alone: bool = False, summed: bool = False
) -> str:
    """alone: nothing stands beside it. summed: it is a term of a sum, which a product can be."""
    if isinstance(value, tuple):
        return "·".join(_number(size, show) for size in value)
    if isinstance(value, Formula):
        text = show(value)
        bare = alone or text.isalnum() or (summed and not _COMPOUND.search(text))
        return text if bare else f"({text})"
    if alone or not isinstance(value, int) or value >= 0:
        return show(value)
    return f"(−{show(-value)})"


def letters(rank: int) -> tuple[str, ...]:
    """The letters of a value's spatial axes."""
    return LETTERS.get(rank - 2, ())


def axis_names(rank: int, layout: Layout) -> tuple[str, ...]:
    """What the axes behind the batch are called."""
    if layout == "tokens" and rank == 3:
        return ("tokens", "features")
    if rank == 2:
        return ("features",)
    return ("channels", *AXES.get(rank - 2, [f"axis {i}" for i in range(2, rank)]))


def axis_letters(rank: int, layout: Layout) -> tuple[str, ...]:
    """The letters of the axes behind the batch."""
    if layout == "tokens" and rank == 3:
        return ("L", "E")
    if rank == 2:
        return ("E",)
    return ("C", *(letters(rank) or [f"A{i}" for i in range(2, rank)]))


class Explanation:
    """The rules of one layer with given values flowing in: an op tells, the rest is derived.

    facts: what it makes of them (`convcalc.graph.Facts`). shapes, layouts: of what flows in;
    layout, output: of what comes out.
    """

    def __init__(
        self,
        op: Op,
        facts: Any,
        shapes: Sequence[Shape],
        layouts: Sequence[Layout],
        layout: Layout,
    ) -> None:
        self.op = op
        self.facts = facts
        self.shapes = tuple(shapes)
        self.layouts = tuple(layouts)
        self.output = tuple([expand(size) for size in facts.output])
        self.layout = layout
        self._axes: dict[int, Rule] = {}
        self._figures: dict[str, Rule] = {}

    # ------------------------------------------------------------------ what an op may tell

    def size(
        self, axis: int, form: str, values: Mapping[str, Value] | None = None, note: str = ""
    ) -> None:
        """The rule of an axis of the output, counted from the batch (0)."""
        name = axis_names(len(self.output), self.layout)[axis - 1]
        known = {**self.flowing, **(values or {})}
        self._axes[axis] = Rule(name, form, known, self.output[axis], note)

    def params(self, form: str, values: Mapping[str, Value] | None = None, note: str = "") -> None:
        """The rule of the number of parameters."""
        known = {**self.flowing, **(values or {})}
        self._figures["params"] = Rule("params", form, known, self.facts.params, note)

    def macs(self, form: str, values: Mapping[str, Value] | None = None, note: str = "") -> None:
        """The rule of the multiply-accumulates of one sample; the batch is seen to here."""
        known = {**self.flowing, **(values or {})}
        batch = self.shapes[0][0]
        if not (isinstance(batch, int) and batch == 1):
            form = f"{{N}}·({form})" if _is_sum(form) else f"{{N}}·{form}"
        self._figures["macs"] = Rule("macs", form, known, self.facts.macs, note)

    @property
    def flowing(self) -> dict[str, Value]:
        """The letters of what flows in and comes out: N, C, H, W, K, H', W'."""
        # By their names (h1) where sizes are open: so costs stay short.
        shape, output = self.shapes[0], self.facts.output
        known: dict[str, Value] = {"N": shape[0]}
        names = axis_letters(len(shape), self.layouts[0])
        known |= zip(names, shape[1:], strict=True)
        if len(output) > 1:
            known["K"] = output[-1] if self.layout == "tokens" else output[1]
        for letter, size in zip(letters(len(output)), output[2:], strict=False):
            known[f"{letter}'"] = size
        return known

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of the spatial axes that flow in."""
        return letters(len(self.shapes[0]))

    @property
    def axes(self) -> tuple[str, ...]:
        """The letters of all axes that flow in, without the batch."""
        return axis_letters(len(self.shapes[0]), self.layouts[0])

    def each(self, letter: str, values: Sequence[Size]) -> tuple[list[str], dict[str, Value]]:
        """A letter for each axis, one for all where they have the same number; and their values."""
        if len({str(value) for value in values}) <= 1:
            return [letter] * len(values), {letter: values[0]} if values else {}
        names = [f"{letter}_{axis.lower()}" for axis in letters(len(values) + 2)]
        return names, dict(zip(names, values, strict=True))

    def kernel(self, sizes: Sequence[Size]) -> tuple[str, dict[str, Value]]:
        """The form of a kernel's size, `{F}·{F}`, and its values."""
        names, values = self.each("F", sizes)
        return "·".join(f"{{{name}}}" for name in names), values

    def outputs(self) -> str:
        """The form of the number of places that come out: `{H'}·{W'}`."""
        return "·".join(f"{{{letter}'}}" for letter in letters(len(self.output)))

    def windows(self, windows: Sequence[Window], rounding: str = "down") -> None:
        """The rule of every spatial axis: (H − F + 2·P)/S + 1, rounded down or up."""
        for axis in range(len(windows)):
            form, values = self.window(axis, windows, rounding)
            self.size(axis + 2, form, values)

    def window(
        self, axis: int, windows: Sequence[Window], rounding: str = "down"
    ) -> tuple[str, dict[str, Value]]:
        """The same of one axis, from 0: its form and values."""
        letter = letters(len(windows) + 2)[axis]
        window, size = windows[axis], self.shapes[0][axis + 2]
        values: dict[str, Value] = {}
        own = {}
        for name, attribute in (("F", "kernel"), ("S", "stride"), ("P", "before")):
            names, known = self.each(name, [getattr(w, attribute) for w in windows])
            own[name] = names[axis]
            values |= known
        names, known = self.each("d", [w.dilation for w in windows])
        values |= known
        reach = f" − {{{own['F']}}}"
        if any(not _is(w.dilation, 1) for w in windows):
            reach = f" − {{{names[axis]}}}·({{{own['F']}}} − 1) − 1"
        padding = f" + 2·{{{own['P']}}}"
        if any(w.before is not w.after and not _same(w.before, w.after) for w in windows):
            padding = f" + {{P_{letter.lower()}1}} + {{P_{letter.lower()}2}}"
            values |= {f"P_{letter.lower()}1": window.before, f"P_{letter.lower()}2": window.after}
        values[letter] = size
        fraction = f"({{{letter}}}{reach}{padding})/{{{own['S']}}}"
        whole = size + window.before + window.after - window.reach
        exact = _is(window.stride, 1) or (
            isinstance(whole, int) and isinstance(window.stride, int) and whole % window.stride == 0
        )
        if not exact:
            fraction = f"⌈{fraction}⌉" if rounding == "up" else f"⌊{fraction}⌋"
        return f"{fraction} + 1", values

    # ------------------------------------------------------------------ the rest

    def rules(self) -> list[Rule]:
        """All rules: the axes of the output, then parameters, buffers and MACs where there are."""
        self.op.explain(self, self.output, *self.shapes)
        rules = []
        for axis in range(1, len(self.output)):
            if axis not in self._axes:
                self._derive_axis(axis)
            rules.append(self._axes[axis])
        facts = self.facts
        if facts.weights and "params" not in self._figures:
            form, values = _tensors(facts.weights)
            self.params(form, values)
        if "params" in self._figures:
            rules.append(self._figures["params"])
        if facts.buffers:
            form, values = _tensors(facts.buffers)
            rules.append(Rule("buffers", form, values, facts.buffer_elements))
        if not _is(facts.macs, 0):
            if "macs" not in self._figures:
                self._derive_macs()
            rules.append(self._figures["macs"])
        return rules

    def _derive_axis(self, axis: int) -> None:
        """An axis that the op says nothing of: by a window, as it flows in, or as an argument."""
        shape, size = self.shapes[0], self.output[axis]
        same_rank = len(shape) == len(self.output)
        windows = self.facts.windows
        if axis > 1 and same_rank and len(windows) == len(shape) - 2:
            window = windows[axis - 2]
            stays = _same(size, expand(shape[axis])) and _is(window.kernel, 1)
            moved = not stays and _plain(window)
            if moved and _same(_outputs(expand(shape[axis]), window), size):
                form, values = self.window(axis - 2, windows)
                self.size(axis, form, values)
                return
        for shape, layout in zip(self.shapes, self.layouts, strict=True):
            if axis < len(shape) and _same(expand(shape[axis]), size):
                letter = axis_letters(len(shape), layout)[axis - 1]
                self.size(axis, f"{{{letter}}}", {letter: shape[axis]}, "as it flows in")
                return
        for argument in ("out_channels", "out_features", "size"):
            if axis == 1 and hasattr(self.op, argument):
                self.size(axis, f"{{{argument}}}", {argument: getattr(self.op, argument)})
                return
        self.size(axis, str(size))  # without letters: nothing is known of it

    def _derive_macs(self) -> None:
        """So many for each value that comes out."""
        macs, outputs = self.facts.macs, self.facts.output
        values = {"outputs": outputs, "each": macs // product(outputs)}
        self._figures["macs"] = Rule("macs", "{outputs}·{each}", values, macs)


def _is_sum(form: str) -> bool:
    """Whether a + or − stands outside parentheses."""
    depth = 0
    for sign in form:
        depth += (sign in "(⌊⌈{") - (sign in ")⌋⌉}")
        if sign in "+−" and not depth:
            return True
    return False


def _tensors(tensors: Iterable[Any]) -> tuple[str, dict[str, Value]]:
    """The sum of tensors by name; a kernel's own size first, then what goes in and comes out."""
    values: dict[str, Value] = {}
    for tensor in tensors:
        shape = tuple(tensor.shape)
        values[tensor.name] = (*shape[2:], *reversed(shape[:2])) or 1
    return " + ".join(f"{{{name}}}" for name in values), values


def _plain(window: Window) -> bool:
    """Whether it reads the rows as they stand, a number of them each time."""
    if isinstance(window, BlockWindow) or _is(window.kernel, 0):
        return False
    return _is(window.upsample, 1)


def _outputs(size: Size, window: Window) -> Size:
    return (size + window.before + window.after - window.reach) // window.stride + 1


def _is(size: Size, number: int) -> bool:
    return isinstance(size, int) and size == number


def _same(one: Size, other: Size) -> bool:
    """Equal as numbers, or as they are printed: enough for formulas that are expanded."""
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return str(one) == str(other)
