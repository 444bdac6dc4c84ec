"""Figures as people read them."""

from __future__ import annotations

from convcalc.integers import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from convcalc.integers import Size

#: In the place of a figure that is zero, or that there is none of.
NONE = "–"
TIMES = "×"

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_POWERS = ("", "K", "M", "G", "T", "P")
_BAR = " ▏▎▍▌▋▊▉█"


def count(size: Size) -> str:
    """A number with thousands separators; formulas likewise."""
    if isinstance(size, Formula):
        from convcalc.integers import pretty

        return pretty(size)
    return f"{size:,}"


def compact(number: int) -> str:
    """Four digits and a power of 1000: 138.4M, 15.47G."""
    spare = 10 ** max(0, len(str(number)) - 4)
    number = (2 * number + spare) // (2 * spare) * spare
    power = min((len(str(number)) - 1) // 3, len(_POWERS) - 1)
    if power == 0:
        return str(number)
    whole, rest = divmod(number, 1000**power)
    decimals = max(0, 4 - len(str(whole)))
    return f"{whole}.{str(rest).zfill(3 * power)[:decimals]}".rstrip(".") + _POWERS[power]


def shape(sizes: Iterable[Size]) -> str:
    """64×56×56; a size that is a sum stands in parentheses."""
    texts = [count(s) if isinstance(s, Formula) else str(s) for s in sizes]
    if len(texts) > 1:
        texts = [text if text.isalnum() else f"({text})" for text in texts]
    return TIMES.join(texts)


def memory(size: int) -> str:
    """Bytes in the largest unit of which there is at least one: 527.8 MiB."""
    power = 0
    while power + 1 < len(_UNITS) and size >= 1024 ** (power + 1):
        power += 1
    if power == 0:
        return f"{size} bytes"
    tenths = (size * 20 // 1024**power + 1) // 2  # whole numbers: a size may be too large for float
    return f"{tenths // 10:,}.{tenths % 10} {_UNITS[power]}"


def plural(number: int, noun: str) -> str:
    """1 layer, 2 layers."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(part: int, whole: int) -> str:
    """With one decimal; – for no part at all."""
    if not part or not whole:
        return NONE
    tenths = (2000 * part + whole) // (2 * whole)
    return f"{tenths // 10:,}.{tenths % 10} %" if tenths else "<0.1 %"


def signed(size: Size) -> str:
    """A difference with its sign: +1,024; +2·N·H; formulas as they begin."""
    text = count(size)
    return text if text.startswith("-") else f"+{text}"


def signed_percent(part: int, whole: int) -> str:
    """+90.8 %, -0.3 %."""
    return f"{'-' if part < 0 else '+'}{percent(abs(part), whole)}"


def bar(part: int, whole: int, width: int) -> str:
    """A bar of that width for the whole, padded with spaces."""
    eighths = part * width * 8 // whole if whole else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BAR[rest] if rest else "")).ljust(width)
