"""What every format keeps on the whole road: scan, build, verify, read.

Whatever is compared with is decoded here a second time, from the annotation dict and
the files, by Pillow and pycocotools.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.annotations import record_key
from segdata.checking.verify import stray_files, verify_shard
from segdata.commands.sample import SAMPLES
from segdata.formats import FORMATS, annotation_reader, format_class
from segdata.formats.base import Scan
from segdata.label_map import LabelMap
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record, RecordObject
from segdata.shards.manifest import Manifest, read_manifest

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


@dataclass(frozen=True, kw_only=True)
class Road:
    """A drawn sample and what was built from it."""

    source: Path
    scan: Scan
    annotations: dict[str, dict[str, Any]]
    out: Path
    manifest: Manifest
    records: dict[str, tuple[str, Record]]
    """Key -> split and record."""


@pytest.fixture(scope="module", params=FORMATS)
def road(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    build_plainly: Callable[..., Manifest],
) -> Road:
    folder = tmp_path_factory.mktemp("road")
    module, _, function = SAMPLES[request.param].partition(":")
    write = getattr(importlib.import_module(module), function)
    # Eight in a row have every kind of annotation a sample knows.
    write(folder / "drawn", seed=2, num_train=8, num_val=2)
    dataset_format = format_class(request.param)()
    manifest = build_plainly(
        folder / "drawn", folder / "out", dataset_format=dataset_format, num_shards=2
    )
    scan = dataset_format.scan(folder / "drawn")
    return Road(
        source=folder / "drawn",
        scan=scan,
        annotations={
            record_key(a): complete(dict(a), folder / "drawn") for a in scan.annotations
        },
        out=folder / "out",
        manifest=read_manifest(folder / "out"),
        records={
            record.key: (split, record)
            for split in manifest.splits
            for record in RecordSource(folder / "out", split)
        },
    )


def complete(annotation: dict[str, Any], source: Path) -> dict[str, Any]:
    """With what its annotation file says, in pixels."""
    if (named := annotation.get("annotation_file")) is None:
        return annotation
    data = (source / named["path"]).read_bytes()
    found: Any = annotation_reader(named["reader"])(data, annotation)  # type: ignore[arg-type]
    if found.get("is_relative"):
        with Image.open(source / annotation["image"]) as image:
            sides = image.size
        for item in found["objects"]:
            if "segmentation" in item:
                item["segmentation"] = [
                    in_pixels(p, sides) for p in item["segmentation"]
                ]
            if "bbox" in item:
                item["bbox"] = in_pixels(item["bbox"], sides)
    return {**found, **annotation}


def in_pixels(shares: list[float], sides: tuple[int, int]) -> list[float]:
    return [share * sides[index % 2] for index, share in enumerate(shares)]


def test_every_image_has_its_record_in_its_split(road: Road) -> None:
    assert len(road.annotations) == 10
    assert {key: split for key, (split, _) in road.records.items()} == {
        key: a.get("split", "train") for key, a in road.annotations.items()
    }
    assert sum(s.num_records for s in road.manifest.splits.values()) == 10


def test_nothing_is_rejected(road: Road) -> None:
    assert road.scan.problems == ()
    assert not road.manifest.scan_rejects
    assert not any(split.rejects for split in road.manifest.splits.values())
    assert not (road.out / "rejects.jsonl").exists()


def test_numbers_of_images_are_unique_and_survive_float32(road: Road) -> None:
    numbers = [int(record.source_id) for _, record in road.records.values()]
    assert len(set(numbers)) == len(numbers)
    assert [int(np.float32(number)) for number in numbers] == numbers


def test_every_record_verifies(road: Road) -> None:
    assert stray_files(road.out, road.manifest) == []
    for split in road.manifest.splits.values():
        for shard in split.shards:
            problems = verify_shard(
                road.out, shard, road.manifest.label_map, lambda count: None
            )
            assert list(problems) == []


def test_classes_survive(road: Road) -> None:
    assert road.manifest.label_map == road.scan.label_map
    for table in (
        road.manifest.label_map.object_classes,
        road.manifest.label_map.semantic_classes,
    ):
        ids = [c.id for c in table if c.id != road.manifest.label_map.ignore_id]
        assert ids == list(range(ids[0], ids[0] + len(ids))) if ids else not table


def test_every_pixel_of_every_image_survives(road: Road) -> None:
    for key, annotation in road.annotations.items():
        record = road.records[key][1]
        path = road.source / annotation["image"]
        expected = pixels_of(path)
        assert record.filename == annotation["image"]
        assert (record.height, record.width) == expected.shape[:2]
        assert np.array_equal(record.image(), expected)
        if not record.notes:  # every change of the bytes has one
            assert record.encoded == path.read_bytes()


def test_every_label_survives(road: Road) -> None:
    for key, annotation in road.annotations.items():
        record = road.records[key][1]
        found = record.label_map()
        if "label_image" in annotation:
            expected = labels_of(road, annotation["label_image"])
            assert found is not None
            assert found.shape == record.image().shape[:2]
            assert np.array_equal(found, expected)
        elif not annotation.get("paint_label_map"):
            assert found is None


def test_every_object_survives(road: Road) -> None:
    label_map = road.scan.label_map
    for key, annotation in road.annotations.items():
        record = road.records[key][1]
        rows = [*annotation.get("objects", ()), *found_objects(road, annotation)]
        for row, item in zip(rows, record.objects, strict=True):
            label = (
                label_map.object_by_name[row["category"]]
                if "category" in row
                else label_map.object_by_source_id[row["category_id"]]
            )
            assert (item.label, item.name) == (label.id, label.name)
            assert item.is_crowd is bool(row.get("iscrowd", 0))
            fields = ("id", "category_id", "bbox", "area", "iscrowd")
            given = {name: row[name] for name in fields if row.get(name) is not None}
            assert item.source.items() >= {**row.get("source", {}), **given}.items()
            expected = mask_of(road, annotation, row, record)
            assert_mask_and_box(record, item, row, expected)
            assert_keypoints(item, row, label_map)


def test_every_region_class_and_caption_survives(road: Road) -> None:
    for key, annotation in road.annotations.items():
        record = road.records[key][1]
        assert [
            {"name": r.name, "bbox": r.source["bbox"], "source": without_box(r.source)}
            for r in record.regions
        ] == [{"source": {}, **region} for region in annotation.get("regions", ())]
        for region, row in zip(
            record.regions, annotation.get("regions", ()), strict=True
        ):
            assert region.box == pytest.approx(inside(row["bbox"], record), abs=1e-3)
        assert list(record.captions) == annotation.get("captions", [])
        assert record.source == annotation.get("source", {})
        assert record.image_id == str(annotation.get("image_id", ""))
        category = annotation.get("image_class")
        if category is None:
            assert record.image_class is None
        else:
            label = road.scan.label_map.object_by_source_id[category]
            assert record.image_class is not None
            assert record.image_class.label == label.id
            assert record.image_class.name == label.name
            assert record.image_class.source_id == str(category)


# --- The truth, decoded a second time ---


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def labels_of(road: Road, label_image: Mapping[str, str]) -> NDArray[np.uint8]:
    label_map = road.scan.label_map
    with Image.open(road.source / label_image["path"]) as image:
        if label_image["encoding"] == "index":
            table: Mapping[Any, int] = label_map.semantic_by_source_id
            stored = np.asarray(image)
            return np.vectorize(table.__getitem__, otypes=[np.uint8])(stored)
        table = label_map.semantic_by_source_color
        colors = np.asarray(image.convert("RGB"))
    flat = [table[tuple(color)] for color in colors.reshape(-1, 3).tolist()]
    return np.array(flat, np.uint8).reshape(colors.shape[:2])


def found_objects(road: Road, annotation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects that only a mask image tells."""
    rule = annotation.get("mask_image", {}).get("objects")
    if rule is None:
        return []
    with Image.open(road.source / annotation["mask_image"]["path"]) as image:
        stored = np.asarray(image)
    rows = []
    for value in sorted({*np.unique(stored).tolist()} - {*rule["nobody"]}):
        row: dict[str, Any] = {"id": value, "mask_value": value}
        if "factor" in rule:
            is_single = value >= rule["factor"]
            row["category_id"] = value // rule["factor"] if is_single else value
            if not is_single:
                row["iscrowd"] = 1
            if row["category_id"] not in road.scan.label_map.object_by_source_id:
                continue
        else:
            labels = labels_of(road, annotation["label_image"])[stored == value]
            [most] = np.bincount(labels).argsort()[-1:]
            names = {c.id: c.name for c in road.scan.label_map.semantic_classes}
            row["category"] = names[most]
        rows.append(row)
    return rows


def mask_of(
    road: Road, annotation: Mapping[str, Any], row: Mapping[str, Any], record: Record
) -> NDArray[np.uint8] | None:
    """The object's mask; None where it has only a box."""
    if "mask_value" in row:
        with Image.open(road.source / annotation["mask_image"]["path"]) as image:
            values = np.asarray(image).astype(np.int64)
        if annotation["mask_image"]["encoding"] == "id24":
            values = values @ np.array([1, 256, 65536])
        return (values == row["mask_value"]).astype(np.uint8)
    segmentation = row.get("segmentation")
    if not segmentation:
        return None
    size = (record.height, record.width)
    if isinstance(segmentation, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        encoded = coco_mask.frPyObjects(segmentation, *size)
    else:
        encoded = segmentation
    decoded: NDArray[np.uint8] = coco_mask.decode(encoded)
    return decoded


def assert_mask_and_box(
    record: Record,
    item: RecordObject,
    row: Mapping[str, Any],
    expected: NDArray[np.uint8] | None,
) -> None:
    found = record.mask(item)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.shape == (record.height, record.width)
        assert np.array_equal(found, expected)
    if row.get("bbox") is not None:
        box = inside(row["bbox"], record)
    else:
        assert expected is not None
        rows, columns = np.nonzero(expected)
        box = (0, 0, 0, 0)
        if len(rows):
            box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert item.box == pytest.approx(box, abs=1e-3)
    if row.get("area") is not None:
        assert item.area == pytest.approx(row["area"], rel=1e-6)
    elif expected is not None:
        assert item.area == expected.sum()


def assert_keypoints(
    item: RecordObject, row: Mapping[str, Any], label_map: LabelMap
) -> None:
    assert item.keypoints.shape == (label_map.num_keypoints, 3)
    given = np.array(row.get("keypoints") or [], float).reshape(-1, 3)
    assert item.keypoints[: len(given)] == pytest.approx(given, abs=1e-2)


def inside(bbox: list[float], record: Record) -> tuple[float, ...]:
    """`ymin, xmin, ymax, xmax`, cut to the image."""
    x, y, width, height = bbox
    sides = (y, x, y + height, x + width)
    limits = (record.height, record.width) * 2
    return tuple(
        min(max(side, 0), limit) for side, limit in zip(sides, limits, strict=True)
    )


def without_box(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != "bbox"}
