"""The shapes of the COCO sample: classes and outlines, placed, cut and rasterised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdata.masks.polygons import polygon_counts
from segdata.samples.canvas import Point, Rng

Points = NDArray[np.float64]
"""`[points, 2]`: x and y in pixels; 0 is the left or upper border of the image."""
Mask = NDArray[np.bool_]
"""`[height, width]`, true on the object."""


class ShapeClass(NamedTuple):
    """One category; its outline is around the origin, within a radius of 1."""

    id: int
    name: str
    supercategory: str
    outline: Points


@dataclass(frozen=True, eq=False)
class Figure:
    """A shape, parts of one, or a crowd of them, placed in an image."""

    shape: ShapeClass
    """Its category."""
    polygons: tuple[Points, ...]
    """Outlines of its parts, with two decimals: what is drawn is what is written."""
    is_crowd: bool = False
    """Whether it is many shapes, too small to annotate one by one."""

    @property
    def area(self) -> float:
        """Pixels, also those outside the image."""
        return sum(map(_enclosed, self.polygons))

    def mask(self, height: int, width: int) -> Mask:
        """Its pixels in an image, as if nothing covered it."""
        flat = [points.ravel().tolist() for points in self.polygons]
        counts = polygon_counts(flat, height, width)
        is_object = np.arange(len(counts)) % 2 == 1
        # COCO's runs go down the columns.
        return np.repeat(is_object, counts).reshape(width, height).T


def _enclosed(points: Points) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _star(tips: int, inner: float) -> Points:
    angles = np.arange(2 * tips) * math.pi / tips - math.pi / 2
    radii = np.where(np.arange(2 * tips) % 2, inner, 1.0)[:, None]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii


def _ring(inner: float) -> Points:
    """There around the outer edge, back around the inner one."""
    outer = _star(12, 1.0)[[*range(24), 0]]
    return np.concatenate([outer, outer[::-1] * inner])


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t) - 2.5
    return np.stack([x, y], axis=1) / float(np.hypot(x, y).max())


def _cross(half: float) -> Points:
    arm = np.array([[half, -half], [half, -1], [-half, -1]])
    turns = (np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1)))
    return np.concatenate([arm @ turn for turn in turns]) / math.hypot(1, half)


def _bar(half: float) -> Points:
    return np.array([[-1, -half], [1, -half], [1, half], [-1, half]]) / math.hypot(
        1, half
    )


SHAPES = (
    ShapeClass(3, "circle", "round", _star(12, 1.0)),
    ShapeClass(7, "square", "straight", _bar(1.0)),
    ShapeClass(8, "triangle", "straight", _star(3, 0.5)[::2]),
    ShapeClass(12, "star", "notched", _star(5, 0.42)),
    ShapeClass(20, "ring", "round", _ring(0.55)),
    ShapeClass(44, "cross", "notched", _cross(0.36)),
    ShapeClass(62, "heart", "notched", _heart()),
    ShapeClass(90, "bar", "straight", _bar(0.17)),
)
"""All categories, by id: the ids have gaps and begin above 1, as COCO's do."""
CIRCLE, SQUARE, TRIANGLE, STAR, RING, CROSS, HEART, BAR = SHAPES


def place(
    shape: ShapeClass, center: Point, radius: float, angle: float, squeeze: float = 1.0
) -> Figure:
    """Puts a shape into an image.

    Args:
      shape: What to put there.
      center: x and y in pixels.
      radius: Distance of its farthest point from the centre, in pixels.
      angle: Clockwise turn in radians.
      squeeze: Height as a share of what it is by nature, before the turn.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, sin], [-sin * squeeze, cos * squeeze]]) * radius
    outline: Points = np.round(shape.outline @ matrix + np.array(center), 2)
    return Figure(shape, (outline,))


def scatter(rng: Rng, shape: ShapeClass, center: Point, radius: float) -> Figure:
    """Makes a crowd: 18 to 40 tiny shapes, thick in the middle, thin at the edge."""
    dots: list[Points] = []
    for _ in range(int(rng.integers(18, 41))):
        x, y = np.array(center) + np.clip(rng.normal(0, 0.45, 2), -1, 1) * radius
        dots += place(shape, (x, y), float(rng.uniform(2.2, 3.6)), 0.0).polygons
    return Figure(shape, tuple(dots), is_crowd=True)
