"""Region proposal network (Ren, He, Girshick, Sun 2015, Faster R-CNN, section 3.1).

One head for all levels, as FPN, section 4.1, has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from segdata.trainers.models.mask_rcnn.boxes import area, clip, decode
from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.suppression import suppress
from segdata.trainers.tensor import Tensor

BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
"""Factors on what the RPN learns of boxes."""
NONE = -1e9
"""Logit of what is no proposal."""


class Proposals(NamedTuple):
    """Boxes that may be objects, best first."""

    boxes: Tensor
    """`[b, n, 4] float32`, cut to the image."""
    valid: Tensor
    """`[b, n] bool`."""


def build_rpn_head(options: MaskRCNNOptions) -> Any:
    """The head, figure 3 of the paper: a 3x3 convolution, then two of 1x1.

    Returns:
      A `keras.Model`: `[b, h, w, pyramid_width]` -> logits `[b, h, w, a] float32` and
      deltas `[b, h, w, 4 a] float32` of `a` anchors a cell.
    """
    width, per_cell = options.pyramid_width, len(options.anchor_ratios)
    tensor = keras.Input((None, None, width), name="level")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    x = keras.layers.Conv2D(
        width,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name="rpn",
    )(tensor)
    outputs = [
        keras.layers.Conv2D(
            channels, 1, kernel_initializer=initializer, dtype="float32", name=name
        )(x)
        for channels, name in ((per_cell, "rpn_score"), (4 * per_cell, "rpn_box"))
    ]
    return keras.Model(tensor, outputs, name="rpn_head")


def apply_head(
    head: Any, levels: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Logits `[b, n]` and deltas `[b, n, 4]` of each level's anchors."""
    ops = keras.ops
    logits, deltas = [], []
    for level in levels:
        score, box = head(level)
        count = int(np.prod(score.shape[1:]))
        logits.append(ops.reshape(score, (-1, count)))
        deltas.append(ops.reshape(box, (-1, count, 4)))
    return logits, deltas


def propose(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    window: Tensor,
    options: MaskRCNNOptions,
    *,
    training: bool,
) -> Proposals:
    """Chooses the best proposals of each level that overlap no better ones.

    Levels lie in one more dimension, so that one loop suppresses on all of them.

    Args:
      logits: Of each level's anchors, `[b, n]`.
      deltas: Likewise `[b, n, 4]`.
      anchors: Likewise `[n, 4]`.
      window: `[b, 4]`, the part of the canvas that is image.
      options: Numbers of boxes, IoU.
      training: Whether numbers are those of training.
    """
    ops = keras.ops
    limit = options.rpn_candidates if training else options.rpn_candidates_test
    width = min(limit, max(level.shape[1] for level in logits))
    boxes, scores = [], []
    for level in zip(logits, deltas, anchors, strict=True):
        score, delta, anchor = map(ops.stop_gradient, level)
        best, found = _best(score, delta, anchor, window, width)
        rest = width - best.shape[1]
        scores.append(ops.pad(best, ((0, 0), (0, rest)), constant_values=NONE))
        boxes.append(ops.pad(found, ((0, 0), (0, rest), (0, 0))))
    stacked = ops.reshape(ops.stack(boxes, axis=1), (-1, width, 4))
    score = ops.reshape(ops.stack(scores, axis=1), (-1, width))
    keep = suppress(stacked, score > NONE / 2, options.rpn_nms)
    total = len(boxes) * width
    score = ops.reshape(ops.where(keep, score, NONE), (-1, total))
    score, index = ops.top_k(score, min(options.proposals, total))
    chosen = gather(ops.reshape(stacked, (-1, total, 4)), ops.cast(index, "int32"))
    return Proposals(boxes=chosen, valid=score > NONE / 2)


def _best(
    logits: Tensor, deltas: Tensor, anchors: Tensor, window: Tensor, limit: int
) -> tuple[Tensor, Tensor]:
    """The best boxes of a level, falling: logits, `NONE` for empty boxes, and boxes."""
    ops = keras.ops
    score, index = ops.top_k(logits, min(limit, logits.shape[1]))
    index = ops.cast(index, "int32")
    boxes = decode(ops.take(anchors, index, axis=0), gather(deltas, index), BOX_WEIGHTS)
    boxes = clip(boxes, window)
    return ops.where(area(boxes) > 0, score, NONE), boxes
