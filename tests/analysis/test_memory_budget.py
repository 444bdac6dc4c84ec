"""The largest batch and input in so much memory, beside trying every one."""

from __future__ import annotations

import pytest

import convcalc
from convcalc.analysis.budget import largest
from convcalc.analysis.fit import Fit
from convcalc.analysis.summary import Summary
from convcalc.errors import ConvcalcError
from convcalc.graph import flow
from convcalc.integers import Answer, symbol

DESIGN = """convcalc: 1
name: small
input: [3, 16, 16]
layers:
- Conv2d(8, 3, 2) -> BatchNorm2d -> ReLU
- residual: Conv2d(8, 3, padding=1) -> ReLU
- AdaptiveAvgPool2d(1) -> Flatten -> Linear(10)
"""


def needed(text: str, batch: int, size: int, training: bool, optimizer: str) -> int:
    """Bytes of weights and peak at one size: the oracle asks for each."""
    network = convcalc.load(text)
    summary = network.summary((3, size, size), batch, optimizer=optimizer)
    course = summary.training if training else summary.inference
    weights = summary.totals.weights_bytes
    assert isinstance(weights, int)
    return weights + course.peak if course is not None else 0


@pytest.mark.parametrize(
    ("training", "optimizer", "budget"),
    [(True, "none", 40_000), (True, "adam", 123_457), (False, "none", 123_457)],
)
def test_every_size_was_tried(training: bool, optimizer: str, budget: int) -> None:
    fit = convcalc.fit(DESIGN)
    found = fit.largest_in_memory(budget, training=training, optimizer=optimizer)
    by_names = {result.of: result for result in found}
    batches = [n for n in range(1, 80) if needed(DESIGN, n, 16, training, optimizer) <= budget]
    sizes = [s for s in range(3, 90) if needed(DESIGN, 1, s, training, optimizer) <= budget]
    for names, tried in ((("N",), batches), (("H", "W"), sizes)):
        result = by_names[names]
        assert result.size == max(tried, default=None)
        assert result.beyond is not None
        assert result.beyond[1] > budget
        assert result.value is None or result.value <= budget
    assert by_names[("N",)].answer is Answer.PROVED


def test_a_figure_that_falls_is_not_taken_to_rise() -> None:
    """A peak that falls back under the budget: doubling and halving miss it, the floor does not."""

    def peak(size: int) -> int:
        return 1_000 if 40 <= size < 60 else 10 * size

    floor = 8 * symbol("N")
    found = largest("bytes", peak, 620, ("N",), floor=floor)
    assert (found.size, found.value, found.answer) == (62, 620, Answer.PROVED)
    assert found.beyond == (63, 630)
    missed = largest("bytes", peak, 620, ("N",))
    assert missed.answer is Answer.UNKNOWN
    assert missed.size is not None
    assert missed.size < 40
    # Where too many sizes are left between, nothing is claimed.
    vague = largest("bytes", peak, 10**6, ("N",), floor=symbol("N"))
    assert (vague.size, vague.answer) == (100_000, Answer.UNKNOWN)


@pytest.mark.parametrize(
    "name", ["vgg16", "resnet", "mobilenetv2", "densenet121", "googlenet", "vit_b16"]
)
@pytest.mark.parametrize("training", [True, False])
def test_the_floor_is_one(name: str, training: bool) -> None:
    """What surely lives at once is never more than what was computed to live."""
    from convcalc.analysis.memory_budget import MemoryQuestion
    from convcalc.integers import evaluate

    fit: Fit = convcalc.fit(name)
    question = MemoryQuestion(training, "float32", "cpu", "none", None, False)
    floor = question.floor(fit)
    for batch in (1, 5):
        point = {"N": batch, **fit.declared}
        at = floor if isinstance(floor, int) else evaluate(floor, point)
        needs = question.measure(flow(fit.flow.graph, batch=batch))
        assert 0 < at <= needs
        assert 2 * at > needs or training  # near enough to prove something


def test_frozen_layers_leave_room() -> None:
    whole = convcalc.load("lenet5").fit().largest_in_memory(2 << 20, optimizer="adam")
    head = convcalc.load("lenet5").freeze("layers.0-8")
    part = head.fit().largest_in_memory(2 << 20, optimizer="adam")
    assert whole[0].size is not None
    assert part[0].size is not None
    assert part[0].size > whole[0].size
    summary = head.summary(batch=part[0].size, optimizer="adam").totals
    assert summary.training_peak_bytes is not None
    assert summary.weights_bytes + summary.training_peak_bytes == part[0].value


def test_where_nothing_can_train() -> None:
    text = "convcalc: 1\ninput: [3, 8, 8]\nlayers: AdaptiveAvgPool2d(1) -> BatchNorm2d\n"
    (batch,) = convcalc.fit(text).largest_in_memory(1 << 20)
    assert batch.of == ("N",)
    assert batch.value
    with pytest.raises(ConvcalcError, match="BatchNorm2d cannot train"):
        convcalc.fit(text, input=(3, 8, "W")).largest_in_memory(1 << 20)
    (batch, _) = convcalc.fit(text).largest_in_memory(1 << 20, training=False)
    assert batch.size is not None
    assert Summary(flow(convcalc.load(text).graph)).inference is not None


def test_what_the_readme_says() -> None:
    found = convcalc.fit("resnet").largest_in_memory(24 << 30, optimizer="adam")
    assert (found[0].of, found[0].size, found[0].answer) == (("N",), 293, Answer.PROVED)
    assert found[0].beyond is not None
    assert found[0].beyond[0] == 294
