"""Shapes of CVAT's XML -> objects and regions of the annotation dict.

https://docs.cvat.ai/docs/manual/advanced/xml_format: numbers are pixels, angles are
degrees clockwise around the middle, and a mask is run lengths along the rows of its
box, background first.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from segdata.formats.outlines import (
    ellipse,
    extent,
    is_size,
    placed_mask,
    turned_box,
    unusable,
)

SHAPES = ("box", "polygon", "mask", "ellipse")
REGIONS = ("polyline", "points", "cuboid", "skeleton")
_GEOMETRY = {"label", "points", "rle", "left", "top", "width", "height", "cx", "cy"}
_GEOMETRY |= {"rx", "ry", "xtl", "ytl", "xbr", "ybr"}
_DEFAULTS = {"occluded": "0", "source": "manual", "z_order": "0", "rotation": "0"}
_MAX_TEXT = 1 << 26


def read_shapes(image: Element, height: Any, width: Any) -> dict[str, Any]:
    """Objects, regions and the rest of one `<image>`.

    Objects come in the order of `z_order`: of equal masks the last is painted on top.
    """
    objects, regions, tags = [], [], []
    for shape in image:
        label = shape.get("label")
        if shape.tag in SHAPES:
            objects.append((_depth(shape), _object(shape, label, height, width)))
        elif shape.tag in REGIONS:
            regions.append(_region(shape, label))
        else:
            tags.append({"kind": shape.tag, "label": label, **_source(shape)})
    objects.sort(key=itemgetter(0))
    found: dict[str, Any] = {"objects": [item for _, item in objects]}
    if regions:
        found["regions"] = regions
    return found | {"source": {"tags": tags} if tags else {}}


def _depth(shape: Element) -> float:
    try:
        return float(shape.get("z_order") or 0)
    except ValueError:
        return 0.0


def _object(shape: Element, label: str | None, height: Any, width: Any) -> Any:
    try:
        geometry = _geometry(shape, height, width)
    except (TypeError, ValueError, ArithmeticError) as error:
        return unusable(label, f"{shape.tag}: {error}")
    named = {} if label is None else {"category": label}
    source = _source(shape)
    return {**geometry, **named, **({"source": source} if source else {})}


def _geometry(shape: Element, height: Any, width: Any) -> dict[str, Any]:
    if shape.tag == "polygon":
        return {"segmentation": [_points(shape.get("points") or "")]}
    if shape.tag == "mask":
        if not is_size(height, width):
            raise ValueError("the image has no width and height")
        column, row = (int(shape.get(side) or "") for side in ("left", "top"))
        mask = _mask(shape, height, width)
        return {"segmentation": placed_mask(mask, column, row, height, width)}
    turn = float(shape.get("rotation") or 0)
    if shape.tag == "ellipse":
        return {
            "segmentation": [ellipse(*_numbers(shape, "cx", "cy", "rx", "ry"), turn)]
        }
    left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    if turn:
        box = turned_box(left, top, right - left, bottom - top, turn, "middle")
        return {"segmentation": [box]}
    return {"bbox": [left, top, right - left, bottom - top]}


def _mask(shape: Element, most_rows: int, most_columns: int) -> NDArray[np.bool_]:
    """`[height, width]` of the box of a mask: no larger than its image."""
    height, width = (int(shape.get(side) or "") for side in ("height", "width"))
    text = shape.get("rle") or ""
    is_box = 0 < height <= most_rows and 0 < width <= most_columns
    if not is_box or len(text) > _MAX_TEXT:
        raise ValueError("no box for the run lengths")
    runs = np.array([int(word) for word in text.split(",")], np.int64)
    if runs.min() < 0 or runs.max() > height * width or runs.sum() != height * width:
        raise ValueError(f"run lengths do not sum to {width}x{height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)


def _numbers(shape: Element, *names: str) -> tuple[float, float, float, float]:
    a, b, c, d = (float(shape.get(name) or "") for name in names)
    return a, b, c, d


def _points(text: str) -> list[float]:
    """`x,y;x,y` as a flat list."""
    return [float(word) for pair in text.split(";") for word in pair.split(",")]


def _region(shape: Element, label: str | None) -> dict[str, Any]:
    """What has no mask, as a named region around its points."""
    texts = [e.get("points") or "" for e in shape.iter() if e.get("points")]
    if shape.tag == "cuboid":  # xtl1 ytl1 xbl1 ybl1 ...
        texts = [
            f"{text},{shape.get('y' + key[1:])}"
            for key, text in shape.attrib.items()
            if key[:2] in ("xt", "xb")
        ]
    points: Any = ";".join(texts)
    try:
        box = extent(_points(points))
    except ValueError:
        box = [points]
    source = {"kind": shape.tag, "points": points, **_source(shape)}
    return {"name": label or "", "bbox": box, "source": source}


def _source(shape: Element) -> dict[str, Any]:
    """What else a shape says, and its attributes."""
    kept: dict[str, Any] = {
        k: v
        for k, v in shape.attrib.items()
        if k not in _GEOMETRY and _DEFAULTS.get(k) != v
    }
    attributes = {
        str(e.get("name")): (e.text or "").strip() for e in shape.iter("attribute")
    }
    return {**kept, **({"attributes": attributes} if attributes else {})}


def colors_of(labels: Mapping[str, str]) -> dict[str, tuple[int, int, int] | None]:
    """`#rrggbb` of each label as three numbers; None for what is none."""
    found: dict[str, tuple[int, int, int] | None] = {}
    for name, text in labels.items():
        try:
            red, green, blue = bytes.fromhex(text.removeprefix("#"))
            found[name] = (red, green, blue)
        except ValueError:
            found[name] = None
    return found
