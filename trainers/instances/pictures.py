"""Pictures of objects found: boxes, masks, names and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from segdata.drawing.draw import INK, PAPER, DrawnObject, draw_objects, text_strip
from segdata.drawing.records import picture_of
from segdata.records.record import Record
from segdata.trainers.instances.detector import Detector, Found
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.semantic.predictor import UInt8Array

MIN_SCORE, MAX_BOXES = 0.1, 50
"""What is drawn of a model's detections."""
_LONG_SIDE, _GAP, _LINE = 420, 6, 20


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
        left = draw_found(picture.image, best, classes)
        right = draw_objects(picture.image, picture.objects)
        rows.append((f"{record.key}: found | true", left, right))
    cells = [(title, _small(left), _small(right)) for title, left, right in rows]
    width = max(left.width + right.width + _GAP for _, left, right in cells)
    height = sum(left.height + _LINE + _GAP for _, left, _ in cells)
    page = Image.new("RGB", (width, height), PAPER)
    y = 0
    for title, left_cell, right_cell in cells:
        page.paste(text_strip(title, width, 14, INK), (0, y))
        page.paste(left_cell, (0, y + _LINE))
        page.paste(right_cell, (left_cell.width + _GAP, y + _LINE))
        y += left_cell.height + _LINE + _GAP
    return page


def _small(pixels: UInt8Array) -> Image.Image:
    image = Image.fromarray(pixels)
    scale = _LONG_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
