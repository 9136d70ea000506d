"""Pictures of predictions: image | predicted | true, with the scores of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from segdata.drawing.draw import DIM, INK, PAPER, lay_over, text_strip
from segdata.records.record import Record
from segdata.trainers.run.data import Classes
from segdata.trainers.run.given import Given
from segdata.trainers.semantic.predictor import Predictor, UInt8Array
from segdata.trainers.semantic.scores import Confusion, mean_score

_CELL, _GAP, _MARGIN, _LINE = 360, 6, 16, 20


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
    width = max(row.width for row in rows)
    legend = _legend(predictions, classes, width)
    height = sum(row.height + _MARGIN for row in rows) + legend.height
    page = Image.new("RGB", (width + 2 * _MARGIN, height + 2 * _MARGIN), PAPER)
    y = _MARGIN
    for row in rows:
        page.paste(row, (_MARGIN, y))
        y += row.height + _MARGIN
    page.paste(legend, (_MARGIN, y))
    return page


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
    height, width = item.image.shape[:2]
    scale = _CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(item.image).resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    cells = [("image", image)]
    for name, ids in (("predicted", found), ("true", item.labels)):
        if ids is not None:
            small = Image.fromarray(ids).resize(size, Image.Resampling.NEAREST)
            drawn = lay_over(pixels, np.asarray(small), classes.drawn, 255, 0.6)
            cells.append((name, Image.fromarray(drawn)))
    total = len(cells) * (size[0] + _GAP) - _GAP
    lines = [text_strip(item.name, total, 14, INK)]
    lines += [
        text_strip(line, total, 12, DIM) for line in score_lines(item, found, classes)
    ]
    top = len(lines) * _LINE
    row = Image.new("RGB", (total, top + size[1] + _LINE), PAPER)
    for index, line in enumerate(lines):
        row.paste(line, (0, index * _LINE))
    for index, (name, cell) in enumerate(cells):
        x = index * (size[0] + _GAP)
        row.paste(cell, (x, top))
        row.paste(text_strip(name, size[0], 12, DIM), (x, top + size[1] + 2))
    return row


def _legend(
    predictions: Sequence[tuple[Given, UInt8Array]], classes: Classes, width: int
) -> Image.Image:
    """Swatches of the classes that occur, in lines."""
    occurring: set[int] = set()
    for item, found in predictions:
        for ids in (found, item.labels):
            if ids is not None:
                occurring |= set(np.unique(ids).tolist())
    shown = [one for one in classes.drawn if one.id in occurring]
    per_line = max(1, width // 150)
    lines = -(-len(shown) // per_line)
    legend = Image.new("RGB", (width, max(1, lines * _LINE)), PAPER)
    for index, one in enumerate(shown):
        x, y = index % per_line * 150, index // per_line * _LINE
        legend.paste(one.color, (x, y + 2, x + 14, y + 16))
        legend.paste(text_strip(one.name, 124, 13, INK), (x + 20, y + 1))
    return legend
