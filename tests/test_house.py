"""The house keeps its order: which room may import which, who may print, who may import torch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "convcalc"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room may import those of a lower rank, and its own.
RANKS = {
    "errors": 0,
    "_version": 0,
    "integers": 1,
    "ops": 2,
    "graph": 3,
    "language": 4,
    "zoo": 4,
    "analysis": 5,
    "pytorch": 6,
    "network": 7,
    "checking": 7,
    "catalog": 7,
    "single": 7,
    "report": 8,
    "cli": 9,
    "__main__": 9,
}
# The two joints that are no room of their own: integers raises its own errors (which derive from
# convcalc.errors), and the public names are gathered in convcalc/__init__.py.
PUBLIC = "__init__"


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module imported anywhere in the file, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # within its own room
                assert node.level == 1, f"{path}:{node.lineno}: leaves its room by dots"
                continue
            found.append((node.module or "", node.lineno))
            if node.module == "convcalc":
                found += [(f"convcalc.{alias.name}", node.lineno) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(path)
    if own == PUBLIC:
        return
    for module, line in imports(path):
        parts = module.split(".")
        if parts[0] == "convcalc" and len(parts) > 1 and parts[1] in RANKS:
            assert RANKS[parts[1]] <= RANKS[own], f"{path}:{line}: {own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_its_own_room_imports_torch(path: Path) -> None:
    if room(path) != "pytorch":
        assert not [m for m, _ in imports(path) if m.split(".")[0] == "torch"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if room(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "exit", "quit", "sys.exit", "os._exit"), (
                f"{path}:{node.lineno}: {called}"
            )


def test_every_room_has_a_rank() -> None:
    rooms = {room(p) for p in FILES} - {PUBLIC}
    assert rooms <= RANKS.keys()


def test_ci_runs_the_commands_of_the_readme() -> None:
    """The README's set-up is two commands, and CI runs them as they stand there."""
    readme = (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci" / "run").read_text().replace(" --quiet", "").splitlines()
    commands = re.findall(r"^    (python3 -m venv .*|\.venv/bin/pip install .*)$", readme, re.M)
    assert len(commands) == 2
    for command in commands:
        assert command in ci


def test_the_top_of_the_tree_stays_small() -> None:
    shown = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    conventional = {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "build", "dist"}
    ours = {"pyproject.toml", "README.md", "convcalc", "architectures", "tests"}
    assert shown - conventional <= ours
