"""Metrics while training: of Keras where they fit. Pixels labelled 255 do not count."""

from __future__ import annotations

import math
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


_LOW = 2**24


@keras.saving.register_keras_serializable("segdata")
class MeanIoU(keras.metrics.Metric):
    """The mean that `segdata evaluate` prints, of a confusion matrix in the step.

    Keras's own scatters every pixel into the matrix, which TPUs do one after the other,
    and counts in int32, which a long epoch fills. Here the matrix of an image is a
    product of one-hot labels and predictions, and a count is two integers.
    """

    def __init__(
        self,
        num_classes: int,
        void_id: int | None = None,
        name: str = "mean_iou",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.num_classes, self.void_id = num_classes, void_id
        # A cell's count is `high * 2**24 + low`: neither can overflow.
        self.high, self.low = (
            self.add_variable(
                (num_classes, num_classes), "zeros", dtype="int32", name=part
            )
            for part in ("high", "low")
        )

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
        # -1 is a row of zeros, whatever the backend.
        labels = ops.where(labels == IGNORED, -1, labels)
        true, found = (
            ops.reshape(
                ops.one_hot(ids, self.num_classes, dtype="float32"),
                (-1, math.prod(y_pred.shape[1:-1]), self.num_classes),
            )
            for ids in (labels, ops.argmax(y_pred, axis=-1))
        )
        # Float32 counts an image exactly: up to 2**24 pixels.
        images = ops.einsum("bpi,bpj->bij", true, found)
        low = self.low + ops.sum(ops.cast(images, "int32"), axis=0)
        self.high.assign(self.high + low // _LOW)
        self.low.assign(low % _LOW)

    def result(self) -> Tensor:
        """See `scores.mean_iou`."""
        high, low = (keras.ops.cast(part, "float32") for part in (self.high, self.low))
        return mean_iou(high * _LOW + low, self.void_id, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """What to build it from again."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "void_id": self.void_id,
        }


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
