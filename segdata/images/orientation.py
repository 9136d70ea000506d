"""EXIF orientation: how a viewer turns an image (CIPA DC-008, tag 274).

Annotations are drawn on what some tool showed: on upright pixels, or on those that are
stored. Where a turn swaps height and width, sizes tell which; for turns that do not,
and for square images, only the rest of the dataset can.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Exif = Literal["auto", "apply", "ignore"]
"""Whether pixels are turned: always, never, or unless the sizes say that the
annotation matches the image before rotation."""

SWAPPING = range(5, 9)
"""Orientations that swap height and width."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UNDONE_BY = {6: 8, 8: 6}  # the others undo themselves
_TURNED = "turned by EXIF"  # key of `Image.info`


def read_orientation(source: bytes | Image.Image) -> int:
    """EXIF orientation of a TIFF block or image; 1 if absent, invalid or damaged."""
    if not isinstance(source, bytes) and _TURNED in source.info:
        return int(source.info[_TURNED])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # over blocks that end too early
            tags = Image.Exif() if isinstance(source, bytes) else source.getexif()
            if isinstance(source, bytes):
                tags.load(b"Exif\0\0" + source)
            value = tags.get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises many kinds over damaged blocks; pixels are fine
        return 1
    return int(value) if value in range(1, 9) else 1


def load_noting_turn(image: Image.Image) -> None:
    """Loads an image. Pillow turns TIFFs upright while it does, and forgets how."""
    turned = read_orientation(image) if image.format == "TIFF" else 1
    image.load()
    if turned != 1:
        image.info[_TURNED] = turned


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Height and width before Pillow turned the image, if it did."""
    size = (image.height, image.width)
    return size[::-1] if image.info.get(_TURNED) in SWAPPING else size


def turn_image(image: Image.Image, orientation: int, *, upright: bool) -> Image.Image:
    """A loaded image, upright or as stored."""
    missing = _missing_turn(image, orientation, upright=upright)
    return image.transpose(_TRANSPOSITIONS[missing]) if missing != 1 else image


def turn_pixels(
    pixels: NDArray[Any], image: Image.Image, orientation: int, *, upright: bool
) -> NDArray[Any]:
    """`turn_image` for `[height, width]` samples of that image."""
    missing = _missing_turn(image, orientation, upright=upright)
    if missing in (3, 4, 7):
        pixels = pixels[::-1]
    if missing in (2, 3, 7):
        pixels = pixels[:, ::-1]
    if missing in (6, 8):
        pixels = np.rot90(pixels, -1 if missing == 6 else 1)
    return np.ascontiguousarray(pixels.T if missing in (5, 7) else pixels)


def _missing_turn(image: Image.Image, orientation: int, *, upright: bool) -> int:
    """The orientation whose turn gives what is asked for; 1 for none."""
    is_upright = orientation == 1 or _TURNED in image.info
    if upright == is_upright or orientation == 1:
        return 1
    return orientation if upright else _UNDONE_BY.get(orientation, orientation)
