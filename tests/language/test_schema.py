"""The schema that editors use takes every design of the zoo, and refuses what people mistype."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convcalc.language.faults import Problems, Text
from convcalc.language.reader import Mapping, Node, Scalar, Sequence, read
from convcalc.language.schema import schema
from convcalc.ops.base import REGISTRY

jsonschema = pytest.importorskip("jsonschema")

ZOO = sorted((Path(__file__).parents[2] / "architectures").glob("*.yaml"))
HEAD = "convcalc: 1\ninput: [3, 64, 64]\n"


@pytest.fixture(scope="module")
def validator() -> Any:
    made = schema()
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(json.loads(json.dumps(made)))


def loaded(text: str) -> Any:
    """A document as an editor sees it: YAML 1.2's core types, in which `no` is a word."""
    root = read(Text("<text>", text), Problems())
    assert root is not None
    return plain(root)


def plain(node: Node) -> Any:
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    assert isinstance(node, Scalar)
    if node.quoted:
        return node.text
    special = {"": None, "null": None, "~": None, "true": True, "false": False}
    if node.text in special:
        return special[node.text]
    if "_" not in node.text:
        for number in (int, float):
            try:
                return number(node.text)
            except ValueError:
                continue
    return node.text


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_zoo(validator: Any, path: Path) -> None:
    errors = [e.message for e in validator.iter_errors(loaded(path.read_text(encoding="utf-8")))]
    assert errors == []


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "layers: ReLU\n",
        HEAD + "layers:\n- Conv2d: {out_channels: 8, kernel_size: [3, 5], padding: same}\n",
        HEAD + "layers:\n- Conv2d: {out_channels: 2 * c, kernel_size: [3, k], bias: false}\n",
        HEAD + "layers:\n- ReLU:\n  name: a\n  expect: {params: 0, output: [3, 64, 64]}\n",
        HEAD + "layers:\n- Bottleneck: {c: 64}\n  name: skip[0]\n",
        HEAD + "layers:\n- {for: i, in: 3, do: [ReLU, [ReLU, ReLU]]}\n",
        HEAD + "layers:\n- {residual: ReLU, project: none}\n",
        HEAD + "layers: x = ReLU\noutputs: {a: x, b: [x -> ReLU]}\nbudget: {training_peak: 4GiB}\n",
        "convcalc: 1\ninputs: {left: [3, H, W], right: [3, H, W]}\nlayers: left -> ReLU\n",
    ],
)
def test_right(validator: Any, text: str) -> None:
    assert [e.message for e in validator.iter_errors(loaded(text))] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("convcalc: 2\ninput: [3]\nlayers: ReLU\n", "1 was expected"),
        ("convcalc: 1\nlayers: ReLU\n", "input"),
        (HEAD + "layer: ReLU\n", "layer"),
        (HEAD + "layers: ReLU\nexpect: {parms: 3}\n", "parms"),
        (HEAD + "layers: ReLU\nexpect: {params: about 3}\n", "about 3"),
        (HEAD + "layers: ReLU\nblocks: {conv(c): ReLU}\n", "conv(c)"),
        (HEAD + "layers: ReLU\nvars: {Width: 3}\n", "Width"),
        (HEAD + "layers:\n- Conv2d: {out_chanels: 8, kernel_size: 3}\n", "out_chanels"),
        (HEAD + "layers:\n- Conv2d: {out_channels: 8}\n", "kernel_size"),
        (HEAD + "layers:\n- Conv2d: {out_channels: 8, kernel_size: 3, bias: no}\n", "no"),
        (HEAD + "layers:\n- Conv2d: {out_channels: 0, kernel_size: 3}\n", "0"),
        (HEAD + "layers:\n- Conv2d: {out_channels: 8, kernel_size: [3, 3, 3]}\n", "[3, 3, 3]"),
        (HEAD + "layers:\n- ReLU: {}\n  stride: 2\n", "stride"),
        (HEAD + "layers:\n- {adds: [ReLU, ReLU]}\n", "adds"),
        (HEAD + "layers:\n- {add: [ReLU]}\n", "too short"),
        (HEAD + "layers:\n- {add: [ReLU, ReLU], project: none}\n", "project"),
        (HEAD + "layers:\n- {for: i, do: ReLU}\n", "in"),
        (HEAD + "layers:\n- {if: a, do: ReLU}\n", "then"),
        (HEAD + "layers:\n- {residual: ReLU, mul: [ReLU, ReLU]}\n", "mul"),
        (HEAD + "layers: []\n", "[]"),
        (HEAD + "layers: 3\n", "string"),
    ],
)
def test_mistakes(validator: Any, text: str, told: str) -> None:
    errors = list(validator.iter_errors(loaded(text)))
    assert any(told in e.message for top in errors for e in [top, *(top.context or [])])


def test_every_layer_is_in_it() -> None:
    definitions = schema()["definitions"]
    for name, cls in REGISTRY.items():
        properties = definitions[f"layer.{name}"]["properties"]
        assert set(properties) == {a.name for a in cls.arguments} | {cls.inferred} - {""}
