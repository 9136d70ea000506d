"""COCO's scores of a run over a split, at the images' own sizes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from segdata.exports.coco.ids import CocoIds
from segdata.progress import display
from segdata.reading.record_source import RecordSource
from segdata.trainers.instances.average_precision import GroundTruth, Row, result_rows
from segdata.trainers.instances.detector import Detector, load_detector
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.semantic.evaluate import (
    EvaluateOptions,
    batches,
    open_split,
    validated,
)


def evaluate_instances(
    run_dir: str | os.PathLike[str], options: EvaluateOptions
) -> tuple[dict[str, Any], list[Row]]:
    """Scores a run that finds objects.

    Of images only the runs of masks are kept, true ones and found ones.

    Returns:
      What `GroundTruth.scores` returns, with `split`, `num_records` and `weights`; and
      the detections in COCO's results format.

    Raises:
      OptionError: If the split is unknown, the data has other classes, or the run is
        none that finds objects.
      OutputError: If there is no run, or no build.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    classes = run.object_classes
    split = options.split or validated(run, options.data)
    source = open_split(run, split, options.data)
    detector = load_detector(directory, run, options.weights, options.batch_size)
    with display(len(source), "evaluating") as advance:
        scores, rows = score(detector, source, classes, advance)
    about = {
        "split": split,
        "num_records": len(source),
        "weights": options.weights,
        "image_size": list(detector.image_size),
    }
    return {**about, **scores}, rows


def score(
    detector: Detector,
    source: RecordSource,
    classes: ObjectClasses,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[dict[str, Any], list[Row]]:
    """Finds the objects of all records, and scores them.

    Args:
      detector: The model.
      source: The records.
      classes: What the model knows.
      advance: Told of each batch's number of images.

    Returns:
      What `GroundTruth.scores` returns, and the detections in COCO's results format.
    """
    truth = GroundTruth(classes, CocoIds.of({"": source}))
    rows: list[Row] = []
    for records in batches(source, detector.batch_size):
        found = detector.detect([record.image() for record in records])
        for record, objects in zip(records, found, strict=True):
            rows += result_rows(objects, truth.add(record), classes)
        advance(len(records))
    return truth.scores(rows), rows
