"""Which rows are read, beside a simulation of every tap of every output, and beside PyTorch."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcalc.analysis.coverage import (
    IntWindow,
    padding_only_taps,
    residues_read,
    tail,
    unread,
)
from convcalc.integers import evaluate, symbol
from convcalc.ops.base import GLOBAL, Window


def real_rows(size: int, window: Window) -> dict[int, int]:
    """Padded position → row of the input."""
    return {row * window.upsample + window.before: row for row in range(size)}


def rows_read(size: int, outputs: int, window: Window) -> set[int]:
    """By looking at every tap of every output."""
    rows = real_rows(size, window)
    taps = itertools.product(range(outputs), range(window.kernel))
    positions = (i * window.stride + j * window.dilation for i, j in taps)
    return {rows[p] for p in positions if p in rows}


def outputs_of(size: int, window: Window) -> int:
    spread = (size - 1) * window.upsample + 1
    return (spread + window.before + window.after - window.reach) // window.stride + 1


windows = st.builds(
    Window,
    kernel=st.integers(1, 7),
    stride=st.integers(1, 7),
    before=st.integers(-2, 5),
    after=st.integers(-2, 5),
    dilation=st.integers(1, 4),
)
spread = st.builds(
    Window,
    kernel=st.integers(1, 7),
    before=st.integers(-2, 5),
    after=st.integers(-2, 5),
    dilation=st.integers(1, 4),
    upsample=st.integers(2, 4),
)


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 40), windows | spread, st.integers(0, 2))
def test_unread_is_what_no_tap_meets(size: int, window: Window, extra: int) -> None:
    outputs = outputs_of(size, window) + extra  # extra: ceil_mode ends in padding
    if outputs >= 1:
        assert unread(size, outputs, window) == size - len(rows_read(size, outputs, window))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), windows)
def test_tail_is_what_lies_past_the_last_window(size: int, window: Window) -> None:
    outputs = outputs_of(size, window)
    if outputs >= 1:
        end = (outputs - 1) * window.stride + window.reach
        past = [p for p in real_rows(size, window) if p >= end]
        assert tail(size, outputs, window) == len(past)


@pytest.mark.parametrize("stride", range(1, 8))
@pytest.mark.parametrize("dilation", range(1, 6))
def test_residues_read(stride: int, dilation: int) -> None:
    for kernel in range(1, 9):
        window = IntWindow(kernel, stride, 0, 0, dilation, 1)
        assert residues_read(window) == len({j * dilation % stride for j in range(kernel)})


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), windows)
def test_padding_only_taps(size: int, window: Window) -> None:
    outputs = outputs_of(size, window)
    if outputs < 1:
        return
    rows = real_rows(size, window)
    blind = [
        tap
        for tap in range(window.kernel)
        if not any(i * window.stride + tap * window.dilation in rows for i in range(outputs))
    ]
    numbers = IntWindow.of(window)
    assert numbers is not None
    assert padding_only_taps(size, outputs, numbers) == len(blind)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_formulas_agree_with_numbers(kernel: int, stride: int, padding: int) -> None:
    height = symbol("H")
    window = Window(kernel, stride, padding, padding)
    outputs = (height + 2 * padding - kernel) // stride + 1
    formula = unread(height, outputs, window)
    if formula is None:
        assert stride > kernel
        assert padding
        return
    for size in range(max(1, kernel - 2 * padding), 40):
        number = outputs_of(size, window)
        assert evaluate(formula, {"H": size}) == unread(size, number, window)


def test_what_cannot_be_told_is_none() -> None:
    assert unread(10**9, 10**9 - 10**6 + 1, Window(10**6, 1, dilation=2)) is None
    assert unread(symbol("H"), symbol("H"), Window(3, 1, dilation=2)) is None
    assert unread(20, 10, Window(symbol("K"), 2)) is None
    assert unread(20, 10, Window(3, 2, upsample=2)) is None


def test_a_global_window_reads_everything() -> None:
    assert unread(7, 1, GLOBAL) == 0


def test_unread_rows_get_no_gradient() -> None:
    """PyTorch's own convolution, all weights 1: a row that is read has a gradient."""
    torch = pytest.importorskip("torch")
    for size, kernel, stride, padding, dilation in itertools.product(
        (7, 12, 13), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)
    ):
        row = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
        weight = torch.ones(1, 1, kernel, dtype=torch.float64)
        out = torch.nn.functional.conv1d(
            row, weight, stride=stride, padding=padding, dilation=dilation
        )
        out.sum().backward()
        window = Window(kernel, stride, padding, padding, dilation)
        assert unread(size, out.shape[-1], window) == int((row.grad == 0).sum())
