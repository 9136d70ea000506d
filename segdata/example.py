"""Annotation dict -> `tf.train.Example`: one record, complete and checked."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata import features, files, identity, images, rle
from segdata.annotations import record_key, validate_annotation
from segdata.errors import AnnotationError
from segdata.example_proto import Example
from segdata.features import Feature
from segdata.label_images import LabelRuns, read_label_runs
from segdata.label_map import LabelClass, LabelMap

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
class EncodedObject:
    """One object on its way into a record."""

    label: LabelClass
    """Its class."""
    runs: NDArray[np.int64]
    """Row-major runs; empty where the source gives a box but no mask."""
    box: tuple[float, float, float, float]
    """`ymin, xmin, ymax, xmax` in pixels, inside the image."""
    annotation: Mapping[str, Any]
    """What the source says."""

    @property
    def area(self) -> float:
        """Pixels, as the source says; else of the mask, or of the box."""
        given = self.annotation.get("area")
        if given is not None:
            return float(given)
        ymin, xmin, ymax, xmax = self.box
        return float(
            rle.area(self.runs) if len(self.runs) else (ymax - ymin) * (xmax - xmin)
        )

    @property
    def category(self) -> int:
        """Category id in the source, or -1 where it is not a number."""
        category = self.annotation.get("category_id", -1)
        return int(category) if isinstance(category, Integral) else -1


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
    data: Mapping[str, Any], label_map: LabelMap, image_dir: str | os.PathLike[str]
) -> EncodedRecord:
    """Does the work of `dict_to_tf_example` and also returns what to count."""
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
        objects = _encode_objects(data, label_map, image.height, image.width, notes)
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


def _encode_objects(
    data: Mapping[str, Any],
    label_map: LabelMap,
    height: int,
    width: int,
    notes: set[str],
) -> list[EncodedObject]:
    objects: Sequence[Mapping[str, Any]] = data.get("objects") or ()
    with_mask = [item for item in objects if _has_mask(item)]
    try:
        encoded = rle.rle_batch(
            [item["segmentation"] for item in with_mask], height, width
        )
    except AnnotationError as error:
        bad = with_mask[error.index or 0]
        raise AnnotationError(
            f"{_called(bad)}: {error}", reason=error.reason
        ) from error
    runs = iter(encoded)
    result = []
    for item in objects:
        mask = next(runs) if _has_mask(item) else np.zeros(0, np.int64)
        result.append(
            EncodedObject(
                label=_object_class(item, label_map),
                runs=mask,
                box=_box(item, mask, height, width, notes),
                annotation=item,
            )
        )
        if not len(mask):
            notes.add("object-without-mask")
        elif not rle.area(mask):
            notes.add("object-mask-empty")
    return result


def _has_mask(item: Mapping[str, Any]) -> bool:
    segmentation = item.get("segmentation")
    if isinstance(segmentation, np.ndarray) and not segmentation.ndim:
        return True  # a lone number has no length; `rle` refuses it
    return segmentation is not None and len(segmentation) > 0


def _called(item: Mapping[str, Any]) -> str:
    return f"annotation {item['id']}" if "id" in item else "an annotation without id"


def _object_class(item: Mapping[str, Any], label_map: LabelMap) -> LabelClass:
    table: Mapping[Any, LabelClass]
    if "category" in item:
        value, table = item["category"], label_map.object_by_name
    elif "category_id" in item:
        value, table = item["category_id"], label_map.object_by_source_id
    else:
        raise AnnotationError(
            f"{_called(item)} has no class: expected 'category_id' or 'category'.",
            reason="object-without-class",
        )
    if value not in table:
        known = ", ".join(sorted(map(str, table))[:20]) or "none"
        raise AnnotationError(
            f"{_called(item)} is of the unknown class {value!r}: known are {known}.",
            reason="unknown-object-class",
        )
    return table[value]


def _box(
    item: Mapping[str, Any],
    runs: NDArray[np.int64],
    height: int,
    width: int,
    notes: set[str],
) -> tuple[float, float, float, float]:
    """The object's box in pixels, cut to the image; from its mask if none is given."""
    given = item.get("bbox")
    if given is None:
        if not len(runs):
            raise AnnotationError(
                f"{_called(item)} has neither a mask nor a box.",
                reason="object-without-geometry",
            )
        return rle.bounding_box(runs, width)
    x, y, box_width, box_height = _checked_box(item, given)
    box = (y, x, y + box_height, x + box_width)
    inside = (
        min(max(box[0], 0.0), height),
        min(max(box[1], 0.0), width),
        min(max(box[2], 0.0), height),
        min(max(box[3], 0.0), width),
    )
    if inside != box:
        notes.add("box-clipped")
    return inside


def _checked_box(item: Mapping[str, Any], given: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, given))
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if (
        len(numbers) != 4
        or not all(map(math.isfinite, numbers))
        or min(numbers[2:]) < 0
    ):
        raise AnnotationError(
            f"{_called(item)} has the box {given}: expected finite numbers x, y, width "
            "and height, the last two at least 0.",
            reason="bad-box",
        )
    return numbers


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
        features.OBJECT_ID: lambda o: o.annotation.get("id", -1),
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
