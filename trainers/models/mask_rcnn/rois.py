"""Which proposals the heads learn from: Fast R-CNN, section 2.3."""

from __future__ import annotations

import keras

from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.models.mask_rcnn.matching import Matches, match_rois
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.rpn import Proposals
from segdata.trainers.models.mask_rcnn.sampling import Samples, noise, sample
from segdata.trainers.models.mask_rcnn.truth import Truth
from segdata.trainers.tensor import Tensor


def sample_rois(
    proposals: Proposals, truth: Truth, seed: Tensor, options: MaskRCNNOptions
) -> tuple[Tensor, Matches]:
    """Draws ROIs: those of objects in the first slots, background in the others.

    True boxes are proposals too, so that there is something to learn from the first
    step on. Slots that objects leave free go to the background, and stay without effect
    if there is too little of it.

    Args:
      proposals: Of the RPN.
      truth: The objects.
      seed: `[2] uint32`.
      options: How many to draw; the first `foreground_samples` may be of objects.

    Returns:
      `[b, roi_samples, 4]` boxes and their matches.
    """
    ops = keras.ops
    boxes = ops.concatenate([proposals.boxes, truth.boxes], axis=1)
    valid = ops.concatenate([proposals.valid, truth.valid], axis=1)
    matches = match_rois(boxes, valid, truth, options.roi_iou)
    total = min(options.roi_samples, boxes.shape[1])
    objects = min(options.foreground_samples, total)
    random = noise(seed, (_count(boxes), boxes.shape[1]))
    drawn = join(
        sample(matches.positive, random, objects),
        sample(matches.negative, random, total),
    )
    positive = gather(matches.positive, drawn.index) & drawn.valid
    negative = gather(matches.negative, drawn.index) & drawn.valid
    found = Matches(
        index=gather(matches.index, drawn.index), positive=positive, negative=negative
    )
    return ops.stop_gradient(gather(boxes, drawn.index)), found


def join(objects: Samples, background: Samples) -> Samples:
    """Objects in the first slots, background in the free ones and in the rest.

    Args:
      objects: Of `k` slots.
      background: Of n >= k slots; the first n - k fill the last slots of the result,
        so that the others replace what is missing among the first k.

    Returns:
      Of n slots.
    """
    ops = keras.ops
    rest = background.index.shape[1] - objects.index.shape[1]
    index = ops.where(objects.valid, objects.index, background.index[:, rest:])
    valid = objects.valid | background.valid[:, rest:]
    return Samples(
        index=ops.concatenate([index, background.index[:, :rest]], axis=1),
        valid=ops.concatenate([valid, background.valid[:, :rest]], axis=1),
    )


def _count(boxes: Tensor) -> int:
    """Images of a batch; streams have it static, as XLA wants it."""
    count = boxes.shape[0]
    if count is None:
        raise ValueError(
            "the batch dimension is unknown: expected a stream with remainder='pad' or "
            "'drop', whose shapes are static."
        )
    return int(count)
