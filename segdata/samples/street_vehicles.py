"""Cars, vans and buses: side profiles that are extruded to a body with perspective."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from segdata.samples.street_canvas import CAR, Canvas, Point3
from segdata.samples.street_light import Color, blend, scale, vary
from segdata.samples.street_models import BUS, Model

_PAINTS: tuple[Color, ...] = (
    (188, 190, 194),
    (150, 154, 160),
    (46, 48, 54),
    (232, 232, 230),
    (142, 26, 30),
    (34, 58, 112),
    (28, 74, 62),
    (92, 104, 122),
    (196, 170, 60),
)
_TYRE: Color = (26, 26, 28)


class _Vehicle:
    """One vehicle being drawn: turns shares of its length into world coordinates."""

    def __init__(
        self, canvas: Canvas, model: Model, x: float, near: float, oncoming: bool
    ) -> None:
        self.canvas, self.model, self.x, self.near = canvas, model, x, near
        self.oncoming = oncoming
        self.half = model.width / 2

    def z(self, share: float) -> float:
        """Distance of a share of the length, measured from the rear bumper."""
        ahead = 1.0 - share if self.oncoming else share
        return self.near + ahead * self.model.length

    def reach(self, share: float, y: float) -> float:
        """Half the width: bodies narrow towards the roof, the sills and both ends."""
        slope, round_off = (0.03, 0.05) if self.model is BUS else (0.3, 0.12)
        end = max(0.0, 1.0 - min(share, 1.0 - share) / 0.08)
        cabin = slope * max(0.0, y - self.model.belt)
        return self.half - cabin - round_off * end * end - 0.1 * max(0.0, 0.6 - y)

    def flank(self, side: int, share: float, y: float) -> Point3:
        """A point of the left (-1) or right (1) flank."""
        return self.x + side * self.reach(share, y), y, self.z(share)

    def face(
        self, x0: float, x1: float, y0: float, y1: float, color: Color, *, glow: bool
    ) -> None:
        """Fills a rectangle on the end that faces the camera, `x` from its middle."""
        a, b, z = self.x + x0, self.x + x1, self.near
        quad = [(a, y0, z), (b, y0, z), (b, y1, z), (a, y1, z)]
        self.canvas.fill(quad, color, CAR, glow=glow)


def draw_vehicle(
    canvas: Canvas,
    rng: np.random.Generator,
    model: Model,
    x: float,
    near: float,
    *,
    oncoming: bool,
) -> None:
    """Draws a vehicle parallel to the street.

    Args:
      canvas: Where to draw.
      rng: Chooses the paint.
      model: Kind of vehicle.
      x: Its middle, in metres from the camera's path.
      near: Distance of its nearest end.
      oncoming: Whether it shows its front rather than its rear.
    """
    paint = vary(rng, _PAINTS[int(rng.integers(len(_PAINTS)))], 8)
    vehicle = _Vehicle(canvas, model, x, near, oncoming)
    _cast_shadow(vehicle)
    _draw_tyres(vehicle)
    _draw_shell(vehicle, paint)
    _draw_end(vehicle, paint)
    if abs(x) > vehicle.half:
        side = -1 if x > 0 else 1
        _draw_flank(vehicle, side, paint)
        _draw_side_windows(vehicle, side)
        for axle in model.axles:
            _draw_wheel(vehicle, side, axle)


def _cast_shadow(vehicle: _Vehicle) -> None:
    light, model = vehicle.canvas.light, vehicle.model
    near, far = vehicle.near, vehicle.near + model.length
    reach = -light.sun * model.roof * 0.8
    for left, right, strength in (
        (min(0.0, reach), max(0.0, reach), light.shadow),
        (-0.12, 0.12, 0.4),
        (0.1, -0.1, 0.75),
    ):
        a, b = vehicle.x - vehicle.half + left, vehicle.x + vehicle.half + right
        front = near - (0.15 if strength < 0.7 else -0.1)
        quad = [(a, 0.0, front), (b, 0.0, front), (b, 0.0, far), (a, 0.0, far)]
        vehicle.canvas.cast(quad, strength)


def _draw_tyres(vehicle: _Vehicle) -> None:
    # Seen from the end: the far pair first, then the near one.
    model = vehicle.model
    for z in sorted((vehicle.z(axle) for axle in model.axles), reverse=True):
        front = z - model.wheel * 0.8
        for side in (-1, 1):
            outer = vehicle.x + side * (vehicle.half - 0.08)
            inner = outer - side * 0.22
            low = [(outer, 0.0, z), (inner, 0.0, z)]
            high = [
                (inner, model.wheel * 1.4, front),
                (outer, model.wheel * 1.4, front),
            ]
            vehicle.canvas.fill([*low, *high], _TYRE, CAR)


def _draw_shell(vehicle: _Vehicle, paint: Color) -> None:
    """Draws the stretches of the profile across the width, the far ones first."""
    light = vehicle.canvas.light
    glass = blend((30, 36, 42), light.horizon, 0.16)
    stretches = []
    for start, end in pairwise(vehicle.model.profile):
        (a, y0, is_glass), (b, y1, _) = start, end
        run, rise = abs(b - a) * vehicle.model.length, abs(y1 - y0)
        level = run / (math.hypot(run, rise) or 1.0)  # 1 for a roof, 0 for a wall
        color = scale(paint, 0.84 + 0.3 * level)
        depth = (vehicle.z(a) + vehicle.z(b)) / 2
        stretches.append((depth, a, y0, b, y1, glass if is_glass else color, is_glass))
    for _, a, y0, b, y1, color, is_glass in sorted(stretches, reverse=True):
        if is_glass:  # the frame, in the colour of the body
            _span(vehicle, (a, y0), (b, y1), scale(paint, 0.8), 0.0)
        _span(vehicle, (a, y0), (b, y1), color, 0.1 if is_glass else 0.0)


def _span(
    vehicle: _Vehicle,
    start: tuple[float, float],
    end: tuple[float, float],
    color: Color,
    margin: float,
) -> None:
    (a, y0), (b, y1) = start, end
    y0, y1 = y0 + margin * (y1 - y0), y1 - margin * (y1 - y0)
    w0, w1 = vehicle.reach(a, y0) - margin, vehicle.reach(b, y1) - margin
    low = [(vehicle.x - w0, y0, vehicle.z(a)), (vehicle.x + w0, y0, vehicle.z(a))]
    high = [(vehicle.x + w1, y1, vehicle.z(b)), (vehicle.x - w1, y1, vehicle.z(b))]
    vehicle.canvas.fill([*low, *high], color, CAR)


def _draw_end(vehicle: _Vehicle, paint: Color) -> None:
    """Draws bumper, lights and number plate of the end that faces the camera."""
    model, lamps = vehicle.model, vehicle.canvas.light.lamps
    half = vehicle.reach(0.0, 0.7)
    sill = model.profile[0][1]
    height = model.profile[1][1] - sill
    vehicle.face(-half, half, sill, sill + 0.14, (44, 44, 48), glow=False)
    y = sill + 0.62 * height + 0.06
    if vehicle.oncoming:
        lamp = (255, 250, 226) if lamps else (214, 218, 222)
        grille = scale(paint, 0.3)
        vehicle.face(-0.42, 0.42, y - 0.06, y + 0.1, grille, glow=False)
    else:
        lamp = (255, 40, 30) if lamps else (176, 24, 26)
    for side in (-1, 1):
        inner, outer = side * (half - 0.34), side * (half - 0.06)
        low, high = min(inner, outer), max(inner, outer)
        vehicle.face(low, high, y - 0.04, y + 0.16, lamp, glow=lamps)
    plate = (232, 232, 226) if vehicle.oncoming else (226, 190, 60)
    vehicle.face(-0.26, 0.26, sill + 0.16, sill + 0.27, plate, glow=False)


def _draw_flank(vehicle: _Vehicle, side: int, paint: Color) -> None:
    canvas, profile = vehicle.canvas, vehicle.model.profile
    lit = 0.66 if side == -canvas.light.sun and canvas.light.shadow > 0.3 else 0.94
    outline = [vehicle.flank(side, share, y) for share, y, _ in profile]
    canvas.fill(outline, scale(paint, lit), CAR)
    sill = profile[0][1]
    for low, high, tone in ((sill, sill + 0.1, 0.45), (0.72, 0.76, 0.8)):
        band = [vehicle.flank(side, share, low) for share in (0.01, 0.99)]
        band += [vehicle.flank(side, share, high) for share in (0.99, 0.01)]
        canvas.fill(band, scale(paint, lit * tone), None)
    door = vehicle.model.pillars[-1] if vehicle.model.pillars else 0.6
    for share in (door, door + 0.24) if vehicle.model is not BUS else ():
        seam = [vehicle.flank(side, share, y) for y in (sill + 0.1, 0.92)]
        seam += [vehicle.flank(side, share + 0.008, y) for y in (0.92, sill + 0.1)]
        canvas.fill(seam, scale(paint, lit * 0.55), None)


def _draw_side_windows(vehicle: _Vehicle, side: int) -> None:
    model, canvas = vehicle.model, vehicle.canvas
    glass = blend((28, 34, 40), canvas.light.horizon, 0.14)
    heights = (model.belt, model.roof, model.roof, model.belt)
    corners = zip(model.windows, heights, strict=True)
    canvas.fill([vehicle.flank(side, a, y) for a, y in corners], glass, None)
    for share in model.pillars:
        bar = [vehicle.flank(side, share, y) for y in (model.belt, model.roof)]
        bar += [vehicle.flank(side, share + 0.014, y) for y in heights[2:]]
        canvas.fill(bar, (36, 36, 40), None)


def _draw_wheel(vehicle: _Vehicle, side: int, axle: float) -> None:
    model, z, x = (
        vehicle.model,
        vehicle.z(axle),
        vehicle.x + side * (vehicle.half - 0.02),
    )
    steps = [2 * math.pi * step / 18 for step in range(18)]
    rings: tuple[tuple[float, Color], ...] = (
        (1.16, (18, 18, 20)),
        (1.0, _TYRE),
        (0.66, (150, 152, 156)),
        (0.3, (84, 86, 90)),
    )
    for share, color in rings:
        r = share * model.wheel
        # The arch is a little larger than the tyre but ends at the ground.
        rim = [
            (x, max(0.0, model.wheel + r * math.sin(a)), z + r * math.cos(a))
            for a in steps
        ]
        vehicle.canvas.fill(rim, color, CAR)
