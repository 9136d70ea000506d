"""COCO's annotations -> objects of the annotation dict. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from segdata.annotations import ObjectAnnotation
from segdata.formats.coco.values import Id, known_id, whole

_FIELDS = ("id", "category_id", "segmentation", "bbox", "area", "iscrowd")
_SEGMENT_FIELDS = ("id", "category_id", "bbox", "area", "iscrowd")


def instance_object(
    row: Mapping[str, Any],
    categories: Collection[Id],
    keypoint_classes: frozenset[Any],
) -> ObjectAnnotation:
    """An instance: what a record has a place for, and the rest as its `source`.

    Args:
      row: The annotation.
      categories: Ids of all categories: an id of another type means one of them.
      keypoint_classes: Ids of the categories that have keypoints. Those of another stay
        a field like any other: nobody could tell what they are.
    """
    own: tuple[str, ...] = _FIELDS
    if "keypoints" in row and _is_in(row.get("category_id"), keypoint_classes):
        own = (*_FIELDS, "keypoints")
    return _object(row, own, categories)


def panoptic_object(segment: Any, categories: Collection[Id]) -> ObjectAnnotation:
    """A segment of a panoptic annotation; its mask is where the PNG has its id."""
    if not isinstance(segment, Mapping):
        return cast(ObjectAnnotation, segment)
    item = _object(segment, _SEGMENT_FIELDS, categories)
    item["mask_value"] = whole(segment.get("id"))
    return item


def _object(
    row: Mapping[str, Any], own: tuple[str, ...], categories: Collection[Id]
) -> ObjectAnnotation:
    item: Any = {k: row[k] for k in own if row.get(k) is not None}
    if item.get("bbox") == []:
        del item["bbox"]
    segmentation = item.get("segmentation")
    if type(segmentation) is list and segmentation and not any(segmentation):
        del item["segmentation"]  # `[[]]` says nothing, as `[]` does
    if type(item.get("id")) is float:
        item["id"] = whole(item["id"])
    given = item.get("category_id")
    if given is not None and (type(given) is not int or given not in categories):
        meant = known_id(given, categories)
        item["category_id"] = whole(given) if meant is None else meant
    others = {k: v for k, v in row.items() if k not in own and k != "image_id"}
    if others:
        item["source"] = others
    return cast(ObjectAnnotation, item)


def _is_in(category_id: Any, known: frozenset[Any]) -> bool:
    return isinstance(category_id, int | str) and category_id in known
