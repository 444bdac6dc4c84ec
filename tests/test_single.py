"""convcalc.layer: figures, derivations, and unknowns beside brute force."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

import convcalc
from convcalc.analysis import solve as solving
from convcalc.errors import ConvcalcError, DesignError, LayerError
from convcalc.language.single import read_layer
from convcalc.ops import REGISTRY
from tests.ops import harness
from tests.ops.arithmetic import value


def solutions(layer: str, input: Any, output: Any) -> list[dict[str, int]]:
    solved = convcalc.layer(layer, input, output).solved
    assert solved is not None
    assert solved.count == len(solved.solutions)
    return [s.values for s in solved.solutions]


@pytest.mark.parametrize("name", harness.cases())
def test_every_layer(name: str) -> None:
    """Any layer is taken as its cases write it; what is told of it evaluates to its figures."""
    cases = [case for case in harness.cases()[name] if case.kind == "good"]
    for case in cases[:3]:
        names = [f"input{i}" if i > 1 else "input" for i in range(1, len(case.shapes) + 1)]
        cls = REGISTRY[name]
        arguments = case.arguments.replace("like", names[-1])
        if cls.likes and names[-1] not in arguments:
            arguments = ", ".join(filter(None, [arguments, f"like={names[-1]}"]))
        text = f"{name}({arguments})" if arguments else name
        batch = case.shapes[0][0]
        shapes = [shape[1:] for shape in case.shapes]
        found = convcalc.layer(text, shapes, batch=batch)
        assert found.derivation is not None
        assert found.layer is not None
        op = harness.make(name, case.arguments) if not cls.likes else found.layer.op
        assert found.layer.output == op.output(*case.shapes)
        for rule in found.derivation.rules:
            if rule.figure not in ("jump_height", "jump_width"):  # a fraction as it is
                assert value(rule.substituted) == value(str(rule.value)), (text, rule)


@pytest.mark.parametrize(
    ("layer", "input", "output", "wanted"),
    [
        ("Conv2d(10, 5, padding=?)", (3, 32, 32), 32, {"padding": 2}),
        ("Conv2d(10, 5, padding=?)", (3, 32, 32), (10, 32, 32), {"padding": 2}),
        ("Conv2d(?, 5)", (3, 32, 32), (64, 28, 28), {"out_channels": 64}),
        ("Linear(?)", (100,), (10,), {"out_features": 10}),
        ("Conv2d(1, (3, ?))", (1, 32, 40), (30, 34), {"kernel_size[1]": 7}),
        ("ConvTranspose2d(8, 2, ?)", (8, 16, 16), 32, {"stride": 2}),
        ("MaxPool2d(3, ?, ceil_mode=true)", (8, 55, 55), 27, {"stride": 2}),
        ("Upsample(scale_factor=?)", (8, 7, 7), 28, {"scale_factor": 4}),
        ("AdaptiveAvgPool2d(?)", (8, 7, 7), 3, {"output_size": 3}),
        ("PixelShuffle(?)", (12, 7, 7), (3, 14, 14), {"upscale_factor": 2}),
        ("DepthMaxPool(?)", (12, 7, 7), (3, 7, 7), {"kernel_size": 4}),
        ("Conv1d(8, 3, dilation=?)", (8, 64), 50, {"dilation": 7}),
        ("Flatten", ("?", 4, 4), (512,), {"input channels": 32}),
        ("Conv2d(8, 3, padding=same)", (8, "?", 9), (20, 9), {"input height": 20}),
    ],
)
def test_the_only_solution(layer: str, input: Any, output: Any, wanted: dict[str, int]) -> None:
    assert solutions(layer, input, output) == [wanted]
    assert convcalc.layer(layer, input, output).ok


def test_sizes_that_flow_in() -> None:
    found = solutions("Conv2d(8, 3, 2, 1)", (3, "?", "?"), 112)
    assert found == [
        {"input height": h, "input width": w} for h, w in itertools.product((223, 224), repeat=2)
    ]


@pytest.mark.parametrize(
    ("layer", "input", "output"),
    [
        ("Conv2d(4, ?, ?, ?)", (3, 13, 13), (4, 6, 6)),
        ("Conv2d(4, (?, ?), padding=?)", (3, 13, 11), (4, 9, 10)),
        ("MaxPool2d(?, ?, ?, ceil_mode=true)", (3, 13, 13), (3, 5, 5)),
        ("ConvTranspose1d(4, ?, ?, ?, output_padding=?)", (3, 5), (4, 12)),
        ("Conv2d(4, ?, padding=same)", (3, 13, 13), (4, 13, 13)),
        ("Conv2d(4, ?, ?, tf_same)", (3, 13, "?"), (4, 5, 3)),
        ("AvgPool2d(?, padding=?)", (3, "?", "?"), (3, 4, 5)),
        ("Flatten", ("?", "?", 3), (36,)),
    ],
)
def test_all_solutions_and_no_others(
    layer: str, input: Any, output: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a loop over every number in the ranges that are stated."""
    monkeypatch.setattr(solving, "TRIES", 2000)
    solved = convcalc.layer(layer, input, output).solved
    assert solved is not None
    found = read_layer(layer)
    names = list(solved.ranges)
    by_force = []
    for numbers in itertools.product(*(range(a, b + 1) for a, b in solved.ranges.values())):
        values = dict(zip(names, numbers, strict=True))
        known: Mapping[Any, int] = {u: values[u.name] for u in found.unknowns}
        sizes = iter([values[n] for n in names if n.startswith("input")])
        shape = (1, *(next(sizes) if size == "?" else size for size in input))
        try:
            op = found.make(known)
        except LayerError:
            continue
        if all(c.holds() for c in op.conditions(shape)) and op.output(shape)[1:] == output:
            by_force.append(values)
    assert solved.count == len(by_force) == len(solved.solutions)
    assert sorted(map(repr, by_force)) == sorted(repr(s.values) for s in solved.solutions)
    order = [(not s.sensible, sum(s.values.values())) for s in solved.solutions]
    assert order == sorted(order)


@pytest.mark.parametrize("layer", ["Conv2d(4, ?, ?, ?)", "MaxPool2d(?, ?, ?)"])
def test_which_solutions_fit(layer: str) -> None:
    """Beside a look at every row that every output reads."""
    solved = convcalc.layer(layer, (4, 13, 13), (4, 6, 6)).solved
    assert solved is not None
    seen = set()
    for solution in solved.solutions:
        kernel, stride, padding = solution.values.values()
        starts = [output * stride - padding for output in range(6)]
        windows = [set(range(start, start + kernel)) & set(range(13)) for start in starts]
        unread = 13 - len(set().union(*windows))
        exact = (13 + 2 * padding - kernel) % stride == 0 and unread == 0
        assert [reading.unread for reading in solution.readings] == [unread] * 2
        assert solution.fits == exact
        assert solution.sensible == (unread == 0 and all(windows))
        seen.add((exact, unread == 0, all(windows)))
    assert len(seen) >= 3
    assert solved.solutions[0].sensible


def test_the_best_of_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "KEPT", 5)
    solved = convcalc.layer("Conv2d(10, ?, ?, ?)", (3, 32, 32), 16).solved
    assert solved is not None
    assert solved.count > len(solved.solutions) == 5
    assert [tuple(s.values.values()) for s in solved.solutions] == [
        (2, 2, 0),
        (3, 2, 1),
        (4, 2, 1),
        (5, 2, 2),
        (6, 2, 2),
    ]


def test_none_and_the_nearest() -> None:
    found = convcalc.layer("Conv2d(4, 4, padding=?)", (3, 8, 8), 8)
    assert not found.ok
    assert found.layer is None
    assert found.solved is not None
    assert found.solved.ranges == {"padding": (0, 31)}
    assert [(s.values["padding"], s.output) for s in found.solved.nearest][:2] == [
        (1, (1, 4, 7, 7)),
        (2, (1, 4, 9, 9)),
    ]


def test_many_unknowns_are_bounded() -> None:
    """The number of layers tried is bounded, whatever is left open, and the ranges say so."""
    tried = 0
    search = solving._Search
    original = search.output

    class Counting(search):
        def output(self, values: Any) -> Any:
            nonlocal tried
            tried += 1
            return original(self, values)

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(solving, "_Search", Counting)
    layer = "Conv3d(?, (?, ?, ?), (?, ?, ?), (?, ?, ?), dilation=?)"
    found = convcalc.layer(layer, (3, "?", "?", "?"), (4, 5, 6, 7))
    monkeypatch.undo()
    assert found.solved is not None
    assert tried <= 2 * solving.TRIES
    assert len(found.solved.solutions) <= solving.KEPT


def test_what_is_wrong() -> None:
    with pytest.raises(DesignError) as raised:
        convcalc.layer("Conv2d(8, 3, paddng=1)", (3, 8, 8))
    (problem,) = raised.value.problems
    assert str(problem.place) == "layer:1:14"
    for layer, message in [
        ("Conv2d(2 * ?, 3)", "a whole argument, or an entry of a list"),
        ("Conv2d(8, 3, padding_mode=?)", "? stands for a whole number, but padding_mode is one of"),
        ("Conv2d(8, 3) -> ReLU", "one layer is explained at a time"),
        ("Conv2d(8, 3", "is missing behind the arguments"),
        ("Conv2d(8, 30)", "must be at least 30, not 8"),
        ("Conv2", "no layer or block 'Conv2'"),
        ("3", "not a layer"),
        ("", "no layer is given"),
        ("?", "a whole argument"),
        ("10**9 * Conv2d(1, 1)", "repeats"),
        ("Conv2d(" * 1000, "nested more than"),
    ]:
        with pytest.raises(DesignError, match=message.replace("?", r"\?")):
            convcalc.layer(layer, (3, 8, 8), 8)
    with pytest.raises(ConvcalcError, match="which one"):
        convcalc.layer("Conv2d(8, ?)", (3, 8, 8))
    with pytest.raises(ConvcalcError, match="not both"):
        convcalc.layer("Conv2d(8, ?)", (3, "H", 8), 8)
    with pytest.raises(ConvcalcError, match="name it there"):
        convcalc.layer("Conv2d(?, 3)", (3, 8, 8), 6)
    with pytest.raises(ConvcalcError, match="4 sizes are wanted of an output that has 3"):
        convcalc.layer("Conv2d(8, 3)", (3, 8, 8), (1, 8, 6, 6))
    with pytest.raises(ConvcalcError, match="no size"):
        convcalc.layer("ReLU", (3, 0, 8))
    with pytest.raises(ConvcalcError, match="'H' is no size of an output"):
        convcalc.layer("Conv2d(6, 5)", (1, 32, 32), ("H", "W"))
    with pytest.raises(DesignError, match="stands by itself"):
        convcalc.layer("Conv2d(6, '?')", (1, 32, 32), 28)
    with pytest.raises(ConvcalcError, match="batch"):
        convcalc.layer("ReLU", (3, 8, 8), batch=0)


@pytest.mark.parametrize(
    ("layer", "input", "message", "help"),
    [
        ("Foo(3)", (3, 8, 8), "no layer or block 'Foo'", "`convcalc ops` lists"),
        ("xyz(3)", (3, 8, 8), "no value 'xyz'", "`convcalc ops` lists"),
        ("Conv2D(96, 11)", (3, 8, 8), "no layer or block 'Conv2D'", "here it is Conv2d"),
        ("conv2d(8, 3)", (3, 8, 8), "no value 'conv2d'", "did you mean 'Conv2d'?"),
        ("maxpool2d(2)", (3, 8, 8), "no value 'maxpool2d'", "did you mean 'MaxPool2d'?"),
        ("Conv2d", (3, 8, 8), "needs out_channels and kernel_size", "write Conv2d(out_ch"),
        ("Conv2d(8, ??)", (3, 8, 8), "stands by itself", "as in Conv2d(96, ?"),
        ("Conv2d(8, x?)", (3, 8, 8), "stands by itself", "as in Conv2d(96, ?"),
        ("Conv2d(8, 3)", (512,), "what flows in is N×F", "channels first"),
        ("Conv2d(8, 3)", (8, 8), "what flows in is N×C×L", "write Conv1d"),
        ("Conv2d(8, 3)", (1, 3, 8, 8), "is N×C×D×H×W", "or leave the batch out: 3x8x8"),
        ("Conv2d(3, 64, 7)", (3, 224, 224), "reads as a torch.nn call", "write Conv2d(64, 7)"),
        ("Conv2d(8, 3)", [(3, 8, 8)] * 2, "takes 1 value, not 2", None),
    ],
)
def test_what_to_write_instead(layer: str, input: Any, message: str, help: str | None) -> None:
    with pytest.raises(DesignError) as raised:
        convcalc.layer(layer, input)
    (problem,) = raised.value.problems
    assert message in problem.message
    assert (help or "") in (problem.help or "")


def test_a_kernel_that_is_meant() -> None:
    """A number of channels of its own, or a kernel by name, is no torch.nn call."""
    assert convcalc.layer("Conv2d(3, kernel_size=64, stride=7)", (3, 224, 224)).ok
    assert convcalc.layer("Conv2d(4, 64, 7)", (3, 224, 224)).ok


def test_tokens() -> None:
    found = convcalc.layer("Linear(10)", (196, 768))
    assert found.layer is not None
    assert (found.layer.output, found.warnings) == ((1, 196, 10), ())


def test_open_sizes() -> None:
    found = convcalc.layer("Conv2d(96, 11, stride=4)", (3, "H", "W"))
    assert found.derivation is not None
    assert found.layer is not None
    assert str(found.derivation.rule("height").value) == "(H - 7)//4"
    assert found.derivation.rule("macs").substituted == "h1·w1·96·11·11·3"
    assert convcalc.evaluate(found.layer.macs, {"H": 227, "W": 227}) == 105_415_200
    assert [(fit.stride, fit.residue) for fit in found.derivation.fits] == [(4, 3)] * 2
    assert found.fits is None


def test_rows_of_large_maps_are_counted() -> None:
    """Rows that are too many to be listed are not thereby read."""
    found = convcalc.layer("MaxPool2d(2)", (3, 100_000, 100_001)).derivation
    assert found is not None
    told = [(fit.fits, fit.unread_rows, fit.unread) for fit in found.fits]
    assert told == [(True, 0, ()), (False, 1, ())]


def test_a_network() -> None:
    net = convcalc.load("alexnet")
    explained = net.explain()
    assert len(explained.layers) == len(net.summary().layers)
    for rule in (*explained.totals, *(r for d in explained.layers for r in d.rules)):
        assert value(rule.substituted) == rule.value, rule
    totals = net.summary().totals
    assert [rule.value for rule in explained.totals] == [totals.params, totals.macs]
    assert [d.layer.path for d in net.explain("Conv[1]").layers] == [
        "Conv[1].Conv2d",
        "Conv[1].ReLU",
    ]
    assert len(net.explain("Linear[0]").layers) == 1
    with pytest.raises(ConvcalcError, match=r"'Linear\[9\]'"):
        net.explain("Linear[9]")


@pytest.mark.parametrize("name", ["googlenet", "unet", "vit", "resnet", "swin", "deeplabv3"])
def test_rules_of_a_network_give_its_figures(name: str) -> None:
    network = convcalc.load(name)
    summary = network.summary()
    explained = network.explain()
    for derivation in explained.layers:
        figures = {"params": derivation.layer.params, "macs": derivation.layer.macs}
        for rule in derivation.rules:
            if "/" not in str(rule.value):
                assert value(rule.substituted) == rule.value, rule
            assert rule.value == figures.get(rule.figure, rule.value)
        sizes = [rule.value for rule in derivation.rules[: len(derivation.layer.output) - 1]]
        assert sizes == list(derivation.layer.output[1:])
    for rule in explained.totals:
        assert rule.value == getattr(summary.totals, rule.figure)
        assert value(rule.substituted) == rule.value


def test_summary_loads_none_of_it() -> None:
    code = (
        "import sys, io; from convcalc.cli import main\n"
        "out, sys.stdout = sys.stdout, io.StringIO()\n"
        "main(['summary', 'vgg16']); sys.stdout = out; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = {"ops.explanation", "analysis.explain", "analysis.solve", "analysis.strides", "single"}
    assert not {f"convcalc.{name}" for name in own} & set(done.stdout.split())
