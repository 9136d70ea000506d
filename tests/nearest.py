"""Nearest sampling said in NumPy, pixel by pixel, to compare the graph with."""

from __future__ import annotations

import numpy as np

SUBPIXELS = 64


def stretched_pixels(first, size, count):
    """Source pixel of each of `count` samples over `size` pixels from `first` on."""
    return first + ((2 * np.arange(count) + 1) * int(size)) // (2 * count)


def box_pixels(low, high, count, limit):
    """Source pixel of each of `count` samples over a box of one axis."""
    low, high = (
        min(max(round(edge * SUBPIXELS), 0), limit * SUBPIXELS) for edge in (low, high)
    )
    low = min(low, limit * SUBPIXELS - 1)
    size = max(high - low, 1)
    return [
        (2 * count * low + (2 * i + 1) * size) // (2 * count * SUBPIXELS)
        for i in range(count)
    ]


def crop(mask, box, size):
    """A mask sampled at the centres of a grid over a box."""
    rows = box_pixels(box[0], box[2], size[0], mask.shape[0])
    columns = box_pixels(box[1], box[3], size[1], mask.shape[1])
    return mask[rows][:, columns]


def move(dense, rows, columns, padding=0):
    """Moves a dense map along two spans (of `reading.geometry`, as Python numbers)."""
    canvas = np.full((rows["canvas"], columns["canvas"]), padding, dense.dtype)
    picked = dense[stretched_pixels(rows["low"], rows["size"], rows["extent"])][
        :, stretched_pixels(columns["low"], columns["size"], columns["extent"])
    ]
    top, left = rows["place"], columns["place"]
    canvas[top : top + rows["extent"], left : left + columns["extent"]] = picked
    if rows["flipped"]:
        canvas = canvas[::-1]
    if columns["flipped"]:
        canvas = canvas[:, ::-1]
    return canvas


def numbers(span):
    """A span's fields as Python numbers."""
    names = ("source", "low", "size", "canvas", "place", "extent", "flipped")
    return {name: int(getattr(span, name)) for name in names}
