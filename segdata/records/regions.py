"""What a record says of the whole image: class, captions, named regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segdata.errors import AnnotationError, short_repr
from segdata.label_map import LabelClass, LabelMap
from segdata.records.boxes import Box, read_box
from segdata.records.objects import OnBadObject
from segdata.validation import canonical_json, validate_region


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRegion:
    """One region on its way into a record."""

    name: str
    """What it is around."""
    box: Box
    """Its box, inside the image."""
    source: bytes
    """What the source says of it, its box included, as JSON."""


def encode_regions(
    regions: Sequence[Mapping[str, Any]],
    size: tuple[int, int],
    notes: set[str],
    on_bad_region: OnBadObject | None = None,
) -> list[EncodedRegion]:
    """Encodes the regions of an image.

    Args:
      regions: As in the annotation dict.
      size: Height and width of the image in pixels.
      notes: Names of what looked odd are added here.
      on_bad_region: Called for each that is bad; None refuses the image with the first.

    Raises:
      AnnotationError: For the first bad region, where `on_bad_region` is None.
    """
    result = []
    for number, item in enumerate(regions):
        try:
            result.append(_encode_region(item, number, size, notes))
        except AnnotationError as error:
            if on_bad_region is None:
                raise
            notes.add("regions-rejected")
            on_bad_region(error)
    return result


def image_class(data: Mapping[str, Any], label_map: LabelMap) -> LabelClass | None:
    """The class of the whole image; None where the annotation names none.

    Raises:
      AnnotationError: If it is no object class of the label map.
    """
    source_id = data.get("image_class")
    if source_id is None:
        return None
    if label_map.is_left_out({"category_id": source_id}):
        return None
    if source_id not in label_map.object_by_source_id:
        known = ", ".join(sorted(map(str, label_map.object_by_source_id))[:20])
        raise AnnotationError(
            f"image {data['image']!r} is of the unknown class {short_repr(source_id)}: "
            f"known are {known or 'none'}.",
            reason="unknown-image-class",
        )
    return label_map.object_by_source_id[source_id]


def verified_classes(
    data: Mapping[str, Any], label_map: LabelMap
) -> tuple[list[int], list[int]] | None:
    """Class ids that are verified to be absent, and those of which some objects lack.

    Returns:
      None where the annotation does not say.

    Raises:
      AnnotationError: If a class is unknown.
    """
    given = [data.get(name) for name in ("absent_classes", "incomplete_classes")]
    if given == [None, None]:
        return None
    known = label_map.object_by_source_id
    ids: tuple[list[int], list[int]] = ([], [])
    for of_kind, source_ids in zip(ids, given, strict=True):
        for source_id in source_ids or ():
            if label_map.is_left_out({"category_id": source_id}):
                continue
            if type(source_id) not in (int, str) or source_id not in known:
                raise AnnotationError(
                    f"image {data['image']!r} speaks of the unknown class "
                    f"{short_repr(source_id)}, to be absent or incomplete.",
                    reason="unknown-image-class",
                )
            of_kind.append(known[source_id].id)
    return ids


def _encode_region(
    item: Mapping[str, Any], number: int, size: tuple[int, int], notes: set[str]
) -> EncodedRegion:
    called = f"region {number}"
    validate_region(item, called)
    called = f"{called} ({item['name']})"
    box, is_clipped = read_box(item["bbox"], *size, called)
    if is_clipped:
        notes.add("region-clipped")
    others = item.get("source", {})
    if "bbox" in others:
        raise AnnotationError(
            f"{called} has 'bbox' in its 'source' too: expected other fields there."
        )
    return EncodedRegion(
        name=item["name"],
        box=box,
        source=canonical_json({**others, "bbox": item["bbox"]}, called),
    )
