"""A pinhole camera and a canvas that draws every shape into image and label alike.

World coordinates are metres relative to the point of the road below the camera: x to
the right, y up, z ahead. Shapes are painted back to front on an image and a label map
of twice the final size. The image is averaged down, which smooths its edges; the label
map is sampled, so that it only ever holds class ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from segdata.samples.street_light import Color, Light

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE = 0, 1, 2, 3, 4, 5
SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = 6, 7, 8, 9, 10, 11

SUPERSAMPLING = 2
_MIN_STROKE = 2.0  # supersampled pixels: thinner strokes would miss label samples

Point = tuple[float, float]
Point3 = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Where a point of the street lands on the supersampled image.

    Attributes:
      width: Columns of the supersampled image.
      height: Rows of the supersampled image.
      focal: Focal length in supersampled pixels.
      center: Column of the vanishing point.
      horizon: Row of the horizon.
      eye: Height of the camera above the road in metres.
      bend: Sideways shift of the street per squared metre ahead: its curve.
    """

    width: int
    height: int
    focal: float
    center: float
    horizon: float
    eye: float
    bend: float

    def project(self, x: float, y: float, z: float) -> Point:
        """Returns column and row of a point; `z` must be positive."""
        ratio = self.focal / z
        return (
            self.center + ratio * (x + self.bend * z * z),
            self.horizon - ratio * (y - self.eye),
        )


class Canvas:
    """Image, label map and shadow map under construction.

    Attributes:
      camera: Projects world coordinates.
      light: Colours of the time of day; every colour but emitted light goes through it.
      image: RGB, supersampled.
      label: Mode L, class ids, same size.
      shadow: Mode L, same size: how much of the sun the ground does not get.
    """

    def __init__(self, camera: Camera, light: Light, sky: Image.Image) -> None:
        """Starts with a sky (RGB, any size) that covers everything."""
        size = (camera.width, camera.height)
        self.camera = camera
        self.light = light
        self.image = sky.resize(size, Image.Resampling.BILINEAR)
        self.label = Image.new("L", size, SKY)
        self.shadow = Image.new("L", size, 0)
        self._ink = ImageDraw.Draw(self.image)
        self._tag = ImageDraw.Draw(self.label)
        self._shade = ImageDraw.Draw(self.shadow)

    def fill(
        self,
        corners: Sequence[Point3],
        color: Color,
        class_id: int | None,
        *,
        glow: bool = False,
    ) -> None:
        """Fills a polygon given in world coordinates.

        Args:
          corners: At least three points, all in front of the camera.
          color: Colour in white light.
          class_id: None for details inside a shape that is labelled already.
          glow: Whether the colour is emitted light, that dusk does not darken.
        """
        depth = sum(corner[2] for corner in corners) / len(corners)
        points = [self.camera.project(*corner) for corner in corners]
        self.flat(points, self.light.seen(color, depth, glow=glow), class_id)

    def flat(
        self, points: Sequence[Point], color: tuple[int, int, int], class_id: int | None
    ) -> None:
        """Fills a polygon given in pixels with a colour that is final already."""
        columns = [point[0] for point in points]
        if max(columns) < 0 or min(columns) > self.camera.width:
            return
        self._ink.polygon(points, fill=color)
        if class_id is not None:
            self._tag.polygon(points, fill=class_id)

    def oval(
        self,
        box: tuple[float, float, float, float],
        color: tuple[int, int, int],
        class_id: int | None,
    ) -> None:
        """Fills an ellipse given by its bounding box in pixels."""
        self._ink.ellipse(box, fill=color)
        if class_id is not None:
            self._tag.ellipse(box, fill=class_id)

    def ring(
        self,
        box: tuple[float, float, float, float],
        color: tuple[int, int, int],
        class_id: int,
        stroke: float,
    ) -> None:
        """Draws the outline of an ellipse, `stroke` pixels wide."""
        stroke = max(_MIN_STROKE, stroke)
        pixels = round(stroke)
        # Pillow refuses inverted boxes, which a tiny far wheel would be.
        left, top, right, bottom = box
        box = (left, top, max(right, left + stroke), max(bottom, top + stroke))
        self._ink.ellipse(box, outline=color, width=pixels)
        self._tag.ellipse(box, outline=class_id, width=pixels)

    def cast(self, corners: Sequence[Point3], strength: float) -> None:
        """Darkens a polygon on the ground by `strength`, 0..1, or as the sun does."""
        # Later shapes replace earlier ones and must not lighten what lies in the sun's
        # shadow already.
        strength = max(strength, self.light.shadow)
        points = [self.camera.project(*corner) for corner in corners]
        self._shade.polygon(points, fill=round(255 * min(1.0, strength)))

    def cast_oval(self, x: float, z: float, radius: float, strength: float) -> None:
        """Darkens a round patch of the ground of `radius` metres around (x, z)."""
        steps = [2 * math.pi * step / 14 for step in range(14)]
        near = max(0.6, z - radius) - z
        self.cast(
            [
                (x + radius * math.cos(a), 0.0, z + max(near, radius * math.sin(a)))
                for a in steps
            ],
            strength,
        )

    def ground(
        self, x0: float, x1: float, z0: float, z1: float, color: Color, class_id: int
    ) -> None:
        """Fills a stretch of ground in slabs, so that it follows bend and haze."""
        slabs = max(1, math.ceil(7 * math.log(z1 / z0)))
        edges = [z0 * (z1 / z0) ** (slab / slabs) for slab in range(slabs + 1)]
        for near, far in reversed(list(pairwise(edges))):
            quad = [(x0, 0.0, near), (x1, 0.0, near), (x1, 0.0, far), (x0, 0.0, far)]
            self.fill(quad, color, class_id)


class Billboard:
    """An upright plane that faces the camera: for what is drawn flat, such as people.

    Local coordinates are metres: sideways from `x`, and up from the ground at `z`.

    Attributes:
      pixels_per_metre: Scale of the plane, in supersampled pixels.
    """

    def __init__(self, canvas: Canvas, x: float, z: float) -> None:
        """Puts the plane `z` metres ahead, with its origin `x` metres to the right."""
        self.canvas = canvas
        self.depth = z
        self.pixels_per_metre = canvas.camera.focal / z
        self._origin = canvas.camera.project(x, 0.0, z)

    def at(self, x: float, y: float) -> Point:
        """Returns the pixel of a local point."""
        unit = self.pixels_per_metre
        return self._origin[0] + unit * x, self._origin[1] - unit * y

    def polygon(
        self,
        points: Sequence[Point],
        color: Color,
        class_id: int | None,
        *,
        glow: bool = False,
    ) -> None:
        """Fills a polygon of local points."""
        seen = self.canvas.light.seen(color, self.depth, glow=glow)
        self.canvas.flat([self.at(*point) for point in points], seen, class_id)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        color: Color,
        class_id: int | None,
    ) -> None:
        """Fills a rectangle between two local corners."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, class_id)

    def oval(
        self,
        center: Point,
        radii: Point,
        color: Color,
        class_id: int | None,
        *,
        glow: bool = False,
    ) -> None:
        """Fills an upright ellipse."""
        seen = self.canvas.light.seen(color, self.depth, glow=glow)
        self.canvas.oval(self._bounds(center, radii), seen, class_id)

    def ring(
        self, center: Point, radii: Point, color: Color, class_id: int, stroke: float
    ) -> None:
        """Draws the outline of an ellipse, `stroke` metres wide."""
        seen = self.canvas.light.seen(color, self.depth)
        bounds = self._bounds(center, radii)
        self.canvas.ring(bounds, seen, class_id, stroke * self.pixels_per_metre)

    def limb(
        self, start: Point, end: Point, widths: Point, color: Color, class_id: int
    ) -> None:
        """Draws a bar from `start` to `end` that tapers between two widths."""
        (x0, y0), (x1, y1) = start, end
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        across, along = -(y1 - y0) / length, (x1 - x0) / length
        least = _MIN_STROKE / self.pixels_per_metre
        first, last = max(widths[0], least) / 2, max(widths[1], least) / 2
        corners = [
            (x0 + across * first, y0 + along * first),
            (x1 + across * last, y1 + along * last),
            (x1 - across * last, y1 - along * last),
            (x0 - across * first, y0 - along * first),
        ]
        self.polygon(corners, color, class_id)

    def _bounds(self, center: Point, radii: Point) -> tuple[float, float, float, float]:
        left, top = self.at(center[0] - radii[0], center[1] + radii[1])
        right, bottom = self.at(center[0] + radii[0], center[1] - radii[1])
        return left, top, right, bottom
