"""Vars that are left open: formulas in them, and why some cannot be."""

from __future__ import annotations

import os
import random

import pytest

import convcalc
from convcalc import DesignError, zoo
from convcalc.integers import Formula, evaluate, parse, symbol
from convcalc.language import open_vars
from convcalc.language.open_vars import OpenFault
from convcalc.language.values import divisible
from convcalc.report import json, table

VALUES = 40 if os.environ.get("CONVCALC_THOROUGH") else 3  # tried of each var
FIGURES = ("params", "buffers", "macs", "aux_params", "weights_bytes")


def openable(name: str) -> list[str]:
    """The vars of a network of the zoo that can be left open."""
    network = convcalc.load(name)
    found = []
    for var in network.document.vars:
        try:
            network.summary(symbolic=[var])
        except DesignError:
            continue
        found.append(var)
    return found


def holds(condition, point: dict[str, int]) -> bool:
    left, right = (evaluate(side, point) for side in (condition.left, condition.right))
    if condition.kind == "at_least":
        return left >= right
    if condition.kind == "equal":
        return left == right
    return right != 0 and left % right == 0


@pytest.mark.parametrize("name", zoo.names())
def test_open_vars_at_numbers(name: str) -> None:
    """The formulas at random values are what the design has with these values."""
    rng = random.Random(name)
    for var in openable(name):
        opened = convcalc.load(name).summary(symbolic=[var])
        own = int(float(convcalc.load(name).document.vars[var].replace("_", "")))
        entries = opened.graph.inputs
        compared = 0
        for trial in range(VALUES):
            value = rng.choice((2 * own, rng.randint(1, 3 * own))) if trial else own
            try:
                there = convcalc.load(name, **{var: value}).summary(batch=2)
            except DesignError:
                there = None
            point = {"N": 2, var: value}
            for input_name, shape in opened.inputs.items():
                for size, entry in zip(shape[1:], entries[input_name], strict=True):
                    if isinstance(size, Formula) and isinstance(entry, int):
                        point[str(size)] = entry
            if any(
                str(s) not in point
                for shape in opened.inputs.values()
                for s in shape
                if isinstance(s, Formula)
            ):
                return  # a design that leaves its input open
            accepted = all(holds(c, point) for _, c in opened.flow.open_conditions)
            assert accepted == (there is not None), (var, value)
            if there is None:  # 12 channels in 5 groups, say
                continue
            compared += 1
            for figure in FIGURES:
                formula = getattr(opened.totals, figure)
                assert evaluate(formula, point) == getattr(there.totals, figure), (var, value)
            for one, other in zip(opened.layers, there.layers, strict=True):
                assert tuple(evaluate(s, point) for s in one.output) == other.output
                assert evaluate(one.macs, point) == other.macs
        assert compared


def test_how_many_vars_of_the_zoo_can_be_open() -> None:
    assert {"classes"} <= set(openable("googlenet"))
    assert set(openable("unet")) == {"base", "classes"}
    assert openable("densenet121") == ["growth"]
    assert openable("vit_b16") == ["d", "heads"]


def test_several_at_once() -> None:
    summary = convcalc.load("unet").summary(symbolic=["base", "classes"])
    base, classes = symbol("base"), symbol("classes")
    assert summary.totals.params == 7574 * base**2 + base * classes + 116 * base + classes
    assert str(summary.layers[0].op) == "Conv2d(base, 3)"
    assert convcalc.load("googlenet").formula("params", vars=["classes"]) == (
        1025 * symbol("classes") + 5_973_552
    )
    assert "h1" in summary.definitions()
    assert not {"base", "classes"} & set(summary.definitions())
    assert "l1" not in convcalc.load("vit_b16").summary(symbolic=["d"]).definitions()


VARS = "{c: 8, n: 3, t: 2, u: 1, w: 1.5, l: [1, 2, 3, 4], b: true, k: Conv2d}"


def design(text: str, vars: str = VARS) -> str:
    return f"convcalc: 1\nname: open\ninput: [4, 20, 20]\nvars: {vars}\nlayers:\n{text}\n"


# What decides the structure, or is a fraction: the design, the var, and what is said.
REFUSED = [
    ("- n * ReLU", "n", "a layer is repeated a whole number of times, not n"),
    ("- for: i\n  in: n\n  do: ReLU", "n", "in: takes a count, a list or a table, not n, which is"),
    ("- for: i\n  in: range(n)\n  do: ReLU", "n", "range needs whole numbers, not n, which is"),
    ("- Conv2d(l[n], 1)", "n", "an index must be a whole number, not n, which is left open"),
    ("- if: c > 4\n  then: ReLU", "c", "whether 4 < c decides the structure, and depends on c"),
    ("- if: c == 8\n  then: ReLU", "c", "whether c == 8 decides the structure, and depends on c"),
    ("- if: c % 3\n  then: ReLU", "c", "decides the structure, and depends on c"),
    ("- Conv2d(9 if c in [8, 9] else 3, 1)", "c", "whether c == 8 decides the structure"),
    ("- Conv2d(c / 2, 1)", "c", "c / 2 is no whole number for every c"),
    ("- Conv2d(int(c * 1.5), 1)", "c", "c * 1.5 is no whole number for every c"),
    ("- Conv2d(2**c, 1)", "c", "an exponent must be a whole number, not c"),
    ("- Conv2d(int(sqrt(c)), 1)", "c", "sqrt needs a number, not c, which is left open"),
    ("- Conv2d(8 // (c - 1), 1)", "c", "this may divide by zero"),
    ("- Dropout(u)", "u", "p must be a number from 0 to 1, not u"),
    (
        "- residual: Conv2d(c, 1)\n  project: Conv2d(c, 1)",
        "c",
        "whether the shortcut needs a projection: whether 4 == c",
    ),
    ("- add:\n  - ReLU\n  - ReLU\n  split: t", "t", "split takes the number of branches"),
    ("- concat:\n  - ReLU\n  - ReLU\n  split: [2, t]", "t", "whether t + 2 == 4 decides"),
    ("- MaxPool2d(max(c, 1.5))", "c", "max of 1.5 and an open var is no formula"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_open(text: str, name: str, message: str) -> None:
    network = convcalc.load(design(text))
    network.summary()  # with its number it can
    with pytest.raises(DesignError) as refused:
        network.summary(symbolic=[name])
    problem = refused.value.problems[0]
    assert message in problem.message, problem.message
    assert problem.place is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("w", "w cannot be left open: it is the number 1.5"),
        ("l", "l cannot be left open: it is a list"),
        ("b", "b cannot be left open: it is true"),
        ("k", "k cannot be left open: it is the layer Conv2d"),
        ("x", "the design has no var 'x'"),
    ],
)
def test_vars_that_count_nothing(name: str, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        convcalc.load(design("- ReLU")).summary(symbolic=[name])
    with pytest.raises(DesignError, match="c is set to 9, and cannot be left open as well"):
        convcalc.load(design("- Conv2d(c, 1)"), c=9).summary(symbolic=["c"])


def test_a_name_that_no_formula_can_have() -> None:
    text = design("- Conv2d(lambda, 1)", "{lambda: 8}")
    with pytest.raises(DesignError, match="lambda cannot be left open: in a formula it is"):
        convcalc.load(text).summary(symbolic=["lambda"])


def test_whatever_is_open_can_be_shown() -> None:
    """Tables, warnings and JSON take formulas in layers' arguments too."""
    for text, _ in TAKEN:
        if "Depthwise" in text:
            continue
        summary = convcalc.load(design(text)).summary(symbolic=["c"])
        assert "c" in table.render(summary, width=80)
        assert "c" in json.summary(summary)


def test_an_input_cannot_be_open() -> None:
    text = "convcalc: 1\nname: in\nvars: {s: 8}\ninput: [3, s, s]\nlayers: ReLU\n"
    with pytest.raises(DesignError, match="not s, which is left open"):
        convcalc.load(text).summary(symbolic=["s"])


# What is decided for every value, and what is whole for every value; 4 channels flow in.
TAKEN = [
    ("- if: c >= 1\n  then: Conv2d(c, 1)", "5*c"),
    ("- if: c < 1\n  then: Conv2d(c, 1)\n  else: Conv2d(2 * c, 1)", "10*c"),
    ("- if: c\n  then: Conv2d(c, 1)", "5*c"),
    ("- if: c != 0 and c + 1 > c\n  then: Conv2d(c, 1)", "5*c"),
    ("- Conv2d(8 * c / 4, 1)", "10*c"),
    ("- Conv2d((c + 3) // 2, 1)", "5*((c + 3)//2)"),
    ("- Conv2d(c ** 2, 1)", "5*c**2"),
    ("- Conv2d(max(c, 4), 1)", "5*max(4, c)"),
    ("- Conv2d(min([c, 4]), 1)", "5*min(4, c)"),
    ("- Conv2d(ceil(c) + round(c) - floor(c) - int(c) + sum([c, 1]), 1)", "5*c + 5"),
    ("- Conv2d(-c + 2 * c - -c % c, 1)", "5*c"),
    ("- Conv2d(divisible(8 * c), 1)", "40*c"),
    ("- residual: Conv2d(2 * c, 1) -> Conv2d(4, 1)", "18*c + 4"),
    ("- residual: Conv2d(4 + c, 1)\n  project: Conv2d(4 + c, 1)", "10*c + 40"),
    ("- Conv2d(2 * c, 1)\n- concat:\n  - ReLU\n  - ReLU\n  split: 2", "10*c"),
    ("- Conv2d(2 * c, 1) -> Depthwise", "30*c"),
    ("- Conv2d(c, 1) -> Flatten -> Linear(c)", "400*c**2 + 6*c"),
    ("- Conv2d(8, c, padding=c // 2)", "32*c**2 + 8"),
]


@pytest.mark.parametrize(("text", "params"), TAKEN, ids=[row[0] for row in TAKEN])
def test_what_can_be_open(text: str, params: str) -> None:
    depthwise = "blocks:\n  Depthwise: Conv2d(input.channels, 3, groups=input.channels)\nlayers:"
    whole = design(text).replace("layers:", depthwise)
    summary = convcalc.load(whole).summary(symbolic=["c"], input=(4, 20, 20))
    assert summary.totals.params == parse(params)
    for value in (1, 2, 3, 8, 11):
        there = convcalc.load(whole, c=value).summary(batch=3)
        for figure in FIGURES:
            formula = getattr(summary.totals, figure)
            assert evaluate(formula, {"c": value, "N": 3}) == getattr(there.totals, figure)


def test_divisible_as_a_formula() -> None:
    """The formula of torchvision's rounding against the rounding itself."""
    v = symbol("v")
    for divisor in (1, 4, 8, 16):
        formula = open_vars.divisible(v, divisor)
        for value in range(1, 300):
            assert evaluate(formula, {"v": value}) == divisible(value, divisor), (value, divisor)


def test_decisions() -> None:
    c, d = symbol("c"), symbol("d")
    with pytest.raises(OpenFault, match="division by zero"):
        open_vars.arithmetic("//", c, 0)
    with pytest.raises(OpenFault, match="an exponent"):
        open_vars.arithmetic("**", c, -1)
    assert open_vars.arithmetic("%", c, c) == 0
    assert open_vars.compare("<=", c, 2 * c)
    assert not open_vars.compare(">", c, 2 * c)
    assert open_vars.compare(">=", 2 * c, c)
    assert open_vars.compare("!=", c + 1, c)
    assert not open_vars.compare("==", c + d, 1)
    assert open_vars.compare("==", c // 2 + (c + 1) // 2, c)
    for operator in ("==", "!=", "<", "<=", ">", ">="):
        with pytest.raises(OpenFault, match=r"depends on (c, d|d, c)"):
            open_vars.compare(operator, c, d)
    assert open_vars.same_structure((c, 3), (c, 3))
    assert not open_vars.same_structure((c, 3), (c + 1, 3))
    assert not open_vars.same_structure((c, 3), (c, 3, 3))
    assert open_vars.plain(c - c) == 0
