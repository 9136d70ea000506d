"""Scenes of shapes: where they lie, what covers what, and which pixels are whose."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from segdata.samples.shape_paint import paint_background, paint_figure, photograph
from segdata.samples.shapes import (
    BAR,
    CIRCLE,
    RING,
    SHAPES,
    SQUARE,
    TRIANGLE,
    Figure,
    Mask,
    ShapeClass,
    place,
    scatter,
)

_MIN_SIDE, _MAX_SIDE = 160, 320
_MAX_OBJECTS = 8
_MIN_RADIUS = 12.0  # below it stars and circles look alike
_LEAST_VISIBLE = 0.55  # of a figure; with less left, people could not name it
_ATTEMPTS = 40
_CUTTABLE = (CIRCLE, SQUARE, TRIANGLE)  # convex: any cut leaves parts without holes


class Feature(Enum):
    """What a scene is sure to have, besides whatever chance puts into it."""

    SHAPES = "at least three shapes"
    CUT = "a shape that a bar cuts in two"
    RING = "a ring with its hole"
    CROWD = "a crowd of tiny dots"
    NOTHING = "no object at all"


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeScene:
    """One drawn image and what is in it."""

    image: NDArray[np.uint8]
    """`[height, width, 3]`, RGB."""
    figures: tuple[Figure, ...]
    """From the back to the front."""
    masks: tuple[Mask, ...]
    """The visible pixels of each; no two share one and none is empty."""


@dataclass
class _Arrangement:
    """Figures as they are laid on each other, each one in front of all before it."""

    height: int
    width: int
    figures: list[Figure] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    """Pixels of each that what comes later must leave visible."""

    def add(self, figure: Figure) -> bool:
        """Lays a figure on top, unless too little of it or of others were visible."""
        mask = figure.mask(self.height, self.width)
        visible = float(mask.sum())
        needed = _LEAST_VISIBLE * figure.area
        remaining = [other & ~mask for other in self.masks]
        if visible < needed or any(
            other.sum() < least
            for other, least in zip(remaining, self.least, strict=True)
        ):
            return False
        self.figures.append(figure)
        self.masks = [*remaining, mask]
        self.least.append(needed)
        return True

    def keep_visible(self) -> None:
        """Forbids what comes later to cover anything that is visible now."""
        self.least = [float(mask.sum()) for mask in self.masks]


def draw_shape_scene(rng: np.random.Generator, feature: Feature) -> ShapeScene:
    """Draws a scene.

    Args:
      rng: Chooses everything else; the same state gives the same scene.
      feature: What the scene must have.

    Returns:
      Image, figures and masks: at most eight figures, the image 160 to 320 pixels high
      and wide.
    """
    height, width = rng.integers(_MIN_SIDE, _MAX_SIDE + 1, 2).tolist()
    arrangement = _Arrangement(height, width)
    if feature is not Feature.NOTHING:
        _add_feature(arrangement, rng, feature)
        fewest = max(3 if feature is Feature.SHAPES else 1, len(arrangement.figures))
        count = int(rng.integers(fewest, _MAX_OBJECTS + 1))
        while len(arrangement.figures) < count:
            shape = SHAPES[int(rng.integers(len(SHAPES)))]
            if not _add_somewhere(arrangement, rng, shape):
                break  # the image is full
    canvas = paint_background(rng, height, width)
    for figure in arrangement.figures:
        paint_figure(canvas, rng, figure)
    return ShapeScene(
        image=photograph(canvas, rng),
        figures=tuple(arrangement.figures),
        masks=tuple(arrangement.masks),
    )


def _add_feature(
    arrangement: _Arrangement, rng: np.random.Generator, feature: Feature
) -> None:
    short_side = min(arrangement.height, arrangement.width)
    if feature is Feature.CUT:
        radius = float(rng.uniform(0.2, 0.3)) * short_side
        center = _center(arrangement, rng, radius)
        shape = _CUTTABLE[int(rng.integers(len(_CUTTABLE)))]
        arrangement.add(place(shape, center, radius, _angle(rng)))
        arrangement.least = [0.0]  # the bar may take what it needs
        arrangement.add(place(BAR, center, 1.25 * radius, _angle(rng)))
    elif feature is Feature.RING:
        radius = float(rng.uniform(0.12, 0.28)) * short_side
        center = _center(arrangement, rng, radius)
        arrangement.add(place(RING, center, radius, _angle(rng)))
    elif feature is Feature.CROWD:
        radius = float(rng.uniform(0.18, 0.3)) * short_side
        center = _center(arrangement, rng, radius)
        arrangement.add(scatter(rng, CIRCLE, center, radius))
    arrangement.keep_visible()


def _add_somewhere(
    arrangement: _Arrangement, rng: np.random.Generator, shape: ShapeClass
) -> bool:
    """Tries places until the shape fits; they may be partly outside the image."""
    height, width = arrangement.height, arrangement.width
    largest = math.log(0.3 * min(height, width))
    for _ in range(_ATTEMPTS):
        radius = math.exp(rng.uniform(math.log(_MIN_RADIUS), largest))
        center = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        squeeze = float(rng.uniform(0.88, 1.0))
        # Bars are thin: short ones would be slivers.
        size = 1.3 * radius + 6 if shape is BAR else radius
        if arrangement.add(place(shape, center, size, _angle(rng), squeeze)):
            return True
    return False


def _center(
    arrangement: _Arrangement, rng: np.random.Generator, radius: float
) -> tuple[float, float]:
    """A place where a figure of this radius is wholly inside the image."""
    margin = radius + 4
    x = rng.uniform(margin, arrangement.width - margin)
    y = rng.uniform(margin, arrangement.height - margin)
    return float(x), float(y)


def _angle(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * math.pi))
