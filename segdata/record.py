"""One record decoded to NumPy, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from segdata import example_proto, features, images, rle
from segdata.errors import CorruptionError
from segdata.features import Feature


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordObject:
    """One object of a record."""

    label: int
    """Contiguous class id."""
    name: str
    """Class name."""
    box: tuple[float, float, float, float]
    """`ymin, xmin, ymax, xmax` in pixels."""
    runs: NDArray[np.int64]
    """Row-major runs; empty for a box-only object."""
    is_crowd: bool
    """Whether it is a region of many."""
    area: float
    """Pixels, as the source says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record: cheap parts parsed, images and masks still encoded."""

    key: str
    """Stable name."""
    filename: str
    """Path below the source."""
    source_id: str
    """Number of the image, in decimal."""
    encoded: bytes
    """JPEG or PNG file."""
    format: str
    """`jpeg` or `png`."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    sha256: str
    """Hex SHA-256 of `encoded`, as stored."""
    notes: tuple[str, ...]
    """What was changed or looked odd at build time."""
    label_values: NDArray[np.uint8] | None
    """`[runs]` class ids of the label map, or None."""
    label_lengths: NDArray[np.int64] | None
    """`[runs]` pixels of each run, or None."""
    objects: tuple[RecordObject, ...]
    """The objects."""

    def image(self) -> NDArray[np.uint8]:
        """Decodes the image: `[height, width, 3] uint8`.

        Raises:
          ImageError: If it cannot be decoded.
        """
        return images.decode_rgb(self.encoded, self.key)

    def label_map(self) -> NDArray[np.uint8] | None:
        """Decodes the label map: `[height, width] uint8`, or None if there is none.

        Raises:
          AnnotationError: If its runs are not valid.
        """
        if self.label_values is None or self.label_lengths is None:
            return None
        return rle.decode_label_map(
            self.label_values, self.label_lengths, self.height, self.width
        )

    def mask(self, item: RecordObject) -> NDArray[np.uint8] | None:
        """Decodes one object's mask: `[height, width] uint8`, None if box-only.

        Raises:
          AnnotationError: If its runs are not valid.
        """
        if not len(item.runs):
            return None
        return rle.decode(item.runs, self.height, self.width)


def parse_record(data: bytes, where: str) -> Record:
    """Parses a serialized record of ours.

    Args:
      data: The serialized `tf.train.Example`.
      where: Shard and position, for messages.

    Raises:
      CorruptionError: If it is no record of ours, is newer than this version, or its
        parts contradict each other.
    """
    try:
        parsed = _Values(example_proto.parse(data), where)
    except DecodeError as error:
        raise CorruptionError(f"{where} is no tf.train.Example: {error}.") from error
    version = parsed.number(features.SCHEMA)
    if version > features.SCHEMA_VERSION:
        raise CorruptionError(
            f"{where} has schema version {version}: this segdata reads up to "
            f"{features.SCHEMA_VERSION}. Upgrade segdata.",
            reason="newer-version",
        )
    height, width = parsed.number(features.HEIGHT), parsed.number(features.WIDTH)
    has_label_map = parsed.has(features.LABEL_VALUES)
    return Record(
        key=parsed.text(features.KEY),
        filename=parsed.text(features.FILENAME),
        source_id=parsed.text(features.SOURCE_ID),
        encoded=parsed.data(features.ENCODED),
        format=parsed.text(features.FORMAT),
        height=height,
        width=width,
        sha256=parsed.text(features.SHA256),
        notes=tuple(
            note.decode("utf-8", "replace") for note in parsed.values(features.NOTES)
        ),
        label_values=(
            np.frombuffer(parsed.data(features.LABEL_VALUES), np.uint8)
            if has_label_map
            else None
        ),
        label_lengths=(
            np.array(parsed.values(features.LABEL_LENGTHS), np.int64)
            if has_label_map
            else None
        ),
        objects=_objects(parsed, height, width, where),
    )


class _Values:
    """Typed access to the features of one example."""

    def __init__(self, example: object, where: str) -> None:
        self._example = example
        self._where = where

    def has(self, feature: Feature) -> bool:
        return bool(self.values(feature))

    # Any: a feature's kind is known only at run time; the schema vouches for it.
    def values(self, feature: Feature) -> list[Any]:
        values = example_proto.feature_values(self._example, feature.key)
        kind = example_proto.feature_kind(self._example, feature.key)
        if values and kind != feature.kind:
            raise CorruptionError(
                f"{self._where} has {kind} values of {feature.key!r}: expected "
                f"{feature.kind}. Was it written by segdata?",
                reason="not-our-record",
            )
        return list(values)

    def _one(self, feature: Feature) -> Any:
        values = self.values(feature)
        if len(values) != 1:
            raise CorruptionError(
                f"{self._where} has {len(values)} values of {feature.key!r}: expected "
                "one. Was it written by segdata?",
                reason="not-our-record",
            )
        return values[0]

    def number(self, feature: Feature) -> int:
        return int(self._one(feature))

    def data(self, feature: Feature) -> bytes:
        return bytes(self._one(feature))

    def text(self, feature: Feature) -> str:
        return self.data(feature).decode("utf-8", "surrogateescape")


def _objects(
    parsed: _Values, height: int, width: int, where: str
) -> tuple[RecordObject, ...]:
    count = parsed.number(features.OBJECT_COUNT)
    columns = {
        f: parsed.values(f)
        for f in features.OBJECT_FEATURES
        if f is not features.OBJECT_RUNS
    }
    for feature, values in columns.items():
        if len(values) != count:
            raise CorruptionError(
                f"{where} has {count} objects but {len(values)} values of "
                f"{feature.key!r}.",
                reason="object-count-mismatch",
            )
    runs = np.array(parsed.values(features.OBJECT_RUNS), np.int64)
    lengths = np.array(columns[features.OBJECT_NUM_RUNS], np.int64)
    # One object can have at most all runs: a larger number could wrap the sum around.
    fits = not count or 0 <= int(lengths.min()) <= int(lengths.max()) <= len(runs)
    if int(lengths.sum()) != len(runs) or not fits:
        raise CorruptionError(
            f"{where} has {len(runs)} mask runs: its objects have {lengths.tolist()}.",
            reason="object-count-mismatch",
        )
    parts = np.split(runs, np.cumsum(lengths)[:-1]) if count else []
    return tuple(
        _object(columns, index, part, height, width) for index, part in enumerate(parts)
    )


def _object(
    columns: dict[Feature, list[Any]],
    index: int,
    runs: NDArray[np.int64],
    height: int,
    width: int,
) -> RecordObject:
    def at(feature: Feature) -> Any:
        return columns[feature][index]

    return RecordObject(
        label=at(features.OBJECT_LABEL),
        name=at(features.OBJECT_TEXT).decode("utf-8", "replace"),
        box=(
            at(features.OBJECT_YMIN) * height,
            at(features.OBJECT_XMIN) * width,
            at(features.OBJECT_YMAX) * height,
            at(features.OBJECT_XMAX) * width,
        ),
        runs=runs,
        is_crowd=bool(at(features.OBJECT_IS_CROWD)),
        area=at(features.OBJECT_AREA),
    )
