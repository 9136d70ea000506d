"""COCO's average precision of boxes and masks, by pycocotools.

https://cocodataset.org/#detection-eval: means over IoU thresholds .50 to .95 and over
classes; detections that lie in a crowd count neither for nor against.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segdata.exports.coco.ids import CocoIds
from segdata.exports.coco.rows import category_ids, object_rows
from segdata.records.record import Record
from segdata.trainers.instances.detector import Found
from segdata.trainers.run.data import ObjectClasses
from segdata.trainers.semantic.scores import number

Row = dict[str, Any]
NAMES = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)
"""COCO's twelve numbers, in the order of pycocotools."""
_NAMES_OF = {"bbox": ("boxes", "box_AP"), "segm": ("masks", "mask_AP")}


def result_rows(found: Found, image_id: Any, classes: ObjectClasses) -> list[Row]:
    """The objects of one image in COCO's results format.

    https://cocodataset.org/#format-results: boxes `[x, y, width, height]` in pixels,
    masks as compressed RLE of the image's size, category ids of the source.
    """
    ids = category_ids(classes.drawn)
    rows = []
    objects = zip(found.boxes, found.scores, found.classes, found.pasted(), strict=True)
    for box, score, class_id, mask in objects:
        ymin, xmin, ymax, xmax = box.astype(float).tolist()
        encoded = coco_mask.encode(mask)
        rows.append(
            {
                "image_id": image_id,
                "category_id": ids[int(class_id)],
                "bbox": [round(x, 3) for x in (xmin, ymin, xmax - xmin, ymax - ymin)],
                "score": round(float(score), 6),
                "segmentation": {
                    "size": [found.height, found.width],
                    "counts": encoded["counts"].decode("ascii"),
                },
            }
        )
    return rows


class GroundTruth:
    """The true objects of a split, from its records: runs and boxes, no pixels.

    Ids, boxes and areas are the source's own, so that the scores are those of its JSON
    file; areas that it does not give are those of the masks.
    """

    def __init__(self, classes: ObjectClasses, ids: CocoIds) -> None:
        self._classes, self._ids = classes, ids
        self._images: list[Row] = []
        self._annotations: list[Row] = []

    def add(self, record: Record) -> int | str:
        """Adds a record; returns its image id."""
        image_id = self._ids.image_id(record)
        size = {"height": record.height, "width": record.width}
        self._images.append({"id": image_id, **size})
        category_of = category_ids(self._classes.drawn)
        for row in object_rows(record, self._ids, category_of):
            if not row.get("segmentation"):
                row["segmentation"] = None
            # Ids of the source need not be unique, or numbers above 0: to pycocotools
            # an object of id 0 is never found.
            row["id"] = len(self._annotations) + 1
            self._annotations.append(row)
        return image_id

    def scores(
        self,
        results: Sequence[Mapping[str, Any]],
        kinds: Sequence[str] = ("bbox", "segm"),
    ) -> dict[str, Any]:
        """Scores detections, in COCO's results format, of all images added.

        Objects that have only a box are to masks what crowds are: what lies in their
        boxes counts neither for nor against.

        Returns:
          `boxes` and `masks`: `NAMES` -> number, None where there is nothing to count;
          `classes`: `name`, `objects`, `box_AP` and `mask_AP` of each.
        """
        category_of = category_ids(self._classes.drawn)
        counted = [
            row["category_id"] for row in self._annotations if not row["iscrowd"]
        ]
        classes = [
            {"name": item.name, "objects": counted.count(category_of[item.id])}
            for item in self._classes.drawn
        ]
        scores: dict[str, Any] = {}
        for kind in kinds:
            name, column = _NAMES_OF[kind]
            scores[name], each = self._scores_of(kind, results)
            for item, value in zip(classes, each, strict=True):
                item[column] = value
        return {**scores, "classes": classes}

    def _scores_of(
        self, kind: str, results: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, float | None], list[float | None]]:
        annotations, found = self._annotations, _detections(kind, results)
        if kind == "segm":
            annotations = [_with_mask(row) for row in annotations]
        category_of = category_ids(self._classes.drawn)
        tables = {
            "images": self._images,
            "categories": [{"id": i} for i in category_of.values()],
        }
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            run = COCOeval(_coco(tables, annotations), _coco(tables, found), kind)
            run.params.catIds = list(category_of.values())
            run.evaluate()
            run.accumulate()
            run.summarize()
        # [thresholds, recalls, classes, areas, limits]
        precision = run.eval["precision"][:, :, :, 0, -1]
        each = [_mean(precision[:, :, k]) for k in range(len(category_of))]
        values = (None if v < 0 else float(v) for v in run.stats)
        return dict(zip(NAMES, values, strict=True)), each


def table(scores: Mapping[str, Any]) -> str:
    """The scores as text: COCO's numbers, then AP of each class."""
    names = [item["name"] for item in scores["classes"]]
    width = max(len("AR_medium"), *map(len, names))
    lines = [f"{'':<{width}}  {'boxes':>6}  {'masks':>6}"]
    for name in NAMES:
        pair = scores["boxes"][name], scores["masks"][name]
        lines.append(f"{name:<{width}}  {number(pair[0])}  {number(pair[1])}")
    lines += ["", f"{'AP of class':<{width}}  {'boxes':>6}  {'masks':>6}  objects"]
    for item in scores["classes"]:
        lines.append(
            f"{item['name']:<{width}}  {number(item['box_AP'])}  "
            f"{number(item['mask_AP'])}  {item['objects']:>7}"
        )
    return "\n".join(lines)


def _coco(tables: Mapping[str, Any], annotations: list[Row]) -> Any:
    coco = COCO()
    coco.dataset = {**tables, "annotations": annotations}
    coco.createIndex()
    return coco


def _detections(kind: str, results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Results as annotations: with ids, and areas of what is compared."""
    rows = []
    for row_id, row in enumerate(results, 1):
        area = row["bbox"][2] * row["bbox"][3]
        if kind == "segm":
            area = float(coco_mask.area(row["segmentation"]))
        rows.append({**row, "id": row_id, "area": area, "iscrowd": 0})
    return rows


def _with_mask(row: Row) -> Row:
    if row["segmentation"] is not None:
        return row
    x, y, width, height = row["bbox"]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {**row, "iscrowd": 1, "segmentation": [corners]}


def _mean(values: Any) -> float | None:
    counted = values[values > -1]
    return float(np.mean(counted)) if counted.size else None
