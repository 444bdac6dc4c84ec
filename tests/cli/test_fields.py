"""Receptive fields as `summary --format json` tells them, at the last convolution.

The figures are those of float64 gradients through torchvision's models; `check` measures each
layer.
"""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Runner


@pytest.mark.parametrize(
    ("words", "size", "jump", "everywhere"),
    [
        (["vgg16"], 196, 16, False),
        (["resnet", "--variant", "resnet50"], 427, 32, False),
        (["mobilenetv2"], 491, 32, False),
        (["densenet121", "--variant", "densenet121"], 2071, 32, False),
        (["efficientnet", "--variant", "b0"], 851, 32, True),
    ],
)
def test_the_last_convolution(
    words: list[str], size: int, jump: int, everywhere: bool, run: Runner
) -> None:
    found = run("summary", *words, "--format", "json")
    assert found.code == 0
    layers = [layer for layer in json.loads(found.out)["layers"] if layer["op"] == "Conv2d"]
    last = layers[-1]
    assert last["receptive_field"] == [size, size]
    assert last["jump"] == [jump, jump]
    assert last["global"] == [everywhere] * 2
