"""Really run a network, and write down what torch says of each layer.

Nothing here knows a formula: shapes and dtypes are those of the tensors that come out, parameters
and buffers those that the modules hold, MACs half of the FLOPs that torch counts while the layer
runs (torch/utils/flop_counter.py; it counts convolutions and matrix products).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from convcalc.pytorch.errors import reason
from convcalc.pytorch.module import Network, Step

Shape = tuple[int, ...]


class Held:
    """A parameter or buffer as a module holds it; the name is the module's own ("weight")."""

    __slots__ = ("bytes", "dtype", "elements", "name", "shape", "trains")

    def __init__(self, name: str, tensor: torch.Tensor) -> None:
        self.name = name
        self.shape: Shape = tuple(tensor.shape)
        self.dtype = dtype_name(tensor)
        self.elements = tensor.numel()
        self.bytes = tensor.numel() * tensor.element_size()
        self.trains = tensor.requires_grad


class Layer:
    """What torch says of one layer.

    error: what torch raised when the layer ran; then there is no output. `ran` is False for it, and
    for a layer that could not run because one before it failed.
    """

    __slots__ = ("buffers", "dtype", "error", "macs", "output", "parameters", "ran")

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [Held(n, p) for n, p in module.named_parameters()]
        self.buffers = [Held(n, b) for n, b in module.named_buffers()]
        self.ran = False
        self.error: str | None = None
        self.output: Shape | None = None
        self.dtype: str | None = None
        self.macs = 0


class Measurement:
    """What torch says of a network.

    layers: by node index. outputs: shape of every output and aux output that was reached, by name.
    parameters, buffers: of the whole module, by state_dict's names, each tensor once.
    """

    __slots__ = ("buffers", "layers", "outputs", "parameters")

    def __init__(self, network: Network) -> None:
        self.layers: dict[int, Layer] = {
            step.index: Layer(step.module) for step in network.steps(aux=True)
        }
        self.parameters = [Held(n, p) for n, p in network.named_parameters()]
        self.buffers = [Held(n, b) for n, b in network.named_buffers()]
        self.outputs: dict[str, Shape] = {}


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Counts as torch.utils.flop_counter.FlopCounterMode does, with its registry of formulas.

    FlopCounterMode itself imports the compiler, which takes two seconds, and keeps books by module
    name. Attention counts only where it is made of plain matrix products: no formula is registered
    for the CPU's flash attention, nor for the fast path of MultiheadAttention in eval mode.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor here
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping is what imports the compiler; nothing is compiled here

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


def dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


@contextmanager
def _countable() -> Iterator[None]:
    """Attention by plain matrix products; see FlopCounter."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def measure(network: Network, inputs: Sequence[torch.Tensor]) -> Measurement:
    """Run every layer once, those of aux outputs too, without gradients.

    The layers run in eval mode: BatchNorm in training mode refuses a single value a channel.
    A layer that torch refuses to run carries the error; what needs its output does not run.
    """
    measured = Measurement(network)
    network.eval()
    counter = FlopCounter()
    with torch.no_grad(), _countable(), counter:
        values = network.begin(inputs)
        for step in network.steps(aux=True):
            if all(values[index] is not None for index in step.inputs):
                _run(step, values, measured.layers[step.index], counter)
            for index in step.drop:
                values[index] = None
    for name, index in (*network.outputs.items(), *network.aux_outputs.items()):
        if values[index] is not None:
            measured.outputs[name] = tuple(values[index].shape)
    return measured


def _run(step: Step, values: list[torch.Tensor | None], layer: Layer, counter: FlopCounter) -> None:
    before = counter.flops
    try:
        value = step.module(*[values[index] for index in step.inputs])
        layer.output = tuple(value.shape)
        layer.dtype = dtype_name(value)
    except Exception as error:  # whatever it is, it is the result: torch refuses this layer
        layer.error = reason(error)
        return
    values[step.index] = value
    layer.ran = True
    layer.macs = (counter.flops - before) // 2
