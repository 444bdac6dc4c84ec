"""How long load + summary takes inside a process, and how much longer with formulas.

    python -m tests.benchmarks.inprocess

Reach: VGG-16 5 ms, ResNet-152 40, EfficientNet-B7 60, DenseNet-201 60; a chain linear in its
length; formulas at most 4 times ints.
"""

from __future__ import annotations

import convcalc
from tests.benchmarks.timing import ROOT, call_ms, machine, table

NETWORKS = [
    ("vgg16", None, 5),
    ("resnet", "resnet152", 40),
    ("efficientnet", "b7", 60),
    ("densenet121", "densenet201", 60),
]

CHAIN = """convcalc: 1
name: chain
input: [3, 64, 64]
blocks:
  Layer: Conv2d(16, 3, padding=1)
layers:
- {count} * Layer
"""


def measure(name: str, text: str, variant: str | None, reach: str) -> list[str]:
    """One row: ints, formulas, their ratio, what one layer takes."""
    layers = len(convcalc.load(text, variant=variant).graph.layers)
    ints = call_ms(lambda: convcalc.load(text, variant=variant).summary())
    formulas = call_ms(lambda: convcalc.load(text, variant=variant).summary(symbolic=True))
    return [
        name,
        f"{layers:,}",
        f"{ints:.2f}",
        reach,
        f"{formulas:.2f}",
        f"{formulas / ints:.2f}",
        f"{ints / layers * 1000:.1f}",
    ]


def main() -> None:
    rows = [["load + summary", "layers", "ints ms", "reach", "formulas ms", "ratio", "µs a layer"]]
    for name, variant, reach in NETWORKS:
        text = (ROOT / "architectures" / f"{name}.yaml").read_text()
        rows.append(measure(variant or name, text, variant, str(reach)))
    for count in (1_000, 10_000, 30_000):
        rows.append(measure("chain", CHAIN.format(count=count), None, "linear"))
    print(machine())
    print(table(rows))


if __name__ == "__main__":
    main()
