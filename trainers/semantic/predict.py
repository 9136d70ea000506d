"""Label maps of images that a run has never seen, as files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.drawing.draw import colorize, overlay
from segdata.errors import (
    ImageError,
    MissingDependencyError,
    OptionError,
    OutputError,
    SegdataError,
)
from segdata.images import normalize as image_bytes
from segdata.progress import display
from segdata.records.record import Record
from segdata.trainers.run.data import Classes
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.semantic.evaluate import open_split
from segdata.trainers.semantic.pictures import Prediction, predictions_sheet
from segdata.trainers.semantic.predictor import (
    Averaging,
    Predictor,
    WhichWeights,
    load_predictor,
)

logger = logging.getLogger(__name__)
UInt8Array = NDArray[np.uint8]
ExportFormat = Literal["keras", "saved-model", "onnx"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictOptions:
    """Which images to predict, and where to put what is found."""

    output: str
    """Folder to write into."""
    images: tuple[str, ...] = ()
    """Image files, and folders of them."""
    labels: str | None = None
    """Folder of index PNGs of the same names, to compare with."""
    split: str | None = None
    """Split of the run's dataset, in the place of images."""
    data: str | None = None
    """Another build to take the split from."""
    weights: WhichWeights = "best"
    """Those of the best epoch, or of the last."""
    batch_size: int = 8
    """Images per call of the device."""
    averaging: Averaging = field(default_factory=Averaging)
    """Views of each image to average the logits of."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError(f"batch_size is {self.batch_size}: expected at least 1.")
        if bool(self.images) == (self.split is not None):
            raise OptionError("give images, or --split, or --export (one of them).")
        if self.labels and self.split:
            raise OptionError("labels are for images: a split has its own.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One image to predict."""

    name: str
    """Where its results go, below the output: a relative path without suffix."""
    image: UInt8Array
    labels: UInt8Array | None = None
    """`[h, w]` class ids, 255 ignored, if they are known."""
    record: Record | None = None
    """The record that it is of."""


def predict(run_dir: str | os.PathLike[str], options: PredictOptions) -> int:
    """Labels images: writes `NAME.png`, `NAME-overlay.jpg` and, with labels, a triple.

    `NAME.png` is an index PNG of class ids, with the classes' colours as palette, of
    the image's own size.

    Returns:
      Number of images.

    Raises:
      OptionError: If there are no images, or two of them would get one name.
      ImageError: If an image cannot be read; those before it have been written.
      OutputError: If there is no trained run, or the output cannot be written.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    classes = run.pixel_classes
    given, total = given_images(run, options)
    predictor = load_predictor(
        directory, run, options.weights, options.batch_size, options.averaging
    )
    done = 0
    with display(total, "predicting") as advance:
        for batch in batched(given, options.batch_size):
            predict_batch(predictor, classes, batch, Path(options.output))
            done += len(batch)
            advance(len(batch))
    return done


def predict_batch(
    predictor: Predictor, classes: Classes, given: Sequence[Given], output: Path
) -> None:
    """Labels images and writes what is found."""
    predicted = predictor.predict([item.image for item in given])
    for item, found in zip(given, predicted, strict=True):
        path = output / item.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            index_image(found, classes).save(f"{path}.png")
            colored = colorize(found, classes.drawn, 255)
            blended = Image.fromarray(overlay(item.image, colored))
            blended.save(f"{path}-overlay.jpg", quality=92)
            if item.labels is not None:
                prediction = Prediction(
                    title=item.name,
                    image=item.image,
                    predicted=found,
                    labels=item.labels,
                )
                predictions_sheet([prediction], classes).save(f"{path}-triple.png")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}.") from error


def index_image(label_map: UInt8Array, classes: Classes) -> Image.Image:
    """Class ids as a palette image: pixels are ids, viewers show the colours."""
    picture = Image.fromarray(label_map).convert("L")
    picture.putpalette(
        colorize(np.arange(256, dtype=np.uint8)[None], classes.drawn, 255).tobytes()
    )
    return picture


def export_model(
    run_dir: str | os.PathLike[str],
    to: ExportFormat,
    output: str,
    weights: WhichWeights = "best",
) -> None:
    """Writes a run's model for use without segdata: uint8 RGB in, logits out.

    `keras` needs segdata's layers when it is loaded; the others need nothing of it.

    Raises:
      OptionError: If the run's model finds objects.
      OutputError: If it cannot be written.
      MissingDependencyError: If the exporter's own packages are missing.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    _ = run.pixel_classes
    predictor = load_predictor(directory, run, weights, 1)
    [model] = predictor.models
    if to == "onnx":  # Keras refuses what has never been called
        model(np.zeros((1, *predictor.image_size, 3), np.uint8), training=False)
    try:
        if to == "keras":
            model.save(output)
        else:
            name = {"saved-model": "tf_saved_model", "onnx": "onnx"}[to]
            model.export(output, format=name, verbose=False)
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting to {to} needs a package that is not installed: {error}. For "
            "ONNX: pip install 'segdata[onnx]'."
        ) from error
    except (OSError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise OutputError(f"cannot export to {output}: {line}.") from error


def given_images(run: Run, options: PredictOptions) -> tuple[Iterator[Given], int]:
    """The images and how many there are; labels only for models of pixels."""
    classes = run.classes if isinstance(run.classes, Classes) else None
    if options.split is None:
        paths = find_images(options.images)
        if options.labels is not None:
            _check_labels(Path(options.labels), list(paths))
        return _from_files(paths, classes, options.labels), len(paths)
    source = open_split(run, options.split, options.data)

    def records() -> Iterator[Given]:
        for record in source:
            labels = None if classes is None else record.label_map()
            if classes is not None and labels is not None:
                labels = classes.valid_labels(labels)
            yield Given(
                name=record.key, image=record.image(), labels=labels, record=record
            )

    return records(), len(source)


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
    paths: dict[str, Path], classes: Classes | None, labels: str | None
) -> Iterator[Given]:
    for name, path in paths.items():
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(
                f"image {path} cannot be read: {error.strerror}."
            ) from error
        # As a build would store it: upright, 8 bits, RGB.
        normal = image_bytes.normalize_image(data, str(path))
        image = image_bytes.decode_rgb(normal.encoded, str(path))
        known = None
        if labels is not None and classes is not None:
            known = _labels(Path(labels, f"{name}.png"), image.shape[:2], classes)
        yield Given(name=name, image=image, labels=known)


def _labels(path: Path, size: tuple[int, ...], classes: Classes) -> UInt8Array | None:
    """An index PNG of class ids; None if there is none of that name."""
    if not path.is_file():
        return None
    picture = image_bytes.decode_label_image(path.read_bytes(), str(path))
    ids = np.asarray(picture)
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
