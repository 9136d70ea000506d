"""Images, label maps and masks moved along one geometry, with NumPy.

Label maps and masks equal those of `segdata.streams` to the bit, images but for
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.reading.geometry import Geometry, Span

UInt8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]


def move_image(
    image: UInt8Array,
    geometry: Geometry,
    pad_color: Sequence[int] = (0, 0, 0),
    recolor: Callable[[Float32Array], Float32Array] | None = None,
) -> UInt8Array:
    """Moves an image by bilinear sampling at half-pixel centres, antialiased.

    Args:
      image: `[height, width, 3] uint8`, the stored one.
      geometry: How it lies on the canvas.
      pad_color: Colour of padding, 0 to 255.
      recolor: Changes the colours of `[height, width, 3] float32`, 0 to 255; not those
        of padding.

    Returns:
      `[height, width, 3] uint8` of the canvas, rounded to nearest.
    """
    rows, columns = geometry.rows, geometry.columns
    shown = image[_shown(rows)][:, _shown(columns)].astype(np.float32)
    shown = _stretched(shown, int(rows.extent)).swapaxes(0, 1)
    shown = _stretched(shown, int(columns.extent)).swapaxes(0, 1)
    if recolor is not None:
        shown = recolor(shown)
    return on_canvas((shown + np.float32(0.5)).astype(np.uint8), geometry, pad_color)


def move_map(dense: UInt8Array, geometry: Geometry, padding: int = 0) -> UInt8Array:
    """Moves a label map or masks, `[..., height, width] uint8`, by nearest sampling."""
    rows, columns = (sampled(span) for span in (geometry.rows, geometry.columns))
    picked = dense[..., rows, :][..., columns]
    leading = picked.ndim - 2
    return on_canvas(picked, geometry, padding, leading)


def sampled(span: Span) -> NDArray[np.int64]:
    """The source pixel of each canvas pixel that a span shows, unflipped."""
    size, extent = int(span.size), int(span.extent)
    pixels: NDArray[np.int64] = (2 * np.arange(extent) + 1) * size // (2 * extent)
    return pixels + int(span.low)


def on_canvas(
    shown: UInt8Array, geometry: Geometry, padding: Any, leading: int = 0
) -> UInt8Array:
    """Puts what is shown onto a padded canvas, and flips it.

    Args:
      shown: `[..., rows, columns, ...] uint8`.
      geometry: How it lies on the canvas.
      padding: Value of what is padded, for each channel where there are channels.
      leading: Dimensions before the rows.
    """
    rows, columns = geometry.rows, geometry.columns
    before, after = shown.shape[:leading], shown.shape[leading + 2 :]
    canvas = np.empty((*before, *geometry.size, *after), np.uint8)
    canvas[...] = padding
    inside = tuple(
        slice(int(span.place), int(span.place) + int(span.extent))
        for span in (rows, columns)
    )
    canvas[(slice(None),) * leading + inside] = shown
    return flipped(canvas, geometry, leading)


def flipped(array: NDArray[Any], geometry: Geometry, leading: int = 0) -> NDArray[Any]:
    """Mirrors rows and columns, which come after `leading` dimensions."""
    spans = enumerate((geometry.rows, geometry.columns), leading)
    axes = tuple(axis for axis, span in spans if span.flipped)
    return np.ascontiguousarray(np.flip(array, axes)) if axes else array


def _shown(span: Span) -> slice:
    return slice(int(span.low), int(span.low) + int(span.size))


def _stretched(image: Float32Array, count: int) -> Float32Array:
    """`[n, ...]` -> `[count, ...]`, of triangles as wide as an output pixel.

    Where it grows that is bilinear interpolation.
    """
    source = len(image)
    if source == count:
        return image
    step = source / count
    centres = (np.arange(count) + 0.5)[:, np.newaxis] * step
    distance = np.abs(np.arange(source) + 0.5 - centres) / max(step, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    flat = weights @ image.reshape(source, -1)
    moved: Float32Array = flat.reshape(count, *image.shape[1:])
    return moved
