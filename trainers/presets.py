"""Recipes by name: options of `segdata train --preset NAME`.

What is given on the command line goes before a preset's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segdata.errors import OptionError

PRESETS: dict[str, Mapping[str, Any]] = {
    "camvid": {
        "encoder": "mobilenet-v2",
        "image_size": (192, 256),
        "void": "learn",
        # Never below 1: padding would be learnt as void.
        "scale": (1.0, 2.0),
        "flip": 0.5,
        "brightness": 0.15,
        "contrast": 0.3,
        "saturation": 0.3,
        "class_weights": "median-frequency",
        "class_weight_power": 0.5,
        "loss": "cross-entropy",
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "batch_size": 8,
        "epochs": 60,
    },
    "pets": {
        "image_size": (128, 128),
        "scale": (1.0, 1.5),
        "flip": 0.5,
        "brightness": 0.1,
        "contrast": 0.2,
        "saturation": 0.2,
        "train_split": "trainval",
        "val_split": "test",
        "loss": "both",
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "batch_size": 8,
        "epochs": 60,
    },
    # tensorflow/tpu's 1x schedule for COCO: 22,500 steps of 64 images.
    "mask-rcnn-coco": {
        "encoder": "resnet-50",
        "weights": "imagenet",
        "freeze_batch_norm": True,
        "image_size": (1024, 1024),
        "flip": 0.5,
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.08,
        # 1e-4 as a loss, which momentum sums up to ten times of it; ours is decoupled.
        "weight_decay": 1e-3,
        "schedule": "steps",
        "drop_at": (6.0, 8.0),
        "warmup_epochs": 0.2,
        "precision": "mixed-bfloat16",
        "batch_size": 64,
        "steps_per_epoch": 2500,
        "epochs": 9,
        "score_every": 3,
    },
    # For scenes of few objects, from random weights, on a CPU.
    "mask-rcnn-small": {
        "encoder": "mobilenet-v2",
        "pyramid_batch_norm": True,
        "image_size": (128, 128),
        "width": 64,
        "anchor_scale": 4.0,
        "candidates": 200,
        "proposals": 64,
        "rpn_samples": 64,
        "roi_samples": 48,
        "box_width": 256,
        "mask_width": 64,
        "detections": 20,
        "flip": 0.5,
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-3,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
        "clip_norm": 5.0,
        "batch_size": 8,
        "epochs": 30,
    },
}
"""Name -> values of `TrainOptions` fields."""


def preset(name: str) -> Mapping[str, Any]:
    """The options of a recipe.

    Raises:
      OptionError: If there is none of that name; it lists those there are.
    """
    if name not in PRESETS:
        raise OptionError(
            f"preset {name!r} is unknown: expected one of {', '.join(PRESETS)}."
        )
    return PRESETS[name]
