"""All masks of an image from their runs at once.

`segdata.masks.rle` has the plain functions for one mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError
from segdata.masks import compiled, rle

Int64Array = NDArray[np.int64]

_SUBPIXELS = 64  # as the crops of `segdata.read_instances`
_PIXELS = np.array([0, 1], np.uint8)


def decode_masks(
    runs: Sequence[Int64Array], height: int, width: int
) -> NDArray[np.uint8]:
    """Decodes the masks of all objects.

    Args:
      runs: `[runs] int64` of each object, as `segdata.rle` returns them; none at
        all for an object without mask.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      `[objects, height, width] uint8`, 1 on the object; all 0 for one without mask.

    Raises:
      AnnotationError: If runs are not valid; its attribute `index` tells whose.
    """
    num_pixels = height * width
    empty = np.array([num_pixels, 0], np.int64)
    all_runs = [item if len(item) else empty for item in runs]
    if not all_runs:
        return np.zeros((0, height, width), np.uint8)
    found = compiled.decode(all_runs, height, width)
    if found is not None:
        return found
    joined = np.concatenate(all_runs)
    if not _are_valid(all_runs, joined, num_pixels):
        _raise_for_the_first_bad(all_runs, height, width)
    pixels = np.repeat(np.tile(_PIXELS, len(joined) // 2), joined)
    return pixels.reshape(len(all_runs), height, width)


def crop_masks(
    runs: Sequence[Int64Array],
    boxes: NDArray[np.floating],
    size: tuple[int, int],
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    """Samples the mask of each object on a grid over its box.

    Each cell of the grid has the pixel below its centre (nearest sampling). Boxes are
    rounded to 1/64 of a pixel and cut to the image: the same as the crops of
    `segdata.read_instances`.

    Args:
      runs: As for `decode_masks`.
      boxes: `[objects, 4]` `ymin, xmin, ymax, xmax` in pixels.
      size: Height and width of the grid.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      `[objects, size[0], size[1]] uint8`, 1 on the object.

    Raises:
      AnnotationError: As `decode_masks`.
    """
    crops = np.zeros((len(runs), *size), np.uint8)
    rows = _samples(boxes[:, 0], boxes[:, 2], size[0], height)
    columns = _samples(boxes[:, 1], boxes[:, 3], size[1], width)
    for index, item in enumerate(runs):
        if len(item):
            try:
                mask = rle.decode(item, height, width)
            except AnnotationError as error:
                error.index = index
                raise
            crops[index] = mask[rows[index]][:, columns[index]]
    return crops


def _samples(
    low: NDArray[np.floating], high: NDArray[np.floating], count: int, limit: int
) -> Int64Array:
    """`[objects, count]` pixels below the centres of `count` cells from low to high."""
    bounds = np.stack([low, high]).astype(np.float64) * _SUBPIXELS
    edges = np.clip(np.rint(bounds), 0, limit * _SUBPIXELS).astype(np.int64)
    first = np.minimum(edges[0], limit * _SUBPIXELS - 1)  # an empty box looks somewhere
    length = np.maximum(edges[1] - first, 1)
    centres = 2 * np.arange(count) + 1
    position = 2 * count * first[:, None] + length[:, None] * centres
    pixels: Int64Array = position // (2 * count * _SUBPIXELS)
    return pixels


def _are_valid(
    all_runs: Sequence[Int64Array], joined: Int64Array, num_pixels: int
) -> bool:
    lengths = np.array([len(item) for item in all_runs])
    if (lengths % 2).any() or int(joined.min()) < 0 or int(joined.max()) > num_pixels:
        return False
    sums = np.add.reduceat(joined, np.cumsum(lengths) - lengths)
    return bool((sums == num_pixels).all())


def _raise_for_the_first_bad(
    all_runs: Sequence[Int64Array], height: int, width: int
) -> None:
    for index, item in enumerate(all_runs):
        try:
            rle.validate_runs(item, height, width)
        except AnnotationError as error:
            error.index = index
            raise
