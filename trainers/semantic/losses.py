"""Losses over logits and label maps: cross-entropy, Dice, or both.

A loss gives one value per image, which Keras then averages. Under TensorFlow's
strategies Keras divides by the global batch only what it averages itself: a loss that
came back as one number would count as often as there are replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras

from segdata.errors import OptionError
from segdata.label_map import OUTSIDE_IGNORE_ID
from segdata.trainers.tensor import Tensor

LossKind = Literal["cross-entropy", "dice", "both"]
LOSSES: tuple[LossKind, ...] = ("cross-entropy", "dice", "both")

IGNORED = OUTSIDE_IGNORE_ID
"""Label of pixels that count for nothing."""
DICE_SMOOTHING = 1.0
"""Pixels added to both sides of Dice's fraction, so that a class that is neither there
nor predicted scores 1 and not 0/0."""


@keras.saving.register_keras_serializable("segdata")
class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy, one minus Dice, or their sum; pixels labelled 255 do not count.

    - Cross-entropy of an image is the mean over its valid pixels of the weight of the
      pixel's class times its cross-entropy.
    - Dice of an image is the mean over all classes of
      `(2 sum(p y) + s) / (sum(p) + sum(y) + s)`, where p is the softmax, y the label as
      0 or 1, the sums go over valid pixels, and s is `DICE_SMOOTHING` pixels.

    An image without valid pixels has loss 0.

    Attributes:
      num_classes: Channels of the logits.
      kind: `cross-entropy`, `dice` or `both`.
      class_weights: Weight of each class in cross-entropy; None is 1 for all.
    """

    def __init__(
        self,
        num_classes: int,
        kind: LossKind = "cross-entropy",
        class_weights: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**{"name": "segmentation_loss", **options})
        if kind not in LOSSES:
            raise OptionError(f"loss is {kind!r}: expected one of {', '.join(LOSSES)}.")
        if class_weights is not None and len(class_weights) != num_classes:
            raise OptionError(
                f"there are {len(class_weights)} class weights: expected "
                f"{num_classes}, one for each class."
            )
        self.num_classes, self.kind = num_classes, kind
        self.class_weights = None if class_weights is None else list(class_weights)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Loss of each image.

        Args:
          y_true: `[batch, height, width]` labels, 255 is ignored.
          y_pred: `[batch, height, width, num_classes]` logits.

        Returns:
          `[batch] float32`.
        """
        ops = keras.ops
        labels = ops.cast(y_true, "int32")
        valid = ops.cast(labels != IGNORED, "float32")
        # -1 is a row of zeros, whatever the backend.
        one_hot = ops.one_hot(
            ops.where(labels == IGNORED, -1, labels), self.num_classes, dtype="float32"
        )
        logits = ops.cast(y_pred, "float32")
        loss = 0.0
        if self.kind != "dice":
            loss = loss + self._cross_entropy(one_hot, valid, logits)
        if self.kind != "cross-entropy":
            loss = loss + self._dice(one_hot, valid, logits)
        return loss

    def _cross_entropy(self, one_hot: Tensor, valid: Tensor, logits: Tensor) -> Tensor:
        ops = keras.ops
        if self.class_weights is None:
            weighted = one_hot
        else:
            weighted = one_hot * ops.convert_to_tensor(self.class_weights, "float32")
        log_probabilities = ops.log_softmax(logits, axis=-1)
        total = -ops.sum(weighted * log_probabilities, axis=(1, 2, 3))
        return total / ops.maximum(ops.sum(valid, axis=(1, 2)), 1.0)

    def _dice(self, one_hot: Tensor, valid: Tensor, logits: Tensor) -> Tensor:
        ops = keras.ops
        probabilities = ops.softmax(logits, axis=-1) * ops.expand_dims(valid, -1)
        both = ops.sum(probabilities * one_hot, axis=(1, 2))
        either = ops.sum(probabilities + one_hot, axis=(1, 2))
        score = (2 * both + DICE_SMOOTHING) / (either + DICE_SMOOTHING)
        return 1.0 - ops.mean(score, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What to build it from again."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "kind": self.kind,
            "class_weights": self.class_weights,
        }
