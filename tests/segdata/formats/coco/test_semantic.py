"""`--semantic`: label maps painted from instances and from panoptic segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folder import (
    CATEGORIES,
    HEIGHT,
    WIDTH,
    build,
    object_row,
    records,
    table,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_masks import seeds, sides

from segdata.errors import OptionError
from segdata.formats.coco.categories import object_classes, painted_label_map
from segdata.formats.coco.format import Coco
from segdata.label_map import LabelMap
from segdata.masks import rle
from segdata.records.objects import encode_objects
from segdata.records.painting import paint_label_map

SEMANTIC = Coco(semantic=True)
CAT, DOG = 1, 2


def rectangle(x: int, y: int, width: int, height: int) -> list[list[int]]:
    right, bottom = x + width, y + height
    return [[x, y, right, y, right, bottom, x, bottom]]


def painted(root: Path, *rows: Any) -> NDArray[np.uint8]:
    build(write(root, table(annotations=list(rows))), coco=SEMANTIC)
    label_map = records(root)["images/a"].label_map()
    assert label_map is not None
    return label_map


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "source"


def test_background_is_class_0_and_classes_keep_their_ids(root: Path) -> None:
    label_map = painted(root, object_row(category_id=9))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:6, 2:8] = DOG
    np.testing.assert_array_equal(label_map, expected)
    scan = SEMANTIC.scan(root)
    names = {c.name: c.id for c in scan.label_map.semantic_classes}
    assert names == {"background": 0, "cat": CAT, "dog": DOG}
    assert (scan.label_map.ignore_id, scan.label_map.unpainted_id) == (None, 0)


def test_objects_are_there_beside_the_label_map(root: Path) -> None:
    painted(root, object_row(), object_row(11, category_id=9))
    assert [o.label for o in records(root)["images/a"].objects] == [CAT, DOG]


def test_image_without_objects_is_background(root: Path) -> None:
    label_map = painted(root, object_row(5, 2))
    np.testing.assert_array_equal(label_map, np.zeros((HEIGHT, WIDTH)))


def test_smaller_mask_lies_above_a_larger_one_whatever_the_order(root: Path) -> None:
    small = {"segmentation": rectangle(3, 3, 3, 2), "category_id": 9}
    for ids in ((10, 11), (11, 10)):
        label_map = painted(root, object_row(ids[0]), object_row(ids[1], **small))
        assert (label_map[3:5, 3:6] == DOG).all()
        assert (label_map == CAT).sum() == 24 - 6


def test_of_equal_masks_the_later_id_is_above(root: Path) -> None:
    rows = [object_row(11), object_row(10, category_id=9)]
    assert (painted(root, *rows)[2:6, 2:8] == CAT).all()


def test_crowd_lies_below_everything(root: Path) -> None:
    crowd = {"segmentation": rectangle(3, 3, 3, 2), "category_id": 9, "iscrowd": 1}
    label_map = painted(root, object_row(), object_row(11, **crowd))
    assert (label_map[2:6, 2:8] == CAT).all()


def test_box_without_mask_is_not_painted(root: Path) -> None:
    label_map = painted(root, object_row(segmentation=[], category_id=9))
    assert not label_map.any()


def test_refused_object_is_not_painted(root: Path) -> None:
    write(root, table(annotations=[object_row(), object_row(11, bbox=[1])]))
    build(root, "skip", SEMANTIC)
    label_map = records(root)["images/a"].label_map()
    assert label_map is not None
    assert (label_map == CAT).sum() == 24


def test_pixels_are_counted_in_the_manifest(root: Path) -> None:
    write(root, table(annotations=[object_row()]))
    manifest = build(root, coco=SEMANTIC)
    assert manifest.splits["train"].counts.class_pixels == {
        "0": 2 * HEIGHT * WIDTH - 24,
        str(CAT): 24,
    }


@pytest.mark.parametrize(("has_void", "most"), [(False, 255), (True, 254)])
def test_more_classes_than_a_byte_holds_are_refused(has_void: bool, most: int) -> None:
    def classes(count: int) -> Any:
        return object_classes({i: {"id": i, "name": str(i)} for i in range(count)})

    label_map = painted_label_map(classes(most), has_void=has_void)
    assert max(c.id for c in label_map.semantic_classes) == most
    assert label_map.unpainted_id == (255 if has_void else 0)
    assert label_map.ignore_id == (255 if has_void else None)
    with pytest.raises(OptionError, match=rf"--semantic cannot paint {most + 1} class"):
        painted_label_map(classes(most + 1), has_void=has_void)


def test_category_called_background_is_none(root: Path) -> None:
    categories = [{"id": 5, "name": "background"}, CATEGORIES[1]]
    write(root, table(categories=categories))
    scan = SEMANTIC.scan(root)
    assert [c.name for c in scan.label_map.semantic_classes] == [
        "background of all",
        "background",
        "dog",
    ]


# --- against a reference -------------------------------------------------------------

CLASSES = object_classes({i: {"id": i, "name": f"c{i}"} for i in range(4)})
LABELS = painted_label_map(CLASSES, has_void=False)
VOID = painted_label_map(CLASSES, has_void=True)


def reference(
    objects: list[dict[str, Any]], unpainted: int, height: int, width: int
) -> NDArray[np.uint8]:
    """The rule, pixel by pixel: the highest of the objects that cover it."""
    result = np.full((height, width), unpainted, np.uint8)
    for y in range(height):
        for x in range(width):
            best: tuple[Any, ...] = ()
            for place, item in enumerate(objects):
                mask = item.get("segmentation")
                if mask is None or not mask[y, x]:
                    continue
                rank = (not item["iscrowd"], -int(mask.sum()), place)
                if not best or rank > best:
                    best = rank
                    result[y, x] = item["category_id"] + 1
    return result


@settings(deadline=None, max_examples=150)
@given(
    seed=seeds,
    height=sides,
    width=sides,
    count=st.integers(0, 7),
    label_map=st.sampled_from([LABELS, VOID]),
)
def test_painting_is_the_rule_pixel_by_pixel(
    seed: int, height: int, width: int, count: int, label_map: LabelMap
) -> None:
    rng = np.random.default_rng(seed)
    objects: list[dict[str, Any]] = []
    for number in range(count):
        item: dict[str, Any] = {
            "id": number,
            "category_id": int(rng.integers(4)),
            "iscrowd": int(rng.random() < 0.3),
            "bbox": [0, 0, 1, 1],
        }
        if rng.random() < 0.9:
            # Equal areas are frequent: masks are moved copies of few.
            share = rng.choice([0, 0.1, 0.5, 1])
            mask = np.zeros(height * width, np.bool_)
            mask[: int(share * mask.size)] = True
            rng.shuffle(mask)
            item["segmentation"] = mask.reshape(height, width)
        objects.append(item)
    encoded = encode_objects(objects, label_map, (height, width), set())
    runs = paint_label_map(encoded, label_map, height, width)
    assert (runs.values[1:] != runs.values[:-1]).all()
    unpainted = label_map.unpainted_id
    assert unpainted is not None
    np.testing.assert_array_equal(
        rle.decode_label_map(runs.values, runs.lengths, height, width),
        reference(objects, unpainted, height, width),
    )
