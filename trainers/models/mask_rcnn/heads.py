"""Heads that look at ROIs: class and box, and mask.

Mask R-CNN, figure 4 (right): two fully connected layers; four convolutions and a
transposed one.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions


def build_box_head(options: MaskRCNNOptions) -> Any:
    """Class and box of a ROI.

    Returns:
      A `keras.Model`: `[b, r, cells * cells * pyramid_width]` -> logits `[b, r, C + 1]
      float32`, background first, and deltas `[b, r, 4 C] float32`, for each class.
    """
    width = options.box_size**2 * options.pyramid_width
    x = tensor = keras.Input((None, width), name="roi")
    for number in (1, 2):
        x = keras.layers.Dense(
            options.box_width,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"box_fc{number}",
        )(x)
    outputs = [
        keras.layers.Dense(
            channels,
            kernel_initializer=keras.initializers.RandomNormal(stddev=deviation),
            dtype="float32",
            name=name,
        )(x)
        for channels, deviation, name in (
            (options.classes + 1, 0.01, "roi_class"),
            (4 * options.classes, 0.001, "roi_box"),
        )
    ]
    return keras.Model(tensor, outputs, name="box_head")


def build_mask_head(options: MaskRCNNOptions) -> Any:
    """Mask of a ROI for each class: they do not compete (section 3, Mask).

    Returns:
      A `keras.Model`: `[n, m / 2, m / 2, pyramid_width]` -> logits `[n, m, m, C]
      float32`.
    """
    half, width = options.mask_size // 2, options.mask_width
    x = tensor = keras.Input((half, half, options.pyramid_width), name="roi")
    for number in range(1, options.mask_convolutions + 1):
        x = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"mask_conv{number}",
        )(x)
    x = keras.layers.Conv2DTranspose(
        width,
        2,
        strides=2,
        activation="relu",
        kernel_initializer="he_normal",
        name="mask_upsampling",
    )(x)
    x = keras.layers.Conv2D(
        options.classes,
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name="mask",
    )(x)
    return keras.Model(tensor, x, name="mask_head")
