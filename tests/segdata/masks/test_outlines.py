from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segdata.masks import rle
from segdata.masks.outlines import exact_polygons, trace

MASKS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    elements=st.integers(0, 1),
)


def polygons_of(mask: NDArray[np.uint8]) -> list[list[int]] | None:
    return exact_polygons(rle.rle(mask, *mask.shape), *mask.shape)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_polygons_decode_to_the_mask_whatever_its_parts_and_holes(mask) -> None:
    polygons = polygons_of(mask)
    if not mask.any():
        assert polygons is None
        return
    assert polygons is not None
    again = rle.decode(rle.rle(polygons, *mask.shape), *mask.shape)
    assert np.array_equal(again, mask)


def test_hole_is_cut_open_and_kept() -> None:
    mask = np.ones((7, 9), np.uint8)
    mask[2:5, 3:6] = 0
    polygons = polygons_of(mask)
    assert polygons is not None
    assert len(polygons) == 2
    assert rle.area(rle.rle(polygons, 7, 9)) == 63 - 9


def test_rectangle_has_four_points() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 1
    [polygon] = polygons_of(mask)
    points = {tuple(p) for p in np.reshape(polygon, (-1, 2)).tolist()}
    assert points == {(2, 1), (7, 1), (7, 4), (2, 4)}
    assert len(polygon) == 8


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_whole_small_images_are_traced(size: tuple[int, int]) -> None:
    assert polygons_of(np.ones(size, np.uint8)) is not None


@pytest.mark.parametrize("turns", [0, 1])
def test_parts_that_touch_over_a_corner_are_two(turns: int) -> None:
    parts, holes = trace(np.rot90(np.eye(2, dtype=np.uint8), turns))
    assert [len(ring) for ring in parts] == [4, 4]
    assert holes == []


def test_outlines_and_holes_go_clockwise_from_the_upper_left() -> None:
    mask = np.ones((4, 5), np.uint8)
    mask[1:3, 2] = 0
    parts, holes = trace(mask)
    assert [ring.tolist() for ring in parts] == [[[0, 0], [5, 0], [5, 4], [0, 4]]]
    assert [ring.tolist() for ring in holes] == [[[2, 1], [3, 1], [3, 3], [2, 3]]]
