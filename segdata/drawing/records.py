"""Records as pictures: from what a record stores to what `drawing.draw` draws."""

from __future__ import annotations

from segdata.drawing.draw import DrawnObject, Picture
from segdata.label_map import LabelMap
from segdata.records.record import Record
from segdata.records.validate import check_dense_masks

_REGION_COLOR = (255, 221, 51)


def picture_of(record: Record, label_map: LabelMap) -> Picture:
    """Decodes a record for drawing: its objects, and its regions as boxes.

    Raises:
      ImageError: If its image cannot be decoded.
      AnnotationError: If a mask is not valid, or all are too large together.
    """
    check_dense_masks(record)
    classes = {item.id: item for item in label_map.object_classes}
    objects = [
        DrawnObject(
            name=item.name,
            color=classes[item.label].color,
            box=item.box,
            mask=record.mask(item),
            is_crowd=item.is_crowd,
            is_thing=classes[item.label].is_thing,
            keypoints=item.keypoints,
            skeleton=classes[item.label].skeleton,
        )
        for item in record.objects
    ]
    regions = [
        DrawnObject(
            name=f"{region.name} (region)",
            color=_REGION_COLOR,
            box=region.box,
            mask=None,
        )
        for region in record.regions
    ]
    return Picture(
        title=record.key,
        image=record.image(),
        label_map=record.label_map(),
        objects=(*objects, *regions),
    )
