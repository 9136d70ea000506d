"""PNG masks beside the runs, for the readers of Model Garden and its relatives.

Keys and values are those that TensorFlow Model Garden (`official/vision/dataloaders`,
`official/projects/panoptic/dataloaders`) and the Object Detection API
(`object_detection/data_decoders`) parse:

- `image/object/mask`: 0 and 1, the image's size, one for each object. An object whose
  source gives only a box gets one of zeros and the weight 0: a missing or empty entry
  would break their decoders.
- `image/segmentation/class/encoded`: the label map, with the class to ignore as 255,
  whatever its id is in our runs. In panoptic builds without a label map 0 is void, 1
  any thing, and the classes of stuff follow from 2 on in the order of their ids.
- `image/panoptic/category_mask`, `instance_mask`: class ids, 0 for void; and numbers
  of things from 1 in the order of the objects, 0 for stuff and void.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, OptionError
from segdata.images.label_images import LabelRuns
from segdata.images.png import encode_png
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelMap
from segdata.masks import rle
from segdata.records import schema
from segdata.records.objects import EncodedObject
from segdata.records.painting import object_runs
from segdata.records.schema import Feature

MaskForm = Literal["rle", "png"]
MaskForms = tuple[MaskForm, ...]

_HIGHEST = 255  # of an 8-bit sample
# libpng, which all of them decode with, refuses more (PNG_USER_WIDTH_MAX).
_MAX_SIDE = 1_000_000
_THING, _FIRST_STUFF = 1, 2


def check_label_map(label_map: LabelMap) -> None:
    """Checks that 8-bit PNGs can hold the classes.

    Raises:
      OptionError: If 255 is a class that is not ignored, or a panoptic class has a
        larger id.
    """
    for item in label_map.semantic_classes:
        if item.id == OUTSIDE_IGNORE_ID != label_map.ignore_id:
            raise OptionError(
                f"class {item.name!r} has the id {item.id}, which readers of PNG label "
                "maps ignore: expected 0 to 254. Leave out --masks png."
            )
    highest = max((item.id for item in label_map.object_classes), default=0)
    if label_map.is_panoptic and highest > _HIGHEST:
        raise OptionError(
            f"panoptic classes have ids up to {highest}: expected at most {_HIGHEST} "
            "for PNG masks. Leave out --masks png."
        )


def png_features(
    objects: Sequence[EncodedObject],
    label_runs: LabelRuns | None,
    size: tuple[int, int],
    label_map: LabelMap,
) -> dict[Feature, Any]:
    """Encodes what `--masks rle,png` adds to a record.

    Args:
      objects: The record's objects.
      label_runs: Its label map, if it has one.
      size: Height and width of the image in pixels.
      label_map: The dataset's classes, as `check_label_map` lets pass.

    Returns:
      Feature -> its value, or list of values.

    Raises:
      AnnotationError: If PNG readers refuse so large an image, or it has more things
        than 8 bits can number.
    """
    if max(size) > _MAX_SIDE:
        raise AnnotationError(
            f"an image of {size[0]}x{size[1]} pixels (height x width) is larger than "
            f"PNG readers take: expected at most {_MAX_SIDE} each. Leave out --masks "
            "png.",
            reason="too-large-for-png",
        )
    found: dict[Feature, Any] = {}
    if objects or label_map.object_classes:
        runs = [item.runs for item in objects]
        found[schema.OBJECT_MASK] = [_mask_png(r, size) for r in runs]
        found[schema.OBJECT_MASK_WEIGHT] = [float(len(r) > 0) for r in runs]
    label_png = None if label_runs is None else _label_png(label_runs, label_map)
    if label_map.is_panoptic:
        panoptic = _Panoptic(objects, size)
        found[schema.PANOPTIC_CATEGORY] = panoptic.png([o.label.id for o in objects])
        found[schema.PANOPTIC_INSTANCE] = panoptic.png(_thing_numbers(objects))
        if label_png is None:
            ids = _thing_or_stuff_ids(label_map)
            label_png = panoptic.png([ids[item.label.id] for item in objects])
    if label_png is not None:
        found[schema.LABEL_PNG] = label_png
        found[schema.LABEL_PNG_FORMAT] = b"png"
    return found


def _label_png(runs: LabelRuns, label_map: LabelMap) -> bytes:
    values = label_map.training_ids()[runs.values]
    return _map_png(values, runs.lengths, (runs.height, runs.width))


def _map_png(
    values: NDArray[np.uint8], lengths: NDArray[np.int64], size: tuple[int, int]
) -> bytes:
    return encode_png(np.repeat(values, lengths).reshape(size))


def _mask_png(runs: NDArray[np.int64], size: tuple[int, int]) -> bytes:
    pixels = rle.decode(runs, *size) if len(runs) else np.zeros(size, np.uint8)
    return encode_png(pixels, is_mask=True)


class _Panoptic:
    """Which object each pixel belongs to, to be spelled in several ways."""

    def __init__(self, objects: Sequence[EncodedObject], size: tuple[int, int]) -> None:
        self._size = size
        self._owners, self._lengths = object_runs(objects, *size)

    def png(self, ids: Sequence[int]) -> bytes:
        """The map of one id for each object, and 0 for nobody's pixels."""
        table: NDArray[np.uint8] = np.array([0, *ids], np.uint8)
        runs = rle.merge_label_runs(table[self._owners], self._lengths)
        return _map_png(*runs, self._size)


def _thing_numbers(objects: Sequence[EncodedObject]) -> list[int]:
    numbers: list[int] = []
    for item in objects:
        numbers.append(max(numbers, default=0) + 1 if item.label.is_thing else 0)
    count = max(numbers, default=0)
    if count > _HIGHEST:
        raise AnnotationError(
            f"{count} things are more than a panoptic PNG mask can number: expected at "
            f"most {_HIGHEST}. Leave out --masks png.",
            reason="too-many-things-for-png",
        )
    return numbers


def _thing_or_stuff_ids(label_map: LabelMap) -> dict[int, int]:
    """Class id -> 1 for things, from 2 on for stuff."""
    ids: dict[int, int] = {}
    next_stuff = _FIRST_STUFF
    for item in sorted(label_map.object_classes, key=lambda c: c.id):
        ids[item.id] = _THING if item.is_thing else next_stuff
        next_stuff += not item.is_thing
    return ids
