"""Records of images that are made smaller, and their annotations with them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata.building.options import BuildOptions
from segdata.errors import AnnotationError, OptionError
from segdata.images.shrink import shrink_pixels, shrunk_size
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.masks.coco import compressed_rles
from segdata.records.encode import encode_record

HEIGHT, WIDTH = 40, 60
SMALL = (20, 30)
LABELS = LabelMap(
    object_classes=(LabelClass(id=1, name="cat", color=(9, 9, 9), source_ids=(1,)),),
    semantic_classes=tuple(
        LabelClass(id=n, name=f"c{n}", color=(n, n, n), source_ids=(n,))
        for n in range(2, 4)
    ),
)


def saved(pixels: np.ndarray, format: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def photo(format: str = "png") -> bytes:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return saved(np.stack([x * 4, y * 6, x + y], -1).astype(np.uint8), format)


def shrunk_record(annotation: dict[str, Any], **files: bytes):
    contents = {"a.png": photo(), **files}
    return encode_record(
        {"image": "a.png", **annotation}, contents, LABELS, max_size=30
    )


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((40, 60), None, (40, 60)),
        ((40, 60), 60, (40, 60)),
        ((40, 60), 30, (20, 30)),
        ((60, 40), 30, (30, 20)),
        ((1, 1000), 10, (1, 10)),
        ((1, 1), 1, (1, 1)),
        ((3000, 4000), 1024, (768, 1024)),
    ],
)
def test_longer_side_is_limited_and_the_aspect_kept(size, limit, expected):
    assert shrunk_size(*size, limit) == expected


def test_pixel_has_the_value_at_its_centre():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 6)
    assert shrink_pixels(pixels, (1, 2)).tolist() == [[7, 10]]
    assert shrink_pixels(pixels, (2, 6)).tolist() == pixels.tolist()


def test_option_below_one_pixel_is_refused():
    with pytest.raises(OptionError, match="--max-size is 0: expected at least 1 pixel"):
        BuildOptions(max_size=0)


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_image_is_antialiased_and_keeps_its_format(format):
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, ::2] = 255
    files = {"a.png": saved(stripes, format)}
    record = encode_record({"image": "a.png"}, files, LABELS, max_size=30)
    assert record.image.format == format
    assert (record.image.height, record.image.width) == SMALL
    assert "shrunk" in record.notes
    with Image.open(io.BytesIO(record.image.encoded)) as opened:
        inner = np.asarray(opened)[2:-2, 2:-2]
    assert abs(inner.astype(int) - 127).max() < 20  # nearest would give 0 or 255


def test_image_that_is_small_enough_keeps_its_bytes():
    data = photo("jpeg")
    record = encode_record({"image": "a.jpg"}, {"a.jpg": data}, LABELS, max_size=60)
    assert record.image.encoded == data
    assert record.notes == ()


def test_label_map_is_the_nearest():
    labels = np.random.default_rng(0).integers(2, 4, (HEIGHT, WIDTH), np.uint8)
    label = {"path": "l.png", "encoding": "index"}
    record = shrunk_record({"label_image": label}, **{"l.png": saved(labels)})
    runs = record.label_runs
    found = rle.decode_label_map(runs.values, runs.lengths, *SMALL)
    np.testing.assert_array_equal(found, shrink_pixels(labels, SMALL))


def test_polygon_is_scaled_before_it_is_rasterised():
    polygon = [[5.0, 7.0, 55.0, 9.0, 31.0, 38.0]]
    item = {
        "id": 1,
        "category_id": 1,
        "segmentation": polygon,
        "bbox": [6, 8, 40, 20],
        "area": 100.0,
    }
    (made,) = shrunk_record({"objects": [item]}).objects
    halved = [[value / 2 for value in polygon[0]]]
    np.testing.assert_array_equal(made.runs, rle.rle(halved, *SMALL))
    assert made.box == (4, 3, 14, 23)
    assert made.area == 25


@pytest.mark.parametrize("kind", ["dense", "counts", "value", "file"])
def test_other_masks_are_the_nearest(kind):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:31, 10:47] = 1
    runs = rle.rle(mask, HEIGHT, WIDTH)
    counts = compressed_rles([runs], HEIGHT, WIDTH)[0]
    item: dict[str, Any] = {"id": 1, "category_id": 1}
    annotation: dict[str, Any] = {"objects": [item]}
    if kind == "dense":
        item["segmentation"] = mask
    elif kind == "counts":
        item["segmentation"] = counts
    elif kind == "value":
        item["mask_value"] = 1
        annotation["mask_image"] = {"path": "m.png", "encoding": "index"}
    else:
        annotation = {"mask_files": [{"path": "m.png", "category_id": 1}]}
    (made,) = shrunk_record(annotation, **{"m.png": saved(mask)}).objects
    found = rle.decode(made.runs, *SMALL)
    np.testing.assert_array_equal(found, shrink_pixels(mask, SMALL))


def test_bad_mask_is_told_as_it_stands_in_the_source():
    item = {
        "id": 7,
        "category_id": 1,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]},
    }
    message = r"annotation 7: runs .* sum to 5: expected 40x60"
    with pytest.raises(AnnotationError, match=message):
        shrunk_record({"objects": [item]})
    bad: list[AnnotationError] = []
    good = {"id": 8, "category_id": 1, "bbox": [0, 0, 60, 40]}
    record = encode_record(
        {"image": "a.png", "objects": [item, good]},
        {"a.png": photo()},
        LABELS,
        max_size=30,
        on_bad_object=bad.append,
    )
    assert len(bad) == 1
    assert [made.box for made in record.objects] == [(0, 0, 20, 30)]


def test_relative_polygons_keypoints_and_regions_follow():
    square = [0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0]
    objects = [{"id": 1, "category_id": 1, "segmentation": [square]}]
    record = shrunk_record({"objects": objects, "is_relative": True})
    assert rle.decode(record.objects[0].runs, *SMALL)[:, :15].all()
    assert rle.area(record.objects[0].runs) == 20 * 15
    region = {"name": "head", "bbox": [10, 20, 30, 10]}
    (made,) = shrunk_record({"regions": [region]}).regions
    assert made.box == (10, 5, 15, 20)
