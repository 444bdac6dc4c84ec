"""`summary --timeline`: the chart word for word, the files as other programs read them."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

import convcalc
from convcalc.report import timeline
from convcalc.report.grid import text_width
from tests import golden
from tests.cli.conftest import Runner

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(("name", "optimizer"), [("vgg16", "adam"), ("resnet", "momentum")])
def test_charts(name: str, optimizer: str, width: int) -> None:
    summary = convcalc.load(name).summary(optimizer=optimizer)
    assert summary.training is not None
    text = timeline.chart(summary, summary.training, width=width)
    assert max(map(text_width, text.splitlines()[1:])) <= width
    golden.compare(GOLDEN / f"timeline-{name}-{width}.txt", text)


@pytest.mark.parametrize("width", [20, 40, 79, 133])
@pytest.mark.parametrize("name", ["lenet5", "densenet121", "googlenet"])
def test_columns_are_as_high_as_what_lives(name: str, width: int) -> None:
    """Nothing is lost between columns: each turn's peak stands in the column that it falls in."""
    summary = convcalc.load(name).summary(optimizer="adam")
    course = summary.training
    assert course is not None
    moments = course.moments
    spans = timeline._spans(moments, width)
    assert [first for _, first, _, _ in spans] == [0, *(last for _, _, last, _ in spans[:-1])]
    assert spans[-1][2] == len(moments)
    assert sum(count for *_, count in spans) == width
    for phase, first, last, count in spans:
        assert {moment.phase for moment in moments[first:last]} == {phase}
        values = [moment.peak for moment in moments[first:last]]
        tops = timeline._binned(values, count)
        assert len(tops) == count
        assert max(tops) == max(values)
        for index, value in enumerate(values):
            assert tops[index * count // len(values)] >= min(value, *tops)
    drawn = timeline.chart(summary, course, width=width)
    assert f"{course.peak:,} bytes" in drawn
    assert drawn.count("▼") == 1


def test_csv(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    assert run("summary", "vgg16", "--optimizer", "adam", "--timeline", file).code == 0
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    summary = convcalc.load("vgg16").summary(optimizer="adam")
    assert summary.training is not None
    assert max(int(row["peak_bytes"]) for row in rows) == summary.training.peak
    assert [row["phase"] for row in rows] == [m.phase for m in summary.training.moments]
    assert rows[-1]["phase"] == "step"
    layers = {layer.path for layer in summary.layers}
    assert {row["path"] for row in rows} <= layers | {""}


def test_svg(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "out.svg"
    design = tmp_path / "a.yaml"
    design.write_text('convcalc: 1\nname: "a < b & c"\ninput: [3, 8, 8]\nlayers: Conv2d(4, 3)\n')
    assert run("summary", design, "--optimizer", "sgd", "--timeline", file).code == 0
    root = ElementTree.parse(file).getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-1] == "a < b & c: bytes that live in a step of training, batch 1, float32, sgd"
    assert {"forward", "backward", "step"} <= set(texts)
    heights = [
        float(point.split(",")[1])
        for polygon in root.iter("{http://www.w3.org/2000/svg}polygon")
        for point in polygon.attrib["points"].split()
    ]
    assert min(heights) == timeline._TOP


def test_a_forward_pass_alone(run: Runner) -> None:
    text = run("summary", "resnet", "--timeline", "--inference").out
    assert "bytes that live in a forward pass" in text
    assert "backward" not in text
    assert "Peak: 10,235,904 bytes above the weights, in forward of Bottleneck[0]" in text


def test_an_old_encoding(spawn: Runner) -> None:
    found = spawn("summary", "lenet5", "--timeline", PYTHONIOENCODING="ascii")
    assert found.code == 0
    assert found.out.isascii()
    assert "?" not in found.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timeline", "out.png"], "ends in .svg or .csv, not 'out.png'"),
        (["--timeline", "--format", "json"], "a report of its own"),
        (["--inference"], "--inference goes with --timeline"),
        (["--timeline", "--input", "3xHxW"], "there is no timeline: a peak is told where"),
    ],
)
def test_mistakes(run: Runner, words: list[str], message: str) -> None:
    found = run("summary", "vgg", *words)
    assert found.code == 2
    assert found.out == ""
    assert message in found.err
