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
from pathlib import PurePosixPath
from typing import Any, Literal, NotRequired, Required, TypedDict

from segdata.errors import AnnotationError

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

    id: int
    """Annotation id in the source."""
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
    """Number of the image in the source, 0 to 2**24 (readers pass it through float32).
    """
    height: NotRequired[int]
    """Height in pixels as the source says; checked against the file."""
    width: NotRequired[int]
    """Width in pixels as the source says; checked against the file."""
    label_image: NotRequired[LabelImage]
    """Where the label map is stored."""
    objects: NotRequired[list[ObjectAnnotation]]
    """Instances, in the source's order."""


_TYPES: dict[str, tuple[type, ...]] = {
    "image": (str,),
    "key": (str,),
    "split": (str,),
    "image_id": (int,),
    "height": (int,),
    "width": (int,),
    "label_image": (Mapping,),
    "objects": (list, tuple),
}


def record_key(data: Mapping[str, Any]) -> str:
    """The record's key: `key`, or the image path without its suffix."""
    key = data.get("key")
    if key is not None:
        return str(key)
    return str(PurePosixPath(data["image"]).with_suffix(""))


def validate_annotation(data: Mapping[str, Any]) -> None:
    """Checks the shape of an annotation dict, as a user may have written it by hand.

    Raises:
      AnnotationError: If a key is missing, unknown or of a wrong type.
    """
    unknown = sorted(set(data) - set(_TYPES))
    if unknown:
        raise AnnotationError(
            f"annotation dict has unknown keys {unknown}: known are {sorted(_TYPES)}.",
            reason="bad-annotation",
        )
    if not data.get("image"):
        raise AnnotationError(
            "annotation dict names no image: expected the path under the key 'image'.",
            reason="bad-annotation",
        )
    for name, value in data.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise AnnotationError(
                f"annotation key {name!r} of image {data['image']!r} is a "
                f"{type(value).__name__}: expected {_TYPES[name][0].__name__}.",
                reason="bad-annotation",
            )
    label_image = data.get("label_image")
    if label_image is not None and (
        not isinstance(label_image.get("path"), str)
        or label_image.get("encoding") not in ("index", "color")
    ):
        raise AnnotationError(
            f"'label_image' of image {data['image']!r} is {dict(label_image)}: "
            "expected {'path': str, 'encoding': 'index' or 'color'}.",
            reason="bad-annotation",
        )
