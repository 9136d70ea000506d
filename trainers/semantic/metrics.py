"""Metrics while training: of Keras where they fit. Pixels labelled 255 do not count."""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.semantic.losses import IGNORED
from segdata.trainers.semantic.scores import mean_iou
from segdata.trainers.tensor import Tensor


def segmentation_metrics(num_classes: int, void_id: int | None = None) -> list[Any]:
    """Mean IoU and pixel accuracy over logits.

    Both add up counts, so that they are right over batches of any size, over padding
    and over several devices.

    Args:
      num_classes: Channels of the logits.
      void_id: The channel that is the dataset's class to ignore, if one is.
    """
    return [
        MeanIoU(num_classes, void_id, name="mean_iou"),
        PixelAccuracy(name="pixel_accuracy"),
    ]


@keras.saving.register_keras_serializable("segdata")
class MeanIoU(keras.metrics.MeanIoU):
    """Keras's count of pixels, and of them the mean that `segdata evaluate` prints."""

    def __init__(
        self, num_classes: int, void_id: int | None = None, **options: Any
    ) -> None:
        given = {"ignore_class": IGNORED, "sparse_y_pred": False, **options}
        super().__init__(num_classes, **given)
        self.void_id = void_id

    def result(self) -> Tensor:
        """See `scores.mean_iou`."""
        counts = keras.ops.cast(self.total_cm, "float32")
        return mean_iou(counts, self.void_id, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """What to build it from again."""
        return {**super().get_config(), "void_id": self.void_id}


@keras.saving.register_keras_serializable("segdata")
class PixelAccuracy(keras.metrics.Mean):
    """Share of valid pixels whose class is right.

    Keras's own accuracies have no class to ignore.
    """

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Counts a batch.

        Args:
          y_true: `[batch, height, width]` labels, 255 is ignored.
          y_pred: `[batch, height, width, num_classes]` logits.
          sample_weight: Not used by segdata: padding is ignored by its labels.
        """
        ops = keras.ops
        labels = ops.cast(y_true, "int32")
        hit = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), labels)
        valid = ops.cast(labels != IGNORED, "float32")
        super().update_state(ops.cast(hit, "float32"), sample_weight=valid)
