"""Pictures of predictions: image | predicted | true, with the scores of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from segdata.drawing.draw import (
    DIM,
    INK,
    PAPER,
    Picture,
    lay_over,
    text_strip,
)
from segdata.drawing.sheet import arrange, legend
from segdata.records.record import Record
from segdata.trainers.run.data import Classes
from segdata.trainers.run.given import Given
from segdata.trainers.semantic.predictor import Predictor, UInt8Array
from segdata.trainers.semantic.scores import Confusion, mean_score

_CELL, _GAP, _MARGIN = 360, 6, 16


def records_sheet(
    model: Any, records: Sequence[Record], classes: Classes, batch_size: int
) -> Image.Image:
    """Draws what a model says of some records."""
    given = [Given.of(record, classes) for record in records]
    found = Predictor([model], batch_size).predict([item.image for item in given])
    return predictions_sheet(given, found, classes)


def predictions_sheet(
    given: Sequence[Given], found: Sequence[UInt8Array], classes: Classes
) -> Image.Image:
    """Lays predictions out, one per row, with the scores of the classes in each.

    Args:
      given: At least one image.
      found: `[h, w]` class ids of each.
      classes: Names and colours.
    """
    predictions = list(zip(given, found, strict=True))
    rows = [_row(item, ids, classes) for item, ids in predictions]
    pictures = [
        Picture(title=item.name, image=item.image, label_map=ids)
        for item, predicted in predictions
        for ids in (predicted, item.labels)
        if ids is not None
    ]
    width = max(row.width for row in rows)
    rows.append(legend(pictures, classes.label_map, width))
    return ImageOps.expand(arrange(rows, 1, 0, _MARGIN), _MARGIN, PAPER)


def score_lines(item: Given, found: UInt8Array, classes: Classes) -> list[str]:
    """The scores of one image in words: means, then each class that occurs."""
    if item.labels is None:
        return []
    confusion = Confusion(num_classes=classes.num_classes)
    confusion.add(item.labels, found)
    scores = confusion.class_scores(classes.names)
    present = [s for s in scores if s.iou is not None and s.dice is not None]
    if not present:
        return ["no labelled pixels"]
    mean = mean_score(scores, "iou")
    lines = [f"mean IoU {mean:.3f}, pixel accuracy {confusion.pixel_accuracy:.3f}"]
    for first in range(0, len(present), 4):
        lines.append(
            "   ".join(
                f"{s.name}: IoU {s.iou:.2f}, Dice {s.dice:.2f}"
                for s in present[first : first + 4]
            )
        )
    return lines


def _row(item: Given, found: UInt8Array, classes: Classes) -> Image.Image:
    small = ImageOps.contain(Image.fromarray(item.image), (_CELL, _CELL))
    image, cells = np.asarray(small), {"image": small}
    for name, ids in (("predicted", found), ("true", item.labels)):
        if ids is not None:
            scaled = Image.fromarray(ids).resize(small.size, Image.Resampling.NEAREST)
            drawn = lay_over(image, np.asarray(scaled), classes.drawn, 255, 0.6)
            cells[name] = Image.fromarray(drawn)
    columns = [
        arrange([cell, text_strip(name, cell.width, 12, DIM)], 1, 0, 2)
        for name, cell in cells.items()
    ]
    row = arrange(columns, len(columns), _GAP)
    lines = [text_strip(item.name, row.width, 14, INK)]
    lines += [
        text_strip(x, row.width, 12, DIM) for x in score_lines(item, found, classes)
    ]
    return arrange([*lines, row], 1, 0, 4)
