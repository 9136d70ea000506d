"""Photos and label images of every mode that Pillow opens: a rule for each."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from segdata.errors import AnnotationError, ImageError
from segdata.images import modes
from segdata.images.decode import decode_rgb
from segdata.images.label_images import read_source_runs
from segdata.images.normalize import normalize_image

RAMP = np.tile(np.linspace(0, 1, 60), (40, 1))


def tiff(pixels: Any, mode: str | None = None, **tags: Any) -> bytes:
    image = Image.fromarray(pixels) if mode is None else pixels
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in tags.items():
        info[int(number[1:])] = value
    file = io.BytesIO()
    image.save(file, "TIFF", tiffinfo=info)
    return file.getvalue()


def raw_tiff(
    samples: bytes, *, width: int, height: int, bits: int, **tags: int
) -> bytes:
    """A TIFF of one uncompressed strip, whatever Pillow can write."""
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 277: 1, 278: height}
    entries |= {279: len(samples)} | {int(k[1:]): v for k, v in tags.items()}
    place = 8 + 2 + 12 * (len(entries) + 1) + 4
    table = b"".join(
        struct.pack("<HHII", number, 4 if number in (273, 279) else 3, 1, value)
        for number, value in sorted((entries | {273: place}).items())
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(entries) + 1)
    return head + table + bytes(4) + samples


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (RAMP.astype(np.float32), "mode F, values 0.0 to 1.0: expected 8 or 16 bits"),
        ((RAMP * 255).astype(np.float32), "mode F, values 0.0 to 255.0"),
        ((RAMP * 255).astype(np.int32), "mode I, values 0 to 255: expected"),
        ((RAMP * 255).astype(np.int16), "mode I"),
        ((RAMP * 4095).astype(np.uint16), "values only up to 4095: as 8 bits it would"),
        ((RAMP * 1).astype(np.uint16), "values only up to 1: as 8 bits it would be"),
    ],
)
def test_photos_that_would_become_black_are_refused(pixels: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        normalize_image(tiff(pixels), "a.tif")
    assert caught.value.reason in ("image-mode", "image-range")


def test_16_bit_png_of_a_12_bit_camera_is_refused_too() -> None:
    file = io.BytesIO()
    Image.fromarray((RAMP * 4095).astype(np.uint16)).save(file, "PNG")
    with pytest.raises(
        ImageError, match="16 bits a sample, but values only up to 4095"
    ):
        normalize_image(file.getvalue(), "a.png")


@pytest.mark.parametrize("highest", [0, 4096, 65535])
def test_16_bit_tiff_keeps_its_high_byte_and_says_so(highest: int) -> None:
    pixels = (RAMP * highest).astype(np.uint16)
    made = normalize_image(tiff(pixels), "a.tif")
    assert "16-bit-reduced" in made.changes
    assert np.array_equal(decode_rgb(made.encoded, "a")[..., 0], pixels >> 8)


@pytest.mark.parametrize(
    ("extra", "note"), [(2, "alpha-removed"), (0, "bands-removed")]
)
def test_fourth_band_of_a_tiff_is_alpha_only_where_it_says_so(
    extra: int, note: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    entry = struct.Struct("<HHIHH")  # ExtraSamples, one SHORT
    data = tiff(pixels)
    assert data.count(entry.pack(338, 3, 1, 2, 0)) == 1
    data = data.replace(entry.pack(338, 3, 1, 2, 0), entry.pack(338, 3, 1, extra, 0))
    made = normalize_image(data, "a.tif")
    assert made.changes == ("tiff-converted", note)
    assert np.array_equal(decode_rgb(made.encoded, "a"), pixels[..., :3])


def test_cielab_is_refused_and_has_no_alpha() -> None:
    image = Image.new("LAB", (6, 4), (50, 10, 10))
    with pytest.raises(ImageError, match="mode LAB: expected 8 or 16 bits"):
        normalize_image(tiff(image, "LAB"), "a.tif")


@pytest.mark.parametrize("mode", modes.NOTES)
def test_every_mode_with_a_rule_becomes_8_bit_grey_or_rgb(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (10, 20, 30)).convert(
        "L" if "16" in mode else "RGB"
    )
    try:
        image = image.convert(mode)
        data = tiff(image, mode)
        Image.open(io.BytesIO(data)).load()
    except (ValueError, OSError):
        pytest.skip(f"Pillow writes no TIFF of mode {mode} that it can read")
    if "16" in mode:
        data = tiff(np.full((4, 6), 5000, np.uint16))
    made = normalize_image(data, "a.tif")
    assert decode_rgb(made.encoded, "a").shape == (4, 6, 3)


# --- label images: the stored sample counts ---


def values(data: bytes, encoding: Any = "index") -> list[int]:
    runs = read_source_runs(data, encoding, "a.tif")
    return np.repeat(runs.codes, runs.lengths).tolist()


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_tiff_labels_count_as_stored(bits: int, photometric: int) -> None:
    stored = [0, 1, 1, 0] if bits == 1 else [0, 1, 2, 3]
    packed = int("".join(f"{value:0{bits}b}" for value in stored), 2)
    num_bytes = max(1, 4 * bits // 8)
    samples = (packed << (8 * num_bytes - 4 * bits)).to_bytes(num_bytes, "big")
    data = raw_tiff(samples, width=4, height=1, bits=bits, _262=photometric)
    assert values(data) == stored


def test_pbm_labels_count_as_stored_and_stretched_pgm_is_refused() -> None:
    assert values(b"P1 4 1 0 1 1 0") == [0, 1, 1, 0]
    assert values(b"P5 4 1 255 " + bytes([0, 1, 2, 3])) == [0, 1, 2, 3]
    with pytest.raises(AnnotationError, match="PGM whose largest value is 11"):
        values(b"P5 4 1 11 " + bytes([0, 1, 2, 3]))


def png(pixels: Any, bits: int, color_type: int) -> bytes:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    big = pixels.astype(">u2" if bits == 16 else "u1")
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("channels", "color_type"), [(3, 2), (2, 4), (4, 6)])
def test_16_bit_colours_and_alpha_are_refused_as_labels(
    channels: int, color_type: int
) -> None:
    data = png(np.full((2, 3, channels), 7), 16, color_type)
    for encoding in ("color", "index"):
        with pytest.raises(AnnotationError, match="16 bits: expected") as caught:
            values(data, encoding)
        assert caught.value.reason == "label-image-mode"


def test_cmyk_is_refused_where_colours_are_the_classes() -> None:
    image = Image.new("CMYK", (3, 2), (1, 2, 3, 4))
    with pytest.raises(AnnotationError, match="mode CMYK and 8 bits: expected colours"):
        values(tiff(image, "CMYK"), "color")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_8_bit_colours_are_read(mode: str) -> None:
    image = Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    assert values(file.getvalue(), "color") == [0xFFFFFF] * 6
