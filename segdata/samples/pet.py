"""Draws the pets of the Pets sample, in profile, each breed in its colours."""

from __future__ import annotations

from typing import NamedTuple

from segdata.samples.canvas import (
    BLACK,
    WHITE,
    Canvas,
    Color,
    Point,
    Points,
    Rng,
    ellipse,
    mix,
    palette,
)


class Breed(NamedTuple):
    """One breed of the dataset.

    Attributes:
      name: As file names begin; a capital for cats, as in the real dataset.
      class_id: Id in the lists: the real dataset's, with gaps.
      species: 1 for cats, 2 for dogs.
      breed_id: Number within the species.
      colors: Of its coat and of its patches.
    """

    name: str
    class_id: int
    species: int
    breed_id: int
    colors: tuple[Color, ...]


BREEDS = (
    Breed("Abyssinian", 1, 1, 1, palette("d0864e a86038")),
    Breed("beagle", 5, 2, 4, palette("f0e6d4 96623e")),
    Breed("Bombay", 8, 1, 4, palette("3e3c48 2e2c36")),
)
"""All breeds, by class id."""
_TAIL = [(-0.5, 0), (-0.74, -0.14), (-0.88, -0.42), (-0.87, -0.72), (-0.8, -0.74)]
_TAIL += [(-0.76, -0.42), (-0.64, -0.22), (-0.46, -0.16)]
_DARK, _EYE, _EAR, _NOSE = palette("2c2628 decc5c e2a498 ce7874")


def draw_pet(
    canvas: Canvas, rng: Rng, breed: Breed, center: Point, scale: float, label: int
) -> Points:
    """Draws a pet that stands on its feet.

    Args:
      canvas: Where to draw it.
      rng: Chooses where it looks, its tail and its patches.
      breed: What it is like.
      center: x and y of the middle of its body in pixels.
      scale: Pixels of one unit: its body is about 1.3 long.
      label: Its label.

    Returns:
      The points of its head in pixels.
    """
    (x0, y0), flip = center, 1 if rng.random() < 0.5 else -1

    def paint(points: Points, color: Color, label: int | None = label) -> Points:
        placed = [(x0 + scale * flip * x, y0 + scale * y) for x, y in points]
        canvas.fill(placed, color, label)
        return placed

    coat, marks = breed.colors
    shade = mix(coat, BLACK, 0.2)
    rise = float(rng.uniform(0.8, 1.3)) * (1.0 if breed.species == 1 else 0.6)
    paint([(x, y * rise) for x, y in _TAIL], shade)
    for x, color in ((-0.3, shade), (0.48, shade), (-0.5, coat), (0.32, coat)):
        paint([(x - 0.1, 0), (x + 0.1, 0), (x + 0.06, 0.56), (x - 0.06, 0.56)], color)
        paint(ellipse(x + 0.03, 0.56, 0.09, 0.05), color)
    for body in (
        ellipse(0, 0, 0.62, 0.27),
        ellipse(0.36, -0.02, 0.27, 0.29),
        ellipse(-0.4, 0.02, 0.25, 0.28),
        [(0.2, -0.15), (0.58, 0.1), (0.92, -0.36), (0.6, -0.62)],
    ):
        paint(body, coat)
    for x in (-0.34, 0.02):
        dx, dy = rng.uniform(-0.08, 0.08, 2).tolist()
        paint(ellipse(x + dx, -0.08 + dy, 0.17, 0.12), marks, None)
    return [point for part in _head(breed) for point in paint(*part)]


def _head(breed: Breed) -> list[tuple[Points, Color]]:
    """Its parts with their colours, around (0.74, -0.46)."""
    coat, marks = breed.colors
    shade = mix(coat, BLACK, 0.2)
    eye = (ellipse(0.84, -0.53, 0.05, 0.05), _EYE)
    pupil = (ellipse(0.85, -0.53, 0.025, 0.04), _DARK)
    if breed.species == 1:
        return [
            ([(0.77, -0.66), (0.95, -0.57), (0.92, -0.92)], shade),
            (ellipse(0.74, -0.46, 0.25, 0.23), coat),
            ([(0.54, -0.57), (0.75, -0.66), (0.6, -0.92)], coat),
            ([(0.59, -0.62), (0.69, -0.66), (0.62, -0.82)], _EAR),
            (ellipse(0.94, -0.4, 0.11, 0.1), mix(coat, WHITE, 0.25)),
            eye,
            pupil,
            (ellipse(1.02, -0.43, 0.035, 0.03), _NOSE),
        ]
    return [
        (ellipse(0.74, -0.46, 0.25, 0.23), coat),
        (ellipse(1.01, -0.38, 0.19, 0.11), coat),
        (ellipse(0.61, -0.36, 0.1, 0.23), marks),
        (eye[0], WHITE),
        pupil,
        (ellipse(1.17, -0.42, 0.05, 0.045), _DARK),
    ]
