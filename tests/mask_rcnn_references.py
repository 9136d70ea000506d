"""Mask R-CNN's geometry in plain NumPy, one box and one sample after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

Array = np.ndarray


def iou(box: Array, other: Array) -> float:
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(height, 0.0) * max(width, 0.0)
    union = area(box) + area(other) - shared
    return shared / union if union > 0 else 0.0


def area(box: Array) -> float:
    return float(box[2] - box[0]) * float(box[3] - box[1])


def covered(box: Array, region: Array) -> float:
    height = min(box[2], region[2]) - max(box[0], region[0])
    width = min(box[3], region[3]) - max(box[1], region[1])
    return max(height, 0.0) * max(width, 0.0) / area(box) if area(box) > 0 else 0.0


def encode(anchor: Array, box: Array, weights: Array) -> Array:
    (ay, ax, ah, aw), (y, x, h, w) = center(anchor), center(box)
    delta = [(y - ay) / ah, (x - ax) / aw, math.log(h / ah), math.log(w / aw)]
    return np.asarray(delta) * weights


def center(box: Array) -> tuple[float, float, float, float]:
    ymin, xmin, ymax, xmax = map(float, box)
    return (ymin + ymax) / 2, (xmin + xmax) / 2, ymax - ymin, xmax - xmin


def greedy_nms(
    boxes: Array, valid: Array, threshold: float, groups: Array | None = None
) -> Array:
    """Best first: each box in turn, unless a kept one of its group overlaps it."""
    kept: list[int] = []
    for j in range(len(boxes)):
        if valid[j] and not any(
            iou(boxes[i], boxes[j]) > threshold
            and (groups is None or groups[i] == groups[j])
            for i in kept
        ):
            kept.append(j)
    return np.isin(np.arange(len(boxes)), kept)


def match_anchors(
    anchors: Array, boxes: Array, valid: Array, crowd: Array
) -> tuple[Array, Array, Array]:
    """Slot, positive, negative of each anchor of an image."""
    table = np.array(
        [
            [iou(a, b) if v else -1.0 for b, v in zip(boxes, valid, strict=True)]
            for a in anchors
        ]
    )
    best = table.max(axis=1)
    positive = best >= 0.7
    for slot in np.flatnonzero(valid):
        top = table[:, slot].max()
        if top > 0:
            positive |= np.isclose(table[:, slot], top, rtol=1e-5, atol=0)
    negative = (best < 0.3) & ~positive & ~_over(anchors, boxes, crowd)
    return table.argmax(axis=1), positive, negative


def match_rois(
    rois: Array, roi_valid: Array, boxes: Array, valid: Array, crowd: Array
) -> tuple[Array, Array, Array]:
    table = np.array(
        [
            [iou(a, b) if v else -1.0 for b, v in zip(boxes, valid, strict=True)]
            for a in rois
        ]
    )
    near = table.max(axis=1) >= 0.5
    negative = roi_valid & ~near & ~_over(rois, boxes, crowd)
    return table.argmax(axis=1), roi_valid & near, negative


def _over(boxes: Array, regions: Array, crowd: Array) -> Array:
    return np.array(
        [
            any(covered(box, region) >= 0.5 for region in regions[crowd])
            for box in boxes
        ],
        bool,
    )


def bilinear(level: Array, y: float, x: float) -> Array:
    """A sample of `[h, w, ...]`: 0 a cell and more outside, else edges repeated."""
    height, width = level.shape[:2]
    if not (-1 < y < height and -1 < x < width):
        return np.zeros(level.shape[2:])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    above = level[top, left] * (1 - u) + level[top, right] * u
    below = level[bottom, left] * (1 - u) + level[bottom, right] * u
    return above * (1 - v) + below * v


def roi_align(
    features: Mapping[int, Array], box: Array, size: int, points: int
) -> Array:
    """One ROI of one image; levels are `[h, w, c]`."""
    side = math.sqrt(max(area(box), 0.0))
    level = math.floor(4 + math.log2(side / 224)) if side > 0 else min(features)
    level = min(max(level, min(features)), max(features))
    ymin, xmin, ymax, xmax = (float(edge) / 2**level for edge in box)
    result = np.zeros((size, size, features[level].shape[-1]))
    for i, j, p, q in np.ndindex(size, size, points, points):
        y = ymin + (ymax - ymin) * (i * points + p + 0.5) / (size * points) - 0.5
        x = xmin + (xmax - xmin) * (j * points + q + 0.5) / (size * points) - 0.5
        result[i, j] += bilinear(features[level], y, x) / points**2
    return result


def mask_target(mask: Array, box: Array, roi: Array, size: int) -> Array:
    """`[size, size]` values before the threshold, 0 outside the object's box."""
    cells, result = len(mask), np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        y = roi[0] + (roi[2] - roi[0]) * (i + 0.5) / size
        x = roi[1] + (roi[3] - roi[1]) * (j + 0.5) / size
        if box[0] <= y <= box[2] and box[1] <= x <= box[3]:
            v = (y - box[0]) / (box[2] - box[0]) * cells - 0.5
            u = (x - box[1]) / (box[3] - box[1]) * cells - 0.5
            result[i, j] = bilinear(mask.astype(np.float64), v, u)
    return result


def paste(mask: Array, box: Array, height: int, width: int) -> Array:
    """`[height, width]` probabilities: 0 where a pixel's centre is outside the box."""
    result = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        y, x = i + 0.5, j + 0.5
        if box[0] <= y < box[2] and box[1] <= x < box[3]:
            v = (y - box[0]) / (box[2] - box[0]) * mask.shape[0] - 0.5
            u = (x - box[1]) / (box[3] - box[1]) * mask.shape[1] - 0.5
            result[i, j] = bilinear(mask.astype(np.float64), v, u)
    return result
