"""What one text file of YOLO says: https://docs.ultralytics.com/datasets/segment.

A line is the number of a class and, in shares of the width and height, either the
corners of a polygon, `x y x y x y ...`, or a box: `x y width height`, from its middle.
A line that is neither is refused where it is encoded, without the others.
"""

from __future__ import annotations

import math
from typing import Any

from segdata.annotations import Annotation
from segdata.errors import AnnotationError
from segdata.formats.outlines import extent, unusable

_BOX, _POLYGON = 4, 6
_ROUNDED = 2e-6
"""How far shares of six digits may miss 0 or 1."""
_MOST = 2.0
"""A larger share is none: the file has pixels or per cent."""


def read_yolo(data: bytes, annotation: Annotation) -> dict[str, Any]:
    """Reads a file; see `segdata.formats.ReadAnnotationFile`.

    A line that stands twice counts once, as it does for Ultralytics.

    Raises:
      AnnotationError: If it is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"not UTF-8: {error.reason}. Replace or remove it.", reason="bad-text"
        ) from error
    lines = [line.split() for line in text.splitlines() if line.strip()]
    distinct = [*dict.fromkeys(map(tuple, lines))]
    found: dict[str, Any] = {
        "is_relative": True,
        "objects": [_object(words) for words in distinct],
    }
    if len(distinct) < len(lines):
        found["source"] = {"doubled_lines": len(lines) - len(distinct)}
    return found


def class_of(word: str) -> int | None:
    """The number of a class, which some tools write as `0.0`; None if it is none."""
    try:
        value = float(word)
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _object(words: tuple[str, ...]) -> dict[str, Any]:
    category = class_of(words[0])
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError:
        numbers = []
    if category is None or not abs(category) < 1 << 31 or not numbers:
        return unusable(None, f"no line of YOLO: {' '.join(words)[:40]}")
    count = len(numbers)
    if count != _BOX and (count < _POLYGON or count % 2):
        return unusable(category, f"{count} numbers behind the class")
    if not all(math.isfinite(value) for value in numbers):
        return unusable(category, "a coordinate that is no number")
    farthest = max(numbers, key=lambda value: abs(value - 0.5))
    if not -1 <= farthest <= _MOST:
        return unusable(category, f"{farthest:g} is no share of a side")
    if count == _BOX:
        x, y, width, height = numbers
        left, top = _snapped(x - width / 2), _snapped(y - height / 2)
        right, bottom = _snapped(x + width / 2), _snapped(y + height / 2)
        return {
            "category_id": category,
            "bbox": [left, top, right - left, bottom - top],
        }
    item: dict[str, Any] = {"category_id": category, "segmentation": [numbers]}
    if min(numbers) < -_ROUNDED or max(numbers) > 1 + _ROUNDED:
        item["bbox"] = extent(numbers)  # cut to the image, and counted
    return item


def _snapped(share: float) -> float:
    """0 or 1 where only the digits of the file miss it."""
    return round(share) + 0.0 if min(abs(share), abs(share - 1)) < _ROUNDED else share
