"""A run's directory: what was asked for, what came of it, and how to go on.

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
import io
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.label_map import LabelMap
from segdata.storage.local_path import LocalPath
from segdata.storage.temporary import is_temporary
from segdata.trainers.models import task_of
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.data import Classes, ObjectClasses, TrainingData
from segdata.trainers.run.options import TrainOptions
from segdata.version import __version__

RUN_NAME = "run.json"
RUN_VERSION = 1
AnyModelOptions = ModelOptions | MaskRCNNOptions
_FREE_OPTIONS = ("host_index", "coordinator", "pictures_every", "tensorboard", "tpu")
"""May differ when a run is resumed: nothing of the result depends on them."""


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


class RunDirectory:
    """The files of one run.

    Attributes:
      path: The directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def file(self, name: str) -> Path:
        """Path of one of its files."""
        return self.path / name

    def begin(self, run: Run) -> None:
        """Writes `run.json`, or checks that the directory is of the same run.

        Raises:
          OptionError: If a run with other options, data or model lies there.
          OutputError: If something else lies there, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            found = sorted(item.name for item in self.path.iterdir())
        except OSError as error:
            raise OutputError(
                f"cannot use {self.path} as run directory: {error.strerror}."
            ) from error
        found = [name for name in found if not is_temporary(name)]
        if RUN_NAME in found:
            old, new = self._read(), orjson.loads(orjson.dumps(run.to_json()))
            self._check_same(old, new)
            if new["options"]["epochs"] > old["options"]["epochs"]:
                self._write(run)
        elif found:
            raise OutputError(
                f"{self.path} holds other files ({', '.join(found[:3])}): expected a "
                "new or empty directory, or one of an earlier run.",
                reason="foreign-files",
            )
        else:
            self._write(run)

    def _write(self, run: Run) -> None:
        data = orjson.dumps(run.to_json(), option=orjson.OPT_INDENT_2)
        LocalPath(self.file(RUN_NAME)).write_atomic(data + b"\n")

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
            label_map = LabelMap.from_json(data["dataset"]["label_map"])
            return Run(
                options=options,
                model_options=_model_options(options.model, data["model_options"]),
                classes=(
                    Classes(label_map=label_map, void=options.void)
                    if options.task == "semantic"
                    else ObjectClasses(label_map=label_map)
                ),
                dataset=data["dataset"],
                backend=data["backend"],
                versions=data["versions"],
            )
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

    def _check_same(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        changed = {
            name: (value, new_value)
            for (name, new_value), value in _compared(old, new)
            if new_value != value
        }
        if not changed:
            return
        if "content" in changed:
            raise OptionError(
                f"{self.path} holds a run on {old['dataset']['directory']} as it was: "
                "the dataset has other images, annotations or options now. Choose "
                "another run directory."
            )
        if changed.keys() == {"epochs"} and changed["epochs"][0] < changed["epochs"][1]:
            self._check_longer(*changed["epochs"], new["options"])
            return
        texts = [f"{name} was {a!r} and is {b!r}" for name, (a, b) in changed.items()]
        raise OptionError(
            f"{self.path} holds a run with other options: {'; '.join(texts)}. Leave "
            "them out to resume it, or choose another run directory."
        )

    def _check_longer(self, old: int, new: int, options: Mapping[str, Any]) -> None:
        """Refuses more epochs where the learning rates depend on their number."""
        if options["schedule"] in ("constant", "steps"):
            return
        raise OptionError(
            f"{self.path} holds a run of {old} epochs, over which the schedule "
            f"{options['schedule']!r} lowers the learning rate: it cannot become one "
            f"of {new}. To train on, finish it, then begin another with --run-dir NEW "
            f"--initial-weights {self.file('last.weights.h5')} --epochs {new - old}."
        )

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
        LocalPath(path).write_atomic(text.getvalue().encode(), durable=False)


def _compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Any]:
    """Name and new value, and old value, of all that a resumed run depends on."""
    for name, value in new["options"].items():
        if name not in (*_FREE_OPTIONS, "data", "val_split"):
            yield (name, value), old["options"].get(name, value)
    data, old_data = new["dataset"], old["dataset"]
    # Runs of earlier versions know less of their data.
    split = old_data.get("val_split", old["options"].get("val_split"))
    yield ("val_split", data["val_split"]), split
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
