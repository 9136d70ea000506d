"""The objects of some records as one set of columns, and what looks odd among them.

A NumPy call costs a microsecond or more however few objects a record has: counting
the objects of many records together is several times cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError
from segdata.statistics.columns import Float64Array, Int64Array, RecordColumns

TINY_AREA = 16
"""Pixels below which an object is called tiny: 4 x 4."""
LONG_BOX = 20
"""Ratio of sides from which a box is called long."""
LONG_IMAGE = 4
"""Ratio of sides from which an image is called long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectColumns:
    """Objects of several records; the columns are those of `RecordColumns`."""

    num_records: int
    """Records that they are of."""
    owners: Int64Array
    """`[objects]` which record each is of, from 0, ascending."""
    labels: Int64Array
    """`[objects]` class ids."""
    crowds: NDArray[np.bool_]
    """`[objects]` whether each is a region of many."""
    areas: Float64Array
    """`[objects]` pixels, as the source says."""
    boxes: Float64Array
    """`[objects, 4]`: ymin, xmin, ymax, xmax in pixels."""
    num_runs: Int64Array
    """`[objects]` mask runs; 0 for a box-only object."""
    mask_pixels: Int64Array
    """`[objects]` pixels of each mask; 0 for a box-only object."""
    visibility: Int64Array
    """`[objects, keypoints]` visibility of each, 0 to 2."""


def join_objects(records: Sequence[RecordColumns]) -> ObjectColumns:
    """Joins the objects of at least one record.

    Raises:
      CorruptionError: If objects of two have different numbers of keypoints.
    """
    counts = [len(record.labels) for record in records]
    return ObjectColumns(
        num_records=len(records),
        owners=np.repeat(np.arange(len(records)), counts),
        labels=np.concatenate([record.labels for record in records]),
        crowds=np.concatenate([record.crowds for record in records]),
        areas=np.concatenate([record.areas for record in records]),
        boxes=np.concatenate([record.boxes for record in records]),
        num_runs=np.concatenate([record.num_runs for record in records]),
        mask_pixels=np.concatenate([record.mask_pixels for record in records]),
        visibility=_join_visibility(records),
    )


def _join_visibility(records: Sequence[RecordColumns]) -> Int64Array:
    filled = [record for record in records if len(record.labels)]
    for record in filled:
        expected, got = filled[0].visibility.shape[1], record.visibility.shape[1]
        if got != expected:
            raise CorruptionError(
                f"record {record.key!r} has {got} keypoints for each object: expected "
                f"{expected}, as {filled[0].key!r} has. `segdata verify` tells more."
            )
    if not filled:
        return np.zeros((0, 0), np.int64)
    return np.concatenate([record.visibility for record in filled])


def odd_objects(objects: ObjectColumns) -> dict[str, list[int]]:
    """Name of what looks odd -> how many such objects each record has."""
    sides = np.maximum(objects.boxes[:, 2:] - objects.boxes[:, :2], 0)
    has_mask = objects.num_runs > 0
    pixels, areas = objects.mask_pixels, objects.areas
    # A pixel around the box: masks are drawn on whole pixels, boxes on fractions.
    room = (sides + 2).prod(axis=1)
    questions = {
        "empty-mask": has_mask & (pixels == 0),
        "tiny-object": ~objects.crowds & (areas < TINY_AREA),
        "long-box": sides.max(axis=1) >= LONG_BOX * np.maximum(sides.min(axis=1), 1),
        "empty-box": sides.min(axis=1) == 0,
        "mask-outside-box": has_mask & (pixels > room),
        "area-not-of-mask": has_mask
        & (np.abs(areas - pixels) > 0.2 * np.maximum(pixels, 16)),
    }
    return {
        name: np.bincount(objects.owners[odd], minlength=objects.num_records).tolist()
        for name, odd in questions.items()
        if odd.any()
    }


def is_long(record: RecordColumns) -> bool:
    """Whether an image is so much longer than wide, or wider than long, to be odd."""
    sides = record.width, record.height
    return max(sides) >= LONG_IMAGE * min(sides)
