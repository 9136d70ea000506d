"""Boxes as the source gives them, checked and cut to the image."""

from __future__ import annotations

import math
from typing import Any

from segdata.errors import AnnotationError, short_repr

Box = tuple[float, float, float, float]
"""`ymin, xmin, ymax, xmax` in pixels."""


def read_box(given: Any, height: int, width: int, called: str) -> tuple[Box, bool]:
    """Reads a box as COCO spells it.

    Args:
      given: `[x, y, width, height]` in pixels.
      height: Height of the image in pixels.
      width: Width of the image in pixels.
      called: Whose box it is, for messages.

    Returns:
      The part of the box that is inside the image, and whether that is less than all.

    Raises:
      AnnotationError: If it is not four finite numbers, or a side is negative.
    """
    x, y, box_width, box_height = _checked(given, called)
    box = (y, x, y + box_height, x + box_width)
    if y >= 0 and x >= 0 and box[2] <= height and box[3] <= width:
        return box, False
    inside = (
        min(max(box[0], 0.0), height),
        min(max(box[1], 0.0), width),
        min(max(box[2], 0.0), height),
        min(max(box[3], 0.0), width),
    )
    return inside, inside != box


def _checked(given: Any, called: str) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, given))
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if (
        len(numbers) != 4
        or not all(map(math.isfinite, numbers))
        or min(numbers[2:]) < 0
    ):
        raise AnnotationError(
            f"{called} has the box {short_repr(given)}: expected finite numbers x, y, "
            "width and height, the last two at least 0.",
            reason="bad-box",
        )
    return numbers
