"""Folding hides nothing: what is folded unfolds to every layer, and sums stay what they are."""

from __future__ import annotations

import pytest

import convcalc
from convcalc.analysis.summary import Summary
from convcalc.report import table, tree
from convcalc.report.tree import Entry

NETWORKS = ["vgg16", "resnet", "googlenet", "densenet121", "unet", "swin_t", "alphago", "regnet"]


def summary_of(layers: str, blocks: str = "  A(c): Conv2d(c, 3, padding=1) -> ReLU\n") -> Summary:
    text = f"convcalc: 1\nname: t\ninput: [8, 32, 32]\nblocks:\n{blocks}layers:\n{layers}"
    return convcalc.load(text).summary()


def unfolded(entry: Entry) -> list[tuple[object, ...]]:
    """What stands for each layer, copies included, in order."""
    if entry.layer is not None:
        layer = entry.layer
        return [(str(layer.op), layer.output, layer.params, layer.macs)] * entry.count
    return [leaf for child in entry.children for leaf in unfolded(child)] * entry.count


@pytest.mark.parametrize("name", NETWORKS)
def test_unfolding_gives_every_layer_in_order(name: str) -> None:
    summary = convcalc.load(name).summary()
    layers = [(str(x.op), x.output, x.params, x.macs) for x in summary.layers]
    assert unfolded(tree.build(summary)) == layers
    assert unfolded(tree.build(summary, fold=False)) == layers


@pytest.mark.parametrize("name", NETWORKS)
def test_figures_add_up_at_every_depth(name: str) -> None:
    """Groups count their layers, and what is shown at any depth adds up to the totals."""
    summary = convcalc.load(name).summary()
    root = tree.build(summary)
    todo = [root]
    while todo:
        entry = todo.pop()
        todo += entry.children
        for figure in ("params", "macs", "buffers", "output_bytes", "weights_bytes"):
            if entry.layer is None:
                parts = sum(child.figure(figure) for child in entry.children)
                assert entry.figure(figure) == parts * entry.count
            else:
                assert entry.figure(figure) == getattr(entry.layer, figure) * entry.count
    totals = summary.totals
    for depth in range(1, len(tree.depths(root)) + 1):
        copies = [1] * (depth + 2)
        params = leaves = 0
        for line in tree.lines(root.children, depth):
            if line.open:
                copies[line.depth + 1] = copies[line.depth] * line.entry.count
            else:
                params += copies[line.depth] * line.entry.figure("params")
                leaves += copies[line.depth] * line.entry.leaves()
        assert params == totals.params + totals.aux_params
        assert leaves == len(summary.layers)


def test_depths_count_the_lines() -> None:
    root = tree.build(convcalc.load("resnet").summary())
    counts = tree.depths(root)
    for depth, count in enumerate(counts, 1):
        assert len(list(tree.lines(root.children, depth))) == count


def labels(summary: Summary) -> list[str]:
    return [line.prefix + line.entry.text for line in tree.lines(tree.build(summary).children)]


def test_identical_neighbours_are_folded() -> None:
    assert labels(summary_of("- 3 * A(8)\n")) == [
        "3 × A(8)",
        "├─ Conv2d(8, 3, padding=1)",
        "└─ ReLU",
    ]


def test_other_shapes_are_not_folded() -> None:
    assert labels(summary_of("- 3 * A(16)\n")) == [
        "A(16)",  # 8 channels flow in
        "├─ Conv2d(16, 3, padding=1)",
        "└─ ReLU",
        "2 × A(16)",
        "├─ Conv2d(16, 3, padding=1)",
        "└─ ReLU",
    ]


def test_other_arguments_are_not_folded() -> None:
    layers = "- A(8) -> A(8) -> Dropout(0.1) -> Dropout(0.2) -> 2 * Dropout(0.3)\n"
    assert labels(summary_of(layers)) == [
        "2 × A(8)",
        "├─ Conv2d(8, 3, padding=1)",
        "└─ ReLU",
        "Dropout(p=0.1)",
        "Dropout(p=0.2)",
        "2 × Dropout(p=0.3)",
    ]


def test_an_unnamed_repeat_is_named_by_its_parts() -> None:
    assert labels(summary_of("- 2 * (Conv2d(8, 3, padding=1) -> ReLU)\n")) == [
        "2 × (Conv2d → ReLU)",
        "├─ Conv2d(8, 3, padding=1)",
        "└─ ReLU",
    ]
    assert labels(summary_of("- 3 * (Conv2d(9, 3, padding=1) -> ReLU)\n"))[:3] == [
        "Conv2d(9, 3, padding=1)",
        "ReLU",
        "2 × (Conv2d → ReLU)",
    ]


def test_of_many_parts_the_first_are_named() -> None:
    parts = ["ReLU", "Sigmoid", "Tanh", "ELU"]
    four = " → ".join(parts)
    assert labels(summary_of(f"- 2 * ({' -> '.join(parts)})\n"))[0] == f"2 × ({four})"
    five = f"- 2 * ({' -> '.join([*parts, 'GELU'])})\n"
    assert labels(summary_of(five))[0] == f"2 × ({four} → …)"


def test_branches_loops_and_parts_are_seen() -> None:
    layers = (
        "- for: [c, k]\n  in: [[8, 1], [16, 3]]\n"
        "  do:\n"
        "  - residual: Conv2d(c, k, padding=k // 2) -> ReLU\n"
        "    project: Conv2d(c, 1)\n"
        "- concat:\n  - Identity\n  - A(4)\n"
    )
    assert labels(summary_of(layers)) == [
        "c=8, k=1",
        "├─ body",
        "│  ├─ Conv2d(8, 1)",
        "│  └─ ReLU",
        "└─ Add",
        "c=16, k=3",
        "├─ body",
        "│  ├─ Conv2d(16, 3, padding=1)",
        "│  └─ ReLU",
        "├─ project: Conv2d(16, 1)",
        "└─ Add",
        "branch 1: Identity",
        "branch 2: A(4)",
        "├─ Conv2d(4, 3, padding=1)",
        "└─ ReLU",
        "Concat",
    ]


def test_a_fold_is_never_silent() -> None:
    summary = summary_of("- 3 * A(8)\n")
    folded = table.render(summary)
    assert "3 × A(8)" in folded
    assert "n × stands for n identical blocks" in folded
    assert "--all" in folded
    shown = table.render(summary, everything=True)
    assert "n ×" not in shown
    assert shown.count("Conv2d(8, 3, padding=1)") == 3
    shallow = table.render(summary, depth=1)
    assert "Depth 1 of 2; --depth 2 shows more" in shallow


def test_a_long_flat_network_is_shown_whole() -> None:
    summary = summary_of("- Conv2d(9, 1)\n- Conv2d(8, 1)\n" * 100)
    rows = [x for x in table.render(summary).splitlines() if x.startswith("Conv2d")]
    assert len(rows) == 200
