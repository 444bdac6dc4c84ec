"""The reference of the layers: complete, readable, and its formulas are the rules.

Texts stand in golden/reference; tests/golden.py says how to renew them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convcalc.errors import ConvcalcError
from convcalc.integers import evaluate, parse
from convcalc.ops import REGISTRY
from convcalc.ops.arguments import Axis, Count, Like, Real, Sizes
from convcalc.ops.base import Op
from convcalc.report.reference import FAMILIES, entries, heading, op_markdown, op_reference
from tests import golden

GOLDEN = Path(__file__).parent / "golden" / "reference"


@pytest.mark.parametrize("name", ["Conv2d", "WindowAttention", "MaxUnpool2d", "convolution"])
def test_pages(name: str) -> None:
    golden.compare(GOLDEN / f"{name}.txt", op_reference(name))


def test_a_narrow_page() -> None:
    golden.compare(GOLDEN / "Conv2d-60.txt", op_reference("Conv2d", width=60))


def test_markdown_page() -> None:
    golden.compare(GOLDEN / "Conv2d.md", op_markdown("Conv2d"))


def test_the_overview_names_every_layer_once_under_its_family() -> None:
    blocks = op_reference().split("\n\n")
    assert len(blocks) == len(FAMILIES)
    found = []
    for family, block in zip(FAMILIES, blocks, strict=True):
        first, *lines = block.splitlines()
        assert first == heading(entries(family))
        named = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
        assert block.split() == op_reference(family).split()
        assert all(REGISTRY[name].__module__ == f"convcalc.ops.{family}" for name in named)
        found += named
    assert sorted(found) == sorted(REGISTRY)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_lines_are_no_wider_than_the_terminal(width: int) -> None:
    pages = [op_reference(width=width), *(op_reference(name, width=width) for name in REGISTRY)]
    for line in "\n".join(pages).splitlines():
        # A word alone, or a formula's name beside it, may be longer than a narrow line.
        assert len(line) <= width or len(line.split()) <= 2, line
        assert line == line.rstrip()


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_page_tells_all(name: str) -> None:
    [entry] = entries(name)
    page = op_reference(name)
    assert page.startswith(name)
    assert entry.summary.endswith(".")
    told = [about for about, _ in entry.arguments()]
    assert [t.partition("=")[0] for t in told][: len(REGISTRY[name].arguments)] == [
        argument.name for argument in REGISTRY[name].arguments
    ]
    for text in told:
        assert f"\n  {text} " in page
    assert f"### {name}\n" in op_markdown(name)
    assert json.loads(json.dumps(entry.as_dict()))["name"] == name


def test_the_whole_document() -> None:
    text = op_markdown()
    assert text.startswith("# Layers\n")
    for name in REGISTRY:
        assert text.count(f"\n### {name}\n") == 1
        assert f"[{name}](#{name.lower()})" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == 3, line


#: Numbers for the symbols: what divides divides, and no two products agree by chance.
POINT_TEXT = """
N=2 C=24 H=36 W=60 D=48 L=72 E=24 F=84 h=71 w=119
out_channels=40 kernel_size=3 stride=2 padding=1 dilation=2 output_padding=1 groups=4
num_groups=4 num_heads=6 head_dim=8 window_size=6 shift_size=2 index=3 out_features=11
upscale_factor=2 downscale_factor=2 start=5 size=7 output_size=9 num_parameters=24
"""
POINT = {name: int(number) for name, number in (p.split("=") for p in POINT_TEXT.split())}


def in_numbers(op: type[Op]) -> Op:
    """The layer with numbers for its sizes: the same ones for which the symbols stand."""
    values: dict[str, Any] = {}
    for argument in op.arguments:
        if isinstance(argument, (Like, Axis)) or argument.name == "dim":
            continue
        if isinstance(argument, (Count, Sizes)):
            if argument.default is not None or argument.name == "stride":
                values[argument.name] = POINT[argument.name]
        elif isinstance(argument, Real) and argument.required:
            values[argument.name] = 1
    return op(**values)


def evaluated(text: str, definitions: dict[str, str]) -> tuple[int, ...]:
    """The numbers that a shape in the reference comes to."""
    known = dict(POINT)
    for name, definition in definitions.items():
        known[name] = evaluate(parse(definition), known)
    if text == "one number":
        return ()
    return tuple(evaluate(parse(part), known) for part in text.split("×"))


WITH_RULES = [name for name in sorted(REGISTRY) if entries(name)[0].rules() is not None]


@pytest.mark.parametrize("name", WITH_RULES)
def test_formulas_are_the_rules(name: str) -> None:
    """Read back as a reader would, and put in numbers, they are what the layer says of numbers."""
    rules = entries(name)[0].rules()
    assert rules is not None
    op = in_numbers(REGISTRY[name])
    flowing, _, like = rules.flowing.partition(", like ")
    shapes = [evaluated(text, {}) for text in flowing.split(" and ")]
    shapes += [evaluated(like, {})] if like else []
    output = op.output(*shapes)
    expected = {t.name: t.shape for t in (*op.weights(*shapes), *op.buffers(*shapes))}
    if "output" in rules.figures:
        expected["output"] = output
    else:
        assert output == shapes[0]
    macs = op.macs(output, *shapes)
    if macs:
        expected["MACs"] = (macs,)
    assert expected == {
        what: evaluated(text, rules.definitions) for what, text in rules.figures.items()
    }


def test_where_there_are_no_formulas_there_is_nothing_to_tell() -> None:
    """But for a few layers whose sizes are lists or ratios, or that learn only when asked to."""
    cannot = {"Unflatten", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"}
    cannot |= {"InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"}
    for name in set(REGISTRY) - set(WITH_RULES) - cannot:
        op = REGISTRY[name]
        assert op.weights is Op.weights
        assert op.buffers is Op.buffers
        assert op.macs is Op.macs


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Conv2D", "did you mean 'Conv2d'?"), ("poolng", "did you mean 'pooling'?"), ("", "lists")],
)
def test_an_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(ConvcalcError) as error:
        op_reference(name)
    assert hint in str(error.value)
