"""Which values the masks of a folder hold, where no class file tells: all are read.

Values are what `segdata.images.label_images` reads, as the worker will: so whatever a
file's depth or palette, a value here is a value there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from segdata.annotations import LabelEncoding
from segdata.cpus import num_cpus
from segdata.errors import AnnotationError, SegdataError
from segdata.images.label_images import read_source_runs
from segdata.storage.paths import Location

LOSSY_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
"""Endings of masks whose values are only near those that were drawn."""
_PROBED = 3
_MOST_COLORS = 64
_NEAR = 64
"""A grey value so near to 0 or 255 is meant to be one of them."""
_KEPT_VALUES = 1 << 16


@dataclass
class Census:
    """What the masks hold together."""

    encoding: LabelEncoding = "index"
    """`color` where any mask is coloured."""
    pixels: Counter[int] = field(default_factory=Counter)
    """Value, or `0xRRGGBB`, -> how many pixels have it."""
    masks: Counter[int] = field(default_factory=Counter)
    """The same -> how many masks have it."""
    highest: list[int | None] = field(default_factory=list)
    """Of each mask the highest value where it holds all values from 0 or 1 to it."""
    unread: int = 0
    """Masks that cannot be read: their records will say why."""

    @property
    def is_binary(self) -> bool:
        """Whether there are two values, nothing and all."""
        return any(self.pixels.keys() <= {0, most} for most in (1, 255, 65535)) or (
            self.encoding == "color" and self.pixels.keys() <= {0, 0xFFFFFF}
        )

    @property
    def is_black_and_white(self) -> bool:
        """Whether 255 stands there, and nothing but 0 beside it."""
        return {255} <= self.pixels.keys() <= {0, 255}

    @property
    def is_blurred_binary(self) -> bool:
        """Whether nearly all values are near 0 or 255, and many others stand between.

        So are masks that were saved as JPEG, or were drawn with soft edges.
        """
        if self.encoding == "color" or len(self.pixels) < 8 or max(self.pixels) > 255:
            return False
        ends = [
            sum(n for value, n in self.pixels.items() if abs(value - end) < _NEAR)
            for end in (0, 255)
        ]
        return all(ends) and sum(ends) >= 0.98 * self.pixels.total()

    @property
    def has_void(self) -> bool:
        """Whether 255 is far from all other values, as what is to be ignored is."""
        values = self.pixels.keys()
        is_alone = 255 in values and not values & set(range(200, 255))
        return self.encoding == "index" and is_alone and 3 < len(values) < 200

    @property
    def numbers_objects(self) -> bool:
        """Whether each mask counts from 1 without a gap, and they end differently."""
        ends = {highest for highest in self.highest if highest}
        return (
            self.encoding == "index"
            and len(self.highest) > 5
            and None not in self.highest
            and len(ends) > 2
        )


def take_census(source: Location, paths: Sequence[str]) -> Census:
    """Reads masks with a thread for each processor.

    Raises:
      StorageError: If a store cannot be reached.
    """
    census = Census()
    with ThreadPoolExecutor(2 * num_cpus()) as pool:
        for values in pool.map(lambda path: _values(source, path), paths):
            if values is None:
                census.unread += 1
                continue
            encoding, counts = values
            if encoding == "color" and census.encoding != "color":
                census.encoding = "color"
                census.pixels = _as_colors(census.pixels)
                census.masks = _as_colors(census.masks)
            elif census.encoding == "color" and encoding == "index":
                counts = _as_colors(counts)
            if len(census.pixels) < _KEPT_VALUES:
                census.pixels.update(counts)
                census.masks.update(counts.keys())
            labels = sorted(counts.keys() - {0})
            is_counted = labels == list(range(1, len(labels) + 1))
            census.highest.append(len(labels) if is_counted else None)
    return census


def looks_like_masks(source: Location, paths: Sequence[str]) -> bool:
    """Whether the pixels of a few files have few colours."""
    sample = [p for p in sample_of(paths, _PROBED) if not is_lossy(p)]
    found = [values for path in sample if (values := _values(source, path))]
    return bool(found) and all(len(counts) <= _MOST_COLORS for _, counts in found)


def has_colors(source: Location, paths: Sequence[str]) -> bool:
    """Whether any of a few files is coloured, so that its values are colours."""
    found = map(partial(_values, source), sample_of(paths, _PROBED))
    return any(values is not None and values[0] == "color" for values in found)


def mark_different_pixels(source: Location, paths: Sequence[str]) -> bool:
    """Whether any two of some masks of two values have hardly a pixel in common.

    Two people who draw the same thing agree on most of it; classes and parts do not.
    """
    marked = []
    for path in paths:
        try:
            data = source.inside(path).read_bytes()
            runs = read_source_runs(data, "binary", path, may_be_lossy=is_lossy(path))
        except (OSError, SegdataError):
            return False
        values = _values(source, path)
        if values is None or len(values[1]) > 2:
            return False
        marked.append(np.repeat(runs.codes > 0, runs.lengths))
    return any(
        a.shape == b.shape and 5 * (a & b).sum() < min(a.sum(), b.sum())
        for a, b in itertools.combinations(marked, 2)
    )


def is_lossy(path: str) -> bool:
    """Whether a mask is a JPEG, by its ending."""
    return PurePosixPath(path).suffix.lower() in LOSSY_ENDINGS


def sample_of(paths: Sequence[str], count: int) -> list[str]:
    """So many of the paths, evenly spread."""
    ordered = sorted(paths)
    return ordered[:: max(1, len(ordered) // count)][:count]


def _values(source: Location, path: str) -> tuple[LabelEncoding, Counter[int]] | None:
    """How a mask spells its values, and pixels of each; None if it is unreadable."""
    try:
        data = source.inside(path).read_bytes()
        encoding: LabelEncoding = "index"
        try:
            runs = read_source_runs(data, "index", path, may_be_lossy=is_lossy(path))
        except AnnotationError:
            encoding = "color"
            runs = read_source_runs(data, "color", path, may_be_lossy=is_lossy(path))
    except (OSError, SegdataError):
        return None
    codes, inverse = np.unique(runs.codes, return_inverse=True)
    pixels = np.bincount(inverse, weights=runs.lengths)
    return encoding, Counter(
        {int(c): int(n) for c, n in zip(codes.tolist(), pixels.tolist(), strict=True)}
    )


def _as_colors(counts: Counter[int]) -> Counter[int]:
    """Grey values as colours."""
    return Counter({min(value, 255) * 0x010101: n for value, n in counts.items()})
