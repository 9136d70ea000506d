"""Objects in images that a run has never seen: pictures, and COCO's results."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from PIL import Image

from segdata.errors import OptionError, OutputError
from segdata.exports.coco.ids import CocoIds
from segdata.progress import display
from segdata.storage import files
from segdata.trainers.instances.average_precision import Row, result_rows
from segdata.trainers.instances.detector import load_detector
from segdata.trainers.instances.pictures import MAX_BOXES, MIN_SCORE, draw_found
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.semantic.evaluate import open_split
from segdata.trainers.semantic.predict import (
    Given,
    PredictOptions,
    batched,
    given_images,
)

RESULTS_NAME = "results.json"


def predict_instances(
    run_dir: str | os.PathLike[str],
    options: PredictOptions,
    max_boxes: int = MAX_BOXES,
    min_score: float = MIN_SCORE,
) -> tuple[int, int]:
    """Finds objects: writes `NAME.jpg` of each image, and `results.json` of all.

    `results.json` is in COCO's results format. The id of an image is its record's; of a
    file named by a number, as COCO's are, that number; else the name.

    Args:
      run_dir: Of the run.
      options: Images and where to write.
      max_boxes: Most objects of an image, those of the highest scores.
      min_score: Lowest score, 0 to 1.

    Returns:
      Number of images, and of objects found.

    Raises:
      OptionError: As `trainers.semantic.predict.predict`, or if the run labels pixels.
      ImageError: If an image cannot be read; those before it have been drawn.
      OutputError: If there is no trained run, or the output cannot be written.
    """
    if max_boxes < 1 or not 0 <= min_score <= 1:
        raise OptionError(
            f"max_boxes is {max_boxes} and min_score {min_score}: expected at least 1, "
            "and 0 to 1."
        )
    directory = RunDirectory(run_dir)
    run = directory.load()
    classes = run.object_classes
    given, total = given_images(run, options)
    ids = _ids(run, options)
    detector = load_detector(directory, run, options.weights, options.batch_size)
    output, done, rows = Path(options.output), 0, []
    with display(total, "predicting") as advance:
        for batch in batched(given, options.batch_size):
            found = detector.detect([item.image for item in batch])
            for item, objects in zip(batch, found, strict=True):
                best = objects.best(max_boxes, min_score)
                rows += result_rows(best, _image_id(item, ids), classes)
                drawn = draw_found(item.image, best, classes)
                _save(Image.fromarray(drawn), output / f"{item.name}.jpg")
            done += len(batch)
            advance(len(batch))
    write_results(output / RESULTS_NAME, rows)
    return done, len(rows)


def write_results(path: Path, rows: list[Row]) -> None:
    """Writes detections as COCO's results JSON."""
    files.write_atomic(path, orjson.dumps(rows) + b"\n", durable=False)


def _ids(run: Run, options: PredictOptions) -> CocoIds | None:
    if options.split is None:
        return None
    return CocoIds.of({"": open_split(run, options.split, options.data)})


def _image_id(item: Given, ids: CocoIds | None) -> int | str:
    if ids is not None and item.record is not None:
        return ids.image_id(item.record)
    name = item.name.rpartition("/")[2]
    return int(name) if name.isascii() and name.isdecimal() else item.name


def _save(picture: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=92)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}.") from error
