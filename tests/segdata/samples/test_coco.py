from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segdata.building.sources import read_files
from segdata.formats.coco.format import Coco
from segdata.masks.outlines import trace
from segdata.records.encode import encode_record
from segdata.samples.coco import write_coco_sample
from segdata.samples.shape_scene import Feature, draw_shape_scene
from segdata.samples.shapes import BAR, RING, SHAPES, place

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)

SPLITS = ("train2017", "val2017")


def write(folder, *, seed=0, num_train=3, num_val=2):
    write_coco_sample(folder, seed=seed, num_train=num_train, num_val=num_val)
    return folder


def files(folder):
    """Path below the folder -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(folder, split):
    path = folder / "annotations" / f"instances_{split}.json"
    return json.loads(path.read_bytes())


def companion(folder, name, split):
    return json.loads((folder / "annotations" / f"{name}_{split}.json").read_bytes())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The counts that `segdata sample` draws unless told otherwise."""
    return write(tmp_path_factory.mktemp("full"), num_train=24, num_val=8)


@pytest.fixture(scope="module")
def tables(full):
    return [table(full, split) for split in SPLITS]


@pytest.fixture(scope="module")
def objects(tables):
    """Every annotation with the height and width of its image."""
    found = []
    for data in tables:
        sizes = {row["id"]: (row["height"], row["width"]) for row in data["images"]}
        found += [(row, *sizes[row["image_id"]]) for row in data["annotations"]]
    return found


def encoded(segmentation, height, width):
    """As `COCO.annToRLE` does it."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def kind(row):
    segmentation = row.get("segmentation")
    if segmentation is None:
        return "box, no key"
    if isinstance(segmentation, list):
        names = {0: "box, empty list", 1: "one polygon"}
        return names.get(len(segmentation), "several polygons")
    counts = segmentation["counts"]
    form = "compressed" if isinstance(counts, str) else "uncompressed"
    return f"{form}, iscrowd={row['iscrowd']}"


KINDS = {
    "box, no key",
    "box, empty list",
    "one polygon",
    "several polygons",
    "compressed, iscrowd=0",
    "uncompressed, iscrowd=0",
    "uncompressed, iscrowd=1",
}


# --- Files.


def test_sample_has_the_layout_of_coco(small):
    assert sorted(files(small)) == [
        "annotations/captions_train2017.json",
        "annotations/captions_val2017.json",
        "annotations/instances_train2017.json",
        "annotations/instances_val2017.json",
        "annotations/panoptic_train2017.json",
        "annotations/panoptic_train2017/000000000139.png",
        "annotations/panoptic_train2017/000000000285.png",
        "annotations/panoptic_train2017/000000000431.png",
        "annotations/panoptic_val2017.json",
        "annotations/panoptic_val2017/000000000140.png",
        "annotations/panoptic_val2017/000000000286.png",
        "annotations/person_keypoints_train2017.json",
        "annotations/person_keypoints_val2017.json",
        "train2017/000000000139.jpg",
        "train2017/000000000285.jpg",
        "train2017/000000000431.jpg",
        "val2017/000000000140.jpg",
        "val2017/000000000286.jpg",
    ]


def test_every_image_is_a_jpeg_of_the_size_in_the_json(full, tables):
    for split, data in zip(SPLITS, tables, strict=True):
        listed = {row["file_name"] for row in data["images"]}
        on_disk = {
            path.relative_to(full / split).as_posix()
            for path in (full / split).rglob("*.jpg")
        }
        assert listed == on_disk
        for row in data["images"]:
            with Image.open(full / split / row["file_name"]) as image:
                assert (image.format, image.mode) == ("JPEG", "RGB")
                assert image.size == (row["width"], row["height"])
                assert 160 <= min(image.size) <= max(image.size) <= 320


def test_images_differ_in_size(tables):
    sizes = {(r["height"], r["width"]) for data in tables for r in data["images"]}
    assert len(sizes) > 25


@pytest.mark.parametrize(("num_train", "num_val"), [(8, 0), (0, 8), (4, 4)])
def test_eight_images_have_one_in_a_subfolder_with_a_difficult_name(
    num_train, num_val, tmp_path
):
    write(tmp_path, num_train=num_train, num_val=num_val)
    rows = [row for split in SPLITS for row in table(tmp_path, split)["images"]]
    [name, *_] = [row["file_name"] for row in rows if "/" in row["file_name"]]
    folder, _, file = name.partition("/")
    assert " " in folder
    assert not folder.isascii()
    assert re.fullmatch(r"\d{12}\.jpg", file)


def test_larger_sample_starts_with_the_smaller_one(small, full):
    first, second = files(small), files(full)
    for name in first:
        if name.endswith(".jpg"):
            assert second[name] == first[name]
    for split in SPLITS:
        few, many = table(small, split), table(full, split)
        assert few["categories"] == many["categories"]
        for key in ("images", "annotations"):
            assert many[key][: len(few[key])] == few[key]
            assert len(many[key]) > len(few[key])


# --- What the JSON says.


def test_ids_are_unique_over_both_splits(tables):
    for key in ("images", "annotations"):
        ids = [row["id"] for data in tables for row in data[key]]
        assert len(set(ids)) == len(ids) > 0


def test_both_splits_have_the_same_categories_with_gaps_between_their_ids(tables):
    train, val = (data["categories"] for data in tables)
    assert train == val
    ids = [row["id"] for row in train]
    assert ids == sorted(set(ids))
    assert ids[0] > 1
    assert ids[-1] > len(ids) == 8
    assert len({row["name"] for row in train}) == 8
    assert 1 < len({row["supercategory"] for row in train}) < 8


def test_every_category_occurs_in_training(tables):
    train = tables[0]
    used = {row["category_id"] for row in train["annotations"]}
    assert used == {row["id"] for row in train["categories"]}


@pytest.mark.parametrize("seed", range(6))
def test_any_eight_images_have_every_kind_of_annotation(seed, tmp_path):
    write(tmp_path, seed=seed, num_train=0, num_val=8)
    data = table(tmp_path, "val2017")
    assert {kind(row) for row in data["annotations"]} == KINDS
    annotated = {row["image_id"] for row in data["annotations"]}
    assert {row["id"] for row in data["images"]} - annotated


def test_default_sample_has_every_kind_of_annotation_in_both_splits(tables):
    for data in tables:
        assert {kind(row) for row in data["annotations"]} == KINDS


def test_images_have_at_most_eight_objects(tables):
    for data in tables:
        owners = [row["image_id"] for row in data["annotations"]]
        assert set(owners) <= {row["id"] for row in data["images"]}
        assert max(owners.count(owner) for owner in owners) <= 8


def test_crowds_are_dots_far_apart_in_uncompressed_runs(objects):
    crowds = [row for row, *_ in objects if row["iscrowd"]]
    assert len(crowds) == 4
    for row in crowds:
        *_, width, height = row["bbox"]
        assert row["area"] < 0.4 * width * height
        assert len(row["segmentation"]["counts"]) > 100


def test_masks_fit_their_images_and_are_not_empty(objects):
    for row, height, width in objects:
        if row.get("segmentation"):
            found = encoded(row["segmentation"], height, width)
            assert found["size"] == [height, width]
            assert coco_mask.area(found) > 0


def test_area_and_box_are_those_of_the_mask(objects):
    for row, height, width in objects:
        if row.get("segmentation"):
            found = encoded(row["segmentation"], height, width)
            assert row["area"] == coco_mask.area(found)
            assert row["bbox"] == coco_mask.toBbox(found).tolist()


def test_boxes_without_masks_are_inside_the_image_and_filled(objects):
    boxes = [(row, h, w) for row, h, w in objects if not row.get("segmentation")]
    assert len(boxes) == 8
    for row, height, width in boxes:
        x, y, box_width, box_height = row["bbox"]
        assert 0 <= x < x + box_width <= width
        assert 0 <= y < y + box_height <= height
        assert row["area"] == box_width * box_height


def test_polygons_are_inside_the_image(objects):
    for row, height, width in objects:
        for polygon in row.get("segmentation") or []:
            if isinstance(row["segmentation"], list):
                points = np.array(polygon).reshape(-1, 2)
                assert points.min() >= 0
                assert (points <= [width, height]).all()


def test_no_two_masks_of_an_image_share_a_pixel(tables):
    for data in tables:
        for image in data["images"]:
            masks = [
                coco_mask.decode(
                    encoded(row["segmentation"], image["height"], image["width"])
                )
                for row in data["annotations"]
                if row["image_id"] == image["id"] and row.get("segmentation")
            ]
            assert not masks or np.sum(masks, axis=0).max() <= 1


def test_objects_stand_out_from_what_is_around_them(full, tables):
    """The masks lie on the drawn objects: colours jump at their borders."""
    val, inside_changes, border_changes = tables[1], [], []
    for image in val["images"]:
        with Image.open(full / "val2017" / image["file_name"]) as opened:
            pixels = np.asarray(opened, np.float32)
        steps = np.abs(np.diff(pixels, axis=1)).sum(axis=2)
        for row in val["annotations"]:
            if row["image_id"] == image["id"] and row.get("segmentation"):
                mask = coco_mask.decode(
                    encoded(row["segmentation"], image["height"], image["width"])
                )
                jumps = mask[:, 1:] != mask[:, :-1]
                border_changes.append(steps[jumps].mean())
                inside_changes.append(steps[(mask[:, 1:] == 1) & ~jumps].mean())
    assert np.mean(border_changes) > 3 * np.mean(inside_changes)


# --- Who reads it.


def test_pycocotools_reads_it(full):
    path = full / "annotations" / "instances_val2017.json"
    coco = COCO(str(path))
    for row in coco.loadAnns(coco.getAnnIds()):
        if row.get("segmentation"):
            assert coco.annToMask(row).sum() == row["area"]


def test_format_reads_it_without_a_warning(full, tables):
    scan = Coco().scan(full)
    annotations = list(scan.annotations)
    assert (scan.warnings, scan.problems) == ((), ())
    assert [a["split"] for a in annotations] == ["train"] * 24 + ["val"] * 8
    for annotation in annotations:
        assert (full / annotation["image"]).is_file()
    count = sum(len(data["annotations"]) for data in tables)
    assert sum(len(a["objects"]) for a in annotations) == count
    assert [c.source_ids for c in scan.label_map.object_classes] == [
        (shape.id,) for shape in SHAPES
    ]


# --- Keypoints, captions and panoptic segments.


def test_stars_have_keypoints_inside_the_image(full):
    kinds = set()
    count = 0
    for split in SPLITS:
        data = companion(full, "person_keypoints", split)
        assert [c["name"] for c in data["categories"]] == ["star"]
        stars = [
            row["id"]
            for row in table(full, split)["annotations"]
            if row["category_id"] == data["categories"][0]["id"] and not row["iscrowd"]
        ]
        assert [row["id"] for row in data["annotations"]] == stars
        sizes = {row["id"]: (row["width"], row["height"]) for row in data["images"]}
        for row in data["annotations"]:
            points = np.reshape(row["keypoints"], (5, 3))
            assert (points[:, :2] < sizes[row["image_id"]]).all()
            assert row["num_keypoints"] == (points[:, 2] > 0).sum()
            kinds |= set(points[:, 2].tolist())
            count += 1
    assert count > 10
    assert kinds == {0, 1, 2}


def test_captions_tell_what_is_in_the_image(full, tables):
    for split, data in zip(SPLITS, tables, strict=True):
        captions = companion(full, "captions", split)["annotations"]
        names = {row["id"]: row["name"] for row in data["categories"]}
        objects = {row["image_id"] for row in data["annotations"]}
        assert {row["image_id"] for row in captions} == objects
        assert len(objects) < len(data["images"])  # some have neither
        for row in captions:
            inside = {
                names[r["category_id"]]
                for r in data["annotations"]
                if r["image_id"] == row["image_id"]
            }
            if row["caption"].startswith("A picture"):
                missing = {n for n in inside if n not in row["caption"]}
                assert missing <= {"circle"}  # a crowd of them is called dots
            else:
                assert row["caption"].endswith(" shapes.")


def test_panoptic_segments_cover_all_but_the_void(full, tables):
    crowds = 0
    for split in SPLITS:
        data = companion(full, "panoptic", split)
        assert {c["isthing"] for c in data["categories"]} == {0, 1}
        for row in data["annotations"]:
            path = full / "annotations" / f"panoptic_{split}" / row["file_name"]
            with Image.open(path) as image:
                ids = np.asarray(image).astype(int) @ [1, 256, 65536]
            assert (ids[:, 0] == 0).all()
            assert (ids[:, 1:] != 0).all()
            assert {s["id"] for s in row["segments_info"]} == set(np.unique(ids)) - {0}
            for segment in row["segments_info"]:
                mask = ids == segment["id"]
                assert segment["id"] > 255
                assert segment["area"] == mask.sum()
                x, y, width, height = segment["bbox"]
                assert mask[y : y + height, x : x + width].sum() == mask.sum()
                crowds += segment["iscrowd"]
    assert crowds


def test_format_reads_the_companions_too(full):
    scan = Coco().scan(full)
    stars = [c for c in scan.label_map.object_classes if c.keypoints]
    assert [(c.name, len(c.keypoints), len(c.skeleton)) for c in stars] == [
        ("star", 5, 5)
    ]
    annotations = list(scan.annotations)
    assert {bool(a["captions"]) for a in annotations} == {True, False}
    assert any("keypoints" in item for a in annotations for item in a["objects"])


def test_format_reads_the_panoptic_sample_without_a_warning(full):
    scan = Coco(kind="panoptic", semantic=True).scan(full)
    assert (scan.warnings, scan.problems) == ((), ())
    assert [c.is_thing for c in scan.label_map.object_classes] == [True] * 8 + [False]
    for annotation in scan.annotations:
        record = encode_record(annotation, read_files(annotation, full), scan.label_map)
        assert len(record.objects) == len(annotation["objects"])
        assert record.notes == ()
        void = record.label_runs.lengths[record.label_runs.values == 255].sum()
        assert void == record.image.height


# --- Shapes and scenes.


@pytest.mark.parametrize("seed", range(20))
def test_scenes_have_what_they_promise(seed):
    scenes = {f: draw_shape_scene(np.random.default_rng(seed), f)[1] for f in Feature}
    for scene in scenes.values():
        assert len(scene.figures) <= 8
        assert all(mask.any() for mask in scene.masks)
    assert scenes[Feature.NOTHING].figures == []
    assert len(scenes[Feature.SHAPES].figures) >= 3
    assert scenes[Feature.CUT].figures[1].shape is BAR
    parts, holes = trace(scenes[Feature.CUT].masks[0])
    assert (len(parts) > 1, holes) == (True, [])
    assert scenes[Feature.RING].figures[0].shape is RING
    assert scenes[Feature.CROWD].figures[0].is_crowd


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shapes_fill_the_circle_around_their_centre(shape):
    figure = place(shape, (50.0, 60.0), 40.0, 0.3)
    distances = np.hypot(*(np.concatenate(figure.polygons) - (50, 60)).T)
    assert distances.max() == pytest.approx(40, abs=0.05)
    mask = figure.mask(120, 100)
    assert mask.sum() == pytest.approx(figure.area, rel=0.05)
    assert mask[60, 50] == (shape is not RING)
