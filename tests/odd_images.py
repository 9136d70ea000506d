"""Odd image files and masks, made on the spot: each with the verdict it has.

A verdict is the reason of its refusal, or empty where the file is sound. `DAMAGED` is a
file that a strict decoder may name or not: whatever it is, all agree.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

SIDE = 16  # square: EXIF turns images of this size without changing it
SOUND, UNDECODABLE, DAMAGED = "", "image-undecodable", "damaged"
NUM_CLASSES = 4


@dataclass(frozen=True)
class Odd:
    """One file."""

    name: str
    data: bytes
    verdict: str = SOUND


def photo(mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode in ("La", "RGBa"):
        image = image.convert(mode.upper())
    return image.convert(mode)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(
    bits: int,
    color: int,
    interlaced: int = 0,
    *,
    rows: bytes | None = None,
    extra: bytes = b"",
    idat: bytes | None = None,
) -> bytes:
    """A PNG of any kind of samples; of random ones where no rows are given."""
    pixel = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * bits
    sizes = [(SIDE, SIDE)]
    if interlaced:
        sizes = [(2, 2), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8), (16, 8)]
    if rows is None:
        random = np.random.default_rng(bits + color)
        lines = (
            b"\0" + random.bytes(w * pixel // 8 or 1)
            for w, h in sizes
            for _ in range(h)
        )
        rows = b"".join(lines)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if color == 3 else b""
    if color == 3:
        palette = chunk(b"PLTE", (bytes(range(256)) * 3)[: 3 << bits])
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, color, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + palette
        + extra
        + chunk(b"IDAT", zlib.compress(rows) if idat is None else idat)
        + chunk(b"IEND", b"")
    )


PNG_KINDS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3)]
PNG_KINDS += [(4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]


def odd_images() -> Iterator[Odd]:
    yield from _pngs()
    yield from _jpegs()
    yield from _tiffs()
    yield from _others()


def _pngs() -> Iterator[Odd]:
    for (bits, color), interlaced in itertools.product(PNG_KINDS, (0, 1)):
        yield Odd(f"png-{bits}-{color}-{interlaced}.png", png(bits, color, interlaced))
        whole = png(bits, color, interlaced)
        place = whole.index(b"IDAT")
        (length,) = struct.unpack_from(">I", whole, place - 4)
        rows = zlib.decompress(whole[place + 4 : place + 4 + length])
        half = png(bits, color, interlaced, rows=rows[: len(rows) // 2])
        yield Odd(f"png-{bits}-{color}-{interlaced}-half.png", half, UNDECODABLE)
    for orientation in range(2, 9):
        data = encode(photo(), "PNG", exif=exif(orientation))
        yield Odd(f"png-exif-{orientation}.png", data)
    for kind in (b"iTXt", b"zTXt", b"iCCP"):
        head = b"XML\0\1\0\0\0" if kind == b"iTXt" else b"name\0\0"
        large = chunk(kind, head + zlib.compress(b"x" * 3_000_000))
        yield Odd(f"png-large-{kind.decode()}.png", png(8, 2, extra=large))
    rows = bytes((1 + 3 * SIDE) * SIDE)
    good = zlib.compress(rows)
    yield Odd("png-more-rows.png", png(8, 2, rows=rows + rows))
    yield Odd("png-trailing-idat.png", png(8, 2, idat=good + b"more"))
    yield Odd("png-trailing.png", png(8, 2) + b"more")
    yield Odd("png-filter.png", png(8, 2, rows=b"\7" + rows[1:]), UNDECODABLE)
    yield Odd("png-no-zlib.png", png(8, 2, idat=b"nonsense"), UNDECODABLE)
    yield Odd("png-empty.png", png(8, 2, idat=b""), UNDECODABLE)
    yield Odd("png-adler.png", png(8, 2, idat=good[:-4] + b"\0\0\0\1"), DAMAGED)
    yield Odd("png-no-adler.png", png(8, 2, idat=good[:-4]), UNDECODABLE)
    yield Odd("png-no-end.png", png(8, 2)[:-12], UNDECODABLE)
    flipped = bytearray(png(8, 2))
    flipped[60] ^= 1
    yield Odd("png-flipped.png", bytes(flipped), UNDECODABLE)
    for number, kept in enumerate((8, 30, 50, 200)):
        yield Odd(f"png-cut-{number}.png", png(8, 2)[:kept], UNDECODABLE)
    yield Odd("png-trns.png", png(8, 2, extra=chunk(b"tRNS", bytes(6))))
    frames = [photo(), photo().rotate(90)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield Odd("png-animated.png", data)
    yield Odd("png-named.jpg", png(8, 2))
    palette = chunk(b"PLTE", b"abc")  # and pixels of other indices
    short = png(8, 3).replace(chunk(b"PLTE", (bytes(range(256)) * 3)), palette)
    yield Odd("png-palette-short.png", short, DAMAGED)


def _jpegs() -> Iterator[Odd]:
    for mode, options in itertools.product(
        ("L", "RGB", "CMYK"), ({}, {"progressive": True}, {"restart_marker_blocks": 1})
    ):
        name = "".join(options) or "plain"
        yield Odd(f"jpeg-{mode}-{name}.jpg", encode(photo(mode), "JPEG", **options))
    for subsampling in range(3):
        data = encode(photo(), "JPEG", subsampling=subsampling, quality=95)
        yield Odd(f"jpeg-sampling-{subsampling}.jpg", data)
    for orientation in range(2, 9):
        data = encode(photo(), "JPEG", exif=exif(orientation))
        yield Odd(f"jpeg-exif-{orientation}.jpg", data)
    data = encode(photo(), "JPEG", quality=95)
    for ending in ("jpe", "jfif", "JPEG", "png", "mpo"):
        yield Odd(f"jpeg-named-{ending}.{ending}", data)
    yield Odd("mpo.mpo", encode(photo(), "MPO", save_all=True, append_images=[photo()]))
    yield Odd("jpeg-icc.jpg", encode(photo(), "JPEG", icc_profile=b"p" * 3_000_000))
    yield Odd("jpeg-trailing.jpg", data + b"more")
    tables = data.index(b"\xff\xdb")
    for number, junk in enumerate(
        (b"junk", b"\0", b"\xff\0", b"\xff\xff", b"\xff\xd0")
    ):
        odd = data[:tables] + junk + data[tables:]
        yield Odd(f"jpeg-junk-{number}.jpg", odd)
    scan = data.index(b"\xff\xda")
    for number, kept in enumerate((3, 50, scan, scan + 40, len(data) - 2)):
        yield Odd(f"jpeg-cut-{number}.jpg", data[:kept], UNDECODABLE)
    for marker in (0x01, 0xD8, 0xD9):
        odd = data[:tables] + bytes([0xFF, marker]) + data[tables:]
        yield Odd(f"jpeg-marker-{marker:x}.jpg", odd, UNDECODABLE)
    for marker in (0xC3, 0xC9):
        odd = data.replace(b"\xff\xc0", bytes([0xFF, marker]), 1)
        yield Odd(f"jpeg-process-{marker:x}.jpg", odd, UNDECODABLE)
    for number, place in enumerate(range(scan + 14, len(data) - 40, 30)):
        odd = data[:place] + bytes(range(16)) + data[place + 16 :]
        yield Odd(f"jpeg-broken-{number}.jpg", odd, DAMAGED)
    early = data[: scan + 60] + b"\xff\xd9"
    yield Odd("jpeg-early-end.jpg", early, UNDECODABLE)


def _tiffs() -> Iterator[Odd]:
    for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "I;16"):
        yield Odd(f"tiff-{mode.replace(';', '')}.tif", encode(photo(mode), "TIFF"))
    yield Odd("tiff-YCbCr.tif", encode(photo("YCbCr"), "TIFF"), UNDECODABLE)
    for mode in ("I", "F", "LAB"):
        image = Image.new(mode, (SIDE, SIDE), 1)
        yield Odd(f"tiff-{mode}.tif", encode(image, "TIFF"), "image-mode")
    dark = Image.fromarray(np.full((SIDE, SIDE), 4095, np.uint16))
    yield Odd("tiff-12-bit.tif", encode(dark, "TIFF"), "image-range")
    yield Odd("png-12-bit.png", encode(dark, "PNG"), "image-range")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        data = encode(photo(), "TIFF", compression=compression)
        yield Odd(f"tiff-{compression}.tiff", data)
    for orientation in range(2, 9):
        data = encode(photo(), "TIFF", exif=exif(orientation))
        yield Odd(f"tiff-exif-{orientation}.tif", data)
    data = encode(photo(), "TIFF")
    yield Odd("tiff-cut.tif", data[: len(data) // 2], UNDECODABLE)


def _others() -> Iterator[Odd]:
    kinds = {"BMP": "bmp", "GIF": "gif", "WEBP": "webp", "PPM": "ppm", "TGA": "tga"}
    for kind, ending in kinds.items():
        data = encode(photo(), kind)
        if ending != "tga":  # no ending of an image folder
            yield Odd(f"{ending}.{ending}", data)
        yield Odd(f"{ending}-named.png", data)
        if kind != "TGA":
            yield Odd(f"{ending}-cut.png", data[: len(data) // 2], UNDECODABLE)
    for mode in ("1", "L", "P", "RGBA"):
        if mode != "RGBA":
            yield Odd(f"bmp-{mode}.bmp", encode(photo(mode), "BMP"))
        yield Odd(f"gif-{mode}.gif", encode(photo(mode), "GIF"))
        yield Odd(f"webp-{mode}.webp", encode(photo(mode), "WEBP", lossless=True))
    for orientation in (3, 6):
        data = encode(photo(), "WEBP", lossless=True, exif=exif(orientation))
        yield Odd(f"webp-exif-{orientation}.webp", data)
    for mode, ending in (("1", "pbm"), ("L", "pgm")):
        yield Odd(f"{ending}.{ending}", encode(photo(mode), "PPM"))
    frames = [photo("P"), photo("P").rotate(90)]
    animated = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield Odd("gif-animated.gif", animated)
    for name, data in (
        ("empty", b""),
        ("text", b"<html>404</html>" * 9),
        ("zero", bytes(99)),
    ):
        yield Odd(f"{name}.png", data, UNDECODABLE)


def labels() -> np.ndarray:
    random = np.random.default_rng(1)
    return random.integers(0, NUM_CLASSES, (SIDE, SIDE), np.uint8)


def odd_masks() -> Iterator[Odd]:
    """Masks; all that are sound hold `labels()`, turned where EXIF says so."""
    values = labels()
    grey = Image.fromarray(values)
    indexed = Image.fromarray(values)
    indexed.putpalette(bytes(range(12)))
    undecodable, mode = "label-image-undecodable", "label-image-mode"
    for name, image in {
        "L": grey,
        "P": indexed,
        "LA": Image.merge("LA", (grey, grey)),
        "RGB": Image.merge("RGB", (grey, grey, grey)),
        "I16": Image.fromarray(values.astype(np.uint16)),
    }.items():
        yield Odd(f"mask-{name}-png.png", encode(image, "PNG"))
        yield Odd(f"mask-{name}.tif", encode(image, "TIFF"))
    for name, array in (("I", np.int32), ("F", np.float32)):
        image = Image.fromarray(values.astype(array))
        yield Odd(f"mask-{name}.tif", encode(image, "TIFF"))
    for kind in ("BMP", "GIF", "PPM"):
        yield Odd(f"mask-{kind}.png", encode(grey if kind != "GIF" else indexed, kind))
    yield Odd("mask-WEBP.png", encode(grey, "WEBP", lossless=True))
    for bits, color in ((2, 0), (4, 0), (8, 0), (2, 3), (4, 3), (8, 3)):
        rows = b"".join(b"\0" + _packed(row, bits) for row in values)
        yield Odd(f"mask-{bits}-{color}.png", png(bits, color, rows=rows))
        half = png(bits, color, rows=rows[: len(rows) // 2])
        yield Odd(f"mask-{bits}-{color}-half.png", half, undecodable)
    for orientation in range(2, 9):
        for kind, ending in (("PNG", "png"), ("TIFF", "tif")):
            data = encode(grey, kind, exif=exif(orientation))
            yield Odd(f"mask-exif-{orientation}-{ending}.{ending}", data)
    large = chunk(b"zTXt", b"name\0\0" + zlib.compress(b"x" * 3_000_000))
    data = encode(grey, "PNG")
    yield Odd("mask-large-text.png", data[:33] + large + data[33:])
    yield Odd("mask-jpeg.png", encode(grey, "JPEG"), "label-image-lossy")
    yield Odd("mask-webp.png", encode(grey.convert("RGB"), "WEBP"), "label-image-lossy")
    colored = encode(photo(), "PNG")
    yield Odd("mask-colored.png", colored, "label-image-colored")
    yield Odd("mask-cmyk.tif", encode(photo("CMYK"), "TIFF"), mode)
    halves = Image.fromarray(values + np.float32(0.5))
    yield Odd("mask-halves.tif", encode(halves, "TIFF"), mode)
    yield Odd("mask-16-rgb.png", png(16, 2), mode)
    yield Odd("mask-unknown.png", png(8, 0), "unknown-label-index")
    small = encode(grey.crop((0, 0, SIDE, SIDE - 1)), "PNG")
    yield Odd("mask-small.png", small, "label-size-mismatch")
    yield Odd("mask-empty.png", b"", undecodable)
    yield Odd("mask-cut.png", data[:60], undecodable)


def _packed(row: np.ndarray, bits: int) -> bytes:
    bit_rows = np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(bit_rows.ravel()).tobytes()
