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
