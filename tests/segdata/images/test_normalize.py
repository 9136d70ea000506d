from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from segdata.errors import ImageError
from segdata.images import decode, normalize
from segdata.images.header import read_header

HEIGHT, WIDTH = 24, 40


def gradient(channels=3, height=HEIGHT, width=WIDTH):
    """Smooth, so that JPEG hardly changes it, and without any symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 5, y * 8, x * 2 + y * 4, 255 - x * 3][:channels]
    pixels = np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def encode(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, data):
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(height, width, bits, color_type, rows, *extra):
    """A PNG of a kind that Pillow does not write; `rows` without filter bytes."""
    ihdr = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", ihdr), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def exif(orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def palette_image(**options):
    image = Image.new("P", (4, 3))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1, 1] * 4)
    return encode(image, **options)


PALETTE_PIXELS = np.array([[10, 20, 30], [200, 100, 50]], np.uint8)[
    np.array([0, 1, 1] * 4).reshape(3, 4)
]

# --- bytes that pass through ---------------------------------------------------------

PLAIN = {
    "rgb.jpg": encode(gradient(), "JPEG"),
    "grey.jpg": encode(gradient(1), "JPEG"),
    "progressive.jpg": encode(gradient(), "JPEG", progressive=True),
    "subsampled.JPEG": encode(gradient(), "JPEG", subsampling=2),
    "upright-exif.jpg": encode(gradient(), "JPEG", exif=exif(1)),
    "comment.jpe": encode(gradient(), "JPEG", comment=b"hello"),
    "icc.jfif": encode(gradient(), "JPEG", icc_profile=b"x" * 70000),
    "rgb.png": encode(gradient()),
    "grey.PNG": encode(gradient(1)),
    "text.png": encode(gradient(), dpi=(72, 72)),
    "interlaced-free.png": encode(gradient(), compress_level=0),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_image_passes_through_byte_by_byte(name):
    result = normalize.normalize_image(PLAIN[name], name)
    assert result.encoded is PLAIN[name]
    assert result.changes == ()
    assert (result.height, result.width) == (HEIGHT, WIDTH)
    assert result.format == ("png" if name.lower().endswith("png") else "jpeg")


@pytest.mark.parametrize(
    "junk", [b"\0", b"\xff\xd9trailing", b"\0" * 5000], ids=["nul", "text", "zeros"]
)
def test_bytes_after_the_end_pass_through(junk):
    for name in ("rgb.jpg", "rgb.png"):
        assert normalize.normalize_image(PLAIN[name] + junk, name).changes == ()


def test_fill_bytes_between_jpeg_markers_are_skipped():
    data = PLAIN["rgb.jpg"]
    header = read_header(data[:2] + b"\xff\xff\xff" + data[2:], "a.jpg")
    assert (header.format, header.height, header.width) == ("jpeg", HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("name", "source", "kind"),
    [
        ("a.png", "rgb.jpg", "jpeg"),
        ("a.jpg", "rgb.png", "png"),
        ("a", "rgb.png", "png"),
    ],
)
def test_wrong_extension_is_noted_and_the_bytes_pass_through(name, source, kind):
    result = normalize.normalize_image(PLAIN[source], name)
    assert result.encoded is PLAIN[source]
    assert result.format == kind
    assert result.changes == ("extension-corrected",)


# --- lossless sources: every pixel equal after normalisation -------------------------

GREY_2_BIT = [b"\x1b\x1b", b"\xe4\xe4"]  # 0 1 2 3, then 3 2 1 0, twice
GREY_4_BIT = [b"\x01\x23\x45\x67", b"\x89\xab\xcd\xef"]
DEEP = np.arange(6 * 5 * 3, dtype=np.uint16).reshape(6, 5, 3) * 700


def deep_rows(pixels):
    return [row.astype(">u2").tobytes() for row in pixels]


LOSSLESS = {
    "1-bit.png": (
        encode(Image.fromarray(gradient(1) > 90)),
        (gradient(1) > 90) * np.uint8(255),
        ("bit-depth-expanded",),
    ),
    "2-bit.png": (
        png(2, 8, 2, 0, GREY_2_BIT),
        np.array([[0, 1, 2, 3] * 2, [3, 2, 1, 0] * 2], np.uint8) * 85,
        ("bit-depth-expanded",),
    ),
    "4-bit.png": (
        png(2, 8, 4, 0, GREY_4_BIT),
        np.arange(16, dtype=np.uint8).reshape(2, 8) * 17,
        ("bit-depth-expanded",),
    ),
    "palette.png": (palette_image(), PALETTE_PIXELS, ("palette-expanded",)),
    "palette-trns.png": (
        palette_image(transparency=b"\x00\xff"),
        PALETTE_PIXELS,
        ("palette-expanded", "alpha-removed"),
    ),
    "palette-trns-index.png": (
        palette_image(transparency=1),
        PALETTE_PIXELS,
        ("palette-expanded", "alpha-removed"),
    ),
    "rgb-trns.png": (
        encode(gradient(), transparency=(0, 0, 0)),
        gradient(),
        ("alpha-removed",),
    ),
    "grey-trns.png": (
        encode(gradient(1), transparency=0),
        gradient(1),
        ("alpha-removed",),
    ),
    "rgba.png": (encode(gradient(4)), gradient(4)[..., :3], ("alpha-removed",)),
    "grey-alpha.png": (
        encode(Image.fromarray(gradient(2), "LA")),
        gradient(2)[..., 0],
        ("alpha-removed",),
    ),
    "16-bit-grey.png": (
        encode(DEEP[..., 0]),
        (DEEP[..., 0] >> 8).astype(np.uint8),
        ("16-bit-reduced",),
    ),
    "16-bit-rgb.png": (
        png(6, 5, 16, 2, deep_rows(DEEP)),
        (DEEP >> 8).astype(np.uint8),
        ("16-bit-reduced",),
    ),
    "16-bit-rgba.png": (
        png(6, 5, 16, 6, deep_rows(np.insert(DEEP, 3, 9, axis=2))),
        (DEEP >> 8).astype(np.uint8),
        ("16-bit-reduced", "alpha-removed"),
    ),
    "rgb.gif": (encode(gradient(1), "GIF"), gradient(1), ("gif-converted",)),
    "palette.gif": (
        palette_image(kind="GIF"),
        PALETTE_PIXELS,
        ("gif-converted",),
    ),
    "rgb.bmp": (encode(gradient(), "BMP"), gradient(), ("bmp-converted",)),
    "grey.bmp": (encode(gradient(1), "BMP"), gradient(1), ("bmp-converted",)),
    "rgb.tiff": (encode(gradient(), "TIFF"), gradient(), ("tiff-converted",)),
    "deep.tif": (
        encode(DEEP[..., 0], "TIFF"),
        (DEEP[..., 0] >> 8).astype(np.uint8),
        ("tiff-converted", "16-bit-reduced"),
    ),
    "lossless.webp": (
        encode(gradient(), "WEBP", lossless=True),
        gradient(),
        ("webp-converted",),
    ),
    "alpha.webp": (
        encode(gradient(4), "WEBP", lossless=True, exact=True),
        gradient(4)[..., :3],
        ("webp-converted", "alpha-removed"),
    ),
    "rgb.ppm": (encode(gradient(), "PPM"), gradient(), ("ppm-converted",)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_source_keeps_every_pixel(name):
    data, expected, changes = LOSSLESS[name]
    result = normalize.normalize_image(data, name)
    assert result.changes == changes
    assert result.format == "png"
    assert (result.height, result.width) == expected.shape[:2]
    pixels = decoded(result.encoded)
    if pixels.ndim < expected.ndim:  # equal channels may be stored as grey
        expected = expected[..., 0]
    elif pixels.ndim > expected.ndim:
        pixels = pixels[..., 0]
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("name", LOSSLESS)
def test_normalized_image_passes_through_a_second_time(name):
    first = normalize.normalize_image(LOSSLESS[name][0], name)
    second = normalize.normalize_image(first.encoded, "a.png")
    assert second.encoded is first.encoded
    assert second.changes == ()


HALF_TRANSPARENT = palette_image(transparency=b"\x80\x40")


def test_half_transparent_palette_is_expanded_and_its_alpha_dropped():
    result = normalize.normalize_image(HALF_TRANSPARENT, "a.png")
    assert result.changes == ("palette-expanded", "alpha-removed")
    assert np.array_equal(decoded(result.encoded), PALETTE_PIXELS)
    assert np.array_equal(decode.decode_rgb(HALF_TRANSPARENT, "a"), PALETTE_PIXELS)


@pytest.mark.parametrize("read", [normalize.normalize_image, decode.decode_rgb])
def test_half_transparent_palette_raises_no_warning(read):
    read(HALF_TRANSPARENT, "a.png")


@pytest.mark.parametrize("name", LOSSLESS)
def test_decode_rgb_gives_three_channels_whatever_the_source(name):
    data, expected, _ = LOSSLESS[name]
    assert decode.decode_rgb(data, name).shape == (*expected.shape[:2], 3)


def test_gif_under_a_jpeg_name_is_converted_once():
    # As Abyssinian_34.jpg of the Pets dataset.
    result = normalize.normalize_image(LOSSLESS["palette.gif"][0], "cat_34.jpg")
    assert (result.format, result.changes) == ("png", ("gif-converted",))
    assert np.array_equal(decode.decode_rgb(result.encoded, "x"), PALETTE_PIXELS)


def test_animated_gif_keeps_its_first_frame():
    first, second = Image.new("L", (4, 3), 10), Image.new("L", (4, 3), 200)
    data = encode(first, "GIF", save_all=True, append_images=[second])
    result = normalize.normalize_image(data, "a.gif")
    assert np.unique(decoded(result.encoded)).tolist() == [10]


def test_normalized_image_drops_metadata_of_the_source():
    data = encode(gradient(4), icc_profile=b"profile", exif=exif(1))
    result = normalize.normalize_image(data, "a.png")
    assert b"iCCP" not in result.encoded
    assert b"eXIf" not in result.encoded


def test_cmyk_jpeg_becomes_an_rgb_jpeg():
    source = Image.fromarray(gradient()).convert("CMYK")
    data = encode(source, "JPEG", quality=95)
    result = normalize.normalize_image(data, "a.jpg")
    assert (result.format, result.changes) == ("jpeg", ("cmyk-converted",))
    pixels = decoded(result.encoded)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - gradient()).mean() < 6
    assert normalize.normalize_image(result.encoded, "a.jpg").changes == ()


# --- EXIF orientation ----------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotated_jpeg_is_turned_upright(orientation):
    data = encode(gradient(), "JPEG", quality=95, exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    result = normalize.normalize_image(data, "a.jpg")
    assert result.changes == ("exif-rotated",)
    assert (result.height, result.width) == expected.shape[:2]
    assert (result.height == WIDTH) == (orientation >= 5)
    pixels = decoded(result.encoded)
    assert np.abs(pixels.astype(int) - expected).max() < 12
    assert read_header(result.encoded, "a.jpg").orientation == 1


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotated_png_is_turned_upright_exactly(orientation):
    data = encode(gradient(), exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    result = normalize.normalize_image(data, "a.png")
    assert result.changes == ("exif-rotated",)
    assert np.array_equal(decoded(result.encoded), expected)


@pytest.mark.parametrize("orientation", [0, 1, 9, 65535])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_upright_or_invalid_orientation_changes_nothing(orientation, kind):
    data = encode(gradient(), kind, exif=exif(orientation))
    result = normalize.normalize_image(data, f"a.{kind.lower()}")
    assert result.encoded is data
    assert result.changes == ()


def test_damaged_exif_block_counts_as_upright():
    data = PLAIN["rgb.jpg"]
    block = b"Exif\0\0MM\0*\xff\xff\xff\xff"
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert (
        normalize.normalize_image(data[:2] + segment + data[2:], "a.jpg").changes == ()
    )


@pytest.mark.parametrize(
    "block",
    [
        b"garbage",
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\xff\0\0\0\0",
    ],
    ids=["garbage", "no-tags", "no-value"],
)
def test_damaged_exif_block_of_a_webp_counts_as_upright(block):
    data = encode(gradient(), "WEBP", lossless=True, exif=b"Exif\0\0" + block)
    result = normalize.normalize_image(data, "a.webp")
    assert result.changes == ("webp-converted",)
    assert np.array_equal(decoded(result.encoded), gradient())


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_rotated_tiff_and_webp_are_turned_upright_once(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(gradient(), kind, exif=exif(6), **options)
    result = normalize.normalize_image(data, f"a.{kind.lower()}")
    assert np.array_equal(decoded(result.encoded), np.rot90(gradient(), -1))
    assert (result.height, result.width) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_rotation_is_ignored_where_annotations_fit_the_stored_pixels(orientation):
    data = encode(gradient(), "JPEG", exif=exif(orientation))
    result = normalize.normalize_image(data, "a.jpg", expected_size=(HEIGHT, WIDTH))
    assert result.encoded is data
    assert result.changes == ("exif-rotation-ignored",)
    assert (result.height, result.width) == (HEIGHT, WIDTH)


def test_rotation_is_applied_where_annotations_fit_the_upright_pixels():
    data = encode(gradient(), "JPEG", exif=exif(6))
    result = normalize.normalize_image(data, "a.jpg", expected_size=(WIDTH, HEIGHT))
    assert result.changes == ("exif-rotated",)
    assert (result.height, result.width) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("orientation", "size"), [(3, (HEIGHT, WIDTH)), (6, (HEIGHT, HEIGHT))]
)
def test_rotation_is_applied_where_the_size_cannot_tell(orientation, size):
    pixels = gradient(height=size[0], width=size[1])
    data = encode(pixels, exif=exif(orientation))
    result = normalize.normalize_image(data, "a.png", expected_size=size)
    assert result.changes == ("exif-rotated",)


def test_ignored_rotation_of_an_odd_image_still_converts_it():
    data = encode(gradient(4), exif=exif(6))
    result = normalize.normalize_image(data, "a.png", expected_size=(HEIGHT, WIDTH))
    assert result.changes == ("alpha-removed", "exif-rotation-ignored")
    assert np.array_equal(decoded(result.encoded), gradient()[..., :3])


# --- damaged and hostile files -------------------------------------------------------


def assert_undecodable(data, message, name="bad.png"):
    with pytest.raises(ImageError, match=message) as caught:
        normalize.normalize_image(data, name)
    assert caught.value.reason == "image-undecodable"
    assert f"image {name!r} cannot be decoded" in str(caught.value)


@pytest.mark.parametrize("kept", [8, 9, 20, 40, 60, -1, -4, -12, -13])
def test_truncated_png_is_refused(kept):
    assert_undecodable(PLAIN["rgb.png"][:kept], "PNG ends after|PNG is truncated")


@pytest.mark.parametrize("kept", [3, 4, 20, 200, -2, -1, -20])
def test_truncated_jpeg_is_refused(kept):
    data = PLAIN["rgb.jpg"][:kept]
    assert_undecodable(data, "JPEG ends after|JPEG is truncated", "bad.jpg")


def test_flipped_byte_anywhere_in_a_png_is_found():
    data = PLAIN["rgb.png"]
    for position in range(8, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        with pytest.raises(ImageError, match="cannot be decoded") as caught:
            read_header(bytes(damaged), "a.png")
        assert caught.value.reason == "image-undecodable"


def test_flipped_pixel_byte_of_a_png_is_named_with_its_chunk():
    damaged = bytearray(PLAIN["rgb.png"])
    damaged[60] ^= 1
    assert_undecodable(bytes(damaged), r"chunk b'IDAT' at byte 33 fails its CRC-32")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected one of PNG, JPEG"),
        (b"\n", "expected one of PNG, JPEG"),
        (b"<html>404 not found</html>\n" * 9, "expected one of PNG, JPEG"),
        (b"\xff\xd8\xff", "JPEG ends after 3 bytes"),
        (b"\xff\xd8\xff" + b"\0" * 99, "has no marker|ends after"),
        (b"\xff\xd8" + b"\xff" * 99, "JPEG ends after 101 bytes"),
        (b"\x89PNG\r\n\x1a\n", "PNG ends after 8 bytes"),
        (b"BM" + b"\0" * 60, "cannot be decoded"),
        (b"GIF89a" + b"\xff" * 60, "cannot be decoded"),
        (b"II*\0" + b"\xff" * 60, "cannot be decoded"),
        (b"RIFF\x10\0\0\0WEBP" + b"\xff" * 60, "cannot be decoded"),
    ],
)
def test_what_is_no_image_is_refused(data, message):
    assert_undecodable(data, message)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_file_of_another_kind_is_refused(kind):
    data = encode(gradient(), kind)
    assert_undecodable(data[: len(data) // 2], "cannot be decoded")


def test_png_without_pixels_is_refused():
    ihdr = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    end = png_chunk(b"IEND", b"")
    assert_undecodable(b"\x89PNG\r\n\x1a\n" + ihdr + end, "no IHDR or no IDAT chunk")
    idat = png_chunk(b"IDAT", zlib.compress(b"\0" * 52))
    assert_undecodable(b"\x89PNG\r\n\x1a\n" + idat + end, "no IHDR or no IDAT chunk")


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_png_of_no_pixels_is_refused(size):
    assert_undecodable(png(*size, 8, 2, []), f"its size is {size[0]}x{size[1]}")


def test_png_with_right_checksums_around_nonsense_is_found_by_decoding():
    data = png(4, 4, 8, 2, [b"\0" * 3])
    assert normalize.normalize_image(data, "a.png").changes == ()
    with pytest.raises(ImageError, match=r"'a\.png' cannot be decoded") as caught:
        decode.decode_rgb(data, "a.png")
    assert caught.value.reason == "image-undecodable"


def claiming(kind, side):
    """An image file that claims `side` by `side` pixels and has next to none."""
    if kind == "PNG":
        return png(side, side, 8, 2, [b""])
    data = bytearray(encode(gradient(1), kind))
    if kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    else:
        data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


@pytest.mark.parametrize("side", [11586, 100_000])
def test_png_that_claims_too_many_pixels_is_refused_before_decoding(side):
    with pytest.raises(ImageError, match=f"claims {side}x{side} pixels") as caught:
        normalize.normalize_image(claiming("PNG", side), "bomb.png")
    assert caught.value.reason == "image-too-large"


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_other_image_that_claims_too_many_pixels_is_refused(kind):
    with pytest.raises(ImageError, match=r"image 'b' claims 12000x12000") as caught:
        normalize.normalize_image(claiming(kind, 12000), "b")
    assert caught.value.reason == "image-too-large"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_label_image_that_claims_too_many_pixels_is_refused(kind):
    message = "label image 'b' claims 12000x12000"
    with pytest.raises(ImageError, match=message) as caught:
        decode.decode_label_image(claiming(kind, 12000), "b")
    assert caught.value.reason == "label-image-too-large"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_label_image_beyond_pillows_own_limit_is_too_large_not_undecodable(kind):
    with pytest.raises(ImageError, match=r"label image 'b' claims .* pixels") as caught:
        decode.decode_label_image(claiming(kind, 60_000), "b")
    assert caught.value.reason == "label-image-too-large"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_image_beyond_pillows_own_limit_is_never_decoded(kind):
    with pytest.raises(ImageError, match=r"image 'b' claims .* pixels") as caught:
        normalize.normalize_image(claiming(kind, 60_000), "b")
    assert caught.value.reason == "image-too-large"


def with_frame_marker(marker):
    data = PLAIN["rgb.jpg"]
    return data.replace(b"\xff\xc0", bytes([0xFF, marker]), 1)


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA])
def test_jpeg_process_that_readers_lack_is_refused(marker):
    assert_undecodable(with_frame_marker(marker), f"SOF{marker - 0xC0} is not", "a.jpg")


def test_jpeg_without_a_frame_is_refused():
    assert_undecodable(with_frame_marker(0xEF), "no start-of-frame marker", "a.jpg")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(4, 12, "JPEG of 12 bits"), (9, 2, "2 channels"), (9, 0, "0 channels")],
)
def test_jpeg_of_odd_depth_is_refused(offset, value, message):
    damaged = bytearray(PLAIN["rgb.jpg"])
    damaged[damaged.index(b"\xff\xc0") + offset] = value
    assert_undecodable(bytes(damaged), message, "a.jpg")


def test_message_names_the_file():
    with pytest.raises(ImageError, match=r"image 'sub/ä\.png' cannot be decoded"):
        read_header(b"nonsense", "sub/ä.png")


# --- label images --------------------------------------------------------------------


def test_label_image_keeps_its_own_mode():
    assert decode.decode_label_image(palette_image(), "l.png")[0].mode == "P"
    assert decode.decode_label_image(encode(gradient(1)), "l.png")[0].mode == "L"


def test_jpeg_label_image_is_refused_also_under_a_png_name():
    with pytest.raises(ImageError, match=r"'l\.png' is a JPEG.*Expected PNG") as caught:
        decode.decode_label_image(PLAIN["grey.jpg"], "l.png")
    assert caught.value.reason == "label-image-lossy"


def test_damaged_label_image_has_its_own_reason():
    with pytest.raises(ImageError, match="label image 'l' cannot be") as caught:
        decode.decode_label_image(PLAIN["grey.PNG"][:50], "l")
    assert caught.value.reason == "label-image-undecodable"


@pytest.mark.parametrize(
    ("kind", "options"), [("WEBP", {"quality": 80}), ("TIFF", {"compression": "jpeg"})]
)
def test_other_lossy_label_images_are_refused_too(kind, options):
    message = f"'l' is a {kind}: its compression changes label values"
    with pytest.raises(ImageError, match=message) as caught:
        decode.decode_label_image(encode(gradient(), kind, **options), "l")
    assert caught.value.reason == "label-image-lossy"
