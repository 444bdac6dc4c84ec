"""The zoo beside torchvision: parameters, buffers and MACs of every network that both have.

    python -m tests.benchmarks.against_torchvision

torchvision's MACs are those of torch's FlopCounterMode, halved, on the meta device; ours come from the
architecture file alone. Skips where torchvision is not installed. Exits with 1 where a figure differs.
"""

from __future__ import annotations

import sys
from typing import Any

import convcalc
from tests.benchmarks.timing import table

# Zoo file, variant → torchvision's name. Networks whose published form differs from torchvision's
# (AlexNet with two groups, GoogLeNet without BatchNorm, RegNetX-400MF with widths rounded as in pycls) are not here.
SAME = {
    ("vgg", "A"): "vgg11",
    ("vgg", "B"): "vgg13",
    ("vgg", "D"): "vgg16",
    ("vgg", "E"): "vgg19",
    ("vgg16", None): "vgg16",
    **{("resnet", name): name for name in
       ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
    ("resnext", "resnext50_32x4d"): "resnext50_32x4d",
    ("resnext", "resnext101_32x8d"): "resnext101_32x8d",
    ("resnext", "wide_resnet50_2"): "wide_resnet50_2",
    **{("densenet121", name): name for name in
       ("densenet121", "densenet161", "densenet169", "densenet201")},
    **{("efficientnet", f"b{i}"): f"efficientnet_b{i}" for i in range(8)},
    ("regnet", "x_3_2gf"): "regnet_x_3_2gf",
    ("regnet", "y_400mf"): "regnet_y_400mf",
    ("mobilenetv2", None): "mobilenet_v2",
    ("mobilenetv3", None): "mobilenet_v3_large",
    ("shufflenetv2", "x0_5"): "shufflenet_v2_x0_5",
    ("shufflenetv2", "x1_0"): "shufflenet_v2_x1_0",
    ("shufflenetv2", "x1_5"): "shufflenet_v2_x1_5",
    ("shufflenetv2", "x2_0"): "shufflenet_v2_x2_0",
    ("squeezenet", None): "squeezenet1_0",
    ("inceptionv3", None): "inception_v3",
    ("convnext", None): "convnext_tiny",
    ("swin_t", None): "swin_t",
    ("vit_b16", None): "vit_b_16",
}


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
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision

        torchvision._declared = library  # the declaration lives as long as the module
    return torchvision


def theirs(torchvision: Any, name: str, size: list[int]) -> dict[str, int]:
    """Counted on the meta device, in eval mode, attention unfused."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    torch.backends.mha.set_fastpath_enabled(False)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options).eval()
        image = torch.empty(1, *size)
    with (
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        model(image)
    aux = [p.numel() for n, p in model.named_parameters() if n.lower().startswith("aux")]
    return {
        "params": sum(p.numel() for p in model.parameters()) - sum(aux),
        "aux_params": sum(aux),
        "macs": counter.get_total_flops() // 2,
    }


def main() -> int:
    torchvision = import_torchvision()
    if torchvision is None:
        print("skipped: torchvision is not installed")
        return 0
    rows = [["network", "torchvision", "params", "MACs", "equal"]]
    differing = 0
    for (name, variant), other in SAME.items():
        network = convcalc.load(name, variant=variant)
        totals = network.summary().totals
        ours = {k: getattr(totals, k) for k in ("params", "aux_params", "macs")}
        size = list(network.graph.inputs["input"])
        reference = theirs(torchvision, other, [int(s) for s in size])
        wrong = [f"{k}: {ours[k]:,} ≠ {reference[k]:,}" for k in ours if ours[k] != reference[k]]
        differing += bool(wrong)
        label = name if variant is None else f"{name} {variant}"
        verdict = "; ".join(wrong) or "yes"
        rows.append([label, other, f"{ours['params']:,}", f"{ours['macs']:,}", verdict])
    print(table(rows))
    print(f"{len(SAME) - differing} of {len(SAME)} equal in parameters and MACs")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
