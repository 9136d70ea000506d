"""Pictures of objects found: boxes, masks, names and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageOps

from segdata.drawing.draw import INK, DrawnObject, draw_objects, text_strip
from segdata.drawing.records import picture_of
from segdata.drawing.sheet import arrange
from segdata.records.record import Record
from segdata.trainers.instances.detector import Detector, Found
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.semantic.predictor import UInt8Array

MIN_SCORE, MAX_BOXES = 0.1, 50
"""What is drawn of a model's detections."""
_LONG_SIDE, _GAP = 420, 6


def draw_found(image: UInt8Array, found: Found, classes: ObjectClasses) -> UInt8Array:
    """Draws objects on their image: `[h, w, 3] uint8`, a new array."""
    objects = []
    slots = zip(found.boxes, found.scores, found.classes, found.pasted(), strict=True)
    for box, score, class_id, mask in slots:
        item = classes.of(int(class_id))
        ymin, xmin, ymax, xmax = box.astype(float).tolist()
        objects.append(
            DrawnObject(
                name=item.name,
                color=item.color,
                box=(ymin, xmin, ymax, xmax),
                mask=mask,
                score=float(score),
            )
        )
    return draw_objects(image, objects)


def detections_sheet(
    model: Any, records: Sequence[Record], classes: ObjectClasses, batch_size: int
) -> Image.Image:
    """Lays records out, one per row: the objects found beside the true ones."""
    detector = Detector(model, batch_size)
    found = detector.predict([record.image() for record in records])
    rows = []
    for record, objects in zip(records, found, strict=True):
        picture = picture_of(record, classes.label_map)
        best = objects.best(MAX_BOXES, MIN_SCORE)
        drawn = [
            ImageOps.contain(Image.fromarray(pixels), (_LONG_SIDE, _LONG_SIDE))
            for pixels in (
                draw_found(picture.image, best, classes),
                draw_objects(picture.image, picture.objects),
            )
        ]
        row = arrange(drawn, 2, _GAP)
        title = text_strip(f"{record.key}: found | true", row.width, 14, INK)
        rows.append(arrange([title, row], 1, 0, 2))
    return arrange(rows, 1, 0, _GAP)
