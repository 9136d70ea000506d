"""Street furniture and trees: lamps, poles, signs, traffic lights, bins, bollards."""

from __future__ import annotations

import math

import numpy as np

from segdata.samples.street_canvas import POLE, SIGN, TREE, VOID, Billboard, Canvas
from segdata.samples.street_light import Color, scale, vary

_LEAVES: tuple[Color, ...] = (
    (74, 98, 46),
    (88, 108, 52),
    (58, 84, 48),
    (112, 112, 56),
    (146, 112, 52),
)
_METALS: tuple[Color, ...] = ((106, 110, 112), (64, 70, 72), (140, 142, 140))
_WHITE: Color = (238, 238, 236)
_RED: Color = (190, 28, 34)
_BLUE: Color = (30, 74, 150)


def draw_tree(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, size: float
) -> None:
    """Draws a tree with a crown of leaf clumps, lit from the sun's side.

    Args:
      canvas: Where to draw.
      rng: Chooses shape and season.
      x: Metres from the camera's path.
      z: Metres ahead.
      size: Height in metres.
    """
    board = Billboard(canvas, x, z)
    leaves = vary(rng, _LEAVES[int(rng.integers(len(_LEAVES)))], 8)
    bark = vary(rng, (84, 70, 56), 6)
    girth, fork = 0.045 * size, float(rng.uniform(0.28, 0.4)) * size
    lean = float(rng.normal(0, 0.03)) * size
    canvas.cast_oval(x - canvas.light.sun * 0.2 * size, z, 0.3 * size, _dim(canvas))
    board.limb((0, 0), (lean, fork * 1.5), (girth, girth * 0.6), bark, TREE)
    light = (girth * 0.25 * canvas.light.sun, 0.0)
    board.limb(light, (lean, fork * 1.4), (girth * 0.3, 0.0), scale(bark, 1.3), TREE)
    for side in (-1, 1):
        tip = (lean + side * 0.17 * size, 0.7 * size)
        board.limb((lean, fork), tip, (girth * 0.5, girth * 0.2), bark, TREE)
    draw_crown(board, rng, (lean, 0.64 * size), (0.3 * size, 0.36 * size), leaves)


def draw_crown(
    board: Billboard,
    rng: np.random.Generator,
    center: tuple[float, float],
    radii: tuple[float, float],
    color: Color,
) -> None:
    """Draws clumps of leaves within an ellipse: dark ones first, lit ones last.

    Args:
      board: Plane of the tree.
      rng: Places the clumps.
      center: Middle of the crown, in metres.
      radii: Its half width and half height.
      color: Colour of its leaves in full light.
    """
    middle, unit = board.at(*center), board.pixels_per_metre
    if not -unit * radii[0] < middle[0] < board.canvas.camera.width + unit * radii[0]:
        return
    count = int(np.clip(unit * radii[0] * 0.65, 8, 110))
    # Clumps shrink, brighten and turn to the sun as they come forward.
    front = np.arange(count) / count
    spread, angle = np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count)
    dx, dy = 0.76 * spread * np.cos(angle), 0.76 * spread * np.sin(angle)
    radius = (0.42 - 0.27 * front) * rng.uniform(0.7, 1.2, count)
    steps = np.linspace(0, 2 * np.pi, 13, endpoint=False)
    edge = radius[:, None] * rng.uniform(0.66, 1.22, (count, steps.size))
    xs = middle[0] + unit * radii[0] * (dx[:, None] + edge * np.cos(steps))
    ys = middle[1] - unit * radii[1] * (dy[:, None] + edge * np.sin(steps))
    tones = 0.5 + 0.3 * front + 0.24 * dy + rng.normal(0, 0.06, count)
    tones += 0.15 * dx * board.canvas.light.sun * front
    outlines = np.stack([xs, ys], axis=2).reshape(count, -1).tolist()
    for outline, tone in zip(outlines, tones.tolist(), strict=True):
        seen = board.canvas.light.seen(scale(color, tone), board.depth)
        points = list(zip(outline[::2], outline[1::2], strict=True))
        board.canvas.flat(points, seen, TREE)


def draw_bush(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, size: float
) -> None:
    """Draws a bush of `size` metres that stands on the ground."""
    board = Billboard(canvas, x, z)
    leaves = vary(rng, _LEAVES[int(rng.integers(len(_LEAVES)))], 8)
    board.box(-0.5 * size, 0.0, 0.5 * size, 0.35 * size, scale(leaves, 0.5), TREE)
    draw_crown(board, rng, (0.0, 0.45 * size), (0.62 * size, 0.42 * size), leaves)


def draw_lamp(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, arm: float
) -> None:
    """Draws a street lamp; `arm` is the reach of its head, negative to the left."""
    board = Billboard(canvas, x, z)
    metal, height = _metal(rng), float(rng.uniform(6.0, 9.0))
    _draw_post(board, height, 0.17, metal)
    board.limb((0, height), (0.6 * arm, height + 0.35), (0.1, 0.08), metal, POLE)
    board.limb(
        (0.6 * arm, height + 0.35), (arm, height + 0.4), (0.09, 0.09), metal, POLE
    )
    low, high = sorted((arm, arm + math.copysign(0.55, arm)))
    board.box(low, height + 0.3, high, height + 0.5, scale(metal, 0.8), POLE)
    if canvas.light.lamps:
        points = [(low, height + 0.24), (high, height + 0.24), (high, height + 0.36)]
        glow = [*points, (low, height + 0.36)]
        board.polygon(glow, (255, 226, 160), POLE, glow=True)


def draw_pole(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draws a wooden telegraph pole with a crossbar, or a plain mast."""
    board, height = Billboard(canvas, x, z), float(rng.uniform(5.0, 8.0))
    if rng.random() < 0.5:
        _draw_post(board, height, 0.16, _metal(rng))
        return
    wood = vary(rng, (96, 78, 62), 6)
    _draw_post(board, height, 0.24, wood)
    board.limb((-0.8, height - 0.5), (0.8, height - 0.5), (0.12, 0.12), wood, POLE)


def draw_bollard(canvas: Canvas, x: float, z: float) -> None:
    """Draws a bollard with a reflecting ring."""
    board = Billboard(canvas, x, z)
    canvas.cast_oval(x, z, 0.2, 0.4)
    board.box(-0.09, 0.0, 0.09, 1.0, (44, 46, 48), POLE)
    board.oval((0, 1.0), (0.09, 0.06), (60, 62, 64), POLE)
    board.box(-0.09, 0.78, 0.09, 0.88, _WHITE, None)


def draw_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draws a traffic sign on its post: a disc, a triangle, or a direction board."""
    board, kind = Billboard(canvas, x, z), rng.random()
    height = float(rng.uniform(2.1, 2.7))
    _draw_post(board, height + 0.3, 0.09, _metal(rng))
    if kind < 0.4:
        _draw_disc(board, rng, height)
    elif kind < 0.7:
        for size, color in ((0.44, _RED), (0.27, _WHITE)):
            base = height - 0.55 * size
            corners = [(-size, base), (size, base), (0.0, base + 1.73 * size)]
            board.polygon(corners, color, SIGN)
        board.box(-0.035, height - 0.08, 0.035, height + 0.2, (30, 30, 32), None)
    else:
        _draw_direction_board(board, rng, height)


def _draw_disc(board: Billboard, rng: np.random.Generator, height: float) -> None:
    """Draws a speed limit or, in blue, the order to go straight on."""
    limit = rng.random() < 0.6
    board.oval((0, height), (0.36, 0.36), _RED if limit else _WHITE, SIGN)
    board.oval((0, height), (0.28, 0.28), _WHITE if limit else _BLUE, SIGN)
    if limit:
        ink = (30, 30, 32)
        board.box(-0.14, height - 0.13, -0.08, height + 0.13, ink, None)
        board.oval((0.06, height), (0.1, 0.14), ink, None)
        board.oval((0.06, height), (0.05, 0.09), _WHITE, None)
        return
    board.box(-0.03, height - 0.19, 0.03, height + 0.06, _WHITE, None)
    head = [(-0.12, height + 0.02), (0.12, height + 0.02), (0.0, height + 0.2)]
    board.polygon(head, _WHITE, None)


def _draw_direction_board(
    board: Billboard, rng: np.random.Generator, height: float
) -> None:
    colors = (_BLUE, (20, 92, 62), _WHITE)
    color = colors[int(rng.integers(3))]
    ink: Color = (32, 32, 36) if color is _WHITE else _WHITE
    half, top = float(rng.uniform(0.4, 0.8)), height + float(rng.uniform(0.2, 0.6))
    low = height - 0.35
    board.box(-half, low, half, top, ink, SIGN)
    board.box(-half + 0.04, low + 0.04, half - 0.04, top - 0.04, color, None)
    line = low + 0.16
    while line + 0.14 < top:
        end = -half + 0.12 + (2 * half - 0.24) * float(rng.uniform(0.5, 1.0))
        board.box(-half + 0.12, line, end, line + 0.08, ink, None)
        line += 0.2


def draw_traffic_light(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float
) -> None:
    """Draws a traffic light: its head counts as a sign, its post as a pole."""
    board = Billboard(canvas, x, z)
    _draw_post(board, 3.3, 0.12, (58, 60, 62))
    board.box(-0.27, 2.3, 0.27, 3.5, (20, 20, 22), SIGN)
    for edge in (-0.27, 0.25):
        board.box(edge, 2.3, edge + 0.02, 3.5, (170, 170, 170), SIGN)
    on = int(rng.integers(3))
    bright: tuple[Color, ...] = ((60, 240, 130), (255, 180, 40), (255, 52, 40))
    for lens, color in enumerate(bright):
        lit = lens == on
        shown = color if lit else scale(color, 0.2)
        center = (0.0, 2.52 + 0.38 * lens)
        board.oval(center, (0.14, 0.14), shown, None, glow=lit)


def draw_bin(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draws a litter bin, a pillar box or a cabinet: none of the named classes."""
    board, kind = Billboard(canvas, x, z), rng.random()
    canvas.cast_oval(x, z, 0.45, 0.4)
    if kind < 0.4:
        board.box(-0.26, 0.0, 0.26, 1.5, (176, 26, 30), VOID)
        board.oval((0, 1.5), (0.29, 0.14), (150, 20, 26), VOID)
        board.box(-0.16, 1.2, 0.16, 1.27, (24, 20, 20), None)
        board.box(-0.28, 0.0, 0.28, 0.14, (28, 26, 26), VOID)
    elif kind < 0.75:
        body = vary(rng, (40, 66, 50), 8)
        board.polygon([(-0.24, 0), (0.24, 0), (0.3, 1.0), (-0.3, 1.0)], body, VOID)
        board.box(-0.33, 1.0, 0.33, 1.12, scale(body, 0.7), VOID)
        board.box(-0.2, 0.72, 0.2, 0.84, (16, 18, 18), None)
    else:
        body = vary(rng, (108, 120, 108), 8)
        board.box(-0.6, 0.0, 0.6, 1.25, body, VOID)
        board.box(-0.02, 0.08, 0.02, 1.2, scale(body, 0.6), None)
        board.box(-0.62, 1.22, 0.62, 1.3, scale(body, 1.15), VOID)


def _draw_post(board: Billboard, height: float, width: float, color: Color) -> None:
    canvas = board.canvas
    board.limb((0, 0), (0, height), (width, width * 0.7), color, POLE)
    if width * board.pixels_per_metre > 5:  # a lit edge makes near posts round
        x = 0.25 * width * canvas.light.sun
        bright = scale(color, 1.3)
        board.limb((x, 0), (x * 0.7, height), (width * 0.3, width * 0.2), bright, POLE)


def _metal(rng: np.random.Generator) -> Color:
    return _METALS[int(rng.integers(len(_METALS)))]


def _dim(canvas: Canvas) -> float:
    return 0.15 + 0.8 * canvas.light.shadow
