from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from segdata.trainers.models.layers import (
    BilinearKernel,
    CaffePreprocessing,
    Resample,
    Unpooling,
    bilinear_matrix,
    mean_matrix,
    upsample,
)


def unpool(values: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Reference: one window after the other, the first maximum wins."""
    result = np.zeros(pooled.shape, values.dtype)
    for b, y, x, c in np.ndindex(values.shape):
        window = pooled[b, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c]
        dy, dx = np.unravel_index(np.argmax(window), window.shape)
        result[b, 2 * y + dy, 2 * x + dx, c] = values[b, y, x, c]
    return result


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (5, 7), (1, 1)])
def test_unpooling_puts_values_where_the_maxima_were(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    # Few different values, so that there are ties; negative ones, as without ReLU.
    pooled = rng.integers(-3, 3, (2, *size, 3)).astype(np.float32)
    rows, columns = -(-size[0] // 2), -(-size[1] // 2)
    values = rng.normal(size=(2, rows, columns, 3)).astype(np.float32)
    found = np.asarray(Unpooling()([values, pooled]))
    np.testing.assert_array_equal(found, unpool(values, pooled))


@pytest.mark.parametrize(("before", "after"), [(7, 3), (12, 6), (5, 6), (1, 6), (9, 1)])
def test_means_are_those_of_adaptive_pooling(before: int, after: int) -> None:
    x = np.random.default_rng(0).normal(size=(1, before, before, 2)).astype(np.float32)
    found = np.asarray(Resample((after, after), "mean")(x))
    for i, j in np.ndindex(after, after):
        rows = slice(i * before // after, -(-(i + 1) * before // after))
        columns = slice(j * before // after, -(-(j + 1) * before // after))
        expected = x[0, rows, columns].mean(axis=(0, 1))
        np.testing.assert_allclose(found[0, i, j], expected, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(1, 9), (2, 9), (3, 8), (6, 13), (8, 3)])
def test_bilinear_is_that_of_tensorflow(before: int, after: int) -> None:
    from segdata.streams.tensorflow import tf

    x = np.random.default_rng(0).normal(size=(2, before, before, 3)).astype(np.float32)
    found = np.asarray(Resample((after, after + 1), "bilinear")(x))
    expected = tf.image.resize(x, (after, after + 1), antialias=False).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_matrices_average() -> None:
    for before, after in [(7, 3), (3, 7), (1, 4), (64, 6)]:
        for matrix in (mean_matrix(before, after), bilinear_matrix(before, after)):
            assert matrix.shape == (after, before)
            np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
            assert matrix.min() >= 0


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_bilinear_kernel_interpolates_each_channel(factor: int) -> None:
    x = np.random.default_rng(1).normal(size=(1, 5, 6, 3)).astype(np.float32)
    tensor = keras.Input((5, 6, 3))
    size = (5 * factor, 6 * factor)
    learned = keras.Model(tensor, upsample(tensor, size, factor, "transpose"))
    fixed = keras.Model(tensor, upsample(tensor, size, factor, "bilinear"))
    # At the edges a convolution sees zeros.
    inner = slice(factor, -factor)
    found, expected = (
        np.asarray(model(x))[:, inner, inner] for model in (learned, fixed)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bilinear_kernel_mixes_no_channels() -> None:
    kernel = np.asarray(BilinearKernel()((4, 4, 3, 3), dtype="float32"))
    assert not kernel[:, :, ~np.eye(3, dtype=bool)].any()
    assert kernel[:, :, 0, 0].sum() == pytest.approx(4)


def test_caffe_preprocessing_is_that_of_keras() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    expected = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    found = CaffePreprocessing(dtype="float32")(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-4)


JAX_LAYERS = """
import sys
from pathlib import Path
import numpy as np
from segdata.trainers.models.layers import CaffePreprocessing, Resample, Unpooling
folder = Path(sys.argv[1])
x, values = np.load(folder / "x.npy"), np.load(folder / "values.npy")
np.savez(
    folder / "jax.npz",
    unpooled=Unpooling()([values, x]),
    mean=Resample((3, 4), "mean")(x),
    bilinear=Resample((9, 20), "bilinear")(x),
    caffe=CaffePreprocessing(dtype="float32")((abs(x) * 50).astype("uint8")),
)
"""


def test_layers_give_the_same_on_jax(tmp_path: Path, run_jax: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    values = rng.normal(size=(2, 3, 4, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "values.npy", values)
    run_jax(JAX_LAYERS, tmp_path)
    caffe = CaffePreprocessing(dtype="float32")
    expected = {
        "unpooled": Unpooling()([values, x]),
        "mean": Resample((3, 4), "mean")(x),
        "bilinear": Resample((9, 20), "bilinear")(x),
        "caffe": caffe((abs(x) * 50).astype("uint8")),
    }
    with np.load(tmp_path / "jax.npz") as found:
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
