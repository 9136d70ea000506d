"""Draws a street as a car's camera sees it: a small world in metres, far things first.

A place is x to the right of the road's middle, y above the ground, z ahead. `_ROWS` at
the end tells what stands where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from segdata.samples.canvas import (
    BLACK,
    WHITE,
    Canvas,
    Color,
    Points,
    Rng,
    box,
    ellipse,
    mix,
    palette,
    pick,
)

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE = range(6)
SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = range(6, 12)

_CURB, _FRONT, _FAR = 5.2, 9.0, 130.0
"""From the road's middle to the pavements and the houses, and to the road's end."""
_SKIES = palette("548ed4 8ca0b4 5c548c 4680be")
_HAZES = palette("d2e4f0 dce0e0 fabe96 f6e4c8")
_LIGHTS = (1.0, 0.9, 0.75, 0.95)
_WALLS = palette("b06048 d6b278 e2d6c4 966c5c a8aca8")
_ROOFS = palette("7a4438 5c5860 8c563e")
_CARS = palette("c4302c 30589c e4e4e2 3e4046 e0a830")
_COATS = palette("bc3e46 344a80 ecc45c 548c84 d8d6ce")
_LEAVES = palette("548240 3a6838 7e8e3a")
_FENCES = palette("967450 6e8070 84848a")
_BINS = palette("ce342e 3e5c4c 464a50")
_STONE, _ASPHALT, _KERB = palette("b0aa9e 606066 cecac2")
_DARK, _STEEL, _GLASS, _LIT = palette("26282e 6e7276 54687a fcdc92")
_RED, _AMBER, _GREEN, _BLUE = palette("ce342e f4b242 4eb068 3460ac")
_SKIN, _JEANS, _TRUNK, _SHADE = palette("deb08e 3e4256 604a3a 18342c")

Place = tuple[float, float, float]
Part = tuple[Sequence[tuple[float, ...]], Color, int | None]
"""Outline, x and y and perhaps z from where a thing stands; its colour; its label."""


@dataclass(frozen=True, kw_only=True)
class _View:
    """A pinhole camera above the road, and the light."""

    canvas: Canvas
    focal: float
    center: float
    horizon: float
    across: float
    eye: float
    haze: Color
    light: float

    def fill(
        self, places: Iterable[Place], color: Color, label: int | None = None
    ) -> None:
        """Paints a polygon in space; what is far fades into the haze."""
        scaled = [(self.focal / z, x - self.across, self.eye - y) for x, y, z in places]
        points = [(self.center + s * x, self.horizon + s * y) for s, x, y in scaled]
        depth = self.focal * len(scaled) / sum(scale for scale, _, _ in scaled)
        lit = mix(BLACK, color, self.light)
        self.canvas.fill(points, mix(lit, self.haze, depth / (depth + 100)), label)

    def wall(
        self, x: float, outline: Points, color: Color, label: int | None = None
    ) -> None:
        """Paints an outline of z and y that runs along the street."""
        self.fill(((x, y, z) for z, y in outline), color, label)

    def flat(self, outline: Points, color: Color, label: int | None = None) -> None:
        """Paints an outline of x and z on the ground."""
        self.fill(((x, 0.0, z) for x, z in outline), color, label)

    def stand(self, x: float, z: float, parts: Iterable[Part]) -> None:
        """Paints a thing at a place."""
        for points, color, label in parts:
            places = ((x + p[0], p[1], z + sum(p[2:])) for p in points)
            self.fill(places, color, label)


def draw_street_scene(
    rng: Rng, height: int = 360, width: int = 480
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws one street.

    Args:
      rng: Source of everything that varies: the same state gives the same scene.
      height: Of the image, in pixels.
      width: Of the image.

    Returns:
      Image, uint8 `[height, width, 3]`, RGB, and label map, uint8 `[height, width]`,
      with the class ids of CamVid: 0 sky, 1 building, 2 pole, 3 road, 4 pavement,
      5 tree, 6 sign_symbol, 7 fence, 8 car, 9 pedestrian, 10 bicyclist, 11 void.
    """
    weather, horizon = int(rng.integers(len(_SKIES))), float(rng.uniform(0.42, 0.52))
    upper, haze = _SKIES[weather], _HAZES[weather]
    view = _View(
        canvas=Canvas(height, width, upper, mix(upper, haze, 1 / horizon), SKY),
        focal=float(rng.uniform(0.8, 1.0)) * width,
        center=float(rng.uniform(0.4, 0.6)) * width,
        horizon=horizon * height,
        across=float(rng.uniform(1.4, 2.6)),
        eye=float(rng.uniform(1.5, 1.8)),
        haze=haze,
        light=_LIGHTS[weather],
    )
    _draw_backdrop(view, rng)
    for side in (-1, 1):
        _draw_side(view, rng, side * _FRONT)
    things = []
    for side, (make, first, least, most, low, high) in product((-1, 1), _ROWS):
        z = first * float(rng.uniform(1, 1.7))
        while z < 80:
            x = side * float(rng.uniform(low, high))
            things.append((z, x, make))
            z += float(rng.uniform(least, most))
    for z, x, make in sorted(things, key=lambda thing: -thing[0]):
        view.stand(x, z, make(rng, x))
    return view.canvas.picture(), view.canvas.labels()


def _draw_backdrop(view: _View, rng: Rng) -> None:
    """Clouds, pavements, the road with its marks, and trees where it ends."""
    for x, y, size in rng.uniform((-80, 25, 6), (80, 70, 12), (4, 3)).tolist():
        for puff in (
            ellipse(x, y, size, size / 3),
            ellipse(x, y + 2, size / 2, size / 3),
        ):
            view.stand(0, _FAR, [(puff, WHITE, SKY)])
    view.flat(box(-400, 1000, 400, 60), _STONE, PAVEMENT)
    for x in range(-80, 80, 6):
        crown = ellipse(0, 1.5, 8, float(rng.uniform(4, 9)))
        view.stand(x, _FAR, [(crown, pick(rng, _LEAVES), TREE)])
    # In bands, so that each fades as far as it is away.
    for far, near in pairwise(_FAR * 0.8**step for step in range(24)):
        view.flat(box(-60, far, 60, near), _STONE, PAVEMENT)
        view.flat(box(-_CURB, far, _CURB, near), _ASPHALT, ROAD)
        for side in (-_CURB, _CURB):
            view.flat(box(side, far, 1.04 * side, near), _KERB)
            view.flat(box(0.92 * side, far, 0.94 * side, near), _AMBER)
    for z in range(int(rng.integers(1, 5)), 80, 6):
        view.flat(box(-0.08, z + 2.5, 0.08, z), WHITE)


def _draw_side(view: _View, rng: Rng, x: float) -> None:
    """Houses along one side, and gardens between them; far ones first."""
    far, number = _FAR + float(rng.uniform(0, 9)), int(rng.integers(4))
    while far > 9:
        near = max(far - float(rng.uniform(7, 15)), 1.5)
        if number % 4:
            _draw_house(view, rng, x, near, far)
        else:
            view.stand(1.25 * x, far - 2, _tree(rng, x))
            view.stand(1.35 * x, near + 2, _tree(rng, x))
            color = pick(rng, _FENCES)
            view.wall(x, box(near, 0, far, 1.7), color, FENCE)
            for z in np.arange(far - 0.4, near, -0.8).tolist():
                view.wall(x, box(z, 0.1, z + 0.12, 1.6), mix(color, BLACK, 0.25))
        far, number = near, number + 1


def _draw_house(view: _View, rng: Rng, x: float, near: float, far: float) -> None:
    ridge, storeys, color = 1.45 * x, int(rng.integers(2, 5)), pick(rng, _WALLS)
    top = 3.0 * storeys + 0.4
    peak = top + 3
    roof = [(x, top, near), (x, top, far), (ridge, peak, far), (ridge, peak, near)]
    view.fill(roof, pick(rng, _ROOFS), BUILDING)
    gable = [(x, 0), (x, top), (ridge, peak), (1.9 * x, top), (1.9 * x, 0)]
    view.stand(0, near, [(gable, mix(color, BLACK, 0.25), BUILDING)])
    view.wall(x, box(near, 0, far, top), mix(color, BLACK, 0.1 * (x > 0)), BUILDING)
    view.wall(x, box(near, top - 0.3, far, top), mix(color, WHITE, 0.5))
    if near > 60:
        return  # windows would be smaller than a pixel
    for z in np.arange(far - 1.9, near + 0.6, -2.4).tolist():
        for floor in range(storeys):
            is_lit = rng.random() < (0.1 if view.light > 0.8 else 0.5)
            window = box(z, 3 * floor + 0.9, z + 1.1, 3 * floor + 2.4)
            view.wall(x, window, _LIT if is_lit else _GLASS)


def _car(rng: Rng, x: float) -> Iterator[Part]:
    """A car, a van or a bus, from behind or, on the other side, from before."""
    sizes = ((0.88, 1.4, 4.0), (0.88, 1.5, 3.6), (0.98, 2.2, 5.0), (1.1, 2.9, 8.0))
    half, top, length = sizes[int(rng.choice(4, p=(0.5, 0.3, 0.15, 0.05)))]
    color, waist = pick(rng, _CARS), 0.6 * top
    dark = mix(color, BLACK, 0.3)
    for side in (half, -half) if x > 0 else (-half, half):  # what is hidden first
        for outline, paint in (
            (box(0, 0.25, length, waist), dark),
            (box(0.1, waist, 0.85 * length, top), dark),
            (box(0.4, waist, 0.75 * length, 0.92 * top), _GLASS),
            (ellipse(0.85 * length, 0.32, 0.32, 0.32), _DARK),
            (ellipse(0.7, 0.32, 0.32, 0.32), _DARK),
        ):
            yield [(side, y, z) for z, y in outline], paint, CAR
    yield box(0.05 - half, 0, half - 0.05, 0.4), _DARK, CAR
    yield box(-half, 0.25, half, waist), color, CAR
    roof = [(-half, waist), (-0.82 * half, top), (0.82 * half, top), (half, waist)]
    yield roof, color, CAR
    yield [(0.85 * a, waist + 0.85 * (b - waist)) for a, b in roof], _GLASS, None
    for lamp in (0.2 - half, half - 0.2):
        lens = box(lamp - 0.15, waist - 0.22, lamp + 0.15, waist - 0.05)
        yield lens, _RED if x > 0 else _LIT, None
    yield box(-0.26, 0.34, 0.26, 0.48), WHITE, None


def _pedestrian(rng: Rng, x: float) -> Iterator[Part]:
    coat, step = pick(rng, _COATS), float(rng.uniform(0.02, 0.2))
    for side in (-1, 1):
        leg = [(0.03, 0.85), (step - 0.08, 0), (0.06 + step, 0), (0.16, 0.85)]
        yield [(side * a, b) for a, b in leg], _JEANS, PEDESTRIAN
        arm = [(0.2, 1.42), (0.3, 0.8), (0.2, 0.78), (0.12, 1.3)]
        yield [(side * a, b) for a, b in arm], mix(coat, BLACK, 0.2), PEDESTRIAN
    yield [(-0.22, 1.45), (0.22, 1.45), (0.18, 0.75), (-0.18, 0.75)], coat, PEDESTRIAN
    yield ellipse(0, 1.6, 0.12, 0.15), _SKIN, PEDESTRIAN


def _bicyclist(rng: Rng, x: float) -> Iterator[Part]:
    """Somebody on a bicycle that crosses the street."""
    coat, ahead = pick(rng, _COATS), 1 if rng.random() < 0.5 else -1
    for outline, color in (
        (ellipse(-0.52, 0.34, 0.34, 0.34), _DARK),
        (ellipse(-0.52, 0.34, 0.27, 0.27), _STEEL),
        (ellipse(0.52, 0.34, 0.34, 0.34), _DARK),
        (ellipse(0.52, 0.34, 0.27, 0.27), _STEEL),
        ([(-0.5, 0.38), (-0.15, 0.85), (0.4, 0.85), (0.55, 0.34), (0, 0.3)], _RED),
        ([(-0.2, 1), (0, 0.95), (0.22, 0.6), (0.06, 0.25), (-0.05, 0.3)], _JEANS),
        ([(-0.28, 0.95), (-0.05, 0.95), (0.24, 1.45), (0, 1.52)], coat),
        ([(0.1, 1.45), (0.2, 1.38), (0.52, 1), (0.44, 0.95)], mix(coat, BLACK, 0.2)),
        (ellipse(0.2, 1.64, 0.13, 0.15), _SKIN),
        ([(0.05, 1.66), (0.1, 1.82), (0.32, 1.8), (0.34, 1.68)], WHITE),
    ):
        yield [(ahead * a, b) for a, b in outline], color, BICYCLIST


def _lamp(rng: Rng, x: float) -> Iterator[Part]:
    arm = -1.5 if x > 0 else 1.5
    yield box(-0.09, 0, 0.09, 6.5), _STEEL, POLE
    yield box(min(arm, 0), 6.4, max(arm, 0), 6.55), _STEEL, POLE
    yield box(arm - 0.4, 6.3, arm + 0.4, 6.5), _LIT, POLE


def _sign(rng: Rng, x: float) -> Iterator[Part]:
    """A traffic light or a traffic sign on its pole."""
    yield box(-0.05, 0, 0.05, 2.4), _STEEL, POLE
    kind = int(rng.integers(4))
    if kind == 0:
        yield box(-0.2, 2.0, 0.2, 3.1), _DARK, SIGN
        for number, color in enumerate((_GREEN, _AMBER, _RED)):
            yield ellipse(0, 2.2 + 0.34 * number, 0.13, 0.13), color, None
    elif kind == 1:
        yield [(0, 3.0), (0.48, 2.2), (-0.48, 2.2)], _RED, SIGN
        yield [(0, 2.8), (0.3, 2.3), (-0.3, 2.3)], WHITE, None
    else:
        yield ellipse(0, 2.6, 0.42, 0.42), _RED if kind == 2 else WHITE, SIGN
        yield ellipse(0, 2.6, 0.32, 0.32), WHITE if kind == 2 else _BLUE, None


def _bin(rng: Rng, x: float) -> Iterator[Part]:
    yield box(-0.32, 0, 0.32, 1.2), pick(rng, _BINS), VOID


def _tree(rng: Rng, x: float) -> Iterator[Part]:
    tall, color = float(rng.uniform(4.5, 7)), pick(rng, _LEAVES)
    yield box(-0.15, 0, 0.15, 0.6 * tall), _TRUNK, TREE
    for number in range(4):
        dx, dy = (rng.uniform(-0.14, 0.14, 2) * tall).tolist()
        size = (0.26 - 0.03 * number) * tall
        crown = ellipse(dx, 0.72 * tall + dy, size, 0.9 * size)
        yield crown, mix(_SHADE, color, 0.7 + 0.1 * number), TREE


_ROWS = (
    (_car, 11, 16, 50, 1.8, 1.8),
    (_car, 9, 8, 30, _CURB - 1.1, _CURB - 1.1),
    (_pedestrian, 6, 3, 18, _CURB + 0.9, _FRONT - 1.0),
    (_bicyclist, 9, 30, 80, 0.3, 2.8),
    (_lamp, 8, 18, 30, _CURB + 0.5, _CURB + 0.5),
    (_sign, 7, 20, 60, _CURB + 0.8, _CURB + 0.8),
    (_tree, 14, 16, 60, _CURB + 0.6, _CURB + 0.6),
    (_bin, 5, 14, 50, _CURB + 1.2, _CURB + 1.8),
)
"""What stands along each side: how near the first may be, the least and the greatest
way to the next, and between which x."""
