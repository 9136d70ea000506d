"""Every reader at the ends of what a record can hold: all of them see the same."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coco_folder
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.formats.coco.format import Coco
from segdata.formats.mask_folder.format import MaskFolder
from segdata.reading.options import InstanceOptions
from segdata.reading.record_source import RecordSource
from segdata.records import proto, schema
from segdata.shards.tfrecord import read_records
from segdata.statistics.columns import read_columns
from segdata.streams.reader import read_instances, read_semantic

HEIGHT, WIDTH = 12, 16
UInt8Array = NDArray[np.uint8]


def every_class() -> UInt8Array:
    return np.arange(HEIGHT * WIDTH, dtype=np.int64).reshape(HEIGHT, WIDTH) % 255


LABEL_MAPS: dict[str, UInt8Array] = {
    "all_0": np.zeros((HEIGHT, WIDTH), np.uint8),
    "all_254": np.full((HEIGHT, WIDTH), 254, np.uint8),
    "all_ignored": np.full((HEIGHT, WIDTH), 255, np.uint8),
    "every_class": every_class().astype(np.uint8),
    "one_pixel": np.zeros((1, 1), np.uint8),
    "one_pixel_ignored": np.full((1, 1), 255, np.uint8),
    "one_pixel_set": np.eye(1, HEIGHT * WIDTH, 99, dtype=np.uint8).reshape(HEIGHT, -1),
}


@pytest.fixture(scope="module")
def semantic(
    tmp_path_factory: pytest.TempPathFactory, build_plainly: Callable[..., Any]
) -> Path:
    """A mask folder of those label maps: 255 classes, from 0, and 255 ignored."""
    folder = tmp_path_factory.mktemp("extremes")
    source = folder / "source"
    for kind in ("images", "masks"):
        (source / kind).mkdir(parents=True)
    for name, label_map in LABEL_MAPS.items():
        image = np.zeros((*label_map.shape, 3), np.uint8)
        Image.fromarray(image).save(source / f"images/{name}.png")
        Image.fromarray(label_map).save(source / f"masks/{name}.png")
    names = "".join(f"class {i}\n" for i in range(255))
    (source / "classes.txt").write_text(names)
    build_plainly(
        source,
        folder / "out",
        dataset_format=MaskFolder(ignore="255"),
        masks=("rle", "png"),
    )
    return folder / "out"


def shown_name(key: str) -> str:
    return Path(key).stem


def test_numpy_reads_label_maps_at_their_extremes(semantic: Path) -> None:
    records = {shown_name(r.key): r for r in RecordSource(semantic, "train")}
    assert records.keys() == LABEL_MAPS.keys()
    for name, label_map in LABEL_MAPS.items():
        np.testing.assert_array_equal(records[name].label_map(), label_map)


@pytest.mark.parametrize("scale", [1, 2])
def test_graph_reads_label_maps_at_their_extremes(semantic: Path, scale: int) -> None:
    size = (HEIGHT * scale, WIDTH * scale)
    ids = {shown_name(r.key): int(r.source_id) for r in RecordSource(semantic, "train")}
    batches = read_semantic(semantic, "train", batch_size=3, image_size=size)
    found = {
        int(image_id): label_map
        for batch in batches.as_numpy_iterator()
        for image_id, label_map in zip(
            batch["image_id"], batch["label_map"], strict=True
        )
    }
    for name, label_map in LABEL_MAPS.items():
        repeats = [
            out // stored for out, stored in zip(size, label_map.shape, strict=True)
        ]
        expected = np.kron(label_map, np.ones(repeats, np.uint8))
        np.testing.assert_array_equal(found[ids[name]], expected, err_msg=name)


def test_png_label_maps_are_the_same_at_their_extremes(semantic: Path) -> None:
    found = {}
    for shard in semantic.glob("*.tfrecord-*"):
        for raw in read_records(shard):
            example = proto.parse(raw.data)
            [key] = proto.feature_values(example, schema.KEY.key)
            [data] = proto.feature_values(example, schema.LABEL_PNG.key)
            columns = read_columns(raw.data, shard.name)
            assert columns.label_values is not None
            assert columns.label_lengths.sum() == columns.height * columns.width
            with Image.open(io.BytesIO(data)) as image:
                found[shown_name(key.decode())] = np.asarray(image)
    for name, label_map in LABEL_MAPS.items():
        np.testing.assert_array_equal(found[name], label_map, err_msg=name)


OBJECTS = {
    "none": [],
    "all": [{"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}],
    "one_pixel": [{"size": [HEIGHT, WIDTH], "counts": [0, 1, HEIGHT * WIDTH - 1]}],
    "last_pixel": [{"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH - 1, 1]}],
    "empty_mask": [{"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}],
    "box_only": [[]],
}


@pytest.fixture(scope="module")
def instances(
    tmp_path_factory: pytest.TempPathFactory, build_plainly: Callable[..., Any]
) -> Path:
    """A COCO folder of those objects; all of them have a box of the whole image."""
    folder = tmp_path_factory.mktemp("objects")
    images, objects = [], []
    for number, (name, masks) in enumerate(OBJECTS.items(), 1):
        coco_folder.save_image(folder / f"source/images/{name}.png", HEIGHT, WIDTH)
        images.append(coco_folder.image_row(number, f"{name}.png"))
        objects += [
            coco_folder.object_row(
                number,
                number,
                segmentation=mask,
                bbox=[0, 0, WIDTH, HEIGHT],
                iscrowd=int(bool(mask)),
            )
            for mask in masks
        ]
    table = coco_folder.table(images=images, annotations=objects)
    path = folder / "source/annotations/instances_train2017.json"
    path.parent.mkdir()
    path.write_text(json.dumps(table))
    build_plainly(
        folder / "source",
        folder / "out",
        dataset_format=Coco(semantic=True),
        masks=("rle", "png"),
    )
    return folder / "out"


AREAS = {
    "none": [],
    "all": [HEIGHT * WIDTH],
    "one_pixel": [1],
    "last_pixel": [1],
    "empty_mask": [0],
    "box_only": [0],
}


def test_numpy_reads_objects_at_their_extremes(instances: Path) -> None:
    source = RecordSource(instances, "train")
    areas = {
        shown_name(record.key): arrays["masks"].sum((1, 2)).tolist()
        for record, arrays in zip(source, source.arrays(), strict=True)
    }
    assert areas == AREAS


def test_graph_reads_objects_at_their_extremes(instances: Path) -> None:
    records = {int(r.source_id): r for r in RecordSource(instances, "train")}
    stream = read_instances(
        instances,
        "train",
        batch_size=1,
        image_size=(HEIGHT, WIDTH),
        label_map=True,
        instances=InstanceOptions(masks="dense", max_objects=2),
    )
    for batch in stream.as_numpy_iterator():
        record = records.pop(int(batch["image_id"][0]))
        name = shown_name(record.key)
        assert batch["num_objects"] == [len(AREAS[name])]
        assert batch["masks"][0].sum() == sum(AREAS[name])
        # An object whose mask is empty gets no slot.
        taken = batch["valid"][0].sum() + batch["crowd"][0].sum()
        assert taken == len(AREAS[name]) - (name == "empty_mask")
        np.testing.assert_array_equal(batch["label_map"][0], record.label_map())
    assert not records
