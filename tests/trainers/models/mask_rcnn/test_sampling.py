from __future__ import annotations

from typing import Any

import keras
import numpy as np

from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.rois import sample_rois
from segdata.trainers.models.mask_rcnn.rpn import Proposals
from segdata.trainers.models.mask_rcnn.sampling import noise, sample
from segdata.trainers.models.mask_rcnn.truth import Truth


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def seed(*words: int) -> Any:
    return keras.ops.convert_to_tensor(np.asarray(words, np.uint32))


def expected_noise(first: int, second: int, count: int) -> np.ndarray:
    """The same hash in Python's own numbers."""

    def mix(x: int) -> int:
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = (x ^ (x >> shift)) * factor & 0xFFFFFFFF
        return x ^ (x >> 16)

    words = (
        mix(mix(i + first & 0xFFFFFFFF) + second & 0xFFFFFFFF) for i in range(count)
    )
    return np.asarray([(word >> 8) / 2**24 for word in words])


def test_noise_is_the_same_on_every_backend_and_uniform() -> None:
    found = array(noise(seed(4294967295, 7), (3, 1000)))
    expected = expected_noise(4294967295, 7, 3000).reshape(3, 1000)
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert (found >= 0).all()
    assert (found < 1).all()
    counts = np.histogram(found, 10, (0, 1))[0]
    assert counts.min() > 230  # of 300; the deviation is 16
    other = array(noise(seed(4294967295, 8), (3, 1000)))
    assert abs(np.corrcoef(found.ravel(), other.ravel())[0, 1]) < 0.1


def test_samples_are_of_the_mask_without_repeats_and_all_if_there_are_few() -> None:
    mask = np.zeros((3, 50), bool)
    mask[0, 10:40] = True
    mask[1, [3, 7]] = True
    drawn = sample(mask, noise(seed(1, 2), (3, 50)), 8)
    index, valid = array(drawn.index), array(drawn.valid)
    assert valid[0].all()
    assert len(set(index[0])) == 8
    assert mask[0, index[0]].all()
    assert sorted(index[1][valid[1]]) == [3, 7]
    assert valid[1].tolist() == [True, True] + [False] * 6
    assert not valid[2].any()


def test_every_place_is_drawn_sometimes() -> None:
    mask = np.ones((1, 20), bool)
    counts = np.zeros(20, int)
    for step in range(200):
        drawn = sample(mask, noise(seed(0, step), (1, 20)), 5)
        np.add.at(counts, array(drawn.index)[0], 1)
    assert counts.sum() == 1000
    assert counts.min() > 25  # of 50; the deviation is 6
    assert counts.max() < 75


# --- ROIs.

OPTIONS = MaskRCNNOptions(image_size=(64, 64), classes=3, roi_samples=16)


def rois_of(
    num_near: int, num_far: int, *, valid: bool = True, crowd: bool = False
) -> tuple[np.ndarray, Any]:
    """ROIs for one object, of proposals on it, proposals elsewhere and invalid ones."""
    box = np.asarray([10, 10, 30, 30], np.float32)
    near = box + np.linspace(-1, 1, num_near)[:, None].astype(np.float32)
    far = np.asarray([40, 40, 50, 50]) + np.linspace(0, 9, num_far)[:, None]
    boxes = np.concatenate([near, far, np.zeros((5, 4))])[None].astype(np.float32)
    proposals = Proposals(
        boxes=keras.ops.convert_to_tensor(boxes),
        valid=np.asarray([[True] * (num_near + num_far) + [False] * 5]),
    )
    slots = np.zeros((1, 2, 4), np.float32)
    slots[0, 0] = box
    truth = Truth.of(
        {
            "boxes": slots,
            "classes": np.asarray([[2, 0]]),
            "valid": np.asarray([[valid, False]]),
            "crowd": np.asarray([[crowd, False]]),
            "has_mask": np.asarray([[valid, False]]),
            "masks": np.ones((1, 2, 4, 4), np.uint8),
        }
    )
    rois, matches = sample_rois(proposals, truth, seed(3, 4), OPTIONS)
    return array(rois)[0], matches


def test_objects_have_the_first_quarter_of_the_slots() -> None:
    rois, matches = rois_of(10, 30)
    assert rois.shape == (16, 4)
    assert array(matches.positive)[0].tolist() == [True] * 4 + [False] * 12
    assert array(matches.negative)[0].tolist() == [False] * 4 + [True] * 12
    assert (rois[4:, 0] >= 40).all()


def test_background_has_the_slots_that_objects_leave() -> None:
    rois, matches = rois_of(0, 30)  # only the true box itself is on the object
    assert array(matches.positive)[0].tolist() == [True] + [False] * 15
    assert array(matches.negative)[0].tolist() == [False] + [True] * 15
    np.testing.assert_array_equal(rois[0], [10, 10, 30, 30])
    assert len(np.unique(rois, axis=0)) == 16


def test_too_few_proposals_leave_slots_without_effect() -> None:
    _, matches = rois_of(1, 3)
    positive, negative = array(matches.positive)[0], array(matches.negative)[0]
    assert positive.sum() == 2  # a proposal and the true box
    assert negative.sum() == 3
    assert not (positive & negative).any()


def test_without_objects_all_samples_are_background_but_those_over_a_crowd() -> None:
    _, matches = rois_of(0, 30, valid=False)
    assert not array(matches.positive).any()
    assert array(matches.negative).all()
    rois, matches = rois_of(12, 6, valid=False, crowd=True)
    negative = array(matches.negative)[0]
    assert not array(matches.positive).any()
    assert negative.sum() == 6
    assert (rois[negative, 0] >= 40).all()
