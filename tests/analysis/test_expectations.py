"""What a design claims of itself: each kind of claim is seen to hold and to fail."""

from __future__ import annotations

import pytest

import convcalc
from convcalc.analysis.expectations import Claimed, compare
from convcalc.analysis.relatives import first_difference

BASE = """convcalc: 1
name: t
input: [3, 8, 8]
layers:
- Conv2d: {{out_channels: 4, kernel_size: 3}}
  expect: {step}
- Flatten -> Linear(10)
expect: {expect}
budget: {budget}
"""
# params 112 + 1450 = 1562; macs 27·4·36 + 144·10 = 5328


def claims(expect: str = "{}", budget: str = "{}", step: str = "{}") -> list[Claimed]:
    network = convcalc.load(BASE.format(expect=expect, budget=budget, step=step))
    document = network.document
    return compare(network.summary(), document.expect(), document.budget())


@pytest.mark.parametrize(
    ("expect", "ok"),
    [
        ("{params: 1_562}", True),
        ("{params: 1563}", False),
        ("{params: 1.56K}", True),
        ("{params: 1.57K}", False),
        ("{macs: 5328}", True),
        ("{macs: 5.3K}", True),
        ("{macs: 5.4K}", False),
        ("{buffers: 0}", True),
        ("{buffers: 1}", False),
        ("{aux_params: 0}", True),
        ("{trainable_params: 1562}", True),
        ("{weights: 6248}", True),
        ("{weights: 6249}", False),
        ("{output: [10]}", True),
        ("{output: [11]}", False),
        ("{output: [10, 1]}", False),
    ],
)
def test_of_the_network(expect: str, ok: bool) -> None:
    (claim,) = claims(expect)
    assert claim.ok is ok
    assert claim.kind == "expect"
    assert claim.path is None
    assert claim.place is not None
    assert claim.place.line == 8


@pytest.mark.parametrize(
    ("budget", "ok"),
    [
        ("{params: 1562}", True),
        ("{params: 1561}", False),
        ("{params: 2K}", True),
        ("{macs: 5K}", False),
        ("{weights: 7KiB}", True),
        ("{weights: 6KiB}", False),
    ],
)
def test_budgets(budget: str, ok: bool) -> None:
    (claim,) = claims(budget=budget)
    assert (claim.kind, claim.ok) == ("budget", ok)
    assert claim.place is not None
    assert claim.place.line == 9


@pytest.mark.parametrize(
    ("step", "ok"),
    [
        ("{params: 112}", True),
        ("{params: 113}", False),
        ("{macs: 3888}", True),
        ("{macs: 3889}", False),
        ("{output: [4, 6, 6]}", True),
        ("{output: [4, 6, 5]}", False),
    ],
)
def test_of_a_step(step: str, ok: bool) -> None:
    (claim,) = claims(step=step)
    assert claim.ok is ok
    assert claim.path == "Conv2d"
    assert claim.place is not None
    assert claim.place.line == 6


def test_words() -> None:
    wrong = [c.problem() for c in claims("{params: 5, output: [4]}", "{macs: 5K}", "{params: 7}")]
    assert [p.message for p in wrong] == [
        "params is 1,562, but 5 is expected",
        "output is [10], but [4] is expected",
        "params of Conv2d is 112, but 7 is expected",
        "macs is 5,328, over the budget of 5K",
    ]
    assert {p.code for p in wrong} == {"expect", "budget"}


# Kept: the input, 768, and Flatten's map, 576, times the batch. Gradients are 6248; Adam keeps 2 ×
# 6248 and 16 for its counts.
@pytest.mark.parametrize(
    ("budget", "ok"),
    [
        ("{saved: 1344}", True),
        ("{saved: 1343}", False),
        ("{saved: 10752, batch: 8}", True),
        ("{saved: 10751, batch: 8}", False),
        ("{saved: 11KB, batch: 8, optimizer: adam}", True),
        ("{allocated: 616}", True),
        ("{allocated: 615}", False),
        ("{inference_peak: 1384}", True),
        ("{inference_peak: 1343}", False),
        ("{training_peak: 8192}", True),
        ("{training_peak: 8192, optimizer: adam}", False),
        ("{training_peak: 32KiB, optimizer: adam}", True),
        ("{training_peak: 32KiB, batch: 64, optimizer: adam}", False),
    ],
)
def test_budgets_of_memory(budget: str, ok: bool) -> None:
    assert [claim.ok for claim in claims(budget=budget)] == [ok]


def test_words_of_memory() -> None:
    budget = "{params: 2K, saved: 1, training_peak: 2, batch: 4, optimizer: sgd}"
    texts = [claim.problem().message for claim in claims(budget=budget) if not claim.ok]
    assert texts[0] == "saved at batch 4 is 5,376, over the budget of 1"
    assert texts[1].startswith("training_peak at batch 4 with sgd is ")
    assert len(texts) == 2  # params are of the network, whatever the batch


@pytest.mark.parametrize(
    ("budget", "message", "help"),
    [
        ("{optimizer: adan}", "'adan' is no optimizer", "did you mean 'adam'?"),
        ("{batch: 0}", "batch is a whole number of at least 1, not '0'", None),
        ("{batch: 1.5}", "batch is a whole number of at least 1, not '1.5'", None),
        ("{batch: [8]}", "batch must be text, not a list", None),
        ("{bacth: 8}", "'bacth' is no key of budget", "did you mean 'batch'?"),
        ("{saved: 8MIB}", "'MIB' is no unit of saved", None),
    ],
)
def test_mistakes_in_budgets_of_memory(budget: str, message: str, help: str | None) -> None:
    with pytest.raises(convcalc.DesignError) as raised:
        claims(budget=budget)
    (problem,) = raised.value.problems
    assert message in problem.message
    assert help is None or problem.help == help
    assert problem.place is not None
    assert problem.place.line == 9


def test_a_peak_that_there_is_none_of_is_never_passed_over() -> None:
    text = (
        "convcalc: 1\nname: t\ninput: [3, 1, 1]\nlayers: BatchNorm2d\nbudget: {training_peak: 1G}\n"
    )
    network = convcalc.load(text)
    with pytest.raises(convcalc.DesignError, match="there is no training_peak: BatchNorm2d cannot"):
        compare(network.summary(), (), network.document.budget())
    network = convcalc.load(text.replace("[3, 1, 1]", "[3, H, W]"))
    with pytest.raises(
        convcalc.DesignError, match="there is no training_peak: a peak is told where"
    ):
        compare(network.summary(), (), network.document.budget())


def test_a_claim_needs_a_number() -> None:
    text = "convcalc: 1\nname: t\ninput: [3, H, W]\nlayers: Conv2d(4, 3)\nexpect: {macs: 5}\n"
    network = convcalc.load(text)
    with pytest.raises(convcalc.DesignError, match="macs depends on a size that the design leaves"):
        compare(network.summary(), network.document.expect())


def test_one_of_several_outputs() -> None:
    text = (
        "convcalc: 1\nname: t\ninput: [3, 8, 8]\n"
        "layers:\n- a = Conv2d(4, 3)\n- b = Flatten\n"
        "outputs: {a: a, b: b}\nexpect: {output: {a: [4, 6, 6], b: [145]}}\n"
    )
    network = convcalc.load(text)
    found = compare(network.summary(), network.document.expect())
    assert [c.ok for c in found] == [True, False]


def test_the_first_layer_unlike_anothers() -> None:
    one = convcalc.load(BASE.format(expect="{}", budget="{}", step="{}"))
    text = BASE.format(expect="{}", budget="{}", step="{}")
    other = convcalc.load(text.replace("Linear(10)", "ReLU -> Linear(10)"))
    wider = convcalc.load(text.replace("out_channels: 4", "out_channels: 5"))
    assert first_difference(one.summary(), one.summary()) is None
    found = first_difference(wider.summary(), one.summary())
    assert found is not None
    assert found[0].path == "Conv2d"
    assert found[1] == "Conv2d(5, 3), where that has Conv2d(4, 3)"
    found = first_difference(other.summary(), one.summary())
    assert found is not None
    assert found[1] == "ReLU, where that has Linear(10)"
    longer = convcalc.load(text.replace("Linear(10)", "Linear(10) -> ReLU"))
    found = first_difference(longer.summary(), one.summary())
    assert found is not None
    assert found[1] == "ReLU, where that has no more layers"
    assert first_difference(one.summary(), longer.summary()) is None
