"""What `fit` says, beside PyTorch at the boundaries; wrong rules planted there are caught."""

from __future__ import annotations

import os

import pytest

import convcalc
from convcalc.analysis import fit as fitting
from convcalc.analysis.fit import Sizes
from convcalc.analysis.inverse import Inverse
from convcalc.integers import symbol
from convcalc.integers.solutions import where_at_least
from convcalc.ops.base import REGISTRY, Window
from convcalc.pytorch import verify_fit
from tests.analysis import designs

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


#: Padding or ceil_mode lets these read every row of every size; or no other size is valid.
READ_WHOLE = ("resnet", "googlenet", "googlenet_torchvision", "unet_padded")


def figures(report, start: str) -> list:
    return [c for c in report.comparisons if c.figure.startswith(start)]


#: What the last map may be, and which sizes give it; of all networks of the issue with the
#: variable below, which takes minutes.
INTERVALS = {
    "alexnet": (6, 227, 258),
    "alexnet_torchvision": (6, 223, 254),
    "googlenet": (7, 223, 254),
    "googlenet_torchvision": (7, 207, 238),
    "densenet121": (7, 221, 252),
    "unet_padded": (32, 32, 32),
}
if os.environ.get("CONVCALC_THOROUGH"):
    INTERVALS |= {"vgg16": (7, 224, 255), "resnet": (7, 193, 224), "unet": (388, 572, 587)}


@pytest.mark.parametrize("name", INTERVALS)
def test_the_interval_of_the_last_map(name):
    """Both ends and what lies beyond are run; what is refused there gives nothing."""
    fit = convcalc.fit(name)
    wanted, first, last = INTERVALS[name]
    report = verify_fit(fit, [fit.sizes_for(wanted)], device="cpu")
    assert report.ok, report.failures
    assert [(c.figure, c.computed) for c in figures(report, "wanted output")] == [
        (f"wanted output at H = {size}, W = {size}", first <= size <= last)
        for size in dict.fromkeys((first - 1, first, last, last + 1))
    ]
    assert figures(report, "accepts")


#: What PyTorch takes, and a design does not: 1×1 added to 2×2, and a map cropped to nothing. And a
#: row within the last window that no tap of it reads.
PYTORCH_ALONE = {
    "broadcast": """
- add:
  - MaxPool2d(3, 2, ceil_mode=true)
  - MaxPool2d(3, 2, 1)
""",
    "cropped": """
- Conv2d(4, 3, 2) -> ZeroPad2d((-1, -2, -1, -2)) -> Upsample(scale_factor=2)
""",
    "dilated": """
- Conv2d(2, 2, 3, 1, dilation=2) -> Conv2d(1, 1, 4)
""",
}


@pytest.mark.parametrize("layers", PYTORCH_ALONE.values(), ids=PYTORCH_ALONE)
def test_what_pytorch_takes_and_a_design_does_not(layers):
    fit = convcalc.fit(f"convcalc: 1\nname: t\ninput: [2, H, W]\nlayers:{layers}")
    report = verify_fit(fit, device="cpu")
    assert report.ok, report.failures
    assert len(report.comparisons) >= 3


@pytest.mark.parametrize(
    "name",
    [
        "lenet5",
        "alexnet",
        "alexnet_torchvision",
        "googlenet_torchvision",
        "googlenet",
        "resnet",
        "densenet121",
        "unet_padded",
        "m5",
        "swin_t",
        "squeezenet",
    ],
)
def test_the_zoo_at_its_boundaries(name):
    report = verify_fit(convcalc.fit(name), device="cpu")
    assert report.ok, report.failures
    assert figures(report, "accepts")
    # each stride where it divides and where it does not, each row read and not
    for start in ("divides", "dropped"):
        found = figures(report, start)
        seen = {bool(c.computed) for c in found}
        assert seen == {True, False} or name in READ_WHOLE, found


@pytest.mark.parametrize(
    "text",
    [designs.CONFLICT, designs.TF_SAME, designs.ODD, designs.FIXED, designs.ASSERTED],
    ids=["conflict", "tf_same", "odd", "fixed", "asserted"],
)
def test_hard_cases_at_their_boundaries(text):
    report = verify_fit(convcalc.fit(text), device="cpu")
    assert report.ok, report.failures
    assert len(report.comparisons) > 2


def test_both_ends_of_an_interval():
    fit = convcalc.fit("lenet5")
    report = verify_fit(fit, [fit.sizes_for(3, "AvgPool2d[1]")], device="cpu")
    assert report.ok, report.failures
    told = [c.figure for c in figures(report, "wanted output")]
    # 3 comes of 24 … 27, but below 32 the last convolution refuses: no size is wanted
    assert told == []
    report = verify_fit(fit, [fit.sizes_for(6, "AvgPool2d[1]")], device="cpu")
    assert report.ok, report.failures
    assert [(c.figure, c.computed) for c in figures(report, "wanted output")] == [
        ("wanted output at H = 35, W = 35", False),
        ("wanted output at H = 36, W = 36", True),
        ("wanted output at H = 39, W = 39", True),
        ("wanted output at H = 40, W = 40", False),
    ]
    report = verify_fit(fit, [fit.sizes_for(5, "AvgPool2d[1]")], device="cpu")
    assert report.ok, report.failures
    assert [(c.figure[17:23], c.computed) for c in figures(report, "wanted output")] == [
        ("H = 31", False),  # is refused
        ("H = 32", True),
        ("H = 35", True),
        ("H = 36", False),
    ]


@pytest.mark.parametrize(("first", "last"), [(35, 39), (37, 39), (36, 38), (36, 40)])
def test_a_wrong_end_of_an_interval_is_caught(first, last):
    fit = convcalc.fit("lenet5")
    found = fit.sizes_for(6, "AvgPool2d[1]")
    size = symbol("H")
    run = where_at_least(size, first) & where_at_least(last, size)
    wrong = Inverse(found.node, found.wanted, {name: Sizes(run) for name in "HW"})
    report = verify_fit(fit, [wrong], device="cpu")
    assert {c.figure.split(" at ")[0] for c in report.failures} == {"wanted output"}


def test_sizes_that_keep_the_weights():
    report = verify_fit(convcalc.fit("lenet5"), device="cpu")
    assert [(c.figure, c.computed, c.measured) for c in figures(report, "weights kept")] == [
        ("weights kept at H = W = 32", True, True),
        ("weights kept at H = W = 35", True, True),
        ("weights kept at H = W = 36", False, False),
    ]


def test_axes_of_their_own():
    """Along a height that is fixed, and where the two have other answers."""
    report = verify_fit(convcalc.fit("lenet5", input=(1, 32, "W")), device="cpu")
    assert report.ok
    assert any("W = 31" in c.figure for c in report.comparisons)
    text = """convcalc: 1
name: uneven
input: [3, 20, 30]
layers: Conv2d(4, (3, 5), stride=(2, 3)) -> MaxPool2d((2, 1))
"""
    report = verify_fit(convcalc.fit(text), device="cpu")
    assert report.ok, report.failures
    assert {c.figure.split(" at ")[1].split(" = ")[0] for c in figures(report, "divides")} == {
        "H",
        "W",
    }


def test_a_wrong_congruence_is_caught(monkeypatch):
    original = fitting.where_divisible
    monkeypatch.setattr(fitting, "where_divisible", lambda rest, by: original(rest + 1, by))
    report = verify_fit(convcalc.fit("lenet5"), device="cpu")
    assert {c.path for c in report.failures} == {"AvgPool2d[0]", "AvgPool2d[1]"}


def test_a_wrong_window_is_caught(monkeypatch):
    """A convolution that is taken to be padded by one row more than it is."""
    original = REGISTRY["Conv2d"].windows

    def wrong(self, *shapes):
        return [
            Window(w.kernel, w.stride, w.before, w.after + 1, w.dilation)
            for w in original(self, *shapes)
        ]

    monkeypatch.setattr(REGISTRY["Conv2d"], "windows", wrong)
    report = verify_fit(convcalc.fit("alexnet_torchvision"), device="cpu")
    assert {c.figure.split(" ")[0] for c in report.failures if c.path == "Conv[0].Conv2d"} == {
        "divides",
        "dropped",
    }


def test_a_wrong_bound_is_caught(monkeypatch):
    original = fitting.solve
    monkeypatch.setattr(fitting, "solve", lambda kind, a, b: original(kind, a, b + 1))
    report = verify_fit(convcalc.fit("lenet5"), device="cpu")
    assert any(c.figure.startswith("accepts") for c in report.failures)


def test_a_wrong_interval_is_caught(monkeypatch):
    from convcalc.analysis import inverse

    original = inverse.where_equal
    monkeypatch.setattr(inverse, "where_equal", lambda a, b: original(a, b + 1))
    fit = convcalc.fit("lenet5")
    report = verify_fit(fit, [fit.sizes_for(6, "AvgPool2d[1]")], device="cpu")
    failed = {c.figure.split(" at ")[0] for c in report.failures}
    assert "wanted output" in failed


def test_wrong_sizes_for_the_weights_are_caught(monkeypatch):
    from convcalc.analysis import inverse

    original = inverse.where_equal
    monkeypatch.setattr(inverse, "where_equal", lambda a, b: original(a, 4 * b))
    report = verify_fit(convcalc.fit("lenet5"), device="cpu")
    assert {c.figure.split(" at ")[0] for c in report.failures} == {"weights kept"}
