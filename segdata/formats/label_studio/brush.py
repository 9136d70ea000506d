"""Label Studio's run lengths of brush strokes.

Its own format, from thi.ng's rle-pack (`packages/rle-pack` of thi-ng/umbrella), as
label-studio-converter's `brush.py` reads it: a bit stream, the highest bit of each byte
first.

    32 bits                    number of words
    5 bits + 1                 bits of a word
    4 times 4 bits + 1         bits of a run's length, four sizes to choose from
    blocks: 1 bit              1: one word, repeated; 0: a word for each place
            2 bits             which size the length has
            so many bits + 1   the length
            word(s)

The words are the bytes of an RGBA image: 4 for each pixel. A pixel whose alpha is not 0
is of the stroke.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 4
_MAX_PIXELS = 1 << 28
_MAX_BYTES = 1 << 26


def brush_mask(data: Any, height: int, width: int) -> NDArray[np.bool_]:
    """Decodes a brush stroke.

    Args:
      data: The list `rle`: bytes as numbers.
      height: Height of the image in pixels.
      width: Width of the image in pixels.

    Returns:
      `[height, width] bool`.

    Raises:
      ValueError: If it is no such stream, or not of this size.
    """
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise ValueError("rle is no list of bytes")
    if len(data) > _MAX_BYTES or height * width > _MAX_PIXELS:
        raise ValueError("rle is too long")
    try:
        reader = _Bits(bytes(data))
    except TypeError as error:
        raise ValueError("rle is no list of bytes") from error
    count = reader.number(32)
    if count != height * width * _CHANNELS:
        raise ValueError(f"rle is of {count // _CHANNELS} pixels, not {height}x{width}")
    bits = reader.number(5) + 1
    sizes = [reader.number(4) + 1 for _ in range(4)]
    values: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    done = 0
    while done < count:
        is_run = reader.number(1)
        length = reader.number(sizes[reader.number(2)]) + 1
        done += length
        values.append(reader.numbers(bits, 1 if is_run else length))
        lengths.append(np.full(len(values[-1]), length if is_run else 1))
    if done != count:
        raise ValueError("rle has more words than it says")
    # Of every four words only the last counts: so many of them begin before each end.
    ends = np.cumsum(np.concatenate(lengths)) // _CHANNELS
    is_stroke = np.concatenate(values) != 0
    return np.repeat(is_stroke, np.diff(ends, prepend=0)).reshape(height, width)


class _Bits:
    """A stream of bits."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._data = data
        self._place = 0

    def number(self, bits: int) -> int:
        """The next number of so many bits."""
        begin, self._place = self._place, self._place + bits
        first, last = begin // 8, (self._place + 7) // 8
        if last > len(self._data):
            raise ValueError("rle is cut off")
        whole = int.from_bytes(self._data[first:last], "big")
        return whole >> (last * 8 - self._place) & (1 << bits) - 1

    def numbers(self, bits: int, count: int) -> NDArray[np.int64]:
        """The next numbers of so many bits each."""
        if count == 1:
            return np.array([self.number(bits)])
        begin, self._place = self._place, self._place + bits * count
        if self._place > len(self._bits):
            raise ValueError("rle is cut off")
        parts = self._bits[begin : self._place].reshape(count, bits)
        found: NDArray[np.int64] = parts @ (1 << np.arange(bits - 1, -1, -1))
        return found
