"""What people read, word for word (`tests/golden.py` says how to renew it)."""

from __future__ import annotations

from pathlib import Path

import pytest

import convcalc
from convcalc.report import csv, json, markdown, table
from tests import golden

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo's files are named as seen from where one stands."""
    monkeypatch.chdir(Path(__file__).parent.parent.parent)


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(
    ("name", "variant"),
    [("vgg16", None), ("resnet", "resnet50"), ("googlenet", None), ("alphago", None)],
)
def test_tables(name: str, variant: str | None, width: int) -> None:
    text = table.render(convcalc.load(name, variant).summary(), width=width)
    golden.compare(GOLDEN / f"{variant or name}-{width}.txt", text)


def test_a_pipe() -> None:
    text = table.render(convcalc.load("resnet", "resnet50").summary(), everything=True)
    golden.compare(GOLDEN / "resnet50-all.txt", text)


def test_warnings() -> None:
    summary = convcalc.load("alexnet").summary((3, 224, 224))
    golden.compare(GOLDEN / "alexnet-224.txt", table.render(summary, width=80))


@pytest.mark.parametrize(("name", "depth"), [("vgg16", 2), ("unet", 1)])
def test_formulas(name: str, depth: int) -> None:
    summary = convcalc.load(name).summary(symbolic=True)
    text = table.render(summary, depth=depth, width=80)
    golden.compare(GOLDEN / f"{name}-symbolic.txt", text)


def test_every_column() -> None:
    names = list(table.columns.FIELDS)
    summary = convcalc.load("googlenet").summary(batch=2)
    golden.compare(GOLDEN / "googlenet-columns.txt", table.render(summary, names=names, depth=2))


@pytest.mark.parametrize(("name", "variant"), [("vgg16", None), ("resnet", "resnet50")])
def test_markdown(name: str, variant: str | None) -> None:
    summary = convcalc.load(name, variant).summary()
    golden.compare(GOLDEN / f"{variant or name}.md", markdown.summary(summary, depth=2))


@pytest.mark.parametrize(("name", "variant"), [("vgg16", None), ("resnet", "resnet50")])
def test_csv(name: str, variant: str | None) -> None:
    summary = convcalc.load(name, variant).summary()
    golden.compare(GOLDEN / f"{variant or name}.csv", csv.summary(summary))


@pytest.mark.parametrize("name", ["vgg16", "lenet5", "googlenet"])
def test_json(name: str) -> None:
    text = json.summary(convcalc.load(name).summary())
    version = f'"convcalc": "{convcalc.__version__}"'
    assert version in text
    golden.compare(GOLDEN / f"{name}.json", text.replace(version, '"convcalc": "VERSION"'))


def test_json_of_formulas() -> None:
    text = json.summary(convcalc.load("lenet5").summary(symbolic=True))
    version = f'"convcalc": "{convcalc.__version__}"'
    golden.compare(GOLDEN / "lenet5-symbolic.json", text.replace(version, '"convcalc": "VERSION"'))
