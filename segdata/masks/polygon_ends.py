"""Where polygons' outlines cross the columns of pixels: pycocotools' rasterisation.

`rleFrPoly` in https://github.com/cocodataset/cocoapi, `common/maskApi.c`, walks every
pixel of every edge, five-fold oversampled, and keeps the steps over the middle of a
column. Here these steps are computed, of all polygons at once, from the same sums in
the same order, so that the rounding is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

_SCALE = 5  # the step over the middle of column `c` is from 5 c + 2 to 5 c + 3


def polygon_ends(
    parts: Sequence[Float64Array], owners: Int64Array, height: int, width: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Ends of the vertical runs of united polygons.

    Args:
      parts: Per polygon its corners `x0, y0, x1, y1, ...` in pixels, at least one,
        none farther than `segdata.masks.limits.MAX_POLYGON_WALK`.
      owners: `[polygons] int64`, ascending: the object that each is a part of.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      Row (0 to `height`), column and object of each end, `[ends] int64`, unsorted: a
      pixel is filled if an odd number of its column's ends is at or above it.
    """
    rows, columns, part = _crossings(parts, height, width)
    owner = owners[part]
    repeated = np.flatnonzero(owners[1:] == owners[:-1])
    if not len(repeated):
        return rows, columns, owner
    is_united = np.zeros(int(owners[-1]) + 1, np.bool_)
    is_united[owners[repeated]] = True
    chosen = is_united[owner]
    position = columns[chosen] * (height + 1) + rows[chosen]
    size = (height + 1) * width
    united, of_united = _unite(position, part[chosen], owners, size)
    more_columns, more_rows = np.divmod(united, height + 1)
    others = ~chosen
    return (
        np.concatenate((rows[others], more_rows)),
        np.concatenate((columns[others], more_columns)),
        np.concatenate((owner[others], of_united)),
    )


def _unite(
    position: Int64Array, part: Int64Array, owners: Int64Array, size: int
) -> tuple[Int64Array, Int64Array]:
    """Ends of the unions of parts, and their objects, from the parts' own ends."""
    pairs = np.sort(part * size + position).reshape(-1, 2)
    part = pairs[:, 0] // size
    moved = (owners[part] - part) * size
    starts, ends = pairs[:, 0] + moved, pairs[:, 1] + moved
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    is_first, is_last = np.ones((2, len(starts)), np.bool_)
    np.greater(starts[1:], ends[:-1], out=is_first[1:])
    is_last[:-1] = is_first[1:]
    united = np.concatenate((starts[is_first], ends[is_last]))
    owner = united // size
    return united - owner * size, owner


def _crossings(
    parts: Sequence[Float64Array], height: int, width: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Row, column and polygon of each step over the middle of a column."""
    scaled = (_SCALE * np.concatenate(parts) + 0.5).astype(np.int64)
    x, y = scaled[0::2].copy(), scaled[1::2].copy()
    counts = np.array(list(map(len, parts))) // 2
    part = np.arange(len(parts)).repeat(counts)
    stops = counts.cumsum()
    after = np.arange(1, len(x) + 1)
    after[stops - 1] = stops - counts  # polygons are closed
    next_x, next_y = x[after], y[after]
    first = np.maximum((np.minimum(x, next_x) + 2) // _SCALE, 0)
    last = np.minimum((np.maximum(x, next_x) - 3) // _SCALE, width - 1)
    is_steep = abs(next_x - x) < abs(next_y - y)
    crossed = last >= first
    is_flipped = np.where(is_steep, y > next_y, x > next_x)
    begins = np.where(is_flipped, after, np.arange(len(x)))
    ends = after + np.arange(len(x)) - begins
    found = []
    for steps, chosen in ((_flat, crossed & ~is_steep), (_steep, crossed & is_steep)):
        edges = np.flatnonzero(chosen)
        begin, end = begins[edges], ends[edges]
        repeats = last[edges] - first[edges] + 1
        each = np.arange(len(edges)).repeat(repeats)
        offsets = repeats.cumsum() - repeats
        columns = np.arange(len(each)) + (first[edges] - offsets)[each]
        v = steps(
            x[begin], y[begin], x[end] - x[begin], y[end] - y[begin], each, columns
        )
        found.append((v, columns, part[edges][each]))
    v, columns, part = map(np.concatenate, zip(*found, strict=True))
    rows = np.minimum(np.maximum((v + 2) // _SCALE, 0), height)
    return rows, columns, part


def _flat(
    x: Int64Array,
    y: Int64Array,
    right: Int64Array,
    down: Int64Array,
    each: Int64Array,
    columns: Int64Array,
) -> Int64Array:
    """Upper end of the steps of edges that go right more than down, oversampled."""
    slope, base = (down / right)[each], y[each].astype(np.float64)
    step = _SCALE * columns + 2 - x[each]
    upper = np.minimum(base + slope * step, base + slope * (step + 1))
    return (upper + 0.5).astype(np.int64)


def _steep(
    x: Int64Array,
    y: Int64Array,
    right: Int64Array,
    down: Int64Array,
    each: Int64Array,
    columns: Int64Array,
) -> Int64Array:
    """Upper end of the steps of edges that go down more than right, oversampled."""
    slope, base = (right / down)[each], x[each].astype(np.float64)
    rises, limit = slope > 0, _SCALE * columns + 3.0
    # Division may miss the last row before the step by one: ask on both sides.
    near = np.floor((limit - 0.5 - base) / slope)
    for_row = (base + slope * near + 0.5 < limit) == rises
    for_next = (base + slope * (near + 1) + 0.5 < limit) == rises
    v: Int64Array = y[each] + near.astype(np.int64) - 1 + for_row + for_next
    return v
