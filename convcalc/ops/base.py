"""The contract of a layer: one class holds everything that convcalc knows of it.

An op's class holds, in this order: what it is and its source (docstring); its arguments; its
output; the conditions under which it is valid; its weights and buffers; its MACs; its windows; what
it keeps in memory; the rules behind its figures, for people; how PyTorch builds it. To add a layer
is to add one class (and one row of test cases); it registers
itself under its name. Read this file and one similar op.

Every rule is straight-line arithmetic on sizes (`+ - * //`, `ceil_div`, `minimum`, `maximum`): it
runs unchanged on ints, formulas, arrays of many designs, and `Open` sizes (a size that nobody may
look at yet, used while a network's structure is built). There is no `if` on a size; what must hold
of sizes is a `Condition`.

What PyTorch accepts an op accepts, with the same result, and what PyTorch refuses it refuses. Where
it is stricter, its docstring says so; four rules hold everywhere: a value has its batch, no size is
0, an axis is at least 1 (nothing works across samples), and a layer has one output.

Shapes are tuples with the batch first: (N, C, H, W), (N, C, L), (N, C, D, H, W), (N, F), and for
tokens (N, L, E). Kinds of numbers never mix meanings: parameters and MACs are elements, not bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from convcalc.errors import LayerError, closest
from convcalc.integers import product
from convcalc.ops.arguments import Argument, Like, is_whole, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Literal

    from convcalc.integers import Size
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape

    Shape = tuple[Size, ...]
    Layout = Literal["channels", "tokens"]

#: Every layer, by name, in the order of the reference.
REGISTRY: dict[str, type[Op]] = {}

#: Spatial axes by their number.
AXES = {
    1: ("length",),
    2: ("height", "width"),
    3: ("depth", "height", "width"),
}
#: The letters of their sizes.
LETTERS = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


class Tensor:
    """A parameter or buffer: its name in the PyTorch module, its shape, its dtype.

    dtype is None for the network's own, or the name of a fixed one ("int64").
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, name: str, shape: Shape, dtype: str | None = None) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype

    @property
    def elements(self) -> Size:
        shape = self.shape
        return shape[0] if len(shape) == 1 else product(shape)

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.shape}, {self.dtype})"


class Condition:
    """Something that must hold of sizes for the layer to be valid.

    kind: "at_least" (left ≥ right), "equal" (left = right), "divisible" (right divides left, right
        a positive int).
    what: what is compared, in words, for a message: "the padded height".
    help: what to do about it, or None.
    """

    __slots__ = ("_help", "_what", "kind", "left", "right")

    def __init__(
        self,
        kind: Literal["at_least", "equal", "divisible"],
        left: Size,
        right: Size,
        what: str = "",
        help: str | None = None,
    ) -> None:
        self.kind = kind
        self.left = left
        self.right = right
        self._what = what
        self._help = help

    @property
    def what(self) -> str:
        return self._what

    @property
    def help(self) -> str | None:
        return self._help

    def holds(self) -> bool | None:
        """True or False between ints; None where a side is open or a formula."""
        left, right = self.left, self.right
        if not (isinstance(left, int) and isinstance(right, int)):
            return None
        if self.kind == "at_least":
            return left >= right
        if self.kind == "equal":
            return left == right
        return left % right == 0

    def told(self, show: Callable[[Size], str] = str) -> str:
        """In words, its sizes as `show` writes them."""
        left, right = show(self.left), show(self.right)
        if self.kind == "at_least":
            return f"{self.what} must be at least {right}, not {left}"
        if self.kind == "equal":
            return f"{self.what} must be equal: {left} and {right}"
        return f"{self.what} must be a multiple of {right}, not {left}"

    def __str__(self) -> str:
        return self.told()

    def __repr__(self) -> str:
        return f"Condition({self})"


class Window:
    """How a layer reads one axis of its input: what receptive fields, fit and warnings need.

    Output i reads the input rows i·stride − before + j·dilation, j = 0 … kernel − 1; rows below 0
    or past the end are padding. A negative before or after leaves rows out. With `upsample` u > 1
    the rows are those of the input spread u apart (transposed convolution, upsampling, adaptive
    pooling): row r lies at r·u, and what lies between is nothing.
    """

    __slots__ = ("after", "before", "dilation", "kernel", "stride", "upsample")

    def __init__(
        self,
        kernel: Size,
        stride: Size = 1,
        before: Size = 0,
        after: Size = 0,
        dilation: Size = 1,
        upsample: Size = 1,
    ) -> None:
        self.kernel = kernel
        self.stride = stride
        self.before = before
        self.after = after
        self.dilation = dilation
        self.upsample = upsample

    @property
    def reach(self) -> Size:
        """Rows from the first to the last that one output reads."""
        return self.dilation * (self.kernel - 1) + 1


#: In the place of a Window: every output reads the whole axis.
GLOBAL = Window(0)


class Op:
    """A layer with its arguments bound; immutable, independent of what flows in.

    Equal arguments make interchangeable ops, so one object may stand at many nodes.
    """

    arguments: ClassVar[tuple[Argument, ...]] = ()
    #: How many arguments may be given by position; None: all of them.
    positional: ClassVar[int | None] = None
    #: The torch.nn argument that is inferred from what flows in; accepted as an assertion.
    inferred: ClassVar[str] = ""
    #: Where torch.nn has that argument, counted from 0.
    inferred_at: ClassVar[int] = 0
    #: Spatial axes of its input; None: any.
    spatial: ClassVar[int | None] = None
    #: Which values it takes: channels first, tokens (N, L, E), those with their features last
    #: (tokens and N×F), or any.
    layout: ClassVar[Literal["channels", "tokens", "features", "any"]] = "any"
    #: Number of values that flow in; 0: two or more.
    inputs: int = 1
    #: How many of them, the last ones, give no more than their size: its `like` arguments. One that
    #: may be left out counts in the ops that have it.
    likes: int = 0
    #: Whether there are such arguments, needed or not.
    takes_likes: ClassVar[bool] = False
    #: What becomes of the places of a map: they stay ("kept"), are put in a row ("folded"), come
    #: back from there ("restored"), or their order is not followed any more ("lost").
    places: ClassVar[Literal["kept", "folded", "restored", "lost"]] = "kept"
    #: Why a shift of what flows in is no shift of what comes out; empty where it is one.
    fixed: str = ""
    #: At which sizes it keeps other memory than at all others, so that no formula tells it; empty
    #: where there are none.
    degenerate: ClassVar[str] = ""
    #: Why PyTorch refuses to run its backward; empty where it does not, as nearly always.
    no_backward: str = ""
    #: Why its memory on the CPU hangs on more than the graph; empty where it does not, as nearly
    #: always. `check` leaves it out then, and says so.
    uncertain: str = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = [a for a in vars(cls).values() if isinstance(a, Argument)]
        if own:
            known = {a.name for a in own}
            cls.arguments = (*(a for a in cls.arguments if a.name not in known), *own)
            likes = [a for a in cls.arguments if isinstance(a, Like)]
            cls.likes = sum(a.required for a in likes)
            cls.takes_likes = bool(likes)
        if not cls.__name__.startswith("_"):
            REGISTRY[cls.__name__] = cls

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.asserted: Size | None = self._assertion(named)
        values = self._bind(positional, named)
        axes = self.spatial or 1
        for argument in self.arguments:
            if argument.name in values:
                setattr(self, argument.name, argument.convert(values[argument.name], axes))
            elif isinstance(argument, Like) and argument.required:
                continue  # it flows in
            elif argument.required:
                raise LayerError(
                    f"{self.name()} needs {argument.name}",
                    f"write {self.signature()}",
                    argument=argument.name,
                )
            elif argument.default is None:
                setattr(self, argument.name, None)
            else:
                setattr(self, argument.name, argument.convert(argument.default, axes))
        self.prepare()

    def _bind(self, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        names = [a.name for a in self.arguments]
        most = len(names) if self.positional is None else self.positional
        if len(positional) > most:
            raise self._too_many(positional, most)
        values = dict(zip(names, positional, strict=False))
        for name, value in named.items():
            if name not in names:
                near = closest(name, [*names, self.inferred])
                raise LayerError(
                    f"{self.name()} has no argument {name!r}",
                    f"did you mean {near!r}?" if near else f"write {self.signature()}",
                    argument=name,
                )
            if name in values:
                raise LayerError(f"{self.name()} got {name!r} twice", argument=name)
            values[name] = value
        return values

    def _assertion(self, named: dict[str, Any]) -> Size | None:
        """The inferred argument, taken out of the named ones."""
        if not self.inferred or self.inferred not in named:
            return None
        value = named.pop(self.inferred)
        if not is_whole(value) or (isinstance(value, int) and value < 1):
            raise LayerError(
                f"{self.inferred} must be a whole number of at least 1, not {show(value)}",
                f"leave it away: {self.inferred} is taken from what flows in",
                argument=self.inferred,
            )
        return value  # type: ignore[no-any-return]  # is_whole has looked

    def _too_many(self, positional: tuple[Any, ...], most: int) -> LayerError:
        """More arguments by position than there may be: most likely a pasted torch.nn call."""
        names = [a.name for a in self.arguments]
        count = f"{most} argument{'' if most == 1 else 's'}" if most else "no arguments"
        message = f"{self.name()} takes {'at most ' if most else ''}{count} by position, "
        message += f"not {len(positional)}"
        if not self.inferred:
            return LayerError(message, f"its arguments are {', '.join(names) or 'none'}")
        at = self.inferred_at
        pasted = (*positional[:at], *positional[at + 1 :])
        # The second reading is of a call that is right but for the names it must give.
        for values in (pasted, positional):
            given = dict(zip(names[most:], values[most:], strict=False))
            try:
                write = str(type(self)(*values[:most], **given))
            except LayerError:
                continue
            why = f"{self.inferred} is taken from what flows in; " if values is pasted else ""
            return LayerError(message, f"{why}write {write}")
        return LayerError(
            message, f"{self.inferred} is taken from what flows in; write {self.signature()}"
        )

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @classmethod
    def signature(cls) -> str:
        """The op as its reference shows it: `MaxPool2d(kernel_size, stride=none, …)`."""
        parts = [a.name if a.required else f"{a.name}={a.write(a.default)}" for a in cls.arguments]
        return f"{cls.name()}({', '.join(parts)})" if parts else cls.name()

    def given(self) -> dict[str, Any]:
        """Every argument with its value, in order."""
        return {a.name: getattr(self, a.name, None) for a in self.arguments}

    def __str__(self) -> str:
        """As one would write it: required arguments by position, others where not the default."""
        parts = []
        axes = self.spatial or 1
        for argument in self.arguments:
            value = getattr(self, argument.name, None)
            if isinstance(argument, Like) and argument.required:
                parts.append(argument.name)
            elif argument.required:
                parts.append(argument.write(value))
            else:
                default = argument.default
                if default is not None:
                    default = argument.convert(default, axes)
                if value != default:
                    parts.append(f"{argument.name}={argument.write(value)}")
        return f"{self.name()}({', '.join(parts)})" if parts else self.name()

    __repr__ = __str__

    # ------------------------------------------------------------------ what a layer may define

    def prepare(self) -> None:
        """Checks and derived values that need several arguments; raises LayerError."""

    def check(self, *shapes: Shape) -> None:
        """Whether the ranks of the inputs fit; raises LayerError. Sizes are not looked at."""
        spatial = self.spatial
        if spatial is not None and len(shapes[0]) != spatial + 2:
            raise rank_error(self, shapes[0], (spatial,))

    def output(self, *shapes: Shape) -> Shape:
        """The output's shape."""
        return shapes[0]

    def output_layout(self, *layouts: Layout) -> Layout:
        return layouts[0]

    def conditions(self, *shapes: Shape) -> Sequence[Condition]:
        """What must hold of the sizes. `output` is meaningless where one of them fails."""
        return ()

    def training_conditions(self, *shapes: Shape) -> Sequence[Condition]:
        """What must hold besides where the layer trains: it still runs in evaluation."""
        return ()

    def weights(self, *shapes: Shape) -> Sequence[Tensor]:
        """Learned tensors, in the order of PyTorch's named_parameters()."""
        return ()

    def buffers(self, *shapes: Shape) -> Sequence[Tensor]:
        """Tensors kept but not learned, in the order of PyTorch's named_buffers()."""
        return ()

    def macs(self, output: Shape, *shapes: Shape) -> Size:
        """Multiply-accumulates of convolutions and matrix products; nothing else counts.

        `output` is the output's shape. It is handed in, not computed again, because its sizes may
        bear names by now (h1, w1, …), in which costs stay short.
        """
        return 0

    def windows(self, *shapes: Shape) -> Sequence[Window]:
        """One Window an axis of the input; empty where each output reads its own place alone."""
        return ()

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """What PyTorch allocates and keeps for backward, kernel by kernel; returns the output.

        As it stands here: one kernel, whose backward needs what flows in and makes a gradient for
        each input and parameter. See `convcalc.ops.memory`.
        """
        strides = tape.suggested(inputs[0], tape.output)
        return tape.kernel(tape.output, *inputs, *tape.weights, saves=inputs, strides=strides)

    def warnings(self, *shapes: Shape, layouts: Sequence[Layout] = ()) -> Sequence[tuple[str, str]]:
        """Things worth a second look besides what the windows tell: pairs (code, message).

        layouts: those of the inputs, as `Node.layout` has them.
        """
        return ()

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        """The rules behind its figures, for people. See `convcalc.ops.explanation`.

        As it stands here: nothing; sizes are then derived from the windows, parameters from the
        weights.
        """

    def build(self, nn: Any, *shapes: Shape) -> Any:
        """The PyTorch module; called with shapes of ints.

        `nn` offers torch.nn's classes and, for layers that torch.nn lacks, those of
        convcalc.pytorch.modules. Multi-input modules take the values in order.
        """
        raise NotImplementedError


def rank_name(spatial: int) -> str:
    """The axes of a value of so many spatial ones: `N×C×H×W`."""
    names = ("N×F", "N×C×L", "N×C×H×W", "N×C×D×H×W")
    return names[spatial] if 0 <= spatial < len(names) else f"a value of {spatial + 2} axes"


#: What helps where no spatial axes flow in.
AXES_REMOVED = "a Flatten or Linear before it has removed the axes; put it before them"


def rank_error(op: Op, shape: Shape, spatial: Sequence[int]) -> LayerError:
    """What flows in has the wrong number of axes."""
    want = " or ".join(rank_name(s) for s in spatial)
    have = len(shape) - 2
    help = None
    base, last = op.name()[:-2], op.name()[-2:]
    sibling = f"{base}{have}d"
    if have == 0 and max(spatial) > 0:
        help = AXES_REMOVED
    elif last in ("1d", "2d", "3d") and sibling in REGISTRY:
        help = f"write {sibling}"
    return LayerError(f"{op.name()} takes {want}; what flows in is {rank_name(have)}", help)


def as_asserted(op: Op, channels: Size) -> list[Condition]:
    """The condition behind `in_channels=` and its like, an assertion about what flows in; none
    where it was not given."""
    if op.asserted is None:
        return []
    what = f"{op.name()}: {op.inferred} and the channels that flow in"
    help = f"leave {op.inferred} away: it is taken from what flows in"
    return [Condition("equal", channels, op.asserted, what, help)]


def at_least_one(shape: Shape, what: str) -> list[Condition]:
    """Every size from the third on must be at least 1."""
    return [
        Condition("at_least", size, 1, f"{what}'s output {axis}")
        for size, axis in zip(shape[2:], AXES[len(shape) - 2], strict=True)
    ]


__all__ = [
    "AXES",
    "AXES_REMOVED",
    "GLOBAL",
    "LETTERS",
    "REGISTRY",
    "Condition",
    "Op",
    "Tensor",
    "Window",
    "as_asserted",
    "at_least_one",
    "rank_error",
    "rank_name",
]
