"""A trained model that labels images of any size, on any backend of Keras."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from segdata.cpus import num_cpus
from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.storage.paths import Location
from segdata.streams.resample import resize_image
from segdata.trainers.models import build_model, inference_model
from segdata.trainers.models.options import MIN_SIZE
from segdata.trainers.run.directory import Run, RunDirectory, local_file

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
WhichWeights = Literal["best", "last"]

_STRIP_BYTES = 64 << 20  # of logits that are brought to the image's size at a time
_STRIDE = 16  # sizes are multiples of it, as encoders halve them
SCALES = (0.25, 4.0)
"""The least and largest factor of an image's size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Averaging:
    """Views of each image whose logits are averaged: time for some more accuracy.

    PSPNet (Zhao, Shi, Qi, Wang, Jia 2017) calls it multi-scale testing.
    """

    flip: bool = False
    """Whether each image is looked at mirrored as well."""
    scales: tuple[float, ...] = (1.0,)
    """Factors on the size that the run measures at."""

    def __post_init__(self) -> None:
        lowest, highest = SCALES
        if not self.scales or not all(lowest <= s <= highest for s in self.scales):
            raise OptionError(
                f"scales to average are {self.scales}: expected one or more, from "
                f"{lowest} to {highest}."
            )

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Heights and widths to look at, from the one that the run measures at."""
        height, width = size
        return [
            size if scale == 1 else (_scaled(height, scale), _scaled(width, scale))
            for scale in self.scales
        ]


def _scaled(side: int, scale: float) -> int:
    return max(MIN_SIZE, round(side * scale / _STRIDE) * _STRIDE)


class Predictor:
    """Labels images: stretched to the model's size as in validation, and back.

    Attributes:
      models: Models that give logits, one for each size to look at.
      image_size: Height and width of the logits.
      batch_size: Images per call; fewer are filled up, so that shapes stay static.
      flip: Whether every image is looked at mirrored as well.
    """

    def __init__(
        self,
        models: Sequence[Any],
        batch_size: int,
        *,
        image_size: tuple[int, int] | None = None,
        flip: bool = False,
    ) -> None:
        self.models = [inference_model(model) for model in models]
        self.image_size = image_size or _input_size(self.models[0])
        self.batch_size = batch_size
        self.flip = flip

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
            sizes = (image.shape[:2] for image in part)
            with ThreadPoolExecutor(num_cpus()) as pool:
                found += pool.map(label_pixels, self.logits(part), sizes)
        return found

    def logits(self, images: Sequence[UInt8Array]) -> FloatArray:
        """Logits at `image_size`, of at most `batch_size` images: means of all views.

        Returns:
          `[len(images), *image_size, num_classes] float32`.
        """
        views = [self._view(model, images) for model in self.models]
        mean: FloatArray = np.mean(views, axis=0, dtype=np.float32)
        return mean[: len(images)]

    def _view(self, model: Any, images: Sequence[UInt8Array]) -> FloatArray:
        """Logits of a batch by one model, at `image_size`."""
        size = _input_size(model)
        batch = np.zeros((self.batch_size, *size, 3), np.uint8)
        for index, image in enumerate(images):
            batch[index] = (
                image if image.shape[:2] == size else resize_image(image, size).numpy()
            )
        logits = self._call(model, batch)
        if self.flip:
            mirrored = self._call(model, batch[:, :, ::-1])[:, :, ::-1]
            logits = np.mean([logits, mirrored], axis=0, dtype=np.float32)
        if size == self.image_size:
            return logits
        resized: FloatArray = np.asarray(
            keras.ops.image.resize(
                logits,
                self.image_size,
                interpolation="bilinear",
                data_format="channels_last",
            )
        )
        return resized

    def _call(self, model: Any, batch: UInt8Array) -> FloatArray:
        logits = model.predict(batch, batch_size=self.batch_size, verbose=0)
        found: FloatArray = np.asarray(logits, np.float32)
        return found


def _input_size(model: Any) -> tuple[int, int]:
    height, width = model.inputs[0].shape[1:3]
    return int(height), int(width)


def load_predictor(
    directory: RunDirectory,
    run: Run,
    which: WhichWeights,
    batch_size: int,
    averaging: Averaging | None = None,
    image_size: tuple[int, int] | None = None,
) -> Predictor:
    """Builds a run's model with its trained weights, in float32; one for each scale.

    Raises:
      OutputError: If there are no weights yet.
      CorruptionError: If they do not fit.
    """
    path = weights_file(directory, which)
    # Trained weights follow: none need be fetched.
    options = replace(run.model_options, load_weights=False)
    averaging = averaging or Averaging()
    size = image_size or run.options.eval_image_size or options.image_size
    models = []
    for one in averaging.sizes(size):
        model = build_model(run.options.model, replace(options, image_size=one))
        load_weights(model, path)
        models.append(model)
    return Predictor(models, batch_size, image_size=size, flip=averaging.flip)


def weights_file(directory: RunDirectory, which: WhichWeights) -> Location:
    """The file of a run's trained weights.

    Raises:
      OutputError: If there are none yet.
    """
    path = directory.file(f"{which}.weights.h5")
    if not path.is_file():
        raise OutputError(
            f"{directory.path} has no {which} weights yet: expected {path.name}. Let "
            "`segdata train` finish an epoch (with score_every, one that is scored), "
            "or take `--use last`.",
            reason="no-weights",
        )
    return path


def load_weights(model: Any, path: Location, skip: Sequence[Any] = ()) -> None:
    """Loads a weights file, but for some layers.

    Raises:
      CorruptionError: If it is damaged or of another model.
    """
    try:
        with local_file(path) as name, warnings.catch_warnings():
            if skip:  # Keras warns of groups in the file that hold none but those
                warnings.simplefilter("ignore")
            model.load_weights(name, objects_to_skip=list(skip) or None)
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
