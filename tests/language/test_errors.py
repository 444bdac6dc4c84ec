"""Every error that people read, word for word: `golden/*.yaml` are wrong designs, and the `.txt`
beside each is what its author is told.

After a change of wording, write the expected texts anew, and read the difference before it is
committed:

    CONVCALC_UPDATE_GOLDEN=1 python -m pytest tests/language/test_errors.py
    git diff tests/language/golden
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convcalc.errors import DesignError
from convcalc.language import parse_document

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
TRAPS = range(1, 8)


def told(path: Path) -> str:
    """What someone who loads and builds the design of this file reads."""
    text = path.read_bytes().decode("utf-8")
    with pytest.raises(DesignError) as raised:
        build(text, path.name)
    return f"{raised.value}\n"


def build(text: str, name: str) -> None:
    document = parse_document(text, name)
    for variant in document.variants or [None]:
        document.build(variant)


@pytest.mark.parametrize("case", CASES)
def test_error(case: str) -> None:
    expected = GOLDEN / f"{case}.txt"
    found = told(GOLDEN / f"{case}.yaml")
    if os.environ.get("CONVCALC_UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_nothing_is_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == CASES


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_of_the_language_has_a_case(trap: int) -> None:
    assert any(case.startswith(f"trap{trap}_") for case in CASES)


@pytest.mark.parametrize("case", CASES)
def test_places_exist(case: str) -> None:
    """Every problem points into its file, and its carets stand under something that is there."""
    path = GOLDEN / f"{case}.yaml"
    lines = path.read_bytes().decode("utf-8").splitlines()
    with pytest.raises(DesignError) as raised:
        build("\n".join(lines) + "\n", path.name)
    for problem in raised.value.problems:
        if problem.place is not None:
            assert 1 <= problem.place.line <= len(lines) + 1
            line = [*lines, ""][problem.place.line - 1]
            assert 1 <= problem.place.column <= len(line) + 1
