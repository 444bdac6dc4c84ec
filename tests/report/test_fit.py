"""What `convcalc fit` says, word for word, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import convcalc
from convcalc.analysis import fit as fitting
from convcalc.integers import UndecidedError, symbol, where_at_least, where_divisible, where_equal
from convcalc.pytorch import Comparison, Report
from convcalc.report.fit import FitReport, as_dict, markdown, render
from convcalc.report.json import text
from convcalc.report.sizes import as_json, congruence, intervals, runs_of
from tests import golden
from tests.analysis import designs

GOLDEN = Path(__file__).parent / "golden"
H = symbol("H")


def report(source: str, wanted: int | None = None, **budgets: int) -> FitReport:
    network = convcalc.load(source)
    fit = network.fit()
    inverses = [] if wanted is None else [fit.sizes_for(wanted)]
    found = [f for name, amount in budgets.items() for f in fit.largest(name, amount)]
    return FitReport(network, fit, inverses, found)


CASES = {
    "fit-vgg16": ("vgg16", 7, {"macs": 5 * 10**9, "params": 60_000_000}),
    "fit-resnet": ("resnet", 7, {"macs": 5 * 10**9, "params": 60_000_000}),
    "fit-unet_padded": ("unet_padded", 7, {}),
    "fit-c3d": ("c3d", None, {"macs": 10**9}),
    "fit-conflict": (designs.CONFLICT, None, {}),
    "fit-never": (designs.NEVER_AGREE, None, {}),
    "fit-asserted": (designs.ASSERTED, None, {}),
    "fit-odd": (designs.ODD, None, {}),
    "fit-two-sizes": (designs.TWO_SIZES, None, {"macs": 10**6}),
}


@pytest.mark.parametrize("name", CASES)
def test_as_text(name: str) -> None:
    source, wanted, budgets = CASES[name]
    golden.compare(GOLDEN / f"{name}.txt", render(report(source, wanted, **budgets), width=100))


def test_as_markdown() -> None:
    golden.compare(GOLDEN / "fit-unet_padded.md", markdown(report("unet_padded")))


def test_as_json() -> None:
    told = text(as_dict(report("vgg16", 7, macs=5 * 10**9, params=60_000_000)))
    golden.compare(GOLDEN / "fit-vgg16.json", told)
    found = json.loads(told)
    assert found["square"]["exact"] == {
        "answer": "proved",
        "smallest": 32,
        "modulus": 32,
        "residues": [0],
        "from": 1,
        "before": [],
        "undecided": [],
    }


@pytest.mark.parametrize("name", ["lenet5", "m5", "alphago", "yolov3", "unet"])
def test_json_of_every_kind(name: str) -> None:
    found = json.loads(text(as_dict(report(name))))
    assert [axis["names"] for axis in found["axes"]]
    for axis in found["axes"]:
        assert axis["smallest"] == axis["valid"]["smallest"]


def test_unknown_answers_are_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(*_: object) -> None:
        raise UndecidedError("a proof needs more points than the limit")

    monkeypatch.setattr(fitting, "where_divisible", undecided)
    told = render(report("vgg16"))
    assert "fits exactly        unknown" in told
    assert "Unknown: MaxPool2d[0] (line 13): 2 divides H - 2: a proof needs more points" in told
    assert "All of this is proved" not in told
    assert as_dict(report("vgg16"))["axes"][0]["exact"]["answer"] == "unknown"


def test_what_pytorch_says() -> None:
    found = report("lenet5")
    agree = Comparison("accepts H = W = 31", None, "runs", "runs")
    wrong = Comparison("dropped height at H = W = 33", "AvgPool2d[0]", 1, 0)
    for comparisons, told in (
        ([agree], "Verified: 1 figure at boundary sizes agrees with PyTorch 2.13.0 on cpu"),
        ([agree, *[wrong] * 14], "14 of 15 boundary figures disagree with PyTorch"),
    ):
        found.verified = Report(
            "lenet5", comparisons, device="cpu", torch="2.13.0", batch=1, dtype="float32", seconds=1
        )
        shown = render(found)
        assert told in shown
        assert found.ok == (len(comparisons) == 1)
        assert as_dict(found)["verified"]["ok"] == found.ok
    assert "AvgPool2d[0]: dropped height at H = W = 33: computed 1, measured 0" in shown
    assert "and 2 more" in shown


def test_an_input_without_open_sizes() -> None:
    network = convcalc.load("convcalc: 1\nname: flat\ninput: [9]\nlayers: Linear(3)\n")
    told = render(FitReport(network, network.fit()))
    assert "no open size" in told
    assert as_dict(FitReport(network, network.fit()))["axes"] == []


def test_sets_in_words() -> None:
    assert congruence(where_divisible(H, 1)) == "every size"
    assert congruence(where_equal(H, H + 1)) == "no size"
    assert congruence(where_divisible(H - 11, 4)) == "3 (mod 4)"
    assert congruence(where_divisible(H * (H + 1), 3)) == "0 or 2 (mod 3)"
    assert congruence(where_at_least(H, 1067)) == "every size from 1,067 on"
    assert congruence(where_equal(H // 32, 7)) == "224–255"
    assert congruence(where_equal((H // 8) % 4, 1)) == "8–15 (mod 32)"
    assert congruence(where_at_least(H % 9, 1)) == "all but 0 (mod 9)"
    # (H - 3)(H - 10) >= 0
    assert congruence(where_at_least(H * H - 13 * H + 30, 0)) == ("every size from 10 on, and 1–3")
    # (H - 20)(H - 30) >= 0
    text = "every size from 30 on, and 1–20"
    assert congruence(where_at_least(H * H - 50 * H + 600, 0)) == text
    among = where_at_least(H, 10)
    assert congruence(where_at_least(H * H - 13 * H + 30, 0), among) == "every size"
    assert congruence(where_equal(H, 5), among) == "no size"
    many = where_equal(H % 3, 1) & where_at_least(60 - H, 0)
    assert intervals(many) == "1, 4, 7, 10, 13, 16 and 14 more"
    assert intervals(where_equal(H // 2, 4)) == "8 and 9"
    assert runs_of([1, 2, 3, 5]) == [(1, 3), (5, 5)]
    assert as_json(where_at_least(H * H - 13 * H + 30, 0)) == {
        "smallest": 1,
        "modulus": 1,
        "residues": [0],
        "from": 10,
        "before": [[1, 3]],
    }
