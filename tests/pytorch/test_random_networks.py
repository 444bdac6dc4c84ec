"""Random networks: convcalc and PyTorch agree on every figure, or refuse alike.

    CONVCALC_RANDOM_NETWORKS=10000 python -m pytest -s tests/pytorch/test_random_networks.py

runs that many more, from seeds, and prints what came of them.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from convcalc.errors import ConvcalcError
from convcalc.graph import flow
from convcalc.ops import REGISTRY
from convcalc.ops.base import Op
from tests.graphs import chain, layer
from tests.pytorch.agreement import disagreements, on_purpose, taken_by_torch
from tests.random_networks import RandomNetwork, networks, random_network

MANY = int(os.environ.get("CONVCALC_RANDOM_NETWORKS", "0"))


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(networks())
def test_a_random_network_is_the_same_in_pytorch(network: RandomNetwork) -> None:
    assert disagreements(network) == []


@pytest.mark.skipif(not MANY, reason="set CONVCALC_RANDOM_NETWORKS to a number")
def test_many_random_networks() -> None:
    kinds: Counter[str] = Counter()
    purposes: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    found = []
    for seed in range(MANY):
        network = random_network(Random(seed))
        kinds[network.refused.stage if network.refused else "valid"] += 1
        if network.refused and taken_by_torch(network.refused):
            purposes[on_purpose(network.refused) or "by mistake"] += 1
        layers.update(layer.name for layer in network.layers)
        found += [f"seed {seed}: {text}" for text in disagreements(network)]
    report = [f"{MANY} networks of {sum(layers.values())} layers, {len(found)} disagreements"]
    for kind, count in kinds.most_common():
        share = f"{count} ({count / MANY:.1%})"
        report.append(f"  {kind}: {share}" if kind == "valid" else f"  refused for {kind}: {share}")
    report.append(f"  of these refused by convcalc alone, on purpose: {sum(purposes.values())}")
    report += [f"    {purpose}: {count}" for purpose, count in purposes.most_common()]
    report.append(f"  layers never drawn: {sorted(set(REGISTRY) - set(layers)) or 'none'}")
    print("\n" + "\n".join(report))  # noqa: T201  # the run is made for this
    assert not found, "\n".join(found[:50])


# ---------------------------------------------------------------- the generator, and that it sees


def test_the_same_seed_gives_the_same_network() -> None:
    assert repr(random_network(Random(5))) == repr(random_network(Random(5)))


def test_most_kinds_of_networks_are_drawn() -> None:
    drawn = [random_network(Random(seed)) for seed in range(400)]
    valid = sum(network.refused is None for network in drawn)
    assert 100 < valid < 300
    layers = {layer.name for network in drawn for layer in network.layers}
    assert len(layers) > 0.6 * len(REGISTRY)
    assert {"Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "MultiheadAttention"} <= layers
    assert {len(shape) for network in drawn for shape in network.shapes} >= {2, 3, 4, 5}
    assert any(network.graph.aux for network in drawn)


WRONG = {
    # facet, and what it says instead of the truth
    ("Conv2d", "output"): lambda out, *_: (*out[:3], out[3] + 1),
    ("Conv2d", "macs"): lambda macs, *_: macs + 1,
    ("ConvTranspose1d", "weights"): lambda tensors, *_: tensors[:1],
    ("MaxPool2d", "conditions"): lambda conditions, *_: [],
    ("Add", "conditions"): lambda conditions, *_: conditions[:1],
    ("Split", "conditions"): lambda conditions, *_: [],
    ("BatchNorm2d", "buffers"): lambda tensors, *_: tensors[1:],
}


@pytest.mark.parametrize(("op", "facet"), WRONG, ids=lambda value: value)
def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch, op: str, facet: str) -> None:
    true = getattr(REGISTRY[op], facet)

    def wrong(self: Op, *shapes: object) -> object:
        return WRONG[op, facet](true(self, *shapes))

    monkeypatch.setattr(REGISTRY[op], facet, wrong)
    for seed in range(600):
        try:
            if any(op in text for text in disagreements(random_network(Random(seed)))):
                return
        except Exception:  # a rule so wrong that the network cannot even be drawn
            return
    pytest.fail(f"600 random networks do not show that {op}.{facet} is wrong")


# ---------------------------------------------------------------- found by random networks


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("BatchNorm1d", {"track_running_stats": False}, (1, 3)),
        ("BatchNorm2d", {"track_running_stats": False}, (1, 3, 1, 1)),
        ("BatchNorm2d", {"eps": 0, "track_running_stats": False}, (2, 3, 4, 4)),
        ("MaxPool1d", {"kernel_size": 3, "padding": 2, "dilation": 3}, (1, 3, 20)),
        ("MaxPool2d", {"kernel_size": 3, "padding": 2, "dilation": 3}, (1, 3, 20, 20)),
        ("AvgPool3d", {"kernel_size": 5, "padding": 1}, (1, 3, 7, 8, 4)),
        ("LPPool3d", {"norm_type": 2, "kernel_size": 3, "ceil_mode": True}, (1, 3, 7, 8, 2)),
    ],
)
def test_refused_here_and_there(
    name: str, arguments: dict[str, object], shape: tuple[int, ...]
) -> None:
    module_of = getattr(torch.nn, name)
    module = (module_of(shape[1], **arguments) if "Norm" in name else module_of(**arguments)).eval()
    with pytest.raises((ValueError, RuntimeError)):
        module(torch.zeros(shape))
    with pytest.raises(ConvcalcError):
        flow(chain(layer(name, **arguments), shape=shape[1:]), batch=shape[0])
