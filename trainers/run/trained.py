"""A trained run in use: how to use it, its model, and the records to try it on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from segdata.errors import OptionError
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import read_manifest
from segdata.storage.paths import locate
from segdata.trainers.instances.detector import Detector, load_detector
from segdata.trainers.run.data import absolute, validation_split
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.semantic.predictor import (
    Averaging,
    Predictor,
    WhichWeights,
    load_predictor,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UseOptions:
    """How to use a trained run."""

    split: str | None = None
    """Split to use it on."""
    data: str | None = None
    """Output of `segdata build`; None is what the run was trained on."""
    weights: WhichWeights = "best"
    """Those of the best epoch, or of the last."""
    batch_size: int = 8
    """Images per call of the device."""
    averaging: Averaging = field(default_factory=Averaging)
    """Views of each image to average the logits of; only a model of pixels has any."""
    eval_image_size: tuple[int, int] | None = None
    """Height and width that images are brought to; None is what the run measured at."""
    class_agnostic: bool = False
    """Whether an object drops those that it overlaps whatever their class; only a model
    of objects does."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError(f"batch_size is {self.batch_size}: expected at least 1.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(UseOptions):
    """What to score a run on; without a split, on the one it was measured on."""

    def file_name(self, split: str) -> str:
        """What to call the results of a split: each way to score has a name."""
        parts = [split]
        if self.data:
            parts.append(f"of-{locate(absolute(self.data)).name}")
        if self.weights != "best":
            parts.append(self.weights)
        if self.averaging != Averaging():
            parts.append("averaged")
        if self.eval_image_size:
            parts.append("{}x{}".format(*self.eval_image_size))
        if self.class_agnostic:
            parts.append("class-agnostic")
        return "-".join(parts)


@dataclass(frozen=True, kw_only=True)
class PredictOptions(UseOptions):
    """Which images to predict, or which split, and where to put what is found."""

    output: str
    """Folder to write into."""
    images: tuple[str, ...] = ()
    """Image files, and folders of them."""
    labels: str | None = None
    """Folder of index PNGs of the same names, to compare with."""
    max_boxes: int = 50
    """Most objects of an image, those of the highest scores."""
    min_score: float = 0.1
    """Lowest score of an object, 0 to 1."""

    def __post_init__(self) -> None:
        UseOptions.__post_init__(self)
        if bool(self.images) == (self.split is not None):
            raise OptionError("give images, or --split, or --export (one of them).")
        if self.labels and self.split:
            raise OptionError("labels are for images: a split has its own.")
        if self.max_boxes < 1 or not 0 <= self.min_score <= 1:
            raise OptionError(
                f"max_boxes is {self.max_boxes} and min_score {self.min_score}: "
                "expected at least 1, and 0 to 1."
            )


def load_model(
    directory: RunDirectory, run: Run, options: UseOptions
) -> Predictor | Detector:
    """A run's model with its trained weights.

    Raises:
      OutputError: If there are no weights yet.
      CorruptionError: If they do not fit.
    """
    size = options.eval_image_size
    _warn_of_size(run, size)
    if run.options.task == "instances":
        changes: dict[str, Any] = {"class_agnostic": options.class_agnostic}
        if size is not None:
            changes["image_size"] = size
        return load_detector(
            directory, run, options.weights, options.batch_size, **changes
        )
    return load_predictor(
        directory, run, options.weights, options.batch_size, options.averaging, size
    )


def _warn_of_size(run: Run, size: tuple[int, int] | None) -> None:
    """Says where objects look larger or smaller than any that were learnt."""
    learnt = run.options.image_size
    if size is None or learnt is None:
        return
    low, high = run.options.scale
    factors = [new / old for new, old in zip(size, learnt, strict=True)]
    if min(factors) < 0.95 * low or max(factors) > 1.05 * high:
        logger.warning(
            "at %d high x %d wide images are %.2g to %.2g times as large as in "
            "training, which saw %.2g to %.2g: scores may be lower",
            *size,
            min(factors),
            max(factors),
            low,
            high,
        )


def validated(run: Run, data: str | None) -> str:
    """The split that a run validates on.

    Raises:
      OptionError: If there is none.
    """
    manifest = read_manifest(data or run.dataset["directory"])
    split = validation_split(manifest, run.options)
    if split is None:
        raise OptionError(
            "the run has no validation split: pass --split, one of "
            f"{', '.join(manifest.splits)}."
        )
    return split


def open_split(run: Run, split: str, data: str | None) -> RecordSource:
    """The records of a split, of the classes that the run knows.

    Raises:
      OptionError: If the split is unknown or empty, or the classes differ.
    """
    directory = data or run.dataset["directory"]
    source = RecordSource(directory, split)
    known = {item.id: item.name for item in run.classes.drawn}
    label_map = source.manifest.label_map
    is_semantic = run.options.task == "semantic"
    classes = label_map.semantic_classes if is_semantic else label_map.object_classes
    given = {item.id: item.name for item in classes}
    if given != known:
        differing = [
            class_id
            for class_id in sorted(known.keys() | given.keys())
            if known.get(class_id) != given.get(class_id)
        ]
        named = [*map(str, differing[:5]), *(["..."] if differing[5:] else [])]
        raise OptionError(
            f"the run was trained on other classes than {directory} has: ids "
            f"{', '.join(named)} differ. Build it with the same class set."
        )
    if not len(source):
        raise OptionError(f"split {split!r} has no records.")
    return source
