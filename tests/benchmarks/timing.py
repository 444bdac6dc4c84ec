"""Medians of times, of processes and of calls."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def machine() -> str:
    """One line on what the figures were measured on."""
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores"
    )


def process_ms(commands: Sequence[Sequence[str]], rounds: int) -> list[float]:
    """The median time of each command as a process, ms; interleaved, so that noise falls on all.

    Each runs once before, with byte code written: pip compiles what it installs, so that is how
    people run it, and an editable checkout must not be measured while it compiles.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run(command: Sequence[str]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)

    for command in commands:
        run(command)
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(rounds):
        for command, found in zip(commands, times, strict=True):
            start = time.perf_counter()
            run(command)
            found.append((time.perf_counter() - start) * 1000)
    return [statistics.median(found) for found in times]


def call_ms(call: Callable[[], object], rounds: int = 15) -> float:
    """The median time of a call in this process, ms, after one call that warms it up."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def calls_ms(calls: Sequence[Callable[[], object]], rounds: int = 15) -> list[float]:
    """The median processor time of each call, ms, after one that warms it up.

    Interleaved, so that noise falls on all; none starts with what another left to the collector.
    """
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            gc.collect()
            start = time.process_time()
            call()
            found.append((time.process_time() - start) * 1000)
    return [statistics.median(found) for found in times]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def installed(module: str) -> bool:
    """Whether an interpreter of its own can import it."""
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
