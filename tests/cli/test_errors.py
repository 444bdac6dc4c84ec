"""Whatever is wrong, a clear error on stderr, the right exit code, and no traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from convcalc.cli import CLOSED_PIPE, INTERRUPTED, main
from tests.cli.conftest import ROOT, Runner

DESIGN = "convcalc: 1\nname: t\ninput: [3, 8, 8]\nlayers:\n- Conv2d(4, 3) -> ReLU\n"


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("sumary vgg16", "no command 'sumary'", "did you mean summary?"),
        ("zzz", "no command 'zzz'", "the commands are summary, check"),
        ("--zzz", "no option --zzz", "convcalc --help lists the options"),
        ("help sumary", "no command 'sumary'", "did you mean summary?"),
        ("summary", "convcalc summary needs FILE", "as in convcalc summary vgg16"),
        ("summary vgg16 alexnet", "unexpected extra argument (alexnet)", "as in"),
        ("summary vgg16 --colums x", "no option --colums", "did you mean --columns?"),
        ("summary vgg16 -x", "no option -x", "--help lists the options"),
        ("summary vgg16 --batch", "option '--batch' requires an argument", "as in"),
        ("summary vgg16 --all=yes", "option '--all' does not take a value", ""),
        ("summary vgg16 --batch 0", "whole number of at least 1, not '0'", ""),
        ("summary vgg16 --batch 1e3", "whole number of at least 1, not '1e3'", ""),
        ("summary vgg16 --batch ²", "whole number of at least 1, not '²'", ""),
        ("summary vgg16 --dtype int8", "one of float32, float64", ""),
        ("summary vgg16 --format jsn", "one of table, json, csv, markdown", "did you mean json?"),
        ("summary vgg16 --depth x", "--depth takes a whole number", ""),
        ("summary vgg16 --depth 1 --all", "--all shows every level", ""),
        ("summary vgg16 --columns mac", "no column 'mac': did you mean macs?", ""),
        ("summary vgg16 --columns ,", "--columns names no column", "it takes layer, path"),
        ("summary vgg16 --columns path --format json", "json has its own", ""),
        ("summary vgg16 --set x", "--set takes NAME=VALUE, not 'x'", "--set alpha=1.4"),
        ("summary vgg16 --set x=", "--set takes NAME=VALUE", ""),
        ("summary resnet --set depths=1 --set depths=2", "--set gives depths twice", ""),
        ("summary vgg16 --set x=1", "no var 'x'", ""),
        ("summary mobilenetv2 --set alpha=(1", "--set:1:9: error: ", ""),
        ("summary vgg16 --input 3x0x3", "sizes without the batch, as 3x224x224, not '3x0x3'", ""),
        ("summary vgg16 --input 3xhxw", "not '3xhxw'", "a name in capitals"),
        ("summary vgg16 --input 3x8x8 --input 3x8x8", "of several inputs each has a name", ""),
        ("summary vgg16 --input a=3x8x8 --input a=3x8x8", "--input gives a twice", ""),
        ("summary vgg16 --input a=3x8x8", "no input 'a'", ""),
        ("summary vgg16 --input 3x8", "Conv2d takes N×C×H×W", "write Conv1d"),
        ("summary vgg16 --input 3x8x8", "must be at least 2, not 1", ""),
        ("summary unet --symbolic x", "the design has no var 'x'", "its vars are depth, base"),
        ("summary unet --symbolic depth", "range needs whole numbers, not depth", "a number"),
        ("summary unet --symbolic a+b", "--symbolic takes names of vars", "width,classes"),
        ("summary vgg17", "no file 'vgg17', and no network of that name", "did you mean 'vgg16'?"),
        ("summary resnet50", "no file 'resnet50'", "add --variant resnet50"),
        ("summary zzzzzz", "no file 'zzzzzz'", "`convcalc list` shows the networks"),
        ("summary no/such.yaml", "there is no file 'no/such.yaml'", ""),
        ("summary tests", "is a folder", ""),
        ("summary resnet --variant resnet51", "no variant 'resnet51'", "did you mean"),
        ("summary vgg16 --variant x", "no variant 'x'", ""),
        ("check", "convcalc check needs FILE", ""),
        ("check vgg16 --device tpu", "device 'tpu'", ""),
        ("check vgg16 --device cuda:99", "device 'cuda:99'", ""),
        ("check tests/cli", "no .yaml or .yml file in 'tests/cli'", ""),
        ("check tests/nothing --no-run", "there is no file 'tests/nothing'", ""),
        ("list --format x", "--format takes one of", ""),
        ("ops Conv22d", "there is no layer 'Conv22d'", "did you mean 'Conv2d'?"),
        ("ops Conv2d Conv3d", "unexpected extra argument (Conv3d)", ""),
        ("schema x", "unexpected extra argument (x)", ""),
    ],
)
def test_a_wrong_command_line(line: str, message: str, help: str, run: Runner) -> None:
    if "--device" in line:
        pytest.importorskip("torch")
    found = run(*line.split())
    assert found.code == 2
    assert message in found.err
    assert help in found.err
    assert "error:" in found.err


def test_a_wrong_design_has_its_place(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "typo.yaml"
    file.write_text(DESIGN.replace("ReLU", "RelU"))
    found = run("summary", file)
    assert found.code == 2
    assert found.out == ""
    assert found.err.startswith(f"{file}:5:19: error: ")
    assert "did you mean 'ReLU'?" in found.err
    assert "    5 | - Conv2d(4, 3) -> RelU\n      |                   ^^^^\n" in found.err


def test_several_errors_are_told_at_once(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(DESIGN.replace("ReLU", "RelU") + "- Linaer(5)\n")
    assert run("summary", file).err.count("error:") == 2


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RecursionError(), "nested too deeply"),
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("odd"), "a fault of its own: ValueError: odd"),
    ],
)
def test_what_goes_wrong_inside_is_told(
    error: Exception, message: str, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("convcalc.network.Network.summary", fail)
    found = run("summary", "vgg16")
    assert found.code == 2
    assert message in found.err


def test_its_own_faults_can_be_looked_into(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("convcalc.network.Network.summary", fail)
    monkeypatch.setenv("CONVCALC_DEBUG", "1")
    with pytest.raises(ValueError, match="odd"):
        main(["summary", "vgg16"])


def test_ctrl_c(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convcalc.network.Network.summary", interrupt)
    found = run("summary", "vgg16")
    assert found.code == INTERRUPTED
    assert found.err == ""


@pytest.mark.skipif(os.name == "nt", reason="pipes close otherwise there")
def test_a_reader_that_goes_away() -> None:
    command = [sys.executable, "-m", "convcalc", "list", "--variants", "--format", "json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `head` does
    assert process.wait(60) == CLOSED_PIPE
    assert process.stderr.read() == b""
    process.stderr.close()


def test_binary_files_and_bytes(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "binary.yaml"
    for data in (b"\x00\x01\x02", b"\xff\xfe", b"\xc3\x28", b"", bytes(range(256))):
        file.write_bytes(data)
        found = run("summary", file)
        assert found.code == 2
        assert "error:" in found.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no device that is always full")
@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("summary lenet5 > /dev/full", 2, "", "error: input or output: No space left on device\n"),
        ("summary vgg17 2> /dev/full", 2, "", ""),
        ("summary lenet5 > /dev/full 2> /dev/full", 2, "", ""),
        ("summary lenet5 >&-", 2, "", "error: there is nothing to write to: stdout is closed\n"),
        ("summary vgg17 2>&-", 2, "", ""),
        ("summary - <&-", 2, "", "error: stdin, from which the design was to come, is closed\n"),
        ("schema --help >&-", 0, "", ""),
    ],
)
def test_streams_that_are_full_or_closed(line: str, code: int, out: str, err: str) -> None:
    """1 would say that a check failed."""
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m convcalc {line}",
        shell=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
