"""What a start loads: no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convcalc.cli import COMMANDS
from tests.cli.conftest import ROOT

# What nobody on the way needs, and (lean) what the commonest ways do without, ms by ms.
HEAVY = {"torch", "numpy", "rich", "click"}
LEAN = HEAVY | {"argparse", "dataclasses", "inspect", "typing", "pathlib", "shutil"}
RUN = """
import sys, io
from convcalc.cli import main
out, sys.stdout = sys.stdout, io.StringIO()
code = main({words!r})
sys.stdout = out
print(code, *sorted(sys.modules))
"""


def loaded(code: str) -> list[str]:
    """What a process of its own prints."""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return process.stdout.split()


@pytest.mark.parametrize(
    "words",
    [
        ["summary", "vgg16"],
        ["summary", "resnet", "--all", "--batch", "2"],
        ["summary", "vgg16", "--format", "json"],
        ["summary", "vgg16", "--symbolic"],
        ["summary", "alexnet", "--input", "3x224x224", "--format", "markdown"],
        ["list"],
        ["check", "vgg16", "--no-run"],
    ],
)
def test_what_needs_no_torch_loads_none(words: list[str]) -> None:
    code, *modules = loaded(RUN.format(words=words))
    assert code == "0"
    lean = words[0] == "summary" and "--symbolic" not in words
    assert not (LEAN if lean else HEAVY) & set(modules)
    if "json" in words:
        assert not [m for m in modules if m.startswith("rich") or m == "convcalc.report.table"]
    else:
        assert "json" not in modules


def test_the_group_loads_no_command() -> None:
    modules = loaded("import sys, convcalc.cli; print(*sorted(sys.modules))")
    assert not [m for m in modules if m in {f"convcalc.cli.commands.{name}" for name in COMMANDS}]
    assert "convcalc.language" not in modules


def test_importing_the_library_costs_next_to_nothing() -> None:
    modules = loaded("import sys, convcalc; print(*sorted(sys.modules))")
    assert [m for m in modules if m.startswith("convcalc")] == ["convcalc", "convcalc._version"]


YAML = """
import re, sys
compile = re.compile
from convcalc.cli import _import_yaml
_import_yaml()
assert re.compile is compile
import yaml
yaml.CSafeLoader = None
found = yaml.load("[2024-01-31, 1.5, 0x10, yes, ~, text]", Loader=yaml.SafeLoader)
assert found[1:] == [1.5, 16, True, None, "text"] and found[0].year == 2024, found
try:
    yaml.load("a\\x00b", Loader=yaml.SafeLoader)
except yaml.reader.ReaderError:
    print("works")
"""


def test_yaml_works_as_ever_after_it_was_imported_lazily() -> None:
    assert loaded(YAML) == ["works"]


def test_without_yaml_a_command_line_says_so() -> None:
    code = "import sys; sys.modules['yaml'] = None; sys.argv = ['convcalc', 'summary', 'vgg16']\n"
    code += "from convcalc.cli import main; print(main())"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert process.stdout == "2\n"
    assert "yaml" in process.stderr
    assert "Traceback" not in process.stderr
