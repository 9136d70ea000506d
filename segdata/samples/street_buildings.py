"""Buildings, fences and hedges along a street, and what closes it far away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segdata.samples.street_canvas import BUILDING, FENCE, TREE, Canvas
from segdata.samples.street_light import Color, blend, scale, vary

_WALLS: tuple[Color, ...] = (
    (148, 88, 66),
    (122, 70, 56),
    (184, 160, 116),
    (168, 140, 98),
    (214, 208, 194),
    (196, 186, 168),
    (152, 150, 146),
    (112, 104, 98),
)
_TRIMS: tuple[Color, ...] = ((232, 230, 222), (208, 204, 194), (92, 84, 78))
_SHOPS: tuple[Color, ...] = (
    (168, 34, 36),
    (28, 62, 118),
    (24, 92, 66),
    (226, 176, 40),
    (60, 56, 58),
    (226, 224, 216),
)
_PANELS: tuple[Color, ...] = (
    (126, 92, 62),
    (96, 74, 56),
    (58, 92, 74),
    (62, 66, 72),
    (148, 146, 142),
)
_GLASS: Color = (44, 52, 60)
_LAMPLIGHT: Color = (252, 214, 138)
_DETAIL_RANGE = 75.0  # metres: beyond, window frames are smaller than a pixel


@dataclass(frozen=True)
class Plot:
    """A building: where it stands and how it looks.

    Attributes:
      side: -1 left of the street, 1 right.
      front: Distance of its front from the camera's path, in metres.
      near: Where it starts along the street.
      far: Where it ends.
      storeys: How many rows of windows it has.
      pitched: Whether it has a tiled roof rather than a flat one.
      shop: Whether the ground floor is a shop.
    """

    side: int
    front: float
    near: float
    far: float
    storeys: int
    pitched: bool
    shop: bool

    @property
    def height(self) -> float:
        """Height of the wall in metres."""
        return 3.1 * self.storeys + 0.7


def draw_building(canvas: Canvas, rng: np.random.Generator, plot: Plot) -> None:
    """Draws one building: roof and gable first, then the front that covers them."""
    wall = vary(rng, _WALLS[int(rng.integers(len(_WALLS)))])
    trim = _TRIMS[int(rng.integers(len(_TRIMS)))]
    # The sun lights the fronts across the street, and the gables half.
    contrast = 0.7 * canvas.light.shadow
    front = scale(wall, 1.0 - contrast * (plot.side == canvas.light.sun))
    gable = scale(wall, 0.86 - 0.25 * contrast)
    _draw_volume(canvas, rng, plot, gable)
    x = plot.side * plot.front
    _wall(canvas, x, (plot.near, plot.far), (0.0, plot.height), front)
    _draw_courses(canvas, plot, front)
    _draw_windows(canvas, rng, plot, trim)
    if plot.shop:
        _draw_shop(canvas, rng, plot)
    band = (plot.height - 0.35, plot.height)
    _wall(canvas, x, (plot.near, plot.far), band, blend(front, trim, 0.55))


def _wall(
    canvas: Canvas,
    x: float,
    along: tuple[float, float],
    up: tuple[float, float],
    color: Color,
    class_id: int | None = BUILDING,
    *,
    glow: bool = False,
) -> None:
    # Long walls are cut so that they follow the bend and fade with distance.
    (z0, z1), (y0, y1) = along, up
    pieces = 1 if z1 - z0 < 5 else int((z1 - z0) / 4)
    for piece in reversed(range(pieces)):
        a = z0 + (z1 - z0) * piece / pieces
        b = z0 + (z1 - z0) * (piece + 1) / pieces
        quad = [(x, y0, a), (x, y1, a), (x, y1, b), (x, y0, b)]
        canvas.fill(quad, color, class_id, glow=glow)


def _draw_volume(
    canvas: Canvas, rng: np.random.Generator, plot: Plot, gable: Color
) -> None:
    x, top, z = plot.side * plot.front, plot.height, plot.near
    ridge, back = x + plot.side * 4.5, x + plot.side * 9.0
    if not plot.pitched:
        quad = [(x, 0.0, z), (x, top, z), (back, top, z), (back, 0.0, z)]
        canvas.fill(quad, gable, BUILDING)
        return
    peak = top + 3.6
    tiles = vary(rng, (112, 74, 62) if rng.random() < 0.5 else (84, 82, 84), 8)
    _draw_chimney(canvas, plot, (ridge, peak), scale(gable, 0.9))
    roof = [(x, top, z), (x, top, plot.far)]
    canvas.fill([*roof, (ridge, peak, plot.far), (ridge, peak, z)], tiles, BUILDING)
    outline = [(x, 0.0, z), (x, top, z), (ridge, peak, z), (back, top, z)]
    canvas.fill([*outline, (back, 0.0, z)], gable, BUILDING)


def _draw_chimney(
    canvas: Canvas, plot: Plot, ridge: tuple[float, float], color: Color
) -> None:
    (x, y), z = ridge, plot.near + 0.3 * (plot.far - plot.near)
    left, right, top = x - 0.5, x + 0.5, y + 1.3
    stack = [(left, y - 1, z), (left, top, z), (right, top, z), (right, y - 1, z)]
    canvas.fill(stack, color, BUILDING)
    for pot in (left + 0.1, x + 0.15):
        clay = [(pot, top, z), (pot, top + 0.4, z)]
        other = [(pot + 0.25, top + 0.4, z), (pot + 0.25, top, z)]
        canvas.fill([*clay, *other], (150, 92, 66), BUILDING)


def _draw_courses(canvas: Canvas, plot: Plot, color: Color) -> None:
    # Faint lines of brick; only near walls show them.
    if plot.near > 22:
        return
    x, line = plot.side * plot.front, scale(color, 0.9)
    far = min(plot.far, 30.0)
    for course in range(1, int(plot.height / 0.45)):
        y = 0.45 * course
        canvas.fill(
            [(x, y, plot.near), (x, y + 0.06, plot.near), (x, y + 0.06, far)],
            line,
            None,
        )


def _draw_windows(
    canvas: Canvas, rng: np.random.Generator, plot: Plot, trim: Color
) -> None:
    bays = max(1, int((plot.far - plot.near) / rng.uniform(2.6, 3.6)))
    pitch = (plot.far - plot.near) / bays
    width, tall = pitch * rng.uniform(0.36, 0.6), rng.uniform(1.4, 1.9)
    sky = blend(canvas.light.zenith, canvas.light.horizon, 0.5)
    first = 1 if plot.shop else 0
    for bay in reversed(range(bays)):
        z = plot.near + (bay + 0.5) * pitch - width / 2
        x = plot.side * plot.front
        column = canvas.camera.project(x, 0.0, z + width)[0]
        if not 0 <= column <= canvas.camera.width:
            continue
        for storey in range(first, plot.storeys):
            y = 3.1 * storey + 1.0
            door = storey == 0 and bay % 3 == 1
            span = (0.1, 2.3) if door else (y, y + tall)
            _draw_window(canvas, rng, (x, z, width), span, trim, sky)


def _draw_window(
    canvas: Canvas,
    rng: np.random.Generator,
    place: tuple[float, float, float],
    span: tuple[float, float],
    trim: Color,
    sky: Color,
) -> None:
    (x, z, width), (low, high) = place, span
    lit = canvas.light.lamps and rng.random() < 0.35
    glass = blend(_GLASS, sky, rng.uniform(0.02, 0.4))
    color = scale(_LAMPLIGHT, rng.uniform(0.65, 1.0)) if lit else glass
    if z > _DETAIL_RANGE:
        _wall(canvas, x, (z, z + width), span, color, None, glow=lit)
        return
    frame = 0.09
    outer = (z - frame, z + width + frame)
    _wall(canvas, x, outer, (low - frame, high + frame), trim, None)
    _wall(canvas, x, (z, z + width), span, color, None, glow=lit)
    if z < 40:
        middle, bar = z + width / 2, (low + high) / 2
        _wall(canvas, x, (middle - 0.04, middle + 0.04), span, trim, None)
        _wall(canvas, x, (z, z + width), (bar - 0.03, bar + 0.03), trim, None)
        sill = (low - 0.2, low - frame)
        _wall(canvas, x, outer, sill, scale(trim, 0.75), None)


def _draw_shop(canvas: Canvas, rng: np.random.Generator, plot: Plot) -> None:
    color = vary(rng, _SHOPS[int(rng.integers(len(_SHOPS)))], 8)
    x, near, far = plot.side * plot.front, plot.near + 0.3, plot.far - 0.3
    _wall(canvas, x, (near, far), (0.0, 3.0), scale(color, 0.7), None)
    panes = max(1, int((far - near) / 2.6))
    pitch = (far - near) / panes
    for pane in range(panes):
        z = near + pane * pitch
        lit = canvas.light.lamps or rng.random() < 0.25
        glass = blend(_GLASS, vary(rng, (128, 116, 100), 25), rng.uniform(0.1, 0.6))
        bright = scale(_LAMPLIGHT, rng.uniform(0.6, 0.9))
        pane_color = bright if lit and canvas.light.lamps else glass
        base = 0.1 if pane % 3 == 2 else 0.55
        along = (z + 0.15, z + pitch - 0.15)
        glow = canvas.light.lamps
        _wall(canvas, x, along, (base, 2.35), pane_color, None, glow=glow)
        goods = (z + 0.3, z + pitch - 0.3)
        _wall(canvas, x, goods, (base, 1.0), scale(pane_color, 0.6), None, glow=glow)
    _wall(canvas, x, (near, far), (2.45, 3.15), color, None)
    letters = (250, 246, 234) if sum(color) < 420 else (40, 38, 40)
    middle = (near + far) / 2
    for letter in range(-4, 5):
        z = middle + 0.42 * letter
        if near < z < far - 0.3 and (letter != 1):
            high = 2.98 if letter % 3 else 2.88
            _wall(canvas, x, (z, z + 0.24), (2.65, high), letters, None)


def draw_fence(
    canvas: Canvas, rng: np.random.Generator, x: float, near: float, far: float
) -> None:
    """Draws a fence of planks or panels along the street from `near` to `far`."""
    color = vary(rng, _PANELS[int(rng.integers(len(_PANELS)))], 8)
    height = float(rng.uniform(1.0, 1.9))
    _wall(canvas, x, (near, far), (0.0, height), color, FENCE)
    planks = int((min(far, 40.0) - near) / 0.3)
    for plank in range(planks):
        z = near + 0.3 * plank
        shade = scale(color, 0.72 if plank % 8 == 0 else 0.86)
        _wall(canvas, x, (z, z + 0.06), (0.0, height), shade, None)
    rail = (height - 0.12, height + 0.04)
    _wall(canvas, x, (near, far), rail, scale(color, 1.18), FENCE)
    _wall(canvas, x, (near, far), (0.0, 0.14), scale(color, 0.6), None)


def draw_hedge(
    canvas: Canvas, rng: np.random.Generator, x: float, near: float, far: float
) -> None:
    """Draws a clipped hedge along the street; its top is uneven."""
    color = vary(rng, (62, 84, 44), 8)
    height, z = float(rng.uniform(0.9, 1.7)), far
    while z > near:
        step = min(z - near, 0.6 + 0.02 * z)
        up = height + float(rng.normal(0, 0.06))
        shade = scale(color, float(rng.uniform(0.85, 1.1)))
        _wall(canvas, x, (z - step, z), (0.0, up), shade, TREE)
        _wall(canvas, x, (z - step, z), (0.0, 0.4 * up), scale(shade, 0.75), None)
        z -= step
