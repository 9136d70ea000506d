"""What comes of objects found: COCO's scores, pictures and results."""

from __future__ import annotations

import math
from typing import Any

import orjson
from PIL import Image

from segdata.exports.coco.ids import CocoIds
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.storage.paths import Location, locate
from segdata.trainers.instances.average_precision import (
    GroundTruth,
    Row,
    result_rows,
    table,
)
from segdata.trainers.instances.pictures import draw_found
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.run.given import Given
from segdata.trainers.run.pictures import save_picture
from segdata.trainers.run.trained import PredictOptions


class ObjectScorer:
    """Keeps only the runs of masks, true ones and found ones."""

    def __init__(self, classes: ObjectClasses, source: RecordSource) -> None:
        self._classes = classes
        self._truth = GroundTruth(classes, CocoIds.of({"": source}))
        self._rows: list[Row] = []

    def add(self, record: Record, found: Any) -> None:
        """Keeps the true objects of a record and those found."""
        self._rows += result_rows(found, self._truth.add(record), self._classes)

    def finish(self) -> dict[str, Any]:
        """What `GroundTruth.scores` returns."""
        return self._truth.scores(self._rows)

    table = staticmethod(table)

    def write(
        self,
        scores: dict[str, Any],
        folder: Location,
        name: str,
        results: Location | None,
    ) -> None:
        """Writes the objects found, in COCO's results format."""
        write_results(results or folder / f"results-{name}.json", self._rows)


class ObjectWriter:
    """Writes `NAME.jpg` of each image, and `results.json` of all.

    `results.json` is in COCO's results format. The id of an image is its record's; of a
    file named by a number, as COCO's are, that number; else the name.
    """

    def __init__(
        self,
        classes: ObjectClasses,
        options: PredictOptions,
        source: RecordSource | None,
    ) -> None:
        self._classes, self._options = classes, options
        self._output = locate(options.output)
        self._ids = CocoIds.of({"": source}) if source is not None else None
        self._rows: list[Row] = []
        self._highest = 0.0

    def add(self, item: Given, found: Any) -> None:
        """Draws an image's objects."""
        self._highest = max(self._highest, *found.scores.tolist(), 0.0)
        best = found.best(self._options.max_boxes, self._options.min_score)
        self._rows += result_rows(best, self._image_id(item), self._classes)
        drawn = Image.fromarray(draw_found(item.image, best, self._classes))
        save_picture(drawn, self._output / f"{item.name}.jpg", quality=92)

    def finish(self) -> str:
        """Writes the results; says how many objects there are, and above what score."""
        write_results(self._output / "results.json", self._rows)
        count, least = len(self._rows), self._options.min_score
        if count:
            return f", {count} objects of score {least:g} or more"
        if self._highest > 0:
            lower = math.floor(self._highest * 100) / 100
            return (
                f", 0 objects of score {least:g} or more: the highest score found is "
                f"{self._highest:.2g}; try --min-score {lower:g}"
            )
        return (
            ", 0 objects of any score: the model finds nothing in these images; train "
            "it longer, or try images as those it learnt from"
        )

    def _image_id(self, item: Given) -> int | str:
        if self._ids is not None and item.record is not None:
            return self._ids.image_id(item.record)
        name = item.name.rpartition("/")[2]
        return int(name) if name.isascii() and name.isdecimal() else item.name


def write_results(path: Location, rows: list[Row]) -> None:
    """Writes detections as COCO's results JSON."""
    path.write_atomic(orjson.dumps(rows) + b"\n", durable=False)
