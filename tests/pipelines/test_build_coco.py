from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from real_coco import (
    masks_of_images,
    painting_order,
    pycocotools_mask,
    write_real_panoptic,
)

from segdata.checking.verify import stray_files, verify_shard
from segdata.formats.coco.format import Coco
from segdata.reading.record_source import RecordSource
from segdata.records import schema
from segdata.records.parse import parse_record
from segdata.records.proto import feature_values, parse
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import read_receipt
from segdata.shards.tfrecord import read_record_at

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def coco(shared_data: Path) -> Path:
    return shared_data / "coco"


@pytest.fixture(scope="module")
def table(coco: Path) -> dict[str, Any]:
    text = (coco / "annotations" / "instances.json").read_bytes()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture(scope="module")
def real_build(
    coco: Path, run_build: Build, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("coco") / "out"
    run_build(coco, out, dataset_format=Coco(), num_shards=4)
    return out


def object_ids(directory: Path, split: str = "train") -> dict[str, list[list[int]]]:
    """Record key -> annotation ids and category ids of the source."""
    manifest = read_manifest(directory)
    found = {}
    for shard in manifest.splits[split].shards:
        with open(directory / shard.name, "rb") as file:
            for number, entry in enumerate(read_receipt(directory, shard.name).records):
                data = read_record_at(file, entry.offset, shard.name, number)
                example = parse(data)
                found[entry.key] = [
                    list(feature_values(example, feature.key))
                    for feature in (schema.OBJECT_ID, schema.OBJECT_CATEGORY)
                ]
                assert parse_record(data, "x").key == entry.key
    return found


def test_every_real_instance_comes_back_bit_for_bit(
    coco: Path, table: dict[str, Any], real_build: Path
) -> None:
    images = {row["id"]: row for row in table["images"]}
    names = {row["id"]: row["name"] for row in table["categories"]}
    rows = {row["id"]: row for row in table["annotations"]}
    ids = object_ids(real_build)
    source = RecordSource(real_build, "train")
    assert len(source) == len(images) == 165
    seen = crowds = 0
    for record in source:
        image = images[int(record.source_id)]
        height, width = image["height"], image["width"]
        assert record.filename == f"images/{image['file_name']}"
        assert record.encoded == (coco / record.filename).read_bytes()
        assert (record.height, record.width) == (height, width)
        own = ("id", "file_name", "height", "width")
        assert record.source == {k: v for k, v in image.items() if k not in own}
        assert record.image_id == str(image["id"])
        annotation_ids, category_ids = ids[record.key]
        assert annotation_ids == sorted(
            row["id"] for row in rows.values() if row["image_id"] == image["id"]
        )
        for item, annotation_id, category_id in zip(
            record.objects, annotation_ids, category_ids, strict=True
        ):
            row = rows[annotation_id]
            mask = record.mask(item)
            expected = pycocotools_mask(row["segmentation"], height, width)
            assert mask is not None
            assert mask.dtype == expected.dtype
            assert np.array_equal(mask, expected)
            assert category_id == row["category_id"]
            assert item.name == names[row["category_id"]]
            assert item.is_crowd is bool(row["iscrowd"])
            assert item.area == np.float32(row["area"])
            x, y, box_width, box_height = row["bbox"]
            box = (y, x, y + box_height, x + box_width)
            assert item.box == pytest.approx(box, rel=1e-6, abs=1e-4)
            # To the digit, ids and all.
            kept = {
                k: v for k, v in row.items() if k not in ("segmentation", "image_id")
            }
            assert item.source == kept
            seen += 1
            crowds += item.is_crowd
    assert (seen, crowds) == (1458, 15)


def test_what_the_real_file_says_of_itself_is_in_the_manifest(
    table: dict[str, Any], real_build: Path
) -> None:
    assert read_manifest(real_build).source_info == {
        "instances.json": {k: table[k] for k in ("info", "licenses")}
    }


def test_real_images_without_annotations_stay(
    table: dict[str, Any], real_build: Path
) -> None:
    owners = Counter(row["image_id"] for row in table["annotations"])
    empty = {str(row["id"]) for row in table["images"] if not owners[row["id"]]}
    assert empty
    source = RecordSource(real_build, "train")
    assert {r.source_id for r in source if not r.objects} == empty


def test_real_classes_keep_both_ids_and_supercategories(
    table: dict[str, Any], real_build: Path
) -> None:
    classes = read_manifest(real_build).label_map.object_classes
    assert [c.id for c in classes] == list(range(1, 81))
    assert [(c.source_ids[0], c.name, c.supercategory) for c in classes] == [
        (row["id"], row["name"], row["supercategory"])
        for row in sorted(table["categories"], key=lambda row: row["id"])
    ]


def test_real_counts_stand_in_the_manifest(
    table: dict[str, Any], real_build: Path
) -> None:
    manifest = read_manifest(real_build)
    split = manifest.splits["train"]
    by_source = Counter(row["category_id"] for row in table["annotations"])
    expected = {
        str(c.id): by_source[c.source_ids[0]]
        for c in manifest.label_map.object_classes
        if by_source[c.source_ids[0]]
    }
    assert split.counts.class_objects == expected
    assert (split.rejects, split.rejected_objects) == ({}, {})
    assert (manifest.scan_rejects, manifest.warnings) == ({}, [])
    assert not (real_build / "rejects.jsonl").exists()


def test_real_build_is_verified(real_build: Path) -> None:
    manifest = read_manifest(real_build)
    counted: list[int] = []
    found = [
        problem.message
        for shard in manifest.splits["train"].shards
        for problem in verify_shard(
            real_build, shard, manifest.label_map, counted.append
        )
    ]
    assert found == []
    assert sum(counted) == 165
    assert list(stray_files(real_build, manifest)) == []


def test_processes_write_the_bytes_that_are_written_in_memory(
    coco: Path, real_build: Path, run_build: Build, file_hashes: Hashes, tmp_path: Path
) -> None:
    run_build(coco, tmp_path, dataset_format=Coco(), num_shards=4, workers=2)
    assert file_hashes(tmp_path) == file_hashes(real_build)


def test_shuffled_json_gives_the_same_bytes(
    coco: Path,
    table: dict[str, Any],
    real_build: Path,
    run_build: Build,
    file_hashes: Hashes,
    tmp_path: Path,
) -> None:
    draw = random.Random(5)

    def shuffled(value: Any) -> Any:
        items = list(value.items())
        draw.shuffle(items)
        return {k: shuffled(v) if isinstance(v, dict) else v for k, v in items}

    turned = shuffled(table)
    for name in ("images", "annotations", "categories"):
        turned[name] = [shuffled(row) for row in turned[name]]
        draw.shuffle(turned[name])
    assert turned["annotations"] != table["annotations"]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(turned))
    out = tmp_path / "out"
    run_build(coco, out, dataset_format=Coco(annotations=str(path)), num_shards=4)
    found, expected = file_hashes(out), file_hashes(real_build)
    del found["manifest.json"], expected["manifest.json"]  # names the JSON file
    assert found == expected


# --- painted from the real instances -------------------------------------------------


def test_real_label_maps_are_painted_by_the_rule(
    coco: Path, table: dict[str, Any], run_build: Build, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    manifest = run_build(coco, out, dataset_format=Coco(semantic=True), num_shards=4)
    by_source = {c.source_ids[0]: c.id for c in manifest.label_map.object_classes}
    expected = masks_of_images(table)
    for record in RecordSource(out, "train"):
        rows, masks = expected[int(record.image_id)]
        painted = np.zeros((record.height, record.width), np.uint8)
        for place in painting_order(rows, masks):
            painted[masks[place] != 0] = by_source[rows[place]["category_id"]]
        label_map = record.label_map()
        assert label_map is not None
        assert np.array_equal(label_map, painted)
        assert len(record.objects) == len(rows)


def test_real_panoptic_segments_come_back_bit_for_bit(
    coco: Path, table: dict[str, Any], run_build: Build, tmp_path: Path
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    truth = write_real_panoptic(coco, table, source, 40)
    manifest = run_build(source, out, dataset_format=Coco(semantic=True))
    by_source = {c.source_ids[0]: c for c in manifest.label_map.object_classes}
    assert [c.is_thing for c in by_source.values()] == [i % 2 == 1 for i in by_source]
    assert manifest.label_map.ignore_id == 255
    segments = crowds = largest = 0
    for record in RecordSource(out, "val"):
        expected = truth[int(record.image_id)]
        painted = np.full((record.height, record.width), 255, np.uint8)
        assert {item.source["id"] for item in record.objects} == set(expected)
        for item in record.objects:
            mask = expected[item.source["id"]]
            assert np.array_equal(record.mask(item), mask)
            assert item.area == mask.sum()
            painted[mask] = item.label
            assert item.label == by_source[item.source["category_id"]].id
            segments += 1
            crowds += item.is_crowd
            largest = max(largest, item.source["id"])
        assert np.array_equal(record.label_map(), painted)
        assert record.source["panoptic"] == {
            "file_name": f"{int(record.image_id):012d}.png"
        }
    assert segments > 200
    assert crowds > 0
    assert largest > 65536


def write_small(root: Path) -> Path:
    """Three images with one bad object, one stray annotation, one missing image."""
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    square = [2, 2, 8, 2, 8, 6, 2, 6]
    for number in range(3):
        pixels = np.full((12, 16, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(root / "val2017" / f"{number}.png")
    data = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(4)],
        "categories": [{"id": 0, "name": "thing"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 0, "segmentation": [square]},
            {"id": 2, "image_id": 0, "category_id": 0, "segmentation": [[1, 2]]},
            {"id": 3, "image_id": 77, "category_id": 0, "segmentation": [square]},
            {"id": 4, "image_id": 1, "category_id": 0, "bbox": [0, 0, 4, 4]},
        ],
    }
    path = root / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(data))
    return root


def test_lenient_command_tells_what_it_left_out(
    tmp_path: Path, segdata: Callable[..., Any]
) -> None:
    source, out = write_small(tmp_path / "source"), tmp_path / "out"
    options = ("--on-error", "skip", "--max-rejects", "0.5")
    result = segdata("build", "coco", source, out, *options).end()
    assert result.returncode == 0, result.stderr
    lines = (out / "rejects.jsonl").read_text().splitlines()
    stages = [(row["stage"], row["reason"]) for row in map(json.loads, lines)]
    assert sorted(stages) == [
        ("encode", "image-missing"),
        ("object", "bad-polygon"),
        ("scan", "unknown-image"),
    ]
    split = read_manifest(out).splits["val"]
    assert (split.num_records, split.rejects) == (3, {"image-missing": 1})
    assert split.rejected_objects == {"bad-polygon": 1}
    assert [
        len(r.objects) for r in sorted(RecordSource(out, "val"), key=lambda r: r.key)
    ] == [1, 1, 0]


def test_rows_of_unknown_images_count_among_the_rejected_objects(
    tmp_path: Path, segdata: Callable[..., Any]
) -> None:
    source, out = write_small(tmp_path / "source"), tmp_path / "out"
    options = ("--on-error", "skip", "--max-rejects", "0.3")
    result = segdata("build", "coco", source, out, *options).end()
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: 2 of 4 objects were rejected (50.0%): at most 30.0%")
    assert "annotation 3 is of the unknown image 77" in line
    assert not (out / "manifest.json").exists()


def test_strict_command_ends_with_one_line(
    tmp_path: Path, segdata: Callable[..., Any]
) -> None:
    source, out = write_small(tmp_path / "source"), tmp_path / "out"
    result = segdata("build", "coco", source, out).end()
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    message = "instances_val2017.json: annotation 3 is of the unknown image 77"
    assert message in result.stderr.strip().splitlines()[-1]
    assert not out.exists()
