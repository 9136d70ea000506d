"""The pets of the Pets sample: their breeds, and how each is put together.

A pet stands in profile, facing right, around the origin: its body is about 1.3 long.
Its parts are polygons; together they are its mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from segdata.samples.shapes import Figure, Points, ShapeClass

Color = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Breed:
    """One breed of the dataset."""

    name: str
    """As file names begin; a capital for cats, as in the real dataset."""
    class_id: int
    """Id in the lists: the real dataset's, with gaps."""
    species: int
    """1 for cats, 2 for dogs."""
    breed_id: int
    """Number within the species."""
    coat: Color
    """Colour of the coat."""
    marks: Color | None = None
    """Colour of its patches or spots, if it has any."""
    num_marks: int = 0
    """How many."""
    leg: float = 0.6
    """How far the feet are below the middle of the body."""
    ear: float = 0.26
    """Length of the ears."""


BREEDS = (
    Breed(name="Abyssinian", class_id=1, species=1, breed_id=1, coat=(186, 118, 68)),
    Breed(
        name="american_bulldog",
        class_id=2,
        species=2,
        breed_id=1,
        coat=(232, 226, 214),
        marks=(150, 96, 60),
        num_marks=2,
        leg=0.52,
        ear=0.2,
    ),
    Breed(
        name="beagle",
        class_id=5,
        species=2,
        breed_id=4,
        coat=(196, 140, 84),
        marks=(52, 44, 42),
        num_marks=3,
        leg=0.5,
        ear=0.3,
    ),
    Breed(
        name="Bengal",
        class_id=6,
        species=1,
        breed_id=2,
        coat=(214, 164, 92),
        marks=(84, 54, 34),
        num_marks=12,
    ),
    Breed(name="Bombay", class_id=8, species=1, breed_id=4, coat=(46, 44, 52), ear=0.3),
    Breed(
        name="english_cocker_spaniel",
        class_id=13,
        species=2,
        breed_id=7,
        coat=(176, 104, 44),
        leg=0.48,
        ear=0.42,
    ),
)
"""All breeds, by class id."""

_HEAD = (0.74, -0.46)
_HEAD_RADIUS = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class Pet:
    """A pet that was put into an image."""

    figure: Figure
    """All of it: the mask of the pet."""
    head: Figure
    """The parts of its head: what the XML has a box around."""
    details: tuple[tuple[Figure, Color], ...]
    """What is painted on it: patches, far legs, eye and nose."""


def stand(
    breed: Breed,
    rng: np.random.Generator,
    center: tuple[float, float],
    scale: float,
) -> Pet:
    """Puts a pet into an image.

    Args:
      breed: What it is like.
      rng: Chooses where it looks, how it leans, its tail and its marks.
      center: x and y of the middle of its body in pixels.
      scale: Pixels of one unit.
    """
    angle = float(rng.uniform(-0.12, 0.12))
    matrix = np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    matrix = matrix * scale * ((-1, 1) if rng.random() < 0.5 else (1, 1))

    def figure(*parts: Points) -> Figure:
        placed = (np.round(part @ matrix + np.array(center), 2) for part in parts)
        shape = ShapeClass(
            id=breed.class_id, name=breed.name, supercategory="", outline=parts[0]
        )
        return Figure(shape=shape, fills=tuple(placed))

    head = _head(breed)
    body = _body(breed, rng)
    dark = (24, 20, 22)
    details = [(figure(mark), breed.marks) for mark in _marks(breed, rng)]
    is_cat = breed.species == 1
    nose = (1.02, -0.42) if is_cat else (1.16, -0.4)
    eye = (208, 190, 70) if is_cat else (62, 40, 28)
    details += [
        (figure(_ellipse(0.84, -0.53, 0.05, 0.05)), eye),
        (figure(_ellipse(0.85, -0.53, 0.02, 0.035)), dark),
        (figure(_ellipse(*nose, 0.04, 0.035)), dark),
    ]
    if not is_cat:  # its ear hangs over the cheek
        shade = tuple(int(channel * 0.72) for channel in breed.coat)
        details.append((figure(head[-1]), (shade[0], shade[1], shade[2])))
    return Pet(
        figure=figure(*body, *head),
        head=figure(*head),
        details=tuple((f, color) for f, color in details if color is not None),
    )


def _body(breed: Breed, rng: np.random.Generator) -> list[Points]:
    feet = breed.leg
    parts = [
        _ellipse(0, 0, 0.62, 0.27),
        _ellipse(0.36, -0.02, 0.27, 0.29),
        _ellipse(-0.4, 0.02, 0.25, 0.28),
        np.array([(0.2, -0.15), (0.58, 0.1), (0.92, -0.36), (0.6, -0.62)]),
    ]
    for x, lean in ((-0.52, -0.04), (-0.3, 0.03), (0.3, -0.03), (0.48, 0.04)):
        ends = [(x - 0.09, 0), (x + 0.09, 0), (x + lean + 0.06, feet)]
        parts.append(np.array([*ends, (x + lean - 0.06, feet)]))
        parts.append(_ellipse(x + lean + 0.03, feet, 0.09, 0.045))
    return [*parts, _tail(breed, rng)]


def _tail(breed: Breed, rng: np.random.Generator) -> Points:
    """A band along a curve that rises behind the body; cats have the longer one."""
    t = np.linspace(0, 1, 14)
    length = 0.62 if breed.species == 1 else 0.36
    bend = float(rng.uniform(0.4, 1.3))
    x = -0.56 - length * t * np.cos(bend * t)
    y = -0.1 - length * (0.4 * t + np.sin(bend * t) * t)
    half = 0.055 * (1.1 - 0.5 * t)
    dx, dy = np.gradient(x), np.gradient(y)
    norm = np.hypot(dx, dy)
    offset = np.stack([-dy, dx], axis=1) * (half / norm)[:, None]
    middle = np.stack([x, y], axis=1)
    return np.concatenate([middle + offset, (middle - offset)[::-1]])


def _head(breed: Breed) -> list[Points]:
    x, y = _HEAD
    skull = _ellipse(x, y, _HEAD_RADIUS, 0.92 * _HEAD_RADIUS)
    if breed.species == 1:
        near = [
            (x - 0.2, y - 0.12),
            (x - 0.01, y - 0.2),
            (x - 0.15, y - breed.ear - 0.2),
        ]
        far = [
            (x + 0.03, y - 0.2),
            (x + 0.2, y - 0.12),
            (x + 0.17, y - breed.ear - 0.18),
        ]
        snout = _ellipse(x + 0.2, y + 0.06, 0.11, 0.1)
        return [skull, snout, np.array(near), np.array(far)]
    snout = _ellipse(x + 0.27, y + 0.08, 0.19, 0.11)
    ear = _ellipse(x - 0.13, y - 0.06 + breed.ear / 2, 0.09, 0.08 + breed.ear / 2, 0.25)
    return [skull, snout, ear]


def _marks(breed: Breed, rng: np.random.Generator) -> list[Points]:
    """Patches, or small spots where there are many, inside the body."""
    size = 0.045 if breed.num_marks > 4 else 0.13
    marks = []
    for _ in range(breed.num_marks):
        angle, far = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 0.55))
        x, y = 0.5 * far * math.cos(angle), 0.2 * far * math.sin(angle)
        rx, ry = (float(size * rng.uniform(0.7, 1.4)) for _ in range(2))
        marks.append(_ellipse(x, y, rx, min(ry, 0.1), float(rng.uniform(0, 3))))
    return marks


def _ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    t = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    points = np.stack([rx * np.cos(t), ry * np.sin(t)], axis=1)
    cos, sin = math.cos(angle), math.sin(angle)
    turned: Points = points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return turned
