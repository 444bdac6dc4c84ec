"""Every command: its help, its examples, what its options do."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

import convcalc
from convcalc.cli import COMMANDS, EXAMPLES, command
from tests import golden
from tests.cli.conftest import ROOT, Runner

GOLDEN = Path(__file__).parent / "golden"
ALL_EXAMPLES = [*EXAMPLES, *(e for name in COMMANDS for e in command(name).parser().examples)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, run: Runner) -> None:
    found = run(name, "--help")
    assert (found.code, found.err) == (0, "")
    assert found.out == run("help", name).out
    assert max(map(len, found.out.splitlines())) <= 80
    golden.compare(GOLDEN / f"help-{name}.txt", found.out)


def test_the_overview(run: Runner) -> None:
    shown = run()
    for words in ([], ["--help"], ["-h"], ["help"]):
        found = run(*words)
        assert (found.code, found.out, found.err) == (0, shown.out, "")
    golden.compare(GOLDEN / "overview.txt", shown.out)
    assert run("--version").out == f"convcalc {convcalc.__version__}\n"


@pytest.mark.parametrize("example", dict.fromkeys(ALL_EXAMPLES))
def test_every_example_runs(example: str, run: Runner) -> None:
    program, *words = shlex.split(example.partition(" > ")[0])
    assert program == "convcalc"
    if words[0] == "check" and "--no-run" not in words:
        words.append("--no-run")  # what is run, and how, is tested beside it
    found = run(*words)
    assert found.code == 0
    assert found.out
    assert found.err == ""


def test_each_command_has_one(run: Runner) -> None:
    for name in COMMANDS:
        assert command(name).parser().examples


# ---------------------------------------------------------------------------- summary


def test_a_file_a_name_and_stdin_are_the_same(run: Runner, spawn: Runner, tmp_path: Path) -> None:
    by_name = run("summary", "vgg16")
    assert "138,357,544" in by_name.out
    path = ROOT / "architectures" / "vgg16.yaml"
    assert run("summary", "vgg16.yaml").out == by_name.out
    assert run("summary", path).out == by_name.out
    assert run("summary", "architectures/vgg16.yaml").out == by_name.out
    assert spawn("summary", "-", stdin=path.read_text()).out == by_name.out


def test_a_file_goes_before_the_zoo(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "convcalc: 1\nname: Mine\ninput: [3, 8, 8]\nlayers: ReLU\n"
    (tmp_path / "vgg16.yaml").write_text(text)
    (tmp_path / "lenet5").mkdir()
    assert run("summary", "vgg16.yaml").out.startswith("Mine\n")
    assert run("summary", "vgg16").out.startswith("VGG-16\n")


def totals(run: Runner, *words: str) -> dict[str, object]:
    result: dict[str, object] = json.loads(run("summary", *words, "--format", "json").out)
    return result


def test_options_of_the_design(run: Runner) -> None:
    def params(*words: str) -> object:
        return totals(run, *words)["totals"]["params"]  # type: ignore[index]

    assert params("resnet") == 25_557_032
    assert params("resnet", "--variant", "resnet18") == 11_689_512
    assert params("resnet", "--variant=resnet18") == 11_689_512
    changed = ("--set", "depths=[2, 2, 2, 2]", "--set", "block=Basic")
    assert params("resnet", "--variant", "resnet50", *changed) == 11_689_512
    assert params("mobilenetv2", "--set", "alpha=1.4") == 6_108_776
    report = totals(run, "vgg16", "--input", "3x32x64", "--batch", "4", "--dtype", "float16")
    assert report["input"] == {"input": [4, 3, 32, 64]}
    assert report["batch"] == 4
    assert report["dtype"] == "float16"
    report = totals(run, "resnet", "--input", "3xHxW")
    assert report["outputs"] == {"output": [1, 1000]}
    assert report["sizes"]
    report = totals(run, "resnet", "--symbolic", "--input", "3x224xW")
    assert report["input"] == {"input": ["N", 3, 224, "W"]}


def test_several_inputs(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "convcalc: 1\nname: two\ninputs: {left: [3, 8, 8], right: [3, 8, 8]}\n"
        "layers:\n- add:\n  - left -> Conv2d(4, 3)\n  - right -> Conv2d(4, 3)\n"
    )
    shapes = ("--input", "left=3x9x9", "--input", "right=3x9x9")
    report = totals(run, str(file), *shapes)
    assert report["input"] == {"left": [1, 3, 9, 9], "right": [1, 3, 9, 9]}
    report = totals(run, str(file), "--symbolic")
    assert report["input"] == {"left": ["N", 3, "H", "W"], "right": ["N", 3, "H", "W"]}
    found = run("summary", file, "--input", "3x9x9")
    assert found.code == 2
    assert "the design has 2 inputs: left, right" in found.err
    found = run("summary", file, "--input", "left=3x9x9")
    assert found.code == 2
    assert "must be equal: 7 and 6" in found.err


def test_formats(run: Runner) -> None:
    rows = list(csv.DictReader(run("summary", "lenet5", "--format", "csv").out.splitlines()))
    assert sum(int(row["params"]) for row in rows) == 61_706
    assert run("summary", "lenet5", "--format", "markdown").out.startswith("**LeNet-5")
    found = run("summary", "lenet5", "--columns", "path,params").out
    assert found.splitlines()[3].split() == ["path", "params"]


def test_depths(run: Runner) -> None:
    shallow = run("summary", "resnet", "--depth", "1").out
    assert "Bottleneck" not in shallow.partition("total of")[0]
    assert "Depth 1 of 5" in shallow
    whole = run("summary", "resnet", "--all").out
    assert whole.partition("total of")[0].count("BatchNorm2d") == 53


def test_fields_larger_than_the_input_are_told_and_not_strict(run: Runner) -> None:
    found = run("summary", "mobilenetv2", "--strict")
    assert found.code == 0
    assert "the receptive field of" in found.out + found.err


def test_strict(run: Runner) -> None:
    assert run("summary", "alexnet", "--strict").code == 0
    found = run("summary", "alexnet", "--strict", "--input", "3x224x224")
    assert found.code == 1
    assert "never reads the last row and column" in found.out
    assert run("summary", "alexnet", "--input", "3x224x224").code == 0


# ---------------------------------------------------------------------------- list


def test_the_list_names_the_zoo(run: Runner) -> None:
    files = sorted(path.stem for path in (ROOT / "architectures").glob("*.yaml"))
    listed = json.loads(run("list", "--format", "json").out)["networks"]
    assert [one["name"] for one in listed] == files
    (vgg,) = (one for one in listed if one["name"] == "vgg16")
    assert (vgg["params"], vgg["macs"]) == (138_357_544, 15_470_264_320)
    for one in listed:
        assert one["cite"]
    text = run("list").out
    assert [line.split()[0] for line in text.splitlines()[2:]] == files
    every = list(csv.DictReader(run("list", "--variants", "--format", "csv").out.splitlines()))
    assert {row["variant"] for row in every} >= {"resnet18", "b7", "densenet161"}
    lines = run("list", "--variants", "--format", "markdown").out.splitlines()
    assert len(lines) == len(every) + 2


# ---------------------------------------------------------------------------- ops, schema


def test_ops_in_every_format(run: Runner) -> None:
    assert "MaxPool2d" in run("ops").out
    assert run("ops", "Conv2d").out.startswith("Conv2d(out_channels, kernel_size")
    ops = json.loads(run("ops", "pooling", "--format", "json").out)["ops"]
    assert {op["family"] for op in ops} == {"pooling"}
    assert run("ops", "--format", "markdown").out.startswith("# Layers")
    found = run("ops", "Conv22d")
    assert found.code == 2
    assert "did you mean 'Conv2d'" in found.err


def test_schema_is_json(run: Runner) -> None:
    schema = json.loads(run("schema").out)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
