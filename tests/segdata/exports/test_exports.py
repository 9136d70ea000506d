"""Exports, and builds of what was exported: the records must be the same again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from export_runs import build, built_again, export, exported, serialized
from PIL import Image
from pycocotools.coco import COCO

import segdata
from segdata.errors import AnnotationError, OptionError, OutputError
from segdata.exports import EXPORTS, export_class
from segdata.exports.base import common_folder, new_folder, write_once
from segdata.masks import rle
from segdata.samples.coco import write_coco_sample


@pytest.fixture(scope="module")
def coco_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of annotation, in two splits."""
    folder = tmp_path_factory.mktemp("coco")
    write_coco_sample(folder / "source", seed=3, num_train=9, num_val=4)
    build("coco", folder / "source", folder / "out")
    return folder / "out"


# --- The same records again.


@pytest.mark.parametrize(
    ("name", "target", "num_records"),
    [("camvid", "png", 468), ("coco", "coco", 165), ("pets", "pets", 449)],
)
def test_real_records_come_back_to_the_byte(
    real_build: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    target: str,
    num_records: int,
) -> None:
    out = real_build(name)
    printed = exported(out, tmp_path / "dest", target)
    assert "not in it" not in printed
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    records = serialized(out)
    assert sum(map(len, records.values())) == num_records
    assert serialized(again) == records


def test_lists_that_are_not_cocos_come_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_coco_sample(source, seed=3, num_train=4, num_val=2)
    scenes, licenses = {}, [{"id": 1, "name": "CC BY 4.0", "url": "x"}]
    for split in ("train", "val"):
        path = source / f"annotations/instances_{split}2017.json"
        tables = orjson.loads(path.read_bytes())
        ids = sorted(image["id"] for image in tables["images"])
        scenes[split] = [{"image_id": i, "background_ids": [i % 7]} for i in ids]
        tables |= {
            "licenses": licenses,
            "scene_annotations": scenes[split],
            "scene_categories": [{"id": 0, "name": "clean"}],
        }
        path.write_bytes(orjson.dumps(tables))
    build("coco", source, tmp_path / "out")
    exported(tmp_path / "out", tmp_path / "dest", "coco")
    for split, rows in scenes.items():
        told = orjson.loads(
            (tmp_path / f"dest/annotations/instances_{split}.json").read_bytes()
        )
        assert told["licenses"] == licenses
        assert told["scene_annotations"] == rows
        assert told["scene_categories"] == [{"id": 0, "name": "clean"}]
    build("coco", source, tmp_path / "drawn", "--split", "a=train:0.5,b=train:0.5")
    exported(tmp_path / "drawn", tmp_path / "part", "coco")
    told = orjson.loads((tmp_path / "part/annotations/instances_a.json").read_bytes())
    left = {image["id"] for image in told["images"]}
    both = [*scenes["train"], *scenes["val"]]
    assert told["scene_annotations"] == [r for r in both if r["image_id"] in left]
    assert 0 < len(left) < 4


@pytest.mark.parametrize("options", [(), ("--polygons",)])
def test_drawn_coco_comes_back_to_the_byte(
    coco_build: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    printed = exported(coco_build, tmp_path / "dest", "coco", *options)
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(coco_build)


def test_painted_label_maps_are_painted_again(tmp_path: Path) -> None:
    write_coco_sample(tmp_path / "source", seed=3, num_train=4, num_val=2)
    build("coco", tmp_path / "source", tmp_path / "out", "--semantic")
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    assert "not in it" not in printed
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")


def test_drawn_camvid_comes_back_to_the_byte(tiny_build: Path, tmp_path: Path) -> None:
    printed = exported(tiny_build, tmp_path / "dest", "png")
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tiny_build)


def test_void_outside_the_classes_comes_back(tiny_source: Path, tmp_path: Path) -> None:
    build("camvid", tiny_source, tmp_path / "out", "--classes=camvid-11")
    printed = exported(tmp_path / "out", tmp_path / "dest", "png")
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")


@pytest.mark.parametrize("folder", ["images", "photos", "photos/2024"])
def test_mask_folder_comes_back_to_the_byte(tmp_path: Path, folder: str) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(3):
            name = f"{split}/{number}.png"
            for kind, pixels in (
                (folder, rng.integers(0, 256, (6, 8, 3), np.uint8)),
                ("masks", rng.choice(np.array([3, 7, 255], np.uint8), (6, 8))),
            ):
                path = tmp_path / "source" / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    (tmp_path / "source/classes.txt").write_text("3 cat 9 9 200\n7 dog 90 0 0\n")
    build(
        "mask-folder",
        tmp_path / "source",
        tmp_path / "out",
        f"--images={folder}",
        "--ignore=255",
    )
    printed = exported(tmp_path / "out", tmp_path / "dest", "png")
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    found, expected = serialized(again), serialized(tmp_path / "out")
    assert found.keys() == expected.keys()
    if folder != "photos/2024":  # there the split hides behind a second folder
        assert found == expected
    else:
        assert [len(split) for split in found.values()] == [3, 3]


# --- What others read.


def test_coco_reads_masks_as_its_own_tools_do(
    real_build: Callable[[str], Path], shared_data: Path, tmp_path: Path
) -> None:
    exported(real_build("coco"), tmp_path / "dest", "coco")
    source = COCO(str(shared_data / "coco/annotations/instances.json"))
    found = COCO(str(tmp_path / "dest/annotations/instances_train.json"))
    assert found.imgs.keys() == source.imgs.keys()
    assert found.anns.keys() == source.anns.keys()
    for key, annotation in source.anns.items():
        for name in ("image_id", "category_id", "iscrowd", "area", "bbox"):
            assert found.anns[key][name] == annotation[name]
        one, other = source.annToRLE(annotation), found.annToRLE(found.anns[key])
        assert one["counts"] == other["counts"].encode()
    for key, category in source.cats.items():
        assert found.cats[key]["name"] == category["name"]
        assert found.cats[key]["supercategory"] == category["supercategory"]


def test_polygons_of_real_masks_decode_to_the_same(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out = real_build("coco")
    printed = exported(out, tmp_path / "dest", "coco", "--polygons")
    assert "stay RLE" not in printed
    path = tmp_path / "dest/annotations/instances_train.json"
    rows = {row["id"]: row for row in orjson.loads(path.read_bytes())["annotations"]}
    num_polygons = 0
    for record in segdata.open(out):
        for item in record.objects:
            given = rows[item.source["id"]]["segmentation"]
            assert isinstance(given, dict) == item.is_crowd
            num_polygons += isinstance(given, list)
            again = rle.rle(given, record.height, record.width)
            assert np.array_equal(again, item.runs)
    assert num_polygons == 1443


def test_yolo_outlines_are_nearly_the_masks(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out, dest = real_build("coco"), tmp_path / "dest"
    printed = exported(out, dest, "yolo")
    assert "not in it: crowds: left out: 15" in printed
    overlaps = []
    for record in segdata.open(out):
        name = Path(record.filename).with_suffix(".txt").name
        lines = (dest / "labels/train" / name).read_text().splitlines()
        objects = [item for item in record.objects if not item.is_crowd]
        assert len(lines) == len(objects)
        image = dest / "images/train" / Path(record.filename).name
        assert image.read_bytes() == record.encoded
        for line, item in zip(lines, objects, strict=True):
            number, *shares = map(float, line.split())
            assert number == item.label - 1
            size = record.height, record.width
            points = np.array(shares).reshape(-1, 2) * size[::-1]
            drawn = rle.rle([points.reshape(-1).tolist()], *size)
            one, other = (rle.decode(runs, *size) for runs in (drawn, item.runs))
            overlaps.append((one & other).sum() / (one | other).sum())
    assert len(overlaps) == 1443
    assert np.mean(overlaps) > 0.995
    assert np.quantile(overlaps, 0.05) > 0.98
    names = (dest / "data.yaml").read_text()
    assert '  0: "person"\n' in names
    assert names.startswith('train: "images/train"\nval: "images/train"\nnames:\n')
    assert "no split is called 'val': images/train stands there" in printed
    assert "is called 'train'" not in printed


def test_images_that_differ_by_their_ending_keep_labels_of_their_own(
    tmp_path: Path,
) -> None:
    source, rows = tmp_path / "source", {"images": [], "annotations": []}
    (source / "images").mkdir(parents=True)
    for number, ending in enumerate(("png", "bmp"), 1):
        Image.new("RGB", (16, 12), (number, 0, 0)).save(source / f"images/a.{ending}")
        size = {"height": 12, "width": 16, "file_name": f"a.{ending}"}
        rows["images"].append({"id": number, **size})
        box = [number, 2, 6, 6]
        x, y = box[:2]
        outline = [[x, y, x + 6, y, x + 6, y + 6, x, y + 6]]
        row = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0}
        rows["annotations"].append(row | {"segmentation": outline, "bbox": box})
        rows["annotations"][-1]["area"] = 36
    rows["categories"] = [{"id": 1, "name": "thing"}]
    (source / "instances.json").write_bytes(orjson.dumps(rows))
    paths = {"annotations": "instances.json", "images": "images"}
    segdata.build("coco", source, tmp_path / "out", format_options=paths)
    paths |= {"semantic": True}
    segdata.build("coco", source, tmp_path / "painted", format_options=paths)
    exported(tmp_path / "out", tmp_path / "yolo", "yolo")
    labels = sorted((tmp_path / "yolo/labels/train").iterdir())
    assert [path.name for path in labels] == ["a_bmp.txt", "a_png.txt"]
    assert len({path.read_text() for path in labels}) == 2
    names = sorted(path.stem for path in (tmp_path / "yolo/images/train").iterdir())
    assert names == [path.stem for path in labels]
    printed = exported(tmp_path / "painted", tmp_path / "png", "png")
    again = built_again(tmp_path / "png", tmp_path / "again", printed)
    old, new = (segdata.open(out)["train"] for out in (tmp_path / "painted", again))
    maps = {r.sha256: r.label_map() for r in map(new.__getitem__, range(len(new)))}
    for record in map(old.__getitem__, range(len(old))):
        assert np.array_equal(maps[record.sha256], record.label_map())


def test_yolo_says_which_split_it_takes_for_train(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    printed = exported(real_build("pets"), tmp_path / "dest", "yolo")
    yaml = (tmp_path / "dest/data.yaml").read_text()
    assert yaml.startswith(
        'train: "images/trainval"\nval: "images/test"\ntest: images/test\n'
    )
    assert "no split is called 'train': images/trainval stands there" in printed
    assert "no split is called 'val': images/test stands there" in printed


def test_png_indices_colours_and_class_file(camvid_build: Path, tmp_path: Path) -> None:
    exported(camvid_build, tmp_path / "dest", "png")
    dataset = segdata.open(camvid_build)
    record = dataset["val"][0]
    stem = Path(record.filename).stem
    with Image.open(tmp_path / f"dest/valannot/{stem}.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), record.label_map())
        palette = np.reshape(mask.getpalette(), (-1, 3))
    road = next(c for c in dataset.classes.semantic_classes if c.name == "road")
    assert palette[road.id].tolist() == list(road.color)
    lines = (tmp_path / "dest/classes.txt").read_text().splitlines()
    assert f"{road.id} road {' '.join(map(str, road.color))}" in lines
    assert (tmp_path / "dest" / record.filename).read_bytes() == record.encoded


# --- Ids.


def coco_source(folder: Path, image_ids: list[Any], **fields: Any) -> Path:
    """One square object on each image."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, image_id in enumerate(image_ids):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / f"images/{number}.png")
        images.append(
            {"id": image_id, "file_name": f"{number}.png", "height": 6, "width": 8}
        )
        annotations.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": 5,
                "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]],
                **fields,
            }
        )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 5, "name": "a"}],
    }
    (folder / "instances.json").write_bytes(orjson.dumps(content))
    return folder


@pytest.mark.parametrize(
    "image_ids", [[3, 1, 2], [2**40, 5], ["7", "x"], ["7", "8"], [0, 2**24]]
)
def test_image_ids_come_back_as_they_were(tmp_path: Path, image_ids: list[Any]) -> None:
    whole = {"bbox": [1, 1, 3, 3], "area": 9.5, "iscrowd": 0}
    source = coco_source(tmp_path / "source", image_ids, **whole)
    build("coco", source, tmp_path / "out")
    printed = exported(tmp_path / "out", tmp_path / "dest", "coco")
    path = tmp_path / "dest/annotations/instances_train.json"
    rows = orjson.loads(path.read_bytes())["images"]
    assert {repr(row["id"]) for row in rows} == set(map(repr, image_ids))
    again = built_again(tmp_path / "dest", tmp_path / "again", printed)
    assert serialized(again) == serialized(tmp_path / "out")


def test_what_the_source_leaves_out_is_filled_in(tmp_path: Path) -> None:
    build("coco", coco_source(tmp_path / "source", [1]), tmp_path / "out")
    exported(tmp_path / "out", tmp_path / "dest", "coco")
    path = tmp_path / "dest/annotations/instances_train.json"
    [row] = orjson.loads(path.read_bytes())["annotations"]
    assert (row["bbox"], row["area"], row["iscrowd"]) == ([1, 1, 3, 3], 9, 0)


# --- Refusals.


@pytest.mark.parametrize("target", ["coco", "yolo", "pets"])
def test_target_that_cannot_hold_the_dataset_is_refused(
    tiny_build: Path, tmp_path: Path, target: str
) -> None:
    result = export(tiny_build, tmp_path / "dest", f"--to={target}")
    assert isinstance(result.exception, OptionError)
    assert f"for --to {target}" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_objects_have_no_label_maps(coco_build: Path, tmp_path: Path) -> None:
    result = export(coco_build, tmp_path / "dest", "--to=png")
    assert isinstance(result.exception, OptionError)
    assert "has no label maps: expected some for --to png" in str(result.exception)


def test_polygons_go_with_coco_only(tiny_build: Path, tmp_path: Path) -> None:
    result = export(tiny_build, tmp_path / "dest", "--to=png", "--polygons")
    assert isinstance(result.exception, OptionError)


def test_folder_that_holds_something_is_not_touched(
    tiny_build: Path, tmp_path: Path
) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/mine").touch()
    result = export(tiny_build, tmp_path / "dest", "--to=png")
    assert isinstance(result.exception, OutputError)
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["mine"]


def test_empty_folder_is_taken(tiny_build: Path, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    exported(tiny_build, tmp_path / "dest", "png")
    assert (tmp_path / "dest/classes.txt").is_file()


def test_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "dest") as folder:
            (folder / "half").touch()
            raise OSError(28, "disk full")

    with pytest.raises(OutputError, match=r"cannot write .*dest: disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="may leave the image folder"):
        write_once(tmp_path, "../a", b"", "key")


def test_same_name_with_other_content_is_refused(tmp_path: Path) -> None:
    write_once(tmp_path, "a/b", b"1", "one")
    write_once(tmp_path, "a/b", b"1", "two")
    with pytest.raises(OutputError, match="'three' and another are both of the file"):
        write_once(tmp_path, "a/b", b"2", "three")


def test_unknown_target_lists_the_known() -> None:
    with pytest.raises(OptionError, match="unknown target 'voc': known are coco, pets"):
        export_class("voc")


def test_command_knows_every_target(tmp_path: Path) -> None:
    printed = export("--help").output
    assert all(name in printed for name in EXPORTS)


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        ([], ""),
        (["a.png"], ""),
        (["x/a.png", "x/y/b.png"], "x"),
        (["x/a.png", "xy/b.png"], ""),
    ],
)
def test_common_folder(names: list[str], folder: str) -> None:
    assert common_folder(names) == folder
