"""Pictures of predictions: image | predicted | true, with the scores of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.drawing.draw import DIM, INK, PAPER, colorize, overlay, text_strip
from segdata.trainers.run.data import Classes
from segdata.trainers.semantic.scores import Confusion, mean_score

UInt8Array = NDArray[np.uint8]
_GAP, _MARGIN, _LINE = 6, 16, 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One image and what a model says of it."""

    title: str
    image: UInt8Array
    """`[h, w, 3]` RGB."""
    predicted: UInt8Array
    """`[h, w]` class ids."""
    labels: UInt8Array | None = None
    """`[h, w]` class ids, 255 ignored; None if they are not known."""


def predictions_sheet(
    predictions: Sequence[Prediction], classes: Classes, *, cell_width: int = 360
) -> Image.Image:
    """Lays predictions out, one per row, with the scores of the classes in each.

    Args:
      predictions: At least one.
      classes: Names and colours.
      cell_width: Width of the longer side of the images in pixels.
    """
    rows = [_row(prediction, classes, cell_width) for prediction in predictions]
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


def score_lines(prediction: Prediction, classes: Classes) -> list[str]:
    """The scores of one image in words: means, then each class that occurs."""
    if prediction.labels is None:
        return []
    confusion = Confusion(num_classes=classes.num_classes)
    confusion.add(prediction.labels, prediction.predicted)
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


def _row(prediction: Prediction, classes: Classes, cell_width: int) -> Image.Image:
    height, width = prediction.image.shape[:2]
    scale = cell_width / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(prediction.image).resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    cells = [("image", image)]
    for name, ids in (("predicted", prediction.predicted), ("true", prediction.labels)):
        if ids is not None:
            small = Image.fromarray(ids).resize(size, Image.Resampling.NEAREST)
            colored = colorize(np.asarray(small), classes.drawn, 255)
            cells.append((name, Image.fromarray(overlay(pixels, colored, 0.6))))
    total = len(cells) * (size[0] + _GAP) - _GAP
    lines = [text_strip(prediction.title, total, 14, INK)]
    lines += [
        text_strip(line, total, 12, DIM) for line in score_lines(prediction, classes)
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
    predictions: Sequence[Prediction], classes: Classes, width: int
) -> Image.Image:
    """Swatches of the classes that occur, in lines."""
    occurring: set[int] = set()
    for prediction in predictions:
        for ids in (prediction.predicted, prediction.labels):
            if ids is not None:
                occurring |= set(np.unique(ids).tolist())
    shown = [item for item in classes.drawn if item.id in occurring]
    per_line = max(1, width // 150)
    lines = -(-len(shown) // per_line)
    legend = Image.new("RGB", (width, max(1, lines * _LINE)), PAPER)
    for index, item in enumerate(shown):
        x, y = index % per_line * 150, index // per_line * _LINE
        legend.paste(item.color, (x, y + 2, x + 14, y + 16))
        legend.paste(text_strip(item.name, 124, 13, INK), (x + 20, y + 1))
    return legend
