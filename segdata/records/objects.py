"""The objects of one image: masks, boxes and classes, encoded and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, short_repr
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.masks.limits import MaskBudget, MaskBudgetError
from segdata.records.boxes import Box, read_box
from segdata.records.drawn import ObjectMasks
from segdata.records.keypoints import read_keypoints
from segdata.validation import canonical_json, validate_object

OnBadObject = Callable[[AnnotationError], None]
"""Takes the reason why an object cannot be encoded."""

# To ask the abstract class alone takes ten times as long.
_INTEGERS, _DICTS = (int, Integral), (dict, Mapping)
_SOURCE_FIELDS = ("id", "category_id", "category", "bbox", "area", "iscrowd")


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedObject:
    """One object on its way into a record."""

    label: LabelClass
    """Its class."""
    runs: NDArray[np.int64]
    """Row-major runs; empty where the source gives a box but no mask."""
    box: Box
    """Its box, inside the image."""
    keypoints: NDArray[np.float64]
    """`[keypoints of the dataset, 3]`, see `segdata.records.keypoints`."""
    source: bytes
    """What the source says of it, but for the segmentation, as JSON."""
    annotation: Mapping[str, Any]
    """The annotation dict's object."""

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
    def source_id(self) -> int:
        """Annotation id in the source, or -1 where it has none or is not a number."""
        source_id = self.annotation.get("id", -1)
        return int(source_id) if isinstance(source_id, _INTEGERS) else -1

    @property
    def category(self) -> int:
        """Category id in the source, or -1 where it is not a number."""
        category = self.annotation.get("category_id", -1)
        return int(category) if isinstance(category, _INTEGERS) else -1


def encode_objects(
    objects: Sequence[Mapping[str, Any]],
    label_map: LabelMap,
    size: tuple[int, int],
    notes: set[str],
    on_bad_object: OnBadObject | None = None,
    drawn: ObjectMasks | None = None,
) -> list[EncodedObject]:
    """Encodes all objects of an image.

    Args:
      objects: As in the annotation dict.
      label_map: The dataset's classes.
      size: Height and width of the image in pixels.
      notes: Names of what looked odd are added here.
      on_bad_object: Called for each object that is bad, and the others are encoded;
        None refuses the image with its first bad object.
      drawn: Where objects without a `segmentation` have their masks.

    Returns:
      The good objects, in order.

    Raises:
      AnnotationError: For the first bad object, where `on_bad_object` is None.
      MaskBudgetError: If the masks are too many and too complex together.
    """
    drawn = drawn or ObjectMasks()
    try:
        return _encode_all(objects, label_map, size, notes, drawn, MaskBudget())
    except MaskBudgetError:
        raise
    except AnnotationError:
        if on_bad_object is None:
            raise
    notes.add("objects-rejected")
    result = []
    budget = MaskBudget()
    for number, item in enumerate(objects):  # slower, but only where one is bad
        try:
            result += _encode_all(
                [item], label_map, size, notes, drawn, budget, first=number
            )
        except MaskBudgetError:
            raise
        except AnnotationError as error:
            on_bad_object(error)
    return result


def _encode_all(
    objects: Sequence[Mapping[str, Any]],
    label_map: LabelMap,
    size: tuple[int, int],
    notes: set[str],
    drawn: ObjectMasks,
    budget: MaskBudget,
    *,
    first: int = 0,
) -> list[EncodedObject]:
    for number, item in enumerate(objects, first):
        validate_object(item, _called(item, number))
    height, width = size
    result = []
    for item, mask in zip(
        objects, _masks(objects, height, width, drawn, budget), strict=True
    ):
        label = _object_class(item, label_map)
        called = _called(item)
        result.append(
            EncodedObject(
                label=label,
                runs=mask,
                box=_box(item, mask, height, width, notes),
                keypoints=read_keypoints(
                    item.get("keypoints"), label, label_map.num_keypoints, called
                ),
                source=_source_json(item, called),
                annotation=item,
            )
        )
        if not len(mask):
            notes.add("object-without-mask")
        elif len(mask) == 2 and not mask[1]:
            notes.add("object-mask-empty")
    return result


def _masks(
    objects: Sequence[Mapping[str, Any]],
    height: int,
    width: int,
    drawn: ObjectMasks,
    budget: MaskBudget,
) -> list[NDArray[np.int64]]:
    """Runs of each object; empty where it has no mask."""
    spelled = [item for item in objects if _has_mask(item)]
    try:
        encoded = rle.rle_batch(
            [item["segmentation"] for item in spelled], height, width, budget
        )
    except MaskBudgetError:
        raise
    except AnnotationError as error:
        bad = spelled[error.index or 0]
        raise AnnotationError(
            f"{_called(bad)}: {error}", reason=error.reason
        ) from error
    runs = iter(encoded)
    result = []
    for item in objects:
        if "mask_value" in item or "mask_file" in item:
            result.append(_drawn_mask(item, drawn))
        else:
            result.append(next(runs) if _has_mask(item) else np.zeros(0, np.int64))
    return result


def _drawn_mask(item: Mapping[str, Any], drawn: ObjectMasks) -> NDArray[np.int64]:
    if _has_mask(item):
        raise AnnotationError(
            f"{_called(item)} has a mask in a file and a 'segmentation': expected one "
            "of both.",
            reason="bad-mask-value",
        )
    try:
        return drawn.runs(item)
    except AnnotationError as error:
        raise AnnotationError(
            f"{_called(item)}: {error}", reason=error.reason
        ) from error


def _source_json(item: Mapping[str, Any], called: str) -> bytes:
    own = {name: item[name] for name in _SOURCE_FIELDS if item.get(name) is not None}
    if item.get("keypoints") is not None:
        own["keypoints"] = item["keypoints"]
    others = item.get("source", {})
    if not others:
        return canonical_json(own, called)
    doubled = sorted(own.keys() & others.keys())
    if doubled:
        raise AnnotationError(
            f"{called} has {doubled} in its 'source' too: expected other fields there."
        )
    return canonical_json({**others, **own}, called)


def _has_mask(item: Mapping[str, Any]) -> bool:
    segmentation = item.get("segmentation")
    if type(segmentation) is list:  # nearly all are
        return bool(segmentation)
    if isinstance(segmentation, np.ndarray) and not segmentation.ndim:
        return True  # a lone number has no length; `rle` refuses it
    return segmentation is not None and len(segmentation) > 0


def _called(item: Any, number: int | None = None) -> str:
    if isinstance(item, _DICTS) and "id" in item:
        return f"annotation {item['id']}"
    return "an annotation without id" if number is None else f"object {number}"


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
            f"{_called(item)} is of the unknown class {short_repr(value)}: known are "
            f"{known}.",
            reason="unknown-object-class",
        )
    return table[value]


def _box(
    item: Mapping[str, Any],
    runs: NDArray[np.int64],
    height: int,
    width: int,
    notes: set[str],
) -> Box:
    """The object's box in pixels, cut to the image; from its mask if none is given."""
    given = item.get("bbox")
    if given is None:
        if not len(runs):
            raise AnnotationError(
                f"{_called(item)} has neither a mask nor a box.",
                reason="object-without-geometry",
            )
        return rle.bounding_box(runs, width)
    box, is_clipped = read_box(given, height, width, _called(item))
    if is_clipped:
        notes.add("box-clipped")
    return box
