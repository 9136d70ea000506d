"""Keypoints on pictures: which are drawn, where, and how visible ones differ."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.drawing.draw import DrawnObject, draw_objects, scale_object
from segdata.drawing.keypoints import draw_keypoints

COLOR = (200, 0, 0)


def drawn(
    *points: tuple[float, float, int],
    skeleton: tuple[tuple[int, int], ...] = (),
    size: tuple[int, int] = (100, 80),
) -> NDArray[np.uint8]:
    canvas = Image.new("RGB", size, (0, 90, 0))
    draw_keypoints(canvas, np.array(points, np.float32), skeleton, COLOR)
    return np.array(canvas)


def changed(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (pixels != (0, 90, 0)).any(axis=2)


def test_visible_point_is_filled_and_covered_one_hollow() -> None:
    pixels = drawn((30, 20, 2), (70, 20, 1))
    assert pixels[20, 30].tolist() == [200, 0, 0]
    assert pixels[20, 70].tolist() == [255, 255, 255]
    red, green, _ = pixels[20, 60:70].astype(int).T
    assert (red > green + 80).any()  # its rim


def test_point_that_is_not_labelled_is_not_drawn() -> None:
    assert not changed(drawn((0, 0, 0), (50, 40, 0), skeleton=((1, 2),))).any()


def test_bone_joins_what_is_labelled() -> None:
    whole = drawn((20, 40, 2), (80, 40, 2), (50, 10, 0), skeleton=((1, 2), (1, 3)))
    assert changed(whole)[40, 20:80].all()
    assert not changed(whole)[:30].any()


def test_bone_with_a_covered_end_is_dashed() -> None:
    dashed = changed(drawn((20, 40, 2), (80, 40, 1), skeleton=((1, 2),)))[40, 20:81]
    assert 0.3 < dashed.mean() < 0.9


@pytest.mark.parametrize("bone", [(0, 1), (1, 9), (-3, 2), (1, 1)])
def test_bone_that_names_no_keypoint_is_left_out(bone: tuple[int, int]) -> None:
    points = ((20.0, 40.0, 2), (80.0, 40.0, 2))
    expected = drawn(*points)
    assert np.array_equal(changed(drawn(*points, skeleton=(bone,))), changed(expected))


@pytest.mark.parametrize("far", [1e30, -1e30, 400])
def test_point_far_outside_is_left_out(far: float) -> None:
    pixels = drawn((20, 40, 2), (far, far, 2), skeleton=((1, 2),))
    assert np.array_equal(pixels, drawn((20, 40, 2)))
    assert not changed(drawn((far, 40, 2))).any()


def test_bone_to_a_point_a_little_outside_ends_at_the_border() -> None:
    pixels = drawn((20, 40, 2), (120, 40, 2), skeleton=((1, 2),))
    assert changed(pixels)[40, 20:].all()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (1100, 30)])
def test_picture_of_any_size(size: tuple[int, int]) -> None:
    pixels = drawn((0, 0, 2), (size[0], size[1], 1), skeleton=((1, 2),), size=size)
    assert pixels.shape == (size[1], size[0], 3)
    assert changed(pixels)[0, 0]


def test_object_is_scaled_with_its_keypoints() -> None:
    item = DrawnObject(
        name="a",
        color=COLOR,
        box=(10, 20, 30, 60),
        mask=np.ones((80, 100), np.uint8),
        keypoints=np.array([[20, 10, 2], [60, 30, 0]], np.float32),
        skeleton=((1, 2),),
    )
    old, new = np.zeros((80, 100, 3), np.uint8), np.zeros((40, 25, 3), np.uint8)
    scaled = scale_object(item, old, new)
    assert scaled.box == (5, 5, 15, 15)
    assert scaled.mask is not None
    assert scaled.mask.shape == (40, 25)
    assert scaled.keypoints is not None
    assert scaled.keypoints.tolist() == [[5, 5, 2], [15, 15, 0]]
    assert scaled.skeleton == item.skeleton


def test_keypoints_lie_above_masks_of_other_objects() -> None:
    """Also above those of smaller objects, which are drawn later."""
    low = DrawnObject(
        name="low",
        color=COLOR,
        box=(0, 0, 80, 100),
        mask=None,
        keypoints=np.array([[50, 40, 2]], np.float32),
    )
    mask = np.zeros((80, 100), np.uint8)
    mask[30:50, 40:60] = 1
    high = DrawnObject(name="h", color=(0, 0, 250), box=(30, 40, 50, 60), mask=mask)
    pixels = draw_objects(np.zeros((80, 100, 3), np.uint8), [high, low])
    assert pixels[40, 50].tolist() == list(COLOR)
