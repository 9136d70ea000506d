"""Losses of each image, so that means over any share of a batch are right.

Mask R-CNN, section 3: L = L_cls + L_box + L_mask; Faster R-CNN, section 3.1.2, for the
RPN. Box losses are divided by the number of all samples, as in Detectron: images with
more objects weigh more. Everything is float32.
"""

from __future__ import annotations

import keras

from segdata.trainers.models.mask_rcnn.boxes import encode
from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.models.mask_rcnn.matching import Matches, match_anchors
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.rpn import BOX_WEIGHTS
from segdata.trainers.models.mask_rcnn.sampling import sample
from segdata.trainers.models.mask_rcnn.truth import Truth
from segdata.trainers.tensor import Tensor

SMOOTH = 1 / 9
"""Where the smooth L1 loss turns from a parabola to a line."""


def smooth_l1(difference: Tensor) -> Tensor:
    """Fast R-CNN, equation 3, with the turn at `SMOOTH` instead of 1."""
    ops = keras.ops
    size = ops.abs(difference)
    return ops.where(size < SMOOTH, 0.5 * size * size / SMOOTH, size - 0.5 * SMOOTH)


def rpn_losses(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    truth: Truth,
    random: Tensor,
    options: MaskRCNNOptions,
) -> tuple[Tensor, Tensor]:
    """Score and box loss of the RPN over sampled anchors.

    Args:
      logits: `[b, n]` of all levels.
      deltas: `[b, n, 4]`.
      anchors: `[n, 4]`.
      truth: The objects.
      random: `[b, n]` in [0, 1): which are drawn.
      options: How many are.

    Returns:
      `[b]` each.
    """
    ops = keras.ops
    matches = match_anchors(anchors, truth)
    total = min(options.rpn_samples, logits.shape[1])
    positive = sample(matches.positive, random, max(1, total // 2))
    negative = sample(matches.negative, random, total)
    taken = ops.sum(ops.cast(positive.valid, "int32"), axis=1, keepdims=True)
    # Negatives fill what positives leave.
    rest = negative.valid & (ops.arange(total, dtype="int32")[None] < total - taken)
    labels = ops.concatenate(
        [ops.ones_like(positive.index), ops.zeros_like(negative.index)], axis=1
    )
    weights = ops.cast(ops.concatenate([positive.valid, rest], axis=1), "float32")
    index = ops.concatenate([positive.index, negative.index], axis=1)
    count = ops.maximum(ops.sum(weights, axis=1), 1.0)
    score = _sigmoid_cross_entropy(gather(logits, index), ops.cast(labels, "float32"))
    index = positive.index
    target = encode(
        ops.take(anchors, index, axis=0),
        gather(truth.boxes, gather(matches.index, index)),
        BOX_WEIGHTS,
    )
    box = ops.sum(smooth_l1(gather(deltas, index) - target), axis=2)
    box *= ops.cast(positive.valid, "float32")
    return ops.sum(score * weights, axis=1) / count, ops.sum(box, axis=1) / count


def roi_losses(
    logits: Tensor,
    deltas: Tensor,
    rois: Tensor,
    matches: Matches,
    truth: Truth,
    options: MaskRCNNOptions,
) -> tuple[Tensor, Tensor]:
    """Class and box loss of sampled ROIs (Fast R-CNN, section 2.3).

    Args:
      logits: `[b, r, C + 1]`.
      deltas: `[b, r, 4 C]`.
      rois: `[b, r, 4]`.
      matches: Of them; those neither positive nor negative do not count.
      truth: The objects.
      options: Of the model.

    Returns:
      `[b]` each.
    """
    ops = keras.ops
    positive = ops.cast(matches.positive, "float32")
    counted = positive + ops.cast(matches.negative, "float32")
    count = ops.maximum(ops.sum(counted, axis=1), 1.0)
    classes = gather(truth.classes, matches.index)
    label = ops.one_hot(ops.where(matches.positive, classes, 0), options.classes + 1)
    cross_entropy = -ops.sum(label * ops.log_softmax(logits, axis=-1), axis=-1)
    target = encode(rois, gather(truth.boxes, matches.index), options.box_weights)
    deltas = ops.reshape(deltas, (-1, rois.shape[1], options.classes, 4))
    own = ops.sum(deltas * label[:, :, 1:, None], axis=2)
    box = ops.sum(smooth_l1(own - target), axis=2)
    return (
        ops.sum(cross_entropy * counted, axis=1) / count,
        ops.sum(box * positive, axis=1) / count,
    )


def mask_loss(
    logits: Tensor, targets: Tensor, classes: Tensor, counted: Tensor
) -> Tensor:
    """Binary cross-entropy of the true class's mask (section 3, Mask).

    Args:
      logits: `[b, r, m, m, C]`.
      targets: `[b, r, m, m] float32`, 0 or 1.
      classes: `[b, r] int32` from 1.
      counted: `[b, r] bool`.

    Returns:
      `[b]`, mean over the ROIs that count; 0 if none does.
    """
    ops = keras.ops
    weights = ops.cast(counted, "float32")
    loss = _sigmoid_cross_entropy(of_class(logits, classes), targets)
    loss = ops.mean(loss, axis=(2, 3)) * weights
    return ops.sum(loss, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def of_class(masks: Tensor, classes: Tensor) -> Tensor:
    """`[b, r, m, m, C]`, classes `[b, r]` from 1 -> `[b, r, m, m]`, 0 for class 0."""
    ops = keras.ops
    chosen = ops.one_hot(classes - 1, masks.shape[-1], dtype=masks.dtype)
    return ops.sum(masks * chosen[:, :, None, None], axis=-1)


def _sigmoid_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Stable for logits of any size."""
    ops = keras.ops
    return ops.maximum(logits, 0.0) - logits * labels + ops.softplus(-ops.abs(logits))
