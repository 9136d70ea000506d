"""Metrics while training: of Keras where they fit. Pixels labelled 255 do not count."""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.semantic.losses import IGNORED

Tensor = Any


def segmentation_metrics(num_classes: int) -> list[Any]:
    """Mean IoU and pixel accuracy over logits.

    Both add up counts, so that they are right over batches of any size, over padding
    and over several devices. Mean IoU is over classes that occur, as label or as
    prediction.
    """
    return [
        keras.metrics.MeanIoU(
            num_classes, name="mean_iou", ignore_class=IGNORED, sparse_y_pred=False
        ),
        PixelAccuracy(name="pixel_accuracy"),
    ]


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
