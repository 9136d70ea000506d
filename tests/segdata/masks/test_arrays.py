from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segdata.errors import AnnotationError
from segdata.masks import arrays, rle

NO_MASK = np.zeros(0, np.int64)


@st.composite
def scenes(draw: st.DrawFn) -> list[NDArray[np.uint8]]:
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = draw(st.lists(st.sampled_from([0, 0.05, 0.5, 1]), min_size=1, max_size=6))
    return [(rng.random((height, width)) < s).astype(np.uint8) for s in shares]


def runs_of(masks: list[NDArray[np.uint8]]) -> list[NDArray[np.int64]]:
    return rle.rle_batch(masks, *masks[0].shape)


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_masks_come_back(masks: list[NDArray[np.uint8]]) -> None:
    found = arrays.decode_masks(runs_of(masks), *masks[0].shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, masks)


def test_object_without_mask_is_all_zeros() -> None:
    mask = np.eye(4, dtype=np.uint8)
    found = arrays.decode_masks([NO_MASK, *runs_of([mask]), NO_MASK], 4, 4)
    assert [int(part.sum()) for part in found] == [0, 4, 0]


def test_no_objects_give_no_masks_of_the_images_size() -> None:
    assert arrays.decode_masks([], 4, 6).shape == (0, 4, 6)
    assert arrays.crop_masks([], np.zeros((0, 4)), (7, 9), 4, 6).shape == (0, 7, 9)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([3, 3], "sum"),
        ([30, 0, 5], "even"),
        ([40, -10], "negative|at least|below"),
        ([2**62, 2**62, 2**62, 2**62], "sum"),
        ([-(2**62), 2**62, 30, 0], "negative|at least|below"),
    ],
)
def test_bad_runs_are_refused_and_named(bad: list[int], message: str) -> None:
    good = np.array([25, 5], np.int64)
    runs = [good, np.array(bad, np.int64), good]
    with pytest.raises(AnnotationError, match=message) as caught:
        arrays.decode_masks(runs, 5, 6)
    assert caught.value.index == 1


def test_runs_that_are_right_only_together_are_refused() -> None:
    runs = [np.array([20, 5], np.int64), np.array([30, 5], np.int64)]
    with pytest.raises(AnnotationError) as caught:
        arrays.decode_masks(runs, 5, 6)
    assert caught.value.index == 0


def slow_crop(mask: NDArray[np.uint8], box: Any, size: tuple[int, int]) -> Any:
    """Straight from the definition, cell by cell."""
    limits = (*mask.shape, *mask.shape)
    ymin, xmin, ymax, xmax = (
        min(max(round(edge * 64), 0), limit * 64)
        for edge, limit in zip(box, limits, strict=True)
    )
    ymin, xmin = min(ymin, limits[0] * 64 - 1), min(xmin, limits[1] * 64 - 1)
    ymax, xmax = max(ymax, ymin + 1), max(xmax, xmin + 1)
    height, width = size
    return [
        [
            mask[
                ((2 * y + 1) * (ymax - ymin) + 2 * height * ymin) // (128 * height),
                ((2 * x + 1) * (xmax - xmin) + 2 * width * xmin) // (128 * width),
            ]
            for x in range(width)
        ]
        for y in range(height)
    ]


@settings(max_examples=200, deadline=None)
@given(
    scenes(),
    st.lists(st.floats(-5, 35, width=32), min_size=4, max_size=4),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_crops_are_the_pixels_below_the_cells_centres(
    masks: list[NDArray[np.uint8]], edges: list[float], height: int, width: int
) -> None:
    ymin, ymax = sorted(edges[:2])
    xmin, xmax = sorted(edges[2:])
    boxes = np.array([[ymin, xmin, ymax, xmax]] * len(masks))
    found = arrays.crop_masks(runs_of(masks), boxes, (height, width), *masks[0].shape)
    expected = [slow_crop(m, boxes[0], (height, width)) for m in masks]
    np.testing.assert_array_equal(found, expected)


def test_crop_of_the_whole_image_at_its_size_is_the_mask() -> None:
    mask = (np.arange(35).reshape(5, 7) % 3 == 0).astype(np.uint8)
    boxes = np.array([[0, 0, 5, 7.0]])
    found = arrays.crop_masks(runs_of([mask]), boxes, (5, 7), 5, 7)
    np.testing.assert_array_equal(found[0], mask)


def test_crop_of_an_object_without_mask_is_zeros() -> None:
    found = arrays.crop_masks([NO_MASK], np.array([[0, 0, 3, 3.0]]), (2, 2), 5, 7)
    assert not found.any()


def test_crop_of_bad_runs_is_refused_and_named() -> None:
    runs = [NO_MASK, np.array([3, 3], np.int64)]
    with pytest.raises(AnnotationError) as caught:
        arrays.crop_masks(runs, np.zeros((2, 4)), (2, 2), 5, 7)
    assert caught.value.index == 1
