"""Printed formulas of memory beside the ints at random sizes; where they do not hold, none.

The ints are those that `convcalc check` compares with PyTorch. CONVCALC_THOROUGH=1 takes the whole
zoo, in all variants.
"""

from __future__ import annotations

import csv as stdcsv
import io
import json as stdjson
import os
from random import Random
from typing import Any

import pytest

import convcalc
from convcalc.catalog import entries
from convcalc.integers import Formula, parse
from convcalc.ops.attention import WindowAttention
from convcalc.report import csv, diff, explain, json, latex, markdown, python, table

Case = tuple[str, str | None]

SAMPLE: list[Case] = [(n, None) for n in ("swin_t", "maxvit_t", "vit_b16", "vgg16")]
SAMPLE.append(("resnet", "resnet18"))
THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
CASES = [(e.name, e.variant) for e in entries(variants=True).shown] if THOROUGH else SAMPLE
FIGURES = ("allocated_bytes", "saved_bytes")


def printed(summary: Any) -> list[dict[str, Any]]:
    """What JSON tells of each layer, and of all: figures of memory as they are read back."""
    report = stdjson.loads(json.summary(summary))
    told = [*report["layers"], report["totals"]]
    return [{f: parse(v) if isinstance(v := e[f], str) else v for f in FIGURES} for e in told]


def differences(network: convcalc.Network, tries: int = 12, seed: int = 1) -> tuple[int, list[str]]:
    """(how many figures were compared, those that differ), at random sizes; first its own."""
    opened = network.summary(symbolic=True)
    formulas = printed(opened)
    names = {name: str(size) for name, size in opened.definitions().items()}
    own = network.summary().inputs
    random = Random(seed)
    compared, wrong = 0, []
    for number in range(tries):
        values: dict[str, int] = {"N": random.randint(1, 4) if number else 1}
        inputs = {}
        for name, shape in opened.inputs.items():
            for size, length in zip(shape[1:], own[name][1:], strict=True):
                if isinstance(size, Formula) and str(size) not in values:
                    drawn = random.randint(1, 300), 32 * random.randint(1, 9)
                    values[str(size)] = int(length) if number == 0 else drawn[number % 2]
            inputs[name] = tuple(values.get(str(size), size) for size in shape[1:])
        try:
            numbers = network.summary(inputs, batch=values["N"])
        except convcalc.ConvcalcError:
            continue
        known = values.copy()
        for name, text in names.items():
            known[name] = int(convcalc.evaluate(parse(text), known))
        for at, (formula, exact) in enumerate(zip(formulas, printed(numbers), strict=True)):
            for figure in FIGURES:
                if formula[figure] is None:
                    continue
                compared += 1
                found = convcalc.evaluate(formula[figure], known)
                if found != exact[figure]:
                    wrong.append(f"{values} {at} {figure}: {found} ≠ {exact[figure]}")
    return compared, wrong


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_what_is_printed_holds(name: str, variant: str | None) -> None:
    network = convcalc.load(name, variant=variant)
    compared, wrong = differences(network)
    assert wrong == []
    told = network.summary(symbolic=True).no_memory_formula is None
    assert (compared > 0) == told


def test_a_formula_for_several_windows_alone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: so it would be, were formulas told where one window may remain."""
    monkeypatch.setattr(WindowAttention, "degenerate", "")
    assert differences(convcalc.load("swin_t"), tries=1)[1] != []


@pytest.mark.parametrize("name", ["swin_t", "maxvit_t"])
def test_where_there_is_none_each_surface_says_so(name: str) -> None:
    network = convcalc.load(name)
    opened = network.summary(symbolic=True)
    why = opened.no_memory_formula
    assert why is not None
    assert opened.memory.saved is opened.memory.allocated is None
    for figure in FIGURES:
        assert all(getattr(layer, figure) is None for layer in (*opened.layers, opened.totals))
    report = stdjson.loads(json.summary(opened))
    assert report["totals"]["no_memory_formula"] == why
    rows = list(stdcsv.DictReader(io.StringIO(csv.summary(opened))))
    assert {row[figure] for row in rows for figure in FIGURES} == {""}
    lines = table.render(opened, names=["layer", "allocated", "saved"]).splitlines()
    assert [line.split()[-2:] for line in lines if "Linear" in line][-1] == ["?", "?"]
    with pytest.raises(convcalc.ConvcalcError, match="single window"):
        network.formula("saved_bytes")
    rules = network.explain(symbolic=True)
    changed = convcalc.diff(network, network, symbolic=True)
    for told in (
        explain.network_text(rules),
        explain.network_markdown(rules),
        diff.render(changed),
        diff.markdown(changed),
        table.render(opened),
        markdown.summary(opened),
        latex.summary(opened),
        python.summary(opened),
    ):
        assert told.count(why) == 1
    assert explain.network_dict(rules)["no_memory_formula"] == why
    assert diff.as_dict(changed)["before"]["no_memory_formula"] == why
    # values of views are left out all the same
    volumes = convcalc.evaluate(opened.totals.volumes, {"N": 1, "H": 224, "W": 224})
    assert volumes == network.summary().totals.volumes
