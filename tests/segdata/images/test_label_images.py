from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdata.errors import AnnotationError, ImageError
from segdata.images.label_images import read_source_runs, to_label_runs
from segdata.label_map import LabelClass, LabelMap, distinct_colors
from segdata.masks import rle

SKY, ROAD, VOID = (128, 128, 128), (128, 64, 128), (0, 0, 0)
# Ids differ from source ids, so that a forgotten mapping shows.
CLASSES = (
    LabelClass(id=0, name="sky", color=SKY, source_ids=(1,), source_colors=(SKY,)),
    LabelClass(
        id=1,
        name="road",
        color=ROAD,
        source_ids=(2, 3),
        source_colors=(ROAD, (1, 2, 3)),
    ),
    LabelClass(id=9, name="void", color=VOID, source_ids=(0,), source_colors=(VOID,)),
)
LABELS = LabelMap(semantic_classes=CLASSES, ignore_id=9)
VOIDING = LabelMap(semantic_classes=CLASSES, ignore_id=9, unknown_id=9)

SOURCE = np.array([[0, 1, 1, 2], [3, 3, 2, 0]], np.uint8)
EXPECTED = np.array([[9, 0, 0, 1], [1, 1, 1, 9]], np.uint8)
COLORS = np.array([VOID, SKY, ROAD, (1, 2, 3)], np.uint8)


def encode(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(pixels):
    """A 16-bit RGB PNG, which Pillow cannot write."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    ihdr = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", ihdr)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def palette(indices, colors=COLORS):
    image = Image.fromarray(indices).convert("L")
    image.putpalette(colors.reshape(-1).tolist())
    return image


def read(data, encoding="index", label_map=LABELS):
    source = read_source_runs(data, encoding, "l.png")
    runs = to_label_runs(source, encoding, label_map, "l.png")
    dense = rle.decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
    return dense, runs


def stacked(indices, *, alpha=None):
    planes = [indices] * 3 + ([] if alpha is None else [alpha])
    return np.stack(planes, axis=-1)


ALPHA = np.arange(8, dtype=np.uint8).reshape(2, 4) * 30

# --- index labels --------------------------------------------------------------------

INDEX_FILES = {
    "grey": encode(SOURCE),
    "grey-alpha": encode(Image.fromarray(np.stack([SOURCE, ALPHA], -1), "LA")),
    "grey-trns": encode(SOURCE, transparency=1),
    "16-bit": encode(SOURCE.astype(np.uint16)),
    "palette": encode(palette(SOURCE)),
    "palette-2-bit": encode(palette(SOURCE), bits=2),
    "palette-4-bit": encode(palette(SOURCE), bits=4),
    "palette-of-equal-colors": encode(palette(SOURCE, COLORS * 0)),
    "palette-trns": encode(palette(SOURCE), transparency=b"\x10\x20\x30\x40"),
    "rgb-of-equal-channels": encode(stacked(SOURCE)),
    "rgba-of-equal-channels": encode(stacked(SOURCE, alpha=ALPHA)),
    "bmp": encode(SOURCE, "BMP"),
    "palette-bmp": encode(palette(SOURCE), "BMP"),
    "tiff": encode(SOURCE, "TIFF"),
    "16-bit-tiff": encode(SOURCE.astype(np.uint16), "TIFF"),
    "float-tiff": encode(SOURCE.astype(np.float32), "TIFF"),
    "palette-gif": encode(palette(SOURCE), "GIF", optimize=False),
}


@pytest.mark.parametrize("name", INDEX_FILES)
def test_stored_index_is_the_source_id_in_every_kind_of_file(name):
    dense, runs = read(INDEX_FILES[name])
    assert np.array_equal(dense, EXPECTED)
    assert runs.voided_pixels == 0


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_small_grey_samples_are_indices_not_brightness(bits):
    source = np.arange(2**bits, dtype=np.uint8)[None]

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    text = "".join(f"{value:0{bits}b}" for value in source[0].tolist())
    row = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2)
    raw = b"\0" + row.to_bytes(-(-len(text) // 8), "big")
    ihdr = struct.pack(">IIBBBBB", source.size, 1, bits, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", ihdr)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )
    identity = LabelMap.from_dict({f"c{value}": value for value in range(16)})
    assert read(data, label_map=identity)[0].tolist() == source.tolist()


def test_one_bit_grey_is_0_and_1():
    dense, _ = read(encode(Image.fromarray(SOURCE > 1)))
    assert dense.tolist() == [[9, 9, 9, 0], [0, 0, 0, 9]]


def test_16_bit_values_may_be_class_ids():
    sixteen = LabelMap(
        semantic_classes=(
            LabelClass(id=5, name="far", color=SKY, source_ids=(26000,)),
            LabelClass(id=6, name="near", color=ROAD, source_ids=(7,)),
        )
    )
    data = encode(np.array([[26000, 7, 7]], np.uint16))
    assert read(data, label_map=sixteen)[0].tolist() == [[5, 6, 6]]


def test_runs_of_one_class_are_joined_and_sized():
    _, runs = read(encode(SOURCE))
    assert runs.values.tolist() == [9, 0, 1, 9]
    assert runs.lengths.tolist() == [1, 2, 4, 1]
    assert runs.values.dtype == np.uint8
    assert (runs.height, runs.width) == (2, 4)


def test_label_image_of_one_pixel_is_one_run():
    _, runs = read(encode(np.array([[2]], np.uint8)))
    assert (runs.values.tolist(), runs.lengths.tolist()) == ([1], [1])


@pytest.mark.parametrize(
    "image",
    [COLORS[SOURCE], np.dstack([COLORS[SOURCE], ALPHA])],
    ids=["rgb", "rgba"],
)
def test_coloured_image_is_no_index_label(image):
    message = r"label image 'l\.png' is coloured: expected class indices"
    with pytest.raises(AnnotationError, match=message) as caught:
        read(encode(image))
    assert caught.value.reason == "label-image-colored"


def test_cmyk_image_is_no_index_label():
    pixels = np.dstack([SOURCE, ALPHA, ALPHA, ALPHA])
    with pytest.raises(AnnotationError, match="of mode CMYK and 8 bits") as caught:
        read(encode(Image.fromarray(pixels, "CMYK"), "TIFF"))
    assert caught.value.reason == "label-image-mode"


def test_16_bit_rgb_is_no_index_label_as_only_its_high_bytes_are_read():
    with pytest.raises(AnnotationError, match="of mode RGB and 16 bits") as caught:
        read(deep_png(stacked(SOURCE)))
    assert caught.value.reason == "label-image-mode"


@pytest.mark.parametrize("label_map", [LABELS, VOIDING], ids=["strict", "voiding"])
@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), float("-inf")])
def test_float_that_is_no_whole_number_is_no_index(value, label_map):
    data = encode(np.array([[1, value]], np.float32), "TIFF")
    with pytest.raises(AnnotationError, match="pixels of mode F") as caught:
        read(data, label_map=label_map)
    assert caught.value.reason == "label-image-mode"


# --- colour labels -------------------------------------------------------------------

COLOR_FILES = {
    "rgb": encode(COLORS[SOURCE]),
    "rgba": encode(np.dstack([COLORS[SOURCE], ALPHA])),
    "palette": encode(palette(SOURCE)),
    "palette-trns": encode(palette(SOURCE), transparency=b"\x10\x20\x30\x40"),
    "rgb-trns": encode(COLORS[SOURCE], transparency=SKY),
    "bmp": encode(COLORS[SOURCE], "BMP"),
    "tiff": encode(COLORS[SOURCE], "TIFF"),
    "gif": encode(palette(SOURCE), "GIF"),
    "lossless-webp": encode(COLORS[SOURCE], "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", COLOR_FILES)
def test_color_is_the_class_in_every_kind_of_file(name):
    dense, runs = read(COLOR_FILES[name], "color")
    assert np.array_equal(dense, EXPECTED)
    assert runs.voided_pixels == 0


def test_grey_color_label_is_a_color_of_equal_channels():
    data = encode(np.array([[0, 128, 128]], np.uint8))
    assert read(data, "color")[0].tolist() == [[9, 0, 0]]


# --- unknown values ------------------------------------------------------------------


def test_unknown_values_are_named_with_file_and_pixels_most_first():
    source = np.repeat(np.array([[7, 8, 4, 5, 6, 1]], np.uint8), [3, 9, 2, 1, 1, 4], 1)
    message = (
        r"label image 'l\.png' has unknown value 8 in 9 pixels, value 7 in 3 pixels, "
        r"value 4 in 2 pixels and 2 more: expected 0 to 3\. "
    )
    with pytest.raises(AnnotationError, match=message) as caught:
        read(encode(source))
    assert caught.value.reason == "unknown-label-index"


def test_unknown_color_is_named_with_file_and_pixels():
    colors = np.array([[SKY, (9, 200, 255), (9, 200, 255)]], np.uint8)
    message = (
        r"label image 'l\.png' has unknown colour \(9, 200, 255\) in 2 pixels: "
        r"expected one of the 4 class colours"
    )
    with pytest.raises(AnnotationError, match=message) as caught:
        read(encode(colors), "color")
    assert caught.value.reason == "unknown-label-color"


def test_unknown_16_bit_value_is_not_taken_for_its_low_byte():
    with pytest.raises(AnnotationError, match="unknown value 257 in 1 pixels"):
        read(encode(np.array([[257, 1]], np.uint16)))


def test_unknown_values_go_to_the_unknown_id_and_are_counted():
    source = np.array([[1, 77, 77], [78, 2, 0]], np.uint8)
    dense, runs = read(encode(source), label_map=VOIDING)
    assert dense.tolist() == [[0, 9, 9], [9, 1, 9]]
    assert runs.voided_pixels == 3  # the known void pixel is not counted
    assert runs.values.tolist() == [0, 9, 1, 9]


def test_unknown_colors_go_to_the_unknown_id_and_are_counted():
    colors = np.array([[SKY, (9, 9, 9), ROAD, (8, 8, 8)]], np.uint8)
    dense, runs = read(encode(colors), "color", VOIDING)
    assert dense.tolist() == [[0, 9, 1, 9]]
    assert runs.voided_pixels == 2


def test_label_map_without_pixel_classes_knows_no_value():
    with pytest.raises(
        AnnotationError, match=r"unknown value 1 .*expected one of \[\]"
    ):
        read(encode(np.array([[1]], np.uint8)), label_map=LabelMap())


def test_16_bit_grey_image_is_refused_as_a_color_label_with_our_error():
    with pytest.raises((AnnotationError, ImageError)):
        read(encode(np.array([[1, 300]], np.uint16)), "color")


# --- files that are no label images --------------------------------------------------


@pytest.mark.parametrize("encoding", ["index", "color"])
def test_jpeg_label_image_is_refused(encoding):
    data = encode(np.zeros((8, 8), np.uint8), "JPEG")
    with pytest.raises(ImageError, match="is a JPEG: its compression") as caught:
        read(data, encoding)
    assert caught.value.reason == "label-image-lossy"


@pytest.mark.parametrize("data", [b"text", encode(SOURCE)[:50], encode(SOURCE)[:30]])
def test_damaged_label_image_is_refused(data):
    with pytest.raises(ImageError, match=r"label image 'l\.png' cannot be") as caught:
        read(data)
    assert caught.value.reason == "label-image-undecodable"


def test_any_flipped_bit_in_the_pixels_of_a_label_png_is_refused():
    # Pillow skips the CRC of IDAT: what still inflates would be a wrong label.
    source = np.random.default_rng(0).integers(0, 4, (40, 40)).astype(np.uint8)
    data = encode(source)
    assert data.count(b"IDAT") == 1
    chunk = range(data.index(b"IDAT") - 4, len(data) - 12)  # its length to its CRC
    for position in chunk:
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ImageError, match=r"'l\.png' cannot be d") as caught:
                read(bytes(damaged))
            assert caught.value.reason == "label-image-undecodable"


# --- real data -----------------------------------------------------------------------


def test_every_real_camvid_val_label_survives(shared_data: Path):
    classes = tuple(
        LabelClass(
            id=class_id, name=f"c{class_id}", color=color, source_ids=(class_id,)
        )
        for class_id, color in enumerate(distinct_colors(12))
    )
    label_map = LabelMap(semantic_classes=classes)
    paths = sorted((shared_data / "camvid/valannot").glob("*.png"))
    for path in paths:
        dense, runs = read(path.read_bytes(), label_map=label_map)
        assert np.array_equal(dense, np.asarray(Image.open(path)))
        assert (runs.height, runs.width) == (360, 480)
        assert (runs.values[1:] != runs.values[:-1]).all()
    assert len(paths) == 101


def test_many_source_values_are_shortened() -> None:
    values = [10 * index for index in range(100)]
    label_map = LabelMap.from_dict({f"c{value}": value for value in values[:26]})
    with pytest.raises(
        AnnotationError, match=r"one of \[0, 10, 20, .* 190\] and 6 more"
    ):
        read(encode(Image.fromarray(np.full((2, 2), 7, np.uint8))), label_map=label_map)
