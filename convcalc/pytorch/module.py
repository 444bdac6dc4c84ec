"""A graph as one nn.Module that runs its layers in order, as one flat function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from convcalc.errors import ConvcalcError
from convcalc.integers import Size
from convcalc.pytorch.devices import resolve_device, resolve_dtype
from convcalc.pytorch.errors import BuildError, reason
from convcalc.pytorch.namespace import NN

if TYPE_CHECKING:
    from convcalc.graph import Flow, Node
    from convcalc.ops.base import Shape


class Part(nn.Module):
    """A stretch of the tree of names; it only holds submodules and is never called."""


class Step:
    """One layer in the order of the run.

    module: as it stands in the tree when the step runs, so that replacing a submodule takes effect.
    inputs: indices of the values that flow in. drop: of those that nobody reads after this step.
    """

    __slots__ = ("_name", "_owner", "drop", "index", "inputs", "path")

    def __init__(self, node: Node, owner: nn.Module, name: str, drop: tuple[int, ...] = ()) -> None:
        self.index = node.index
        self.path = node.path
        self.inputs = node.inputs
        self.drop = drop
        self._owner = owner
        self._name = name

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self._owner._modules[self._name])


def last_uses(nodes: Iterable[Node], kept: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """For each layer the values that nobody reads after it, its own included if nobody does.

    kept: indices of the values that are returned.
    """
    last: dict[int, int] = {}
    for node in nodes:
        last[node.index] = node.index
        for index in node.inputs:
            last[index] = node.index
    for index in kept:
        last.pop(index, None)
    drops: dict[int, list[int]] = {}
    for index, at in last.items():
        drops.setdefault(at, []).append(index)
    return {at: tuple(indices) for at, indices in drops.items()}


class Network(nn.Module):
    """A design as a module; see `convcalc.pytorch.to_module`.

    Values live in one list and leave it after their last use, so no Python frame keeps a tensor
    longer than the network needs it.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        graph = flow.graph
        self.input_names = tuple(graph.inputs)
        self.outputs = dict(graph.outputs)
        self.aux_outputs = dict(graph.aux)
        self._slots = len(graph.nodes)
        places: dict[int, tuple[nn.Module, str]] = {}
        for node in graph.layers:
            places[node.index] = self._place(node.path, self._build(flow, node))
        everything = graph.layers
        main = [node for node in everything if not node.aux]
        self._steps = self._plan(
            everything, [*self.outputs.values(), *self.aux_outputs.values()], places
        )
        self._main_steps = (
            self._plan(main, self.outputs.values(), places) if graph.aux else self._steps
        )

    @staticmethod
    def _build(flow: Flow, node: Node) -> nn.Module:
        op = node.op
        assert op is not None
        shapes = [numbers(flow.shapes[index], node.path) for index in node.inputs]
        try:
            return cast(nn.Module, op.build(NN, *shapes))
        except Exception as error:  # torch raises what it likes: ValueError, RuntimeError, …
            raise BuildError(node.path, str(op), reason(error)) from error

    def _place(self, path: str, module: nn.Module) -> tuple[nn.Module, str]:
        """Hang a layer into the tree of names; returns what holds it, and under which name."""
        owner: nn.Module = self
        *parts, name = path.split(".")
        for part in parts:
            free = _free_name(owner, part, Part)
            if free not in owner._modules:
                owner.add_module(free, Part())
            owner = cast(nn.Module, owner._modules[free])
        name = _free_name(owner, name, None)
        owner.add_module(name, module)
        return owner, name

    @staticmethod
    def _plan(
        nodes: Sequence[Node], kept: Iterable[int], places: dict[int, tuple[nn.Module, str]]
    ) -> list[Step]:
        drops = last_uses(nodes, kept)
        return [Step(n, *places[n.index], drops.get(n.index, ())) for n in nodes]

    def steps(self, *, aux: bool) -> Sequence[Step]:
        """The layers in the order of the run, with or without those of aux outputs alone."""
        return self._steps if aux else self._main_steps

    def begin(self, inputs: Sequence[torch.Tensor]) -> list[Any]:
        """The values before the first step: the inputs, and room for each layer's output."""
        if len(inputs) != len(self.input_names):
            raise TypeError(
                f"the network takes {len(self.input_names)} inputs "
                f"({', '.join(self.input_names)}), not {len(inputs)}"
            )
        return [*inputs, *[None] * (self._slots - len(inputs))]

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        aux = self.training and bool(self.aux_outputs)
        values = self.begin(inputs)
        for step in self.steps(aux=aux):
            values[step.index] = step.module(*[values[index] for index in step.inputs])
            for index in step.drop:
                values[index] = None
        wanted = {**self.outputs, **self.aux_outputs} if aux else self.outputs
        if len(wanted) == 1:
            return cast(torch.Tensor, values[next(iter(wanted.values()))])
        return {name: values[index] for name, index in wanted.items()}


def _free_name(owner: nn.Module, name: str, shared: type[nn.Module] | None) -> str:
    """The name under which a submodule can stand: `half_` where nn.Module has a `half` itself.

    shared: a submodule of this type that is there already is taken as it is.
    """
    while True:
        present = owner._modules.get(name)
        if present is not None and shared is not None and isinstance(present, shared):
            return name
        if present is None and not hasattr(owner, name):
            return name
        name += "_"


def numbers(shape: Shape, path: str) -> tuple[int, ...]:
    """A shape in which every size is a number; raises ConvcalcError where one is open."""
    return tuple(as_number(size, path) for size in shape)


def as_number(size: Size, path: str) -> int:
    if not isinstance(size, int):
        raise ConvcalcError(
            f"{path}: a size is still open here ({size}); PyTorch needs numbers: give every free "
            "size of the input one"
        )
    return size


def to_module(
    flow: Flow, *, device: str = "cpu", dtype: str = "float32", initialise: bool = True
) -> Network:
    """See `convcalc.pytorch.to_module`."""
    target = resolve_device(device)
    kind = resolve_dtype(dtype)
    # Tensors on the meta device have no storage, so that nothing is drawn at random for nothing.
    with target if initialise else torch.device("meta"):
        network = Network(flow)
    network.to(dtype=kind)
    if not initialise:
        network.to_empty(device=target)
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.zero_()
    return network
