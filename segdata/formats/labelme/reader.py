"""What one JSON of labelme says: https://github.com/wkentaro/labelme.

Polygons, rectangles, circles and embedded masks become objects; shapes of one label
and one `group_id` are parts of one object. Points and lines have no mask: they become
named regions, and so does what is labelled `__ignore__`. A shape that is none of these
is refused where it is encoded, without the others.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from segdata.annotations import Annotation
from segdata.errors import SegdataError
from segdata.formats.json_files import parse_json, parse_object
from segdata.formats.outlines import (
    ellipse,
    extent,
    flat,
    is_size,
    placed_mask,
    turned_box,
    unusable,
)
from segdata.images.decode import decode_label_image

UNLABELLED = {"__ignore__", "_background_"}
"""Labels that are no class: pixels to be ignored, and those of no object."""

_WITHOUT_MASK = {"point", "points", "line", "linestrip"}
_OWN = {"shapes", "imageData", "imageHeight", "imageWidth"}
_OWN_OF_SHAPE = {"label", "points", "mask", "category"}
_MAX_MASK = 1 << 28  # base64 of a PNG


class _Shape(msgspec.Struct):
    label: Any = None


class _Top(msgspec.Struct, rename="camel"):
    shapes: list[_Shape]
    image_path: Any = None
    image_data: msgspec.Raw = msgspec.Raw(b"")


_TOP = msgspec.json.Decoder(_Top)
_NO_IMAGE = (b"", b"null", b'""')


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the scan needs of a file."""

    is_labelme: bool
    """Whether it is of labelme at all."""
    labels: frozenset[str] = frozenset()
    """The labels that stand in it."""
    image_path: str = ""
    """`imagePath`: where the image was when it was labelled."""
    holds_image: bool = False
    """Whether the image itself is in it."""


def read_head(data: bytes) -> Head:
    """Reads what the scan needs of a file.

    Raises:
      AnnotationError: If it is no JSON.
    """
    try:
        top = _TOP.decode(data)  # points and images are passed over
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _odd_head(parse_json(data))
    labels = {_text(shape.label) for shape in top.shapes}
    return Head(
        is_labelme=True,
        labels=frozenset(label for label in labels if label),
        image_path=str(top.image_path or ""),
        holds_image=bytes(top.image_data) not in _NO_IMAGE,
    )


def _odd_head(top: Any) -> Head:
    """The head of a JSON with odd shapes, or of another tool."""
    shapes = top.get("shapes") if isinstance(top, dict) else None
    labels = {_label(shape) for shape in shapes} if isinstance(shapes, list) else set()
    return Head(
        is_labelme=isinstance(shapes, list),
        labels=frozenset(label for label in labels if label),
        image_path=str(top.get("imagePath") or "") if isinstance(top, dict) else "",
        holds_image=bool(top.get("imageData")) if isinstance(top, dict) else False,
    )


def read_labelme(data: bytes, annotation: Annotation) -> dict[str, Any]:
    """Reads a file; see `segdata.formats.ReadAnnotationFile`.

    Raises:
      AnnotationError: If it is no JSON of labelme.
    """
    top = parse_object(data, "shapes")
    height, width = top.get("imageHeight"), top.get("imageWidth")
    found: dict[str, Any] = {}
    if is_size(height, width):
        found |= {"height": height, "width": width}
    objects: dict[Any, dict[str, Any]] = {}
    regions = []
    for number, shape in enumerate(top["shapes"]):
        if _kind(shape) in _WITHOUT_MASK or _label(shape) in UNLABELLED:
            regions.append(_region(shape))
            continue
        item = _object(shape, height, width)
        group = shape.get("group_id") if isinstance(shape, Mapping) else None
        is_part = group is not None and isinstance(item.get("segmentation"), list)
        first = objects.setdefault(
            (_label(shape), str(group)) if is_part else number, item
        )
        if first is not item:
            first["segmentation"] += item["segmentation"]
    source = {k: v for k, v in top.items() if k not in _OWN and v not in ({}, None)}
    found |= {"objects": [*objects.values()], "source": source}
    return found | ({"regions": regions} if regions else {})


def _kind(shape: Any) -> str:
    kind = shape.get("shape_type") if isinstance(shape, Mapping) else None
    return str(kind or "polygon")


def _label(shape: Any) -> str | None:
    return _text(shape.get("label") if isinstance(shape, Mapping) else None)


def _text(label: Any) -> str | None:
    return None if label in (None, "") else str(label)


def _object(shape: Any, height: Any, width: Any) -> dict[str, Any]:
    """A shape as an object of the annotation dict."""
    if not isinstance(shape, Mapping):
        return unusable(None, f"the shape is a {type(shape).__name__}")
    label = _label(shape)
    item: dict[str, Any] = {} if label is None else {"category": label}
    if others := _others(shape):
        item["source"] = others
    kind, points = _kind(shape), shape.get("points")
    try:
        if kind in ("polygon", "rotation"):
            item["segmentation"] = [flat(points)]
        elif kind == "mask":
            item["segmentation"] = _mask(shape, height, width)
        else:
            item["segmentation"] = [_drawn(kind, np.array(points, np.float64))]
    except (TypeError, ValueError, ArithmeticError, LookupError, SegdataError) as error:
        return unusable(label, f"{kind}: {error}")
    return item


def _drawn(kind: str, points: Any) -> list[float]:
    """The polygon of a rectangle or circle."""
    if kind == "rectangle" and points.shape == (4, 2):  # as X-AnyLabeling writes it
        corners: list[float] = points.ravel().tolist()
        return corners
    if kind not in ("rectangle", "circle"):
        raise ValueError("no known shape_type")
    if points.shape != (2, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 2 points, got {len(points)}")
    if kind == "circle":
        (x, y), edge = points.tolist()
        radius = math.hypot(edge[0] - x, edge[1] - y)
        return ellipse(x, y, radius, radius)
    (x, y), (width, height) = (
        points.min(axis=0).tolist(),
        np.ptp(points, axis=0).tolist(),
    )
    return turned_box(x, y, width, height, 0.0, "corner")


def _mask(shape: Mapping[str, Any], height: Any, width: Any) -> dict[str, Any]:
    """The PNG of a shape, which covers the box of its points, both ends included."""
    if not is_size(height, width):
        raise ValueError("imageHeight and imageWidth miss")
    text = shape.get("mask")
    if not isinstance(text, str) or len(text) > _MAX_MASK:
        raise ValueError("no PNG in base64")
    image, _ = decode_label_image(base64.b64decode(text, validate=True), "mask")
    left, top = (int(value) for value in shape["points"][0])
    pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise ValueError("a coloured PNG")
    return placed_mask(pixels, left, top, height, width)


def _region(shape: Mapping[str, Any]) -> dict[str, Any]:
    label, points = _label(shape), shape.get("points")
    return {
        "name": label or "",
        "bbox": extent(flat(points)),
        "source": {"points": points, **_others(shape)},
    }


def _others(shape: Mapping[str, Any]) -> dict[str, Any]:
    """What else stands in a shape, where it says something."""
    kept = {k: v for k, v in shape.items() if k not in _OWN_OF_SHAPE}
    if kept.get("shape_type") == "polygon":
        del kept["shape_type"]
    return {k: v for k, v in kept.items() if v not in (None, "", {}, [])}
