import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nearest import stretched_pixels
from random_masks import fast

from segdata.streams.nearest import Sampling, stretched
from segdata.streams.tensorflow import tf

whole = st.integers(1, 60)


def sampling(start, step, unit, count):
    return Sampling(
        start=float(start), step=float(step), unit=float(unit), count=float(count)
    )


@fast
@given(st.integers(-50, 200), whole, whole, whole)
def test_samples_before_counts_the_samples_below_each_edge(start, step, unit, count):
    axis = sampling(start, step, unit, count)
    pixels = (start + step * np.arange(count)) // unit
    edges = np.arange(-2, 70)
    before = axis.samples_before(tf.constant(edges, tf.float64))
    np.testing.assert_array_equal(before, [(pixels < edge).sum() for edge in edges])
    found = axis.pixels(tf.range(float(count), dtype=tf.float64))
    np.testing.assert_array_equal(found, pixels)


@fast
@given(st.integers(0, 30), whole, whole)
def test_stretched_samples_at_half_pixel_centres(first, size, count):
    axis = stretched(float(first), float(size), float(count))
    found = axis.pixels(tf.range(float(count), dtype=tf.float64))
    np.testing.assert_array_equal(found, stretched_pixels(first, size, count))


@fast
@given(st.integers(0, 30), whole, whole, st.booleans())
def test_without_repeats_touches_the_same_pixels_once(first, size, count, known):
    kind = float if known else lambda value: tf.constant(value, tf.float64)
    axis = stretched(kind(first), kind(size), kind(count))
    pixels = np.unique(stretched_pixels(first, size, count))
    once = axis.without_repeats()
    samples = tf.range(tf.constant(once.count, tf.float64))
    found = once.pixels(samples).numpy()
    if len(pixels) < count:
        np.testing.assert_array_equal(found, pixels)
    else:
        np.testing.assert_array_equal(found, stretched_pixels(first, size, count))


def test_positions_of_huge_images_stay_exact():
    size = float(2**28)
    axis = stretched(0.0, size, 1024.0)
    for edge in (2**28 - 1, 2**27 + 1, 2**27):
        [before] = axis.samples_before(tf.constant([float(edge)], tf.float64)).numpy()
        pixels = [((2 * i + 1) * 2**28) // 2048 for i in range(1024)]
        assert before == sum(pixel < edge for pixel in pixels)


def test_of_picks_axes():
    both = Sampling(
        start=tf.constant([0.0, 5.0], tf.float64),
        step=tf.constant([1.0, 2.0], tf.float64),
        unit=tf.constant([1.0, 3.0], tf.float64),
        count=tf.constant([4.0, 6.0], tf.float64),
    )
    picked = both.of(tf.constant([1, 0, 1]))
    assert picked.start.numpy().tolist() == [5, 0, 5]
    assert picked.count.numpy().tolist() == [6, 4, 6]
