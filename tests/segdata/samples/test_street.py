from __future__ import annotations

import numpy as np
import pytest

from segdata.formats.camvid import classes as camvid_classes
from segdata.samples.street import draw_street_scene

SIZES = [(90, 120), (360, 480)]
NUM_SCENES = 40
SKY, BUILDING, ROAD, VOID = 0, 1, 3, 11


def draw(seed, height=90, width=120):
    return draw_street_scene(np.random.default_rng(seed), height, width)


@pytest.fixture(scope="module")
def labels():
    """`[scenes, height, width]` label maps of small scenes."""
    return np.stack([draw([0, scene])[1] for scene in range(NUM_SCENES)])


def test_scene_is_of_camvids_size_by_default():
    image, label = draw_street_scene(np.random.default_rng(0))
    assert image.shape == (360, 480, 3)
    assert label.shape == (360, 480)


@pytest.mark.parametrize(
    ("height", "width"), [*SIZES, (16, 16), (91, 121), (48, 200), (200, 48)]
)
def test_scene_has_the_size_asked_for_in_bytes(height, width):
    for seed in range(3):
        image, label = draw(seed, height, width)
        assert image.shape == (height, width, 3)
        assert label.shape == (height, width)
        assert image.dtype == label.dtype == np.uint8
        assert label.max() <= VOID


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_same_seed_draws_the_same_scene(height, width):
    first, second = draw(7, height, width), draw(7, height, width)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_other_seed_draws_another_scene(height, width):
    (image, label), (other_image, other_label) = (
        draw(7, height, width),
        draw(8, height, width),
    )
    assert (image != other_image).mean() > 0.5
    assert (label != other_label).mean() > 0.05


def test_scene_depends_on_no_global_random_state():
    np.random.seed(1)
    first = draw(3)
    np.random.seed(2)
    second = draw(3)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_all_classes_of_camvid_and_no_others_occur(labels):
    assert np.unique(labels).tolist() == list(range(VOID + 1))


def test_class_ids_are_those_of_the_format(labels):
    classes = camvid_classes.grouped(
        camvid_classes.COLORS, void_outside=False, unknown_to_void=False
    ).semantic_classes
    names = {c.id: c.name for c in classes}
    assert set(np.unique(labels).tolist()) == set(names)
    assert [names[i] for i in (SKY, BUILDING, ROAD, VOID)] == [
        "sky",
        "building",
        "road",
        "void",
    ]


def test_classes_take_plausible_shares_of_the_picture(labels):
    shares = np.bincount(labels.ravel(), minlength=VOID + 1) / labels.size
    assert shares[ROAD] > 0.10
    assert shares[SKY] > 0.03
    assert shares[BUILDING] > 0.05
    assert shares[VOID] < 0.10
    assert shares.max() < 0.60


def test_every_scene_has_a_road_and_several_other_classes(labels):
    for label in labels:
        assert (label == ROAD).mean() > 0.03
        assert len(np.unique(label)) >= 5


def test_sky_is_above_the_road_in_every_scene(labels):
    rows = np.arange(labels.shape[1])[:, None]
    for label in labels:
        sky, road = (
            (rows * (label == c)).sum() / (label == c).sum() for c in (SKY, ROAD)
        )
        assert sky < road


def test_labels_follow_what_is_seen():
    # Sky and road touch nowhere and differ in brightness; a label map that was
    # flipped or shifted by a quarter would mix them.
    differences = []
    for scene in range(10):
        image, label = draw([0, scene])
        bright = image.mean(axis=-1)
        inside, moved = (
            bright[where == SKY].mean() - bright[where == ROAD].mean()
            for where in (label, label[::-1])
        )
        differences.append(inside - moved)
    assert min(differences) > 20
