"""What reports say alike: which design it is, what flows in, what the names of sizes stand for."""

from __future__ import annotations

from convcalc.report import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from convcalc.analysis.summary import Summary
    from convcalc.integers import Size
    from convcalc.network import Network

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def design(named: Summary | Network) -> str:
    """`ResNet, resnet50`; without a variant the name alone."""
    return f"{named.name}, {named.variant}" if named.variant else named.name


def inputs(shapes: Mapping[str, Sequence[Size]]) -> str:
    """`left 3×32×32, right 3×32×32`: every input, without the batch."""
    return ", ".join(f"{name} {numbers.shape(shape[1:])}" for name, shape in shapes.items())


def flowing(summary: Summary) -> str:
    """`input 3×224×224; batch 1; float32`."""
    return f"{inputs(summary.inputs)}; batch {numbers.count(summary.batch)}; {summary.dtype}"


def together(sizes: Mapping[str, Size]) -> Iterable[list[str]]:
    """Names of sizes that bear the same number: h1 with w1."""
    groups: dict[str, list[str]] = {}
    for name in sizes:
        groups.setdefault(name.lstrip(_LETTERS), []).append(name)
    return groups.values()


def definitions(sizes: Mapping[str, Size]) -> list[str]:
    """Lines that tell what each name stands for; none where there is no name."""
    lines = [
        f"  {', '.join(f'{name} = {numbers.count(sizes[name])}' for name in names)}"
        for names in together(sizes)
    ]
    return ["where (// rounds down)", *lines] if lines else []


def deeper(depth: int, levels: int) -> str:
    """What to write to see what is hidden."""
    return f"Depth {depth} of {levels}; --depth {depth + 1} shows more, --all every layer."
