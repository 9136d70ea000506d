"""Boxes, anchors, matching, suppression, ROIAlign, targets against plain NumPy.

`test_geometry_on_jax.py` runs this file once more, on JAX.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import mask_rcnn_references as reference
import numpy as np
import pytest

from segdata.trainers.models.mask_rcnn import boxes as box_ops
from segdata.trainers.models.mask_rcnn.anchors import level_anchors, pyramid_anchors
from segdata.trainers.models.mask_rcnn.detection import choose_detections
from segdata.trainers.models.mask_rcnn.mask_targets import mask_targets
from segdata.trainers.models.mask_rcnn.matching import match_anchors, match_rois
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.roi_align import roi_align, roi_levels
from segdata.trainers.models.mask_rcnn.rpn import Proposals
from segdata.trainers.models.mask_rcnn.suppression import suppress
from segdata.trainers.models.mask_rcnn.truth import Truth

CANVAS = 64.0


def random_boxes(*shape: int, seed: int = 0, size: float = CANVAS) -> np.ndarray:
    """Boxes `[*shape, 4]` on a canvas, of 1 pixel to half of it."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, size * 0.8, (*shape, 2))
    sides = rng.uniform(1, size / 2, (*shape, 2))
    return np.concatenate([low, np.minimum(low + sides, size)], -1).astype(np.float32)


def truth_of(
    boxes: Any, valid: Any, crowd: Any = None, masks: np.ndarray | None = None
) -> Truth:
    """Objects of a batch; classes count from 1 along the slots."""
    boxes, valid = np.asarray(boxes, np.float32), np.asarray(valid, bool)
    crowd = np.zeros_like(valid) if crowd is None else np.asarray(crowd, bool)
    if masks is None:
        masks = np.ones((*valid.shape, 8, 8), np.uint8)
    return Truth(
        boxes=boxes,
        classes=np.tile(
            np.arange(1, valid.shape[1] + 1, dtype=np.int32), (len(valid), 1)
        ),
        valid=valid,
        crowd=crowd,
        has_mask=valid,
        masks=masks,
    )


def run(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Calls with tensors, gives arrays. Traced whole: op by op, JAX takes minutes."""
    function = functools.partial(function, **options)
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    arguments = keras.tree.map_structure(keras.ops.convert_to_tensor, arguments)
    return keras.tree.map_structure(
        lambda tensor: np.asarray(keras.ops.convert_to_numpy(tensor)),
        function(*arguments),
    )


# --- Boxes.


def test_iou_and_cover_are_those_of_one_pair_after_the_other() -> None:
    boxes, others = random_boxes(2, 20), random_boxes(2, 7, seed=1)
    boxes[0, 0] = others[0, 0]  # identical
    boxes[0, 1] = [3, 4, 4, 5]  # one pixel
    boxes[0, 2] = [9, 9, 9, 20]  # empty
    others[1, 3] = 0  # a free slot
    iou, covered = (run(f, boxes, others) for f in (box_ops.iou, box_ops.covered))
    for b, i, j in np.ndindex(iou.shape):
        pair = boxes[b, i], others[b, j]
        assert iou[b, i, j] == pytest.approx(reference.iou(*pair), abs=1e-5)
        assert covered[b, i, j] == pytest.approx(reference.covered(*pair), abs=1e-5)
    assert iou[0, 0, 0] == pytest.approx(1)
    shared = run(box_ops.iou, boxes[0], others)
    np.testing.assert_array_equal(shared[0], iou[0])


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5)])
def test_coding_is_the_papers_and_decoding_undoes_it(weights: Any) -> None:
    anchors, boxes = random_boxes(30), random_boxes(2, 30, seed=1)
    deltas = run(box_ops.encode, anchors, boxes, weights=weights)
    for b, i in np.ndindex(2, 30):
        expected = reference.encode(anchors[i], boxes[b, i], np.asarray(weights))
        np.testing.assert_allclose(deltas[b, i], expected, rtol=1e-3, atol=1e-3)
    decoded = run(box_ops.decode, anchors, deltas, weights=weights)
    np.testing.assert_allclose(decoded, boxes, atol=1e-3)


def test_decoding_limits_growth_and_encoding_an_empty_box_is_finite() -> None:
    anchor = np.asarray([[0, 0, 16, 16]], np.float32)
    huge = np.asarray([[0, 0, 5000, 5000]], np.float32)
    decoded = run(box_ops.decode, anchor, huge, weights=(10, 10, 5, 5))
    assert decoded[0, 2] - decoded[0, 0] == pytest.approx(1000, rel=1e-4)
    empty = np.zeros((1, 4), np.float32)
    for pair in ((anchor, empty), (empty, anchor)):
        deltas = run(box_ops.encode, *pair, weights=(1, 1, 1, 1))
        assert np.isfinite(deltas).all()


def test_boxes_are_cut_to_the_window_of_their_image() -> None:
    boxes = np.asarray([[[-5, -5, 70, 70], [2, 3, 4, 5]]] * 2, np.float32)
    window = np.asarray([[0, 0, 64, 64], [10, 20, 30, 40]], np.float32)
    found = run(box_ops.clip, boxes, window)
    np.testing.assert_array_equal(found[0], [[0, 0, 64, 64], [2, 3, 4, 5]])
    # A box outside becomes one without area.
    np.testing.assert_array_equal(found[1], [[10, 20, 30, 40], [10, 20, 10, 20]])


def test_windows_are_where_images_lie_on_the_canvas() -> None:
    batch = {
        "image": np.zeros((3, 64, 96, 3), np.uint8),
        "image_size": np.asarray([[100, 50], [100, 50], [10, 10]], np.int32),
        # The second is mirrored left and right, the third shows only a part.
        "scale": np.asarray([[0.64, 0.64], [0.64, -0.64], [20, 20]], np.float32),
        "offset": np.asarray([[0, 32], [0, 64], [-40, -50]], np.float32),
    }
    found = run(box_ops.windows, batch, size=(64, 96))
    expected = [[0, 32, 64, 64], [0, 32, 64, 64], [0, 0, 64, 96]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    alone = run(box_ops.windows, {"image": batch["image"]}, size=(64, 96))
    np.testing.assert_array_equal(alone, [[0, 0, 64, 96]] * 3)


# --- Anchors.


def test_anchors_lie_around_the_centres_of_cells_row_by_row() -> None:
    anchors = level_anchors((2, 3), 8, 4.0, (0.5, 1.0, 2.0)).reshape(2, 3, 3, 4)
    for i, j, k in np.ndindex(2, 3, 3):
        y, x, height, width = reference.center(anchors[i, j, k])
        assert (y, x) == pytest.approx((8 * i + 4, 8 * j + 4), abs=1e-4)
        assert height / width == pytest.approx((0.5, 1.0, 2.0)[k], rel=1e-4)
        assert height * width == pytest.approx(32 * 32, rel=1e-4)


def test_every_level_has_anchors_of_its_own_size() -> None:
    found = pyramid_anchors({2: (5, 4), 6: (1, 1)}, 8.0, (1.0,))
    assert {level: len(anchors) for level, anchors in found.items()} == {2: 20, 6: 1}
    np.testing.assert_array_equal(found[6], [[-224, -224, 288, 288]])
    np.testing.assert_array_equal(found[2][0], [-14, -14, 18, 18])


# --- Matching.


def test_anchors_match_as_one_after_the_other() -> None:
    anchors = np.concatenate(
        [
            level_anchors((16, 16), 4, 4.0, (0.5, 1, 2)),
            level_anchors((8, 8), 8, 4, (1,)),
        ]
    )
    boxes = random_boxes(3, 6)
    valid = np.asarray([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]])
    crowd = np.asarray([[0, 0, 0, 0, 1, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    boxes[~(valid | crowd).astype(bool)] = 0
    boxes[0, 1] = boxes[0, 0]  # identical objects
    boxes[0, 2] = [10, 10, 11, 11]  # one pixel: its best anchors have a small IoU
    found = run(match_anchors, anchors, truth_of(boxes, valid, crowd))
    for b in range(3):
        expected = reference.match_anchors(
            anchors, boxes[b], valid[b].astype(bool), crowd[b].astype(bool)
        )
        for name, values in zip(
            ("index", "positive", "negative"), expected, strict=True
        ):
            np.testing.assert_array_equal(
                getattr(found, name)[b], values, err_msg=f"{name} of image {b}"
            )
    positive = found.positive
    assert all(positive.any(axis=1))
    # The small one is matched too, by the anchors that are best for it.
    assert (found.index[0][positive[0]] == 2).any()


def test_rois_match_as_one_after_the_other() -> None:
    boxes, rois = random_boxes(2, 5), random_boxes(2, 60, seed=3)
    valid = np.asarray([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], bool)
    crowd = np.asarray([[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], bool)
    rois[:, :5] = boxes
    roi_valid = np.random.default_rng(0).random((2, 60)) > 0.2
    found = run(
        match_rois, rois, roi_valid, truth_of(boxes, valid, crowd), threshold=0.5
    )
    for b in range(2):
        expected = reference.match_rois(
            rois[b], roi_valid[b], boxes[b], valid[b], crowd[b]
        )
        for name, values in zip(
            ("index", "positive", "negative"), expected, strict=True
        ):
            np.testing.assert_array_equal(getattr(found, name)[b], values)


def test_without_objects_all_is_negative_but_over_crowds() -> None:
    anchors = level_anchors((4, 4), 16, 1.0, (1.0,))
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[1, 0] = [0, 0, 32, 64]  # the upper half
    crowd = np.asarray([[0, 0, 0], [1, 0, 0]], bool)
    truth = truth_of(boxes, np.zeros((2, 3)), crowd)
    rois = np.stack([anchors] * 2), np.ones((2, 16), bool)
    for found in (
        run(match_anchors, anchors, truth),
        run(match_rois, *rois, truth, threshold=0.5),
    ):
        assert not found.positive.any()
        np.testing.assert_array_equal(
            found.negative, [[True] * 16, [False] * 8 + [True] * 8]
        )


def test_an_object_outside_of_all_anchors_matches_none() -> None:
    anchors = level_anchors((2, 2), 8, 1.0, (1.0,))
    found = run(match_anchors, anchors, truth_of([[[40, 40, 50, 50]]], [[True]]))
    assert not found.positive.any()
    assert found.negative.all()


# --- Suppression.


def _suppress(
    boxes: Any, valid: Any, groups: Any = None, *, threshold: float = 0.5
) -> Any:
    return suppress(boxes, valid, threshold, groups)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("with_groups", [False, True])
def test_suppression_is_the_greedy_one(threshold: float, with_groups: bool) -> None:
    boxes = random_boxes(3, 80, seed=2, size=30)
    boxes[0, 10:20] = boxes[0, 9]  # identical boxes
    boxes[1] += np.linspace(0, 20, 80)[:, None]
    boxes[2] = np.asarray([0, 0, 10, 10]) + 3 * np.arange(80)[:, None]  # a long chain
    valid = np.random.default_rng(0).random((3, 80)) > 0.1
    groups = np.random.default_rng(1).integers(1, 4, (3, 80)).astype(np.int32)
    given = (boxes, valid, groups) if with_groups else (boxes, valid)
    found = run(_suppress, *given, threshold=threshold)
    for b in range(3):
        expected = reference.greedy_nms(
            boxes[b], valid[b], threshold, groups[b] if with_groups else None
        )
        np.testing.assert_array_equal(found[b], expected)
    assert found.any(axis=1).all()
    assert not found[~valid].any()


def test_suppression_of_nothing_keeps_nothing() -> None:
    boxes = random_boxes(2, 5)
    assert not run(_suppress, boxes, np.zeros((2, 5), bool)).any()
    assert run(_suppress, boxes[:, :1], np.ones((2, 1), bool)).all()


# --- ROIAlign.


def test_rois_go_to_the_level_of_their_size() -> None:
    sides = np.asarray([1, 55, 57, 111, 113, 223, 225, 449, 5000], np.float32)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], -1)
    found = run(roi_levels, boxes, lowest=2, highest=5)
    np.testing.assert_array_equal(found, [2, 2, 2, 2, 3, 3, 4, 5, 5])
    smaller = run(roi_levels, boxes / 2, lowest=2, highest=5, canonical=112.0)
    np.testing.assert_array_equal(smaller, found)
    assert run(roi_levels, np.zeros((1, 4), np.float32), lowest=2, highest=5) == [2]


@pytest.mark.parametrize(("size", "points"), [(7, 2), (4, 1), (3, 3)])
def test_roi_align_is_that_of_one_sample_after_the_other(
    size: int, points: int
) -> None:
    rng = np.random.default_rng(0)
    # Odd sizes: levels round up. 500 pixels wide, so that all levels are used.
    features = {
        level: rng.normal(size=(2, -(-300 // 2**level), -(-500 // 2**level), 3)).astype(
            np.float32
        )
        for level in (2, 3, 4, 5)
    }
    boxes = random_boxes(2, 9, size=60)
    boxes[0, 1] = [7, 9, 8, 10]  # one pixel
    boxes[0, 2] = [0, 0, 0, 0]  # an empty slot
    boxes[0, 3] = [-20, -30, 40, 35]  # reaches outside
    boxes[0, 4] = [0, 0, 300, 500]
    boxes[0, 5] = [20.5, 30.25, 160, 190]
    boxes[1, 1] = [3, 200, 120, 499]
    boxes[1, 2] = [290, 490, 330, 560]
    found = run(roi_align, features, boxes, size=size, points=points)
    assert found.shape == (2, 9, size, size, 3)
    for b, r in np.ndindex(2, 9):
        levels = {level: feature[b] for level, feature in features.items()}
        expected = reference.roi_align(levels, boxes[b, r], size, points)
        np.testing.assert_allclose(found[b, r], expected, atol=1e-4, err_msg=f"{b} {r}")


def test_roi_align_of_a_ramp_is_the_ramp_at_the_cells_centres() -> None:
    ramp = np.arange(64, dtype=np.float32) + 0.5  # the value is the place, in cells
    plane = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None]), -1)[None]
    features = {2: plane}
    box = np.asarray([[[40, 60, 96, 200]]], np.float32)
    found = run(roi_align, features, box, size=7, points=2)[0, 0]
    rows, columns = (
        40 + 56 * (np.arange(7) + 0.5) / 7,
        60 + 140 * (np.arange(7) + 0.5) / 7,
    )
    np.testing.assert_allclose(found[..., 0], np.tile(rows[:, None] / 4, 7), atol=1e-4)
    np.testing.assert_allclose(found[..., 1], np.tile(columns / 4, (7, 1)), atol=1e-4)


# --- Mask targets.


def test_mask_targets_are_bilinear_samples_of_the_crop() -> None:
    rng = np.random.default_rng(0)
    boxes, rois = random_boxes(2, 4), random_boxes(2, 9, seed=5)
    boxes[0, 3] = [5, 6, 6, 7]  # one pixel
    rois[0, 0] = boxes[0, 0]
    rois[0, 1] = boxes[0, 3]
    rois[0, 2] = [0, 0, CANVAS, CANVAS]
    index = rng.integers(0, 4, (2, 9)).astype(np.int32)
    index[0, :2] = [0, 3]
    masks = (rng.random((2, 4, 16, 16)) > 0.5).astype(np.uint8)
    found = run(mask_targets, masks, boxes, index, rois, size=28)
    assert found.shape == (2, 9, 28, 28)
    assert set(np.unique(found)) <= {0.0, 1.0}
    for b, r in np.ndindex(2, 9):
        slot = index[b, r]
        expected = reference.mask_target(masks[b, slot], boxes[b, slot], rois[b, r], 28)
        sure = np.abs(expected - 0.5) > 1e-3
        np.testing.assert_array_equal(found[b, r][sure], expected[sure] >= 0.5)
    assert found.mean() > 0.05


def test_a_roi_of_the_objects_box_shows_the_crop_and_one_beside_it_nothing() -> None:
    masks = np.ones((1, 1, 28, 28), np.uint8)
    masks[..., :14, :] = 0
    boxes = np.asarray([[[10, 10, 30, 50]]], np.float32)
    rois = np.asarray([[[10, 10, 30, 50], [30, 50, 60, 60], [30, 10, 50, 50]]], "f4")
    index = np.zeros((1, 3), np.int32)
    found = run(mask_targets, masks, boxes, index, rois, size=28)[0]
    np.testing.assert_array_equal(found[0], masks[0, 0])
    assert not found[1:].any()


@pytest.mark.parametrize(("class_agnostic", "expected"), [(False, 2), (True, 1)])
def test_overlaps_of_other_classes_stay_unless_asked(
    class_agnostic: bool, expected: int
) -> None:
    options = MaskRCNNOptions(
        image_size=(32, 32), classes=2, class_agnostic=class_agnostic
    )
    boxes = np.asarray([[[4, 4, 20, 20], [4, 4, 20, 21]]], np.float32)
    proposals = Proposals(boxes, np.ones((1, 2), np.bool_))
    logits = np.asarray([[[0, 9, 0], [0, 0, 9]]], np.float32)
    deltas, window = np.zeros((1, 2, 8), np.float32), np.full((1, 4), 32, np.float32)
    found = choose_detections(logits, deltas, proposals, window * [0, 0, 1, 1], options)
    assert int((np.asarray(found.scores) > 0.5).sum()) == expected
