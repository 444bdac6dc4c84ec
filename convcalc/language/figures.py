"""What a design says of itself: `expect` and `budget`.

    expect: {params: 138_357_544, macs: 15.47G, output: [1000]}
    budget: {params: 5M, macs: 600M, training_peak: 4GiB, batch: 32, optimizer: adam}

An integer is exact; a number with a suffix means "rounds to this" in `expect` and is an upper bound
in `budget`. K, M, G, T are powers of 1000, of bytes KB, MB, GB, TB too; KiB, MiB, GiB, TiB, for
bytes alone, powers of 1024. A claim about memory is at one sample, and without an optimizer, where
`batch` and `optimizer` beside it say nothing else.
"""

from __future__ import annotations

import re

from convcalc.language.expressions import Expr
from convcalc.language.faults import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.errors import Place

#: Figure → whether it counts bytes. A file's key → JSON's key in `totals`: bytes end in `_bytes`.
FIGURES = {
    "params": False,
    "trainable_params": False,
    "buffers": False,
    "aux_params": False,
    "macs": False,
    "weights": True,
    "allocated": True,
    "saved": True,
    "inference_peak": True,
    "training_peak": True,
}
#: What depends on the batch and the optimizer that stand beside it.
MEMORY = ("allocated", "saved", "inference_peak", "training_peak")
#: What a step of training may be taken by; momentum is SGD with momentum.
OPTIMIZERS = ("none", "sgd", "momentum", "adam", "adamw")
#: What memory is claimed at, besides the figures of `expect` and `budget`.
SETTINGS = ("batch", "optimizer")
#: What may be claimed of one step.
STEP_FIGURES = ("params", "macs")

_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BYTES = {**_DECIMAL, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, **_BINARY}
_AMOUNT = re.compile(r"([0-9][0-9_]*)(?:\.([0-9]+))?(?:[eE]([0-9]{1,2}))?\s*([A-Za-z]*)$")


class Amount:
    """A number as it was claimed: `digits` / `scale` × `unit`.

    exact: whether it stands for itself alone, rather than for all that rounds to it.
    """

    __slots__ = ("digits", "exact", "scale", "text", "unit")

    def __init__(self, digits: int, scale: int, unit: int, exact: bool, text: str) -> None:
        self.digits = digits
        self.scale = scale
        self.unit = unit
        self.exact = exact
        self.text = text

    def matches(self, figure: int) -> bool:
        """Whether the figure is this, or (not exact) rounds to it at the digits given."""
        off = abs(figure * self.scale - self.digits * self.unit)
        return off == 0 if self.exact else 2 * off <= self.unit

    def allows(self, figure: int) -> bool:
        """Whether the figure is at most this."""
        return figure * self.scale <= self.digits * self.unit

    def __str__(self) -> str:
        return self.text


class Claim:
    """One line of an `expect` or `budget`.

    amount: the number claimed, None for the key `output`.
    shape: for `output` a list of sizes, as an expression over `vars`.
    value_start, value_end: where the value stands; start, end: the key.
    batch, optimizer: of a figure of `MEMORY`, at what it is meant.
    """

    __slots__ = (
        "amount",
        "batch",
        "end",
        "key",
        "optimizer",
        "output",
        "shape",
        "start",
        "value_end",
        "value_start",
    )

    def __init__(
        self,
        key: str,
        amount: Amount | None,
        shape: Expr | None,
        key_span: tuple[int, int],
        value_span: tuple[int, int],
        output: str | None = None,
    ) -> None:
        self.key = key
        self.amount = amount
        self.shape = shape
        self.start, self.end = key_span
        self.value_start, self.value_end = value_span
        self.output = output
        self.batch = 1
        self.optimizer = OPTIMIZERS[0]


class Expected:
    """A claim about the network, ready to be compared.

    key: a figure of `FIGURES`, or "output".
    wanted: an Amount; for "output" the shape of one sample, without the batch.
    output: for "output" the name of the output meant, or None for the only one.
    place: the value in the file.
    batch, optimizer: of a figure of `MEMORY`, at what it is meant.
    """

    __slots__ = ("batch", "key", "optimizer", "output", "place", "wanted")

    def __init__(
        self,
        key: str,
        wanted: Amount | tuple[int, ...],
        place: Place,
        output: str | None = None,
        batch: int = 1,
        optimizer: str = OPTIMIZERS[0],
    ) -> None:
        self.key = key
        self.wanted = wanted
        self.place = place
        self.output = output
        self.batch = batch
        self.optimizer = optimizer

    def __repr__(self) -> str:
        return f"Expected({self.key}: {self.wanted})"


def total_key(figure: str) -> str:
    """The name of a figure in the JSON report's `totals`."""
    return f"{figure}_bytes" if FIGURES[figure] else figure


def parse_amount(key: str, text: str, start: int, end: int) -> Amount:
    """The number behind a key of `expect` or `budget`. Raises Fault."""
    match = _AMOUNT.match(text)
    if not match:
        raise Fault(
            f"{key} must be a number, as 138_357_544 or 15.47G, not {text!r}",
            start,
            end,
            "write it without quotes, commas or an approximate sign",
        )
    whole, fraction, exponent, suffix = match.groups()
    units = _BYTES if FIGURES[key] else _DECIMAL
    if suffix not in units:
        raise Fault(
            f"{suffix!r} is no unit of {key}",
            start,
            end,
            f"one of {', '.join(filter(None, units))}",
        )
    if "__" in whole or whole.endswith("_") or len(text) > 60:
        raise Fault(f"{key} must be a number, not {text[:60]!r}", start, end)
    digits_text = whole.replace("_", "") + (fraction or "")
    decimals = len(fraction or "") - int(exponent or 0)
    digits = int(digits_text) * 10 ** max(0, -decimals)
    scale = 10 ** max(0, decimals)
    if len(whole) > 1 and whole[0] == "0":
        raise Fault(f"a number with a zero before it: {text}", start, end)
    if not suffix and digits % scale:
        raise Fault(
            f"{key} without a unit is exact and must be a whole number, not {text}",
            start,
            end,
            f"write {text}M or {text}G, which means: rounds to this",
        )
    return Amount(digits, scale, units[suffix], not suffix, text)
