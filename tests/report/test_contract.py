"""JSON's contract: its keys with their types; CSV and Markdown that other programs read."""

from __future__ import annotations

import csv as stdcsv
import io
import json as stdjson
from pathlib import Path
from typing import Any

import pytest

import convcalc
from convcalc.integers import parse
from convcalc.report import csv, json, markdown

ALEXNET = Path(__file__).parent.parent.parent / "architectures" / "alexnet.yaml"
NETWORKS = ["vgg16", "resnet", "googlenet", "unet", "vit_b16", "c3d", "m5"]
SHAPE = list
NUMBER = int

TOP = {
    "convcalc": str,
    "schema": int,
    "name": str,
    "file": str,
    "variant": (str, type(None)),
    "input": dict,
    "batch": NUMBER,
    "dtype": str,
    "layers": list,
    "outputs": dict,
    "memory": dict,
    "totals": dict,
    "warnings": list,
}
LAYER = {
    "path": str,
    "op": str,
    "args": dict,
    "line": int,
    "inputs": list,
    "output": SHAPE,
    "params": NUMBER,
    "buffers": NUMBER,
    "macs": NUMBER,
    "output_bytes": NUMBER,
    "allocated_bytes": NUMBER,
    "saved_bytes": NUMBER,
    "weights_bytes": NUMBER,
    "receptive_field": list,
    "global": list,
    "jump": list,
    "offset": list,
    "dropped": list,
    "aux": bool,
    "frozen": bool,
}
TOTALS = {
    "params": NUMBER,
    "trainable_params": NUMBER,
    "buffers": NUMBER,
    "aux_params": NUMBER,
    "macs": NUMBER,
    "aux_macs": NUMBER,
    "weights_bytes": NUMBER,
    "volumes": NUMBER,
    "allocated_bytes": NUMBER,
    "saved_bytes": NUMBER,
    "gradients_bytes": NUMBER,
    "optimizer_bytes": NUMBER,
    "inference_peak_bytes": NUMBER,
    "inference_peak_at": dict,
    "training_peak_bytes": NUMBER,
    "training_peak_at": dict,
}
WARNING = {"code": str, "path": str, "line": int, "column": int, "message": str}


def loaded(name: str, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = stdjson.loads(json.summary(convcalc.load(name).summary(**options)))
    return result


def has(entry: dict[str, Any], keys: dict[str, Any]) -> None:
    for key, kind in keys.items():
        assert isinstance(entry[key], kind), key


@pytest.mark.parametrize("name", NETWORKS)
def test_json_keeps_its_contract(name: str) -> None:
    report = loaded(name, batch=2)
    has(report, TOP)
    assert report["schema"] == 1
    assert report["convcalc"] == convcalc.__version__
    summary = convcalc.load(name).summary(batch=2)
    assert len(report["layers"]) == len(summary.layers)
    known = set(report["input"])
    for entry, layer in zip(report["layers"], summary.layers, strict=True):
        has(entry, LAYER)
        assert set(entry["inputs"]) <= known, "a layer comes after what it needs"
        known.add(entry["path"])
        assert entry["output"] == list(layer.output)
        assert entry["output"][0] == 2
        for figure in ("macs", "allocated_bytes", "saved_bytes", "weights_bytes"):
            assert entry[figure] == getattr(layer, figure)
        assert entry["receptive_field"] == [field.size for field in layer.fields]
    assert len(known) == len(report["layers"]) + len(report["input"])
    has(report["totals"], TOTALS)
    assert report["totals"]["macs"] == sum(x["macs"] for x in report["layers"] if not x["aux"])
    assert report["outputs"] == {"output": list(summary.outputs["output"])}


def test_json_of_fields() -> None:
    """By hand: a 5×5 kernel's centre is 2 rows from its first, a 2×2 window's half a row."""
    layers = {entry["path"]: entry for entry in loaded("lenet5")["layers"]}
    told = {
        path: [layers[path][key][0] for key in ("receptive_field", "jump", "offset")]
        for path in ("Conv2d[0]", "AvgPool2d[0]", "Conv2d[1]", "AvgPool2d[1]", "Conv2d[2]")
    }
    assert told == {
        "Conv2d[0]": [5, 1, 2],
        "AvgPool2d[0]": [6, 2, 2.5],
        "Conv2d[1]": [14, 2, 6.5],
        "AvgPool2d[1]": [16, 4, 7.5],
        "Conv2d[2]": [32, 4, 15.5],
    }


def test_json_of_warnings() -> None:
    report = loaded("alexnet", input=(3, 224, 224))
    assert len(report["warnings"]) == 4
    for warning in report["warnings"]:
        has(warning, WARNING)
        assert warning["code"] == "rows-dropped"
        line = ALEXNET.read_text(encoding="utf-8").splitlines()[warning["line"] - 1]
        assert line[warning["column"] - 1 :].startswith(warning["message"].partition("(")[0])
    conv = report["layers"][0]
    assert conv["dropped"] == [1, 1]


@pytest.mark.parametrize("name", NETWORKS)
def test_formulas_in_json_parse_back(name: str) -> None:
    report = loaded(name, symbolic=True)
    summary = convcalc.load(name).summary(symbolic=True)
    values = {"N": 3, "L": 4000, "D": 32, "H": 672, "W": 704}
    for size, text in report.get("sizes", {}).items():
        values[size] = convcalc.evaluate(parse(text), values)

    def same(told: Any, size: Any) -> bool:
        """The text, read back and evaluated, is the formula's value."""
        number = convcalc.evaluate(parse(told), values) if isinstance(told, str) else told
        return bool(number == convcalc.evaluate(size, values))

    for entry, layer in zip(report["layers"], summary.layers, strict=True):
        for figure in ("params", "macs", "output_bytes", "weights_bytes"):
            assert same(entry[figure], getattr(layer, figure))
        assert all(map(same, entry["output"], layer.output))
    for figure, total in summary.totals.as_dict().items():
        assert same(report["totals"][figure], total)


def test_csv_is_read_back() -> None:
    summary = convcalc.load("googlenet").summary()
    rows = list(stdcsv.DictReader(io.StringIO(csv.summary(summary))))
    assert len(rows) == len(summary.layers)
    assert sum(int(r["macs"]) for r in rows if r["aux"] == "false") == summary.totals.macs
    assert sum(int(r["params"]) for r in rows if r["aux"] == "true") == summary.totals.aux_params
    assert rows[0]["path"] == "Conv[0].Conv2d"
    assert rows[0]["output"] == "1x64x112x112"


def test_csv_of_every_column() -> None:
    from convcalc.report.columns import FIELDS

    summary = convcalc.load("lenet5").summary()
    rows = list(stdcsv.reader(io.StringIO(csv.summary(summary, list(FIELDS)))))
    assert {len(row) for row in rows} == {len(FIELDS)}


def test_markdown_is_one_table() -> None:
    text = markdown.summary(convcalc.load("googlenet").summary(), depth=2)
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = {line.replace("\\|", "").count("|") for line in table}
    assert cells == {5}
    assert table[1] == "| --- | ---: | ---: | ---: |"
    assert any("**6,998,552**" in line for line in table)
