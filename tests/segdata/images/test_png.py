from __future__ import annotations

import hashlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from zlib_ng import zlib_ng

from segdata.images import png
from segdata.images.png import encode_png


@st.composite
def images(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Gray or RGB; noise, runs or something between, some of more than one block."""
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    channels = draw(st.sampled_from([(), (3,)]))
    values, stretch = draw(st.sampled_from([1, 2, 5, 256])), draw(st.integers(1, 30))
    pixels = rng.integers(0, values, (height, width, *channels), np.uint8)
    if draw(st.booleans()):
        pixels[rng.random((height, width)) < 0.7] = 0
    return np.repeat(pixels, stretch, axis=draw(st.sampled_from([0, 1])))


@settings(max_examples=200, deadline=None)
@given(images(), st.booleans())
def test_pixels_come_back(pixels: NDArray[np.uint8], is_mask: bool) -> None:
    image = Image.open(io.BytesIO(encode_png(pixels, is_mask=is_mask)))
    assert (image.format, image.mode) == ("PNG", "L" if pixels.ndim == 2 else "RGB")
    np.testing.assert_array_equal(image, pixels)


@settings(max_examples=200, deadline=None)
@given(images(), st.booleans())
def test_zlib_ng_writes_the_same_bytes(
    pixels: NDArray[np.uint8], is_mask: bool
) -> None:
    ours = encode_png(pixels, is_mask=is_mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png.zlib, "compressobj", zlib_ng.compressobj)
        assert encode_png(pixels, is_mask=is_mask) == ours


def test_zlib_ng_differs_where_there_is_a_choice() -> None:
    """The test above compares two zlibs, not one with itself."""
    text = bytes(np.random.default_rng(0).integers(0, 4, 20_000, np.uint8))
    assert zlib.compress(text, 6) != zlib_ng.compress(text, 6)


def test_indices_keep_their_palette() -> None:
    pixels = np.array([[0, 1], [2, 1]], np.uint8)
    colors = np.array([[9, 8, 7], [1, 2, 3], [250, 0, 5]], np.uint8)
    image = Image.open(io.BytesIO(encode_png(pixels, palette=colors.tobytes())))
    assert image.mode == "P"
    np.testing.assert_array_equal(image, pixels)
    np.testing.assert_array_equal(image.convert("RGB"), colors[pixels])


def test_bytes_are_the_same_for_ever() -> None:
    y, x = np.mgrid[:60, :300]
    mask = ((y - 30) ** 2 * 25 + (x - 140) ** 2 < 17_000).astype(np.uint8)
    labels = (y // 7 + x // 40).astype(np.uint8)
    files = encode_png(mask, is_mask=True), encode_png(labels)
    digests = [hashlib.sha256(data).hexdigest()[:16] for data in files]
    assert digests == ["e0b4a2c831dfa923", "b5a32a2519e55f40"]
