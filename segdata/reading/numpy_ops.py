"""TensorFlow's names for what NumPy does, so that one arithmetic serves both.

`segdata.reading.geometry` is given this module or `tf`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

float32, float64 = np.float32, np.float64
cos, sin, shape, transpose = np.cos, np.sin, np.shape, np.transpose
minimum, maximum, where = np.minimum, np.maximum, np.where
stack, reshape, clip_by_value = np.stack, np.reshape, np.clip
reduce_max, reduce_min, reduce_prod = np.max, np.min, np.prod
reduce_sum = np.sum
constant = convert_to_tensor = np.array
math = SimpleNamespace(floor=np.floor)
round = np.round


def cast(value: Any, dtype: Any) -> NDArray[Any]:
    """An array of a dtype."""
    return np.asarray(value, dtype)


def unstack(value: NDArray[Any], num: int | None = None, axis: int = 0) -> list[Any]:
    """Parts along an axis."""
    return list(np.moveaxis(value, axis, 0))


def reduce_mean(value: NDArray[Any], axis: list[int]) -> NDArray[Any]:
    """Mean along some axes."""
    return np.asarray(np.mean(value, axis=tuple(axis)))
