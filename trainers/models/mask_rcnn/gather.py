"""Rows of each image's own table.

`vectorized_map(take)` keeps the images' dimension apart, so that with a batch that is
shared by devices each gathers from its own images: an index of the flattened batch
would have them exchange feature maps first.
"""

from __future__ import annotations

import keras

from segdata.trainers.tensor import Tensor


def gather(tables: Tensor, index: Tensor) -> Tensor:
    """`[b, n, ...]` and `[b, *k]` int32, from 0 to below n -> `[b, *k, ...]`."""
    return keras.ops.vectorized_map(
        lambda pair: keras.ops.take(pair[0], pair[1], axis=0), (tables, index)
    )
