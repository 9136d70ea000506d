"""Annotation dict and the bytes of its files -> one record, complete and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from segdata import identity
from segdata.annotations import record_key
from segdata.errors import AnnotationError
from segdata.images import normalize
from segdata.images.orientation import Exif
from segdata.images.shrink import Size, shrink_image, shrink_labels, shrunk_size
from segdata.label_map import LabelClass, LabelMap
from segdata.records.drawn import (
    Drawn,
    Files,
    content,
    read_drawn,
    with_annotation_file,
)
from segdata.records.objects import EncodedObject, OnBadObject, encode_objects
from segdata.records.painting import paint_label_map
from segdata.records.regions import (
    EncodedRegion,
    encode_regions,
    image_class,
    verified_classes,
)
from segdata.records.relative import in_pixels, shrink_all
from segdata.records.to_example import EncodedRecord
from segdata.validation import canonical_json

# Above one run per so many pixels a label map is noise: slow to read, and a sign of
# labels that went through a lossy format.
_PIXELS_PER_RUN = 8


def encode_record(
    annotation: Mapping[str, Any],
    files: Files,
    label_map: LabelMap,
    *,
    number: int | None = None,
    on_bad_object: OnBadObject | None = None,
    exif: Exif = "auto",
    check_pixels: bool = False,
    max_size: int | None = None,
) -> EncodedRecord:
    """Encodes one image and its annotations. Reads nothing: all it takes is in hand.

    Args:
      annotation: Annotation dict, see `segdata.annotations.Annotation`.
      files: What its files hold, by the paths in it.
      label_map: The dataset's classes.
      number: `image/source_id`, where the dataset's plan gives one.
      on_bad_object: Takes each bad object or region, which is left out of the record;
        the image and the others stay. None refuses the image.
      exif: Whether image, label image and mask image are turned as EXIF says.
      check_pixels: Whether the image is decoded strictly, see `normalize_image`.
      max_size: The longer side in pixels that an image is shrunk to; None for any.

    Raises:
      ImageError: If a file was not read, or is undecodable or refused.
      AnnotationError: If an annotation is malformed, does not fit the image, or names
        an unknown class.
    """
    annotation = with_annotation_file(annotation, files)
    name = annotation["image"]
    source = content(files, name, "image")
    drawn = read_drawn(annotation, files, label_map, exif)
    label_runs = drawn.labels
    image = normalize.normalize_image(
        source,
        name,
        expected_size=drawn.size or _stated_size(annotation),
        exif=exif,
        check_pixels=check_pixels,
    )
    _check_sizes(annotation, drawn, image)
    drawn_size = (image.height, image.width)
    size = shrunk_size(*drawn_size, max_size)
    if size != drawn_size:
        image = shrink_image(image, size)
    notes = {*image.changes, *_label_notes(drawn)}
    if size != drawn_size and label_runs:
        label_runs = shrink_labels(label_runs, size)
    try:
        objects, regions, label_class = _encode_annotations(
            annotation, label_map, (drawn_size, size), notes, drawn, on_bad_object
        )
        if annotation.get("paint_label_map"):
            label_runs = paint_label_map(objects, label_map, image.height, image.width)
        fields = canonical_json(annotation.get("source", {}), "the image")
    except AnnotationError as error:
        raise AnnotationError(
            f"{error} (image {name!r})", reason=error.reason
        ) from error
    key = record_key(annotation)
    captions = annotation.get("captions")
    return EncodedRecord(
        key=key,
        filename=name,
        image=image,
        sha256=hashlib.sha256(image.encoded).hexdigest(),
        number=_usable_number(annotation, key) if number is None else number,
        image_id=str(annotation.get("image_id", "")),
        source=fields,
        image_class=label_class,
        image_category=str(annotation.get("image_class", "")),
        verified=verified_classes(annotation, label_map),
        captions=None if captions is None else tuple(captions),
        regions=regions,
        label_runs=label_runs,
        objects=objects,
        num_left_out=drawn.num_left_out,
        notes=tuple(sorted(notes)),
    )


def _encode_annotations(
    data: Mapping[str, Any],
    label_map: LabelMap,
    sizes: tuple[Size, Size],
    notes: set[str],
    drawn: Drawn,
    on_bad_object: OnBadObject | None,
) -> tuple[
    tuple[EncodedObject, ...], tuple[EncodedRegion, ...] | None, LabelClass | None
]:
    drawn_size, size = sizes
    items, regions, masks = drawn.objects, data.get("regions"), drawn.masks
    bad: list[AnnotationError] = []
    if data.get("is_relative"):
        items = [in_pixels(item, *drawn_size) for item in items]
    if size != drawn_size:
        items = shrink_all(items, drawn_size, size, masks, bad)
        factors = (size[0] / drawn_size[0], size[1] / drawn_size[1])
        regions = regions and [in_pixels(region, *factors) for region in regions]
    objects = encode_objects(items, label_map, size, notes, on_bad_object, masks)
    if (stray := masks.unclaimed()) is not None:
        bad.append(stray)
    for error in bad:
        if on_bad_object is None:
            raise error
        notes.add("objects-rejected")
        on_bad_object(error)
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


def _stated_size(data: Mapping[str, Any]) -> tuple[int, int] | None:
    """The size that the annotations were made for, if they tell."""
    if "height" in data and "width" in data:
        return data["height"], data["width"]
    return None


def _check_sizes(
    data: Mapping[str, Any], drawn: Drawn, image: normalize.NormalizedImage
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
    for what, path, (height, width) in drawn.sizes():
        if (height, width) != (image.height, image.width):
            raise AnnotationError(
                f"{what} {path!r} does not fit its image {data['image']!r}: expected "
                f"{got}, got {height}x{width} (height x width).",
                reason=f"{what.split()[0]}-size-mismatch",
            )


def _label_notes(drawn: Drawn) -> list[str]:
    notes = ["objects-left-out"] if drawn.num_left_out else []
    if (label_runs := drawn.labels) is not None:
        if label_runs.voided_pixels:
            notes.append("unknown-labels-voided")
        if label_runs.moved_pixels:
            notes.append("labels-moved-to-nearest")
        num_pixels = label_runs.height * label_runs.width
        if num_pixels > 64 and len(label_runs.values) > num_pixels // _PIXELS_PER_RUN:
            notes.append("noisy-label-map")
    return notes
