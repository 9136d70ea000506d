"""Scenes with a pet, or two: the image, whose pixels are pet, where the heads are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segdata.samples.pet_shapes import Breed, Pet, stand
from segdata.samples.shape_paint import paint_background, paint_figure, photograph
from segdata.samples.shapes import Mask

PET, BACKGROUND, OUTLINE = 1, 2, 3
"""Values of a trimap."""

_MIN_SIDE, _MAX_SIDE = 180, 340
_BAND = 5  # pixels across which the outline runs; odd


@dataclass(frozen=True, kw_only=True, eq=False)
class PetScene:
    """One drawn image and what is in it."""

    image: NDArray[np.uint8]
    """`[height, width, 3]`, RGB."""
    trimap: NDArray[np.uint8]
    """`[height, width]`: 1 pet, 2 background, 3 the outline between them."""
    heads: tuple[tuple[int, int, int, int], ...]
    """`xmin, ymin, xmax, ymax` of each head as VOC counts: from 1, both ends inside."""


def draw_pet_scene(
    rng: np.random.Generator, breed: Breed, *, num_pets: int = 1
) -> PetScene:
    """Draws a scene.

    Args:
      rng: Chooses everything else; the same state gives the same scene.
      breed: What its pets are.
      num_pets: 1 or 2.
    """
    height, width = rng.integers(_MIN_SIDE, _MAX_SIDE + 1, 2).tolist()
    if num_pets == 2:
        width = max(width, height * 3 // 2)
    canvas = paint_background(rng, height, width)
    mask = np.zeros((height, width), bool)
    heads = []
    for number in range(num_pets):
        room = width / num_pets
        scale = float(rng.uniform(0.3, 0.37)) * min(height * 1.15, room)
        x = (number + float(rng.uniform(0.46, 0.54))) * room
        pet = stand(breed, rng, (x, height * float(rng.uniform(0.54, 0.62))), scale)
        _paint(canvas, rng, pet, breed)
        mask |= pet.figure.mask(height, width)
        heads.append(_box(pet.head.mask(height, width)))
    return PetScene(
        image=photograph(canvas, rng), trimap=make_trimap(mask), heads=tuple(heads)
    )


def make_trimap(mask: Mask) -> NDArray[np.uint8]:
    """A band of 3 along the border of the mask, 1 inside of it, 2 outside."""
    drawn = Image.fromarray(mask.astype(np.uint8) * 255)
    inner = np.asarray(drawn.filter(ImageFilter.MinFilter(_BAND))) > 0
    outer = np.asarray(drawn.filter(ImageFilter.MaxFilter(_BAND))) > 0
    trimap = np.full(mask.shape, BACKGROUND, np.uint8)
    trimap[outer] = OUTLINE
    trimap[inner] = PET
    return trimap


def _paint(
    canvas: NDArray[np.float32], rng: np.random.Generator, pet: Pet, breed: Breed
) -> None:
    paint_figure(canvas, rng, pet.figure, breed.coat)
    for detail, color in pet.details:
        paint_figure(canvas, rng, detail, color)


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    xmin, xmax = int(columns[0]) + 1, int(columns[-1]) + 1
    return xmin, int(rows[0]) + 1, xmax, int(rows[-1]) + 1
