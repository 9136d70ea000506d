"""Run-length masks: from polygons, COCO RLE of every flavour and dense masks.

**The pixel order, said once.** segdata stores runs in *row-major* (C) order: pixel
`(y, x)` of an image of width `w` has position `y * w + x`. COCO's own RLE is
column-major (`x * h + y`); it is transcoded here, once, at build time, because decoding
row-major runs costs a tenth of decoding column-major ones.

**Instance masks** are alternating run lengths, background first, with an *even* number
of runs (a 0 is appended where needed) that sum to `height * width`:

>>> rle(np.array([[0, 1, 1], [1, 0, 0]]), 2, 3).tolist()
[1, 3, 2, 0]

**Label maps** are one uint8 value and one length per run:

>>> values, lengths = encode_label_map(np.array([[7, 7, 7], [2, 2, 7]], np.uint8))
>>> values.tolist(), lengths.tolist()
([7, 2, 7], [3, 2, 1])

COCO's own forms are read by `segdata.masks.coco` and `segdata.masks.polygons`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError
from segdata.masks import compiled
from segdata.masks.coco import check_counts, rle_counts, transcode
from segdata.masks.limits import MAX_BOUNDARIES, MaskBudget
from segdata.masks.polygons import rasterise

Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

MAX_PIXELS = 1 << 28
"""Largest image that can carry masks. Positions are int32 in the reading graph, and
pycocotools' compressed strings overflow their buffer from runs of 2**29 pixels on."""


def rle(segmentation: Any, image_height: int, image_width: int) -> Int64Array:
    """Encodes one object's segmentation as row-major runs.

    The flavour is recognised by type, never by `iscrowd`.

    Args:
      segmentation: One of: a dense mask, `[image_height, image_width]` of bool or
        numbers, not 0 on the object; polygons as COCO stores them, `[[x0, y0, x1, y1,
        ...], ...]` or one flat list, in pixels, parts united; a COCO RLE `{"size":
        [height, width], "counts": ...}` with counts as a list (uncompressed) or as
        str or bytes (compressed).
      image_height: Height of the image in pixels, at least 1.
      image_width: Width of the image in pixels, at least 1.

    Returns:
      `[runs] int64`, background first, an even number of runs that sum to
      `image_height * image_width`. An empty mask is `[h * w, 0]`.

    Raises:
      AnnotationError: If the segmentation is malformed or does not fit the image.
    """
    return rle_batch([segmentation], image_height, image_width)[0]


def rle_batch(
    segmentations: Sequence[Any],
    image_height: int,
    image_width: int,
    budget: MaskBudget | None = None,
) -> list[Int64Array]:
    """Encodes all objects of one image: what `rle` does, several times faster.

    Args:
      segmentations: Per object whatever `rle` takes.
      image_height: Height of the image in pixels, at least 1.
      image_width: Width of the image in pixels, at least 1.
      budget: What they may cost together; None for the budget of one image.

    Returns:
      Per object the runs that `rle` returns.

    Raises:
      AnnotationError: As `rle`; its attribute `index` tells which object is bad.
      MaskBudgetError: If they are too many and too complex together.
    """
    budget = budget or MaskBudget()
    _check_image_size(image_height, image_width)
    found = compiled.encode(segmentations, image_height, image_width, budget)
    if found is not None:
        return found
    dense: dict[int, Int64Array] = {}
    column_major: dict[int, Int64Array] = {}
    polygons: dict[int, Sequence[Any]] = {}
    for index, segmentation in enumerate(segmentations):
        try:
            if isinstance(segmentation, np.ndarray):
                dense[index] = _encode_dense(segmentation, image_height, image_width)
            elif isinstance(segmentation, Mapping):
                column_major[index] = rle_counts(
                    segmentation, image_height, image_width, budget
                )
            elif isinstance(segmentation, Sequence) and not isinstance(
                segmentation, str | bytes
            ):
                polygons[index] = segmentation
            else:
                raise _unknown_kind(segmentation)
        except AnnotationError as error:
            error.index = index
            raise
    names = list(polygons)
    try:
        counts = rasterise(list(polygons.values()), image_height, image_width, budget)
        column_major |= dict(zip(names, counts, strict=True))
        names = list(column_major)
        runs = transcode(list(column_major.values()), image_height, image_width, budget)
    except AnnotationError as error:
        error.index = names[error.index or 0]
        raise
    encoded = dense | dict(zip(names, runs, strict=True))
    return [encoded[index] for index in range(len(segmentations))]


def decode(runs: Int64Array, height: int, width: int) -> UInt8Array:
    """Decodes row-major runs into a dense mask.

    Args:
      runs: `[runs] int64` as `rle` returns them.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      `[height, width] uint8`, 1 on the object.

    Raises:
      AnnotationError: If the runs are not valid for this size.
    """
    found = compiled.decode([runs], height, width)
    if found is not None:
        mask: UInt8Array = found[0]
        return mask
    validate_runs(runs, height, width)
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 1
    return np.repeat(values, runs).reshape(height, width)


def encode_label_map(label_map: NDArray[Any]) -> tuple[NDArray[Any], Int64Array]:
    """Encodes a dense label map as row-major runs.

    Args:
      label_map: `[height, width]`, any integer dtype, at least one pixel.

    Returns:
      `(values, lengths)`: `[runs]` of the map's dtype, neighbours differ, and `[runs]
      int64`, all positive, summing to `height * width`.

    Raises:
      AnnotationError: If there are more runs than are stored of one record.
    """
    flat = np.ascontiguousarray(label_map).reshape(-1)
    if flat.size > MAX_BOUNDARIES:
        # Counted first: a hundred kilobytes of stripes hide gigabytes of runs.
        count = int(np.count_nonzero(flat[1:] != flat[:-1])) + 1
        if count > MAX_BOUNDARIES:
            raise AnnotationError(
                f"label map or mask has {count} runs of pixels: at most "
                f"{MAX_BOUNDARIES} are stored. Is it noise, or fine stripes?",
                reason="noisy-mask",
            )
    changes = compiled.changes(flat)
    if changes is None:
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], changes, [flat.size]))
    return flat[bounds[:-1]], np.diff(bounds)


def decode_label_map(
    values: NDArray[np.uint8], lengths: Int64Array, height: int, width: int
) -> UInt8Array:
    """Decodes label-map runs into `[height, width] uint8`.

    Raises:
      AnnotationError: If the runs are not valid for this size.
    """
    validate_label_runs(values, lengths, height, width)
    return np.repeat(values, lengths).reshape(height, width)


def merge_label_runs(
    values: UInt8Array, lengths: Int64Array
) -> tuple[UInt8Array, Int64Array]:
    """Joins neighbouring runs of one value, as after mapping source values to classes.

    Takes and returns `([runs] uint8, [runs] int64)`.
    """
    keep = np.empty(len(values), np.bool_)
    keep[:1] = True
    np.not_equal(values[1:], values[:-1], out=keep[1:])
    if keep.all():
        return values, lengths
    return values[keep], np.add.reduceat(lengths, np.flatnonzero(keep))


def validate_runs(runs: Int64Array, height: int, width: int) -> None:
    """Checks one object's row-major runs: wrong sums pass silently through a graph.

    Raises:
      AnnotationError: If a run is negative, their number is odd, or their sum is not
        `height * width`.
    """
    if len(runs) % 2:
        raise AnnotationError(
            f"run-length mask has {len(runs)} runs: expected an even number.",
            reason="bad-rle",
        )
    check_counts(runs, height, width)


def validate_label_runs(
    values: NDArray[np.uint8], lengths: Int64Array, height: int, width: int
) -> None:
    """Checks label-map runs: one length per value, all positive, sum `height * width`.

    Raises:
      AnnotationError: If one of these does not hold.
    """
    if len(values) != len(lengths):
        raise AnnotationError(
            f"label map has {len(values)} run values and {len(lengths)} run lengths: "
            "expected as many of one as of the other.",
            reason="bad-rle",
        )
    if len(lengths) and int(lengths.min()) < 1:
        raise AnnotationError(
            f"label map has a run of length {int(lengths.min())}: expected at least 1.",
            reason="bad-rle",
        )
    check_counts(lengths, height, width)


def area(runs: Int64Array) -> int:
    """Number of object pixels in row-major (or column-major) runs."""
    return int(runs[1::2].sum())


def bounding_box(runs: Int64Array, width: int) -> tuple[int, int, int, int]:
    """Tight box around the object, in pixels, straight from row-major runs.

    Args:
      runs: `[runs] int64` as `rle` returns them.
      width: Image width in pixels.

    Returns:
      `(ymin, xmin, ymax, xmax)`, half open: `ymax - ymin` is the box's height. All 0
      for an empty mask.
    """
    bounds = np.cumsum(runs)
    starts, ends = bounds[0::2], bounds[1::2]
    filled = ends > starts
    starts, last = starts[filled], ends[filled] - 1
    if not len(starts):
        return 0, 0, 0, 0
    first_row, last_row = starts // width, last // width
    if (first_row != last_row).any():
        # A run over a row's end covers the last column above and column 0 below.
        xmin, xmax = 0, width
    else:
        xmin, xmax = int((starts % width).min()), int((last % width).max()) + 1
    return int(first_row[0]), xmin, int(last_row[-1]) + 1, xmax


def _check_image_size(height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise AnnotationError(
            f"image size {height}x{width} cannot carry masks: expected a height and a "
            f"width of at least 1 and at most {MAX_PIXELS} pixels.",
            reason="bad-image-size",
        )


def _unknown_kind(segmentation: Any) -> AnnotationError:
    return AnnotationError(
        "unknown kind of segmentation: expected polygons (list), a COCO RLE (dict with "
        "'size' and 'counts') or a dense mask (numpy array), got "
        f"{type(segmentation).__name__}.",
        reason="bad-segmentation",
    )


def _encode_dense(mask: NDArray[Any], height: int, width: int) -> Int64Array:
    if mask.dtype.kind not in "biuf":
        raise AnnotationError(
            f"dense mask is of {mask.dtype}: expected bool or numbers.",
            reason="bad-segmentation",
        )
    if mask.shape != (height, width):
        raise AnnotationError(
            f"dense mask does not fit its image: expected {height}x{width}, got "
            f"{'x'.join(map(str, mask.shape)) or 'a single number'}. Height comes "
            "first.",
            reason="mask-size-mismatch",
        )
    values, lengths = encode_label_map(mask != 0)
    runs = lengths.tolist()
    if values[0]:
        runs.insert(0, 0)
    if len(runs) % 2:
        runs.append(0)
    return np.array(runs, np.int64)
