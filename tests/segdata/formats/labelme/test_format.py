"""labelme's JSON files: each row of the table in `docs/formats.md`."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError, SourceError
from segdata.formats.labelme.format import Labelme
from segdata.formats.labelme.reader import read_labelme
from segdata.masks import rle
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
Build = Callable[..., Manifest]
HEIGHT, WIDTH = 20, 30
SQUARE = [[2, 3], [12, 3], [12, 13], [2, 13]]


def shape(label: Any = "cat", points: Any = SQUARE, **fields: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": "polygon", **fields}


def png(pixels: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write(folder: Path, name: str, *shapes: Any, image: str = "", **top: Any) -> None:
    """A JSON, and its image where one is named."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"imagePath": f"{path.stem}.jpg", "imageData": None, **top}
    sizes = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    path.write_text(json.dumps({**sizes, **data, "shapes": [*shapes]}), "utf-8")
    if image:
        write_image(folder / image)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)


def read(*shapes: Any, **top: Any) -> dict[str, Any]:
    sizes = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    data = json.dumps({**sizes, "shapes": [*shapes], **top}).encode()
    return read_labelme(data, {"image": "a.jpg"})


def mask_of(*shapes: Any) -> NDArray[np.uint8]:
    [item] = read(*shapes)["objects"]
    return rle.decode(rle.rle(item["segmentation"], HEIGHT, WIDTH), HEIGHT, WIDTH)


def built(folder: Path, build: Build, **options: Any) -> tuple[Manifest, list[Any]]:
    out = folder.parent / "out"
    manifest = build(
        folder,
        out,
        dataset_format=Labelme(),
        on_error="skip",
        max_reject_share=1,
        **options,
    )
    return manifest, [r for split in manifest.splits for r in RecordSource(out, split)]


# --- Shapes.


def test_polygon_is_a_mask_also_without_a_type() -> None:
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:13, 2:12] = 1
    assert np.array_equal(mask_of(shape()), expected)
    assert np.array_equal(mask_of({"label": "cat", "points": SQUARE}), expected)


@pytest.mark.parametrize("points", [[[12, 13], [2, 3]], [[2, 13], [12, 3]], SQUARE])
def test_rectangle_is_a_mask_whatever_its_corners(points: Any) -> None:
    found = mask_of(shape(points=points, shape_type="rectangle"))
    assert np.array_equal(found, mask_of(shape()))


def test_circle_is_a_mask_around_its_first_point() -> None:
    found = mask_of(shape(points=[[15, 10], [15, 2]], shape_type="circle"))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = np.hypot(columns - 15, rows - 10) <= 8
    assert (found != expected).sum() <= 4
    assert expected.sum() > 190


def test_shapes_of_one_label_and_group_are_one_object() -> None:
    second = [[20, 3], [25, 3], [25, 8]]
    shapes = [
        shape(group_id=1),
        shape(points=second, group_id=1),
        shape("dog", group_id=1),
        shape(),
        shape(),
    ]
    objects = read(*shapes)["objects"]
    assert [o["category"] for o in objects] == ["cat", "dog", "cat", "cat"]
    assert [len(o["segmentation"]) for o in objects] == [2, 1, 1, 1]
    assert objects[0]["source"] == {"group_id": 1}


@pytest.mark.parametrize(("left", "top"), [(4, 5), (-2, -3), (27, 18), (0, 0)])
def test_embedded_mask_covers_the_box_of_its_points(left: int, top: int) -> None:
    part = np.random.default_rng(1).random((6, 7)) > 0.4
    points = [[left, top], [left + 6, top + 5]]
    found = mask_of(shape(points=points, shape_type="mask", mask=png(part)))
    expected = np.zeros((HEIGHT + 20, WIDTH + 20), np.uint8)
    expected[10 + top : 16 + top, 10 + left : 17 + left] = part
    assert np.array_equal(found, expected[10:-10, 10:-10])


def test_embedded_masks_of_a_group_stay_objects_of_their_own() -> None:
    mask = shape(shape_type="mask", mask=png(np.ones((2, 2), bool)), group_id=3)
    objects = read(shape(group_id=3), mask, mask)["objects"]
    assert [o["source"]["group_id"] for o in objects] == [3, 3, 3]


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip"])
def test_points_and_lines_are_named_regions(kind: str) -> None:
    found = read(shape("nose", [[2, 3], [9, 4]], shape_type=kind))
    assert found["objects"] == []
    [region] = found["regions"]
    assert (region["name"], region["bbox"]) == ("nose", [2, 3, 7, 1])
    assert region["source"] == {"points": [[2, 3], [9, 4]], "shape_type": kind}


@pytest.mark.parametrize("label", ["__ignore__", "_background_"])
def test_what_is_to_be_ignored_is_a_region(label: str) -> None:
    found = read(shape(label), shape())
    assert [r["name"] for r in found["regions"]] == [label]
    assert len(found["objects"]) == 1


def test_fields_that_say_something_are_kept() -> None:
    odd = shape(flags={"occluded": True}, description="far", score=0.5, group_id=None)
    found = read(odd, flags={"night": True}, version="5.1", imageData="abc")
    assert found["objects"][0]["source"] == {
        "flags": {"occluded": True},
        "description": "far",
        "score": 0.5,
    }
    assert found["source"] == {"flags": {"night": True}, "version": "5.1"}
    assert (found["height"], found["width"]) == (HEIGHT, WIDTH)


def test_bad_shapes_cost_themselves_only(tmp_path: Path, build_plainly: Build) -> None:
    ones = png(np.ones((2, 2), bool))
    bad = [
        shape(shape_type="cuboid"),
        shape(shape_type=["polygon"]),
        shape(points=[[1, 2]], shape_type="rectangle"),
        shape(points=[[1, 2], [3, 4], [5, 6]], shape_type="circle"),
        shape(points=[], shape_type="mask", mask=ones),
        shape(points=[[1e300, 1], [2, 2]], shape_type="mask", mask=ones),
        shape(shape_type="mask", mask="no base64!"),
        shape(shape_type="mask", mask=base64.b64encode(b"no PNG").decode()),
        shape(shape_type="mask"),
        "no shape",
        shape(points=[[1, 2], [3, 4]]),
        shape(points="text"),
        shape(points=[[1, "two"], [3, 4], [5, 6]]),
        shape(points=[[1, 2, 3], [3, 4, 3], [5, 6, 3]]),
        shape(points=None),
        shape(label=None),
        shape(label=""),
    ]
    write(tmp_path / "in", "a", *bad, shape(), image="a.jpg")
    manifest, [record] = built(tmp_path / "in", build_plainly)
    assert [item.name for item in record.objects] == ["cat"]
    rejected = manifest.splits["train"].rejected_objects
    assert rejected["bad-annotation"] == 10
    assert rejected["bad-polygon"] == 5
    assert rejected["object-without-class"] == 2
    told = (tmp_path / "out/rejects.jsonl").read_text("utf-8")
    assert "cuboid: no known shape_type" in told
    assert "circle: expected 2 points, got 3" in told


def test_mask_without_the_image_size_is_refused() -> None:
    mask = shape(shape_type="mask", mask=png(np.ones((2, 2), bool)))
    for height in (None, 0, "20", 10**9):
        [item] = read(mask, imageHeight=height)["objects"]
        assert item["segmentation"] == "mask: imageHeight and imageWidth miss"


def test_circles_of_any_radius_have_some_corners() -> None:
    for radius in (0, 0.3, 1, 5000, 1e9):
        [item] = read(shape(points=[[0, 0], [radius, 0]], shape_type="circle"))[
            "objects"
        ]
        assert 48 <= len(item["segmentation"][0]) <= 1440


# --- Classes.


def test_classes_are_the_labels_sorted_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a", shape("dog"), shape("__ignore__"), image="a.jpg")
    write(tmp_path, "b", shape("cat"), shape(7), image="b.jpg")
    scan = Labelme().scan(tmp_path)
    assert dict(scan.label_map) == {"7": 1, "cat": 2, "dog": 3}
    assert any("no class file: 3 classes are" in line for line in scan.warnings)


def test_labels_of_odd_files_count_too(tmp_path: Path) -> None:
    write(tmp_path, "a", "no shape", shape("dog"), image="a.jpg")
    write(tmp_path, "b", shape("cat"), imageData="abc", image="b.jpg")
    (tmp_path / "b.json").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "b.json").read_bytes()
    )
    assert dict(Labelme().scan(tmp_path).label_map) == {"cat": 1, "dog": 2}


@pytest.mark.parametrize("options", [{}, {"classes": "labels.txt"}])
def test_class_file_gives_the_order_and_refuses_other_labels(
    options: dict[str, str], tmp_path: Path, build_plainly: Build
) -> None:
    folder = tmp_path / "in"
    write(folder, "a", shape("dog"), shape("cow"), shape(), image="a.jpg")
    (folder / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    scan = Labelme(**options).scan(folder)
    assert dict(scan.label_map) == {"dog": 1, "cat": 2}
    assert scan.warnings == ()
    manifest, [record] = built(folder, build_plainly)
    assert [item.name for item in record.objects] == ["dog", "cat"]
    assert manifest.splits["train"].rejected_objects == {"unknown-object-class": 1}


def test_files_without_a_label_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", image="a.jpg")
    with pytest.raises(SourceError, match="have no label: expected a class"):
        Labelme().scan(tmp_path)


# --- Images.


def images_of(folder: Path) -> dict[str, str]:
    return {
        a["annotation_file"]["path"]: a["image"]
        for a in Labelme().scan(folder).annotations
    }


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("a", "a.jpg"),
        ("labels/a", "images/a.png"),
        ("labels/train/a", "images/train/a.jpg"),
        ("train/json/a", "train/a.jpg"),
        ("x/y/a", "z/a.jpg"),
        ("a.jpg", "a.jpg"),
    ],
)
def test_image_of_the_same_name_is_found(file: str, image: str, tmp_path: Path) -> None:
    write(tmp_path, file, shape(), image=image)
    write(tmp_path, "other", shape(), image="other.jpg")
    assert images_of(tmp_path)[f"{file}.json"] == image


def test_image_of_another_split_is_not_meant(tmp_path: Path) -> None:
    write(tmp_path, "train/0001", shape(), image="val/0001.jpg")
    write(tmp_path, "train/0002", shape(), image="train/0002.png")
    assert images_of(tmp_path)["train/0001.json"] == "train/0001.png"


@pytest.mark.parametrize(
    ("image_path", "kind"),
    [
        ("../images/b c.jpg", "images found"),
        ("C:\\photos\\b c.jpg", "images found"),
        ("/home/me/b%20c.JPG", "URL-quoted"),
    ],
)
def test_image_is_found_by_image_path(
    image_path: str, kind: str, tmp_path: Path
) -> None:
    write(tmp_path, "labels/a", shape(), imagePath=image_path, image="images/b c.jpg")
    assert images_of(tmp_path) == {"labels/a.json": "images/b c.jpg"}
    warnings = Labelme().scan(tmp_path).warnings
    assert any(kind in line for line in warnings) or image_path.startswith("..")


def test_image_path_that_differs_from_the_own_name_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a", shape(), imagePath="..\\b.jpg", image="a.jpg")
    write(tmp_path, "b", shape(), image="b.jpg")
    assert images_of(tmp_path) == {"a.json": "a.jpg", "b.json": "b.jpg"}
    [warning] = [w for w in Labelme().scan(tmp_path).warnings if "imagePath" in w]
    assert warning.startswith("1 JSON names another image")


def reasons(folder: Path) -> list[str]:
    return [problem.reason for problem in Labelme().scan(folder).problems]


def test_file_of_several_images_and_image_of_several_files_are_problems(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a", shape(), image="a.jpg")
    write_image(tmp_path / "a.png")
    write(tmp_path, "i/b", shape(), image="i/b.jpg")
    write(tmp_path, "i/b.jpg", shape())
    write(tmp_path, "x", shape(), imagePath="q.jpg", image="s/q.jpg")
    write(tmp_path, "y", shape(), imagePath="q.jpg")
    write(tmp_path, "z", shape(), imagePath="r.jpg", image="s/r.jpg")
    write_image(tmp_path / "t/r.jpg")
    assert sorted(reasons(tmp_path)) == [
        *["ambiguous-annotations"] * 4,
        *["ambiguous-image"] * 2,
    ]


def test_image_that_is_only_in_the_json_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "a", shape(), imageData="iVBORw0KGgo=")
    assert reasons(tmp_path) == ["image-only-embedded"]


def test_other_files_are_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path, "a", shape(), image="a.jpg")
    write_image(tmp_path / "b.jpg")
    for name, text in (("coco", '{"images": []}'), ("list", "[1]")):
        (tmp_path / f"{name}.json").write_text(text)
    scan = Labelme().scan(tmp_path)
    assert len(list(scan.annotations)) == 1
    assert scan.warnings[:2] == (
        "2 other JSONs left out, e.g. coco.json",
        "1 image without JSON left out, e.g. b.jpg",
    )


def test_folder_without_labelme_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(SourceError, match=r"no JSON of labelme: .* 1 other JSON files"):
        Labelme().scan(tmp_path)
    assert Labelme.recognize(tmp_path) is None


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "it is empty"),
        (b'{"shapes": [', "no JSON"),
        (b'{"shapes": [NaN]}', "no JSON"),
        (b'{"shapes": ' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON"),
        ('{"shapes": [], "x": "ü"}'.encode("latin-1"), "no JSON"),
        (b'{"images": []}', "expected an object with 'shapes', got {'images'"),
        (b"[1]", r"expected an object with 'shapes', got \[1\]"),
    ],
)
def test_what_is_no_json_of_labelme_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(AnnotationError, match=match) as caught:
        read_labelme(data, {"image": "a.jpg"})
    assert caught.value.reason == "bad-json"


def test_byte_order_mark_is_no_matter() -> None:
    data = b"\xef\xbb\xbf" + json.dumps({"shapes": [shape()]}).encode()
    assert len(read_labelme(data, {"image": "a.jpg"})["objects"]) == 1


def test_broken_files_and_missing_images_are_rejected_records(
    tmp_path: Path, build_plainly: Build
) -> None:
    folder = tmp_path / "in"
    write(folder, "train/a", shape(), image="train/a.jpg")
    write(folder, "train/b", shape())
    write(folder, "val/c", shape(), image="val/c.jpg", imageHeight=21)
    write(folder, "val/d", shape(), image="val/d.jpg")
    (folder / "val/d.json").write_bytes(b"{")
    write(folder, "val/e", shape(), image="val/e.jpg")
    (folder / "val/e.json").rename(tmp_path / "e.json")
    (folder / "val/e.json").symlink_to(tmp_path / "e.json")
    write_image(folder / "val/g.jpg")
    (folder / "val/g.json").symlink_to(folder / "val/gone.json")
    write(folder, "val/f", shape(), image="val/f.jpg")
    manifest, records = built(folder, build_plainly)
    assert [record.key for record in records] == ["train/a", "val/f"]
    assert manifest.splits["train"].rejects == {"image-missing": 1}
    assert manifest.splits["val"].rejects == {
        "bad-json": 1,
        "image-size-mismatch": 1,
        "unsafe-path": 1,
        "annotation-file-missing": 1,
    }


def test_ground_truth_of_the_field(
    shared_data: Path, tmp_path: Path, build_plainly: Build
) -> None:
    """labelme's own example: masks as pycocotools draws them, `__ignore__` a region."""
    folder = shared_data / "field/labelme-json"
    assert Labelme.recognize(folder) is not None
    build_plainly(folder, tmp_path, dataset_format=Labelme())
    counts = {}
    for record in RecordSource(tmp_path, "train"):
        data = json.loads((folder / f"{record.key}.json").read_text("utf-8"))
        expected: dict[Any, list[Any]] = {}
        for number, item in enumerate(data["shapes"]):
            name = (item["label"], number if item["group_id"] is None else "group")
            expected.setdefault(name, []).append(np.ravel(item["points"]).tolist())
        ignored = {name for name in expected if name[0] == "__ignore__"}
        assert len(record.regions) == len(ignored)
        wanted = [(n, p) for n, p in expected.items() if n not in ignored]
        counts[record.key] = len(wanted)
        for item, (name, polygons) in zip(record.objects, wanted, strict=True):
            assert item.name == name[0]
            size = (record.height, record.width)
            merged = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
            assert np.array_equal(record.mask(item), coco_mask.decode(merged))
    assert counts == {"2011_000003": 3, "2011_000006": 6, "2011_000025": 3}
