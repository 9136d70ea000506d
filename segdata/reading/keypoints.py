"""Keypoints of a dataset, and which change places in a mirror."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata.label_map import LabelMap


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointOrder:
    """How many keypoints objects have, and what is where after mirroring."""

    count: int
    """Keypoints of every object."""
    mirrored: NDArray[np.int32]
    """`[class ids from 0, count]`: the keypoint that a mirrored image shows in the
    place of each, `left_eye` for `right_eye`."""

    @classmethod
    def of(cls, label_map: LabelMap) -> KeypointOrder:
        """Reads the order from the names of the keypoints."""
        classes = label_map.object_classes
        count = label_map.num_keypoints
        table = np.tile(np.arange(count, dtype=np.int32), (_num_ids(label_map), 1))
        for item in classes:
            for place, name in enumerate(item.keypoints):
                other = _other_side(name)
                if other in item.keypoints:
                    table[item.id, place] = item.keypoints.index(other)
        return cls(count=count, mirrored=table)


def _num_ids(label_map: LabelMap) -> int:
    return 1 + max((item.id for item in label_map.object_classes), default=0)


def _other_side(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return re.sub("left|right", lambda match: sides[match[0]], name, count=1)
