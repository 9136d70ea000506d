import numpy as np
import pytest
from nearest import crop

from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.reading.geometry import choose_geometry
from segdata.reading.keypoints import KeypointOrder
from segdata.reading.options import Augmentation, InstanceOptions, Resize
from segdata.records import schema
from segdata.streams.objects import read_objects
from segdata.streams.tensorflow import tf

HEIGHT, WIDTH = 20, 30


def box_mask(ymin, xmin, ymax, xmax):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[ymin:ymax, xmin:xmax] = 1
    return mask


def record(*objects):
    """A parsed record; each object is a box, with `crowd`, `mask`, ... by name."""
    rows = [
        {"mask": box_mask(*box), "crowd": 0, "label": 1 + number} | more
        for number, (box, more) in enumerate(objects)
    ]
    runs = [
        np.zeros(0, np.int64)
        if row["mask"] is None
        else rle.rle(row["mask"], HEIGHT, WIDTH)
        for row in rows
    ]
    boxes = np.array([box for box, _ in objects], np.float32).reshape(-1, 4)
    boxes /= np.array([HEIGHT, WIDTH] * 2, np.float32)
    count = len(objects)

    def integers(values):
        return np.array(list(values), np.int64)

    values = {
        schema.OBJECT_COUNT: np.int64(count),
        schema.OBJECT_YMIN: boxes[:, 0],
        schema.OBJECT_XMIN: boxes[:, 1],
        schema.OBJECT_YMAX: boxes[:, 2],
        schema.OBJECT_XMAX: boxes[:, 3],
        schema.OBJECT_LABEL: integers(row["label"] for row in rows),
        schema.OBJECT_IS_CROWD: integers(row["crowd"] for row in rows),
        schema.OBJECT_ID: integers(range(100, 100 + count)),
        schema.OBJECT_AREA: np.arange(count, dtype=np.float32),
        schema.OBJECT_RUNS: np.concatenate([np.zeros(0, np.int64), *runs]),
        schema.OBJECT_NUM_RUNS: integers(map(len, runs)),
    }
    return {feature: tf.constant(value) for feature, value in values.items()}


def read(
    parsed, *, size=(HEIGHT, WIDTH), resize=None, augment=None, draws=None, **kwargs
):
    keypoints = kwargs.pop("order", None)
    geometry = choose_geometry(
        HEIGHT, WIDTH, size, resize or Resize(), augment or Augmentation(), draws, tf
    )
    options = InstanceOptions(**{"max_objects": 4, "masks": "dense"} | kwargs)
    result = read_objects(parsed, geometry, options, keypoints, "a in b")
    return {name: value.numpy() for name, value in result.items()}


SMALL, LARGE, MIDDLE = (1, 1, 3, 3), (0, 0, 20, 20), (5, 5, 15, 15)


def test_free_slots_are_empty():
    found = read(record((MIDDLE, {})))
    assert found["valid"].tolist() == [True, False, False, False]
    assert found["classes"].tolist() == [1, 0, 0, 0]
    assert found["object_id"].tolist() == [100, -1, -1, -1]
    np.testing.assert_allclose(found["boxes"], [MIDDLE, *[[0] * 4] * 3], atol=1e-5)
    assert found["num_objects"] == 1
    np.testing.assert_array_equal(found["masks"][0], box_mask(*MIDDLE))
    assert not found["masks"][1:].any()


def test_images_without_objects_have_only_free_slots():
    for masks in ("dense", "crops", "none"):
        found = read(record(), masks=masks)
        assert not found["valid"].any()
        assert not found["crowd"].any()
        assert found["num_objects"] == 0
        assert ("masks" in found) == (masks != "none")


@pytest.mark.parametrize(
    ("overflow", "expected"), [("largest", [2, 3]), ("first", [1, 2])]
)
def test_overflow_keeps_what_it_says_and_counts_all(overflow, expected):
    parsed = record((SMALL, {}), (LARGE, {}), (MIDDLE, {}))
    found = read(parsed, max_objects=2, overflow=overflow)
    assert found["classes"].tolist() == expected
    assert found["num_objects"] == 3


def test_crowds_come_last_and_are_no_targets():
    parsed = record((LARGE, {"crowd": 1}), (SMALL, {}), (MIDDLE, {}))
    found = read(parsed)
    assert found["classes"].tolist() == [3, 2, 1, 0]
    assert found["valid"].tolist() == [True, True, False, False]
    assert found["crowd"].tolist() == [False, False, True, False]
    np.testing.assert_array_equal(found["masks"][2], box_mask(*LARGE))
    assert read(parsed, max_objects=2)["classes"].tolist() == [3, 2]
    dropped = read(parsed, crowds="drop")
    assert dropped["classes"].tolist() == [3, 2, 0, 0]
    assert not dropped["crowd"].any()
    assert dropped["num_objects"] == 3


@pytest.mark.parametrize("masks", ["dense", "crops", "none"])
def test_empty_masks_and_boxes_are_counted_but_never_valid(masks):
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    parsed = record(
        (MIDDLE, {"mask": nothing}),
        ((5, 5, 5, 9), {}),
        (SMALL, {"mask": None}),
        ((3, 7, 9, 7), {"mask": None}),
    )
    found = read(parsed, masks=masks)
    assert found["classes"].tolist() == [3, 0, 0, 0]
    assert found["valid"].tolist() == [True, False, False, False]
    assert not found["has_mask"].any()
    assert found["num_objects"] == 4


def test_objects_cropped_away_lose_their_slot():
    parsed = record(((0, 0, 20, 4), {}), ((0, 10, 20, 20), {}), ((0, 0, 20, 12), {}))
    # A square cut of the middle: columns 5 to 25.
    found = read(parsed, size=(20, 20), resize=Resize(mode="cover"))
    assert found["classes"].tolist() == [2, 3, 0, 0]
    expected = [[0, 5, 20, 15], [0, 0, 20, 7]]  # stored normalised, as float32
    np.testing.assert_allclose(found["boxes"][:2], expected, atol=1e-5)
    assert found["num_objects"] == 3
    strict = read(
        parsed, size=(20, 20), resize=Resize(mode="cover"), min_visible=7 / 12 + 0.01
    )
    assert strict["classes"].tolist() == [2, 0, 0, 0]
    exact = read(
        parsed, size=(20, 20), resize=Resize(mode="cover"), min_visible=7 / 12 - 0.01
    )
    assert exact["classes"].tolist() == [2, 3, 0, 0]


def test_crops_show_the_visible_part_of_the_box():
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)
    parsed = record(((2, 0, 17, 22), {"mask": noise}))
    found = read(
        parsed, size=(20, 20), resize=Resize(mode="cover"), masks="crops", mask_size=9
    )
    np.testing.assert_array_equal(
        found["masks"][0], crop(noise, (2, 5, 17, 22), (9, 9))
    )


@pytest.mark.parametrize("masks", ["dense", "crops"])
def test_flips_mirror_masks_and_boxes(masks):
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)
    parsed = record(((2, 3, 17, 22), {"mask": noise}))
    draws = tf.zeros([5], tf.float64)
    plain = read(parsed, masks=masks)
    both = Augmentation(horizontal_flip=1, vertical_flip=1)
    flipped = read(parsed, masks=masks, augment=both, draws=draws)
    np.testing.assert_array_equal(flipped["masks"][0], plain["masks"][0][::-1, ::-1])
    np.testing.assert_allclose(flipped["boxes"][0], [3, 8, 18, 27], atol=1e-5)


def test_boxes_can_be_normalized():
    found = read(record((MIDDLE, {})), size=(40, 90), boxes="normalized")
    np.testing.assert_allclose(found["boxes"][0], [5 / 20, 5 / 30, 15 / 20, 15 / 30])


@pytest.mark.parametrize(
    "feature", [schema.OBJECT_LABEL, schema.OBJECT_YMIN, schema.OBJECT_NUM_RUNS]
)
def test_lists_that_miss_an_object_are_refused(feature):
    parsed = record((MIDDLE, {}), (SMALL, {}))
    parsed[feature] = parsed[feature][:1]
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(parsed)


def test_missing_lists_are_refused_with_the_record():
    """A ragged feature is empty, without a word, where its key is missing."""
    parsed = record((MIDDLE, {}))
    for feature in (schema.OBJECT_RUNS, schema.OBJECT_NUM_RUNS):
        missing = parsed | {feature: tf.zeros([0], tf.int64)}
        with pytest.raises(tf.errors.InvalidArgumentError, match="a in b"):
            read(missing)


def keypoint_record(visibility):
    parsed = record((MIDDLE, {}), (LARGE, {}))
    points = {
        schema.KEYPOINT_Y: [4, 6, 0, 8, 8, 0],
        schema.KEYPOINT_X: [3, 9, 0, 1, 2, 0],
    }
    for feature, size in ((schema.KEYPOINT_Y, HEIGHT), (schema.KEYPOINT_X, WIDTH)):
        parsed[feature] = tf.constant(np.array(points[feature], np.float32) / size)
    parsed[schema.KEYPOINT_VISIBILITY] = tf.constant(visibility, tf.int64)
    return parsed


def pose():
    names = ("left_eye", "right_eye", "nose")
    item = LabelClass(id=1, name="cat", color=(0, 0, 0), keypoints=names)
    other = LabelClass(id=2, name="dog", color=(0, 0, 0), keypoints=names)
    return KeypointOrder.of(LabelMap(object_classes=(item, other)))


def test_keypoints_follow_and_those_outside_are_not_labelled():
    parsed = keypoint_record([2, 1, 0, 2, 2, 0])
    found = read(parsed, order=pose(), size=(40, 60))
    # The larger object comes first.
    assert found["keypoint_visibility"].tolist()[:2] == [[2, 2, 0], [2, 1, 0]]
    np.testing.assert_allclose(found["keypoints"][1], [[8, 6], [12, 18], [0, 0]], 1e-5)
    cut = read(parsed, order=pose(), size=(20, 20), resize=Resize(mode="cover"))
    assert cut["keypoint_visibility"].tolist()[:2] == [[0, 0, 0], [0, 1, 0]]


def test_mirroring_swaps_left_and_right_keypoints():
    flip = Augmentation(horizontal_flip=1.0)
    found = read(
        keypoint_record([2, 1, 0, 2, 2, 0]),
        order=pose(),
        augment=flip,
        draws=tf.zeros([5], tf.float64),
    )
    assert found["keypoint_visibility"].tolist()[1] == [1, 2, 0]
    np.testing.assert_allclose(found["keypoints"][1], [[6, 21], [4, 27], [0, 0]], 1e-5)
