from __future__ import annotations

import numpy as np
import pytest
from mask_rcnn_references import paste

from segdata.trainers.models.mask_rcnn.pasting import paste_masks

SIZE = (23, 31)


@pytest.mark.parametrize(
    "box",
    [
        (3.0, 4.0, 17.0, 29.0),
        (2.3, 5.7, 9.1, 8.2),
        (-4.5, -3.2, 12.0, 40.0),  # reaches outside
        (0.0, 0.0, 23.0, 31.0),
        (7.0, 9.0, 8.0, 10.0),  # one pixel
        (7.4, 9.4, 7.6, 9.6),  # less than one, around its centre
        (7.6, 9.6, 8.4, 10.4),  # between centres
        (22.2, 30.1, 60.0, 90.0),
    ],
)
def test_pixels_are_bilinear_samples_at_their_centres(box: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 28, 28)).astype(np.float32)
    boxes = np.tile(np.asarray(box, np.float32), (3, 1))
    found = paste_masks(masks, boxes, *SIZE)
    assert found.shape == (3, *SIZE)
    assert found.dtype == np.bool_
    for image, mask in zip(found, masks, strict=True):
        expected = paste(mask, boxes[0], *SIZE)
        sure = np.abs(expected - 0.5) > 1e-6
        np.testing.assert_array_equal(image[sure], expected[sure] >= 0.5)
        assert sure.mean() > 0.99


@pytest.mark.parametrize(
    "box", [(30, 3, 40, 9), (-9, 3, -2, 9), (5, 5, 5, 9), (9, 5, 3, 9), (0, 0, 0, 0)]
)
def test_nothing_is_pasted_outside_or_into_empty_boxes(box: tuple[int, ...]) -> None:
    found = paste_masks(np.ones((1, 28, 28), "f4"), np.asarray([box], "f4"), *SIZE)
    assert not found.any()


def test_a_full_mask_fills_the_pixels_whose_centres_are_in_the_box() -> None:
    box = np.asarray([[2.5, 3.5, 6.5, 7.4]], np.float32)
    [found] = paste_masks(np.ones((1, 4, 6), np.float32), box, *SIZE)
    expected = np.zeros(SIZE, bool)
    expected[2:6, 3:7] = True
    np.testing.assert_array_equal(found, expected)


def test_no_masks_give_no_images() -> None:
    found = paste_masks(np.zeros((0, 28, 28), "f4"), np.zeros((0, 4), "f4"), *SIZE)
    assert found.shape == (0, *SIZE)


def test_a_mask_of_its_own_size_comes_back_as_it_was() -> None:
    mask = np.random.default_rng(1).random((1, 9, 7)) > 0.5
    box = np.asarray([[4, 6, 13, 13]], np.float32)
    [found] = paste_masks(mask.astype(np.float32), box, *SIZE)
    np.testing.assert_array_equal(found[4:13, 6:13], mask[0])
    assert found.sum() == mask.sum()
