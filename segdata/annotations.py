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

    {"key": "Abyssinian_1", "image": "images/Abyssinian_1.jpg", "image_class": 1,
     "label_image": {"path": "annotations/trimaps/Abyssinian_1.png", ...},
     "mask_image": {"path": "annotations/trimaps/Abyssinian_1.png", ...},
     "objects": [{"category_id": 1, "mask_value": 1}],
     "regions": [{"name": "head", "bbox": [x, y, width, height]}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePosixPath
from types import UnionType
from typing import Any, Literal, NotRequired, Required, TypedDict, get_args

import numpy as np
import orjson

from segdata.errors import AnnotationError, short_repr

LabelEncoding = Literal["index", "color", "binary"]
"""How a label image spells classes: by pixel value, by RGB colour, or as 0 and 1 by
zero and not zero."""

MaskEncoding = Literal["index", "id24"]
"""How a mask image spells objects: by the stored sample or palette index, or by
`R + 256 * G + 65536 * B`, as COCO's panoptic PNGs do."""


class LabelImage(TypedDict, total=False):
    """An image file whose pixels are class labels."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    encoding: Required[LabelEncoding]
    """`index`: the stored pixel value. `color`: the colour, whatever the index.
    `binary`: 0 where the stored value is zero, else 1, whatever the depth."""
    tolerance: int
    """How far a value may lie from that of its class, 0 to 255 in each channel: for
    masks that were saved as JPEG. Such a pixel gets the nearest class and is counted.
    Absent: a lossy file is refused."""


class MaskImage(TypedDict, total=False):
    """An image file whose pixels say which object they belong to."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    encoding: Required[MaskEncoding]
    """`index`: values that no object claims are nobody's. `id24`: so is 0; any other
    value must be some object's, and every object must be there."""
    objects: FoundObjects
    """How the objects are found in it, where the annotation lists none."""


class FoundObjects(TypedDict, total=False):
    """Objects that only a mask image tells: one for each value that stands in it.

    Exactly one of `category_id`, `factor` and `by_label_image` says what they are.
    """

    nobody: Required[list[int]]
    """Values that are no object: the background, such as 0, and borders."""
    category_id: int | str
    """The category of all of them."""
    factor: int
    """A value is `category id * factor + number`: 1000 in Cityscapes. A smaller value
    is a category id itself: a crowd where that is a class of objects."""
    by_label_image: bool
    """An object is of the class that most of its pixels have in the label image."""


class AnnotationFile(TypedDict, total=False):
    """A file with the annotations of one image, which the worker reads."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    reader: Required[str]
    """Name of its reader, see `segdata.formats.annotation_reader`."""
    options: dict[str, Any]
    """What the reader is told besides; JSON-able."""


class MaskFile(TypedDict):
    """An image file that is the mask of one object: its pixels that are not zero."""

    path: str
    """Path relative to the image directory, with forward slashes."""
    category_id: int | str
    """Category id in the source."""


class Region(TypedDict, total=False):
    """A named box that is no object: it has no class and no mask."""

    name: Required[str]
    """What it is around, e.g. `head`."""
    bbox: Required[list[float]]
    """`[x, y, width, height]` in pixels."""
    source: dict[str, Any]
    """What else the source says of it; JSON-able."""


class ObjectAnnotation(TypedDict, total=False):
    """One object of an image, with COCO's names for things."""

    id: int | str
    """Annotation id in the source. Records hold numbers: text becomes -1 there."""
    category_id: int | str
    """Category id in the source; `category` may stand in its place."""
    category: str
    """Class name in the label map."""
    segmentation: Any
    """Whatever `segdata.masks.rle.rle` takes, or absent for a box-only object."""
    mask_value: int
    """In place of `segmentation`: the value of its pixels in the `mask_image`."""
    bbox: list[float]
    """`[x, y, width, height]` in pixels; derived from the mask where absent."""
    area: float
    """Pixels, as the source says; counted from the mask where absent."""
    iscrowd: int
    """1 for a region of many objects."""
    keypoints: list[float]
    """`x, y, visibility` of each keypoint of its class: pixels, and 0 to 2."""
    source: dict[str, Any]
    """What else the source says of it; JSON-able."""


class Annotation(TypedDict):
    """Everything known of one image before its pixels are read."""

    image: Required[str]
    """Path of the image relative to the image directory, with forward slashes."""
    key: NotRequired[str]
    """Stable name, unique in the dataset; the image path without its suffix where
    absent."""
    split: NotRequired[str]
    """Split that the source puts it in."""
    image_id: NotRequired[int | str]
    """Id of the image in the source. Evaluators want a number that float32 can hold:
    where not all are within 0 to 2**24, `image/source_id` gets numbers of our own."""
    height: NotRequired[int]
    """Height in pixels as the source says; checked against the file."""
    width: NotRequired[int]
    """Width in pixels as the source says; checked against the file."""
    label_image: NotRequired[LabelImage]
    """Where the label map is stored."""
    paint_label_map: NotRequired[bool]
    """Whether the label map is painted from the objects: `segdata.records.painting`."""
    mask_image: NotRequired[MaskImage]
    """Where the masks of objects with a `mask_value` are stored."""
    mask_files: NotRequired[list[MaskFile]]
    """Files of one mask each: objects behind those in `objects`."""
    annotation_file: NotRequired[AnnotationFile]
    """Where the rest of this dict is: what its reader finds is added when the record
    is encoded."""
    objects: NotRequired[list[ObjectAnnotation]]
    """Instances, in the source's order."""
    is_relative: NotRequired[bool]
    """Whether polygons and boxes are shares of the width and height, 0 to 1."""
    image_class: NotRequired[int | str]
    """Source category id of the whole image."""
    regions: NotRequired[list[Region]]
    """Named boxes that are no objects."""
    captions: NotRequired[list[str]]
    """Captions, in the source's order."""
    source: NotRequired[dict[str, Any]]
    """What else the source says of the image; JSON-able."""


# The types of JSON come first: to ask abstract classes takes ten times as long.
_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "image": (str, "text"),
    "key": (str, "text"),
    "split": (str, "text"),
    "image_id": (int | str | Integral, "an integer or text"),
    "height": (int | Integral, "an integer"),
    "width": (int | Integral, "an integer"),
    "label_image": (dict | Mapping, "a dict"),
    "paint_label_map": (bool, "true or false"),
    "mask_image": (dict | Mapping, "a dict"),
    "objects": (list | tuple, "a list"),
    "image_class": (int | str | Integral, "an integer or text"),
    "regions": (list | tuple, "a list"),
    "captions": (list | tuple, "a list of texts"),
    "source": (dict | Mapping, "a dict"),
}
_OBJECT_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "id": (int | str | Integral, "an integer or text"),
    "category_id": (int | str | Integral, "an integer or text"),
    "category": (str, "text"),
    "segmentation": (
        list | dict | Mapping | tuple | np.ndarray | None,
        "polygons, a COCO RLE, a dense mask or None",
    ),
    "mask_value": (int | Integral, "an integer"),
    "bbox": (list | tuple | np.ndarray | None, "a list of four numbers"),
    "area": (float | int | Real | None, "a number"),
    "iscrowd": (int | Integral, "0 or 1"),
    "keypoints": (list | tuple | np.ndarray | None, "a list of numbers"),
    "source": (dict | Mapping, "a dict"),
}
_REGION_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "text"),
    "bbox": (list | tuple | np.ndarray, "a list of four numbers"),
    "source": (dict | Mapping, "a dict"),
}
_SURE: dict[str, tuple[type, ...]] = {
    "segmentation": (list, dict),
    "bbox": (list,),
    "keypoints": (list,),
    "source": (dict,),
    "image": (str,),
    "key": (str,),
    "split": (str,),
    "objects": (list,),
    "id": (int,),
    "category_id": (int,),
    "iscrowd": (int,),
    "area": (float, int),
    "image_id": (int,),
    "height": (int,),
    "width": (int,),
}
"""Types that need no closer look: to ask for a union takes several times as long."""
_FLAGS = ("iscrowd", "paint_label_map")
_RANGES = {
    "image_id": (-(2**63), 2**63 - 1),
    "height": (1, 2**31 - 1),
    "width": (1, 2**31 - 1),
    "id": (-(2**63), 2**63 - 1),
    "category_id": (-(2**63), 2**63 - 1),
    "image_class": (-(2**63), 2**63 - 1),
    "mask_value": (0, 2**32 - 1),
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
    for name in ("image", "key", "image_id", "image_class"):
        if not _is_utf8(str(data.get(name, "")), "surrogateescape"):
            raise AnnotationError(
                f"annotation key {name!r} of {where} cannot be written as UTF-8.",
                reason="bad-annotation",
            )
    _check_image_file(data, "label_image", get_args(LabelEncoding), where)
    _check_image_file(data, "mask_image", get_args(MaskEncoding), where)
    if data.get("paint_label_map") and "label_image" in data:
        raise AnnotationError(
            f"{where} has a label image, and its label map is to be painted from the "
            "objects: expected one of both."
        )
    for caption in data.get("captions", ()):
        if not isinstance(caption, str) or not _is_utf8(caption):
            raise AnnotationError(
                f"a caption of {where} is {short_repr(caption)}: expected text."
            )


def validate_object(item: Any, called: str) -> None:
    """Checks the shape of one object of an annotation dict.

    Geometry is checked where it is used: by `segdata.masks` and `segdata.records`.

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


def validate_region(item: Any, called: str) -> None:
    """Checks the shape of one region of an annotation dict, likewise.

    Raises:
      AnnotationError: As `validate_object`, and if it lacks its name or box.
    """
    if not isinstance(item, Mapping):
        raise AnnotationError(f"{called} is a {type(item).__name__}: expected a dict.")
    _check_keys(item, _REGION_KINDS, called)
    if not {"name", "bbox"} <= item.keys() or not _is_utf8(item["name"]):
        raise AnnotationError(
            f"{called} is {short_repr(dict(item))}: expected 'name' (text) and 'bbox'.",
            reason="bad-region",
        )


def _check_image_file(
    data: Mapping[str, Any], name: str, encodings: Sequence[str], where: str
) -> None:
    item = data.get(name)
    if item is not None and (
        item.keys() != {"path", "encoding"}
        or not isinstance(item["path"], str)
        or not isinstance(item["encoding"], str)
        or item["encoding"] not in encodings
    ):
        raise AnnotationError(
            f"{name!r} of {where} is {short_repr(dict(item))}: expected {{'path': str, "
            f"'encoding': {' or '.join(map(repr, encodings))}}}."
        )


def _is_utf8(text: str, errors: str = "strict") -> bool:
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def _check_keys(
    data: Mapping[str, Any],
    kinds: Mapping[str, tuple[type | UnionType, str]],
    where: str,
) -> None:
    if not data.keys() <= kinds.keys():
        unknown = sorted(data.keys() - kinds.keys(), key=str)
        raise AnnotationError(
            f"{where} has unknown keys {unknown}: known are {sorted(kinds)}."
        )
    for name, value in data.items():
        if type(value) in _SURE.get(name, ()):  # so are nearly all
            limits = _RANGES.get(name)
            if limits is None or limits[0] <= value <= limits[1]:
                continue
        kind, expected = kinds[name]
        is_stray_flag = isinstance(value, bool) and name not in _FLAGS
        if not isinstance(value, kind) or is_stray_flag:
            if isinstance(value, str) and value.lstrip("-") in ("NaN", "Infinity"):
                # Texts since the JSON was read: JSON has no such numbers.
                raise AnnotationError(
                    f"annotation key {name!r} of {where} is {value}: expected "
                    f"{expected}."
                )
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


def canonical_json(fields: Mapping[str, Any], called: str) -> bytes:
    """A JSON object with sorted keys and nothing between its parts, UTF-8.

    Args:
      fields: JSON-able values; NumPy's numbers and arrays will do.
      called: Whose fields they are, for messages.

    Raises:
      AnnotationError: If a value is none that JSON knows, or nested too deep.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(fields, option=options)
    except TypeError as error:
        raise AnnotationError(
            f"the fields of {called} cannot be stored as JSON: {error}. Expected "
            "numbers, UTF-8 texts, lists and dicts."
        ) from error
