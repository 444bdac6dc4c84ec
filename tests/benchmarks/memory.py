"""How long memory analysis takes beside the rest of `summary`: sums, both peaks, with the timeline.

    python -m tests.benchmarks.memory

Reach: `summary`, from the text of a design to its table, takes at most twice as long with memory as
without; a chain is linear in its length. Beside load + summary alone, which make no table, stands
the last but one column: attention, one layer to the summary, is some thirty kernels in memory.
"""

from __future__ import annotations

import convcalc
from convcalc.analysis.memory import Memory
from convcalc.analysis.summary import Summary
from convcalc.graph import Flow
from convcalc.report.table import render
from tests.benchmarks.inprocess import CHAIN, NETWORKS
from tests.benchmarks.timing import ROOT, calls_ms, machine, table

#: Other deep networks, with what the first four have not: branches, attention, channels last.
MORE = [
    ("efficientnetv2", "l"),
    ("hrnet", None),
    ("inception_resnet_v2", None),
    ("regnet", "y_128gf"),
    ("convnext", "large"),
    ("vit_b16", None),
    ("maxvit_t", None),
    ("swin", "base"),
]


def analyse(flow: Flow) -> None:
    """Everything that is told of a network's memory, anew."""
    memory = Memory(flow)
    assert memory.saved
    assert memory.allocated
    memory.inference()
    memory.training("adam")


def measure(name: str, text: str, variant: str | None) -> list[str]:
    """One row: load + summary, the table too, memory, the ratios, what one layer takes."""
    flow = convcalc.load(text, variant=variant).flow()
    layers = len(flow.graph.layers)

    def summarise() -> Summary:
        return convcalc.load(text, variant=variant).summary()

    summary, told, memory = calls_ms(
        [summarise, lambda: render(summarise(), width=100), lambda: analyse(flow)]
    )
    return [
        name,
        f"{layers:,}",
        f"{summary:.2f}",
        f"{told:.2f}",
        f"{memory:.2f}",
        f"{told / (told - memory):.2f}",
        f"{(summary + memory) / summary:.2f}",
        f"{memory / layers * 1000:.1f}",
    ]


def main() -> None:
    rows = [
        [
            "network",
            "layers",
            "load + summary ms",
            "with table and memory",
            "memory",
            "with ÷ without",
            "beside load + summary",
            "memory, µs a layer",
        ]
    ]
    for name, variant in [*[(name, variant) for name, variant, _ in NETWORKS], *MORE]:
        text = (ROOT / "architectures" / f"{name}.yaml").read_text()
        rows.append(measure(f"{name} {variant or ''}", text, variant))
    for count in (1_000, 10_000, 30_000):
        rows.append(measure("chain", CHAIN.format(count=count), None))
    print(machine())
    print(table(rows))


if __name__ == "__main__":
    main()
