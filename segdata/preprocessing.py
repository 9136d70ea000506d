"""Ops that move image and label map together, and keep them aligned."""

from __future__ import annotations

from segdata.tensorflow_import import tf


def resize_image(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Stretches an image by bilinear sampling at half-pixel centres.

    The label map that belongs to it comes from `mask_ops.resize_label_map`, which
    samples at the same centres.

    Args:
      image: `[height, width, 3] uint8`.
      size: Output `(height, width)` in pixels.

    Returns:
      `[size[0], size[1], 3] uint8`, rounded to nearest.
    """
    resized = tf.image.resize(image, size, method="bilinear")
    return tf.ensure_shape(tf.saturate_cast(tf.round(resized), tf.uint8), (*size, 3))
