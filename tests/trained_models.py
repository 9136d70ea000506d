"""Small images with something to learn, and models that are awake, for tests."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

SIZE = (64, 96)


def _quarters(size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return tuple(np.arange(length) * 2 // length for length in size)  # type: ignore[return-value]


def patch_images(count: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Noise over four patches of colour."""
    rng = np.random.default_rng(0)
    patches = rng.integers(40, 216, (count, 2, 2, 3))
    rows, columns = _quarters(size)
    pixels = patches[:, rows][:, :, columns] + rng.integers(-30, 31, (count, *size, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def patch_labels(count: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """The patch, 0 to 3, that each pixel lies in; a corner is ignored."""
    rows, columns = _quarters(size)
    one = (2 * rows[:, None] + columns).astype(np.uint8)
    one[:4, :4] = 255
    return np.repeat(one[None], count, axis=0)


def calibrate(model: Any, pixels: NDArray[np.uint8]) -> None:
    """Makes batch normalisation divide by the size of what it sees for `pixels`.

    At random weights MobileNetV2's last map is 1e-11: outputs that are compared would
    agree whatever they were. Means are left at zero: subtracting them cancels most
    digits of maps that hardly vary, and what is left differs between backends.
    """
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, kind)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(pixels, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean = layer.moving_mean.numpy()
        layer.moving_variance.assign(layer.moving_variance.numpy() + mean**2)
        layer.moving_mean.assign(0 * mean)
