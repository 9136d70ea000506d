"""Counting keypoints by class, point and visibility."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segdata.statistics.objects import ObjectColumns

NUM_VISIBILITIES = 3
"""Not labelled, covered, visible: COCO's 0, 1 and 2."""


class KeypointTally:
    """Counts of those objects that have a labelled keypoint.

    Attributes:
      objects: `[num_ids]` such objects by class id.
      points: `[num_ids, keypoints, 3]` their keypoints by visibility, 0 to 2; as many
        keypoints as the records seen so far have.
    """

    def __init__(self, num_ids: int) -> None:
        self.objects: NDArray[np.int64] = np.zeros(num_ids, np.int64)
        self.points: NDArray[np.int64] = np.zeros(
            (num_ids, 0, NUM_VISIBILITIES), np.int64
        )

    def add(self, objects: ObjectColumns) -> None:
        """Counts the objects of some records."""
        has_any = objects.visibility.any(axis=1)
        if not has_any.any():
            return
        labels, visibility = objects.labels[has_any], objects.visibility[has_any]
        num_ids, num_points = len(self.objects), visibility.shape[1]
        self._grow(num_points)
        self.objects += np.bincount(labels, minlength=num_ids)
        shape = num_ids, num_points, NUM_VISIBILITIES
        places = labels[:, None] * num_points + np.arange(num_points)
        flat = (places * NUM_VISIBILITIES + visibility).reshape(-1)
        counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
        self.points[:, :num_points] += counts

    def merge(self, other: KeypointTally) -> None:
        """Adds what another counted."""
        self.objects += other.objects
        self._grow(other.points.shape[1])
        self.points[:, : other.points.shape[1]] += other.points

    def _grow(self, num_points: int) -> None:
        missing = num_points - self.points.shape[1]
        if missing > 0:
            self.points = np.pad(self.points, ((0, 0), (0, missing), (0, 0)))
