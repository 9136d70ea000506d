"""What the mask head is to say: the part of an object's crop that lies in a ROI.

The stream gives each object's mask sampled over its own box. A ROI is another box: its
cells' centres are looked up in the crop, bilinearly, with constant matrices' cost, and
binarised at one half as detectron2 does.
"""

from __future__ import annotations

import keras
import numpy as np

from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.tensor import Tensor

THRESHOLD = 0.5 - 1e-4
"""Just below one half: halves, which edges often give, are on whatever the rounding."""


def mask_targets(
    masks: Tensor, boxes: Tensor, index: Tensor, rois: Tensor, size: int
) -> Tensor:
    """Crops objects' masks to ROIs; what is outside the object's box is off.

    Two small matrix products a ROI: on a TPU picking single pixels would be slow.

    Args:
      masks: `[b, g, m, m] uint8`, 0 or 1, sampled at the centres of a grid over boxes.
      boxes: `[b, g, 4]` in pixels.
      index: `[b, r] int32`, slot of each ROI's object.
      rois: `[b, r, 4]` in pixels.
      size: Height and width of the targets.

    Returns:
      `[b, r, size, size] float32`, 0 or 1.
    """
    ops = keras.ops
    cells, own = masks.shape[-1], gather(boxes, index)
    flat = ops.reshape(masks, (-1, masks.shape[1], cells * cells))
    crops = ops.reshape(gather(flat, index), (-1, index.shape[1], cells, cells))
    rows = _weights(rois[..., 0::2], own[..., 0::2], size, cells)
    columns = _weights(rois[..., 1::2], own[..., 1::2], size, cells)
    found = ops.matmul(rows, ops.cast(crops, "float32"))
    found = ops.matmul(found, ops.swapaxes(columns, -1, -2))
    return ops.stop_gradient(ops.cast(found >= THRESHOLD, "float32"))


def _weights(rois: Tensor, boxes: Tensor, size: int, cells: int) -> Tensor:
    """Shares of the crop's cells in the ROI's samples along an axis.

    Args:
      rois: `[b, r, 2]`, low and high edge.
      boxes: `[b, r, 2]` likewise.
      size: Samples.
      cells: Cells of the crop.

    Returns:
      `[b, r, size, cells]`; rows sum up to 1, or to 0 outside the box.
    """
    ops = keras.ops
    part = ops.convert_to_tensor((np.arange(size, dtype=np.float32) + 0.5) / size)
    low, high = rois[..., :1], rois[..., 1:]
    begin, end = boxes[..., :1], boxes[..., 1:]
    place = (low + (high - low) * part - begin) / ops.maximum(end - begin, 1e-6)
    inside = (place >= 0.0) & (place <= 1.0)
    position = ops.clip(place * cells - 0.5, 0.0, cells - 1.0)
    distance = ops.abs(position[..., None] - np.arange(cells, dtype=np.float32))
    return ops.where(inside[..., None], ops.maximum(1.0 - distance, 0.0), 0.0)
