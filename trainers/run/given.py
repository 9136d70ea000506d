"""Images to predict: of a split, or of files, with their labels if they are known."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import ImageError, OptionError, SegdataError
from segdata.formats.folders import IMAGE_SUFFIXES
from segdata.images import decode, normalize
from segdata.images.orientation import turn_pixels
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.trainers.run.data import Classes, ObjectClasses
from segdata.trainers.run.trained import PredictOptions

logger = logging.getLogger(__name__)
UInt8Array = NDArray[np.uint8]
SUFFIXES = tuple(sorted(IMAGE_SUFFIXES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One image to predict."""

    name: str
    """Where its results go, below the output: a relative path without suffix."""
    image: UInt8Array
    labels: UInt8Array | None = None
    """`[h, w]` class ids, 255 ignored, if a model of pixels is told them."""
    record: Record | None = None
    """The record that it is of."""

    @classmethod
    def of(cls, record: Record, classes: Classes | ObjectClasses) -> Given:
        """A record's image; labels only for models of pixels."""
        labels = record.label_map() if isinstance(classes, Classes) else None
        if isinstance(classes, Classes) and labels is not None:
            labels = classes.valid_labels(labels)
        return cls(name=record.key, image=record.image(), labels=labels, record=record)


def given_images(
    classes: Classes | ObjectClasses,
    options: PredictOptions,
    source: RecordSource | None,
) -> tuple[Iterator[Given], int]:
    """The images of a split, or else of files, and how many there are."""
    if source is not None:
        return (Given.of(record, classes) for record in source), len(source)
    paths = find_images(options.images)
    if options.labels is not None:
        _check_labels(Path(options.labels), list(paths))
    return _from_files(paths, classes, options.labels), len(paths)


def _check_labels(folder: Path, names: Sequence[str]) -> None:
    """Says which images have no labels.

    Raises:
      OptionError: If none has.
    """
    missing = [name for name in names if not (folder / f"{name}.png").is_file()]
    if len(missing) == len(names):
        raise OptionError(
            f"no labels for any image in {folder}: expected index PNGs named as the "
            f"images, such as {folder / names[0]}.png."
        )
    if missing:
        logger.warning(
            "no labels in %s for %d of %d images (%s): they get no scores",
            folder,
            len(missing),
            len(names),
            ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else ""),
        )


def find_images(given: Sequence[str]) -> dict[str, Path]:
    """Image files, and those in folders; name below the output -> path.

    Raises:
      OptionError: If there is nothing, or two files would get one name.
    """
    found: dict[str, Path] = {}
    for text in given:
        path = Path(text)
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        for file in inside if path.is_dir() else [path]:
            below = file.relative_to(path) if path.is_dir() else Path(file.name)
            name = below.with_suffix("").as_posix()
            if found.setdefault(name, file) != file:
                raise OptionError(
                    f"{found[name]} and {file} would both become {name}: predict "
                    "them into different outputs."
                )
    if not found:
        raise OptionError(
            f"no images in {', '.join(given)}: expected files of {' '.join(SUFFIXES)}."
        )
    return found


def _from_files(
    paths: dict[str, Path], classes: Classes | ObjectClasses, labels: str | None
) -> Iterator[Given]:
    for name, path in paths.items():
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(
                f"image {path} cannot be read: {error.strerror}."
            ) from error
        # As a build would store it: upright, 8 bits, RGB.
        normal = normalize.normalize_image(data, str(path))
        image = decode.decode_rgb(normal.encoded, str(path))
        known = None
        if labels is not None and isinstance(classes, Classes):
            known = _labels(Path(labels, f"{name}.png"), image.shape[:2], classes)
        yield Given(name=name, image=image, labels=known)


def _labels(path: Path, size: tuple[int, ...], classes: Classes) -> UInt8Array | None:
    """An index PNG of class ids; None if there is none of that name."""
    if not path.is_file():
        return None
    picture, orientation = decode.decode_label_image(path.read_bytes(), str(path))
    ids = turn_pixels(np.asarray(picture), picture, orientation, upright=True)
    if picture.mode not in ("L", "P") or ids.shape != size:
        raise ImageError(
            f"label image {path} does not fit: expected one channel of 8 bits and "
            f"{size[0]}x{size[1]} pixels, got mode {picture.mode} and {ids.shape}."
        )
    unknown = set(np.unique(ids).tolist()) - {*range(classes.num_classes), 255}
    if unknown:
        raise ImageError(
            f"label image {path} has the values {sorted(unknown)[:5]}: expected class "
            f"ids 0 to {classes.num_classes - 1}, or 255."
        )
    return classes.valid_labels(ids.astype(np.uint8))


def batched(given: Iterator[Given], size: int) -> Iterator[list[Given]]:
    """Lists of so many; what was read before a bad image is given before its error."""
    batch: list[Given] = []
    failure: SegdataError | None = None
    while failure is None:
        try:
            item: Any = next(given, None)
        except SegdataError as error:
            failure, item = error, None
        if item is not None:
            batch.append(item)
        if batch and (item is None or len(batch) == size):
            yield batch
            batch = []
        if item is None:
            break
    if failure is not None:
        raise failure
