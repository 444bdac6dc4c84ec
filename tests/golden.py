"""Texts that people read, word for word, in files beside the tests.

To renew them after a change that is meant, and to read what changed:

    CONVCALC_UPDATE_GOLDEN=1 python -m pytest tests/report tests/cli
    git diff tests
"""

from __future__ import annotations

import os
from pathlib import Path


def compare(path: Path, text: str) -> None:
    """The text is the file's; or, where they are renewed, becomes it."""
    text = text.rstrip("\n") + "\n"
    if os.environ.get("CONVCALC_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing: CONVCALC_UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(encoding="utf-8")
