"""The program that records peaks on a GPU, and the table it leaves, where there is one."""

from __future__ import annotations

import csv

import pytest
import torch

import convcalc
from convcalc import zoo
from convcalc.analysis.memory import Memory
from convcalc.checking import trial_input
from tests.benchmarks import memory_on_gpu
from tests.benchmarks.memory_on_gpu import TABLE, Row

#: How far a measured peak may lie from the computed one: what cuDNN takes for itself is in it.
NEAR = 0.05


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory_on_gpu.main([]) == 0
    assert (
        capsys.readouterr().out == "no CUDA device: nothing is measured, and no table is written\n"
    )


@pytest.mark.skipif(not TABLE.exists(), reason="no GPU was at hand: no table is recorded")
def test_the_recorded_table() -> None:
    """Its computed figures are today's, and the measured ones are near."""
    described, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    assert described.startswith("# ")
    assert "torch" in described
    files = {convcalc.load(name).name: name for name in zoo.names()}
    found = [*csv.DictReader(lines)]
    assert found
    for row in found:
        assert row.keys() == set(Row._fields)
        network = convcalc.load(files[row["network"]], variant=row["variant"] or None)
        input = trial_input(network) if network.graph.free else None
        flow = network.flow(input, int(row["batch"]))
        memory = Memory(flow, row["dtype"], device="cuda")
        for figure, peak in (("inference", memory.inference()), ("training", memory.training())):
            assert int(row[f"computed_{figure}"]) == peak.peak
            assert int(row[f"measured_{figure}"]) == pytest.approx(peak.peak, rel=NEAR)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_small_network_on_a_gpu() -> None:
    flow = convcalc.load("lenet5").flow(batch=4)
    memory = Memory(flow, device="cuda")
    inference, training = memory_on_gpu.measured(flow, "float32")
    assert inference[0] == pytest.approx(memory.inference().peak, rel=NEAR)
    assert training[0] == pytest.approx(memory.training().peak, rel=NEAR)
