"""Scores of anybody's predictions on a split: of another model, or of one's own loop.

They are those of `segdata evaluate`; classes and images are named as segdata's streams
name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.errors import OptionError
from segdata.exports.coco.ids import CocoIds
from segdata.exports.coco.rows import category_ids
from segdata.reading.record_source import RecordSource
from segdata.storage.paths import Address
from segdata.trainers.instances.average_precision import GroundTruth, Row
from segdata.trainers.run.data import Classes, ObjectClasses
from segdata.trainers.semantic.results import PixelScorer


def evaluate_label_maps(
    dataset: Address,
    split: str,
    results: Iterable[tuple[str, NDArray[np.integer[Any]]]],
) -> dict[str, Any]:
    """IoU and Dice of label maps, counted over all pixels of a split.

    Args:
      dataset: Output of `segdata build`.
      split: Name of the split.
      results: For each record its `key` and `[h, w]` class ids, at the record's size.

    Returns:
      What `segdata evaluate --json` prints of a model of pixels. Pixels of the class to
      ignore are left out.

    Raises:
      OptionError: If a key is unknown or named twice, a record has no result, or a size
        differs.
    """
    source = RecordSource(dataset, split)
    scorer = PixelScorer(Classes(label_map=source.manifest.label_map), source)
    places = {key: index for index, key in enumerate(source.keys)}
    for key, found in results:
        if key not in places:
            raise OptionError(
                f"result {key!r}: expected a key of split {split!r}, each once."
            )
        record = source[places.pop(key)]
        if found.shape != (record.height, record.width):
            raise OptionError(
                f"result {key!r} has shape {found.shape}: expected the record's size, "
                f"({record.height}, {record.width})."
            )
        scorer.add(record, found.astype(np.uint8))
    if places:
        raise OptionError(
            f"{len(places)} records have no result, {next(iter(places))!r} among them: "
            "expected one of each."
        )
    return scorer.finish()


def evaluate_detections(
    dataset: Address, split: str, results: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """COCO's AP of boxes and masks of a split, by pycocotools.

    Args:
      dataset: Output of `segdata build`.
      split: Name of the split.
      results: A mapping for each object found: `image_id`, as streams give it, or the
        record's `key`; `class_id`, as streams give it, or `category_id` of the source;
        `bbox`, `[x, y, width, height]` in pixels of the stored image; `score`; and
        `segmentation`, a `[h, w]` mask or COCO's RLE, if there are masks at all.

    Returns:
      What `segdata evaluate --json` prints of Mask R-CNN; `masks` only with masks.

    Raises:
      OptionError: If an image or class is unknown, or a value is missing.
    """
    source = RecordSource(dataset, split)
    classes = ObjectClasses(label_map=source.manifest.label_map)
    truth = GroundTruth(classes, CocoIds.of({"": source}))
    images: dict[Any, int | str] = {}
    for record in source:
        images[record.key] = images[int(record.source_id)] = truth.add(record)
    rows = [
        _row(found, images, category_ids(classes.drawn), f"result {index}")
        for index, found in enumerate(results)
    ]
    with_masks = [row for row in rows if "segmentation" in row]
    if with_masks and len(with_masks) < len(rows):
        raise OptionError("some results have a segmentation and others none.")
    return truth.scores(rows, kinds=("bbox", "segm") if with_masks else ("bbox",))


def _row(
    found: Mapping[str, Any],
    images: Mapping[Any, int | str],
    category_of: Mapping[int, int | str],
    what: str,
) -> Row:
    """A result as pycocotools wants it."""
    try:
        image = found["key"] if "key" in found else int(found["image_id"])
        row: Row = {
            "image_id": images[image],
            "bbox": [float(x) for x in found["bbox"]],
            "score": float(found["score"]),
        }
        if "class_id" in found:
            row["category_id"] = category_of[int(found["class_id"])]
        else:
            row["category_id"] = found["category_id"]
    except KeyError as error:
        raise OptionError(
            f"{what} has no known {error.args[0]!r}: expected image_id or key, "
            "class_id or category_id, bbox and score, of this dataset."
        ) from error
    if row["category_id"] not in category_of.values():
        raise OptionError(
            f"{what} has category_id {row['category_id']!r}, which is none of the "
            "dataset's: expected a class of the source, or segdata's as class_id."
        )
    mask = found.get("segmentation")
    if isinstance(mask, np.ndarray):
        mask = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    if mask is not None:
        row["segmentation"] = mask
    return row
