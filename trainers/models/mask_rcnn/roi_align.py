"""ROIAlign over the levels of a pyramid, as one gather.

Mask R-CNN, section 3 (RoIAlign): no rounding anywhere, bilinear samples, their mean.
Pixel centres lie at halves (detectron2 calls it aligned): the sample at `y` pixels of
the image looks at `y / stride - 0.5` of a level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import numpy as np

from segdata.trainers.models.mask_rcnn.boxes import area
from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.tensor import Tensor

CANONICAL_LEVEL = 4
"""Where ROIs of the canonical size go; FPN, section 4.2."""


def roi_levels(
    boxes: Tensor, lowest: int, highest: int, canonical: float = 224.0
) -> Tensor:
    """Level of each ROI, FPN, equation 1.

    Args:
      boxes: `[..., 4]` in pixels.
      lowest: Lowest level there is.
      highest: Highest level there is.
      canonical: Side in pixels of a ROI of level 4.

    Returns:
      `[...] int32`.
    """
    ops = keras.ops
    size = ops.sqrt(ops.maximum(area(boxes), 1e-6))
    level = CANONICAL_LEVEL + ops.log(size / canonical + 1e-6) / math.log(2)
    return ops.cast(ops.clip(ops.floor(level), lowest, highest), "int32")


def roi_align(
    features: Mapping[int, Tensor],
    boxes: Tensor,
    size: int,
    points: int,
    canonical: float = 224.0,
) -> Tensor:
    """Samples what lies in boxes.

    Samples more than a cell outside a level are 0, as in Caffe2; nearer ones repeat the
    edge.

    Args:
      features: Level -> `[b, h, w, c]`, of stride `2 ** level`; levels follow each
        other.
      boxes: `[b, r, 4]` `ymin, xmin, ymax, xmax` in pixels of the image.
      size: Cells of the result in each direction.
      points: Samples of a cell in each direction, whose mean it is.
      canonical: As in `roi_levels`.

    Returns:
      `[b, r, size, size, c]`, of the features' dtype.
    """
    ops = keras.ops
    levels = sorted(features)
    channels = features[levels[0]].shape[-1]
    table = ops.concatenate(
        [ops.reshape(features[k], (-1, _cells(features[k]), channels)) for k in levels],
        axis=1,
    )
    boxes = ops.stop_gradient(boxes)
    level = roi_levels(boxes, levels[0], levels[-1], canonical) - levels[0]
    heights, widths = ([features[k].shape[axis] for k in levels] for axis in (1, 2))
    starts = np.cumsum([0, *(_cells(features[k]) for k in levels)])[:-1]
    height, width, start = (
        ops.take(ops.convert_to_tensor(values, "int32"), level)
        for values in (heights, widths, starts)
    )
    stride = ops.take(ops.convert_to_tensor([2.0**k for k in levels], "float32"), level)
    rows, row_weights = _axis(boxes[..., 0::2], stride, height, size, points)
    columns, column_weights = _axis(boxes[..., 1::2], stride, width, size, points)
    # [b, r, size, 1, k, 1] and [b, r, 1, size, 1, k], k samples times two neighbours.
    index = (
        start[..., None, None, None, None]
        + rows[:, :, :, None, :, None] * width[..., None, None, None, None]
        + columns[:, :, None, :, None, :]
    )
    weights = (
        row_weights[:, :, :, None, :, None] * (column_weights[:, :, None, :, None, :])
    )
    count = boxes.shape[1]
    shape = (-1, count * size * size, (2 * points) ** 2)
    values = gather(table, ops.reshape(index, shape))
    weights = ops.cast(ops.reshape(weights, shape), values.dtype)
    pooled = ops.sum(values * weights[..., None], axis=2)
    return ops.reshape(pooled, (-1, count, size, size, channels))


def _cells(level: Tensor) -> int:
    height, width = level.shape[1:3]
    return int(height * width)


def _axis(
    edges: Tensor, stride: Tensor, length: Tensor, size: int, points: int
) -> tuple[Tensor, Tensor]:
    """Cells that samples along an axis look at, and how much each counts.

    Args:
      edges: `[b, r, 2]`, low and high edge in pixels.
      stride: `[b, r]`, pixels of a cell.
      length: `[b, r] int32`, cells of the level.
      size: As in `roi_align`.
      points: As in `roi_align`.

    Returns:
      `[b, r, size, 2 * points]` int32 and float32.
    """
    ops = keras.ops
    part = (np.arange(size * points, dtype=np.float32) + 0.5) / (size * points)
    low, high = (edges[..., k : k + 1] / stride[..., None] for k in (0, 1))
    position = low + (high - low) * ops.convert_to_tensor(part) - 0.5
    last = ops.cast(length, "float32")[..., None] - 1.0
    inside = (position > -1.0) & (position < last + 1.0)
    position = ops.clip(position, 0.0, last)
    first = ops.floor(position)
    second = ops.minimum(first + 1.0, last)
    share = position - first
    cells = ops.cast(ops.stack([first, second], axis=-1), "int32")
    weights = ops.stack([1.0 - share, share], axis=-1)
    weights = ops.where(inside[..., None], weights, 0.0) / points
    shape = (-1, edges.shape[1], size, 2 * points)
    return ops.reshape(cells, shape), ops.reshape(weights, shape)
