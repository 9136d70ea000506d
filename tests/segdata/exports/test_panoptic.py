"""Panoptic builds as COCO's PNGs and JSON again, and builds of those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from coco_folder import HEIGHT, WIDTH, image_row
from export_runs import build, built_again, export, exported, serialized
from PIL import Image
from real_coco import write_real_panoptic

import segdata
from segdata.errors import OptionError
from segdata.masks import rle
from segdata.samples.coco import write_coco_sample

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

THING, STUFF, CROWD = 3, 70_000, 0xFF_FE_FD


def id_map() -> Any:
    """`[height, width]` ids: a thing in two parts, stuff, a crowd; void below."""
    ids = np.full((HEIGHT, WIDTH), STUFF)
    ids[2:6, 2:5] = ids[2:6, 9:12] = THING
    ids[7:9, 1:12] = CROWD
    ids[-1] = 0
    return ids


def segment(segment_id: int, **more: Any) -> dict[str, Any]:
    category = 200 if segment_id == STUFF else 1
    return {"id": segment_id, "category_id": category, **more}


def write_source(root: Path, rows: list[dict[str, Any]]) -> Path:
    """Images 1 to 3, and panoptic annotations of some."""
    (root / "images").mkdir(parents=True)
    names = ("a.png", "b.png", "c.png")
    images = []
    for number, name in enumerate(names, 1):
        images.append(image_row(number, name, license=number))
        pixels = np.full((HEIGHT, WIDTH, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
    for row in rows:
        ids = id_map() if row["segments_info"] else np.zeros((HEIGHT, WIDTH), np.int64)
        path = root / "annotations/panoptic_train2017" / row["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
        Image.fromarray(rgb.astype(np.uint8)).save(path)
    data = {
        "images": images,
        "annotations": rows,
        "categories": [
            {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
            {"id": 200, "name": "sky", "isthing": 0, "supercategory": "outdoor"},
        ],
    }
    path = root / "annotations/panoptic_train2017.json"
    path.write_text(json.dumps(data))
    return root


def whole(segment_id: int, **more: Any) -> dict[str, Any]:
    return segment(segment_id, bbox=[1.5, 2, 10, 4], area=7.25, iscrowd=0, **more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ids of one and three bytes, a crowd, other fields; no segment; no annotation."""
    segments = [whole(THING, mine=[1]), whole(STUFF), {**whole(CROWD), "iscrowd": 1}]
    return write_source(
        tmp_path / "source",
        [
            {
                "image_id": 1,
                "file_name": "deep/a.png",
                "segments_info": segments,
                "by": "me",
            },
            {"image_id": 2, "file_name": "b.png", "segments_info": []},
        ],
    )


def rows_of(dest: Path) -> dict[str, Any]:
    path = dest / "annotations/panoptic_train.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("options", [(), ("--semantic",)])
def test_odd_panoptic_comes_back_to_the_byte(
    source: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    build("coco", source, tmp_path / "out", *options)
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    assert "exported 3 images and 3 objects" in printed
    assert "not in it" not in printed
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")
    one, other = (segdata.open(tmp_path / name).classes for name in ("again", "out"))
    assert one == other


def test_png_and_rows_are_cocos(source: Path, tmp_path: Path) -> None:
    build("coco", source, tmp_path / "out")
    exported(tmp_path / "out", tmp_path / "dest", "coco")
    names = sorted(path.name for path in (tmp_path / "dest/annotations").iterdir())
    assert names == ["panoptic_train", "panoptic_train.json"]
    with Image.open(tmp_path / "dest/annotations/panoptic_train/deep/a.png") as png:
        assert (png.mode, png.format) == ("RGB", "PNG")
        red, green, blue = np.moveaxis(np.array(png).astype(np.int64), -1, 0)
    assert np.array_equal(red + 256 * green + 65536 * blue, id_map())
    found = rows_of(tmp_path / "dest")
    given = orjson.loads((source / "annotations/panoptic_train2017.json").read_bytes())
    by_image = {row["image_id"]: row for row in found["annotations"]}
    assert by_image == {row["image_id"]: row for row in given["annotations"]}
    assert found["categories"] == given["categories"]
    images = sorted(found["images"], key=lambda row: row["id"])
    assert images == given["images"]


def test_what_segments_leave_out_is_filled_in(tmp_path: Path) -> None:
    segments = [segment(THING), segment(STUFF), segment(CROWD)]
    row = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    build("coco", write_source(tmp_path / "source", [row]), tmp_path / "out")
    exported(tmp_path / "out", tmp_path / "dest", "coco")
    [found] = rows_of(tmp_path / "dest")["annotations"]
    [thing] = (item for item in found["segments_info"] if item["id"] == THING)
    expected = {"bbox": [2, 2, 10, 4], "area": 24, "iscrowd": 0}
    assert thing == {**segment(THING), **expected}


def test_drawn_panoptic_comes_back_to_the_byte(tmp_path: Path) -> None:
    """In two splits, with captions."""
    write_coco_sample(tmp_path / "source", seed=3, num_train=5, num_val=3)
    build("coco", tmp_path / "source", tmp_path / "out", "--kind=panoptic")
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    records = serialized(again)
    assert [len(split) for split in records.values()] == [5, 3]
    assert records == serialized(tmp_path / "out")


def test_real_panoptic_comes_back_to_the_byte(
    shared_data: Path, tmp_path: Path
) -> None:
    coco = shared_data / "coco"
    table = orjson.loads((coco / "annotations/instances.json").read_bytes())
    truth = write_real_panoptic(coco, table, tmp_path / "source", 40)
    build("coco", tmp_path / "source", tmp_path / "out", "--semantic")
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    folder = tmp_path / "dest/annotations/panoptic_val"
    for image_id, masks in truth.items():
        with Image.open(folder / f"{image_id:012d}.png") as png:
            red, green, blue = np.moveaxis(np.array(png).astype(np.int64), -1, 0)
        ids = red + 256 * green + 65536 * blue
        assert set(np.unique(ids).tolist()) - {0} == set(masks)
        assert all(np.array_equal(ids == i, mask) for i, mask in masks.items())
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")


def test_instances_that_speak_of_panoptic_stay_instances(tmp_path: Path) -> None:
    """Their masks overlap: no PNG can hold them."""
    root = tmp_path / "source"
    row = {"image_id": 1, "file_name": "a.png", "segments_info": []}
    write_source(root, [row])
    path = root / "annotations/panoptic_train2017.json"
    data = orjson.loads(path.read_bytes())
    path.unlink()
    for image in data["images"]:
        image["panoptic"] = {"file_name": "a.png"}
    square = rle.rle([[1, 1, 5, 1, 5, 5, 1, 5]], HEIGHT, WIDTH)
    assert rle.area(square) == 16
    data["annotations"] = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]],
            "bbox": [1, 1, 4, 4],
            "area": 16,
            "iscrowd": 0,
        }
        for number in (1, 2)
    ]
    (root / "annotations/instances_train.json").write_bytes(orjson.dumps(data))
    build("coco", root, tmp_path / "out")
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    assert (tmp_path / "dest/annotations/instances_train.json").is_file()
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")


def test_polygons_of_segments_are_refused(source: Path, tmp_path: Path) -> None:
    build("coco", source, tmp_path / "out")
    result = export(tmp_path / "out", tmp_path / "dest", "--to=coco", "--polygons")
    assert isinstance(result.exception, OptionError)
    assert "holds panoptic segments, which are pixels of PNGs" in str(result.exception)
    assert not (tmp_path / "dest").exists()
