"""convcalc layer and summary --explain: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import golden
from tests.cli.conftest import Runner

GOLDEN = Path(__file__).parent / "golden"
NONE = ("layer", "Conv2d(10, 4, padding=?)", "--input", "3x8x8", "--output", "8")
ALEXNET = ("layer", "Conv2d(96, 11, stride=4)", "--input")


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("layer", [*ALEXNET, "3x227x227"], 0),
        ("layer-misfit", [*ALEXNET, "3x224x224"], 0),
        ("layer-open", [*ALEXNET, "3xHxW"], 0),
        (
            "layer-solved",
            ["layer", "Conv2d(10, ?, padding=?)", "--input", "3x32x32", "--output", "32x32"],
            0,
        ),
        (
            "layer-none",
            [*NONE, "--format", "markdown"],
            1,
        ),
        ("explain", ["summary", "lenet5", "--explain"], 0),
        ("explain-open", ["summary", "lenet5", "--explain", "--symbolic"], 0),
        (
            "explain-markdown",
            ["summary", "alexnet", "--explain", "Conv[1]", "--format", "markdown"],
            0,
        ),
    ],
)
def test_texts(name: str, words: list[str], code: int, run: Runner) -> None:
    found = run(*words)
    assert (found.code, found.err) == (code, "")
    golden.compare(GOLDEN / f"{name}.txt", found.out)


def told(run: Runner, *words: str) -> dict[str, object]:
    found = run(*words, "--format", "json")
    assert found.err == ""
    return json.loads(found.out)  # type: ignore[no-any-return]


def test_json(run: Runner) -> None:
    found = told(run, *ALEXNET, "3x224x224", "--batch", "2")
    assert found["output"] == [2, 96, 54, 54]
    assert (found["params"], found["macs"]) == (34_944, 2 * 101_616_768)
    assert (found["fits"], found["ok"]) == (False, True)
    assert found["sharing"] == {
        "params": 34_944,
        "unshared": 101_896_704,
        "dense": 42_138_486_144,
        "places": 2916,
    }
    axis = found["axes"][0]  # type: ignore[index]
    assert axis["unread"] == [[223, 223]]
    assert axis["sizes"] == [223, 227]
    assert found["rules"][1] == {  # type: ignore[index]
        "figure": "height",
        "rule": "⌊(H − F + 2·P)/S⌋ + 1",
        "substituted": "⌊(224 − 11 + 2·0)/4⌋ + 1",
        "value": 54,
        "note": None,
    }
    assert (found["output_bytes"], found["saved_bytes"]) == (2239488, 1204224)
    found = told(run, "summary", "vgg16", "--explain")
    assert len(found["layers"]) == 39  # type: ignore[arg-type]
    assert found["totals"][0]["value"] == 138_357_544  # type: ignore[index]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ("Conv2d(8, 1, stride=2)", "3x4x4", "2 rows and columns are never read: 1, 3 (from 0)"),
        ("Conv1d(8, 1, stride=9)", "3x98", "1–8, 10–17, 19–26, 28–35, 37–44, 46–53, … (from 0)"),
        ("MaxPool1d(2, 3)", "3x100000", "33,334 positions are never read"),  # too many to be listed
    ],
)
def test_rows_that_are_never_read(layer: str, shape: str, message: str, run: Runner) -> None:
    assert message in run("layer", layer, "--input", shape).out


def test_exit_codes(run: Runner) -> None:
    assert run(*ALEXNET, "3x224x224").code == 0
    assert run(*ALEXNET, "3x224x224", "--strict").code == 1
    assert run(*ALEXNET, "3x227x227", "--strict").code == 0
    # what is left over is padding: every row is read, and nothing is warned of
    assert run("layer", "Conv2d(8, 3, 2, 1)", "--input", "3x8x8", "--strict").code == 1
    # it fits, and its kernel is larger than the input
    wide = ("layer", "Conv2d(8, 9, padding=4)", "--input", "3x4x4")
    assert (run(*wide).code, run(*wide, "--strict").code) == (0, 1)
    assert run(*ALEXNET, "3x224x224", "--output", "55").code == 1
    assert run(*ALEXNET, "3x227x227", "--output", "55x55").code == 0


@pytest.mark.parametrize(
    ("words", "message", "help"),
    [
        (["layer"], "needs LAYER", "as in convcalc layer"),
        (["layer", "ReLU"], "a layer needs --input", "as in --input 3x227x227"),
        (["layer", "Conv2d(8, ?)", "--input", "3x8x8"], "--output is not given", "as in --output"),
        (["layer", "ReLU", "--input", "3x?x8"], "--output is not given", ""),
        (["layer", "ReLU", "--input", "3xhx8"], "not '3xhx8'", ""),
        (["layer", "ReLU", "--input", "3x8x8", "--output", "x"], "--output takes sizes", ""),
        (["layer", "Conv2d(8, 3", "--input", "3x8x8"], "layer:1:12: error: ", ""),
        (["layer", "Conv2d(8, 9)", "--input", "3x8x8"], "must be at least 9, not 8", "a smaller"),
        (["layer", "Relu", "--input", "3x8x8"], "no layer or block 'Relu'", "did you mean 'ReLU'"),
        (["layer", "ReLU", "--input", "a b=3x8x8"], "'a b' is no name", ""),
        (["check", "vgg16", "--deep", "--no-run"], "--deep measures a run", ""),
        (["summary", "vgg16", "--explain", "Con"], "has no layer or block 'Con'", ""),
        (["summary", "resnet", "--explain", "Botleneck[0]"], "did you mean 'Bottleneck[0]'?", ""),
        (["summary", "vgg16", "--explain", "--format", "csv"], "--explain takes --format", ""),
    ],
)
def test_what_is_wrong(words: list[str], message: str, help: str, run: Runner) -> None:
    found = run(*words)
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert help in found.err


def test_several_inputs(run: Runner) -> None:
    found = run("layer", "Concat", "--input", "3x8x8", "--input", "5x8x8")
    assert "branch 1 + branch 2 = 3 + 5 = 8" in found.out
    found = run("layer", "CenterCrop(small)", "--input", "3x9x9", "--input", "small=3x4x4")
    assert "3×9×9 and 3×4×4 → 3×4×4" in found.out
