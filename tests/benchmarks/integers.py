"""What sizes cost as ints and as formulas, without the rest of convcalc.

    python -m tests.benchmarks.integers

A ResNet-152 of 516 nodes by bare arithmetic (sizes, parameters, MACs, activations), then single
operations, decisions, and a sweep over a million sizes.
"""

from __future__ import annotations

import timeit
from typing import Any

from convcalc import integers
from convcalc.integers import Names, compile_formula, evaluate, symbol, total
from tests.benchmarks.timing import call_ms, machine, table

N, H, W = symbol("N"), symbol("H"), symbol("W")


def resnet152(batch: Any, height: Any, width: Any, names: Names | None) -> tuple[Any, Any, Any]:
    """Parameters, MACs and activation elements; `names` names the sizes of formulas."""
    params = 0
    macs, elements = [], []

    def size(x: Any, kernel: int, stride: int, padding: int, letter: str) -> Any:
        if stride == 1:
            return x + (2 * padding - kernel + 1)
        out = (x + (2 * padding - kernel)) // stride + 1
        return out if names is None else names.name(out, letter)

    def conv(value: Any, out: int, kernel: int, stride: int, padding: int) -> Any:
        nonlocal params
        channels, h, w = value
        h, w = size(h, kernel, stride, padding, "h"), size(w, kernel, stride, padding, "w")
        area, weights = batch * h * w, channels * out * kernel * kernel
        params += weights + 2 * out
        macs.append(area * weights)
        elements.extend(area * out for _ in range(3))  # convolution, normalisation, activation
        return out, h, w

    channels, h, w = conv((3, height, width), 64, 7, 2, 3)
    value = channels, size(h, 3, 2, 1, "h"), size(w, 3, 2, 1, "w")
    for stage, count in enumerate((3, 8, 36, 3)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            before = value
            value = conv(before, 64 << stage, 1, 1, 0)
            value = conv(value, 64 << stage, 3, stride, 1)
            value = conv(value, 256 << stage, 1, 1, 0)
            if not block:
                conv(before, 256 << stage, 1, stride, 0)
            elements.append(batch * value[1] * value[2] * value[0])
    return params, total(macs), total(elements)


def microseconds(statement: str, scope: dict[str, Any]) -> str:
    timer = timeit.Timer(statement, globals=scope)
    count, _ = timer.autorange()
    return f"{min(timer.repeat(5, count)) / count * 1e6:.2f}"


def main() -> None:
    ints = call_ms(lambda: resnet152(1, 224, 224, None), 50)
    formulas = call_ms(lambda: resnet152(N, H, W, Names()), 50)
    _, macs, _ = resnet152(N, H, W, Names())
    assert evaluate(macs, {"N": 1, "H": 224, "W": 224}) == resnet152(1, 224, 224, None)[1]
    scope = {
        **{name: getattr(integers, name) for name in integers.__all__},
        "H": H,
        "f": (H + 1) // 2 * 3 + W,
        "g": (W - 1) // 4 + H,
        "macs": macs,
        "point": {"N": 1, "H": 224, "W": 224},
        "run": compile_formula(macs),
    }
    statements = [
        "f + 1", "f + g", "f * 3", "f * g", "f // 2", "(f - 1)//2 + 1", "hash(f + 1)", "f == g",
        "to_text(macs)", "parse('3*((H + 1)//2) + W')", "evaluate(macs, point)", "run(point)",
        "equal(H//2 + (H + 1)//2, H)", "equal(sum((H + i)//32 for i in range(32)), H)",
        "at_least((H - 35)//32, -2)", "equal_classes(16*(H//16), H)",
    ]  # fmt: skip
    print(machine())
    print(f"ResNet-152: ints {ints:.2f} ms, formulas {formulas:.2f} ms")
    rows = [["operation", "µs"], *([s, microseconds(s, scope)] for s in statements)]
    print(table(rows))
    try:
        import numpy as np
    except ImportError:
        return
    points = {"N": 2, "H": np.arange(32, 1_000_032), "W": np.arange(1_000_032, 32, -1)}
    print(f"MACs at a million sizes: {call_ms(lambda: evaluate(macs, points), 5):.0f} ms")


if __name__ == "__main__":
    main()
