"""Plain PNGs of labels, decoded without Pillow, several times faster.

Nearly all label images are such: 8 bits, grey, RGB or with a palette, not interlaced.
What is odd or damaged is for Pillow, and for what is checked beside it.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from segdata.images.opening import MAX_IMAGE_PIXELS
from segdata.images.png import OF_PIXELS, PNG_SIGNATURE, read_chunks
from segdata.masks import compiled

_RGB = 2
_UNUSUAL = {b"eXIf", b"tRNS"}
# Length and name of the first chunk, bits, colour type, two methods of which there is
# one each, not interlaced -> chunks that matter to pixels; others are not shown to
# Pillow either.
_KINDS = {
    b"\0\0\0\rIHDR" + b"\x08\0\0\0\0": [b"IHDR", b"IDAT", b"IEND"],
    b"\0\0\0\rIHDR" + b"\x08\x02\0\0\0": [b"IHDR", b"IDAT", b"IEND"],
    b"\0\0\0\rIHDR" + b"\x08\x03\0\0\0": [b"IHDR", b"PLTE", b"IDAT", b"IEND"],
}


def plain_samples(data: bytes, *, colors: bool) -> NDArray[np.uint8] | None:
    """The samples of a label image that is plain.

    Args:
      data: The whole file.
      colors: Whether it must be RGB: `[height, width, 3]`; or else grey or of palette
        indices: `[height, width]`.

    Returns:
      None where it is no such PNG, is damaged, or nothing was compiled.
    """
    if compiled.runs is None or not data.startswith(PNG_SIGNATURE):
        return None
    pixel_data = _pixel_data(data)
    if pixel_data is None or colors != (data[25] == _RGB):
        return None
    width, height = struct.unpack_from(">2I", data, 16)
    if not 0 < height * width <= MAX_IMAGE_PIXELS:
        return None
    item = 3 if colors else 1
    inflate, size = zlib.decompressobj(), height * (item * width + 1)
    try:
        rows = inflate.decompress(pixel_data, size + 1)
    except zlib.error:
        return None
    if len(rows) != size or not inflate.eof or inflate.unused_data:
        return None
    pixels = compiled.runs.unfilter(rows, item * width, item)
    if pixels is None:
        return None
    shape = (height, width, 3) if colors else (height, width)
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _pixel_data(data: bytes) -> bytes | None:
    """The compressed pixels; None where a chunk is damaged or not as usual."""
    view = memoryview(data)
    kinds: list[bytes] = []
    found: list[memoryview] = []
    for kind, begin, end in read_chunks(data):
        (stored,) = struct.unpack_from(">I", data, end)
        if kind in _UNUSUAL or zlib.crc32(view[begin - 4 : end]) != stored:
            return None
        if kind == b"IDAT":
            found.append(view[begin:end])
        if kind in OF_PIXELS and (kind != b"IDAT" or len(found) == 1):
            kinds.append(kind)
    header = data[8:16] + data[24:29]
    return b"".join(found) if _KINDS.get(header) == kinds else None
