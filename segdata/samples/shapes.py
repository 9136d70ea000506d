"""The shapes of the COCO sample: their classes and outlines, placed and rasterised."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata.masks.polygons import polygon_counts

Points = NDArray[np.float64]
"""`[points, 2]`: x and y in pixels; 0 is the left or upper border of the image."""
Mask = NDArray[np.bool_]
"""`[height, width]`, true on the object."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeClass:
    """One category of the dataset."""

    id: int
    """Category id in the JSON."""
    name: str
    """Name of the category."""
    supercategory: str
    """What its outline is like."""
    outline: Points
    """Around the origin, within a radius of 1."""
    hole: Points | None = None
    """What is cut out of the middle, if anything."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """A shape, or a crowd of them, placed in an image."""

    shape: ShapeClass
    """Its category."""
    fills: tuple[Points, ...]
    """Outlines of its parts."""
    holes: tuple[Points, ...] = ()
    """What is cut out of them."""
    is_crowd: bool = False
    """Whether it is many shapes, too small to annotate one by one."""

    @property
    def area(self) -> float:
        """Pixels, also those outside the image."""
        return sum(map(_enclosed, self.fills)) - sum(map(_enclosed, self.holes))

    def mask(self, height: int, width: int) -> Mask:
        """Its pixels in an image, as if nothing covered it."""
        mask = _rasterise(self.fills, height, width)
        return mask & ~_rasterise(self.holes, height, width) if self.holes else mask


def _star(tips: int, inner: float) -> Points:
    angles = np.arange(2 * tips) * math.pi / tips - math.pi / 2
    radii = np.where(np.arange(2 * tips) % 2, inner, 1.0)[:, None]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii


def _round(radius: float = 1.0) -> Points:
    return _star(24, 1.0) * radius


def _cross(half: float) -> Points:
    arm = np.array([[half, -half], [half, -1], [-half, -1]])
    turn = np.array([[0, -1], [1, 0]])
    arms = [arm @ np.linalg.matrix_power(turn, number) for number in range(4)]
    return np.concatenate(arms) / math.hypot(1, half)


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t) - 2.5
    return np.stack([x, y], axis=1) / float(np.hypot(x, y).max())


def _bar(half: float) -> Points:
    box = np.array([[-1, -half], [1, -half], [1, half], [-1, half]])
    return box / math.hypot(1, half)


# The ids have gaps and begin above 1, as COCO's do.
CIRCLE = ShapeClass(id=3, name="circle", supercategory="round", outline=_round())
SQUARE = ShapeClass(id=7, name="square", supercategory="straight", outline=_bar(1.0))
TRIANGLE = ShapeClass(
    id=8, name="triangle", supercategory="straight", outline=_star(3, 0.5)[::2]
)
STAR = ShapeClass(id=12, name="star", supercategory="notched", outline=_star(5, 0.42))
RING = ShapeClass(
    id=20, name="ring", supercategory="round", outline=_round(), hole=_round(0.55)
)
CROSS = ShapeClass(id=44, name="cross", supercategory="notched", outline=_cross(0.36))
HEART = ShapeClass(id=62, name="heart", supercategory="notched", outline=_heart())
BAR = ShapeClass(id=90, name="bar", supercategory="straight", outline=_bar(0.17))

SHAPES = (CIRCLE, SQUARE, TRIANGLE, STAR, RING, CROSS, HEART, BAR)
"""All categories, by id."""


def place(
    shape: ShapeClass,
    center: tuple[float, float],
    radius: float,
    angle: float,
    squeeze: float = 1.0,
) -> Figure:
    """Puts a shape into an image.

    Args:
      shape: What to put there.
      center: x and y in pixels.
      radius: Distance of its farthest point from the centre, in pixels.
      angle: Clockwise turn in radians.
      squeeze: Height as a share of what it is by nature, before the turn.

    Returns:
      The figure. Its points have two decimals, as in COCO's JSON, so that the polygon
      that is written is the polygon that was drawn.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, sin], [-sin * squeeze, cos * squeeze]]) * radius

    def placed(points: Points) -> Points:
        result: Points = np.round(points @ matrix + np.array(center), 2)
        return result

    holes = () if shape.hole is None else (placed(shape.hole),)
    return Figure(shape=shape, fills=(placed(shape.outline),), holes=holes)


def scatter(
    rng: np.random.Generator,
    shape: ShapeClass,
    center: tuple[float, float],
    radius: float,
) -> Figure:
    """Makes a crowd: 18 to 40 tiny shapes, thick in the middle, thin at the edge.

    Args:
      rng: Source of their places and sizes.
      shape: What each of them is; one without a hole.
      center: x and y of the crowd's middle.
      radius: Spread of the crowd in pixels.
    """
    fills: list[Points] = []
    for _ in range(int(rng.integers(18, 41))):
        x, y = np.array(center) + np.clip(rng.normal(0, 0.45, 2), -1, 1) * radius
        size = float(rng.uniform(2.2, 3.6))
        fills += place(shape, (float(x), float(y)), size, 0.0).fills
    return Figure(shape=shape, fills=tuple(fills), is_crowd=True)


def _enclosed(points: Points) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _rasterise(polygons: tuple[Points, ...], height: int, width: int) -> Mask:
    flat = [points.reshape(-1).tolist() for points in polygons]
    counts = polygon_counts(flat, height, width)
    is_object = np.arange(len(counts)) % 2 == 1
    # COCO's runs go down the columns.
    return np.repeat(is_object, counts).reshape(width, height).T
