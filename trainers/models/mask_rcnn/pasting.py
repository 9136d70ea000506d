"""Masks of boxes -> masks of images, on the host.

Mask R-CNN, section 3.1 (Inference): the m x m mask is resized to the box and binarised
at 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5
"""Probability from which a pixel belongs to the object."""


def paste_masks(
    masks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    height: int,
    width: int,
    threshold: float = THRESHOLD,
) -> NDArray[np.bool_]:
    """Resizes masks to their boxes and puts them on empty images.

    A pixel is on where the mask, interpolated bilinearly at the pixel's centre, is at
    least `threshold`. Centres outside the box are off; between the box's edge and the
    centre of the mask's first cell the cell's value holds.

    Args:
      masks: `[d, m, n]` probabilities.
      boxes: `[d, 4]` `ymin, xmin, ymax, xmax` in pixels, may reach outside.
      height: Of the image, in pixels.
      width: Of the image, in pixels.
      threshold: 0 to 1.

    Returns:
      `[d, height, width] bool`.
    """
    pasted = np.zeros((len(masks), height, width), np.bool_)
    for image, mask, box in zip(pasted, masks, boxes, strict=True):
        paste_mask(image, mask, box, threshold)
    return pasted


def paste_mask(
    image: NDArray[np.bool_],
    mask: NDArray[np.float32],
    box: NDArray[np.float32],
    threshold: float = THRESHOLD,
) -> None:
    """Puts one mask on an image in place: work and memory are those of the box.

    Args:
      image: `[height, width] bool`, written where the box is.
      mask: `[m, n]` probabilities.
      box: `[4]` `ymin, xmin, ymax, xmax` in pixels of the image.
      threshold: 0 to 1.
    """
    rows, vertical = _weights(box[0], box[2], image.shape[0], mask.shape[0])
    columns, horizontal = _weights(box[1], box[3], image.shape[1], mask.shape[1])
    image[rows, columns] = vertical @ mask @ horizontal.T >= threshold


def _weights(
    low: float, high: float, length: int, cells: int
) -> tuple[slice, NDArray[np.float64]]:
    """Pixels whose centres lie in an interval, and each one's weights of the cells."""
    low, high = float(low), float(high)
    begin = min(max(0, int(np.ceil(low - 0.5))), length)
    end = max(begin, min(length, int(np.ceil(high - 0.5)))) if high > low else begin
    centers = np.arange(begin, end) + 0.5
    position = (centers - low) / max(high - low, 1e-9) * cells - 0.5
    position = np.clip(position, 0, cells - 1)
    distance = np.abs(position[:, np.newaxis] - np.arange(cells))
    return slice(begin, end), np.maximum(0, 1 - distance)
