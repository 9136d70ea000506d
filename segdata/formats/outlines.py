"""Shapes as labelling tools draw them -> polygons and runs of the annotation dict.

Nothing is judged here: what is no number or has too few points is refused where masks
are encoded, object by object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.masks import rle

_MAX_CORNERS = 720
_FARTHEST = 1e9
_MOST_OFF = 0.1  # pixels between the middle of a side and the arc


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0
) -> list[float]:
    """An ellipse as a flat polygon that is hardly more than a tenth of a pixel off.

    Args:
      x: Column of its middle.
      y: Row of its middle.
      radius_x: Half its width before the turn.
      radius_y: Half its height, likewise.
      degrees: How far it is turned clockwise.

    Raises:
      ValueError: If a number is not finite, or above a billion.
    """
    _check_numbers(x, y, radius_x, radius_y, degrees)
    radius = max(radius_x, radius_y, 1.0)
    step = math.acos(1 - _MOST_OFF / radius)
    count = min(max(int(math.pi / step), 24), _MAX_CORNERS)
    angles = np.arange(count) * (2 * math.pi / count)
    corners = np.stack([radius_x * np.sin(angles), radius_y * np.cos(angles)], axis=1)
    return _turned(corners, degrees, (x, y))


def turned_box(
    x: float, y: float, width: float, height: float, degrees: float, around: str
) -> list[float]:
    """A turned box as a flat polygon.

    Args:
      x: Left side before the turn.
      y: Upper side before the turn.
      width: Its width.
      height: Its height.
      degrees: How far it is turned clockwise.
      around: `middle` (CVAT), or `corner`, the upper left one (Label Studio).
    """
    _check_numbers(x, y, width, height, degrees)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    middle = np.array([width, height]) / 2 if around == "middle" else np.zeros(2)
    left, top = middle.tolist()
    return _turned(corners - middle, degrees, (x + left, y + top))


def extent(numbers: Sequence[Any]) -> Any:
    """`[x, y, width, height]` around `x, y, x, y, ...`; no box if these are none."""
    try:
        values = [float(value) for value in numbers]
    except (TypeError, ValueError, OverflowError):
        return [numbers]
    x, y = values[0::2], values[1::2]
    if not x or len(x) != len(y):
        return [numbers]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def flat(points: Any) -> Any:
    """`[[x, y], ...]` -> `[x, y, ...]`; itself if it is none."""
    try:
        return [value for point in points for value in point]
    except TypeError:
        return points


def placed_mask(
    mask: NDArray[Any], left: int, top: int, height: int, width: int
) -> dict[str, Any]:
    """A COCO RLE of a mask that covers a part of the image.

    Args:
      mask: `[rows, columns]`, not 0 on the object.
      left: Column of the image that its first column is; may be negative.
      top: Row of the image that its first row is; may be negative.
      height: Height of the image in pixels.
      width: Width of the image in pixels.
    """
    mask = mask[
        max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)
    ]
    rows, columns = mask.shape
    left, top = max(left, 0), max(top, 0)
    # A row of background below, so that no run goes on in the next column.
    padded = np.zeros((columns, rows + 1), np.int8)
    padded[:, :rows] = mask.T != 0
    ends = np.flatnonzero(np.diff(padded.ravel(), prepend=0))
    column, row = np.divmod(ends, rows + 1)
    places = (column + left) * height + row + top
    counts = np.diff(places, prepend=0, append=height * width)
    return {"size": [height, width], "counts": counts.tolist()}


def is_size(height: Any, width: Any) -> bool:
    """Whether two values can be the size of an image."""
    are_sides = all(type(side) is int and side > 0 for side in (height, width))
    return are_sides and height * width <= rle.MAX_PIXELS


def unusable(category: str | int | None, why: str) -> dict[str, Any]:
    """An object that is refused where it is encoded, with the reason why."""
    named: dict[str, Any] = {}
    if category is not None:
        named["category" if isinstance(category, str) else "category_id"] = category
    return {**named, "segmentation": why}


def _check_numbers(*numbers: float) -> None:
    """Refuses NaN and what would overflow."""
    if not all(abs(number) <= _FARTHEST for number in numbers):
        raise ValueError("a number that is no place in an image")


def _turned(
    offsets: NDArray[np.float64], degrees: float, around: tuple[float, float]
) -> list[float]:
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = offsets @ np.array([[cos, sin], [-sin, cos]]) + np.array(around)
    corners: list[float] = turned.ravel().tolist()
    return corners
