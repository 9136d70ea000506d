"""Damage that decoders keep silent about, and no damage where there is none."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFilter

from segdata.errors import ImageError
from segdata.images.decode import (
    check_png_pixels,
    decode_label_image,
    decode_rgb,
    decode_strictly,
)
from segdata.images.normalize import normalize_image
from segdata.images.png import PNG_SIGNATURE


def photo(height: int = 120, width: int = 160) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of(
    rows: bytes, width: int, height: int, bits: int, color: int, interlaced: int = 0
) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    ihdr = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(48))) if color == 3 else b""
    data = zlib.compress(rows)
    return (
        PNG_SIGNATURE
        + chunk(b"IHDR", ihdr)
        + palette
        + chunk(b"IDAT", data[:5])
        + chunk(b"IDAT", data[5:])
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "image",
    [
        photo(),
        photo().convert("L"),
        Image.new("RGB", (1, 1), (1, 2, 3)),
        Image.new("L", (1700, 900), 7),  # more bytes than are inflated at a time
    ],
)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("JPEG", {"subsampling": 2, "restart_marker_blocks": 1}),
        ("PNG", {}),
    ],
)
def test_sound_file_decodes_strictly_to_the_same_pixels(
    image: Image.Image, kind: str, options: dict[str, Any]
) -> None:
    data = encode(image, kind, **options)
    name = f"a.{kind.lower()}"
    assert np.array_equal(decode_strictly(data, name), decode_rgb(data, name))
    normalize_image(data, name, check_pixels=True)


def damage_of(data: bytes, **options: Any) -> str:
    """What is said of a JPEG; empty where nothing is."""
    try:
        normalize_image(data, "a.jpg", **options)
    except ImageError as error:
        return f"{error.reason}: {error}"
    return ""


def test_jpeg_whose_scan_is_broken_is_named() -> None:
    """Pillow decodes all of these without a word; a strict decoder names some."""
    data = encode(photo(), "JPEG")
    start = data.index(b"\xff\xda") + 14
    found = []
    for place in range(start, len(data) - 66, 64):
        damaged = data[:place] + bytes(range(64)) + data[place + 64 :]
        decode_rgb(damaged, "a.jpg")
        assert not damage_of(damaged)
        found.append(damage_of(damaged, check_pixels=True))
    named = [text for text in found if text]
    assert len(named) > len(found) / 4
    what = "image-undecodable: image 'a.jpg' cannot be decoded: Corrupt JPEG data: "
    assert all(text.startswith(what) for text in named)


def test_jpeg_that_the_strict_decoder_does_not_know_is_decoded_as_readers_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise ValueError("Could not determine subsampling level of JPEG image")

    data = encode(photo(), "JPEG")
    monkeypatch.setattr(simplejpeg, "decode_jpeg", unknown)
    assert np.array_equal(decode_strictly(data, "a.jpg"), decode_rgb(data, "a.jpg"))


@pytest.mark.parametrize(
    ("bits", "color", "row"), [(8, 2, 13), (8, 0, 5), (2, 3, 2), (16, 6, 33), (1, 0, 2)]
)
def test_png_whose_data_end_early_is_refused_not_black(
    bits: int, color: int, row: int
) -> None:
    whole = png_of(bytes(row * 6), 4, 6, bits, color)
    decode_rgb(whole, "a.png")
    short = png_of(bytes(row * 3), 4, 6, bits, color)
    with pytest.raises(ImageError, match=r"'a.png' cannot be decoded") as caught:
        normalize_image(short, "a.png", check_pixels=True)
    assert caught.value.reason == "image-undecodable"
    with pytest.raises(ImageError, match=r"label image 'm.png' cannot be") as caught:
        decode_label_image(short, "m.png")
    assert caught.value.reason == "label-image-undecodable"
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_rgb(short, "a.png")


def test_png_that_is_converted_is_checked_without_being_asked() -> None:
    short = png_of(bytes(2 * 3), 4, 6, 2, 3)
    with pytest.raises(ImageError, match="PNG data end early, after 6 of 12 bytes"):
        normalize_image(short, "a.png")


# Colour type and bits -> bits of a pixel.
@pytest.mark.parametrize(
    ("color", "bits", "pixel"),
    [(0, 1, 1), (0, 16, 16), (2, 8, 24), (3, 4, 4), (6, 8, 32)],
)
def test_interlaced_png_needs_the_rows_of_seven_passes(
    color: int, bits: int, pixel: int
) -> None:
    # Columns and rows of the passes of an image of 13 x 5, by the standard's table.
    passes = [(2, 1), (2, 1), (4, 1), (3, 2), (7, 1), (6, 3), (13, 2)]
    needed = sum(rows * (1 + -(-columns * pixel // 8)) for columns, rows in passes)
    whole = png_of(bytes(needed), 13, 5, bits, color, interlaced=1)
    assert decode_rgb(whole, "a.png").shape == (5, 13, 3)
    short = png_of(bytes(needed - 1), 13, 5, bits, color, interlaced=1)
    check_png_pixels(whole, "a.png")
    with pytest.raises(
        ImageError, match=f"data end early, after {needed - 1} of {needed}"
    ):
        check_png_pixels(short, "a.png")


def test_decoder_that_nobody_asked_for_is_not_run(monkeypatch):
    def run(*args, **kwargs):
        raise AssertionError("a program was run")

    monkeypatch.setattr("subprocess.check_call", run)
    monkeypatch.setattr("subprocess.Popen", run)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n"
    with pytest.raises(ImageError, match=r"'a\.png' cannot be decoded: expected"):
        decode_rgb(script, "a.png")
