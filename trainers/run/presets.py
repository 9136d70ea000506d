"""Recipes by name: options of `segdata train --preset NAME`.

What is given on the command line goes before a preset's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segdata.errors import OptionError

_CAMVID: Mapping[str, Any] = {
    "width": 16,
    "dropout": 0.2,
    "batch_norm_momentum": 0.98,
    # Learnt from parts at about .5 to 1 of the stored size, 360x480; measured on whole
    # images in the middle of that.
    "image_size": (192, 256),
    "eval_image_size": (288, 384),
    # Never below 1: padding would be learnt as void.
    "scale": (1.0, 2.0),
    "void": "learn",
    "flip": 0.5,
    "brightness": 0.15,
    "contrast": 0.3,
    "saturation": 0.3,
    "class_weights": "median-frequency",
    "class_weight_power": 0.3,
    "loss": "both",
    "optimizer": "adamw",
    "learning_rate": 1.5e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "precision": "mixed-bfloat16",
    "batch_size": 4,
    # Two passes.
    "steps_per_epoch": 184,
    "epochs": 28,
}

_PETS: Mapping[str, Any] = {
    "width": 16,
    "dropout": 0.2,
    "batch_norm_momentum": 0.98,
    "image_size": (128, 128),
    "scale": (0.8, 1.5),
    "flip": 0.5,
    "brightness": 0.15,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.03,
    "train_split": "trainval",
    "val_split": "test",
    "loss": "both",
    "optimizer": "adamw",
    "learning_rate": 1.5e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "precision": "mixed-bfloat16",
    "batch_size": 4,
    # Three passes over the 300 images of trainval.
    "steps_per_epoch": 225,
    "epochs": 20,
}

# Goes on from `pets`, with --initial-weights: images vary more.
_PETS_TUNE: Mapping[str, Any] = {
    **_PETS,
    "scale": (0.7, 1.8),
    "brightness": 0.2,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.05,
    "weight_decay": 3e-2,
    "learning_rate": 1e-3,
    "epochs": 16,
}

_SCENES: Mapping[str, Any] = {
    "encoder": "mobilenet-v2",
    "pyramid_batch_norm": True,
    "image_size": (128, 128),
    "width": 64,
    "anchor_scale": 4.0,
    "candidates": 200,
    "proposals": 64,
    "rpn_samples": 64,
    "roi_samples": 64,
    "roi_canonical": 64.0,
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
    # About 15 passes over 500 images.
    "steps_per_epoch": 160,
    "epochs": 12,
}

PRESETS: dict[str, Mapping[str, Any]] = {
    "camvid": _CAMVID,
    # Goes on from `camvid`, with --initial-weights: rare classes weigh more.
    "camvid-tune": {
        **_CAMVID,
        "class_weight_power": 0.6,
        "learning_rate": 1e-3,
        "epochs": 8,
    },
    "pets": _PETS,
    "pets-tune": _PETS_TUNE,
    # Goes on from `pets-tune` likewise: outlines are finer than pixels of 128x128.
    "pets-192": {
        **_PETS_TUNE,
        "image_size": (192, 192),
        "dropout": 0.3,
        "epochs": 44,
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
    "mask-rcnn-small": _SCENES,
    # Goes on from it, with --initial-weights: larger images that vary more.
    "mask-rcnn-small-tune": {
        **_SCENES,
        "image_size": (192, 192),
        "scale": (0.8, 1.3),
        "brightness": 0.1,
        "contrast": 0.2,
        "saturation": 0.2,
        "learning_rate": 1.5e-3,
        "steps_per_epoch": 160,
        "epochs": 20,
        "score_every": 4,
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
