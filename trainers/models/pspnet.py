"""PSPNet.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network (CVPR 2017), section 3: an
encoder whose last strides are dilations, so that its map has an eighth of the image's
size; means of the map over 1x1, 2x2, 3x3 and 6x6 parts of it, each reduced to a quarter
of the channels and brought back to the map's size, beside the map itself; a convolution
and the scores. Section 3.3: an auxiliary loss on the last stage but one.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.encoders import build_encoder
from segdata.trainers.models.layers import (
    Resample,
    conv_block,
    dropout,
    logits,
    score_layer,
    upsample,
)
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

BINS = (1, 2, 3, 6)
WIDTH = 512
"""Channels of each level of the pyramid, and of the convolution after it."""
OUTPUT_STRIDE = 8


def pspnet(options: ModelOptions) -> Any:
    """PSPNet; outputs `logits` and `auxiliary`. `width`: channels of each bin, 512."""
    options.refuse("pspnet", "fc_width")
    encoder = build_encoder(
        options.encoder or "resnet-50", options, output_stride=OUTPUT_STRIDE
    )
    width = options.width or WIDTH
    x = _pyramid(encoder.features[32], width, options)
    x = conv_block(x, width, options, name="head")
    x = dropout(x, options, 0.1, "head_drop")
    auxiliary = conv_block(
        encoder.features[16], max(1, width // 2), options, name="auxiliary_head"
    )
    auxiliary = dropout(auxiliary, options, 0.1, "auxiliary_drop", 1)
    outputs = {
        name: _scores(tensor, name, options)
        for name, tensor in (("logits", x), ("auxiliary", auxiliary))
    }
    return keras.Model(encoder.input, outputs, name="pspnet")


def _pyramid(x: Tensor, width: int, options: ModelOptions) -> Tensor:
    size = x.shape[1:3]
    levels = [x]
    for bins in BINS:
        y = Resample((bins, bins), "mean", name=f"pool_{bins}")(x)
        y = conv_block(y, width, options, kernel=1, name=f"reduce_{bins}")
        levels.append(Resample(size, "bilinear", name=f"grow_{bins}")(y))
    return keras.layers.Concatenate(name="pyramid")(levels)


def _scores(x: Tensor, name: str, options: ModelOptions) -> Tensor:
    x = score_layer(options, f"{name}_score")(x)
    method = options.upsampling or "bilinear"
    x = upsample(x, options.image_size, OUTPUT_STRIDE, method, dtype="float32")
    return logits(x, options.image_size, name)
