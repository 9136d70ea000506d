"""What an image file says of itself, without decoding its pixels.

PNG files carry a CRC-32 per chunk (https://www.w3.org/TR/png-3/, 5.3) and JPEG files
their markers (ITU-T T.81, annex B), which find truncated and damaged files cheaply.
Other formats are decoded: Pillow alone knows them. `decode.py` finds the rest.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import partial

from PIL import Image

from segdata.errors import ImageError
from segdata.images import modes
from segdata.images.opening import (
    MAX_IMAGE_PIXELS,
    open_image,
    too_large,
    undecodable,
)
from segdata.images.orientation import read_orientation, stored_size
from segdata.images.png import PNG_SIGNATURE, read_chunks

JPEG_SIGNATURE = b"\xff\xd8\xff"
# Colour type -> bits of a sample (https://www.w3.org/TR/png-3/#11IHDR).
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Start-of-frame markers of the processes that JPEG decoders support: baseline,
# extended sequential and progressive, all Huffman-coded.
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}
_JPEG_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_JPEG_END = b"\xff\xd9"
_JPEG_BARE = range(0xD0, 0xD8)  # markers that no length follows
# Other markers with a length: tables, scans, comments, applications' own.
_JPEG_SEGMENTS = {0xC4, 0xCC, *range(0xDA, 0xDE), *range(0xE0, 0xF0), 0xFE}


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


def read_header(data: bytes, name: str) -> ImageHeader:
    """Reads and checks an image's structure.

    Args:
      data: The whole file.
      name: For messages.

    Raises:
      ImageError: If it is no image, damaged, truncated or too large.
    """
    return look(data, name)[0]


def look(data: bytes, name: str) -> tuple[ImageHeader, Image.Image | None]:
    """`read_header`, and the decoded image where it had to be decoded for that."""
    image = None
    if data.startswith(PNG_SIGNATURE):
        header = read_png_header(data, name)
    elif data.startswith(JPEG_SIGNATURE):
        header = _read_jpeg_header(data, name)
    else:
        image = open_image(data, name)
        header = _header_of(image, data, name)
    if min(header.height, header.width) < 1:
        raise undecodable(name, f"its size is {header.height}x{header.width}")
    if header.height * header.width > MAX_IMAGE_PIXELS:
        raise too_large(name, f"{header.height}x{header.width}")
    return header, image


def look_at_start(head: bytes) -> tuple[int, int, int] | None:
    """Height and width as stored, and EXIF orientation, by the first bytes of a file.

    None where they do not tell, or it is neither PNG nor JPEG.
    """
    try:
        if head.startswith(PNG_SIGNATURE):
            found = {kind: (a, b) for kind, a, b in read_chunks(head)}
            size = png_size(head)
            begin, end = found.get(b"eXIf", (0, 0))
            return size and (*size, read_orientation(head[begin:end]))
        if head.startswith(JPEG_SIGNATURE):
            header = _read_jpeg_header(head + _JPEG_END, "")
            return header.height, header.width, header.orientation
    except ImageError:
        return None  # the worker that reads it whole says why
    return None


def png_size(head: bytes) -> tuple[int, int] | None:
    """Height and width by the first 24 bytes of a PNG; None if it is none."""
    if len(head) < 24 or not head.startswith(PNG_SIGNATURE):
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return height, width


def read_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of a PNG or JPEG as stored, by its header alone.

    Raises:
      ImageError: If it is neither, or its header is damaged.
    """
    if (size := png_size(data)) is not None:
        return size
    if not data.startswith(JPEG_SIGNATURE):
        raise undecodable(name, "it is neither PNG nor JPEG")
    header = _read_jpeg_header(data, name)
    return header.height, header.width


def read_png_header(data: bytes, name: str, *, what: str = "image") -> ImageHeader:
    """Walks the chunks, checks their CRCs, and reads IHDR and eXIf."""
    damaged = partial(undecodable, name, what=what)
    ihdr, kind, kinds, orientation = b"", b"", set(), 1
    view = memoryview(data)
    for kind, begin, end in read_chunks(data):
        (stored,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[begin - 4 : end]) != stored:
            raise damaged(
                f"PNG chunk {kind!r} at byte {begin - 8} fails its CRC-32 check"
            )
        kinds.add(kind)
        if kind == b"IHDR" and end - begin == 13:
            ihdr = data[begin:end]
        elif kind == b"eXIf":
            orientation = read_orientation(data[begin:end])
    if kind != b"IEND":
        raise damaged(f"PNG ends after {len(data)} bytes, without IEND chunk")
    if not ihdr or b"IDAT" not in kinds:
        raise damaged("PNG has no IHDR or no IDAT chunk")
    width, height, bits, color_type, *methods = struct.unpack(">II5B", ihdr)
    if bits not in _PNG_BITS.get(color_type, ()) or methods > [0, 0, 1]:
        raise damaged(
            f"PNG has no samples of {bits} bits and colour type {color_type}, coded by "
            f"methods {methods}"
        )
    if color_type == 3 and b"PLTE" not in kinds:
        raise damaged("PNG has indices and no palette")
    oddities = []
    if color_type == 3:
        oddities.append("palette-expanded")
    elif bits == 16:
        oddities.append("16-bit-reduced")
    elif bits < 8:
        oddities.append("bit-depth-expanded")
    if color_type in (4, 6) or b"tRNS" in kinds:
        oddities.append("alpha-removed")
    return ImageHeader(
        format="png",
        height=height,
        width=width,
        orientation=orientation,
        oddities=tuple(oddities),
    )


def jpeg_segments(data: bytes, name: str) -> list[tuple[int, int, int]]:
    """Walks a JPEG's markers up to its first scan, over whatever lies between them.

    Returns:
      Marker, and begin and end of each segment in the file, its marker included; the
      last one ends where the file ends.

    Raises:
      ImageError: If readers would not find the scan.
    """
    segments: list[tuple[int, int, int]] = []
    position, end = 2, len(data)
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 4 > end:
            raise undecodable(name, f"JPEG ends after {end} bytes, in its header")
        marker = data[position + 1]
        if marker in (0x00, 0xFF):  # readers step over these, and over any other byte
            position += 1
        elif marker in _JPEG_BARE:
            position += 2
        elif marker in _JPEG_OTHER_FRAMES:
            raise undecodable(
                name, f"its JPEG process SOF{marker - 0xC0} is not supported by readers"
            )
        elif marker not in _JPEG_SEGMENTS | _JPEG_FRAMES:
            raise undecodable(
                name, f"JPEG has the marker 0x{marker:02X} at byte {position}, no scan"
            )
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            is_scan = marker == 0xDA
            stop = end if is_scan else position + 2 + length
            segments.append((marker, position, stop))
            if is_scan:
                return segments
            position = stop


def _read_jpeg_header(data: bytes, name: str) -> ImageHeader:
    """Reads SOF and EXIF, looks for EOI."""
    orientation = 1
    frame: tuple[int, int, int, int] | None = None
    position = 0
    for marker, position, stop in jpeg_segments(data, name):
        if marker in _JPEG_FRAMES and stop - position >= 10 and stop <= len(data):
            frame = struct.unpack_from(">BHHB", data, position + 4)
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = read_orientation(data[position + 10 : stop])
    if frame is None:
        raise undecodable(name, "JPEG has no start-of-frame marker")
    if data.rfind(_JPEG_END, position) < 0:
        raise undecodable(
            name, f"JPEG is truncated: no end-of-image marker in {len(data)} bytes"
        )
    bits, height, width, channels = frame
    if bits != 8 or channels not in (1, 3, 4):
        raise undecodable(
            name, f"JPEG of {bits} bits and {channels} channels is not supported"
        )
    return ImageHeader(
        format="jpeg",
        height=height,
        width=width,
        orientation=orientation,
        oddities=("cmyk-converted",) if channels == 4 else (),
    )


def _header_of(image: Image.Image, data: bytes, name: str) -> ImageHeader:
    kind = (image.format or "unknown").lower()
    height, width = stored_size(image)
    return ImageHeader(
        format=kind,
        height=height,
        width=width,
        orientation=read_orientation(image),
        oddities=(f"{kind}-converted", *modes.photo_notes(image, data, name)),
    )
