"""Random samples of fixed size, the same on every backend.

Numbers come from a hash, not from `keras.random`: TensorFlow and JAX draw differently,
and then their losses could not be compared.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from segdata.trainers.tensor import Tensor


def noise(seed: Tensor, shape: tuple[int, int]) -> Tensor:
    """Uniform random numbers, `shape` float32 in [0, 1).

    Bob Jenkins's and Chris Wellons's kind of hash ("lowbias32") of position and seed.

    Args:
      seed: `[2] uint32`, as `keras.random.SeedGenerator.next` gives.
      shape: Static.
    """
    ops = keras.ops
    places = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    x = _mix(ops.convert_to_tensor(places, "uint32") + seed[0])
    x = _mix(x + seed[1])
    high = ops.right_shift(x, _word(8))  # 24 bits, which float32 holds exactly
    return ops.cast(ops.cast(high, "int32"), "float32") / 2.0**24


def _mix(x: Tensor) -> Tensor:
    ops = keras.ops
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ops.bitwise_xor(x, ops.right_shift(x, _word(shift))) * _word(factor)
    return ops.bitwise_xor(x, ops.right_shift(x, _word(16)))


def _word(value: int) -> Tensor:
    return keras.ops.convert_to_tensor(np.uint32(value), "uint32")


class Samples(NamedTuple):
    """`k` places that were drawn from the rows of a mask."""

    index: Tensor
    """`[b, k] int32`."""
    valid: Tensor
    """`[b, k] bool`, False for the rest where too few could be drawn."""


def sample(mask: Tensor, random: Tensor, count: int) -> Samples:
    """Draws places where a mask is on, without repeats, those that are valid first.

    Args:
      mask: `[b, n] bool`.
      random: `[b, n] float32` in [0, 1).
      count: Places to draw, at most n.
    """
    ops = keras.ops
    score, index = ops.top_k(ops.where(mask, 1.0 + random, 0.0), count)
    return Samples(index=ops.cast(index, "int32"), valid=score > 0.5)
