"""YAML text → nodes: what is read, with which places, by either of PyYAML's loaders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from convcalc.errors import DesignError
from convcalc.language import load_document, reader
from convcalc.language.faults import Problems, Text
from convcalc.language.reader import (
    Broken,
    Mapping,
    Node,
    Scalar,
    Sequence,
    decode,
    read,
    read_file,
)

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]


@pytest.fixture(params=LOADERS, ids=["python", "libyaml"], autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_Loader", request.param)


def nodes(text: str) -> Node:
    problems = Problems()
    root = read(Text("<text>", text), problems)
    problems.raise_if_any()
    assert root is not None
    return root


def told(text: str) -> list[str]:
    problems = Problems()
    read(Text("<text>", text), problems)
    return [str(p) for p in problems.error().problems]


def plain(node: Node | None) -> object:
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    assert isinstance(node, Scalar)
    return node.text


def test_nothing_is_typed() -> None:
    text = "a: no\nb: 010\nc: 1e-5\nd: 12:30\ne: 2020-01-01\nf: ~\ng: 0x1F\nh: 1_000\ni: .inf\nj:\n"
    assert plain(nodes(text)) == {
        "a": "no",
        "b": "010",
        "c": "1e-5",
        "d": "12:30",
        "e": "2020-01-01",
        "f": "~",
        "g": "0x1F",
        "h": "1_000",
        "i": ".inf",
        "j": "",
    }


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("k: a -> b\n", "a -> b"),
        ("k: a ->\n   b # no\n", "a ->\n   b"),
        ("k: 'a -> b'\n", "a -> b"),
        ('k: "a -> b"\n', "a -> b"),
        ("k: |\n  a ->\n  b\n", "  a ->\n  b\n"),
        ("k: >-\n  a ->\n  b\n", "  a ->\n  b\n"),
        ("{k: a -> b}\n", "a -> b"),
    ],
)
def test_raw_text_stands_at_its_index(text: str, raw: str) -> None:
    root = nodes(text)
    assert isinstance(root, Mapping)
    scalar = root.get("k")
    assert isinstance(scalar, Scalar)
    assert scalar.raw.rstrip() == raw.rstrip()
    assert text[scalar.base : scalar.base + len(scalar.raw)] == scalar.raw


def test_escapes_are_resolved() -> None:
    assert plain(nodes("a: 'it''s'\nb: \"caf\\u00e9\\n\"\n")) == {"a": "it's", "b": "café\n"}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_places_count_characters(newline: str) -> None:
    text = Text("<text>", newline.join(["# é 😀", "é: x", "b: &a y"]))
    problems = Problems()
    read(text, problems)
    (problem,) = problems.error().problems
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (3, 4)


@given(st.text(alphabet="ab \n\r\x85\u2028é", max_size=40), st.data())
def test_place_is_the_inverse_of_lines(text: str, data: st.DataObject) -> None:
    source = Text("<text>", text)
    index = data.draw(st.integers(0, len(text)))
    place = source.place(index)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    assert starts[place.line - 1] + place.column - 1 == index
    assert place.column >= 1
    if index < len(text) and text[index] not in "\n\r\x85\u2028":
        assert source.line(place.line)[place.column - 1] == text[index]


def test_faults_are_collected_and_the_rest_is_read() -> None:
    problems = Problems()
    root = read(Text("<text>", "a: &x 1\nb: *x\nb: 2\nc: !t 3\n<<: 4\nd: 5\n"), problems)
    assert len(problems) == 5
    assert isinstance(root, Mapping)
    assert isinstance(root.get("b"), Broken)
    assert plain(root.get("d")) == "5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# a comment\n", "is empty"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("%YAML 1.1\n---\na: 1\n", "directives"),
        ("? [a]\n: 1\n", "must be a word"),
        ("a: " + "[" * 100_000, "nested more than 64"),
        ("a: " + "{a: " * 100_000, "nested more than 64"),
        ("- " * 100_000, "nested more than 64"),
        ("a: \x00", "NUL"),
        ("a: \x1b[31m", "U+001B"),
        ('a: "\\e[31m"', "U+001B"),
        ("a: \ud800", "surrogate"),
        ("a: 'x", "never closed"),
        ("a: [1", "not closed"),
    ],
)
def test_faults(text: str, words: str) -> None:
    assert words in told(text)[0]


def test_entries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_NODES", 1000)
    assert "more than 1,000 entries" in told("a: [" + "x," * 1000 + "]")[0]


def test_alias_bomb() -> None:
    text = "a0: &a0 [x, x]\n"
    text += "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    assert "anchors" in told(text)[0]


# --------------------------------------------------------------------------------- files


def raised(path: str | os.PathLike[str]) -> str:
    with pytest.raises(DesignError) as error:
        load_document(path)
    return str(error.value)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "resnet.yaml").write_text("")
    assert "did you mean" in raised(tmp_path / "resnt.yaml")
    assert "there is no file" in raised(tmp_path / "no" / "such.yaml")
    assert "cannot be read" in raised("nul\0.yaml")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in raised(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    path.chmod(0)
    assert "may not be read" in raised(path)


def test_unreadable_file_by_any_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "may not be read" in raised("a.yaml")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is a binary file"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"a: caf\xe9\n", "byte 0xe9 is not UTF-8"),
        (b"x" * (3 << 20), "larger than 2 MiB"),
    ],
)
def test_bytes(data: bytes, words: str) -> None:
    with pytest.raises(DesignError) as error:
        decode(data, "f.yaml")
    assert words in str(error.value)


def test_place_of_a_wrong_byte() -> None:
    with pytest.raises(DesignError) as error:
        decode("é: 1\nb: é".encode() + b"\xe9", "f.yaml")
    place = error.value.problems[0].place
    assert place is not None
    assert (place.line, place.column) == (2, 5)


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(path).text == "a: 1\n"
