"""A record's objects in a fixed number of slots, with NumPy.

Equals `segdata.streams.objects.read_objects`, which tells what is in the slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.masks import arrays as mask_arrays
from segdata.reading.geometry import Geometry
from segdata.reading.keypoints import KeypointOrder
from segdata.reading.moving import flipped, move_map
from segdata.reading.options import InstanceOptions
from segdata.records.record import Record, RecordObject

Arrays = dict[str, NDArray[Any]]


def read_objects(
    record: Record,
    geometry: Geometry,
    options: InstanceOptions,
    keypoints: KeypointOrder | None = None,
) -> Arrays:
    """Reads the objects of one record.

    Raises:
      AnnotationError: If a mask is not valid.
    """
    objects = record.objects
    corners = np.array([item.box for item in objects], np.float64).reshape(-1, 2, 2)
    moved, shown = geometry.move_corners(corners, geometry.affine())
    chosen = _choose(objects, moved, shown, corners, options)
    taken = [objects[index] for index in chosen]
    height, width = geometry.size if options.boxes == "normalized" else (1, 1)
    found = {
        "boxes": moved[chosen].reshape(-1, 4) / [height, width, height, width],
        "classes": np.array([item.label for item in taken], np.int32),
        "valid": np.array([not item.is_crowd for item in taken], np.bool_),
        "crowd": np.array([item.is_crowd for item in taken], np.bool_),
        "has_mask": np.array([len(item.runs) > 0 for item in taken], np.bool_),
        "area": np.array([item.area for item in taken], np.float32),
        "object_id": np.array([item.id for item in taken], np.int64),
    }
    found["boxes"] = found["boxes"].astype(np.float32)
    if options.masks != "none":
        found["masks"] = _masks(record, taken, shown[chosen], geometry, options)
    if keypoints is not None:
        found |= _keypoints(taken, geometry, keypoints)
    filled = {name: _fill(part, options.max_objects) for name, part in found.items()}
    filled["object_id"][len(taken) :] = -1
    return filled | {"num_objects": np.array(len(objects), np.int32)}


def _choose(
    objects: tuple[RecordObject, ...],
    moved: NDArray[np.float64],
    shown: NDArray[np.float64],
    stored: NDArray[np.float64],
    options: InstanceOptions,
) -> NDArray[np.int64]:
    """Indices of the objects that get the slots, in their order."""
    crowd = np.array([item.is_crowd for item in objects], np.bool_)
    usable = np.array(
        [not len(item.runs) or item.runs[1::2].sum() > 0 for item in objects], np.bool_
    )
    usable &= _area(shown) > 0
    if options.min_visible:
        usable &= _area(shown) >= options.min_visible * _area(stored)
    if options.crowds == "drop":
        usable &= ~crowd
    size = _area(moved) if options.overflow == "largest" else np.zeros(len(objects))
    order = np.lexsort((-size, crowd))  # stable: of equals the first
    return order[usable[order]][: options.max_objects]


def _area(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.prod(corners[:, 1] - corners[:, 0], axis=1)
    return area


def _masks(
    record: Record,
    taken: list[RecordObject],
    shown: NDArray[np.float64],
    geometry: Geometry,
    options: InstanceOptions,
) -> NDArray[np.uint8]:
    """`[objects, ...] uint8`: crops of the boxes shown, or the canvas."""
    runs, size = [item.runs for item in taken], (record.height, record.width)
    if options.masks == "dense":
        return move_map(mask_arrays.decode_masks(runs, *size), geometry)
    crop_size = (options.mask_size, options.mask_size)
    crops = mask_arrays.crop_masks(runs, shown.reshape(-1, 4), crop_size, *size)
    return flipped(crops, geometry, leading=1)


def _keypoints(
    taken: list[RecordObject], geometry: Geometry, order: KeypointOrder
) -> Arrays:
    """Moved keypoints; those outside the canvas count as not labelled."""
    stored = np.array([item.keypoints for item in taken], np.float32)
    stored = stored.reshape(len(taken), order.count, 3)
    points = geometry.move_points(stored[..., 1::-1].astype(np.float64))
    inside = ((points >= 0) & (points <= geometry.size)).all(-1)
    visibility = np.where(inside, stored[..., 2], 0).astype(np.int32)
    points = np.where(visibility[..., None] > 0, points, 0.0).astype(np.float32)
    if geometry.columns.flipped:
        mirrored = order.mirrored[[item.label for item in taken]]
        points = np.take_along_axis(points, mirrored[..., None], 1)
        visibility = np.take_along_axis(visibility, mirrored, 1)
    return {"keypoints": points, "keypoint_visibility": visibility}


def _fill(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Values of objects and, up to `count`, zeros."""
    filled = np.zeros((count, *values.shape[1:]), values.dtype)
    filled[: len(values)] = values
    return filled
