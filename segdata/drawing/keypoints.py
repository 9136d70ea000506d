"""Keypoints for people: filled where visible, hollow where covered, joined by bones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segdata.label_map import RGB

KEYPOINT_NOTE = "keypoints: filled where visible, hollow where covered"
"""What a legend says of them."""

_VISIBLE = 2
_SHARPNESS = 3  # drawn so many times as large, then scaled down for soft edges
_MOST_SHARPENED = 1024  # pixels of a side; larger pictures need it less
_DARK, _LIGHT = (24, 26, 30, 255), (255, 255, 255, 255)


def draw_keypoints(
    canvas: Image.Image,
    keypoints: NDArray[np.float32],
    skeleton: Sequence[tuple[int, int]],
    color: RGB,
) -> None:
    """Draws the labelled keypoints of one object onto a picture.

    A visible one is a disc of the object's colour, a covered one a ring; a bone with a
    covered end is dashed. Points farther outside than the picture is wide or high are
    left out, as are bones that name no keypoint.

    Args:
      canvas: An RGB picture.
      keypoints: `[keypoints, 3]`: x and y in pixels of `canvas`, visibility 0 (not
        labelled), 1 (covered) or 2 (visible).
      skeleton: Pairs of keypoints, counted from 1.
      color: The object's.
    """
    width, height = canvas.size
    x, y, visibility = np.asarray(keypoints, np.float64).reshape(-1, 3).T
    is_drawn = (visibility > 0) & (np.abs(x - width / 2) < 1.5 * width)
    is_drawn &= np.abs(y - height / 2) < 1.5 * height
    points = {
        int(i): (float(x[i]), float(y[i]), bool(visibility[i] >= _VISIBLE))
        for i in np.flatnonzero(is_drawn)
    }
    if not points:
        return
    scale = _SHARPNESS if max(canvas.size) <= _MOST_SHARPENED else 1
    radius = max(3.0, max(canvas.size) / 100)
    # Just what is drawn on: one object of many is small.
    left = max(0, int(min(p[0] for p in points.values()) - 2 * radius))
    top = max(0, int(min(p[1] for p in points.values()) - 2 * radius))
    right = min(width, int(max(p[0] for p in points.values()) + 2 * radius) + 1)
    bottom = min(height, int(max(p[1] for p in points.values()) + 2 * radius) + 1)
    if right <= left or bottom <= top:
        return
    size = ((right - left) * scale, (bottom - top) * scale)
    layer = Image.new("RGBA", size, (*color, 0))
    placed = {
        i: (scale * (px - left), scale * (py - top), shown)
        for i, (px, py, shown) in points.items()
    }
    bones = [(a - 1, b - 1) for a, b in skeleton]
    _draw(layer, placed, bones, (*color, 255), radius * scale)
    layer = layer.resize((right - left, bottom - top), Image.Resampling.BOX)
    canvas.paste(layer, (left, top), layer)


def _draw(
    layer: Image.Image,
    points: dict[int, tuple[float, float, bool]],
    bones: Sequence[tuple[int, int]],
    color: tuple[int, int, int, int],
    radius: float,
) -> None:
    pen = ImageDraw.Draw(layer)
    for edge, width in ((_DARK, 1.0), (color, 0.55)):
        for one, other in bones:
            if one in points and other in points:
                for start, end in _strokes(points[one], points[other], radius):
                    pen.line((start, end), edge, max(1, round(radius * width)))
    for x, y, is_visible in points.values():
        _disc(pen, x, y, radius * 1.3, _DARK)
        rim, core, share = (_LIGHT, color, 0.8) if is_visible else (color, _LIGHT, 0.6)
        _disc(pen, x, y, radius * 1.1, rim)
        _disc(pen, x, y, radius * share, core)


def _disc(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius: float,
    color: tuple[int, int, int, int],
) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), color)


def _strokes(
    one: tuple[float, float, bool], other: tuple[float, float, bool], radius: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The lines of a bone: one, or dashes if an end is covered."""
    start, end = np.array(one[:2]), np.array(other[:2])
    is_whole = one[2] and other[2]
    length = float(np.hypot(*(end - start)))
    count = 1 if is_whole else max(1, round(length / (2.5 * radius)))
    shares = np.linspace(0, 1, 2 * count)
    places = start + shares[:, None] * (end - start)
    return list(pairwise((float(x), float(y)) for x, y in places))[::2]
