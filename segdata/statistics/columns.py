"""What statistics need of a record, as arrays: a third of the cost of `parse_record`.

Nothing here decodes an image or a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, CorruptionError
from segdata.masks import rle
from segdata.records import schema
from segdata.records.parse import check_schema_version, parse_example
from segdata.records.schema import Feature
from segdata.records.validate import check_boxes, check_size, check_text

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordColumns:
    """One record's annotations, one array for each property of its objects."""

    key: str
    """The record's key."""
    encoded: bytes
    """JPEG or PNG file."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    label_values: NDArray[np.uint8] | None
    """`[runs]` class ids of the label map, or None."""
    label_lengths: Int64Array
    """`[runs]` pixels of each run; empty where there is no label map."""
    labels: Int64Array
    """`[objects]` class ids."""
    crowds: NDArray[np.bool_]
    """`[objects]` whether each is a region of many."""
    areas: Float64Array
    """`[objects]` pixels, as the source says."""
    boxes: Float64Array
    """`[objects, 4]`: ymin, xmin, ymax, xmax in pixels."""
    num_runs: Int64Array
    """`[objects]` mask runs; 0 for a box-only object."""
    mask_pixels: Int64Array
    """`[objects]` pixels of each mask; 0 for a box-only object."""
    visibility: Int64Array
    """`[objects, keypoints]` visibility of each, 0 to 2; `[objects, 0]` if the dataset
    has none."""


def read_columns(data: bytes, where: str) -> RecordColumns:
    """Reads a serialized record of ours.

    Args:
      data: The serialized `tf.train.Example`.
      where: Shard and position, for messages.

    Raises:
      CorruptionError: If it is no record of ours, is newer than this version, or its
        parts contradict each other.
    """
    get = _Getter(parse_example(data, where), where)
    check_schema_version(get.one(schema.SCHEMA), where)
    encoded = get.one(schema.ENCODED)
    height, width = get.one(schema.HEIGHT), get.one(schema.WIDTH)
    check_size(encoded, height, width, where)
    num_objects = get.one(schema.OBJECT_COUNT)
    num_runs = get.ints(schema.OBJECT_NUM_RUNS, num_objects)
    corners = (
        schema.OBJECT_YMIN,
        schema.OBJECT_XMIN,
        schema.OBJECT_YMAX,
        schema.OBJECT_XMAX,
    )
    boxes = np.array([get.floats(c, num_objects) for c in corners]).T
    boxes *= np.array((height, width, height, width), np.float64)
    check_boxes(boxes, (height, width), where)
    values, lengths = _label_map(get, height, width, where)
    return RecordColumns(
        key=check_text(get.one(schema.KEY).decode("utf-8", "surrogateescape"), where),
        encoded=encoded,
        height=height,
        width=width,
        label_values=values,
        label_lengths=lengths,
        labels=get.ints(schema.OBJECT_LABEL, num_objects),
        crowds=get.ints(schema.OBJECT_IS_CROWD, num_objects) != 0,
        areas=_areas(get, num_objects, where),
        boxes=boxes,
        num_runs=num_runs,
        mask_pixels=_mask_pixels(get, num_runs, height * width, where),
        visibility=_visibility(get, num_objects, where),
    )


class _Getter:
    """The values of one example, checked for kind and number."""

    def __init__(self, example: Any, where: str) -> None:
        self._features = example.features.feature
        self._where = where

    def some(self, feature: Feature) -> Any:
        """All values; empty where the key is absent."""
        if feature.key not in self._features:
            return ()
        found = self._features[feature.key]
        values = getattr(found, f"{feature.kind}_list").value
        if values:  # of this kind then: a feature holds one
            return values
        kind = found.WhichOneof("kind")
        if kind is None:
            return ()
        if kind != f"{feature.kind}_list":
            raise CorruptionError(
                f"{self._where} has {kind} values of {feature.key!r}: expected "
                f"{feature.kind}. Was it written by segdata?",
                reason="not-our-record",
            )
        return values

    def one(self, feature: Feature) -> Any:
        values = self.some(feature)
        self._check(feature, len(values), 1)
        return values[0]

    def ints(self, feature: Feature, expected: int | None = None) -> Int64Array:
        values = self.some(feature)
        self._check(feature, len(values), expected)
        return np.fromiter(values, np.int64, len(values))

    def floats(self, feature: Feature, expected: int) -> Float64Array:
        values = self.some(feature)
        self._check(feature, len(values), expected)
        return np.fromiter(values, np.float64, len(values))

    def _check(self, feature: Feature, got: int, expected: int | None) -> None:
        if expected is not None and got != expected:
            raise CorruptionError(
                f"{self._where} has {got} values of {feature.key!r}: expected "
                f"{expected}. Was it written by segdata?",
                reason="not-our-record",
            )


def _label_map(
    get: _Getter, height: int, width: int, where: str
) -> tuple[NDArray[np.uint8] | None, Int64Array]:
    """Values, None where there is no label map, and lengths of its runs."""
    found = get.some(schema.LABEL_VALUES)
    values = np.frombuffer(found[0], np.uint8) if found else None
    lengths = get.ints(schema.LABEL_LENGTHS, 0 if values is None else len(values))
    if values is not None:
        try:
            rle.validate_label_runs(values, lengths, height, width)
        except AnnotationError as error:
            raise CorruptionError(f"{where}: {error}", reason=error.reason) from error
    return values, lengths


def _areas(get: _Getter, num_objects: int, where: str) -> Float64Array:
    areas = get.floats(schema.OBJECT_AREA, num_objects)
    if not ((areas >= 0) & (areas < np.inf)).all():
        raise CorruptionError(
            f"{where} has an object whose area is no number of pixels.",
            reason="bad-record",
        )
    return areas


def _visibility(get: _Getter, num_objects: int, where: str) -> Int64Array:
    found = get.ints(schema.KEYPOINT_VISIBILITY)
    if not len(found):
        return np.zeros((num_objects, 0), np.int64)
    if not num_objects or len(found) % num_objects:
        raise CorruptionError(
            f"{where} has {len(found)} keypoints for {num_objects} objects: expected "
            "as many for each.",
            reason="object-count-mismatch",
        )
    if int(found.min()) < 0 or int(found.max()) > 2:
        raise CorruptionError(
            f"{where} has keypoints of the visibilities {int(found.min())} to "
            f"{int(found.max())}: expected 0 to 2. `segdata verify` tells more.",
            reason="bad-keypoints",
        )
    return found.reshape(num_objects, -1)


def _mask_pixels(
    get: _Getter, num_runs: Int64Array, image_pixels: int, where: str
) -> Int64Array:
    runs = get.some(schema.OBJECT_RUNS)
    numbers = num_runs.tolist()  # of any size: Python's sums do not wrap around
    is_even = all(number >= 0 and number % 2 == 0 for number in numbers)
    if not is_even or sum(numbers) != len(runs):
        raise CorruptionError(
            f"{where} has {len(runs)} mask runs: its objects have {numbers[:20]}.",
            reason="object-count-mismatch",
        )
    # Every object has an even number of runs: its own are the odd ones of all. Only
    # those are made Python numbers, which costs more than all that follows.
    filled = np.zeros(len(runs) // 2 + 1, np.int64)
    lengths = np.fromiter(runs[1::2], np.int64, len(runs) // 2)
    if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= image_pixels:
        raise CorruptionError(
            f"{where} has a mask run that is negative or longer than its image.",
            reason="bad-rle",
        )
    np.cumsum(lengths, out=filled[1:])
    ends = np.cumsum(num_runs) // 2
    pixels: Int64Array = filled[ends] - filled[ends - num_runs // 2]
    return pixels
