"""`convcalc list` chooses and sorts: beside a plain reading of the figures, with faults planted.

The lists themselves stand in golden files: CONVCALC_UPDATE_GOLDEN=1 renews them.
"""

from __future__ import annotations

import csv
import json
import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcalc import catalog, load
from convcalc.catalog import Entry, Filter, FilterError, InputFilter, Range, entries
from convcalc.cli import main
from tests import golden

GOLDEN = Path(__file__).parent / "golden"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@pytest.fixture(scope="module")
def zoo() -> list[Entry]:
    return entries(variants=True).shown


@pytest.fixture(autouse=True)
def read_once(zoo: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of all variants, computed once for the tests of this file."""
    whole = catalog._all

    def known(every: bool, folder: str) -> Iterable[Entry]:
        return zoo if every and not folder else whole(every, folder)

    monkeypatch.setattr(catalog, "_all", known)


Judge = Callable[[Entry], bool]


def shape(entry: Entry) -> list[Any]:
    (first,) = entry.summary.inputs.values()
    return list(first[1:])


def number(entry: Entry, figure: str) -> Any:
    return entry.year if figure == "year" else getattr(entry.summary.totals, figure)


#: Conditions, and the same said in Python.
CONDITIONS: list[tuple[dict[str, Any], Judge]] = [
    ({"filters": [Filter("params", "<5M")]}, lambda e: number(e, "params") < 5_000_000),
    ({"filters": [Filter("params", "<=4231976")]}, lambda e: number(e, "params") <= 4_231_976),
    ({"filters": [Filter("params", ">=4_231_976")]}, lambda e: number(e, "params") >= 4_231_976),
    ({"filters": [Filter("params", "=4231976")]}, lambda e: number(e, "params") == 4_231_976),
    ({"filters": [Filter("params", "60965224")]}, lambda e: number(e, "params") == 60_965_224),
    ({"filters": [Filter("params", "138M")]}, lambda e: 137.5e6 <= number(e, "params") <= 138.5e6),
    ({"filters": [Filter("params", "5M..10M")]}, lambda e: 5e6 <= number(e, "params") <= 10e6),
    ({"filters": [Filter("params", "..1.5M")]}, lambda e: number(e, "params") <= 1.5e6),
    ({"filters": [Filter("params", "100M..")]}, lambda e: number(e, "params") >= 100e6),
    ({"filters": [Filter("year", "2015..2016")]}, lambda e: number(e, "year") in (2015, 2016)),
    (
        {"filters": [Filter("params", "<10M"), Filter("params", ">7M"), Filter("year", ">2015")]},
        lambda e: 7e6 < number(e, "params") < 10e6 and number(e, "year") > 2015,
    ),
    ({"inputs": [InputFilter("3x224x224")]}, lambda e: shape(e) in ([3, 224, 224], open_shape(e))),
    ({"inputs": [InputFilter("?x?")]}, lambda e: len(shape(e)) == 2),
    (
        {"inputs": [InputFilter("3x>299x?")]},
        lambda e: (
            len(shape(e)) == 3
            and shape(e)[0] == 3
            and (not isinstance(shape(e)[1], int) or shape(e)[1] > 299)
        ),
    ),
    ({"words": ["resnet", "WIDE"]}, lambda e: e.network.variant in WIDE),
    ({"words": ["vgg16"]}, lambda e: e.name == "vgg16"),
    ({"layers": ["LocalResponseNorm"]}, lambda e: e.name in WITH_LRN),
    (
        {"layers": ["GELU", "BatchNorm2d"], "filters": [Filter("macs", "<10G")]},
        lambda e: e.name == "maxvit_t",
    ),
]
WIDE = ("wide_resnet50_2", "wide_resnet101_2", *(f"resnext{v}" for v in ("50_32x4d", "101_32x8d")))
WIDE += ("resnext101_64x4d", "se_resnet50")  # the title of their file has both words
WITH_LRN = ("alexnet", "alexnet_ungrouped", "googlenet", "se_inception", "zfnet")


def open_shape(entry: Entry) -> list[Any]:
    """Its shape where that is open, which any size meets."""
    found = shape(entry)
    return found if found[0] == 3 and not isinstance(found[1], int) else []


def names(found: Sequence[Entry]) -> list[tuple[str, str | None]]:
    return [(entry.name, entry.network.variant) for entry in found]


def wrong(zoo: list[Entry]) -> list[int]:
    """The conditions under which the list is not what the plain reading gives."""
    bad = []
    formulas = names([e for e in zoo if not isinstance(number(e, "macs"), int)])
    for at, (asked, judge) in enumerate(CONDITIONS):
        listing = entries(**asked)
        open = names(listing.open)
        wanted = [e for e in zoo if (e.name, e.network.variant) not in open and judge(e)]
        if names(listing.shown) != names(wanted) or not set(open) <= set(formulas):
            bad.append(at)
    return bad


def test_conditions(zoo: list[Entry]) -> None:
    assert wrong(zoo) == []
    for asked, _ in CONDITIONS:
        found = entries(**asked).shown
        assert 0 < len(found) < len(zoo)


def strictly(sign: str, number: int, amount: Any) -> bool:
    left, right = number * amount.scale, amount.digits * amount.unit
    relations = {"<": operator.lt, ">": operator.gt, "<=": operator.lt, ">=": operator.gt}
    return bool(relations.get(sign, operator.eq)(left, right))


@pytest.mark.parametrize(
    ("owner", "attribute", "fault"),
    [
        (catalog, "_compare", lambda sign, number, amount: True),
        (catalog, "_compare", strictly),
        (catalog, "_takes", lambda entry, condition: True),
        (catalog, "_meets", lambda entry, condition: None),
        (Entry, "says", lambda self, word: word in self.name),
        (Entry, "uses", lambda self, layer: any(n.op for n in self.network.graph.nodes)),
        (InputFilter, "holds", lambda self, shape: len(shape) == len(self.ranges)),
    ],
)
def test_a_planted_fault_is_seen(
    owner: Any, attribute: str, fault: Any, zoo: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, attribute, fault)
    assert wrong(zoo)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("by", ["params", "macs", "year"])
def test_sorted(by: str, reverse: bool, zoo: list[Entry]) -> None:
    found = entries(variants=True, sort=by, reverse=reverse).shown
    numbers = [number(entry, by) for entry in found]
    known = [n for n in numbers if isinstance(n, int)]
    assert numbers[: len(known)] == sorted(known, reverse=reverse)  # formulas come last
    assert sorted(names(found), key=str) == sorted(names(zoo), key=str)


def test_sorted_by_name(zoo: list[Entry]) -> None:
    assert [e.name for e in zoo] == sorted(e.name for e in zoo)
    assert names(entries(variants=True, reverse=True).shown) == names(zoo)[::-1]
    efficientnet = [e.network.variant for e in zoo if e.name == "efficientnet"]
    assert efficientnet == [f"b{i}" for i in range(8)]  # as the file has them


def test_what_depends_on_an_open_size_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    listing = entries(filters=[Filter("macs", ">1T")])
    assert [entry.name for entry in listing.open] == ["unet_padded"]
    assert not entries(filters=[Filter("params", ">1T")]).open
    # Where another condition fails, nothing is left to be said.
    assert not entries(filters=[Filter("macs", ">1T"), Filter("year", "<2000")]).open
    assert main(["list", "--macs", ">1T"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"0 of {listing.total} networks."
    assert told[1] == "Figures that depend on an open size meet no condition: unet_padded."


def test_a_formula_of_the_list_needs_nothing_but_the_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names of sizes inside the network mean nothing here."""
    line = ["list", "unet_padded"]
    assert main(line) == 0
    assert "depends on H, W" in capsys.readouterr().out
    assert main([*line, "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["networks"]
    at = {"H": 208, "W": 304}
    totals = load("unet_padded").summary((3, 208, 304)).totals
    assert eval(told["macs"], at) == totals.macs
    assert main([*line, "--format", "csv"]) == 0
    _, row = csv.reader(capsys.readouterr().out.splitlines())
    assert eval(row[5], at) == totals.macs


def test_all_of_the_zoo_say_their_year(zoo: list[Entry]) -> None:
    assert [entry.name for entry in zoo if not entry.year] == []
    years = {entry.name: entry.year for entry in zoo}
    assert years["lenet5_1998"] == 1998
    assert years["vit"] == 2021  # not arXiv:2010.11929's first four digits


def test_the_lectures_are_listed_apart(zoo: list[Entry]) -> None:
    exercises = entries(lectures=True, variants=True).shown
    assert {entry.name.partition("/")[0] for entry in exercises} == {"lectures"}
    assert not {entry.name for entry in zoo} & {entry.name for entry in exercises}


amounts = st.builds(
    lambda whole, fraction, unit: (f"{whole}{fraction}{unit}", unit, whole, fraction),
    st.integers(0, 9999),
    st.sampled_from(["", ".5", ".25", ".07"]),
    st.sampled_from(["K", "M", "G", "T"]),
)


@given(amounts, st.sampled_from(["<", "<=", ">", ">=", ""]), st.integers(-3, 3))
def test_ranges_beside_fractions(amount: tuple[str, str, int, str], sign: str, off: int) -> None:
    text, unit, whole, fraction = amount
    exact = Fraction(f"{whole}{fraction}") * UNITS[unit]
    number = int(exact) + off
    half = Fraction(UNITS[unit], 2 * 10 ** max(0, len(fraction) - 1))
    wanted = {
        "<": number < exact,
        "<=": number <= exact,
        ">": number > exact,
        ">=": number >= exact,
        "": abs(number - exact) <= half,
    }
    assert Range("params", sign + text).holds(number) == wanted[sign]


@given(st.text(max_size=12))
def test_any_text_is_a_condition_or_a_clear_error(text: str) -> None:
    for make in (partial(Range, "macs"), partial(Range, "year"), InputFilter):
        with suppress(FilterError):
            make(text)


@pytest.mark.parametrize(
    ("words", "message", "help"),
    [
        (["--params", "5x"], "'x' is no unit of params", "5M..10M"),
        (["--params", ""], "--params takes a condition, not ''", "'<5M'"),
        (["--params", "<"], "--params takes a condition, not '<'", "'<5M'"),
        (["--macs", ".."], "--macs takes a condition, not '..'", "'<1G'"),
        (["--macs", "5G..1G"], "nothing is between these bounds", ""),
        (["--year", "2K"], "--year takes a condition, not '2K'", "'<2015'"),
        (["--input", "3xx3"], "--input takes a shape without the batch", "? is any size"),
        (["--input", "3xHxW"], "--input takes a condition, not 'H'", "'<224'"),
        (["--uses", "Conv22"], "there is no layer 'Conv22'", "did you mean 'Conv2d'?"),
        (["--uses", "Attend"], "there is no layer 'Attend'", ""),
        (["--sort", "parms"], "--sort takes one of name, params, macs, year", "params"),
    ],
)
def test_what_is_wrong_is_told(
    words: list[str], message: str, help: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert help in err


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_as_people_read_it(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--macs", "<=350M", "--year", "2018..", "--sort", "params", "--reverse"]
    assert main(["list", *words, "--format", format]) == 0
    golden.compare(GOLDEN / f"list-small.{format}.txt", capsys.readouterr().out)
