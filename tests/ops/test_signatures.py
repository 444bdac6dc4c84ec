"""Every op that torch.nn has too takes torch.nn's arguments: names, order and defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from convcalc.ops import REGISTRY
from convcalc.ops.base import Op

#: Of the tensor, not of the layer.
ANYWHERE = {"device", "dtype"}
#: Arguments of torch.nn that are left out, and why.
LEFT_OUT = {
    "Hardtanh": {"min_value": "old names of min_val and max_val", "max_value": "the same"},
    "MultiheadAttention": {
        "add_bias_kv": "tokens more, in keys and values alone",
        "add_zero_attn": "the same",
        "kdim": "keys, values and queries are one value here",
        "vdim": "the same",
        "batch_first": "the batch always comes first",
    },
    "Upsample": {"recompute_scale_factor": "it changes no size"},
    **{
        f"ConvTranspose{n}d": {"padding_mode": "PyTorch takes zeros, the default, alone"}
        for n in (1, 2, 3)
    },
}
#: Arguments that torch.nn does not have, and why.
ADDED = {
    "MaxUnpool2d": {"like": "in PyTorch the indices flow in"},
    "Upsample": {"like": "in PyTorch one writes x.shape[2:] as the size"},
}
#: Other defaults: (op, argument) → (torch.nn's, ours, why).
OTHER_DEFAULTS: dict[tuple[str, str], tuple[Any, Any, str]] = {
    **{
        (name, "dim"): (None, 1, "PyTorch's None is deprecated, and means 1 but for N×C×L")
        for name in ("Softmax", "LogSoftmax", "Softmin")
    },
    ("Upsample", "align_corners"): (None, False, "None means False, and no warning"),
}
SHARED = sorted(name for name in REGISTRY if hasattr(torch.nn, name))


def theirs(name: str) -> dict[str, Any]:
    """torch.nn's arguments, by order, with their defaults; those without one have `empty`."""
    parameters = inspect.signature(getattr(torch.nn, name).__init__).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in {"self", *ANYWHERE}
    }


def ours(op: type[Op]) -> dict[str, Any]:
    """The op's, with the one that is inferred where torch.nn has it."""
    found = [(a.name, inspect.Parameter.empty if a.required else a.default) for a in op.arguments]
    if op.inferred:
        found.insert(op.inferred_at, (op.inferred, inspect.Parameter.empty))
    return dict(found)


def differences(name: str) -> list[str]:
    """What differs and is not among the exceptions, and exceptions that are none."""
    torchs, own = theirs(name), ours(REGISTRY[name])
    found = []
    left, added = LEFT_OUT.get(name, {}), ADDED.get(name, {})
    found += [f"{a} is missing" for a in torchs if a not in own and a not in left]
    found += [f"{a} is not in torch.nn" for a in own if a not in torchs and a not in added]
    found += [f"{a} is no exception" for a in left if a in own or a not in torchs]
    found += [f"{a} is no exception" for a in added if a not in own or a in torchs]
    shared = [a for a in own if a in torchs]
    if shared != [a for a in torchs if a in own]:
        found.append(f"another order: {shared}")
    for argument in shared:
        pair = (torchs[argument], own[argument])
        excepted = OTHER_DEFAULTS.get((name, argument), (None, None, ""))[:2]
        if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
            if pair != excepted:
                found.append(f"{argument}={pair[1]}, not {pair[0]}")
        elif excepted != (None, None):
            found.append(f"the default of {argument} is no exception")
    return found


def test_most_ops_are_of_torch() -> None:
    assert len(SHARED) > 80


@pytest.mark.parametrize("name", SHARED)
def test_the_arguments_are_torchs(name: str) -> None:
    assert differences(name) == []


def test_every_exception_is_of_an_op() -> None:
    names = {*LEFT_OUT, *ADDED, *(name for name, _ in OTHER_DEFAULTS)}
    assert names <= set(SHARED)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("Conv2d", lambda a: a[:-1], "padding_mode is missing"),
        ("Conv2d", lambda a: (a[0], a[2], a[1], *a[3:]), "another order"),
        ("MaxPool2d", lambda a: (*a, REGISTRY["CenterCrop"].arguments[0]), "like is not in"),
        ("Dropout", lambda a: REGISTRY["Dropout"].arguments[::-1], "another order"),
        ("Linear", lambda a: (a[0], REGISTRY["InstanceNorm1d"].arguments[2]), "bias is missing"),
    ],
)
def test_a_planted_difference_is_seen(
    name: str, change: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REGISTRY[name], "arguments", change(REGISTRY[name].arguments))
    assert any(told in difference for difference in differences(name))


def test_a_planted_default_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    stride = next(a for a in REGISTRY["Conv2d"].arguments if a.name == "stride")
    monkeypatch.setattr(stride, "default", 2)
    assert differences("Conv2d") == ["stride=2, not 1"]
