"""What happens beside training: what is told on stderr, and losses of validation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import keras

from segdata.trainers.run.checkpoint import History
from segdata.trainers.run.options import TrainOptions

logger = logging.getLogger(__name__)
_FIRST_TIMED, _LAST_TIMED = 3, 8  # steps; those before are compiled and warmed up


class Reporter(keras.callbacks.Callback):
    """Counts images on the progress display; tells a line for each epoch.

    Must come after the callback that keeps the epoch in `history`.
    """

    async_safe = True
    """On JAX Keras need not wait for the device after each step, as for others."""

    def __init__(
        self,
        options: TrainOptions,
        steps: int,
        history: History,
        advance: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._options, self._steps, self._history = options, steps, history
        self._advance = advance
        self._done = self._epochs = 0
        self._seconds = 0.0
        self._start = self._timed_from = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Steps are counted anew in each epoch."""
        self._done, self._start = 0, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """`batch` is the last step done; several may have been done in one call."""
        # Looking at the logs would wait for the device.
        self._advance((batch + 1 - self._done) * self._options.batch_size)
        self._done = batch + 1
        if self._epochs == 0 and self._done == _FIRST_TIMED:
            self._timed_from = time.monotonic()
        if self._epochs == 0 and self._done == _LAST_TIMED < self._steps:
            taken = time.monotonic() - self._timed_from
            self._tell_end(taken / (_LAST_TIMED - _FIRST_TIMED))

    def _tell_end(self, seconds: float) -> None:
        epochs = self._options.epochs - len(self._history.rows)
        left = (epochs * self._steps - self._done) * seconds
        end = datetime.now() + timedelta(seconds=left)
        logger.info(
            "%.2g s a step: %s of training, until about %s, and the validations",
            seconds,
            duration(left),
            end.strftime("%H:%M"),
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tells what came of the epoch, and how long the others will take."""
        history, goal = self._history, self._history.goal
        row = history.rows[-1]
        self._epochs += 1
        seconds = time.monotonic() - self._start
        self._seconds += seconds
        names = dict.fromkeys(["loss", "val_loss", "val_box_AP", goal])
        shown = "  ".join(f"{n} {row[n]:.4f}" for n in names if n in row)
        best = "  best so far" if history.best == len(history.rows) - 1 else ""
        left = (self._options.epochs - epoch - 1) * self._seconds / self._epochs
        logger.info(
            "epoch %d of %d: %s%s  %s, %s left",
            epoch + 1,
            self._options.epochs,
            shown,
            best,
            duration(seconds),
            duration(left),
        )
        if goal in row and history.tells_nothing:
            logger.info(
                "%s has been 0 in every epoch so far: the best one is chosen by its "
                "loss",
                goal,
            )


def duration(seconds: float) -> str:
    """A time as people say it: `8 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Validation(keras.callbacks.Callback):
    """Makes validation losses means over images that are there, at the size asked for.

    Keras averages over the images too that only fill up the last batch, whose loss is
    0. Must come first: it changes in the logs what later callbacks keep, and brings the
    other model's weights up to date.

    Args:
      factor: Images in all batches of a validation over those that are there.
      other: A model of the size to validate at, if it is not the one that learns.
      stream: What to validate that model on, if there is anything.
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
        if self._other is not None and self._stream is not None:
            found = self._other.evaluate(self._stream, return_dict=True, verbose=0)
            logs.update({f"val_{name}": value for name, value in found.items()})
        for name, value in logs.items():
            if name.startswith("val_") and name.endswith("loss"):
                logs[name] = value * self._factor
