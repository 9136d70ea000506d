"""Anchors of all levels of the pyramid: constants of the model.

Faster R-CNN, section 3.1.1; one size a level as in FPN, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def level_anchors(
    shape: tuple[int, int], stride: int, scale: float, ratios: Sequence[float]
) -> NDArray[np.float32]:
    """Anchors of one level: around the centre of each cell, row by row.

    Args:
      shape: Height and width of the level, in cells.
      stride: Pixels of a cell.
      scale: Side of the square anchor, in strides. All ratios have its area.
      ratios: Height over width.

    Returns:
      `[h * w * ratios, 4]` `ymin, xmin, ymax, xmax` in pixels; they may reach outside.
    """
    rows, columns = ((np.arange(size) + 0.5) * stride for size in shape)
    root = np.sqrt(np.asarray(ratios, np.float64))
    height, width = scale * stride * root, scale * stride / root
    y, x = rows[:, np.newaxis, np.newaxis], columns[np.newaxis, :, np.newaxis]
    edges = (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
    anchors = np.stack(np.broadcast_arrays(*edges), axis=-1)
    return anchors.reshape(-1, 4).astype(np.float32)


def pyramid_anchors(
    shapes: Mapping[int, tuple[int, int]], scale: float, ratios: Sequence[float]
) -> dict[int, NDArray[np.float32]]:
    """Anchors of every level; keys are levels, of stride `2 ** level`."""
    return {
        level: level_anchors(shape, 2**level, scale, ratios)
        for level, shape in shapes.items()
    }
