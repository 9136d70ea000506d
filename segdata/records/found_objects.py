"""Objects that only a mask image tells: each value in it is one.

Three rules say what they are, see `segdata.annotations.FoundObjects`: all are of one
category; the value holds the category, as in Cityscapes' `instanceIds`
(https://github.com/mcordts/cityscapesScripts: `id * 1000 + number`); or the label image
tells, as in Pascal VOC's `SegmentationClass` beside `SegmentationObject`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from segdata.annotations import FoundObjects, ObjectAnnotation
from segdata.errors import AnnotationError
from segdata.images.label_images import LabelRuns, SourceRuns
from segdata.label_map import LabelMap

# More are no objects that somebody drew, but a photo or a label map.
_MAX_OBJECTS = 1 << 16


def find_objects(
    mask: SourceRuns,
    rule: FoundObjects,
    label_map: LabelMap,
    labels: LabelRuns | None,
    name: str,
) -> list[ObjectAnnotation]:
    """Lists the objects of a mask image.

    Args:
      mask: The mask image.
      rule: How they are found.
      label_map: The dataset's classes.
      labels: The label map of the same image, where the rule asks for it.
      name: Path of the mask image, for messages.

    Returns:
      Objects with a `mask_value` and the value as `id`, by rising value.

    Raises:
      AnnotationError: If there are more than 65,536, or the rule asks for a label map
        and there is none of this size.
    """
    values = sorted(set(np.unique(mask.codes).tolist()) - set(rule["nobody"]))
    if len(values) > _MAX_OBJECTS:
        raise AnnotationError(
            f"mask image {name!r} has {len(values)} values: expected one for each "
            f"object, at most {_MAX_OBJECTS}. Is it a photo, or was it saved as JPEG?",
            reason="too-many-objects",
        )
    if "category_id" in rule:
        category = rule["category_id"]
        return [_found(value, category_id=category) for value in values]
    if "factor" in rule:
        return list(_by_factor(values, rule["factor"], label_map))
    return list(_by_labels(mask, values, label_map, labels, name))


def _found(value: int, **fields: object) -> ObjectAnnotation:
    item = {"id": value, "mask_value": value, **fields}
    return item  # type: ignore[return-value]


def _by_factor(
    values: list[int], factor: int, label_map: LabelMap
) -> Iterator[ObjectAnnotation]:
    """Objects whose values hold their category.

    A value of stuff is no object; one of a category that nobody knows stays, so that it
    is refused by name.
    """
    is_open = label_map.unknown_id is not None
    for value in values:
        category = value // factor if value >= factor else value
        is_stuff = is_open or category in label_map.semantic_by_source_id
        is_thing = category in label_map.object_by_source_id or label_map.is_left_out(
            {"category_id": category}
        )
        if is_thing or not is_stuff:
            crowd = {} if value >= factor else {"iscrowd": 1}
            yield _found(value, category_id=category, **crowd)


def _by_labels(
    mask: SourceRuns,
    values: list[int],
    label_map: LabelMap,
    labels: LabelRuns | None,
    name: str,
) -> Iterator[ObjectAnnotation]:
    """Objects of the class that most of their pixels have, void apart."""
    size = (mask.height, mask.width)
    if labels is None or (labels.height, labels.width) != size:
        raise AnnotationError(
            f"the classes of the objects in mask image {name!r} stand in a label image "
            f"of its size, {size[0]}x{size[1]} (height x width): got "
            f"{f'{labels.height}x{labels.width}' if labels else 'none'}.",
            reason="mask-size-mismatch",
        )
    names = {item.id: item.name for item in label_map.semantic_classes}
    most = _most_frequent(mask, labels, label_map.ignore_id)
    for value in values:
        if value in most:
            yield _found(value, category=names[most[value]])
        elif label_map.left_out_classes:  # its pixels are ignored as others of theirs
            yield _found(value, category=label_map.left_out_classes[0].name)
        else:  # without a class, which is refused by name
            yield _found(value)


def _most_frequent(
    mask: SourceRuns, labels: LabelRuns, ignore_id: int | None
) -> dict[int, int]:
    """Value of the mask image -> class id of most of its pixels that are not void."""
    mask_ends, label_ends = np.cumsum(mask.lengths), np.cumsum(labels.lengths)
    ends = np.union1d(mask_ends, label_ends)
    starts = np.concatenate(([0], ends[:-1]))
    codes = mask.codes[np.searchsorted(mask_ends, starts, "right")].astype(np.int64)
    classes = labels.values[np.searchsorted(label_ends, starts, "right")]
    pairs, inverse = np.unique(codes * 256 + classes, return_inverse=True)
    pixels = np.bincount(inverse, weights=ends - starts)
    most: dict[int, int] = {}
    for place in np.argsort(-pixels, kind="stable").tolist():
        value, class_id = divmod(int(pairs[place]), 256)
        if class_id != ignore_id:
            most.setdefault(value, class_id)
    return most
