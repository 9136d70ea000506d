"""Class-wise IoU and Dice from a confusion matrix that grows by no pixel.

Free of Keras and TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import OptionError
from segdata.label_map import OUTSIDE_IGNORE_ID

SMOOTHING = 1e-5
"""Added to both sides of the fraction, as in the course's notebooks. A class that
neither labels nor predictions have is not scored."""


def class_ious(
    counts: Any, void_id: int | None = None, ops: Any = np
) -> tuple[Any, Any]:
    """IoU of each class, and which classes are in means: for training and evaluation.

    A class that occurs as label or as prediction is in means, but for void that no
    pixel counted is labelled: it cannot be found, and predicting it is a miss of the
    class that is labelled there.

    Args:
      counts: `[classes, classes] float`; rows are labels, columns predictions.
      void_id: The class to ignore.
      ops: `numpy` or `keras.ops`.

    Returns:
      `[classes] float` and `[classes] bool`.
    """
    hit, label = ops.diagonal(counts), ops.sum(counts, axis=1)
    union = label + ops.sum(counts, axis=0) - hit
    occurs = union > 0
    if void_id is not None:
        occurs = occurs & ((ops.arange(counts.shape[0]) != void_id) | (label > 0))
    return (hit + SMOOTHING) / (union + SMOOTHING), occurs


def mean_iou(counts: Any, void_id: int | None = None, ops: Any = np) -> Any:
    """Mean of `class_ious` over the classes that are in means; 0 if none is."""
    ious, occurs = class_ious(counts, void_id, ops)
    total = ops.sum(ops.where(occurs, ious, ops.zeros_like(ious)))
    number = ops.sum(ops.where(occurs, ops.ones_like(ious), ops.zeros_like(ious)))
    return total / ops.maximum(number, ops.ones_like(number))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """How well one class was found, over all pixels counted."""

    id: int
    """Class id."""
    name: str
    """Its name."""
    label_pixels: int
    """Pixels that are it, also where they were left out of everything else."""
    predicted_pixels: int
    """Pixels that were predicted as it."""
    iou: float | None
    """Intersection over union, 0 to 1; None if the class does not occur, or is void
    that was left out."""
    dice: float | None
    """Twice the intersection over the sum of both areas; None likewise."""
    is_void: bool = False
    """Whether it is the dataset's class to ignore."""


@dataclass(kw_only=True)
class Confusion:
    """Counts of pixels by label and prediction.

    Attributes:
      num_classes: Number of classes.
      left_out: Label that counts for nothing, besides 255.
      matrix: `[num_classes, num_classes] int64`; rows are labels, columns predictions.
      labelled: `[256] int64`, pixels of each label, also of those left out.
    """

    num_classes: int
    left_out: int | None = None
    matrix: NDArray[np.int64] = field(init=False)
    labelled: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.matrix = np.zeros((self.num_classes,) * 2, np.int64)
        self.labelled = np.zeros(256, np.int64)

    def add(self, labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Counts pixels.

        Args:
          labels: Class ids or 255, of any shape.
          predicted: Class ids, of the same shape.

        Raises:
          OptionError: If the shapes differ, or an id is no class.
        """
        if labels.shape != predicted.shape:
            raise OptionError(
                f"labels are {labels.shape} and predictions {predicted.shape}: "
                "expected the same shape."
            )
        valid = (labels != OUTSIDE_IGNORE_ID) & (labels != self.left_out)
        true, found = labels[valid].astype(np.int64), predicted[valid]
        highest = max(true.max(initial=0), int(found.max(initial=0)))
        if highest >= self.num_classes:
            raise OptionError(
                f"class id {highest} is out of range: there are {self.num_classes} "
                "classes."
            )
        cells = np.bincount(true * self.num_classes + found, minlength=self.matrix.size)
        self.matrix += cells.reshape(self.matrix.shape)
        self.labelled += np.bincount(labels.ravel(), minlength=256)

    def without_label(self, class_id: int) -> Confusion:
        """A copy that leaves out pixels labelled as a class."""
        copy = Confusion(num_classes=self.num_classes)
        copy.matrix[:], copy.labelled[:] = self.matrix, self.labelled
        copy.matrix[class_id] = 0
        return copy

    @property
    def pixel_accuracy(self) -> float | None:
        """Share of pixels whose class is right; None if none were counted."""
        total = int(self.matrix.sum())
        return int(np.trace(self.matrix)) / total if total else None

    def class_scores(
        self, names: Sequence[str], void_id: int | None = None
    ) -> tuple[ClassScore, ...]:
        """IoU and Dice of each class: areas over everything counted.

        Args:
          names: Name of each class.
          void_id: Class to mark as void.
        """
        hit, found = self.matrix.diagonal(), self.matrix.sum(axis=0)
        both = self.matrix.sum(axis=1) + found
        dice = (2 * hit + SMOOTHING) / (both + SMOOTHING)
        iou, occurs = class_ious(self.matrix.astype(np.float64), void_id)
        return tuple(
            ClassScore(
                id=index,
                name=name,
                label_pixels=int(self.labelled[index]),
                predicted_pixels=int(found[index]),
                iou=float(iou[index]) if occurs[index] else None,
                dice=float(dice[index]) if occurs[index] else None,
                is_void=index == void_id,
            )
            for index, name in enumerate(names)
        )


def mean_score(scores: Sequence[ClassScore], what: str) -> float | None:
    """Mean `iou` or `dice` of the classes that occur; None if none does."""
    values = [
        getattr(score, what) for score in scores if getattr(score, what) is not None
    ]
    return sum(values) / len(values) if values else None


def summarize(
    confusion: Confusion, names: Sequence[str], void_id: int | None
) -> dict[str, Any]:
    """Everything as JSON.

    Args:
      confusion: What was counted.
      names: Name of each class.
      void_id: The class to ignore, if one of the classes is that.

    Returns:
      `mean_iou`, `mean_dice`, `pixel_accuracy`, `classes`, `label_pixels` (of all
      label maps, also what was left out: `segdata info` shows shares of that),
      `confusion`. Where pixels
      labelled void were counted, these take void for one more class, and
      `without_void` holds the three numbers as most papers have them: over pixels that
      are labelled otherwise, where a prediction of void is a miss.
    """
    scores = confusion.class_scores(names, void_id)
    result = _means(confusion, scores)
    if void_id is not None and confusion.matrix[void_id].any():
        rest = confusion.without_label(void_id)
        result["without_void"] = _means(rest, rest.class_scores(names, void_id))
    result["classes"] = [
        {
            "id": score.id,
            "name": score.name,
            "iou": score.iou,
            "dice": score.dice,
            "label_pixels": score.label_pixels,
            "predicted_pixels": score.predicted_pixels,
            **({"void": True} if score.is_void else {}),
        }
        for score in scores
    ]
    result["label_pixels"] = int(confusion.labelled.sum())
    result["confusion"] = confusion.matrix.tolist()
    return result


def _means(confusion: Confusion, scores: Sequence[ClassScore]) -> dict[str, Any]:
    return {
        "mean_iou": mean_score(scores, "iou"),
        "mean_dice": mean_score(scores, "dice"),
        "pixel_accuracy": confusion.pixel_accuracy,
    }


def number(value: float | None) -> str:
    """A score in a column of 6."""
    return f"{'-':>6}" if value is None else f"{value:6.3f}"
