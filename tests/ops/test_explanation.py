"""Every rule that is told of a layer, read as arithmetic, gives the layer's own figure."""

from __future__ import annotations

import pytest

from convcalc.graph import Facts
from convcalc.integers import Formula, definitions, evaluate, symbol, symbols
from convcalc.integers.names import Names
from convcalc.ops.base import Op
from convcalc.ops.explanation import Explanation, Rule
from tests.ops import harness
from tests.ops.arithmetic import value
from tests.ops.case import Case, Shape

#: What stands for the open sizes of a formula.
POINTS = ({"N": 2, "A": 23, "B": 17, "C": 29}, {"N": 1, "A": 66, "B": 96, "C": 48})


def rules(op: Op, shapes: tuple[Shape, ...], names: Names | None = None) -> list[Rule]:
    layouts = [harness.layout_of(op, shape) for shape in shapes]
    if op.likes or op.name() == "TokensToImage":
        layouts[1:] = ["channels"] * (len(shapes) - 1)
    layout = op.output_layout(*layouts)  # type: ignore[arg-type]
    return Explanation(op, Facts(op, shapes, names), shapes, layouts, layout).rules()  # type: ignore[arg-type]


def figures(op: Op, shapes: tuple[Shape, ...]) -> list[object]:
    """The figures that want a rule, from the facets."""
    output = op.output(*shapes)
    found: list[object] = list(output[1:])
    weights = sum(t.elements for t in op.weights(*shapes))
    buffers = sum(t.elements for t in op.buffers(*shapes))
    macs = op.macs(output, *shapes)
    return found + [size for size in (weights, buffers, macs) if size]


def good_cases(name: str) -> list[Case]:
    return [case for case in harness.cases()[name] if case.kind == "good"]


@pytest.mark.parametrize("name", harness.cases())
def test_rules_give_the_figures(name: str) -> None:
    for case in good_cases(name):
        op = harness.make(name, case.arguments)
        told = rules(op, case.shapes)
        assert [value(rule.substituted) for rule in told] == figures(op, case.shapes), case
        assert [rule.value for rule in told] == figures(op, case.shapes)
        assert all(rule.values for rule in told)  # none is a number without a reason


@pytest.mark.parametrize("name", harness.cases())
def test_rules_with_open_sizes(name: str) -> None:
    """With formulas for the sizes the rules are formulas, right wherever the layer is valid."""
    for case in good_cases(name):
        op = harness.make(name, case.arguments)
        shape = case.shapes[0]
        if len(case.shapes) > 1 or len(shape) < 3 or harness.layout_of(op, shape) != "channels":
            continue
        letters = "ABC"[: len(shape) - 2]
        told = rules(op, ((symbol("N"), shape[1], *map(symbol, letters)),), Names(()))
        sizes_by_name = definitions(*(r.value for r in told), *op_sizes(told))
        for point in POINTS:
            sizes = (point["N"], shape[1], *(point[letter] for letter in letters))
            if any(condition.holds() is False for condition in op.conditions(sizes)):
                continue
            known = point | {name: at(size, point) for name, size in sizes_by_name.items()}
            for rule in told:
                assert value(rule.substituted, known) == at(rule.value, point), (case, rule)


def at(size: object, point: dict[str, int]) -> object:
    """A formula's value at a point."""
    if not isinstance(size, Formula):
        return size
    return evaluate(size, {name: point[name] for name in symbols(size)})


def op_sizes(told: list[Rule]) -> list[Formula]:
    """The formulas that stand in rules."""
    values = [value for rule in told for value in rule.values.values()]
    sizes = [s for v in values for s in (v if isinstance(v, tuple) else (v,))]
    return [size for size in sizes if isinstance(size, Formula)]


@pytest.mark.parametrize(
    ("form", "values", "told"),
    [
        ("{H} + {P}", {"H": 5, "P": -3}, "5 + (−3)"),
        ("{weight} + {bias}", {"weight": (3, 3, 64), "bias": 64}, "3·3·64 + 64"),
        ("2·{H}", {"H": symbol("H") + 1}, "2·(H + 1)"),
        ("{H}", {"H": symbol("H") + 1}, "H + 1"),
    ],
)
def test_numbers_for_letters(form: str, values: dict[str, object], told: str) -> None:
    assert Rule("height", form, values, 0).substituted == told  # type: ignore[arg-type]


def test_a_wrong_rule_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    op = harness.make("Conv2d", "8, 3, padding=1")

    def explain(self: Op, told: Explanation, output: Shape, *shapes: Shape) -> None:
        told.size(2, "{H} − {F} + 1", {"F": 3})  # the padding is forgotten

    monkeypatch.setattr(type(op), "explain", explain)
    told = rules(op, ((2, 4, 11, 12),))
    wrong = [rule.figure for rule in told if value(rule.substituted) != rule.value]
    assert wrong == ["height"]
