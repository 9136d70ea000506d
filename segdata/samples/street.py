"""Draws street scenes as a car's camera sees them, with an exact label map.

A scene is a small world in metres: a street with two sides, things that stand along it
and traffic on it. All of it is drawn back to front through a pinhole camera, every
shape into the image and the label map at once.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from segdata.samples.street_canvas import SUPERSAMPLING, VOID, Camera, Canvas
from segdata.samples.street_finish import finish
from segdata.samples.street_light import draw_light, draw_sky
from segdata.samples.street_models import choose_model
from segdata.samples.street_objects import (
    draw_bin,
    draw_bollard,
    draw_lamp,
    draw_pole,
    draw_sign,
    draw_traffic_light,
    draw_tree,
)
from segdata.samples.street_people import draw_cyclist, draw_pedestrian
from segdata.samples.street_plan import (
    CENTRE,
    Drawing,
    Plan,
    Side,
    draw_backdrop,
    draw_ground,
    draw_marks,
    draw_plan,
    plots,
)
from segdata.samples.street_vehicles import draw_vehicle


def draw_street_scene(
    rng: np.random.Generator, height: int = 360, width: int = 480
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws one street scene.

    Args:
      rng: Source of everything that varies: the same state gives the same scene.
      height: Rows of the image, at least 16.
      width: Columns of the image, at least 16.

    Returns:
      Image, uint8 `[height, width, 3]`, RGB, and label map, uint8 `[height, width]`,
      with the class ids of CamVid: 0 sky, 1 building, 2 pole, 3 road, 4 pavement,
      5 tree, 6 sign_symbol, 7 fence, 8 car, 9 pedestrian, 10 bicyclist, 11 void.
    """
    light = draw_light(rng)
    camera = _place_camera(rng, height, width)
    row = camera.horizon / SUPERSAMPLING
    canvas = Canvas(camera, light, draw_sky(rng, light, height, width, row))
    plan = draw_plan(rng)
    draw_backdrop(canvas, rng)
    draw_ground(canvas, plan)
    draw_marks(canvas, rng, plan)
    for side in (plan.left, plan.right):
        _paint(plots(canvas, rng, side))
    _paint(_traffic(canvas, rng, plan) + _walkers(canvas, rng, plan))
    if rng.random() < 0.4:
        _draw_bonnet(canvas, rng)
    return finish(canvas, rng)


def _place_camera(rng: np.random.Generator, height: int, width: int) -> Camera:
    columns, rows = width * SUPERSAMPLING, height * SUPERSAMPLING
    return Camera(
        width=columns,
        height=rows,
        focal=float(rng.uniform(0.85, 1.05)) * columns,
        center=float(rng.uniform(0.4, 0.6)) * columns,
        horizon=float(rng.uniform(0.42, 0.54)) * rows,
        eye=float(rng.uniform(1.3, 1.6)),
        bend=float(np.clip(rng.normal(0, 0.0004), -0.0008, 0.0008)),
    )


def _paint(drawings: list[Drawing]) -> None:
    for _, draw in sorted(drawings, key=lambda drawing: -drawing[0]):
        draw()


def _traffic(canvas: Canvas, rng: np.random.Generator, plan: Plan) -> list[Drawing]:
    """Places parked cars, cars ahead, oncoming cars and cyclists on the road."""
    items: list[Drawing] = []
    for side in (plan.left, plan.right):
        if side.parked:
            items += _parked(canvas, rng, side)
    lanes = ((0.0, False, 0.5), (2 * plan.centre, True, 0.6))
    for x, oncoming, chance in lanes:
        z = float(rng.uniform(6.5, 30))
        while z < 100 and rng.random() < chance:
            model = choose_model(rng, bus=0.1)
            at = x + float(rng.normal(0, 0.12))
            draw = partial(draw_vehicle, canvas, rng, model, at, z, oncoming=oncoming)
            items.append((z, draw))
            z += model.length + float(rng.uniform(4, 30))
    return items + _cyclists(canvas, rng, plan)


def _parked(canvas: Canvas, rng: np.random.Generator, side: Side) -> list[Drawing]:
    items: list[Drawing] = []
    z = float(rng.uniform(2.5, 9))
    while z < 90:
        model = choose_model(rng)
        if rng.random() < 0.72 and side.is_free(z - 2, z + model.length + 2):
            x = side.sign * (side.curb - 0.2 - model.width / 2)
            oncoming = (side.sign > 0) != (rng.random() < 0.2)
            draw = partial(draw_vehicle, canvas, rng, model, x, z, oncoming=oncoming)
            items.append((z, draw))
        z += model.length + float(rng.uniform(0.8, 2.5))
    return items


def _cyclists(canvas: Canvas, rng: np.random.Generator, plan: Plan) -> list[Drawing]:
    items: list[Drawing] = []
    for _ in range(int(rng.poisson(0.7))):
        z = 6.0 + 30.0 * float(rng.random()) ** 1.5
        crossing = bool(rng.random() < 0.3)
        # Between the lane and what is parked at the curb, or across the street.
        x = -plan.centre + float(rng.uniform(-0.1, 0.3))
        if crossing:
            x = float(rng.uniform(-plan.centre, 3 * plan.centre))
        draw = partial(draw_cyclist, canvas, rng, x, z, crossing=crossing)
        items.append((z, draw))
    return items


def _walkers(canvas: Canvas, rng: np.random.Generator, plan: Plan) -> list[Drawing]:
    """Places people, trees and street furniture on the pavements."""
    items: list[Drawing] = []
    lamp_side = plan.left if rng.random() < 0.5 else plan.right
    for side in (plan.left, plan.right):
        items += _furniture(canvas, rng, side, lamps=side is lamp_side)
        for _ in range(int(rng.poisson(2.6 if side.kind == CENTRE else 1.2))):
            z = 6.0 + 40.0 * float(rng.random()) ** 1.4
            x = side.sign * float(rng.uniform(side.curb + 0.5, side.front - 0.5))
            items.append((z, partial(draw_pedestrian, canvas, rng, x, z)))
    if rng.random() < 0.22:
        z = float(rng.uniform(8, 24))
        x = float(rng.uniform(-plan.centre, 3 * plan.centre))
        items.append((z, partial(draw_pedestrian, canvas, rng, x, z)))
    return items


def _furniture(
    canvas: Canvas, rng: np.random.Generator, side: Side, *, lamps: bool
) -> list[Drawing]:
    items: list[Drawing] = []
    edge = side.sign * (side.curb + 0.45)
    trees = bool(rng.random() < 0.35)
    step, z = float(rng.uniform(11, 17)), float(rng.uniform(5, 12))
    while z < 110:
        if not side.is_free(z, z):
            z += 3.0
            continue
        if lamps:
            arm = -side.sign * 1.6
            items.append((z, partial(draw_lamp, canvas, rng, edge, z, arm)))
        elif rng.random() < 0.2:
            items.append((z, partial(draw_pole, canvas, rng, edge, z)))
        if trees and side.is_free(z + step / 2, z + step / 2) and z > 8:
            size, at = float(rng.uniform(5, 8.5)), z + step / 2
            items.append((at, partial(draw_tree, canvas, rng, edge, at, size)))
        z += step * (2 if lamps else 1)
    # Signs stand behind the lamps, so that no lamp post hides them for good.
    return items + _small_things(canvas, rng, side, edge + side.sign * 0.4)


def _small_things(
    canvas: Canvas, rng: np.random.Generator, side: Side, edge: float
) -> list[Drawing]:
    items: list[Drawing] = []
    for draw, mean in ((draw_sign, 1.0), (draw_traffic_light, 0.35), (draw_bin, 0.6)):
        for _ in range(int(rng.poisson(mean))):
            z = 7.0 + 38.0 * float(rng.random()) ** 1.3
            if side.is_free(z, z):
                items.append((z, partial(draw, canvas, rng, edge, z)))
    if rng.random() < 0.15:
        start = float(rng.uniform(6, 16))
        for z in np.arange(start, start + 10, 2.0).tolist():
            if side.is_free(z, z):
                items.append((z, partial(draw_bollard, canvas, edge, z)))
    return items


def _draw_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draws the camera's own car along the bottom edge, which CamVid leaves void."""
    wide, high = canvas.camera.width, canvas.camera.height
    rise, lean = float(rng.uniform(0.02, 0.07)), float(rng.uniform(-0.04, 0.04))
    share = np.linspace(0, 1, 25)
    arc = rise * (1 - (2 * share - 1) ** 4) + lean * (share - 0.5)
    tops = high * (1 - arc)
    rim = list(zip((wide * share).tolist(), tops.tolist(), strict=True))
    paint = canvas.light.seen((34, 36, 40), 1.0)
    shine = canvas.light.seen((92, 98, 106), 1.0)
    corners = [(float(wide), float(high)), (0.0, float(high))]
    canvas.flat([*rim, *corners], paint, VOID)
    lower = [(x, y + 0.008 * high) for x, y in reversed(rim)]
    canvas.flat([*rim, *lower], shine, None)
