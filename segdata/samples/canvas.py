"""The drawing kit of all samples: flat polygons, smooth to see, exact in labels.

Points are pairs of x and y in pixels; 0 is the left or upper border of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]
Points = Sequence[Point]
Rng = np.random.Generator

BLACK: Color = (0, 0, 0)
WHITE: Color = (238, 238, 232)

_FINE = 3  # odd, so that a pixel of the image has a middle
_RLE = 3  # zlib's strategy: no search that differs from one zlib to the next
_QUALITY = 90
_CIRCLE = [(math.cos(t * math.pi / 12), math.sin(t * math.pi / 12)) for t in range(24)]


class Canvas:
    """A picture and its label map, painted together: what comes later covers.

    Both are painted three times as fine. A pixel of the picture is the mean of its nine
    parts, its label that of the middle one.
    """

    def __init__(
        self, height: int, width: int, upper: Color, lower: Color, label: int = 0
    ) -> None:
        """Begins with a gradient from top to bottom, all of one label."""
        column = np.clip(np.linspace(upper, lower, height), 0, 255).astype(np.uint8)
        size = (width * _FINE, height * _FINE)
        self._picture = Image.fromarray(column[:, None]).resize(
            size, Image.Resampling.NEAREST
        )
        self._labels = Image.new("L", size, label)
        self._brush = ImageDraw.Draw(self._picture)
        self._labeller = ImageDraw.Draw(self._labels)

    def fill(self, points: Points, color: Color, label: int | None = None) -> None:
        """Paints a polygon; without a label it is only seen, as a window of a house."""
        corners = [(round(x * _FINE), round(y * _FINE)) for x, y in points]
        self._brush.polygon(corners, fill=color)
        if label is not None:
            self._labeller.polygon(corners, fill=label)

    def picture(self) -> NDArray[np.uint8]:
        """`[height, width, 3] uint8`, RGB."""
        return np.asarray(self._picture.reduce(_FINE))

    def labels(self) -> NDArray[np.uint8]:
        """`[height, width] uint8`."""
        middle = slice(_FINE // 2, None, _FINE)
        return np.ascontiguousarray(np.asarray(self._labels)[middle, middle])


def ellipse(x: float, y: float, rx: float, ry: float) -> list[Point]:
    """Points around a middle."""
    return [(x + rx * a, y + ry * b) for a, b in _CIRCLE]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def palette(text: str) -> tuple[Color, ...]:
    """Colours, each in six hexadecimal digits."""
    return tuple(
        (value[0], value[1], value[2]) for value in map(bytes.fromhex, text.split())
    )


def mix(first: Color, second: Color, share: float) -> Color:
    """A colour between two; a share of 0 gives the first, of 1 the second."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(first, second, strict=True))
    return r, g, b


def pick(rng: Rng, colors: Sequence[Color]) -> Color:
    """One of some colours, a little lighter or darker."""
    color = colors[int(rng.integers(len(colors)))]
    shade = float(rng.uniform(-0.16, 0.16))
    return mix(color, WHITE if shade > 0 else BLACK, abs(shade))


def save_png(image: Image.Image, path: Path | IO[bytes]) -> None:
    """Writes the same bytes whatever zlib Pillow was built with."""
    image.save(path, format="PNG", compress_type=_RLE)


def save_jpeg(image: Image.Image, path: Path, exif: Image.Exif | None = None) -> None:
    """Writes a JPEG, and what EXIF says of it."""
    image.save(path, format="JPEG", quality=_QUALITY, exif=exif or b"")
