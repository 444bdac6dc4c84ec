"""Two designs compared: nothing is lost, figures add up, turned round it is the same, and fast."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convcalc
from convcalc import DesignError, zoo
from convcalc.analysis import diff as module
from convcalc.analysis.diff import FIGURES, Diff, Piece, align
from convcalc.integers import Formula, evaluate, expand, parse
from convcalc.network import Network, networks, read

THOROUGH = bool(os.environ.get("CONVCALC_THOROUGH"))
HEAD = "convcalc: 1\nname: d\ninput: [4, 32, 32]\n"


def design(*steps: str, head: str = HEAD) -> Network:
    return convcalc.load(head + "layers:\n" + "".join(f"- {step}\n" for step in steps))


def told(diff: Diff) -> list[str]:
    """`+ Conv2d(8, 3)`, `Conv2d(8, 3) > Conv2d(16, 3)`."""
    result = []
    for change in diff.changes:
        before, after = (side and str(side.op) for side in (change.before, change.after))
        if before is None:
            result.append(f"+ {after}")
        elif after is None:
            result.append(f"- {before}")
        else:
            result.append(f"{before} > {after}")
    return result


def adds_up(diff: Diff) -> None:
    """Every layer is told once or is the same; differences of layers add up to those of totals."""
    gone = [id(c.before) for c in diff.changes if c.before is not None]
    come = [id(c.after) for c in diff.changes if c.after is not None]
    assert len(set(gone)) == len(gone)
    assert len(set(come)) == len(come)
    assert diff.same == len(diff.before.layers) - len(gone) == len(diff.after.layers) - len(come)
    for figure in FIGURES:
        if figure == "output_bytes":  # of no total
            continue
        changes = (c for c in diff.changes if not any(s and s.aux for s in (c.before, c.after)))
        moved = 0
        for change in changes:
            moved = moved + change.difference(figure)
        if not diff.before.aux_outputs and not diff.after.aux_outputs:
            difference = moved - diff.difference(figure)
            assert isinstance(difference, int) or difference.constant == 0, figure


def turned(diff: Diff) -> Counter[tuple[object, ...]]:
    names = {"added": "removed", "removed": "added"}
    return Counter(
        (names.get(c.kind, c.kind), c.after and c.after.path, c.before and c.before.path)
        for c in diff.changes
    )


def plain(diff: Diff) -> Counter[tuple[object, ...]]:
    return Counter(
        (c.kind, c.before and c.before.path, c.after and c.after.path) for c in diff.changes
    )


# ---------------------------------------------------------------------------- what is told


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (["ReLU"], ["ReLU"], []),
        (["ReLU"], ["ReLU", "ReLU"], ["+ ReLU"]),
        (["ReLU", "Dropout", "Sigmoid"], ["ReLU", "Sigmoid"], ["- Dropout"]),
        (["ReLU", "Tanh"], ["SiLU", "Tanh"], ["ReLU > SiLU"]),
        # a change of channels shows wherever it shows
        (
            ["Conv2d(8, 3) -> ReLU", "Conv2d(8, 1)", "Tanh"],
            ["Conv2d(6, 3) -> ReLU", "Conv2d(8, 1)", "Tanh"],
            ["Conv2d(8, 3) > Conv2d(6, 3)", "ReLU > ReLU", "Conv2d(8, 1) > Conv2d(8, 1)"],
        ),
        # stages of other widths go together as they read their input
        (
            ["Conv2d(8, 3)", "Conv2d(16, 3, stride=2)", "Conv2d(16, 3)"],
            ["Conv2d(16, 3)", "Conv2d(32, 3, stride=2)", "Conv2d(32, 3)", "Conv2d(32, 3)"],
            [
                "Conv2d(8, 3) > Conv2d(16, 3)",
                "Conv2d(16, 3, stride=2) > Conv2d(32, 3, stride=2)",
                "Conv2d(16, 3) > Conv2d(32, 3)",
                "+ Conv2d(32, 3)",
            ],
        ),
        # one more at the front leaves the others as they are
        (["Tanh", "ELU", "Tanh", "ELU"], ["ELU", "Tanh", "ELU", "Tanh", "ELU"], ["+ ELU"]),
        # what replaces what: as many of both
        (["ReLU", "Flatten", "Linear(2)"], ["Flatten", "Linear(2)"], ["- ReLU"]),
        (
            ["MaxPool2d(2)", "Tanh", "Flatten"],
            ["AvgPool2d(2)", "Flatten"],
            ["- MaxPool2d(2)", "- Tanh", "+ AvgPool2d(2)"],
        ),
    ],
)
def test_changes(before: list[str], after: list[str], changes: list[str]) -> None:
    diff = convcalc.diff(design(*before), design(*after))
    assert told(diff) == changes
    assert diff.empty == (not changes)
    adds_up(diff)


def test_blocks_are_compared_inside() -> None:
    head = HEAD + "blocks:\n  B(c): Conv2d(c, 1) -> {norm}ReLU\n  A: {act}\n"
    plain_one = design("B(8)", "A", "B(8)", head=head.format(norm="", act="Tanh"))
    normed = design("B(8)", "A", "B(8)", head=head.format(norm="BatchNorm2d -> ", act="Tanh"))
    diff = convcalc.diff(plain_one, normed)
    assert told(diff) == ["+ BatchNorm2d", "+ BatchNorm2d"]
    assert [c.after.path for c in diff.changes] == ["B[0].BatchNorm2d", "B[1].BatchNorm2d"]
    # a block around one layer is that layer, and may grow
    assert (
        told(convcalc.diff(design("Tanh"), design("A", head=head.format(norm="", act="Tanh"))))
        == []
    )
    grown = design("A", head=head.format(norm="", act="Tanh -> Dropout"))
    assert told(convcalc.diff(design("A", head=head.format(norm="", act="Tanh")), grown)) == [
        "+ Dropout"
    ]


def test_repeats_and_loops_are_ways_of_writing() -> None:
    looped = design("2 * (Conv2d(4, 3, padding=1) -> ReLU)")
    flat = design(*["Conv2d(4, 3, padding=1)", "ReLU"] * 2)
    assert convcalc.diff(looped, flat).empty


def test_the_issue_s_example() -> None:
    before, after = (convcalc.load("resnet", v) for v in ("resnet50", "resnet101"))
    diff = convcalc.diff(before, after, symbolic=True)
    assert str(diff.difference("macs")) == "18939904*N*h4*w4"
    assert str(diff.definitions()["h4"]) == "(H + 15)//16"
    assert diff.difference("params") == 44_549_160 - 25_557_032
    assert {c.kind for c in diff.changes} == {"added"}
    assert len(diff.changes) == 17 * 10
    back = convcalc.diff(after, before, symbolic=True)
    assert str(back.difference("macs")) == "-18939904*N*h4*w4"
    adds_up(diff)


def test_sizes_share_their_names() -> None:
    """A size that both designs have bears one name, and one name is one size."""
    diff = convcalc.diff(convcalc.load("resnet"), convcalc.load("googlenet"), symbolic=True)
    definitions = diff.definitions()
    texts = [str(size) for size in definitions.values()]
    assert len(set(texts)) == len(texts)
    point = {"N": 2, "H": 231, "W": 199}
    values = point | {name: evaluate(size, point) for name, size in definitions.items()}
    wanted = [
        convcalc.load(name).summary((3, 231, 199), 2).totals.macs
        for name in ("resnet", "googlenet")
    ]
    before, after, difference = diff.total("macs")
    assert [evaluate(parse(str(size)), values) for size in (before, after)] == wanted
    assert evaluate(difference, point) == wanted[1] - wanted[0]
    adds_up(diff)


def test_open_vars_of_either() -> None:
    one, other = convcalc.load("mobilenetv1"), convcalc.load("unet")
    diff = convcalc.diff(one, other, input=(3, "H", "W"), symbolic=["alpha", "base"])
    assert {"alpha", "base"} <= set(map(str, _symbols(diff.difference("params"))))
    with pytest.raises(DesignError, match="no var 'nothing'"):
        convcalc.diff(one, other, symbolic=["nothing"])


def _symbols(size: object) -> list[str]:
    from convcalc.integers import symbols

    assert isinstance(size, Formula)
    return list(symbols(size))


def test_what_is_wrong_in_either_is_told() -> None:
    broken = HEAD + "layers:\n- Conv2d(8, 99)\n"
    with pytest.raises(DesignError) as one:
        convcalc.diff(design("ReLU"), convcalc.load(broken))
    with pytest.raises(DesignError) as both:
        convcalc.diff(convcalc.load(broken), convcalc.load(broken.replace("99", "77")))
    assert len(one.value.problems) == 1
    assert len(both.value.problems) == 2
    assert all(problem.place is not None for problem in both.value.problems)
    with pytest.raises(DesignError, match="bad"):
        convcalc.diff(HEAD + "layers: bad\n", "vgg16")


def test_aux_layers_are_told_apart() -> None:
    head = HEAD + "aux:\n  side: x -> Conv2d(2, 1)\n"
    main = design("x = Conv2d(3, 1)", "Tanh")
    beside = design("x = Conv2d(3, 1)", "Tanh", head=head)
    diff = convcalc.diff(main, beside)
    assert [(c.kind, c.after and c.after.aux) for c in diff.changes] == [("added", True)]
    assert diff.difference("macs") == 0
    assert not diff.empty


# ---------------------------------------------------------------------------- properties

STEPS = st.lists(
    st.sampled_from(
        ["ReLU", "Tanh", "Conv2d(4, 1)", "Conv2d(8, 1)", "B(4)", "B(6)", "2 * B(4)", "Dropout"]
    ),
    min_size=1,
    max_size=9,
)
BLOCKS = HEAD + "blocks:\n  B(c): Conv2d(c, 3, padding=1) -> C(c) -> ReLU\n  C(c): Conv2d(c, 1)\n"


@settings(max_examples=30, deadline=None)
@given(STEPS, STEPS)
def test_random_designs(one: list[str], other: list[str]) -> None:
    before, after = design(*one, head=BLOCKS), design(*other, head=BLOCKS)
    diff = convcalc.diff(before, after)
    adds_up(diff)
    assert plain(diff) == turned(convcalc.diff(after, before))
    assert convcalc.diff(before, before).empty
    symbolic = convcalc.diff(before, after, symbolic=True)
    adds_up(symbolic)
    assert len(symbolic.changes) == len(diff.changes)
    point = {"N": 1, "H": 32, "W": 32}
    for figure in ("params", "macs"):
        assert evaluate(symbolic.difference(figure), point) == diff.difference(figure)


PAIRS = [
    ("resnet:resnet18", "resnet:resnet152"),
    ("efficientnet:b0", "efficientnet:b3"),
    ("vgg:A", "vgg:E_bn"),
    ("alexnet", "zfnet"),
    ("googlenet", "inceptionv3"),
    ("unet", "unet_padded"),
    ("densenet121:densenet121", "densenet121:densenet201"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("symbolic", [False, True], ids=["numbers", "formulas"])
def test_the_zoo(one: str, other: str, symbolic: bool) -> None:
    before, after = (convcalc.load(*word.split(":")) for word in (one, other))
    diff = convcalc.diff(before, after, symbolic=symbolic)
    adds_up(diff)
    back = convcalc.diff(after, before, symbolic=symbolic)
    assert plain(diff) == turned(back)
    for figure in FIGURES:
        if figure in diff.totals:
            total = diff.difference(figure) + back.difference(figure)
            assert total == 0 or expand(total).constant == 0


def test_every_network_is_like_itself() -> None:
    for name in zoo.names() if THOROUGH else ("vgg16", "googlenet", "unet", "vit_b16", "c3d"):
        for network in networks(read(name)):
            assert convcalc.diff(network, network).empty, name


# ---------------------------------------------------------------------------- alignment


def pieces(text: Sequence[object]) -> list[Piece]:
    made = []
    for letter in text:
        piece = Piece(str(letter)[:1], str(letter))
        piece.structure = piece.check = hash(letter) & 0xFFFFFF
        made.append(piece)
    return made


@given(st.text("abcd", max_size=40), st.text("abcd", max_size=40))
def test_alignment_loses_nothing(one: str, other: str) -> None:
    left, right = pieces(one), pieces(other)
    pairs = align(left, right)
    assert [a for a, _ in pairs if a is not None] == left
    assert [b for _, b in pairs if b is not None] == right
    assert all(a is not None or b is not None for a, b in pairs)
    assert sorted(map(str, ((b, a) for a, b in pairs))) == sorted(map(str, align(right, left)))


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_the_longest_common_sequence(one: str, other: str) -> None:
    """Where nothing but equals go together, as many do as can (by brute force)."""
    pairs = align(pieces(one), pieces(other))
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            lengths[i + 1][j + 1] = max(
                lengths[i][j] + (a == b), lengths[i][j + 1], lengths[i + 1][j]
            )
    assert sum(bool(a and b and a.label == b.label) for a, b in pairs) == lengths[-1][-1]


@pytest.mark.parametrize("kind", ["random", "edited", "turned", "unequal", "distinct"])
def test_long_chains_take_linear_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 layers: counted in steps of the dynamic programming, not in seconds."""
    rng = random.Random(kind)
    one: list[object] = [rng.choice("abcdef") for _ in range(10_000)]
    other: list[object] = [rng.choice("abcdef") for _ in range(10_000)]
    if kind == "edited":
        other = [letter for index, letter in enumerate(one) if index % 97 != 5]
    elif kind == "turned":
        one = list(range(10_000))
        other = one[5_000:] + one[:5_000]
    elif kind == "unequal":
        other = one[:3]
    elif kind == "distinct":
        one, other = list(range(10_000)), list(range(20_000, 30_000))
    cells = 0
    best = module._best

    def counted(left: Sequence[Piece], right: Sequence[Piece]) -> list[module.Pair]:
        nonlocal cells
        cells += len(left) * len(right)
        return best(left, right)

    monkeypatch.setattr(module, "_best", counted)
    pairs = align(pieces(one), pieces(other))
    assert cells <= 300 * 10_000
    assert sum(a is not None for a, _ in pairs) == len(one)
    assert sum(b is not None for _, b in pairs) == len(other)
    if kind == "edited":
        assert sum(a is None or b is None for a, b in pairs) < 1000
    if kind == "turned":
        assert sum(bool(a and b) for a, b in pairs) >= 5_000


def test_a_lost_layer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above can fail: an alignment that drops a piece."""
    best = module._best
    monkeypatch.setattr(module, "_best", lambda one, other: best(one, other)[:-1])
    with pytest.raises(AssertionError):
        adds_up(convcalc.diff(design("Conv2d(4, 1)", "Tanh"), design("Conv2d(6, 1)", "ReLU")))
