"""Where a tensor's elements lie in its storage: strides, as PyTorch keeps them.

Memory needs them in three places: a reshape is a view or a copy, two gradients can be summed in
place only if the first is dense, and a layer's output may lie channels last. None stands for
contiguous strides (row after row), as nearly all tensors have.

Between ints everything here is exact. Formulas are compared at a point where all sizes are large,
so what is told of them holds in general position: not where a size is 1.
"""

from __future__ import annotations

from convcalc.integers import Formula

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcalc.integers import Size
    from convcalc.ops.base import Shape

    Strides = tuple[Size, ...] | None


def number(size: Size) -> int:
    """The size itself, or a formula's value at the point where formulas are compared."""
    if isinstance(size, int):
        return size
    if isinstance(size, Formula):
        from convcalc.integers.evaluation import probe_values

        return probe_values(size)[0]
    return 1 << 20  # arrays of sizes: all of them large


def numbers(sizes: Sequence[Size]) -> Sequence[int]:
    """The numbers of several sizes; ints as they are."""
    for size in sizes:
        if type(size) is not int:
            return [number(size) for size in sizes]
    return sizes  # type: ignore[return-value]  # all of them are ints


def contiguous(shape: Shape) -> tuple[Size, ...]:
    """The strides of a contiguous tensor."""
    strides: list[Size] = []
    step: Size = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    strides.reverse()
    return tuple(strides)


def simplest(shape: Shape, strides: Sequence[Size]) -> Strides:
    """None where these are the strides that a contiguous tensor is made with.

    The stride of an axis of size 1 leads to no element, but PyTorch guesses the layout by it.
    """
    lengths, steps = numbers(shape), numbers(strides)
    step = 1
    for axis in range(len(lengths) - 1, -1, -1):
        if steps[axis] != step:
            return tuple(strides)
        step *= lengths[axis]
    return None


def alike(shape: Shape, one: Strides, other: Strides) -> bool:
    """Whether the elements lie in the same places; axes of size 1 do not count."""
    if one == other:
        return True
    pairs = zip(
        numbers(shape),
        numbers(contiguous(shape) if one is None else one),
        numbers(contiguous(shape) if other is None else other),
        strict=True,
    )
    return all(a == b for n, a, b in pairs if n != 1)


def is_contiguous(shape: Shape, strides: Strides) -> bool:
    """Whether the elements lie row after row; axes of size 1 do not count."""
    return strides is None or _in_a_row(shape, strides, range(len(shape) - 1, -1, -1))


def _in_a_row(shape: Shape, strides: Sequence[Size], axes: Sequence[int]) -> bool:
    lengths, steps = numbers(shape), numbers(strides)
    step = 1
    for axis in axes:
        if lengths[axis] != 1:
            if steps[axis] != step:
                return False
            step *= lengths[axis]
    return True


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Whether every place of the stretch is taken, and by one element alone.

    Source: c10/core/TensorImpl.h, compute_non_overlapping_and_dense.
    """
    if strides is None:
        return True
    step = 1
    axes = zip(numbers(strides), numbers(shape), strict=True)
    for stride, length in sorted([axis for axis in axes if axis[1] != 1]):
        if stride != step:
            return False
        step *= length
    return True


def reshaped(shape: Shape, strides: Strides, wanted: Shape) -> tuple[bool, Strides]:
    """Whether a reshape is a view, and the strides that it then has.

    Source: aten/src/ATen/TensorUtils.cpp, computeStride_impl.
    """
    if strides is None:
        return True, None
    sizes, steps, lengths = numbers(shape), numbers(strides), numbers(wanted)
    # From the last axis on: stretches of axes that lie one after another, each cut into new axes.
    result: list[Size] = [0] * len(wanted)
    at = len(wanted) - 1
    last = len(shape) - 1  # the axis at which the stretch ends
    stretch = taken = 1
    for axis in range(last, -1, -1):
        stretch *= sizes[axis]
        if axis > 0 and (sizes[axis - 1] == 1 or steps[axis - 1] == stretch * steps[last]):
            continue
        step = strides[last]
        while at >= 0 and (taken < stretch or lengths[at] == 1):
            result[at] = step
            step = step * wanted[at]
            taken *= lengths[at]
            at -= 1
        if taken != stretch:
            return False, None
        last = axis - 1
        stretch = taken = 1
    if at != -1:
        return False, None
    return True, simplest(wanted, result)


def permuted(shape: Shape, strides: Strides, order: Sequence[int]) -> Strides:
    """The strides of the axes in another order."""
    full = contiguous(shape) if strides is None else strides
    return simplest([shape[i] for i in order], [full[i] for i in order])  # type: ignore[arg-type]


def narrowed(shape: Shape, strides: Strides, wanted: Shape) -> Strides:
    """The strides of a part of a tensor: those of the whole."""
    return simplest(wanted, contiguous(shape) if strides is None else strides)


def pointwise(shape: Shape, operands: Sequence[tuple[Shape, Strides]]) -> Strides:
    """The strides that an elementwise kernel gives its output.

    The axes are sorted by the operands' strides, the first operand first; the output is dense in
    that order. Operands of one shape that all lie alike need no sorting.
    Source: aten/src/ATen/TensorIterator.cpp, compute_fast_setup_type, reorder_dimensions.
    """
    for _, strides in operands:
        if strides is not None:
            break
    else:
        return None
    rank = len(shape)
    if all(same(own, shape) for own, _ in operands):
        first = operands[0][1]
        if all(is_contiguous(shape, strides) for _, strides in operands):
            return None
        if rank == 4 and all(
            _in_a_row(shape, contiguous(shape) if strides is None else strides, (1, 3, 2, 0))
            for _, strides in operands
        ):
            return channels_last(shape)
        if all(strides == first for _, strides in operands) and is_dense(shape, first):
            return first
    lengths = numbers(shape)
    steps = []
    for own, strides in operands:
        full = numbers(contiguous(own) if strides is None else strides)
        over = lengths[rank - len(own) :]
        spread = [0 if n == 1 != m else s for n, m, s in zip(numbers(own), over, full, strict=True)]
        steps.append([0] * (rank - len(own)) + spread)

    def after(one: int, other: int) -> int:
        """1 where axis `one` must lie outside of `other`, -1 where inside, 0 where either may."""
        for step in steps:
            if step[one] == 0 or step[other] == 0:
                continue
            if step[one] != step[other]:
                return 1 if step[one] > step[other] else -1
            if lengths[one] > lengths[other]:
                return 1
        return 0

    order = list(range(rank - 1, -1, -1))  # from the innermost axis out
    for last in range(1, rank):
        here = last
        for before in range(last - 1, -1, -1):
            verdict = after(order[before], order[here])
            if verdict > 0:
                order[before], order[here] = order[here], order[before]
                here = before
            elif verdict < 0:
                break
    return in_order(shape, order)


def as_maps(shape: Shape, strides: Strides) -> Strides:
    """The strides of maps that lie as these, which are contiguous or channels last or neither.

    Source: aten/src/ATen/native/Normalization.cpp, batch_norm_cpu.
    """
    if is_contiguous(shape, strides) or len(shape) not in (4, 5):
        return None
    axes = (1, *range(len(shape) - 1, 1, -1), 0)
    return channels_last(shape) if _in_a_row(shape, strides or (), axes) else None


def preserved(shape: Shape, strides: Strides) -> Strides:
    """The strides of a copy that lies as the tensor does, dense where that has gaps.

    Source: aten/src/ATen/native/TensorFactories.cpp, empty_like.
    """
    return strides if is_dense(shape, strides) else pointwise(shape, [(shape, strides)])


def in_order(shape: Shape, order: Sequence[int]) -> Strides:
    """Dense strides, the axes given from the innermost out."""
    result: list[Size] = [0] * len(shape)
    step: Size = 1
    for axis in order:
        result[axis] = step
        step = step * shape[axis]
    return simplest(shape, result)


def channels_last(shape: Shape) -> Strides:
    """The strides of channels last: all values of one place together."""
    rank = len(shape)
    return in_order(shape, [1, *range(rank - 1, 1, -1), 0])


def is_channels_last(shape: Shape, strides: Strides) -> bool:
    """Whether PyTorch takes the strides for channels last (four and five axes).

    Source: c10/core/MemoryFormat.h, is_channels_last_strides_2d_s4.
    """
    if strides is None or len(shape) not in (4, 5):
        return False
    lengths, steps = numbers(shape), numbers(strides)
    least = 0
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        length, step = lengths[axis], steps[axis]
        if step < least or length == 0 or (axis == 1 and step == 0):
            return False
        if axis == 0 and least == steps[1]:
            return False  # N×1×1×1 and the like: either would do, and contiguous is meant
        least = step * length if length > 1 else step
    return True


def same(one: Shape, other: Shape) -> bool:
    """Whether two shapes are equal."""
    return one is other or tuple(numbers(one)) == tuple(numbers(other))


def broadcast(one: Shape, other: Shape) -> Shape:
    """The shape of an elementwise kernel of two values: axes of size 1 stretch."""
    if one is other:
        return one
    rank = max(len(one), len(other))
    one = (1,) * (rank - len(one)) + tuple(one)
    other = (1,) * (rank - len(other)) + tuple(other)
    return tuple([b if number(a) == 1 else a for a, b in zip(one, other, strict=True)])
