"""convcalc diff: what its two arguments may be, its options, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Runner

LENET = (ROOT / "architectures" / "lenet5.yaml").read_text()


def test_variants_behind_a_colon(run: Runner) -> None:
    found = run("diff", "resnet:resnet50", "resnet:resnet101", "--symbolic")
    assert (found.code, found.err) == (0, "")
    assert "difference = +18,939,904·N·h4·w4" in found.out
    assert "h4 = (H + 15)//16, w4 = (W + 15)//16" in found.out
    same = run("diff", "resnet", "resnet:resnet101", "--symbolic")  # resnet50 is its default
    assert same.out == found.out
    assert "Nothing differs" in run("diff", "resnet", "resnet", "--variant", "resnet18").out


def test_files_and_stdin(run: Runner, spawn: Runner, tmp_path: Path) -> None:
    changed = tmp_path / "net.yaml"
    changed.write_text(LENET.replace("120", "128"))
    found = spawn("diff", "-", changed, stdin=LENET)
    assert (found.code, found.err) == (0, "")
    assert f"<stdin> → {changed}" in found.out
    assert "→ Conv2d(128, 5)" in found.out
    with_colon = tmp_path / "a:b"
    with_colon.write_text(LENET)
    assert "Nothing differs" in run("diff", with_colon, "lenet5").out
    resnet = (ROOT / "architectures" / "resnet.yaml").read_text()
    variant = spawn("diff", "resnet:resnet18", "-", "--variant", "resnet18", stdin=resnet)
    assert "Nothing differs" in variant.out


@pytest.mark.parametrize("format", ["table", "json", "markdown"])
def test_formats(format: str, run: Runner) -> None:
    found = run("diff", "mobilenetv2", "mobilenetv2", "--set-b", "alpha=1.4", "--format", format)
    assert (found.code, found.err) == (0, "")
    if format == "json":
        assert json.loads(found.out)["totals"]["params"]["difference"] == 2_603_904
    else:
        assert "+2,603,904" in found.out


def test_settings_of_either_and_both(run: Runner) -> None:
    both = run("diff", "mobilenetv2", "mobilenetv2", "--set", "alpha=1.4")
    assert "Nothing differs" in both.out
    words = ("--set-a", "alpha=1.4", "--set-b", "alpha=1.4")
    assert run("diff", "mobilenetv2", "mobilenetv2", *words).out == both.out
    found = run("diff", "vgg16", "vgg16", "--input", "3x64x64", "--batch", "2")
    assert "input 3×64×64; batch 2; float32" in found.out


def test_exit_codes(run: Runner) -> None:
    assert run("diff", "vgg16", "vgg16", "--exit-code").code == 0
    assert run("diff", "vgg16", "alexnet", "--exit-code").code == 1
    assert run("diff", "vgg16", "alexnet").code == 0


def test_depth(run: Runner) -> None:
    short = run("diff", "efficientnet:b0", "efficientnet:b3", "--depth", "1").out
    whole = run("diff", "efficientnet:b0", "efficientnet:b3", "--all").out
    assert len(short) < len(whole)


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("diff vgg16", "convcalc diff needs A B: each a YAML file", "as in convcalc diff resnet"),
        ("diff vgg16 vgg16 vgg16", "unexpected extra argument (vgg16)", "as in"),
        ("diff no:such/design.yaml vgg16", "no file 'no:such/design.yaml'", ""),
        ("diff - -", "only one of the designs can be read from stdin", ""),
        ("diff resnet:resnet51 resnet", "no variant 'resnet51'", "did you mean"),
        ("diff vgg16 vgg17", "no file 'vgg17'", "did you mean 'vgg16'?"),
        ("diff vgg16 alexnet --set-b x=1", "no var 'x'", ""),
        ("diff vgg16 alexnet --set-b x", "takes NAME=VALUE", ""),
        ("diff vgg16 alexnet --depth 1 --all", "--all shows every level", ""),
        ("diff vgg16 alexnet --format csv", "--format takes one of table, json, markdown", ""),
        ("diff vgg16 alexnet --symbolic x", "no var 'x'", ""),
    ],
)
def test_a_wrong_command_line(line: str, message: str, help: str, run: Runner) -> None:
    found = run(*line.split())
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert help in found.err


def test_wrong_designs_are_told_with_their_places(spawn: Runner, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(LENET.replace("Conv2d(6, 5)", "Conv2d(6, 50)"))
    found = spawn("diff", "-", wrong, stdin=LENET.replace("Linear(84)", "Linaer(84)"))
    assert (found.code, found.out) == (2, "")
    assert "<stdin>:" in found.err
    assert "did you mean 'Linear'?" in found.err
    found = spawn("diff", "lenet5", wrong)
    assert found.code == 2
    assert f"{wrong}:" in found.err
    assert "must be at least 50" in found.err
