from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segdata import coco_rle, rle
from segdata.errors import AnnotationError

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

# Too small to be worth shrinking by pixels: size, density and seed say it all.
sides = st.one_of(st.just(1), st.integers(1, 24))
densities = st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
seeds = st.integers(0, 2**32 - 1)
fast = settings(max_examples=120, deadline=None)


def random_mask(height, width, density, seed):
    random = np.random.default_rng(seed)
    return (random.random((height, width)) < density).astype(np.uint8)


masks = st.builds(random_mask, sides, sides, densities, seeds)


def coco_encode(mask):
    return coco_mask.encode(np.asfortranarray(mask))


def column_major_runs(mask):
    """Straight from the definition, pixel by pixel."""
    runs, value = [0], 0
    for pixel in mask.reshape(-1, order="F").tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def slow_row_major_runs(mask):
    runs = column_major_runs(mask.T)
    return [*runs, 0] if len(runs) % 2 else runs


def polygon_strategy(low=-20.0, high=50.0):
    coordinate = st.floats(low, high, allow_nan=False, width=32)
    corners = st.integers(3, 8)
    return corners.flatmap(
        lambda n: st.lists(coordinate, min_size=2 * n, max_size=2 * n)
    )


# --- dense masks ---------------------------------------------------------------------


def test_empty_mask_encodes_as_one_background_run_and_an_empty_object_run():
    assert rle.rle(np.zeros((3, 4), np.uint8), 3, 4).tolist() == [12, 0]


def test_full_mask_encodes_as_an_empty_background_run_and_one_object_run():
    assert rle.rle(np.ones((3, 4), np.uint8), 3, 4).tolist() == [0, 12]


@pytest.mark.parametrize(("pixel", "expected"), [(0, [1, 0]), (1, [0, 1])])
def test_image_of_one_pixel_has_two_runs(pixel, expected):
    assert rle.rle(np.array([[pixel]]), 1, 1).tolist() == expected


def test_runs_go_along_rows_and_end_on_an_even_number():
    mask = np.array([[0, 1, 1], [1, 0, 0]])
    assert rle.rle(mask, 2, 3).tolist() == [1, 3, 2, 0]


def test_runs_are_int64():
    assert rle.rle(np.zeros((2, 2), np.uint8), 2, 2).dtype == np.int64
    assert rle.rle([[0, 0, 2, 0, 2, 2]], 2, 2).dtype == np.int64


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.float32])
def test_dense_mask_may_have_any_number_type(dtype):
    mask = np.array([[0, 3, 0], [1, 1, 0]]).astype(dtype)
    assert rle.rle(mask, 2, 3).tolist() == [1, 1, 1, 2, 1, 0]


def test_dense_mask_may_be_a_transposed_view():
    mask = np.array([[0, 1], [0, 1], [1, 0]], np.uint8)
    assert rle.rle(mask.T, 2, 3).tolist() == slow_row_major_runs(mask.T)


@given(masks)
@fast
@example(np.zeros((1, 1), np.uint8))
@example(np.ones((1, 9), np.uint8))
@example(np.ones((9, 1), np.uint8))
def test_dense_mask_encodes_as_the_definition_says(mask):
    assert rle.rle(mask, *mask.shape).tolist() == slow_row_major_runs(mask)


@given(masks)
@fast
def test_decode_inverts_dense_encoding(mask):
    decoded = rle.decode(rle.rle(mask, *mask.shape), *mask.shape)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, mask)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4, 1), (12,), (0, 4)])
def test_dense_mask_of_another_shape_is_refused(shape):
    with pytest.raises(AnnotationError, match="expected 3x4, got ") as caught:
        rle.rle(np.zeros(shape), 3, 4)
    assert caught.value.reason == "mask-size-mismatch"


# --- COCO RLE ------------------------------------------------------------------------


@given(masks)
@fast
@example(np.zeros((1, 1), np.uint8))
@example(np.ones((1, 1), np.uint8))
@example(np.ones((1, 7), np.uint8))
@example(np.ones((7, 1), np.uint8))
@example(np.eye(5, dtype=np.uint8))
def test_every_flavour_of_coco_rle_equals_the_dense_mask(mask):
    encoded = coco_encode(mask)
    size = list(mask.shape)
    expected = slow_row_major_runs(mask)
    flavours = [
        encoded,
        {"size": size, "counts": encoded["counts"].decode()},
        {"size": tuple(size), "counts": column_major_runs(mask)},
        {"size": size, "counts": np.array(column_major_runs(mask), np.uint32)},
    ]
    for segmentation in flavours:
        assert rle.rle(segmentation, *size).tolist() == expected


def test_uncompressed_rle_may_hold_zero_runs_in_its_middle():
    # Columns 0 and 1 are the object; the zeros only cut its one run in three.
    counts = [0, 2, 0, 1, 0, 1, 2]
    assert rle.rle({"size": [2, 3], "counts": counts}, 2, 3).tolist() == [
        0,
        2,
        1,
        2,
        1,
        0,
    ]


def test_whole_numbers_stored_as_floats_are_taken_as_counts():
    assert rle.rle({"size": [2, 2], "counts": [1.0, 1.0, 2.0]}, 2, 2).tolist() == [
        2,
        1,
        1,
        0,
    ]


@given(masks)
@fast
def test_to_coco_equals_pycocotools_and_comes_back(mask):
    runs = rle.rle(mask, *mask.shape)
    coco = rle.to_coco(runs, *mask.shape)
    assert coco == {
        "size": list(mask.shape),
        "counts": coco_encode(mask)["counts"].decode(),
    }
    assert rle.rle(coco, *mask.shape).tolist() == runs.tolist()


# pycocotools reserves six characters a count: larger counts overflow its heap.
@given(st.lists(st.integers(0, 2**24), max_size=30))
@fast
@example([0])
@example([0, 0, 0, 0])
@example([2**24, 0, 2**24, 0])
@example([15, 16, 31, 32, 1023, 1024])
def test_decompress_counts_inverts_pycocotools(counts):
    compressed = coco_mask.frPyObjects({"size": [1, 1], "counts": counts}, 1, 1)[
        "counts"
    ]
    decompressed = coco_rle.decompress_counts(compressed)
    assert decompressed.dtype == np.int64
    assert decompressed.tolist() == counts
    assert coco_rle.decompress_counts(compressed.decode()).tolist() == counts


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
    assert coco_rle.decompress_counts(compress_slowly(counts)).tolist() == counts


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
    runs = coco_rle.transcode(column_major, height, width)
    assert [r.tolist() for r in runs] == [slow_row_major_runs(mask) for mask in dense]


def test_transcode_of_no_objects_is_an_empty_list():
    assert coco_rle.transcode([], 3, 4) == []


# --- polygons ------------------------------------------------------------------------


def coco_polygons(polygons, height, width):
    return coco_mask.decode(
        coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    )


@given(st.lists(polygon_strategy(), min_size=1, max_size=4), sides, sides)
@fast
def test_polygons_also_outside_the_image_equal_pycocotools(polygons, height, width):
    expected = coco_polygons(polygons, height, width)
    runs = rle.rle(polygons, height, width)
    assert np.array_equal(rle.decode(runs, height, width), expected)


def test_square_polygon_covers_exactly_its_pixels():
    expected = np.zeros((5, 6), np.uint8)
    expected[1:3, 2:5] = 1
    runs = rle.rle([[2, 1, 5, 1, 5, 3, 2, 3]], 5, 6)
    assert np.array_equal(rle.decode(runs, 5, 6), expected)


def test_overlapping_parts_are_united_not_cancelled():
    left, right = [0, 0, 3, 0, 3, 2, 0, 2], [2, 0, 4, 0, 4, 2, 2, 2]
    assert rle.rle([left, right], 2, 4).tolist() == [0, 8]


def test_polygon_wholly_outside_the_image_is_an_empty_mask():
    assert rle.rle([[10, 10, 14, 10, 14, 14]], 4, 4).tolist() == [16, 0]


@pytest.mark.parametrize(
    "flat",
    [
        [0, 0, 2, 0, 2, 2, 0, 2],
        (0, 0, 2, 0, 2, 2, 0, 2),
        [np.float64(0), 0, 2, 0, 2, 2, 0, 2],
        [np.array([0, 0, 2, 0, 2, 2, 0, 2])],
    ],
    ids=["list", "tuple", "numpy-scalar", "list-of-arrays"],
)
def test_one_polygon_may_stand_without_its_outer_list(flat):
    assert rle.rle(flat, 2, 3).tolist() == [0, 2, 1, 2, 1, 0]


# --- hostile segmentations -----------------------------------------------------------

SQUARE = [0, 0, 2, 0, 2, 2]
NAN, INF = float("nan"), float("inf")


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
        ([[0, 0, 1e9, 0, 2, 2]], "polygon's outline is 2e[+]09 pixels long"),
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
        rle.rle(polygons, 4, 4)
    assert caught.value.reason == "bad-polygon"


@pytest.mark.xfail(strict=True, reason="_checked_polygon lets OverflowError through")
def test_integer_beyond_float_in_a_polygon_is_refused():
    with pytest.raises(AnnotationError) as caught:
        rle.rle([[10**400, 0, 2, 0, 2, 2]], 4, 4)
    assert caught.value.reason == "bad-polygon"


@pytest.mark.xfail(strict=True, reason="differences overflow: NumPy RuntimeWarning")
def test_coordinate_near_the_largest_float_is_refused_without_a_warning():
    with pytest.raises(AnnotationError) as caught:
        rle.rle([[1e308, 0, -1e308, 0, 2, 2]], 4, 4)
    assert caught.value.reason == "bad-polygon"


def test_empty_list_of_polygons_is_refused():
    with pytest.raises(AnnotationError, match="empty list of polygons") as caught:
        rle.rle([], 4, 4)
    assert caught.value.reason == "empty-polygon"


@pytest.mark.parametrize("segmentation", [None, 5, 2.5, "0 0 1 1", b"abc", {1, 2}])
def test_unknown_kind_of_segmentation_is_refused_with_its_type(segmentation):
    message = f"got {type(segmentation).__name__}"
    with pytest.raises(AnnotationError, match=message) as caught:
        rle.rle(segmentation, 4, 4)
    assert caught.value.reason == "bad-segmentation"


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 2], "sum to 7: expected 3x4 = 12 pixels"),
        ([5, 8], "sum to 13"),
        ([], "sum to 0"),
        ("", "sum to 0"),
        ([13, -1], "negative run of -1"),
        ([-12], "negative run of -12"),
        ([2**62, 2**62, 2**62, 2**62, 12], "expected 3x4"),
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
        rle.rle({"size": [3, 4], "counts": counts}, 3, 4)
    assert caught.value.reason == "bad-rle"


@pytest.mark.xfail(strict=True, reason="_integers casts them: NumPy RuntimeWarning")
@pytest.mark.parametrize("huge", [INF, 1e300, 2**63, 2**64 - 1])
def test_count_beyond_int64_is_refused_without_a_warning(huge):
    with pytest.raises(AnnotationError) as caught:
        rle.rle({"size": [3, 4], "counts": [huge, 1]}, 3, 4)
    assert caught.value.reason == "bad-rle"


@given(masks, st.integers(1, 10))
@fast
def test_truncated_compressed_string_never_passes(mask, cut):
    counts = coco_encode(mask)["counts"][:-cut]
    segmentation = {"size": list(mask.shape), "counts": counts}
    runs = coco_rle.decompress_counts(counts) if _is_complete(counts) else None
    if runs is not None and runs.sum() == mask.size:
        return  # only a run of length 0 was cut off
    with pytest.raises(AnnotationError) as caught:
        rle.rle(segmentation, *mask.shape)
    assert caught.value.reason == "bad-rle"


def _is_complete(counts):
    return not counts or not (counts[-1] - 48) & 0x20


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40)))
@fast
def test_any_string_as_counts_gives_valid_runs_or_an_annotation_error(counts):
    try:
        runs = rle.rle({"size": [3, 4], "counts": counts}, 3, 4)
    except AnnotationError:
        return  # whatever else is raised fails the test
    rle.validate_runs(runs, 3, 4)
    assert runs.sum() == 12


@pytest.mark.parametrize("size", [[4, 3], [3], [3, 4, 1], 12, "34", [[3], [4]]])
def test_rle_of_another_size_is_refused(size):
    message = r"expected size \[3, 4\], got .*Height comes first"
    with pytest.raises(AnnotationError, match=message) as caught:
        rle.rle({"size": size, "counts": [12]}, 3, 4)
    assert caught.value.reason == "mask-size-mismatch"


@pytest.mark.parametrize("segmentation", [{}, {"size": [3, 4]}, {"counts": [12]}])
def test_rle_without_size_or_counts_is_refused(segmentation):
    with pytest.raises(AnnotationError, match="COCO RLE is incomplete") as caught:
        rle.rle(segmentation, 3, 4)
    assert caught.value.reason == "bad-rle"


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-2, -2), (2**16, 2**15)])
def test_image_size_that_int32_positions_cannot_carry_is_refused(size):
    with pytest.raises(AnnotationError, match="cannot carry masks") as caught:
        rle.rle([SQUARE], *size)
    assert caught.value.reason == "bad-image-size"


# --- batches -------------------------------------------------------------------------


def test_batch_keeps_the_order_of_mixed_flavours():
    dense = np.array([[1, 0], [0, 0]])
    batch = [
        [[0, 0, 2, 0, 2, 2, 0, 2]],
        dense,
        {"size": [2, 2], "counts": [4]},
        dense.T * 0 + 1,
        {"size": [2, 2], "counts": [2, 1, 1]},
    ]
    runs = [item.tolist() for item in rle.rle_batch(batch, 2, 2)]
    assert runs == [[0, 4], [0, 1, 3, 0], [4, 0], [0, 4], [1, 1, 2, 0]]


def test_batch_of_nothing_is_an_empty_list():
    assert rle.rle_batch([], 2, 2) == []


@pytest.mark.parametrize("bad", [None, [[1, 2]], np.zeros((1, 1)), {"size": [9, 9]}])
def test_batch_error_tells_which_object_is_bad(bad):
    with pytest.raises(AnnotationError) as caught:
        rle.rle_batch([[SQUARE], np.zeros((4, 4)), bad, [SQUARE]], 4, 4)
    assert caught.value.index == 2


# --- areas, boxes, checks ------------------------------------------------------------


@given(masks)
@fast
def test_area_and_bounding_box_equal_numpy(mask):
    runs = rle.rle(mask, *mask.shape)
    assert rle.area(runs) == mask.sum()
    rows, columns = np.nonzero(mask)
    expected = (0, 0, 0, 0)
    if len(rows):
        expected = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert rle.bounding_box(runs, mask.shape[1]) == expected


def test_run_over_a_row_end_widens_the_box_to_the_image():
    # The last pixel of row 0 and the first of row 1.
    assert rle.bounding_box(np.array([3, 2, 3, 0]), 4) == (0, 0, 2, 4)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([4], "has 1 runs: expected an even number"),
        ([], "sum to 0: expected 2x2 = 4 pixels"),
        ([1, 2], "sum to 3"),
        ([5, -1], "negative run of -1"),
        ([2**63 - 1, 2**63 - 1, 6, 0], "expected 2x2"),
    ],
)
def test_decode_refuses_runs_that_do_not_fit(runs, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        rle.decode(np.array(runs, np.int64), 2, 2)
    assert caught.value.reason == "bad-rle"


# --- label maps ----------------------------------------------------------------------


def random_label_map(height, width, num_classes, seed, dtype=np.uint8):
    random = np.random.default_rng(seed)
    return random.integers(0, num_classes, (height, width)).astype(dtype)


label_maps = st.builds(
    random_label_map,
    sides,
    sides,
    st.sampled_from([1, 2, 12, 256]),
    seeds,
    st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32]),
)


def test_label_map_encodes_as_values_and_lengths():
    values, lengths = rle.encode_label_map(np.array([[7, 7, 7], [2, 2, 7]], np.uint8))
    assert (values.tolist(), lengths.tolist()) == ([7, 2, 7], [3, 2, 1])


def test_label_map_of_one_pixel_is_one_run():
    values, lengths = rle.encode_label_map(np.array([[255]], np.uint8))
    assert (values.tolist(), lengths.tolist()) == ([255], [1])


@given(label_maps)
@fast
def test_label_map_round_trip(label_map):
    values, lengths = rle.encode_label_map(label_map)
    assert values.dtype == label_map.dtype
    assert lengths.dtype == np.int64
    assert (values[1:] != values[:-1]).all()
    assert lengths.min() >= 1
    decoded = rle.decode_label_map(values, lengths, *label_map.shape)
    assert np.array_equal(decoded, label_map)


@given(label_maps)
@fast
def test_merged_runs_are_the_runs_of_the_mapped_label_map(label_map):
    mapping = (np.arange(256) % 3).astype(np.uint8)
    values, lengths = rle.encode_label_map(label_map)
    merged_values, merged_lengths = rle.merge_label_runs(mapping[values], lengths)
    expected_values, expected_lengths = rle.encode_label_map(mapping[label_map])
    assert merged_values.tolist() == expected_values.tolist()
    assert merged_lengths.tolist() == expected_lengths.tolist()


@pytest.mark.parametrize(
    ("values", "lengths", "message"),
    [
        ([1, 2], [4], "2 run values and 1 run lengths"),
        ([1, 2], [4, 0], "run of length 0: expected at least 1"),
        ([1, 2], [5, -1], "run of length -1"),
        ([1, 2], [1, 2], "sum to 3: expected 2x2 = 4 pixels"),
        ([], [], "sum to 0"),
    ],
)
def test_decode_label_map_refuses_runs_that_do_not_fit(values, lengths, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        rle.decode_label_map(
            np.array(values, np.uint8), np.array(lengths, np.int64), 2, 2
        )
    assert caught.value.reason == "bad-rle"


# --- real data -----------------------------------------------------------------------


def test_every_real_coco_instance_equals_pycocotools(shared_data: Path):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(shared_data / "coco/annotations/instances.json")
    compared = 0
    for image_id, image in coco.imgs.items():
        height, width = image["height"], image["width"]
        annotations = coco.imgToAnns[image_id]
        batch = rle.rle_batch([a["segmentation"] for a in annotations], height, width)
        for annotation, runs in zip(annotations, batch, strict=True):
            expected = coco.annToMask(annotation)
            assert np.array_equal(rle.decode(runs, height, width), expected)
            assert rle.area(runs) == expected.sum()
            alone = rle.rle(annotation["segmentation"], height, width)
            assert np.array_equal(alone, runs)
            compared += 1
    assert compared == 1458
