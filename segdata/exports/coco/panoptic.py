"""Panoptic records as COCO has them: a PNG of segment ids and one row for each image.

A pixel's colour is the id of its segment: `R + 256 * G + 65536 * B`, 0 for none
(https://cocodataset.org/#format-data, point 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.exports.coco.ids import CocoIds
from segdata.exports.coco.rows import object_row
from segdata.images.png import encode_png
from segdata.records.record import Record

ROW_FIELD = "panoptic"
"""Field of a record's source: what its panoptic annotation says, but the segments."""
_HIGHEST = (1 << 24) - 1


def are_panoptic(records: Iterable[Record]) -> bool:
    """Whether PNGs of segments can hold all objects, and the source had them so."""
    found = False
    for record in records:
        if not fits(record):
            return False
        found = found or has_row(record)
    return found


def has_row(record: Record) -> bool:
    """Whether the record's source had a panoptic annotation of it."""
    row = record.source.get(ROW_FIELD)
    return isinstance(row, Mapping) and isinstance(row.get("file_name"), str)


def fits(record: Record) -> bool:
    """Whether a PNG of segments can hold all objects of a record.

    Each needs a mask and an id of its own, 1 to 2^24 - 1, and no two may share a pixel.
    """
    if not record.objects:
        return True
    ids = [item.source.get("id") for item in record.objects]
    if not has_row(record) or len(set(map(str, ids))) < len(ids):
        return False
    if not all(type(i) is int and 0 < i <= _HIGHEST for i in ids):
        return False
    starts, stops, _ = _spans(record)
    has_masks = all(len(item.runs) for item in record.objects)
    return has_masks and bool((starts[1:] >= stops[:-1]).all())


def segments_row(
    record: Record, ids: CocoIds, category_of: Mapping[int, int | str]
) -> dict[str, Any]:
    """The annotation of a record; its `file_name` is that of the source's PNG.

    Args:
      record: A record that `fits`.
      ids: Ids of the images.
      category_of: See `segdata.exports.coco.rows.category_ids`.
    """
    segments = [object_row(item, record, ids, category_of) for item in record.objects]
    image_id = ids.image_id(record)
    row = dict(record.source[ROW_FIELD])
    return {**row, "image_id": image_id, "segments_info": segments}


def segments_png(record: Record) -> bytes:
    """The PNG of a record that `fits`: RGB, as large as its image."""
    starts, stops, owners = _spans(record)
    ids = np.array([item.source["id"] for item in record.objects], "<u4")
    values = np.zeros(2 * len(starts) + 1, "<u4")
    values[1::2] = ids[owners]
    ends = np.stack([starts, stops], axis=1).reshape(-1)
    num_pixels = record.height * record.width
    lengths = np.diff(ends, prepend=0, append=num_pixels)
    pixels = np.repeat(values, lengths)
    # Little-endian: the bytes of an id are red, green, blue and 0.
    colors = pixels.view(np.uint8).reshape(record.height, record.width, 4)[:, :, :3]
    return encode_png(colors)


def _spans(
    record: Record,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of all masks, in the order of the image.

    Returns:
      `[spans] int64` each: first pixel, the one after the last, place of the object.
    """
    ends = [np.cumsum(item.runs).reshape(-1, 2) for item in record.objects]
    spans = np.concatenate([np.zeros((0, 2), np.int64), *ends])
    owners = np.repeat(np.arange(len(ends)), [len(part) for part in ends])
    is_filled = spans[:, 1] > spans[:, 0]
    spans, owners = spans[is_filled], owners[is_filled]
    order = np.argsort(spans[:, 0], kind="stable")
    return spans[order, 0], spans[order, 1], owners[order]
