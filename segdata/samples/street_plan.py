"""Where things stand in a street: widths, plots along its sides, side streets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from segdata.samples.street_buildings import Plot, draw_building, draw_fence, draw_hedge
from segdata.samples.street_canvas import BUILDING, PAVEMENT, ROAD, TREE, Canvas
from segdata.samples.street_light import Color, vary
from segdata.samples.street_objects import draw_bush, draw_tree

Drawing = tuple[float, Callable[[], None]]
"""A distance in metres and what is drawn there: the farthest is drawn first."""

NEAR, FAR = 1.2, 170.0
CENTRE, HOUSES, PARK = "centre", "houses", "park"


@dataclass(frozen=True)
class Side:
    """One side of the street; distances are in metres from the camera's path.

    Attributes:
      sign: -1 left, 1 right.
      curb: Where the road ends and the pavement starts.
      front: Where the pavement ends and the plots start.
      kind: `centre` (closed rows), `houses` (with gardens) or `park`.
      crossing: Start and end of a side street ahead, if there is one.
      parked: Whether cars stand at the curb.
    """

    sign: int
    curb: float
    front: float
    kind: str
    crossing: tuple[float, float] | None
    parked: bool

    def is_free(self, near: float, far: float) -> bool:
        """Whether no side street opens between two distances ahead."""
        if self.crossing is None:
            return True
        return far < self.crossing[0] - 1 or near > self.crossing[1] + 1


@dataclass(frozen=True)
class Plan:
    """The street as a whole.

    Attributes:
      left: Its left side, the one the camera drives on.
      right: Its right side.
      centre: Where the centre line is.
      asphalt: Colour of the road.
      paving: Colour of the pavements.
    """

    left: Side
    right: Side
    centre: float
    asphalt: Color
    paving: Color


def draw_plan(rng: np.random.Generator) -> Plan:
    """Invents a street: traffic keeps left, as in Cambridge, where CamVid is from."""
    lane = float(rng.uniform(2.9, 3.6))
    kinds = (CENTRE, CENTRE, CENTRE, HOUSES, HOUSES, PARK)
    town = kinds[int(rng.integers(len(kinds)))]
    sides = []
    for sign, road in ((-1, 0.5 * lane), (1, 1.5 * lane)):
        kind = town if rng.random() < 0.65 else kinds[int(rng.integers(len(kinds)))]
        parked = bool(rng.random() < 0.45)
        curb = road + (2.2 if parked else 0.5)
        walk = float(rng.uniform(1.8, 3.4))
        start = float(rng.uniform(12, 60))
        crossing = (start, start + 8.0) if rng.random() < 0.35 else None
        sides.append(Side(sign, curb, curb + walk, kind, crossing, parked))
    grey = float(rng.uniform(84, 118))
    return Plan(
        left=sides[0],
        right=sides[1],
        centre=0.5 * lane,
        asphalt=vary(rng, (grey, grey, grey + 3), 3),
        paving=vary(rng, (156, 150, 142), 10),
    )


def draw_ground(canvas: Canvas, plan: Plan) -> None:
    """Draws lawns, pavements, curbs, the road and its side streets."""
    for side in (plan.left, plan.right):
        sign, curb, front = side.sign, side.curb, side.front
        outer = sign * 90.0
        soil, soil_id = plan.paving, PAVEMENT
        if side.kind != CENTRE:
            soil, soil_id = (92, 112, 60), TREE
        canvas.ground(sign * front, outer, NEAR, FAR, soil, soil_id)
        canvas.ground(sign * curb, sign * front, NEAR, FAR, plan.paving, PAVEMENT)
    canvas.ground(-plan.left.curb, plan.right.curb, NEAR, FAR, plan.asphalt, ROAD)
    for side in (plan.left, plan.right):
        edge = side.sign * side.curb
        stone = (172, 168, 160)
        canvas.ground(edge, edge + side.sign * 0.16, NEAR, FAR, stone, PAVEMENT)
        if side.crossing is not None:
            near, far = side.crossing
            canvas.ground(edge, side.sign * 90.0, near, far, plan.asphalt, ROAD)


def draw_marks(canvas: Canvas, rng: np.random.Generator, plan: Plan) -> None:
    """Paints lane marks, yellow lines at the curb, zebra crossings and stop lines."""
    white, yellow = vary(rng, (214, 214, 208), 8), (196, 164, 70)
    dash, gap = (2.0, 4.0) if rng.random() < 0.6 else (4.0, 2.0)
    z = float(rng.uniform(1.5, 5.0))
    while z < 110:
        canvas.ground(plan.centre - 0.06, plan.centre + 0.06, z, z + dash, white, ROAD)
        z += dash + gap
    for side in (plan.left, plan.right):
        for offset in () if side.parked else (0.25, 0.45):
            x = side.sign * (side.curb - offset)
            canvas.ground(x - 0.04, x + 0.04, NEAR, 90, yellow, ROAD)
        if side.crossing is not None:
            near, far = side.crossing
            x = side.sign * side.curb
            canvas.ground(x, x + side.sign * 0.3, near, far, plan.asphalt, ROAD)
            for line in np.arange(near + 0.5, far - 0.6, 1.2).tolist():
                canvas.ground(x - 0.06, x + 0.06, line, line + 0.6, white, ROAD)
    if rng.random() < 0.25:
        _paint_zebra(canvas, plan, float(rng.uniform(7, 28)), white)


def _paint_zebra(canvas: Canvas, plan: Plan, z: float, white: Color) -> None:
    x, end = -plan.left.curb + 0.3, plan.right.curb - 0.7
    while x < end:
        canvas.ground(x, x + 0.55, z, z + 2.8, white, ROAD)
        x += 1.1
    canvas.ground(-plan.left.curb + 0.2, plan.centre, z - 2.0, z - 1.7, white, ROAD)


def draw_backdrop(canvas: Canvas, rng: np.random.Generator) -> None:
    """Closes the view: far roofs and trees along the horizon."""
    for z in (240.0, 200.0):
        x = -150.0
        while x < 150:
            width = float(rng.uniform(8, 18))
            shift = x - canvas.camera.bend * (z * z - 150 * 150)
            if rng.random() < 0.55:
                high = float(rng.uniform(6, 13))
                quad = [(shift, 0.0, z), (shift, high, z), (shift + width, high, z)]
                color = vary(rng, (140, 116, 100), 16)
                canvas.fill([*quad, (shift + width, 0.0, z)], color, BUILDING)
            else:
                draw_bush(canvas, rng, shift + width / 2, z, float(rng.uniform(8, 15)))
            x += width


def plots(canvas: Canvas, rng: np.random.Generator, side: Side) -> list[Drawing]:
    """Lays out buildings, gardens and fences along one side, the nearest first."""
    drawings: list[Drawing] = []
    storeys = int(rng.integers(2, 5))
    z = NEAR + 0.3
    while z < FAR:
        length = float(rng.uniform(7, 16))
        if side.crossing and z < side.crossing[1] and z + length > side.crossing[0]:
            length = side.crossing[0] - z
            if length > 3:
                drawings += _plot(canvas, rng, side, (z, z + length), storeys)
            z = side.crossing[1]
            continue
        drawings += _plot(canvas, rng, side, (z, z + length), storeys)
        z += length
    return drawings


def _plot(
    canvas: Canvas,
    rng: np.random.Generator,
    side: Side,
    along: tuple[float, float],
    storeys: int,
) -> list[Drawing]:
    near, far = along
    if side.kind == PARK or (side.kind == HOUSES and rng.random() < 0.15):
        return _garden(canvas, rng, side, along, 5.0) + _border(
            canvas, rng, side, along
        )
    rise = int(rng.integers(-1, 2))
    if side.kind == CENTRE:
        shop = bool(rng.random() < 0.5)
        plot = Plot(
            side.sign,
            side.front,
            near,
            far,
            max(2, storeys + rise),
            bool(rng.random() < 0.5),
            shop,
        )
        _shade(canvas, plot)
        return [(near, partial(draw_building, canvas, rng, plot))]
    yard = float(rng.uniform(2.5, 5.0))
    house = Plot(
        side.sign, side.front + yard, near, far - 1.5, 2 + (rise > 0), True, False
    )
    _shade(canvas, house)
    items: list[Drawing] = [(near + 1.0, partial(draw_building, canvas, rng, house))]
    if rng.random() < 0.5:
        x = side.sign * (side.front + 1.6)
        size = float(rng.uniform(1.2, 2.2))
        items.append((near + 0.9, partial(draw_bush, canvas, rng, x, near + 2.5, size)))
    return items + _border(canvas, rng, side, along)


def _shade(canvas: Canvas, plot: Plot) -> None:
    if plot.side != canvas.light.sun or canvas.light.shadow < 0.3:
        return
    x, reach = plot.side * plot.front, plot.side * 0.8 * plot.height
    near, far = [(x, 0.0, plot.near), (x - reach, 0.0, plot.near + 1)], plot.far
    canvas.cast([*near, (x - reach, 0.0, far + 1), (x, 0.0, far)], 0.0)


def _border(
    canvas: Canvas, rng: np.random.Generator, side: Side, along: tuple[float, float]
) -> list[Drawing]:
    """A fence or a hedge between pavement and plot; its near end is left open."""
    near, far = along
    x, choice = side.sign * side.front, rng.random()
    if choice < 0.5:
        return [(near + 0.5, partial(draw_fence, canvas, rng, x, near, far - 1.0))]
    if choice < 0.8:
        return [(near + 0.5, partial(draw_hedge, canvas, rng, x, near, far - 1.0))]
    return []


def _garden(
    canvas: Canvas,
    rng: np.random.Generator,
    side: Side,
    along: tuple[float, float],
    every: float,
) -> list[Drawing]:
    items: list[Drawing] = []
    for z in np.arange(along[0] + 2, along[1], every).tolist():
        for depth in (rng.uniform(2, 4), rng.uniform(7, 12), rng.uniform(14, 30)):
            x = side.sign * (side.front + float(depth))
            size, at = float(rng.uniform(5, 11)), z + float(rng.uniform(0, 3))
            if at < 4 or (at > 60 and rng.random() < 0.6):  # far rows hide each other
                continue
            items.append((at, partial(draw_tree, canvas, rng, x, at, size)))
    return items
