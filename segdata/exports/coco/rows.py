"""Records' objects as rows of COCO's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segdata.exports.coco.ids import CocoIds
from segdata.label_map import LabelClass
from segdata.masks import rle
from segdata.masks.coco import compressed_rles
from segdata.records.record import Record, RecordObject


def category_ids(classes: Sequence[LabelClass]) -> dict[int, int | str]:
    """Class id -> category id of the source, or the class id where it has none."""
    return {item.id: (*item.source_ids, item.id)[0] for item in classes}


def object_rows(
    record: Record, ids: CocoIds, category_of: Mapping[int, int | str]
) -> Iterator[dict[str, Any]]:
    """A row for each object of a record; masks are compressed RLE.

    Args:
      record: The record.
      ids: Ids of images, and new ones for objects without.
      category_of: See `category_ids`.
    """
    with_mask = [item.runs for item in record.objects if len(item.runs)]
    masks = iter(compressed_rles(with_mask, record.height, record.width))
    for item in record.objects:
        row = object_row(item, record, ids, category_of)
        row["image_id"] = ids.image_id(record)
        if len(item.runs):
            row["segmentation"] = next(masks)
        yield row


def object_row(
    item: RecordObject,
    record: Record,
    ids: CocoIds,
    category_of: Mapping[int, int | str],
) -> dict[str, Any]:
    """The row of an object without its mask and image.

    What the source says of it is given as it is; what it leaves out follows from the
    mask, or the box.

    Args:
      item: The object.
      record: Its record.
      ids: New ids for objects without.
      category_of: See `category_ids`.
    """
    row = {k: v for k, v in item.source.items() if k != "category"}
    if "id" not in row:
        row["id"] = ids.next_annotation_id()
    row["category_id"] = category_of[item.label]  # of merged classes the first
    row.setdefault("bbox", _bbox(item, record))
    row.setdefault("area", rle.area(item.runs) if len(item.runs) else item.area)
    row.setdefault("iscrowd", int(item.is_crowd))
    return row


def _bbox(item: RecordObject, record: Record) -> list[float]:
    """`[x, y, width, height]` of an object whose source gives none: of its mask."""
    box: tuple[float, ...] = item.box
    if len(item.runs):
        box = rle.bounding_box(item.runs, record.width)
    ymin, xmin, ymax, xmax = box
    return [xmin, ymin, xmax - xmin, ymax - ymin]
