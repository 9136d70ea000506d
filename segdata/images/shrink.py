"""Images and label maps made smaller, for records whose photos nobody needs in full."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.images.label_images import LabelRuns
from segdata.images.normalize import JPEG_QUALITY, NormalizedImage
from segdata.images.opening import open_image
from segdata.images.png import encode_png
from segdata.masks import rle

Size = tuple[int, int]
"""Height and width in pixels."""


_LARGE = 2000
"""Pixels of the longer side above which most of a photo is read for nothing."""


def size_remark(height: float, width: float) -> str:
    """What to say of images of a typical size; empty for usual ones."""
    if max(height, width) <= _LARGE:
        return ""
    return (
        f"images are large, {height:.0f}x{width:.0f} (height x width): models look at "
        "a few hundred pixels, and decoding takes most of the time of reading. "
        "--max-size 1024 stores them shrunk"
    )


def shrunk_size(height: int, width: int, max_size: int | None) -> Size:
    """The size with the same aspect whose longer side is at most `max_size`."""
    longer = max(height, width)
    if max_size is None or longer <= max_size:
        return height, width
    shorter = max(1, round(min(height, width) * max_size / longer))
    return (max_size, shorter) if height >= width else (shorter, max_size)


def shrink_image(image: NormalizedImage, size: Size) -> NormalizedImage:
    """A smaller image, antialiased by Pillow's Lanczos filter.

    JPEGs are encoded anew with quality 95 and without chroma subsampling, PNGs as PNGs.
    """
    height, width = size
    opened = open_image(image.encoded, "the image")
    small = opened.resize((width, height), Image.Resampling.LANCZOS)
    if image.format == "jpeg":
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        encoded = buffer.getvalue()
    else:
        encoded = encode_png(np.asarray(small))
    return NormalizedImage(
        encoded=encoded,
        format=image.format,
        height=height,
        width=width,
        changes=(*image.changes, "shrunk"),
    )


def shrink_pixels(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A smaller label map or mask: each pixel has the value at its centre.

    Args:
      pixels: `[height, width]`.
      size: Height and width of the result.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size, pixels.shape, strict=True)
    )
    small: NDArray[np.uint8] = pixels[rows][:, columns]
    return small


def shrink_labels(labels: LabelRuns, size: Size) -> LabelRuns:
    """A smaller label map; pixels that were voided or moved stay counted as before."""
    whole = rle.decode_label_map(
        labels.values, labels.lengths, labels.height, labels.width
    )
    values, lengths = rle.encode_label_map(shrink_pixels(whole, size))
    return LabelRuns(
        values=values,
        lengths=lengths,
        height=size[0],
        width=size[1],
        voided_pixels=labels.voided_pixels,
        moved_pixels=labels.moved_pixels,
    )
