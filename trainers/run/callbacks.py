"""What happens beside training: progress on stderr, pictures of predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

from segdata.errors import OutputError
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.trainers.run.data import TrainingData
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.semantic.pictures import Prediction, predictions_sheet
from segdata.trainers.semantic.predictor import Predictor

logger = logging.getLogger(__name__)
NUM_PICTURES = 4


class Progress(keras.callbacks.Callback):
    """Counts images on the progress display."""

    def __init__(self, advance: Callable[[int], None], batch_size: int) -> None:
        super().__init__()
        self._advance, self._batch_size, self._done = advance, batch_size, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Steps are counted anew in each epoch."""
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """`batch` is the last step done; several may have been done in one call."""
        # Looking at the logs would wait for the device.
        self._advance((batch + 1 - self._done) * self._batch_size)
        self._done = batch + 1


class Validation(keras.callbacks.Callback):
    """Makes validation losses means over images that are there, at the size asked for.

    Keras averages over the images too that only fill up the last batch, whose loss is
    0. Must come first: it changes in the logs what later callbacks keep, and brings the
    other model's weights up to date.

    Args:
      factor: Images in all batches of a validation over those that are there.
      other: A model of the size to validate at, if it is not the one that learns.
      stream: What to validate that model on; None: nothing.
    """

    def __init__(self, factor: float, other: Any = None, stream: Any = None) -> None:
        super().__init__()
        self._factor, self._other, self._stream = factor, other, stream

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Copies the weights, validates and corrects the losses."""
        if self._other is not None:
            self._other.set_weights(self.model.get_weights())
        if logs is None:
            return
        if self._stream is not None:
            found = self._other.evaluate(self._stream, return_dict=True, verbose=0)
            logs.update({f"val_{name}": value for name, value in found.items()})
        for name, value in logs.items():
            if name.startswith("val_") and name.endswith("loss"):
                logs[name] = value * self._factor


class Pictures(keras.callbacks.Callback):
    """Draws predictions of the first images of a split, every few epochs.

    `predicting` is the model to predict by, if it is not the one that learns.
    """

    def __init__(
        self,
        directory: RunDirectory,
        data: TrainingData,
        split: str,
        every: int,
        predicting: Any = None,
    ) -> None:
        super().__init__()
        self._predicting = predicting
        self._folder, self._every = directory.file("pictures"), every
        self._data, self._epochs = data, 0
        source = RecordSource(data.directory, split)
        # Spread over the split: neighbours may be frames of one film.
        step = max(1, len(source) // NUM_PICTURES)
        self._records = [source[i] for i in range(0, len(source), step)][:NUM_PICTURES]
        self._batch_size = 1

    def set_batch_size(self, batch_size: int) -> None:
        """Images per call of the device, such as the number of devices."""
        self._batch_size = batch_size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draws after every so many epochs."""
        if (epoch + 1) % self._every == 0:
            self._draw(epoch + 1)

    def sheet(self, records: Sequence[Record]) -> Image.Image:
        """Draws what the model says of some records."""
        classes = self._data.pixel_classes
        images = [record.image() for record in records]
        model = self._predicting or self.model
        found = Predictor([model], self._batch_size).predict(images)
        predictions = []
        for record, image, predicted in zip(records, images, found, strict=True):
            labels = record.label_map()
            valid = None if labels is None else classes.valid_labels(labels)
            predictions.append(
                Prediction(
                    title=record.key,
                    image=np.asarray(image),
                    predicted=predicted,
                    labels=valid,
                )
            )
        return predictions_sheet(predictions, classes)

    def _draw(self, number: int) -> None:
        sheet = self.sheet(self._records)
        path = self._folder / f"epoch-{number:04d}.png"
        try:
            self._folder.mkdir(exist_ok=True)
            sheet.save(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}.") from error
