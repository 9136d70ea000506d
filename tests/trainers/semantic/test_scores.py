from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segdata.errors import OptionError
from segdata.trainers.semantic.metrics import MeanIoU
from segdata.trainers.semantic.scores import SMOOTHING, Confusion, mean_score, summarize

NAMES = ("sky", "road", "pole", "void")


def counted(*pairs: tuple[np.ndarray, np.ndarray], num_classes: int = 4) -> Confusion:
    confusion = Confusion(num_classes=num_classes)
    for labels, predicted in pairs:
        confusion.add(labels, predicted)
    return confusion


def array(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


def class_areas(labels: np.ndarray, predicted: np.ndarray, index: int) -> tuple:
    """The course's definition: areas of one class, pixel by pixel."""
    valid = labels != 255
    true, found = (labels == index) & valid, (predicted == index) & valid
    return int((true & found).sum()), int(true.sum()), int(found.sum())


id_maps = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


@given(
    hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, 255])), id_maps
)
def test_scores_are_those_of_areas(labels: np.ndarray, predicted: np.ndarray) -> None:
    # In two parts: counts add up over images.
    confusion = counted((labels[:2], predicted[:2]), (labels[2:], predicted[2:]))
    for score in confusion.class_scores(NAMES):
        hit, true, found = class_areas(labels, predicted, score.id)
        assert (score.label_pixels, score.predicted_pixels) == (true, found)
        if not true + found:
            assert score.iou is score.dice is None
            continue
        union = true + found - hit
        assert score.iou == pytest.approx((hit + SMOOTHING) / (union + SMOOTHING))
        dice = (2 * hit + SMOOTHING) / (true + found + SMOOTHING)
        assert score.dice == pytest.approx(dice)
        # Each follows from the other.
        assert score.dice == pytest.approx(2 * score.iou / (1 + score.iou), abs=1e-4)


@given(
    hnp.arrays(np.uint8, (2, 40), elements=st.sampled_from([0, 1, 2, 255])),
    hnp.arrays(np.uint8, (2, 40), elements=st.integers(0, 3)),
)
@settings(max_examples=20, deadline=None)
def test_training_and_evaluation_have_one_mean_iou(
    labels: np.ndarray, predicted: np.ndarray
) -> None:
    labels[0, 0] = 0  # something is labelled
    metric = MeanIoU(4, void_id=3, name="mean_iou")
    for one, other in zip(labels, predicted, strict=True):
        metric.update_state(one[None], np.eye(4, dtype=np.float32)[other][None])
    found = summarize(counted((labels, predicted)), NAMES, void_id=3)
    assert float(metric.result()) == pytest.approx(found["mean_iou"], abs=1e-6)


def test_mean_iou_counts_beyond_32_bits_and_without_a_scatter() -> None:
    metric = MeanIoU(2)
    logits = np.eye(2, dtype=np.float32)[np.zeros((1, 2, 3), int)]
    labels = np.zeros((1, 2, 3), np.uint8)
    metric.high.assign([[2**9, 0], [0, 0]])
    metric.low.assign([[2**24 - 2, 0], [0, 0]])
    metric.update_state(labels, logits)
    # 2**33 + 2**24 - 2 pixels, and six more.
    assert np.asarray(metric.high).tolist() == [[2**9 + 1, 0], [0, 0]]
    assert np.asarray(metric.low).tolist() == [[4, 0], [0, 0]]
    assert float(metric.result()) == 1.0

    from segdata.streams.tensorflow import tf

    step = tf.function(metric.update_state).get_concrete_function(labels, logits)
    kinds = {operation.type for operation in step.graph.get_operations()}
    assert "Einsum" in kinds
    assert not [kind for kind in kinds if "Scatter" in kind or "Bincount" in kind]


@given(id_maps)
def test_perfect_prediction_scores_one(labels: np.ndarray) -> None:
    found = summarize(counted((labels, labels)), NAMES, void_id=3)
    assert found["mean_iou"] == found["mean_dice"] == found["pixel_accuracy"] == 1.0


def test_class_that_does_not_occur_is_in_no_mean() -> None:
    found = summarize(counted((array(0, 0, 1, 1), array(0, 0, 1, 0))), NAMES, None)
    assert [item["iou"] is None for item in found["classes"]] == [0, 0, 1, 1]
    assert found["mean_iou"] == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-5)
    assert found["pixel_accuracy"] == 0.75
    assert "without_void" not in found


def test_class_that_is_only_predicted_scores_zero() -> None:
    found = summarize(counted((array(0, 0), array(0, 2))), NAMES, None)
    assert found["classes"][2]["iou"] == pytest.approx(0, abs=1e-4)
    assert found["mean_iou"] == pytest.approx(0.25, abs=1e-4)


def test_without_void_its_pixels_are_left_out_and_its_predictions_are_misses() -> None:
    labels, predicted = array(3, 3, 0, 0, 1), array(3, 0, 0, 3, 1)
    found = summarize(counted((labels, predicted)), NAMES, void_id=3)
    # sky: hit 1, labelled 2, predicted 2; void: hit 1, labelled 2, predicted 2; road.
    assert found["mean_iou"] == pytest.approx((1 / 3 + 1 / 3 + 1) / 3, abs=1e-4)
    assert found["pixel_accuracy"] == 3 / 5
    assert found["without_void"] == {
        "mean_iou": pytest.approx((1 / 2 + 1) / 2, abs=1e-4),
        "mean_dice": pytest.approx((2 / 3 + 1) / 2, abs=1e-4),
        "pixel_accuracy": 2 / 3,
    }
    assert found["classes"][3]["void"] is True


def test_void_that_was_left_out_is_in_no_mean_though_it_was_predicted() -> None:
    found = summarize(counted((array(255, 0, 0), array(3, 0, 3))), NAMES, void_id=3)
    assert found["classes"][3]["iou"] is None
    assert found["mean_iou"] == pytest.approx(1 / 2, abs=1e-4)
    assert "without_void" not in found


def test_void_that_was_left_out_is_counted_as_pixels_only() -> None:
    confusion = Confusion(num_classes=4, left_out=3)
    confusion.add(array(3, 255, 0, 0), array(3, 0, 0, 3))
    found = summarize(confusion, NAMES, void_id=3)
    assert [item["label_pixels"] for item in found["classes"]] == [2, 0, 0, 1]
    assert (found["label_pixels"], found["pixel_accuracy"]) == (4, 0.5)
    assert "without_void" not in found


def test_nothing_counted_has_no_score() -> None:
    found = summarize(counted((array(255, 255), array(0, 1))), NAMES, void_id=3)
    assert found["mean_iou"] is found["mean_dice"] is found["pixel_accuracy"] is None
    assert mean_score([], "iou") is None


def test_counts_of_many_pixels_do_not_overflow() -> None:
    confusion = Confusion(num_classes=4)
    confusion.matrix[:] = 2**40
    confusion.add(array(3), array(3))
    assert int(confusion.matrix[3, 3]) == 2**40 + 1


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        (array(0, 1), array(0), r"labels are \(2,\) and predictions \(1,\)"),
        (array(4), array(0), "class id 4 is out of range: there are 4 classes"),
        (array(0), array(9), "class id 9 is out of range"),
    ],
)
def test_what_does_not_fit_is_refused(
    labels: np.ndarray, predicted: np.ndarray, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        counted((labels, predicted))
