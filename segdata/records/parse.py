"""Serialized record -> `Record`, by the schema, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from segdata.errors import CorruptionError, short_repr
from segdata.records import proto, schema
from segdata.records.record import Record, RecordClass, RecordObject, RecordRegion
from segdata.records.schema import Feature


def parse_example(data: bytes, where: str) -> Any:
    """Parses a serialized `tf.train.Example`, whoever wrote it.

    Raises:
      CorruptionError: If the bytes are no such message.
    """
    try:
        return proto.parse(data)
    except DecodeError as error:
        raise CorruptionError(f"{where} is no tf.train.Example: {error}.") from error


def check_schema_version(version: int, where: str) -> None:
    """Refuses a record of a layout that is newer than this version reads.

    Raises:
      CorruptionError: If it is.
    """
    if version > schema.SCHEMA_VERSION:
        raise CorruptionError(
            f"{where} has schema version {version}: this segdata reads up to "
            f"{schema.SCHEMA_VERSION}. Upgrade segdata.",
            reason="newer-version",
        )


def parse_record(data: bytes, where: str) -> Record:
    """Parses a serialized record of ours.

    Args:
      data: The serialized `tf.train.Example`.
      where: Shard and position, for messages.

    Raises:
      CorruptionError: If it is no record of ours, is newer than this version, or its
        parts contradict each other.
    """
    parsed = _Values(parse_example(data, where), where)
    version = parsed.number(schema.SCHEMA)
    check_schema_version(version, where)
    height, width = parsed.number(schema.HEIGHT), parsed.number(schema.WIDTH)
    has_label_map = parsed.has(schema.LABEL_VALUES)
    return Record(
        key=parsed.text(schema.KEY),
        filename=parsed.text(schema.FILENAME),
        source_id=parsed.text(schema.SOURCE_ID),
        image_id=parsed.text(schema.SOURCE_IMAGE_ID) if version > 1 else "",
        source=parsed.json_object(schema.SOURCE_FIELDS) if version > 1 else {},
        encoded=parsed.data(schema.ENCODED),
        format=parsed.text(schema.FORMAT),
        height=height,
        width=width,
        sha256=parsed.text(schema.SHA256),
        notes=parsed.texts(schema.NOTES),
        label_values=(
            np.frombuffer(parsed.data(schema.LABEL_VALUES), np.uint8)
            if has_label_map
            else None
        ),
        label_lengths=(
            np.array(parsed.values(schema.LABEL_LENGTHS), np.int64)
            if has_label_map
            else None
        ),
        objects=_objects(parsed, version, height, width),
        image_class=_image_class(parsed),
        regions=_regions(parsed, height, width),
        captions=parsed.texts(schema.CAPTIONS),
    )


class _Values:
    """Typed access to the features of one example."""

    def __init__(self, example: object, where: str) -> None:
        self._example = example
        self.where = where

    def has(self, feature: Feature) -> bool:
        return bool(self.values(feature))

    # Any: a feature's kind is known only at run time; the schema vouches for it.
    def values(self, feature: Feature) -> list[Any]:
        values = proto.feature_values(self._example, feature.key)
        kind = proto.feature_kind(self._example, feature.key)
        if values and kind != feature.kind:
            raise CorruptionError(
                f"{self.where} has {kind} values of {feature.key!r}: expected "
                f"{feature.kind}. Was it written by segdata?",
                reason="not-our-record",
            )
        return list(values)

    def _one(self, feature: Feature) -> Any:
        values = self.values(feature)
        if len(values) != 1:
            raise CorruptionError(
                f"{self.where} has {len(values)} values of {feature.key!r}: expected "
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

    def texts(self, feature: Feature) -> tuple[str, ...]:
        return tuple(v.decode("utf-8", "replace") for v in self.values(feature))

    def json_object(self, feature: Feature) -> dict[str, Any]:
        return self.parse_json(self.data(feature), feature)

    def parse_json(self, text: bytes, feature: Feature) -> dict[str, Any]:
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise CorruptionError(
                f"{self.where} has {short_repr(text)} under {feature.key!r}: expected "
                "a JSON object. Was it written by segdata?",
                reason="not-our-record",
            )
        return found

    def columns(
        self, wanted: Sequence[Feature], count: int, what: str
    ) -> dict[Feature, list[Any]]:
        """Lists of `count` values each: one for each object, say."""
        columns = {feature: self.values(feature) for feature in wanted}
        for feature, values in columns.items():
            if len(values) != count:
                raise CorruptionError(
                    f"{self.where} has {count} {what} but {len(values)} values of "
                    f"{feature.key!r}.",
                    reason="object-count-mismatch",
                )
        return columns


def _image_class(parsed: _Values) -> RecordClass | None:
    count = len(parsed.values(schema.IMAGE_LABEL))
    columns = parsed.columns(schema.IMAGE_CLASS_FEATURES, count, "image classes")
    if not count:
        return None
    return RecordClass(
        label=columns[schema.IMAGE_LABEL][0],
        name=columns[schema.IMAGE_TEXT][0].decode("utf-8", "replace"),
        source_id=columns[schema.IMAGE_CATEGORY][0].decode("utf-8", "replace"),
    )


def _regions(parsed: _Values, height: int, width: int) -> tuple[RecordRegion, ...]:
    count = len(parsed.values(schema.REGION_TEXT))
    columns = parsed.columns(schema.REGION_FEATURES, count, "regions")
    return tuple(
        RecordRegion(
            name=columns[schema.REGION_TEXT][index].decode("utf-8", "replace"),
            box=(
                columns[schema.REGION_YMIN][index] * height,
                columns[schema.REGION_XMIN][index] * width,
                columns[schema.REGION_YMAX][index] * height,
                columns[schema.REGION_XMAX][index] * width,
            ),
            source=parsed.parse_json(
                columns[schema.REGION_SOURCE][index], schema.REGION_SOURCE
            ),
        )
        for index in range(count)
    )


def _objects(
    parsed: _Values, version: int, height: int, width: int
) -> tuple[RecordObject, ...]:
    count = parsed.number(schema.OBJECT_COUNT)
    left_out = {schema.OBJECT_RUNS, None if version > 1 else schema.OBJECT_SOURCE}
    wanted = [f for f in schema.OBJECT_FEATURES if f not in left_out]
    columns = parsed.columns(wanted, count, "objects")
    runs = np.array(parsed.values(schema.OBJECT_RUNS), np.int64)
    lengths = np.array(columns[schema.OBJECT_NUM_RUNS], np.int64)
    # One object can have at most all runs: a larger number could wrap the sum around.
    fits = not count or 0 <= int(lengths.min()) <= int(lengths.max()) <= len(runs)
    if int(lengths.sum()) != len(runs) or not fits:
        raise CorruptionError(
            f"{parsed.where} has {len(runs)} mask runs: its objects have "
            f"{lengths.tolist()}.",
            reason="object-count-mismatch",
        )
    parts = np.split(runs, np.cumsum(lengths)[:-1]) if count else []
    keypoints = _keypoints(parsed, count, height, width)
    sources: list[dict[str, Any]] = [
        parsed.parse_json(text, schema.OBJECT_SOURCE)
        for text in columns.get(schema.OBJECT_SOURCE, ())
    ] or [{}] * count
    size = (height, width)
    return tuple(
        _object(columns, index, *parts_of_one, size)
        for index, parts_of_one in enumerate(
            zip(parts, keypoints, sources, strict=True)
        )
    )


def _keypoints(
    parsed: _Values, count: int, height: int, width: int
) -> NDArray[np.float32]:
    """`[count, keypoints, 3]`."""
    total = len(parsed.values(schema.KEYPOINT_X))
    wanted = (schema.KEYPOINT_X, schema.KEYPOINT_Y, schema.KEYPOINT_VISIBILITY)
    columns = parsed.columns(wanted, total, "keypoints")
    if count and total % count:
        raise CorruptionError(
            f"{parsed.where} has {total} keypoints for {count} objects: expected the "
            "same number for each.",
            reason="object-count-mismatch",
        )
    stacked = np.array([columns[feature] for feature in wanted], np.float32).T
    scaled = stacked * np.array([width, height, 1], np.float32)
    return scaled.reshape(count, -1, 3) if count else np.zeros((0, 0, 3), np.float32)


def _object(
    columns: dict[Feature, list[Any]],
    index: int,
    runs: NDArray[np.int64],
    keypoints: NDArray[np.float32],
    source: dict[str, Any],
    size: tuple[int, int],
) -> RecordObject:
    height, width = size

    def at(feature: Feature) -> Any:
        return columns[feature][index]

    return RecordObject(
        label=at(schema.OBJECT_LABEL),
        name=at(schema.OBJECT_TEXT).decode("utf-8", "replace"),
        id=at(schema.OBJECT_ID),
        box=(
            at(schema.OBJECT_YMIN) * height,
            at(schema.OBJECT_XMIN) * width,
            at(schema.OBJECT_YMAX) * height,
            at(schema.OBJECT_XMAX) * width,
        ),
        runs=runs,
        is_crowd=bool(at(schema.OBJECT_IS_CROWD)),
        area=at(schema.OBJECT_AREA),
        keypoints=keypoints,
        source=source,
    )
