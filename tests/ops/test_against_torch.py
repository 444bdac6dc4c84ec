"""Every layer, facet by facet, against PyTorch: on ints, formulas, arrays and open sizes."""

from __future__ import annotations

import inspect
import re

import pytest

from convcalc.ops import REGISTRY
from convcalc.ops.arguments import Like
from convcalc.pytorch.namespace import NN
from tests.ops import harness
from tests.ops.case import Case

ALL = sorted(REGISTRY)


@pytest.mark.parametrize("name", ALL)
def test_every_layer_has_docs_a_source_and_cases(name: str) -> None:
    doc = inspect.cleandoc(REGISTRY[name].__doc__ or "")
    assert doc, "a docstring says what the layer is"
    assert re.search(r"Source: |PyTorch: |What `|makes one", doc), "and where it comes from"
    kinds = [case.kind for case in harness.cases().get(name, [])]
    assert "good" in kinds
    for argument in REGISTRY[name].arguments:
        assert argument.name, "an argument knows its name"
        if not isinstance(argument, Like):
            assert argument.schema(REGISTRY[name].spatial or 1)


def test_no_case_is_of_a_layer_that_is_not() -> None:
    assert set(harness.cases()) == set(REGISTRY)


@pytest.mark.parametrize(("name", "case"), harness.each("good"))
def test_facets_equal_torch(name: str, case: Case) -> None:
    op = harness.make(name, case.arguments)
    assert harness.refusal(name, case) is None
    module = harness.torch_side(name, case)
    assert harness.differences(op, module, case.shapes) == []
    # What we build is the same class with the same settings, and from the same weights gives the
    # same values.
    assert harness.built_differences(op, module, case.shapes) == []


@pytest.mark.parametrize(("name", "case"), harness.each("good"))
def test_rules_run_on_formulas_arrays_and_open_sizes(name: str, case: Case) -> None:
    op = harness.make(name, case.arguments)
    assert harness.formula_differences(op, case.shapes) == []
    assert harness.array_differences(op, case.shapes) == []
    assert harness.open_differences(op, case.shapes) == []


@pytest.mark.parametrize(("name", "case"), harness.each("good"))
def test_windows_are_what_is_read(name: str, case: Case) -> None:
    op = harness.make(name, case.arguments)
    assert harness.rows_left(op, op.windows(*case.shapes), case.shapes) == []
    if not harness.reads_by_windows(op, case.shapes):
        return
    module = op.build(NN, *case.shapes)
    assert harness.window_differences(op, module, case.shapes) == []


@pytest.mark.parametrize(("name", "case"), harness.each("good"))
def test_a_layer_is_written_as_it_is_read(name: str, case: Case) -> None:
    op = harness.make(name, case.arguments)
    text = str(op).removeprefix(name).removeprefix("(").removesuffix(")")
    if harness.takes_like(op):
        text = re.sub(r"(^|, )like(?=$|, )", "", text).removeprefix(", ")
        text = text.replace("like=like", "like=true")  # it is named where it flows in
    assert harness.make(name, text).given() == op.given()
    op.warnings(*case.shapes, layouts=["channels"] * len(case.shapes))


@pytest.mark.parametrize(("name", "case"), harness.each("bad", "stricter"))
def test_what_is_wrong_is_refused(name: str, case: Case) -> None:
    message = harness.refusal(name, case)
    assert message is not None
    assert "object at 0x" not in message


@pytest.mark.parametrize(("name", "case"), harness.each("bad"))
def test_torch_refuses_it_too(name: str, case: Case) -> None:
    with pytest.raises(Exception, match=r"."):
        harness.run(harness.torch_side(name, case), harness.values(case.shapes))


@pytest.mark.parametrize(("name", "case"), harness.each("stricter"))
def test_where_we_are_stricter_torch_is_not(name: str, case: Case) -> None:
    harness.run(harness.torch_side(name, case).eval(), harness.values(case.shapes))
