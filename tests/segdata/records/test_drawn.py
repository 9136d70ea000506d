"""Annotations that lie in files: text, mask images without a list, a file a mask."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata import formats
from segdata.errors import AnnotationError, ImageError
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.records.encode import encode_record

SIZE = (6, 8)
LABELS = LabelMap(
    object_classes=(
        LabelClass(id=1, name="cat", color=(9, 9, 9), source_ids=(26, "cat")),
        LabelClass(id=2, name="dog", color=(8, 8, 8), source_ids=(27,)),
    ),
    semantic_classes=(
        LabelClass(id=0, name="floor", color=(0, 0, 0), source_ids=(0, 7)),
        LabelClass(id=1, name="cat", color=(9, 9, 9), source_ids=(1, 26)),
        LabelClass(id=2, name="dog", color=(8, 8, 8), source_ids=(2, 27)),
        LabelClass(id=255, name="void", color=(1, 1, 1), source_ids=(255,)),
    ),
    ignore_id=255,
)
BINARY = LabelMap(
    semantic_classes=(
        LabelClass(id=0, name="no", color=(0, 0, 0), source_ids=(0,)),
        LabelClass(id=1, name="yes", color=(9, 9, 9), source_ids=(1,)),
    )
)


def saved(
    pixels: Any, mode: str | None = None, suffix: str = "png", **how: Any
) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, suffix, **how)
    return file.getvalue()


PHOTO = saved(np.zeros((*SIZE, 3), np.uint8))


def encoded(annotation: dict[str, Any], label_map: LabelMap = LABELS, **files: bytes):
    whole = {"image": "a.png", **annotation}
    return encode_record(whole, {"a.png": PHOTO, **files}, label_map)


def masks(record) -> list[tuple[str, list[list[int]]]]:
    return [
        (item.label.name, rle.decode(item.runs, *SIZE).astype(int).tolist())
        for item in record.objects
        if len(item.runs)
    ]


def grid(**of_value: slice | tuple[slice, slice]) -> np.ndarray:
    pixels = np.zeros(SIZE, np.int32)
    for name, place in of_value.items():
        pixels[place] = int(name.lstrip("v"))
    return pixels


def mask_of(pixels: np.ndarray, value: int) -> list[list[int]]:
    return (pixels == value).astype(int).tolist()


def in_mask_image(pixels: np.ndarray, labels: np.ndarray | None = None, **rule: Any):
    mode = np.uint16 if pixels.max() > 255 else np.uint8
    files = {"m.png": saved(pixels.astype(mode))}
    annotation: dict[str, Any] = {
        "mask_image": {"path": "m.png", "encoding": "index", "objects": rule}
    }
    if labels is not None:
        files["l.png"] = saved(labels.astype(np.uint8))
        annotation["label_image"] = {"path": "l.png", "encoding": "index"}
    return encoded(annotation, **files)


def test_values_of_a_mask_image_are_objects_of_one_category():
    pixels = grid(v3=np.s_[1:3], v200=np.s_[4:, 2:5], v255=np.s_[0])
    record = in_mask_image(pixels, nobody=[0, 255], category_id="cat")
    assert masks(record) == [("cat", mask_of(pixels, 3)), ("cat", mask_of(pixels, 200))]
    assert [item.source_id for item in record.objects] == [3, 200]


def test_mask_image_of_nobody_has_no_objects():
    assert not in_mask_image(grid(), nobody=[0], category_id=26).objects


def test_value_holds_category_and_number():
    pixels = grid(
        v26000=np.s_[0], v26001=np.s_[1], v27=np.s_[2], v7=np.s_[3], v27013=np.s_[5, 7]
    )
    record = in_mask_image(pixels, nobody=[], factor=1000)
    assert masks(record) == [
        ("dog", mask_of(pixels, 27)),
        ("cat", mask_of(pixels, 26000)),
        ("cat", mask_of(pixels, 26001)),
        ("dog", mask_of(pixels, 27013)),
    ]
    assert [i.annotation.get("iscrowd", 0) for i in record.objects] == [1, 0, 0, 0]


def test_value_of_a_category_that_nobody_knows_is_refused():
    with pytest.raises(AnnotationError, match="31000 is of the unknown class 31"):
        in_mask_image(grid(v31000=np.s_[2]), nobody=[0], factor=1000)


def test_label_image_tells_the_class_of_most_pixels():
    pixels = grid(v1=np.s_[0:2], v2=np.s_[3:5, :6])
    labels = grid(v1=np.s_[0:2], v2=np.s_[3:5])
    labels[0, :3], labels[3, :2], labels[4] = 255, 1, 255  # border; a slip
    record = in_mask_image(pixels, labels, nobody=[0, 255], by_label_image=True)
    assert masks(record) == [("cat", mask_of(pixels, 1)), ("dog", mask_of(pixels, 2))]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"stand in a label image of its size, 6x8 .*: got none"),
        (grid(v255=np.s_[:]), "annotation 1 has no class"),
        (grid(), "annotation 1 is of the unknown class 'floor'"),
    ],
)
def test_object_whose_label_image_tells_no_class_is_refused(labels, message):
    with pytest.raises(AnnotationError, match=message):
        in_mask_image(grid(v1=np.s_[2]), labels, nobody=[0], by_label_image=True)


def test_photo_is_no_mask_image():
    noise = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    rgb = np.stack([noise & 255, noise >> 8 & 255, noise >> 16], -1).astype(np.uint8)
    rule = {"nobody": [0], "category_id": 26}
    annotation = {"mask_image": {"path": "m", "encoding": "id24", "objects": rule}}
    with pytest.raises(AnnotationError, match=r"has 89999 values: .* at most 65536"):
        encoded(annotation, m=saved(rgb))


def test_each_mask_file_is_an_object():
    pixels = grid(v1=np.s_[2:4, 1:7])
    files = {
        "full.png": saved(np.full(SIZE, 255, np.uint8)),
        "some.png": saved((pixels * 65535).astype(np.uint16)),
        "none.png": saved(np.zeros(SIZE, bool)),
    }
    named = [{"path": path, "category_id": 27} for path in files]
    listed = [{"id": 5, "category_id": 26, "segmentation": [[0, 0, 8, 0, 8, 6, 0, 6]]}]
    record = encoded({"mask_files": named, "objects": listed}, **files)
    full = np.ones(SIZE, int).tolist()
    assert masks(record) == [
        ("cat", full),
        ("dog", full),
        ("dog", mask_of(pixels, 1)),
        ("dog", np.zeros(SIZE, int).tolist()),
    ]
    assert "object-mask-empty" in record.notes


def test_mask_file_of_another_size_is_refused():
    named = [{"path": "m.png", "category_id": 27}]
    with pytest.raises(
        AnnotationError, match=r"mask file 'm.png' .* got 6x9"
    ) as caught:
        encoded({"mask_files": named}, **{"m.png": saved(np.zeros((6, 9), np.uint8))})
    assert caught.value.reason == "mask-size-mismatch"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(np.array([[0, 1, 0]], bool)), [0, 1, 0]),
        (saved(np.array([[0, 1, 255]], np.uint8)), [0, 1, 1]),
        (saved(np.array([[0, 1, 65535]], np.uint16)), [0, 1, 1]),
        (saved(np.array([[[0, 0, 0], [0, 0, 9], [255] * 3]], np.uint8)), [0, 1, 1]),
        (saved(np.array([[0, 1, 255]], np.uint8), "P", "gif"), [0, 1, 1]),
        (saved(Image.new("RGBA", (3, 1), (0, 0, 0, 255))), [0, 0, 0]),
    ],
)
def test_binary_labels_are_zero_and_not_zero_whatever_the_depth(data, expected):
    label = {"path": "l", "encoding": "binary"}
    photo = saved(np.zeros((1, 3, 3), np.uint8))
    annotation = {"image": "a", "label_image": label}
    runs = encode_record(annotation, {"a": photo, "l": data}, BINARY).label_runs
    assert np.repeat(runs.values, runs.lengths).tolist() == expected


def test_palette_whose_black_is_not_first_counts_by_its_colours():
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    label = {"path": "l", "encoding": "binary"}
    files = {"a": saved(np.zeros((1, 2, 3), np.uint8)), "l": saved(image)}
    annotation = {"image": "a", "label_image": label}
    runs = encode_record(annotation, files, BINARY).label_runs
    assert np.repeat(runs.values, runs.lengths).tolist() == [1, 0]


def test_lossy_labels_get_the_nearest_class_within_the_tolerance():
    pixels = np.repeat(np.array([[0], [255]], np.uint8), 8, axis=0).repeat(8, axis=1)
    data = saved(pixels + np.where(pixels, -3, 3).astype(np.uint8), None, "jpeg")
    files = {"a": saved(np.zeros((16, 8, 3), np.uint8)), "l": data}
    label = {"path": "l", "encoding": "binary", "tolerance": 127}
    record = encode_record({"image": "a", "label_image": label}, files, BINARY)
    runs = record.label_runs
    assert runs.values.tolist() == [0, 1]
    assert runs.lengths.tolist() == [64, 64]
    assert runs.moved_pixels == 128
    assert "labels-moved-to-nearest" in record.notes
    exact = {"path": "l", "encoding": "binary"}
    with pytest.raises(ImageError, match="is a JPEG: its compression changes"):
        encode_record({"image": "a", "label_image": exact}, files, BINARY)
    label["tolerance"] = 2
    with pytest.raises(AnnotationError, match=r"unknown value .* expected black"):
        encode_record({"image": "a", "label_image": label}, files, BINARY)


def test_colours_within_the_tolerance_get_the_nearest_class():
    label_map = LabelMap(
        semantic_classes=tuple(
            LabelClass(id=n, name=str(n), color=c, source_ids=(n,), source_colors=(c,))
            for n, c in enumerate([(0, 0, 0), (250, 0, 0), (255, 10, 0)])
        ),
        unknown_id=255,
    )
    colors = [(0, 0, 0), (20, 0, 19), (252, 4, 0), (253, 7, 0), (0, 0, 21), (250, 0, 0)]
    data = saved(np.array([colors], np.uint8))
    files = {"a": saved(np.zeros((1, 6, 3), np.uint8)), "l": data}
    label = {"path": "l", "encoding": "color", "tolerance": 20}
    annotation = {"image": "a", "label_image": label}
    runs = encode_record(annotation, files, label_map).label_runs
    found = np.repeat(runs.values, runs.lengths).tolist()
    assert found == [0, 0, 1, 2, 255, 1]
    assert (runs.moved_pixels, runs.voided_pixels) == (3, 1)


def test_relative_polygons_and_boxes_are_scaled_to_the_image():
    square = [0.25, 0.5, 0.75, 0.5, 0.75, 1.0, 0.25, 1.0]
    objects = [
        {"id": 1, "category_id": 26, "segmentation": [square]},
        {"id": 2, "category_id": 27, "bbox": [0.5, 0, 0.5, 1]},
    ]
    record = encoded({"objects": objects, "is_relative": True})
    assert masks(record)[0] == ("cat", mask_of(grid(v1=np.s_[3:, 2:6]), 1))
    assert record.objects[1].box == (0, 4, 6, 8)


@pytest.mark.parametrize("bad", [[[0.1, 0.2, 0.3]], [["a", "b"] * 3], [[None] * 6]])
def test_relative_polygon_that_is_none_is_refused(bad):
    item = {"id": 1, "category_id": 26, "segmentation": bad}
    with pytest.raises(AnnotationError, match="annotation 1"):
        encoded({"objects": [item], "is_relative": True})


def read_planted(data: bytes, annotation: dict[str, Any]) -> dict[str, Any]:
    if data == b"bad":
        raise AnnotationError("it is bad.", reason="planted")
    return json.loads(data or b"{}")


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setitem(formats.READERS, "planted", f"{__name__}:read_planted")


FROM_FILE = {"annotation_file": {"path": "a.json", "reader": "planted"}}


def test_annotation_file_adds_to_the_annotation():
    objects = [{"id": 4, "category": "dog", "bbox": [0, 0, 8, 6]}]
    text = json.dumps({"objects": objects, "image_id": 77, "height": 5}).encode()
    record = encoded({**FROM_FILE, "height": 6, "image_id": 1}, **{"a.json": text})
    assert record.objects[0].label.name == "dog"
    assert record.image_id == "1"  # what is known without the file counts


def test_annotation_file_may_be_empty():
    assert encoded(FROM_FILE, **{"a.json": b""}).objects == ()


def test_bad_annotation_file_is_refused_by_name():
    with pytest.raises(AnnotationError, match=r"'a\.json': it is bad") as caught:
        encoded(FROM_FILE, **{"a.json": b"bad"})
    assert caught.value.reason == "planted"
    with pytest.raises(AnnotationError, match="unknown keys"):
        encoded(FROM_FILE, **{"a.json": b'{"sky": 1}'})
    with pytest.raises(ImageError, match=r"file 'a\.json' was not handed"):
        encoded(FROM_FILE)
