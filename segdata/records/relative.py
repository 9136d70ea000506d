"""Coordinates in shares of the image -> pixels: YOLO's, whose scan knows no sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def in_pixels(item: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """An object whose polygons and box are in pixels.

    Args:
      item: An object whose polygons and box are shares of the width and height. Other
        masks than polygons stay as they are, and so does what is no list of numbers:
        it is refused where it is used.
      height: Height of the image in pixels.
      width: Width of the image in pixels.
    """
    moved = dict(item)
    polygons = item.get("segmentation")
    if isinstance(polygons, list):
        moved["segmentation"] = [_scaled(each, height, width) for each in polygons]
    if item.get("bbox") is not None:
        moved["bbox"] = _scaled(item["bbox"], height, width)
    return moved


def _scaled(values: Any, height: int, width: int) -> Any:
    """`x, y, x, y, ...` in pixels."""
    try:
        numbers = np.asarray(values, np.float64)
        return (numbers.reshape(-1, 2) * (width, height)).ravel().tolist()
    except (TypeError, ValueError):
        return values
