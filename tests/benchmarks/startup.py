"""How long `convcalc summary` takes as a process, beside what people would run instead.

    python -m tests.benchmarks.startup [--rounds 15]

Reach: the table at most 6 times a bare interpreter, JSON at most 5 times, and torchinfo on the same
network at least 20 times as long as the table.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.timing import installed, machine, process_ms, table

TORCHINFO = """
import torch, torch.nn as nn, torchinfo
layers, channels = [], 3
for n, c in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
    for _ in range(n):
        layers += [nn.Conv2d(channels, c, 3, padding=1), nn.ReLU()]
        channels = c
    layers.append(nn.MaxPool2d(2))
layers.append(nn.Flatten())
for i, o in [(25088, 4096), (4096, 4096)]:
    layers += [nn.Linear(i, o), nn.ReLU(), nn.Dropout()]
model = nn.Sequential(*layers, nn.Linear(4096, 1000))
torchinfo.summary(model, (1, 3, 224, 224))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    python = sys.executable
    summary = [python, "-m", "convcalc", "summary", "architectures/vgg16.yaml"]
    fast = {
        "bare interpreter": [python, "-c", "pass"],
        "convcalc summary, table": summary,
        "convcalc summary, JSON": [*summary, "--format", "json"],
    }
    slow = {}
    if installed("torch"):
        slow["import torch"] = [python, "-c", "import torch"]
    if installed("torchinfo"):
        slow["torchinfo.summary"] = [python, "-c", TORCHINFO]
    medians = dict(zip(fast, process_ms(list(fast.values()), rounds), strict=True))
    medians |= dict(zip(slow, process_ms(list(slow.values()), max(3, rounds // 3)), strict=True))
    bare, shown = medians["bare interpreter"], medians["convcalc summary, table"]
    rows = [["VGG-16, whole process", "median ms", "× interpreter", "× table"]]
    rows += [
        [name, f"{ms:.1f}", f"{ms / bare:.2f}", f"{ms / shown:.2f}"] for name, ms in medians.items()
    ]
    print(machine())
    print(table(rows))


if __name__ == "__main__":
    main()
