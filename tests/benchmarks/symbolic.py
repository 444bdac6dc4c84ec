"""Formulas in N, H and W: a summary beside torch's symbolic shapes and sympy; `fit` as a process.

    python -m tests.benchmarks.symbolic

Reach: a symbolic summary at least 100 times as fast as torch's FlopCounterMode on fake tensors
whose batch, height and width are symbols, and 20 times as fast as the same rules on sympy's
symbols; `fit` of any network of the zoo under half a second as a process.

All three start from the same built graph, or module of it, and must end in the same MACs. Each run
has symbols of its own: neither convcalc's nor sympy's memory of earlier results helps.
"""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import convcalc
from convcalc import zoo
from convcalc.analysis.summary import Summary
from convcalc.graph import flow
from convcalc.integers import evaluate, product, symbol, symbols
from convcalc.network import Network
from tests.benchmarks.timing import ROOT, installed, machine, table

# What makes a run ready, and the MACs of its result at POINT.
Prepared: TypeAlias = tuple[Callable[[], Callable[[], Any]], Callable[[Any], int]]

NETWORKS = [("vgg16", None), ("resnet", "resnet152"), ("densenet121", "densenet201")]
POINT = {"N": 2, "H": 224, "W": 224}
PATIENCE_MS = 5_000
ROUNDS = 9
REACH_TORCH, REACH_SYMPY, REACH_FIT = 100, 20, 0.5


def by_convcalc(network: Network) -> Prepared:
    """Every figure, condition and window of `convcalc.summary`, as formulas."""
    graph = network.graph

    def prepare() -> Callable[[], Any]:
        n, h, w = map(symbol, fresh())
        return lambda: Summary(flow(graph, {"input": (3, h, w)}, batch=n)).totals.macs

    return prepare, lambda macs: int(evaluate(macs, {s: POINT[s[0]] for s in symbols(macs)}))


def walked(network: Network, n: Any, h: Any, w: Any) -> Any:
    """What a summary computes, by the ops' own rules, layer by layer, as a program of sympy would
    be written: shapes, conditions, windows, parameters, buffers, MACs, bytes, and the totals."""
    graph = network.graph
    shapes: list[tuple[Any, ...]] = []
    params, buffers, macs, sizes = [], [], [], []
    for node in graph.nodes:
        op = node.op
        if op is None:
            shapes.append((n, graph.inputs[node.path][0], h, w))
            continue
        flowing = [shapes[index] for index in node.inputs]
        refused = [condition for condition in op.conditions(*flowing) if condition.holds() is False]
        assert not refused
        output = op.output(*flowing)
        op.windows(*flowing)
        params += [product(tensor.shape) for tensor in op.weights(*flowing)]
        buffers += [product(tensor.shape) for tensor in op.buffers(*flowing)]
        macs.append(op.macs(output, *flowing))
        sizes.append(product(output) * 4)
        shapes.append(output)
    sum(params)
    sum(buffers)
    sum(sizes)
    return sum(macs)


def by_sympy(network: Network) -> Prepared:
    """All of these rules on sympy's symbols."""
    import sympy

    def prepare() -> Callable[[], Any]:
        n, h, w = (sympy.Symbol(name, integer=True, positive=True) for name in fresh())
        return lambda: walked(network, n, h, w)

    return prepare, lambda macs: int(macs.subs({s: POINT[s.name[0]] for s in macs.free_symbols}))


def by_torch(network: Network) -> Prepared:
    """The flops that FlopCounterMode counts, on fake tensors of symbolic sizes.

    Only the forward pass is timed: module, parameters and input are fake before it begins.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import (
        DimDynamic,
        ShapeEnv,
        StatelessSymbolicContext,
    )
    from torch.utils.flop_counter import FlopCounterMode

    module = network.to_torch(initialise=False).eval()
    dynamic = [DimDynamic.DYNAMIC, DimDynamic.STATIC, DimDynamic.DYNAMIC, DimDynamic.DYNAMIC]
    given = torch.zeros(POINT["N"], 3, POINT["H"], POINT["W"])

    def prepare() -> Callable[[], Any]:
        mode = FakeTensorMode(shape_env=ShapeEnv())
        context: Any = StatelessSymbolicContext(dynamic_sizes=dynamic)
        value = mode.from_tensor(given, symbolic_context=context)
        tensors = {
            name: mode.from_tensor(tensor, static_shapes=True)
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }

        def run() -> Any:
            counter = FlopCounterMode(display=False)
            with torch.no_grad(), mode, counter:
                torch.func.functional_call(module, tensors, (value,))
            return counter.get_total_flops()

        return run

    return prepare, lambda flops: int(flops) // 2


_RUNS = itertools.count()


def fresh() -> list[str]:
    """N, H and W, with a number that no run had before."""
    run = next(_RUNS)
    return [f"{letter}{run}" for letter in "NHW"]


def timed(network: Network, ways: Sequence[Callable[[Network], Prepared]]) -> list[float]:
    """Of each way the median of processor milliseconds of what is prepared anew each time.

    In turns, so that noise falls on all; nobody starts with what another left to the collector.
    The first run warms up, unless it takes seconds: then it is the only one.
    """
    macs = network.summary(batch=POINT["N"]).totals.macs
    prepared = [way(network) for way in ways]
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS + 1):
        for way, (prepare, value), found in zip(ways, prepared, times, strict=True):
            if found and found[0] > PATIENCE_MS:
                continue
            run = prepare()
            gc.collect()
            start = time.process_time()
            result = run()
            found.append((time.process_time() - start) * 1000)
            assert value(result) == macs, f"{way.__name__} counts {value(result)}, not {macs}"
    return [statistics.median(found[1:] or found) for found in times]


def beside(name: str, variant: str | None) -> list[str]:
    """One row: what the summary takes, and sympy and torch beside it."""
    network = convcalc.load(name, variant)
    others = {by_sympy: installed("sympy"), by_torch: installed("torch")}
    own, *found = timed(network, [by_convcalc, *[way for way, there in others.items() if there]])
    row = [variant or name, f"{len(network.graph.layers)}", f"{own:.2f}"]
    for there in others.values():
        other = found.pop(0) if there else None
        row += ["–", "–"] if other is None else [f"{other:.0f}", f"{other / own:.0f} ×"]
    return row


def cpu_and_wall(command: Sequence[str], rounds: int) -> tuple[float, float]:
    """Medians of the seconds of processor and of clock that a process takes."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    cpu, wall = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall.append(time.perf_counter() - start)
        cpu.append(usage.ru_utime + usage.ru_stime)
        assert os.waitstatus_to_exitcode(status) == 0, command
    return statistics.median(cpu), statistics.median(wall)


def fits() -> list[tuple[float, float, str]]:
    """(processor, clock, network) of `convcalc fit` on every network of the zoo, slowest first."""
    command = [sys.executable, "-m", "convcalc", "fit"]
    cpu_and_wall([*command, "vgg16"], 1)  # byte code is written
    return sorted(((*cpu_and_wall([*command, n], 5), n) for n in zoo.names()), reverse=True)


def main() -> None:
    print(machine())
    rows = [["processor ms", "layers", "summary", "sympy", "", "torch", ""]]
    rows += [beside(name, variant) for name, variant in NETWORKS]
    print(table(rows))
    print(f"reach: sympy {REACH_SYMPY} ×, torch {REACH_TORCH} ×")
    found = fits()
    print(
        f"\n{len(found)} networks, `convcalc fit` as a process; the slowest (reach {REACH_FIT} s):"
    )
    slowest = [[name, f"{cpu:.3f}", f"{wall:.3f}"] for cpu, wall, name in found[:6]]
    print(table([["network", "processor s", "clock s"], *slowest]))


if __name__ == "__main__":
    main()
