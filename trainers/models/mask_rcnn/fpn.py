"""Feature pyramid over an encoder (Lin et al. 2017, Feature Pyramid Networks)."""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.encoders import build_encoder
from segdata.trainers.models.layers import upsample
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

LEVELS = (2, 3, 4, 5, 6)
"""Of strides 4 to 64; only anchors use the last (section 4.1)."""
ROI_LEVELS = (2, 3, 4, 5)
"""Levels that ROIs are sampled from."""


def build_pyramid(options: MaskRCNNOptions) -> Any:
    """Encoder and pyramid as a model, section 3.

    Returns:
      A `keras.Model`: `[b, h, w, 3] uint8` -> list of `[b, h / 2 ** level, w / 2 **
      level, pyramid_width]`, sizes rounded up, in the order of `LEVELS`.
    """
    encoder = build_encoder(
        options.encoder,
        ModelOptions(
            num_classes=1,  # of no meaning to an encoder
            image_size=options.image_size,
            weights=options.weights,
            load_weights=options.load_weights,
            freeze_encoder=options.freeze_encoder,
            batch_norm_momentum=options.batch_norm_momentum,
        ),
    )
    width = options.pyramid_width
    merged: dict[int, Tensor] = {}
    for level in reversed(ROI_LEVELS):
        x = encoder.features[2**level]
        x = _convolution(x, width, 1, f"lateral_{level}", options)
        if level + 1 in merged:
            above = upsample(merged[level + 1], x.shape[1:3], 2, "nearest")
            x = keras.layers.Add(name=f"merge_{level}")([x, above])
        merged[level] = x
    levels = [
        _convolution(merged[level], width, 3, f"pyramid_{level}", options)
        for level in ROI_LEVELS
    ]
    pool = keras.layers.MaxPooling2D(1, strides=2, padding="same", name="pyramid_6")
    model = keras.Model(encoder.input, [*levels, pool(levels[-1])], name="pyramid")
    if options.freeze_batch_norm:
        for layer in model.layers:
            is_ours = layer.name.startswith(("lateral", "pyramid"))
            if isinstance(layer, keras.layers.BatchNormalization) and not is_ours:
                layer.trainable = False
    return model


def _convolution(
    x: Tensor, width: int, kernel: int, name: str, options: MaskRCNNOptions
) -> Tensor:
    """No activation: the pyramid's levels are linear (section 3)."""
    x = keras.layers.Conv2D(width, kernel, padding="same", name=name)(x)
    if options.pyramid_batch_norm:
        momentum = options.batch_norm_momentum
        norm = keras.layers.BatchNormalization
        x = norm(momentum=momentum, name=f"{name}_bn")(x)
    return x
