"""What a network needs in memory, weights and all, for the search of the largest batch or input."""

from __future__ import annotations

from convcalc.analysis.summary import DTYPE_BYTES, Summary
from convcalc.graph import flow
from convcalc.integers import product, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.analysis.fit import Fit
    from convcalc.graph import Flow
    from convcalc.integers import Size


class MemoryQuestion:
    """Bytes of parameters, buffers, and of the peak above them.

    training: of a step of training; else of a forward pass. figure: what is asked, in words.
    untrainable: why there was no training at the last size that has none.
    """

    def __init__(
        self,
        training: bool,
        dtype: str,
        device: str,
        optimizer: str,
        foreach: bool | None,
        weight_decay: bool,
    ) -> None:
        self.training = training
        self.dtype = dtype
        self.device = device
        self.optimizer = optimizer
        self.foreach = foreach
        self.weight_decay = weight_decay
        self.untrainable: str | None = None
        what = "training" if training else "inference"
        step = f" with {optimizer}" if training and optimizer != "none" else ""
        self.figure = f"memory of {what}{step}"

    def _summary(self, sizes: Flow) -> Summary:
        return Summary(
            sizes,
            self.dtype,
            device=self.device,
            optimizer=self.optimizer,
            foreach=self.foreach,
            weight_decay=self.weight_decay,
        )

    def measure(self, sizes: Flow) -> int:
        """At numbers; 0 where a layer cannot train, as BatchNorm of one value."""
        summary = self._summary(sizes)
        weights = summary.totals.weights_bytes + self._aux_weights(summary)
        course = summary.training if self.training else summary.inference
        if course is None:
            self.untrainable = summary.no_training_peak
            return 0
        assert isinstance(weights, int)  # as are all sizes
        return weights + course.peak

    @staticmethod
    def _aux_weights(summary: Summary) -> Size:
        """Training-only outputs are in the module, too."""
        return total(layer.weights_bytes for layer in summary.layers if layer.aux)

    def floor(self, fit: Fit) -> Size:
        """A formula that `measure` is never below.

        What is kept for backward lives when forward is done. In inference a layer that allocates
        its output does so while its inputs live; of these layers the one that takes most at the
        design's own size.
        """
        summary = self._summary(fit.flow)
        weights = summary.totals.weights_bytes + self._aux_weights(summary)
        if self.training:
            return weights + summary.memory.saved_in_general
        return weights + self._at_the_peak(fit.flow)

    def _at_the_peak(self, opened: Flow) -> Size:
        """Input and output of the layer where inference peaks at the design's own size."""
        if opened.graph.free:
            return 0
        own = flow(opened.graph)
        course = self._summary(own).inference
        assert course is not None  # every size is a number
        node = course.node
        if node is None:
            return 0
        width = DTYPE_BYTES[self.dtype]
        at = next(i for i, moment in enumerate(course.moments) if moment.node is node)
        rises = course.moments[at].peak - course.moments[at - 1].after
        if rises < product(own.shapes[node.index]) * width:  # a view, or in place
            return 0
        largest = max(node.inputs, key=lambda i: product(own.shapes[i]))
        shapes = opened.shapes
        return (product(shapes[largest]) + product(shapes[node.index])) * width
