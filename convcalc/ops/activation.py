"""Activations: what acts on each value by itself, gates, and softmax."""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.ops import strides as lay
from convcalc.ops.arguments import axis, choice, count, flag, real
from convcalc.ops.base import GLOBAL, Condition, Op, Tensor, Window
from convcalc.ops.joins import axis_name, resolve_axis
from convcalc.ops.memory import FULL, OUTPUT, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Literal

    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.explanation import Explanation
    from convcalc.ops.memory import Stored, Tape

INPLACE_DOC = "overwrite what flows in"


def falling_in_place(op: Op, argument: str) -> str:
    """Why an activation that falls below 0 has no backward in place; empty where it has one.

    From the result alone nobody knows on which side of 0 the input was.
    Source: aten/src/ATen/native/Activation.cpp, leaky_relu_backward, elu_backward.
    """
    values = op.given()
    if not values["inplace"] or values[argument] >= 0:
        return ""
    return (
        f"in place, {argument} must be at least 0, not {values[argument]:g} (leave inplace away: "
        "of the result alone PyTorch cannot tell the gradient)"
    )


class _Activation(Op):
    """What activations share: the shape stays, and each value is by itself. Any shape."""

    #: What backward needs: the input (a copy of it where it is overwritten), the output, or either
    #: (the input, where it is not overwritten).
    keeps: ClassVar[Literal["input", "output", "either"]] = "input"
    #: Whether the gradient lies as these do, not as the incoming one: by the order in which the
    #: backward kernel has its operands.
    leads: ClassVar[bool] = False
    #: Whether the output is made like the input before the kernel runs: aten, hardtanh, prelu.
    as_input: ClassVar[bool] = False
    inplace: Any = False

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.keeps == "output" or (self.keeps == "either" and self.inplace):
            return tape.pointwise(x, saves=[OUTPUT], inplace=self.inplace, leads=self.leads)
        if not (self.inplace and tape.learns(x)):
            return tape.pointwise(
                x, saves=[x], inplace=self.inplace, leads=self.leads, as_x=self.as_input
            )
        copy = tape.new(x.shape, "copy of the input")
        return tape.pointwise(x, saves=[copy], inplace=True, leads=self.leads)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(**self.given())


class Identity(_Activation):
    """What flows in; any shape. Source: torch/nn/modules/linear.py."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return inputs[0]


class ReLU(_Activation):
    """max(0, x); any shape. Source: torch/nn/modules/activation.py."""

    keeps = "output"
    leads = True

    inplace = flag(False, doc=INPLACE_DOC)


class ReLU6(_Activation):
    """min(max(0, x), 6); any shape. Source: torch/nn/modules/activation.py."""

    as_input = True

    inplace = flag(False, doc=INPLACE_DOC)


class LeakyReLU(_Activation):
    """x where positive, else negative_slope · x; any shape.

    Source: torch/nn/modules/activation.py.
    """

    keeps = "either"
    leads = True

    negative_slope = real(0.01, doc="below 0 it does not train in place")
    inplace = flag(False, doc=INPLACE_DOC)

    def prepare(self) -> None:
        self.no_backward = falling_in_place(self, "negative_slope")


class PReLU(_Activation):
    """x where positive, else a · x with a learned a: one for all, or one a channel; any shape.

    Source: He et al., ICCV 2015; torch/nn/modules/activation.py.
    """

    num_parameters = count(1, doc="1, or the number of channels")
    init = real(0.25, doc="where a starts")

    def conditions(self, *shapes: Shape) -> list[Condition]:
        if self.num_parameters == 1:
            return []
        return [
            Condition(
                "equal",
                shapes[0][1],
                self.num_parameters,
                "PReLU: the channels and num_parameters",
                "write PReLU(input.channels), or PReLU for one slope for all",
            )
        ]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return [Tensor("weight", (self.num_parameters,))]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x, weight = inputs[0], tape.weights[0]
        weight = tape.reshape(weight, (1, *weight.shape, *[1] * (len(x.shape) - 2)))
        # Source: aten/src/ATen/native/Activation.cpp, _prelu_kernel_backward
        # computes both gradients in x's size, whichever is needed
        extra = x.bytes * (2 - x.needs - weight.needs)
        strides = lay.preserved(x.shape, x.strides)
        return tape.kernel(
            x.shape, x, weight, saves=[x], makes=[FULL, FULL], extra=extra, strides=strides
        )


class RReLU(_Activation):
    """x where positive, else a · x, a drawn from lower to upper; any shape. Evaluation: their mean.

    Source: Xu et al., 2015, arXiv:1505.00853; torch/nn/modules/activation.py.
    """

    lower = real(1 / 8)
    upper = real(1 / 3)
    inplace = flag(False, doc=INPLACE_DOC)

    def prepare(self) -> None:
        _in_order(self, "lower", "upper", equal=True)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        noise = tape.new(x.shape, "noise")
        if not tape.training:
            return tape.pointwise(x, inplace=self.inplace)
        # Output, noise and gradient are contiguous: aten/src/ATen/native/Activation.cpp.
        saves = [noise, OUTPUT if self.inplace else x]
        inplace = x if self.inplace else None
        return tape.kernel(x.shape, x, saves=saves, contiguous=True, inplace=inplace)


def _in_order(op: Op, low: str, high: str, *, equal: bool) -> None:
    values = op.given()
    if values[low] > values[high] or (values[low] == values[high] and not equal):
        most = "no more" if equal else "less"
        raise LayerError(
            f"{low} must be {most} than {high}: {values[low]:g} and {values[high]:g}", argument=low
        )


class ELU(_Activation):
    """x where positive, else alpha · (eˣ − 1); any shape.

    Source: torch/nn/modules/activation.py.
    """

    keeps = "either"

    alpha = real(1.0, doc="below 0 it does not train in place")
    inplace = flag(False, doc=INPLACE_DOC)

    def prepare(self) -> None:
        self.no_backward = falling_in_place(self, "alpha")


class SELU(_Activation):
    """ELU scaled so that activations normalise themselves; any shape.

    Source: Klambauer et al., NeurIPS 2017; torch/nn/modules/activation.py.
    """

    keeps = "either"

    inplace = flag(False, doc=INPLACE_DOC)


class CELU(_Activation):
    """x where positive, else alpha · (e^(x/alpha) − 1); any shape.

    Source: torch/nn/modules/activation.py.
    """

    keeps = "either"

    alpha = real(1.0, doc="not 0; below 0 it does not train in place")
    inplace = flag(False, doc=INPLACE_DOC)

    def prepare(self) -> None:
        if self.alpha == 0:
            raise LayerError("alpha must not be 0: it divides", argument="alpha")
        self.no_backward = falling_in_place(self, "alpha")


class GELU(_Activation):
    """x · Φ(x), Φ the normal distribution; any shape.

    Source: Hendrycks & Gimpel, 2016, arXiv:1606.08415; torch/nn/modules/activation.py.
    """

    approximate = choice("none", "tanh", default="none", doc="tanh: a cheaper formula")


class SiLU(_Activation):
    """x · sigmoid(x), also called swish; any shape. Source: torch/nn/modules/activation.py."""

    inplace = flag(False, doc=INPLACE_DOC)


class Mish(_Activation):
    """x · tanh(softplus(x)); any shape. Source: torch/nn/modules/activation.py."""

    inplace = flag(False, doc=INPLACE_DOC)


class Softplus(_Activation):
    """log(1 + e^(beta · x))/beta; x itself above the threshold; any shape.

    Source: torch/nn/modules/activation.py.
    """

    beta = real(1.0)
    threshold = real(20.0)


class Softsign(_Activation):
    """x/(1 + |x|); any shape. Source: torch/nn/modules/activation.py."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        size = tape.absolute(inputs[0])
        below = tape.shifted(size)
        tape.drop(size)
        return tape.divide(inputs[0], below)


class Sigmoid(_Activation):
    """1/(1 + e^−x); any shape. Source: torch/nn/modules/activation.py."""

    keeps = "output"


class LogSigmoid(_Activation):
    """log(sigmoid(x)); any shape. Source: torch/nn/modules/activation.py."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if tape.cuda:
            return tape.pointwise(x, saves=[x])
        saves = [x, tape.new(x.shape, "exponentials")]
        return tape.kernel(x.shape, x, saves=saves, makes=[times(shape=x.shape)])


class Tanh(_Activation):
    """The hyperbolic tangent; any shape. Source: torch/nn/modules/activation.py."""

    keeps = "output"


class Tanhshrink(_Activation):
    """x − tanh(x); any shape. Source: torch/nn/modules/activation.py."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return tape.subtract(inputs[0], tape.pointwise(inputs[0], saves=[OUTPUT]))


class Softshrink(_Activation):
    """x drawn towards 0 by lambd, 0 within ±lambd; any shape.

    Source: torch/nn/modules/activation.py.
    """

    lambd = real(0.5, low=0)


class Hardshrink(_Activation):
    """x, but 0 within ±lambd; any shape. Source: torch/nn/modules/activation.py."""

    lambd = real(0.5)


class Hardtanh(_Activation):
    """x cut off below min_val and above max_val; any shape.

    Source: torch/nn/modules/activation.py.
    """

    as_input = True

    min_val = real(-1.0)
    max_val = real(1.0)
    inplace = flag(False, doc=INPLACE_DOC)

    def prepare(self) -> None:
        _in_order(self, "min_val", "max_val", equal=False)


class Hardsigmoid(_Activation):
    """min(max(0, x + 3), 6)/6; any shape.

    Source: Howard et al., ICCV 2019; torch/nn/modules/activation.py.
    """

    inplace = flag(False, doc=INPLACE_DOC)


class Hardswish(_Activation):
    """x · hardsigmoid(x); any shape.

    Source: Howard et al., ICCV 2019; torch/nn/modules/activation.py.
    """

    inplace = flag(False, doc=INPLACE_DOC)


class Threshold(_Activation):
    """x where above the threshold, else `value`; any shape.

    Source: torch/nn/modules/activation.py.
    """

    leads = True

    threshold = real()
    value = real()
    inplace = flag(False, doc=INPLACE_DOC)


def _not_across_tokens(op: Op, layout: Layout) -> Layout:
    """Axis 1 is the channels, but of tokens it is their number."""
    if layout == "tokens" and resolve_axis(op, "dim", 3) == 1:
        raise LayerError(
            f"{op.name()}: axis 1 of tokens is their number, not their features",
            f"write {op.name()}(dim=-1)",
            argument="dim",
        )
    return layout


class GLU(Op):
    """a · sigmoid(b), a and b the halves along an axis: dim=1 halves the channels.

    Halving the batch (dim=0), or the number of tokens, is refused; PyTorch does it.
    Source: Dauphin et al., ICML 2017; torch/nn/modules/activation.py.
    """

    dim = axis(-1, doc="the axis that is halved")

    def check(self, *shapes: Shape) -> None:
        resolve_axis(self, "dim", len(shapes[0]))

    def output_layout(self, *layouts: Layout) -> Layout:
        return _not_across_tokens(self, layouts[0])

    def output(self, *shapes: Shape) -> Shape:
        shape = shapes[0]
        at = resolve_axis(self, "dim", len(shape))
        return (*shape[:at], shape[at] // 2, *shape[at + 1 :])

    def conditions(self, *shapes: Shape) -> list[Condition]:
        shape = shapes[0]
        at = resolve_axis(self, "dim", len(shape))
        return [Condition("divisible", shape[at], 2, f"GLU: the {axis_name(at, len(shape))}")]

    def windows(self, *shapes: Shape) -> list[Window]:
        """Along a spatial axis row j goes with row j + W/2."""
        shape = shapes[0]
        at = resolve_axis(self, "dim", len(shape))
        if at < 2 or len(shape) < 4:
            return []
        return [
            Window(2, dilation=size // 2) if number == at else Window(1)
            for number, size in enumerate(shape[2:], 2)
        ]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        half = lay.narrowed(x.shape, x.strides, tape.output)
        strides = lay.pointwise(tape.output, [(tape.output, half)] * 2)
        return tape.kernel(tape.output, x, saves=[x], strides=strides, contiguous=True)

    def explain(self, told: Explanation, output: Shape, *shapes: Shape) -> None:
        at = resolve_axis(self, "dim", len(shapes[0]))
        told.size(at, f"{{{told.axes[at - 1]}}}/2")

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.GLU(self.dim)


def softmax(tape: Tape, x: Stored) -> Stored:
    """Output and gradient are contiguous. Source: aten/src/ATen/native/SoftMax.cpp."""
    return tape.kernel(x.shape, x, saves=[OUTPUT], contiguous=True)


class _Softmax(Op):
    """What the softmaxes along an axis share: the values along it add to 1."""

    dim = axis(1, doc="the axis; 1: the channels, -1: the features of tokens")

    def check(self, *shapes: Shape) -> None:
        resolve_axis(self, "dim", len(shapes[0]))

    def output_layout(self, *layouts: Layout) -> Layout:
        return _not_across_tokens(self, layouts[0])

    def windows(self, *shapes: Shape) -> list[Window]:
        rank = len(shapes[0])
        at = resolve_axis(self, "dim", rank)
        if at < 2 or rank < 4:
            return []
        return [GLOBAL if number == at else Window(1) for number in range(2, rank)]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return softmax(tape, inputs[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return getattr(nn, self.name())(self.dim)


class Softmax(_Softmax):
    """eˣ over its sum along an axis.

    PyTorch has no default for dim; over N×F and maps it falls back to 1, as here. Across the batch
    (dim=0) and across tokens, which PyTorch takes, it is refused.
    Source: torch/nn/modules/activation.py.
    """


class LogSoftmax(_Softmax):
    """The logarithm of Softmax. Source: torch/nn/modules/activation.py."""


class Softmin(_Softmax):
    """Softmax of −x. Source: torch/nn/modules/activation.py."""

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return softmax(tape, tape.scaled(inputs[0]))


class Softmax2d(Op):
    """Softmax over the channels of each place of N×C×H×W.

    Source: torch/nn/modules/activation.py.
    """

    layout = "channels"
    spatial = 2

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return softmax(tape, inputs[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.Softmax2d()
