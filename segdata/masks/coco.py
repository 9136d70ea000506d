"""COCO's column-major run lengths: read in every flavour, rasterised, transcoded.

Rasterisation of polygons is pycocotools': https://github.com/cocodataset/cocoapi,
`common/maskApi.c`, also the definition of COCO's compressed strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError, short_repr
from segdata.masks import compiled
from segdata.masks.limits import MAX_BOUNDARIES, MaskBudget

Int64Array = NDArray[np.int64]
IntArray = NDArray[np.signedinteger[Any]]

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
        budget.spend_columns(len(counts))
    array = decompress_counts(counts) if is_compressed else _integers(counts)
    check_counts(array, height, width)
    return array


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
    return decompress_all([raw])[0]


def decompress_all(strings: Sequence[bytes]) -> list[Int64Array]:
    """Decodes many compressed counts at once: what `decompress_counts` does, faster.

    Raises:
      AnnotationError: If one is no such string.
    """
    codes = np.frombuffer(b"".join(strings), np.uint8).astype(np.int64) - 48
    if not len(codes):
        return [np.zeros(0, np.int64) for _ in strings]
    is_last = (codes & 0x20) == 0
    string_ends = np.cumsum(list(map(len, strings)))
    _check_codes(codes, is_last[string_ends - 1] | (string_ends == 0))
    last = np.flatnonzero(is_last)
    first = np.concatenate([[0], last[:-1] + 1])
    digits = last - first + 1
    if int(digits.max()) > _MAX_DIGITS:
        raise AnnotationError(
            "compressed COCO RLE holds a number of more than 35 bits.",
            reason="bad-rle",
        )
    shift = 5 * (np.arange(len(codes)) - np.repeat(first, digits))
    numbers: Int64Array = np.add.reduceat((codes & 31) << shift, first)
    negative = (codes[last] & 0x10) != 0
    numbers[negative] |= np.int64(-1) << (5 * digits[negative])
    ends = np.searchsorted(last, string_ends)  # numbers of the strings so far
    return _undo_differences(numbers, ends)


def _check_codes(codes: Int64Array, is_complete: NDArray[np.bool_]) -> None:
    if codes.min() < 0 or codes.max() > 63 or not is_complete.all():
        raise AnnotationError(
            "compressed COCO RLE is damaged: expected ASCII 48 to 111 and a complete "
            "last number.",
            reason="bad-rle",
        )


def _undo_differences(numbers: Int64Array, ends: Int64Array) -> list[Int64Array]:
    """Adds up what is stored as a difference to the number two places before."""
    starts = np.concatenate(([0], ends[:-1]))
    place = np.arange(len(numbers)) - np.repeat(starts, ends - starts)
    for chosen, counts in (
        ((place & 1) == 1, (ends - starts) // 2),
        ((place & 1 == 0) & (place > 0), np.maximum(ends - starts - 1, 0) // 2),
    ):
        sums = np.cumsum(numbers[chosen])
        begins = np.cumsum(counts) - counts
        before = np.concatenate(([0], sums))[begins]
        numbers[chosen] = sums - np.repeat(before, counts)
    return [numbers[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


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
    size, num_objects = height * width, len(column_major)
    # Sorting, which costs the most, is several times faster in 32 bits.
    is_small = num_objects * (width + 1) * (height + 2) < 2**31
    kind: type[np.signedinteger[Any]] = np.int32 if is_small else np.int64
    starts, ends, owners = _foreground_intervals(column_major, size, kind)
    rows, columns, owners = _vertical_run_ends(starts, ends, owners, height)
    # Each end toggles the comparison with the left and with the right neighbour. The
    # right neighbour of the last column is column 0, one row further down.
    toggle = (owners * width + columns) * (height + 2) + rows
    is_last = columns == width - 1
    to_right = height + 2 - is_last * (width * (height + 2) - 1)
    toggles = np.concatenate([toggle, toggle + to_right.astype(kind)])
    toggles.sort()
    first, last = toggles[0::2], toggles[1::2]
    group = first // (height + 2)
    top = first - group * (height + 2)
    # What the last column hands over may reach below the last row.
    lengths = np.minimum(last - first, height - top)
    filled = np.flatnonzero(lengths > 0)
    lengths, group = lengths[filled], group[filled]
    total = int(lengths.sum())
    if total > MAX_BOUNDARIES and num_objects > 1:
        return _transcode_halves(column_major, height, width, budget)
    budget.spend_rows(total)
    begins = top[filled] * width + group + (group // width) * (size - width)
    boundaries = _columns_down(begins, lengths, width)
    boundaries.sort()
    return _split_boundaries(boundaries, num_objects, size)


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


def compressed_rles(
    runs: Sequence[Int64Array], height: int, width: int
) -> list[dict[str, Any]]:
    """Encodes the masks of one image as COCO does, without dense masks.

    Args:
      runs: Per object its row-major runs, as records have them, not empty.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      Per object `{"size": [height, width], "counts": str}`.
    """
    if not runs:
        return []
    size = [height, width]
    texts = compiled.compress(runs, height, width)
    if texts is not None:
        return [{"size": size, "counts": text} for text in texts]
    # Row-major runs of an image are column-major runs of its transpose.
    counts = [
        item if item[-1] else item[:-1] for item in transcode(runs, width, height)
    ]
    plain = [{"size": size, "counts": item.tolist()} for item in counts]
    return [
        {"size": size, "counts": encoded["counts"].decode("ascii")}
        for encoded in coco_mask.frPyObjects(plain, height, width)
    ]


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
        # One long text among them, and NumPy would give each number as much room.
        if not {str, bytes}.isdisjoint(map(type, counts)):
            raise ValueError
        array = np.asarray(counts)
        is_whole = array.dtype.kind in "iuf" and (array == np.floor(array)).all()
        # Above 2**53 floats skip integers, and casts would wrap.
        if array.ndim == 1 and (
            not array.size or (is_whole and np.abs(array).max() < 2**53)
        ):
            return array.astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        pass  # ragged or beyond int64: the same error as any other non-integers
    raise AnnotationError(
        "'counts' of an uncompressed COCO RLE are not run lengths: expected a flat "
        "list of integers.",
        reason="bad-rle",
    )


def _foreground_intervals(
    column_major: Sequence[Int64Array], size: int, kind: type[np.signedinteger[Any]]
) -> tuple[IntArray, IntArray, IntArray]:
    """Half-open intervals of object pixels and the object that each belongs to."""
    counts = np.concatenate(column_major)
    num_counts = np.array(list(map(len, column_major)))
    firsts = np.cumsum(num_counts) - num_counts
    place = np.arange(len(counts)) - np.repeat(firsts, num_counts)
    filled = ((place & 1) == 1) & (counts > 0)
    ends, lengths = np.cumsum(counts)[filled], counts[filled]
    owners = (ends - 1) // size  # each object's counts sum to the image's size
    ends -= owners * size
    starts = ends - lengths
    return starts.astype(kind), ends.astype(kind), owners.astype(kind)


def _vertical_run_ends(
    starts: IntArray, ends: IntArray, owners: IntArray, height: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Row, column and owner of both ends of every vertical run, cut at columns."""
    first_column, first_row = np.divmod(starts, height)
    last_column, last_row = np.divmod(ends - 1, height)
    spans = last_column - first_column
    crossed = _ranges(first_column, spans)  # runs that go on in the next column
    crossed_owners = np.repeat(owners, spans)
    bottom = np.full_like(crossed, height)
    return (
        np.concatenate([first_row, last_row + 1, bottom, np.zeros_like(bottom)]),
        np.concatenate([first_column, last_column, crossed, crossed + 1]),
        np.concatenate([owners, owners, crossed_owners, crossed_owners]),
    )


def _columns_down(begins: IntArray, lengths: IntArray, width: int) -> IntArray:
    """Concatenates `begin + width * arange(length)`; lengths are at least 1."""
    if not len(begins):
        return begins
    stops = lengths.cumsum()
    steps = np.full(int(stops[-1]), width, begins.dtype)
    steps[0] = begins[0]
    steps[stops[:-1]] = begins[1:] - begins[:-1] - (lengths[:-1] - 1) * width
    return steps.cumsum(dtype=begins.dtype)


def _ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Concatenates `arange(start, start + length)` over all pairs."""
    kind = lengths.dtype
    offsets = np.cumsum(lengths, dtype=kind) - lengths
    steps = np.arange(int(lengths.sum()), dtype=kind)
    steps += np.repeat(starts - offsets, lengths)
    return steps


def _split_boundaries(
    boundaries: IntArray, num_objects: int, size: int
) -> list[Int64Array]:
    """Cuts sorted `owner * size + position` into each object's even run list."""
    origins = np.arange(num_objects + 1, dtype=boundaries.dtype) * size
    cuts = boundaries.searchsorted(origins)
    num_boundaries = cuts[1:] - cuts[:-1]
    # Each object's bounds are 0, its boundaries, and the size, twice if need be.
    num_bounds = num_boundaries + 2 + (num_boundaries % 2 == 0)
    firsts = num_bounds.cumsum() - num_bounds
    bounds = np.full(int(num_bounds.sum()), size, np.int64)
    bounds[firsts] = 0
    moved = (firsts + 1 - cuts[:-1]).repeat(num_boundaries)
    places = np.arange(len(boundaries)) + moved
    bounds[places] = boundaries - origins[:-1].repeat(num_boundaries)
    runs = bounds[1:] - bounds[:-1]
    return [
        runs[first : first + count - 1]
        for first, count in zip(firsts.tolist(), num_bounds.tolist(), strict=True)
    ]
