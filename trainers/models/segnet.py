"""SegNet.

Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder
Architecture for Image Segmentation (PAMI 2017), section 3: the decoder mirrors VGG-16
without its dense layers; each of its stages puts its values where the encoder's max
pooling took them from (pooling indices), then convolves.

ResNet-50 and MobileNetV2 halve by strides, not by max pooling. There the indices are
those that 2x2 max pooling of the encoder's map of that stride would have, of its first
channels where the decoder is narrower; the last doubling, to the image's size, has no
map to take indices from and is bilinear.

With `upsampling` set, the decoder grows its maps that way instead of indices.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.encoders import build_encoder
from segdata.trainers.models.encoders.encoder import Encoder
from segdata.trainers.models.layers import (
    Unpooling,
    conv_block,
    logits,
    score_layer,
    upsample,
)
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

_STAGES = ((16, 3, 512), (8, 3, 512), (4, 3, 256), (2, 2, 128), (1, 2, 64))
"""Stride, convolutions and channels of the decoder's stages on VGG-16."""
WIDTH = 256
"""Most channels of the decoder on the other encoders; `ModelOptions.width` changes it.
"""


def segnet(options: ModelOptions) -> Any:
    """SegNet. `width`: the most channels that a stage of the decoder has."""
    options.refuse("segnet", "fc_width")
    encoder = build_encoder(options.encoder or "vgg-16", options)
    most = options.width or (512 if encoder.name == "vgg-16" else WIDTH)
    x = encoder.features[32]
    for stride, depth, filters in _STAGES:
        channels = min(filters, most)
        if stride in encoder.features:
            channels = min(channels, encoder.features[stride].shape[-1])
        if x.shape[-1] != channels:
            x = conv_block(x, channels, options, kernel=1, name=f"narrow_{stride}")
        x = _grow(x, encoder, stride, options)
        for number in range(1, depth + 1):
            name = f"decoder_{stride}_conv{number}"
            # As VGG-16 does backwards: the last of a stage has the next one's width.
            last = number == depth and stride > 1
            width = min(_next_width(stride), most) if last else channels
            x = conv_block(x, width, options, name=name)
    x = score_layer(options)(x)
    return keras.Model(encoder.input, logits(x, options.image_size), name="segnet")


def _next_width(stride: int) -> int:
    strides = [s for s, _, _ in _STAGES]
    return _STAGES[strides.index(stride) + 1][2]


def _grow(x: Tensor, encoder: Encoder, stride: int, options: ModelOptions) -> Tensor:
    """Doubles a map, to the size that the encoder had at a stride."""
    pooled = encoder.features.get(stride)
    if options.upsampling or pooled is None:
        size = encoder.size(stride)
        return upsample(x, size, 2, options.upsampling or "bilinear")
    first = pooled[..., : x.shape[-1]]
    return Unpooling(name=f"unpool_{stride}")([x, first])
