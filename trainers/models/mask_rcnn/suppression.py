"""Greedy non-maximum suppression of static shape."""

from __future__ import annotations

import keras
import numpy as np

from segdata.trainers.models.mask_rcnn.boxes import iou
from segdata.trainers.tensor import Tensor


def suppress(
    boxes: Tensor, valid: Tensor, threshold: float, groups: Tensor | None = None
) -> Tensor:
    """Says which boxes remain when those that overlap a better one are dropped.

    Greedy suppression is the only fixpoint of `keep[j] = valid[j] and not any(keep[i]
    and iou[i, j] > threshold and i < j)`: whatever it begins with, after k rounds the
    first k boxes are right, and most often all are after a few.

    Args:
      boxes: `[b, n, 4]`, the best first.
      valid: `[b, n] bool`; the others neither remain nor drop another.
      threshold: IoU above which the worse box is dropped.
      groups: `[b, n]` int32: only boxes of the same drop each other. None: all do.

    Returns:
      `[b, n] bool`.
    """
    ops = keras.ops
    boxes = ops.stop_gradient(boxes)
    count = boxes.shape[1]
    before = np.triu(np.ones((count, count), np.bool_), 1)
    drops = (iou(boxes, boxes) > threshold) & ops.convert_to_tensor(before)
    if groups is not None:
        drops &= groups[:, :, None] == groups[:, None, :]
    drops = ops.cast(drops & valid[:, :, None], "float32")
    start = ops.cast(valid, "float32")

    def changes(keep: Tensor, previous: Tensor) -> Tensor:
        return ops.any(keep != previous)

    def round_(keep: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        del previous
        hits = ops.matmul(keep[:, None], drops)[:, 0]
        return ops.where(hits > 0.5, 0.0, start), keep

    keep, _ = ops.while_loop(
        changes, round_, (start, start - 1.0), maximum_iterations=count + 1
    )
    return keep > 0.5
