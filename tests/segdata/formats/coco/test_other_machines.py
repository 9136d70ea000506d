"""COCO files that other tools and machines wrote: paths, ids, sizes, layouts."""

from __future__ import annotations

import json
import unicodedata
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folder import (
    ABSENT,
    HEIGHT,
    WIDTH,
    build,
    image_row,
    object_row,
    records,
    save_image,
    table,
    write,
)
from real_coco import pycocotools_mask

import segdata
from segdata.building.example import dict_to_tf_example
from segdata.errors import SourceError
from segdata.formats.coco.format import Coco
from segdata.formats.coco.layout import find_json
from segdata.reading.record_source import RecordSource
from segdata.records import schema
from segdata.records.proto import feature_values
from segdata.storage.paths import locate

COMPOSED, DECOMPOSED = (unicodedata.normalize(f, "blå.png") for f in ("NFC", "NFD"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "source"


# --- images by their base names ---


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("images\\a.png", "1 with backslashes"),
        ("C:\\Users\\me\\a.png", "1 with backslashes"),
        ("C:/Users/me/a.png", "1 in another folder"),
        ("/home/me/set/a.png", "1 in another folder"),
        ("../images/a.png", "1 in another folder"),
        ("A.PNG", "1 another case"),
        ("/data/upload/3/%61.png", "1 URL-quoted"),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_path_of_another_machine_is_found_and_counted(
    root: Path, given: str, kind: str, is_alone: bool
) -> None:
    images = [image_row(1, given), image_row(2, "b.png")][: 1 if is_alone else 2]
    rows = [object_row(10, 1)]
    manifest = build(write(root, table(images=images, annotations=rows)))
    assert records(root)["images/a"].filename == "images/a.png"
    [warning] = manifest.warnings
    assert kind in warning
    assert warning.startswith("instances_train2017.json: images found though their")


@pytest.mark.parametrize(
    ("given", "stored"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)]
)
def test_other_unicode_form_is_found(root: Path, given: str, stored: str) -> None:
    write(root, table(images=[image_row(1, given)], annotations=[object_row()]))
    save_image(root / "images" / stored)
    (warning,) = build(root).warnings
    assert "1 another Unicode form" in warning


def test_file_that_is_not_there_is_not_taken_from_another_split(root: Path) -> None:
    images = [image_row(1, "a.png"), image_row(2, "c.png")]
    write(root, table(images=images), name="train.json", folder="train")
    save_image(root / "val/c.png")
    with pytest.raises(Exception, match=r"'train/c\.png' is missing"):
        build(root)


def test_name_that_fits_two_files_is_left_missing_and_told(root: Path) -> None:
    images = [image_row(1, "/home/me/a.png"), image_row(2, "b.png")]
    write(root, table(images=images))
    save_image(root / "images/deep/a.png")
    manifest = build(root, "skip")
    assert manifest.splits["train"].rejects == {"unsafe-path": 1}
    [warning] = manifest.warnings
    assert "1 images are not there, and more than one file or name fits" in warning
    assert "images/a.png, images/deep/a.png" in warning


def test_folders_in_the_name_decide_between_files(root: Path) -> None:
    images = [image_row(1, "D:\\x\\deep\\a.png")]
    write(root, table(images=images, annotations=[]))
    save_image(root / "images/deep/a.png")
    assert {a["image"] for a in Coco().scan(root).annotations} == {"images/deep/a.png"}


def test_images_in_a_folder_of_any_name_are_found(root: Path) -> None:
    write(root, folder="my pictures")
    found = {a["image"] for a in Coco().scan(root).annotations}
    assert found == {"my pictures/a.png", "my pictures/b.png"}


def test_image_outside_the_source_is_never_found(root: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "c.png")
    write(root, table(images=[image_row(1, "../c.png"), image_row(2, "b.png")]))
    assert build(root, "skip").splits["train"].rejects == {"unsafe-path": 1}


# --- LVIS ---


def lvis_table() -> dict[str, Any]:
    urls = [f"http://images.cocodataset.org/train2017/{n}.png" for n in "ab"]
    images = [
        image_row(i + 1, ABSENT, coco_url=url, neg_category_ids=[9], **more)
        for i, (url, more) in enumerate(
            zip(
                urls,
                ({"not_exhaustive_category_ids": [5, 9]}, {}),
                strict=True,
            )
        )
    ]
    return table(images=images)


@pytest.mark.parametrize("folder", ["train2017", "images/train2017", "images"])
def test_file_name_is_the_end_of_the_url(root: Path, folder: str) -> None:
    write(root, lvis_table(), name="lvis_v1_train.json", folder=folder)
    scan = Coco().scan(root)
    assert [a["image"] for a in scan.annotations] == [
        f"{folder}/a.png",
        f"{folder}/b.png",
    ]
    assert "2 images have no 'file_name': it is the end of their 'coco_url'" in str(
        scan.warnings
    )


def test_classes_that_were_looked_for_have_the_keys_of_the_detection_api(
    root: Path,
) -> None:
    write(root, lvis_table(), folder="train2017")
    scan = Coco().scan(root)
    first, second = (
        dict_to_tf_example(a, scan.label_map, root) for a in scan.annotations
    )
    assert schema.ABSENT_CLASSES.key == "image/neg_category_ids"
    assert schema.INCOMPLETE_CLASSES.key == "image/not_exhaustive_category_ids"
    assert feature_values(first, schema.ABSENT_CLASSES.key) == [2]
    assert feature_values(first, schema.INCOMPLETE_CLASSES.key) == [1, 2]
    assert schema.INCOMPLETE_CLASSES.key in second.features.feature
    assert feature_values(second, schema.INCOMPLETE_CLASSES.key) == []


def test_images_without_them_have_no_such_keys(root: Path) -> None:
    scan = Coco().scan(write(root))
    example = dict_to_tf_example(next(iter(scan.annotations)), scan.label_map, root)
    assert schema.ABSENT_CLASSES.key not in example.features.feature


def test_what_lvis_says_of_an_image_is_kept_and_counted(
    root: Path, check_manifest: Any
) -> None:
    manifest = build(write(root, lvis_table(), folder="train2017"))
    check_manifest(root.parent / "out")
    assert manifest.splits["train"].counts.parts == {"verified": 2}
    source = records(root)["train2017/a"].source
    assert source["neg_category_ids"] == [9]
    assert source["coco_url"].endswith("train2017/a.png")


def test_unknown_class_that_was_looked_for_refuses_the_image(root: Path) -> None:
    images = [image_row(1, neg_category_ids=[77]), image_row(2, "b.png")]
    manifest = build(write(root, table(images=images)), "skip")
    assert manifest.splits["train"].rejects == {"unknown-image-class": 1}


@pytest.mark.parametrize("url", ["", "a.png", 7, None, "http://x/"])
def test_no_file_name_and_no_usable_url_is_refused(root: Path, url: Any) -> None:
    write(root, table(images=[image_row(1, ABSENT, coco_url=url)]))
    with pytest.raises(SourceError, match=r"image 1 has no 'file_name'"):
        Coco().scan(root)


# --- numbers ---


@pytest.mark.parametrize(
    ("given", "asked", "told"),
    [
        (1, "1", "'1' for 1"),
        ("1", 1, "1 for '1'"),
        (1, 1.0, "1.0 for 1"),
        (1.0, 1, None),
    ],
)
def test_id_of_another_type_is_the_same_and_told(
    root: Path, given: Any, asked: Any, told: str | None
) -> None:
    rows = [object_row(11, asked)]
    images = [image_row(given), image_row(2, "b.png")]
    manifest = build(write(root, table(images=images, annotations=rows)))
    assert len(records(root)["images/a"].objects) == 1
    assert [
        f"image by another type than its id has, e.g. {told}" in w
        for w in (manifest.warnings)
    ] == [True] * (told is not None)


def test_of_two_ids_the_one_of_the_same_type_counts(root: Path) -> None:
    images = [image_row(1), image_row("1", "b.png")]
    rows = [object_row(10, 1), object_row(11, "1", category_id=9)]
    build(write(root, table(images=images, annotations=rows)))
    found = {k: [o.name for o in r.objects] for k, r in records(root).items()}
    assert found == {"images/a": ["cat"], "images/b": ["dog"]}


@pytest.mark.parametrize(
    ("ids", "asked"), [((5, 9), "5"), ((5, 9), 5.0), (("5", "9"), 5), ((5.0, 9), 5)]
)
def test_class_of_another_type_is_the_same_and_told(
    root: Path, ids: tuple[Any, Any], asked: Any
) -> None:
    categories = [{"id": i, "name": n} for i, n in zip(ids, "cd", strict=True)]
    data = table(categories=categories, annotations=[object_row(category_id=asked)])
    manifest = build(write(root, data))
    [item] = records(root)["images/a"].objects
    assert item.name == "c"
    is_told = type(asked) is not type(5 if ids[0] == 5 and ids[0] != "5" else ids[0])
    assert len(manifest.warnings) == is_told
    assert all("name their category by another type" in w for w in manifest.warnings)


@pytest.mark.parametrize("value", [0, -1, None, "", ABSENT, 0.0, "0"])
def test_size_that_is_not_said_is_the_files_and_counted(root: Path, value: Any) -> None:
    rows = [image_row(height=value, width=value), image_row(2, "b.png")]
    manifest = build(write(root, table(images=rows)))
    record = records(root)["images/a"]
    assert (record.height, record.width) == (HEIGHT, WIDTH)
    [warning] = manifest.warnings
    assert "the size of 1 of 2 images is not said (0, -1 or nothing)" in warning


@pytest.mark.parametrize("kind", [float, str])
def test_size_as_a_fraction_or_text_counts(root: Path, kind: Any) -> None:
    rows = [image_row(height=kind(HEIGHT), width=str(WIDTH + 1))]
    write(root, table(images=rows, annotations=[]))
    with pytest.raises(Exception, match=rf"expected {HEIGHT}x{WIDTH + 1}, got"):
        build(root)


# --- other files beside it ---


@pytest.mark.parametrize(
    "other", [{"version": 1}, [1, 2], {}, [], "text", {"shapes": [], "imagePath": "x"}]
)
def test_other_json_beside_it_is_passed_over_with_a_line(
    root: Path, other: Any
) -> None:
    write(root)
    (root / "annotations/classes.json").write_text(json.dumps(other))
    (root / "annotations/instances_train2017.json").rename(
        root / "annotations/train.json"
    )
    manifest = build(root)
    assert set(manifest.splits) == {"train"}
    [warning] = manifest.warnings
    assert warning.startswith("passed over 1 of 2 JSON files, e.g. classes.json is not")


def test_json_of_a_build_in_the_source_is_no_part_of_it(root: Path) -> None:
    for folder in ("train", "out", "out/index"):
        (root / folder).mkdir(parents=True)
    (root / "train/x.json").touch()
    (root / "out/manifest.json").touch()
    source = locate(root)
    assert find_json(source, "", "auto") == [source / "train/x.json"]


def test_broken_json_beside_it_is_not_passed_over(root: Path) -> None:
    write(root, name="annotations/train.json")
    (root / "annotations/val.json").write_text('{"images": [')
    with pytest.raises(SourceError, match=r"val\.json is not JSON"):
        Coco().scan(root)


VIA = {"a.jpg7": {"filename": "a.jpg", "size": 7, "regions": []}}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (VIA, "this is VIA's own JSON: export it as COCO"),
        ({"_via_settings": {}, "_via_img_metadata": VIA}, "this is VIA's own JSON: ex"),
        ({"version": "5", "shapes": [], "imagePath": "a"}, "this is labelme's own JSO"),
        ([{"id": 1, "data": {}, "annotations": []}], "this is Label Studio's own JSON"),
        ([{"image_id": 1, "category_id": 2}], "this is a list of COCO results, which"),
        ({"categories": {"label": {}}, "items": []}, "this is Datumaro's own JSON: ex"),
        ({"image": {}, "annotations": [{}]}, "this is the JSON of one image, as SA-1B"),
        ({"type": "FeatureCollection", "features": []}, "this is GeoJSON: export it"),
        ({"a": 1, "b": 2}, "'images' with a list of objects, got the keys 'a', 'b'."),
        ({}, "with a list of objects, got none."),
        ([], "with a list of objects, got none."),
        (7, "with a list of objects, got none."),
        ({"images": {}, "a": 1}, "expected the key 'images' with a list of objects."),
    ],
)
def test_json_of_another_tool_is_named(root: Path, data: Any, told: str) -> None:
    write(root, data, name="project.json")
    with pytest.raises(SourceError, match=r"project\.json is not COCO-style JSON") as e:
        Coco().scan(root)
    assert told in str(e.value)


# --- recognition ---


def test_folder_is_recognised_with_its_tool(root: Path) -> None:
    write(root, table(info={"contributor": "Label Studio"}), name="result.json")
    guess = Coco.recognize(locate(root))
    assert guess is not None
    assert guess.title == "1 COCO JSON by Label Studio: result.json"
    assert guess.is_sure


def test_long_table_at_the_head_is_recognised(root: Path) -> None:
    rows = [object_row(i) for i in range(500)]
    data = {"annotations": rows, "images": [], "categories": []}
    assert Coco.recognize(locate(write(root, data))) is not None


@pytest.mark.parametrize(
    "data",
    [
        VIA,
        [{"images": [], "annotations": []}],
        {"image": {}, "annotations": [{"id": i} for i in range(9999)]},
        {"a": {"images": [], "annotations": [], "categories": []}},
        b"",
        b"\xff" * 99,
        b"[" * 20000,
    ],
)
def test_other_json_is_not_recognised(root: Path, data: Any) -> None:
    assert Coco.recognize(locate(write(root, data))) is None


def test_empty_and_missing_folders_are_not_recognised(tmp_path: Path) -> None:
    assert Coco.recognize(locate(tmp_path)) is None
    assert Coco.recognize(locate(tmp_path / "none")) is None


# --- real folders ---


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "json_name", "num_images"),
    [
        ("labelme-coco", "annotations.json", 3),
        ("labelstudio-windows", "result.json", 5),
    ],
)
def test_folder_of_the_field_builds_with_pycocotools_masks(
    shared_data: Path, tmp_path: Path, name: str, json_name: str, num_images: int
) -> None:
    source = shared_data / "field" / name
    segdata.build("coco", source, tmp_path / "out")
    data = json.loads((source / json_name).read_bytes())
    names = {c["id"]: c["name"] for c in data["categories"]}
    files = {str(i["id"]): i["file_name"].replace("\\", "/") for i in data["images"]}
    found = list(RecordSource(tmp_path / "out", "train"))
    assert len(found) == num_images == len(files)
    for record in found:
        rows = [r for r in data["annotations"] if str(r["image_id"]) == record.image_id]
        rows.sort(key=itemgetter("id"))
        assert record.filename == files[record.image_id]
        assert [o.name for o in record.objects] == [
            names[row["category_id"]] for row in rows
        ]
        for item, row in zip(record.objects, rows, strict=True):
            size = record.height, record.width
            expected = pycocotools_mask(row["segmentation"], *size)
            np.testing.assert_array_equal(record.mask(item), expected)
