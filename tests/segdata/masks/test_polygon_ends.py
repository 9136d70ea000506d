"""Ends of polygons' vertical runs: to the bit what pycocotools rasterises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from segdata.masks import polygons, rle
from segdata.masks.polygon_ends import polygon_ends

pytestmark = [
    pytest.mark.usefixtures("mask_way"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    ),
]

# Halves and fifths lie on the ties of the five-fold oversampling.
coordinates = st.one_of(
    st.floats(-40, 120, allow_nan=False),
    st.integers(-20, 60).map(float),
    st.integers(-100, 300).map(lambda number: number / 5),
    st.integers(-40, 120).map(lambda number: number / 2),
)
parts = st.integers(3, 9).flatmap(
    lambda corners: st.lists(coordinates, min_size=2 * corners, max_size=2 * corners)
)
image_objects = st.lists(
    st.lists(parts, min_size=1, max_size=4), min_size=1, max_size=4
)
sides = st.integers(1, 50)


def expected_mask(polygons, height, width):
    encoded = coco_mask.frPyObjects(polygons, height, width)
    return coco_mask.decode(coco_mask.merge(encoded))


@settings(max_examples=300, deadline=None)
@given(image_objects, sides, sides)
def test_filled_pixels_are_those_of_pycocotools(objects, height, width):
    owners = np.repeat(np.arange(len(objects)), [len(item) for item in objects])
    arrays = [np.array(part) for item in objects for part in item]
    rows, columns, owner = polygon_ends(arrays, owners, height, width)
    toggles = np.zeros((len(objects), height + 1, width), np.int64)
    np.add.at(toggles, (owner, rows, columns), 1)
    for item, found in zip(objects, toggles.cumsum(axis=1) % 2, strict=True):
        np.testing.assert_array_equal(
            found[:height], expected_mask(item, height, width)
        )


@settings(max_examples=100, deadline=None)
@given(image_objects, sides, sides)
def test_both_ways_give_the_same_runs(objects, height, width):
    quick = rle.rle_batch(objects, height, width)
    for item, runs in zip(objects, quick, strict=True):
        rle.validate_runs(runs, height, width)
        np.testing.assert_array_equal(
            rle.decode(runs, height, width), expected_mask(item, height, width)
        )


def test_long_outlines_are_left_to_pycocotools_with_the_same_result(monkeypatch):
    objects = [[[1, 1, 9, 2, 5, 8.5]], [[0, 0, 4, 0, 4, 4], [2, 2, 9, 2, 9, 9, 2, 9]]]
    dense = np.eye(10, dtype=np.uint8)
    crowd = coco_mask.encode(np.asfortranarray(dense))
    quick = rle.rle_batch([crowd, *objects], 10, 10)
    monkeypatch.setattr(polygons, "_ENCODED_AT_ONCE", 1)
    slow = rle.rle_batch([crowd, *objects], 10, 10)
    assert [runs.tolist() for runs in quick] == [runs.tolist() for runs in slow]
    np.testing.assert_array_equal(rle.decode(quick[0], 10, 10), dense)


def test_every_mask_of_real_coco_is_that_of_pycocotools(shared_data: Path):
    table = json.loads((shared_data / "coco/annotations/instances.json").read_bytes())
    sizes = {row["id"]: (row["height"], row["width"]) for row in table["images"]}
    count = 0
    for row in table["annotations"]:
        if isinstance(row["segmentation"], list):
            size = sizes[row["image_id"]]
            runs = rle.rle(row["segmentation"], *size)
            np.testing.assert_array_equal(
                rle.decode(runs, *size), expected_mask(row["segmentation"], *size)
            )
            count += 1
    assert count > 1000
