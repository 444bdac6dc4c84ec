"""Every file of the zoo: it builds, its claims hold, it is short and says where it is from.

The index at the end of architectures/README.md is made by: python -m tests.test_zoo
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from convcalc import zoo
from convcalc.analysis.expectations import compare
from convcalc.analysis.summary import Summary
from convcalc.graph import flow
from convcalc.language import load_document, parse_document

ZOO = Path(__file__).parent.parent / "architectures"
FILES = sorted(ZOO.rglob("*.yaml"))
LONGEST = 70
WIDEST = 130
README = ZOO / "README.md"
MARK = "<!-- made by: python -m tests.test_zoo -->\n"


def name(path: Path) -> str:
    return path.relative_to(ZOO).with_suffix("").as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file(path: Path) -> None:
    """Every variant builds, and what is expected of it comes out."""
    document = load_document(path)
    assert document.name
    assert document.cite
    compared = 0
    for variant in document.variants or (None,):
        summary = Summary(flow(document.build(variant)))
        claims = compare(summary, document.expect(variant), document.budget(variant))
        assert not [str(c) for c in claims if not c.ok]
        compared += len(claims)
    assert compared, "it claims nothing"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= WIDEST
    assert text.endswith("\n")
    assert "\t" not in text
    assert not [line for line in lines if line != line.rstrip()]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_is_found_by_name(path: Path) -> None:
    found = zoo.path(name(path))
    assert found
    assert Path(found).samefile(path)


@pytest.mark.parametrize("wrong", ["", "lectures", "../architectures/vgg16", "/vgg16", "a//b"])
def test_other_names_find_nothing(wrong: str) -> None:
    assert zoo.path(wrong) is None


def test_a_wrong_claim_is_caught() -> None:
    text = (ZOO / "lenet5.yaml").read_text(encoding="utf-8").replace("61_706", "61_707")
    document = parse_document(text, "wrong.yaml")
    claims = compare(Summary(flow(document.build())), document.expect())
    assert [claim.figure for claim in claims if not claim.ok] == ["params"]


def index() -> str:
    """The index as it should stand: what `convcalc list` prints."""
    return f"{listed('--variants')}\n## The lectures\n\n{listed('--lectures')}"


def listed(option: str) -> str:
    command = [sys.executable, "-m", "convcalc", "list", option, "--format", "markdown"]
    done = subprocess.run(command, cwd=ZOO.parent, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_index_is_current() -> None:
    _, _, found = README.read_text(encoding="utf-8").partition(MARK)
    assert found.strip() == index().strip(), "run: python -m tests.test_zoo"


def test_the_readme_counts_right() -> None:
    text = (ZOO.parent / "README.md").read_text(encoding="utf-8")
    said = re.search(r"holds (\d+) designs in (\d+)\s+variants", text)
    documents = [load_document(path) for path in FILES if path.parent == ZOO]
    assert said
    assert int(said[1]) == len(documents)
    assert int(said[2]) == sum(len(d.variants or (None,)) for d in documents)


if __name__ == "__main__":
    before, mark, _ = README.read_text(encoding="utf-8").partition(MARK)
    README.write_text(before + mark + "\n" + index(), encoding="utf-8")
