"""What a task of Label Studio says of its image -> objects, regions, the rest.

https://labelstud.io/guide/export: a result is a region with its kind, its value in per
cent of the image, the size of the image, and its labels, of which the first counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segdata.formats.label_studio.brush import brush_mask
from segdata.formats.outlines import (
    ellipse,
    extent,
    flat,
    is_size,
    placed_mask,
    turned_box,
    unusable,
)

_KINDS = ("polygon", "rectangle", "brush", "ellipse", "keypoint")
_SIZE = ("original_height", "original_width")
_GEOMETRY = {"points", "closed", "x", "y", "width", "height", "rotation", "format"}
_GEOMETRY |= {"rle", "radiusX", "radiusY"}


def kind_of(result: Any) -> str:
    """What a result is: a region that we know, or whatever it calls itself."""
    kind = str(result.get("type") or "") if isinstance(result, Mapping) else ""
    return (
        kind.removesuffix("labels") if kind.removesuffix("labels") in _KINDS else kind
    )


def labels_of(result: Any) -> list[str]:
    """Its labels; of several the first counts."""
    value = result.get("value") if isinstance(result, Mapping) else None
    if not isinstance(value, Mapping):
        return []
    kind = str(result.get("type") or "")
    named = value.get(kind) if kind.endswith("labels") else value.get("labels")
    return [str(label) for label in named] if isinstance(named, list) else []


def read_results(results: Sequence[Any]) -> dict[str, Any]:
    """The part of an annotation dict that one annotation of a task gives."""
    # A region may be without labels, and another result of its id say them.
    labels = {r["id"]: labels_of(r) for r in results if _is_label_of_another(r)}
    found: dict[str, Any] = {"objects": []}
    regions, others = [], []
    for result in results:
        kind = kind_of(result)
        if kind not in _KINDS:
            if not _is_label_of_another(result):
                others.append(result)
            continue
        names = labels_of(result) or labels.get(str(result.get("id")), [])
        size = [result.get(side) for side in _SIZE]
        if is_size(*size) and "height" not in found:
            found |= {"height": size[0], "width": size[1]}
        if kind == "keypoint":
            regions.append(_point(result, names, size))
        else:
            found["objects"].append(_object(kind, result, names, size))
    found["source"] = {"results": others} if others else {}
    return found | ({"regions": regions} if regions else {})


def _is_label_of_another(result: Any) -> bool:
    return (
        isinstance(result, Mapping)
        and result.get("type") == "labels"
        and isinstance(result.get("id"), str)
    )


def _object(
    kind: str, result: Mapping[str, Any], names: Sequence[str], size: Sequence[Any]
) -> dict[str, Any]:
    label = names[0] if names else None
    value = result.get("value")
    try:
        if not isinstance(value, Mapping) or not is_size(*size):
            raise ValueError("original_height and original_width miss")
        if result.get("image_rotation"):
            raise ValueError(f"image_rotation is {result['image_rotation']}, not 0")
        geometry = _geometry(kind, value, *size)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        return unusable(label, f"{kind}: {error}")
    source = {k: v for k, v in value.items() if k not in _GEOMETRY}
    source = {k: v for k, v in source.items() if not k.endswith("labels")}
    if len(names) > 1:
        source["labels"] = list(names)
    item = {**geometry, **({} if label is None else {"category": label})}
    if isinstance(result.get("id"), str):
        source["region"] = result["id"]
    return {**item, "source": source} if source else item


def _geometry(
    kind: str, value: Mapping[str, Any], height: int, width: int
) -> dict[str, Any]:
    if kind == "polygon":
        numbers = flat(value["points"])
        return {"segmentation": [_in_pixels(numbers, height, width)]}
    if kind == "brush":
        mask = brush_mask(value["rle"], height, width)
        return {"segmentation": placed_mask(mask, 0, 0, height, width)}
    x, y = _in_pixels([value["x"], value["y"]], height, width)
    turn = float(value.get("rotation") or 0)
    if kind == "ellipse":
        radii = _in_pixels([value["radiusX"], value["radiusY"]], height, width)
        return {"segmentation": [ellipse(x, y, radii[0], radii[1], turn)]}
    sides = _in_pixels([value["width"], value["height"]], height, width)
    if turn:
        return {"segmentation": [turned_box(x, y, sides[0], sides[1], turn, "corner")]}
    return {"bbox": [x, y, *sides]}


def _in_pixels(numbers: Sequence[Any], height: int, width: int) -> list[float]:
    """`x, y, x, y, ...` of per cent in pixels."""
    sides = (width, height)
    return [float(v) * sides[i % 2] / 100 for i, v in enumerate(numbers)]


def _point(
    result: Mapping[str, Any], names: Sequence[str], size: Sequence[Any]
) -> dict[str, Any]:
    """A key point as a named region; a bad one is refused where it is encoded."""
    value = result.get("value")
    value = value if isinstance(value, Mapping) else {}
    try:
        height, width = size
        place = _in_pixels([value["x"], value["y"]], height, width)
    except (TypeError, ValueError, ArithmeticError, LookupError):
        place = []
    return {
        "name": names[0] if names else "",
        "bbox": extent(place) if place else [],
        "source": {"shape_type": "keypoint", "value": dict(value)},
    }
