"""The zoo beside torchvision: all its classification networks, figure by figure.

    python -m tests.benchmarks.against_torchvision [--no-saved] [NAME …]

Compares parameters, those of aux outputs, buffers and MACs; and of each layer with weights, in the
order in which they run, the number of parameters and the shape of what comes out. torchvision's
MACs are those of torch's FlopCounterMode, halved, attention unfused, all on the meta device; ours
come from the architecture file alone.

And the bytes kept for backward at two samples: those of distinct storages that autograd's hooks see
while torchvision's own module runs in training mode, weights left out. That takes real tensors, 30
GB for the largest, and half an hour; `--no-saved` leaves it out.

NAME: only networks of torchvision whose name begins so. Skips where torchvision is not installed.
Exits with 1 where a figure differs that no line of REASONS explains.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import convcalc
from convcalc.integers import product
from tests.benchmarks.timing import table

#: torchvision's name → zoo file, variant.
SAME: dict[str, tuple[str, str | None]] = {
    "alexnet": ("alexnet_torchvision", None),
    **{
        f"vgg{depth}{bn}": ("vgg", letter + bn)
        for depth, letter in ((11, "A"), (13, "B"), (16, "D"), (19, "E"))
        for bn in ("", "_bn")
    },
    "googlenet": ("googlenet_torchvision", None),
    "inception_v3": ("inceptionv3", None),
    **{f"resnet{n}": ("resnet", f"resnet{n}") for n in (18, 34, 50, 101, 152)},
    **{
        name: ("resnext", name)
        for name in (
            *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
            *("wide_resnet50_2", "wide_resnet101_2"),
        )
    },
    **{f"densenet{n}": ("densenet121", f"densenet{n}") for n in (121, 161, 169, 201)},
    "squeezenet1_0": ("squeezenet", None),
    "squeezenet1_1": ("squeezenet1_1", None),
    "mobilenet_v2": ("mobilenetv2", None),
    "mobilenet_v3_large": ("mobilenetv3", "large"),
    "mobilenet_v3_small": ("mobilenetv3", "small"),
    **{f"mnasnet{a}": ("mnasnet", f"x{a}") for a in ("0_5", "0_75", "1_0", "1_3")},
    **{f"shufflenet_v2_x{a}": ("shufflenetv2", f"x{a}") for a in ("0_5", "1_0", "1_5", "2_0")},
    **{f"efficientnet_b{i}": ("efficientnet", f"b{i}") for i in range(8)},
    **{f"efficientnet_v2_{size}": ("efficientnetv2", size) for size in "sml"},
    **{
        f"regnet_{kind}_{size}": ("regnet", f"{kind}_{size}")
        for kind in "xy"
        for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf")
        if (kind, size) not in (("x", "400mf"), ("x", "128gf"))
    },
    "regnet_x_400mf": ("regnet", "x_400mf_torchvision"),
    **{f"convnext_{size}": ("convnext", size) for size in ("tiny", "small", "base", "large")},
    **{f"vit_{size}": ("vit", size) for size in ("b_16", "b_32", "l_16", "l_32", "h_14")},
    **{f"swin_{size[0]}": ("swin", size) for size in ("tiny", "small", "base")},
    "maxvit_t": ("maxvit_t", None),
}
#: Why a network of torchvision is not here, or differs.
REASONS = {
    f"swin_v2_{size}": "not in the zoo: no layer has its scaled cosine attention" for size in "tsb"
}
#: Modules that are one layer here; what is in them is called by no forward of its own.
WHOLE = ("MultiheadAttention", "ShiftedWindowAttention", "RelativePositionalMultiHeadAttention")

#: Samples of which saved bytes are compared: BatchNorm needs two.
SAMPLES = 2

Layers = list[tuple[int, tuple[int, ...]]]


def import_torchvision() -> Any:
    """torchvision, or None. A CUDA build imports beside a CPU torch once its one missing op is
    declared."""
    try:
        import torch
    except ImportError:
        return None
    try:
        import torchvision
    except ImportError:
        return None
    except RuntimeError:
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for op in ("nms", "qnms"):
            library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision

        torchvision._declared = library  # the declaration lives as long as the module
    _plan_on_the_cpu(torchvision.models.regnet.BlockParams)
    return torchvision


def _plan_on_the_cpu(params: Any) -> None:
    """RegNet reads its widths from tensors, which those on the meta device do not have."""
    import torch

    plan = params.from_init_params.__func__

    def planned(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return plan(cls, *args, **kwargs)

    params.from_init_params = classmethod(planned)


def theirs(torchvision: Any, name: str, size: list[int]) -> tuple[dict[str, int], Layers]:
    """Figures and layers, counted on the meta device, in eval mode, attention unfused."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.backends.mha.set_fastpath_enabled(False)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options).eval()
        image = torch.empty(1, *size)
    layers: Layers = []

    def hook(module: Any, _: Any, output: Any) -> None:
        shape = (output[0] if isinstance(output, tuple) else output).shape
        layers.append((sum(p.numel() for p in module.parameters()), tuple(shape)))

    within: set[Any] = set()
    for module in model.modules():  # parents before children
        whole = type(module).__name__ in WHOLE
        if whole:
            within.update(set(module.modules()) - {module})
        leaf = not any(True for _ in module.children())
        weighty = any(True for _ in module.parameters())
        if weighty and (leaf or whole) and module not in within:
            module.register_forward_hook(hook)
    with (
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        model(image)

    def count(tensors: Any, aux: bool) -> int:
        return sum(t.numel() for n, t in tensors if n.lower().startswith("aux") == aux)

    figures = {
        "params": count(model.named_parameters(), False),
        "aux_params": count(model.named_parameters(), True),
        "buffers": count(model.named_buffers(), False),
        "macs": counter.get_total_flops() // 2,
    }
    return figures, layers


def saved_bytes(torchvision: Any, name: str, size: list[int]) -> int:
    """What torchvision's own module keeps for backward in training mode, on the CPU."""
    import torch

    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **options).train()
    weights = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}  # storages stay alive, so that no address comes twice

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(torch.zeros(SAMPLES, *size))
    return sum(storage.nbytes() for storage in kept.values())


#: Weights that no module of torchvision has to itself.
BARE = ("ClassToken", "PositionEmbedding", "LayerScale")


def ours(summary: Any) -> tuple[dict[str, int], Layers]:
    """The same from the design."""
    figures = {k: getattr(summary.totals, k) for k in ("params", "aux_params", "buffers", "macs")}
    layers = [
        (layer.params, tuple(layer.output))
        for layer in summary.layers
        if layer.params and not layer.aux and layer.op.name() not in BARE
    ]
    return figures, layers


def compare_layers(mine: Layers, other: Layers) -> str:
    """ "in order"; or what is weaker, or what differs.

    Channels last or first, and axes of size 1, make no difference.
    """

    def shapes(layers: Layers) -> list[Any]:
        return [(p, sorted(s for s in shape if s > 1)) for p, shape in layers]

    def values(layers: Layers) -> list[Any]:
        return [(p, product(shape)) for p, shape in layers]

    if shapes(mine) == shapes(other):
        return "in order"
    if sorted(shapes(mine)) == sorted(shapes(other)):
        return "all, in another order"
    if sorted(values(mine)) == sorted(values(other)):
        return "as many values, in windows there"
    if len(mine) != len(other):
        return f"{len(mine)} ≠ {len(other)} layers"
    pairs = enumerate(zip(shapes(mine), shapes(other), strict=True))
    at, (a, b) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    return f"layer {at}: {a} ≠ {b}"


def line(torchvision: Any, name: str, saved: bool) -> tuple[list[str], bool]:
    """(a line of the table, whether all is equal). saved: with the bytes kept for backward."""
    if name not in SAME:
        reason = REASONS.get(name, "not in the zoo")
        return [name, "–", "", "", "", "", "", reason], False
    file, variant = SAME[name]
    network = convcalc.load(file, variant=variant)
    figures, layers = ours(network.summary())
    size = [int(s) for s in network.graph.inputs["input"]]
    reference, their_layers = theirs(torchvision, name, size)
    wrong = [
        f"{k}: {figures[k]:,} ≠ {reference[k]:,}" for k in figures if figures[k] != reference[k]
    ]
    compared = compare_layers(layers, their_layers)
    if "≠" in compared:
        wrong.append(compared)
    kept = network.summary(batch=SAMPLES).totals.saved_bytes
    if saved:
        measured = saved_bytes(torchvision, name, size)
        if kept != measured:
            wrong.append(f"saved: {kept:,} ≠ {measured:,}")
    numbers = [f"{figures[k]:,}" for k in ("params", "buffers", "macs")] + [f"{kept:,}"]
    label = file if variant is None else f"{file} {variant}"
    return [name, label, *numbers, compared, "; ".join(wrong) or "yes"], not wrong


def main(words: list[str]) -> int:
    saved = "--no-saved" not in words
    beginnings = [word for word in words if word != "--no-saved"]
    torchvision = import_torchvision()
    if torchvision is None:
        print("skipped: torchvision is not installed")
        return 0
    names = torchvision.models.list_models(module=torchvision.models)
    names = [n for n in names if not beginnings or n.startswith(tuple(beginnings))]
    rows = [["torchvision", "zoo", "params", "buffers", "MACs", "saved", "layers", "equal"]]
    equal = unexplained = 0
    for name in names:
        row, same = line(torchvision, name, saved)
        rows.append(row)
        equal += same
        unexplained += not same and name not in REASONS
        gc.collect()  # modules on the meta device hold each other
    print(table(rows))
    print(
        f"{equal} of {len(names)} equal in parameters, buffers, MACs, layers"
        f"{' and saved bytes' if saved else ''}"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
