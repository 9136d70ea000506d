"""Arithmetic of boxes, `[..., 4] float32` `ymin, xmin, ymax, xmax` in pixels.

IoU and the coding of boxes are Keras's; here is what it has not: clipping to a part of
the canvas that differs from image to image, and how much of a box a region covers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras.utils import bounding_boxes

from segdata.trainers.tensor import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)
"""Largest growth of a box, as in detectron2: an exponential must not overflow."""


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """`[b, n, 4]` or `[n, 4]`, and `[b, m, 4]` -> `[b, n, m]`, 0 for empty boxes."""
    return bounding_boxes.compute_iou(boxes, others, "yxyx")


def covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share of each box that lies in each region.

    Args:
      boxes: `[b, n, 4]` or `[n, 4]`.
      regions: `[b, m, 4]`.

    Returns:
      `[b, n, m]`, 0 to 1.
    """
    ops = keras.ops
    boxes, regions = boxes[..., :, None, :], regions[:, None, :, :]
    low = ops.maximum(boxes[..., :2], regions[..., :2])
    high = ops.minimum(boxes[..., 2:], regions[..., 2:])
    inside = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    return inside / ops.maximum(area(boxes), 1e-6)


def area(boxes: Tensor) -> Tensor:
    """`[..., 4]` -> `[...]`, square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def encode(anchors: Tensor, boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """What a head shall say of an anchor so that it becomes a box.

    Fast R-CNN, appendix C of R-CNN: offsets of the centre over the anchor's size and
    logarithms of the ratios of sizes, times weights.

    Args:
      anchors: `[..., n, 4]`.
      boxes: `[..., n, 4]`; empty ones give large numbers, never infinite.
      weights: Of offsets y and x, of log height and width.
    """
    return bounding_boxes.encode_box_to_deltas(
        anchors, boxes, "yxyx", "yxyx", variance=[1 / weight for weight in weights]
    )


def decode(anchors: Tensor, deltas: Tensor, weights: Sequence[float]) -> Tensor:
    """The boxes that heads speak of: `encode` backwards, growth limited."""
    ops = keras.ops
    deltas = ops.cast(deltas, "float32")
    limits = ops.convert_to_tensor(
        [math.inf, math.inf, *(MAX_LOG_SCALE * weight for weight in weights[2:])],
        "float32",
    )
    return bounding_boxes.decode_deltas_to_boxes(
        anchors,
        ops.minimum(deltas, limits),
        "yxyx",
        "yxyx",
        variance=[1 / weight for weight in weights],
    )


def clip(boxes: Tensor, window: Tensor) -> Tensor:
    """Cuts boxes `[b, n, 4]` to a window of each image, `[b, 4]`."""
    ops = keras.ops
    low = ops.concatenate([window[:, :2], window[:, :2]], axis=-1)[:, None]
    high = ops.concatenate([window[:, 2:], window[:, 2:]], axis=-1)[:, None]
    return ops.minimum(ops.maximum(boxes, low), high)


def windows(batch: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    """The part of the canvas that each image covers.

    Args:
      batch: Of a stream: `image`, and `image_size`, `scale` and `offset` if they are
        known, else all of the canvas.
      size: Height and width of the canvas.

    Returns:
      `[b, 4]`, cut to the canvas.
    """
    ops = keras.ops
    canvas = ops.convert_to_tensor([size], "float32")
    if "scale" not in batch:
        count = ops.shape(batch["image"])[0]
        high = ops.broadcast_to(canvas, (count, 2))
        return ops.concatenate([ops.zeros_like(high), high], axis=-1)
    offset = ops.cast(batch["offset"], "float32")
    scale = ops.cast(batch["scale"], "float32")
    # The far corner; nearer than `offset` along an axis that is mirrored.
    corner = offset + scale * ops.cast(batch["image_size"], "float32")
    low, high = ops.minimum(offset, corner), ops.maximum(offset, corner)
    return ops.concatenate(
        [
            ops.minimum(ops.maximum(low, 0.0), canvas),
            ops.minimum(ops.maximum(high, 0.0), canvas),
        ],
        axis=-1,
    )
