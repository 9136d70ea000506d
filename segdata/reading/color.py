"""Colour jitter as one affine map of colours: a matrix product for all of it.

Brightness, contrast, saturation and a turn of the hue around the grey axis are all
linear in red, green and blue, so their product costs one pass over the pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from segdata.reading import numpy_ops
from segdata.reading.geometry import Array, Number
from segdata.reading.options import Augmentation

# Luma, and the two axes of colour around it: NTSC's YIQ.
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
)
NUM_DRAWS = 4
"""Uniform numbers that one image's jitter takes."""


def jitter_colors(
    image: Array, augmentation: Augmentation, draws: Array, ops: Any = numpy_ops
) -> Array:
    """Changes brightness, contrast, saturation and hue.

    Args:
      image: `[height, width, 3] float32`, 0 to 255.
      augmentation: How much of each.
      draws: `[4] float64`, uniform in [0, 1).
      ops: What computes: `numpy_ops`, or `tf` for tensors.

    Returns:
      `[height, width, 3] float32`, cut to 0 to 255.
    """
    brightness, contrast, saturation, hue = ops.unstack(
        ops.cast(2.0 * draws - 1.0, ops.float32), num=NUM_DRAWS
    )
    contrast = 1.0 + augmentation.contrast * contrast
    matrix = contrast * _chroma_matrix(
        1.0 + augmentation.saturation * saturation,
        2.0 * math.pi * augmentation.hue * hue,
        ops,
    )
    bias = 255.0 * augmentation.brightness * brightness
    if augmentation.contrast:
        bias += (1.0 - contrast) * mean_gray(image, ops)
    pixels = ops.reshape(image, [-1, 3]) @ ops.transpose(matrix) + bias
    return ops.reshape(ops.clip_by_value(pixels, 0.0, 255.0), ops.shape(image))


def mean_gray(image: Array, ops: Any = numpy_ops) -> Number:
    """Mean luma of an image, `[] float32`."""
    luma = ops.constant(_TO_YIQ[0], ops.float32)
    return ops.reduce_sum(ops.reduce_mean(image, axis=[0, 1]) * luma)


def _chroma_matrix(saturation: Number, angle: Number, ops: Any) -> Array:
    """`[3, 3] float32` that scales and turns colours, and leaves luma as it is."""
    cos, sin = saturation * ops.cos(angle), saturation * ops.sin(angle)
    zero, one = cos * 0.0, cos * 0.0 + 1.0
    rows = [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    turn = ops.stack([ops.stack(row) for row in rows])
    to_yiq = ops.constant(_TO_YIQ, ops.float32)
    from_yiq = ops.constant(np.linalg.inv(_TO_YIQ), ops.float32)
    return from_yiq @ turn @ to_yiq
