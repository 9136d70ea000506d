"""A tiny Mask R-CNN and a batch as streams give it, drawn from numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE = (64, 96)
CLASSES = 3
TINY = {
    "image_size": SIZE,
    "classes": CLASSES,
    "encoder": "mobilenet-v2",
    "anchor_scale": 4.0,
    "pyramid_width": 16,
    "rpn_samples": 32,
    "rpn_candidates": 40,
    "rpn_candidates_test": 40,
    "proposals": 24,
    "roi_samples": 16,
    "box_width": 32,
    "mask_width": 8,
    "mask_convolutions": 1,
    "detections": 6,
    "candidates": 30,
    "max_objects": 4,
}
"""Options as JSON has them, so that other processes can be told."""


def tiny_model(**changes: Any) -> Any:
    import keras

    from segdata.trainers.models.mask_rcnn.model import build_mask_rcnn
    from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions

    keras.utils.set_random_seed(3)
    options: dict[str, Any] = {**TINY, **changes}
    options["image_size"] = tuple(options["image_size"])
    return build_mask_rcnn(MaskRCNNOptions(**options))


def tiny_batch(kind: str = "objects", count: int = 2) -> dict[str, np.ndarray]:
    """A batch of `objects`, of `nothing`, of only `crowds`, or of `padding`."""
    rng = np.random.default_rng(0)
    slots = count, int(TINY["max_objects"])  # type: ignore[call-overload]
    low = rng.uniform(0, 40, (*slots, 2))
    boxes = np.concatenate([low, low + rng.uniform(8, 24, (*slots, 2))], -1)
    valid = np.zeros(slots, np.bool_)
    valid[:, :2] = kind == "objects"
    crowd = np.zeros(slots, np.bool_)
    crowd[:, 2] = kind in ("objects", "crowds")
    taken = valid | crowd
    size = np.asarray([SIZE] * count, np.int32)
    real = kind != "padding"
    return {
        "image": rng.integers(0, 256, (count, *SIZE, 3), np.uint8) * np.uint8(real),
        "image_id": np.arange(count) if real else np.full(count, -1),
        "image_size": size * real,
        "scale": np.ones((count, 2), np.float32) * real,
        "offset": np.zeros((count, 2), np.float32),
        "boxes": (boxes * taken[..., None]).astype(np.float32),
        "classes": np.where(taken, rng.integers(1, CLASSES + 1, slots), 0).astype("i4"),
        "valid": valid,
        "crowd": crowd,
        "has_mask": valid,
        "masks": rng.integers(0, 2, (*slots, 28, 28), np.uint8),
    }
