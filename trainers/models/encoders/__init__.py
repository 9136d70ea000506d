"""Encoders with endpoints by stride: a name, a function, one line in `ENCODERS`.

Every encoder takes uint8 RGB: the preprocessing that its published weights were
trained with is its first layer, so a run that has the encoder's name has that too.
Sizes are halved rounding up, so any size goes. Start at `build_encoder`; those of Keras
are in `applications.py`, the one whose weights come with a package in `lite0.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras

from segdata.errors import OptionError
from segdata.trainers.models.encoders.applications import application
from segdata.trainers.models.encoders.encoder import SCOPE, Encoder
from segdata.trainers.models.encoders.lite0 import efficientnet_lite0
from segdata.trainers.models.encoders.vgg16 import vgg16
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

ENCODERS: dict[str, Callable[[Tensor, ModelOptions, int], Encoder]] = {
    "vgg-16": vgg16,
    "resnet-50": partial(application, "resnet-50"),
    "mobilenet-v2": partial(application, "mobilenet-v2"),
    "efficientnet-lite0": efficientnet_lite0,
    "efficientnet-v2-b0": partial(application, "efficientnet-v2-b0"),
    "convnext-tiny": partial(application, "convnext-tiny"),
}
"""Name -> image, options of the model, and output stride -> encoder."""


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
      MissingDependencyError: If the weights are not installed, or cannot be downloaded.
    """
    if name not in ENCODERS:
        raise OptionError(
            f"encoder {name!r} is unknown: expected one of {', '.join(ENCODERS)}."
        )
    if output_stride not in (8, 16, 32):
        raise OptionError(f"output_stride is {output_stride}: expected 8, 16 or 32.")
    image = keras.Input((*options.image_size, 3), dtype="uint8", name="image")
    with keras.name_scope(SCOPE):
        encoder = ENCODERS[name](image, options, output_stride)
    if options.freeze_encoder:
        keras.Model(image, encoder.features[32]).trainable = False
    return encoder
