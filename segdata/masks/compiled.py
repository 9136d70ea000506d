"""The compiled C part, if a C compiler was available at install time.

Without it the output is identical, only slower. Where the C part finds something odd
or too large, its functions return None: pycocotools and NumPy then do the work, or say
what is wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.masks.limits import MaskBudget

Int64Array = NDArray[np.int64]

runs: Any
"""`_runs.c`: masks -> row-major runs -> protobuf. None where it was not compiled."""

try:
    runs = importlib.import_module("segdata.masks._runs")
except ImportError:
    runs = None


def encode(
    segmentations: Sequence[Any], height: int, width: int, budget: MaskBudget
) -> list[Int64Array] | None:
    """Row-major runs of all objects of an image, as `segdata.masks.rle` has them.

    Raises:
      MaskBudgetError: If they cost more together than is left.
    """
    found = runs and runs.encode(list(segmentations), height, width)
    if found is None:
        return None
    data, lengths, walk, columns, rows = found
    budget.spend_walk(walk)
    budget.spend_columns(columns)
    budget.spend_rows(rows)
    joined = np.frombuffer(data, np.int64)
    return [joined[a:b] for a, b in pairwise(accumulate(lengths, initial=0))]


def compress(
    all_runs: Sequence[Int64Array], height: int, width: int
) -> list[str] | None:
    """COCO's compressed counts of row-major runs of an image."""
    found: list[str] | None = runs and runs.compress(list(all_runs), height, width)
    return found


def decode(
    all_runs: Sequence[Int64Array], height: int, width: int
) -> NDArray[np.uint8] | None:
    """`[objects, height, width]`, 1 on the object."""
    found = runs and runs.decode(list(all_runs), height * width)
    if found is None:
        return None
    return np.frombuffer(found, np.uint8).reshape(len(all_runs), height, width)


def changes(items: NDArray[Any]) -> Int64Array | None:
    """Places of integers that differ from the one before them."""
    found = runs and runs.changes(items)
    return None if found is None else np.frombuffer(found, np.int64)
