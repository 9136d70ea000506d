"""Losses and metrics against NumPy, on TensorFlow here and on JAX beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from segdata.errors import OptionError
from segdata.trainers.semantic.class_weights import median_frequency_weights
from segdata.trainers.semantic.losses import (
    DICE_SMOOTHING,
    LOSSES,
    SegmentationLoss,
)
from segdata.trainers.semantic.metrics import segmentation_metrics
from segdata.trainers.semantic.scores import Confusion, mean_score

CLASSES = 4
WEIGHTS = [0.5, 1.0, 2.0, 7.5]


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels with some ignored pixels, an image all ignored; logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (4, 5, 6)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    labels[2] = 255
    labels[3] = 1
    logits = rng.normal(0, 3, (4, 5, 6, CLASSES)).astype(np.float32)
    return labels, logits


def reference(
    labels: np.ndarray, logits: np.ndarray, kind: str, weights: list[float] | None
) -> list[float]:
    """Image by image, pixel by pixel, in float64."""
    result = []
    for label, logit in zip(labels, logits.astype(np.float64), strict=True):
        pixels = [(y, x) for y, x in np.ndindex(label.shape) if label[y, x] != 255]
        p = {q: np.exp(logit[q]) / np.exp(logit[q]).sum() for q in pixels}
        weight = weights or [1.0] * CLASSES
        entropy = sum(-weight[label[q]] * np.log(p[q][label[q]]) for q in pixels)
        entropy /= max(1, len(pixels))
        dices = []
        for c in range(CLASSES):
            hit = sum(p[q][c] for q in pixels if label[q] == c)
            area = sum(p[q][c] for q in pixels)
            true = sum(label[q] == c for q in pixels)
            dices.append((2 * hit + DICE_SMOOTHING) / (area + true + DICE_SMOOTHING))
        dice = 1 - np.mean(dices)
        result.append(
            {"cross-entropy": entropy, "dice": dice, "both": entropy + dice}[kind]
        )
    return result


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", LOSSES)
def test_loss_is_that_of_numpy(kind: Any, weights: list[float] | None) -> None:
    labels, logits = batch()
    loss = SegmentationLoss(CLASSES, kind, weights)
    found = np.asarray(loss.call(labels, logits))
    expected = reference(labels, logits, kind, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[2] == 0  # an image to ignore
    assert float(loss(labels, logits)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
def test_ignored_pixels_have_no_gradient(kind: Any) -> None:
    from segdata.streams.tensorflow import tf

    labels, logits = batch()
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = SegmentationLoss(CLASSES, kind, WEIGHTS)(labels, logits)
    gradient = tape.gradient(value, logits).numpy()
    assert not gradient[labels == 255].any()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[labels != 255]).max() > 1e-4


def test_perfect_prediction_has_no_loss_and_an_absent_class_does_not_count() -> None:
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[0, 4:] = 2
    logits = 100 * np.eye(CLASSES, dtype=np.float32)[labels]
    for kind in LOSSES:
        loss = float(SegmentationLoss(CLASSES, kind)(labels, logits))
        assert loss == pytest.approx(0, abs=1e-6)


def test_huge_logits_and_bfloat16_stay_finite() -> None:
    labels, logits = batch()
    for pixels in (logits * 1e4, keras.ops.cast(logits, "bfloat16")):
        for kind in LOSSES:
            assert np.isfinite(float(SegmentationLoss(CLASSES, kind)(labels, pixels)))


def test_loss_is_rebuilt_from_its_configuration() -> None:
    loss = SegmentationLoss(CLASSES, "both", WEIGHTS)
    again = SegmentationLoss.from_config(loss.get_config())
    labels, logits = batch()
    assert float(again(labels, logits)) == float(loss(labels, logits))


def test_unknown_loss_and_wrong_number_of_weights_are_refused() -> None:
    with pytest.raises(OptionError, match="loss is 'focal': expected one of cross-ent"):
        SegmentationLoss(CLASSES, "focal")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="there are 2 class weights: expected 4"):
        SegmentationLoss(CLASSES, class_weights=[1, 2])


def test_metrics_are_those_of_counts_over_batches() -> None:
    mean_iou, accuracy = segmentation_metrics(CLASSES)
    confusion = Confusion(num_classes=CLASSES)
    for seed in range(3):
        labels, logits = batch(seed)
        mean_iou.update_state(labels, logits)
        accuracy.update_state(labels, logits)
        confusion.add(labels, logits.argmax(-1).astype(np.uint8))
    expected = mean_score(confusion.class_scores("abcd"), "iou")
    assert float(mean_iou.result()) == pytest.approx(expected, abs=1e-5)
    assert float(accuracy.result()) == pytest.approx(confusion.pixel_accuracy)


# --- Class weights.


def test_median_frequency_weights_make_up_for_rare_classes() -> None:
    # Shares .8, .1, .1 and .05: the median of those present is .1.
    weights = median_frequency_weights({0: 80, 1: 10, 3: 10, 4: 5}, 5)
    assert weights == [0.125, 1.0, 1.0, 1.0, 2.0]


def test_power_and_limit_soften_the_weights() -> None:
    pixels = {0: 900, 1: 100, 2: 1}
    assert median_frequency_weights(pixels, 3) == pytest.approx([1 / 9, 1, 10])
    assert median_frequency_weights(pixels, 3, limit=1000)[2] == 100
    assert median_frequency_weights(pixels, 3, power=0.5) == pytest.approx(
        [1 / 3, 1, 10]
    )
    assert median_frequency_weights(pixels, 3, power=0) == [1, 1, 1]


def test_even_number_of_classes_takes_the_mean_of_both_middle_ones() -> None:
    assert median_frequency_weights({0: 10, 1: 30}, 2) == pytest.approx([2, 2 / 3])


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        ({}, {}, "no class has any pixels"),
        ({0: 1}, {"power": 2}, "class weight power is 2: expected 0 to 1"),
        ({0: 1}, {"limit": 0.5}, "class weight limit is 0.5: expected at least 1"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    pixels: dict[int, int], options: Any, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        median_frequency_weights(pixels, 2, **options)


JAX_LOSSES = """
import json, sys
from pathlib import Path
import numpy as np
from segdata.trainers.semantic.losses import LOSSES, SegmentationLoss
from segdata.trainers.semantic.metrics import segmentation_metrics
folder = Path(sys.argv[1])
labels, logits = np.load(folder / "labels.npy"), np.load(folder / "logits.npy")
found = {
    kind: np.asarray(SegmentationLoss(4, kind, [0.5, 1, 2, 7.5]).call(labels, logits))
    for kind in LOSSES
}
metrics = segmentation_metrics(4)
for metric in metrics:
    metric.update_state(labels, logits)
values = {metric.name: float(metric.result()) for metric in metrics}
print(json.dumps({k: v.tolist() for k, v in found.items()} | values))
"""


def test_losses_and_metrics_are_the_same_on_jax(tmp_path: Path, run_jax: Any) -> None:
    import json

    labels, logits = batch()
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "logits.npy", logits)
    found = json.loads(run_jax(JAX_LOSSES, tmp_path))
    for kind in LOSSES:
        expected = reference(labels, logits, kind, WEIGHTS)
        np.testing.assert_allclose(found[kind], expected, rtol=1e-5)
    for metric in segmentation_metrics(CLASSES):
        metric.update_state(labels, logits)
        value = float(metric.result())
        assert found[metric.name] == pytest.approx(value, abs=1e-6)
