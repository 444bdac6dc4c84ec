"""Which sizes fit: the published answers, brute force over sizes one by one, planted faults."""

from __future__ import annotations

import pytest

import convcalc
from convcalc import Answer, Fit, zoo
from convcalc.analysis import fit as fitting
from convcalc.integers import UndecidedError
from tests.analysis import designs
from tests.analysis.brute import Oracle

REACH = 600


def against_brute_force(found: Fit, reach: int = REACH, names: tuple[str, ...] = ()) -> None:
    """Every answer about each axis, for sizes up to `reach`; the other axes at a size that fits."""
    oracle = Oracle(found.flow.graph)
    for position, axis in enumerate(found.axes):
        if names and axis.names[0] not in names:
            continue
        rest = [other.fitting.smallest or other.smallest or 1 for other in found.axes]
        for size in range(1, reach + 1):
            sizes = [*rest[:position], size, *rest[position + 1 :]]
            tried = oracle.try_sizes(*sizes)
            refusal = axis.refusal(size)
            assert (size in axis.valid) == tried.valid, (axis, size)
            assert (refusal and refusal.path) == tried.refused, (axis, size)
            if tried.valid:
                assert (size in axis.exact) == tried.exact[position], (axis, size)
                assert (size in axis.complete) == tried.complete[position], (axis, size)


# Design, variant, sizes that fit exactly (modulus, residues), the smallest size, the smallest
# that fits. SYMBOLIC's table, and the zoo's own.
KNOWN = [
    ("vgg16", None, (32, (0,)), 32, 32),
    ("alexnet", None, (32, (3,)), 67, 67),
    ("alexnet_torchvision", None, (32, (31,)), 63, 63),
    # torchvision's last pool is 2×2, the paper's 3×3 as the others are
    ("googlenet_torchvision", None, (32, (13,)), 15, 45),
    ("googlenet", None, (32, (29,)), 31, 61),
    ("resnet", "resnet50", (32, (1,)), 1, 1),
    ("densenet121", "densenet121", (32, (29,)), 29, 29),
    ("unet_padded", None, (16, (0,)), 16, 16),
    ("unet", None, (16, (12,)), 188, 188),
]


@pytest.mark.parametrize(
    ("name", "variant", "congruence", "smallest", "fits"), KNOWN, ids=[row[0] for row in KNOWN]
)
def test_known_answers(name, variant, congruence, smallest, fits):
    found = convcalc.fit(name, variant)
    for axis in (*found.axes, found.square):
        assert axis.exact.congruence == congruence
        assert axis.exact.answer is Answer.PROVED
        assert axis.smallest == smallest
        assert axis.fitting.smallest == fits
        assert axis.valid.answer is Answer.PROVED
    against_brute_force(found, names=("H",))


@pytest.mark.parametrize("name", zoo.names())
def test_the_zoo_against_brute_force(name):
    against_brute_force(convcalc.fit(name), reach=130)


@pytest.mark.parametrize(
    "text",
    [designs.CONFLICT, designs.TF_SAME, designs.ODD, designs.FIXED],
    ids=["conflict", "tf_same", "odd", "fixed"],
)
def test_hard_cases_against_brute_force(text):
    found = convcalc.fit(text)
    against_brute_force(found, reach=200)
    for axis in found.axes:
        for answer in (axis.valid, axis.exact, axis.complete):
            assert answer.answer is Answer.PROVED


def test_strides_that_exclude_one_another():
    axis = convcalc.fit(designs.CONFLICT).axis("H")
    assert [stride.path for stride in axis.conflict] == ["Conv2d[0]", "MaxPool2d"]
    assert [stride.sizes.classes for stride in axis.conflict] == [(2, (1,)), (2, (0,))]
    assert axis.exact.solutions.empty
    assert axis.fitting.smallest is None
    assert axis.agreeing == 1
    assert convcalc.fit("vgg16").axis("H").conflict == ()


def test_a_stride_behind_a_pool_to_a_fixed_size():
    axis = convcalc.fit(designs.FIXED).axis("H")
    assert [stride.path for stride in axis.conflict] == ["MaxPool2d"]


def test_joins():
    never = convcalc.fit(designs.NEVER_AGREE).axis("H")
    assert [join.verdict for join in never.joins] == ["never"]
    assert never.smallest is None
    assert never.limit is None
    padded = convcalc.fit("unet_padded").axis("W")
    assert [join.verdict for join in padded.joins] == ["sizes"] * 4
    # the deepest skip needs W//8 to be even, the highest W: together a multiple of 16
    assert padded.joins[0].sizes.classes == (16, tuple(range(8)))
    assert padded.joins[3].sizes.classes == (2, (0,))
    assert padded.valid.congruence == (16, (0,))
    assert padded.limit.path == "MaxPool2d[3]"
    assert convcalc.fit("resnet", "resnet18").axis("H").agreeing == 8


def test_why_no_smaller_size():
    limit = convcalc.fit("alexnet").axis("H").limit
    assert limit.path == "MaxPool2d[2]"
    assert limit.condition.kind == "at_least"
    assert convcalc.fit("resnet").axis("H").limit is None


def test_a_condition_on_two_sizes_at_once():
    """in_features=512 asks for 8·⌊H/4⌋·⌊W/4⌋ = 512: unknown for one axis, solved for a square."""
    found = convcalc.fit(designs.ASSERTED)
    assert found.axis("H").valid.answer is Answer.UNKNOWN
    assert found.square.valid.answer is Answer.PROVED
    assert found.square.valid.solutions.up_to(10**6) == [(32, 35)]
    oracle = Oracle(found.flow.graph)
    for size in range(1, 200):
        assert oracle.try_sizes(size, size).valid == (size in found.square.valid)


def test_one_size_with_the_others_given():
    """A condition on several sizes leaves, of one, those that trying each finds; budgets choose
    among them alone."""
    found = convcalc.fit(designs.TWO_SIZES)
    network = convcalc.load(designs.TWO_SIZES)
    assert [found.valid_at(axis, found.declared).smallest for axis in found.axes] == [
        23,
        31,
        12,
        16,
    ]
    budget = found.largest("macs", 10**6)
    memory = found.largest_in_memory(10**6)
    for position, axis in enumerate(found.axes):
        valid = found.valid_at(axis, found.declared)
        assert valid.answer is Answer.PROVED
        for size in range(1, 50):
            sizes = list(found.declared.values())
            sizes[position] = size
            try:
                network.flow({"color": (3, *sizes[:2]), "depth": (1, *sizes[2:])})
            except convcalc.DesignError:
                assert size not in valid
            else:
                assert size in valid
        for figure in (budget, memory):
            (largest,) = (f for f in figure if f.of == axis.names)
            assert largest.size == valid.solutions.largest()
            assert largest.answer is Answer.PROVED


def test_the_training_only_outputs():
    assert convcalc.fit("googlenet", aux=True).axis("H").smallest > 31
    assert convcalc.fit("googlenet", aux=True).axis("H").smallest == next(
        size
        for size in range(1, 600)
        if Oracle(convcalc.load("googlenet").graph, aux=True).try_sizes(size, 224).valid
    )


def test_sizes_that_are_given_are_not_asked_about():
    found = convcalc.fit("resnet", input=(3, "H", 224))
    assert [axis.names for axis in found.axes] == [("H",)]
    assert found.square is None
    one = convcalc.fit("resnet", input=(3, "S", "S"))
    assert [axis.names for axis in one.axes] == [("S",)]
    assert one.axis("S").exact.congruence == (32, (1,))
    assert one.declared == {}


def test_axes_of_other_ranks():
    assert [axis.names for axis in convcalc.fit("c3d").axes] == [("D",), ("H",), ("W",)]
    assert convcalc.fit("c3d").square.names == ("H", "W")
    assert [axis.names for axis in convcalc.fit("m5").axes] == [("L",)]
    flat = "convcalc: 1\nname: flat\ninput: [9]\nlayers: Linear(3)\n"
    assert convcalc.fit(flat).axes == ()
    assert convcalc.fit(flat).features is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("vgg16", "MaxPool2d[4]"),
        ("unet", "Conv2d"),
        ("vit_b16", "Conv2d"),
        ("alphago", "PositionBias"),
    ],
)
def test_the_last_map(name, path):
    assert convcalc.fit(name).features.path == path


# ---------------------------------------------------------------------------- planted faults


def test_a_wrong_congruence_is_caught(monkeypatch):
    original = fitting.where_divisible
    monkeypatch.setattr(fitting, "where_divisible", lambda rest, by: original(rest + 1, by))
    with pytest.raises(AssertionError):
        against_brute_force(convcalc.fit("vgg16"), reach=64, names=("H",))


def test_a_wrong_bound_is_caught(monkeypatch):
    original = fitting.solve
    monkeypatch.setattr(fitting, "solve", lambda kind, a, b: original(kind, a, b + 1))
    with pytest.raises(AssertionError):
        against_brute_force(convcalc.fit("vgg16"), reach=64, names=("H",))


def test_what_cannot_be_decided_is_labelled(monkeypatch):
    def undecided(*_: object) -> None:
        raise UndecidedError("beyond the limit")

    monkeypatch.setattr(fitting, "where_divisible", undecided)
    axis = convcalc.fit("vgg16").axis("H")
    assert axis.exact.answer is Answer.UNKNOWN
    assert axis.fitting.answer is Answer.UNKNOWN
    assert axis.valid.answer is Answer.PROVED
    assert "MaxPool2d[0]" in repr(axis.exact.undecided[0])
    monkeypatch.setattr(fitting, "solve", undecided)
    assert convcalc.fit("vgg16").axis("H").valid.answer is Answer.UNKNOWN
    monkeypatch.setattr(fitting, "where_at_least", undecided)
    assert convcalc.fit("vgg16").square.complete.answer is Answer.UNKNOWN
