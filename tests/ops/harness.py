"""Runs the tables of cases: ours beside PyTorch's, facet by facet.

`differences` and its like return the names of the facets that differ, so that a test can also plant
a fault and see it named.
"""

from __future__ import annotations

import ast
import importlib
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from convcalc.errors import LayerError
from convcalc.integers import Formula, IntArray, Open, array, evaluate, symbol
from convcalc.ops import REGISTRY, Op, Window
from convcalc.ops.arguments import Like
from convcalc.ops.attention import BlockWindow, GridWindow
from convcalc.ops.base import Condition
from convcalc.ops.joins import Concat
from convcalc.pytorch.namespace import NN
from tests.ops.case import Case, Reference, Shape
from tests.ops.references import REFERENCES as STANDARD_REFERENCES
from tests.ops.references import PaddedSame

TABLES = sorted(f"tests.ops.{path.stem}" for path in Path(__file__).parent.glob("cases*.py"))


@cache
def cases() -> dict[str, list[Case]]:
    """Every table's cases, by layer."""
    merged: dict[str, list[Case]] = {}
    for name in TABLES:
        for op, rows in importlib.import_module(name).CASES.items():
            assert op not in merged, f"{op} has cases in two tables"
            merged[op] = rows
    return merged


@cache
def references() -> dict[str, Reference]:
    """Every table's references, by layer."""
    merged = dict(STANDARD_REFERENCES)
    for name in TABLES:
        merged.update(getattr(importlib.import_module(name), "REFERENCES", {}))
    return merged


def each(*kinds: str) -> list[Any]:
    """The cases of these kinds, as pytest parameters (name, case)."""
    return [
        pytest.param(name, case, id=f"{name}({case.arguments})-{_sizes(case.shapes)}")
        for name, rows in cases().items()
        for case in rows
        if case.kind in kinds
    ]


def _sizes(shapes: tuple[Shape, ...]) -> str:
    return ",".join("x".join(map(str, shape)) for shape in shapes)


# ---------------------------------------------------------------------------- making


class _Words(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return key


class _ExactDivision(ast.NodeTransformer):
    """1/3 is exact, as in the language."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            ratio = ast.Name("Fraction", ast.Load())
            return ast.Call(ratio, [node.left, node.right], [])
        return node


def arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the language makes of the arguments in parentheses."""
    tree = _ExactDivision().visit(ast.parse(f"call({text})", mode="eval"))
    known = _Words(
        none=None, true=True, false=False, Fraction=Fraction, call=lambda *a, **named: (a, named)
    )
    code = compile(ast.fix_missing_locations(tree), "<case>", "eval")
    result: tuple[tuple[Any, ...], dict[str, Any]] = eval(code, {"__builtins__": {}}, known)
    return result


def make(name: str, text: str) -> Op:
    args, named = arguments(text)
    return REGISTRY[name](*args, **named)


def refusal(name: str, case: Case) -> str | None:
    """Why we refuse a case, or None where we take it."""
    try:
        op = make(name, case.arguments)
        op.check(*case.shapes)
    except LayerError as error:
        return str(error)
    return next((str(c) for c in op.conditions(*case.shapes) if c.holds() is not True), None)


def layout_of(op: Op, shape: Shape) -> str:
    if op.layout in ("tokens", "features", "any") and len(shape) == 3:
        return "tokens"
    return "channels"


def reference(name: str, case: Case) -> nn.Module | None:
    """PyTorch's own layer with the same arguments, or what stands for it; None if there is none."""
    args, named = arguments(case.arguments)
    shapes = case.shapes
    if name in references():
        return references()[name](args, named, shapes)
    torch_class = getattr(nn, name, None)
    if torch_class is None:
        return None
    cls = REGISTRY[name]
    if cls.inferred:
        last = cls.name() in ("Linear", "LayerNorm", "RMSNorm")
        size = named.pop(cls.inferred, shapes[0][-1 if last else 1])
        args = (*args[: cls.inferred_at], size, *args[cls.inferred_at :])
    if name == "GELU":
        args = tuple("none" if a is None else a for a in args)
        named = {key: "none" if a is None else a for key, a in named.items()}
    if name in ("Softmax", "LogSoftmax", "Softmin") and not args:
        named.setdefault("dim", 1)
    if name == "Upsample" and named.pop("like", False):
        return ResizedLike(args, {key: _floats(value) for key, value in named.items()})
    if name == "Upsample":
        args = _floats(args)
        named = {key: _floats(value) for key, value in named.items()}
    if named.get("padding") == "tf_same":
        return PaddedSame(torch_class(*args, **{**named, "padding": 0}))
    module: nn.Module = torch_class(*args, **named)
    return module


class ResizedLike(nn.Module):
    """torch.nn.Upsample, made when the size is known."""

    def __init__(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        super().__init__()
        self.args = args
        self.named = named

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        result: Tensor = nn.Upsample(*self.args, size=tuple(like.shape[2:]), **self.named)(x)
        return result


def _floats(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_floats, value))
    if isinstance(value, Fraction):
        return float(value)
    return "nearest-exact" if value == "nearest_exact" else value


def torch_side(name: str, case: Case) -> nn.Module:
    """The reference, or our own module where nothing else is known."""
    module = reference(name, case)
    if module is None:
        module = make(name, case.arguments).build(NN, *case.shapes)
    return module


def values(shapes: tuple[Shape, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def run(module: nn.Module, inputs: list[Tensor]) -> Tensor:
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        result: Tensor = module(*inputs)
    return result


# ---------------------------------------------------------------------------- facets of ints


def computed(op: Op, shapes: tuple[Any, ...]) -> dict[str, Any]:
    """Every facet by our rules."""
    return {
        "output": op.output(*shapes),
        "weights": [(t.name, t.shape, t.dtype or "float32") for t in op.weights(*shapes)],
        "buffers": [(t.name, t.shape, t.dtype or "float32") for t in op.buffers(*shapes)],
        "macs": op.macs(op.output(*shapes), *shapes),
    }


def measured(module: nn.Module, shapes: tuple[Shape, ...]) -> dict[str, Any]:
    """The same facets by running the module."""
    module.eval()
    with FlopCounterMode(display=False) as counter:
        out = run(module, values(shapes))
    return {
        "output": tuple(out.shape),
        "weights": [_tensor(name, p) for name, p in module.named_parameters()],
        "buffers": [_tensor(name, b) for name, b in module.named_buffers()],
        "macs": counter.get_total_flops() / 2,
    }


def _tensor(name: str, tensor: Tensor) -> tuple[str, Shape, str]:
    return name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")


def differences(op: Op, module: nn.Module, shapes: tuple[Shape, ...]) -> list[str]:
    """The facets in which our rules and the running module differ."""
    ours, theirs = computed(op, shapes), measured(module, shapes)
    return [facet for facet in ours if ours[facet] != theirs[facet]]


# ---------------------------------------------------------------------------- other kinds of sizes


def flat(facts: dict[str, Any]) -> dict[str, list[Any]]:
    """The sizes in each facet, in order."""
    return {
        "output": list(facts["output"]),
        "weights": [s for _, shape, _ in facts["weights"] for s in shape],
        "buffers": [s for _, shape, _ in facts["buffers"] for s in shape],
        "macs": [facts["macs"]],
    }


def with_windows(op: Op, shapes: tuple[Any, ...]) -> dict[str, list[Any]]:
    facts = flat(computed(op, shapes))
    facts["windows"] = [
        size
        for w in op.windows(*shapes)
        for size in (w.kernel, w.stride, w.before, w.after, w.dilation, w.upsample)
    ]
    return facts


def formula_differences(op: Op, shapes: tuple[Shape, ...]) -> list[str]:
    """The facets whose rule on formulas, evaluated, differs from the rule on ints."""
    point: dict[str, int] = {}

    def name(size: int, index: int, axis: int) -> int | Formula:
        if size == 1:  # a 1 may be structure: a gate, a global pool
            return 1
        point[f"S{index}_{axis}"] = size
        return symbol(f"S{index}_{axis}")

    open_shapes = tuple(
        tuple(name(size, i, axis) for axis, size in enumerate(shape))
        for i, shape in enumerate(shapes)
    )
    found = []
    ours = with_windows(op, shapes)
    for facet, sizes in with_windows(op, open_shapes).items():
        if facet == "windows" and _reduces(op):
            continue
        if [evaluate(size, point) for size in sizes] != ours[facet]:
            found.append(facet)
    for condition in op.conditions(*open_shapes):
        left, right = evaluate(condition.left, point), evaluate(condition.right, point)
        if Condition(condition.kind, left, right, condition.what).holds() is not True:
            found.append("conditions")
    return found


def _reduces(op: Op) -> bool:
    """Whether its windows are ratios of sizes, in lowest terms where these are ints."""
    return "Adaptive" in op.name() or "Upsample" in op.name() or "Upsampling" in op.name()


def array_differences(op: Op, shapes: tuple[Shape, ...]) -> list[str]:
    """The facets whose rule on arrays of three designs differs from the rule on ints."""
    steps = (0, 12, 24)  # keep what divides divisible
    designs = [
        tuple(tuple(s if s == 1 else s + step for s in shape) for shape in shapes) for step in steps
    ]
    arrays = tuple(
        tuple(1 if s == 1 else array([s + step for step in steps]) for s in shape)
        for shape in shapes
    )
    found = []
    ours = [with_windows(op, design) for design in designs]
    for facet, sizes in with_windows(op, arrays).items():
        if facet == "windows" and _reduces(op):
            continue
        columns = [
            s.to_numpy().tolist() if isinstance(s, IntArray) else [s] * len(steps) for s in sizes
        ]
        if columns != [list(column) for column in zip(*(o[facet] for o in ours), strict=True)]:
            found.append(facet)
    op.conditions(*arrays)
    return found


#: A multiple of every stride in the tables.
LARGE = math.lcm(*range(1, 13), 100)


def open_differences(op: Op, shapes: tuple[Shape, ...]) -> list[str]:
    """The axes whose stride on open sizes differs from the growth of the int rule."""
    layouts = [layout_of(op, shape) for shape in shapes]

    def placed(size: Any) -> tuple[Any, ...]:
        return tuple(
            (shape[0], *(size for _ in shape[1:-1]), shape[-1])
            if layout == "tokens"
            else (shape[0], shape[1], *(size for _ in shape[2:]))
            for shape, layout in zip(shapes, layouts, strict=True)
        )

    structure: tuple[Any, ...] = tuple((Open(), *shape[1:]) for shape in placed(Open()))
    op.check(*structure)
    if any(condition.holds() is False for condition in op.conditions(*structure)):
        return ["conditions"]
    out: Any = op.output(*structure)
    at_once: Any
    twice: Any
    at_once, twice = op.output(*placed(LARGE)), op.output(*placed(2 * LARGE))
    if len(out) != len(shapes[0]):
        return []  # axes were joined or divided: no stride of one axis is left
    if isinstance(op, Concat) and isinstance(out[op.dim], Open):
        return []  # open sizes do not add: along such an axis the stride of the first is kept
    found = []
    for axis in range(1, len(out)):
        grown = Fraction(twice[axis] - at_once[axis], LARGE)
        size = out[axis]
        if isinstance(size, int):
            if grown or size != at_once[axis]:
                found.append(f"axis {axis}")
        elif grown * Fraction(*size.stride) != 1:
            found.append(f"axis {axis}")
    return found


# ---------------------------------------------------------------------------- windows

#: Layers that look at whole maps for their statistics, which windows leave out, as documented.
STATISTICS = ("GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")


def reads_by_windows(op: Op, shapes: tuple[Shape, ...]) -> bool:
    """Whether there are rows to be read, of one value, by windows alone."""
    return op.name() not in STATISTICS and len(shapes[0]) > 2 and op.inputs - op.likes == 1


def rows_of(window: Window, index: int, size: int) -> set[int]:
    """The input rows that a window says output `index` reads."""
    if isinstance(window, (BlockWindow, GridWindow)):
        return set(window.rows(index)) & set(range(size))
    if window.kernel == 0:
        return set(range(size))
    numbers: tuple[Any, ...] = (window.stride, window.before, window.dilation, window.kernel)
    stride, before, dilation, kernel = numbers
    spread: Any = window.upsample
    first = index * stride - before
    places = range(first, first + dilation * kernel, dilation)
    return {p // spread for p in places if p % spread == 0} & set(range(size))


def reads(module: nn.Module, inputs: list[Tensor], axis: int, out_axis: int) -> list[set[int]]:
    """The input rows that each output row changes with, found by changing them one by one.

    One sample a changed row, and a first one unchanged.
    """
    base, *others = inputs
    size = base.shape[axis]
    batch = base[:1].repeat(size + 1, *[1] * (base.dim() - 1))
    for row in range(size):
        place = batch[row + 1].select(axis - 1, row)
        place.copy_(1000.0 + 1000.0 * torch.rand_like(place))  # larger than all: a maximum moves
    rest = [other[:1].repeat(size + 1, *[1] * (other.dim() - 1)) for other in others]
    out = run(module, [batch, *rest]).movedim(out_axis, 1).flatten(2)
    changed = (out[1:] != out[:1]).any(-1)  # input row × output row
    return [{row for row in range(size) if changed[row, i]} for i in range(out.shape[1])]


def window_differences(op: Op, module: nn.Module, shapes: tuple[Shape, ...]) -> list[str]:
    """The axes on which the windows and the rows that are read differ."""
    module = module.double().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    first = 1 if layout_of(op, shapes[0]) == "tokens" else 2
    axes = range(first, len(shapes[0]) - (first == 1))
    windows = op.windows(*shapes) or [Window(1)] * len(axes)
    assert len(windows) == len(axes), "one Window an axis"
    out = op.output(*shapes)
    if len(out) != len(shapes[0]):
        return []
    inputs = [v.double().abs() for v in values(shapes)]
    found = []
    for axis, window in zip(axes, windows, strict=True):
        size = shapes[0][axis]
        for index, read in enumerate(reads(module, inputs, axis, axis)):
            said = rows_of(window, index, size)
            if not _agree(op, window, index, size, said, read):
                rows = f"reads {sorted(read)}, not {sorted(said)}"
                found.append(f"axis {axis}: output {index} {rows}")
                break
    return found


def _agree(op: Op, window: Window, index: int, size: int, said: set[int], read: set[int]) -> bool:
    if getattr(op, "mode", "") == "bicubic":
        return read <= said  # a cubic kernel is 0 at some of the rows within reach
    if op.name() == "MaxUnpool2d":
        return read <= said  # the rows are those whose maxima may lie here; the data choose
    mirrored = getattr(op, "padding_mode", "zeros") != "zeros" or op.name().startswith(
        ("Reflection", "Replication", "Circular")
    )
    if mirrored:
        first = index * window.stride - window.before
        inside = first >= 0 and first + window.reach <= size
        return said == read if inside else said <= read
    return said == read


def rows_left(op: Op, windows: Sequence[Window], shapes: tuple[Shape, ...]) -> list[str]:
    """The axes on which the windows, padded as they say, do not make the output's size."""
    out = op.output(*shapes)
    if len(out) != len(shapes[0]) or getattr(op, "ceil_mode", False):
        return []
    found = []
    first = 1 if layout_of(op, shapes[0]) == "tokens" else 2
    for axis, window in enumerate(windows, first):
        if window.kernel == 0:
            continue
        spread = (shapes[0][axis] - 1) * window.upsample + 1
        made = (spread + window.before + window.after - window.reach) // window.stride + 1
        if made != out[axis]:
            found.append(f"axis {axis}: {made}, not {out[axis]}")
    return found


# ---------------------------------------------------------------------------- what is built


def built_differences(op: Op, expected: nn.Module, shapes: tuple[Shape, ...]) -> list[str]:
    """What of the built module differs from PyTorch's: its settings, its values."""
    built = op.build(NN, *shapes)
    found = []
    if type(built) is type(expected):
        theirs = settings(expected)
        found = [key for key, value in settings(built).items() if value != theirs[key]]
    built.load_state_dict(expected.state_dict())
    ours, wanted = (run(module.eval(), values(shapes)) for module in (built, expected))
    try:
        torch.testing.assert_close(ours, wanted, equal_nan=True)
    except AssertionError:
        found.append("values")
    return found


def settings(module: nn.Module) -> dict[str, Any]:
    """The public settings of a module; one number for equal ones."""
    found = {}
    for key, value in vars(module).items():
        if key.startswith("_") or key == "training" or isinstance(value, Tensor):
            continue
        if isinstance(value, (tuple, list)) and value and all(v == value[0] for v in value):
            value = value[0]
        found[key] = tuple(value) if isinstance(value, list) else value
    return found


def takes_like(op: Op) -> bool:
    return any(isinstance(argument, Like) for argument in op.arguments)
