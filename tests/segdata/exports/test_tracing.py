from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segdata.errors import MissingDependencyError
from segdata.exports.tracing import exact_polygons, trace
from segdata.exports.yolo import join_rings
from segdata.masks import rle
from segdata.masks.coco_export import compressed_rles

MASKS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    elements=st.integers(0, 1),
)


def polygons_of(mask: NDArray[np.uint8]) -> list[list[float]] | None:
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


def test_parts_that_touch_over_a_corner_are_two() -> None:
    assert len(trace(np.eye(2, dtype=np.uint8))) == 2


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_compressed_rle_decodes_to_the_mask(mask) -> None:
    [encoded] = compressed_rles([rle.rle(mask, *mask.shape)], *mask.shape)
    assert encoded == rle.to_coco(rle.rle(mask, *mask.shape), *mask.shape)


def test_no_masks_have_no_rles() -> None:
    assert compressed_rles([], 5, 5) == []


def even_odd(ring: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """Pixels whose centres a ray to the left leaves through an odd number of edges."""
    inside = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= (crosses & (x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x)).astype(
                np.uint8
            )
    return inside


@settings(max_examples=60, deadline=None)
@given(MASKS.filter(lambda mask: mask.any()))
def test_joined_rings_have_the_inside_of_the_mask(mask) -> None:
    ring = join_rings([ring for rings in trace(mask) for ring in rings])
    assert np.array_equal(even_odd(ring, *mask.shape), mask)


def test_without_rasterio_it_is_said_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio.features", None)
    with pytest.raises(MissingDependencyError, match=r"segdata\[polygons\]"):
        trace(np.ones((2, 2), np.uint8))
