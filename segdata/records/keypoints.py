"""Keypoints of one object, checked and brought to the dataset's number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.errors import AnnotationError, short_repr
from segdata.label_map import LabelClass


def read_keypoints(
    given: Any, label: LabelClass, num_keypoints: int, called: str
) -> NDArray[np.float64]:
    """Reads keypoints as COCO spells them.

    Args:
      given: `[x0, y0, visibility0, x1, ...]` in pixels, one triple for each keypoint of
        the class; None where the object has none.
      label: The object's class.
      num_keypoints: Keypoints of the class that has the most.
      called: Whose they are, for messages.

    Returns:
      `[num_keypoints, 3] float64`: x and y in pixels, visibility 0 to 2; all 0 where
      the object or its class has none.

    Raises:
      AnnotationError: If their number is not the class's, or one is no number.
    """
    result = np.zeros((num_keypoints, 3))
    if given is None:
        return result
    expected = len(label.keypoints)
    try:
        found = np.array(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.zeros(0)
    # Records hold float32. NaN is not less either.
    if found.shape != (3 * expected,) or not (np.abs(found) < 3e38).all():
        raise AnnotationError(
            f"{called} has the keypoints {short_repr(given)}: expected x, y and "
            f"visibility of the {expected} keypoints of {label.name!r}, all finite.",
            reason="bad-keypoints",
        )
    triples = found.reshape(expected, 3)
    if not np.isin(triples[:, 2], (0, 1, 2)).all():
        raise AnnotationError(
            f"{called} has keypoints of the visibilities "
            f"{short_repr(sorted(set(triples[:, 2].tolist())))}: expected 0, 1 or 2.",
            reason="bad-keypoints",
        )
    result[:expected] = triples
    return result
