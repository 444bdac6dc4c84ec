"""Names from other frameworks: what they are called here.

Sources: Keras 3's layers, Caffe's caffe.proto, Lasagne's layers, Torch7's nn, TensorFlow's nn,
Chainer's links, MXNet's gluon.
"""

from __future__ import annotations

#: Argument → (framework, the name here).
ARGUMENTS: dict[str, tuple[str, str]] = {
    # Keras
    "filters": ("Keras", "out_channels"),
    "strides": ("Keras", "stride"),
    "dilation_rate": ("Keras", "dilation"),
    "use_bias": ("Keras", "bias"),
    "units": ("Keras", "out_features"),
    "pool_size": ("Keras", "kernel_size"),
    "rate": ("Keras", "p"),
    "epsilon": ("Keras", "eps"),
    "alpha": ("Keras", "negative_slope"),
    "key_dim": ("Keras", "num_heads"),
    # Caffe
    "num_output": ("Caffe", "out_channels"),
    "pad": ("Caffe", "padding"),
    "group": ("Caffe", "groups"),
    "bias_term": ("Caffe", "bias"),
    "dropout_ratio": ("Caffe", "p"),
    "local_size": ("Caffe", "size"),
    "kernel_h": ("Caffe", "kernel_size=(h, w)"),
    "kernel_w": ("Caffe", "kernel_size=(h, w)"),
    "stride_h": ("Caffe", "stride=(h, w)"),
    "stride_w": ("Caffe", "stride=(h, w)"),
    "pad_h": ("Caffe", "padding=(h, w)"),
    "pad_w": ("Caffe", "padding=(h, w)"),
    # Lasagne
    "num_filters": ("Lasagne", "out_channels"),
    "filter_size": ("Lasagne", "kernel_size"),
    "num_units": ("Lasagne", "out_features"),
    "ignore_border": ("Lasagne", "ceil_mode"),
    # Torch7
    "nInputPlane": ("Torch7", "in_channels"),
    "nOutputPlane": ("Torch7", "out_channels"),
    "kW": ("Torch7", "kernel_size=(h, w)"),
    "kH": ("Torch7", "kernel_size=(h, w)"),
    "dW": ("Torch7", "stride=(h, w)"),
    "dH": ("Torch7", "stride=(h, w)"),
    "padW": ("Torch7", "padding=(h, w)"),
    "padH": ("Torch7", "padding=(h, w)"),
    # Chainer, MXNet
    "ksize": ("Chainer", "kernel_size"),
    "outsize": ("Chainer", "output_size"),
    "num_filter": ("MXNet", "out_channels"),
    "num_group": ("MXNet", "groups"),
    "num_hidden": ("MXNet", "out_features"),
    "no_bias": ("MXNet", "bias"),
}

#: Layer → (framework, what to write).
LAYERS: dict[str, tuple[str, str]] = {
    # Keras
    "Conv1D": ("Keras", "Conv1d"),
    "Conv2D": ("Keras", "Conv2d"),
    "Conv3D": ("Keras", "Conv3d"),
    "Convolution2D": ("Keras", "Conv2d"),
    "Conv2DTranspose": ("Keras", "ConvTranspose2d"),
    "DepthwiseConv2D": ("Keras", "Conv2d(input.channels, k, groups=input.channels)"),
    "SeparableConv2D": (
        "Keras",
        "Conv2d(input.channels, k, groups=input.channels) -> Conv2d(c, 1) in a block",
    ),
    "Dense": ("Keras", "Linear"),
    "BatchNormalization": ("Keras", "BatchNorm2d"),
    "LayerNormalization": ("Keras", "LayerNorm or LayerNorm2d"),
    "MaxPooling1D": ("Keras", "MaxPool1d"),
    "MaxPooling2D": ("Keras", "MaxPool2d"),
    "MaxPool2D": ("Keras", "MaxPool2d"),
    "AveragePooling2D": ("Keras", "AvgPool2d"),
    "GlobalAveragePooling2D": ("Keras", "AdaptiveAvgPool2d(1) -> Flatten"),
    "GlobalMaxPooling2D": ("Keras", "AdaptiveMaxPool2d(1) -> Flatten"),
    "UpSampling2D": ("Keras", "Upsample"),
    "ZeroPadding2D": ("Keras", "ZeroPad2d"),
    "SpatialDropout2D": ("Keras", "Dropout2d"),
    "Activation": ("Keras", "the activation itself: ReLU"),
    "Swish": ("Keras", "SiLU"),
    "HardSwish": ("Keras", "Hardswish"),
    "HardSigmoid": ("Keras", "Hardsigmoid"),
    "Concatenate": ("Keras", "concat: and a list of branches"),
    "Multiply": ("Keras", "mul: and a list of branches"),
    "Input": ("Keras", "input: at the top of the file"),
    "InputLayer": ("Keras", "input: at the top of the file"),
    "Reshape": ("Keras", "Unflatten"),
    # Caffe
    "Convolution": ("Caffe", "Conv2d"),
    "Deconvolution": ("Caffe", "ConvTranspose2d"),
    "Pooling": ("Caffe", "MaxPool2d or AvgPool2d"),
    "InnerProduct": ("Caffe", "Linear"),
    "LRN": ("Caffe", "LocalResponseNorm"),
    "Eltwise": ("Caffe", "add: or mul: and a list of branches"),
    "BatchNorm": ("Caffe", "BatchNorm2d"),
    "PReLU2d": ("Caffe", "PReLU"),
    # Lasagne
    "Conv2DLayer": ("Lasagne", "Conv2d"),
    "MaxPool2DLayer": ("Lasagne", "MaxPool2d"),
    "Pool2DLayer": ("Lasagne", "MaxPool2d or AvgPool2d"),
    "DenseLayer": ("Lasagne", "Linear"),
    "DropoutLayer": ("Lasagne", "Dropout"),
    "BatchNormLayer": ("Lasagne", "BatchNorm2d"),
    "NonlinearityLayer": ("Lasagne", "the activation itself: ReLU"),
    # Torch7
    "SpatialConvolution": ("Torch7", "Conv2d"),
    "SpatialFullConvolution": ("Torch7", "ConvTranspose2d"),
    "SpatialMaxPooling": ("Torch7", "MaxPool2d"),
    "SpatialAveragePooling": ("Torch7", "AvgPool2d"),
    "SpatialBatchNormalization": ("Torch7", "BatchNorm2d"),
    "SpatialZeroPadding": ("Torch7", "ZeroPad2d"),
    "SpatialCrossMapLRN": ("Torch7", "LocalResponseNorm"),
    "SpatialDropout": ("Torch7", "Dropout2d"),
    "View": ("Torch7", "Flatten"),
    "ConcatTable": ("Torch7", "a list of branches under add: or concat:"),
    "CAddTable": ("Torch7", "add: and a list of branches"),
    "JoinTable": ("Torch7", "concat: and a list of branches"),
    "DepthConcat": ("Torch7", "concat: and a list of branches"),
    # torch.nn's own, which are steps here
    "Sequential": ("torch.nn", "the layers joined with ->"),
    "ModuleList": ("torch.nn", "steps in a list, or for:"),
    "LazyConv2d": ("torch.nn", "Conv2d, whose in_channels are always inferred"),
    "LazyLinear": ("torch.nn", "Linear, whose in_features are always inferred"),
    "LazyBatchNorm2d": ("torch.nn", "BatchNorm2d, whose num_features are always inferred"),
}


def argument_help(name: str, layer: str, own: list[str]) -> str | None:
    """What an argument of another framework is called here, where the layer has it."""
    known = ARGUMENTS.get(name)
    if known is None:
        return None
    framework, here = known
    if here == "out_channels" and "out_channels" not in own and "out_features" in own:
        here = "out_features"
    if here.partition("=")[0] not in own and here not in ("in_channels",):
        return None
    return f"that is {framework}'s name; here it is {here!r}"


def layer_help(name: str) -> str | None:
    """What a layer of another framework is called here."""
    known = LAYERS.get(name)
    return f"that is {known[0]}'s name; here it is {known[1]}" if known else None
