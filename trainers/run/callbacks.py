"""What happens beside training: progress on stderr, losses of validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


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
