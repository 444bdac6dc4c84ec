"""Figures as Python and LaTeX: what is pasted gives what `summary` gives at these sizes.

CONVCALC_THOROUGH=1 takes every variant of the zoo, at more sizes.
"""

from __future__ import annotations

import json as stdjson
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

import convcalc
from convcalc import DesignError, zoo
from convcalc.analysis.summary import Summary
from convcalc.integers import Formula
from convcalc.network import Network, networks, read
from convcalc.report import json, latex, python
from tests import golden

GOLDEN = Path(__file__).parent / "golden"
THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
SAMPLE = ("vgg16", "unet", "densenet121", "quartznet", "c3d", "vit_b16", "swin_t", "alphago")
NAMES = zoo.names() if THOROUGH else SAMPLE
NETWORKS = [
    pytest.param(network, id=f"{name}:{network.variant}" if network.variant else name)
    for name in NAMES
    for network in (networks(read(name)) if THOROUGH else [convcalc.load(name)])
]


def points(network: Network, opened: Summary, count: int) -> list[dict[str, int]]:
    """Values for what is open: the design's own, sizes near it, and small ones that may not do."""
    rng = random.Random(network.name)
    own: dict[str, int] = {}
    for name, shape in opened.inputs.items():
        for size, entry in zip(shape[1:], opened.graph.inputs[name], strict=True):
            if isinstance(size, Formula):
                own[str(size)] = entry if isinstance(entry, int) else 64
    found = [{"N": 1, **own}]
    for trial in range(count):
        step = (1, 32)[trial % 2]
        found.append(
            {"N": rng.randint(1, 4)}
            | {name: max(1, rng.randint(1, 2 * size) // step * step) for name, size in own.items()}
        )
    return found


def summary_at(network: Network, opened: Summary, point: dict[str, int]) -> Summary | None:
    """The figures of a run with numbers; None where a layer refuses them."""
    inputs = {
        name: tuple(point[str(s)] if isinstance(s, Formula) else s for s in shape[1:])
        for name, shape in opened.inputs.items()
    }
    try:
        return network.summary(inputs, point["N"])
    except DesignError:
        return None


def executed(source: str, name: str) -> Any:
    space: dict[str, Any] = {}
    exec(compile(source, "<pasted>", "exec"), space)
    return space[name]


def listed(value: Any) -> Any:
    return stdjson.loads(stdjson.dumps(value))  # tuples as lists


def same_as_report(result: dict[str, Any], report: dict[str, Any]) -> None:
    result = listed(result)
    for key in ("input", "outputs", "totals"):
        assert result[key] == {name: report[key][name] for name in result[key]}, key
    assert result["totals"].keys() >= {"params", "buffers", "macs", "weights_bytes"}
    assert result.get("aux_outputs") == report.get("aux_outputs")
    assert list(result["layers"]) == [layer["path"] for layer in report["layers"]]
    for layer in report["layers"]:
        figures = result["layers"][layer["path"]]
        assert figures == {name: layer[name] for name in figures}, layer["path"]


@pytest.mark.parametrize("network", NETWORKS)
def test_python_gives_the_figures(network: Network) -> None:
    opened = network.summary(symbolic=True)
    source = python.summary(opened)
    function = executed(source, python.function_name(opened))
    accepted = 0
    for point in points(network, opened, 24 if THOROUGH else 8):
        there = summary_at(network, opened, point)
        arguments = {name: point[name] for name in python.open_sizes(opened)}
        if there is None:
            with pytest.raises(ValueError, match="does not accept"):
                function(**arguments)
            continue
        accepted += 1
        same_as_report(function(**arguments), json.summary_dict(there))
    assert accepted


@pytest.mark.parametrize("network", NETWORKS)
def test_latex_gives_the_totals(network: Network) -> None:
    opened = network.summary(symbolic=True)
    text = latex.summary(opened, depth=1)
    compiles(text)
    equations = read_equations(text)
    totals = opened.totals.as_dict()
    for point in points(network, opened, 6):
        there = summary_at(network, opened, point)
        if there is None:
            continue
        values = dict(point)
        for name, expression in equations:
            if re.fullmatch(r"[a-z]+_\d+", name):
                values[name] = eval(expression, {}, values)
        found = {n: eval(e, {"max": max, "min": min}, values) for n, e in equations}
        for figure in totals:
            told = {"macs": "MACs", "aux_macs": "aux MACs"}.get(figure, figure.replace("_", " "))
            if told in found:
                assert found[told] == getattr(there.totals, figure), figure
        assert {"params", "MACs", "weights bytes"} <= found.keys()


COMMANDS = {"begin", "end", "left", "right", "lfloor", "rfloor", "frac", "cdot", "times", "to"}
COMMANDS |= {"text", "texttt", "quad", "hline", "max", "min", "mathrm", "ldots"}
COMMANDS |= {"allowdisplaybreaks"}


def compiles(text: str) -> None:
    """What TeX would stumble over: brackets, environments, commands, columns."""
    body = [line for line in text.splitlines() if not line.startswith("%")]
    plain = "\n".join(body)
    assert set(re.findall(r"\\([a-zA-Z]+)", plain)) <= COMMANDS
    assert plain.isascii()
    unescaped = re.sub(r"\\[{}_&%#$]", "", plain)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    assert plain.count(r"\left") - plain.count(r"\leftarrow") == plain.count(r"\right")
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", plain):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    tables = re.findall(r"\\begin\{(\w+table|tabular)\}\{lrrr\}(.*?)\\end\{\1\}", plain, re.S)
    assert len(tables) == 1
    for _, table in tables:
        for line in table.strip().splitlines():
            if line.strip() != r"\hline":
                assert len(re.findall(r"(?<!\\)&", line)) == 3, line


def read_equations(text: str) -> list[tuple[str, str]]:
    """Every `name = formula` of the aligned blocks, the formula as Python."""
    found = []
    for block in re.findall(r"\\begin\{align\*\}(.*?)\\end\{align\*\}", text, re.S):
        joined = re.sub(r"\\\\\s*&\\quad \{\}", " ", block)
        for row in joined.split(r"\\"):
            for name, formula in re.findall(r"(\S[^&]*?) &= ([^&]*)", row.replace("& ", "&  ")):
                name = re.sub(r"\\text\{(.*)\}", r"\1", name.strip(" &"))
                found.append((plain_names(name), as_python(formula)))
    return found


def plain_names(text: str) -> str:
    return re.sub(r"([a-z])_\{(\d+)\}", r"\1_\2", text)


def as_python(formula: str) -> str:
    """LaTeX read by rewriting, from the innermost bracket out."""
    text = plain_names(formula)
    text = text.replace(r"\left(", "(").replace(r"\right)", ")").replace(r"\cdot", "*")
    text = re.sub(r"\\(max|min)", r"\1", text)
    text = re.sub(r"\\mathrm\{(\w+)\}", r"\1", text)
    while r"\frac" in text:
        inner = r"\\left\\lfloor \\frac\{([^{}\\]*)\}\{([^{}\\]*)\} \\right\\rfloor"
        text, count = re.subn(inner, r"((\1)//(\2))", text)
        text = re.sub(r"\{(\w+)\}\^\{(\d+)\}", r"(\1**\2)", text)
        assert count, text
    text = re.sub(r"\{([^{}]*)\}\^\{(\d+)\}", r"((\1)**\2)", text)
    assert "\\" not in text, text
    assert "{" not in text, text
    return text.strip()


def test_numbers_alone() -> None:
    network = convcalc.load("googlenet")
    summary = network.summary(batch=2)
    function = executed(python.summary(summary), "googlenet")
    same_as_report(function(), json.summary_dict(summary))
    compiles(latex.summary(summary, everything=True))
    found = dict(read_equations(latex.summary(summary)))
    assert int(found["MACs"]) == summary.totals.macs


def test_a_long_table_breaks_over_pages() -> None:
    summary = convcalc.load("googlenet").summary()
    assert "\\begin{tabular}" in latex.summary(summary, depth=1)
    text = latex.summary(summary, everything=True)
    assert "\\begin{longtable}" in text
    assert "\\usepackage{amsmath,longtable}" in text


def test_what_is_frozen() -> None:
    network = Network(read("lenet5"), None, {}, ["layers.0"])
    found = dict(read_equations(latex.summary(network.summary())))
    assert (int(found["params"]), int(found["trainable params"])) == (61_706, 61_706 - 156)
    assert "trainable" not in latex.summary(convcalc.load("lenet5").summary())


def test_open_vars() -> None:
    network = convcalc.load("unet")
    opened = network.summary(symbolic=["base", "classes"])
    function = executed(python.summary(opened), "unet")
    there = convcalc.load("unet", base=24, classes=5).summary((1, 572, 380), 3)
    same_as_report(function(N=3, H=572, W=380, base=24, classes=5), json.summary_dict(there))
    with pytest.raises(ValueError, match=r"U-Net .* does not accept N=1, H=100, W=572, base=0"):
        function(1, 100, 572, 0, 2)
    text = latex.summary(opened)
    compiles(text)
    values: dict[str, int] = {"N": 3, "H": 572, "W": 380, "base": 24, "classes": 5}
    for name, expression in read_equations(text):
        values[name] = eval(expression, {}, values)
    assert values["MACs"] == there.totals.macs
    assert values["params"] == there.totals.params


def test_a_wrong_formula_is_seen() -> None:
    """The comparisons above can fail."""
    network = convcalc.load("vgg16")
    opened = network.summary(symbolic=True)
    source = python.summary(opened).replace("h3 = H//8", "h3 = (H + 1)//8")
    report = json.summary_dict(network.summary((3, 231, 224)))
    with pytest.raises(AssertionError):
        same_as_report(executed(source, "vgg16")(1, 231, 224), report)
    with pytest.raises(AssertionError):
        compiles(latex.summary(opened).replace("{H}", "{H", 1))


@pytest.mark.parametrize("name", ["lenet5", "unet"])
def test_as_people_read_it(name: str) -> None:
    summary = convcalc.load(name).summary(symbolic=True)
    version = f"convcalc {convcalc.__version__}"
    golden.compare(
        GOLDEN / f"{name}-symbolic.tex",
        latex.summary(summary, depth=1).replace(version, "convcalc VERSION"),
    )
    golden.compare(
        GOLDEN / f"{name}-symbolic.py.txt",
        python.summary(summary).replace(version, "convcalc VERSION"),
    )


@pytest.mark.parametrize("title", ['a "quoted" """ name', "back\\slash", "{braces}", "2", "class"])
def test_any_name(title: str) -> None:
    text = f"convcalc: 1\nname: {stdjson.dumps(title)}\ninput: [3, H, W]\nlayers: Conv2d(2, 3)\n"
    opened = convcalc.load(text).summary(symbolic=True)
    function = executed(python.summary(opened), python.function_name(opened))
    assert function(1, 3, 3)["totals"]["macs"] == 54
    with pytest.raises(ValueError, match="does not accept"):
        function(1, 2, 3)
    compiles(latex.summary(opened))
