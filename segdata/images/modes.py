"""What a pixel's samples are, by Pillow's mode and the file's own tags.

Pillow opens a file in one of its modes
(https://pillow.readthedocs.io/en/stable/handbook/concepts.html#modes). The mode alone
does not tell how many bits were stored, what a fourth band is, or whether black and
white were swapped while reading: TIFF's tags (https://www.loc.gov/preservation/digital/
formats/content/tiff_tags.shtml) and the headers of PNG and PNM do.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.errors import AnnotationError, ImageError
from segdata.images.png import PNG_SIGNATURE

NOTES = {
    **dict.fromkeys(("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV"), ""),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), "alpha-removed"),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "16-bit-reduced"),
    "RGBX": "bands-removed",
}
"""Mode of a photo -> the note it costs, or none. Other modes are refused: their samples
(`I`, `F`: 32 bits, any range) or colours (`LAB`) have no 8-bit meaning."""

_COLOR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 258, 262, 277, 338
_ALPHA = {1, 2}  # associated and unassociated; 0 is unspecified, such as infrared
_WHITE_IS_ZERO = 0
_GREY_STRETCH = {2: 85, 4: 17}
_PNM = re.compile(rb"P[25](?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+\d+\s+(\d+)")
# 16-bit grey whose largest value is below this is black as 8 bits: 12-bit cameras.
_DARKEST_16_BIT = 1 << 12


def bits_per_sample(image: Image.Image, data: bytes) -> int:
    """Bits of the widest sample as the file stores it."""
    if data.startswith(PNG_SIGNATURE):
        return data[24]
    if image.format == "TIFF":
        return max(_tag(image, _BITS_PER_SAMPLE) or (1,))
    return 16 if image.mode.startswith("I;16") else 8


def photo_notes(image: Image.Image, data: bytes, name: str) -> list[str]:
    """What an image that is neither PNG nor JPEG loses as 8-bit grey or RGB, by name.

    Raises:
      ImageError: If its mode has no such meaning.
    """
    if image.mode not in NOTES:
        values = ""
        if len(image.getbands()) == 1:
            values = ", values {} to {}".format(*image.getextrema())
        raise ImageError(
            f"image {name!r} has pixels of Pillow's mode {image.mode}{values}: "
            "expected 8 or 16 bits a sample, grey or RGB. Scale it to these first.",
            reason="image-mode",
        )
    notes = [NOTES[image.mode]]
    if image.format == "TIFF":
        extra = _tag(image, _EXTRA_SAMPLES)
        has_more = sum(_tag(image, _SAMPLES_PER_PIXEL)) > len(image.getbands())
        if has_more or (notes == ["alpha-removed"] and not _ALPHA & set(extra)):
            notes = ["bands-removed"]
        if bits_per_sample(image, data) > 8:
            notes.append("16-bit-reduced")
    if "transparency" in image.info:
        notes.append("alpha-removed")
    return sorted(set(notes) - {""})


def high_bytes(image: Image.Image, name: str) -> Image.Image:
    """16-bit grey as 8-bit grey: the high byte of each sample.

    Raises:
      ImageError: If nothing but black would be left of it.
    """
    samples = np.asarray(image).clip(0, 65535).astype(np.int64)
    highest = int(samples.max(initial=0))
    if 0 < highest < _DARKEST_16_BIT:
        raise ImageError(
            f"image {name!r} has 16 bits a sample, but values only up to {highest}: "
            "as 8 bits it would be black. Expected the range 0 to 65535; scale it to "
            "that, or to 8 bits.",
            reason="image-range",
        )
    return Image.fromarray((samples >> 8).astype(np.uint8))


def check_colors(image: Image.Image, data: bytes, name: str) -> None:
    """Refuses a label image whose colours are not those of its file.

    Raises:
      AnnotationError: If they are not stored as 8-bit grey, palette or RGB.
    """
    bits = bits_per_sample(image, data)
    if image.mode not in _COLOR_MODES or bits > 8:
        raise AnnotationError(
            f"label image {name!r} has pixels of mode {image.mode} and {bits} bits: "
            "expected colours of 8 bits, RGB or by a palette.",
            reason="label-image-mode",
        )


def stored_samples(
    image: Image.Image, data: bytes, name: str
) -> tuple[NDArray[Any], int]:
    """The samples of a label image as its file stores them, and their bits.

    Pillow stretches grey of 2 and 4 bits to 8, scales PNM by its largest value, and
    swaps black and white where the file says that white is 0.

    Raises:
      AnnotationError: If the stored values cannot be told any more.
    """
    bits = bits_per_sample(image, data)
    pixels = np.asarray(image)
    if image.mode not in ("1", "L"):
        return pixels, bits
    pnm = _PNM.match(data) if image.format == "PPM" else None
    if pnm and int(pnm[1]) != 255:
        raise AnnotationError(
            f"label image {name!r} is a PGM whose largest value is {int(pnm[1])}: its "
            "values cannot be told from their stretched ones. Expected a largest value "
            "of 255, or PNG.",
            reason="label-image-mode",
        )
    is_swapped = (
        image.format == "TIFF" and _tag(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,)
    ) or (image.format == "PPM" and image.mode == "1")
    if is_swapped:
        pixels = ~pixels  # 255 - v, or not v
    if image.mode == "L" and bits in _GREY_STRETCH:
        pixels = pixels // _GREY_STRETCH[bits]
    return pixels, bits


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    found = getattr(image, "tag_v2", {}).get(number, ())
    return tuple(found) if isinstance(found, tuple | list) else (int(found),)
