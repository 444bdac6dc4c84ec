"""The library as a program uses it: `import convcalc`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import convcalc
from convcalc import zoo
from convcalc.integers import Formula, equal, parse

ROOT = Path(__file__).parent.parent
TEXT = "convcalc: 1\nname: t\ninput: [3, H, W]\nvars: {c: 4}\nlayers: Conv2d(c, 3) -> ReLU\n"


def test_public_names_are_there_and_documented() -> None:
    for name in convcalc.__all__:
        value = getattr(convcalc, name)
        assert name == "__version__" or value.__doc__, name
        assert name in dir(convcalc)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        convcalc.nothing  # noqa: B018 (looking it up is the test)


def test_each_public_name_comes_from_its_declared_home() -> None:
    """The lazy table and what a type checker sees are the same."""
    import ast

    tree = ast.parse((ROOT / "convcalc" / "__init__.py").read_text())
    declared = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("convcalc."):
            declared |= {alias.name: node.module for alias in node.names}
    assert declared.keys() == set(convcalc.__all__)
    lazy = {name: home for home, names in convcalc._HOMES.items() for name in names}
    assert lazy == {k: v for k, v in declared.items() if k != "__version__"}


def test_a_name_a_path_and_a_text() -> None:
    path = ROOT / "architectures" / "vgg16.yaml"
    by_name = convcalc.load("vgg16")
    assert by_name.name == "VGG-16"
    assert by_name.summary().totals.params == 138_357_544
    for source in (path, str(path), path.read_text(), "vgg16.yaml"):
        assert convcalc.load(source).summary().totals.params == 138_357_544
    assert by_name.cite is not None
    assert by_name.cite.startswith("Simonyan")
    assert by_name.file.endswith("vgg16.yaml")


def test_variants_and_vars() -> None:
    network = convcalc.load("resnet")
    assert network.variants == ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    assert network.variant == "resnet50"
    assert convcalc.load("resnet", "resnet18").summary().totals.params == 11_689_512
    changed = convcalc.load("resnet", depths=[2, 2, 2, 2], block="Basic")
    assert changed.summary().totals.params == 11_689_512
    with pytest.raises(convcalc.DesignError, match="no variant 'resnet19'"):
        convcalc.load("resnet", "resnet19").summary()
    with pytest.raises(convcalc.DesignError, match="no var 'depth'"):
        convcalc.load("resnet", depth=3).summary()


def test_the_graph() -> None:
    graph = convcalc.load("lenet5").graph
    assert [node.kind for node in graph.nodes[:3]] == ["Input", "Conv2d", "Tanh"]


def test_formulas() -> None:
    network = convcalc.load("resnet", "resnet18")
    macs = network.formula("macs")
    assert isinstance(macs, Formula)
    for batch, height, width in ((1, 224, 224), (2, 96, 160)):
        number = network.summary((3, height, width), batch).totals.macs
        assert convcalc.evaluate(macs, {"N": batch, "H": height, "W": width}) == number
    assert network.formula("params") == 11_689_512
    assert str(network.formula("macs", "Linear")) == "512000*N"
    names = convcalc.definitions(macs)
    assert str(names["h1"]) == "(H + 1)//2"
    fixed = network.formula("macs", "Conv.Conv2d", input=(3, 224, 224))
    assert equal(fixed, parse("118013952*N")).proved
    assert network.formula("output_bytes", "Linear", dtype="float16") == parse("2000*N")
    with pytest.raises(convcalc.ConvcalcError, match="no figure 'flops'"):
        network.formula("flops")  # type: ignore[arg-type]
    with pytest.raises(convcalc.ConvcalcError, match="no layer 'Linaer'"):
        network.formula("macs", "Linaer")


def test_open_sizes() -> None:
    network = convcalc.load(TEXT)
    summary = network.summary()
    assert str(summary.totals.macs) == "108*h1*w1"
    assert convcalc.load(TEXT, H=8, W=10).summary().totals.macs == 108 * 6 * 8
    assert network.summary((3, 8, 10)).totals.macs == 108 * 6 * 8
    assert str(network.summary((3, 8, "W")).totals.macs) == "648*w1"


def test_symbolic_inputs_of_any_rank() -> None:
    shapes = {
        "m5": ("N", "1", "L"),
        "c3d": ("N", "3", "D", "H", "W"),
        "dcgan": ("N", "100", "H", "W"),
    }
    for name, shape in shapes.items():
        flowing = convcalc.load(name).summary(symbolic=True).inputs
        assert tuple(map(str, next(iter(flowing.values())))) == shape


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 0, 8), "no shape of an input"),
        ((3, 8, 2.5), "no shape of an input"),
        ("3x8x8", "no shape of an input"),
        (32, "32 is no shape of an input"),
        ((3, 8), "takes N×C×H×W"),
        ({"left": (3, 8, 8)}, "no input 'left'"),
        ((3, 2, 2), "must be at least 3, not 2"),
    ],
)
def test_wrong_inputs(shape: object, message: str) -> None:
    with pytest.raises(convcalc.DesignError, match=message):
        convcalc.load(TEXT).summary(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [0, -1, 1.5, True, "8"])
def test_wrong_batches(batch: Any) -> None:
    network = convcalc.load("lenet5")
    for ask in (network.summary, network.fit):
        with pytest.raises(convcalc.ConvcalcError, match="batch is a whole number of at least 1"):
            ask(batch=batch)


def test_wrong_settings() -> None:
    network = convcalc.load("lenet5")
    with pytest.raises(convcalc.ConvcalcError, match="device 'tpu' is not one of cpu, cuda"):
        network.summary(device="tpu")
    with pytest.raises(convcalc.ConvcalcError, match="dtype 'int8' is not one of float32"):
        network.summary(dtype="int8")
    with pytest.raises(convcalc.ConvcalcError, match="did you mean 'adam'"):
        network.summary(optimizer="adma")


def test_a_storage_larger_than_its_tensor_is_told_as_a_formula() -> None:
    network = convcalc.load("convcalc: 1\ninput: [3, 8, 8]\nlayers: Unfold(3, stride=3)\n")
    (layer,) = network.explain(symbolic=True).layers
    assert layer.rule("output_bytes").note.endswith(" allocated")
    assert layer.memory.allocated != layer.memory.output


def test_a_fault_of_both_designs_is_told_once() -> None:
    with pytest.raises(convcalc.DesignError) as raised:
        convcalc.diff("no/such.yaml", "no/such.yaml")
    assert len(raised.value.problems) == 1


def test_errors_hold_their_problems() -> None:
    with pytest.raises(convcalc.DesignError) as raised:
        convcalc.load(TEXT.replace("ReLU", "RelU") + "nam: x\n")
    first, second = raised.value.problems
    assert (first.place.line, second.place.line) == (5, 6)  # type: ignore[union-attr]
    assert isinstance(raised.value, convcalc.ConvcalcError)
    for source in ("no/such/file.yaml", "no such network"):
        with pytest.raises(convcalc.DesignError, match="there is no file"):
            convcalc.load(source)


def test_to_torch() -> None:
    torch = pytest.importorskip("torch")
    module = convcalc.load("lenet5").to_torch()
    assert sum(p.numel() for p in module.parameters()) == 61_706
    assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    half = convcalc.load("lenet5").to_torch(dtype="float64", initialise=False)
    assert {p.dtype for p in half.parameters()} == {torch.float64}
    assert all(not p.any() for p in half.parameters())
    wide = convcalc.load("alexnet").to_torch(input=(3, 259, 259), initialise=False)
    assert wide(torch.zeros(1, 3, 259, 259)).shape == (1, 1000)


def test_check() -> None:
    pytest.importorskip("torch")
    (outcome,) = convcalc.check("lenet5", device="cpu")
    assert outcome.ok
    assert outcome.report is not None
    assert outcome.comparisons == outcome.report.comparisons
    assert [claim.figure for claim in outcome.claims] == ["params", "macs"]
    with pytest.raises(convcalc.DeviceError):
        convcalc.check("lenet5", device="tpu")


def test_check_without_a_run() -> None:
    outcomes = convcalc.check("resnet", run=False)
    assert [o.network.variant for o in outcomes] == list(convcalc.load("resnet").variants)
    assert all(o.ok and o.report is None and not o.comparisons for o in outcomes)
    text = TEXT.replace("[3, H, W]", "[3, 8, 8]") + "expect: {params: 5}\n"
    (outcome,) = convcalc.check(text, run=False)
    assert not outcome.ok
    assert [claim.computed for claim in outcome.failed_claims] == [112]


def test_the_zoo_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vgg16" in zoo.names()
    assert zoo.path("vgg16") == zoo.path("vgg16.yaml")
    for name in ("", "x", "../architectures/vgg16", "/etc/passwd", ".yaml"):
        assert zoo.path(name) is None
    monkeypatch.chdir(tmp_path)
    found = zoo.path("vgg16")
    assert found is not None
    assert Path(found).is_absolute()
    assert convcalc.load("vgg16").name == "VGG-16"


def test_an_installed_zoo_lies_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, beside = tmp_path / "in", tmp_path / "beside"
    for folder in (inside, beside):
        folder.mkdir()
        (folder / f"{folder.name}.yaml").write_text("")
    monkeypatch.setattr(zoo, "_FOLDERS", (str(inside), str(beside)))
    assert zoo.names() == ["in"]
    monkeypatch.setattr(zoo, "_FOLDERS", (str(tmp_path / "none"), str(beside)))
    assert zoo.names() == ["beside"]
    monkeypatch.setattr(zoo, "_FOLDERS", (str(tmp_path / "none"),))
    assert zoo.names() == []
    assert zoo.path("beside") is None


def test_the_module_of_the_package_runs() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "convcalc", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"convcalc {convcalc.__version__}\n"
