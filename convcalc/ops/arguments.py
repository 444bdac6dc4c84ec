"""Arguments of layers: declared one a line in the op's class, converted and checked in one place.

    class MaxPool2d(Op):
        kernel_size = sizes(minimum=1)
        stride = sizes(None, minimum=1, doc="kernel_size where not given")

Each such line makes an `Argument` of the class; an instance holds the converted value under the
same name. Names, order and defaults are torch.nn's, those of its Lazy form where it has one.
"""

from __future__ import annotations

from collections.abc import Sequence

from convcalc.errors import LayerError
from convcalc.integers import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class Argument:
    """One argument of a layer.

    words: bare words that it takes (`same`, `reflect`), possibly none.
    describe: what it takes, for messages and the reference ("a whole number of at least 1").
    """

    words: tuple[str, ...] = ()
    describe = "a value"

    def __init__(self, default: Any = REQUIRED, doc: str = "") -> None:
        self.name = ""
        self.default = default
        self.doc = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def convert(self, value: Any, spatial: int) -> Any:
        """The value in the op's own form; raises LayerError. `spatial`: the op's number of axes."""
        raise NotImplementedError

    def schema(self, spatial: int) -> dict[str, Any]:
        """What a literal value looks like, as JSON Schema."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """A value, converted or not, as it is written in the language."""
        return value if isinstance(value, str) else show(value)

    def wrong(self, value: Any, help: str | None = None) -> LayerError:
        return LayerError(
            f"{self.name} must be {self.describe}, not {show(value)}", help, argument=self.name
        )


def show(value: Any) -> str:
    """A value as it is written in the language."""
    if value is None:
        return "none"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(show, value))
        return f"({inner})" if len(value) > 1 else f"[{inner}]"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if hasattr(value, "denominator") and not isinstance(value, int):
        return f"{float(value):.12g}"  # an exact rational
    return str(value)


def is_whole(value: Any) -> bool:
    """An int (not a bool) or a formula."""
    return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, Formula)


def is_real(value: Any) -> bool:
    """An int, float or exact rational (not a bool)."""
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    return hasattr(value, "numerator") and hasattr(value, "denominator")


class Count(Argument):
    """A whole number, or a formula."""

    def __init__(self, default: Any, minimum: int, doc: str) -> None:
        super().__init__(default, doc)
        self.minimum = minimum
        self.describe = f"a whole number of at least {minimum}"

    def convert(self, value: Any, spatial: int) -> Any:
        if value is None and self.default is None:
            return None
        if not is_whole(value):
            raise self.wrong(value, _rounding_help(value))
        if isinstance(value, int) and value < self.minimum:
            raise self.wrong(value)
        return value

    def schema(self, spatial: int) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum}


class Sizes(Argument):
    """One whole number for all axes, or a list of one for each; some take words too.

    minimum: None for a number of any sign.
    sides: 2 for one number a side of each axis (ZeroPad2d).
    holes: entries of a list may be `none` (AdaptiveAvgPool2d).
    """

    def __init__(
        self,
        default: Any,
        minimum: int | None,
        doc: str,
        words: tuple[str, ...] = (),
        sides: int = 1,
        holes: bool = False,
    ) -> None:
        super().__init__(default, doc)
        self.minimum = minimum
        self.words = words
        self.sides = sides
        self.holes = holes
        least = "of any sign" if minimum is None else f"of at least {minimum}"
        each = "side of each axis" if sides == 2 else "axis"
        self.describe = f"a whole number {least}, or one for each {each}"
        if holes:
            self.describe += " with none for one that stays as it is"
        if words:
            self.describe += f", or {' or '.join(words)}"

    def convert(self, value: Any, spatial: int) -> Any:
        if value is None and self.default is None:
            return None
        if isinstance(value, str) and value in self.words:
            return value
        want = spatial * self.sides
        if isinstance(value, (list, tuple)):
            if len(value) != want:
                raise LayerError(
                    f"{self.name} has {len(value)} numbers, but {want} are wanted here",
                    f"give one number for all, or {want} in parentheses",
                    argument=self.name,
                )
            entries = tuple(value)
        else:
            entries = (value,) * want
        for entry in entries:
            if entry is None and self.holes and isinstance(value, (list, tuple)):
                continue
            if not is_whole(entry):
                raise self.wrong(value, _rounding_help(entry))
            if self.minimum is not None and isinstance(entry, int) and entry < self.minimum:
                raise self.wrong(value)
        return entries

    def write(self, value: Any) -> str:
        if isinstance(value, (tuple, list)) and value and all(v == value[0] for v in value):
            value = value[0] if value[0] is not None else value
        return super().write(value)

    def schema(self, spatial: int) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "integer"}
        if self.minimum is not None:
            number["minimum"] = self.minimum
        want = spatial * self.sides
        entry = {"anyOf": [number, {"enum": ["none"]}]} if self.holes else number
        several = {"type": "array", "items": entry, "minItems": want, "maxItems": want}
        options: list[dict[str, Any]] = [number, several]
        if self.words:
            options.append({"enum": list(self.words)})
        return {"anyOf": options}


class Lengths(Argument):
    """A list of whole numbers, as many as the value that flows in asks for.

    single: one number stands for as many as are asked for, and is held as that number.
    rest: one entry may be -1, "what is left" (Unflatten).
    """

    def __init__(self, default: Any, single: bool, rest: bool, doc: str) -> None:
        super().__init__(default, doc)
        self.single = single
        self.rest = rest
        self.describe = "a list of whole numbers of at least 1"
        if single:
            self.describe = "a whole number of at least 1, or a list of one for each axis"
        if rest:
            self.describe += ", one of which may be -1"

    def convert(self, value: Any, spatial: int) -> Any:
        if value is None and self.default is None:
            return None
        if not isinstance(value, (list, tuple)):
            if not self.single:
                raise self.wrong(value, f"write a list: [{show(value)}]")
            self._check(value, value)
            return value
        if not value:
            raise self.wrong(value)
        for entry in value:
            if not (self.rest and isinstance(entry, int) and entry == -1):
                self._check(entry, value)
        if sum(isinstance(entry, int) and entry == -1 for entry in value) > 1:
            raise self.wrong(value)
        return tuple(value)

    def write(self, value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return f"[{', '.join(map(show, value))}]"
        return super().write(value)

    def _check(self, entry: Any, value: Any) -> None:
        if not is_whole(entry):
            raise self.wrong(value, _rounding_help(entry))
        if isinstance(entry, int) and entry < 1:
            raise self.wrong(value)

    def schema(self, spatial: int) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1}
        entry = {"anyOf": [number, {"enum": [-1]}]} if self.rest else number
        several = {"type": "array", "items": entry, "minItems": 1}
        return {"anyOf": [number, several]} if self.single else several


class Axis(Argument):
    """An axis of the value that flows in: 1 the channels, 2 the first spatial one, -1 the last."""

    describe = "an axis: 1 for the channels, 2 for the first after them, …, or -1 for the last"

    def convert(self, value: Any, spatial: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(value)
        if value == 0:
            raise self.wrong(value, "axis 0 is the batch: no layer works across samples")
        return value

    def schema(self, spatial: int) -> dict[str, Any]:
        return {"type": "integer", "not": {"enum": [0]}}


class Scale(Argument):
    """A factor of sizes: a positive number, or a list of one for each axis.

    Held as an int or an exact Fraction, or a tuple of such.
    """

    describe = "a positive number, or a list of one for each axis"

    def convert(self, value: Any, spatial: int) -> Any:
        if value is None and self.default is None:
            return None
        if isinstance(value, (list, tuple)) and value:
            return tuple(self._ratio(entry, value) for entry in value)
        return self._ratio(value, value)

    def _ratio(self, entry: Any, value: Any) -> Any:
        from fractions import Fraction  # 3 ms, for a rare argument

        if not is_real(entry):
            raise self.wrong(value)
        try:
            exact = Fraction(entry)
        except (ValueError, OverflowError):  # nan, inf
            raise self.wrong(value) from None
        simple = exact.limit_denominator(10_000)
        if isinstance(entry, float) and float(simple) == entry:
            exact = simple
        if not 0 < exact <= 1_000_000 or exact.denominator > 10_000:
            raise self.wrong(value, "a factor is a ratio of small numbers, like 2 or 3/2")
        # PyTorch computes floor(size · factor) in doubles. That is the exact floor for every size
        # if the double nearest to the factor lies no more than half a last place below it.
        if 1 - Fraction(float(exact)) / exact > Fraction(1, 2**54):
            raise LayerError(
                f"{self.name} {show(float(exact))} times a size can fall just short of a whole "
                "number in floating point, as PyTorch computes it",
                "give the size itself: size=",
                argument=self.name,
            )
        return exact.numerator if exact.denominator == 1 else exact

    def write(self, value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return f"[{', '.join(map(str, value))}]"
        return super().write(value) if value is None else str(value)

    def schema(self, spatial: int) -> dict[str, Any]:
        number = {"type": "number", "exclusiveMinimum": 0}
        return {"anyOf": [number, {"type": "array", "items": number, "minItems": 1}]}


class Flag(Argument):
    """true or false."""

    describe = "true or false"

    def convert(self, value: Any, spatial: int) -> bool:
        if value is True or value is False:
            return bool(value)
        raise self.wrong(value)

    def schema(self, spatial: int) -> dict[str, Any]:
        return {"type": "boolean"}


class Real(Argument):
    """A number that changes values but no size: eps, a slope, a probability."""

    def __init__(
        self, default: Any, low: float, high: float, doc: str, optional: bool = False
    ) -> None:
        super().__init__(default, doc)
        self.low = low
        self.high = high
        self.optional = optional or default is None
        if high == float("inf"):
            self.describe = "a number" if low == -high else f"a number of at least {low:g}"
        else:
            self.describe = f"a number from {low:g} to {high:g}"
        if self.optional:
            self.describe += ", or none"

    def convert(self, value: Any, spatial: int) -> float | None:
        if value is None and self.optional:
            return None
        if not is_real(value):
            raise self.wrong(value)
        try:
            number = float(value)
        except OverflowError:
            raise self.wrong(value) from None
        if not self.low <= number <= self.high or number in (float("inf"), -float("inf")):
            raise self.wrong(value)
        return number

    def schema(self, spatial: int) -> dict[str, Any]:
        limits = {"minimum": self.low, "maximum": self.high}
        number = {"type": "number", **{k: v for k, v in limits.items() if abs(v) != float("inf")}}
        return {"anyOf": [number, {"enum": ["none"]}]} if self.optional else number


class Choice(Argument):
    """One of a few words."""

    def __init__(self, words: tuple[str, ...], default: Any, doc: str) -> None:
        super().__init__(default, doc)
        self.words = words
        self.describe = f"one of {', '.join(words)}"

    def convert(self, value: Any, spatial: int) -> str:
        if value is None and "none" in self.words:
            return "none"  # torch.nn has it as a word (GELU), the language as a value
        if isinstance(value, str) and value in self.words:
            return value
        raise self.wrong(value)

    def schema(self, spatial: int) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Like(Argument):
    """A named output whose size is taken. It is no value of the op but one more input of it; the
    op holds True where it is given, and None where it need not be."""

    describe = "a named output, or input"

    def convert(self, value: Any, spatial: int) -> Any:
        if value is True:
            return True
        raise self.wrong(value)

    def write(self, value: Any) -> str:
        return "none" if value is None else self.name

    def schema(self, spatial: int) -> dict[str, Any]:
        return {"type": "string"}


def _rounding_help(value: Any) -> str | None:
    if is_real(value) and not is_whole(value):
        return "round it: int(…), round(…), ceil(…), or // instead of /"
    return None


# What an op's class body calls. They are typed as what an instance holds, not as the Argument that
# the class holds, in the way of dataclasses.field.


def count(default: Any = REQUIRED, *, minimum: int = 1, doc: str = "") -> Any:
    return Count(default, minimum, doc)


def sizes(
    default: Any = REQUIRED,
    *,
    minimum: int | None = 0,
    words: Sequence[str] = (),
    sides: int = 1,
    holes: bool = False,
    doc: str = "",
) -> Any:
    return Sizes(default, minimum, doc, tuple(words), sides, holes)


def lengths(
    default: Any = REQUIRED, *, single: bool = False, rest: bool = False, doc: str = ""
) -> Any:
    return Lengths(default, single, rest, doc)


def axis(default: Any = REQUIRED, *, doc: str = "") -> Any:
    return Axis(default, doc)


def scale(default: Any = REQUIRED, *, doc: str = "") -> Any:
    return Scale(default, doc)


def flag(default: Any = REQUIRED, *, doc: str = "") -> Any:
    return Flag(default, doc)


def real(
    default: Any = REQUIRED,
    *,
    low: float = -float("inf"),
    high: float = float("inf"),
    optional: bool = False,
    doc: str = "",
) -> Any:
    return Real(default, low, high, doc, optional)


def choice(*words: str, default: Any = REQUIRED, doc: str = "") -> Any:
    return Choice(words, default, doc)


def like(default: Any = REQUIRED, *, doc: str = "") -> Any:
    return Like(default, doc)
