"""The options that commands share, and what they mean."""

from __future__ import annotations

import sys

from convcalc.analysis.summary import DTYPES
from convcalc.cli.parser import Option, UsageError
from convcalc.language.document import Document, parse_text
from convcalc.language.figures import OPTIMIZERS
from convcalc.language.reader import decode
from convcalc.network import Network, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from convcalc.cli.parser import Values
    from convcalc.network import Inputs

    Shape = tuple[int | str, ...]


DEVICES = ("cpu", "cuda")
FILE = ("FILE", "a YAML file, the name of a network of the zoo, or - for stdin")


def design_options() -> list[Option]:
    """--variant, --set, --input, --batch and --dtype."""
    return [
        Option("variant", "NAME", "one of the design's variants"),
        Option(
            "set",
            "NAME=VALUE",
            "a value for one of its vars, as the language writes it; may be repeated",
            repeated=True,
        ),
        Option(
            "input",
            "SHAPE",
            "another input, without the batch: 3x227x227; left=3x32x32 where there are several; a "
            "name in capitals leaves a size open: 3xHxW",
            repeated=True,
        ),
        *run_options(),
    ]


def run_options() -> list[Option]:
    """--batch and --dtype."""
    return [
        Option("batch", "N", "number of samples; 1 where it is not given", "1"),
        Option("dtype", "TYPE", f"of weights and values: {', '.join(DTYPES)}", DTYPES[0]),
    ]


STRICT = Option("strict", "", "exit with 1 where there are warnings but field-exceeds-input")
FREEZE = Option(
    "freeze",
    "LAYERS",
    "layers whose parameters do not train: layers.0-5 for the first of the top level, or paths, as "
    "Bottleneck[0-2]; none thaws all; may be repeated",
    repeated=True,
)


def memory_options() -> list[Option]:
    """Of the step of training whose peak is told."""
    return [
        Option("optimizer", "NAME", ", ".join(OPTIMIZERS), OPTIMIZERS[0]),
        Option("foreach", "", "the optimizer steps through lists of tensors, as on a GPU"),
        Option("no-foreach", "", "tensor by tensor, as PyTorch does on the CPU"),
        Option("weight-decay", "", "the optimizer has a weight decay"),
        Option("kernels", "DEVICE", f"whose memory is told: {', '.join(DEVICES)}", DEVICES[0]),
    ]


def memory(values: Values) -> dict[str, Any]:
    """The values of `memory_options`, as `Network.summary` takes them."""
    if values["foreach"] and values["no-foreach"]:
        raise UsageError("--foreach and --no-foreach cannot both be", "leave one of them out")
    foreach = values["foreach"] or (False if values["no-foreach"] else None)
    return {
        "device": choice("--kernels", values["kernels"], DEVICES),
        "optimizer": choice("--optimizer", values["optimizer"], OPTIMIZERS),
        "foreach": foreach,
        "weight_decay": values["weight-decay"],
    }


def frozen(words: Sequence[str]) -> list[str]:
    """The words of --freeze."""
    if not words:
        return []
    from convcalc.language.freezing import split

    found = [word for text in words for word, _ in split(text)]
    if not found:
        raise UsageError("--freeze names no layer", "as in --freeze layers.0-5")
    return found


def network(values: Values) -> Network:
    """The design that FILE names, as --variant, --set and --freeze have it."""
    settings, layers = assignments(values["set"]), frozen(values["freeze"])
    return Network(read_document(values["file"]), values["variant"], settings, layers)


def flowing(values: Values) -> tuple[Inputs | None, int, str]:
    """What flows in, by --input, --batch and --dtype."""
    return inputs(values["input"]), batch(values["batch"]), dtype(values["dtype"])


def read_document(file: str) -> Document:
    """The design that a FILE argument names."""
    if file == "-":
        if sys.stdin is None:
            raise UsageError("stdin, from which the design was to come, is closed")
        return parse_text(decode(sys.stdin.buffer.read(), "<stdin>"))
    return read(file)


def assignments(words: Sequence[str]) -> dict[str, str]:
    """The values of --set."""
    values: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        name = name.strip()
        if not sign or not name or not value.strip():
            raise UsageError(f"--set takes NAME=VALUE, not {word!r}", "as in --set alpha=1.4")
        if name in values:
            raise UsageError(f"--set gives {name} twice")
        values[name] = value
    return values


def inputs(words: Sequence[str]) -> Inputs | None:
    """The shapes of --input: one shape, or shapes by name; None where there is none."""
    named: dict[str, Shape] = {}
    for word in words:
        name, sign, text = word.rpartition("=")
        if not sign and len(words) > 1:
            raise UsageError(
                f"of several inputs each has a name, and {word!r} has none",
                "as in --input left=3x32x32 --input right=3x32x32",
            )
        if name in named:
            raise UsageError(f"--input gives {name or 'the input'} twice")
        named[name] = _shape(text, word)
    if not named:
        return None
    return named.get("", named)


def layer_inputs(words: Sequence[str]) -> dict[str, Shape]:
    """The shapes of --input where a size may be `?`; those without a name are numbered."""
    named: dict[str, Shape] = {}
    for word in words:
        name, sign, text = word.rpartition("=")
        if not sign:
            name = "input" if not named else f"input{len(named) + 1}"
        elif not (name.isidentifier() and name.isascii()):
            raise UsageError(f"--input: {name!r} is no name", "as in --input skip=64x56x56")
        if name in named:
            raise UsageError(f"--input gives {name} twice")
        named[name] = _shape(text, word, unknown=True)
    return named


def sizes(word: str) -> list[int | None]:
    """The sizes of --output: one for all axes, or one for each, ? for any."""
    found: list[int | None] = []
    for part in word.replace("×", "x").split("x"):
        part = part.strip()
        if part == "?":
            found.append(None)
        elif part.isdecimal() and part.isascii() and len(part) < 10 and int(part) > 0:
            found.append(int(part))
        else:
            raise UsageError(f"--output takes sizes, as 7, 7x7 or 7x?, not {word!r}")
    return found


def _shape(text: str, word: str, *, unknown: bool = False) -> Shape:
    sizes: list[int | str] = []
    for part in text.replace("×", "x").replace(",", "x").split("x"):
        part = part.strip(" []()")
        if part.isdecimal() and part.isascii() and int(part) > 0 and len(part) < 20:
            sizes.append(int(part))
        elif (part.isidentifier() and part.isascii() and part.isupper()) or (
            unknown and part == "?"
        ):
            sizes.append(part)
        else:
            raise UsageError(
                f"--input takes sizes without the batch, as 3x224x224, not {word!r}",
                "each is a whole number of at least 1, or a name in capitals for an open size",
            )
    return tuple(sizes)


def symbolic(word: str | None) -> bool | tuple[str, ...]:
    """What --symbolic leaves open: nothing; batch and spatial sizes; and the vars it names."""
    if word is None:
        return False
    names = tuple(name.strip() for name in word.split(","))
    for name in names:
        if not name.isidentifier() and word.strip():
            raise UsageError(
                f"--symbolic takes names of vars, not {word!r}", "as in --symbolic width,classes"
            )
    return names if word.strip() else True


def symbolic_option() -> Option:
    """--symbolic, with or without names."""
    return Option(
        "symbolic",
        "VARS",
        "leave batch and spatial sizes open (N, H, W), and the vars named, joined by commas: "
        "figures become formulas",
        bare=True,
    )


def batch(word: str) -> int:
    """The number of --batch."""
    if not (word.isdecimal() and word.isascii()) or not 0 < len(word) < 20 or int(word) < 1:
        raise UsageError(f"--batch takes a whole number of at least 1, not {word!r}")
    return int(word)


def dtype(word: str) -> str:
    """The name of --dtype."""
    if word not in DTYPES:
        raise UsageError(f"--dtype takes one of {', '.join(DTYPES)}, not {word!r}")
    return word


def choice(option: str, word: str, words: Sequence[str]) -> str:
    """The word of an option that takes one of a few."""
    if word not in words:
        from convcalc.errors import closest

        near = closest(word, words)
        raise UsageError(
            f"{option} takes one of {', '.join(words)}, not {word!r}",
            f"did you mean {near}?" if near else None,
        )
    return word


def whole(option: str, word: str | None) -> int | None:
    """The number of an option that takes a whole number of at least 1."""
    if word is None:
        return None
    if not (word.isdecimal() and word.isascii()) or not 0 < len(word) < 10 or int(word) < 1:
        raise UsageError(f"{option} takes a whole number of at least 1, not {word!r}")
    return int(word)
