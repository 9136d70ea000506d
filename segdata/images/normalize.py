"""Image bytes in, honest image bytes out.

JPEG and plain PNG bytes pass through untouched. What readers decode differently or
wrongly (EXIF rotation, palette, 16 bit, alpha, CMYK) and what they cannot decode (GIF,
BMP, TIFF, WebP ...) is normalised once, here: to PNG where the source is lossless, to
JPEG of quality 95 without chroma subsampling where it is lossy. Every such change has a
name; records carry them and the manifest counts them.

Looking at an image here does not decode its pixels: PNG files carry a CRC-32 per chunk
(https://www.w3.org/TR/png-3/, 5.3) and JPEG files their markers (ITU-T T.81, annex B),
which find truncated and damaged files cheaply. `decode_rgb` finds the rest.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from segdata.errors import ImageError
from segdata.images import modes
from segdata.images.png import PNG_SIGNATURE, encode_png

MAX_IMAGE_PIXELS = 1 << 27  # 11585 x 11585: a larger header is a bomb or a mistake
JPEG_QUALITY = 95

# What turns pixels upright, by EXIF orientation (CIPA DC-008, tag 274).
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LOSSLESS_FORMATS = {"PNG", "BMP", "GIF", "TIFF", "PPM", "TGA", "WEBP"}
_EXTENSIONS = {"jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "png": {".png"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHeader:
    """What an image file says of itself."""

    format: str
    """`jpeg`, `png`, or Pillow's name in lower case for anything else."""
    height: int
    """Height in pixels as stored, before any EXIF rotation."""
    width: int
    """Width in pixels as stored."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; invalid values count as 1 (upright)."""
    oddities: tuple[str, ...] = ()
    """What keeps the bytes from passing through, by name."""


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


def read_header(data: bytes, name: str) -> ImageHeader:
    """Reads and checks an image's structure without decoding its pixels.

    Args:
      data: The whole file.
      name: For messages.

    Raises:
      ImageError: If it is no image, damaged, truncated or too large.
    """
    if data.startswith(PNG_SIGNATURE):
        header = _read_png(data, name)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data, name)
    else:
        header = _read_other(data, name)
    if min(header.height, header.width) < 1:
        raise _undecodable(name, f"its size is {header.height}x{header.width}")
    if header.height * header.width > MAX_IMAGE_PIXELS:
        raise _too_large(name, f"{header.height}x{header.width}")
    return header


def normalize_image(
    data: bytes, name: str, *, expected_size: tuple[int, int] | None = None
) -> NormalizedImage:
    """Makes image bytes that every reader decodes alike.

    Args:
      data: The whole source file.
      name: Its path, for messages and to compare the extension with the content.
      expected_size: `(height, width)` that the annotations refer to, if known. An
        EXIF rotation that swaps height and width is applied only if this agrees.

    Returns:
      The image, with the source's own bytes wherever these are fine.

    Raises:
      ImageError: If the image cannot be decoded or is refused.
    """
    header = read_header(data, name)
    changes = list(header.oddities)
    if not name.lower().endswith(tuple(_EXTENSIONS.get(header.format, ("",)))):
        changes.append("extension-corrected")
    rotate = header.orientation != 1
    if rotate and _is_annotated_unrotated(header, expected_size):
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
    return _reencode(data, name, header, rotate=rotate, changes=changes)


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
    image = _open(data, name)
    image.info.pop("transparency", None)  # dropped, without a warning
    return image.convert("RGB")


def decode_label_image(data: bytes, name: str) -> Image.Image:
    """Decodes a label image, whose sample values must survive: PNG, BMP, TIFF, GIF.

    Returns:
      The loaded Pillow image in its own mode.

    Raises:
      ImageError: If its format may change values (JPEG, lossy WebP ...), or it is
        damaged or too large.
    """
    if data.startswith(PNG_SIGNATURE):
        # Pillow does not check the CRCs of pixel data, and a flipped bit that still
        # inflates is a wrong label.
        _read_png(data, name, what="label image")
    image = _open(data, name, what="label image")
    is_lossy = (
        image.format not in _LOSSLESS_FORMATS
        or (image.format == "WEBP" and b"VP8 " in data)
        or str(image.info.get("compression", "")).endswith(("jpeg", "webp"))
    )
    if is_lossy:
        raise ImageError(
            f"label image {name!r} is a {image.format}: its compression changes label "
            "values. Expected PNG; export the labels again.",
            reason="label-image-lossy",
        )
    return image


def _read_png(data: bytes, name: str, *, what: str = "image") -> ImageHeader:
    """Walks the chunks, checks their CRCs, and reads IHDR and eXIf."""
    damaged = partial(_undecodable, name, what=what)
    position, orientation, end = 8, 1, len(data)
    ihdr = b""
    transparent = has_pixels = False
    view = memoryview(data)
    while True:
        if position + 12 > end:
            raise damaged(f"PNG ends after {end} bytes, without IEND chunk")
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        stop = position + 8 + length
        if stop + 4 > end:
            raise damaged(f"PNG is truncated after {end} bytes")
        (stored,) = struct.unpack_from(">I", data, stop)
        if zlib.crc32(view[position + 4 : stop]) != stored:
            raise damaged(
                f"PNG chunk {kind!r} at byte {position} fails its CRC-32 check"
            )
        if kind == b"IHDR" and length == 13:
            ihdr = data[position + 8 : stop]
        elif kind == b"IDAT":
            has_pixels = True
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = _orientation(data[position + 8 : stop])
        elif kind == b"IEND":
            break
        position = stop + 4
    if not ihdr or not has_pixels:
        raise damaged("PNG has no IHDR or no IDAT chunk")
    width, height, bits, color_type = struct.unpack_from(">IIBB", ihdr)
    oddities = []
    if color_type == 3:
        oddities.append("palette-expanded")
    elif bits == 16:
        oddities.append("16-bit-reduced")
    elif bits < 8:
        oddities.append("bit-depth-expanded")
    if color_type in (4, 6) or transparent:
        oddities.append("alpha-removed")
    return ImageHeader(
        format="png",
        height=height,
        width=width,
        orientation=orientation,
        oddities=tuple(oddities),
    )


# Start-of-frame markers of the processes that JPEG decoders support: baseline,
# extended sequential and progressive, all Huffman-coded.
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}
_JPEG_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def _read_jpeg(data: bytes, name: str) -> ImageHeader:
    """Walks the markers up to the first scan; reads SOF and EXIF, looks for EOI."""
    position, orientation, end = 2, 1, len(data)
    frame: tuple[int, int, int, int] | None = None
    while True:
        if position + 4 > end:
            raise _undecodable(name, f"JPEG ends after {end} bytes, in its header")
        if data[position] != 0xFF:
            raise _undecodable(name, f"JPEG has no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_OTHER_FRAMES:
            raise _undecodable(
                name, f"its JPEG process SOF{marker - 0xC0} is not supported by readers"
            )
        if marker in _JPEG_FRAMES and length >= 8 and position + 10 <= end:
            frame = struct.unpack_from(">BHHB", data, position + 4)
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = _orientation(data[position + 10 : position + 2 + length])
        elif marker == 0xDA:
            break
        position += 2 + length
    if frame is None:
        raise _undecodable(name, "JPEG has no start-of-frame marker")
    if data.rfind(b"\xff\xd9", position) < 0:
        raise _undecodable(
            name, f"JPEG is truncated: no end-of-image marker in {end} bytes"
        )
    bits, height, width, channels = frame
    if bits != 8 or channels not in (1, 3, 4):
        raise _undecodable(
            name, f"JPEG of {bits} bits and {channels} channels is not supported"
        )
    return ImageHeader(
        format="jpeg",
        height=height,
        width=width,
        orientation=orientation,
        oddities=("cmyk-converted",) if channels == 4 else (),
    )


def _read_other(data: bytes, name: str) -> ImageHeader:
    # Pillow turns TIFFs upright while loading, so only a loaded image tells the truth.
    image = _open(data, name)
    kind = (image.format or "unknown").lower()
    oddities = [f"{kind}-converted", *modes.photo_notes(image, data, name)]
    return ImageHeader(
        format=kind,
        height=image.height,
        width=image.width,
        orientation=_orientation(image),
        oddities=tuple(oddities),
    )


def _orientation(source: bytes | Image.Image) -> int:
    """EXIF orientation of a TIFF block or image; 1 if absent, invalid or damaged."""
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


def _is_annotated_unrotated(
    header: ImageHeader, expected_size: tuple[int, int] | None
) -> bool:
    """Whether annotations were drawn on the pixels as stored, ignoring the rotation."""
    if expected_size is None or header.orientation < 5:  # 5 to 8 swap the sides
        return False
    stored = (header.height, header.width)
    return expected_size == stored and stored != stored[::-1]


def _reencode(
    data: bytes, name: str, header: ImageHeader, *, rotate: bool, changes: list[str]
) -> NormalizedImage:
    image = _open(data, name)
    if rotate:
        image = image.transpose(_TRANSPOSITIONS[header.orientation])
    image = _to_8_bit(image, name)
    lossy = header.format == "jpeg"
    return NormalizedImage(
        encoded=_jpeg(image) if lossy else encode_png(np.asarray(image)),
        format="jpeg" if lossy else "png",
        height=image.height,
        width=image.width,
        changes=tuple(changes),
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


def _open(data: bytes, name: str, *, what: str = "image") -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF or palettes: pixels are fine
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise _too_large(name, f"{image.height}x{image.width}", what=what)
            image.load()
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # its own, higher limit comes first
        raise _too_large(name, "far too many", what=what) from error
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError and more
        detail = str(error).split(" <_io.")[0] or type(error).__name__
        raise _undecodable(name, detail, what=what) from error
    return image


def _too_large(name: str, pixels: str, *, what: str = "image") -> ImageError:
    return ImageError(
        f"{what} {name!r} claims {pixels} pixels: at most {MAX_IMAGE_PIXELS} are "
        "accepted. Scale it down or cut it into tiles.",
        reason=f"{what.replace(' ', '-')}-too-large",
    )


def _undecodable(name: str, detail: str, *, what: str = "image") -> ImageError:
    return ImageError(
        f"{what} {name!r} cannot be decoded: {detail}. Replace the file.",
        reason=f"{what.replace(' ', '-')}-undecodable",
    )
