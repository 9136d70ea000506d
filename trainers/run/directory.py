"""A run's directory, here or in a store: what was asked for, and what came of it.

```
RUN_DIR/
  run.json            options, classes, model, versions
  state.npz           everything a resumed run needs, replaced after each epoch
  best.weights.h5     weights of the best epoch, and of the last
  last.weights.h5
  metrics.csv         a line per epoch
  pictures/           epoch-0005.png: image | predicted | true
  tensorboard/        if asked for
```
"""

from __future__ import annotations

import csv
import hashlib
import io
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

import orjson

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.label_map import LabelMap
from segdata.shards.kinds import check_kinds, check_value
from segdata.storage.paths import Address, Location, locate
from segdata.storage.temporary import TEMPORARY_PREFIX, is_temporary
from segdata.trainers.models import task_of
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.data import Classes, ObjectClasses, TrainingData
from segdata.trainers.run.options import TrainOptions
from segdata.version import __version__

RUN_NAME = "run.json"
RUN_VERSION = 1
AnyModelOptions = ModelOptions | MaskRCNNOptions
STATE_NAME = "state.npz"
_FREE_OPTIONS = (
    *("host_index", "coordinator", "pictures_every", "tensorboard"),
    *("patience", "score_every"),
)
"""May differ when a run is resumed: no weight depends on them."""
_RATES = ("epochs", "schedule", "learning_rate", "warmup_epochs", "drop_at")
"""May differ when a finished run is to have more epochs."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `run.json` holds."""

    options: TrainOptions
    model_options: AnyModelOptions
    classes: Classes | ObjectClasses
    dataset: Mapping[str, Any]
    """Directory, name and fingerprint of the dataset."""
    backend: str
    """Backend of Keras."""
    versions: Mapping[str, str]
    """Versions of what the result depends on."""

    @property
    def pixel_classes(self) -> Classes:
        """The classes of a run that labels pixels.

        Raises:
          OptionError: If it finds objects.
        """
        if not isinstance(self.classes, Classes):
            raise OptionError(
                f"this is a run of {self.options.model!r}: expected one whose model is "
                "of pixels."
            )
        return self.classes

    @property
    def identity(self) -> int:
        """32 bits of what the result depends on: alike on all hosts of a run."""
        data = self.to_json()
        parts = [part for part, _ in _compared(data, data)]
        return int.from_bytes(hashlib.sha256(orjson.dumps(parts)).digest()[:4])

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        model = {
            name: getattr(self.model_options, name)
            for name in self.model_options.__dataclass_fields__
        }
        return {
            "run_version": RUN_VERSION,
            "options": self.options.to_json(),
            "model_options": model,
            "dataset": dict(self.dataset),
            "backend": self.backend,
            "versions": dict(self.versions),
        }


class _DatasetSince(TypedDict, total=False):
    """What earlier versions do not tell."""

    source_sha256: str
    val_split: str | None


class _Dataset(_DatasetSince):
    directory: str
    fingerprint: str
    label_map: dict[str, Any]


class RunDirectory:
    """The files of one run.

    Attributes:
      path: The directory, of this machine or in a store.
    """

    def __init__(self, path: Address) -> None:
        self.path: Location = locate(path)

    def file(self, name: str) -> Location:
        """Path of one of its files."""
        return self.path / name

    def check(self, run: Run, epochs_done: int = 0) -> None:
        """Makes sure that a run may begin here, or go on.

        A run of which no epoch is kept is none yet: another may take its place.

        Raises:
          OptionError: If a run with other options, data or model lies there.
          OutputError: If something else lies there, or it cannot be looked at.
        """
        try:
            found = sorted(item.name for item in self.path.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(
                f"cannot use {self.path} as run directory: {error.strerror}."
            ) from error
        found = [name for name in found if not is_temporary(name)]
        if RUN_NAME in found:
            if STATE_NAME in found:
                old = self.load().to_json()
                new = orjson.loads(orjson.dumps(run.to_json()))
                self._check_same(orjson.loads(orjson.dumps(old)), new, epochs_done)
        elif found:
            raise OutputError(
                f"{self.path} holds other files ({', '.join(found[:3])}): expected a "
                "new or empty directory, or one of an earlier run.",
                reason="foreign-files",
            )

    def begin(self, run: Run) -> None:
        """Writes `run.json`, where it is not as it should be.

        Raises:
          OutputError: If it cannot be written.
        """
        data = orjson.dumps(run.to_json(), option=orjson.OPT_INDENT_2) + b"\n"
        path = self.file(RUN_NAME)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if run.options.host_index == 0:  # the host that writes
                self._remove_half_written()
            if path.is_file() and path.read_bytes() == data:
                return
        except OSError as error:
            raise OutputError(
                f"cannot use {self.path} as run directory: {error.strerror}."
            ) from error
        path.write_atomic(data)

    def _remove_half_written(self) -> None:
        """Removes the files that a killed run was writing."""
        for path in self.path.iterdir():
            if is_temporary(path.name) and path.is_file():
                path.unlink(missing_ok=True)

    def earlier(self) -> Run | None:
        """The run that has begun here, if there is one."""
        return self.load() if self.file(RUN_NAME).is_file() else None

    def load(self) -> Run:
        """Reads `run.json`.

        Raises:
          OutputError: If there is none.
          CorruptionError: If it cannot be understood.
        """
        data = self._read()
        try:
            options = TrainOptions.from_json(data["options"])
            model_options = _model_options(options.model, data["model_options"])
            if options.image_size is None:  # of an earlier version: as stored
                options = replace(options, image_size=model_options.image_size)
            check_value(data["dataset"], _Dataset, "dataset")
            label_map = LabelMap.from_json(data["dataset"]["label_map"])
            run = Run(
                options=options,
                model_options=model_options,
                classes=(
                    Classes(label_map=label_map, void=options.void)
                    if options.task == "semantic"
                    else ObjectClasses(label_map=label_map)
                ),
                dataset=data["dataset"],
                backend=data["backend"],
                versions=data["versions"],
            )
            check_kinds(run)
            return run
        except OptionError as error:
            raise CorruptionError(f"{self.file(RUN_NAME)}: {error}") from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CorruptionError(
                f"{self.file(RUN_NAME)} is no run of segdata: {type(error).__name__} "
                f"{error}."
            ) from error

    def _read(self) -> dict[str, Any]:
        path = self.file(RUN_NAME)
        try:
            data = orjson.loads(path.read_bytes())
        except OSError as error:
            raise OutputError(
                f"{self.path} holds no run: {RUN_NAME} is missing or unreadable "
                f"({error.strerror}). Make one with `segdata train`.",
                reason="no-run",
            ) from error
        except ValueError as error:
            raise CorruptionError(f"{path} is not JSON: {error}.") from error
        if not isinstance(data, dict) or "options" not in data:
            raise CorruptionError(f"{path} is no run of segdata: it has no options.")
        return data

    def _check_same(
        self, old: Mapping[str, Any], new: Mapping[str, Any], epochs_done: int
    ) -> None:
        changed = {
            name: (value, new_value)
            for (name, new_value), value in _compared(old, new)
            if new_value != value
        }
        if "content" in changed:
            raise OptionError(
                f"{self.path} holds a run on {old['dataset']['directory']} as it was: "
                "the dataset has other images, annotations or options now. Choose "
                "another run directory."
            )
        before, after = old["options"]["epochs"], new["options"]["epochs"]
        steady = old["options"]["schedule"] in ("constant", "steps")
        if before < after and (epochs_done >= before or steady):
            allowed = _RATES if epochs_done >= before else _RATES[:1]
            changed = {
                name: pair for name, pair in changed.items() if name not in allowed
            }
        if not changed:
            return
        texts = [f"{name} was {a!r} and is {b!r}" for name, (a, b) in changed.items()]
        raise OptionError(
            f"{self.path} holds a run with other options: {'; '.join(texts)}. Leave "
            f"them out to resume it{self._how_longer(changed)}, or choose another run "
            "directory."
        )

    def _how_longer(self, changed: Mapping[str, tuple[Any, Any]]) -> str:
        before, after = changed.get("epochs", (0, 0))
        longer: bool = before < after
        return ", and give it more epochs once it is finished" * longer

    def write_metrics(self, history: Sequence[Mapping[str, float]]) -> None:
        """Writes `metrics.csv` anew: a line per epoch."""
        if not history:
            return
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in history for name in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        path = self.file("metrics.csv")
        path.write_atomic(text.getvalue().encode(), durable=False)


@contextmanager
def local_file(place: Location) -> Iterator[str]:
    """A file's path on this machine, for libraries that read no others.

    Raises:
      OSError: If it cannot be read.
    """
    if not place.is_store:
        yield str(place)
        return
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder:
        path = Path(folder, place.name)
        path.write_bytes(place.read_bytes())
        yield str(path)


def _compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Any]:
    """Name and new value, and old value, of all that a resumed run depends on."""
    for name, value in new["options"].items():
        if name not in (*_FREE_OPTIONS, "data", "val_split"):
            yield (name, value), old["options"].get(name, value)
    data, old_data = new["dataset"], old["dataset"]
    # Runs of earlier versions know less of their data.
    split = old_data.get("val_split", old["options"].get("val_split"))
    yield ("val_split", data.get("val_split")), split
    yield ("backend", new["backend"]), old["backend"]
    keys = [name for name in ("fingerprint", "source_sha256") if name in old_data]
    content = [[side[name] for name in keys] for side in (data, old_data)]
    yield ("content", content[0]), content[1]


def _model_options(model: str, data: Mapping[str, Any]) -> AnyModelOptions:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data.items()
    }
    is_semantic = task_of(model) == "semantic"
    return ModelOptions(**given) if is_semantic else MaskRCNNOptions(**given)


def describe_run(
    options: TrainOptions,
    model_options: AnyModelOptions,
    data: TrainingData,
    backend: str,
) -> Run:
    """The run that is about to begin."""
    return Run(
        options=options,
        model_options=model_options,
        classes=data.classes,
        dataset=data.describe(),
        backend=backend,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {"segdata": __version__, "python": platform.python_version()}
    for package in ("keras", "tensorflow", "tensorflow-cpu", "jax", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
