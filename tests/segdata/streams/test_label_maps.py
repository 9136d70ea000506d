import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_masks import fast

from segdata.masks import rle
from segdata.streams import label_maps as mask_ops
from segdata.streams.tensorflow import tf

SIZES = st.integers(1, 40)


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Maps from flat to noisy, of any small size."""
    height, width = draw(SIZES), draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_classes = draw(st.sampled_from([1, 2, 5, 256]))
    cell = draw(st.sampled_from([1, 3, 50]))
    coarse = rng.integers(0, num_classes, (height // cell + 1, width // cell + 1))
    dense = coarse.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    return dense.astype(np.uint8)


def encoded(label_map: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.int64]]:
    values, lengths = rle.encode_label_map(label_map)
    return values.tobytes(), lengths


def nearest(label_map: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Nearest sampling at half-pixel centres, said in NumPy."""
    rows, columns = (
        ((2 * np.arange(out) + 1) * stored) // (2 * out)
        for out, stored in zip(size, label_map.shape, strict=True)
    )
    return label_map[rows][:, columns]


@fast
@given(label_maps())
def test_decoding_returns_every_pixel(label_map: NDArray[np.uint8]) -> None:
    height, width = label_map.shape
    decoded = mask_ops.decode_label_map(*encoded(label_map), height, width)
    np.testing.assert_array_equal(decoded.numpy(), label_map)


@fast
@given(label_maps(), SIZES, SIZES)
def test_resizing_equals_nearest_sampling_of_the_dense_map(
    label_map: NDArray[np.uint8], out_height: int, out_width: int
) -> None:
    size = (out_height, out_width)
    height, width = label_map.shape
    resized = mask_ops.resize_label_map(*encoded(label_map), height, width, size)
    np.testing.assert_array_equal(resized.numpy(), nearest(label_map, size))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (64, 3)])
def test_graph_with_known_and_unknown_source_size_agree(
    known: bool, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 4, (21, 13), dtype=np.uint8) for _ in range(3)]
    parts = [encoded(label_map) for label_map in maps]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts),
        output_signature=(
            tf.TensorSpec([], tf.string),
            tf.TensorSpec([None], tf.int64),
        ),
    )
    source = (21, 13) if known else (tf.constant(21), tf.constant(13))
    resized = dataset.map(lambda v, n: mask_ops.resize_label_map(v, n, *source, size))
    whole = dataset.map(lambda v, n: mask_ops.decode_label_map(v, n, *source))
    assert resized.element_spec.shape == size
    for label_map, small, full in zip(maps, resized, whole, strict=True):
        np.testing.assert_array_equal(small.numpy(), nearest(label_map, size))
        np.testing.assert_array_equal(full.numpy(), label_map)


def test_nearest_sampling_is_that_of_tensorflow() -> None:
    rng = np.random.default_rng(1)
    label_map = rng.integers(0, 12, (36, 48), dtype=np.uint8)
    size = (22, 31)
    theirs = tf.image.resize(label_map[..., None], size, method="nearest")[..., 0]
    ours = mask_ops.resize_label_map(*encoded(label_map), 36, 48, size)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("size", [None, (4, 4)])
@pytest.mark.parametrize("lengths", [[5, 6], [5, 8], [12, -3], [9]])
def test_runs_that_do_not_sum_to_the_image_are_refused(
    lengths: list[int], size: tuple[int, int] | None
) -> None:
    values = bytes(range(len(lengths)))
    runs = np.array(lengths, np.int64)
    arguments = (values, runs, 3, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="runs do not sum"):
        _ = (
            mask_ops.resize_label_map(*arguments, size)
            if size
            else mask_ops.decode_label_map(*arguments)
        )


def test_values_and_lengths_of_different_number_are_refused() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        mask_ops.decode_label_map(b"\1\2\3", np.array([6, 6]), 3, 4)


def test_a_map_of_one_class_is_one_run() -> None:
    decoded = mask_ops.decode_label_map(b"\xff", np.array([720 * 960]), 720, 960)
    np.testing.assert_array_equal(decoded.numpy(), np.full((720, 960), 255, np.uint8))
