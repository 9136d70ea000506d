"""Pictures of what a model finds: while it trains, and in files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import keras
from PIL import Image

from segdata.errors import OutputError
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.storage.paths import Location

NUM_PICTURES = 4


class Pictures(keras.callbacks.Callback):
    """Draws predictions of the first images of a split, every few epochs.

    Args:
      folder: Where to draw.
      source: The split.
      draw: Draws records; made of the run's classes and batch size.
      every: Number of epochs.
      predicting: The model to predict by, if it is not the one that learns.
    """

    def __init__(
        self,
        folder: Location,
        source: RecordSource,
        draw: Callable[[Any, Sequence[Record]], Image.Image],
        every: int,
        predicting: Any = None,
    ) -> None:
        super().__init__()
        self._folder, self._draw, self._every = folder, draw, every
        self._predicting = predicting
        # Spread over the split: neighbours may be frames of one film.
        step = max(1, len(source) // NUM_PICTURES)
        self._records = [source[i] for i in range(0, len(source), step)][:NUM_PICTURES]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draws after every so many epochs."""
        if (epoch + 1) % self._every == 0:
            sheet = self._draw(self._predicting or self.model, self._records)
            save_picture(sheet, self._folder / f"epoch-{epoch + 1:04d}.png")


def save_picture(picture: Image.Image, path: Location, **options: Any) -> None:
    """Writes a picture, and makes its folder.

    Raises:
      OutputError: If it cannot be written.
    """
    data = io.BytesIO()
    picture.save(data, "PNG" if path.suffix == ".png" else "JPEG", **options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}.") from error
    path.write_atomic(data.getvalue(), durable=False)
