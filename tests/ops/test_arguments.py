"""Arguments: what each kind takes, refuses, holds and writes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from convcalc.errors import LayerError
from convcalc.integers import symbol
from convcalc.ops import REGISTRY
from convcalc.ops.arguments import Argument, axis, choice, count, flag, lengths, real, scale, sizes


def named(argument: Any) -> Argument:
    assert isinstance(argument, Argument)
    argument.name = "a"
    return argument


@pytest.mark.parametrize(
    ("argument", "given", "held", "written"),
    [
        (count(), 3, 3, "3"),
        (count(), symbol("K"), symbol("K"), "K"),
        (count(None), None, None, "none"),
        (sizes(), 3, (3, 3), "3"),
        (sizes(), [3, 5], (3, 5), "(3, 5)"),
        (sizes(words=("same",)), "same", "same", "same"),
        (sizes(minimum=None, sides=2), -1, (-1,) * 4, "-1"),
        (sizes(minimum=None, sides=2), (1, 2, 3, 4), (1, 2, 3, 4), "(1, 2, 3, 4)"),
        (sizes(holes=True), (None, 7), (None, 7), "(none, 7)"),
        (sizes(holes=True), (None, None), (None, None), "(none, none)"),
        (lengths(), [3], (3,), "[3]"),
        (lengths(rest=True), (3, -1), (3, -1), "[3, -1]"),
        (lengths(single=True), 7, 7, "7"),
        (axis(), -1, -1, "-1"),
        (scale(), 2, 2, "2"),
        (scale(), 2.0, 2, "2"),
        (scale(), 1.5, Fraction(3, 2), "3/2"),
        (scale(), 1 / 3, Fraction(1, 3), "1/3"),
        (scale(), (2, Fraction(1, 2)), (2, Fraction(1, 2)), "[2, 1/2]"),
        (flag(), True, True, "true"),
        (real(), 1, 1.0, "1"),
        (real(), Fraction(1, 8), 0.125, "0.125"),
        (real(0.1, optional=True), None, None, "none"),
        (choice("row", "batch"), "row", "row", "row"),
        (choice("none", "tanh"), None, "none", "none"),
    ],
)
def test_what_is_taken(argument: Any, given: Any, held: Any, written: str) -> None:
    got = named(argument).convert(given, 2)
    assert got == held
    assert type(got) is type(held)
    assert argument.write(got) == written


@pytest.mark.parametrize(
    ("argument", "given", "message"),
    [
        (count(), 0, "a must be a whole number of at least 1, not 0"),
        (count(), 2.5, "a must be a whole number of at least 1, not 2.5"),
        (count(), True, "a must be a whole number of at least 1, not true"),
        (count(), None, "a must be a whole number of at least 1, not none"),
        (sizes(), -1, "a must be a whole number of at least 0, or one for each axis, not -1"),
        (sizes(), (1, 2, 3), "a has 3 numbers, but 2 are wanted here"),
        (sizes(), (None, 1), "a must be a whole number"),
        (sizes(), "same", "a must be a whole number"),
        (sizes(holes=True), None, "a must be a whole number"),
        (lengths(), 3, "a must be a list of whole numbers of at least 1, not 3"),
        (lengths(), [], "a must be a list of whole numbers of at least 1"),
        (lengths(), [-1], "a must be a list of whole numbers of at least 1, not [-1]"),
        (lengths(rest=True), [-1, -1], "a must be a list of whole numbers"),
        (axis(), 0, "a must be an axis"),
        (axis(), 1.0, "a must be an axis"),
        (axis(), symbol("K"), "a must be an axis"),
        (scale(), 0, "a must be a positive number, or a list of one for each axis, not 0"),
        (scale(), float("inf"), "a must be a positive number"),
        (scale(), Fraction(1, 20_000), "a must be a positive number"),
        (scale(), 0.29, "a 0.29 times a size can fall just short of a whole number"),
        (flag(), 1, "a must be true or false, not 1"),
        (flag(), "yes", "a must be true or false, not 'yes'"),
        (real(low=0, high=1), 1.5, "a must be a number from 0 to 1, not 1.5"),
        (real(low=0), -1, "a must be a number of at least 0, not -1"),
        (real(), "x", "a must be a number, not 'x'"),
        (real(), float("nan"), "a must be a number, not nan"),
        (real(), None, "a must be a number, not none"),
        (real(), 10**400, "a must be a number"),
        (choice("row", "batch"), "column", "a must be one of row, batch, not 'column'"),
        (choice("row", "batch"), None, "a must be one of row, batch, not none"),
    ],
)
def test_what_is_refused(argument: Any, given: Any, message: str) -> None:
    with pytest.raises(LayerError) as raised:
        named(argument).convert(given, 2)
    assert raised.value.message.startswith(message)
    assert raised.value.argument == "a"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_defaults_are_taken(name: str) -> None:
    cls = REGISTRY[name]
    for argument in cls.arguments:
        if not argument.required and argument.default is not None:
            argument.convert(argument.default, cls.spatial or 1)
