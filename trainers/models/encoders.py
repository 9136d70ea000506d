"""VGG-16, ResNet-50 and MobileNetV2 with endpoints by stride.

Every encoder takes uint8 RGB: the preprocessing that its published weights were
trained with is its first layer. Sizes are halved rounding up, so any size goes.

`imagenet` weights are those of `keras.applications`, which Keras downloads; offline,
pass the path of such a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from segdata.errors import MissingDependencyError, OptionError
from segdata.trainers.models.layers import CaffePreprocessing, conv_block
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """An encoder's tensors. Keys are strides: 8 is a map of an eighth of the size."""

    name: str
    """Name in `ENCODERS`."""
    input: Tensor
    """`[batch, height, width, 3] uint8`."""
    image: Tensor
    """The preprocessed image."""
    features: Mapping[int, Tensor]
    """The deepest map of each stride, before it is halved. VGG-16 has 1 to 32, the
    others 2 to 32."""
    pooled: Mapping[int, Tensor]
    """What FCN scores: for VGG-16 `pool1` (2) to `pool5` (32), else `features`."""


def build_encoder(
    name: str, options: ModelOptions, *, output_stride: int = 32
) -> Encoder:
    """Builds an encoder.

    Args:
      name: A name in `ENCODERS`.
      options: Of the model: size, weights, batch normalisation.
      output_stride: 8, 16 or 32. Below 32 the last strides become dilations (Yu,
        Koltun, Funkhouser 2017), so that maps stay larger with the same weights; keys
        still name the strides that the maps would have had.

    Raises:
      OptionError: If the encoder is unknown, or its weights do not fit.
      MissingDependencyError: If the weights cannot be downloaded.
    """
    if name not in ENCODERS:
        raise OptionError(
            f"encoder {name!r} is unknown: expected one of {', '.join(ENCODERS)}."
        )
    if output_stride not in (8, 16, 32):
        raise OptionError(f"output_stride is {output_stride}: expected 8, 16 or 32.")
    image = keras.Input((*options.image_size, 3), dtype="uint8", name="image")
    return ENCODERS[name](image, options, output_stride)


# --- VGG-16 (Simonyan, Zisserman 2015), configuration D.

_VGG_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def _vgg16(image: Tensor, options: ModelOptions, output_stride: int) -> Encoder:
    """Its own code, not that of `keras.applications`: batch normalisation is optional.

    Layers have the same names, so that the published weights fit either way.
    """
    x = preprocessed = CaffePreprocessing(dtype="float32", name="preprocessing")(image)
    features, pooled = {}, {}
    for block, (depth, filters) in enumerate(_VGG_BLOCKS, start=1):
        stride = 2**block
        dilation = max(1, stride // 2 // output_stride)
        for conv in range(1, depth + 1):
            name = f"block{block}_conv{conv}"
            x = conv_block(x, filters, options, dilation=dilation, name=name)
        features[stride // 2] = x
        if stride <= output_stride:
            pool = keras.layers.MaxPooling2D
            x = pool(2, padding="same", name=f"block{block}_pool")(x)
        pooled[stride] = x
    features[32] = x
    if options.weights:
        plain = _application(keras.applications.VGG16, options.weights, None)
        ours = keras.Model(image, x)
        for layer in plain.layers:
            if layer.weights:
                target = ours.get_layer(layer.name)
                values = layer.get_weights()
                target.set_weights(values[: len(target.weights)])
    return Encoder(
        name="vgg-16",
        input=image,
        image=preprocessed,
        features=features,
        pooled=pooled,
    )


# --- ResNet-50 (He, Zhang, Ren, Sun 2016) and MobileNetV2 (Sandler et al. 2018).

_RESNET_ENDPOINTS = {
    2: "conv1_relu",
    4: "conv2_block3_out",
    8: "conv3_block4_out",
    16: "conv4_block6_out",
    32: "conv5_block3_out",
}
_MOBILENET_ENDPOINTS = {
    2: "block_1_expand_relu",
    4: "block_3_expand_relu",
    8: "block_6_expand_relu",
    16: "block_13_expand_relu",
    32: "out_relu",
}


def _resnet50(image: Tensor, options: ModelOptions, output_stride: int) -> Encoder:
    preprocessed = CaffePreprocessing(dtype="float32", name="preprocessing")(image)
    model = _application(keras.applications.ResNet50, options.weights, preprocessed)
    model = _dilate(model, output_stride, _resnet_change)
    return _endpoints("resnet-50", model, _RESNET_ENDPOINTS, options)


def _mobilenet_v2(image: Tensor, options: ModelOptions, output_stride: int) -> Encoder:
    scaling = keras.layers.Rescaling
    preprocessed = scaling(1 / 127.5, -1, dtype="float32", name="preprocessing")(image)
    model = _application(keras.applications.MobileNetV2, options.weights, preprocessed)
    model = _dilate(model, output_stride, _mobilenet_change)
    return _endpoints("mobilenet-v2", model, _MOBILENET_ENDPOINTS, options)


def _endpoints(
    name: str, model: Any, layers: Mapping[int, str], options: ModelOptions
) -> Encoder:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # MobileNetV2's own .999 is for schedules of millions of steps: short runs
            # would be evaluated with statistics that are still those of the start.
            layer.momentum = options.batch_norm_momentum
    features = {stride: model.get_layer(n).output for stride, n in layers.items()}
    return Encoder(
        name=name,
        input=model.inputs[0],
        image=model.get_layer("preprocessing").output,
        features=features,
        pooled=features,
    )


Change = Callable[[str, int], dict[str, Any]]
"""Layer name and output stride -> what changes in its configuration."""


def _dilate(model: Any, output_stride: int, change: Change) -> Any:
    """Copies a model, with dilations in the place of its last strides."""
    if output_stride == 32:
        return model

    def clone(layer: Any) -> Any:
        changes = change(layer.name, output_stride)
        return layer.__class__.from_config({**layer.get_config(), **changes})

    dilated = keras.models.clone_model(model, clone_function=clone)
    dilated.set_weights(model.get_weights())
    return dilated


def _resnet_change(name: str, output_stride: int) -> dict[str, Any]:
    """Stages 4 and 5 halve in the 1x1 convolutions of their first block."""
    stride = {"conv4": 16, "conv5": 32}.get(name[:5], 0)
    dilation = stride // output_stride
    if dilation < 2:
        return {}
    if name.endswith(("_block1_0_conv", "_block1_1_conv")):
        return {"strides": (1, 1)}
    if name.endswith("_2_conv"):
        return {"dilation_rate": (dilation, dilation)}
    return {}


def _mobilenet_change(name: str, output_stride: int) -> dict[str, Any]:
    """Blocks 6 and 13 halve in their depthwise convolutions, after padding."""
    _, _, rest = name.partition("block_")
    number, _, part = rest.partition("_")
    if not number.isdigit() or part not in ("depthwise", "pad"):
        return {}
    block = int(number)
    stride = 32 if block > 13 else 16 if block > 6 else 8  # of what the block reads
    dilation = max(1, stride // output_stride)
    halves = {6: 16, 13: 32}.get(block, 0) > output_stride
    if part == "pad":
        return {"padding": ((dilation, dilation),) * 2} if halves else {}
    changes: dict[str, Any] = {"dilation_rate": (dilation, dilation)}
    return changes | ({"strides": (1, 1)} if halves else {})


# --- Weights.


def _application(build: Callable[..., Any], weights: str | None, image: Tensor) -> Any:
    """An encoder of `keras.applications`, with weights if asked for."""
    if weights is None:
        return build(include_top=False, weights=None, input_tensor=image)
    if weights == "imagenet":
        try:
            return build(include_top=False, weights="imagenet", input_tensor=image)
        except Exception as error:  # Keras wraps errors of the network in its own
            raise MissingDependencyError(
                f"ImageNet weights of {build.__name__} cannot be downloaded "
                f"({_first_line(error)}). Without a network, pass the path of the "
                "`..._notop.h5` file of keras.applications as weights, or none.",
                reason="weights-missing",
            ) from error
    if not Path(weights).is_file():
        raise OptionError(
            f"weights {weights!r} is no file: expected none, 'imagenet', or the path "
            f"of a weights file of {build.__name__} without its top."
        )
    model = build(include_top=False, weights=None, input_tensor=image)
    try:
        model.load_weights(weights)
    except Exception as error:  # h5py and Keras raise many kinds
        raise OptionError(
            f"weights file {weights} does not fit {build.__name__} without its top: "
            f"{_first_line(error)}."
        ) from error
    return model


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


ENCODERS: dict[str, Callable[[Tensor, ModelOptions, int], Encoder]] = {
    "vgg-16": _vgg16,
    "resnet-50": _resnet50,
    "mobilenet-v2": _mobilenet_v2,
}
"""Name -> function."""
