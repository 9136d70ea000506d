"""Masks -> polygons along the edges of their pixels.

Rasterised by COCO's rule these give the same mask again; `exact_polygons` checks it.
COCO's polygons know no holes, so a mask with holes is cut into upright strips without
any.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError
from segdata.masks import rle

Ring = NDArray[np.int64]
"""`[points, 2]` x and y in pixels, clockwise; the last point is not the first again."""


class Outlines(NamedTuple):
    """The edges of a mask."""

    parts: list[Ring]
    """Outline of each part. Pixels that touch only at a corner are of two parts."""
    holes: list[Ring]
    """Outline of each hole."""


def exact_polygons(
    runs: NDArray[np.int64], height: int, width: int
) -> list[list[int]] | None:
    """Traces a mask into polygons that decode to the very same mask.

    Args:
      runs: Row-major runs of the mask.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      `[[x0, y0, x1, y1, ...], ...]` in pixels, parts united; None for an empty mask
      and where no polygons give the same mask.
    """
    parts = _parts_without_holes(rle.decode(runs, height, width))
    if not parts:
        return None
    polygons: list[list[int]] = [ring.reshape(-1).tolist() for ring in parts]
    try:
        again = rle.rle(polygons, height, width)
    except AnnotationError:  # an outline longer than we rasterise
        return None
    return polygons if np.array_equal(again, runs) else None


def trace(mask: NDArray[np.uint8] | NDArray[np.bool_]) -> Outlines:
    """Traces the parts and the holes of a mask.

    A ring turns at every corner. In each row of corners they are joined in pairs, from
    the left, by the edges along that row; in each column likewise, from the top.

    Args:
      mask: `[height, width]`, not 0 on the object.
    """
    x, y, touches = _corners(mask)
    if not len(x):
        return Outlines([], [])
    # A pair is 2 n and 2 n + 1, in reading order and, by `place`, down the columns.
    numbers = np.arange(len(x))
    place, down = np.empty((2, len(x)), np.int64)
    place[np.lexsort((y, x))] = numbers
    # Where two pixels touch, the first corner ends the edges to the left and above.
    # These are of one pixel if the upper left one is filled, of two if it is not.
    first = np.flatnonzero(touches)[::2]
    first = first[mask[y[first] - 1, x[first] - 1] == 0]
    place[first], place[first + 1] = place[first + 1], place[first]
    down[place] = numbers
    following = down[place ^ 1].tolist()
    outlines = Outlines([], [])
    is_seen = bytearray(len(x))
    for start in range(0, len(x), 2):
        if is_seen[start]:
            continue
        ring, corner = [], start
        while not is_seen[corner]:
            is_seen[corner] = is_seen[corner ^ 1] = 1
            ring += [corner, corner ^ 1]
            corner = following[corner ^ 1]
        # The first edge is the uppermost one: the object lies below it, or a hole does.
        rings = outlines.parts if mask[y[start], x[start]] else outlines.holes
        rings.append(np.stack([x[ring], y[ring]], axis=1))
    return outlines


def _corners(
    mask: NDArray[np.uint8] | NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Where outlines turn, in reading order: x, y, and whether two pixels touch there.

    Where two touch the corner stands twice.
    """
    filled = np.pad(mask != 0, 1)
    upper_left, upper_right = filled[:-1, :-1], filled[:-1, 1:]
    lower_left, lower_right = filled[1:, :-1], filled[1:, 1:]
    diagonal = (upper_left == lower_right) & (upper_right == lower_left)
    touches = diagonal & (upper_left != upper_right)
    turns = touches | (upper_left ^ upper_right ^ lower_left ^ lower_right)
    y, x = np.nonzero(turns)
    is_double = touches[y, x]
    counts = 1 + is_double
    return x.repeat(counts), y.repeat(counts), is_double.repeat(counts)


def _parts_without_holes(mask: NDArray[np.uint8]) -> list[Ring]:
    """Outlines of parts of strips that together are the mask and have no holes."""
    parts, holes = trace(mask)
    if not holes:
        return parts
    # Cutting through a hole opens it: at its left edge, as every cut does that lies
    # within it.
    cuts = sorted({int(ring[:, 0].min()) + 1 for ring in holes})
    strips = []
    for left, right in itertools.pairwise([0, *cuts, mask.shape[1]]):
        strip = np.zeros_like(mask)
        strip[:, left:right] = mask[:, left:right]
        strips += _parts_without_holes(strip)
    return strips
