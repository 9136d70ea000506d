"""Checkpoints from which a run goes on as if it had never stopped.

Keras's weights files leave out the state of dropout's random numbers, so a run that is
resumed from one drifts away. Here a checkpoint is every variable that training changes:
of layers (with those states) and of the optimiser, and the history of the epochs.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import orjson

from segdata.errors import CorruptionError, TrainingError
from segdata.shards.kinds import check_value
from segdata.storage.local_path import LocalPath
from segdata.storage.paths import Location
from segdata.storage.temporary import TEMPORARY_PREFIX
from segdata.trainers.run.directory import STATE_NAME, RunDirectory

Row = dict[str, float]
_DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError),
    zipfile.BadZipFile,
)
_MOST_HISTORY = 1 << 26


@dataclass(kw_only=True)
class History:
    """The epochs so far.

    Attributes:
      rows: A row of metrics per epoch.
      goal: Column that is to become large, or, if it is a loss, small.
    """

    goal: str
    rows: list[Row] = field(default_factory=list)

    @property
    def scored(self) -> list[int]:
        """Indices of the epochs whose goal was measured, as a number."""
        return [i for i, row in enumerate(self.rows) if _is_finite(row.get(self.goal))]

    @property
    def best(self) -> int | None:
        """Index of the best epoch that was scored; None before the first.

        Of equal scores the one of lower loss is better, then the earlier.
        """
        sign = -1 if self.goal.endswith("loss") else 1

        def rank(index: int) -> tuple[float, float, int]:
            row = self.rows[index]
            loss = row.get("val_loss", row.get("loss"))
            return sign * row[self.goal], -math.inf if loss is None else -loss, -index

        return max(self.scored, key=rank, default=None)

    @property
    def epochs_since_best(self) -> int:
        """Scored epochs that brought no improvement."""
        best = self.best
        return sum(best is not None and index > best for index in self.scored)

    @property
    def tells_nothing(self) -> bool:
        """Whether every score so far is 0: then the loss alone has chosen."""
        scores = [self.rows[index][self.goal] for index in self.scored]
        return bool(scores) and not any(scores)


def _is_finite(value: float | None) -> bool:
    # JSON has no NaN: older runs hold null in its place.
    return value is not None and math.isfinite(value)


def check_losses(epoch: int, logs: Mapping[str, Any]) -> None:
    """Ends a run whose loss is no number: training cannot get out of that again.

    Raises:
      TrainingError: If a loss is NaN or infinite.
    """
    for name, value in logs.items():
        if name.endswith("loss") and not _is_finite(float(value)):
            kept = "nothing is kept. Train again"
            if epoch:
                kept = f"the weights of epoch {epoch} are kept. Train in another run "
                kept += "directory"
            raise TrainingError(
                f"{name} is {float(value)} in epoch {epoch + 1}: expected a number. "
                f"The run ends, and {kept} with a lower --learning-rate, with --set "
                "clip_norm=1, or with --set warmup_epochs=1."
            )


class StopOnNaN(keras.callbacks.Callback):
    """Ends the run before the epoch is scored. Must come first."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the epoch's losses."""
        check_losses(epoch, logs or {})


def training_state(model: Any) -> list[Any]:
    """Every variable that a step changes, in a fixed order."""
    return [*model.variables, *model.optimizer.variables]


def save_state(path: Location, model: Any, history: History) -> None:
    """Writes a checkpoint, whole or not at all."""
    arrays = {
        f"v{index:05d}": keras.ops.convert_to_numpy(variable)
        for index, variable in enumerate(training_state(model))
    }
    text = np.frombuffer(orjson.dumps(history.rows), np.uint8)
    with path.atomic_file() as file:
        np.savez(file, history=text, **arrays)


def kept_rows(path: Location) -> list[Row]:
    """The epochs that a checkpoint has; none where there is no checkpoint.

    Raises:
      CorruptionError: If it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file) as data:
            _check_members(data, {"history.npy": _MOST_HISTORY})
            rows: list[Row] = orjson.loads(data["history"].tobytes())
            check_value(rows, list[dict[str, float | None]], "history")
            return rows
    except FileNotFoundError:
        return []
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _check_members(data: Any, most: Mapping[str, int]) -> None:
    """Refuses arrays that unpack to more bytes than they may: ours are not packed."""
    for member in data.zip.infolist():
        if member.file_size > most.get(member.filename, member.file_size):
            raise ValueError(f"{member.filename} would take {member.file_size} bytes")


def restore_state(path: Location, model: Any) -> None:
    """Reads a checkpoint, if there is one, into a model.

    Raises:
      CorruptionError: If it is damaged or of another model.
    """
    variables = training_state(model)
    try:
        with path.open("rb") as file, np.load(file) as data:
            sizes = {
                f"v{index:05d}.npy": 16 * math.prod(variable.shape) + 4096
                for index, variable in enumerate(variables)
            }
            _check_members(data, sizes)
            arrays = [data[f"v{index:05d}"] for index in range(len(variables))]
            extra = len(data.files) - 1 - len(variables)
    except FileNotFoundError:
        return
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    wrong = [
        f"{variable.path} is {tuple(variable.shape)}, got {array.shape}"
        for variable, array in zip(variables, arrays, strict=True)
        if tuple(variable.shape) != array.shape
    ]
    if wrong or extra:
        raise CorruptionError(
            f"checkpoint {path} is of another model: "
            f"{wrong[0] if wrong else f'it has {extra} more variables'}."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _damaged(path: Location, error: Exception) -> CorruptionError:
    return CorruptionError(
        f"checkpoint {path} is damaged or of another model: {error}. Begin anew in "
        "another run directory."
    )


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: history, best weights, state, metrics, last weights.

    In that order, so that a kill at any moment loses at most the epoch that ran: the
    state is what counts, and what is written before it would be written alike again.
    """

    def __init__(
        self,
        directory: RunDirectory,
        history: History,
        patience: int,
        host_index: int,
    ) -> None:
        super().__init__()
        self._directory, self.history = directory, history
        self._patience, self._host = patience, host_index

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the epoch."""
        check_losses(epoch, logs or {})
        row = {"epoch": epoch + 1} | {
            # A model with an auxiliary head names the metrics by output.
            name.replace("logits_", ""): float(value)
            for name, value in (logs or {}).items()
        }
        self.history.rows.append(row)
        improved = self.history.best == len(self.history.rows) - 1
        if improved:
            self._save_weights("best.weights.h5")
        if self._host == 0:
            state = self._directory.file(STATE_NAME)
            save_state(state, self.model, self.history)
            self._directory.write_metrics(self.history.rows)
        self._save_weights("last.weights.h5")
        if self._patience and self.history.epochs_since_best >= self._patience:
            self.model.stop_training = True

    def _save_weights(self, name: str) -> None:
        # Keras writes to this machine, and picks the format by the suffix. On several
        # hosts it moves arrays between them to save: all have to take part.
        near = LocalPath(tempfile.gettempdir())
        with near.temporary_folder(f"{TEMPORARY_PREFIX}weights-") as folder:
            path = folder / name
            self.model.save_weights(path)
            if self._host == 0:
                target = self._directory.file(name)
                with open(path, "rb") as source, target.atomic_file() as file:
                    shutil.copyfileobj(source, file)
