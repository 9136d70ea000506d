"""TensorFlow Datasets itself opens builds: every record, every mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segdata.formats.camvid.format import CamVid
from segdata.formats.coco.format import Coco
from segdata.masks import rle
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.samples.coco import write_coco_sample
from segdata.shards.manifest import read_manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Not ours: what TFDS and its dependencies raise when imported.
    pytest.mark.filterwarnings("ignore"),
]
tfds: Any = pytest.importorskip("tensorflow_datasets", reason="extra `interop`")

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    from segdata.building.build import build as run

    def do(dataset_format: Any, source: Path, **options: Any) -> Path:
        out = tmp_path_factory.mktemp("build") / "out"
        run(dataset_format, source, out, **options)
        return out

    return do


def read_all(out: Path) -> dict[str, list[dict[str, Any]]]:
    builder = tfds.builder_from_directory(out)
    return {
        split: [
            {key: as_arrays(value) for key, value in example.items()}
            for example in builder.as_dataset(split=split)
        ]
        for split in builder.info.splits
    }


def as_arrays(value: Any) -> Any:
    """A tensor as an array, a ragged one as a list of arrays."""
    if not hasattr(value, "row_splits"):
        return value.numpy()
    splits = value.row_splits.numpy()
    return np.split(value.values.numpy(), splits[1:-1]) if len(splits) > 1 else []


def assert_reads_as_we_do(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Every record by TFDS against the same by `RecordSource`, which must be many."""
    manifest = read_manifest(out)
    found = read_all(out)
    assert found.keys() == manifest.splits.keys()
    for split, examples in found.items():
        records = {r.key: r for r in RecordSource(out, split)}
        keys = [example["segdata/key"].decode() for example in examples]
        assert sorted(keys) == sorted(records)
        for key, example in zip(keys, examples, strict=True):
            assert_same(example, records[key])
    return found


def assert_same(example: dict[str, Any], record: Record) -> None:
    np.testing.assert_array_equal(example["image/encoded"], pixels(record))
    assert example["image/source_id"].decode() == record.source_id
    assert example["image/object/count"] == len(record.objects)
    if record.label_values is not None:
        values = np.frombuffer(example["image/segmentation/class/rle/values"], np.uint8)
        lengths = example["image/segmentation/class/rle/lengths"]
        label_map = rle.decode_label_map(values, lengths, record.height, record.width)
        np.testing.assert_array_equal(label_map, record.label_map())
    if "image/object/mask/rle" in example:
        assert_same_objects(example, record)


def assert_same_objects(example: dict[str, Any], record: Record) -> None:
    rows = example["image/object/mask/rle"]
    assert len(rows) == len(record.objects)
    labels = example["image/object/class/label"].tolist()
    assert labels == [item.label for item in record.objects]
    names = [text.decode() for text in example["image/object/class/text"]]
    assert names == [item.name for item in record.objects]
    for row, item in zip(rows, record.objects, strict=True):
        np.testing.assert_array_equal(row, item.runs)
        if len(row):
            mask = rle.decode(row, record.height, record.width)
            np.testing.assert_array_equal(mask, record.mask(item))


def pixels(record: Record) -> Any:
    # TensorFlow's own JPEG decoder: another may differ by one in some pixels.
    import tensorflow as tf

    return tf.io.decode_image(record.encoded, channels=3).numpy()


def test_every_record_of_camvid(build: Build, shared_data: Path) -> None:
    found = assert_reads_as_we_do(build(CamVid(), shared_data / "camvid"))
    assert {split: len(examples) for split, examples in found.items()} == {
        "train": 367,
        "val": 101,
    }


def test_every_record_of_coco(build: Build, shared_data: Path) -> None:
    out = build(Coco(), shared_data / "coco")
    [examples] = assert_reads_as_we_do(out).values()
    assert len(examples) == 165
    assert sum(e["image/object/count"] for e in examples) == 1458
    assert not all(e["image/object/count"] for e in examples)


def test_class_names_are_known_by_id(build: Build, shared_data: Path) -> None:
    out = build(Coco(), shared_data / "coco")
    label = tfds.builder_from_directory(out).info.features["image/object/class/label"]
    classes = read_manifest(out).label_map.object_classes
    assert label.feature.num_classes == len(classes) + 1
    for item in classes:
        assert label.feature.int2str(item.id) == item.name
        assert label.feature.str2int(item.name) == item.id


def test_sample_of_every_kind_of_annotation(build: Build, tmp_path: Path) -> None:
    write_coco_sample(tmp_path, seed=0, num_train=12, num_val=5)
    assert_reads_as_we_do(build(Coco(), tmp_path))


def test_png_masks_of_objects(build: Build, shared_data: Path) -> None:
    out = build(Coco(), shared_data / "coco", masks=("rle", "png"))
    [examples] = assert_reads_as_we_do(out).values()
    records = {record.key: record for record in RecordSource(out, "train")}
    for example in examples:
        record = records[example["segdata/key"].decode()]
        masks = example["image/object/mask"][..., 0]
        assert len(masks) == len(record.objects)
        for mask, item in zip(masks, record.objects, strict=True):
            np.testing.assert_array_equal(mask, record.mask(item))


def test_png_label_maps(
    build: Build, tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    out = build(CamVid(), make_segnet(tmp_path / "source"), masks=("rle", "png"))
    records = {record.key: record for record in RecordSource(out, "train")}
    for example in assert_reads_as_we_do(out)["train"]:
        label_map = records[example["segdata/key"].decode()].label_map()
        assert label_map is not None
        found = example["image/segmentation/class/encoded"][..., 0]
        np.testing.assert_array_equal(found, np.where(label_map == 11, 255, label_map))
        assert example["image/segmentation/class/format"] == b"png"


def test_skipped_records_and_shards_without_records(
    build: Build, tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    source = make_segnet(tmp_path / "source", num_train=5)
    (source / "train" / "train_001.png").write_bytes(b"no image")
    out = build(CamVid(), source, num_shards=16, on_error="skip", max_reject_share=0.5)
    shards = read_manifest(out).splits["train"].shards
    assert min(shard.num_records for shard in shards) == 0
    found = assert_reads_as_we_do(out)
    assert len(found["train"]) == 4


def test_images_without_any_object(
    build: Build, tmp_path: Path, shared_data: Path
) -> None:
    import json
    import shutil

    shutil.copytree(shared_data / "coco" / "images", tmp_path / "images")
    data = json.loads((shared_data / "coco/annotations/instances.json").read_text())
    (tmp_path / "annotations").mkdir()
    text = json.dumps(data | {"annotations": []})
    (tmp_path / "annotations" / "instances.json").write_text(text)
    [examples] = assert_reads_as_we_do(build(Coco(), tmp_path)).values()
    assert len(examples) == 165
    assert all(e["image/object/mask/rle"] == [] for e in examples)


def test_parts_of_a_split_and_shuffling_work(
    build: Build, tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    source = make_segnet(tmp_path / "source", num_train=9)
    out = build(CamVid(), source, num_shards=3)
    builder = tfds.builder_from_directory(out)
    halves = [
        {e["segdata/key"] for e in builder.as_dataset(split=part).as_numpy_iterator()}
        for part in ("train[:4]", "train[4:]")
    ]
    assert [len(half) for half in halves] == [4, 5]
    assert not halves[0] & halves[1]
    mixed = builder.as_dataset(split="train", shuffle_files=True)
    assert len({e["segdata/key"] for e in mixed.as_numpy_iterator()}) == 9
