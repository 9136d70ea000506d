"""Image bytes in, honest image bytes out.

JPEG and plain PNG bytes pass through untouched. What readers decode differently or
wrongly (EXIF rotation, palette, 16 bit, alpha, CMYK) and what they cannot decode (GIF,
BMP, TIFF, WebP ...) is normalised once, here: to PNG where the source is lossless, to
JPEG of quality 95 without chroma subsampling where it is lossy. Every such change has a
name; records carry them and the manifest counts them.

Looking at an image here does not decode its pixels, unless it is to be converted or
checked: `header.py` finds truncated and damaged files cheaply, `decode.py` the rest.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segdata.errors import ImageError
from segdata.images import modes
from segdata.images.decode import check_png_pixels, decode_strictly
from segdata.images.header import ImageHeader, look
from segdata.images.opening import open_image
from segdata.images.orientation import SWAPPING, Exif, turn_image
from segdata.images.png import encode_png

JPEG_QUALITY = 95

_EXTENSIONS = {"jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "png": {".png"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedImage:
    """Image bytes that every reader decodes alike."""

    encoded: bytes
    """JPEG or PNG file: 8 bits, grey or RGB, upright."""
    format: str
    """`jpeg` or `png`."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    changes: tuple[str, ...]
    """What was done to the source, by name; empty where the bytes are the source's."""


def normalize_image(
    data: bytes,
    name: str,
    *,
    expected_size: tuple[int, int] | None = None,
    exif: Exif = "auto",
    check_pixels: bool = False,
) -> NormalizedImage:
    """Makes image bytes that every reader decodes alike.

    Args:
      data: The whole source file.
      name: Its path, for messages and to compare the extension with the content.
      expected_size: `(height, width)` that the annotations refer to, if known.
      exif: Whether pixels are turned upright. What `expected_size` says against it is
        heeded by `auto` and refused by the others.
      check_pixels: Whether to decode bytes that pass through, too, and refuse what a
        strict decoder warns of.

    Returns:
      The image, with the source's own bytes wherever these are fine.

    Raises:
      ImageError: If the image cannot be decoded or is refused.
    """
    header, image = look(data, name)
    if check_pixels and image is None:
        decode_strictly(data, name)
    changes = list(header.oddities)
    if not name.lower().endswith(tuple(_EXTENSIONS.get(header.format, ("",)))):
        changes.append("extension-corrected")
    rotate = header.orientation != 1
    if rotate and not _is_to_turn(header, expected_size, exif, name):
        rotate = False
        changes.append("exif-rotation-ignored")
    if not rotate and not header.oddities:
        return NormalizedImage(
            encoded=data,
            format=header.format,
            height=header.height,
            width=header.width,
            changes=tuple(changes),
        )
    if rotate:
        changes.append("exif-rotated")
    if image is None:
        image = open_image(data, name)
        if header.format == "png":
            check_png_pixels(data, name)
    image = turn_image(image, header.orientation, upright=rotate)
    return _encode(_to_8_bit(image, name), header.format == "jpeg", tuple(changes))


def _is_to_turn(
    header: ImageHeader, expected_size: tuple[int, int] | None, exif: Exif, name: str
) -> bool:
    """Whether an image that EXIF turns is turned; where sizes tell, by these."""
    stored = (header.height, header.width)
    is_told = header.orientation in SWAPPING and stored != stored[::-1]
    fits_stored = is_told and expected_size == stored
    fits_upright = is_told and expected_size == stored[::-1]
    if exif == "auto":
        return not fits_stored
    if fits_stored if exif == "apply" else fits_upright:
        raise ImageError(
            f"image {name!r} has EXIF orientation {header.orientation}, and its "
            f"annotations fit its {'stored' if fits_stored else 'upright'} pixels: "
            f"expected {'upright' if fits_stored else 'stored'} ones, as --exif {exif} "
            "says, or the dataset's other images. Correct the one that is wrong.",
            reason="exif-contradicts",
        )
    return exif == "apply"


def _encode(
    image: Image.Image, lossy: bool, changes: tuple[str, ...]
) -> NormalizedImage:
    return NormalizedImage(
        encoded=_jpeg(image) if lossy else encode_png(np.asarray(image)),
        format="jpeg" if lossy else "png",
        height=image.height,
        width=image.width,
        changes=changes,
    )


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _to_8_bit(image: Image.Image, name: str) -> Image.Image:
    """Grey or RGB, 8 bits, alpha dropped; 16-bit samples keep their high byte."""
    image.info.pop("transparency", None)  # dropped, without Pillow's warning
    if image.mode.startswith("I"):
        image = modes.high_bytes(image, name)
    elif image.mode in ("1", "L", "LA", "La"):
        image = image.convert("L")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    # Without EXIF, colour profile or comments of the source.
    return Image.frombytes(image.mode, image.size, image.tobytes())
