"""Masks -> polygons along the edges of their pixels.

Rasterised by COCO's rule these give the same mask again; it is checked for each. COCO's
polygons know no holes, so a mask with holes is cut into upright strips without any.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, MissingDependencyError
from segdata.masks import rle

Ring = list[tuple[float, float]]


def exact_polygons(
    runs: NDArray[np.int64], height: int, width: int
) -> list[list[float]] | None:
    """Traces a mask into polygons that decode to the very same mask.

    Args:
      runs: Row-major runs of the mask.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      `[[x0, y0, x1, y1, ...], ...]` in pixels, parts united; None for an empty mask
      and where no polygons give the same mask.
    """
    mask = rle.decode(runs, height, width)
    if not mask.any():
        return None
    polygons = [_flat(rings[0]) for part in _without_holes(mask) for rings in part]
    try:
        again = rle.rle(polygons, height, width)
    except AnnotationError:  # an outline longer than we rasterise
        return None
    return polygons if np.array_equal(again, runs) else None


def trace(mask: NDArray[np.uint8]) -> list[list[Ring]]:
    """Traces the parts of a mask, which touch over edges, not over corners.

    Args:
      mask: `[height, width] uint8`, 1 on the object.

    Returns:
      Per part its outline, then its holes: closed rings of (x, y) in pixels, the last
      point left out.

    Raises:
      MissingDependencyError: If rasterio is not installed.
    """
    try:
        from rasterio.features import shapes
    except ImportError as error:
        raise MissingDependencyError(
            "polygons need rasterio: pip install 'segdata[polygons]'."
        ) from error
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    found: list[tuple[dict[str, Any], float]] = shapes(
        part, mask=part.astype(np.bool_), connectivity=4
    )
    return [
        [[(left + x, top + y) for x, y in ring[:-1]] for ring in shape["coordinates"]]
        for shape, _ in found
    ]


def _without_holes(mask: NDArray[np.uint8]) -> list[list[list[Ring]]]:
    """Parts of strips that together are the mask and have no holes."""
    parts = trace(mask)
    holes = [ring for rings in parts for ring in rings[1:]]
    if not holes:
        return [parts]
    # Cutting through a hole opens it: at its left edge, as every cut does that lies
    # within it.
    cuts = sorted({int(min(x for x, _ in ring)) + 1 for ring in holes})
    bounds = [0, *cuts, mask.shape[1]]
    strips = []
    for left, right in itertools.pairwise(bounds):
        strip = np.zeros_like(mask)
        strip[:, left:right] = mask[:, left:right]
        if strip.any():
            strips += _without_holes(strip)
    return strips


def _flat(ring: Ring) -> list[float]:
    return [coordinate for point in ring for coordinate in point]
