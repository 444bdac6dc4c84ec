"""A network's memory in a few lines: what each figure counts, and where a pass peaks."""

from __future__ import annotations

from convcalc.analysis.summary import DTYPE_BYTES
from convcalc.report import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcalc.analysis.memory import Course
    from convcalc.analysis.summary import Summary

#: Figure, bytes (None: `about` says why there are none), what it counts.
Line = tuple[str, int | None, str]


def title(summary: Summary) -> str:
    device = "a GPU" if summary.device.startswith("cuda") else "the CPU"
    return f"Memory of eager PyTorch on {device}; all below the weights comes on top of them:"


def lines(summary: Summary) -> Iterator[Line]:
    """Every figure, where every size is a number; nothing where one is open."""
    totals = summary.totals
    if summary.no_peak is not None:
        return
    weights, volumes, allocated, saved, gradients = (
        _number(size)
        for size in (
            totals.weights_bytes,
            totals.volumes,
            totals.allocated_bytes,
            totals.saved_bytes,
            totals.gradients_bytes,
        )
    )
    yield "weights", weights, "parameters and buffers"
    values = f"{numbers.count(volumes)} values: input and outputs, in place where that is possible"
    yield "volumes", volumes * DTYPE_BYTES[summary.dtype], values
    yield "allocated", allocated, "new in forward: no view, nothing in place"
    aux = "; training-only outputs too" if summary.aux_outputs else ""
    yield "kept for backward", saved, f"each storage once, no weights{aux}"
    frozen = " that are not frozen" if any(layer.frozen for layer in summary.layers) else ""
    yield "gradients", gradients, f"of the parameters{frozen}"
    training = summary.training
    if training is not None and summary.optimizer != "none":
        yield "optimizer", training.state, f"what {summary.optimizer} keeps between steps"
    inference = summary.inference
    assert inference is not None  # all sizes are numbers
    yield "inference peak", inference.peak, f"most at once without gradients, {at(inference)}"
    if training is None:
        yield "training peak", None, summary.no_training_peak or ""
    else:
        yield "training peak", training.peak, f"most at once in a step, {at(training)}"


def no_formula(summary: Summary) -> str | None:
    """Why bytes that are allocated and kept are not told as formulas; None where they are."""
    why = summary.no_memory_formula
    return None if why is None else f"No formula of memory holds for every size: {why}."


def at(course: Course) -> str:
    """Where a pass peaks: `in backward of Conv[6].ReLU`."""
    if course.phase == "step":
        return "in the optimizer's step"
    at_first = course.moments[0].peak == course.peak
    return f"in {course.phase} of {course.path or ('the input' if at_first else 'the loss')}"


def shown(size: int | None) -> tuple[str, str]:
    """Bytes in a unit and exactly: 69.9 MiB, 73,254,912."""
    if size is None:
        return numbers.NONE, numbers.NONE
    return numbers.memory(size), f"{size:,}"


def _number(size: object) -> int:
    assert isinstance(size, int)  # nothing is open
    return size
