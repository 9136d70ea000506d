"""UNet: the paper's, a small one, and on an encoder.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
Segmentation (MICCAI 2015), section 2: two 3x3 convolutions at each of five sizes, 64
channels at the first and twice as many at each next; on the way up a 2x2
"up-convolution" that halves the channels, the map of the same size from the way down
beside it, and two convolutions again.

What differs from the paper: convolutions are padded ("same"), so that the output has
the size of the image; batch normalisation is an option.

With an encoder, its maps are the way down: strides 1 to 16 of VGG-16, or 2 to 16 of the
others, whose map of stride 1 is the image. ConvNeXt has no map of stride 2: there
nothing lies beside.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.errors import OptionError
from segdata.trainers.models.encoders import build_encoder
from segdata.trainers.models.layers import (
    conv_block,
    crop_to,
    dropout,
    logits,
    score_layer,
)
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

_DEPTH = 4  # halvings of the paper's
SMALL_WIDTH, WIDTH = 24, 64


def unet(options: ModelOptions) -> Any:
    """UNet as in the paper. `width`: channels at full size, 64 by default."""
    return _unet(options, WIDTH, "unet")


def unet_small(options: ModelOptions) -> Any:
    """UNet with fewer channels. `width`: channels at full size, 24 by default."""
    return _unet(options, SMALL_WIDTH, "unet_small")


def _unet(options: ModelOptions, default_width: int, name: str) -> Any:
    options.refuse(name.replace("_", "-"), "fc_width")
    width = options.width or default_width
    if options.encoder:
        encoder = build_encoder(options.encoder, options)
        image, x = encoder.input, encoder.features[32]
        maps = {1: encoder.image, **encoder.features}
        skips = [maps.get(2**level) for level in range(_DEPTH + 1)]
        sizes = [encoder.size(2**level) for level in range(_DEPTH + 1)]
    else:
        for given in ("weights", "freeze_encoder"):
            if getattr(options, given):
                raise OptionError(
                    f"{given} is {getattr(options, given)!r}, for an encoder, and "
                    f"{name} has none: name one with --encoder, or leave it out."
                )
        image, x, skips = _way_down(options, width)
        sizes = [skip.shape[1:3] for skip in skips]
    for level in reversed(range(len(skips))):
        x = _way_up(x, skips[level], sizes[level], width * 2**level, level, options)
    x = score_layer(options)(x)
    return keras.Model(image, logits(x, options.image_size), name=name)


def _way_down(options: ModelOptions, width: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Input, the lowest map, and the maps above it from the largest on."""
    image = keras.Input((*options.image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, dtype="float32", name="preprocessing")(
        image
    )
    skips = []
    for level in range(_DEPTH):
        x = _two_convs(x, width * 2**level, f"down_{level}", options)
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = _two_convs(x, width * 2**_DEPTH, f"down_{_DEPTH}", options)
    # The paper's dropout "at the end of the contracting path".
    x = dropout(x, options, 0.5, "drop")
    return image, x, skips


def _way_up(
    x: Tensor,
    skip: Tensor | None,
    size: tuple[int, int],
    filters: int,
    level: int,
    options: ModelOptions,
) -> Tensor:
    if options.upsampling in (None, "transpose"):
        up = keras.layers.Conv2DTranspose(filters, 2, strides=2, name=f"up_{level}")
        x = up(x)
    else:
        x = keras.layers.UpSampling2D(2, interpolation=options.upsampling)(x)
        up = keras.layers.Conv2D(filters, 2, padding="same", name=f"up_{level}")
        x = up(x)
    x = keras.layers.ReLU()(crop_to(x, size))
    if skip is not None:
        x = keras.layers.Concatenate()([skip, x])
    return _two_convs(x, filters, f"up_{level}", options)


def _two_convs(x: Tensor, filters: int, name: str, options: ModelOptions) -> Tensor:
    for number in (1, 2):
        x = conv_block(x, filters, options, name=f"{name}_conv{number}")
    return x
