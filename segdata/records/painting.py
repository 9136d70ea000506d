"""Label maps painted from objects, so that semantic models can train on instances.

**Who is on top.** Crowd regions lie below everything; among the rest larger masks lie
below smaller ones; of equal ones the later in the source is on top. So smaller objects
are painted over larger ones, and the result does not depend on the order of a JSON with
unequal areas. Panoptic segments do not overlap: there the rule decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError
from segdata.images.label_images import LabelRuns
from segdata.label_map import LabelMap
from segdata.masks import rle
from segdata.records.objects import EncodedObject


def paint_label_map(
    objects: Sequence[EncodedObject], label_map: LabelMap, height: int, width: int
) -> LabelRuns:
    """Paints a label map.

    Args:
      objects: The objects; those without a mask leave no trace.
      label_map: Its `unpainted_id` fills pixels that no object covers; the objects'
        classes must stand in its `semantic_classes`.
      height: Height of the image in pixels.
      width: Width of the image in pixels.

    Raises:
      AnnotationError: If the label map is not made for painting, or a class is
        missing there.
    """
    if label_map.unpainted_id is None:
        raise AnnotationError(
            "a label map cannot be painted: expected the label map's `unpainted_id`, "
            "got None."
        )
    known = {item.id for item in label_map.semantic_classes}
    for item in objects:
        if item.label.id not in known:
            raise AnnotationError(
                f"class {item.label.name!r} cannot be painted: it is no semantic class "
                "of the label map."
            )
    owners, lengths = object_runs(objects, height, width)
    ids = [label_map.unpainted_id, *(item.label.id for item in objects)]
    values, lengths = rle.merge_label_runs(np.array(ids, np.uint8)[owners], lengths)
    return LabelRuns(
        values=values, lengths=lengths, height=height, width=width, voided_pixels=0
    )


def object_runs(
    objects: Sequence[EncodedObject], height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Which object is on top at each pixel.

    Returns:
      `([runs] int32, [runs] int64)`: row-major runs of 1 + the object's place in
      `objects`, or 0 where there is none, and their lengths.
    """
    pixels = np.zeros(height * width, np.int32)
    numbers = range(len(objects))
    for number in sorted(numbers, key=lambda k: _depth(objects[k])):
        ends = np.cumsum(objects[number].runs).tolist()
        for start, end in zip(ends[0::2], ends[1::2], strict=True):
            pixels[start:end] = number + 1
    return rle.encode_label_map(pixels.reshape(height, width))


def _depth(item: EncodedObject) -> tuple[bool, int]:
    """Sort key: what is painted first lies lowest."""
    is_crowd = bool(item.annotation.get("iscrowd", 0))
    return not is_crowd, -rle.area(item.runs)
