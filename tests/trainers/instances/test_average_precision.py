from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segdata.errors import OptionError
from segdata.exports.coco.ids import CocoIds
from segdata.exports.coco.rows import category_ids, object_rows
from segdata.reading.record_source import RecordSource
from segdata.trainers import evaluate_detections
from segdata.trainers.instances.average_precision import (
    NAMES,
    GroundTruth,
    result_rows,
    table,
)
from segdata.trainers.instances.detector import Found
from segdata.trainers.run.data import ObjectClasses

Row = dict[str, Any]


def test_anybodys_detections_are_scored_by_our_names(drawn_coco: Path) -> None:
    results: list[Row] = []
    for record in RecordSource(drawn_coco, "val"):
        for item in record.objects:
            if item.is_crowd:
                continue
            ymin, xmin, ymax, xmax = item.box
            mask = record.mask(item)
            if mask is None:  # only a box: to masks it is what crowds are
                mask = np.zeros((record.height, record.width), np.uint8)
                mask[round(ymin) : round(ymax), round(xmin) : round(xmax)] = 1
            of = {"key": record.key} if len(results) % 2 else {}
            results.append(
                {
                    "image_id": int(record.source_id),
                    "class_id": item.label,
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                    "score": 0.5,
                    "segmentation": mask,
                    **of,
                }
            )
    scores = evaluate_detections(drawn_coco, "val", results)
    assert (scores["boxes"]["AP"], scores["masks"]["AP"]) == (1.0, 1.0)
    boxes = [{k: v for k, v in r.items() if k != "segmentation"} for r in results]
    scores = evaluate_detections(drawn_coco, "val", boxes[1:])
    assert 0.5 < scores["boxes"]["AP"] < 1
    assert "masks" not in scores
    with pytest.raises(OptionError, match=r"result 1 has no known 99: expected image_"):
        evaluate_detections(drawn_coco, "val", [boxes[0], {**boxes[1], "class_id": 99}])
    row = {k: v for k, v in boxes[0].items() if k != "class_id"}
    with pytest.raises(OptionError, match="has category_id -1, which is none of the"):
        evaluate_detections(drawn_coco, "val", [{**row, "category_id": -1}])
    with pytest.raises(OptionError, match="some results have a segmentation and other"):
        evaluate_detections(drawn_coco, "val", [results[0], boxes[1]])


class Truth:
    """A split's ground truth, and its objects as if a model had found them."""

    def __init__(self, out: Path, split: str) -> None:
        source = RecordSource(out, split)
        classes = ObjectClasses(label_map=source.manifest.label_map)
        ids = CocoIds.of({split: source})
        self.truth = GroundTruth(classes, ids)
        self.objects: list[Row] = []
        for record in source:
            self.truth.add(record)
            self.objects += object_rows(record, ids, category_ids(classes.drawn))
        self.crowds = [row for row in self.objects if row["iscrowd"]]
        self.perfect = [found(row) for row in self.objects if not row["iscrowd"]]


def found(row: Row, score: float = 1.0) -> Row:
    kept = ("image_id", "category_id", "bbox", "segmentation")
    return {**{name: row[name] for name in kept}, "score": score}


@pytest.fixture(scope="module")
def coco(real_build: Callable[[str], Path]) -> Truth:
    return Truth(real_build("coco"), "train")


def inside_crowds(coco: Truth) -> list[Row]:
    assert len(coco.crowds) == 15
    return [found(row, 2.0) for row in coco.crowds for _ in range(5)]


def test_ground_truth_as_predictions_is_perfect_in_crowds_too(coco: Truth) -> None:
    assert len(coco.perfect) == 1443
    scores = coco.truth.scores([*coco.perfect, *inside_crowds(coco)])
    for kind in ("boxes", "masks"):
        for name in ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"):
            assert scores[kind][name] == pytest.approx(1.0)
    counted = {item["name"]: item["objects"] for item in scores["classes"]}
    assert sum(counted.values()) == 1443
    absent = [item for item in scores["classes"] if not item["objects"]]
    assert all(item["box_AP"] is None for item in absent)


def test_what_lies_in_a_crowd_counts_for_nothing(coco: Truth) -> None:
    # Boxes over crowds at the best score of all would otherwise halve precision.
    inside = inside_crowds(coco)
    elsewhere = [{**row, "category_id": 1} for row in inside if row["category_id"] != 1]
    assert elsewhere
    worse = coco.truth.scores([*coco.perfect, *elsewhere])
    assert worse["masks"]["AP"] < 0.9999


def test_scores_are_those_of_the_sources_own_file(
    coco: Truth, shared_data: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    results = []
    for row in coco.perfect:
        x, y, width, height = row["bbox"]
        moved = [x + 0.2 * width * rng.random(), y, width * rng.uniform(0.7, 1), height]
        if rng.random() < 0.9:
            results.append({**row, "bbox": moved, "score": float(rng.random())})
    path = shared_data / "coco/annotations/instances.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        expected = {}
        for kind in ("bbox", "segm"):
            # By pycocotools' rule areas are those of boxes where results have them.
            left_out = "segmentation" if kind == "bbox" else "bbox"
            rows = [{k: v for k, v in r.items() if k != left_out} for r in results]
            (tmp_path / "results.json").write_text(json.dumps(rows))
            run = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), kind)
            run.evaluate()
            run.accumulate()
            run.summarize()
            expected[kind] = run.stats
    scores = coco.truth.scores(results)
    for kind, name in (("bbox", "boxes"), ("segm", "masks")):
        found_stats = [scores[name][key] for key in NAMES]
        np.testing.assert_allclose(found_stats, expected[kind], atol=1e-12)
    assert 0.1 < scores["boxes"]["AP"] < 0.9


def test_objects_with_a_box_alone_count_for_boxes_only(drawn_coco: Path) -> None:
    truth = Truth.__new__(Truth)
    source = RecordSource(drawn_coco, "val")
    classes = ObjectClasses(label_map=source.manifest.label_map)
    ids = CocoIds.of({"val": source})
    truth.truth = GroundTruth(classes, ids)
    with_mask, boxes_alone = [], []
    for record in source:
        truth.truth.add(record)
        for row in object_rows(record, ids, category_ids(classes.drawn)):
            if not row.get("segmentation"):
                boxes_alone.append(row)
            elif not row["iscrowd"]:
                with_mask.append(found(row))
    assert boxes_alone
    scores = truth.truth.scores(with_mask)
    assert scores["masks"]["AP"] == pytest.approx(1.0)
    assert scores["boxes"]["AP"] < 0.999


def test_nothing_found_scores_zero(coco: Truth) -> None:
    scores = coco.truth.scores([])
    assert scores["boxes"]["AP"] == scores["masks"]["AP"] == 0.0
    lines = table(scores).splitlines()
    assert lines[1].split() == ["AP", "0.000", "0.000"]
    assert len(lines) == 1 + len(NAMES) + 2 + len(scores["classes"])
    [person] = [line for line in lines if line.startswith("person ")]
    assert person.split()[1:3] == ["0.000", "0.000"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_results_are_in_cocos_format(coco: Truth) -> None:
    from pycocotools import mask as coco_mask

    classes = coco.truth._classes
    masks = np.zeros((1, 28, 28), np.float32)
    masks[:, :, :14] = 1.0
    objects = Found(
        height=40,
        width=60,
        boxes=np.asarray([[10, 20, 30, 40]], np.float32),
        scores=np.asarray([0.75], np.float32),
        classes=np.asarray([classes.drawn[-1].id], np.int32),
        masks=masks,
    )
    [row] = result_rows(objects, 139, classes)
    assert row["bbox"] == [20, 10, 20, 20]
    assert (row["image_id"], row["score"]) == (139, 0.75)
    assert row["category_id"] == classes.drawn[-1].source_ids[0]
    assert row["category_id"] != classes.drawn[-1].id
    decoded = coco_mask.decode(row["segmentation"])
    expected = np.zeros((40, 60), np.uint8)
    expected[10:30, 20:30] = 1
    np.testing.assert_array_equal(decoded, expected)
    json.dumps(row)
