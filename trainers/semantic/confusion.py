"""A confusion matrix as a picture: what each class was taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from segdata.drawing.draw import DIM, INK, PAPER, text_strip

_CELL, _NAMES, _MARGIN = 46, 130, 16
_FULL = (24, 78, 140)


def confusion_picture(matrix: ArrayLike, names: Sequence[str]) -> Image.Image:
    """Draws shares of each label's pixels; rows are labels, columns predictions.

    Args:
      matrix: `[classes, classes]` pixel counts.
      names: Name of each class.

    Returns:
      An RGB image. Rows without any pixels are empty.
    """
    counts = np.asarray(matrix, np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    side = len(names) * _CELL
    page = Image.new(
        "RGB", (side + _NAMES + 2 * _MARGIN, side + _NAMES + 2 * _MARGIN), PAPER
    )
    left, top = _MARGIN + _NAMES, _MARGIN + _NAMES
    for row, name in enumerate(names):
        label = text_strip(name, _NAMES - 8, 13, INK)
        page.paste(label, (left - 8 - label.width, top + row * _CELL + _CELL // 3))
        turned = label.rotate(90, expand=True)
        page.paste(turned, (left + row * _CELL + _CELL // 3, top - 8 - turned.height))
        for column, share in enumerate(shares[row]):
            _draw_cell(page, left + column * _CELL, top + row * _CELL, float(share))
    for line, text in enumerate(("rows: true class", "columns: predicted")):
        page.paste(text_strip(text, _NAMES, 12, DIM), (_MARGIN, _MARGIN + 18 * line))
    return page


def _draw_cell(page: Image.Image, x: int, y: int, share: float) -> None:
    color = tuple(round(255 + (full - 255) * share) for full in _FULL)
    page.paste(color, (x, y, x + _CELL - 1, y + _CELL - 1))
    if share >= 0.005:
        ink = PAPER if share > 0.5 else INK
        text = text_strip(f"{share:.0%}", _CELL - 4, 12, ink, color)  # type: ignore[arg-type]
        page.paste(text, (x + (_CELL - text.width) // 2, y + _CELL // 3))
