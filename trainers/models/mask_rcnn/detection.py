"""Class scores and boxes of proposals -> a fixed number of detections.

Mask R-CNN, section 3.1 (Inference): boxes are decoded, non-maximum suppression runs for
each class, and the mask head sees only what is left.
"""

from __future__ import annotations

from typing import NamedTuple

import keras

from segdata.trainers.models.mask_rcnn.boxes import area, clip, decode
from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.rpn import Proposals
from segdata.trainers.models.mask_rcnn.suppression import suppress
from segdata.trainers.tensor import Tensor


class Detections(NamedTuple):
    """Best first; empty slots have score 0, class 0 and an empty box."""

    boxes: Tensor
    """`[b, d, 4] float32`, cut to the image."""
    scores: Tensor
    """`[b, d] float32`."""
    classes: Tensor
    """`[b, d] int32` from 1."""


def choose_detections(
    logits: Tensor,
    deltas: Tensor,
    proposals: Proposals,
    window: Tensor,
    options: MaskRCNNOptions,
) -> Detections:
    """Chooses detections among all pairs of a proposal and a class.

    Only the best `candidates` pairs are looked at: with 1000 proposals and 80 classes
    all of them would be a matrix of 80,000 squared.

    Args:
      logits: `[b, n, C + 1]`.
      deltas: `[b, n, 4 C]`.
      proposals: `n` of them.
      window: `[b, 4]`, the part of the canvas that is image.
      options: Thresholds and numbers.
    """
    ops = keras.ops
    classes, count = options.classes, logits.shape[1]
    scores = ops.softmax(ops.cast(logits, "float32"), axis=-1)[:, :, 1:]
    scores = ops.where(proposals.valid[:, :, None], scores, 0.0)
    flat = ops.reshape(scores, (-1, count * classes))
    limit = min(options.candidates, count * classes)
    scores, index = ops.top_k(flat, limit)
    index = ops.cast(index, "int32")
    roi, label = index // classes, index % classes + 1
    deltas = gather(ops.reshape(deltas, (-1, count * classes, 4)), index)
    boxes = decode(gather(proposals.boxes, roi), deltas, options.box_weights)
    boxes = clip(boxes, window)
    valid = (scores >= options.min_score) & (area(boxes) > 0)
    groups = None if options.class_agnostic else label
    keep = suppress(boxes, valid, options.nms, groups)
    scores, index = ops.top_k(
        ops.where(keep, scores, 0.0), min(options.detections, limit)
    )
    index = ops.cast(index, "int32")
    found = scores > 0
    return Detections(
        boxes=ops.where(found[:, :, None], gather(boxes, index), 0.0),
        scores=scores,
        classes=ops.where(found, gather(label, index), 0),
    )
