"""Records as pictures: from what a record stores to what `segdata.draw` draws."""

from __future__ import annotations

from segdata.draw import DrawnObject, Picture
from segdata.label_map import LabelMap
from segdata.record import Record


def picture_of(record: Record, label_map: LabelMap) -> Picture:
    """Decodes a record for drawing.

    Raises:
      ImageError: If its image cannot be decoded.
      AnnotationError: If a mask is not valid.
    """
    colors = {item.id: item.color for item in label_map.object_classes}
    return Picture(
        title=record.key,
        image=record.image(),
        label_map=record.label_map(),
        objects=tuple(
            DrawnObject(
                name=item.name,
                color=colors[item.label],
                box=item.box,
                mask=record.mask(item),
                is_crowd=item.is_crowd,
            )
            for item in record.objects
        ),
    )
