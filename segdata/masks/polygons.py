"""Polygons -> column-major runs, all objects of an image at once.

Rasterisation is pycocotools': https://github.com/cocodataset/cocoapi,
`common/maskApi.c`. What `segdata.masks.compiled` leaves undone, and every error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError
from segdata.masks.coco import decompress_all
from segdata.masks.limits import MAX_POLYGON_WALK, MaskBudget

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

_UNITED_AT_ONCE = 256


def polygon_counts(
    polygons: Sequence[Any],
    height: int,
    width: int,
    budget: MaskBudget | None = None,
) -> Int64Array:
    """Column-major counts of the united polygons of one object; see `rasterise`."""
    return rasterise([polygons], height, width, budget)[0]


def rasterise(
    objects: Sequence[Sequence[Any]],
    height: int,
    width: int,
    budget: MaskBudget | None = None,
) -> list[Int64Array]:
    """Column-major counts of the united polygons of each object.

    Each polygon is filled by the even-odd rule: an outline that runs around an area
    twice leaves it out. What one polygon fills another cannot take away: only an RLE
    can tell of a hole by parts.

    Args:
      objects: Per object its polygons, `[[x0, y0, x1, y1, ...], ...]`, or one flat
        list, in pixels.
      height: Image height in pixels.
      width: Image width in pixels.
      budget: What they may cost.

    Returns:
      Per object `[runs] int64`, background first, summing to `height * width`.

    Raises:
      AnnotationError: If a polygon is malformed or costs too much; the attribute
        `index` tells which object has it.
    """
    if not objects:
        return []
    budget = budget or MaskBudget()
    parts, bounds = _checked_objects(objects)
    _spend(budget.spend_walk, _outline_pixels(parts, bounds))
    masks = coco_mask.frPyObjects(parts, height, width)
    united = [_united(masks[begin:end]) for begin, end in pairwise(bounds)]
    counts = decompress_all([mask["counts"] for mask in united])
    _spend(budget.spend_columns, map(len, counts))
    return counts


def _checked_objects(
    objects: Sequence[Sequence[Any]],
) -> tuple[list[Float64Array], list[int]]:
    """All polygons, and where each object's begin and end."""
    parts: list[Float64Array] = []
    bounds = [0]
    for index, polygons in enumerate(objects):
        try:
            parts += _checked_polygons(polygons)
        except AnnotationError as error:
            error.index = index
            raise
        bounds.append(len(parts))
    return parts, bounds


def _spend(spend: Callable[[int], None], costs: Iterable[int]) -> None:
    for index, cost in enumerate(costs):
        try:
            spend(cost)
        except AnnotationError as error:
            error.index = index
            raise


def _united(masks: list[Any]) -> Any:
    while len(masks) > 1:
        masks = [coco_mask.merge(group) for group in _groups(masks)]
    return masks[0]


def _groups(items: list[Any]) -> Iterator[list[Any]]:
    """Some at a time: what pycocotools needs for a union grows with their square."""
    for begin in range(0, len(items), _UNITED_AT_ONCE):
        yield items[begin : begin + _UNITED_AT_ONCE]


def _checked_polygons(polygons: Sequence[Any]) -> list[Float64Array]:
    if polygons and not isinstance(polygons[0], list | Sequence | np.ndarray):
        polygons = [polygons]
    if not polygons:
        raise AnnotationError(
            "segmentation is an empty list of polygons.", reason="empty-polygon"
        )
    return [_checked_polygon(polygon) for polygon in polygons]


def _checked_polygon(polygon: Any) -> Float64Array:
    try:
        points = np.array(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros((0, 0))
    if points.ndim != 1:
        raise AnnotationError(
            "polygon is not a flat list of numbers x0, y0, x1, y1, ...",
            reason="bad-polygon",
        )
    if len(points) < 6 or len(points) % 2:
        raise AnnotationError(
            f"polygon has {len(points)} numbers: expected an even number of at least 6 "
            "(three points).",
            reason="bad-polygon",
        )
    if not np.isfinite(points).all():
        raise AnnotationError(
            "polygon has a coordinate that is not a finite number.",
            reason="bad-polygon",
        )
    return points


def _outline_pixels(parts: Sequence[Float64Array], bounds: Sequence[int]) -> list[int]:
    """Pixels that rasterisation walks for each object: longer sides of its edges."""
    # Farther away is refused anyway, and cut off nothing here can overflow.
    limit = 2.0 * MAX_POLYGON_WALK
    flat = np.concatenate(parts).clip(-limit, limit)
    x, y = flat[0::2], flat[1::2]
    ends = np.array(list(map(len, parts))).cumsum() // 2
    before = np.arange(-1, len(x) - 1)
    starts = np.concatenate(([0], ends[:-1]))
    before[starts] = ends - 1  # polygons are closed
    edges = np.maximum(abs(x - x[before]), abs(y - y[before]))
    farthest = np.maximum.reduceat(np.maximum(abs(x), abs(y)), starts)
    # Whole numbers, whose sum is the same in every order.
    walks = np.add.reduceat(np.ceil(edges).astype(np.int64), starts)
    walks[farthest > MAX_POLYGON_WALK] += 2 * MAX_POLYGON_WALK
    result: list[int] = np.add.reduceat(walks, np.array(bounds[:-1])).tolist()
    return result
