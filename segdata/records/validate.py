"""Whether a record that was read can be what it says: every reader's first question.

A finished build may come from a stranger. What is checked here, nothing behind it need
ask again: sizes, classes, runs, boxes. It decodes nothing; `segdata verify` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, CorruptionError, ImageError, short_repr
from segdata.images.header import read_size
from segdata.images.opening import MAX_IMAGE_PIXELS
from segdata.label_map import LabelMap
from segdata.masks import rle
from segdata.records.record import Record
from segdata.validation import MAX_DEPTH

_MAX_DENSE_BYTES = 1 << 32


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownClasses:
    """What a label map lets records say; made once for many of them."""

    objects: frozenset[int]
    """Ids of objects."""
    pixels: frozenset[int]
    """Ids of pixels, the ignored and the unknown one among them."""
    num_keypoints: int
    """Keypoints of each object."""

    @classmethod
    def of(cls, label_map: LabelMap) -> KnownClasses:
        """Those of a label map."""
        others = {label_map.ignore_id, label_map.unknown_id} - {None}
        pixels = {item.id for item in label_map.semantic_classes} | others
        return cls(
            objects=frozenset(item.id for item in label_map.object_classes),
            pixels=frozenset(i for i in pixels if i is not None),
            num_keypoints=label_map.num_keypoints,
        )


def validate_record(record: Record, known: KnownClasses, where: str) -> None:
    """Checks everything but hashes and pixels.

    Args:
      record: The record as it was parsed.
      known: Classes of its dataset.
      where: Shard and position, for messages.

    Raises:
      CorruptionError: If its parts contradict each other, or its classes.
    """
    check_size(record.encoded, record.height, record.width, where)
    for text in (record.key, record.image_id):
        check_text(text, where)
    path = PurePosixPath(check_text(record.filename, where))
    if path.is_absolute() or ".." in path.parts or not path.name:
        name = short_repr(record.filename)
        raise _bad(where, f"the file name {name}: expected a path below a folder")
    number = record.source_id
    if not (number.isascii() and number.isdecimal() and len(number) <= 18):
        raise _bad(where, f"the image number {short_repr(number)}: expected a decimal")
    try:
        if record.label_values is not None and record.label_lengths is not None:
            size = record.height, record.width
            rle.validate_label_runs(record.label_values, record.label_lengths, *size)
        _check_pixel_classes(record, known, where)
        for item in record.objects:
            if len(item.runs):
                rle.validate_runs(item.runs, record.height, record.width)
    except AnnotationError as error:
        raise CorruptionError(f"{where}: {error}", reason=error.reason) from error
    _check_objects(record, known, where)
    _check_regions(record, where)
    for source in (record.source, *(item.source for item in record.objects)):
        check_depth(source, where)


def check_size(encoded: bytes, height: int, width: int, where: str) -> None:
    """Checks the size that a record states by that of its image.

    Raises:
      CorruptionError: If it is another, or larger than images may be.
    """
    try:
        size = read_size(encoded, where)
    except ImageError as error:
        raise CorruptionError(str(error), reason=error.reason) from error
    if min(size) < 1 or math.prod(size) > MAX_IMAGE_PIXELS:
        raise _bad(
            where,
            f"an image of {size[0]}x{size[1]} pixels: at most {MAX_IMAGE_PIXELS} are "
            "read",
        )
    if size != (height, width):
        raise CorruptionError(
            f"{where}: expected an image of {height}x{width}, got {size[0]}x{size[1]}."
        )


def check_dense_masks(record: Record) -> None:
    """Checks what the masks of all objects take when each has a byte for each pixel.

    Raises:
      AnnotationError: If that is more than a reader should spend on one record.
    """
    size = len(record.objects) * record.height * record.width
    if size > _MAX_DENSE_BYTES:
        raise AnnotationError(
            f"masks of {len(record.objects)} objects at {record.height}x"
            f"{record.width} take {size} bytes: at most {_MAX_DENSE_BYTES} are "
            "decoded at once. Take crops of them, or none.",
            reason="masks-too-large",
        )


def check_boxes(boxes: NDArray[np.float64], size: tuple[int, int], where: str) -> None:
    """Checks boxes, `[boxes, 4]` `ymin, xmin, ymax, xmax` in pixels.

    Raises:
      CorruptionError: If one is no box of the image.
    """
    # A pixel's share of room: float32 shares of the size are rounded.
    highest = np.array(size * 2, np.float64) * (1 + 1e-6)
    inside = (boxes >= 0).all() and (boxes <= highest).all()  # NaN is neither
    if not (inside and (boxes[:, :2] <= boxes[:, 2:]).all()):
        raise _bad(where, "a box that is outside its image or malformed")


def check_text(text: str, where: str) -> str:
    """The text, if it is UTF-8: what is made of a record is often JSON.

    Raises:
      CorruptionError: If it is not; a build writes no such names.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(where, f"the name {short_repr(text)}: expected UTF-8") from None
    return text


def check_depth(source: Mapping[str, Any], where: str) -> None:
    """Checks how deep JSON is nested.

    Raises:
      CorruptionError: If it is so deep that it could not be written again.
    """
    level: list[Any] = [source]
    for _ in range(MAX_DEPTH):
        level = [
            v for item in level for v in _values(item) if isinstance(v, dict | list)
        ]
        if not level:
            return
    raise _bad(where, f"JSON of more than {MAX_DEPTH} levels")


def _values(item: Any) -> Any:
    return item.values() if isinstance(item, dict) else item


def _check_pixel_classes(record: Record, known: KnownClasses, where: str) -> None:
    if record.label_values is None:
        return
    present = np.flatnonzero(np.bincount(record.label_values)).tolist()
    if unknown := sorted(set(present) - known.pixels):
        raise CorruptionError(f"{where}: label map has unknown class ids {unknown}.")


def _check_objects(record: Record, known: KnownClasses, where: str) -> None:
    objects = record.objects
    unknown = {item.label for item in objects} - known.objects
    if unknown:
        raise CorruptionError(f"{where}: object of unknown class id {min(unknown)}.")
    if not objects:
        return
    boxes = np.array([item.box for item in objects], np.float64)
    check_boxes(boxes, (record.height, record.width), where)
    if not all(0 <= item.area < math.inf for item in objects):
        raise _bad(where, "an object whose area is no number of pixels")
    points = np.array([item.keypoints for item in objects])
    if points.shape[1] not in (0, known.num_keypoints):
        raise _bad(
            where,
            f"{points.shape[1]} keypoints for each object: expected "
            f"{known.num_keypoints}",
        )
    visible = points[:, :, 2]
    if not np.isfinite(points).all() or ((visible < 0) | (visible > 2)).any():
        raise _bad(where, "keypoints that are no numbers, or not of visibility 0 to 2")


def _check_regions(record: Record, where: str) -> None:
    if record.regions:
        boxes = np.array([region.box for region in record.regions], np.float64)
        check_boxes(boxes, (record.height, record.width), where)
        for region in record.regions:
            check_depth(region.source, where)


def _bad(where: str, what: str) -> CorruptionError:
    return CorruptionError(f"{where} has {what}.", reason="bad-record")
