"""What a trainer needs to know of a dataset, from its manifest."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segdata.errors import OptionError, OutputError
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelClass, LabelMap
from segdata.shards.lacking import lacking_classes, told
from segdata.shards.manifest import Manifest, SplitSummary, read_manifest
from segdata.split_names import training_splits, validation_splits
from segdata.statistics.stats_file import read_stats
from segdata.storage.paths import locate
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.settle import settled
from segdata.trainers.semantic.class_weights import median_frequency_weights

logger = logging.getLogger(__name__)
DEFAULT_OBJECTS = 100
"""Slots for the objects of an image, where it is not known that fewer do."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes that a model of pixels tells apart."""

    label_map: LabelMap
    """The dataset's classes."""
    void: Literal["ignore", "learn"] = "ignore"
    """What becomes of its class to ignore."""

    def __post_init__(self) -> None:
        if not self._learnable:
            raise OptionError(
                "the dataset has no label maps: expected classes of pixels. For COCO, "
                "build it with --semantic."
            )
        if self.void == "learn" and self.void_id is None:
            raise OptionError(
                "void is 'learn', but the dataset has no class to ignore, or it is "
                "255, which marks what is left out: expected 'ignore'."
            )

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return max(self._learnable) + 1

    @property
    def _learnable(self) -> dict[int, str]:
        """Names by id; 255 always marks what is ignored."""
        classes = self.label_map.semantic_classes
        return {c.id: c.name for c in classes if c.id != OUTSIDE_IGNORE_ID}

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each channel."""
        known = self._learnable
        return tuple(known.get(i, f"id {i}, no class") for i in range(self.num_classes))

    @property
    def void_id(self) -> int | None:
        """Id of the class to ignore, if a model can learn it: if it is not 255."""
        ignore_id = self.label_map.ignore_id
        return ignore_id if ignore_id in self._learnable else None

    @property
    def left_out_id(self) -> int | None:
        """Label that counts for nothing, besides 255."""
        return self.label_map.ignore_id if self.void == "ignore" else None

    def valid_labels(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A label map in which 255 marks all that is ignored."""
        if self.left_out_id is None:
            return label_map
        return self.label_map.training_ids()[label_map]

    @property
    def drawn(self) -> tuple[LabelClass, ...]:
        """The classes with their colours."""
        return self.label_map.semantic_classes


@dataclass(frozen=True, kw_only=True)
class ObjectClasses:
    """The classes that a model of objects tells apart; 0 is the background."""

    label_map: LabelMap
    """The dataset's classes."""

    def __post_init__(self) -> None:
        if not self.label_map.object_classes:
            raise OptionError(
                "the dataset has no objects: expected instances, such as COCO's. Its "
                "label maps are for models like fcn-8."
            )

    @property
    def num_classes(self) -> int:
        """Classes without the background: ids are 1 to this."""
        return max(item.id for item in self.drawn)

    @property
    def drawn(self) -> tuple[LabelClass, ...]:
        """The classes with their colours."""
        return self.label_map.object_classes

    def of(self, class_id: int) -> LabelClass:
        """The class of an id."""
        return next(item for item in self.drawn if item.id == class_id)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """A finished build, as a run uses it."""

    options: TrainOptions
    """Of the run, every value chosen."""
    directory: str
    manifest: Manifest
    classes: Classes | ObjectClasses
    image_size: tuple[int, int]
    """Height and width that images to learn from are read at."""
    eval_image_size: tuple[int, int]
    """Height and width that images to measure on are read at."""
    num_records: int
    """Records of the split to learn from."""
    val_split: str | None
    """Split to validate on, if there is one."""
    class_weights: list[float] | None
    """Weight of each class in cross-entropy."""
    max_objects: int = 0
    """Slots for the objects of an image; 0 with a model of pixels."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps between validations: one pass, where no number is asked for."""
        options = self.options
        return options.steps_per_epoch or -(-self.num_records // options.batch_size)

    @property
    def pixel_classes(self) -> Classes:
        """The classes of a model of pixels."""
        assert isinstance(self.classes, Classes)
        return self.classes

    def describe(self) -> dict[str, Any]:
        """What a run directory keeps of the dataset, to predict without it."""
        return {
            "directory": absolute(self.directory),
            "name": self.manifest.name,
            "fingerprint": self.manifest.fingerprint,
            "source_sha256": self.manifest.source.sha256,
            "val_split": self.val_split,
            "label_map": self.classes.label_map.to_json(),
        }


def open_data(options: TrainOptions) -> TrainingData:
    """Reads the manifest and what follows from it for a run.

    Raises:
      OutputError: If the directory holds no finished build.
      OptionError: If a split is unknown, an option has no effect, or the dataset has
        nothing of the kind that the model learns.
    """
    manifest = read_manifest(options.data)
    options = replace(options, train_split=training_split(manifest, options))
    split = known_split(manifest, options.train_split)
    options = settled(options, manifest)
    image_size = options.image_size
    assert image_size is not None
    val_split = validation_split(manifest, options)
    if val_split is None:
        logger.info(
            "no validation (the splits are %s): the best epoch is the one of lowest "
            "training loss. --val-split names a split to validate on.",
            ", ".join(manifest.splits),
        )
    used = {n: manifest.split(n) for n in (options.train_split, val_split) if n}
    for name, lacking in lacking_classes(used, manifest.label_map).items():
        logger.warning("%s", told(name, lacking))
    classes: Classes | ObjectClasses
    weights, max_objects = None, 0
    if options.task == "instances":
        classes = ObjectClasses(label_map=manifest.label_map)
        max_objects = _max_objects(options)
    else:
        classes = Classes(label_map=manifest.label_map, void=options.void)
        weights = _class_weights(manifest, classes, options)
    return TrainingData(
        options=options,
        directory=options.data,
        manifest=manifest,
        classes=classes,
        image_size=image_size,
        eval_image_size=options.eval_image_size or image_size,
        num_records=split.num_records,
        val_split=val_split,
        class_weights=weights,
        max_objects=max_objects,
    )


def absolute(address: str) -> str:
    """The place of a dataset or run, told so that it holds in any folder."""
    place = locate(address)
    return str(place if place.is_store else place.absolute())


def known_split(manifest: Manifest, name: str) -> SplitSummary:
    """A split that has records.

    Raises:
      OptionError: If there is none of that name, or it is empty.
    """
    split = manifest.split(name)
    if not split.num_records:
        raise OptionError(f"split {name!r} has no records.")
    return split


def training_split(manifest: Manifest, options: TrainOptions) -> str:
    """The split to train on: where there is no `train`, one of another usual name."""
    usual = training_splits(manifest.splits)
    is_missing = options.train_split == "train" and "train" not in manifest.splits
    return usual[0] if is_missing and usual else options.train_split


def validation_split(manifest: Manifest, options: TrainOptions) -> str | None:
    """The split to validate on: the one that is named, or one of a usual name.

    Raises:
      OptionError: If the one that is named is not there, or empty.
    """
    name = options.val_split
    if name == "none" and name not in manifest.splits:
        return None
    if name is not None:
        known_split(manifest, name)
        return name
    usual = (
        name
        for name in validation_splits(manifest.splits)
        if name != options.train_split and manifest.splits[name].num_records
    )
    return next(usual, None)


def _max_objects(options: TrainOptions) -> int:
    """Slots for the objects of an image; says where some have more."""
    most = _most_objects(options)
    slots = options.max_objects or min(most or DEFAULT_OBJECTS, DEFAULT_OBJECTS)
    if most is None:
        logger.info(
            "%d slots for the objects of an image; `segdata stats %s` would tell "
            "whether that is enough or too many",
            slots,
            options.data,
        )
    elif most > slots:
        logger.warning(
            "images of split %r have up to %d objects, and slots are for the largest "
            "%d of each: the others are not learnt. --max-objects takes more.",
            options.train_split,
            most,
            slots,
        )
    return slots


def _most_objects(options: TrainOptions) -> int | None:
    """Most objects of any image of the split; None where nobody counted."""
    try:
        stats = read_stats(options.data)
    except OutputError:
        return None
    most = stats["splits"][options.train_split]["record_objects"]["max"]
    return max(1, int(most))


def _class_weights(
    manifest: Manifest, classes: Classes, options: TrainOptions
) -> list[float] | None:
    if options.class_weights == "none":
        return None
    counted = manifest.split(options.train_split).counts.class_pixels
    pixels = {int(class_id): count for class_id, count in counted.items()}
    if classes.left_out_id is not None:
        pixels.pop(classes.left_out_id, None)
    return median_frequency_weights(
        pixels,
        classes.num_classes,
        power=options.class_weight_power,
        limit=options.class_weight_limit,
    )
