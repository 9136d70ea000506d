"""Every pixel of an image file: as readers see it, and whether it is all there.

Pillow, TensorFlow and others keep silent about much damage: a JPEG whose scan is broken
decodes to other pixels, a PNG whose data end early to black ones. JPEG has no checksum,
so no decoder names all damage; `decode_strictly` reports what libjpeg itself warns of.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from segdata.errors import ImageError
from segdata.images import header
from segdata.images.opening import open_image, undecodable
from segdata.images.orientation import read_orientation
from segdata.images.png import PNG_SIGNATURE, read_chunks

# libjpeg's warnings that pixels are wrong; its others are about headers.
_JPEG_DAMAGE = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
_LOSSLESS_FORMATS = {"PNG", "BMP", "GIF", "TIFF", "PPM", "TGA", "WEBP"}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7: first column and row of each pass, and its steps
# (https://www.w3.org/TR/png-3/#8Interlace).
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PIECE = 1 << 20  # bytes that are inflated at a time


def decode_rgb(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes every pixel.

    Returns:
      `[height, width, 3] uint8`, RGB, as stored (EXIF orientation is not applied).

    Raises:
      ImageError: If the file cannot be decoded to its end.
    """
    return np.asarray(open_rgb(data, name))


def open_rgb(data: bytes, name: str) -> Image.Image:
    """What `decode_rgb` decodes, as a Pillow image."""
    image = open_image(data, name)
    if data.startswith(PNG_SIGNATURE) and _may_be_short(image):
        check_png_pixels(data, name)
    image.info.pop("transparency", None)  # dropped, without a warning
    return image if image.mode == "RGB" else image.convert("RGB")


def decode_strictly(data: bytes, name: str) -> NDArray[np.uint8]:
    """`decode_rgb`, which also refuses a JPEG over which the decoder warns.

    Raises:
      ImageError: If the file cannot be decoded to its end, or not without a warning.
    """
    if data.startswith(header.JPEG_SIGNATURE):
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                _without_junk(data, name), "RGB", strict=True
            )
        except ValueError as error:
            if str(error).startswith(_JPEG_DAMAGE):
                raise undecodable(name, str(error)) from error
            # It knows fewer ways to store colours than readers do.
        else:
            return pixels
    elif data.startswith(PNG_SIGNATURE):
        check_png_pixels(data, name)
    return decode_rgb(data, name)


def decode_as_tensorflow(data: bytes, name: str) -> NDArray[np.uint8]:
    """`decode_rgb` with the pixels of `tf.io.decode_image`, to the bit.

    TensorFlow takes libjpeg's fast transform, Pillow the slow one; they differ by up to
    20 levels of 255.

    Raises:
      ImageError: If the file cannot be decoded.
    """
    if data.startswith(header.JPEG_SIGNATURE):
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, "RGB", fastdct=True
            )
        except ValueError:
            pass  # it knows fewer ways to store colours; or it is damaged
        else:
            return pixels
    return decode_rgb(data, name)


def check_png_pixels(data: bytes, name: str, *, what: str = "image") -> None:
    """Refuses a PNG whose data end early; Pillow leaves the other rows black.

    Raises:
      ImageError: If they lack rows or the end of their stream, or cannot be inflated.
    """
    needed, found = _png_bytes(data), 0
    inflate = zlib.decompressobj()
    # One byte more than is needed tells that the stream goes on, which is no damage.
    for kind, begin, end in read_chunks(data):
        piece = data[begin:end] if kind == b"IDAT" else b""
        while piece and found <= needed and not inflate.eof:
            room = min(_PIECE, needed + 1 - found)
            try:
                found += len(inflate.decompress(piece, room))
            except zlib.error as error:
                raise undecodable(name, f"PNG data: {error}", what=what) from error
            piece = inflate.unconsumed_tail
    if found <= needed and not inflate.eof:
        found += len(inflate.flush())
    if found < needed or (found == needed and not inflate.eof):
        raise undecodable(
            name, f"its PNG data end early, after {found} of {needed} bytes", what=what
        )


def decode_label_image(
    data: bytes, name: str, *, may_be_lossy: bool = False
) -> tuple[Image.Image, int]:
    """Decodes a label image, whose sample values must survive: PNG, BMP, TIFF, GIF.

    Args:
      data: The whole file.
      name: For messages.
      may_be_lossy: Whether a format will do that may have changed the values.

    Returns:
      The loaded Pillow image in its own mode, and its EXIF orientation.

    Raises:
      ImageError: If its format may change values (JPEG, lossy WebP ...), or it is
        damaged or too large.
    """
    what = "label image"
    if data.startswith(PNG_SIGNATURE):
        # Pillow does not check the CRCs of pixel data, and a flipped bit that still
        # inflates is a wrong label.
        orientation = header.read_png_header(data, name, what=what).orientation
    image = open_image(data, name, what=what)
    if data.startswith(PNG_SIGNATURE):
        check_png_pixels(data, name, what=what)
    else:
        orientation = read_orientation(image)
    is_lossy = (
        image.format not in _LOSSLESS_FORMATS
        or (image.format == "WEBP" and b"VP8 " in data)
        or str(image.info.get("compression", "")).endswith(("jpeg", "webp"))
    )
    if is_lossy and not may_be_lossy:
        raise ImageError(
            f"label image {name!r} is a {image.format}: its compression changes label "
            "values. Expected PNG; export the labels again.",
            reason="label-image-lossy",
        )
    return image, orientation


def _may_be_short(image: Image.Image) -> bool:
    """Whether rows may be missing; to inflate a PNG twice takes a third more time."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or not np.asarray(last).any()


def _without_junk(data: bytes, name: str) -> bytes:
    """A JPEG without bytes between its segments, which are no damage."""
    segments = header.jpeg_segments(data, name)
    stops = [2, *(stop for _, _, stop in segments)]
    if all(begin == stop for (_, begin, _), stop in zip(segments, stops, strict=False)):
        return data
    return data[:2] + b"".join(data[begin:stop] for _, begin, stop in segments)


def _png_bytes(data: bytes) -> int:
    """Bytes of all rows of a PNG, each with its filter's byte."""
    width, height, bits, color, interlaced = struct.unpack_from(">IIBB2xB", data, 16)
    bits *= _PNG_CHANNELS.get(color, 1)
    total = 0
    for left, top, step, step_down in _ADAM7 if interlaced else _WHOLE:
        columns = -(-(width - left) // step)
        rows = -(-(height - top) // step_down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
