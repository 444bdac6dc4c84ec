"""Peaks of memory on a GPU, computed beside measured, for the whole zoo, written to a table.

    python -m tests.benchmarks.memory_on_gpu [NAME …]

Every variant at batches 1, 8 and 32 in float32 and bfloat16, at the design's own input. Measured
are the bytes that were requested of the caching allocator (`requested_bytes` of
torch.cuda.memory_stats), above what lives before the run: that leaves out weights, and workspaces
of cuBLAS, which live on after a first run; those that cuDNN allocates for the length of a kernel
are in. Beside them stand the bytes that the allocator handed out, each request rounded up to 512.

The table is `memory_on_gpu.csv` beside this file: its first line names the GPU, its driver, torch
and the day. Without CUDA the program says so, and writes nothing.
"""

from __future__ import annotations

import csv
import datetime
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from convcalc import zoo
from convcalc.analysis.memory import Memory
from convcalc.checking import trial_input
from convcalc.errors import ConvcalcError
from convcalc.graph import Flow
from convcalc.network import Network, networks, read
from convcalc.pytorch import to_module
from convcalc.pytorch.memory import loss_of, nbytes

TABLE = Path(__file__).with_suffix(".csv")
BATCHES = (1, 8, 32)
DTYPES = ("float32", "bfloat16")
#: Beyond this share of what is free nothing is tried.
SHARE = 0.9


class Row(NamedTuple):
    """One network at one batch and dtype; bytes above weights, the input included."""

    network: str
    variant: str
    batch: int
    dtype: str
    computed_inference: int
    measured_inference: int
    allocated_inference: int
    computed_training: int
    measured_training: int
    allocated_training: int


def described() -> str:
    """The GPU, its driver, torch and the day, in one line."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        driver = found.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    day = datetime.datetime.now(datetime.UTC).date()
    name = torch.cuda.get_device_name()
    cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{name}, driver {driver}, torch {torch.__version__}, {cuda}, {day}"


def peaks(run: Callable[[], object], inputs: int) -> tuple[int, int]:
    """The most that a run requests and is handed out, bytes, the inputs counted in."""
    run()  # workspaces, and whatever else is made once
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_stats()
    run()
    torch.cuda.synchronize()
    after = torch.cuda.memory_stats()
    found = []
    for kind in ("requested_bytes", "allocated_bytes"):
        peak = after[f"{kind}.all.peak"] - before[f"{kind}.all.current"]
        found.append(int(peak) + inputs)
    return found[0], found[1]


def measured(flow: Flow, dtype: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Requested and allocated peaks: of inference, of a training step without an optimizer."""
    network = to_module(flow, device="cuda", dtype=dtype, initialise=False)
    kind = getattr(torch, dtype)
    inputs = [torch.zeros(shape, dtype=kind, device="cuda") for shape in flow.inputs.values()]

    def infer() -> None:
        with torch.no_grad():
            network(*inputs)

    def train() -> None:
        out = network(*inputs)
        loss = loss_of(out)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        network.zero_grad(set_to_none=True)

    network.eval()
    inference = peaks(infer, nbytes(inputs))
    network.train()
    return inference, peaks(train, nbytes(inputs))


def rows(network: Network) -> Iterator[Row | str]:
    """A network's rows, or why there is none."""
    label = " ".join([network.name, network.variant or ""]).strip()
    input = trial_input(network) if network.graph.free else None
    for dtype in DTYPES:
        for batch in BATCHES:
            where = f"{label}, batch {batch}, {dtype}"
            try:
                flow = network.flow(input, batch)
                memory = Memory(flow, dtype, device="cuda")
                inference, training = memory.inference().peak, memory.training().peak
                free, _ = torch.cuda.mem_get_info()
                weights = network.summary(input, batch, dtype).totals.weights_bytes
                if weights + training > SHARE * free:
                    yield f"{where}: does not fit"
                    continue
                (asked, given), (asked_training, given_training) = measured(flow, dtype)
            except (ConvcalcError, RuntimeError, ValueError) as error:
                yield f"{where}: {error}"
                continue
            yield Row(
                network.name,
                network.variant or "",
                batch,
                dtype,
                inference,
                asked,
                given,
                training,
                asked_training,
                given_training,
            )
            gc.collect()
            torch.cuda.empty_cache()


def main(names: Sequence[str]) -> int:
    """Write the table; returns the exit code."""
    if not torch.cuda.is_available():
        print("no CUDA device: nothing is measured, and no table is written")
        return 0
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {described()}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        for name in names or zoo.names():
            for network in networks(read(name), None, {}):
                for row in rows(network):
                    if isinstance(row, str):
                        print(row)
                        continue
                    table.writerow(row)
                    file.flush()
                    off = row.measured_training - row.computed_training
                    print(*row[:4], f"training peak {row.computed_training:,}, off by {off:,}")
    print(f"written to {TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
