"""convcalc fit: what its options ask, and its exit codes."""

from __future__ import annotations

import json

import pytest

from convcalc.pytorch import Comparison, Report
from tests.cli.conftest import Runner


def told(run: Runner, *words: str) -> dict[str, object]:
    found = run("fit", *words, "--format", "json")
    assert (found.code, found.err) == (0, "")
    return json.loads(found.out)  # type: ignore[no-any-return]


def test_answers(run: Runner) -> None:
    found = run("fit", "vgg16", "--output", "7")
    assert (found.code, found.err) == (0, "")
    assert "fits exactly        0 (mod 32)" in found.out
    assert "7×7 at MaxPool2d[4] comes of H and W 224–255" in found.out
    assert run("fit", "vgg16", "--format", "markdown").out.startswith("**VGG-16** (input 3×H×W")


def test_options_of_the_design(run: Runner) -> None:
    assert told(run, "resnet", "--variant", "resnet18")["variant"] == "resnet18"
    one = told(run, "alexnet", "--input", "3x227xW")
    assert [axis["names"] for axis in one["axes"]] == [["W"]]
    assert told(run, "unet_padded", "--set", "depth=3")["axes"][0]["valid"]["modulus"] == 8
    assert told(run, "googlenet", "--aux")["axes"][0]["smallest"] == 79


def test_questions(run: Runner) -> None:
    found = told(run, "googlenet", "--output", "14x?", "--at", "i4a.Inception.Concat")
    (answer,) = found["outputs"]
    assert answer["wanted"] == [14, None]
    assert answer["sizes"]["H"]["before"] == [[223, 238]]
    found = told(run, "resnet", "--macs", "50G", "--params", "60M", "--batch", "8")
    assert [(b["figure"], b["of"], b["largest"]) for b in found["budgets"]] == [
        ("macs", ["N"], 12),
        ("macs", ["H", "W"], 272),
        ("params", ["H", "W"], None),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--inference"], "--inference goes with --memory"),
        (["--training", "--inference"], "--training and --inference cannot both be"),
        (["--output", "seven"], "--output takes sizes, as 7, 7x7 or 7x?, not 'seven'"),
        (["--output", "0"], "--output takes sizes"),
        (["--at", "Conv2d"], "--at says of which layer --output asks"),
        (["--output", "7", "--at", "Conv2d"], "VGG-16 has no layer 'Conv2d'"),
        (["--output", "7x7x7"], "has 2 spatial axes, not 3"),
        (["--macs", "5 apples"], "--macs: 'apples' is no unit of macs"),
        (["--params", "many"], "--params: params must be a number"),
        (["--format", "csv"], "--format takes one of table, json, markdown"),
        (["--input", "4x224x224"], "--input"),
    ],
)
def test_wrong_command_lines(run: Runner, words: list[str], message: str) -> None:
    if words[0] == "--input":  # the sizes are given: nothing is asked, and that is no error
        assert run("fit", "vgg16", *words).code == 0
        return
    found = run("fit", "vgg16", *words)
    assert found.code == 2
    assert message in found.err
    assert found.out == ""


def test_what_pytorch_says_decides_the_exit_code(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(fit, inverses, *, device, dtype):
        assert (len(inverses), device, dtype) == (1, "cpu", "float64")
        comparison = Comparison("accepts H = W = 31", None, "runs", "refused by Conv2d")
        options = {"device": "cpu", "torch": "2", "batch": 1, "dtype": dtype, "seconds": 1}
        return Report("lenet5", [comparison], **options)

    monkeypatch.setattr("convcalc.pytorch.verify_fit", verify)
    words = ("lenet5", "--output", "6", "--verify", "--device", "cpu", "--dtype", "float64")
    found = run("fit", *words)
    assert found.code == 1
    assert "1 of 1 boundary figures disagree" in found.out


def test_verify(run: Runner) -> None:
    pytest.importorskip("torch")
    found = run("fit", "lenet5", "--verify", "--device", "cpu")
    assert found.code == 0
    assert "figures at boundary sizes agree with PyTorch" in found.out
