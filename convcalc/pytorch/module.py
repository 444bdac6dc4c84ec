"""A graph as one nn.Module that runs its layers in order, as one flat function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

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

    __slots__ = ("_name", "_siblings", "drop", "index", "inputs", "path")

    def __init__(self, node: Node, owner: nn.Module, name: str, drop: tuple[int, ...] = ()) -> None:
        self.index = node.index
        self.path = node.path
        self.inputs = node.inputs
        self.drop = drop
        # Not the owner: it may be the network, which would then wait for the garbage collector.
        self._siblings = owner._modules
        self._name = name

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self._siblings[self._name])


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
        parts: dict[str, nn.Module] = {"": self}
        for node in graph.layers:
            places[node.index] = self._place(node.path, self._build(flow, node), parts)
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
            module = cast(nn.Module, op.build(NN, *shapes))
        except Exception as error:  # torch raises what it likes: ValueError, RuntimeError, …
            raise BuildError(node.path, str(op), reason(error)) from error
        return module.requires_grad_(False) if node.frozen else module

    def _place(
        self, path: str, module: nn.Module, parts: dict[str, nn.Module]
    ) -> tuple[nn.Module, str]:
        """Hang a layer into the tree of names; returns what holds it, and under which name.

        parts: what stands for each prefix of a path so far.
        """
        prefix, _, name = path.rpartition(".")
        if prefix not in parts:
            parts[prefix] = Part()
            self._place(prefix, parts[prefix], parts)
        owner = parts[prefix]
        while hasattr(owner, name):  # an attribute of nn.Module, or a name given before
            name += "_"
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
        return self.returned(values, aux=aux)

    def returned(
        self, values: Sequence[Any], *, aux: bool
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """What `forward` returns of the values, with or without aux outputs."""
        wanted = {**self.outputs, **self.aux_outputs} if aux else self.outputs
        if len(wanted) == 1:
            return cast(torch.Tensor, values[next(iter(wanted.values()))])
        return {name: values[index] for name, index in wanted.items()}


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
    with nullcontext() if initialise else Undrawn(), target:
        return Network(flow).to(dtype=kind)


class Undrawn(TorchFunctionMode):
    """Zeros where torch would draw at random, which takes seconds for a large network.

    Zeros are finite in every layer, and no arithmetic on them is slow as it is on denormals. (On
    the meta device nothing would be drawn either, but arithmetic there imports the compiler.)
    """

    #: Those of torch.nn.init are seen as a whole, all others by the method that they end in.
    DRAWS = (
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
    )

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self.DRAWS:
            return func(*args, **kwargs)
        tensor: torch.Tensor = args[0] if args else kwargs["tensor"]
        return tensor.detach().zero_()
