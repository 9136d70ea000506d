import colorsys

import numpy as np
import pytest

from segdata.reading.color import NUM_DRAWS, jitter_colors, mean_gray
from segdata.reading.options import Augmentation
from segdata.streams.tensorflow import tf

LUMA = np.array([0.299, 0.587, 0.114])
IMAGE = np.random.default_rng(0).uniform(60, 190, (6, 7, 3)).astype(np.float32)


def jitter(draws, image=IMAGE, **amounts):
    """Draws are given from -1 to 1: brightness, contrast, saturation, hue."""
    uniform, augmentation = (np.array(draws) + 1) / 2, Augmentation(**amounts)
    found = jitter_colors(image, augmentation, uniform)
    in_graph = jitter_colors(
        tf.constant(image), augmentation, tf.constant(uniform, tf.float64), tf
    )
    np.testing.assert_allclose(found, in_graph, atol=1e-3)
    return found


def test_nothing_drawn_changes_nothing():
    amounts = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.5}
    np.testing.assert_allclose(jitter([0] * NUM_DRAWS, **amounts), IMAGE, atol=1e-3)


@pytest.mark.parametrize("draw", [-1.0, 0.3, 1.0])
def test_brightness_adds_a_part_of_the_scale(draw):
    found = jitter([draw, 1, 1, 1], brightness=0.1)
    np.testing.assert_allclose(found, IMAGE + 25.5 * draw, atol=1e-3)


@pytest.mark.parametrize("draw", [-1.0, 0.5, 1.0])
def test_contrast_scales_around_the_mean_grey(draw):
    gray = (IMAGE @ LUMA).mean()
    np.testing.assert_allclose(mean_gray(IMAGE), gray, rtol=1e-4)
    found = jitter([1, draw, 1, 1], contrast=0.2)
    np.testing.assert_allclose(
        found, (IMAGE - gray) * (1 + 0.2 * draw) + gray, atol=0.01
    )


@pytest.mark.parametrize("draw", [-1.0, 0.5])
def test_saturation_scales_the_distance_from_grey(draw):
    gray = (IMAGE @ LUMA)[..., None]
    found = jitter([1, 1, draw, 1], saturation=0.6)
    np.testing.assert_allclose(
        found, gray + (IMAGE - gray) * (1 + 0.6 * draw), atol=0.2
    )


def test_hue_turns_colours_and_keeps_luma_and_grey():
    found = jitter([1, 1, 1, 1], hue=1 / 3)
    np.testing.assert_allclose(found @ LUMA, IMAGE @ LUMA, atol=0.3)
    gray = np.full((2, 2, 3), 99, np.float32)
    np.testing.assert_allclose(jitter([1, 1, 1, 1], gray, hue=0.5), gray, atol=0.3)
    red = np.array([[[160, 110, 110]]], np.float32)
    [[turned]] = jitter([1, 1, 1, 1], red, hue=1 / 3)
    hue, _, _ = colorsys.rgb_to_hsv(*(turned / 255))
    assert min(abs(hue - third) for third in (1 / 3, 2 / 3)) < 0.06


def test_colours_stay_in_range():
    found = jitter([1, 1, 1, 1], IMAGE * 1.3, brightness=1.0, contrast=1.0)
    assert found.max() <= 255
    assert jitter([-1, 1, 1, 1], brightness=1.0).min() >= 0
