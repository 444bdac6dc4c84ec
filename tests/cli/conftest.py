"""Running the command line, in this process and as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convcalc.cli import main

ROOT = Path(__file__).parent.parent.parent


class Outcome:
    """What a command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in err
        assert "Traceback" not in out


Runner = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run a command line in this process, at the root of the repository."""
    monkeypatch.chdir(ROOT)
    for name in ("NO_COLOR", "FORCE_COLOR", "CONVCALC_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def runner(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return runner


@pytest.fixture
def spawn() -> Runner:
    """Run a command line as a process; `env` adds to the environment, `stdin` is text."""

    def runner(*words: object, stdin: str | None = None, **env: str) -> Outcome:
        process = subprocess.run(
            [sys.executable, "-m", "convcalc", *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=ROOT,
            env={**os.environ, **env},
            check=False,
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    return runner
