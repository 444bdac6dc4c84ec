"""Random networks: what is kept, both peaks and the gradients, computed beside measured.

    CONVCALC_RANDOM_MEMORY=5000 python -m pytest -s tests/pytorch/test_memory_random.py

runs that many more, from seeds, in a mode that turns: all trains, half of the layers is frozen.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from random import Random
from typing import Any

import pytest

from convcalc.analysis.memory import Memory
from convcalc.errors import DesignError
from convcalc.graph import Flow, flow
from tests.random_networks import RandomNetwork, random_network

from .memory import computed, differing, measured

MANY = int(os.environ.get("CONVCALC_RANDOM_MEMORY", "0"))


def sizes_of(network: RandomNetwork) -> Flow | str:
    """The network's sizes; or why its memory is not compared."""
    try:
        sizes = flow(network.graph, batch=network.batch)
    except DesignError:
        return "refused"
    if not sizes.graph.layers:
        return "without layers"
    if any(node.op is not None and node.op.uncertain for node in sizes.graph.layers):
        return "uncertain"
    return sizes


def disagreement(sizes: Flow, seed: int, *, freeze: bool) -> dict[str, Any]:
    """What differs; half of the layers, drawn by the seed, is frozen where asked for.

    Where PyTorch cannot train it is asked whether it refuses.
    """
    draw = Random(seed + 1_000_000)
    frozen = [node.index for node in sizes.graph.layers if freeze and draw.random() < 0.5]
    refused = Memory(sizes, frozen=frozen).untrainable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of odd arguments, as it should
        try:
            theirs = measured(sizes, frozen=frozen)
        except (RuntimeError, ValueError) as error:
            return {} if refused is not None else {"trains": (True, str(error))}
        if refused is not None:
            return {"trains": (refused, True)}
        return differing(computed(sizes, frozen=frozen), theirs)


def sweep(seeds: range, least: int) -> tuple[Counter[str], list[str]]:
    """Compare networks from seeds until so many were: how many of each kind, what differs."""
    kinds: Counter[str] = Counter()
    found = []
    for seed in seeds:
        network = random_network(Random(seed))
        sizes = sizes_of(network)
        if isinstance(sizes, str):
            kinds[sizes] += 1
            continue
        for freeze in (False, True):
            figures = disagreement(sizes, seed, freeze=freeze)
            if figures:
                found.append(f"seed {seed}, {freeze=}: {figures}\n{network}")
        if Memory(sizes).untrainable is not None:
            kinds["cannot train"] += 1
            continue
        kinds["compared"] += 1
        if kinds["compared"] == least:
            break
    return kinds, found


def test_random_networks() -> None:
    kinds, found = sweep(range(100_000, 101_000), 100)
    assert found == []
    assert kinds["compared"] == 100


@pytest.mark.skipif(not MANY, reason="set CONVCALC_RANDOM_MEMORY to a number")
def test_many_random_networks() -> None:
    kinds, found = sweep(range(100 * MANY), MANY)
    print(f"\n{dict(kinds)}, each with and without frozen layers; {len(found)} differ")  # noqa: T201  # the run is made for this
    assert not found, "\n".join(found[:50])


def test_a_network_that_is_measured_otherwise_is_seen() -> None:
    """Frozen here and not there: a disagreement about gradients and what is kept."""
    sizes = sizes_of(random_network(Random(3)))
    assert isinstance(sizes, Flow)
    everything = [node.index for node in sizes.graph.layers]
    found = differing(computed(sizes, frozen=everything), measured(sizes))
    assert "gradients" in found
