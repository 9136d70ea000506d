"""Traces a mask's outline along pixel borders: polygons that give back every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EAST, _SOUTH, _WEST, _NORTH = range(4)


def trace_outline(mask: NDArray[np.bool_]) -> list[list[int]] | None:
    """Traces the parts of a mask.

    Pixels that touch only at a corner are of one part too: else the tips of stars would
    be parts of their own. pycocotools rasterises the polygons to exactly the mask.

    Args:
      mask: `[height, width]`, true on the object.

    Returns:
      Polygons `[x0, y0, x1, y1, ...]`, one for each part, clockwise; or None if the
      mask has a hole, which polygons cannot express.
    """
    width = mask.shape[1] + 1
    steps = (4, 4 * width, -4, -4 * width)
    left = _border_edges(mask, width)
    loops = []
    # An edge to the east that comes first from the top and the left begins a loop at
    # a corner: were the loop to come from the west, that edge would come before it.
    for start in sorted(edge for edge in left if edge % 4 == _EAST):
        if start not in left:
            continue
        corners, edge = [], start
        while edge in left:
            left.remove(edge)
            end, heading = edge + steps[edge % 4], edge % 4
            # Left first: where two pixels touch at a corner, cross to the other one.
            for turn in (3, 0, 1):
                edge = end - heading + (heading + turn) % 4
                if edge in left or edge == start:
                    break
            if edge % 4 != heading:
                row, column = divmod(edge // 4, width)
                corners += [column, row]
        loops.append(corners)
    return None if any(_is_hole(corners) for corners in loops) else loops


def _border_edges(mask: NDArray[np.bool_], width: int) -> set[int]:
    """Sides of pixels between object and background, the object on their right.

    Each is a number: four times the pixel corner it begins at, and its heading.
    """
    padded = np.pad(mask, 1)
    below, above = padded[1:, 1:-1], padded[:-1, 1:-1]
    right, left = padded[1:-1, 1:], padded[1:-1, :-1]
    edges: set[int] = set()
    for heading, is_border, dy, dx in (
        (_EAST, below & ~above, 0, 0),
        (_SOUTH, left & ~right, 0, 0),
        (_WEST, above & ~below, 0, 1),
        (_NORTH, right & ~left, 1, 0),
    ):
        rows, columns = np.nonzero(is_border)
        corners = (rows + dy) * width + columns + dx
        edges.update((corners * 4 + heading).tolist())
    return edges


def _is_hole(corners: list[int]) -> bool:
    """Whether a loop runs counterclockwise: the object is on its right, outside."""
    points = np.array(corners).reshape(-1, 2)
    x, y = points.T
    return int(x @ np.roll(y, -1) - y @ np.roll(x, -1)) < 0
