"""Whatever is in a file, the only thing that comes out besides a graph is a DesignError."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convcalc.errors import DesignError, Problem
from convcalc.language import parse_document
from convcalc.language.document import parse_text
from convcalc.language.interpreter import NO_RESULT
from convcalc.language.reader import decode

ZOO = [
    p.read_text("utf-8")
    for p in sorted((Path(__file__).parents[2] / "architectures").glob("*.yaml"))
]
HEAD = "convcalc: 1\ninput: [3, 64, 64]\n"

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(text: str) -> None:
    """Builds every variant of a text, or is told what is wrong, with places in the text."""
    problems: tuple[Problem, ...] = ()
    try:
        document = parse_document(text)
        for variant in document.variants or (None,):
            document.expect(variant)
            document.budget(variant)
            document.build(variant)
    except DesignError as error:
        problems = error.problems or pytest.fail("an error that tells nothing")
    lines = len(text.splitlines()) + 1
    for problem in problems:
        assert NO_RESULT not in str(problem)
        assert problem.place is None or 1 <= problem.place.line <= lines


# --------------------------------------------------------------------------------- any text


@SLOW
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(DesignError):
        parse_text(decode(data, "f.yaml")).build()


@SLOW
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    survives(text)


_SOUP = (
    "ReLU Conv2d( Conv( B( skip[ skip input .channels 3 0 8 1.5 -> , ) ( [ ] { } = == + - * ** // "
    "/ if else and not true none 'same' x i n * in c k=3 stride=2 <"
)
_TOKENS = st.sampled_from(_SOUP.split())
_EXPRESSIONS = st.lists(_TOKENS, max_size=12).map(" ".join)
_VERBS = (
    "add mul concat residual project shortcut split dim for in do if then else name expect Conv2d "
    "ReLU B Conv x params"
)
_KEYS = st.sampled_from(_VERBS.split())


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(_KEYS, inner, max_size=4),
        st.tuples(st.sampled_from(["add", "mul", "concat"]), st.lists(inner, min_size=2)).map(
            lambda pair: {pair[0]: pair[1]}
        ),
        inner.map(lambda body: {"residual": body, "project": "none"}),
        st.tuples(inner, inner).map(lambda p: {"for": "i", "in": p[0], "do": p[1]}),
    )


_STEPS = st.recursive(_EXPRESSIONS, _nested, max_leaves=10)


def flow(value: Any) -> str:
    """A value in YAML's flow style, with every scalar quoted."""
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    return "'" + value.replace("'", "''") + "'"


@SLOW
@given(_STEPS, _STEPS, _EXPRESSIONS)
def test_soups_of_tokens(layers: Any, block: Any, value: str) -> None:
    survives(
        f"{HEAD}vars: {{n: 2, k: {flow(value)}}}\n"
        f"blocks:\n  Conv(c, k=3): Conv2d(c, k, padding=k // 2) -> ReLU\n  B(x): {flow(block)}\n"
        f"layers: {flow(layers)}\n"
    )


# --------------------------------------------------------------------------------- mutations


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(ZOO))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.integers(0, 6))
        at = draw(st.integers(0, len(text)))
        if kind == 0:
            text = text[:at] + text[at + draw(st.integers(1, 12)) :]
        elif kind == 1:
            text = text[:at] + draw(st.text("()[]{}:,->*=#'\"\n \t&!|%@0n", max_size=3)) + text[at:]
        else:
            lines = text.splitlines(keepends=True) or [""]
            row = draw(st.integers(0, len(lines) - 1))
            other = draw(st.integers(0, len(lines) - 1))
            if kind == 2:
                del lines[row]
            elif kind == 3:
                lines.insert(row, lines[other])
            elif kind == 4:
                lines[row], lines[other] = lines[other], lines[row]
            elif kind == 5:
                lines[row] = draw(st.sampled_from([" ", "  ", "- "])) + lines[row]
            else:
                words = lines[row].split(" ")
                word = draw(st.integers(0, len(words) - 1))
                words[word] = draw(st.sampled_from(lines[other].split(" ")))
                lines[row] = " ".join(words)
            text = "".join(lines)
    return text


@SLOW
@given(_mutated())
def test_mutated_designs(text: str) -> None:
    survives(text)


# --------------------------------------------------------------------------------- bounds


def _chain(what: str, count: int = 3000) -> str:
    """count definitions, each of which uses the one before it; twice where `{0}` stands twice."""
    return "".join(f"  {what.format(i - 1, i)}\n" for i in range(1, count))


BOUNDED = {
    "repeats": "layers: 10**9 * Conv2d(1, 1)\n",
    "many repeats": "layers: 99_999 * Identity\n",
    "nested repeats": "layers: 1000 * (1000 * (1000 * ReLU))\n",
    "empty loops": "layers: {for: i, in: 9999, do: {for: j, in: 9999, do: {if: 0, then: ReLU}}}\n",
    "blocks that double": "blocks:\n  B0: ReLU\n"
    + _chain("B{1}: B{0} -> B{0}", 40)
    + "layers: B39\n",
    "vars that double": "vars:\n  v0: ReLU\n" + _chain("v{1}: v{0} -> v{0}", 40) + "layers: v39\n",
    "lists that double": "vars:\n  v0: [1]\n"
    + _chain('v{1}: "v{0} + v{0}"', 40)
    + "layers: ReLU\n",
    "lists of lists": "vars:\n  v0: [1]\n" + _chain("v{1}: [v{0}, v{0}]", 40) + "layers: ReLU\n",
    "functions that double": "vars:\n  f0(x): x\n"
    + _chain("f{1}(x): f{0}(x) + f{0}(x)", 40)
    + "  y: f39(1)\nlayers: ReLU\n",
    "deep functions": "vars:\n  f0(x): x\n"
    + _chain("f{1}(x): f{0}(x)")
    + "  y: f2999(1)\nlayers: ReLU\n",
    "deep vars": "vars:\n  v0: 1\n" + _chain("v{1}: v{0} + 1") + "layers: Conv2d(v2999, 1)\n",
    "deep blocks": "blocks:\n  B0: ReLU\n" + _chain("B{1}: B{0}") + "layers: B2999\n",
    "deep chains": "vars:\n  v0: ReLU\n" + _chain("v{1}: 1 * v{0}") + "layers: v2999\n",
    "self-application": "blocks:\n  A(f): f(f)\nlayers: A(A)\n",
    "recursion": "blocks:\n  A: B\n  B: {residual: A}\nlayers: A\n",
    "cyclic vars": "vars: {a: b, b: c, c: a}\nlayers: ReLU\n",
    "huge integers": f"layers: Conv2d({'9' * 100_000}, 1)\n",
    "huge powers": "vars: {a: 9**9**9**9}\nlayers: Conv2d(a, 1)\n",
    "large integers in errors": f"layers: Conv2d(-{'9' * 290}, {'9' * 290})\n",
    "parentheses": "layers: " + "(" * 100_000 + "\n",
    "brackets": "layers: " + "[" * 100_000 + "\n",
    "braces": "layers: " + "{do: " * 100_000 + "\n",
    "dashes": "layers:\n" + "- " * 100_000 + "\n",
    "deep steps": "layers: " + "{residual: " * 55 + "ReLU" + "}" * 55 + "\n",
    "deep steps in deep blocks": "blocks:\n  B0: ReLU\n"
    + _chain("B{1}: " + "{{residual: " * 20 + "B{0}" + "}}" * 20, 60)
    + "layers: B59\n",
    "aliases": "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
    "many mistakes": "layers:\n" + "".join(f"- Cnv{i}(8)\n" for i in range(300)),
    "more mistakes": "vars:\n"
    + "".join(f"  variable_{i}: {i}\n" for i in range(8000))
    + "layers:\n"
    + "".join(f"- Conv2d(varaible_{i}, kernel=3)\n" for i in range(8000)),
    "unknown keys": "".join(f"layer_{i}: ReLU\n" for i in range(20_000)),
    "long names": f"vars: {{{'a' * 100_000}: 3}}\nlayers: Conv2d({'a' * 99_999}, 3)\n",
    "long keys": f"{'a' * 100_000}: 3\nlayers: {{{'a' * 100_000}: 3}}\n",
    "long cycles": "vars:\n" + _chain("v{1}: v{0}", 20_000) + "  v0: v19999\nlayers: ReLU\n",
    "many rows": f"layers: {{for: i, in: [{'1, ' * 50_000}1], do: ReLU}}\n",
}


@pytest.mark.parametrize("case", BOUNDED)
def test_nothing_grows_without_bound(case: str) -> None:
    """A hang would show here: the limit is wide, so that it holds on a slow machine."""
    start = time.process_time()
    survives(HEAD + BOUNDED[case])
    assert time.process_time() - start < 20


_DEEP = "".join(f"(1 or 1 and 1 < {i} + 1 * " for i in range(19)) + "{}" + ")" * 19
_LISTS = "[" * 55 + "{}" + "]" * 55
_STEPS_IN_STEPS = "{{residual: " * 25 + "{}" + "}}" * 25
DEEP = {
    "expressions": f"vars: {{a: '{_DEEP.format(1)}'}}\nlayers: ReLU\n",
    "functions": "vars:\n  f0(x): x\n"
    + "".join(f"  f{i}(x): '{_DEEP.format(f'f{i - 1}(x)')}'\n" for i in range(1, 60))
    + "  y: f59(1)\nlayers: ReLU\n",
    "calls in calls": f"layers: {'Conv2d(abs(' * 9}{_DEEP.format(1)}{'), 1)' * 9}\n",
    "residuals in blocks": "blocks:\n  B0: ReLU\n"
    + "".join(f"  B{i}: {_STEPS_IN_STEPS.format(f'B{i - 1}')}\n" for i in range(1, 30))
    + "layers: B29\n",
    "branches": "blocks:\n  B0: ReLU\n"
    + "".join(f"  B{i}: {{add: [B{i - 1}, ReLU]}}\n" for i in range(1, 99))
    + "layers: B98\n",
    "chains in vars": "vars:\n  v0: ReLU\n"
    + "".join(f"  v{i}: 1 * (v{i - 1} -> ReLU)\n" for i in range(1, 300))
    + "layers: v299\n",
    "lists": f"vars: {{a: {_LISTS.format(1)}}}\nlayers: ReLU\n",
    "cycles": "blocks:\n"
    + "".join(f"  B{i}: B{i + 1}\n" for i in range(3000))
    + "  B3000: B0\nlayers: B0\n",
}


@pytest.mark.parametrize("case", DEEP)
def test_recursion_stays_far_from_its_limit(case: str) -> None:
    limit = sys.getrecursionlimit()
    depth = len(traceback.extract_stack())
    sys.setrecursionlimit(depth + 750)
    try:
        survives(HEAD + DEEP[case])
    finally:
        sys.setrecursionlimit(limit)


def test_ten_thousand_layers_need_no_recursion() -> None:
    once = "Conv2d(8, 3, padding=1) -> ReLU"
    for layers in (
        f"layers: 5000 * ({once})\n",
        f"layers: {{for: i, in: 5000, do: '{once}'}}\n",
        "layers:\n" + f"- {once}\n" * 5000,
        "layers: " + " -> ".join([once] * 5000) + "\n",
    ):
        assert len(parse_document(HEAD + layers).build().layers) == 10_000
