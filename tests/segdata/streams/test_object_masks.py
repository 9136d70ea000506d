import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nearest import crop
from random_masks import fast, random_mask, seeds, sides

from segdata.masks.rle import rle
from segdata.streams import object_masks
from segdata.streams.tensorflow import tf

sizes = st.tuples(sides, sides)


def encoded(objects):
    """Runs and numbers of runs; None is an object without mask."""
    runs = [np.zeros(0, np.int64) if m is None else rle(m, *m.shape) for m in objects]
    return np.concatenate([np.zeros(0, np.int64), *runs]), np.array(
        [len(part) for part in runs], np.int64
    )


def sampled_over_boxes(objects, boxes, size, slots=None):
    height, width = next(m.shape for m in objects if m is not None)
    read = object_masks.read_runs(*encoded(objects), height, width)
    axes = object_masks.box_samplings(tf.constant(boxes, tf.float64), size, *read.size)
    slots = range(len(objects)) if slots is None else slots
    slots = tf.constant(list(slots), tf.int32)
    return object_masks.sample_masks(read, *axes, size, slots).numpy()


def random_objects(rng, height, width, count):
    objects = []
    for _ in range(count):
        density = rng.choice([0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
        objects.append(random_mask(height, width, density, rng.integers(2**32)))
    return objects


def random_boxes(rng, height, width, count):
    ends = np.sort(rng.random((count, 2, 2)) * 1.2 - 0.1, axis=1)
    return (ends * [height, width]).reshape(count, 4)


@fast
@given(sides, sides, sizes, seeds, st.integers(1, 5))
def test_crops_equal_nearest_sampling_of_the_dense_masks(h, w, size, seed, count):
    rng = np.random.default_rng(seed)
    objects = random_objects(rng, h, w, count)
    boxes = random_boxes(rng, h, w, count)
    expected = [crop(m, b, size) for m, b in zip(objects, boxes, strict=True)]
    np.testing.assert_array_equal(sampled_over_boxes(objects, boxes, size), expected)


def test_ten_thousand_random_masks():
    """Empty, full, one pixel, 1xN, Nx1 and all between; whole and sampled."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 37), (53, 1), (2, 8), (8, 8), (13, 21), (40, 24), (24, 40)]
    signature = [tf.TensorSpec([None], tf.int64)] * 2 + [
        tf.TensorSpec([], tf.int64)
    ] * 2
    decode = tf.function(object_masks.decode_masks, input_signature=signature)
    num_masks = 0
    for number in range(400):
        height, width = shapes[number % len(shapes)]
        objects = random_objects(rng, height, width, 24)
        single = np.zeros((height, width), np.uint8)
        single.flat[rng.integers(single.size)] = 1
        objects.append(single)
        decoded = decode(*encoded(objects), np.int64(height), np.int64(width))
        np.testing.assert_array_equal(decoded, objects)
        if number % 10 == 0:
            boxes = random_boxes(rng, height, width, 25)
            size = tuple(rng.integers(1, 30, 2).tolist())
            expected = [crop(m, b, size) for m, b in zip(objects, boxes, strict=True)]
            found = sampled_over_boxes(objects, boxes, size)
            np.testing.assert_array_equal(found, expected)
        num_masks += len(objects)
    assert num_masks == 10_000


def test_objects_without_mask_are_empty_and_disturb_no_other():
    rng = np.random.default_rng(3)
    objects = [None, *random_objects(rng, 9, 11, 2), None, random_mask(9, 11, 0.5, 1)]
    dense = [np.zeros((9, 11), np.uint8) if m is None else m for m in objects]
    decoded = object_masks.decode_masks(*encoded(objects), 9, 11)
    np.testing.assert_array_equal(decoded, dense)
    boxes = np.tile([0.0, 0.0, 9.0, 11.0], (5, 1))
    found = sampled_over_boxes(objects, boxes, (9, 11))
    np.testing.assert_array_equal(found, dense)
    read = object_masks.read_runs(*encoded(objects), 9, 11)
    assert read.has_mask.numpy().tolist() == [False, True, True, False, True]
    np.testing.assert_array_equal(read.areas(), [mask.sum() for mask in dense])


def test_images_without_objects_give_none():
    none = np.zeros(0, np.int64)
    assert object_masks.decode_masks(none, none, 5, 7).shape == (0, 5, 7)
    read = object_masks.read_runs(none, none, 5, 7)
    axes = object_masks.box_samplings(tf.zeros([0, 4], tf.float64), (3, 4), *read.size)
    slots = tf.zeros([0], tf.int32)
    assert object_masks.sample_masks(read, *axes, (3, 4), slots).shape == (0, 3, 4)


def test_slots_choose_and_order_the_objects():
    rng = np.random.default_rng(5)
    objects = random_objects(rng, 12, 10, 4)
    boxes = np.tile([0.0, 0.0, 12.0, 10.0], (4, 1))
    found = sampled_over_boxes(objects, boxes, (12, 10), [2, 0])
    np.testing.assert_array_equal(found, [objects[2], objects[0]])


def test_an_empty_box_still_gives_a_crop():
    full = np.ones((6, 6), np.uint8)
    for box in ([2.0, 2.0, 2.0, 2.0], [6.0, 6.0, 6.0, 6.0], [9.0, 9.0, 12.0, 12.0]):
        assert sampled_over_boxes([full], [box], (3, 3)).all()


def test_large_images_with_many_objects_do_not_overflow():
    """All positions together exceed int32."""
    height, width, count = 20_000, 10_000, 12
    runs = np.tile([height * width - 1, 1], count)
    read = object_masks.read_runs(runs, np.full(count, 2), height, width)
    boxes = np.tile([height - 2.0, width - 2.0, height, width], (count, 1))
    axes = object_masks.box_samplings(tf.constant(boxes), (2, 2), *read.size)
    found = object_masks.sample_masks(read, *axes, (2, 2), tf.range(count))
    np.testing.assert_array_equal(found, np.tile([[0, 0], [0, 1]], (count, 1, 1)))


@pytest.mark.parametrize(
    ("runs", "num_runs", "message"),
    [
        ([5, 6], [2], "do not sum to height . width.*image 7"),
        ([5, 6, 5, 8], [2, 2], "do not sum"),
        ([13, -1], [2], "must be 0 or more"),
        ([12], [1], "an even number"),
        ([12, 0], [2, 2], "as many as its length says"),
        ([12, 0, 12, 0], [2], "as many as its length says"),
        ([6, 6, 6, 6], [3, 1], "an even number"),
    ],
)
def test_runs_that_contradict_the_image_are_refused(runs, num_runs, message):
    arguments = (np.array(runs, np.int64), np.array(num_runs, np.int64), 3, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        object_masks.read_runs(*arguments, where="image 7")
