from __future__ import annotations

import io
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from coco_folder import (
    ABSENT,
    CATEGORIES,
    HEIGHT,
    SQUARE,
    WIDTH,
    build,
    image_row,
    object_row,
    records,
    rejects,
    save_image,
    table,
    without_absent,
    write,
)
from hypothesis import HealthCheck, given, settings
from PIL import Image

from segdata.building.example import dict_to_tf_example
from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan, parse_plan_line
from segdata.building.sources import read_files
from segdata.errors import (
    AnnotationError,
    BuildError,
    OptionError,
    SegdataError,
    SourceError,
)
from segdata.formats.base import Scan
from segdata.formats.coco.format import Coco
from segdata.formats.coco.json import read_coco
from segdata.records import schema
from segdata.records.encode import encode_record
from segdata.records.proto import feature_values


def layout_of(root: Path, **options: str) -> dict[str, str | None]:
    """Image path -> split."""
    scan = Coco(**options).scan(root)
    return {a["image"]: a.get("split") for a in scan.annotations}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "source"


# --- layouts ---


@pytest.mark.parametrize(
    ("name", "folder", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_train2017.json", "images/train2017", "train"),
        ("annotations/instances_train2017.json", "images", "train"),
        ("annotations/instances_train2017.json", "train", "train"),
        ("annotations/instances_val2014.json", "val2014", "val"),
        ("annotations/instances_default.json", "images", None),
        ("annotations/instances_test.json", "images/test", "test"),
        ("annotations/instances.json", "images", None),
        ("instances.json", "images", None),
        ("result.json", "images", None),
        ("result.json", ".", None),
        ("train.json", "train", "train"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "valid"),
        ("data/labels.json", "data", None),
        ("labels.json", "data", None),
        ("train/labels.json", "train/data", "train"),
        ("train/annotations.json", "train/images", "train"),
        ("Val/annotations.json", "Val/images", "Val"),
        ("train_coco.json", "train", "train"),
        ("annotations/coco_val2017.json", "images/val", "val"),
        ("annotations_trainval.json", "pictures/all", "trainval"),
    ],
)
def test_usual_layout_is_found(root: Path, name: str, folder: str, split: str) -> None:
    write(root, name=name, folder=folder)
    prefix = "" if folder == "." else f"{folder}/"
    assert layout_of(root) == {f"{prefix}{n}": split for n in ("a.png", "b.png")}


def test_layout_is_told_in_one_line(root: Path) -> None:
    write(root, folder="train2017")
    scan = Coco().scan(root)
    assert scan.layout == "instances_train2017.json with train2017/"
    assert (scan.warnings, scan.problems) == ((), ())


@pytest.mark.parametrize("images", ["images", "images/", "./images", "images/./"])
def test_folder_of_images_is_given_by_option(root: Path, images: str) -> None:
    write(root)
    write(root, folder="other")
    assert set(layout_of(root, images=images)) == {"images/a.png", "images/b.png"}


def test_source_itself_is_given_as_the_folder_of_images(root: Path) -> None:
    write(root)
    write(root, folder=".")
    assert set(layout_of(root, images=".")) == {"a.png", "b.png"}


def test_absolute_folder_of_images_is_refused(root: Path) -> None:
    write(root)
    with pytest.raises(OptionError, match=r"--images is '/data/x': expected a folder"):
        layout_of(root, images="/data/x")


def test_folder_of_images_outside_the_source_is_refused(root: Path) -> None:
    write(root)
    scan = Coco(images="../elsewhere").scan(root)
    with pytest.raises(AnnotationError, match=r"'\.\./elsewhere/a\.png' may leave"):
        make_plan(scan, root, "coco", BuildOptions())


def test_annotations_are_given_as_a_file(root: Path) -> None:
    write(root)
    write(root, table(images=[image_row()]), name="labels/mine.json")
    assert set(layout_of(root, annotations="labels/mine.json")) == {"images/a.png"}


def test_annotations_are_given_as_a_folder(root: Path) -> None:
    write(root)
    write(root, table(images=[image_row()]), name="labels/instances_val2017.json")
    write(root, b"{", name="labels/stuff_val2017.json")
    assert layout_of(root, annotations="labels") == {"images/a.png": "val"}


def test_annotations_may_lie_outside_the_source(root: Path, tmp_path: Path) -> None:
    write(root)
    (root / "annotations").rename(tmp_path / "labels")
    given = str(tmp_path / "labels" / "instances_train2017.json")
    assert set(layout_of(root, annotations=given)) == {"images/a.png", "images/b.png"}


def test_file_that_is_named_is_read_whatever_its_name(root: Path) -> None:
    write(root, name="annotations/person_keypoints_val2017.json")
    given = "annotations/person_keypoints_val2017.json"
    assert set(layout_of(root, annotations=given).values()) == {"val"}


@pytest.mark.parametrize(
    "name",
    [
        "captions_val2017.json",
        "person_keypoints_val2017.json",
        "panoptic_train2017.json",
        "stuff_train2017.json",
        "image_info_test2017.json",
        "._instances_train2017.json",
    ],
)
@pytest.mark.parametrize("mine", ["instances_train2017.json", "train.json"])
def test_other_files_of_coco_are_left_aside(root: Path, name: str, mine: str) -> None:
    write(root, name=f"annotations/{mine}")
    (root / "annotations" / name).write_bytes(b"not read")
    assert set(layout_of(root).values()) == {"train"}


def test_files_of_each_split_beside_their_images_keep_their_names(root: Path) -> None:
    for split in ("train", "valid", "test"):
        write(root, name=f"{split}/_annotations.coco.json", folder=split)
    assert layout_of(root) == {
        f"{split}/{image}": split
        for split in ("train", "valid", "test")
        for image in ("a.png", "b.png")
    }


@pytest.mark.parametrize("name", ["annotations.json", "instances.json"])
def test_files_of_one_name_take_the_split_of_their_folder(
    root: Path, name: str
) -> None:
    for split in ("train", "val"):
        write(root, name=f"{split}/{name}", folder=split)
    assert set(layout_of(root).values()) == {"train", "val"}


def test_splits_drop_the_year(root: Path) -> None:
    for name in ("train2017", "val2017"):
        write(root, name=f"annotations/instances_{name}.json", folder=name)
    assert layout_of(root) == {
        "train2017/a.png": "train",
        "train2017/b.png": "train",
        "val2017/a.png": "val",
        "val2017/b.png": "val",
    }


def test_split_is_the_word_of_a_name_that_is_one(root: Path) -> None:
    """As Fashionpedia and TrashCan call their files."""
    for name, split in (("attributes_train2020", "train"), ("val_trashcan", "val")):
        write(root, name=f"instances_{name}.json", folder=split)
    assert layout_of(root) == {
        f"{split}/{image}": split
        for split in ("train", "val")
        for image in ("a.png", "b.png")
    }


def test_splits_that_differ_in_the_year_alone_keep_it(root: Path) -> None:
    for name in ("train2014", "train2017", "val2017"):
        write(root, name=f"annotations/instances_{name}.json", folder=name)
    assert set(layout_of(root).values()) == {"train2014", "train2017", "val2017"}


@pytest.mark.parametrize(
    "name",
    ["sub folder/deep/a b.png", "größe/猫.png", "a.b.c.png", "x/./a.png", "ünï.PNG"],
)
def test_file_names_may_have_subfolders_blanks_and_any_letters(
    root: Path, name: str
) -> None:
    write(root, table(images=[image_row(1, name)], annotations=[object_row()]))
    save_image(root / "images" / name)
    build(root)
    (record,) = records(root).values()
    assert record.filename == f"images/{name}"
    assert len(record.objects) == 1


def test_file_name_that_begins_with_the_folder_is_found(root: Path) -> None:
    write(root, table(images=[image_row(1, "images/a.png")], annotations=[]))
    assert set(layout_of(root)) == {"images/a.png"}


def test_no_json_is_told_with_what_was_expected(root: Path) -> None:
    root.mkdir()
    message = r"no COCO annotations are found in .*: expected annotations/\*\.json, or"
    with pytest.raises(SourceError, match=message):
        Coco().scan(root)


def test_folder_of_other_files_alone_is_refused(root: Path) -> None:
    write(root, name="annotations/captions_val2017.json")
    with pytest.raises(SourceError, match=r"no COCO annotations are found"):
        Coco().scan(root)


def test_given_file_that_is_missing_is_named(root: Path) -> None:
    write(root)
    with pytest.raises(SourceError, match=r"nope\.json cannot be read: No such file"):
        Coco(annotations="nope.json").scan(root)


def test_folder_that_is_called_json_is_named(root: Path) -> None:
    (root / "annotations" / "instances.json").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"instances\.json cannot be read: Is a dir"):
        Coco().scan(root)


@pytest.mark.parametrize("first", ["c.png", "x" * 5000, "\0", ".", "a/" * 99])
def test_images_that_are_not_found_tell_where_was_looked(
    root: Path, first: str
) -> None:
    write(root, table(images=[image_row(1, first)], annotations=[]), folder="pics")
    message = (
        r"the images of instances_train2017\.json are not found, e\.g\. .* tried the "
        r"folders train2017, images/train2017, images, train, annotations/train2017, "
        r"images/train, annotations/train, annotations/images, annotations/data, "
        r"annotations, \.\. Name theirs with --images"
    )
    with pytest.raises(SourceError, match=message):
        Coco().scan(root)


# --- classes ---


def classes(
    root: Path, categories: Any
) -> dict[str, tuple[int, tuple[int | str, ...]]]:
    label_map = Coco().scan(write(root, table(categories=categories))).label_map
    return {c.name: (c.id, c.source_ids) for c in label_map.object_classes}


def test_ids_with_gaps_become_contiguous_in_their_order(root: Path) -> None:
    rows = [{"id": i, "name": f"c{i}"} for i in (90, 0, 2**31, 7)]
    assert classes(root, rows) == {
        "c0": (1, (0,)),
        "c7": (2, (7,)),
        "c90": (3, (90,)),
        f"c{2**31}": (4, (2**31,)),
    }


def test_ids_of_text_are_kept(root: Path) -> None:
    rows = [{"id": "b", "name": "y"}, {"id": "a", "name": "x"}, {"id": 3, "name": "z"}]
    assert classes(root, rows) == {"z": (1, (3,)), "x": (2, ("a",)), "y": (3, ("b",))}


def test_name_that_categories_share_gets_the_id_behind_it(root: Path) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}, {"id": 3, "name": "b"}]
    assert list(classes(root, rows)) == ["a 1", "a 2", "b"]


def test_number_as_a_name_is_text(root: Path) -> None:
    assert list(classes(root, [{"id": 5, "name": 7}])) == ["7"]


def test_many_categories_are_read_in_no_time(root: Path) -> None:
    rows = [{"id": i, "name": str(i)} for i in range(20_000)]
    assert len(classes(root, rows)) == 20_000


@pytest.mark.parametrize("category_id", [0, 2**31, 2**63 - 1, -4, "n0123"])
def test_objects_find_their_class_by_any_id(root: Path, category_id: Any) -> None:
    data = table(
        categories=[{"id": category_id, "name": "one"}, {"id": 77, "name": "two"}],
        annotations=[object_row(category_id=category_id)],
    )
    build(write(root, data))
    (item,) = records(root)["images/a"].objects
    assert item.name == "one"


def test_supercategories_are_kept(root: Path) -> None:
    manifest = build(write(root))
    classes = manifest.label_map.object_classes
    assert [c.supercategory for c in classes] == ["animal", "animal"]


def test_two_files_that_disagree_on_a_category_are_refused(root: Path) -> None:
    write(root)
    other = table(categories=[{"id": 5, "name": "cow"}])
    write(root, other, name="annotations/instances_val2017.json")
    message = r"category 5 is 'cow' in instances_val2017\.json but 'cat' in another"
    with pytest.raises(SourceError, match=message) as caught:
        Coco().scan(root)
    assert caught.value.reason == "bad-category"


# --- files that are refused whole, by strict and lenient builds ---

DEEP = r"is not JSON that can be read: it is nested too deep, by hundreds of levels"
BAD = "annotations/instances_train2017.json"

BAD_FILES: dict[str, tuple[Any, str]] = {
    "empty": (b"", r"is not JSON"),
    "blanks": (b"  \n", r"is not JSON"),
    "text": (b"<html>", r"is not JSON"),
    "binary": (bytes(range(256)), r"is not JSON"),
    "utf-16": (json.dumps(table()).encode("utf-16"), r"is not JSON"),
    "latin-1": (
        json.dumps(table(images=[image_row(1, "gr\xfcn")]), ensure_ascii=False).encode(
            "latin-1"
        ),
        r"is not JSON: str is not valid UTF-8.*, in what begins with '{\"id\": 1, ",
    ),
    "latin-1, in an annotation": (
        json.dumps(
            table(annotations=[object_row(note="gr\xfcn")]), ensure_ascii=False
        ).encode("latin-1"),
        r"is not JSON: str is not valid UTF-8.*, in what begins with '{\"id\": 10",
    ),
    "truncated": (json.dumps(table()).encode()[:-40], r"is not JSON"),
    "two values": (b"{} {}", r"is not JSON"),
    "nested deep": (b"[" * 100_000, DEEP),
    "nested deep, closed": (
        b"[" * 100_000 + b"]" * 100_000,
        DEEP,
    ),
    "nested deep, with NaN": (
        b"[" * 100_000 + b"NaN" + b"]" * 100_000,
        DEEP,
    ),
    "nested deep objects": (b'{"images":' * 100_000, DEEP),
    "truncated after NaN": (b'{"images": NaN, "x', r"is not JSON: "),
    "half a surrogate pair": (
        b'{"images": ["\\ud800......"]}',
        r"is not JSON: unexpected end of hex escape",
    ),
    "half a surrogate pair and NaN": (
        b'{"images": ["\\ud800......", NaN]}',
        r"is not JSON: unexpected end of hex escape",
    ),
    "escaped quotes without end": (b"NaN" + b'\\"' * 200_000, r"is not JSON"),
    "number beyond float64": (
        b'{"images": 1e400}',
        r"expected the key 'images' with a list",
    ),
    "null": (b"null", r"is not COCO-style JSON: expected the key 'images' with a list"),
    "list": ([table()], r"is not COCO-style JSON: expected the key 'images'"),
    "number": (b"5", r"is not COCO-style JSON: expected the key 'images'"),
    "no images": (table(images=ABSENT), r"expected the key 'images' with a list"),
    "no annotations": (table(annotations=ABSENT), r"expected the key 'annotations'"),
    "no categories": (table(categories=ABSENT), r"expected the key 'categories' with"),
    "images dict": (table(images={"1": image_row()}), r"expected the key 'images'"),
    "images null": (table(images=None), r"expected the key 'images' with a list"),
    "images of numbers": (table(images=[1]), r"expected the key 'images' with a list"),
    "annotations text": (table(annotations="x"), r"expected the key 'annotations'"),
    "annotations of lists": (table(annotations=[[]]), r"the key 'annotations' with a"),
    "categories of text": (table(categories=["cat"]), r"expected the key 'categories'"),
    "image without id": (
        table(images=[image_row(ABSENT)]),
        r"the id of an image is None: expected an integer or text",
    ),
    "image id bool": (table(images=[image_row(True)]), r"the id of an image is True"),
    "image id float": (table(images=[image_row(1.5)]), r"the id of an image is 1\.5"),
    "image id list": (table(images=[image_row([1])]), r"the id of an image is \[1\]"),
    "image id nested": (
        b'{"images": [{"id": ' + b"[" * 1000 + b"]" * 1000 + b'}], "annotations": [], '
        b'"categories": []}',
        DEEP,
    ),
    "image id huge": (
        table(images=[image_row(10**30)]),
        r"the id of an image is 1e\+30: expected an integer",
    ),
    "image id twice": (
        table(images=[image_row(), image_row(1, "b.png")]),
        r"two images have the id 1: ids must differ",
    ),
    "no file_name": (
        table(images=[image_row(1, ABSENT)]),
        r"image 1 has no 'file_name'",
    ),
    "file_name empty": (table(images=[image_row(1, "")]), r"image 1 has no 'file_na"),
    "file_name null": (table(images=[image_row(1, None)]), r"image 1 has no 'file_n"),
    "file_name number": (table(images=[image_row(1, 7)]), r"image 1 has no 'file_name"),
    "category without id": (
        table(categories=[{"name": "cat"}]),
        r"the id of a category is None: expected an integer or text",
    ),
    "category id bool": (
        table(categories=[{"id": False, "name": "cat"}]),
        r"the id of a category is False",
    ),
    "category without name": (
        table(categories=[{"id": 5}]),
        r"the name of category 5 is None: expected text",
    ),
    "category name empty": (
        table(categories=[{"id": 5, "name": ""}]),
        r"the name of category 5 is '': expected text",
    ),
    "category name list": (
        table(categories=[{"id": 5, "name": ["cat"]}]),
        r"the name of category 5 is \['cat'\]: expected text",
    ),
    "category twice": (
        table(categories=[CATEGORIES[0], CATEGORIES[0]]),
        r"two categories have the id 5: ids must differ",
    ),
    "category names that clash": (
        table(
            categories=[
                {"id": 1, "name": "a"},
                {"id": 2, "name": "a"},
                {"id": 3, "name": "a 1"},
            ]
        ),
        r"object class names appear twice: a 1",
    ),
    "one image twice": (
        table(images=[image_row(), image_row(2)]),
        r"two images have the key 'images/a'",
    ),
    "zero images": (table(images=[], annotations=[]), r"no images were found in"),
}


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_by_name(root: Path, case: str, on_error: str) -> None:
    data, message = BAD_FILES[case]
    write(root, data)
    with pytest.raises(SegdataError, match=message) as caught:
        build(root, on_error)
    text = str(caught.value)
    assert "instances_train2017.json" in text or "images/a" in text or "a 1" in text
    assert len(text) < 600
    assert not (root.parent / "out" / "manifest.json").exists()


def test_image_without_file_name_has_a_reason_of_its_own(root: Path) -> None:
    for image, reason in (
        (image_row(1, ABSENT), "image-without-file-name"),
        (image_row(None), "bad-image-id"),
    ):
        with pytest.raises(SourceError) as caught:
            Coco().scan(write(root, table(images=[image])))
        assert caught.value.reason == reason


def test_byte_order_mark_is_no_harm(root: Path) -> None:
    write(root, b"\xef\xbb\xbf" + json.dumps(table()).encode())
    assert len(layout_of(root)) == 2


def test_not_finite_numbers_where_nobody_looks_are_no_harm(root: Path) -> None:
    text = json.dumps(
        table(
            info={"quality": float("nan"), "text": 'NaN, \\"Infinity", NaN'},
            images=[image_row(score=float("-inf")), image_row(2, "b.png")],
        )
    )
    assert text.count("NaN") == 3
    write(root, text.encode())
    build(root)
    assert sorted(records(root)) == ["images/a", "images/b"]


def test_names_that_spell_not_finite_numbers_stay_as_they_are(root: Path) -> None:
    rows = [{"id": 5, "name": 'NaN "Infinity" \\'}, {"id": 6, "name": "x", "y": np.nan}]
    assert list(classes(root, rows)) == ['NaN "Infinity" \\', "x"]


def test_dataset_without_any_annotation_is_built(root: Path) -> None:
    manifest = build(write(root, table(annotations=[])))
    assert manifest.splits["train"].num_records == 2
    assert all(record.objects == () for record in records(root).values())


def test_dataset_without_classes_and_annotations_is_built(root: Path) -> None:
    manifest = build(write(root, table(annotations=[], categories=[])))
    assert manifest.splits["train"].num_records == 2
    assert len(manifest.label_map) == 0


# --- objects ---


def rle_of(*counts: Any, size: Any = (HEIGHT, WIDTH)) -> dict[str, Any]:
    return {"size": list(size), "counts": list(counts)}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


PIXELS = HEIGHT * WIDTH
NAN, INFINITY = float("nan"), float("inf")
FLAT = r"polygon is not a flat list of numbers"
NOT_RUNS = r"'counts' of an uncompressed COCO RLE are not run lengths"
SUM = rf"expected {HEIGHT}x{WIDTH} = {PIXELS} pixels"


@dataclass(frozen=True, kw_only=True)
class Bad:
    """An object that is refused."""

    fields: dict[str, Any]
    message: str
    reason: str = "bad-annotation"
    called: str = "annotation 11"


def seg(value: Any, message: str, reason: str) -> Bad:
    return Bad(fields={"segmentation": value}, message=message, reason=reason)


def field_of(
    name: str, value: Any, message: str, reason: str = "bad-annotation"
) -> Bad:
    return Bad(fields={name: value}, message=message, reason=reason)


BAD_OBJECTS: dict[str, Bad] = {
    # polygons
    "polygon of 2 points": seg(
        [[1, 1, 5, 5]], r"polygon has 4 numbers: expected an even number", "bad-polygon"
    ),
    "polygon of odd length": seg(
        [[1, 1, 5, 1, 5, 5, 1]], r"polygon has 7 numbers: expected an ", "bad-polygon"
    ),
    "flat polygon of 2 points": seg(
        [1, 1, 5, 5], r"polygon has 4 numbers: expected an", "bad-polygon"
    ),
    "empty polygon behind a good one": seg(
        [SQUARE, []], r"polygon has 0 numbers: expected", "bad-polygon"
    ),
    "polygon of pairs": seg([[[1, 1], [5, 1], [5, 5]]], FLAT, "bad-polygon"),
    "polygon nested 20 deep": seg(nested(20), FLAT, "bad-polygon"),
    "polygon nested 100 deep": seg([SQUARE, nested(100)], FLAT, "bad-polygon"),
    "polygon nested 900 deep": seg(
        nested(900), r"is a str: expected polygons.*Recursion", "bad-annotation"
    ),
    "ragged polygon": seg([[1, [2], 3, 4, 5, 6]], FLAT, "bad-polygon"),
    "polygon and number": seg([SQUARE, 5], FLAT, "bad-polygon"),
    "polygon of texts": seg([["a", "b", "c", "d", "e", "f"]], FLAT, "bad-polygon"),
    "polygon as text": seg(["1,2,3,4,5,6"], FLAT, "bad-polygon"),
    "polygon of dicts": seg([[{"x": 1, "y": 2}] * 6], FLAT, "bad-polygon"),
    "polygon with null": seg(
        [[1, 1, None, 1, 5, 5]], r"coordinate that is not a finite", "bad-polygon"
    ),
    "polygon with NaN": seg(
        [[1, 1, NAN, 1, 5, 5]], r"coordinate that is not a finite", "bad-polygon"
    ),
    "polygon with Infinity": seg(
        [[1, 1, INFINITY, 1, 5, 5]], r"coordinate that is not a finite", "bad-polygon"
    ),
    "polygon with -Infinity": seg(
        [[1, 1, -INFINITY, 1, 5, 5]], r"coordinate that is not a finite", "bad-polygon"
    ),
    "polygon far outside": seg(
        [[0, 0, 1e9, 0, 1e9, 1e9]], r"outline is longer than", "bad-polygon"
    ),
    "polygon beyond int64": seg(
        [[0, 0, 1e30, 0, -1e300, 1e9]], r"outline is longer than", "bad-polygon"
    ),
    "fields nested deep": field_of(
        "attributes",
        nested(300),
        r"'source' of annotation 11 is a str: expected a dict, got 'a dict \(Recursion",
    ),
    # RLE
    "runs too short": seg(
        rle_of(10, 5), rf"runs of a mask sum to 15: {SUM}", "bad-rle"
    ),
    "runs too long": seg(
        rle_of(10, PIXELS), rf"runs of a mask sum to {PIXELS + 10}: ", "bad-rle"
    ),
    "no runs": seg(rle_of(), r"runs of a mask sum to 0: expected", "bad-rle"),
    "runs that wrap around": seg(
        rle_of(*[2**52] * 4096), r"runs of a mask sum to|not run lengths", "bad-rle"
    ),
    "run beyond int64": seg(rle_of(2**64), NOT_RUNS, "bad-rle"),
    "negative run": seg(
        rle_of(PIXELS + 5, -5), r"has a negative run of -5: expected", "bad-rle"
    ),
    "run of half a pixel": seg(rle_of(0.5, PIXELS - 0.5), NOT_RUNS, "bad-rle"),
    "run NaN": seg(rle_of(NAN, PIXELS), NOT_RUNS, "bad-rle"),
    "run of text": seg(rle_of("5", PIXELS - 5), NOT_RUNS, "bad-rle"),
    "run null": seg(rle_of(None, PIXELS), NOT_RUNS, "bad-rle"),
    "runs nested": seg(rle_of([5], [PIXELS - 5]), NOT_RUNS, "bad-rle"),
    "runs ragged": seg(rle_of([5], PIXELS - 5), NOT_RUNS, "bad-rle"),
    "runs dict": seg(
        {"size": [HEIGHT, WIDTH], "counts": {"0": PIXELS}}, NOT_RUNS, "bad-rle"
    ),
    "runs number": seg(
        {"size": [HEIGHT, WIDTH], "counts": PIXELS}, NOT_RUNS, "bad-rle"
    ),
    "runs bool": seg(
        {"size": [HEIGHT, WIDTH], "counts": [True, False]}, NOT_RUNS, "bad-rle"
    ),
    "size swapped": seg(
        rle_of(PIXELS, size=(WIDTH, HEIGHT)),
        rf"expected size \[{HEIGHT}, {WIDTH}\], got \[{WIDTH}, {HEIGHT}\]\. Height com",
        "mask-size-mismatch",
    ),
    "size of a huge mask": seg(
        rle_of(10**10, size=(10**5, 10**5)),
        r"got \[100000, 100000\]",
        "mask-size-mismatch",
    ),
    "size missing": seg(
        {"counts": [PIXELS]},
        r"RLE is incomplete: expected the keys 'size' and 'counts', got \['counts'\]",
        "bad-rle",
    ),
    "counts missing": seg(
        {"size": [HEIGHT, WIDTH]}, r"RLE is incomplete: .*, got \['size'\]", "bad-rle"
    ),
    "size number": seg(
        {"size": 5, "counts": [5]}, r"expected size .*, got 5", "mask-size-mismatch"
    ),
    "size text": seg(
        {"size": "12,16", "counts": [5]}, r"got '12,16'", "mask-size-mismatch"
    ),
    "size nested": seg(
        {"size": nested(200), "counts": [5]}, r"got \[\[\[\[", "mask-size-mismatch"
    ),
    "other dict": seg({"polygon": SQUARE}, r"RLE is incomplete: expected", "bad-rle"),
    "compressed overflow": seg(
        {"size": [HEIGHT, WIDTH], "counts": "oooooooooo0"},
        r"holds a number of more than 35 bits",
        "bad-rle",
    ),
    "compressed 35 bits": seg(
        {"size": [HEIGHT, WIDTH], "counts": "oooooo?"},
        r"runs of a mask sum to|negative run",
        "bad-rle",
    ),
    "compressed negative": seg(
        {"size": [HEIGHT, WIDTH], "counts": "O0"}, r"negative run of -1", "bad-rle"
    ),
    "compressed truncated": seg(
        {"size": [HEIGHT, WIDTH], "counts": "5o"},
        r"compressed COCO RLE is damaged: expected ASCII 48 to 111",
        "bad-rle",
    ),
    "compressed non-ASCII": seg(
        {"size": [HEIGHT, WIDTH], "counts": "1ü"},
        r"compressed COCO RLE is d",
        "bad-rle",
    ),
    "compressed blanks": seg(
        {"size": [HEIGHT, WIDTH], "counts": " \n"}, r"compressed COCO RLE is", "bad-rle"
    ),
    "compressed bytes as text": seg(
        {"size": [HEIGHT, WIDTH], "counts": "b'c6'"}, r"sum to|damaged", "bad-rle"
    ),
    "compressed empty": seg(
        {"size": [HEIGHT, WIDTH], "counts": ""}, r"runs of a mask sum to 0", "bad-rle"
    ),
    # other segmentations
    "segmentation number": field_of(
        "segmentation",
        5,
        r"'segmentation' of annotation 11 is a int: expected polygons",
    ),
    "segmentation text": field_of(
        "segmentation", "x", r"'segmentation' of annotation 11 is a str: expected poly"
    ),
    "segmentation bool": field_of(
        "segmentation", True, r"'segmentation' of annotation 11 is a bool: expected"
    ),
    "neither mask nor box": Bad(
        fields={"segmentation": [], "bbox": ABSENT},
        message=r"has neither a mask nor a box",
        reason="object-without-geometry",
    ),
    "empty mask and empty box": Bad(
        fields={"segmentation": None, "bbox": []},
        message=r"has neither a mask nor a box",
        reason="object-without-geometry",
    ),
    # boxes
    "box of negative width": field_of(
        "bbox",
        [1, 1, -5, 2],
        r"has the box \[1, 1, -5, 2\]: expected finite",
        "bad-box",
    ),
    "box with NaN": field_of(
        "bbox", [1, 1, NAN, 2], r"box \[1, 1, 'NaN', 2", "bad-box"
    ),
    "box with Infinity": field_of(
        "bbox", [1, 1, INFINITY, 2], r"box \[1, 1, 'Infinity', 2\]", "bad-box"
    ),
    "box of 3 numbers": field_of("bbox", [1, 1, 2], r"the box \[1, 1, 2\]", "bad-box"),
    "box of 5 numbers": field_of("bbox", [1, 1, 2, 3, 4], r"the box \[1", "bad-box"),
    "box of many numbers": field_of("bbox", [1] * 9999, r"the box \[1, 1", "bad-box"),
    "box of words": field_of("bbox", ["a", "b", "c", "d"], r"box \['a', ", "bad-box"),
    "box of nulls": field_of("bbox", [None] * 4, r"the box \[None, N", "bad-box"),
    "box of lists": field_of("bbox", [[1], [1], [2], [2]], r"box \[\[1\],", "bad-box"),
    "box nested": field_of("bbox", nested(99), r"the box \[\[\[\[\[", "bad-box"),
    "box as text": field_of("bbox", "1,1,2,2", r"is a str: expected a list of four nu"),
    "box as dict": field_of("bbox", {"x": 1}, r"is a dict: expected a list of four nu"),
    "box nested 900 deep": field_of("bbox", nested(900), r"is a str: expected a list"),
    # areas
    "area NaN": field_of("area", NAN, r"is NaN: expected a number"),
    "area Infinity": field_of("area", INFINITY, r"is Infinity: expected a number"),
    "area negative": field_of("area", -1, r"is -1: expected 0 to"),
    "area text": field_of("area", "24", r"is a str: expected a number, got '24'"),
    "area list": field_of("area", [24], r"is a list: expected a number"),
    "area bool": field_of("area", True, r"is a bool: expected a number"),
    "area beyond float32": field_of("area", 1e39, r"is 1e\+39: expected 0 to"),
    # crowds
    "iscrowd 2": field_of("iscrowd", 2, r"is 2: expected 0 to 1"),
    "iscrowd text": field_of("iscrowd", "1", r"is a str: expected 0 or 1, got '1'"),
    "iscrowd float": field_of("iscrowd", 0.5, r"is a float: expected 0 or 1"),
    "iscrowd list": field_of("iscrowd", [0], r"is a list: expected 0 or 1"),
    # classes
    "unknown class": field_of(
        "category_id",
        6,
        r"is of the unknown class 6: known are 5, 9",
        "unknown-object-",
    ),
    "class of text": field_of(
        "category_id", "05", r"unknown class '05': known are 5", "unknown-object-class"
    ),
    "no class": field_of(
        "category_id",
        ABSENT,
        r"has no class: expected 'category_",
        "object-without-class",
    ),
    "class null": field_of(
        "category_id", None, r"has no class", "object-without-class"
    ),
    "class list": field_of("category_id", [5], r"is a list: expected an integer or"),
    "class bool": field_of("category_id", True, r"is a bool: expected an integer or"),
    "class float": field_of("category_id", 5.5, r"is a float: expected an integer or"),
    "class beyond int64": field_of(
        "category_id", 2**63, r"is 9223372036854775808: exp"
    ),
    # ids
    "id float": Bad(
        fields={"id": 11.5},
        message=r"'id' of annotation 11\.5 is a float: expected an integer or text",
        called="annotation 11.5",
    ),
    "id bool": Bad(
        fields={"id": True},
        message=r"is a bool: expected an integer or text",
        called="annotation True",
    ),
    "id list": Bad(
        fields={"id": [11]},
        message=r"is a list: expected an integer or text",
        called="annotation [11]",
    ),
    "id beyond int64": Bad(
        fields={"id": 2**63},
        message=r"is 9223372036854775808: expected -9223372036854775808 to",
        called="annotation 9223372036854775808",
    ),
    "id huge": Bad(
        fields={"id": 10**30},
        message=r"is a float: expected an integer or text",
        called="annotation 1e+30",
    ),
}


def object_case(root: Path, bad: Bad) -> Path:
    fields = dict(bad.fields)
    annotation_id = fields.pop("id", 11)
    data = table(
        annotations=[
            object_row(),
            object_row(annotation_id, **fields),
            object_row(12),
            object_row(20, 2),
        ]
    )
    return write(root, data)


@pytest.mark.parametrize("case", BAD_OBJECTS)
def test_bad_object_ends_a_strict_build_with_its_name(root: Path, case: str) -> None:
    bad = BAD_OBJECTS[case]
    with pytest.raises(AnnotationError, match=bad.message) as caught:
        build(object_case(root, bad))
    assert caught.value.reason.startswith(bad.reason)
    text = str(caught.value)
    assert bad.called in text
    assert text.endswith("(image 'images/a.png')")
    assert len(text) < 400


@pytest.mark.parametrize("case", BAD_OBJECTS)
def test_bad_object_is_left_out_of_a_lenient_build(root: Path, case: str) -> None:
    bad = BAD_OBJECTS[case]
    manifest = build(object_case(root, bad), "skip")
    (reject,) = rejects(root)
    assert reject["stage"] == "object"
    assert reject["reason"].startswith(bad.reason)
    assert (reject["key"], reject["split"]) == ("images/a", "train")
    assert reject["image"] == "images/a.png"
    assert bad.called in reject["message"]
    assert re.search(bad.message, reject["message"])
    split = manifest.splits["train"]
    assert split.rejected_objects == {reject["reason"]: 1}
    assert (split.rejects, split.num_records) == ({}, 2)
    found = records(root)
    assert [len(found[f"images/{n}"].objects) for n in "ab"] == [2, 1]
    assert found["images/a"].notes == ("objects-rejected",)
    assert found["images/b"].notes == ()


def test_image_of_bad_objects_alone_stays(root: Path) -> None:
    data = table(annotations=[object_row(segmentation=5), object_row(11, bbox=[1])])
    manifest = build(write(root, data), "skip")
    assert manifest.splits["train"].rejected_objects == {
        "bad-annotation": 1,
        "bad-box": 1,
    }
    assert records(root)["images/a"].objects == ()


def test_too_many_bad_objects_end_a_lenient_build(root: Path) -> None:
    write(root, table(annotations=[object_row(), object_row(11, bbox=[1])]))
    message = r"1 of 2 objects were rejected \(50\.0%\): at most 10\.0% .*annotation 11"
    with pytest.raises(BuildError, match=message):
        build(root, "skip", max_reject_share=0.1)


# --- objects that are odd and kept ---


@dataclass(frozen=True, kw_only=True)
class Odd:
    """An object that is kept, with what becomes of it."""

    fields: dict[str, Any]
    notes: tuple[str, ...] = ()
    box: tuple[float, float, float, float] = (2, 2, 6, 8)
    area: float = 24
    pixels: int | None = 24
    is_crowd: bool = False
    source_id: int = 10
    more: dict[str, Any] = field(default_factory=dict)


BOX_ONLY = {"notes": ("object-without-mask",), "pixels": None}

ODD_OBJECTS: dict[str, Odd] = {
    "segmentation missing": Odd(fields={"segmentation": ABSENT}, **BOX_ONLY),
    "segmentation null": Odd(fields={"segmentation": None}, **BOX_ONLY),
    "segmentation []": Odd(fields={"segmentation": []}, **BOX_ONLY),
    "segmentation [[]]": Odd(fields={"segmentation": [[]]}, **BOX_ONLY),
    "segmentation [[], []]": Odd(fields={"segmentation": [[], []]}, **BOX_ONLY),
    "id of whole float": Odd(fields={"id": 10.0}),
    "segmentation {}": Odd(fields={"segmentation": {}}, **BOX_ONLY),
    "box-only crowd": Odd(
        fields={"segmentation": [], "iscrowd": 1}, is_crowd=True, **BOX_ONLY
    ),
    "box-only without area": Odd(
        fields={"segmentation": [], "area": ABSENT}, area=24, **BOX_ONLY
    ),
    "flat polygon": Odd(fields={"segmentation": SQUARE}),
    "polygon in two parts": Odd(
        fields={"segmentation": [[2, 2, 8, 2, 8, 4, 2, 4], [2, 4, 8, 4, 8, 6, 2, 6]]}
    ),
    "polygon of a hundred texts": Odd(
        fields={"segmentation": [[str(v) for v in SQUARE]]}
    ),
    "polygon as a crowd": Odd(fields={"iscrowd": 1}, is_crowd=True),
    "crowd true": Odd(fields={"iscrowd": True}, is_crowd=True),
    "crowd missing": Odd(fields={"iscrowd": ABSENT}),
    "crowd null": Odd(fields={"iscrowd": None}),
    "RLE that is no crowd": Odd(
        fields={"segmentation": rle_of(26, 4, 8, 4, PIXELS - 42)}, pixels=8
    ),
    "RLE as a crowd": Odd(
        fields={"segmentation": rle_of(26, 4, 8, 4, PIXELS - 42), "iscrowd": 1},
        pixels=8,
        is_crowd=True,
    ),
    "RLE of whole floats": Odd(
        fields={"segmentation": rle_of(26.0, 4.0, PIXELS - 30.0)}, pixels=4
    ),
    "RLE with more keys": Odd(
        fields={"segmentation": {**rle_of(0, PIXELS), "by": [1]}}, pixels=PIXELS
    ),
    "RLE compressed": Odd(
        fields={"segmentation": {"size": [HEIGHT, WIDTH], "counts": "0P6"}},
        pixels=PIXELS,
    ),
    "mask empty": Odd(
        fields={"segmentation": rle_of(PIXELS)}, notes=("object-mask-empty",), pixels=0
    ),
    "mask empty after rasterising": Odd(
        fields={"segmentation": [[2.1, 2.1, 2.2, 2.1, 2.2, 2.2]]},
        notes=("object-mask-empty",),
        pixels=0,
    ),
    "mask outside the image": Odd(
        fields={"segmentation": [[50, 50, 60, 50, 60, 60]]},
        notes=("object-mask-empty",),
        pixels=0,
    ),
    "mask empty, no box": Odd(
        fields={"segmentation": rle_of(PIXELS), "bbox": ABSENT, "area": ABSENT},
        notes=("object-mask-empty",),
        pixels=0,
        box=(0, 0, 0, 0),
        area=0,
    ),
    "box missing": Odd(fields={"bbox": ABSENT}),
    "box null": Odd(fields={"bbox": None}),
    "box []": Odd(fields={"bbox": []}),
    "box that is not the mask's": Odd(
        fields={"bbox": [1.5, 0, 3, 2.25]}, box=(0, 1.5, 2.25, 4.5)
    ),
    "box of texts": Odd(fields={"bbox": ["2", "2", "6", "4"]}),
    "box of no size": Odd(fields={"bbox": [3, 4, 0, 0]}, box=(4, 3, 4, 3)),
    "box over the edge": Odd(
        fields={"bbox": [-3, 2, 40, 400]}, box=(2, 0, 12, 16), notes=("box-clipped",)
    ),
    "box outside": Odd(
        fields={"bbox": [100, 200, 5, 5]}, box=(12, 16, 12, 16), notes=("box-clipped",)
    ),
    "box beyond int64": Odd(
        fields={"bbox": [0, 0, 1e300, 1e300]},
        box=(0, 0, 12, 16),
        notes=("box-clipped",),
    ),
    "area missing": Odd(fields={"area": ABSENT}),
    "area null": Odd(fields={"area": None}),
    "area that is not the mask's": Odd(fields={"area": 7.5}, area=7.5),
    "area zero": Odd(fields={"area": 0}, area=0),
    "id missing": Odd(fields={"id": ABSENT}, source_id=-1),
    "id null": Odd(fields={"id": None}, source_id=-1),
    "id text": Odd(fields={"id": "f3a9"}, source_id=-1),
    "id negative": Odd(fields={"id": -7}, source_id=-7),
    "id of 63 bits": Odd(fields={"id": 2**63 - 1}, source_id=2**63 - 1),
    "keys nobody knows": Odd(
        fields={"attributes": {"x": nested(242)}, "keypoints": [1, 2, 3], "score": None}
    ),
}


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("case", ODD_OBJECTS)
def test_odd_object_is_kept(root: Path, case: str, on_error: str) -> None:
    odd = ODD_OBJECTS[case]
    row = object_row()
    row.update(odd.fields)
    write(root, table(annotations=[without_absent(row), object_row(20, 2)]))
    build(root, on_error)
    assert rejects(root) == []
    record = records(root)["images/a"]
    (item,) = record.objects
    assert record.notes == odd.notes
    assert item.box == pytest.approx(odd.box, rel=1e-6)
    assert item.area == np.float32(odd.area)
    assert item.is_crowd is odd.is_crowd
    mask = record.mask(item)
    assert (None if mask is None else int(mask.sum())) == odd.pixels
    scan = Coco().scan(root)
    example = dict_to_tf_example(next(iter(scan.annotations)), scan.label_map, root)
    assert feature_values(example, schema.OBJECT_ID.key) == [odd.source_id]


def test_class_of_an_odd_type_of_id_is_recorded_as_minus_one(root: Path) -> None:
    data = table(
        categories=[{"id": "x", "name": "cat"}],
        annotations=[object_row(category_id="x")],
    )
    scan = Coco().scan(write(root, data))
    example = dict_to_tf_example(next(iter(scan.annotations)), scan.label_map, root)
    assert feature_values(example, schema.OBJECT_CATEGORY.key) == [-1]
    assert feature_values(example, schema.OBJECT_TEXT.key) == [b"cat"]


@pytest.mark.parametrize("ids", [(10, 10), ("x", "x")])
def test_annotation_ids_that_stand_twice_are_kept_with_a_warning(
    root: Path, ids: tuple[Any, Any]
) -> None:
    rows = [object_row(ids[0]), object_row(ids[1], category_id=9)]
    manifest = build(write(root, table(annotations=rows)))
    assert [item.name for item in records(root)["images/a"].objects] == ["cat", "dog"]
    (warning,) = manifest.warnings
    assert warning == (
        f"instances_train2017.json: 1 annotation ids appear twice, e.g. {ids[0]!r}; "
        "all annotations are kept"
    )


# --- annotations that belong to no image ---


@pytest.mark.parametrize(
    ("image_id", "shown"),
    [
        (99, "99"),
        (ABSENT, "None"),
        (None, "None"),
        ("01", "'01'"),
        (1.5, "1.5"),
        (True, "True"),
        ([1], r"\[1\]"),
        ({}, r"\{\}"),
        (nested(900), r"\[\[\["),
        (10**30, r"1e\+30"),
        ("x" * 9999, "'xxx"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_annotation_of_an_unknown_image(root: Path, image_id: Any, shown: str) -> None:
    write(root, table(annotations=[object_row(), object_row(11, image_id)]))
    message = (
        rf"instances_train2017\.json: annotation 11 is of the unknown image {shown}"
    )
    with pytest.raises(AnnotationError, match=message):
        build(root)
    manifest = build(root, "skip")
    (reject,) = rejects(root)
    assert (reject["stage"], reject["reason"]) == ("scan", "unknown-image")
    assert re.search(message, reject["message"])
    assert len(reject["message"]) < 300
    assert manifest.scan_rejects == {"unknown-image": 1}
    assert manifest.splits["train"].rejected_objects == {}
    assert len(records(root)["images/a"].objects) == 1


# --- images ---


def png_of_size(height: int, width: int) -> bytes:
    """A PNG that claims a size, with checksums that are right."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def jpeg(height: int, width: int, orientation: int | None = None) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (width, height), (90, 30, 200)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class BadImage:
    """An image that is refused."""

    message: str
    reason: str
    fields: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None


def bad_side(value: Any, message: str) -> BadImage:
    return BadImage(fields={"height": value}, message=message, reason="bad-annotation")


def unsafe(name: str, path: str | None = None) -> BadImage:
    shown = re.escape(repr(path or f"images/{name}"))
    return BadImage(
        fields={"file_name": name},
        message=rf"path {shown} may leave the image folder: expected a relative path",
        reason="unsafe-path",
    )


BAD_IMAGES: dict[str, BadImage] = {
    "height of another size": BadImage(
        fields={"height": HEIGHT + 1},
        message=rf"expected {HEIGHT + 1}x{WIDTH}, got {HEIGHT}x{WIDTH} \(height x ",
        reason="image-size-mismatch",
    ),
    "only a width, another one": BadImage(
        fields={"height": ABSENT, "width": 99},
        message=rf"expected {HEIGHT}x99, got {HEIGHT}x{WIDTH}",
        reason="image-size-mismatch",
    ),
    "sides swapped": BadImage(
        fields={"height": WIDTH, "width": HEIGHT},
        message=rf"expected {WIDTH}x{HEIGHT}, got {HEIGHT}x{WIDTH}",
        reason="image-size-mismatch",
    ),
    "height text": bad_side("1 2", r"'height' of image 'images/a\.png' is a str: expe"),
    "height float": bad_side(12.5, r"'height' of image .* is a float: expected an int"),
    "height negative": bad_side(-12, r"'height' of image .* is -12: expected 1 to"),
    "height bool": bad_side(True, r"'height' of image .* is a bool: expected an int"),
    "height list": bad_side([12], r"'height' of image .* is a list: expected an inte"),
    "height NaN": bad_side(NAN, r"'height' of image .* is NaN: expected an integer"),
    "height beyond int32": bad_side(2**31, r"'height' of image .* is 2147483648: expe"),
    "file_name with ..": unsafe("../images/c.png", "../images/c.png"),
    "file_name with .. inside": unsafe("x/../c.png", "x/../c.png"),
    "file_name ..": unsafe("..", ".."),
    "file_name absolute": unsafe("/etc/passwd", "/etc/passwd"),
    "file_name with a drive": unsafe("C:/c.png", "C:/c.png"),
    "file_name with a drive and backslash": unsafe("C:\\c.png", "C:\\c.png"),
    "file_name of a share": unsafe("\\\\host\\share\\c.png", "\\\\host\\share\\c.png"),
    "file_name with a backslash": unsafe("x\\c.png"),
    "file_name with NUL": unsafe("a\0.png"),
    "file_name too long": BadImage(
        fields={"file_name": "x" * 300},
        message=r"cannot be read: File name too long|is missing: expected a file",
        reason="image-",
    ),
    "file_name of a folder": BadImage(
        fields={"file_name": "."},
        message=r"image 'images/\.' cannot be read: Is a directory",
        reason="image-unreadable",
    ),
    "missing": BadImage(
        fields={"file_name": "none.png"},
        message=r"image 'images/none\.png' is missing: expected a file at",
        reason="image-missing",
    ),
    "image file empty": BadImage(
        content=b"", message=r"is empty: expected an image", reason="image-undecodable"
    ),
    "no image": BadImage(
        content=b"<html>", message=r"cannot be decoded", reason="image-undecodable"
    ),
    "image truncated": BadImage(
        content=jpeg(HEIGHT, WIDTH)[:-2],
        message=r"cannot be decoded: JPEG is truncated",
        reason="image-undecodable",
    ),
    "image bomb": BadImage(
        content=png_of_size(100_000, 100_000),
        fields={"height": 100_000, "width": 100_000},
        message=r"'images/a\.png' claims 100000x100000 pixels: at most 134217728 are",
        reason="image-too-large",
    ),
}


def image_case(root: Path, bad: BadImage) -> Path:
    rows = [without_absent(image_row() | bad.fields), image_row(2, "b.png")]
    write(root, table(images=rows))
    if bad.content is not None:
        (root / "images" / "a.png").write_bytes(bad.content)
    return root


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_image_ends_a_strict_build_with_its_name(root: Path, case: str) -> None:
    bad = BAD_IMAGES[case]
    reads_all = {"file_name of a folder", "image file empty"}
    with pytest.raises(SegdataError, match=bad.message) as caught:
        build(image_case(root, bad))
    assert caught.value.reason.startswith(bad.reason) or case in reads_all
    assert not (root.parent / "out" / "manifest.json").exists()


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_image_is_left_out_of_a_lenient_build(root: Path, case: str) -> None:
    bad = BAD_IMAGES[case]
    manifest = build(image_case(root, bad), "skip")
    (reject,) = rejects(root)
    assert reject["stage"] == "encode"
    assert reject["reason"].startswith(bad.reason)
    assert re.search(bad.message, reject["message"])
    split = manifest.splits["train"]
    assert split.rejects == {reject["reason"]: 1}
    assert split.rejected_objects == {}
    assert list(records(root)) == ["images/b"]


def test_link_that_leads_out_is_refused(root: Path, tmp_path: Path) -> None:
    write(root)
    save_image(tmp_path / "secret.png")
    (root / "images" / "a.png").unlink()
    (root / "images" / "a.png").symlink_to(tmp_path / "secret.png")
    message = r"'images/a\.png' is a link that leads out of the image folder"
    with pytest.raises(AnnotationError, match=message):
        build(root)
    manifest = build(root, "skip")
    assert manifest.splits["train"].rejects == {"unsafe-path": 1}


def test_file_name_of_a_single_dot_at_the_root_is_refused(root: Path) -> None:
    rows = [image_row(1, "."), image_row(2, "b.png")]
    write(root, table(images=rows), folder=".")
    with pytest.raises(SegdataError, match=r"image '\.' cannot be read: Is a direct"):
        build(root)
    assert build(root, "skip").splits["train"].rejects == {"image-unreadable": 1}


def test_folder_of_a_stranger_is_not_searched(root: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "pics" / "a.png")
    rows = [image_row(1, str(tmp_path / "pics" / "a.png"))]
    write(root, table(images=rows, annotations=[]))
    shutil.rmtree(root / "images")
    with pytest.raises(SegdataError, match=r"may leave the image folder"):
        build(root)


@pytest.mark.parametrize("value", [0, None, "", ABSENT])
def test_size_that_is_not_given_is_taken_from_the_file(root: Path, value: Any) -> None:
    rows = [image_row(height=value, width=value), image_row(2, "b.png")]
    build(write(root, table(images=rows)))
    record = records(root)["images/a"]
    assert (record.height, record.width) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("size", "note", "stored"),
    [
        ((16, 12), "exif-rotated", (16, 12)),
        ((12, 16), "exif-rotation-ignored", (12, 16)),
        ((0, 0), "exif-rotated", (16, 12)),
    ],
    ids=["of the rotated", "of the stored", "unknown"],
)
def test_rotation_is_what_the_size_in_the_json_says(
    root: Path, size: tuple[int, int], note: str, stored: tuple[int, int]
) -> None:
    row = image_row(1, "r.jpg", height=size[0], width=size[1])
    write(root, table(images=[row], annotations=[object_row()]))
    (root / "images" / "r.jpg").write_bytes(jpeg(12, 16, orientation=6))
    build(root)
    record = records(root)["images/r"]
    assert record.notes == (note,)
    assert (record.height, record.width) == stored
    mask = record.mask(record.objects[0])
    assert mask is not None
    assert mask.shape == stored
    assert mask[2:6, 2:8].all()


def test_rotation_to_neither_size_is_refused(root: Path) -> None:
    row = image_row(1, "r.jpg", height=20, width=20)
    write(root, table(images=[row], annotations=[object_row()]))
    (root / "images" / "r.jpg").write_bytes(jpeg(12, 16, orientation=6))
    with pytest.raises(AnnotationError, match=r"expected 20x20, got 16x12"):
        build(root)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((139, 2**24), {"139", str(2**24)}),
        ((7, 2**40), None),
        (("a", "b"), None),
        ((-1, 1), None),
    ],
)
def test_numbers_of_images_are_kept_where_float32_holds_them(
    root: Path, ids: tuple[Any, Any], expected: set[str] | None
) -> None:
    rows = [image_row(ids[0]), image_row(ids[1], "b.png")]
    data = table(images=rows, annotations=[object_row(10, ids[0])])
    build(write(root, data))
    numbers = {record.source_id for record in records(root).values()}
    assert numbers == expected or expected is None
    assert all(0 <= int(number) <= 2**24 for number in numbers)
    assert len(numbers) == 2
    assert len(records(root)["images/a"].objects) == 1


# --- the order of the file ---


def test_order_of_the_file_does_not_matter(root: Path, tmp_path: Path) -> None:
    rows = [
        object_row(11, segmentation=rle_of(0, PIXELS)),
        object_row(10),
        object_row(12, category_id=9),
        object_row(12),
        object_row("b"),
        object_row("a", segmentation={"counts": "0P6", "size": [HEIGHT, WIDTH]}),
        object_row(ABSENT, area=3),
        object_row(ABSENT, area=2),
        object_row(5, 99),
        object_row(4, 98),
        object_row(12, 2),
    ]
    data = table(annotations=rows)
    plans, problems, warnings = [], [], []
    for number, reverse in enumerate((False, True)):
        if reverse:
            turned = {
                name: [dict(reversed(list(row.items()))) for row in reversed(group)]
                for name, group in reversed(list(data.items()))
            }
            for row in turned["annotations"]:
                if isinstance(row["segmentation"], dict):
                    items = list(row["segmentation"].items())
                    row["segmentation"] = dict(reversed(items))
            data = turned
        source = write(tmp_path / str(number), data)
        scan = Coco().scan(source)
        problems.append([str(problem) for problem in scan.problems])
        warnings.append(scan.warnings)
        plan = make_plan(scan, source, "coco", BuildOptions())
        plans.append(plan.lines)
    assert plans[0] == plans[1]
    assert problems[0] == problems[1]
    assert warnings[0] == warnings[1]


def test_objects_stand_in_the_order_of_their_ids(root: Path) -> None:
    write(root, table(annotations=[object_row(i) for i in (30, 4, 100, 11)]))
    file = read_coco(root / BAD)
    rows = file.annotations.parsed(1)
    assert [row["id"] for row in rows] == [4, 11, 30, 100]


# --- real data ---


def test_real_file_is_read_whole(shared_data: Path) -> None:
    source = shared_data / "coco"
    scan = Coco().scan(source)
    annotations = list(scan.annotations)
    assert scan.layout == "instances.json with images/"
    assert (scan.warnings, scan.problems) == ((), ())
    assert len(annotations) == 165
    assert sum(len(a["objects"]) for a in annotations) == 1458
    assert len(scan.label_map.object_classes) == 80
    data = json.loads((source / "annotations" / "instances.json").read_bytes())
    by_id = {row["id"]: row for row in data["annotations"]}
    for annotation in annotations:
        for item in annotation["objects"]:
            row = by_id[item["id"]]
            assert row["image_id"] == annotation["image_id"]
            assert {k: row[k] for k in item} == dict(item)


# --- junk in any place ---

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["a.png", "..", "/", "NaN", "\0", "5", "o0", "ü", "."]),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(
            st.sampled_from(["size", "counts", "id", "name", ""]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
PLACES = [
    *[("images", 0, k) for k in ("id", "file_name", "height", "width", "extra")],
    *[
        ("annotations", 0, k)
        for k in (
            *("id", "image_id", "category_id", "segmentation", "bbox", "area"),
            *("iscrowd", "extra"),
        )
    ],
    *[("categories", 0, k) for k in ("id", "name", "supercategory", "extra")],
    ("annotations", 0, "segmentation", 0),
    ("annotations", 0, "segmentation", 0, 3),
    ("annotations", 0, "bbox", 2),
    ("annotations", 1, "segmentation", "size"),
    ("annotations", 1, "segmentation", "size", 0),
    ("annotations", 1, "segmentation", "counts"),
    ("annotations", 1, "segmentation", "counts", 1),
    ("images", 0),
    ("annotations", 0),
    ("categories", 0),
    ("images",),
    ("annotations",),
    ("categories",),
    (),
]


def put(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    spot = data
    for step in place[:-1]:
        spot = spot[step]
    spot[place[-1]] = value
    return data


def survives(root: Path, text: bytes, on_error: Any) -> None:
    """Scans, plans and encodes: our errors and good ends are both fine."""
    (root / BAD).write_bytes(text)
    options = BuildOptions(on_error=on_error)
    try:
        scan: Scan = Coco().scan(root)
        plan = make_plan(scan, root, "coco", options)
        for lines in plan.lines.values():
            for line in lines.splitlines():
                bad: list[AnnotationError] = []
                handler: Callable[[AnnotationError], None] | None = (
                    bad.append if on_error == "skip" else None
                )
                data = parse_plan_line(line).data
                encode_record(
                    data, read_files(data, root), scan.label_map, on_bad_object=handler
                )
    except SegdataError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        assert len(message) < 4000


@pytest.fixture(scope="module")
def junk_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("junk"))


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_junk_in_any_place_gives_a_build_or_one_of_our_errors(
    junk_root: Path, on_error: str, place: tuple[Any, ...], junk: Any
) -> None:
    rle = object_row(11, segmentation=rle_of(3, PIXELS - 3))
    data = json.loads(json.dumps(table(annotations=[object_row(), rle])))
    survives(junk_root, json.dumps(put(data, place, junk)).encode(), on_error)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_flipped_bytes_give_a_build_or_one_of_our_errors(
    junk_root: Path, data: st.DataObject
) -> None:
    text = bytearray(json.dumps(table()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.integers(0, 255))
    survives(junk_root, bytes(text), "skip")


# --- what the masks of an image may cost ---------------------------------------------


def test_image_of_masks_that_hide_gigabytes_is_refused(root: Path) -> None:
    height = width = 2000
    save_image(root / "images" / "c.png", height, width)
    stripes = {"size": [height, width], "counts": [height] * width}
    rows = [object_row(i, 3, segmentation=stripes, bbox=ABSENT) for i in range(50)]
    images = [image_row(), image_row(3, "c.png", height=height, width=width)]
    write(root, table(images=images, annotations=[object_row(), *rows]))
    message = r"masks of the image have more than 16777216 ends of runs together: .* \("
    with pytest.raises(AnnotationError, match=message):
        build(root)
    manifest = build(root, "skip")
    assert manifest.splits["train"].rejects == {"masks-too-complex": 1}
    assert manifest.splits["train"].rejected_objects == {}
    assert list(records(root)) == ["images/a"]


def test_image_of_bad_and_of_costly_masks_is_refused_too(root: Path) -> None:
    far = [[0, 0, 1e6, 0, 1e6, 1]]
    rows = [object_row(i, segmentation=far) for i in range(100)]
    write(root, table(annotations=[object_row(segmentation=5), *rows]))
    manifest = build(root, "skip")
    assert manifest.splits["train"].rejects == {"masks-too-complex": 1}
    (reject,) = rejects(root)
    assert re.search(r"outlines of the image's polygons are longer", reject["message"])
    assert list(records(root)) == ["images/b"]


def test_annotation_without_ids_is_told_by_what_it_holds(root: Path) -> None:
    row = {"category_id": 5, "bbox": [1, 2, 3, 4]}
    write(root, table(annotations=[object_row(), row]))
    build(root, "skip")
    [reject] = rejects(root)
    assert (
        'without id, \'{"bbox":[1,2,3,4],"category_id":5}\', is of' in reject["message"]
    )


def test_images_that_differ_by_their_ending_are_two_records(root: Path) -> None:
    images = [image_row(1, "a.png"), image_row(2, "b.png"), image_row(3, "a.bmp")]
    write(root, table(images=images, annotations=[object_row(11, 3)]))
    save_image(root / "images/a.bmp")
    build(root)
    found = records(root)
    assert sorted(found) == ["images/a.bmp", "images/a.png", "images/b"]
    assert {key: len(record.objects) for key, record in found.items()} == {
        "images/a.bmp": 1,
        "images/a.png": 0,
        "images/b": 0,
    }
    assert found["images/a.bmp"].image_id == "3"


def test_one_file_under_two_ids_is_still_refused(root: Path) -> None:
    write(root, table(images=[image_row(1), image_row(2)]))
    with pytest.raises(SourceError, match="two images have the key 'images/a'"):
        build(root)


def test_number_that_is_none_is_told_as_such(root: Path) -> None:
    write(root, table(annotations=[object_row(area=float("nan"))]))
    message = "'area' of annotation 10 is NaN: expected a number"
    with pytest.raises(AnnotationError, match=message):
        build(root)


def test_keys_that_are_not_cocos_are_kept_or_named(root: Path) -> None:
    scenes = [{"image_id": 1, "background_ids": [3]}]
    write(root, table(scene_annotations=scenes, other=["x" * (1 << 20)]))
    put = root / "annotations/captions_train2017.json"
    put.write_text(json.dumps({"annotations": [], "images": [], "styles": [1]}))
    manifest = build(root)
    assert manifest.source_info == {
        "instances_train2017.json": {"scene_annotations": scenes}
    }
    assert sorted(manifest.warnings) == [
        "captions_train2017.json: left out: 'styles'",
        "instances_train2017.json: left out of the manifest: 'other': more than "
        "1048576 bytes in all, or nested too deep",
    ]
