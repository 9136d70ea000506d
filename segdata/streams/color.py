"""Colour jitter as one affine map of colours: a matrix product for all of it.

Brightness, contrast, saturation and a turn of the hue around the grey axis are all
linear in red, green and blue, so their product costs one pass over the pixels.
"""

from __future__ import annotations

import math

import numpy as np

from segdata.reading.options import Augmentation
from segdata.streams.tensorflow import tf

# Luma, and the two axes of colour around it: NTSC's YIQ.
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
)
NUM_DRAWS = 4
"""Uniform numbers that one image's jitter takes."""


def jitter_colors(
    image: tf.Tensor, augmentation: Augmentation, draws: tf.Tensor
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue.

    Args:
      image: `[height, width, 3] float32`, 0 to 255.
      augmentation: How much of each.
      draws: `[4] float64`, uniform in [0, 1).

    Returns:
      `[height, width, 3] float32`, cut to 0 to 255.
    """
    brightness, contrast, saturation, hue = tf.unstack(
        tf.cast(2.0 * draws - 1.0, tf.float32), num=NUM_DRAWS
    )
    contrast = 1.0 + augmentation.contrast * contrast
    matrix = contrast * _chroma_matrix(
        1.0 + augmentation.saturation * saturation,
        2.0 * math.pi * augmentation.hue * hue,
    )
    bias = 255.0 * augmentation.brightness * brightness
    if augmentation.contrast:
        bias += (1.0 - contrast) * mean_gray(image)
    pixels = tf.matmul(tf.reshape(image, [-1, 3]), matrix, transpose_b=True) + bias
    return tf.reshape(tf.clip_by_value(pixels, 0.0, 255.0), tf.shape(image))


def mean_gray(image: tf.Tensor) -> tf.Tensor:
    """Mean luma of an image, `[] float32`."""
    luma = tf.constant(_TO_YIQ[0], tf.float32)
    return tf.reduce_sum(tf.reduce_mean(image, axis=[0, 1]) * luma)


def _chroma_matrix(saturation: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """`[3, 3] float32` that scales and turns colours, and leaves luma as it is."""
    cos, sin = saturation * tf.cos(angle), saturation * tf.sin(angle)
    zero, one = tf.zeros([]), tf.ones([])
    turn = tf.stack(
        [
            tf.stack([one, zero, zero]),
            tf.stack([zero, cos, -sin]),
            tf.stack([zero, sin, cos]),
        ]
    )
    to_yiq = tf.constant(_TO_YIQ, tf.float32)
    from_yiq = tf.constant(np.linalg.inv(_TO_YIQ), tf.float32)
    return from_yiq @ turn @ to_yiq
