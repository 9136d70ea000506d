"""COCO's annotations -> objects of the annotation dict. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from segdata.annotations import ObjectAnnotation

_FIELDS = ("id", "category_id", "segmentation", "bbox", "area", "iscrowd")
_SEGMENT_FIELDS = ("id", "category_id", "bbox", "area", "iscrowd")


def instance_object(
    row: Mapping[str, Any], keypoint_classes: frozenset[Any]
) -> ObjectAnnotation:
    """An instance: what a record has a place for, and the rest as its `source`.

    Args:
      row: The annotation.
      keypoint_classes: Ids of the categories that have keypoints. Those of another stay
        a field like any other: nobody could tell what they are.
    """
    own: tuple[str, ...] = _FIELDS
    if "keypoints" in row and _is_in(row.get("category_id"), keypoint_classes):
        own = (*_FIELDS, "keypoints")
    return _object(row, own)


def panoptic_object(segment: Any) -> ObjectAnnotation:
    """A segment of a panoptic annotation; its mask is where the PNG has its id."""
    if not isinstance(segment, Mapping):
        return cast(ObjectAnnotation, segment)
    item = _object(segment, _SEGMENT_FIELDS)
    item["mask_value"] = segment.get("id")  # type: ignore[typeddict-item]  # refused by its name where it is no number
    return item


def _object(row: Mapping[str, Any], own: tuple[str, ...]) -> ObjectAnnotation:
    item = cast(ObjectAnnotation, {k: row[k] for k in own if row.get(k) is not None})
    if item.get("bbox") == []:
        del item["bbox"]
    others = {k: v for k, v in row.items() if k not in own and k != "image_id"}
    if others:
        item["source"] = others
    return item


def _is_in(category_id: Any, known: frozenset[Any]) -> bool:
    return isinstance(category_id, int | str) and category_id in known
