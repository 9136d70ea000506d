"""The true objects of a batch, as the stream gives them: slots, many of them free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import keras

from segdata.trainers.tensor import Tensor

KEYS = ("boxes", "classes", "valid", "crowd", "has_mask", "masks")
"""What a batch must have for the model to learn from it."""


class Truth(NamedTuple):
    """Objects of images: `b` images, `g` slots."""

    boxes: Tensor
    """`[b, g, 4] float32`, `ymin, xmin, ymax, xmax` in pixels of the canvas."""
    classes: Tensor
    """`[b, g] int32` from 1."""
    valid: Tensor
    """`[b, g] bool`, an object to learn."""
    crowd: Tensor
    """`[b, g] bool`, a region of many objects, never valid."""
    has_mask: Tensor
    """`[b, g] bool`."""
    masks: Tensor
    """`[b, g, m, m] uint8`, 1 on the object, over its box."""

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Truth:
        """Takes it from a stream's dict."""
        ops = keras.ops
        return cls(
            boxes=ops.cast(batch["boxes"], "float32"),
            classes=ops.cast(batch["classes"], "int32"),
            valid=ops.cast(batch["valid"], "bool"),
            crowd=ops.cast(batch["crowd"], "bool"),
            has_mask=ops.cast(batch["has_mask"], "bool"),
            masks=batch["masks"],
        )
