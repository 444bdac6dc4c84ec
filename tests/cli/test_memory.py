"""Memory as people and programs read it. The figures themselves are measured in tests/pytorch."""

from __future__ import annotations

import csv as stdcsv
import io
import json as stdjson
from pathlib import Path
from typing import Any

import pytest

import convcalc
from convcalc.integers import evaluate, parse
from convcalc.report import csv, json, markdown, table
from tests import golden
from tests.cli.conftest import Runner

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = ["vgg16", "resnet", "googlenet", "unet", "vit_b16", "c3d", "m5", "shufflenetv2"]

# Bytes that PyTorch's allocator was seen to use: saved, inference peak, training peak.
FIXED = {
    ("vgg", "D", 1): (73_355_264, 26_292_224, 616_136_520),
    ("resnet", "resnet50", 1): (86_121_984, 10_235_904, 165_612_872),
    ("resnet", "resnet50", 8): (687_488_512, 81_887_232, 735_660_712),
    ("densenet121", "densenet121", 1): (130_695_936, 9_031_680, 140_696_136),
    ("mobilenetv2", None, 1): (78_345_984, 10_235_904, 86_097_992),
    ("googlenet_torchvision", None, 1): (48_355_072, 7_024_640, 83_086_152),
    ("efficientnet", "b0", 1): (88_362_116, 10_235_904, 98_535_632),
}


def loaded(name: str, variant: str | None = None, **options: Any) -> dict[str, Any]:
    summary = convcalc.load(name, variant).summary(**options)
    result: dict[str, Any] = stdjson.loads(json.summary(summary))
    return result


@pytest.mark.parametrize(("name", "variant", "batch"), FIXED)
def test_fixed_points(run: Runner, name: str, variant: str | None, batch: int) -> None:
    words = ["--variant", variant] if variant else []
    found = run("summary", name, *words, "--batch", str(batch), "--format", "json")
    totals = stdjson.loads(found.out)["totals"]
    figures = ("saved_bytes", "inference_peak_bytes", "training_peak_bytes")
    assert tuple(totals[figure] for figure in figures) == FIXED[name, variant, batch]


def test_the_table_of_the_lectures(run: Runner) -> None:
    """The notes add VGG-16's volumes to "24M, 93 MB": they are 15.2M, 61 MB (58.1 MiB)."""
    text = run("summary", "vgg16", "--batch", "1").out
    volumes = next(line for line in text.splitlines() if line.startswith("  volumes"))
    assert "60,950,432" in volumes
    assert "15,237,608 values" in volumes
    kept = next(line for line in text.splitlines() if line.startswith("  kept for backward"))
    assert "73,254,912" in kept
    # By hand, from the lecture's table: the input, convolutions, pools and dense layers.
    sizes = [(224, 3), *[(224, 64)] * 2, (112, 64), *[(112, 128)] * 2, (56, 128)]
    sizes += [*[(56, 256)] * 3, (28, 256), *[(28, 512)] * 3, (14, 512), *[(14, 512)] * 3, (7, 512)]
    values = sum(side * side * channels for side, channels in sizes) + 4096 + 4096 + 1000
    assert convcalc.load("vgg16").summary().totals.volumes == values == 15_237_608


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up(name: str) -> None:
    report = loaded(name, batch=2)
    layers, totals = report["layers"], report["totals"]
    assert totals["saved_bytes"] == sum(layer["saved_bytes"] for layer in layers)
    assert totals["allocated_bytes"] == sum(
        layer["allocated_bytes"] for layer in layers if not layer["aux"]
    )
    trainable = totals["params"] + totals["aux_params"]
    assert totals["gradients_bytes"] == 4 * trainable
    assert totals["inference_peak_bytes"] <= totals["training_peak_bytes"]
    for peak in ("inference", "training"):
        at = totals[f"{peak}_peak_at"]
        assert at["phase"] in ("forward", "backward", "step")
        assert at["path"] is None or at["path"] in {layer["path"] for layer in layers}


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_is_the_sum_of_distinct_storages(name: str) -> None:
    """What layers keep, whoever kept it first, is at least what is counted, and not counted twice:
    in a chain of layers that work in place or keep their input a storage has one layer."""
    summary = convcalc.load(name).summary(batch=2)
    for layer in summary.layers:
        keeps = sum(size for _, size in layer.memory.keeps)
        assert 0 <= layer.saved_bytes <= keeps
    memory = summary.memory
    assert memory.saved == sum(layer.saved_bytes for layer in summary.layers)
    # All that is kept lives once forward is done, beside the input, the output and the loss.
    assert memory.saved <= memory.training().after_forward


@pytest.mark.parametrize("name", ["vgg16", "resnet", "lenet5", "mobilenetv2"])
def test_formulas_give_the_numbers(name: str) -> None:
    network = convcalc.load(name)
    open_totals = loaded(name, symbolic=True)["totals"]
    for size in (224, 256) if name != "lenet5" else (32, 36):
        channels = network.graph.inputs["input"][0]
        totals = loaded(name, input=(channels, size, size), batch=3)["totals"]
        for figure in ("volumes", "allocated_bytes", "saved_bytes"):
            formula = network.formula(figure)  # type: ignore[arg-type]
            assert evaluate(formula, {"N": 3, "H": size, "W": size}) == totals[figure]
            assert parse(str(open_totals[figure])) == parse(str(formula))
    assert open_totals["inference_peak_bytes"] is None
    assert "some are open" in open_totals["training_peak_at"]["reason"]


def test_what_cannot_train_has_no_training_peak() -> None:
    text = "convcalc: 1\ninput: [3, 1, 1]\nlayers: Conv2d(4, 1) -> BatchNorm2d\n"
    summary = convcalc.load(text).summary()
    totals = stdjson.loads(json.summary(summary))["totals"]
    assert totals["inference_peak_bytes"] == 4 * (3 + 4 + 4)
    assert totals["training_peak_bytes"] is None
    assert "BatchNorm2d cannot train" in totals["training_peak_at"]["reason"]
    assert "BatchNorm2d cannot train" in table.render(summary)


@pytest.mark.parametrize(
    ("layers", "inference", "training"),
    [
        ("Conv2d(1, 1)", "in forward of Conv2d", "in backward of Conv2d"),
        ("Flatten", "in forward of the input", "in forward of the loss"),  # nothing is new
    ],
)
def test_where_a_pass_peaks(layers: str, inference: str, training: str) -> None:
    text = f"convcalc: 1\ninput: [3, 8, 8]\nlayers: {layers}\n"
    lines = table.render(convcalc.load(text).summary()).splitlines()
    told = [line.rpartition(", ")[2] for line in lines if " peak " in line]
    assert told == [inference, training]


@pytest.mark.parametrize(
    ("dtype", "width"), [("float32", 4), ("float64", 8), ("float16", 2), ("bfloat16", 2)]
)
def test_dtypes(dtype: str, width: int) -> None:
    summary = convcalc.load("alexnet_ungrouped").summary(dtype=dtype)
    single = convcalc.load("alexnet_ungrouped").summary()
    assert summary.totals.volumes == single.totals.volumes
    assert summary.totals.allocated_bytes * 4 == single.totals.allocated_bytes * width
    assert summary.totals.gradients_bytes == summary.totals.params * width


def test_optimizers_hold_what_they_hold() -> None:
    network = convcalc.load("lenet5")
    params, tensors = 61_706, 10
    states = {
        "none": 0,
        "sgd": 0,
        "momentum": 4 * params,
        "adam": 8 * params + 4 * tensors,
        "adamw": 8 * params + 4 * tensors,
    }
    plain = network.summary().totals.training_peak_bytes
    assert plain is not None
    for optimizer, state in states.items():
        totals = network.summary(optimizer=optimizer).totals
        assert totals.optimizer_bytes == state
        assert totals.training_peak_bytes is not None
        assert totals.training_peak_bytes >= plain + state
    lists = network.summary(optimizer="adam", foreach=True).training
    singly = network.summary(optimizer="adam", foreach=False).training
    assert lists is not None
    assert singly is not None
    assert (lists.phase, singly.phase) == ("step", "step")
    assert lists.peak - lists.moments[-1].after == 4 * params
    assert singly.peak - singly.moments[-1].after < 2 * 4 * params


@pytest.mark.parametrize("width", [80, 200])
def test_columns_of_memory(width: int) -> None:
    network = convcalc.load("resnet", "resnet50").freeze("layers.0-4")
    summary = network.summary(batch=8, optimizer="momentum", weight_decay=True)
    names = ["layer", "output", "bytes", "allocated", "saved", "frozen"]
    text = table.render(summary, names=names, depth=2, width=width)
    golden.compare(GOLDEN / f"resnet50-memory-{width}.txt", text)


def test_a_folded_line_is_the_sum_of_equal_ones() -> None:
    """A block whose input was kept before it is another than one that is the first to keep it."""
    names = ["path", "layer", "saved", "allocated"]
    for fold in (False, True):
        summary = convcalc.load("vgg16").summary()
        view = table.View(summary, names, None, not fold, None)
        tops = [line.entry for line in view.lines if line.depth == 1]
        assert sum(entry.figure("saved_bytes") for entry in tops) == summary.totals.saved_bytes
        for entry in tops:
            copies = entry.figure("saved_bytes")
            below = sum(child.figure("saved_bytes") for child in entry.children)
            assert copies == (entry.count * below if entry.children else copies)


def test_markdown_and_csv() -> None:
    summary = convcalc.load("lenet5").summary(batch=2)
    text = markdown.summary(summary)
    assert f"| kept for backward | 71.2 KiB | {summary.totals.saved_bytes:,} |" in text
    rows = list(stdcsv.DictReader(io.StringIO(csv.summary(summary))))
    assert sum(int(row["saved_bytes"]) for row in rows) == summary.totals.saved_bytes
    assert sum(int(row["allocated_bytes"]) for row in rows) == summary.totals.allocated_bytes
    assert {row["frozen"] for row in rows} == {"false"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "adan"], "did you mean adam?"),
        (["--kernels", "gpu"], "--kernels takes one of cpu, cuda"),
        (["--foreach", "--no-foreach"], "cannot both be"),
        (["--freeze", "Cnov"], "did you mean 'Conv'?"),
        (["--freeze", "layers.9-70"], "the 22 top-level layers are layers.0-21"),
        (["--freeze", ","], "--freeze names no layer"),
    ],
)
def test_mistakes_on_the_command_line(run: Runner, words: list[str], message: str) -> None:
    found = run("summary", "vgg16", *words)
    assert found.code == 2
    assert found.out == ""
    assert message in found.err


def test_the_command_line(run: Runner) -> None:
    words = ("summary", "vgg16", "--freeze", "layers.0-5", "--freeze", "FC", "--optimizer", "adam")
    text = run(*words, "--foreach", "--format", "json").out
    report = stdjson.loads(text)
    assert report["memory"]["optimizer"] == "adam"
    assert report["memory"]["foreach"] is True
    summary = (
        convcalc.load("vgg16").freeze("layers.0-5", "FC").summary(optimizer="adam", foreach=True)
    )
    assert report == stdjson.loads(json.summary(summary))
    frozen = {layer["path"].partition("[")[0] for layer in report["layers"] if layer["frozen"]}
    assert frozen == {"Conv", "MaxPool2d", "FC"}
    assert "Trainable: " in run(*words).out
