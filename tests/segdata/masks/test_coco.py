from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from random_masks import (
    coco_encode,
    column_major_runs,
    densities,
    fast,
    masks,
    random_mask,
    seeds,
    sides,
    slow_row_major_runs,
)

from segdata.errors import AnnotationError
from segdata.masks import coco
from segdata.masks.limits import (
    MAX_BOUNDARIES,
    MAX_POLYGON_WALK,
    MaskBudget,
    MaskBudgetError,
)
from segdata.masks.polygons import polygon_counts

LIMIT = MAX_POLYGON_WALK
SQUARE = [0, 0, 2, 0, 2, 2]
NAN, INF = float("nan"), float("inf")

# --- compressed strings --------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("mask_way")


# pycocotools reserves six characters a count and none for the end of its text: were
# all counts of six, from 2**24 on, it would write beyond its memory.
@given(st.lists(st.integers(0, 2**24 - 1), max_size=30))
@fast
@example([0])
@example([0, 0, 0, 0])
@example([2**24, 0, 2**24, 0])
@example([15, 16, 31, 32, 1023, 1024])
def test_decompress_counts_inverts_pycocotools(counts):
    compressed = coco_mask.frPyObjects({"size": [1, 1], "counts": counts}, 1, 1)[
        "counts"
    ]
    decompressed = coco.decompress_counts(compressed)
    assert decompressed.dtype == np.int64
    assert decompressed.tolist() == counts
    assert coco.decompress_counts(compressed.decode()).tolist() == counts


def compress_slowly(counts):
    """`rleToString` of `common/maskApi.c`, number by number."""
    characters = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        while True:
            digit, rest = rest & 31, rest >> 5
            done = rest == (-1 if digit & 16 else 0)
            characters.append(chr(48 + digit + (0 if done else 32)))
            if done:
                break
    return "".join(characters)


@given(st.lists(st.integers(0, 2**32), max_size=30))
@fast
@example([])
@example([2**31 - 1, 0, 2**31 - 1, 0, 0])
def test_decompress_counts_inverts_the_definition_for_large_counts(counts):
    assert coco.decompress_counts(compress_slowly(counts)).tolist() == counts


# --- transcoding ---------------------------------------------------------------------


def transcode_with_zero_runs(mask, zero_at):
    """Runs of `mask` where some run is cut in two by a run of length 0."""
    runs = column_major_runs(mask)
    at = zero_at % len(runs)
    first = runs[at] // 2
    return [*runs[:at], first, 0, runs[at] - first, *runs[at + 1 :]]


@given(st.lists(st.tuples(densities, seeds), max_size=5), sides, sides, seeds)
@fast
def test_transcode_of_many_objects_equals_one_by_one(objects, height, width, zero_at):
    dense = [random_mask(height, width, density, seed) for density, seed in objects]
    column_major = [
        np.array(transcode_with_zero_runs(mask, zero_at), np.int64) for mask in dense
    ]
    runs = coco.transcode(column_major, height, width)
    assert [r.tolist() for r in runs] == [slow_row_major_runs(mask) for mask in dense]


def test_transcode_of_no_objects_is_an_empty_list():
    assert coco.transcode([], 3, 4) == []


@given(masks)
@fast
def test_compressed_rles_are_those_of_pycocotools(mask):
    runs = coco.transcode([np.array(column_major_runs(mask), np.int64)], *mask.shape)
    [found] = coco.compressed_rles(runs, *mask.shape)
    assert found == {
        "size": list(mask.shape),
        "counts": coco_encode(mask)["counts"].decode(),
    }


def test_no_masks_have_no_compressed_rles():
    assert coco.compressed_rles([], 5, 5) == []


# --- polygons ------------------------------------------------------------------------


def test_polygon_counts_go_along_columns():
    counts = polygon_counts([[1, 0, 3, 0, 3, 1, 1, 1]], 2, 4)
    assert counts.tolist() == [2, 1, 1, 1, 3]


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ([[0, 0, 2, 0]], "polygon has 4 numbers"),
        ([[0, 0, 2, 0, 2, 2, 0]], "polygon has 7 numbers"),
        ([[]], "polygon has 0 numbers"),
        ([SQUARE, [1, 1]], "polygon has 2 numbers"),
        ([None], "polygon has 1 numbers"),
        ([[0, 0, NAN, 0, 2, 2]], "not a finite number"),
        ([[0, 0, INF, 0, 2, 2]], "not a finite number"),
        ([[0, 0, None, 0, 2, 2]], "not a finite number"),
        ([[0, 0, 1e9, 0, 2, 2]], f"polygon's outline is longer than {LIMIT} pixels"),
        ([[1e9, 1e9, 1e9 + 1, 1e9, 1e9, 1e9 + 1]], "polygon's outline"),
        ([[-1e9, 0, 0, 0, 2, 2]], "polygon's outline"),
        ([["a", 0, 2, 0, 2, 2]], "not a flat list of numbers"),
        (["abc"], "not a flat list of numbers"),
        ([[[0, 0], [2, 0], [2, 2]]], "not a flat list of numbers"),
        ([SQUARE, 5], "not a flat list of numbers"),
        ([5, []], "not a flat list of numbers"),
        ([{"size": [4, 4], "counts": [16]}], "not a flat list of numbers"),
    ],
)
def test_bad_polygon_is_refused(polygons, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        polygon_counts(polygons, 4, 4)
    assert caught.value.reason == "bad-polygon"


def test_integer_beyond_float_in_a_polygon_is_refused():
    with pytest.raises(AnnotationError, match="not a flat list of num") as caught:
        polygon_counts([[10**400, 0, 2, 0, 2, 2]], 4, 4)
    assert caught.value.reason == "bad-polygon"


def test_coordinate_near_the_largest_float_is_refused_without_a_warning():
    with pytest.raises(AnnotationError, match="polygon's outline is long") as caught:
        polygon_counts([[1e308, 0, -1e308, 0, 2, 2]], 4, 4)
    assert caught.value.reason == "bad-polygon"


def outline(length):
    """A flat triangle: edges of `length`, 0 and `length` pixels."""
    return [[0, 0, length, 0, length, 0]]


def test_longest_outline_is_rasterised_and_no_longer_one():
    assert polygon_counts(outline(LIMIT // 2), 4, 4).sum() == 16
    with pytest.raises(AnnotationError, match="outline is longer than 4194304 pixels"):
        polygon_counts(outline(LIMIT // 2 + 1), 4, 4)


def test_empty_list_of_polygons_is_refused():
    with pytest.raises(AnnotationError, match="empty list of polygons") as caught:
        polygon_counts([], 4, 4)
    assert caught.value.reason == "empty-polygon"


# --- run lengths ---------------------------------------------------------------------


def test_counts_come_back_as_int64_as_they_are():
    counts = coco.rle_counts({"size": (3, 4), "counts": [5, 0, 3, 4]}, 3, 4)
    assert counts.dtype == np.int64
    assert counts.tolist() == [5, 0, 3, 4]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 2], "sum to 7: expected 3x4 = 12 pixels"),
        ([5, 8], "sum to 13"),
        ([], "sum to 0"),
        ("", "sum to 0"),
        ([13, -1], "negative run of -1"),
        ([-12], "negative run of -12"),
        ([2**62, 2**62, 2**62, 2**62, 12], "not run lengths"),
        ([2**53 - 1, 13 - 2**53], "negative run of"),
        ([2**70, 1], "not run lengths"),
        ([6.5, 5.5], "not run lengths"),
        ([NAN, 12], "not run lengths"),
        ([[12]], "not run lengths"),
        ([[12], [1, 2]], "not run lengths"),
        ([True, False], "not run lengths"),
        (["12"], "not run lengths"),
        ([12, None], "not run lengths"),
        (12, "not run lengths"),
        ({}, "not run lengths"),
        ("0 1", "ASCII 48 to 111"),
        ("12\xe9", "ASCII 48 to 111"),
        (b"\xff", "ASCII 48 to 111"),
        ("~", "ASCII 48 to 111"),
        ("P", "complete last number"),  # says that more follows
        ("PPPPPPP1", "more than 35 bits"),
        ("oooooooooooooooooooo0", "more than 35 bits"),
        ("O", "negative run of -1"),  # one sign-extended digit
        (None, "expected the keys 'size' and 'counts'"),
    ],
)
def test_bad_counts_are_refused(counts, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        coco.rle_counts({"size": [3, 4], "counts": counts}, 3, 4)
    assert caught.value.reason == "bad-rle"


@pytest.mark.parametrize("huge", [INF, 1e300, 2**53, 2**63, 2**64 - 1])
def test_count_beyond_int64_is_refused_without_a_warning(huge):
    with pytest.raises(AnnotationError, match="are not run lengths: exp") as caught:
        coco.rle_counts({"size": [3, 4], "counts": [huge, 1]}, 3, 4)
    assert caught.value.reason == "bad-rle"


@given(masks, st.integers(1, 10))
@fast
def test_truncated_compressed_string_never_passes(mask, cut):
    counts = coco_encode(mask)["counts"][:-cut]
    segmentation = {"size": list(mask.shape), "counts": counts}
    runs = coco.decompress_counts(counts) if _is_complete(counts) else None
    if runs is not None and runs.sum() == mask.size:
        return  # only a run of length 0 was cut off
    with pytest.raises(AnnotationError, match=r"COCO RLE|of a mask|mask has") as caught:
        coco.rle_counts(segmentation, *mask.shape)
    assert caught.value.reason == "bad-rle"


def _is_complete(counts):
    return not counts or not (counts[-1] - 48) & 0x20


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40)))
@fast
def test_any_string_as_counts_gives_valid_runs_or_an_annotation_error(counts):
    try:
        runs = coco.rle_counts({"size": [3, 4], "counts": counts}, 3, 4)
    except AnnotationError:
        return  # whatever else is raised fails the test
    assert runs.min() >= 0
    assert runs.sum() == 12


@pytest.mark.parametrize(
    "size", [[4, 3], [3], [3, 4, 1], 12, "34", "\ud800", [[3], [4]]]
)
def test_rle_of_another_size_is_refused(size):
    message = r"expected size \[3, 4\], got .*Height comes first"
    with pytest.raises(AnnotationError, match=message) as caught:
        coco.rle_counts({"size": size, "counts": [12]}, 3, 4)
    assert caught.value.reason == "mask-size-mismatch"
    assert str(caught.value).encode()  # also a lone surrogate can be printed


@pytest.mark.parametrize("segmentation", [{}, {"size": [3, 4]}, {"counts": [12]}])
def test_rle_without_size_or_counts_is_refused(segmentation):
    with pytest.raises(AnnotationError, match="COCO RLE is incomplete") as caught:
        coco.rle_counts(segmentation, 3, 4)
    assert caught.value.reason == "bad-rle"


@pytest.mark.parametrize("counts", [[12], [0, 12], [5, 0, 7], [12, 0, 0]])
def test_counts_that_fill_their_image_pass(counts):
    coco.check_counts(np.array(counts, np.int64), 3, 4)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], "sum to 0: expected 3x4 = 12 pixels"),
        ([13], "sum to 13: expected 3x4 = 12 pixels"),
        ([13, -1], "negative run of -1: expected runs of at least 0"),
        ([2**62] * 4 + [12], "expected 3x4 = 12 pixels"),  # wraps around to 12
    ],
)
def test_counts_that_do_not_fill_their_image_are_refused(counts, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        coco.check_counts(np.array(counts, np.int64), 3, 4)
    assert caught.value.reason == "bad-rle"


def stripes(height: int, width: int) -> np.ndarray:
    """Column-major runs of every second column: a boundary at every pixel of a row."""
    return np.full(width + width % 2, height, np.int64)[:width]


def test_mask_that_would_blow_up_along_its_rows_is_refused() -> None:
    height, width = 3000, 3000
    whole = np.array([0, height * width], np.int64)
    with pytest.raises(AnnotationError, match=r"ends of runs along its rows") as caught:
        coco.transcode([whole, stripes(height, width)], height, width)
    assert caught.value.reason == "noisy-mask"
    assert caught.value.index == 1


def test_many_large_masks_in_several_passes_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    height, width = 40, 30000  # wide enough for several passes
    objects = []
    for _ in range(30):
        cuts = np.sort(rng.choice(height * width, 20, replace=False))
        objects.append(np.diff([0, *cuts, height * width]))
    together = coco.transcode(objects, height, width)
    for counts, runs in zip(objects, together, strict=True):
        (alone,) = coco.transcode([counts], height, width)
        np.testing.assert_array_equal(runs, alone)


# --- what masks may cost -------------------------------------------------------------


def peak_mib(function) -> float:
    """Peak of what Python and NumPy allocate meanwhile."""
    tracemalloc.start()
    try:
        function()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / 2**20


def test_masks_that_hide_gigabytes_are_refused_together() -> None:
    # Each has 2,000 runs along its columns, a few kilobytes, and 4 million along rows.
    height, width = 2000, 2000
    hidden = [stripes(height, width)] * 100

    def transcode() -> None:
        with pytest.raises(MaskBudgetError, match=r"ends of runs together") as caught:
            coco.transcode(hidden, height, width)
        assert caught.value.reason == "masks-too-complex"

    assert peak_mib(transcode) < 1000


def test_masks_that_are_large_together_equal_one_by_one() -> None:
    height, width = 1000, 1000
    small = np.array([5, height * width - 5], np.int64)
    objects = [small, *[stripes(height, width)] * 5, small, stripes(height, width)]
    together = coco.transcode(objects, height, width)
    assert sum(map(len, together)) > MAX_BOUNDARIES
    for counts, runs in zip(objects, together, strict=True):
        (alone,) = coco.transcode([counts], height, width)
        np.testing.assert_array_equal(runs, alone)


def test_positions_beyond_32_bits_equal_one_by_one() -> None:
    height, width = 10_000, 20_000  # 26 objects go through one pass
    rng = np.random.default_rng(0)
    objects = []
    for _ in range(40):
        cuts = np.sort(rng.choice(height * width, 4, replace=False))
        objects.append(np.diff([0, *cuts, height * width]))
    assert len(objects) // 2 * height * width > 2**31
    together = coco.transcode(objects, height, width)
    for counts, runs in zip(objects, together, strict=True):
        (alone,) = coco.transcode([counts], height, width)
        np.testing.assert_array_equal(runs, alone)
        assert runs.dtype == np.int64


@pytest.mark.parametrize("place", range(5))
def test_noisy_mask_among_large_ones_is_named(place: int) -> None:
    height, width = 3000, 3000
    objects = [np.array([0, height * width], np.int64)] * 5
    objects[place] = stripes(height, width)
    with pytest.raises(AnnotationError, match=r"along its rows") as caught:
        coco.transcode(objects, height, width)
    assert caught.value.index == place


def test_counts_that_are_too_many_are_refused_before_they_are_read() -> None:
    long = MAX_BOUNDARIES + 1
    for counts in ([1] * long, "1" * long, b"1" * long):
        with pytest.raises(AnnotationError, match=r"along its columns") as caught:
            coco.rle_counts({"size": [4, 5], "counts": counts}, 4, 5)
        assert caught.value.reason == "noisy-mask"


def test_outlines_of_all_parts_count_together() -> None:
    part = [0, 0, LIMIT / 8, 0, LIMIT / 8, 1]
    polygon_counts([part] * 3, 4, 5)
    with pytest.raises(AnnotationError, match=r"outline is longer than") as caught:
        polygon_counts([part] * 5, 4, 5)
    assert caught.value.reason == "bad-polygon"


def test_outlines_of_all_objects_count_together() -> None:
    budget = MaskBudget(walk=5 * LIMIT, boundaries=100)
    part = [0, 0, LIMIT / 4, 0, LIMIT / 4, 1]

    def rasterise_all() -> None:
        for _ in range(20):
            polygon_counts([part], 4, 5, budget)

    with pytest.raises(MaskBudgetError, match=r"outlines .* longer than .* together"):
        rasterise_all()


def test_polygon_of_very_many_parts_is_united_in_no_time() -> None:
    height, width = 300, 400
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (20_000, 2))
    parts = [[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for x, y in corners.tolist()]
    counts = polygon_counts(parts, height, width)
    some = polygon_counts(parts[:600], height, width)
    united = coco_mask.merge(coco_mask.frPyObjects(parts[:600], height, width))
    np.testing.assert_array_equal(some, coco.decompress_counts(united["counts"]))
    assert counts.sum() == height * width
    assert counts[1::2].sum() > some[1::2].sum()


# --- holes: only where COCO itself says so -------------------------------------------


def filled(segmentation, height=20, width=20):
    counts = polygon_counts(segmentation, height, width)
    values = np.arange(len(counts)) % 2
    return np.repeat(values, counts).reshape(width, height).T


OUTER = [1, 1, 18, 1, 18, 18, 1, 18]
INNER = [6, 6, 12, 6, 12, 12, 6, 12]


def test_polygon_inside_another_is_no_hole() -> None:
    assert filled([OUTER, INNER])[8, 8] == 1
    np.testing.assert_array_equal(filled([OUTER, INNER]), filled([OUTER]))


def test_outline_that_runs_around_an_area_twice_leaves_it_out() -> None:
    # One ring: around the outside, over a bridge, around the inside.
    ring = [*OUTER, 1, 1, 6, 6, *INNER[2:], 6, 6, 1, 1]
    mask = filled([ring])
    assert (mask[2, 10], mask[8, 8]) == (1, 0)
    bow_tie = [2, 2, 18, 18, 18, 2, 2, 18]
    assert filled([bow_tie])[4, 10] == filled([bow_tie])[16, 10] == 0
    for segmentation in ([ring], [bow_tie], [ring, bow_tie]):
        rings = coco_mask.merge(coco_mask.frPyObjects(segmentation, 20, 20))
        np.testing.assert_array_equal(
            polygon_counts(segmentation, 20, 20),
            coco.decompress_counts(rings["counts"]),
        )
