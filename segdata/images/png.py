"""PNG files: their chunks, and a writer whose bytes depend on the pixels alone.

Other encoders leave it to zlib which earlier bytes to refer to, and zlib and zlib-ng
choose differently. With the strategy `Z_RLE` nothing is to choose: it looks only at the
byte before. zlib 1.2.8 to 1.3.1 and zlib-ng 2.0 to 2.3 write the same, except that
zlib-ng 2.0 differs at level 1.

Format: https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE = 0, 2, 3
_NO_FILTER, _UP = 0, 2  # as it is; difference to the pixel above
OF_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def read_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walks a PNG's whole chunks up to IEND, or to where the file is cut off.

    Yields:
      The chunk's kind, and begin and end of its content in the file; 4 bytes of length
      and 4 of kind stand before it, a CRC-32 of 4 bytes after it.
    """
    begin, kind = len(PNG_SIGNATURE) + 8, b""
    while kind != b"IEND" and begin + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, begin - 8)
        kind, end = data[begin - 4 : begin], begin + length
        if end + 4 > len(data):
            return
        yield kind, begin, end
        begin = end + 12


def without_metadata(data: bytes) -> bytes:
    """A PNG with the chunks that its pixels depend on, and no others.

    Pillow refuses files with more than 1 MiB of text or colour profile, which other
    readers pass over.
    """
    chunks = list(read_chunks(data))
    if {kind for kind, _, _ in chunks} <= OF_PIXELS:
        return data
    kept = (data[a - 8 : b + 4] for kind, a, b in chunks if kind in OF_PIXELS)
    return PNG_SIGNATURE + b"".join(kept)


def encode_png(
    pixels: NDArray[np.uint8], *, palette: bytes | None = None, is_mask: bool = False
) -> bytes:
    """Encodes an image of 8 bits.

    Args:
      pixels: `[height, width] uint8` gray, or indices with a palette;
        `[height, width, 3] uint8` RGB.
      palette: Red, green and blue of each index, one after the other.
      is_mask: Whether the pixels are few long runs of 0 and 1, which are smaller as
        they are than as differences to the row above.
    """
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0] = _NO_FILTER if is_mask else _UP
    lines[:, 1:] = rows
    if not is_mask:
        lines[1:, 1:] -= rows[:-1]
    # The level decides nothing but that zlib-ng 2.0 writes what the others write.
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    data = deflate.compress(lines.data) + deflate.flush()
    color = _PALETTE if palette else _RGB if pixels.ndim == 3 else _GRAY
    return b"".join(
        (
            PNG_SIGNATURE,
            _chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, color, 0, 0, 0)),
            _chunk(b"PLTE", palette) if palette else b"",
            _chunk(b"IDAT", data),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
