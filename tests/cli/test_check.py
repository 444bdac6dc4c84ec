"""convcalc check: what it proves, what it catches, its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convcalc.ops import REGISTRY
from tests import golden
from tests.cli.conftest import ROOT, Runner

GOLDEN = Path(__file__).parent / "golden"
ZOO = ROOT / "architectures"
SMALL = """convcalc: 1
name: Small
input: [3, 9, 9]
blocks:
  Conv(c): Conv2d(c, 3, padding=1) -> BatchNorm2d -> ReLU
layers:
- 2 * Conv(4) -> AvgPool2d(3)
- Flatten -> Linear(5)
expect: {params: 461, macs: 20_592, output: [5]}
budget: {params: 500}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def test_the_claims_by_hand() -> None:
    """Two convolutions with their norms, and the last layer."""
    assert (4 * 3 * 9 + 4) + (4 * 4 * 9 + 4) + 2 * 8 + (36 * 5 + 5) == 461
    assert 81 * 4 * 27 + 81 * 4 * 36 + 36 * 5 == 20_592


def test_all_right(run: Runner, small: Path) -> None:
    found = run("check", small, "--no-run")
    assert (found.code, found.err) == (0, "")
    assert "1 network, all right (4 claims of the designs; nothing was run" in found.out


def test_it_is_run(run: Runner, small: Path) -> None:
    pytest.importorskip("torch")
    found = run("check", small, "--device", "cpu", "--batch", "2")
    assert found.code == 0
    assert found.err == "[1/1] Small\n"
    assert re.search(
        r"4 claims of the designs, \d+ figures measured by PyTorch \S+ on cpu", found.out
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("params: 461", "params: 462", "params is 461, but 462 is expected"),
        ("output: [5]", "output: [6]", "output is [5], but [6] is expected"),
        ("params: 500", "params: 400", "params is 461, over the budget of 400"),
        ("Linear(5)", "Linear(6)", "macs is 20,628, but 20_592 is expected"),
    ],
)
def test_a_claim_that_fails(run: Runner, small: Path, old: str, new: str, message: str) -> None:
    text = small.read_text()
    assert old in text
    small.write_text(text.replace(old, new))
    found = run("check", small, "--no-run")
    assert found.code == 1
    assert message in found.out
    assert re.search(rf"{re.escape(str(small))}:\d+:\d+: error: ", found.out)
    assert "1 of 1 network failed" in found.out


def test_one_out_channels_changed_in_a_copy(run: Runner, tmp_path: Path) -> None:
    """Exit 1, and the layer that was changed is named."""
    copy = tmp_path / "copy.yaml"
    copy.write_text((ZOO / "lenet5.yaml").read_text().replace("Conv2d(16, 5)", "Conv2d(17, 5)"))
    found = run("check", copy, "--no-run")
    assert found.code == 1
    assert "Conv2d[1], line 9 is the first layer unlike the zoo's lenet5: Conv2d(17, 5), " in (
        found.out
    )


def test_a_typo(run: Runner, small: Path) -> None:
    small.write_text(small.read_text().replace("AvgPool2d", "AvgPol2d"))
    found = run("check", small, "--no-run")
    assert found.code == 2
    assert found.err.startswith(f"{small}:7:18: error: there is no layer or block 'AvgPol2d'")


def test_one_bad_file_does_not_stop_the_others(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("convcalc: 1\nnam: x\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.yml").write_text((ZOO / "resnet.yaml").read_text())
    (tmp_path / "c.yaml").write_text(SMALL.replace("461", "462"))
    (tmp_path / "d.yaml").write_bytes(b"\x00\xff")
    found = run("check", tmp_path, "--no-run")
    assert found.code == 2
    assert f"{tmp_path / 'a.yaml'}:2:1: error" in found.err
    assert "d.yaml" in found.err
    assert found.out.count("ResNet, resnet") == 5
    assert "Small" in found.out
    assert "3 of 8 networks failed" in found.out


def test_a_variant_that_cannot_be_built(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "v.yaml"
    file.write_text(
        "convcalc: 1\nname: V\ninput: [3, 8, 8]\nvars: {k: 3}\nlayers: Conv2d(4, k)\n"
        "variants: {good: {k: 3}, bad: {k: 9}, fine: {k: 5}}\n"
    )
    found = run("check", file, "--no-run")
    assert found.code == 2
    assert "must be at least 9, not 8" in found.err
    lines = [line.split()[-1] for line in found.out.splitlines()[2:5]]
    assert lines == ["ok", "error", "ok"]
    assert run("check", file, "--no-run", "--variant", "good").code == 0
    assert run("check", file, "--no-run", "--variant", "best").code == 2


def test_warnings_fail_where_they_are_told_to(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("convcalc: 1\nname: W\ninput: [3, 9, 9]\nlayers: MaxPool2d(2)\n")
    found = run("check", file, "--no-run")
    assert found.code == 0
    assert "ok, 1 warning" in found.out
    found = run("check", file, "--no-run", "--strict")
    assert found.code == 1
    assert "never reads the last row and column" in found.out


def test_set_vars_leave_expect_aside(run: Runner) -> None:
    found = run("check", "mobilenetv2", "--no-run", "--set", "alpha=1.4")
    assert found.code == 0
    assert "(0 claims of the designs" in found.out


def test_claims_are_about_the_design_as_it_stands(run: Runner) -> None:
    """Another batch or input to run at does not change what is claimed."""
    found = run("check", "vgg16", "--no-run", "--batch", "3", "--input", "3x256x256")
    assert found.code == 1 or "all right" in found.out
    found = run("check", "resnet", "--no-run", "--batch", "3", "--input", "3x256x256")
    assert found.code == 0


@pytest.mark.parametrize("name", ["Conv2d", "Linear", "BatchNorm2d", "AvgPool2d"])
def test_a_wrong_rule_is_caught_and_named(
    name: str, run: Runner, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more MAC, or parameter, or row than there is."""
    pytest.importorskip("torch")
    op: Any = REGISTRY[name]
    if name in ("Conv2d", "Linear"):
        right = op.macs
        monkeypatch.setattr(op, "macs", lambda self, *shapes: right(self, *shapes) + 1)
        figure = "macs"
    elif name == "BatchNorm2d":
        tensors = op.weights
        monkeypatch.setattr(op, "weights", lambda self, *shapes: tensors(self, *shapes)[:1])
        figure = "parameters"
    else:
        shape = op.output
        monkeypatch.setattr(op, "output", lambda self, x: (*shape(self, x)[:-1], 2))
        figure = "output"
    found = run("check", small, "--device", "cpu")
    assert found.code == 1
    assert "PyTorch measured something else than was computed" in found.out
    pattern = rf"small\.yaml:\d+: (Conv\[0\]\.)?{name}, {name}.*: {figure} computed .*, measured "
    assert re.search(pattern, found.out)


def test_of_many_faults_the_first_are_told(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "deep.yaml"
    file.write_text("convcalc: 1\nname: Deep\ninput: [1, 9]\nlayers:\n- 14 * Conv1d(1, 1)\n")
    op: Any = REGISTRY["Conv1d"]
    right = op.macs
    monkeypatch.setattr(op, "macs", lambda self, *shapes: right(self, *shapes) + 1)
    found = run("check", file, "--device", "cpu")
    assert found.code == 1
    assert found.out.count(": macs computed") == 12
    assert "  and 3 more, which --format json lists\n" in found.out  # 14 layers and the total


def test_json(run: Runner, small: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    bad = tmp_path / "bad.yaml"
    bad.write_text("convcalc: 1\nnam: x\n")
    found = run("check", small, bad, "--device", "cpu", "--format", "json")
    assert found.code == 2
    good, wrong = json.loads(found.out)
    assert (good["name"], good["file"], good["variant"], good["ok"]) == (
        "Small",
        str(small),
        None,
        True,
    )
    for comparison in good["comparisons"]:
        assert comparison.keys() == {"figure", "path", "computed", "measured", "ok"}
        assert comparison["ok"] == (comparison["computed"] == comparison["measured"])
    figures = {c["figure"] for c in good["comparisons"]}
    assert figures >= {"output", "dtype", "parameters", "buffers", "params", "macs"}
    assert {"device": "cpu", "skipped": None, "errors": []}.items() <= good.items()
    assert good["torch"]
    assert good["seconds"] > 0
    assert [c["figure"] for c in good["claims"]] == ["params", "macs", "output", "params"]
    assert (wrong["ok"], wrong["variant"]) == (False, None)
    assert wrong["errors"][-1]["line"] == 2


def test_frozen_layers_are_measured_frozen(run: Runner) -> None:
    pytest.importorskip("torch")
    told = run("check", "lenet5", "--device", "cpu", "--freeze", "layers.0-5", "--format", "json")
    assert told.code == 0
    (report,) = json.loads(told.out)
    gradients = 4 * (48_120 + 10_164 + 850)  # of the last three layers that learn
    found = next(c for c in report["comparisons"] if c["figure"] == "gradient_bytes")
    assert (found["computed"], found["measured"]) == (gradients, gradients)
    wrong = run("check", "lenet5", "vgg16", "--no-run", "--freeze", "Cnov")
    assert wrong.code == 2
    assert wrong.err.count("has no layer or block 'Cnov'") == 2
    assert "did you mean 'Conv'?" in wrong.err


def test_the_zoo_claims_what_is_true(run: Runner) -> None:
    found = run("check", "architectures", "--no-run")
    assert found.code == 0
    verdict = re.match(r"(\d+) networks, all right", found.out.splitlines()[-1])
    assert verdict
    assert int(verdict[1]) >= 54


def test_words(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole report, where each kind of thing is wrong."""
    pytest.importorskip("torch")
    (tmp_path / "a.yaml").write_text(SMALL.replace("461", "462"))
    (tmp_path / "b.yaml").write_text((ZOO / "lenet5.yaml").read_text())
    (tmp_path / "c.yaml").write_text("convcalc: 1\nname: C\ninput: [3, 4, 4]\nlayers: Lin(3)\n")
    right: Any = REGISTRY["Linear"].macs
    op: Any = REGISTRY["Linear"]
    monkeypatch.setattr(op, "macs", lambda self, *shapes: right(self, *shapes) + 1)
    monkeypatch.chdir(tmp_path)  # the table is as wide as a path
    found = run("check", ".", "--device", "cpu")
    assert found.code == 2
    text = f"{found.out}\n---- stderr\n{found.err}"
    text = re.sub(r" +\d+\.\d  ", "  0.0  ", text)
    text = re.sub(r"PyTorch \d\S+", "PyTorch VERSION", text)
    golden.compare(GOLDEN / "check.txt", text)


WITHOUT_TORCH = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Blocked())
from convcalc.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_torch_it_says_what_to_install() -> None:
    def start(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_TORCH, "check", "lenet5", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    found = start()
    assert found.returncode == 2
    assert "pip install 'convcalc[torch]'" in found.stderr
    assert "--no-run" in found.stderr
    assert "Traceback" not in found.stderr
    found = start("--no-run")
    assert found.returncode == 0
    assert "1 network, all right" in found.stdout


def test_open_sizes_are_given_for_the_run(run: Runner, tmp_path: Path) -> None:
    """The first of the trials that every layer accepts: five stride-2 pools need 32 rows."""
    pytest.importorskip("torch")
    file = tmp_path / "open.yaml"
    text = "convcalc: 1\nname: open\ninput: [3, H, W]\nlayers:\n- {} * MaxPool2d(2) -> ReLU\n"
    file.write_text(text.format(5))
    found = run("check", file)
    assert found.code == 0
    assert "open leaves H, W open and was run at 3×32×32; --input chooses" in found.out
    file.write_text(text.format(6))
    assert "run at 3×64×64" in run("check", file).out
    file.write_text(text.format(20))
    assert run("check", file).code == 2
    assert "open leaves" not in run("check", file, "--no-run").out
