"""A trained model that finds objects in images of any size, on any backend of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from segdata.reading.geometry import choose_geometry
from segdata.reading.options import Augmentation, Resize
from segdata.streams.resample import move_image
from segdata.trainers.models import build_model
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.pasting import paste_mask
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.run.placement import Placement
from segdata.trainers.semantic.predictor import (
    UInt8Array,
    WhichWeights,
    load_weights,
    weights_file,
)

RESIZE = Resize(mode="pad")
"""How images are fitted to the model's size, while training too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The objects found in one image, best first."""

    height: int
    """Of the image, in pixels."""
    width: int
    """Of the image, in pixels."""
    boxes: NDArray[np.float32]
    """`[n, 4]` `ymin, xmin, ymax, xmax` in pixels of the image, inside it."""
    scores: NDArray[np.float32]
    """`[n]`, 0 to 1."""
    classes: NDArray[np.int32]
    """`[n]`, ids of object classes."""
    masks: NDArray[np.float32]
    """`[n, m, m]` probabilities over each box."""

    def pasted(self) -> Iterator[UInt8Array]:
        """Each object's mask, `[height, width]`, 1 on the object; one at a time.

        Columns lie together in memory, as COCO's encoder wants them.
        """
        for mask, box in zip(self.masks, self.boxes, strict=True):
            pixels = np.zeros((self.height, self.width), np.bool_, order="F")
            paste_mask(pixels, mask, box)
            yield pixels.view(np.uint8)

    def best(self, count: int, min_score: float) -> Found:
        """At most so many, of at least this score."""
        kept = np.flatnonzero(self.scores >= min_score)[:count]
        return replace(
            self,
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            classes=self.classes[kept],
            masks=self.masks[kept],
        )


class Detector:
    """Finds objects: images are fitted into the model's size as in training.

    Attributes:
      model: A `MaskRCNN`.
      image_size: Height and width of its input.
      batch_size: Images per call; fewer are filled up, so that shapes stay static.
    """

    def __init__(self, model: Any, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size
        self.image_size: tuple[int, int] = tuple(model.options.image_size)

    def predict(self, images: Sequence[UInt8Array]) -> list[Found]:
        """Finds the objects of images.

        Args:
          images: `[h, w, 3] uint8` RGB each, of any sizes.
        """
        found: list[Found] = []
        for first in range(0, len(images), self.batch_size):
            part = images[first : first + self.batch_size]
            batch = self._batch(part)
            slots = self.model.predict(batch, batch_size=self.batch_size, verbose=0)
            slots = {name: np.asarray(value) for name, value in slots.items()}
            for index, image in enumerate(part):
                one = {name: value[index] for name, value in slots.items()}
                affine = batch["scale"][index], batch["offset"][index]
                found.append(_at_size(one, affine, image.shape[:2]))
        return found

    def _batch(self, images: Sequence[UInt8Array]) -> dict[str, NDArray[Any]]:
        count = self.batch_size
        batch: dict[str, NDArray[Any]] = {
            "image": np.zeros((count, *self.image_size, 3), np.uint8),
            "image_size": np.ones((count, 2), np.int32),
            "scale": np.ones((count, 2), np.float32),
            "offset": np.zeros((count, 2), np.float32),
        }
        for index, image in enumerate(images):
            height, width = image.shape[:2]
            geometry = choose_geometry(
                height, width, self.image_size, RESIZE, Augmentation(), None
            )
            batch["image"][index] = move_image(image, geometry).numpy()
            batch["image_size"][index] = image.shape[:2]
            batch["scale"][index], batch["offset"][index] = geometry.affine()
        return batch


def load_detector(
    directory: RunDirectory,
    run: Run,
    which: WhichWeights,
    batch_size: int,
    **changes: Any,
) -> Detector:
    """Builds a run's model with its trained weights, in float32.

    Args:
      directory: Of the run.
      run: What it is.
      which: The weights.
      batch_size: Images per call of the device.
      **changes: `MaskRCNNOptions` that no weight depends on, such as `class_agnostic`.

    Raises:
      OutputError: If there are no weights yet.
      CorruptionError: If they do not fit.
    """
    path = weights_file(directory, which)
    options = run.model_options
    assert isinstance(options, MaskRCNNOptions)
    # Trained weights follow: none need be fetched.
    plain = replace(options, load_weights=False, **changes)
    model = build_model(run.options.model, plain)
    load_weights(model, path)
    placement = Placement(backend=keras.backend.backend())
    model.jit_compile = placement.jit_compile(run.options)
    return Detector(model, batch_size)


def _at_size(slots: dict[str, Any], affine: Any, size: tuple[int, ...]) -> Found:
    """Slots of one image, at the model's size -> objects at the image's own."""
    taken = slots["classes"] > 0
    scale, offset = affine
    corners = (slots["boxes"][taken].reshape(-1, 2, 2) - offset) / scale
    boxes = np.clip(corners, 0, np.asarray(size, np.float32)).reshape(-1, 4)
    return Found(
        height=size[0],
        width=size[1],
        boxes=boxes.astype(np.float32),
        scores=slots["scores"][taken],
        classes=slots["classes"][taken],
        masks=slots["masks"][taken],
    )
