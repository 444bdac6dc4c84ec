"""Terminals and pipes: colours, widths, encodings."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from convcalc.report.grid import text_width
from tests.cli.conftest import ROOT, Runner

ANSI = re.compile(r"\033\[[0-9;]*m")


def in_terminal(columns: int, *words: str, **env: str) -> str:
    """What a command writes to a terminal of that width."""
    pty = pytest.importorskip("pty")
    fcntl = pytest.importorskip("fcntl")
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-m", "convcalc", *words],
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**clean, "TERM": "xterm-256color", **env},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 132, 200])
def test_a_terminal_is_filled_and_not_overrun(columns: int) -> None:
    text = in_terminal(columns, "summary", "resnet")
    assert ANSI.search(text)
    lines = ANSI.sub("", text).splitlines()
    assert max(map(text_width, lines)) <= columns
    assert ("of MACs" in text) == (columns >= 120)


def test_columns_of_the_environment() -> None:
    text = in_terminal(200, "summary", "resnet", COLUMNS="70", NO_COLOR="1")
    assert max(map(text_width, text.splitlines())) <= 70


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(env: dict[str, str]) -> None:
    assert not ANSI.search(in_terminal(80, "summary", "vgg16", **env))
    assert not ANSI.search(in_terminal(80, "summary", "vgg17", **env))


def test_errors_are_coloured_too() -> None:
    text = in_terminal(80, "summary", "vgg17")
    assert "\033[31;1merror:\033[0m there is no file 'vgg17'" in text
    assert "\033[36mhelp:\033[0m did you mean 'vgg16'?" in text


def test_a_pipe_is_plain_and_whole(spawn: Runner) -> None:
    text = spawn("summary", "resnet", COLUMNS="40", TERM="xterm-256color").out
    assert "\033" not in text
    assert "Conv2d(64, 7, stride=2, padding=3, bias=false)" in text
    assert "\033[" in spawn("summary", "resnet", FORCE_COLOR="1").out
    assert "\033" not in spawn("summary", "resnet", FORCE_COLOR="1", NO_COLOR="1").out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_other_encodings(encoding: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "convcalc", "summary", "resnet"],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=True,
    )
    text = process.stdout.decode(encoding)
    assert "?" not in text
    assert "25,557,032" in text


def test_long_work_shows_its_progress_and_leaves_none() -> None:
    pytest.importorskip("torch")
    text = in_terminal(100, "check", "lenet5", "alphago", "--device", "cpu")
    shown, erased, rest = text.rpartition("\033[2K")
    assert erased
    assert "1/2" in shown
    assert "AlphaGo" in shown
    assert ANSI.sub("", rest).startswith("network ")
    assert "2 networks, all right" in rest
