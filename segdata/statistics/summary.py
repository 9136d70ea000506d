"""What was counted of a split -> its part of `stats.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.label_map import LabelClass, LabelMap
from segdata.statistics.keypoints import NUM_VISIBILITIES, KeypointTally
from segdata.statistics.tally import (
    SIZE_EDGES,
    ChannelTally,
    Distribution,
    Examples,
    SplitTally,
)

_MAX_SIZES = 100
_SMALL, _LARGE = SIZE_EDGES.index(32) + 1, SIZE_EDGES.index(96) + 1
ASPECT_EDGES = (1 / 3, 1 / 2, 2 / 3, 3 / 4, 0.95, 1.05, 4 / 3, 3 / 2, 2.0, 3.0)
"""Width / height between the bins of aspect ratios; a bin has its lower edge."""


def summarize_split(tally: SplitTally, label_map: LabelMap) -> dict[str, Any]:
    """Sums up a split.

    Args:
      tally: What was counted of all its shards.
      label_map: The dataset's classes.

    Returns:
      JSON-able; docs/statistics.md describes it.
    """
    objects = int(tally.classes.objects.sum())
    crowds = int(tally.classes.crowds.sum())
    return {
        "images": tally.num_records,
        "empty_images": tally.num_empty,
        "objects": objects,
        "crowds": crowds,
        "crowd_share": _share(crowds, objects),
        "box_only_objects": tally.box_only,
        "keypoint_objects": int(tally.keypoints.objects.sum()),
        "object_sizes": _sizes(tally.classes.sizes.sum(axis=0)),
        "image_sizes": _image_sizes(tally),
        "record_bytes": _distribution(tally.record_bytes),
        "record_runs": _distribution(tally.record_runs),
        "record_objects": _distribution(tally.record_objects),
        "channels": _channels(tally.channels, tally.num_records),
        "semantic_classes": _semantic(tally, label_map),
        "object_classes": _objects(tally, label_map),
        "findings": {
            name: {"count": found.count, "examples": _examples(found)}
            for name, found in sorted(tally.findings.items())
        },
    }


def _semantic(tally: SplitTally, label_map: LabelMap) -> list[dict[str, Any]]:
    counts = tally.classes
    total = int(counts.pixels.sum())
    classes = list(label_map.semantic_classes)
    listed = {item.id for item in classes}
    for value in np.flatnonzero(counts.pixels).tolist():
        if value not in listed:  # such as 255, ignored and of no class
            classes.append(LabelClass(id=value, name=f"id {value}", color=(0, 0, 0)))
    counted = [item.id for item in classes if item.id != label_map.ignore_id]
    frequencies = {
        i: int(counts.pixels[i]) / int(counts.present_pixels[i])
        for i in counted
        if counts.pixels[i]
    }
    middle = median(frequencies.values()) if frequencies else 0.0
    inverse = _inverse({i: int(counts.pixels[i]) for i in counted})
    return [
        {
            "id": item.id,
            "name": item.name,
            "is_ignored": item.id == label_map.ignore_id,
            "pixels": int(counts.pixels[item.id]),
            "pixel_share": _share(int(counts.pixels[item.id]), total),
            "images": int(counts.pixel_images[item.id]),
            "median_frequency_weight": (
                middle / frequencies[item.id] if item.id in frequencies else None
            ),
            "inverse_frequency_weight": inverse.get(item.id),
            "examples": _examples(counts.examples.get(("semantic", item.id))),
        }
        for item in classes
    ]


def _objects(tally: SplitTally, label_map: LabelMap) -> list[dict[str, Any]]:
    counts = tally.classes
    classes = label_map.object_classes
    total = int(counts.objects.sum())
    inverse = _inverse({item.id: int(counts.objects[item.id]) for item in classes})
    return [
        {
            "id": item.id,
            "name": item.name,
            "supercategory": item.supercategory,
            "is_thing": item.is_thing,
            "objects": int(counts.objects[item.id]),
            "object_share": _share(int(counts.objects[item.id]), total),
            "crowds": int(counts.crowds[item.id]),
            "images": int(counts.object_images[item.id]),
            "mask_pixels": int(counts.mask_pixels[item.id]),
            "sizes": _sizes(counts.sizes[item.id]),
            "keypoints": _keypoints(tally.keypoints, item),
            "inverse_frequency_weight": inverse.get(item.id),
            "examples": _examples(counts.examples.get(("objects", item.id))),
        }
        for item in classes
    ]


def _keypoints(found: KeypointTally, item: LabelClass) -> dict[str, Any] | None:
    """Objects with keypoints, and these by name; None if the class has none."""
    if not item.keypoints:
        return None
    points = np.zeros((len(item.keypoints), NUM_VISIBILITIES), np.int64)
    counted = found.points[item.id, : len(item.keypoints)]
    points[: len(counted)] = counted
    return {
        "objects": int(found.objects[item.id]),
        "points": [
            {
                "name": name,
                "visible": int(visible),
                "covered": int(covered),
                "not_labelled": int(not_labelled),
            }
            for name, (not_labelled, covered, visible) in zip(
                item.keypoints, points, strict=True
            )
        ],
    }


def _inverse(counts: dict[int, int]) -> dict[int, float]:
    """Total / (classes * count): 1 for every class of a balanced dataset."""
    present = {key: count for key, count in counts.items() if count}
    total = sum(present.values())
    return {key: total / (len(present) * n) for key, n in present.items()}


def _sizes(bins: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "small": int(bins[:_SMALL].sum()),
        "medium": int(bins[_SMALL:_LARGE].sum()),
        "large": int(bins[_LARGE:].sum()),
        "histogram": bins.tolist(),
    }


def _image_sizes(tally: SplitTally) -> dict[str, Any]:
    sizes = tally.sizes
    by_count = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    ratios = [0] * (len(ASPECT_EDGES) + 1)
    for (width, height), count in sizes.items():
        ratios[sum(edge <= width / height for edge in ASPECT_EDGES)] += count
    return {
        "widths": _range((width, count) for (width, _), count in sizes.items()),
        "heights": _range((height, count) for (_, height), count in sizes.items()),
        "num_different": len(sizes),
        "most_frequent": [
            {"width": width, "height": height, "images": count}
            for (width, height), count in by_count[:_MAX_SIZES]
        ],
        "aspect_ratios": {"edges": ASPECT_EDGES, "histogram": ratios},
    }


def _range(pairs: Iterable[tuple[int, int]]) -> dict[str, Any]:
    values = list(pairs)
    if not values:
        return {"min": None, "max": None, "mean": None}
    sides = [side for side, _ in values]
    total = sum(count for _, count in values)
    mean = sum(side * count for side, count in values) / total
    return {"min": min(sides), "max": max(sides), "mean": mean}


def _distribution(found: Distribution) -> dict[str, Any]:
    last = max(np.flatnonzero(found.by_bits).tolist(), default=-1)
    return {
        "total": found.total,
        "min": found.lowest if found.count else None,
        "max": found.highest if found.count else None,
        "mean": _share(found.total, found.count),
        "histogram": found.by_bits[: last + 1].tolist(),
    }


def _channels(tally: ChannelTally, num_records: int) -> dict[str, Any] | None:
    n = tally.num_pixels
    if not n:
        return None
    sums = list(zip(tally.sums, tally.squares, strict=True))
    is_exact = tally.num_records == num_records
    return {
        "images": tally.num_records,
        "pixels": n,
        "is_exact": is_exact,
        "mean": [total / n for total, _ in sums],
        # Whole numbers up to the root: no cancellation.
        "std": [math.sqrt(n * square - total * total) / n for total, square in sums],
        "standard_error": [0.0] * 3 if is_exact else _errors(tally, num_records),
    }


def _errors(tally: ChannelTally, num_records: int) -> list[float] | None:
    """Standard error of each channel's mean, from how much the sample's images differ.

    For a sample without replacement, of images that count alike.
    """
    n = tally.num_records
    if n < 2:
        return None
    left_out = 1 - n / num_records
    spreads = zip(tally.mean_sums, tally.mean_squares, strict=True)
    return [
        math.sqrt((n * square - total * total) / (n * n * (n - 1)) * left_out) / 1000
        for total, square in spreads
    ]


def _examples(found: Examples | None) -> list[dict[str, Any]]:
    chosen = found.chosen if found else []
    return [{"key": key, "position": position} for _, key, position in chosen]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
