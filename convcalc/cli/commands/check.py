"""convcalc check: prove every figure by running the network in PyTorch."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager

from convcalc import checking
from convcalc.checking import Broken
from convcalc.cli import FAILED, OK, WRONG, console, options
from convcalc.cli.parser import Option, Parser, UsageError
from convcalc.report import checks, titles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convcalc.checking import Check
    from convcalc.cli.parser import Values
    from convcalc.network import Network

FORMATS = ("table", "json")


def parser() -> Parser:
    return Parser(
        "check",
        "Prove every figure of every variant: compare what the design says of itself (expect, "
        "budget) with what is computed, and what is computed with what PyTorch measures when it "
        "builds and runs the same network. Exit code 0: all agree; 1: something does not; 2: a "
        "file or the command line is wrong.",
        argument=("FILE", "YAML files, folders of them, names of the zoo, or - for stdin"),
        most=None,
        groups={
            "the design": [*options.design_options(), options.FREEZE],
            "the run": [
                Option(
                    "device", "DEVICE", "auto (CUDA where there is one), cpu, cuda, cuda:1", "auto"
                ),
                Option("deep", "", "measure too how layers follow shifts of the input: slower"),
                Option("no-run", "", "leave PyTorch out: check the files, expect and budget alone"),
            ],
            "the report": [
                Option("format", "FORMAT", ", ".join(FORMATS), FORMATS[0]),
                options.STRICT,
            ],
        },
        examples=[
            "convcalc check vgg16 --no-run",
            "convcalc check architectures/",
            "convcalc check resnet --variant resnet18 --device cpu",
            "convcalc check alexnet --freeze layers.0-12",
        ],
    )


def run(values: Values) -> int:
    format = options.choice("--format", values["format"], FORMATS)
    shape, batch, dtype = options.flowing(values)
    settings, layers = options.assignments(values["set"]), options.frozen(values["freeze"])
    strict, running = values["strict"], not values["no-run"]
    if values["deep"] and not running:
        raise UsageError("--deep measures a run, which --no-run leaves out")
    files = checking.collect(values["file"])
    if running:
        gc.enable()  # a network that was run leaves much behind
        _require_torch()
    found = list(checking.prepare(files, values["variant"], settings, options.read_document))
    outcomes: list[Check | Broken] = []
    with _progress(len(found), running) as tell:
        for number, network in enumerate(found):
            if isinstance(network, Broken):
                outcomes.append(network)
                continue
            tell(number, network)
            outcomes.append(
                checking.attempt(
                    network.freeze(*layers),
                    input=shape,
                    batch=batch,
                    dtype=dtype,
                    device=values["device"],
                    run=running,
                    deep=values["deep"],
                )
            )
    _show(outcomes, format, strict)
    if any(isinstance(outcome, Broken) for outcome in outcomes):
        return WRONG
    return FAILED if any(checks.failed(o, strict=strict) for o in outcomes) else OK


def _require_torch() -> None:
    from convcalc.pytorch import TorchMissing, require_torch

    try:
        require_torch()
    except TorchMissing as error:
        raise UsageError(
            f"a run needs PyTorch, which cannot be imported here ({error.reason})",
            "install it: pip install 'convcalc[torch]'; or leave the run out with --no-run",
        ) from None


def _show(outcomes: list[Check | Broken], format: str, strict: bool) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Broken):
            console.show_problems(outcome.problems)
            console.tell("")
    if format == "json":
        from convcalc.report import json

        console.write(json.texts(checks.dicts(outcomes, strict=strict)))
        return
    console.write(
        checks.render(outcomes, strict=strict, width=console.width(), style=console.style())
    )


@contextmanager
def _progress(total: int, running: bool) -> Iterator[Callable[[int, Network], None]]:
    """What tells of each network before it is run, on stderr: a bar on a terminal, else a line."""
    if not running:
        yield lambda number, network: None
    elif not console.is_terminal(sys.stderr):
        yield lambda number, network: console.tell(
            f"[{number + 1}/{total}] {titles.design(network)}"
        )
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        columns = (BarColumn(), MofNCompleteColumn(), Elapsed(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda number, network: bar.update(
                task, completed=number, description=titles.design(network)
            )
