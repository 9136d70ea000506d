"""What comes of label maps: scores of every labelled pixel, and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from segdata.drawing.draw import colorize, lay_over
from segdata.errors import CorruptionError
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.storage.paths import Location, locate
from segdata.trainers.run.data import Classes
from segdata.trainers.run.given import Given
from segdata.trainers.run.pictures import save_picture
from segdata.trainers.run.trained import PredictOptions
from segdata.trainers.semantic.confusion import confusion_picture
from segdata.trainers.semantic.pictures import predictions_sheet
from segdata.trainers.semantic.predictor import UInt8Array
from segdata.trainers.semantic.scores import Confusion, number, summarize


class PixelScorer:
    """Counts pixels, so that memory does not grow with the split."""

    def __init__(self, classes: Classes, source: RecordSource) -> None:
        self._classes = classes
        self._confusion = Confusion(
            num_classes=classes.num_classes, left_out=classes.left_out_id
        )

    def add(self, record: Record, found: Any) -> None:
        """Counts the pixels of a record."""
        labels = record.label_map()
        if labels is None:
            raise CorruptionError(
                f"record {record.key!r} has no label map: expected one in each record."
            )
        self._confusion.add(labels, found)

    def finish(self) -> dict[str, Any]:
        """What `summarize` returns."""
        return summarize(self._confusion, self._classes.names, self._classes.void_id)

    @staticmethod
    def table(scores: Mapping[str, Any]) -> str:
        """The scores as text: a line per class, then the means."""
        total = scores["label_pixels"] or 1
        names = [
            item["name"] + (" (void)" if "void" in item else "")
            for item in scores["classes"]
        ]
        width = max(len("pixel accuracy"), *map(len, names))
        lines = [f"{'class':<{width}}  {'IoU':>6}  {'Dice':>6}  {'pixels':>7}"]
        for name, item in zip(names, scores["classes"], strict=True):
            share = f"{item['label_pixels'] / total:.2%}"
            lines.append(
                f"{name:<{width}}  {number(item['iou'])}  {number(item['dice'])}  "
                f"{share:>7}"
            )
        lines.append(_mean_line("mean", scores, width))
        if "without_void" in scores:
            lines.append(_mean_line("mean, no void", scores["without_void"], width))
        lines.append(f"{'pixel accuracy':<{width}}  {number(scores['pixel_accuracy'])}")
        if "without_void" in scores:
            accuracy = scores["without_void"]["pixel_accuracy"]
            lines.append(f"{'  no void':<{width}}  {number(accuracy)}")
        return "\n".join(lines)

    def write(
        self,
        scores: dict[str, Any],
        folder: Location,
        name: str,
        results: Location | None,
    ) -> None:
        """Draws the confusion matrix."""
        picture = confusion_picture(scores["confusion"], self._classes.names)
        save_picture(picture, folder / f"evaluation-{name}.png")


class PixelWriter:
    """Writes `NAME.png`, `NAME-overlay.jpg` and, with labels, `NAME-triple.png`.

    `NAME.png` is an index PNG of class ids, with the classes' colours as palette, of
    the image's own size.
    """

    def __init__(
        self, classes: Classes, options: PredictOptions, source: RecordSource | None
    ) -> None:
        self._classes, self._output = classes, locate(options.output)

    def add(self, item: Given, found: Any) -> None:
        """Writes an image's files."""
        output, name, classes = self._output, item.name, self._classes
        save_picture(index_image(found, classes), output / f"{name}.png")
        blended = lay_over(item.image, found, classes.drawn, 255)
        path = output / f"{name}-overlay.jpg"
        save_picture(Image.fromarray(blended), path, quality=92)
        if item.labels is not None:
            sheet = predictions_sheet([item], [found], classes)
            save_picture(sheet, output / f"{name}-triple.png")

    def finish(self) -> str:
        """Nothing more is to be written or said."""
        return ""


def index_image(label_map: UInt8Array, classes: Classes) -> Image.Image:
    """Class ids as a palette image: pixels are ids, viewers show the colours."""
    picture = Image.fromarray(label_map).convert("L")
    picture.putpalette(
        colorize(np.arange(256, dtype=np.uint8)[None], classes.drawn, 255).tobytes()
    )
    return picture


def _mean_line(name: str, means: Mapping[str, Any], width: int) -> str:
    return f"{name:<{width}}  {number(means['mean_iou'])}  {number(means['mean_dice'])}"
