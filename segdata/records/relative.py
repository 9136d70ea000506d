"""Objects in other coordinates: shares of the image, or those of a larger one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segdata.errors import AnnotationError
from segdata.images.shrink import Size, shrink_pixels
from segdata.masks import rle
from segdata.records.drawn import ObjectMasks


def in_pixels(item: Any, height: float, width: float) -> Any:
    """An object or region whose coordinates are multiplied by the height and width.

    Polygons, box and keypoints are; other masks stay. So does what is no list of
    numbers: it is refused where it is used.
    """
    if not isinstance(item, Mapping):
        return item
    moved: dict[str, Any] = dict(item)
    polygons = item.get("segmentation")
    if isinstance(polygons, list):
        moved["segmentation"] = [_scaled(each, (width, height)) for each in polygons]
    if item.get("bbox") is not None:
        moved["bbox"] = _scaled(item["bbox"], (width, height))
    if item.get("keypoints") is not None:
        moved["keypoints"] = _scaled(item["keypoints"], (width, height, 1))
    return moved


def shrunk(item: Any, old: Size, new: Size, drawn: ObjectMasks) -> Any:
    """An object of an image that is made smaller.

    Polygons are scaled before they are rasterised; of other masks each pixel has the
    value at its centre.

    Raises:
      AnnotationError: If its mask is malformed or does not fit the image.
    """
    height, width = new[0] / old[0], new[1] / old[1]
    moved = in_pixels(item, height, width)
    if moved is item:  # no dict: refused where it is used
        return moved
    area = item.get("area")
    if isinstance(area, int | float):
        moved["area"] = area * height * width
    mask = item.get("segmentation")
    if "mask_value" in item or "mask_file" in item:
        runs = drawn.runs(item)
        moved = {k: v for k, v in moved.items() if k not in ("mask_value", "mask_file")}
    elif mask is not None and not isinstance(mask, list | tuple) and len(mask):
        runs = rle.rle(mask, *old)
    else:
        return moved
    moved["segmentation"] = shrink_pixels(rle.decode(runs, *old), new)
    return moved


def shrink_all(
    items: Sequence[Mapping[str, Any]],
    old: Size,
    new: Size,
    drawn: ObjectMasks,
    bad: list[AnnotationError],
) -> list[Mapping[str, Any]]:
    """The objects of an image that is made smaller.

    Why others cannot be shrunk goes to `bad`.
    """
    result: list[Mapping[str, Any]] = []
    for item in items:
        try:
            result.append(shrunk(item, old, new, drawn))
        except AnnotationError as error:
            called = f"annotation {item['id']}" if "id" in item else "an object"
            bad.append(AnnotationError(f"{called}: {error}", reason=error.reason))
    return result


def _scaled(values: Any, factors: tuple[float, ...]) -> Any:
    """`x, y, x, y, ...` in pixels."""
    try:
        numbers = np.asarray(values, np.float64).reshape(-1, len(factors))
        return (numbers * factors).ravel().tolist()
    except (TypeError, ValueError):
        return values
