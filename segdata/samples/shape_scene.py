"""Scenes of shapes: where they lie, what covers what, and which pixels are whose."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from segdata.samples import shapes
from segdata.samples.canvas import BLACK, WHITE, Canvas, Rng, mix, palette, pick

_MIN_SIDE, _MAX_SIDE = 160, 320
_MAX_OBJECTS = 8
_MIN_RADIUS = 12.0  # below it stars and circles look alike
_LEAST_VISIBLE = 0.55  # of a figure; with less left, people could not name it
_ATTEMPTS = 40
_CONVEX = (shapes.CIRCLE, shapes.SQUARE, shapes.TRIANGLE)
_GROUNDS = palette("e2d6c4 3a4054 c4d4d6 5c545c cec8de")
_PAINTS = palette("d64844 f0a040 f6d25c 6eac58 409a9a 487cc4 8060b0 e07ca0")


class Feature(Enum):
    """What a scene is sure to have, besides whatever chance puts into it."""

    SHAPES = "at least three shapes"
    CUT = "a shape that a bar cuts in two"
    RING = "a ring with its hole"
    CROWD = "a crowd of tiny dots"
    NOTHING = "no object at all"


@dataclass
class ShapeScene:
    """Figures that are laid on each other, each one in front of all before it."""

    height: int
    width: int
    figures: list[shapes.Figure] = field(default_factory=list)
    """From the back to the front."""
    masks: list[shapes.Mask] = field(default_factory=list)
    """The visible pixels of each; no two share one and none is empty."""
    _needed: list[float] = field(default_factory=list)
    """Pixels of each that what comes later must leave visible."""

    def add(self, figure: shapes.Figure, least: float = _LEAST_VISIBLE) -> bool:
        """Lays a figure on top, unless too little of it or of others were visible."""
        mask = figure.mask(self.height, self.width)
        masks = [*(other & ~mask for other in self.masks), mask]
        needed = [*self._needed, least * figure.area]
        if any(m.sum() < pixels for m, pixels in zip(masks, needed, strict=True)):
            return False
        self.figures.append(figure)
        self.masks, self._needed = masks, needed
        return True

    def keep_visible(self) -> None:
        """Forbids what comes later to cover anything that is visible now."""
        self._needed = [float(mask.sum()) for mask in self.masks]

    def paint(self, rng: Rng) -> NDArray[np.uint8]:
        """The picture, `[height, width, 3]`, RGB: each figure of another colour."""
        ground = pick(rng, _GROUNDS)
        upper, lower = mix(ground, WHITE, 0.2), mix(ground, BLACK, 0.2)
        canvas = Canvas(self.height, self.width, upper, lower)
        colors = rng.permutation(_PAINTS).tolist()
        for figure, (r, g, b) in zip(self.figures, colors, strict=False):
            for points in figure.polygons:
                canvas.fill(points.tolist(), (r, g, b))
        return canvas.picture()


def draw_shape_scene(
    rng: Rng, feature: Feature
) -> tuple[NDArray[np.uint8], ShapeScene]:
    """Draws a scene.

    Args:
      rng: Chooses everything else; the same state gives the same scene.
      feature: What the scene must have.

    Returns:
      The image, `[height, width, 3]`, RGB, 160 to 320 pixels high and wide, and what
      is in it: at most eight figures.
    """
    height, width = rng.integers(_MIN_SIDE, _MAX_SIDE + 1, 2).tolist()
    scene = ShapeScene(height, width)
    if feature is not Feature.NOTHING:
        _add_feature(scene, rng, feature)
        fewest = max(3 if feature is Feature.SHAPES else 1, len(scene.figures))
        count = int(rng.integers(fewest, _MAX_OBJECTS + 1))
        while len(scene.figures) < count and _add_somewhere(scene, rng):
            pass
    return scene.paint(rng), scene


def _add_feature(scene: ShapeScene, rng: Rng, feature: Feature) -> None:
    """Adds what the feature asks for, wholly inside the image."""
    radius = float(rng.uniform(0.18, 0.28)) * min(scene.height, scene.width)
    margin, angle = radius + 4, _angle(rng)
    center = (
        float(rng.uniform(margin, scene.width - margin)),
        float(rng.uniform(margin, scene.height - margin)),
    )
    if feature is Feature.CUT:
        shape = _CONVEX[int(rng.integers(len(_CONVEX)))]
        scene.add(shapes.place(shape, center, radius, _angle(rng)), least=0.0)
        scene.add(shapes.place(shapes.BAR, center, 1.25 * radius, angle))
    elif feature is Feature.RING:
        scene.add(shapes.place(shapes.RING, center, radius, angle))
    elif feature is Feature.CROWD:
        scene.add(shapes.scatter(rng, shapes.CIRCLE, center, radius))
    scene.keep_visible()


def _add_somewhere(scene: ShapeScene, rng: Rng) -> bool:
    """Tries places until a shape fits; it may be partly outside the image."""
    shape = shapes.SHAPES[int(rng.integers(len(shapes.SHAPES)))]
    largest = math.log(0.3 * min(scene.height, scene.width))
    for _ in range(_ATTEMPTS):
        radius = math.exp(rng.uniform(math.log(_MIN_RADIUS), largest))
        center = float(rng.uniform(0, scene.width)), float(rng.uniform(0, scene.height))
        # Bars are thin: short ones would be slivers.
        size = 1.3 * radius + 6 if shape is shapes.BAR else radius
        squeeze = float(rng.uniform(0.88, 1.0))
        if scene.add(shapes.place(shape, center, size, _angle(rng), squeeze)):
            return True
    return False


def _angle(rng: Rng) -> float:
    return float(rng.uniform(0, 2 * math.pi))
