"""Shapes of labelling tools as polygons and runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segdata.formats.outlines import (
    ellipse,
    extent,
    flat,
    is_size,
    placed_mask,
    turned_box,
)
from segdata.masks import rle


@pytest.mark.parametrize("radius", [0.5, 3, 40, 900])
def test_ellipse_is_hardly_off_the_arc(radius: float) -> None:
    corners = np.reshape(ellipse(5, 7, radius, radius / 2), (-1, 2)) - (5, 7)
    middles = (corners + np.roll(corners, 1, axis=0)) / 2
    distance = np.hypot(middles[:, 0], middles[:, 1] * 2)
    assert np.hypot(corners[:, 0], corners[:, 1] * 2) == pytest.approx(radius)
    assert (radius - distance).max() < 0.25


def test_turned_box_goes_around_its_middle_or_corner() -> None:
    box = (10, 20, 4, 2, 90)
    middle = np.reshape(turned_box(*box, "middle"), (-1, 2))
    corner = np.reshape(turned_box(*box, "corner"), (-1, 2))
    assert middle == pytest.approx(np.array([[13, 19], [13, 23], [11, 23], [11, 19]]))
    assert corner == pytest.approx(np.array([[10, 20], [10, 24], [8, 24], [8, 20]]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_no_place_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no place in an image"):
        ellipse(value, 0, 1, 1)
    with pytest.raises(ValueError, match="no place in an image"):
        turned_box(0, 0, value, 1, 0, "middle")


@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ([3, 4, 1, 9], [1, 4, 2, 5]),
        ([3, 4], [3, 4, 0, 0]),
        ([], [[]]),
        ([1, 2, 3], [[1, 2, 3]]),
        (["x", 2], [["x", 2]]),
        (None, [None]),
        ([10**400, 1], [[10**400, 1]]),
    ],
)
def test_extent_of_what_is_no_list_of_points_is_no_box(numbers: Any, box: Any) -> None:
    assert extent(numbers) == box


def test_flat_leaves_what_are_no_points() -> None:
    assert flat([[1, 2], [3, 4]]) == [1, 2, 3, 4]
    assert flat(5) == 5
    assert flat([1, 2]) == [1, 2]


def test_placed_masks_are_those_of_the_whole_image() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        height, width, rows, columns = rng.integers(1, 12, 4)
        left, top = rng.integers(-12, 14, 2)
        part = rng.random((rows, columns)) < 0.6
        whole = np.zeros((60, 60), np.uint8)
        whole[24 + top : 24 + top + rows, 24 + left : 24 + left + columns] = part
        placed = placed_mask(part, int(left), int(top), int(height), int(width))
        found = rle.decode(rle.rle(placed, height, width), height, width)
        assert np.array_equal(found, whole[24 : 24 + height, 24 : 24 + width])


def test_sizes_are_whole_and_not_too_large() -> None:
    assert is_size(1, 1 << 28)
    for height, width in ((0, 5), (5, 0), (-1, -1), (True, 5), (1.0, 5), ("1", 5)):
        assert not is_size(height, width)
    assert not is_size(1 << 15, 1 << 14)
