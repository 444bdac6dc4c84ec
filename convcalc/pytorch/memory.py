"""Measure a network's memory by running it: what autograd keeps, and what the allocator hands out.

Nothing here knows a formula. Saved bytes are those of the storages that autograd asks to be kept
(`saved_tensors_hooks`), one count a storage, at the first layer that keeps it. Peaks are read from
the allocator's own events, as torch.profiler records them: that watches a run without changing it.
(Under a TorchDispatchMode autograd sums gradients out of place, and peaks read too high.)

What counts are tensors. Left out are blocks that are freed before the kernel that made them has
returned (oneDNN's copies to another layout, unfolded columns), and the numbers of Python that
PyTorch wraps in tensors of 8 bytes.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.autograd.profiler import profile, record_function

from convcalc.pytorch.module import Network

# Names under which the parts of a run stand among the profiler's events.
_PHASES = {f"convcalc: {name}": name for name in ("forward", "backward", "step")}
# A number of Python as a tensor: float64 or int64.
_WRAPPED = 8


class Event(NamedTuple):
    """A tensor comes (bytes > 0) or goes (< 0)."""

    phase: str
    kernel: str
    bytes: int


@cache
def kernels() -> frozenset[str]:
    """Names of ops that run a kernel of their own, on the CPU; others are recipes made of these.

    A name may stand for several ops. One with a kernel is enough, out-variants left out: that of
    aten::linear has one, but nobody calls it.
    """
    names = set()
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    for op in torch._C._dispatch_get_all_op_names():
        name, _, variant = op.partition(".")
        if not variant.endswith("out") and (
            has_kernel(op, "CPU") or not has_kernel(op, "CompositeImplicitAutograd")
        ):
            names.add(name)
    return frozenset(names)


def watch(run: Callable[[], object], threads: int = 0) -> list[Event]:
    """Run, and return what happened to tensors, in order. threads: so many at least."""
    gc.disable()  # it would let go of older tensors in the middle
    try:
        with (
            _quiet(),
            _at_least(threads),
            profile(use_cpu=True, use_kineto=True, profile_memory=True) as watcher,
        ):
            run()
    finally:
        gc.enable()
    return replay(watcher.kineto_results.experimental_event_tree())


def _threads(network: Network) -> int:
    """On a single thread PyTorch takes other kernels for 1×1×1 convolutions."""
    return 2 if any(isinstance(m, torch.nn.Conv3d) for m in network.modules()) else 0


@contextmanager
def _at_least(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """The profiler's library writes of its start and end to stderr otherwise."""
    name = "KINETO_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ[name] = "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def replay(roots: Iterable[Any]) -> list[Event]:
    """The profiler's tree of events as the comings and goings of tensors."""
    from torch._C._profiler import _EventType

    events: list[Event | None] = []
    living: dict[int, tuple[int, Any]] = {}  # address → place of its event, kernel
    # Depth first, in order: an event, the outermost kernel around it, all around it, the phase.
    todo: list[tuple[Any, Any, tuple[Any, ...], str]] = []
    todo += [(root, None, (), "") for root in reversed([*roots])]
    while todo:
        event, kernel, around, phase = todo.pop()
        if event.tag == _EventType.Allocation:
            address, size = event.extra_fields.ptr, event.extra_fields.alloc_size
            if size > 0:
                living[address] = (len(events), kernel)
                name = kernel.name if kernel is not None else ""
                events.append(Event(phase, name, size))
            elif address in living:
                at, maker = living.pop(address)
                made = events[at]
                assert made is not None
                if maker in around if maker is not None else made.bytes <= _WRAPPED:
                    events[at] = None
                else:
                    events.append(Event(phase, made.kernel, -made.bytes))
            continue
        if event.name in _PHASES:
            phase, kernel, around = _PHASES[event.name], None, ()
        elif event.tag == _EventType.TorchOp:
            around = (*around, event)
            if kernel is None and event.name in kernels():
                kernel = event
        todo += [(child, kernel, around, phase) for child in reversed(event.children)]
    return [event for event in events if event is not None]


class Peaks:
    """What lived, in bytes: the most in each phase, and what is left at its end."""

    def __init__(self, events: Iterable[Event], before: int) -> None:
        self.live = before
        self.peak = before
        self.peaks: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        for event in events:
            self.live += event.bytes
            self.peak = max(self.peak, self.live)
            self.peaks[event.phase] = max(self.peaks.get(event.phase, 0), self.live)
            self.ends[event.phase] = self.live


def nbytes(tensors: Iterable[torch.Tensor | None]) -> int:
    """Of the storages of the tensors, each once."""
    storages = [t.untyped_storage() for t in tensors if t is not None]
    return sum({s._cdata: s.nbytes() for s in storages}.values())


def loss_of(out: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
    """One number from what a network returns."""
    if isinstance(out, dict):
        return sum(value.sum() for value in out.values())  # type: ignore[return-value]  # not empty
    return out.sum()


class Held:
    """What a layer holds after it ran, in bytes.

    output: of the tensor. allocated: of its storage, if that is new. saved: of the storages that
    it is the first to keep for backward. kept: of all that it keeps, by the index of the value that
    lies there; −1 for what is no layer's value.
    """

    __slots__ = ("allocated", "kept", "output", "saved")

    def __init__(self) -> None:
        self.output = 0
        self.allocated = 0
        self.saved = 0
        self.kept: dict[int, int] = {}


class Step(NamedTuple):
    """A training step without an optimizer, in bytes: by index of the layer, over time, gradients
    of parameters.
    """

    layers: dict[int, Held]
    peaks: Peaks
    gradients: int


class _Keeper:
    """Counts what autograd keeps, by the layer that runs; each storage once."""

    def __init__(self, ignored: Iterable[torch.Tensor]) -> None:
        self._ignored = {t.untyped_storage()._cdata for t in ignored}
        self._kept: set[int] = set()  # addresses of storages
        self._owners: dict[int, int] = {}  # address of a storage → index of the value there
        self._packed: dict[int, int] = {}  # by the layer that runs: address → bytes
        self._saved = 0

    @staticmethod
    def unpack(packed: tuple[torch.Tensor, int]) -> torch.Tensor:
        """What was packed. Raises RuntimeError where it was overwritten since then.

        Autograd looks for this itself, but not where hooks stand between.
        """
        tensor, version = packed
        if tensor._version != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                "inplace operation"
            )
        return tensor

    def pack(self, tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Count it."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._ignored:
            self._packed[address] = storage.nbytes()
            if address not in self._kept:
                self._saved += storage.nbytes()
                self._kept.add(address)
                # Another storage may come to lie at the address of one that is gone.
                weakref.finalize(storage, self._kept.discard, address).atexit = False
        return tensor, tensor._version

    def own(self, index: int, value: torch.Tensor) -> None:
        """The value is that of a node; its storage may be an earlier one's."""
        storage = value.untyped_storage()
        address = storage._cdata
        if address not in self._owners:
            self._owners[address] = index
            weakref.finalize(storage, self._owners.pop, address, None).atexit = False

    def finish(self, layer: Held) -> None:
        """The layer has run, and its value is owned."""
        layer.saved = self._saved
        for address, size in self._packed.items():
            owner = self._owners.get(address, -1)
            layer.kept[owner] = layer.kept.get(owner, 0) + size
        self._packed = {}
        self._saved = 0


def measure_step(network: Network, inputs: Sequence[torch.Tensor]) -> Step:
    """Forward, loss and backward, once, in training mode; and what each layer holds and keeps.

    Raises what PyTorch raises where a layer cannot train.
    """
    network.train()
    network.zero_grad(set_to_none=True)
    keeper = _Keeper([*network.parameters(), *network.buffers()])
    layers: dict[int, Held] = {}

    def run() -> None:
        with record_function("convcalc: forward"):
            out = _forward(network, inputs, keeper, layers)
            loss = loss_of(out)  # both live on through backward, as in the usual loop
        with record_function("convcalc: backward"):
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here

    peaks = Peaks(watch(run, _threads(network)), nbytes(inputs))
    gradients = nbytes(p.grad for p in network.parameters())
    network.zero_grad(set_to_none=True)
    return Step(layers, peaks, gradients)


def _forward(
    network: Network, inputs: Sequence[torch.Tensor], keeper: _Keeper, layers: dict[int, Held]
) -> torch.Tensor | dict[str, torch.Tensor]:
    """`Network.forward` in training mode, layer by layer."""
    values = network.begin(inputs)
    for index, value in enumerate(inputs):
        keeper.own(index, value)
    with torch.autograd.graph.saved_tensors_hooks(keeper.pack, keeper.unpack):
        for step in network.steps(aux=True):
            flowing = [values[index] for index in step.inputs]
            value = values[step.index] = step.module(*flowing)
            layer = layers[step.index] = Held()
            layer.output = value.numel() * value.element_size()
            storage = value.untyped_storage()
            if storage._cdata not in {t.untyped_storage()._cdata for t in flowing}:
                layer.allocated = storage.nbytes()
            keeper.own(step.index, value)
            keeper.finish(layer)
            del flowing, value, storage
            for index in step.drop:
                values[index] = None
    return network.returned(values, aux=True)


def measure_inference(network: Network, inputs: Sequence[torch.Tensor]) -> Peaks:
    """A forward pass in evaluation mode, without gradients."""
    network.eval()

    def run() -> None:
        with torch.no_grad(), record_function("convcalc: forward"):
            network(*inputs)

    return Peaks(watch(run, _threads(network)), nbytes(inputs))


class Training(NamedTuple):
    """A training step, in bytes: what lived, gradients of parameters, state of the optimizer."""

    peaks: Peaks
    gradients: int
    optimizer: int


def measure_training(
    network: Network,
    inputs: Sequence[torch.Tensor],
    optimizer: str = "none",
    *,
    foreach: bool = False,
    weight_decay: float = 0.0,
) -> Training:
    """Forward, loss, backward and a step, as it runs from the second time on.

    Output and loss live on through the step, as in the usual loop.
    """
    network.train()
    trained = [p for p in network.parameters() if p.requires_grad]
    steps = make_optimizer(optimizer, trained, foreach=foreach, weight_decay=weight_decay)

    def run() -> None:
        with record_function("convcalc: forward"):
            out = network(*inputs)
            loss = loss_of(out)
        with record_function("convcalc: backward"):
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        with record_function("convcalc: step"):
            if steps is not None:
                steps.step()

    run()
    network.zero_grad(set_to_none=True)
    state = 0
    if steps is not None:
        kept = [t for row in steps.state.values() for t in row.values()]
        state = nbytes(t for t in kept if isinstance(t, torch.Tensor))
    peaks = Peaks(watch(run, _threads(network)), nbytes(inputs) + state)
    gradients = nbytes(p.grad for p in trained)
    network.zero_grad(set_to_none=True)
    return Training(peaks, gradients, state)


def make_optimizer(
    name: str, parameters: Sequence[torch.nn.Parameter], *, foreach: bool, weight_decay: float
) -> torch.optim.Optimizer | None:
    """The optimizer of that name; None for "none", and where nothing trains."""
    if name == "none" or not parameters:
        return None
    common: dict[str, Any] = {"lr": 1e-4, "foreach": foreach, "weight_decay": weight_decay}
    if name in ("sgd", "momentum"):
        return torch.optim.SGD(parameters, momentum=0.9 if name == "momentum" else 0.0, **common)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(parameters, **common)
