"""Models that train in seconds: runs need one that is a model, not a good one."""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.layers import conv_block, dropout, logits
from segdata.trainers.models.options import ModelOptions

TINY = {
    "tiny": "tiny_models:tiny",
    "tiny-with-auxiliary": "tiny_models:tiny_with_auxiliary",
}
"""What `MODELS` has in the tests of trainers besides."""


def tiny(options: ModelOptions) -> Any:
    """Two convolutions, with batch normalisation and dropout where asked for."""
    image, x = _features(options)
    return keras.Model(image, _scores(x, "logits", options), name="tiny")


def tiny_with_auxiliary(options: ModelOptions) -> Any:
    """The same with a second output to learn from, as PSPNet has it."""
    image, x = _features(options)
    outputs = {name: _scores(x, name, options) for name in ("logits", "auxiliary")}
    return keras.Model(image, outputs, name="tiny_with_auxiliary")


def _features(options: ModelOptions) -> tuple[Any, Any]:
    image = keras.Input((*options.image_size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, dtype="float32", name="scaled")(image)
    x = conv_block(x, options.width or 4, options, name="conv")
    return image, dropout(x, options, 0.5, "drop")


def _scores(x: Any, name: str, options: ModelOptions) -> Any:
    # A bias would decide between classes where all that is seen is 0.
    score = keras.layers.Conv2D(
        options.num_classes, 1, use_bias=False, name=f"{name}_score"
    )
    return logits(score(x), options.image_size, name=name)
