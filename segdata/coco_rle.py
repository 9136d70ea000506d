"""COCO's column-major run lengths: read in every flavour, rasterised, transcoded.

Rasterisation of polygons is pycocotools': https://github.com/cocodataset/cocoapi,
`common/maskApi.c`, also the definition of COCO's compressed strings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError, short_repr
from segdata.mask_budget import MAX_BOUNDARIES, MAX_POLYGON_WALK, MaskBudget

Int64Array = NDArray[np.int64]

_UNITED_AT_ONCE = 256
_MAX_DIGITS = 7
"""Characters of one number of a compressed string: 35 bits, more than any image's
pixels."""


def rle_counts(
    segmentation: Mapping[str, Any],
    height: int,
    width: int,
    budget: MaskBudget | None = None,
) -> Int64Array:
    """Column-major counts of a COCO RLE dict, checked."""
    budget = budget or MaskBudget()
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size is None or counts is None:
        raise AnnotationError(
            "COCO RLE is incomplete: expected the keys 'size' and 'counts', got "
            f"{short_repr(sorted(map(str, segmentation)))}.",
            reason="bad-rle",
        )
    if not isinstance(size, Sequence) or list(size) != [height, width]:
        raise AnnotationError(
            f"COCO RLE does not fit its image: expected size [{height}, {width}], got "
            f"{short_repr(size)}. Height comes first.",
            reason="mask-size-mismatch",
        )
    is_compressed = isinstance(counts, str | bytes | bytearray)
    if isinstance(counts, Sized):  # of a string, the most that it can hold
        budget.spend_boundaries(len(counts), "columns")
    array = decompress_counts(counts) if is_compressed else _integers(counts)
    check_counts(array, height, width)
    return array


def polygon_counts(
    polygons: Sequence[Any],
    height: int,
    width: int,
    budget: MaskBudget | None = None,
) -> Int64Array:
    """Column-major counts of united polygons, rasterised by pycocotools.

    Each polygon is filled by the even-odd rule: an outline that runs around an area
    twice leaves it out. What one polygon fills another cannot take away: only an RLE
    can tell of a hole by parts.
    """
    budget = budget or MaskBudget()
    if polygons and not isinstance(polygons[0], Sequence | np.ndarray):
        polygons = [polygons]
    if not polygons:
        raise AnnotationError(
            "segmentation is an empty list of polygons.", reason="empty-polygon"
        )
    parts = [_checked_polygon(polygon) for polygon in polygons]
    budget.spend_walk(sum(map(_outline_pixels, parts)))
    masks = [
        coco_mask.merge(
            coco_mask.frPyObjects([p.tolist() for p in group], height, width)
        )
        for group in _groups(parts)
    ]
    while len(masks) > 1:
        masks = [coco_mask.merge(list(group)) for group in _groups(masks)]
    counts = decompress_counts(masks[0]["counts"])
    budget.spend_boundaries(len(counts), "columns")
    return counts


def _groups(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Some at a time: what pycocotools needs for a union grows with their square."""
    for begin in range(0, len(items), _UNITED_AT_ONCE):
        yield items[begin : begin + _UNITED_AT_ONCE]


def decompress_counts(counts: str | bytes | bytearray) -> Int64Array:
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
    if int(digits.max()) > _MAX_DIGITS:  # 35 bits: more than any image's pixels
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


# Work of one pass of `transcode`: many large masks at once would cost gigabytes.
_PASS_ENDS = 1 << 20


def transcode(
    column_major: Sequence[Int64Array],
    height: int,
    width: int,
    budget: MaskBudget | None = None,
) -> list[Int64Array]:
    """Turns column-major runs (COCO's order) into row-major runs, without dense masks.

    Args:
      column_major: Per object `[runs] int64`, background first, each summing to
        `height * width`.
      height: Image height in pixels.
      width: Image width in pixels.
      budget: What they may cost.

    Returns:
      Per object the row-major runs as `rle` returns them.

    Raises:
      AnnotationError: If an object has too many row-major runs; its attribute `index`
        tells which.
    """
    budget = budget or MaskBudget()
    result: list[Int64Array] = []
    begin = cost = 0
    for index, counts in enumerate(column_major):
        cost += 2 * (len(counts) + 2 * width)
        if cost > _PASS_ENDS or index == len(column_major) - 1:
            part = column_major[begin : index + 1]
            try:
                result += _transcode_pass(part, height, width, budget)
            except AnnotationError as error:
                error.index = begin + (error.index or 0)
                raise
            begin, cost = index + 1, 0
    return result


def _transcode_pass(
    column_major: Sequence[Int64Array], height: int, width: int, budget: MaskBudget
) -> list[Int64Array]:
    """Transcodes some objects of an image at once.

    A row-major run begins or ends where a pixel differs from its left neighbour, that
    is, at the rows where two neighbouring columns differ. So the ends of the vertical
    runs of columns `x - 1` and `x`, sorted together and taken in pairs, are the
    intervals of rows with a boundary at `x`.
    """
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
    total = int(lengths.sum())
    if total > MAX_BOUNDARIES and len(column_major) > 1:
        return _transcode_halves(column_major, height, width, budget)
    budget.spend_boundaries(total, "rows")
    group, top = np.divmod(first, height + 2)
    y = _ranges(top, lengths)
    group = np.repeat(group, lengths)
    owner, x = np.divmod(group, width)
    position = y * width + x
    inside = position < size  # what the last column hands over below the last row
    boundaries = (owner * size + position)[inside]
    boundaries.sort()
    return _split_boundaries(boundaries, len(column_major), size)


def _transcode_halves(
    column_major: Sequence[Int64Array], height: int, width: int, budget: MaskBudget
) -> list[Int64Array]:
    """Transcodes objects whose boundaries would take too much memory at once."""
    half = len(column_major) // 2
    first = _transcode_pass(column_major[:half], height, width, budget)
    try:
        return first + _transcode_pass(column_major[half:], height, width, budget)
    except AnnotationError as error:
        error.index = half + (error.index or 0)
        raise


def check_counts(counts: Int64Array, height: int, width: int) -> None:
    """Checks run lengths, of either order, against their image.

    Raises:
      AnnotationError: If one is negative or their sum is not `height * width`.
    """
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


def _integers(counts: Any) -> Int64Array:
    try:
        array = np.asarray(counts)
        is_whole = array.dtype.kind in "iuf" and (array == np.floor(array)).all()
        # Above 2**53 floats skip integers, and casts would wrap.
        if array.ndim == 1 and (
            not array.size or (is_whole and np.abs(array).max() < 2**53)
        ):
            return array.astype(np.int64)
    except (ValueError, OverflowError):
        pass  # ragged or beyond int64: the same error as any other non-integers
    raise AnnotationError(
        "'counts' of an uncompressed COCO RLE are not run lengths: expected a flat "
        "list of integers.",
        reason="bad-rle",
    )


def _checked_polygon(polygon: Any) -> NDArray[np.float64]:
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
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
    return points


def _outline_pixels(points: NDArray[np.float64]) -> float:
    """Pixels that rasterisation walks: the longer side of each edge, summed."""
    farthest = float(np.abs(points).max())
    if farthest > MAX_POLYGON_WALK:
        return farthest
    corners = points.reshape(-1, 2)
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


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
