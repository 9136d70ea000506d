from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segdata.exports.yolo import join_rings
from segdata.masks.outlines import trace

MASKS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    elements=st.integers(0, 1),
)


def even_odd(ring: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """Pixels whose centres a ray to the left leaves through an odd number of edges."""
    inside = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= (crosses & (x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x)).astype(
                np.uint8
            )
    return inside


@settings(max_examples=60, deadline=None)
@given(MASKS.filter(lambda mask: mask.any()))
def test_joined_rings_have_the_inside_of_the_mask(mask) -> None:
    parts, holes = trace(mask)
    ring = join_rings([*parts, *holes])
    assert np.array_equal(even_odd(ring, *mask.shape), mask)
