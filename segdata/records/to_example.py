"""A record whose parts are encoded and checked, and its `tf.train.Example`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.images.label_images import LabelRuns
from segdata.images.normalize import NormalizedImage
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import compiled
from segdata.records import schema
from segdata.records.objects import EncodedObject
from segdata.records.png_masks import MaskForms, png_features
from segdata.records.proto import Example
from segdata.records.regions import EncodedRegion
from segdata.records.schema import Feature


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRecord:
    """One record before it is serialized."""

    key: str
    """Its stable name."""
    filename: str
    """Path of the image below the source."""
    image: NormalizedImage
    """The image as the record holds it."""
    sha256: str
    """Hex SHA-256 of the encoded image."""
    number: int
    """`image/source_id`: 0 to 2**24, unique in the dataset."""
    image_id: str
    """Id of the image in the source, as text; empty where it has none."""
    source: bytes
    """What else the source says of the image, as JSON."""
    image_class: LabelClass | None
    """Class of the whole image, if there is one."""
    image_category: str
    """Its id in the source, as text; empty where there is none."""
    verified: tuple[list[int], list[int]] | None
    """Class ids that are verified to be absent, and those of which some objects lack;
    None where the annotation does not say."""
    captions: tuple[str, ...] | None
    """Captions; None where the annotation speaks of none."""
    regions: tuple[EncodedRegion, ...] | None
    """Regions; None where the annotation speaks of none."""
    label_runs: LabelRuns | None
    """The label map, if there is one."""
    objects: tuple[EncodedObject, ...]
    """The objects, in the source's order."""
    num_left_out: int
    """Objects of classes that are left out."""
    notes: tuple[str, ...]
    """What was changed or looked odd, by name, sorted."""

    @property
    def parts(self) -> list[str]:
        """Those of `features.OPTIONAL_PARTS` that it has."""
        values = {
            schema.CAPTION_PART: self.captions,
            schema.IMAGE_CLASS_PART: self.image_class,
            schema.VERIFIED_PART: self.verified,
            schema.REGION_PART: self.regions,
            schema.LABEL_MAP_PART: self.label_runs,
        }
        return [name for name, value in values.items() if value is not None]


def to_example(
    record: EncodedRecord, label_map: LabelMap, masks: MaskForms = ("rle",)
) -> Any:
    """Builds the `tf.train.Example` of a record.

    Args:
      record: The record.
      label_map: The dataset's classes: they decide which groups of keys every record
        of the dataset has, see `segdata.records.schema`.
      masks: Forms of masks, see `segdata.records.png_masks`; runs are always there.

    Raises:
      AnnotationError: If PNG masks cannot hold what the record has.
    """
    example = Example()
    _put_image(example, record)
    if record.captions is not None:
        _put(example, schema.CAPTIONS, [_utf8(text) for text in record.captions])
    if record.image_class is not None:
        _put(example, schema.IMAGE_LABEL, [record.image_class.id])
        _put(example, schema.IMAGE_TEXT, [_utf8(record.image_class.name)])
        _put(example, schema.IMAGE_CATEGORY, [_utf8(record.image_category)])
    if record.verified is not None:
        for feature, ids in zip(schema.VERIFIED_FEATURES, record.verified, strict=True):
            _put(example, feature, ids)
    if record.regions is not None:
        _put_regions(example, record.regions, record.image)
    if record.label_runs is not None:
        _put(example, schema.LABEL_VALUES, record.label_runs.values.tobytes())
        _put_integers(example, schema.LABEL_LENGTHS, record.label_runs.lengths)
        _put(example, schema.VOIDED_PIXELS, record.label_runs.voided_pixels)
    if record.objects or label_map.object_classes:
        _put_objects(example, record.objects, record.image)
        if label_map.num_keypoints:
            _put_keypoints(example, record, label_map.num_keypoints)
    if "png" in masks:
        size = (record.image.height, record.image.width)
        added = png_features(record.objects, record.label_runs, size, label_map)
        for feature, value in added.items():
            _put(example, feature, value)
    return example


def _put_image(example: Any, record: EncodedRecord) -> None:
    image = record.image
    _put(example, schema.SCHEMA, schema.SCHEMA_VERSION)
    _put(example, schema.KEY, _utf8(record.key))
    _put(example, schema.NOTES, [note.encode() for note in record.notes])
    _put(example, schema.SOURCE_IMAGE_ID, _utf8(record.image_id))
    _put(example, schema.SOURCE_FIELDS, record.source)
    _put(example, schema.ENCODED, image.encoded)
    _put(example, schema.FORMAT, image.format.encode())
    _put(example, schema.HEIGHT, image.height)
    _put(example, schema.WIDTH, image.width)
    _put(example, schema.FILENAME, _utf8(record.filename))
    _put(example, schema.SOURCE_ID, str(record.number).encode())
    _put(example, schema.SHA256, record.sha256.encode())
    _put(example, schema.OBJECT_COUNT, len(record.objects))


def _put_regions(
    example: Any, regions: Sequence[EncodedRegion], image: NormalizedImage
) -> None:
    height, width = image.height, image.width
    _put(example, schema.REGION_YMIN, [item.box[0] / height for item in regions])
    _put(example, schema.REGION_XMIN, [item.box[1] / width for item in regions])
    _put(example, schema.REGION_YMAX, [item.box[2] / height for item in regions])
    _put(example, schema.REGION_XMAX, [item.box[3] / width for item in regions])
    _put(example, schema.REGION_TEXT, [_utf8(item.name) for item in regions])
    _put(example, schema.REGION_SOURCE, [item.source for item in regions])


def _put_objects(
    example: Any, objects: Sequence[EncodedObject], image: NormalizedImage
) -> None:
    height, width = image.height, image.width
    crowds = [int(o.annotation.get("iscrowd", 0)) for o in objects]
    columns: tuple[tuple[Feature, list[Any]], ...] = (
        (schema.OBJECT_YMIN, [o.box[0] / height for o in objects]),
        (schema.OBJECT_XMIN, [o.box[1] / width for o in objects]),
        (schema.OBJECT_YMAX, [o.box[2] / height for o in objects]),
        (schema.OBJECT_XMAX, [o.box[3] / width for o in objects]),
        (schema.OBJECT_LABEL, [o.label.id for o in objects]),
        (schema.OBJECT_TEXT, [_utf8(o.label.name) for o in objects]),
        (schema.OBJECT_CATEGORY, [o.category for o in objects]),
        (schema.OBJECT_ID, [o.source_id for o in objects]),
        (schema.OBJECT_IS_CROWD, crowds),
        (schema.OBJECT_AREA, [o.area for o in objects]),
        (schema.OBJECT_NUM_RUNS, [len(o.runs) for o in objects]),
        (schema.OBJECT_SOURCE, [o.source for o in objects]),
    )
    for feature, values in columns:
        _put(example, feature, values)
    runs = [np.zeros(0, np.int64), *(item.runs for item in objects)]
    _put_integers(example, schema.OBJECT_RUNS, np.concatenate(runs))


def _put_keypoints(example: Any, record: EncodedRecord, num_keypoints: int) -> None:
    found = np.array([item.keypoints for item in record.objects])
    x, y, visibility = found.reshape(-1, 3).T
    _put(example, schema.KEYPOINT_X, (x / record.image.width).tolist())
    _put(example, schema.KEYPOINT_Y, (y / record.image.height).tolist())
    _put(example, schema.KEYPOINT_VISIBILITY, visibility.astype(int).tolist())
    names: list[bytes] = []
    for item in record.objects:
        own = [_utf8(name) for name in item.label.keypoints]
        names += own + [b""] * (num_keypoints - len(own))
    _put(example, schema.KEYPOINT_TEXT, names)
    labelled = [int((item.keypoints[:, 2] > 0).sum()) for item in record.objects]
    _put(example, schema.KEYPOINT_NUM, labelled)


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


def _put_integers(example: Any, feature: Feature, values: NDArray[np.int64]) -> None:
    """Fills one feature with what would be many of Python's integers."""
    if compiled.runs is None:
        _put(example, feature, values.tolist())
        return
    target = example.features.feature[feature.key].int64_list
    target.MergeFromString(compiled.runs.int64_list(values))


def _utf8(text: str) -> bytes:
    """File names may hold bytes that are no UTF-8, as half surrogate pairs."""
    return text.encode("utf-8", "surrogateescape")
