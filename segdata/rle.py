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

Rasterisation of polygons is pycocotools': https://github.com/cocodataset/cocoapi,
`common/maskApi.c`, also the definition of COCO's compressed strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError

Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

MAX_PIXELS = 2**31 - 1
"""Pixel positions are int32 in the reading graph, so an image must stay below this."""

MAX_POLYGON_WALK = 1 << 22
"""Longest outline in pixels that is rasterised. pycocotools walks every pixel of every
edge in memory, five-fold oversampled, also outside the image: without a limit one
coordinate of 1e9 costs all memory."""


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
    segmentations: Sequence[Any], image_height: int, image_width: int
) -> list[Int64Array]:
    """Encodes all objects of one image: what `rle` does, several times faster.

    Args:
      segmentations: Per object whatever `rle` takes.
      image_height: Height of the image in pixels, at least 1.
      image_width: Width of the image in pixels, at least 1.

    Returns:
      Per object the runs that `rle` returns.

    Raises:
      AnnotationError: As `rle`; its attribute `index` tells which object is bad.
    """
    _check_image_size(image_height, image_width)
    dense: dict[int, Int64Array] = {}
    column_major: dict[int, Int64Array] = {}
    for index, segmentation in enumerate(segmentations):
        try:
            if isinstance(segmentation, np.ndarray):
                dense[index] = _encode_dense(segmentation, image_height, image_width)
            else:
                column_major[index] = _column_major_counts(
                    segmentation, image_height, image_width
                )
        except AnnotationError as error:
            error.index = index
            raise
    runs = transcode(list(column_major.values()), image_height, image_width)
    encoded = dense | dict(zip(column_major, runs, strict=True))
    return [encoded[index] for index in range(len(segmentations))]


def transcode(
    column_major: Sequence[Int64Array], height: int, width: int
) -> list[Int64Array]:
    """Turns column-major runs (COCO's order) into row-major runs, without dense masks.

    A row-major run begins or ends where a pixel differs from its left neighbour, that
    is, at the rows where two neighbouring columns differ. So the ends of the vertical
    runs of columns `x - 1` and `x`, sorted together and taken in pairs, are the
    intervals of rows with a boundary at `x`. All objects of an image go in one call.

    Args:
      column_major: Per object `[runs] int64`, background first, each summing to
        `height * width`.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      Per object the row-major runs as `rle` returns them.
    """
    if not column_major:
        return []
    size = height * width
    starts, ends, owners = _foreground_intervals(column_major)
    rows, columns, owners = _vertical_run_ends(starts, ends, owners, height)
    # Each end toggles the comparison with the left and with the right neighbour. The
    # right neighbour of the last column is column 0, one row further down.
    is_last = columns == width - 1
    right_columns = np.where(is_last, 0, columns + 1)
    toggles = np.concatenate(
        [
            (owners * width + columns) * (height + 2) + rows,
            (owners * width + right_columns) * (height + 2) + rows + is_last,
        ]
    )
    toggles.sort()
    first, last = toggles[0::2], toggles[1::2]
    lengths = last - first
    group, top = np.divmod(first, height + 2)
    y = _ranges(top, lengths)
    group = np.repeat(group, lengths)
    owner, x = np.divmod(group, width)
    position = y * width + x
    inside = position < size  # what the last column hands over below the last row
    boundaries = (owner * size + position)[inside]
    boundaries.sort()
    return _split_boundaries(boundaries, len(column_major), size)


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
    """
    flat = np.ascontiguousarray(label_map).reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    bounds = np.empty(len(changes) + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, changes + 1, flat.size
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
    _check_counts(runs, height, width)


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
    _check_counts(lengths, height, width)


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


def to_coco(runs: Int64Array, height: int, width: int) -> dict[str, Any]:
    """Converts row-major runs into COCO's compressed RLE.

    Returns:
      `{"size": [height, width], "counts": str}` as COCO results have it.
    """
    mask = np.asfortranarray(decode(runs, height, width))
    encoded = coco_mask.encode(mask)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _check_image_size(height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise AnnotationError(
            f"image size {height}x{width} cannot carry masks: expected a height and a "
            f"width of at least 1 and at most {MAX_PIXELS} pixels.",
            reason="bad-image-size",
        )


def _check_counts(counts: Int64Array, height: int, width: int) -> None:
    if len(counts) and int(counts.min()) < 0:
        raise AnnotationError(
            f"run-length mask has a negative run of {int(counts.min())}: expected runs "
            "of at least 0.",
            reason="bad-rle",
        )
    # One run can be at most the image: a larger one could wrap the sum around.
    total = int(counts.sum()) if len(counts) else 0
    if total != height * width or int(counts.max()) > height * width:
        raise AnnotationError(
            f"runs of a mask sum to {total}: expected {height}x{width} = "
            f"{height * width} pixels.",
            reason="bad-rle",
        )


def _column_major_counts(segmentation: Any, height: int, width: int) -> Int64Array:
    if isinstance(segmentation, Mapping):
        return _coco_counts(segmentation, height, width)
    if isinstance(segmentation, Sequence) and not isinstance(segmentation, str | bytes):
        return _polygon_counts(segmentation, height, width)
    raise AnnotationError(
        "unknown kind of segmentation: expected polygons (list), a COCO RLE (dict with "
        "'size' and 'counts') or a dense mask (numpy array), got "
        f"{type(segmentation).__name__}.",
        reason="bad-segmentation",
    )


def _encode_dense(mask: NDArray[Any], height: int, width: int) -> Int64Array:
    if mask.shape != (height, width):
        raise AnnotationError(
            f"dense mask does not fit its image: expected {height}x{width}, got "
            f"{'x'.join(map(str, mask.shape))}. Height comes first.",
            reason="mask-size-mismatch",
        )
    values, lengths = encode_label_map(mask != 0)
    runs = lengths.tolist()
    if values[0]:
        runs.insert(0, 0)
    if len(runs) % 2:
        runs.append(0)
    return np.array(runs, np.int64)


def _coco_counts(
    segmentation: Mapping[str, Any], height: int, width: int
) -> Int64Array:
    """Column-major counts of a COCO RLE dict, checked."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size is None or counts is None:
        raise AnnotationError(
            "COCO RLE is incomplete: expected the keys 'size' and 'counts', got "
            f"{sorted(map(str, segmentation))}.",
            reason="bad-rle",
        )
    if not isinstance(size, Sequence) or list(size) != [height, width]:
        raise AnnotationError(
            f"COCO RLE does not fit its image: expected size [{height}, {width}], got "
            f"{size}. Height comes first.",
            reason="mask-size-mismatch",
        )
    if isinstance(counts, str | bytes):
        array = decompress_counts(counts)
    else:
        array = _integers(counts)
    _check_counts(array, height, width)
    return array


def _integers(counts: Any) -> Int64Array:
    try:
        array = np.asarray(counts)
        if array.dtype.kind == "f" and (array == np.floor(array)).all():
            array = array.astype(np.int64)
        if array.ndim == 1 and (array.dtype.kind in "iu" or not array.size):
            return array.astype(np.int64)
    except (ValueError, OverflowError):
        pass  # ragged or beyond int64: the same error as any other non-integers
    raise AnnotationError(
        "'counts' of an uncompressed COCO RLE are not run lengths: expected a flat "
        "list of integers.",
        reason="bad-rle",
    )


def decompress_counts(counts: str | bytes) -> Int64Array:
    """Decodes COCO's compressed counts (`rleFrString` in `common/maskApi.c`).

    Six-bit characters from ASCII 48: five bits of value, lowest first, and one that
    says "more follows"; the last is sign-extended. From the *fourth* count on each is
    stored as the difference to the count two before it.

    Args:
      counts: The string of a compressed COCO RLE.

    Returns:
      `[runs] int64`, column-major run lengths, background first. Not yet checked
      against any image size.

    Raises:
      AnnotationError: If it is not such a string.
    """
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    except UnicodeEncodeError:
        raw = b"\xff"
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    is_last = (codes & 0x20) == 0
    if len(codes) and (codes.min() < 0 or codes.max() > 63 or not is_last[-1]):
        raise AnnotationError(
            "compressed COCO RLE is damaged: expected ASCII 48 to 111 and a complete "
            "last number.",
            reason="bad-rle",
        )
    last = np.flatnonzero(is_last)
    if not len(last):
        return np.zeros(0, np.int64)
    first = np.concatenate([[0], last[:-1] + 1])
    digits = last - first + 1
    if int(digits.max()) > 7:  # 35 bits: more than any image's pixels
        raise AnnotationError(
            "compressed COCO RLE holds a number of more than 35 bits.",
            reason="bad-rle",
        )
    shift = 5 * (np.arange(len(codes)) - np.repeat(first, digits))
    numbers: Int64Array = np.add.reduceat((codes & 31) << shift, first)
    negative = (codes[last] & 0x10) != 0
    numbers[negative] |= np.int64(-1) << (5 * digits[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _polygon_counts(polygons: Sequence[Any], height: int, width: int) -> Int64Array:
    """Column-major counts of united polygons, rasterised by pycocotools."""
    if polygons and not isinstance(polygons[0], Sequence | np.ndarray):
        polygons = [polygons]
    if not polygons:
        raise AnnotationError(
            "segmentation is an empty list of polygons.", reason="empty-polygon"
        )
    parts = [_checked_polygon(polygon) for polygon in polygons]
    encoded = coco_mask.merge(coco_mask.frPyObjects(parts, height, width))
    return decompress_counts(encoded["counts"])


def _checked_polygon(polygon: Any) -> list[float]:
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        points = np.zeros((0, 0))
    if points.ndim != 1:
        raise AnnotationError(
            "polygon is not a flat list of numbers x0, y0, x1, y1, ...",
            reason="bad-polygon",
        )
    if len(points) < 6 or len(points) % 2:
        raise AnnotationError(
            f"polygon has {len(points)} numbers: expected an even number of at least 6 "
            "(three points).",
            reason="bad-polygon",
        )
    if not np.isfinite(points).all():
        raise AnnotationError(
            "polygon has a coordinate that is not a finite number.",
            reason="bad-polygon",
        )
    corners = points.reshape(-1, 2)
    steps = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1)
    if steps.sum() > MAX_POLYGON_WALK or np.abs(points).max() > MAX_POLYGON_WALK:
        raise AnnotationError(
            f"polygon's outline is {steps.sum():.3g} pixels long: at most "
            f"{MAX_POLYGON_WALK} are rasterised. Are its coordinates in pixels?",
            reason="bad-polygon",
        )
    result: list[float] = points.tolist()
    return result


def _foreground_intervals(
    column_major: Sequence[Int64Array],
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Half-open intervals of object pixels and the object that each belongs to."""
    starts, ends, owners = [], [], []
    for owner, counts in enumerate(column_major):
        bounds = np.cumsum(counts)
        num_foreground = len(counts) // 2
        start, end = bounds[0::2][:num_foreground], bounds[1::2]
        filled = end > start
        starts.append(start[filled])
        ends.append(end[filled])
        owners.append(np.full(int(filled.sum()), owner, np.int64))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owners)


def _vertical_run_ends(
    starts: Int64Array, ends: Int64Array, owners: Int64Array, height: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Row, column and owner of both ends of every vertical run, cut at columns."""
    first_column, first_row = np.divmod(starts, height)
    last_column, last_row = np.divmod(ends - 1, height)
    spans = last_column - first_column
    crossed = _ranges(first_column, spans)  # runs that go on in the next column
    crossed_owners = np.repeat(owners, spans)
    bottom = np.full(len(crossed), height, np.int64)
    return (
        np.concatenate([first_row, last_row + 1, bottom, np.zeros_like(bottom)]),
        np.concatenate([first_column, last_column, crossed, crossed + 1]),
        np.concatenate([owners, owners, crossed_owners, crossed_owners]),
    )


def _ranges(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """Concatenates `arange(start, start + length)` over all pairs."""
    offsets = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    steps: Int64Array = np.repeat(starts - offsets, lengths) + np.arange(total)
    return steps


def _split_boundaries(
    boundaries: Int64Array, num_objects: int, size: int
) -> list[Int64Array]:
    """Cuts sorted `owner * size + position` into each object's even run list."""
    cuts = np.searchsorted(boundaries, np.arange(num_objects + 1) * size)
    result = []
    for owner, (begin, end) in enumerate(pairwise(cuts.tolist())):
        num_boundaries = end - begin
        bounds = np.full(num_boundaries + 2 + (num_boundaries % 2 == 0), size, np.int64)
        bounds[0] = 0
        bounds[1 : num_boundaries + 1] = boundaries[begin:end] - owner * size
        result.append(np.diff(bounds))
    return result
