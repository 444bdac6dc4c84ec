"""Dropout: in training by its statistics, in evaluation nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from convcalc.errors import LayerError
from convcalc.ops import REGISTRY
from convcalc.pytorch.namespace import NN


def built(name: str, shape: tuple[int, ...], *args: Any, **named: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY[name](*args, **named).build(NN, shape)


def test_a_branch_is_dropped_by_sample() -> None:
    x = torch.ones(2000, 2, 3, 3)
    out = built("StochasticDepth", x.shape, 0.25)(x)
    kept = out[:, 0, 0, 0]
    assert torch.equal(out, kept[:, None, None, None].expand_as(out))  # whole samples
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 1 / 0.75]))
    assert abs((kept == 0).float().mean() - 0.25) < 0.03


def test_a_branch_is_dropped_by_batch() -> None:
    x = torch.ones(8, 2)
    module = built("StochasticDepth", x.shape, 0.5, mode="batch")
    runs = [module(x).unique().tolist() for _ in range(200)]
    assert sorted(map(tuple, runs)) == [(0,)] * runs.count([0]) + [(2,)] * runs.count([2])
    assert 60 < runs.count([0]) < 140


def test_evaluation_drops_nothing() -> None:
    x = torch.rand(4, 3)
    for p in (0, 0.5, 1):
        assert torch.equal(built("StochasticDepth", x.shape, p).eval()(x), x)
    assert torch.equal(built("StochasticDepth", x.shape, 0)(x), x)
    assert built("StochasticDepth", x.shape, 1)(x).count_nonzero() == 0


@pytest.mark.parametrize(("name", "p"), [("Dropout", 1.5), ("Dropout2d", -1), ("AlphaDropout", 2)])
def test_a_probability_lies_between_0_and_1(name: str, p: float) -> None:
    with pytest.raises(LayerError, match="p must be a number from 0 to 1, not"):
        REGISTRY[name](p)


def test_a_residual_branch_needs_its_probability() -> None:
    with pytest.raises(LayerError) as raised:
        REGISTRY["StochasticDepth"]()
    assert raised.value.message == "StochasticDepth needs p"
    assert raised.value.help == "write StochasticDepth(p, mode=row)"
