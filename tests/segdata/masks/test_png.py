from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from segdata.masks import png as png_encoder
from segdata.masks import rle

SIZES = st.integers(1, 40)


def decode(png: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image)


def encode_masks(masks: list[NDArray[Any]]) -> list[bytes]:
    height, width = masks[0].shape
    return png_encoder.encode_masks(rle.rle_batch(masks, height, width), height, width)


def encode_label_map(pixels: NDArray[np.uint8]) -> bytes:
    values, lengths = rle.encode_label_map(pixels)
    return png_encoder.encode_label_map(values, lengths, *pixels.shape)


@st.composite
def images(draw: st.DrawFn, values: int) -> NDArray[np.uint8]:
    height, width = draw(SIZES), draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stretch = draw(st.sampled_from([1, 3, 40]))
    pixels = rng.integers(0, values, (height, width), np.uint8)
    if draw(st.booleans()):
        pixels[rng.random(pixels.shape) < 0.7] = 0
    return np.repeat(pixels, stretch, axis=1)


@settings(max_examples=300, deadline=None)
@given(images(2), st.integers(1, 4))
def test_masks_come_back(mask: NDArray[np.uint8], num_objects: int) -> None:
    masks = [np.roll(mask, k) for k in range(num_objects)]
    for png, expected in zip(encode_masks(masks), masks, strict=True):
        np.testing.assert_array_equal(decode(png), expected)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([2, 5, 256]).flatmap(images))
def test_label_maps_come_back(pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode(encode_label_map(pixels)), pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 258), (5, 10_000)])
@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full_masks_of_odd_sizes_come_back(
    size: tuple[int, int], value: int
) -> None:
    mask = np.full(size, value, np.uint8)
    [png] = encode_masks([mask])
    np.testing.assert_array_equal(decode(png), mask)


def test_single_pixels_in_every_corner_come_back() -> None:
    masks = []
    for place in [(0, 0), (0, 299), (199, 0), (199, 299)]:
        mask = np.zeros((200, 300), np.uint8)
        mask[place] = 1
        masks.append(mask)
    for png, expected in zip(encode_masks(masks), masks, strict=True):
        np.testing.assert_array_equal(decode(png), expected)


@pytest.mark.parametrize("width", range(250, 270))
def test_runs_around_the_longest_match_come_back(width: int) -> None:
    pixels = np.full((4, width), 200, np.uint8)
    pixels[1, :3] = 7
    pixels[3] = 0
    np.testing.assert_array_equal(decode(encode_label_map(pixels)), pixels)
    np.testing.assert_array_equal(decode(encode_masks([pixels != 7])[0]), pixels != 7)


def test_large_checksums_do_not_overflow() -> None:
    pixels = np.full((3000, 4000), 255, np.uint8)
    pixels[-1, -1] = 254
    np.testing.assert_array_equal(decode(encode_label_map(pixels)), pixels)


def test_empty_run_in_the_middle_of_a_mask_changes_nothing() -> None:
    runs = [np.array([5, 3, 0, 4, 12, 0], np.int64)]
    expected = rle.decode(runs[0], 4, 6)
    [png] = png_encoder.encode_masks(runs, 4, 6)
    np.testing.assert_array_equal(decode(png), expected)


def test_object_without_mask_is_an_image_of_zeros() -> None:
    mask = np.eye(5, dtype=np.uint8)
    runs = [np.zeros(0, np.int64), rle.rle(mask, 5, 5), np.zeros(0, np.int64)]
    found = [decode(png) for png in png_encoder.encode_masks(runs, 5, 5)]
    assert [int(image.sum()) for image in found] == [0, 5, 0]
    assert {image.shape for image in found} == {(5, 5)}


def test_no_objects_give_no_files() -> None:
    assert png_encoder.encode_masks([], 4, 6) == []


def test_a_mask_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random((33, 47)) < share for share in (0.0, 0.3, 1.0, 0.01)]
    alone = [encode_masks([mask])[0] for mask in masks]
    assert encode_masks(masks) == alone


def test_file_is_one_channel_of_eight_bits_without_palette() -> None:
    [png] = encode_masks([np.ones((3, 5), np.uint8)])
    size, kind = struct.unpack(">I4s", png[8:16])
    assert (size, kind) == (13, b"IHDR")
    assert struct.unpack(">2I5B", png[16:29]) == (5, 3, 8, 0, 0, 0, 0)
    assert b"PLTE" not in png


def test_bytes_are_the_same_for_ever() -> None:
    """Nothing but the runs decides them: no zlib, no processor, no Pillow."""
    y, x = np.mgrid[:60, :300]
    mask = ((y - 30) ** 2 * 25 + (x - 140) ** 2 < 17_000).astype(np.uint8)
    labels = (y // 7 + x // 40).astype(np.uint8)
    digests = [
        hashlib.sha256(png).hexdigest()[:16]
        for png in (encode_masks([mask])[0], encode_label_map(labels))
    ]
    assert digests == ["c45a7aa61f1bb493", "0c273bcf5425597b"]


def test_stream_is_what_zlib_decompresses() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    png = encode_label_map(pixels)
    start = png.index(b"IDAT") + 4
    size = struct.unpack(">I", png[start - 8 : start - 4])[0]
    raw = zlib.decompress(png[start : start + size])
    assert raw == b"".join(b"\0" + row.tobytes() for row in pixels)


def test_real_masks_come_back_and_are_no_larger_than_pillows_by_much(
    shared_data: Any,
) -> None:
    path = shared_data / "camvid" / "trainannot" / "0001TP_006690.png"
    pixels = np.asarray(Image.open(path))
    masks = [pixels == value for value in range(12)]
    buffer = io.BytesIO()
    for mask in masks:
        Image.fromarray(mask.astype(np.uint8)).save(buffer, "PNG")
    assert sum(map(len, encode_masks(masks))) < 1.1 * buffer.tell()
    for png, expected in zip(encode_masks(masks), masks, strict=True):
        np.testing.assert_array_equal(decode(png), expected)
