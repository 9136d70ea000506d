"""People on foot and on bicycles, built of limbs on an upright plane."""

from __future__ import annotations

import math

import numpy as np

from segdata.samples.street_canvas import BICYCLIST, PEDESTRIAN, Billboard, Canvas
from segdata.samples.street_light import Color, scale, vary

_CLOTHES: tuple[Color, ...] = (
    (44, 46, 54),
    (34, 44, 78),
    (120, 34, 40),
    (176, 170, 160),
    (72, 84, 62),
    (204, 196, 184),
    (150, 110, 70),
    (88, 60, 96),
)
_TROUSERS: tuple[Color, ...] = (
    (40, 48, 72),
    (34, 34, 38),
    (96, 88, 74),
    (66, 78, 104),
)
_SKINS: tuple[Color, ...] = ((226, 180, 150), (196, 146, 112), (122, 84, 62))
_HAIR: tuple[Color, ...] = ((38, 28, 22), (92, 64, 40), (170, 140, 92), (120, 118, 114))
_SHOES: Color = (28, 26, 26)


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return vary(rng, colors[int(rng.integers(len(colors)))], 6)


def draw_pedestrian(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float
) -> None:
    """Draws a person who walks or stands, feet on the ground at (x, z)."""
    board = Billboard(canvas, x, z)
    tall = float(rng.uniform(1.58, 1.9)) * (0.68 if rng.random() < 0.1 else 1.0)
    stride = float(rng.uniform(0.0, 0.11)) * tall
    top, trousers = _pick(rng, _CLOTHES), _pick(rng, _TROUSERS)
    canvas.cast_oval(x - canvas.light.sun * 0.25, z, 0.4, 0.25 + canvas.light.shadow)
    _draw_legs(board, tall, stride, trousers)
    coat = rng.random() < 0.35
    hem = 0.36 if coat else 0.47
    _draw_arm(board, tall, -1, -stride, scale(top, 0.72))
    body = [(-0.1, hem), (-0.115, 0.66), (-0.125, 0.79), (-0.05, 0.85)]
    outline = body + [(-a, y) for a, y in reversed(body)]
    board.polygon([(tall * a, tall * y) for a, y in outline], top, PEDESTRIAN)
    dark = [(-0.03, hem), (-0.04, 0.82), (-0.12, 0.78), (-0.1, hem)]
    away = -canvas.light.sun  # the side turned from the sun is darker
    shaded = [(-away * tall * a, tall * y) for a, y in dark]
    board.polygon(shaded, scale(top, 0.76), PEDESTRIAN)
    _draw_arm(board, tall, 1, stride, scale(top, 0.88))
    _draw_head(board, rng, (0.0, 0.92 * tall), 0.066 * tall, PEDESTRIAN)
    if rng.random() < 0.35:
        bag, side = (
            _pick(rng, _CLOTHES),
            (-1 if rng.random() < 0.5 else 1) * 0.17 * tall,
        )
        board.box(side - 0.11, 0.3 * tall, side + 0.11, 0.47 * tall, bag, PEDESTRIAN)


def _draw_legs(board: Billboard, tall: float, stride: float, color: Color) -> None:
    for side, tone in ((-1, 0.72), (1, 1.0)):
        hip, foot = (side * 0.04 * tall, 0.5 * tall), (side * (stride + 0.05 * tall))
        knee = (0.5 * (hip[0] + foot) + 0.02, 0.27 * tall)
        shade = scale(color, tone)
        thick = 0.1 * tall
        board.limb(hip, knee, (thick, thick * 0.8), shade, PEDESTRIAN)
        board.limb(
            knee, (foot, 0.03 * tall), (thick * 0.8, thick * 0.6), shade, PEDESTRIAN
        )
        board.box(foot - 0.06, 0.0, foot + 0.1, 0.045 * tall, _SHOES, PEDESTRIAN)


def _draw_arm(
    board: Billboard, tall: float, side: int, swing: float, color: Color
) -> None:
    shoulder = (side * 0.12 * tall, 0.79 * tall)
    elbow = (side * 0.145 * tall + 0.3 * swing, 0.63 * tall)
    hand = (side * 0.14 * tall + 0.6 * swing, 0.49 * tall)
    thick = 0.055 * tall
    board.limb(shoulder, elbow, (thick * 1.2, thick), color, PEDESTRIAN)
    board.limb(elbow, hand, (thick, thick * 0.8), color, PEDESTRIAN)
    board.oval(hand, (thick * 0.5, thick * 0.55), _SKINS[1], PEDESTRIAN)


def _draw_head(
    board: Billboard,
    rng: np.random.Generator,
    center: tuple[float, float],
    radius: float,
    class_id: int,
    *,
    helmet: bool = False,
) -> None:
    x, y = center
    skin, hair = _pick(rng, _SKINS), _pick(rng, _HAIR)
    neck = 0.5 * radius
    board.box(x - neck, y - 1.5 * radius, x + neck, y, scale(skin, 0.8), class_id)
    board.oval(center, (0.78 * radius, radius), skin, class_id)
    if helmet:
        hair = vary(rng, (214, 214, 210) if rng.random() < 0.5 else (60, 90, 160))
    # Seen from behind, the hair covers the face.
    drop = 0.5 if rng.random() < 0.5 else 0.05
    cap = (0.86 * radius, (1.02 - drop) * radius)
    board.oval((x, y + drop * radius), cap, hair, class_id)


def draw_cyclist(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, crossing: bool
) -> None:
    """Draws a person on a bicycle.

    Args:
      canvas: Where to draw.
      rng: Chooses the clothes.
      x: Metres from the camera's path.
      z: Metres ahead.
      crossing: Whether the bicycle is seen from its side rather than from behind.
    """
    board = Billboard(canvas, x, z)
    canvas.cast_oval(x - canvas.light.sun * 0.2, z, 0.5, 0.25 + canvas.light.shadow)
    if crossing:
        _draw_crossing(board, rng)
    else:
        _draw_ahead(board, rng)


def _draw_ahead(board: Billboard, rng: np.random.Generator) -> None:
    top, trousers = _rider_top(rng), _pick(rng, _TROUSERS)
    board.oval((0, 0.34), (0.05, 0.34), (24, 24, 26), BICYCLIST)
    board.limb((0, 0.3), (0, 0.95), (0.05, 0.05), (60, 62, 70), BICYCLIST)
    board.limb((-0.28, 1.04), (0.28, 1.04), (0.05, 0.05), (40, 40, 44), BICYCLIST)
    for side, knee, foot in ((-1, 0.66, 0.2), (1, 0.82, 0.44)):
        hip, pedal = (side * 0.1, 0.98), (side * 0.13, foot)
        joint = (side * 0.17, knee)
        board.limb(hip, joint, (0.2, 0.16), trousers, BICYCLIST)
        board.limb(joint, pedal, (0.15, 0.1), scale(trousers, 0.85), BICYCLIST)
        foot_box = (pedal[0] - 0.06, foot - 0.08, pedal[0] + 0.06, foot + 0.04)
        board.box(*foot_box, _SHOES, BICYCLIST)
        arm = scale(top, 0.82)
        board.limb((side * 0.2, 1.44), (side * 0.3, 1.2), (0.13, 0.1), arm, BICYCLIST)
        board.limb((side * 0.3, 1.2), (side * 0.26, 1.04), (0.1, 0.08), arm, BICYCLIST)
    half = [(-0.17, 0.92), (-0.18, 1.2), (-0.23, 1.42), (-0.1, 1.52)]
    board.polygon(half + [(-a, y) for a, y in reversed(half)], top, BICYCLIST)
    if rng.random() < 0.4:
        board.box(-0.14, 1.08, 0.14, 1.44, _pick(rng, _CLOTHES), BICYCLIST)
    board.oval((0, 0.72), (0.045, 0.045), (220, 30, 30), BICYCLIST, glow=True)
    _draw_head(board, rng, (0, 1.64), 0.13, BICYCLIST, helmet=rng.random() < 0.6)


def _draw_crossing(board: Billboard, rng: np.random.Generator) -> None:
    way = -1 if rng.random() < 0.5 else 1
    top, trousers = _rider_top(rng), _pick(rng, _TROUSERS)
    frame = _pick(rng, _CLOTHES)
    for hub in (-0.52, 0.52):
        board.ring((way * hub, 0.34), (0.34, 0.34), (24, 24, 26), BICYCLIST, 0.05)
        for spoke in range(3):
            a = math.pi * (spoke / 3 + 0.1)
            dx, dy = 0.32 * math.cos(a), 0.32 * math.sin(a)
            start, end = (way * hub - dx, 0.34 - dy), (way * hub + dx, 0.34 + dy)
            board.limb(start, end, (0.01, 0.01), (120, 120, 122), BICYCLIST)
    bars = (
        ((-0.52, 0.34), (-0.16, 0.84)),
        ((-0.52, 0.34), (0.0, 0.3)),
        ((0.0, 0.3), (-0.2, 0.94)),
        ((0.0, 0.3), (0.38, 0.86)),
        ((-0.16, 0.84), (0.38, 0.86)),
        ((0.52, 0.34), (0.36, 1.02)),
    )
    for (x0, y0), (x1, y1) in bars:
        board.limb((way * x0, y0), (way * x1, y1), (0.045, 0.045), frame, BICYCLIST)
    for knee, foot, tone in (
        ((0.24, 0.72), (0.1, 0.42), 0.7),
        ((0.2, 0.6), (-0.02, 0.16), 1),
    ):
        joint, sole, shade = (way * knee[0], knee[1]), (way * foot[0], foot[1]), tone
        color = scale(trousers, shade)
        board.limb((way * -0.2, 0.98), joint, (0.19, 0.15), color, BICYCLIST)
        board.limb(joint, sole, (0.14, 0.09), color, BICYCLIST)
        board.box(
            sole[0] - 0.1, sole[1] - 0.08, sole[0] + 0.1, sole[1], _SHOES, BICYCLIST
        )
    back = [(-0.34, 0.96), (-0.26, 1.24), (-0.04, 1.48), (0.1, 1.44), (0.02, 1.2)]
    outline = [*back, (-0.06, 0.94)]
    board.polygon([(way * a, y) for a, y in outline], top, BICYCLIST)
    arm = scale(top, 0.82)
    board.limb((way * 0.03, 1.4), (way * 0.36, 1.06), (0.12, 0.08), arm, BICYCLIST)
    _draw_head(
        board, rng, (way * 0.12, 1.62), 0.13, BICYCLIST, helmet=rng.random() < 0.6
    )


def _rider_top(rng: np.random.Generator) -> Color:
    # Some riders wear a safety vest.
    return (206, 222, 40) if rng.random() < 0.3 else _pick(rng, _CLOTHES)
