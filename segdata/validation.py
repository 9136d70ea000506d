"""Checks of annotation dicts, as a user or a file's reader may have written them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args

import numpy as np
import orjson

from segdata.annotations import LabelEncoding, MaskEncoding
from segdata.errors import AnnotationError, short_repr

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
    "mask_files": (list | tuple, "a list"),
    "annotation_file": (dict | Mapping, "a dict"),
    "objects": (list | tuple, "a list"),
    "is_relative": (bool, "true or false"),
    "image_class": (int | str | Integral, "an integer or text"),
    "absent_classes": (list | tuple, "a list of ids"),
    "incomplete_classes": (list | tuple, "a list of ids"),
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
    "mask_file": (str, "text"),
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
MAX_DEPTH = 244
"""Levels of JSON that a record holds: exports wrap it in some more."""
_WRITER_DEPTH = 254  # of orjson
_FLAGS = ("iscrowd", "paint_label_map", "is_relative")
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
    for name in _FILES.keys() & data.keys():
        for item in data[name] if name == "mask_files" else [data[name]]:
            _check_file(item, name, where)
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


def _check_file(item: Any, name: str, where: str) -> None:
    """Checks what names a file, and how it is to be read."""
    kinds = _FILES[name]
    needed = {key for key, (_, is_needed, _) in kinds.items() if is_needed}
    if (
        isinstance(item, Mapping)
        and needed <= item.keys() <= kinds.keys()
        and all(kinds[key][0](value) for key, value in item.items())
    ):
        return
    spelled = ", ".join(
        f"{key!r}: {text}" if is_needed else f"{key!r}: {text} or absent"
        for key, (_, is_needed, text) in kinds.items()
    )
    raise AnnotationError(
        f"{name!r} of {where} is {short_repr(item)}: expected {{{spelled}}}."
    )


def _one_of(names: Sequence[str]) -> tuple[Callable[[Any], bool], bool, str]:
    spelled = " or ".join(map(repr, names))
    return lambda value: isinstance(value, str) and value in names, True, spelled


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_found_objects(value: Any) -> bool:
    """Whether it is a `segdata.annotations.FoundObjects`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("nobody"), list):
        return False
    kinds = {
        "category_id": _is_id(value.get("category_id")),
        "factor": isinstance(value.get("factor"), int) and value["factor"] > 0,
        "by_label_image": value.get("by_label_image") is True,
    }
    stated = value.keys() - {"nobody"}
    return (
        len(stated) == 1
        and stated <= kinds.keys()
        and kinds[stated.pop()]
        and all(isinstance(item, int) for item in value["nobody"])
    )


_PATH = (_is_text, True, "str")
_FILES: dict[str, dict[str, tuple[Callable[[Any], bool], bool, str]]] = {
    "label_image": {
        "path": _PATH,
        "encoding": _one_of(get_args(LabelEncoding)),
        "tolerance": (
            lambda value: isinstance(value, int) and 0 <= value <= 255,
            False,
            "0 to 255",
        ),
    },
    "mask_image": {
        "path": _PATH,
        "encoding": _one_of(get_args(MaskEncoding)),
        "objects": (_is_found_objects, False, "FoundObjects"),
    },
    "mask_files": {"path": _PATH, "category_id": (_is_id, True, "int or str")},
    "annotation_file": {
        "path": _PATH,
        "reader": _PATH,
        "options": (lambda value: isinstance(value, Mapping), False, "dict"),
    },
}
"""Key of a dict -> key in it -> test of its value, whether it must be there, and what
is expected."""


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
    spare = _WRITER_DEPTH - MAX_DEPTH
    wrapped: object = fields
    for _ in range(spare):
        wrapped = [wrapped]
    try:
        data = orjson.dumps(wrapped, option=options)
    except TypeError as error:
        raise AnnotationError(
            f"the fields of {called} cannot be stored as JSON: {error}. Expected "
            "numbers, UTF-8 texts, lists and dicts."
        ) from error
    return data[spare:-spare]
