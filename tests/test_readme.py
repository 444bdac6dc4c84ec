"""Every command and every figure of the README comes out as it stands there.

To renew the outputs: python -m tests.test_readme
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONSOLE = re.compile(
    r"(?<=^```console\n)(\$ (?P<command>.*)\n)(?P<output>(?:.*\n)*?)(?=```$)", re.M
)


def run(command: str) -> str:
    """What the command prints, on both streams, 80 columns wide."""
    words = shlex.split(command)
    assert words[0] == "convcalc"
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "convcalc", *words[1:]],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "shown", list(CONSOLE.finditer(README.read_text())), ids=lambda m: str(m["command"])
)
def test_console(shown: re.Match[str]) -> None:
    assert run(shown["command"]) == shown["output"]


def test_python() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried > 5
    assert not failed


def test_the_yaml_is_the_file_of_the_zoo() -> None:
    shown = re.search(r"```yaml\n(.*?)```", README.read_text(), re.S)
    assert shown
    assert shown[1] == (ROOT / "architectures" / "vgg16.yaml").read_text()


def test_figures_in_its_sentences() -> None:
    text = " ".join(README.read_text().split())
    designs = json.loads(run("convcalc list --format json"))["total"]
    variants = json.loads(run("convcalc list --variants --format json"))["total"]
    assert f"holds {designs} designs in {variants} variants" in text
    totals = json.loads(run("convcalc summary vgg16 --format json"))["totals"]
    values, saved = totals["volumes"], totals["saved_bytes"]
    told = f"its volumes are {values:,} values, {4 * values:,} bytes, and what is kept for backward"
    assert f"{told} is {saved:,}" in text
    command = "convcalc fit resnet --memory 24GiB --optimizer adam"
    batch = json.loads(run(f"{command} --format json"))["budgets"][0]
    told = f"`{command}` says {batch['largest']} at 224×224, and proves that"
    assert f"{told} {batch['beyond'][0]} is too many" in text
    assert batch["answer"] == "proved"


if __name__ == "__main__":
    README.write_text(CONSOLE.sub(lambda m: m[1] + run(m["command"]), README.read_text()))
