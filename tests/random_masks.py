"""Random masks for property tests, and their runs straight from the definition."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

# Too small to be worth shrinking by pixels: size, density and seed say it all.
sides = st.one_of(st.just(1), st.integers(1, 24))
densities = st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
seeds = st.integers(0, 2**32 - 1)
fast = settings(max_examples=40, deadline=None)


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
