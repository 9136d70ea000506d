"""Annotation dict -> `tf.train.Example`: one record, complete and checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segdata import features, files, identity, images
from segdata.annotations import record_key, validate_annotation
from segdata.errors import AnnotationError
from segdata.example_proto import Example
from segdata.features import Feature
from segdata.label_images import LabelRuns, read_label_runs
from segdata.label_map import LabelMap
from segdata.objects import EncodedObject, OnBadObject, encode_objects

# Above one run per so many pixels a label map is noise: slow to read, and a sign of
# labels that went through a lossy format.
_PIXELS_PER_RUN = 8


def dict_to_tf_example(
    data: Mapping[str, Any],
    label_map_dict: Mapping[str, int],
    image_dir: str | os.PathLike[str],
) -> Any:
    """Builds the record of one image: reads its pixels, checks them, encodes masks.

    Args:
      data: Annotation dict, see `segdata.annotations.Annotation`.
      label_map_dict: Class name -> contiguous id: a plain dict, or a
        `segdata.label_map.LabelMap`, which also knows source ids and colours.
      image_dir: Folder that the paths in `data` are relative to and may not leave.

    Returns:
      A message that is wire-compatible with `tf.train.Example` and used like it
      (`.features.feature[key]`, `.SerializeToString()`); the keys stand in
      `segdata.features`. For bytes that are equal in every process serialize it with
      `segdata.example_proto.serialize`.

    Raises:
      ImageError: If the image or label image is missing, undecodable or refused.
      AnnotationError: If an annotation is malformed, does not fit the image, or names
        an unknown class.
    """
    return encode_record(data, LabelMap.from_dict(label_map_dict), image_dir).example


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRecord:
    """A record and what the builder counts of it."""

    example: Any
    """The `tf.train.Example`."""
    key: str
    """The record's key."""
    sha256: str
    """Hex SHA-256 of the encoded image."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    label_runs: LabelRuns | None
    """The label map, if there is one."""
    objects: list[EncodedObject]
    """The objects, in the source's order."""
    notes: tuple[str, ...]
    """What was changed or looked odd, by name, sorted."""


def encode_record(
    data: Mapping[str, Any],
    label_map: LabelMap,
    image_dir: str | os.PathLike[str],
    on_bad_object: OnBadObject | None = None,
) -> EncodedRecord:
    """Does the work of `dict_to_tf_example` and also returns what to count.

    With `on_bad_object` a bad object is handed there and left out of the record; the
    image and its other objects stay.
    """
    validate_annotation(data)
    name = data["image"]
    source = files.read_bytes(image_dir, name, what="image")
    label_runs = _label_runs(data, label_map, image_dir)
    image = images.normalize_image(
        source, name, expected_size=_expected_size(data, label_runs)
    )
    _check_sizes(data, label_runs, image)
    notes = {*image.changes, *_label_notes(label_runs)}
    try:
        objects = encode_objects(
            data.get("objects") or (),
            label_map,
            (image.height, image.width),
            notes,
            on_bad_object,
        )
    except AnnotationError as error:
        raise AnnotationError(
            f"{error} (image {name!r})", reason=error.reason
        ) from error
    record = EncodedRecord(
        example=Example(),
        key=record_key(data),
        sha256=hashlib.sha256(image.encoded).hexdigest(),
        height=image.height,
        width=image.width,
        label_runs=label_runs,
        objects=objects,
        notes=tuple(sorted(notes)),
    )
    _fill(record, data, label_map, image)
    return record


def _fill(
    record: EncodedRecord,
    data: Mapping[str, Any],
    label_map: LabelMap,
    image: images.NormalizedImage,
) -> None:
    example = record.example
    image_id = data.get("image_id", -1)
    if not 0 <= image_id <= identity.MAX_IMAGE_ID:
        image_id = identity.image_id(record.key)
    _put(example, features.SCHEMA, features.SCHEMA_VERSION)
    _put(example, features.KEY, record.key.encode("utf-8", "surrogateescape"))
    _put(example, features.NOTES, [note.encode() for note in record.notes])
    _put(example, features.ENCODED, image.encoded)
    _put(example, features.FORMAT, image.format.encode())
    _put(example, features.HEIGHT, image.height)
    _put(example, features.WIDTH, image.width)
    _put(example, features.FILENAME, data["image"].encode("utf-8", "surrogateescape"))
    _put(example, features.SOURCE_ID, str(image_id).encode())
    _put(example, features.SHA256, record.sha256.encode())
    _put(example, features.OBJECT_COUNT, len(record.objects))
    if record.label_runs is not None:
        _put(example, features.LABEL_VALUES, record.label_runs.values.tobytes())
        _put(example, features.LABEL_LENGTHS, record.label_runs.lengths.tolist())
        _put(example, features.VOIDED_PIXELS, record.label_runs.voided_pixels)
    if record.objects or label_map.object_classes:
        _put_objects(example, record)


def _label_runs(
    data: Mapping[str, Any], label_map: LabelMap, image_dir: str | os.PathLike[str]
) -> LabelRuns | None:
    label_image = data.get("label_image")
    if label_image is None:
        return None
    path = label_image["path"]
    encoded = files.read_bytes(image_dir, path, what="label image")
    return read_label_runs(encoded, label_image["encoding"], label_map, path)


def _expected_size(
    data: Mapping[str, Any], label_runs: LabelRuns | None
) -> tuple[int, int] | None:
    """The size that the annotations were made for, if they tell."""
    if label_runs is not None:
        return label_runs.height, label_runs.width
    if "height" in data and "width" in data:
        return data["height"], data["width"]
    return None


def _check_sizes(
    data: Mapping[str, Any], label_runs: LabelRuns | None, image: images.NormalizedImage
) -> None:
    got = f"{image.height}x{image.width}"
    declared = (data.get("height", image.height), data.get("width", image.width))
    if declared != (image.height, image.width):
        raise AnnotationError(
            f"image {data['image']!r} is not of the size its annotation says: expected "
            f"{declared[0]}x{declared[1]}, got {got} (height x width). Masks drawn for "
            "another size cannot be used.",
            reason="image-size-mismatch",
        )
    if label_runs is None:
        return
    if (label_runs.height, label_runs.width) != (image.height, image.width):
        raise AnnotationError(
            f"label image {data['label_image']['path']!r} does not fit its image "
            f"{data['image']!r}: expected {got}, got {label_runs.height}x"
            f"{label_runs.width} (height x width).",
            reason="label-size-mismatch",
        )


def _put(
    example: Any,
    feature: Feature,
    value: int | float | bytes | Sequence[int | float | bytes],
) -> None:
    """Fills one feature; an empty list still writes its key."""
    values = getattr(example.features.feature[feature.key], f"{feature.kind}_list")
    if feature.is_list:
        values.SetInParent()
        values.value.extend(value)
    else:
        values.value.append(value)


def _label_notes(label_runs: LabelRuns | None) -> list[str]:
    notes = []
    if label_runs is not None:
        if label_runs.voided_pixels:
            notes.append("unknown-labels-voided")
        num_pixels = label_runs.height * label_runs.width
        if num_pixels > 64 and len(label_runs.values) > num_pixels // _PIXELS_PER_RUN:
            notes.append("noisy-label-map")
    return notes


def _put_objects(example: Any, record: EncodedRecord) -> None:
    height, width = record.height, record.width
    columns: dict[Feature, Callable[[EncodedObject], Any]] = {
        features.OBJECT_YMIN: lambda o: o.box[0] / height,
        features.OBJECT_XMIN: lambda o: o.box[1] / width,
        features.OBJECT_YMAX: lambda o: o.box[2] / height,
        features.OBJECT_XMAX: lambda o: o.box[3] / width,
        features.OBJECT_LABEL: lambda o: o.label.id,
        features.OBJECT_TEXT: lambda o: o.label.name.encode(),
        features.OBJECT_CATEGORY: lambda o: o.category,
        features.OBJECT_ID: lambda o: o.source_id,
        features.OBJECT_IS_CROWD: lambda o: int(o.annotation.get("iscrowd", 0)),
        features.OBJECT_AREA: lambda o: o.area,
        features.OBJECT_NUM_RUNS: lambda o: len(o.runs),
    }
    for feature, value in columns.items():
        _put(example, feature, [value(item) for item in record.objects])
    runs = [item.runs for item in record.objects]
    _put(
        example,
        features.OBJECT_RUNS,
        np.concatenate(runs).tolist() if runs else [],
    )
