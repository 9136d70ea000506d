"""A trained model that labels images of any size, on any backend of Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError, OutputError
from segdata.preprocessing import resize_image
from segdata.trainers.models import build_model, inference_model
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run_directory import Run, RunDirectory

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
WhichWeights = Literal["best", "last"]

_STRIP_BYTES = 64 << 20  # of logits that are brought to the image's size at a time


class Predictor:
    """Labels images: stretched to the model's size as in validation, and back.

    Attributes:
      model: A `keras.Model` that gives logits.
      image_size: Height and width of its input.
      batch_size: Images per call; fewer are filled up, so that shapes stay static.
      flip_average: Whether every image is looked at mirrored as well, and the logits
        averaged: twice the time, for a little more accuracy.
    """

    def __init__(
        self, model: Any, batch_size: int, *, flip_average: bool = False
    ) -> None:
        self.model = inference_model(model)
        self.image_size = tuple(self.model.inputs[0].shape[1:3])
        self.batch_size = batch_size
        self.flip_average = flip_average

    def predict(self, images: Sequence[UInt8Array]) -> list[UInt8Array]:
        """Labels every pixel.

        Args:
          images: `[h, w, 3] uint8` RGB each, of any sizes.

        Returns:
          `[h, w] uint8` class ids each, of the images' own sizes.
        """
        found: list[UInt8Array] = []
        for first in range(0, len(images), self.batch_size):
            part = images[first : first + self.batch_size]
            logits = self.logits(part)
            found += [
                label_pixels(one, image.shape[:2])
                for one, image in zip(logits, part, strict=True)
            ]
        return found

    def logits(self, images: Sequence[UInt8Array]) -> FloatArray:
        """Logits at the model's size, of at most `batch_size` images.

        Returns:
          `[len(images), *image_size, num_classes] float32`.
        """
        batch = np.zeros((self.batch_size, *self.image_size, 3), np.uint8)
        for index, image in enumerate(images):
            batch[index] = (
                image
                if image.shape[:2] == self.image_size
                else resize_image(image, self.image_size).numpy()
            )
        logits = self._call(batch)
        if self.flip_average:
            mirrored = self._call(batch[:, :, ::-1])[:, :, ::-1]
            logits = np.mean([logits, mirrored], axis=0, dtype=np.float32)
        return logits[: len(images)]

    def _call(self, batch: UInt8Array) -> FloatArray:
        logits = self.model.predict(batch, batch_size=self.batch_size, verbose=0)
        found: FloatArray = np.asarray(logits)
        return found


def load_predictor(
    directory: RunDirectory,
    run: Run,
    which: WhichWeights,
    batch_size: int,
    *,
    flip_average: bool = False,
) -> Predictor:
    """Builds a run's model with its trained weights, in float32.

    Raises:
      OutputError: If there are no weights yet.
      CorruptionError: If they do not fit.
    """
    path = weights_file(directory, which)
    options = without_pretraining(run)
    size = run.options.eval_image_size or options.image_size
    model = build_model(run.options.model, replace(options, image_size=size))
    load_weights(model, path)
    return Predictor(model, batch_size, flip_average=flip_average)


def weights_file(directory: RunDirectory, which: WhichWeights) -> Path:
    """The file of a run's trained weights.

    Raises:
      OutputError: If there are none yet.
    """
    path = directory.file(f"{which}.weights.h5")
    if not path.is_file():
        raise OutputError(
            f"{directory.path} has no {which} weights yet: expected {path.name}. Let "
            "`segdata train` finish an epoch (with `--score-every`, one that is "
            "scored), or take `--use last`.",
            reason="no-weights",
        )
    return path


def without_pretraining(run: Run) -> ModelOptions | MaskRCNNOptions:
    """Model options that fetch no weights: trained ones are to follow."""
    return replace(run.model_options, weights=None)


def load_weights(model: Any, path: Path) -> None:
    """Loads a weights file.

    Raises:
      CorruptionError: If it is damaged or of another model.
    """
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds
        line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CorruptionError(
            f"weights {path} are damaged or of another model: {line}."
        ) from error


def label_pixels(logits: FloatArray, size: tuple[int, ...]) -> UInt8Array:
    """The most likely class of every pixel, from logits of another size.

    Logits are interpolated bilinearly at half-pixel centres, in strips, so that memory
    stays small whatever the image and the number of classes.

    Args:
      logits: `[h, w, num_classes] float32`.
      size: Height and width of the result.
    """
    height, width = size
    if logits.shape[:2] == (height, width):
        whole: UInt8Array = logits.argmax(axis=-1).astype(np.uint8)
        return whole
    low, high, part = _neighbours(logits.shape[1], width)
    wide = logits[:, low] * (1 - part)[:, None] + logits[:, high] * part[:, None]
    low, high, part = _neighbours(logits.shape[0], height)
    labels = np.empty((height, width), np.uint8)
    rows = max(1, _STRIP_BYTES // (wide[0].nbytes or 1))
    for first in range(0, height, rows):
        strip = slice(first, first + rows)
        weight = part[strip, None, None]
        mixed = wide[low[strip]] * (1 - weight) + wide[high[strip]] * weight
        labels[strip] = mixed.argmax(axis=-1)
    return labels


def _neighbours(before: int, after: int) -> tuple[Any, Any, Any]:
    """Indices below and above each sample, and the weight of the one above."""
    centers = (np.arange(after) + 0.5) * before / after - 0.5
    low = np.floor(centers).astype(int)
    part = (centers - low).astype(np.float32)
    return low.clip(0, before - 1), (low + 1).clip(0, before - 1), part


def set_precision(precision: str) -> Any:
    """Sets the type that new layers compute in; returns the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision.replace("-", "_"))
    return before
