"""The annotation dict: the narrow waist that every format produces.

One small JSON-able dict per image: paths and annotations, never pixels. Whatever
comes after it does not know the format.

    {"key": "train/0001TP_006690", "split": "train",
     "image": "train/0001TP_006690.png",
     "label_image": {"path": "trainannot/0001TP_006690.png", "encoding": "index"}}

    {"key": "000000000139", "image": "images/000000000139.jpg", "image_id": 139,
     "height": 426, "width": 640,
     "objects": [{"id": 3, "category_id": 62, "iscrowd": 0, "area": 1035.7,
                  "bbox": [x, y, width, height], "segmentation": [[x0, y0, ...]]}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import PurePosixPath
from types import UnionType
from typing import Any, Literal, NotRequired, Required, TypedDict

import numpy as np

from segdata.errors import AnnotationError, short_repr

LabelEncoding = Literal["index", "color"]
"""How a label image spells classes: by pixel value, or by RGB colour."""


class LabelImage(TypedDict):
    """An image file whose pixels are class labels."""

    path: str
    """Path relative to the image directory, with forward slashes."""
    encoding: LabelEncoding
    """`index`: the stored pixel value. `color`: the colour, whatever the index."""


class ObjectAnnotation(TypedDict, total=False):
    """One object of an image, with COCO's names for things."""

    id: int | str
    """Annotation id in the source. Records hold numbers: text becomes -1 there."""
    category_id: int | str
    """Category id in the source; `category` may stand in its place."""
    category: str
    """Class name in the label map."""
    segmentation: Any
    """Whatever `segdata.rle.rle` takes, or absent for a box-only object."""
    bbox: list[float]
    """`[x, y, width, height]` in pixels; derived from the mask where absent."""
    area: float
    """Pixels, as the source says; counted from the mask where absent."""
    iscrowd: int
    """1 for a region of many objects."""


class Annotation(TypedDict):
    """Everything known of one image before its pixels are read."""

    image: Required[str]
    """Path of the image relative to the image directory, with forward slashes."""
    key: NotRequired[str]
    """Stable name, unique in the dataset; the image path without its suffix where
    absent."""
    split: NotRequired[str]
    """Split that the source puts it in."""
    image_id: NotRequired[int]
    """Number of the image in the source. Evaluators pass it through float32: one that
    is not within 0 to 2**24 is replaced in the record."""
    height: NotRequired[int]
    """Height in pixels as the source says; checked against the file."""
    width: NotRequired[int]
    """Width in pixels as the source says; checked against the file."""
    label_image: NotRequired[LabelImage]
    """Where the label map is stored."""
    objects: NotRequired[list[ObjectAnnotation]]
    """Instances, in the source's order."""


_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "image": (str, "text"),
    "key": (str, "text"),
    "split": (str, "text"),
    "image_id": (Integral, "an integer"),
    "height": (Integral, "an integer"),
    "width": (Integral, "an integer"),
    "label_image": (Mapping, "a dict"),
    "objects": (list | tuple, "a list"),
}
_OBJECT_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "id": (Integral | str, "an integer or text"),
    "category_id": (Integral | str, "an integer or text"),
    "category": (str, "text"),
    "segmentation": (
        Mapping | list | tuple | np.ndarray | None,
        "polygons, a COCO RLE, a dense mask or None",
    ),
    "bbox": (list | tuple | np.ndarray | None, "a list of four numbers"),
    "area": (Real | None, "a number"),
    "iscrowd": (Integral, "0 or 1"),
}
_RANGES = {
    "image_id": (-(2**63), 2**63 - 1),
    "height": (1, 2**31 - 1),
    "width": (1, 2**31 - 1),
    "id": (-(2**63), 2**63 - 1),
    "category_id": (-(2**63), 2**63 - 1),
    "iscrowd": (0, 1),
    "area": (0, 3e38),  # records hold it as float32
}


def record_key(data: Mapping[str, Any]) -> str:
    """The record's key: `key`, or the image path without its suffix."""
    key = data.get("key")
    if key is not None:
        return str(key)
    path = PurePosixPath(data["image"])
    return str(path.with_suffix("") if path.name else path)  # `.` and `/` have no name


def validate_annotation(data: Mapping[str, Any]) -> None:
    """Checks the shape of an annotation dict, as a user may have written it by hand.

    Its objects are checked one by one, by `validate_object`: one that is bad need not
    spoil the others.

    Raises:
      AnnotationError: If a key is missing, unknown, of a wrong type or out of range.
    """
    image = data.get("image")
    if image is None or (isinstance(image, str) and not image):
        raise AnnotationError(
            "annotation dict names no image: expected the path under the key 'image'."
        )
    where = f"image {image!r}"
    _check_keys(data, _KINDS, where)
    for name in ("image", "key"):
        try:
            data.get(name, "").encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise AnnotationError(
                f"annotation key {name!r} of {where} cannot be written as UTF-8.",
                reason="bad-annotation",
            ) from None
    label_image = data.get("label_image")
    if label_image is not None and (
        not isinstance(label_image.get("path"), str)
        or not isinstance(label_image.get("encoding"), str)
        or label_image["encoding"] not in ("index", "color")
    ):
        raise AnnotationError(
            f"'label_image' of {where} is {dict(label_image)}: expected {{'path': str, "
            "'encoding': 'index' or 'color'}."
        )


def validate_object(item: Any, called: str) -> None:
    """Checks the shape of one object of an annotation dict.

    Geometry is checked where it is used: by `segdata.rle` and `segdata.objects`.

    Args:
      item: The object.
      called: How to call it in messages.

    Raises:
      AnnotationError: If it is no dict, or a key is unknown, of a wrong type or out of
        range.
    """
    if not isinstance(item, Mapping):
        raise AnnotationError(f"{called} is a {type(item).__name__}: expected a dict.")
    _check_keys(item, _OBJECT_KINDS, called)


def _check_keys(
    data: Mapping[str, Any],
    kinds: Mapping[str, tuple[type | UnionType, str]],
    where: str,
) -> None:
    unknown = sorted(data.keys() - kinds.keys(), key=str)
    if unknown:
        raise AnnotationError(
            f"{where} has unknown keys {unknown}: known are {sorted(kinds)}."
        )
    for name, value in data.items():
        kind, expected = kinds[name]
        is_flag = name == "iscrowd" and isinstance(value, bool)
        if not isinstance(value, kind) or (isinstance(value, bool) and not is_flag):
            raise AnnotationError(
                f"annotation key {name!r} of {where} is a {type(value).__name__}: "
                f"expected {expected}, got {short_repr(value)}."
            )
        if name in _RANGES and not isinstance(value, str | None):
            number: Any = value
            lowest, highest = _RANGES[name]
            if not lowest <= number <= highest:
                raise AnnotationError(
                    f"annotation key {name!r} of {where} is {short_repr(value)}: "
                    f"expected {lowest} to {highest}."
                )
