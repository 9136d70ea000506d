"""Which object an anchor or a proposal is to become, and which are to become none.

Free slots match nothing. What lies over a crowd and matches no object is neither
positive nor negative: nobody knows what is there.
"""

from __future__ import annotations

from typing import NamedTuple

import keras

from segdata.trainers.models.mask_rcnn.boxes import covered, iou
from segdata.trainers.models.mask_rcnn.truth import Truth
from segdata.trainers.tensor import Tensor

ANCHOR_POSITIVE = 0.7
"""IoU with an object from which an anchor is positive."""
ANCHOR_NEGATIVE = 0.3
"""IoU with every object below which it is negative."""
CROWD_SHARE = 0.5
"""Share of a box in a crowd from which it is not negative."""


class Matches(NamedTuple):
    """Of `n` boxes of each image."""

    index: Tensor
    """`[b, n] int32`, slot of the object of largest IoU; 0 if there is none."""
    positive: Tensor
    """`[b, n] bool`."""
    negative: Tensor
    """`[b, n] bool`, never where positive."""


def match_anchors(anchors: Tensor, truth: Truth) -> Matches:
    """Matches anchors, Faster R-CNN, section 3.1.2.

    Positive: IoU of at least 0.7 with an object, or the largest of any anchor with it.
    Negative: below 0.3 with all objects.

    Args:
      anchors: `[n, 4]`.
      truth: The objects.
    """
    ops = keras.ops
    overlap = _overlap(anchors, truth)
    best = ops.max(overlap, axis=2)
    # Equal but for rounding: XLA may compute the same IoU twice, in two ways.
    best_of_object = ops.max(overlap, axis=1, keepdims=True)
    is_best = (overlap >= best_of_object * (1 - 1e-5)) & (best_of_object > 0)
    positive = (best >= ANCHOR_POSITIVE) | ops.any(is_best, axis=2)
    return _matches(
        anchors, truth, overlap, positive, (best < ANCHOR_NEGATIVE) & ~positive
    )


def match_rois(rois: Tensor, valid: Tensor, truth: Truth, threshold: float) -> Matches:
    """Matches proposals, Fast R-CNN, section 2.3: one threshold of IoU.

    Args:
      rois: `[b, n, 4]`.
      valid: `[b, n] bool`; the others are neither positive nor negative.
      truth: The objects.
      threshold: IoU from which a proposal is one of an object.
    """
    overlap = _overlap(rois, truth)
    near = keras.ops.max(overlap, axis=2) >= threshold
    return _matches(rois, truth, overlap, valid & near, valid & ~near)


def _overlap(boxes: Tensor, truth: Truth) -> Tensor:
    """`[b, n, g]` IoU, -1 for what is no object."""
    return keras.ops.where(truth.valid[:, None], iou(boxes, truth.boxes), -1.0)


def _matches(
    boxes: Tensor, truth: Truth, overlap: Tensor, positive: Tensor, negative: Tensor
) -> Matches:
    ops = keras.ops
    in_crowd = (covered(boxes, truth.boxes) >= CROWD_SHARE) & truth.crowd[:, None]
    return Matches(
        index=ops.cast(ops.argmax(overlap, axis=2), "int32"),
        positive=positive,
        negative=negative & ~ops.any(in_crowd, axis=2),
    )
