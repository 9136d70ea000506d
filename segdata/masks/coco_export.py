"""Row-major runs -> COCO's column-major compressed RLE, without dense masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from segdata.masks.coco import transcode


def compressed_rles(
    runs: Sequence[NDArray[np.int64]], height: int, width: int
) -> list[dict[str, Any]]:
    """Encodes the masks of one image as COCO does.

    Args:
      runs: Per object its row-major runs, as records have them, not empty.
      height: Image height in pixels.
      width: Image width in pixels.

    Returns:
      Per object `{"size": [height, width], "counts": str}`.
    """
    if not runs:
        return []
    # Row-major runs of an image are column-major runs of its transpose.
    counts = transcode(list(runs), width, height)
    plain = [
        {"size": [height, width], "counts": _without_last_zero(c).tolist()}
        for c in counts
    ]
    return [
        {"size": [height, width], "counts": encoded["counts"].decode("ascii")}
        for encoded in coco_mask.frPyObjects(plain, height, width)
    ]


def _without_last_zero(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts[:-1] if not counts[-1] else counts
