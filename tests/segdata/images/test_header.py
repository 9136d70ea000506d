"""Structures of files: what is no damage, and what no reader decodes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segdata.errors import ImageError
from segdata.images.decode import decode_rgb, decode_strictly
from segdata.images.header import png_size, read_header
from segdata.images.normalize import normalize_image
from segdata.images.png import PNG_SIGNATURE, read_chunks, without_metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encode(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(ihdr: tuple[int, ...], *others: bytes) -> bytes:
    parts = (chunk(b"IHDR", struct.pack(">IIBBBBB", *ihdr)), *others)
    return PNG_SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "junk", [b"junk", b"\0", b"\xff\0more", b"\xff\xff", b"\xff\xd0"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_junk_between_jpeg_segments_is_no_damage(junk: bytes, is_first: bool) -> None:
    data = encode("JPEG")
    place = 2 if is_first else data.index(b"\xff\xdb")
    # The signature's third byte stays: it is how a JPEG is told.
    junk = b"\xff\xfe\0\2" + junk if is_first else junk
    odd = data[:place] + junk + data[place:]
    assert normalize_image(odd, "a.jpg").encoded is odd
    expected = decode_rgb(data, "a.jpg")
    assert np.array_equal(decode_rgb(odd, "a.jpg"), expected)
    assert np.array_equal(decode_strictly(odd, "a.jpg"), expected)


@pytest.mark.parametrize("marker", [0x01, 0xBF, 0xD8, 0xD9, 0xDE, 0xF0])
def test_marker_that_ends_every_reader_is_refused(marker: int) -> None:
    data = encode("JPEG")
    odd = data[:2] + b"\xff\xfe\0\2" + bytes([0xFF, marker, 0, 2]) + data[2:]
    with pytest.raises(ImageError, match=f"has the marker 0x{marker:02X} at byte 6"):
        read_header(odd, "a.jpg")


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt", b"iCCP"])
def test_png_with_megabytes_of_metadata_is_sound(kind: bytes) -> None:
    data = encode("PNG")
    head = b"XML:com.adobe.xmp\0\1\0\0\0" if kind == b"iTXt" else b"name\0\0"
    large = chunk(kind, head + zlib.compress(b"x" * 3_000_000))
    odd = data[:33] + large + data[33:]
    assert normalize_image(odd, "a.png").encoded is odd
    assert np.array_equal(decode_rgb(odd, "a.png"), PIXELS)
    assert without_metadata(odd) == data
    assert without_metadata(data) is data


def test_chunks_of_a_cut_png_are_those_that_are_whole() -> None:
    data = encode("PNG")
    whole = list(read_chunks(data))
    for kept in range(len(data)):
        assert list(read_chunks(data[:kept])) == [c for c in whole if c[2] + 4 <= kept]


@pytest.mark.parametrize(
    ("ihdr", "message"),
    [
        ((4, 4, 3, 0, 0, 0, 0), "no samples of 3 bits and colour type 0"),
        ((4, 4, 4, 2, 0, 0, 0), "no samples of 4 bits and colour type 2"),
        ((4, 4, 8, 5, 0, 0, 0), "no samples of 8 bits and colour type 5"),
        ((4, 4, 8, 2, 1, 0, 0), r"coded by methods \[1, 0, 0\]"),
        ((4, 4, 8, 2, 0, 1, 0), r"coded by methods \[0, 1, 0\]"),
        ((4, 4, 8, 2, 0, 0, 2), r"coded by methods \[0, 0, 2\]"),
        ((4, 4, 8, 3, 0, 0, 0), "indices and no palette"),
    ],
)
def test_png_header_that_no_reader_knows_is_refused(
    ihdr: tuple[int, ...], message: str
) -> None:
    data = png(ihdr, chunk(b"IDAT", zlib.compress(b"\0" * 99)))
    with pytest.raises(ImageError, match=message):
        read_header(data, "a.png")


def test_size_of_a_png_stands_in_its_first_bytes() -> None:
    assert png_size(encode("PNG")[:24]) == (20, 30)
    assert png_size(encode("PNG")[:23]) is None
    assert png_size(encode("JPEG")[:24]) is None
