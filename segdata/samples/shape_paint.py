"""Paints shapes: a background, figures with shaded edges, the noise of a camera."""

from __future__ import annotations

import colorsys
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from segdata.samples.shapes import Figure, Points
from segdata.samples.street_light import noise_field

Canvas = NDArray[np.float32]
"""`[height, width, 3]`, RGB, 0 to 255 or a little beyond."""

_SUPERSAMPLING = 4  # for smooth edges
_BEVEL = 1.6  # pixels over which a figure's edge is shaded
_NUM_COLORS = 4  # tried for each figure: the one that stands out most is taken


def paint_background(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Paints a gradient of two muted colours with clouds, grain and perhaps waves."""
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    angle = float(rng.uniform(0, 2 * math.pi))
    share = 0.5 + (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2)
    first, second = (_color(rng, (0.05, 0.3), (0.3, 0.9)) for _ in range(2))
    canvas = first + (second - first) * share[..., None]
    texture = rng.uniform(4, 14) * noise_field(rng, height, width, 4, 3)
    texture += rng.uniform(2, 9) * noise_field(rng, height, width, 48, 2)
    if rng.random() < 0.5:
        heading, length = rng.uniform(0, math.pi), rng.uniform(7, 30)
        columns, rows = np.arange(width)[None], np.arange(height)[:, None]
        along = columns * math.cos(heading) + rows * math.sin(heading)
        bend = rng.uniform(0, 3) * noise_field(rng, height, width, 2, 1)
        texture += rng.uniform(3, 9) * np.sin(2 * math.pi * along / length + bend)
    result: Canvas = (canvas + texture[..., None]).astype(np.float32)
    return result


def paint_figure(
    canvas: Canvas,
    rng: np.random.Generator,
    figure: Figure,
    color: tuple[int, int, int] | None = None,
) -> None:
    """Paints a figure over what is there.

    Args:
      canvas: Changed in place.
      rng: Chooses the colour where none is given.
      figure: What to paint; it may reach beyond the image.
      color: Its colour; None for one that stands out from what is there.
    """
    box = _tile_box(figure, canvas)
    tile = _coverage(figure, box)
    coverage = np.asarray(tile, np.float32)[..., None] / 255
    left, top, right, bottom = box
    under = canvas[top:bottom, left:right]
    if color is None:
        behind = (under * coverage).sum((0, 1)) / max(1.0, float(coverage.sum()))
        colors = [_color(rng, (0.55, 1.0), (0.45, 1.0)) for _ in range(_NUM_COLORS)]
        paint = max(colors, key=lambda item: float(np.abs(item - behind).sum()))
    else:
        paint = np.array(color, np.float32)
    # Dark rims part neighbours of one colour; light falls from above.
    soft = tile.filter(ImageFilter.GaussianBlur(_BEVEL))
    inner = np.clip(np.asarray(soft, np.float32) / 127.5 - 1, 0, 1)[..., None]
    light = np.linspace(1.1, 0.88, bottom - top, dtype=np.float32)[:, None, None]
    under += coverage * (paint * (0.5 + 0.5 * inner) * light - under)


def photograph(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Adds the noise of a camera and rounds to bytes."""
    sigma = np.float32(rng.uniform(1.0, 4.0))
    noise = rng.standard_normal((*canvas.shape[:2], 1), dtype=np.float32)
    return np.clip(np.rint(canvas + sigma * noise), 0, 255).astype(np.uint8)


def _tile_box(figure: Figure, canvas: Canvas) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the figure inside the image, with room around."""
    points = np.concatenate(figure.fills)
    height, width = canvas.shape[:2]
    room = 3 * _BEVEL  # else there would be no rim where the tile ends
    left, top = np.floor(points.min(0) - room).astype(int).tolist()
    right, bottom = np.ceil(points.max(0) + room).astype(int).tolist()
    return max(0, left), max(0, top), min(width, right), min(height, bottom)


def _coverage(figure: Figure, box: tuple[int, int, int, int]) -> Image.Image:
    """Draws the figure in white on black, with smooth edges."""
    left, top, right, bottom = box
    size = ((right - left) * _SUPERSAMPLING, (bottom - top) * _SUPERSAMPLING)
    tile = Image.new("L", size)
    draw = ImageDraw.Draw(tile)

    def fill(points: Points, value: int) -> None:
        # Pillow counts from the middle of the first pixel, COCO from its border.
        corners = (points - (left, top)) * _SUPERSAMPLING - 0.5
        draw.polygon(corners.reshape(-1).tolist(), value)

    for points in figure.fills:
        fill(points, 255)
    for points in figure.holes:
        fill(points, 0)
    return tile.reduce(_SUPERSAMPLING)


def _color(
    rng: np.random.Generator,
    saturation: tuple[float, float],
    brightness: tuple[float, float],
) -> NDArray[np.float32]:
    hue = rng.random()
    rgb = colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*brightness))
    return np.array(rgb, np.float32) * 255
