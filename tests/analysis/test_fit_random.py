"""Random networks with open sizes: every answer of `fit` against trying sizes one by one.

    CONVCALC_RANDOM_FITS=3000 python -m pytest tests/analysis/test_fit_random.py -s

tells how many were compared. Chains are compared with isl as well.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from random import Random

import pytest

from convcalc.analysis.fit import Fit, fit
from convcalc.analysis.inverse import inverse, kept
from convcalc.errors import DesignError
from convcalc.graph import Graph, GraphBuilder, flow
from convcalc.integers import Formula, evaluate, symbol, symbols
from convcalc.ops import REGISTRY
from tests.analysis.brute import Oracle
from tests.random_networks import random_network

NETWORKS = int(os.environ.get("CONVCALC_RANDOM_FITS", "0"))
THOROUGH = NETWORKS > 0
NETWORKS = NETWORKS or 100
CHAINS = 200 if THOROUGH else 40
REACH = 600
#: So many sizes are tried, of all axes but one, and of squares.
NEAR_REACH = REACH if THOROUGH else 100

LETTERS = {1: "L", 2: "HW", 3: "DHW"}


def opened(graph: Graph) -> Fit | None:
    """The network with its input's sizes open; None where it accepts none."""
    (entries,) = graph.inputs.values()
    letters = LETTERS[len(entries) - 1]
    shape = (entries[0], *(symbol(letter) for letter in letters))
    try:
        return fit(flow(graph, {"input": shape}, batch=symbol("N")))
    except DesignError:  # a condition on channels alone fails, whatever the sizes
        return None


def compare_axis(
    found: Fit, oracle: Oracle, position: int, reach: int, counts: Counter[str]
) -> None:
    axis = found.axes[position]
    rest = [other.fitting.smallest or other.smallest for other in found.axes]
    if any(size is None for at, size in enumerate(rest) if at != position):
        counts["axes that nothing suits beside"] += 1
        return
    for answer in (axis.valid, axis.exact, axis.complete):
        counts[f"answers {answer.answer.value}"] += 1
    if axis.valid.undecided:
        return
    if any(other.valid.undecided for other in found.axes):
        # What stands for them may be refused, whatever this axis is.
        counts["axes beside undecided ones"] += 1
        return
    for size in range(1, reach + 1):
        tried = oracle.try_sizes(*rest[:position], size, *rest[position + 1 :])
        assert (size in axis.valid) == tried.valid, (axis, size)
        refusal = axis.refusal(size)
        if not found.implied:  # else a layer that asks of two sizes at once may come before it
            assert (refusal and refusal.path) == tried.refused, (axis, size)
        counts["sizes"] += 1
        if not tried.valid:
            continue
        if oracle.blind:
            counts["sizes that only validity was compared at"] += 1
            continue
        if not axis.exact.undecided:
            assert (size in axis.exact) == tried.exact[position], (axis, size)
        else:  # that others do not fit is proved all the same
            assert size in axis.exact or not tried.exact[position]
        if not axis.complete.undecided:
            assert (size in axis.complete) == tried.complete[position], (axis, size)
        counts["valid sizes"] += 1
    check_shape_of(axis.exact.solutions)


def check_shape_of(solutions) -> None:
    """The congruence says the same as the set."""
    modulus, residues = solutions.classes
    for size in range(solutions.settled, solutions.settled + 2 * modulus):
        assert (size in solutions) == (size % modulus in residues)


def compare_square(found: Fit, oracle: Oracle, counts: Counter[str]) -> None:
    square = found.square
    if square is None or len(square.names) < len(found.axes) or square.valid.undecided:
        return
    for size in range(1, NEAR_REACH + 1):
        tried = oracle.try_sizes(*[size] * len(found.axes))
        assert (size in square.valid) == tried.valid, (square, size)
        if tried.valid and not oracle.blind and not square.exact.undecided:
            assert (size in square.exact) == all(tried.exact), (square, size)
        counts["square sizes"] += 1


def compare_inverse(found: Fit, oracle: Oracle, random: Random, counts: Counter[str]) -> None:
    """Which sizes give the last map a wanted size, one axis at a time."""
    if found.features is None or any(axis.fitting.smallest is None for axis in found.axes):
        return
    if any(axis.valid.undecided for axis in found.axes):
        return
    shape = found.flow.shapes[found.features.index]
    for position, size in enumerate(shape[2:]):
        if not isinstance(size, Formula) or len(symbols(size)) > 1:
            continue
        (name,) = symbols(size)
        wanted = [None] * (len(shape) - 2)
        wanted[position] = random.choice((1, 2, 3, 5, 8))
        sizes = inverse(found, wanted).sizes[name]
        if sizes.undecided:
            continue
        rest = {axis.names[0]: axis.fitting.smallest for axis in found.axes}
        for x in range(1, NEAR_REACH + 1):
            tried = oracle.try_sizes(*{**rest, name: x}.values())
            made = tried.shapes[found.features.index][position + 2] if tried.valid else None
            assert (x in sizes) == (made == wanted[position]), (size, wanted, x)
        counts["inverses"] += 1


def compare_kept(found: Fit, oracle: Oracle, random: Random, counts: Counter[str]) -> None:
    """Boxes of sizes that keep the weights: all pairs of small sizes, for two axes."""
    if len(found.axes) != 2 or any(axis.valid.undecided for axis in found.axes):
        return
    held = kept(found)
    if held is None or held.boxes is None:
        return
    wanted = [(pinned.size, pinned.value) for pinned in held.pinned]
    for _ in range(200):
        point = {axis.names[0]: random.randint(1, 40) for axis in found.axes}
        if not oracle.try_sizes(*point.values()).valid:
            continue
        same = all(evaluate(size, point) == value for size, value in wanted)
        inside = any(all(point[n] in box[n] for n in point) for box in held.boxes)
        assert inside == same, (point, held)
        counts["points of weights"] += 1


def test_random_networks_against_brute_force(capsys):
    counts: Counter[str] = Counter()
    for seed in range(NETWORKS):
        random = Random(f"fit {seed}")
        graph = random_network(random).graph
        found = opened(graph)
        if found is None:
            counts["networks that accept no size"] += 1
            continue
        if any(not n.aux and any(graph.nodes[i].aux for i in n.inputs) for n in graph.nodes):
            # A layer that leads nowhere reads what only training has: the oracle has no size there.
            counts["dead ends beside aux outputs"] += 1
            continue
        counts["networks"] += 1
        oracle = Oracle(graph)
        for position in range(len(found.axes)):
            far = THOROUGH or position == seed % len(found.axes)
            compare_axis(found, oracle, position, REACH if far else NEAR_REACH, counts)
        compare_square(found, oracle, counts)
        compare_inverse(found, oracle, random, counts)
        compare_kept(found, oracle, random, counts)
    if THOROUGH:
        with capsys.disabled():
            sys.stdout.write(f"\n{dict(counts)}\n")
    assert counts["networks"] > NETWORKS * 0.6
    assert counts["answers unknown"] < counts["answers proved"] / 20


# ---------------------------------------------------------------------------- isl


def chain(random: Random) -> tuple[Graph, list[tuple[int, int, int]]]:
    """Convolutions and pools one after another; and (reach, stride, padding) of each."""
    builder = GraphBuilder("chain")
    value = builder.input("input", (2, 64))
    layers = []
    for _ in range(random.randint(1, 5)):
        kernel, stride = random.randint(1, 5), random.randint(1, 4)
        padding, dilation = random.randint(0, kernel // 2), random.choice((1, 1, 2))
        name = random.choice(("Conv1d", "MaxPool1d"))
        options = {"padding": padding, "dilation": dilation}
        if name == "Conv1d":
            op = REGISTRY[name](2, kernel, stride, **options)
        else:
            op = REGISTRY[name](kernel, stride, **options)
        value = builder.add(op, value)
        layers.append((dilation * (kernel - 1) + 1, stride, padding))
    return builder.finish({"output": value}), layers


def test_chains_agree_with_isl():
    isl = pytest.importorskip("islpy")
    random = Random("isl chains")
    for _ in range(CHAINS):
        graph, layers = chain(random)
        axis = opened(graph).axis("L")
        # isl is told sizes as existentially quantified ints, and nothing of floors or formulas
        names = [f"x{index}" for index in range(len(layers) + 1)]
        valid, exact = [], []
        for (reach, stride, padding), x, y in zip(layers, names, names[1:], strict=False):
            rest = f"({x} + {2 * padding - reach})"
            valid += [f"{rest} >= 0", f"{stride}*({y} - 1) <= {rest} < {stride}*{y}"]
            exact += [f"{rest} >= 0", f"{stride}*({y} - 1) = {rest}"]
        for conditions, sizes in ((valid, axis.valid), (exact, axis.fitting)):
            hidden = f"exists {', '.join(names[1:])}: " if len(names) > 1 else ""
            wanted = isl.Set(f"{{ [x0] : {hidden}x0 >= 1 and {' and '.join(conditions)} }}")
            assert wanted.is_equal(as_isl(isl, sizes.solutions)), (layers, sizes)


def as_isl(isl, solutions):
    """The set that `fit` tells, in isl's language."""
    modulus, residues = solutions.classes
    parts = [f"x0 mod {modulus} = {r} and x0 >= {solutions.settled}" for r in residues]
    parts += [f"{first} <= x0 <= {last}" for first, last in solutions.up_to(solutions.settled - 1)]
    return isl.Set("{ [x0] : " + " or ".join(f"({part})" for part in parts or ["false"]) + " }")
