"""FCN-32, FCN-16 and FCN-8.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation (CVPR
2015), section 4.2: classes are scored by 1x1 convolutions on the last map and, for
FCN-16 and FCN-8, on `pool4` and `pool3` too; each coarser score is doubled and added to
the next finer one, and the sum is brought to the image's size.

What differs from the paper: maps are padded by "same", where the paper pads the image
by 100 pixels and crops; the scores of the skips are not scaled by hand. On VGG-16 the
classifier's `fc6` and `fc7` become convolutions as in the paper; the other encoders
have no hidden layers in their classifiers, so their last map is scored.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.encoders import build_encoder
from segdata.trainers.models.layers import (
    conv_block,
    dropout,
    logits,
    score_layer,
    upsample,
)
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

FC_WIDTH = 4096
"""Channels of VGG-16's `fc6` and `fc7`; `ModelOptions.fc_width` changes it."""


def fcn_32(options: ModelOptions) -> Any:
    """FCN-32: from stride 32 at once."""
    return _fcn(options, (32,))


def fcn_16(options: ModelOptions) -> Any:
    """FCN-16: one skip, from stride 16."""
    return _fcn(options, (32, 16))


def fcn_8(options: ModelOptions) -> Any:
    """FCN-8: skips from strides 16 and 8."""
    return _fcn(options, (32, 16, 8))


def _fcn(options: ModelOptions, strides: tuple[int, ...]) -> Any:
    name = f"fcn-{strides[-1]}"
    options.refuse(name, "width")
    encoder = build_encoder(options.encoder or "vgg-16", options)
    method = options.upsampling or "transpose"
    x = encoder.pooled[32]
    if encoder.name == "vgg-16":
        x = _classifier(x, options)
    else:
        options.refuse(f"{name} on {encoder.name}", "fc_width")
    x = _score(x, options, "score_32", initializer="glorot_uniform")
    for stride in strides[1:]:
        skip = encoder.pooled[stride]
        # Zeros, as in the paper: a skip starts as the coarser net and learns from it.
        score = _score(skip, options, f"score_{stride}", initializer="zeros")
        doubled = upsample(x, skip.shape[1:3], 2, method, dtype="float32")
        add = keras.layers.Add(dtype="float32", name=f"fuse_{stride}")
        x = add([doubled, score])
    x = upsample(x, options.image_size, strides[-1], method, dtype="float32")
    output = logits(x, options.image_size)
    return keras.Model(encoder.input, output, name=name.replace("-", "_"))


def _classifier(x: Tensor, options: ModelOptions) -> Tensor:
    width = options.fc_width or FC_WIDTH
    for number, kernel in ((6, 7), (7, 1)):
        x = conv_block(x, width, options, kernel=kernel, name=f"fc{number}")
        x = dropout(x, options, 0.5, f"drop{number}", number)
    return x


def _score(x: Tensor, options: ModelOptions, name: str, *, initializer: str) -> Tensor:
    return score_layer(options, name, kernel_initializer=initializer)(x)
