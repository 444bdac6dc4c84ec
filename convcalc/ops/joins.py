"""Where branches meet and part: sum, product, concatenation, a share of the channels."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import Open
from convcalc.ops.arguments import count
from convcalc.ops.base import AXES, Condition, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.integers import Size
    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape


def axis_name(axis: int, rank: int) -> str:
    """The name of an axis of a value of so many axes: "channels", "height", …"""
    if axis < 2:
        return ("batch", "channels")[axis]
    return AXES[rank - 2][axis - 2] if rank - 2 in AXES else f"axis {axis}"


def resolve_axis(op: Op, argument: str, rank: int) -> int:
    """The axis that an argument names, counted from the front, for a value of so many axes."""
    given: int = getattr(op, argument)
    number = given + rank if given < 0 else given
    if not 0 < number < rank:
        raise LayerError(
            f"{argument} {given} is no axis of what flows in: {rank} axes with the batch",
            f"1 is the channels, {rank - 1} or -1 the last",
            argument=argument,
        )
    return number


def show_shape(shape: Shape) -> str:
    """A shape without its batch: `64×56×56`; sizes that are open show as ?."""
    return "×".join("?" if isinstance(s, Open) else str(s) for s in shape[1:])


class _Join(Op):
    """Several values in, one out."""

    inputs = 0

    def check(self, *shapes: Shape) -> None:
        first = shapes[0]
        for shape in shapes[1:]:
            if len(shape) != len(first):
                raise LayerError(
                    f"{self.name()} joins values of unequal rank: "
                    f"{show_shape(first)} and {show_shape(shape)}"
                )

    def _equal_sizes(self, *shapes: Shape, but: int = 0) -> list[Condition]:
        """All values have the same sizes, but for the batch and perhaps another axis."""
        first = shapes[0]
        return [
            Condition(
                "equal", first[axis], shape[axis], f"{self.name()}: {axis_name(axis, len(first))}"
            )
            for shape in shapes[1:]
            for axis in range(1, len(first))
            if axis != but
        ]

    def output_layout(self, *layouts: Layout) -> Layout:
        if len(set(layouts)) > 1:
            raise LayerError(f"{self.name()} joins tokens with a value that has channels first")
        return layouts[0]


class Add(_Join):
    """The sum of values of equal shape; nothing broadcasts. What `add:` and `residual:` make."""

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return self._equal_sizes(*shapes)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        total = inputs[0]
        for value in inputs[1:]:
            before, total = total, tape.add(total, value)
            tape.drop(before)
        return total

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Add()


class Mul(_Join):
    """The elementwise product. A branch of size 1 along every spatial axis is a gate (N×C×1×1).

    The shape is that of the first branch that is no gate. What `mul:` makes.
    """

    def output(self, *shapes: Shape) -> Shape:
        for shape in shapes:
            if not self._is_gate(shape):
                return shape
        return shapes[0]

    @staticmethod
    def _is_gate(shape: Shape) -> bool:
        # Structural: an adaptive pool gives the int 1, whatever the input's size.
        return len(shape) > 2 and all(isinstance(s, int) and s == 1 for s in shape[2:])

    def conditions(self, *shapes: Shape) -> list[Condition]:
        full = self.output(*shapes)
        conditions = []
        for shape in shapes:
            axes = range(1, 2) if self._is_gate(shape) else range(1, len(full))
            conditions += [
                Condition("equal", full[axis], shape[axis], f"Mul: {axis_name(axis, len(full))}")
                for axis in axes
                if full is not shape
            ]
        return conditions

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        result = inputs[0]
        for value in inputs[1:]:
            before, result = result, tape.multiply(result, value)
            tape.drop(before)
        return result

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Mul()


class Concat(_Join):
    """Values one after another along an axis (1: the channels); all other sizes are equal.

    What `concat:` makes. Source: torch.cat.
    """

    dim = count(1, minimum=1, doc="the axis, counted from the batch (0)")

    def check(self, *shapes: Shape) -> None:
        super().check(*shapes)
        if self.dim >= len(shapes[0]):
            raise LayerError(
                f"dim {self.dim} is past the last axis of {show_shape(shapes[0])}",
                "1 is the channels, 2 the first spatial axis",
                argument="dim",
            )

    def output(self, *shapes: Shape) -> Shape:
        total: Size = 0
        for shape in shapes:
            total = total + shape[self.dim]
        return (*shapes[0][: self.dim], total, *shapes[0][self.dim + 1 :])

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return self._equal_sizes(*shapes, but=self.dim)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.concatenate(inputs, tape.output)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        values = {f"branch {i}": shape[self.dim] for i, shape in enumerate(shapes, 1)}
        told.size(self.dim, " + ".join(f"{{{name}}}" for name in values), values)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Concat(self.dim)


class Split(Op):
    """A share of the channels: `size` of them from `start` on. `split:` makes one a branch."""

    layout = "channels"

    start = count(minimum=0)
    size = count()

    def output(self, *shapes: Shape) -> Shape:
        n, _, *rest = shapes[0]
        return (n, self.size, *rest)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return [Condition("at_least", shapes[0][1], self.start + self.size, "Split: the channels")]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.narrow(inputs[0], 1, self.size)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Split(self.start, self.size)
