"""Small files that unpack to gigabytes are refused before that is spent."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from segdata.errors import AnnotationError
from segdata.images.label_images import read_source_runs
from segdata.masks import rle


def png(size: int, color: int, row: bytes) -> bytes:
    """A PNG of rows that are all alike."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    pack = zlib.compressobj()
    data = b"".join([pack.compress(b"\0" + row) for _ in range(size)]) + pack.flush()
    header = struct.pack(">IIBBBBB", size, size, 8, color, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("encoding", ["index", "binary"])
def test_label_image_of_stripes_is_refused(encoding) -> None:
    data = png(2400, 0, bytes([0, 1]) * 1200)
    assert len(data) < 50_000
    with pytest.raises(AnnotationError, match="has 5760000 runs of pixels: at most"):
        read_source_runs(data, encoding, "x.png")


def test_runs_are_counted_before_they_are_made() -> None:
    stripes = np.tile(np.array([0, 1], np.uint8), (4000, 2000))
    tracemalloc.start()
    try:
        with pytest.raises(AnnotationError, match="16000000 runs"):
            rle.encode_label_map(stripes)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_colours_of_very_large_label_images_are_refused() -> None:
    Image.new("L", (8200, 8200)).save(file := io.BytesIO(), "PNG")
    with pytest.raises(AnnotationError, match="8200x8200 pixels of several channels"):
        read_source_runs(file.getvalue(), "color", "x.png")
    assert read_source_runs(file.getvalue(), "index", "x.png").lengths == [8200 * 8200]


def test_long_text_among_counts_is_refused_before_numpy_sees_it() -> None:
    counts = [1] * 20_000 + ["x" * 20_000]
    tracemalloc.start()
    try:
        with pytest.raises(AnnotationError, match="are not run lengths"):
            rle.rle({"size": [200, 101], "counts": counts}, 200, 101)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
