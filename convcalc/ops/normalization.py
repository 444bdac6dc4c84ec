"""Normalisation: batch, layer, group, instance, root mean square, local response.

Statistics over whole maps (group and instance normalisation) do not count in receptive fields.
"""

from __future__ import annotations

from convcalc.errors import LayerError
from convcalc.integers import Size, product
from convcalc.ops import strides as lay
from convcalc.ops.arguments import count, flag, real
from convcalc.ops.base import Condition, Op, Tensor, as_asserted, rank_error
from convcalc.ops.memory import FLOAT32, OUTPUT, SAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from convcalc.ops.base import Layout, Shape
    from convcalc.ops.memory import Stored, Tape

EPS_DOC = "added to the variance"
BIAS_DOC = "with affine, learn a shift too"


def _affine(size: Size, *, bias: bool = True) -> list[Tensor]:
    """A factor and, with bias, a shift for each of so many channels or features."""
    shape = (size,)
    weight = Tensor("weight", shape)
    return [weight, Tensor("bias", shape)] if bias else [weight]


def _without_bias(module: Any) -> Any:
    """The module without its shift: torch.nn's own argument for it is newer than what we take."""
    module.register_parameter("bias", None)
    return module


def normalised(
    tape: Tape, x: Stored, statistics: Shape, weights: Sequence[Stored], *, copies: bool = False
) -> Stored:
    """A kernel that keeps its input and two statistics: the mean, and one over the deviation.

    copies: backward copies a gradient that does not lie as the output does.
    """
    mean = tape.new(statistics, "mean", width=tape.statistics)
    deviation = tape.new(statistics, "deviation", width=tape.statistics)
    strides = tape.suggested(x, x.shape) if copies else lay.as_maps(x.shape, x.strides)
    out = tape.kernel(
        x.shape,
        x,
        *weights,
        saves=[x, mean, deviation],
        strides=strides,
        contiguous=strides is None,
        copies=copies,
    )
    tape.drop(mean, deviation)
    return out


class _RunningNorm(Op):
    """What batch and instance normalisation share: they may keep statistics between batches."""

    layout = "channels"
    positional = 0
    inferred = "num_features"

    eps = real(1e-5, low=0, doc=EPS_DOC)
    momentum = real(
        0.1, optional=True, doc="the newest batch's share in the statistics; none: their mean"
    )

    affine: Any
    track_running_stats: Any
    bias: Any

    def conditions(self, *shapes: Shape) -> Sequence[Condition]:
        return as_asserted(self, shapes[0][1])

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return _affine(shapes[0][1], bias=self.bias) if self.affine else []

    def buffers(self, *shapes: Shape) -> list[Tensor]:
        if not self.track_running_stats:
            return []
        channels = (shapes[0][1],)
        return [
            Tensor("running_mean", channels),
            Tensor("running_var", channels),
            Tensor("num_batches_tracked", (), "int64"),
        ]

    def build(self, nn: Any, *shapes: Shape) -> Any:
        module = getattr(nn, self.name())(
            shapes[0][1], self.eps, self.momentum, self.affine, self.track_running_stats
        )
        return module if self.bias else _without_bias(module)


class _BatchNorm(_RunningNorm):
    """What the three batch normalisations share."""

    affine = flag(True, doc="learn a factor and, with bias, a shift a channel")
    track_running_stats = flag(True, doc="keep the statistics that evaluation uses")
    bias = flag(True, doc=BIAS_DOC)

    def prepare(self) -> None:
        if self.eps == 0:
            raise LayerError(
                "eps must be more than 0",
                "PyTorch refuses to train with 0: a constant channel would be divided by it",
                argument="eps",
            )

    def conditions(self, *shapes: Shape) -> Sequence[Condition]:
        conditions = super().conditions(*shapes)
        if self.track_running_stats:
            return conditions
        # Without statistics of its own it takes those of the batch, in evaluation too.
        help = "a larger batch, or track_running_stats=true"
        return [*conditions, self._several_values(shapes[0], help)]

    def training_conditions(self, *shapes: Shape) -> list[Condition]:
        help = "one value has no variance; a larger batch, or a larger map"
        return [self._several_values(shapes[0], help)]

    def _several_values(self, shape: Shape, help: str) -> Condition:
        """Source: torch/nn/functional.py, _verify_batch_size."""
        n, _, *spatial = shape
        what = f"{self.name()}: the values of a channel over the batch"
        return Condition("at_least", n * product(spatial), 2, what, help)

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        if self.track_running_stats and not tape.training:
            return tape.pointwise(x)
        return normalised(tape, x, (x.shape[1],), tape.weights)

    def warnings(self, *shapes: Shape, layouts: Sequence[Layout] = ()) -> list[tuple[str, str]]:
        n, _, *spatial = shapes[0]
        values = n * product(spatial)
        if not isinstance(values, int) or values != 1:
            return []
        message = (
            f"{self.name()} cannot train at this size: a batch of {n} gives each channel "
            "one value, which has no variance; PyTorch raises an error"
        )
        return [("one-value-a-channel", message)]


class BatchNorm1d(_BatchNorm):
    """Each channel normalised over the batch (and the length); N×F and N×C×L.

    Source: Ioffe & Szegedy, ICML 2015; torch/nn/modules/batchnorm.py.
    """

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) not in (2, 3):
            raise rank_error(self, shapes[0], (0, 1))


class BatchNorm2d(_BatchNorm):
    """Each channel of N×C×H×W normalised over the batch, height and width.

    Source: Ioffe & Szegedy, ICML 2015; torch/nn/modules/batchnorm.py.
    """

    spatial = 2


class BatchNorm3d(_BatchNorm):
    """Each channel of N×C×D×H×W normalised over the batch, depth, height and width.

    Source: torch/nn/modules/batchnorm.py.
    """

    spatial = 3


class _InstanceNorm(_RunningNorm):
    """What the three instance normalisations share."""

    fixed = "it normalises by statistics of the whole map"

    affine = flag(False, doc="learn a factor and, with bias, a shift a channel")
    track_running_stats = flag(False, doc="keep the statistics, for evaluation to use")
    bias = flag(True, doc=BIAS_DOC)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        # torch/nn/functional.py, _verify_spatial_size. With track_running_stats PyTorch asks for it
        # in training alone; here always, for such a layer cannot be trained.
        places = Condition(
            "at_least", product(shapes[0][2:]), 2, f"{self.name()}: the places of a channel"
        )
        return [*super().conditions(*shapes), places]

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """A batch normalisation of N·C channels. Source: aten/src/ATen/native/Normalization.cpp."""
        x = tape.contiguous(inputs[0])
        channels = (x.shape[0] * x.shape[1],)
        repeats = [tape.kernel(channels, w, name="repeated weight") for w in tape.weights]
        running = [tape.new(channels, "statistics") for _ in range(2 * self.track_running_stats)]
        if running and not tape.training:
            return tape.kernel(x.shape, x, *repeats)
        mean = tape.new(channels, "mean", width=tape.statistics)
        deviation = tape.new(channels, "deviation", width=tape.statistics)
        saves = [x, *repeats[:1], *running, mean, deviation]
        out = tape.kernel(x.shape, x, *repeats, saves=saves)
        tape.drop(mean, deviation)
        if running:  # each statistic is averaged over the batch
            tape.drop(tape.new((x.shape[1],), "average"))
        return tape.reshape(out, x.shape)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample of N×C×L normalised over its length.

    Source: Ulyanov et al., 2016, arXiv:1607.08022; torch/nn/modules/instancenorm.py.
    """

    spatial = 1


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample of N×C×H×W normalised over height and width.

    Source: Ulyanov et al., 2016, arXiv:1607.08022; torch/nn/modules/instancenorm.py.
    """

    spatial = 2


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each sample of N×C×D×H×W normalised over depth, height and width.

    Source: torch/nn/modules/instancenorm.py.
    """

    spatial = 3


class GroupNorm(Op):
    """Each group of channels of each sample normalised together; N×C or N×C×….

    Source: Wu & He, ECCV 2018; torch/nn/modules/normalization.py.
    """

    layout = "channels"
    positional = 1
    inferred = "num_channels"
    inferred_at = 1
    fixed = "it normalises by statistics of the whole map"

    num_groups = count(doc="divides the channels")
    eps = real(1e-5, low=0, doc=EPS_DOC)
    affine = flag(True, doc="learn a factor and, with bias, a shift a channel")
    bias = flag(True, doc=BIAS_DOC)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        n, channels, *spatial = shapes[0]
        conditions = [
            Condition("divisible", channels, self.num_groups, f"{self.name()}: the channels"),
            # torch/nn/functional.py, group_norm: _verify_batch_size
            Condition(
                "at_least",
                n * channels // self.num_groups * product(spatial),
                2,
                f"{self.name()}: the values of a group over the batch",
            ),
        ]
        return [*conditions, *as_asserted(self, channels)]

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return _affine(shapes[0][1], bias=self.bias) if self.affine else []

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        # aten/src/ATen/native/group_norm.cpp: what has gaps is copied, and the copy is kept
        wanted = tape.suggested(x, x.shape)
        if not lay.alike(x.shape, x.strides, wanted):
            x = tape.kernel(x.shape, x, makes=[SAME], strides=wanted)
        statistics = (x.shape[0], self.num_groups)
        return normalised(tape, x, statistics, tape.weights, copies=True)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        module = nn.GroupNorm(self.num_groups, shapes[0][1], self.eps, self.affine)
        return module if self.bias else _without_bias(module)


class _FeatureNorm(Op):
    """What layer and root mean square normalisation share: they work on the last axis."""

    layout = "features"
    positional = 0
    inferred = "normalized_shape"

    def _assertion(self, named: dict[str, Any]) -> Size | None:
        shape = named.get(self.inferred)
        if isinstance(shape, (list, tuple)):
            if len(shape) != 1:
                raise LayerError(
                    f"{self.name()} normalises over the last axis alone",
                    f"leave {self.inferred} away: it is taken from what flows in",
                    argument=self.inferred,
                )
            named[self.inferred] = shape[0]
        return super()._assertion(named)

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) not in (2, 3):
            raise rank_error(self, shapes[0], (0,))

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return as_asserted(self, shapes[0][-1])


def layer_normalised(tape: Tape, x: Stored) -> Stored:
    """torch.nn.LayerNorm over the last axis: two statistics a row; output and gradient lie row
    after row. Source: aten/src/ATen/native/layer_norm.cpp.
    """
    mean = tape.new(x.shape[:-1], "mean", width=tape.statistics)
    deviation = tape.new(x.shape[:-1], "deviation", width=tape.statistics)
    out = tape.kernel(x.shape, x, *tape.weights, saves=[x, mean, deviation], contiguous=True)
    tape.drop(mean, deviation)
    return out


class LayerNorm(_FeatureNorm):
    """The features of each token of N×L×E, or of each sample of N×F, normalised.

    PyTorch takes other ranks and several axes too; here they are refused: on N×C×H×W the weights
    would depend on the width of the image. LayerNorm2d normalises over channels.
    Source: Ba et al., 2016, arXiv:1607.06450; torch/nn/modules/normalization.py.
    """

    eps = real(1e-5, low=0, doc=EPS_DOC)
    elementwise_affine = flag(True, doc="learn a factor and, with bias, a shift a feature")
    bias = flag(True)

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return _affine(shapes[0][-1], bias=self.bias) if self.elementwise_affine else []

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        return layer_normalised(tape, inputs[0])

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.LayerNorm(shapes[0][-1], self.eps, self.elementwise_affine, self.bias)


class RMSNorm(_FeatureNorm):
    """The features of each token of N×L×E, or of each sample of N×F, over their root mean square.

    Other ranks are refused, as LayerNorm does.
    Source: Zhang & Sennrich, NeurIPS 2019; torch/nn/modules/normalization.py.
    """

    eps = real(None, low=0, doc="added to the mean square; none: the dtype's machine epsilon")
    elementwise_affine = flag(True, doc="learn a factor a feature")

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return _affine(shapes[0][-1], bias=False) if self.elementwise_affine else []

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = inputs[0]
        rows = (*x.shape[:-1], 1)
        if tape.cuda:  # one fused kernel
            scale = tape.new(rows, "scale", width=tape.statistics)
            return tape.kernel(x.shape, x, *tape.weights, saves=[x, scale])
        # aten/src/ATen/native/layer_norm.cpp, rms_norm_composite: x · rsqrt(mean(x²) + eps)
        x = tape.cast(x, max(tape.width, FLOAT32))
        squares = tape.power(x)
        mean = tape.mean(squares, rows)
        scale = tape.pointwise(mean, saves=[OUTPUT], scratch=2)
        tape.drop(squares, mean)
        out = tape.multiply(x, scale)
        for weight in tape.weights:
            out, scaled = tape.multiply(out, weight), out
            tape.drop(scaled)
        tape.drop(x)
        narrow = tape.cast(out, tape.width)
        tape.drop(out, unless=narrow)
        result = tape.contiguous(narrow)
        tape.drop(narrow, unless=result)
        return result

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.RMSNorm(shapes[0][-1], self.eps, self.elementwise_affine)


class LayerNorm2d(Op):
    """The channels at each place of N×C×H×W normalised, as ConvNeXt does.

    Source: Liu et al., CVPR 2022; torchvision/models/convnext.py, LayerNorm2d.
    """

    layout = "channels"
    spatial = 2
    positional = 0
    inferred = "normalized_shape"

    eps = real(1e-5, low=0, doc=EPS_DOC)
    elementwise_affine = flag(True, doc="learn a factor and, with bias, a shift a channel")
    bias = flag(True)

    def conditions(self, *shapes: Shape) -> list[Condition]:
        return as_asserted(self, shapes[0][1])

    def weights(self, *shapes: Shape) -> list[Tensor]:
        return _affine(shapes[0][1], bias=self.bias) if self.elementwise_affine else []

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        x = layer_normalised(tape, tape.permute(inputs[0], (0, 2, 3, 1)))
        return tape.permute(x, (0, 3, 1, 2))

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.LayerNorm2d(shapes[0][1], self.eps, self.elementwise_affine, self.bias)


class LocalResponseNorm(Op):
    """Each value divided by a sum of squares over `size` neighbouring channels; N×C×….

    Source: Krizhevsky et al., NeurIPS 2012; torch/nn/modules/normalization.py.
    """

    layout = "channels"

    size = count(doc="how many channels are summed over")
    alpha = real(1e-4)
    beta = real(0.75)
    k = real(1.0)

    def check(self, *shapes: Shape) -> None:
        if len(shapes[0]) < 3:
            raise rank_error(self, shapes[0], (1, 2, 3))

    def memory(self, tape: Tape, *inputs: Stored) -> Stored:
        """torch/nn/functional.py, local_response_norm: x / (k + alpha · pooled squares)^beta."""
        x = inputs[0]
        n, channels, *spatial = x.shape
        squares = tape.multiply(x, x)
        padded = tape.padded(squares, (n, channels + self.size - 1, *spatial))
        tape.drop(squares)
        pooled = tape.kernel(x.shape, padded, saves=[padded])
        tape.drop(padded)
        scaled = tape.scaled(pooled)
        shifted = tape.shifted(scaled)
        tape.drop(scaled)
        power = tape.power(shifted)
        tape.drop(shifted, pooled)
        return tape.divide(x, power)

    def build(self, nn: Any, *shapes: Shape) -> Any:
        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k)
