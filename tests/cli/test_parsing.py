"""A plain command line is read without click, and as click reads it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcalc.cli import COMMANDS, clicked, command
from convcalc.cli.parser import Parser, UsageError
from tests.cli.conftest import ROOT

PARSERS = [command(name).parser() for name in COMMANDS]
WORDS = ["vgg16", "-", "x=1", "--", "-h", "--nothing", "-x", "", "3x8x8", "--batch=2", "--all=yes"]


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[Parser, list[str]]:
    parser = draw(st.sampled_from(PARSERS))
    line = draw(st.lists(st.sampled_from([*WORDS, *parser.options, *parser.options]), max_size=6))
    return parser, line


def by_click(parser: Parser, line: list[str]) -> dict[str, object] | None:
    try:
        found = clicked.parse(parser, line)
    except UsageError:
        return None
    return None if found is None else found.as_dict()


@given(command_lines())
def test_both_read_a_line_alike(case: tuple[Parser, list[str]]) -> None:
    parser, line = case
    plain = parser.plain(line)
    if plain is not None:
        assert plain.as_dict() == by_click(parser, line)


@pytest.mark.parametrize(
    ("line", "file", "symbolic"),
    [
        ("unet", "unet", None),
        ("unet --symbolic", "unet", ""),
        ("--symbolic unet", "unet", ""),
        ("unet --symbolic base,classes", "unet", "base,classes"),
        ("--symbolic base,classes unet", "unet", "base,classes"),
        ("--symbolic=base unet", "unet", "base"),
        ("unet --symbolic --all", "unet", ""),
        ("--set base=2 --symbolic unet", "unet", ""),
        ("--set base=2 --symbolic classes unet --depth 1", "unet", "classes"),
        ("- --symbolic base", "-", "base"),
        ("--symbolic -", "-", ""),
    ],
)
def test_an_option_that_may_stand_bare(line: str, file: str, symbolic: str | None) -> None:
    """The word behind it is its value only where the command has its FILE besides."""
    parser = command("summary").parser()
    for found in (parser.plain(line.split()), clicked.parse(parser, line.split())):
        assert found is not None
        assert (found["file"], found["symbolic"]) == (file, symbolic)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda p: p.program)
def test_every_example_is_plain(parser: Parser) -> None:
    """What people write most needs no click; were nothing plain, the test above would be empty."""
    for example in parser.examples:
        words = shlex.split(example.partition(" > ")[0])[2:]
        assert parser.plain(words) is not None


def test_a_shell_is_told_how_a_line_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convcalc"],
        env={
            **os.environ,
            "_CONVCALC_COMPLETE": "bash_complete",
            "COMP_WORDS": "convcalc summary --sym",
            "COMP_CWORD": "2",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,--symbolic\n"
