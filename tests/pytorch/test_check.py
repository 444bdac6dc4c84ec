"""One network's check: the report, and what is told instead of tried."""

from __future__ import annotations

import json
import math
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from convcalc.errors import ConvcalcError, DesignError
from convcalc.graph import Graph, GraphBuilder, flow
from convcalc.ops.activation import ReLU
from convcalc.ops.memory import OUTPUT, Stored, Tape
from convcalc.pytorch import Comparison, DeviceError, Report, check_graph, to_module
from convcalc.pytorch import capacity as room
from convcalc.pytorch import check as checking
from tests.graphs import chain, layer, residual, small, two_in_two_out, with_aux

GRAPHS = {g.name: g for g in (small(), residual(), with_aux(), two_in_two_out())}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_true_network_passes(graph: Graph, batch: int) -> None:
    report = check_graph(graph, batch=batch, device="cpu")
    assert report.failures == []
    assert report.ok
    assert report.skipped is None
    assert (report.batch, report.dtype, report.device) == (batch, "float32", "cpu")
    assert report.torch == torch.__version__
    assert report.seconds > 0


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_dtypes(dtype: str) -> None:
    report = check_graph(small(), dtype=dtype, device="cpu")
    assert report.failures == []
    assert {c.computed for c in report.comparisons if c.figure == "dtype"} == {dtype}


def test_every_figure_of_every_layer_is_compared() -> None:
    graph = residual()
    report = check_graph(graph, device="cpu")
    figures: dict[str, list[str]] = {node.path: [] for node in graph.layers}
    for comparison in report.comparisons:
        if comparison.path:
            figures[comparison.path].append(comparison.figure)
    wanted = ["output", "dtype", "params", "parameters", "buffers", "macs"]
    wanted += ["output_bytes", "allocated_bytes", "saved_bytes", "keeps"]
    wanted = sorted([*wanted, "receptive_field", "global", "jump", "offset"])
    assert {path: sorted(names) for path, names in figures.items()} == dict.fromkeys(
        figures, wanted
    )
    assert [c.figure for c in report.comparisons if c.path is None] == [
        "params",
        "trainable_params",
        "aux_params",
        "buffers",
        "weights_bytes",
        "macs",
        "aux_macs",
        "outputs",
        "aux_outputs",
        "layers",
        "inference_peak_bytes",
        "trains",
        "allocated_bytes",
        "saved_bytes",
        "after_forward_bytes",
        "training_peak_bytes",
        "gradient_bytes",
    ]


def test_totals_are_the_hand_computed_ones() -> None:
    report = check_graph(with_aux(), device="cpu")
    totals = {c.figure: c.measured for c in report.comparisons if c.path is None}
    assert totals == {
        "params": 4 * 27 + 4 + 5 * 36 + 5,
        "trainable_params": 4 * 27 + 4 + 5 * 36 + 5,
        "aux_params": 7 * 4 + 7,
        "buffers": 0,
        "weights_bytes": 4 * (4 * 27 + 4 + 5 * 36 + 5),
        "macs": 36 * 4 * 27 + 16 * 5 * 36,
        "aux_macs": 36 * 4 * 7,
        "outputs": {"output": (1, 5, 4, 4)},
        "aux_outputs": {"aux1": (1, 7, 6, 6)},
        "layers": 3,
        # float32: maps of 8×8, 6×6 and 4×4; both convolutions on the 6×6 keep the same map
        "inference_peak_bytes": 4 * (192 + 144 + 80),
        "trains": True,
        "allocated_bytes": 4 * (144 + 80),
        "saved_bytes": 4 * (192 + 144),
        "after_forward_bytes": 4 * (192 + 144 + 7 * 36 + 80 + 1),
        # both heads' convolutions have run backward: two gradients of the map, and of their weights
        "training_peak_bytes": 4 * (669 + 1 + 144 + 185 + 144 + 35),
        "gradient_bytes": 4 * (4 * 27 + 4 + 5 * 36 + 5 + 7 * 4 + 7),
    }


def test_what_cannot_train_is_told() -> None:
    graph = chain(layer("BatchNorm1d"), layer("Linear", 2), shape=(3,))
    report = check_graph(graph, device="cpu")
    assert report.ok
    assert [c.measured for c in report.comparisons if c.figure == "trains"] == [False]
    assert "saved_bytes" not in {c.figure for c in report.comparisons}
    (note,) = report.notes
    assert note == (
        "memory in training is not compared: BatchNorm1d cannot train: BatchNorm1d: the values of "
        "a channel over the batch must be at least 2, not 1 (one value has no variance; a larger "
        "batch, or a larger map)"
    )
    assert check_graph(graph, device="cpu", batch=2).notes == ()


def test_training_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = flow(small())
    need, _ = room.needed_bytes(sizes, torch.device("cpu"), "float32")
    monkeypatch.setattr(room, "available_bytes", lambda _: need)
    report = check_graph(small(), device="cpu")
    assert report.ok
    assert "inference_peak_bytes" in {c.figure for c in report.comparisons}
    (note,) = report.notes
    assert note.startswith("memory in training is not compared: not run: needs about 0.0 GiB")


def test_frozen_layers_keep_less_and_have_no_gradients() -> None:
    graph = residual()
    whole = check_graph(graph, device="cpu")
    for node in graph.layers:
        node.frozen = True
    frozen = check_graph(graph, device="cpu")
    assert whole.ok
    assert frozen.ok
    totals = {c.figure: c.measured for c in frozen.comparisons if c.path is None}
    assert (totals["trainable_params"], totals["saved_bytes"], totals["gradient_bytes"]) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("facet", ["keeps", "memory"])
def test_a_wrong_rule_of_memory_is_found(monkeypatch: pytest.MonkeyPatch, facet: str) -> None:
    """With its layer: one that keeps another value of the same size, and one that keeps a copy."""
    graph = chain(layer("Conv2d", 4, 3), layer("ReLU"), layer("AvgPool2d", 2), shape=(3, 8, 8))
    assert check_graph(graph, device="cpu").ok

    def wrong(self: ReLU, tape: Tape, x: Stored) -> Stored:
        return tape.pointwise(x, saves=[tape.new(x.shape, "copy"), OUTPUT])

    monkeypatch.setattr(ReLU, facet, "input" if facet == "keeps" else wrong)
    failures = check_graph(graph, device="cpu").failures
    figure = "keeps" if facet == "keeps" else "saved_bytes"
    assert (failures[0].figure, failures[0].path) == (figure, "ReLU")


def test_an_input_may_be_an_output() -> None:
    builder = GraphBuilder("passed on")
    x = builder.input("input", (3, 8, 8))
    graph = builder.finish({"same": x, "output": builder.add(layer("Conv2d", 4, 3), x)})
    assert check_graph(graph, device="cpu").failures == []


def test_at_other_sizes_than_the_designs() -> None:
    graph = chain(layer("Conv2d", 8, 3), shape=(3, "H", "W"))
    sizes = flow(graph, {"input": (3, 10, 20)}, batch=2)
    report = check_graph(graph, flow=sizes, device="cpu")
    assert report.ok
    assert report.batch == 2
    assert {c.measured for c in report.comparisons if c.figure == "output"} == {(2, 8, 8, 18)}


def test_open_sizes_are_told() -> None:
    with pytest.raises(ConvcalcError, match="give every free size of the input one"):
        check_graph(chain(layer("Conv2d", 8, 3), shape=(3, "H", "W")), device="cpu")


def test_a_wrong_design_is_told_as_ever() -> None:
    with pytest.raises(DesignError, match="the padded height"):
        check_graph(chain(layer("Conv2d", 8, 33)), device="cpu")


def test_comparisons_are_ready_for_json() -> None:
    report = check_graph(with_aux(), device="cpu")
    rows = json.loads(json.dumps([c.as_dict() for c in report.comparisons]))
    assert {tuple(row) for row in rows} == {("figure", "path", "computed", "measured", "ok")}
    assert {
        "figure": "output",
        "path": "Conv2d[0]",
        "computed": [1, 4, 6, 6],
        "measured": [1, 4, 6, 6],
        "ok": True,
    } in rows


def test_a_report_that_compares_nothing_has_not_passed() -> None:
    empty = Report("x", [], device="cpu", torch="2", batch=1, dtype="float32", seconds=0.0)
    assert not empty.ok


def test_the_order_of_names_counts() -> None:
    assert not Comparison("parameters", "p", {"a": "1", "b": "2"}, {"b": "2", "a": "1"}).ok
    assert Comparison("parameters", "p", {"a": "1", "b": "2"}, {"a": "1", "b": "2"}).ok


# ---------------------------------------------------------------- devices


def test_auto_takes_what_there_is() -> None:
    report = check_graph(small())
    assert report.ok
    assert report.device.startswith("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(DeviceError, match=f"device '{device}': this machine has no CUDA device"):
        check_graph(small(), device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_on_cuda(graph: Graph) -> None:
    report = check_graph(graph, device="cuda:0")
    assert report.failures == []
    assert torch.cuda.get_device_name(0) in report.device


# ---------------------------------------------------------------- memory


def not_run(report: Report) -> str:
    """The one comparison of a network that was not run."""
    assert not report.ok
    (comparison,) = report.comparisons
    assert (comparison.figure, comparison.path, comparison.ok) == ("run", None, False)
    return str(comparison.measured)


def test_weights_larger_than_memory_are_told() -> None:
    graph = chain(
        layer("Conv2d", 2**20, 1, bias=False),
        layer("Conv2d", 2**20, 1, bias=False),
        shape=(3, 1, 1),
    )
    report = check_graph(graph, device="cpu")
    text = not_run(report)
    assert text.startswith("not run: needs about 8,1")
    assert "GiB are available" in text
    assert report.skipped == text


def test_activations_larger_than_memory_are_told() -> None:
    report = check_graph(chain(layer("Conv2d", 64, 1)), batch=10**8, device="cpu")
    assert "not run: needs about" in not_run(report)


@pytest.mark.parametrize("size", [2**31, 2**40, 10**30])
def test_a_tensor_beyond_what_can_be_addressed_is_told(size: int) -> None:
    report = check_graph(chain(layer("Conv2d", 8, 1), shape=(3, size, size)), device="cpu")
    assert "more than PyTorch can address" in not_run(report)


def test_torchs_own_out_of_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(checking, "to_module", refuse)
    assert not_run(check_graph(small(), device="cpu")).startswith("CUDA out of memory")


def test_out_of_memory_in_a_layer_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.ConvTranspose2d, "forward", refuse)
    failures = check_graph(small(), device="cpu").failures
    assert [(c.figure, c.path) for c in failures] == [
        ("run", "ConvTranspose2d"),
        ("macs", None),
        ("outputs", None),
        ("layers", None),
    ]


class Peak(torch.utils._python_dispatch.TorchDispatchMode):
    """Bytes of all storages that are alive, at their highest: what the estimate must cover."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.live:
                    self.live[key] = storage.nbytes()
                    weakref.finalize(storage, self.live.pop, key, None)
        self.peak = max(self.peak, sum(self.live.values()))
        return out


ATTENTION = {
    "all tokens": chain(
        layer("Conv2d", 32, 1), layer("Tokens"), layer("MultiheadAttention", 4), shape=(3, 24, 24)
    ),
    "windows": chain(layer("Conv2d", 32, 1), layer("WindowAttention", 8, 7, 3), shape=(3, 40, 40)),
    "grid": chain(
        layer("Conv2d", 32, 1),
        layer("RelativePositionAttention", 2, 12, grid=True),
        shape=(3, 48, 48),
    ),
}


@pytest.mark.parametrize(
    "graph", [*GRAPHS.values(), *ATTENTION.values()], ids=[*GRAPHS, *ATTENTION]
)
def test_the_estimate_covers_the_run(graph: Graph) -> None:
    sizes = flow(graph, batch=4)
    need, largest = room.needed_bytes(sizes, torch.device("cpu"), "float32")
    peak = Peak()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), peak:
        network = to_module(sizes, initialise=False).eval()
        inputs = [torch.zeros(shape) for shape in sizes.inputs.values()]
        network(*inputs)
    assert peak.peak <= need <= 4 * peak.peak
    assert largest == 4 * max(
        [math.prod(s) for s in sizes.shapes] + [p.numel() for p in network.parameters()]
    )


def test_unfolding_counts_where_onednn_does_not_serve() -> None:
    """A float64 convolution unfolds its input: kernel² times as much."""
    sizes = flow(chain(layer("Conv2d", 16, 7, padding=3), shape=(16, 64, 64)))
    cpu, unfolded = torch.device("cpu"), 16 * 64 * 64 * 49
    plain, _ = room.needed_bytes(sizes, cpu, "float32")
    double, _ = room.needed_bytes(sizes, cpu, "float64")
    assert double == 2 * plain + 8 * unfolded


def test_available_memory_is_the_systems_and_the_containers(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000 kB\nMemFree:  1000 kB\nMemAvailable:  6000 kB\n")
    assert room._system_bytes(meminfo) == 6000 * 1024
    assert room._system_bytes(tmp_path / "absent") is None

    group = tmp_path / "fs" / "pod" / "box"
    group.mkdir(parents=True)
    for folder, limit, used, cached in ((group, "max", 5, 0), (group.parent, "1000", 700, 50)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    own = tmp_path / "cgroup"
    own.write_text("0::/pod/box\n")
    assert room._cgroup_bytes(tmp_path / "fs", own) == [350]

    old = tmp_path / "fs" / "memory" / "job"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("4096\n")
    (old / "memory.usage_in_bytes").write_text("96\n")
    (old / "memory.stat").write_text("")
    own.write_text("9:cpu,cpuacct:/job\n4:memory:/job\n")
    assert room._cgroup_bytes(tmp_path / "fs", own) == [4000]
    assert room._cgroup_bytes(tmp_path / "fs", tmp_path / "absent") == []


def test_some_memory_is_available_here() -> None:
    have = room.available_bytes(torch.device("cpu"))
    assert have is None or 2**20 < have < 2**60
