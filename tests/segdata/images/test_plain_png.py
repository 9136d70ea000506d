"""Label images decoded without Pillow: what Pillow decodes, or nothing."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segdata.errors import SegdataError
from segdata.images.label_images import read_source_runs
from segdata.images.plain_png import plain_samples
from segdata.images.png import PNG_SIGNATURE
from segdata.masks import compiled

pytestmark = pytest.mark.skipif(
    compiled.runs is None, reason="no C compiler when segdata was installed"
)

IHDR = struct.pack(">2I5B", 4, 3, 8, 0, 0, 0, 0)
ROWS = b"\0abcd" * 3
PALETTE = bytes(range(30))


def chunk(kind: bytes, data: bytes = b"", crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*chunks: bytes) -> bytes:
    return b"".join((PNG_SIGNATURE, *chunks, chunk(b"IEND")))


def idat(rows: bytes = ROWS) -> bytes:
    return chunk(b"IDAT", zlib.compress(rows))


def filtered(pixels: NDArray[np.uint8], filters: list[int]) -> bytes:
    """Rows of a PNG straight from the definition of its filters."""
    padded = np.pad(pixels.astype(int), ((1, 0), (1, 0), (0, 0)))
    lines = b""
    for y, kind in enumerate(filters, 1):
        left, above, corner = padded[y, :-1], padded[y - 1, 1:], padded[y - 1, :-1]
        near = [abs(left + above - corner - guess) for guess in (left, above, corner)]
        paeth = np.choose(np.argmin(near, axis=0), [left, above, corner])
        guess = [0, left, above, (left + above) // 2, paeth][kind]
        line = ((padded[y, 1:] - guess) & 255).astype(np.uint8)
        lines += bytes([kind]) + line.tobytes()
    return lines


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 70),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    st.integers(0, 99),
    st.sampled_from([0, 2, 3]),
)
def test_every_filter_is_undone(height, width, density, seed, color) -> None:
    random = np.random.default_rng(seed)
    turns = random.random((height, width)) < density
    values = np.cumsum(turns).reshape(height, width, 1)
    item = 3 if color == 2 else 1
    pixels = (values * random.integers(1, 255, item) + random.integers(9)) & 255
    pixels = (pixels // 9 if color == 3 else pixels).astype(np.uint8)
    rows = filtered(pixels, random.integers(0, 5, height).tolist())
    header = struct.pack(">2I5B", width, height, 8, color, 0, 0, 0)
    stream = zlib.compress(rows)
    data = png(
        chunk(b"IHDR", header),
        chunk(b"tEXt", b"a\0b"),
        *([chunk(b"PLTE", PALETTE)] if color == 3 else []),
        chunk(b"IDAT", stream[:7]),
        chunk(b"IDAT", stream[7:]),
    )
    found = plain_samples(data, colors=item == 3)
    assert found is not None
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)
    assert plain_samples(data, colors=item == 1) is None
    for encoding in ("color", "id24") if item == 3 else ("index", "color", "binary"):
        assert outcome(data, encoding) == outcome(data, encoding, is_compiled=False)


ODD = {
    "no PNG": b"GIF89a",
    "signature alone": PNG_SIGNATURE,
    "cut off": png(chunk(b"IHDR", IHDR), idat())[:-9],
    "no header": png(idat()),
    "two headers": png(chunk(b"IHDR", IHDR) * 2, idat()),
    "header of another length": png(chunk(b"IHDR", IHDR + b"\0"), idat()),
    "no pixels": png(chunk(b"IHDR", IHDR)),
    "16 bits": png(chunk(b"IHDR", IHDR[:8] + b"\x10\0\0\0\0"), idat(b"\0abcdefgh" * 3)),
    "colours": png(chunk(b"IHDR", IHDR[:8] + b"\x08\2\0\0\0"), idat(b"\0" + b"a" * 12)),
    "interlaced": png(chunk(b"IHDR", IHDR[:12] + b"\1"), idat()),
    "no palette": png(chunk(b"IHDR", IHDR[:9] + b"\3\0\0\0"), idat()),
    "late palette": png(
        chunk(b"IHDR", IHDR[:9] + b"\3\0\0\0"), idat(), chunk(b"PLTE", PALETTE)
    ),
    "transparent": png(chunk(b"IHDR", IHDR), chunk(b"tRNS", b"\0\1"), idat()),
    "turned": png(chunk(b"IHDR", IHDR), chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0"), idat()),
    "bad CRC of pixels": png(
        chunk(b"IHDR", IHDR), chunk(b"IDAT", zlib.compress(ROWS), crc=7)
    ),
    "bad CRC of text": png(
        chunk(b"IHDR", IHDR), chunk(b"tEXt", b"a\0b", crc=7), idat()
    ),
    "no stream": png(chunk(b"IHDR", IHDR), chunk(b"IDAT", b"abc")),
    "no end of the stream": png(
        chunk(b"IHDR", IHDR), chunk(b"IDAT", zlib.compress(ROWS)[:-4])
    ),
    "too few rows": png(chunk(b"IHDR", IHDR), idat(ROWS[:-5])),
    "too many rows": png(chunk(b"IHDR", IHDR), idat(ROWS + b"\0")),
    "unknown filter": png(chunk(b"IHDR", IHDR), idat(b"\5abcd" * 3)),
    "no width": png(chunk(b"IHDR", b"\0\0\0\0" + IHDR[4:]), idat()),
    "too large": png(chunk(b"IHDR", b"\0\1\0\0\0\1\0\0" + IHDR[8:]), idat()),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_left_to_pillow(case: str) -> None:
    whole = png(chunk(b"IHDR", IHDR), idat())
    assert plain_samples(whole, colors=False) is not None
    assert plain_samples(ODD[case], colors=False) is None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_found_as_without_it(data: st.DataObject) -> None:
    whole = png(chunk(b"IHDR", IHDR), chunk(b"tEXt", b"a\0b"), idat())
    at = data.draw(st.integers(8, len(whole) - 1))
    flipped = bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))])
    damaged = whole[:at] + flipped + whole[at + 1 :]
    assert outcome(damaged, "index") == outcome(damaged, "index", is_compiled=False)


def outcome(data: bytes, encoding: Any, *, is_compiled: bool = True) -> list[Any]:
    """Codes, their type and lengths, or why there are none."""
    with pytest.MonkeyPatch.context() as patch:
        if not is_compiled:
            patch.setattr(compiled, "runs", None)
        try:
            runs = read_source_runs(data, encoding, "x")
        except SegdataError as error:
            return [str(error)]
    return [runs.codes.dtype, runs.codes.tolist(), runs.lengths.tolist(), runs.height]
