"""A graph as a module: names, order, what it returns, what it keeps alive."""

from __future__ import annotations

import copy
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn

from convcalc.errors import ConvcalcError
from convcalc.graph import GraphBuilder, flow
from convcalc.ops.convolution import Conv2d
from convcalc.pytorch import BuildError, DeviceError, to_module
from convcalc.pytorch.module import Undrawn
from convcalc.pytorch.namespace import NN
from tests.graphs import chain, layer, residual, small, two_in_two_out, with_aux
from tests.ops.harness import cases, make


def test_state_dict_keys_are_paths() -> None:
    network = to_module(flow(residual()))
    assert [*network.state_dict()] == [
        "Conv2d[0].weight",
        "Conv2d[0].bias",
        "Basic.Conv2d[0].weight",
        "Basic.Conv2d[0].bias",
        "Basic.Conv2d[1].weight",
        "Basic.Conv2d[1].bias",
        "Conv2d[1].weight",
        "Conv2d[1].bias",
    ]
    assert isinstance(network.get_submodule("Basic.Conv2d[1]"), nn.Conv2d)


def test_every_path_finds_its_own_module() -> None:
    graph = residual()
    network = to_module(flow(graph))
    modules = {id(network.get_submodule(node.path)) for node in graph.layers}
    assert len(modules) == len(graph.layers)


def test_names_that_modules_have_themselves_get_an_underscore() -> None:
    builder = GraphBuilder("names")
    x = builder.input("input", (3, 8, 8))
    for label in ("half", "half_", "training", "Conv2d"):
        builder.push("block", label)
        x = builder.add(layer("Conv2d", 4, 1), x)
        builder.pop()
    x = builder.add(layer("Conv2d", 2, 1), x)
    graph = builder.finish({"output": x})
    network = to_module(flow(graph))
    keys = [key.removesuffix(".weight") for key in network.state_dict() if key.endswith("weight")]
    assert keys == [
        "half_.Conv2d",
        "half__.Conv2d",
        "training_.Conv2d",
        "Conv2d[0].Conv2d",
        "Conv2d[1]",
    ]
    assert network.half().training  # both are still what they are in every module


def test_forward_is_the_layers_one_after_another() -> None:
    network = to_module(flow(residual()))
    x = torch.randn(1, 4, 9, 9)
    parts = network.get_submodule
    stem = parts("Conv2d[0]")(x)
    inner = parts("Basic.Conv2d[1]")(parts("Basic.Conv2d[0]")(stem))
    assert torch.equal(network(x), parts("Conv2d[1]")(inner + stem))


def test_several_outputs_come_by_name() -> None:
    network = to_module(flow(two_in_two_out()))
    left, right = torch.randn(1, 3, 8, 8), torch.randn(1, 5, 6, 6)
    result = network(left, right)
    assert {name: tuple(value.shape) for name, value in result.items()} == {
        "shallow": (1, 4, 6, 6),
        "deep": (1, 2, 4, 4),
    }
    assert torch.equal(result["shallow"], network.get_submodule("Conv2d[0]")(left))


def test_aux_outputs_exist_in_training_alone() -> None:
    network = to_module(flow(with_aux()))
    x = torch.randn(2, 3, 8, 8)
    calls: list[int] = []
    network.get_submodule("Conv2d[1]").register_forward_hook(lambda *_: calls.append(1))
    assert network.train()(x).keys() == {"output", "aux1"}
    assert calls == [1]
    assert network.eval()(x).shape == (2, 5, 4, 4)
    assert calls == [1]


def test_a_wrong_number_of_inputs_is_told_by_name() -> None:
    network = to_module(flow(two_in_two_out()))
    with pytest.raises(TypeError, match=r"takes 2 inputs \(left, right\), not 1"):
        network(torch.zeros(1, 3, 8, 8))


def test_values_go_after_their_last_use() -> None:
    """At each layer no more is alive than what it reads, and what is read later."""
    network = to_module(flow(residual())).eval()
    alive: dict[str, weakref.ref[torch.Tensor]] = {}
    seen: dict[str, set[str]] = {}

    def before(name: str):
        return lambda *_: seen.__setitem__(name, {n for n, r in alive.items() if r() is not None})

    def after(name: str):
        return lambda _module, _args, out: alive.__setitem__(name, weakref.ref(out))

    for step in network.steps(aux=False):
        step.module.register_forward_pre_hook(before(step.path))
        step.module.register_forward_hook(after(step.path))
    with torch.no_grad():
        network(torch.zeros(1, 4, 9, 9))
    assert seen == {
        "Conv2d[0]": set(),
        "Basic.Conv2d[0]": {"Conv2d[0]"},
        "Basic.Conv2d[1]": {"Conv2d[0]", "Basic.Conv2d[0]"},
        "Basic.Add": {"Conv2d[0]", "Basic.Conv2d[1]"},
        "Conv2d[1]": {"Basic.Add"},
    }


def test_a_layer_that_nobody_reads_is_run_and_dropped() -> None:
    builder = GraphBuilder("dead end")
    x = builder.input("input", (3, 8, 8))
    builder.add(layer("Conv2d", 4, 3), x)
    graph = builder.finish({"output": builder.add(layer("Conv2d", 5, 3), x)})
    steps = to_module(flow(graph)).steps(aux=False)
    assert [step.drop for step in steps] == [(1,), (0,)]


def test_initialised_as_torch_does() -> None:
    torch.manual_seed(1)
    network = to_module(flow(chain(layer("Conv2d", 8, 3), layer("Conv2d", 4, 1))))
    torch.manual_seed(1)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
    assert torch.equal(network.get_submodule("Conv2d[0]").weight, first.weight)
    assert torch.equal(network.get_submodule("Conv2d[1]").bias, second.bias)


def test_without_initialisation_nothing_is_drawn() -> None:
    state = torch.get_rng_state()
    network = to_module(flow(small()), initialise=False, dtype="float64")
    assert torch.equal(torch.get_rng_state(), state)
    tensors = [*network.parameters()]
    assert len(tensors) == 7
    for tensor in tensors:
        assert tensor.device.type == "cpu"
        assert tensor.dtype == torch.float64
        assert tensor.requires_grad
        assert not tensor.any()


def test_every_layer_can_be_made_without_drawing() -> None:
    """All of them finite then: no tensor is left as the memory happened to be."""
    for name, rows in cases().items():
        for case in rows:
            if case.kind != "good":
                continue
            op = make(name, case.arguments)
            with Undrawn(), torch.device("cpu"):
                module = op.build(NN, *case.shapes)
            for key, tensor in module.state_dict().items():
                assert tensor.isfinite().all(), f"{name}.{key}"
                if key.endswith(("_proj_weight", "qkv.weight")) or name.startswith("Conv"):
                    assert not tensor.any(), f"{name}.{key}"


def test_large_networks_are_made_without_the_compiler() -> None:
    """Two seconds' import, and torch does it unasked (on the meta device, in a dispatch mode)."""
    program = """
import sys
from convcalc.pytorch import check_graph
from tests.graphs import chain, layer
attention = chain(layer("Conv2d", 8, 3), layer("WindowAttention", 2, 3, 1), layer("BatchNorm2d"))
assert check_graph(attention, device="cpu").ok
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_parameter_has_its_own_storage() -> None:
    network = to_module(flow(small()), initialise=False)
    storages = {p.untyped_storage().data_ptr() for p in network.parameters()}
    assert len(storages) == len([*network.parameters()])
    assert all(p.untyped_storage().nbytes() == 4 * p.numel() for p in network.parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_dtypes(dtype: str) -> None:
    network = to_module(flow(small()), dtype=dtype)
    assert {p.dtype for p in network.parameters()} == {getattr(torch, dtype)}


def test_unknown_dtype_and_device() -> None:
    sizes = flow(small())
    with pytest.raises(ConvcalcError, match="'int8' is not one of float32, float64"):
        to_module(sizes, dtype="int8")
    with pytest.raises(DeviceError, match="tpu"):
        to_module(sizes, device="tpu")
    with pytest.raises(DeviceError, match="write auto, cpu, cuda"):
        to_module(sizes, device="meta")
    with pytest.raises(DeviceError, match=r"this machine has (no|\d+) CUDA device"):
        to_module(sizes, device="cuda:77")


def test_gradients_reach_every_parameter() -> None:
    network = to_module(flow(residual()))
    network(torch.randn(1, 4, 9, 9)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_copies_are_independent_and_replaced_layers_take_effect() -> None:
    network = to_module(flow(residual()))
    x = torch.randn(1, 4, 9, 9)
    expected = network(x)
    other = copy.deepcopy(network)
    nn.init.zeros_(other.get_submodule("Conv2d[1]").weight)
    assert torch.equal(network(x), expected)
    assert not torch.equal(other(x), expected)
    network.set_submodule("Conv2d[1]", nn.Identity())
    assert network(x).shape == (1, 8, 9, 9)


def test_open_sizes_are_told() -> None:
    sizes = flow(chain(layer("Conv2d", 8, 3), shape=(3, "H", "W")))
    with pytest.raises(ConvcalcError, match="a size is still open here"):
        to_module(sizes)


def test_a_layer_that_torch_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conv2d, "build", lambda self, nn, *shapes: nn.Conv2d(4, 6, 3, groups=5))
    with pytest.raises(BuildError, match=r"Conv2d\[0\]: PyTorch cannot build Conv2d\(8, 3.*groups"):
        to_module(flow(small()))


def test_without_torch_everything_imports_and_says_what_to_install() -> None:
    """In a process of its own, in which `import torch` fails as where it is not installed."""
    program = """
import sys
sys.modules["torch"] = None
from convcalc.graph import GraphBuilder, flow
from convcalc.ops import REGISTRY
from convcalc.pytorch import Comparison, Report, TorchMissing, check_graph, require_torch, to_module
builder = GraphBuilder("tiny")
value = builder.add(REGISTRY["Conv2d"](6, 5), builder.input("x", (3, 8, 8)))
graph = builder.finish({"output": value})
for call in (require_torch, lambda: to_module(flow(graph)), lambda: check_graph(graph)):
    try:
        call()
    except TorchMissing as error:
        print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.count("pip install 'convcalc[torch]'") == 3


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, convcalc.pytorch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
