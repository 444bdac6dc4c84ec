"""What a design means: blocks, loops, names, branches, variants; graphs layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convcalc.errors import DesignError
from convcalc.graph import Graph
from convcalc.language import Amount, load_document, parse_document

ZOO = sorted((Path(__file__).parents[2] / "architectures").glob("*.yaml"))
HEAD = "convcalc: 1\ninput: [3, 64, 64]\n"


def build(text: str, variant: str | None = None, **overrides: Any) -> Graph:
    head = "" if "convcalc:" in text else HEAD
    return parse_document(head + text).build(variant, overrides)


def layers(text: str, **overrides: Any) -> list[str]:
    return [str(node.op) for node in build(text, **overrides).layers]


def edges(graph: Graph) -> list[tuple[str, ...]]:
    """Each layer's path, and those of what flows into it."""
    return [(n.path, *(graph.nodes[i].path for i in n.inputs)) for n in graph.layers]


def told(text: str, variant: str | None = None, **overrides: Any) -> str:
    with pytest.raises(DesignError) as error:
        build(text, variant, **overrides)
    return str(error.value)


# --------------------------------------------------------------------------------- the zoo


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_zoo_builds(path: Path) -> None:
    document = load_document(path)
    for variant in document.variants or (None,):
        assert document.build(variant).layers
        assert all(e.place.source.name == str(path) for e in document.expect(variant))


def test_vgg16_layer_by_layer() -> None:
    """Configuration D of the paper's Table 1, written out by hand."""
    conv = "Conv2d({}, 3, padding=1)"
    expected = []
    for n, c in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
        expected += [conv.format(c), "ReLU"] * n + ["MaxPool2d(2)"]
    expected += ["Flatten", *["Linear(4096)", "ReLU", "Dropout"] * 2, "Linear(1000)"]
    graph = load_document(next(p for p in ZOO if p.stem == "vgg16")).build()
    assert [str(n.op) for n in graph.layers] == expected


def test_resnet18_shortcuts() -> None:
    graph = load_document(next(p for p in ZOO if p.stem == "resnet")).build("resnet18")
    adds = [n for n in graph.layers if n.kind == "Add"]
    assert len(adds) == 8
    projected = [graph.nodes[n.inputs[1]].kind == "BatchNorm2d" for n in adds]
    assert projected == [False, False, True, False, True, False, True, False]


# --------------------------------------------------------------------------------- expressions


def test_repeat_makes_new_nodes_of_one_op() -> None:
    graph = build("layers: 3 * (Conv2d(8, 3) -> ReLU)\n")
    assert [n.kind for n in graph.layers] == ["Conv2d", "ReLU"] * 3
    assert len({id(n.op) for n in graph.layers}) == 2
    assert layers("layers: ReLU -> 0 * Conv2d(8, 3)\n") == ["ReLU"]


def test_equal_arguments_of_other_types_are_not_confused() -> None:
    text = "layers:\n- Conv2d(8, 1, bias=true)\n- Conv2d(8, 1, bias=1)\n"
    assert "bias must be true or false, not 1" in told(text)
    text = "layers:\n- for: c\n  in: [8, 8 + 0 * sqrt(2)]\n  do: Conv2d(c, 1)\n"
    assert "out_channels must be a whole number" in told(text)


def test_ternary_and_layers_as_arguments() -> None:
    text = """
vars: {act: LeakyReLU(0.1), deep: true}
blocks:
  Conv(c, act=SiLU): Conv2d(c, 1) -> act
layers:
- Conv(8) -> Conv(8, ReLU) -> Conv(8, act) -> Conv(8, (ReLU -> Dropout))
- (Conv(9) if deep else Identity) -> (Identity if deep else Conv(9))
"""
    assert layers(text) == [
        "Conv2d(8, 1)",
        "SiLU",
        "Conv2d(8, 1)",
        "ReLU",
        "Conv2d(8, 1)",
        "LeakyReLU(negative_slope=0.1)",
        "Conv2d(8, 1)",
        "ReLU",
        "Dropout",
        "Conv2d(9, 1)",
        "SiLU",
        "Identity",
    ]


def test_defaults_use_earlier_parameters_and_input() -> None:
    text = """
vars: {c: 5}
blocks:
  Block(a, b=a + input.channels, d=b * c): Conv2d(a, 1) -> Conv2d(b, 1) -> Conv2d(d, 1)
layers:
- Conv2d(7, 1) -> Block(2) -> Block(2, d=1)
"""
    assert [n.op.given()["out_channels"] for n in build(text).layers if n.op] == [
        *(7, 2, 9, 45),
        *(2, 47, 1),
    ]


def test_input_is_the_block_s_own() -> None:
    text = """
blocks:
  Outer: Conv2d(6, 1) -> Inner -> Conv2d(input.channels, 1)
  Inner: Conv2d(10, 1) -> Conv2d(input.channels, 1)
layers:
- Outer
- Conv2d(input.channels, 1)
"""
    channels = [n.op.given()["out_channels"] for n in build(text).layers if n.op]
    assert channels == [6, 10, 6, 3, 3]


def test_blocks_are_lexically_scoped() -> None:
    text = """
vars: {k: 1}
blocks:
  Conv(c): Conv2d(c, k)
  Block(k): Conv(8) -> Conv2d(8, k)
layers: Block(3)
"""
    assert layers(text) == ["Conv2d(8, 1)", "Conv2d(8, 3)"]


def test_functions() -> None:
    text = """
vars:
  width: 1.4
  ch(c, d=8): divisible(c * width, d)
  twice(x): 2 * ch(x)
layers: Conv2d(ch(32), 1) -> Conv2d(ch(32, d=4), 1) -> Conv2d(twice(32), 1)
"""
    assert [n.op.given()["out_channels"] for n in build(text).layers if n.op] == [48, 44, 96]


def test_words() -> None:
    text = """
vars: {mode: reflect}
blocks: {Conv(p=same): "Conv2d(3, 3, padding=p)"}
layers:
- Conv2d(3, 3, padding=same, padding_mode=mode) -> Conv -> Conv('valid')
- Conv2d: {out_channels: 3, kernel_size: 3, padding_mode: "circular"}
"""
    assert layers(text) == [
        "Conv2d(3, 3, padding=same, padding_mode=reflect)",
        "Conv2d(3, 3, padding=same)",
        "Conv2d(3, 3, padding=valid)",
        "Conv2d(3, 3, padding_mode=circular)",
    ]


def test_long_form_means_the_same() -> None:
    short = "layers: x = Conv2d(64, 3, padding=(1, 2), bias=false)\n"
    long = """
layers:
- Conv2d:
    out_channels: 64
    kernel_size: 3
    padding: [1, 2]
    bias: false
  name: x
"""
    assert edges(build(short)) == edges(build(long))
    assert layers(short) == layers(long)
    text = "blocks:\n  B(c, k=1): Conv2d(c, k)\nlayers: [{B: {c: 4}}, {ReLU: }, {ReLU: {}}]\n"
    assert layers(text) == ["Conv2d(4, 1)", "ReLU", "ReLU"]


def test_asserted_channels() -> None:
    assert layers("layers: Conv2d(64, 3, in_channels=3)\n") == ["Conv2d(64, 3)"]


# --------------------------------------------------------------------------------- pasted calls


@pytest.mark.parametrize(
    ("channels", "call"),
    [
        (3, "Conv2d(3, 64, 7)"),
        (3, "Conv2d(3, 64, (7, 7))"),
        (3, "Conv2d(3, 6, 5)"),
        (64, "Conv2d(64, 64, 3, 1)"),
        (64, "Conv2d(64, 256, 1)"),
        (100, "ConvTranspose2d(100, 512, 4, 1)"),
        (1, "Conv2d(1, 20, 5)"),
    ],
)
def test_pasted_convolutions_are_found(channels: int, call: str) -> None:
    text = f"convcalc: 1\ninput: [{channels}, 600, 600]\nlayers: {call}\n"
    assert "reads as a torch.nn call" in told(text)


@pytest.mark.parametrize(
    ("channels", "call"),
    [
        (64, "Conv2d(64, 3, 1, 1)"),
        (64, "Conv2d(64, 4, 2, 1)"),
        (512, "Conv2d(512, 2, 1)"),
        (256, "Conv2d(256, 33, 1, 16)"),
        (21, "ConvTranspose2d(21, 16, 8)"),
        (21, "ConvTranspose2d(21, 64, 32)"),
        (3, "Conv2d(64, 16, 16)"),
        (3, "Conv2d(3, kernel_size=64, stride=7)"),
    ],
)
def test_true_convolutions_are_not_taken_for_pasted_ones(channels: int, call: str) -> None:
    assert build(f"convcalc: 1\ninput: [{channels}, 600, 600]\nlayers: {call}\n").layers


# --------------------------------------------------------------------------------- loops, names


def test_loops() -> None:
    text = """
layers:
- for: i
  in: 2
  do: Conv2d(i + 1, 1)
- for: [i, [n]]
  in: []
  do: ReLU
"""
    assert "for: takes a name" in told(text)
    text = """
vars: {depths: [2, 1]}
layers:
- for: i
  in: 2
  do: Conv2d(i + 1, 1)
- for: row
  in: [[5, 6], [7, 8]]
  do: Conv2d(row[1], row[0])
- for: [i, n]
  in: enumerate(depths)
  do:
  - n * Conv2d(10 + i, 1)
- {for: i, in: 0, do: ReLU}
- {for: act, in: [ReLU, LeakyReLU(0.1)], do: act}
"""
    assert layers(text) == [
        "Conv2d(1, 1)",
        "Conv2d(2, 1)",
        "Conv2d(6, 5)",
        "Conv2d(8, 7)",
        "Conv2d(10, 1)",
        "Conv2d(10, 1)",
        "Conv2d(11, 1)",
        "ReLU",
        "LeakyReLU(negative_slope=0.1)",
    ]


def test_names_in_a_loop_are_each_round_s_own() -> None:
    text = """
layers:
- for: i
  in: 2
  do:
  - a = Conv2d(8, 3, padding=1)
  - b[i] = ReLU
  - c[i] = a -> Sigmoid
- concat: ['b[0]', 'b[1]', 'c[0]', 'c[1]']
"""
    graph = build(text)
    assert edges(graph)[-1] == (
        "Concat",
        "b[0].ReLU",
        "b[1].ReLU",
        "c[0].Sigmoid",
        "c[1].Sigmoid",
    )


def test_family_may_be_read_before_it_is_whole() -> None:
    text = """
layers:
- x[0] = Conv2d(8, 1)
- for: i
  in: range(1, 4)
  do:
  - ReLU
  - concat:
    - Identity
    - x[i - 1]
  - x[i] = Conv2d(8, 1)
"""
    assert len(build(text).layers) == 1 + 3 * 4


def test_named_results() -> None:
    text = """
layers:
- stem = Conv2d(8, 3, padding=1) -> ReLU
- Conv2d(8, 3, padding=1)
- name: sum
  add:
  - stem
  - Identity
- do: ReLU
  name: out
aux:
  a: stem -> Flatten
outputs:
  y: out
  z: [sum, Sigmoid]
"""
    graph = build(text)
    assert set(graph.outputs) == {"y", "z"}
    assert graph.nodes[graph.outputs["y"]].path == "out.ReLU"
    assert graph.nodes[graph.outputs["z"]].kind == "Sigmoid"
    assert [n.path for n in graph.layers if n.aux] == ["Flatten"]
    add = next(n for n in graph.layers if n.kind == "Add")
    assert [graph.nodes[i].path for i in add.inputs] == ["stem.ReLU", "sum.Identity"]


def test_several_inputs() -> None:
    text = """
convcalc: 1
inputs: {left: [3, H, W], right: [1, H, W]}
layers:
- concat:
  - left -> Conv2d(4, 1)
  - right -> Conv2d(5, 1)
- Conv2d(left.channels, 1)
"""
    graph = build(text)
    assert graph.inputs == {"left": (3, "H", "W"), "right": (1, "H", "W")}
    assert graph.free == ["H", "W"]
    assert str(graph.layers[-1].op) == "Conv2d(3, 1)"


def test_values_as_arguments() -> None:
    text = """
blocks:
  Up(c, skip):
  - up = ConvTranspose2d(c, 2, 2)
  - concat:
    - skip -> CenterCrop(up)
    - up
layers:
- s[0] = Conv2d(8, 3)
- MaxPool2d(2)
- Up(4, s[0])
- CenterCrop(input)
"""
    graph = build(text)
    crops = [n for n in graph.layers if n.kind == "CenterCrop"]
    assert [[graph.nodes[i].path for i in n.inputs] for n in crops] == [
        ["s[0].Conv2d", "Up.up.ConvTranspose2d"],
        ["Up.Concat", "input"],
    ]


# --------------------------------------------------------------------------------- branches


def test_split() -> None:
    text = """
layers:
- Conv2d(8, 1)
- split: 2
  concat:
  - Identity
  - Conv2d(4, 1)
- split: [1, 5, 2]
  concat: [ReLU, Sigmoid, Tanh]
"""
    assert [s for s in layers(text) if s.startswith("Split")] == [
        "Split(0, 4)",
        "Split(4, 4)",
        "Split(0, 1)",
        "Split(1, 5)",
        "Split(6, 2)",
    ]


def test_residual() -> None:
    body = "Conv2d(c, 3, s, 1)"
    text = f"""
blocks:
  Plain(c, s): {{residual: "{body}"}}
  Project(c, s): {{residual: "{body}", project: "Conv2d(c, 1, s)"}}
  Nothing(c, s): {{residual: "{body}", project: none}}
  Always(c, s): {{residual: "{body}", shortcut: "Conv2d(c, 1, s)"}}
layers: """

    def kinds(call: str) -> list[str]:
        return [n.kind for n in build(f"{text}{call}\n").layers]

    assert kinds("Plain(3, 1)") == ["Conv2d", "Add"]
    assert kinds("Project(3, 1)") == ["Conv2d", "Add"]
    assert kinds("Nothing(3, 1)") == ["Conv2d", "Add"]
    assert kinds("Always(3, 1)") == ["Conv2d", "Conv2d", "Add"]
    for change in ("(4, 1)", "(3, 2)"):
        assert "cannot be added" in told(f"{text}Plain{change}\n")
        assert kinds(f"Project{change}") == ["Conv2d", "Conv2d", "Add"]
        assert kinds(f"Nothing{change}") == ["Conv2d"]
        assert kinds(f"Always{change}") == ["Conv2d", "Conv2d", "Add"]


def test_if() -> None:
    text = """
vars: {n: 2, a: none}
layers:
- if: n > 1
  then: ReLU
  else: Sigmoid
- {if: a, then: Tanh}
- {if: not a, then: [Conv2d(3, 1), ReLU6]}
"""
    text = text.replace("[Conv2d(3, 1), ReLU6]", "['Conv2d(3, 1)', ReLU6]")
    assert layers(text) == ["ReLU", "Conv2d(3, 1)", "ReLU6"]
    assert layers(text, n=1, a=True) == ["Sigmoid", "Tanh"]


# --------------------------------------------------------------------------------- paths, places


def test_paths_places_and_what_led_there() -> None:
    text = """
blocks:
  Conv(c): Conv2d(c, 1) -> ReLU
layers:
- for: c
  in: [4, 5]
  do: 2 * Conv(c)
"""
    graph = build(text)
    assert [n.path for n in graph.layers][:3] == [
        "Conv[0].Conv2d",
        "Conv[0].ReLU",
        "Conv[1].Conv2d",
    ]
    node = graph.layers[-1]
    assert node.place is not None
    assert (node.place.line, node.place.column) == (5, 28)
    chain = [(s.kind, s.describe()) for s in node.scope.chain()]
    assert chain == [("loop", "c=5"), ("repeat", "repeat 2"), ("block", "Conv(5)")]


def test_notes_of_an_error() -> None:
    text = """
blocks:
  Conv(c, k=3): Conv2d(c, k, groups=2)
layers:
- for: c
  in: [4, 6]
  do: 2 * Conv(c + 1, k=1)
"""
    problem = told(text).split("\n\n")[0].splitlines()
    assert problem[0].startswith("<text>:5:37: error: 5 out_channels do not divide into 2 groups")
    assert problem[3:] == ["  in c=4, line 8", "  in repeat 1, line 9", "  in Conv(5, k=1), line 9"]


# --------------------------------------------------------------------------------- variants, vars

FAMILY = """
convcalc: 1
name: Family
input: [3, size, W]
vars: {size: 64, width: 1.5, block: Small, wide(c): int(c * width)}
blocks:
  Small(c): Conv2d(c, 1)
  Large(c): Conv2d(2 * c, 1)
layers: block(wide(8))
default: a
variants:
  a: {expect: {params: 48}}
  b: {block: Large, size: 32, width: 2, expect: {params: 1.5K, macs: 3M}, budget: {params: 2K}}
  c:
expect: {macs: 1G, output: [wide(8), size]}
budget: {params: 5M, training_peak: 1.5GiB}
"""


def test_variants() -> None:
    document = parse_document(FAMILY)
    assert (document.name, document.variants, document.default) == ("Family", ("a", "b", "c"), "a")
    assert document.vars == {"size": "64", "width": "1.5", "block": "Small"}
    assert document.free == ("W",)
    assert [str(document.build(v).layers[0].op) for v in (None, "a", "b", "c")] == [
        "Conv2d(12, 1)",
        "Conv2d(12, 1)",
        "Conv2d(32, 1)",
        "Conv2d(12, 1)",
    ]
    assert document.build("b").inputs == {"input": (3, 32, "W")}


def test_expectations_of_variants() -> None:
    document = parse_document(FAMILY)

    def shown(variant: str | None) -> dict[str, str]:
        return {e.key: str(e.wanted) for e in document.expect(variant)}

    assert shown("a") == {"macs": "1G", "output": "(12, 64)", "params": "48"}
    assert shown("b") == {"macs": "3M", "output": "(16, 32)", "params": "1.5K"}
    assert shown("c") == {"macs": "1G", "output": "(12, 64)"}
    assert {e.key: str(e.wanted) for e in document.budget("b")} == {
        "params": "2K",
        "training_peak": "1.5GiB",
    }
    assert document.expect("b")[0].place.line == 13


def test_overrides() -> None:
    document = parse_document(FAMILY)

    def op(**overrides: Any) -> str:
        return str(document.build("a", overrides).layers[0].op)

    assert op(width="0.5 * 2") == op(width=1) == op(width=1.0) == "Conv2d(8, 1)"
    assert op(block="Large", width=0.25) == "Conv2d(4, 1)"
    assert document.build("b", {"size": 128, "W": 7}).inputs == {"input": (3, 128, 7)}
    assert document.build(input=(3, 5, "H")).inputs == {"input": (3, 5, "H")}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"widht": 1}, "did you mean 'width'?"),
        ({"width": "1 +"}, "--set:1:10: error"),
        ({"width": "depth"}, "--set:1:7: error: there is no value 'depth'"),
        ({"width": "1 / 0"}, "division by zero"),
        ({"width": "width"}, "a var is defined by itself"),
        ({"width": object()}, "width cannot be"),
        ({"width": float("nan")}, "width cannot be nan"),
        ({"wide": 3}, "is a function"),
        ({"block": "3"}, "block is the number 3"),
        ({"size": -1}, "at least 1, not -1"),
        ({"W": "ReLU"}, "a size is a whole number"),
    ],
)
def test_wrong_overrides(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(DesignError) as error:
        parse_document(FAMILY).build("a", overrides)
    assert words in str(error.value)


def test_wrong_choices() -> None:
    document = parse_document(FAMILY)
    for wrong in (
        {"variant": "aa"},
        {"input": (0, 1)},
        {"input": {"left": (3, 4)}},
        {"input": "3x4"},
    ):
        with pytest.raises(DesignError):
            document.build(**wrong)  # type: ignore[arg-type]


def test_layer_level_expectations() -> None:
    text = """
vars: {c: 8}
layers:
- do: Conv2d(c, 3) -> ReLU
  expect: {params: 224, output: [c, 62, 62]}
- Conv2d: {out_channels: 4, kernel_size: 1}
  expect: {macs: 123K}
"""
    found = [(e.key, str(e.wanted), e.first, e.last, e.value) for e in build(text).expectations]
    assert found == [
        ("params", "224", 1, 3, 2),
        ("output", "(8, 62, 62)", 1, 3, 2),
        ("macs", "123K", 3, 4, 3),
    ]


@pytest.mark.parametrize(
    ("digits", "scale", "unit", "text", "matches", "differs"),
    [
        (
            1547,
            100,
            10**9,
            "15.47G",
            [15_470_000_000, 15_474_999_999, 15_465_000_000],
            [15_476_000_000],
        ),
        (386, 1, 10**6, "386M", [386_499_999, 385_500_000], [386_600_000, 385_400_000]),
        (15, 10, 2**30, "1.5GiB", [1_610_612_736], [1_771_674_010]),
    ],
)
def test_amounts_round(
    digits: int, scale: int, unit: int, text: str, matches: list[int], differs: list[int]
) -> None:
    amount = Amount(digits, scale, unit, False, text)
    assert all(amount.matches(figure) for figure in matches)
    assert not any(amount.matches(figure) for figure in differs)
    assert amount.allows(digits * unit // scale)
    assert not amount.allows(digits * unit // scale + 1)


def test_exact_amounts() -> None:
    amount = parse_document(FAMILY).expect("a")[-1].wanted
    assert isinstance(amount, Amount)
    assert amount.exact
    assert amount.matches(48)
    assert not amount.matches(49)
