"""Designs that are not in the zoo: published forms that fit differently, and small hard cases."""

#: torchvision/models/alexnet.py, one tower with padding 2.
TORCHVISION_ALEXNET = """convcalc: 1
name: AlexNet (torchvision)
input: [3, 224, 224]
layers:
- Conv2d(64, 11, stride=4, padding=2) -> ReLU -> MaxPool2d(3, 2)
- Conv2d(192, 5, padding=2) -> ReLU -> MaxPool2d(3, 2)
- Conv2d(384, 3, padding=1) -> ReLU -> Conv2d(256, 3, padding=1) -> ReLU
- Conv2d(256, 3, padding=1) -> ReLU -> MaxPool2d(3, 2)
- AdaptiveAvgPool2d(6) -> Flatten -> 2 * (Dropout -> Linear(4096) -> ReLU) -> Linear(1000)
"""

#: torchvision/models/googlenet.py: its last pool is 2×2, where the paper's is 3×3. Blocks left out
#: keep the size.
TORCHVISION_GOOGLENET = """convcalc: 1
name: GoogLeNet (torchvision), its strides
input: [3, 224, 224]
blocks:
  Conv(c, k=1, s=1): Conv2d(c, k, s, k // 2, bias=false) -> BatchNorm2d -> ReLU
  Inception(a, b):
    concat:
    - Conv(a)
    - Conv(b) -> Conv(b, 3)
    - MaxPool2d(3, 1, 1, ceil_mode=true) -> Conv(b)
layers:
- Conv(64, 7, 2) -> MaxPool2d(3, 2, ceil_mode=true) -> Conv(64) -> Conv(192, 3)
- MaxPool2d(3, 2, ceil_mode=true) -> Inception(64, 32) -> MaxPool2d(3, 2, ceil_mode=true)
- Inception(192, 48) -> MaxPool2d(2, 2, ceil_mode=true) -> Inception(256, 64)
- AdaptiveAvgPool2d(1) -> Flatten -> Dropout(0.2) -> Linear(1000)
"""

#: U-Net with padded convolutions: skips are joined without a crop.
PADDED_UNET = """convcalc: 1
name: U-Net (padded)
input: [1, 256, 256]
vars: {depth: 4}
blocks:
  Double(c): 2 * (Conv2d(c, 3, padding=1) -> ReLU)
  Up(c, skip):
  - up = ConvTranspose2d(c, 2, 2)
  - concat: [skip, up]
  - Double(c)
layers:
- for: i
  in: depth
  do:
  - skip[i] = Double(4 * 2**i)
  - MaxPool2d(2)
- Double(4 * 2**depth)
- for: i
  in: range(depth - 1, -1, -1)
  do: Up(4 * 2**i, skip[i])
- Conv2d(2, 1)
"""

#: Two branches that always agree, and whose strides exclude one another: H odd, H even.
CONFLICT = """convcalc: 1
name: conflict
input: [3, 64, 64]
layers:
- concat:
  - Conv2d(8, 3, 2, 1)
  - MaxPool2d(2, ceil_mode=true)
- Conv2d(4, 1)
"""

#: Branches that never agree.
NEVER_AGREE = """convcalc: 1
name: never agree
input: [3, 64, 64]
layers:
- concat:
  - Conv2d(8, 3)
  - Conv2d(8, 5)
"""

#: A weight that the design itself ties to the input's size.
ASSERTED = """convcalc: 1
name: asserted
input: [3, 32, 32]
layers:
- Conv2d(8, 3, padding=1) -> MaxPool2d(2) -> MaxPool2d(2)
- Flatten -> Linear(10, in_features=512)
"""

#: TensorFlow's padding reads every row of every size.
TF_SAME = """convcalc: 1
name: tf_same
input: [3, 224, 224]
layers:
- Conv2d(8, 3, 2, padding=tf_same) -> Conv2d(8, 5, 3, padding=tf_same)
- MaxPool2d(3, 2, padding=tf_same) -> Conv2d(8, 1, 2, padding=tf_same)
"""

#: Strides that are no powers of two, a resize by a fraction, a pool to a fixed size, two inputs.
ODD = """convcalc: 1
name: odd
inputs: {left: [3, 40, 60], right: [3, 40, 60]}
layers:
- a = left -> Conv2d(4, 4, 3) -> Upsample(scale_factor=3/2)
- b = right -> Conv2d(4, 5, 2) -> AvgPool2d(3, 5) -> AdaptiveAvgPool2d((7, none))
outputs:
  one: b -> MaxPool2d((7, 2))
  two: a -> Conv2d(2, 1)
"""

#: Behind a pool to a fixed size a stride that never divides it.
FIXED = """convcalc: 1
name: fixed
input: [3, 64, 64]
layers: Conv2d(4, 3, 2) -> AdaptiveAvgPool2d(7) -> MaxPool2d(2)
"""
