"""Small designs that are hard to fit."""

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

#: Two inputs whose sizes depend on each other: ⌈H/2⌉ is the depth's height.
TWO_SIZES = """convcalc: 1
name: color and depth
inputs: {color: [3, 24, 32], depth: [1, 12, 16]}
layers:
- concat:
  - color -> Conv2d(8, 3, 2, 1)
  - depth -> Conv2d(8, 3, padding=1)
- Conv2d(4, 3, 2) -> ReLU
"""
