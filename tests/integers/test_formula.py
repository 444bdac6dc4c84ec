"""What formulas, open sizes and names promise besides their values."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings

from convcalc.integers import (
    Formula,
    FormulaTooLargeError,
    Names,
    Open,
    bounds,
    ceil_div,
    definitions,
    equal,
    evaluate,
    expand,
    maximum,
    minimum,
    named,
    product,
    substitute,
    symbol,
    to_text,
    total,
)

from .trees import formula_of, points, trees

H, W, N = symbol("H"), symbol("W"), symbol("N")


@pytest.mark.parametrize(
    ("layers", "text"),
    [  # (kernel, stride, padding) of every layer that changes the size
        ([(2, 2, 0)] * 5, "H//32"),  # VGG-16
        ([(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 2, 0)], "(H - 35)//32"),  # AlexNet (227)
        ([(7, 2, 3), (3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1)], "(H + 31)//32"),  # ResNet
    ],
)
def test_a_chain_of_strided_layers_is_one_floor(layers, text):
    names = Names()
    plain = by_name = H
    for kernel, stride, padding in layers:
        plain = (plain + 2 * padding - kernel) // stride + 1
        by_name = names.name((by_name + 2 * padding - kernel) // stride + 1, "h")
    assert str(plain) == text
    assert str(expand(by_name)) == text


def test_formulas_are_not_numbers():
    for question in (lambda: bool(H), lambda: not (H - H)):
        with pytest.raises(TypeError, match="at_least"):
            question()
    for comparison in ("<", "<=", ">", ">="):
        with pytest.raises(TypeError, match="at_least"):
            eval(f"H {comparison} 3", {"H": H})
        with pytest.raises(TypeError, match="at_least"):
            eval(f"3 {comparison} H", {"H": H})
    with pytest.raises(TypeError, match="not a number"):
        int(H)
    assert int(H - H + 3) == 3
    for wrong in (1.5, "3", None, [1]):
        with pytest.raises(TypeError):
            H + wrong
        with pytest.raises(TypeError):
            wrong * H
        assert wrong != H
    with pytest.raises(TypeError):
        H**0.5
    with pytest.raises(ValueError, match="negative power"):
        H**-1
    with pytest.raises(FormulaTooLargeError):
        H**65


def test_equality_and_hash():
    assert H // 2 + (H + 1) // 2 == H
    assert hash(H // 2 + (H + 1) // 2) == hash(H)
    assert H - H + 5 == 5
    assert hash(H - H + 5) == hash(5)
    always = H // 2 + (H + 1) // 2 - H + 5
    assert always == 5
    assert {5: "five"}[always] == "five"
    assert H != W
    assert symbol("H") == symbol("H")
    assert named(H // 2, "a") == named(H // 2, "b") == H // 2
    assert len({named(H // 2, "a"), named(H // 2, "b"), H // 2}) == 1
    assert {(H + 1) // 2: 1}[(H - 1) // 2 + 1] == 1


def test_operands_of_other_integer_types():
    np = pytest.importorskip("numpy")
    assert (H + np.int64(3)).key == (np.int64(3) + H).key == (H + 3).key
    assert (H * True).key == H.key
    assert (H // np.int32(2)).key == (H // 2).key
    with pytest.raises(TypeError):
        H + np.array([1, 2])
    with pytest.raises(TypeError):
        np.array([1, 2]) * H
    with pytest.raises(TypeError):
        H * np.float64(2.0)


@settings(max_examples=100, deadline=None)
@given(trees(), points())
def test_pickle_and_copy(tree, point):
    formula = formula_of(tree)
    back = pickle.loads(pickle.dumps(formula))
    assert evaluate(back, point) == evaluate(formula, point)
    assert copy.copy(formula) is copy.deepcopy(formula) is formula
    if isinstance(formula, Formula):
        assert back.key == formula.key


def test_pickles_cross_processes():
    formula = named((H - 1) // 2 + 1, "h1") * N * 64 + maximum(W, 5) // N
    child = (
        "import pickle, sys; from convcalc.integers import *; symbol('other')\n"
        "f = pickle.load(sys.stdin.buffer); print(f, hash(f), f(H=9, W=7, N=2))"
    )
    run = subprocess.run(
        [sys.executable, "-c", child], input=pickle.dumps(formula), capture_output=True, check=True
    )
    expected = f"{formula} {hash(formula)} {formula(H=9, W=7, N=2)}"
    assert run.stdout.decode().strip() == expected


def test_the_text_does_not_depend_on_history():
    code = (
        "from convcalc.integers import symbol, maximum, to_text\n"
        "{first}\n"
        "H, W, N = symbol('H'), symbol('W'), symbol('N')\n"
        "print(N*(W//2)*(H//2) + (W//2 + H//3)//5 + maximum(W, H, 3*N) - W*H)"
    )
    texts = set()
    for first in ("", "symbol('W') // 2", "maximum(symbol('N') * 3, symbol('W'))"):
        run = subprocess.run(
            [sys.executable, "-c", code.format(first=first)], capture_output=True, check=True
        )
        texts.add(run.stdout.decode().strip())
    assert texts == {"N*(H//2)*(W//2) - H*W + (H//3 + W//2)//5 + max(3*N, H, W)"}


def test_importing_loads_little():
    code = (
        "import sys; import convcalc.integers as i; H = i.symbol('H'); (H + 1) // 2 * H; i.Open()\n"
        "i.maximum(H, 3); H.key; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = set(run.stdout.decode().split())
    assert "convcalc.integers.formulas" in loaded
    heavy = {"numpy", "fractions", "decimal", "re", "typing", "enum", "dataclasses", "inspect"}
    assert not loaded & heavy


def test_symbol_names():
    assert str(symbol("in_channels")) == "in_channels"
    for bad in ("", "2h", "a b", "max", "lambda", "H-1", "größe", "__import__('os')", "x\n"):
        with pytest.raises(ValueError, match="cannot name a size"):
            symbol(bad)
        with pytest.raises(ValueError, match="cannot name a size"):
            named(H, bad)
    with pytest.raises(TypeError, match="must be an int"):
        symbol("H", 1.5)


def test_helpers():
    assert ceil_div(7, 2) == 4
    assert ceil_div(-7, 2) == -3
    assert ceil_div(7, -2) == -3
    assert str(ceil_div(H, 32)) == "(H + 31)//32"
    assert ceil_div(H, -2)(H=7) == -3
    assert ceil_div(7, W)(W=2) == 4
    assert minimum(3, 1, 2) == 1
    assert maximum(3) == 3
    assert to_text(maximum(H, 1)) == "H"  # H is at least 1
    assert maximum(H - H, 1) == 1
    assert to_text(maximum(H + W, H + 5)) == "H + max(5, W)"
    assert to_text(maximum(maximum(H, W), H, N)) == "max(H, N, W)"
    assert to_text(minimum(H // 2, H // 3)) == "H//3"
    assert product([]) == 1
    assert product([2, H, 3, W]).key == (6 * H * W).key
    assert total([]) == 0
    assert total([1, H, 2, W, -3]).key == (H + W).key
    with pytest.raises(ZeroDivisionError):
        ceil_div(H, 0)
    with pytest.raises(TypeError, match="at least one"):
        minimum()
    with pytest.raises(TypeError):
        maximum(H, 1.5)


def test_bounds():
    assert bounds(7) == (7, 7)
    assert bounds(H) == (1, None)
    assert bounds(3 - H) == (None, 2)
    assert bounds(H - 2 * (H // 2)) == (0, 1)
    assert bounds(H - H // 2) == (1, None)
    assert bounds(N * H - N * (H // 2)) == (1, None)
    assert bounds(minimum(H, 5) * -2) == (-10, -2)
    assert bounds(maximum(H, 5)) == (5, None)
    assert bounds((H // W) * 3) == (0, None)
    assert bounds(symbol("t", -3) * H) == (None, None)
    assert bounds(symbol("t", -3) - H) == (None, None)


def test_exact_quotients():
    """R4, where the divisor is at least 1."""
    zero = symbol("Z", 0)
    assert str((6 * H * W) // (2 * H)) == "3*W"
    assert str((4 * H * H - 2 * H) // H) == "4*H - 2"
    assert (3 * H + 6 * W) // (H + 2 * W) == 3
    assert str((3 * H) // (2 * H)) == "(3*H)//(2*H)"  # is 1, but 2 does not divide 3
    assert str(zero // zero) == "Z//Z"
    assert str((H + 1) // H) == "(H + 1)//H"
    assert H % H == 0
    rng = random.Random(4)
    for _ in range(300):
        a, b, c = (rng.randint(-4, 6) for _ in range(3))
        numerator = a * H * H * W + b * H * W + c * H
        divisor = rng.choice((H, W, 2 * H, H * W, 3 * H * W, H + W, a * H + b * W + 20))
        point = {"H": rng.randint(1, 9), "W": rng.randint(1, 9)}
        if evaluate(divisor, point):
            wanted = evaluate(numerator, point) // evaluate(divisor, point)
            assert evaluate(numerator // divisor, point) == wanted


def test_substitute():
    assert substitute(H // 2 + W, {"H": 6}).key == (W + 3).key
    assert substitute(H + W, {"H": 1, "W": 2}) == 3
    assert substitute((H + 1) // 2, {"H": 2 * W - 1}).key == W.key
    h1, w1 = named(H // 2, "h1"), named(W // 2, "w1")
    kept = substitute(h1 * w1, {"W": 8})
    assert str(kept) == "4*h1"
    assert substitute(h1, {"N": 3}) is h1
    assert substitute(5, {"H": 3}) == 5


def test_names():
    names = Names(reserved=("h2",))
    half = names.name(H // 2, "h")
    assert str(half) == "h1"
    assert names.name(H // 2, "h") is half
    assert names.name((H - 1) // 2 + 1, "h") is not half
    assert [str(names.name(H - H // 2, "h")), str(names.name(half // 2, "h"))] == ["h3", "h4"]
    assert str(names.name(W // 2, "w")) == "w1"
    assert names.name(7, "h") == 7
    assert str(names.name(H, "h")) == "H"
    assert names.name(half, "h") is half
    assert names.name(H - H + 4, "h") == 4
    told = definitions(half * names.name(H // 4, "h"))
    assert {name: str(size) for name, size in told.items()} == {"h1": "H//2", "h4": "H//4"}
    assert half.definition.key == (H // 2).key
    assert H.definition is None
    assert H.is_symbol
    assert not half.is_symbol

    other = Names()
    other.name(H // 8, "h")
    foreign = 3 * N * other.name(H // 2, "h") + other.name(H // 3, "h") // 5
    adopted = names.adopt(foreign)
    assert str(adopted) == "3*N*h1 + H//15"
    assert equal(adopted, foreign).proved
    assert names.adopt(3) == 3


def test_named_sizes_are_interned_and_expanded():
    assert named(H // 2, "h1").key == named(H // 2, "h1").key
    assert named(named(H // 2, "h1") // 2, "h2").definition.key == (H // 4).key


def test_open_sizes():
    size = Open()
    assert size is Open(1) is Open(3, 3)
    assert size + 3 is size - 3 is 3 - size is 3 + size is -size is size
    assert size // 2 is Open(2)
    assert (size + 1) // 2 // 3 is Open(6)
    assert size * 2 is 2 * size is Open(1, 2)
    assert size // 2 * 4 is Open(1, 2)
    assert size // 2 + size is not size // 2
    assert not (size // 2 + size).known
    assert size // 2 + size // 2 is Open(2)
    assert size // 2 * size is Open(2)
    assert size // size is 7 // size is size % 3 is 3 % size is Open(0, 0)
    assert size * 0 is Open(0, 0)
    assert minimum(size, 3) is maximum(3, size, 4) is size
    assert ceil_div(size, 4) is Open(4)
    assert product([2, size, size // 2]) is Open(1)
    assert (size // 2).stride == (2, 1)
    assert {size // 2: 1}[Open(2)] == 1
    assert Open(2) != Open(3)
    assert copy.deepcopy(size) is pickle.loads(pickle.dumps(size)) is size
    for question in (bool, int, float, lambda s: s < 3, lambda s: s <= 3, lambda s: [1][s]):
        with pytest.raises(TypeError, match="no value yet"):
            question(size)
    # A formula is a number that nobody has given yet: padding by it moves no stride, and a stride
    # of it is not known.
    assert size + H is H + size is size - H is H - size is maximum(size, H) is size
    assert H * size is size * H is size // H is H // size is size % H is Open(0, 0)
    with pytest.raises(TypeError):
        size + 1.5
    with pytest.raises(ZeroDivisionError):
        size // 0
    with pytest.raises(ValueError, match="not positive"):
        Open(-1)
    assert repr(Open(3, 2)) == "an open size of stride 3/2"
    assert repr(Open(0, 0)) == "an open size of unknown stride"
