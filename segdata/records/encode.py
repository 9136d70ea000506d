"""Annotation dict -> `tf.train.Example`: one record, complete and checked."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from segdata import identity
from segdata.annotations import canonical_json, record_key, validate_annotation
from segdata.errors import AnnotationError
from segdata.images import normalize
from segdata.images.label_images import (
    LabelRuns,
    SourceRuns,
    read_source_runs,
    to_label_runs,
)
from segdata.images.mask_images import MaskImageRuns, claims
from segdata.label_map import LabelClass, LabelMap
from segdata.records.objects import EncodedObject, OnBadObject, encode_objects
from segdata.records.painting import paint_label_map
from segdata.records.regions import EncodedRegion, encode_regions, image_class
from segdata.records.to_example import EncodedRecord, to_example
from segdata.storage import files
from segdata.storage.paths import Address

# Above one run per so many pixels a label map is noise: slow to read, and a sign of
# labels that went through a lossy format.
_PIXELS_PER_RUN = 8


def dict_to_tf_example(
    data: Mapping[str, Any],
    label_map_dict: Mapping[str, int],
    image_dir: Address,
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
      `segdata.records.schema`. For bytes that are equal in every process serialize it
      with `segdata.serialize`.

    Raises:
      ImageError: If the image or label image is missing, undecodable or refused.
      AnnotationError: If an annotation is malformed, does not fit the image, or names
        an unknown class.
    """
    label_map = LabelMap.from_dict(label_map_dict)
    return to_example(encode_record(data, label_map, image_dir), label_map)


def encode_record(
    data: Mapping[str, Any],
    label_map: LabelMap,
    image_dir: Address,
    *,
    number: int | None = None,
    on_bad_object: OnBadObject | None = None,
) -> EncodedRecord:
    """Does the work of `dict_to_tf_example`, up to the message itself.

    Args:
      data: Annotation dict.
      label_map: The dataset's classes.
      image_dir: Folder that the paths in `data` are relative to and may not leave.
      number: `image/source_id`, where the dataset's plan gives one.
      on_bad_object: Takes each bad object or region, which is left out of the record;
        the image and the others stay. None refuses the image.
    """
    validate_annotation(data)
    name = data["image"]
    source = files.read_bytes(image_dir, name, what="image")
    labels = _LabelFiles(image_dir)
    label_runs = labels.label_runs(data, label_map)
    mask_image = labels.mask_image(data)
    of_labels = label_runs or (mask_image.source if mask_image else None)
    image = normalize.normalize_image(
        source, name, expected_size=_expected_size(data, of_labels)
    )
    _check_sizes(data, label_runs, mask_image, image)
    notes = {*image.changes, *_label_notes(label_runs)}
    try:
        objects, regions, label_class = _encode_annotations(
            data, label_map, image, notes, mask_image, on_bad_object
        )
        if data.get("paint_label_map"):
            label_runs = paint_label_map(objects, label_map, image.height, image.width)
        fields = canonical_json(data.get("source", {}), "the image")
    except AnnotationError as error:
        raise AnnotationError(
            f"{error} (image {name!r})", reason=error.reason
        ) from error
    key = record_key(data)
    captions = data.get("captions")
    return EncodedRecord(
        key=key,
        filename=name,
        image=image,
        sha256=files.sha256(image_dir, image.encoded),
        number=_usable_number(data, key) if number is None else number,
        image_id=str(data.get("image_id", "")),
        source=fields,
        image_class=label_class,
        image_category=str(data.get("image_class", "")),
        captions=None if captions is None else tuple(captions),
        regions=regions,
        label_runs=label_runs,
        objects=objects,
        notes=tuple(sorted(notes)),
    )


def _encode_annotations(
    data: Mapping[str, Any],
    label_map: LabelMap,
    image: normalize.NormalizedImage,
    notes: set[str],
    mask_image: MaskImageRuns | None,
    on_bad_object: OnBadObject | None,
) -> tuple[
    tuple[EncodedObject, ...], tuple[EncodedRegion, ...] | None, LabelClass | None
]:
    size = (image.height, image.width)
    items = data.get("objects") or ()
    objects = encode_objects(items, label_map, size, notes, on_bad_object, mask_image)
    if mask_image is not None:
        stray = mask_image.unclaimed()
        if stray is not None:
            if on_bad_object is None:
                raise stray
            notes.add("objects-rejected")
            on_bad_object(stray)
    regions = data.get("regions")
    encoded = (
        None
        if regions is None
        else tuple(encode_regions(regions, size, notes, on_bad_object))
    )
    return tuple(objects), encoded, image_class(data, label_map)


def _usable_number(data: Mapping[str, Any], key: str) -> int:
    """The source's own number if it fits, else one from the key."""
    image_id = data.get("image_id")
    if isinstance(image_id, Integral) and 0 <= int(image_id) <= identity.MAX_IMAGE_ID:
        return int(image_id)
    return identity.image_id(key)


class _LabelFiles:
    """The label image and mask image of a record; one file may be both."""

    def __init__(self, image_dir: Address) -> None:
        self._image_dir = image_dir
        self._read: dict[tuple[str, str], SourceRuns] = {}

    def label_runs(
        self, data: Mapping[str, Any], label_map: LabelMap
    ) -> LabelRuns | None:
        item = data.get("label_image")
        if item is None:
            return None
        runs = self._runs(item, "label image")
        return to_label_runs(runs, item["encoding"], label_map, item["path"])

    def mask_image(self, data: Mapping[str, Any]) -> MaskImageRuns | None:
        item = data.get("mask_image")
        if item is None:
            return None
        runs = self._runs(item, "mask image")
        return MaskImageRuns(
            source=runs,
            encoding=item["encoding"],
            name=item["path"],
            claims=claims(data.get("objects") or ()),
        )

    def _runs(self, item: Mapping[str, Any], what: str) -> SourceRuns:
        place = (item["path"], item["encoding"])
        if place not in self._read:
            data = files.read_bytes(self._image_dir, item["path"], what=what)
            self._read[place] = read_source_runs(data, item["encoding"], item["path"])
        return self._read[place]


def _expected_size(
    data: Mapping[str, Any], of_labels: LabelRuns | SourceRuns | None
) -> tuple[int, int] | None:
    """The size that the annotations were made for, if they tell."""
    if of_labels is not None:
        return of_labels.height, of_labels.width
    if "height" in data and "width" in data:
        return data["height"], data["width"]
    return None


def _check_sizes(
    data: Mapping[str, Any],
    label_runs: LabelRuns | None,
    mask_image: MaskImageRuns | None,
    image: normalize.NormalizedImage,
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
    drawn = {"label": label_runs, "mask": mask_image and mask_image.source}
    for what, runs in drawn.items():
        if runs and (runs.height, runs.width) != (image.height, image.width):
            raise AnnotationError(
                f"{what} image {data[f'{what}_image']['path']!r} does not fit its "
                f"image {data['image']!r}: expected {got}, got {runs.height}x"
                f"{runs.width} (height x width).",
                reason=f"{what}-size-mismatch",
            )


def _label_notes(label_runs: LabelRuns | None) -> list[str]:
    notes = []
    if label_runs is not None:
        if label_runs.voided_pixels:
            notes.append("unknown-labels-voided")
        num_pixels = label_runs.height * label_runs.width
        if num_pixels > 64 and len(label_runs.values) > num_pixels // _PIXELS_PER_RUN:
            notes.append("noisy-label-map")
    return notes
