"""PNG files from runs, without ever making the pixels.

8 bits, one channel, no palette, no filter. A library's PNG encoder reads every pixel
and its bytes depend on the zlib it was built with, even on the processor: zlib-ng
hashes with whatever instructions there are. Here the runs become DEFLATE's runs of
bytes (`masks.deflate_code`), the Adler-32 comes from their sums, and the same runs
give the same bytes everywhere.

Format: https://www.w3.org/TR/png-3/, RFC 1950 (zlib), RFC 1951 (DEFLATE).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata.masks.deflate_code import MATCH_CODES, MAX_MATCH, NUM_MATCH_CODES, RunCode

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_HEADER = b"\x78\x01"
_ADLER_BASE = 65521
_WORD_BITS = 32  # 2**5

# Masks have one code for all, from what COCO's need: a code of each one's own would
# take longer to make than the mask to write, and its header eat what it saves.
_MASKS = RunCode(
    literal_weights=(160, 160, *(0,) * 254),
    match_weights=(8,) * (NUM_MATCH_CODES - 1) + (1000,),
)


def encode_masks(
    runs: Sequence[NDArray[np.int64]], height: int, width: int
) -> list[bytes]:
    """Encodes the masks of an image's objects.

    Args:
      runs: `[runs] int64` of each object, row-major, background first, an even number
        that sums to `height * width`, as `segdata.rle` returns them; none at all
        for an object without mask.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      A PNG file per object: 1 on the object, 0 elsewhere.
    """
    if not runs:
        return []
    bounds = [np.cumsum(item) for item in runs]
    starts = np.concatenate([np.zeros(0, np.int64), *(b[0::2] for b in bounds)])
    ends = np.concatenate([np.zeros(0, np.int64), *(b[1::2] for b in bounds)])
    owner = np.repeat(np.arange(len(runs)), [len(b) // 2 for b in bounds])
    filled = ends > starts
    painted = _Painted(
        starts=starts[filled],
        ends=ends[filled],
        values=np.ones(int(filled.sum()), np.int64),
        owner=owner[filled],
    )
    return _encode(painted, len(runs), height, width, _MASKS)


def encode_label_map(
    values: NDArray[np.uint8], lengths: NDArray[np.int64], height: int, width: int
) -> bytes:
    """Encodes a label map.

    Args:
      values: `[runs] uint8`, row-major.
      lengths: `[runs] int64`, pixels of each run, summing to `height * width`.
      height: Image height in pixels.
      width: Image width in pixels.
    """
    ends = np.cumsum(lengths)
    filled = (values != 0) & (lengths > 0)
    painted = _Painted(
        starts=(ends - lengths)[filled],
        ends=ends[filled],
        values=values[filled].astype(np.int64),
        owner=np.zeros(int(filled.sum()), np.int64),
    )
    return _encode(painted, 1, height, width, None)[0]


@dataclass(frozen=True, kw_only=True)
class _Painted:
    """Runs that are not 0, of many images of one size, in order."""

    starts: NDArray[np.int64]
    """`[runs]` position of the first pixel, or byte."""
    ends: NDArray[np.int64]
    """`[runs]` position after the last."""
    values: NDArray[np.int64]
    """`[runs]` 1 to 255."""
    owner: NDArray[np.int64]
    """`[runs]` number of the image."""

    def scanlines(self, width: int) -> _Painted:
        """The same in bytes of the file: rows are cut, each begins with a filter 0."""
        first, last = self.starts // width, (self.ends - 1) // width
        num_rows = last - first + 1
        which = np.repeat(np.arange(len(num_rows)), num_rows)
        row = np.arange(len(which)) - np.repeat(
            np.cumsum(num_rows) - num_rows, num_rows
        )
        row += first[which]
        return _Painted(
            starts=np.maximum(self.starts[which], row * width) + row + 1,
            ends=np.minimum(self.ends[which], (row + 1) * width) + row + 1,
            values=self.values[which],
            owner=self.owner[which],
        )


def _encode(
    painted: _Painted, num_images: int, height: int, width: int, code: RunCode | None
) -> list[bytes]:
    lines = painted.scanlines(width)
    num_bytes = height * (width + 1)
    streams = _deflate(lines, num_images, num_bytes, code)
    checks = _adler32(lines, num_images, num_bytes)
    head = _SIGNATURE + _chunk(
        b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    )
    tail = _chunk(b"IEND", b"")
    return [
        head + _chunk(b"IDAT", _ZLIB_HEADER + stream + struct.pack(">I", check)) + tail
        for stream, check in zip(streams, checks.tolist(), strict=True)
    ]


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _adler32(lines: _Painted, num_images: int, num_bytes: int) -> NDArray[np.int64]:
    """`[num_images]` Adler-32 of the bytes of each image (RFC 1950, 8.2)."""
    lengths = lines.ends - lines.starts
    # Byte `i` counts `num_bytes - i` times in the second sum.
    weighted = lengths * (2 * num_bytes - lines.starts - lines.ends + 1) // 2
    sums = [
        np.bincount(
            lines.owner,
            weights=lines.values * (part % _ADLER_BASE),
            minlength=num_images,
        ).astype(np.int64)
        for part in (lengths, weighted)
    ]
    low = (1 + sums[0]) % _ADLER_BASE
    high = (num_bytes + sums[1]) % _ADLER_BASE
    return high << 16 | low


def _deflate(
    lines: _Painted, num_images: int, num_bytes: int, code: RunCode | None
) -> list[bytes]:
    """One block of DEFLATE per image, with a code of its own where there is none."""
    values, lengths, owner = _all_runs(lines, num_images, num_bytes)
    # A run is its first byte, matches of the longest length, and what is left.
    num_longest, left = np.divmod(lengths - 1, MAX_MATCH)
    if code is None:
        code = _fitting_code(values, num_longest, left)
    literals, literal_bits = code.literals
    matches, match_bits = code.matches
    first, first_bits = literals[values], literal_bits[values]
    rest, rest_bits = matches[left], match_bits[left]
    for number in (1, 2):  # too short for a match
        short = left == number
        rest[short] = first[short]
        rest_bits[short] = number * first_bits[short]
    twice = left == 2
    rest[twice] |= first[twice] << first_bits[twice].astype(np.uint64)
    return _pack(
        _Tokens(
            owner=owner,
            first=first,
            first_bits=first_bits,
            num_longest=num_longest,
            rest=rest,
            rest_bits=rest_bits,
        ),
        num_images,
        code,
    )


def _fitting_code(
    values: NDArray[np.int64], num_longest: NDArray[np.int64], left: NDArray[np.int64]
) -> RunCode:
    """The best code for runs."""
    short = np.where(left < 3, left, 0)
    literals = np.bincount(values, weights=1 + short, minlength=256)
    matches = np.bincount(MATCH_CODES[left[left >= 3]], minlength=NUM_MATCH_CODES)
    matches[-1] += num_longest.sum()
    return RunCode(
        literal_weights=tuple(literals.astype(np.int64).tolist()),
        match_weights=tuple(matches.tolist()),
    )


def _all_runs(
    lines: _Painted, num_images: int, num_bytes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Value, length and image of every run, those of 0 among them, none empty."""
    # An empty run at each image's end, for the zeros before it.
    numbers = np.arange(num_images)
    places = np.searchsorted(lines.owner, numbers, side="right")
    owner = np.insert(lines.owner, places, numbers)
    before = owner * num_bytes
    starts = np.insert(lines.starts, places, num_bytes) + before
    ends = np.insert(lines.ends, places, num_bytes) + before
    values = np.zeros((len(owner), 2), np.int64)
    values[:, 1] = np.insert(lines.values, places, 0)
    lengths = np.empty((len(owner), 2), np.int64)
    lengths[0, 0], lengths[1:, 0] = starts[0], starts[1:] - ends[:-1]
    lengths[:, 1] = ends - starts
    filled = lengths.reshape(-1) > 0
    owners = np.repeat(owner, 2)
    return values.reshape(-1)[filled], lengths.reshape(-1)[filled], owners[filled]


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """What each run is in the stream: bits, lowest first, and their number."""

    owner: NDArray[np.int64]
    """`[runs]` image of each run, not falling; every image has one."""
    first: NDArray[np.uint64]
    """`[runs]` the literal."""
    first_bits: NDArray[np.int64]
    num_longest: NDArray[np.int64]
    """`[runs]` number of the longest matches, after it."""
    rest: NDArray[np.uint64]
    """`[runs]` what is left: a match, one literal or two; at most 32 bits."""
    rest_bits: NDArray[np.int64]


def _pack(tokens: _Tokens, num_images: int, code: RunCode) -> list[bytes]:
    """Writes header, tokens and end of block into bytes, per image."""
    header, header_bits = code.header
    end, end_bits = code.end
    longest, longest_bits = code.longest_match
    total = tokens.first_bits + tokens.num_longest * longest_bits + tokens.rest_bits
    owner = tokens.owner
    sizes = np.bincount(owner, weights=total, minlength=num_images).astype(np.int64)
    sizes += header_bits + end_bits
    # Streams begin with a word each: none shares a byte with its neighbour.
    num_words = -(-sizes // _WORD_BITS)
    opening = _WORD_BITS * (np.cumsum(num_words) - num_words)
    place = np.cumsum(total) - total
    first_run = np.searchsorted(owner, np.arange(num_images))
    place += (opening + header_bits - place[first_run])[owner]
    pieces = [
        (tokens.first, place),
        (tokens.rest, place + total - tokens.rest_bits),
        (_repeated(end, num_images), opening + sizes - end_bits),
    ]
    for offset in range(0, header_bits, _WORD_BITS):
        word = header >> offset & 0xFFFFFFFF
        pieces.append((_repeated(word, num_images), opening + offset))
    if longest:  # else the cleared bits say it already
        count = tokens.num_longest
        which = np.repeat(np.arange(len(count)), count)
        number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        places = (place + tokens.first_bits)[which] + number * longest_bits
        pieces.append((_repeated(longest, len(which)), places))
    packed = _or_bits(pieces, int(num_words.sum()))
    starts, lengths = opening // 8, -(-sizes // 8)
    return [
        packed[start : start + length]
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]


def _repeated(value: int, count: int) -> NDArray[np.uint64]:
    return np.full(count, value, np.uint64)


def _or_bits(
    pieces: Sequence[tuple[NDArray[np.uint64], NDArray[np.int64]]], num_words: int
) -> bytes:
    """Bits at bit positions, lowest first, as bytes; no two may overlap."""
    bits = np.concatenate([piece for piece, _ in pieces])
    place = np.concatenate([place for _, place in pieces])
    shifted = bits << (place & _WORD_BITS - 1).view(np.uint64)
    word = place >> 5
    # Sums of bits that do not overlap, below 2**32: exact in float64.
    low = np.bincount(word, shifted & np.uint64(0xFFFFFFFF), num_words + 1)
    high = np.bincount(word + 1, shifted >> np.uint64(_WORD_BITS), num_words + 1)
    return (low + high).astype("<u4").tobytes()
