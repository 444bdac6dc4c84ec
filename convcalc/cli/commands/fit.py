"""convcalc fit: which input sizes a design takes, and which fit."""

from __future__ import annotations

from convcalc.cli import FAILED, OK, console, options
from convcalc.cli.parser import Option, Parser, UsageError
from convcalc.language.faults import Fault
from convcalc.language.figures import parse_amount
from convcalc.report import fit as told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.analysis.budget import Largest
    from convcalc.analysis.fit import Fit
    from convcalc.cli.parser import Values

FORMATS = ("table", "json", "markdown")


def parser() -> Parser:
    return Parser(
        "fit",
        "Which input sizes a design takes, for all of them at once: for which every stride reads "
        "everything, where joined branches agree, the smallest that is valid, and backwards, which "
        "give a wanted output or keep a budget. Each answer is proved, or labelled unknown.",
        argument=options.FILE,
        groups={
            "the design": [*options.design_options(), options.FREEZE],
            "questions": [
                Option("output", "SIZES", "which inputs give the last map this size: 7, 7x7, 7x?"),
                Option("at", "PATH", "ask --output of this layer instead"),
                Option("macs", "AMOUNT", "the largest batch and input under so many: 5G"),
                Option("params", "AMOUNT", "the largest input under so many: 60M"),
                Option(
                    "memory",
                    "AMOUNT",
                    "the largest batch and input in so many bytes, weights and all: 24GiB",
                ),
                Option(
                    "training", "", "for --memory: a step of training; so where nothing is said"
                ),
                Option("inference", "", "for --memory: a forward pass alone"),
                Option("verify", "", "run PyTorch at the sizes where answers change, and compare"),
                Option("device", "DEVICE", "for --verify: auto, cpu, cuda, cuda:1", "auto"),
            ],
            "memory": options.memory_options(),
            "the report": [
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
                Option("aux", "", "with the layers that serve training-only outputs"),
            ],
        },
        examples=[
            "convcalc fit vgg16",
            "convcalc fit vgg16 --output 7",
            "convcalc fit unet_padded --format markdown",
            "convcalc fit resnet --macs 5G --batch 8",
            "convcalc fit lenet5 --memory 1GiB --optimizer adam",
            "convcalc fit alexnet --input 3x227xW",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    shape, batch, dtype = options.flowing(values)
    wanted = None if values["output"] is None else _sizes(values["output"])
    if wanted is None and values["at"] is not None:
        raise UsageError("--at says of which layer --output asks", "as in --output 14 --at i4a")
    amounts = {name: _amount(name, values[name]) for name in ("macs", "params")}
    memory, step = _amount("memory", values["memory"]), options.memory(values)
    if values["training"] and values["inference"]:
        raise UsageError("--training and --inference cannot both be", "leave one of them out")
    for name in ("training", "inference"):
        if values[name] and memory is None:
            raise UsageError(f"--{name} goes with --memory", f"as in --memory 24GiB --{name}")
    network = options.network(values)
    found = network.fit(shape, batch, aux=values["aux"])
    inverses = [] if wanted is None else [found.sizes_for(wanted, values["at"])]
    budgets = _budgets(found, amounts)
    if memory is not None:
        training = not values["inference"]
        budgets += found.largest_in_memory(memory, training=training, dtype=dtype, **step)
    verified = None
    if values["verify"]:
        from convcalc.pytorch import verify_fit

        verified = verify_fit(found, inverses, device=values["device"], dtype=dtype)
    report = told.FitReport(network, found, inverses, budgets, verified)
    console.write(_text(report, format))
    return OK if report.ok else FAILED


def _text(report: told.FitReport, format: str) -> str:
    if format == "json":
        from convcalc.report import json

        return json.text(told.as_dict(report))
    if format == "markdown":
        return told.markdown(report)
    return told.render(report, width=console.width(), style=console.style())


def _budgets(found: Fit, amounts: dict[str, int | None]) -> list[Largest]:
    return [
        largest
        for figure, amount in amounts.items()
        if amount is not None
        for largest in found.largest(figure, amount)
    ]


def _sizes(word: str) -> int | list[int | None]:
    """The sizes of --output; one alone is meant for all axes."""
    sizes = options.sizes(word)
    only = sizes[0]
    return only if len(sizes) == 1 and only is not None else sizes


def _amount(figure: str, word: str | None) -> int | None:
    """The number of --macs and its like."""
    if word is None:
        return None
    key = "training_peak" if figure == "memory" else figure  # another name for bytes
    try:
        amount = parse_amount(key, word, 0, len(word))
    except Fault as fault:
        help = fault.help if isinstance(fault.help, str) else None
        message = fault.message.replace(key, figure)
        raise UsageError(f"--{figure}: {message}", help) from None
    return amount.digits * amount.unit // amount.scale
