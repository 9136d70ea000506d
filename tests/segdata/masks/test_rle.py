from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from random_masks import (
    coco_encode,
    column_major_runs,
    fast,
    masks,
    seeds,
    sides,
    slow_row_major_runs,
)

from segdata.errors import AnnotationError
from segdata.masks import rle

# Raised by NumPy 2 inside pycocotools' own `decode`, which segdata does not call.
pytestmark = [
    pytest.mark.usefixtures("mask_way"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    ),
]


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


@pytest.mark.parametrize("shape", [(4, 3), (3, 4, 1), (12,), (0, 4), ()])
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


@pytest.mark.parametrize("segmentation", [None, 5, 2.5, "0 0 1 1", b"abc", {1, 2}])
def test_unknown_kind_of_segmentation_is_refused_with_its_type(segmentation):
    message = f"got {type(segmentation).__name__}"
    with pytest.raises(AnnotationError, match=message) as caught:
        rle.rle(segmentation, 4, 4)
    assert caught.value.reason == "bad-segmentation"


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-2, -2), (2**14, 2**14 + 1)])
def test_image_size_that_cannot_carry_masks_is_refused(size):
    with pytest.raises(AnnotationError, match="most 268435456 pixels") as caught:
        rle.rle([SQUARE], *size)
    assert caught.value.reason == "bad-image-size"


def test_largest_image_carries_masks():
    assert rle.MAX_PIXELS == 2**28
    low, high = 2**14 - 4, 2**14
    corner = [[low, low, high, low, high, high, low, high]]
    runs = rle.rle(corner, high, high)
    assert rle.bounding_box(runs, high) == (low, low, high, high)
    assert (rle.area(runs), runs.sum()) == (16, 2**28)


@pytest.mark.parametrize("dtype", ["<U1", "S1", object, "M8[s]", complex])
def test_dense_mask_of_no_real_numbers_is_refused(dtype):
    mask = np.zeros((3, 4), np.int64).astype(dtype)
    with pytest.raises(AnnotationError, match="expected bool or numbers") as caught:
        rle.rle(mask, 3, 4)
    assert caught.value.reason == "bad-segmentation"


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
