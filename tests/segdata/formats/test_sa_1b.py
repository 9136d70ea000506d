"""SA-1B's JSON files: each row of the table in `docs/formats.md`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError, SourceError
from segdata.formats.sa_1b import SA1B, read_sa_1b
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
SIZE = [20, 30]


def rle() -> dict[str, Any]:
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[3:9, 4:20] = 1
    encoded = coco_mask.encode(mask)
    return {"size": SIZE, "counts": encoded["counts"].decode()}


def write(folder: Path, name: str, *rows: Any, **image: Any) -> None:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = {"image_id": 7, "height": SIZE[0], "width": SIZE[1]}
    data = {"image": {**sides, "file_name": "x.jpg", **image}, "annotations": [*rows]}
    path.write_text(json.dumps(data))
    Image.new("RGB", (SIZE[1], SIZE[0])).save(path.with_suffix(".jpg"))


def test_every_mask_is_an_object_of_one_class(
    tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    plain = {"size": SIZE, "counts": [63, 6, 531]}
    good = [
        {"id": 1, "segmentation": rle(), "area": 96, "predicted_iou": 0.9},
        {"id": 2, "segmentation": plain, "bbox": [3, 3, 1, 6], "category_id": 5},
        {"id": 3, "segmentation": [[2, 3, 12, 3, 12, 13]]},
    ]
    bad = [
        {"id": 4, "segmentation": {"size": SIZE, "counts": "\x01"}},
        {"id": 5, "segmentation": {"size": SIZE, "counts": [2**70]}},
        {"id": 6, "segmentation": {"size": [30, 20], "counts": [600]}},
        "none",
        {"id": 8},
    ]
    folder = tmp_path / "in"
    write(folder, "train/a", *good, *bad)
    write(folder, "val/b", *good)
    write(folder, "val/c", height=21)
    write(folder, "val/d")
    (folder / "val/d.jpg").unlink()
    Image.new("RGB", (4, 4)).save(folder / "val/e.jpg")
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=SA1B(),
        on_error="skip",
        max_reject_share=1,
    )
    [record] = RecordSource(tmp_path / "out", "train")
    assert [item.name for item in record.objects] == ["object"] * 3
    assert record.source == {"file_name": "x.jpg"}
    assert record.image_id == "7"
    sources = [item.source for item in record.objects]
    assert sources[0]["predicted_iou"] == 0.9
    assert sources[1]["source_category"] == 5
    assert sources[1]["bbox"] == [3, 3, 1, 6]
    for item, expected in zip(record.objects[:2], (rle(), plain), strict=True):
        encoded: Any = expected
        if isinstance(expected["counts"], list):
            encoded = coco_mask.frPyObjects(expected, *SIZE)
        assert np.array_equal(record.mask(item), coco_mask.decode(encoded))
    assert manifest.splits["train"].rejected_objects == {
        "bad-annotation": 1,
        "bad-rle": 2,
        "mask-size-mismatch": 1,
        "object-without-geometry": 1,
    }
    assert manifest.splits["val"].rejects == {
        "image-missing": 1,
        "image-size-mismatch": 1,
    }
    assert manifest.warnings == (
        "1 image without JSON left out, e.g. val/e.jpg",
        "1 JSON has no image, e.g. val/d.json",
    )


@pytest.mark.parametrize("data", [b"", b"[]", b'{"annotations": 3}', b'{"a": NaN}'])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_sa_1b(data, {"image": "a.jpg"})
    assert caught.value.reason == "bad-json"


def test_image_of_no_object_is_no_matter() -> None:
    data = json.dumps({"annotations": [], "image": "a.jpg"}).encode()
    assert read_sa_1b(data, {"image": "a.jpg"}) == {"objects": [], "source": {}}


def test_recognized_by_the_head(tmp_path: Path) -> None:
    write(tmp_path / "sa", "sa_000000/a", {"id": 1, "segmentation": rle()})
    assert SA1B.recognize(tmp_path / "sa") is not None
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/a.json").write_text('{"images": [], "annotations": []}')
    assert SA1B.recognize(tmp_path / "coco") is None
    with pytest.raises(SourceError, match="got 0 images and 1 JSON files"):
        SA1B().scan(tmp_path / "coco")
