"""Thin Keras 3 trainers over the streams, on TensorFlow or JAX.

May import everything but `pipelines` and `commands`.
Start at `run/train.py`; models are in `models/`, what differs between labelling pixels
and finding objects in `semantic/` and `instances/`. The public names are loaded when
first used:

    run = segdata.trainers.load_run("runs/camvid")
    labels = run.predict(image)
"""

# No `from __future__ import annotations`: it would be a name of the package.

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segdata.trainers.run.loaded import TrainedRun, load_run
    from segdata.trainers.run.options import TrainOptions
    from segdata.trainers.run.scoring import evaluate_detections, evaluate_label_maps
    from segdata.trainers.run.train import train

__all__ = [
    "TrainOptions",
    "TrainedRun",
    "evaluate_detections",
    "evaluate_label_maps",
    "load_run",
    "train",
]

_LAZY = {
    "TrainOptions": "segdata.trainers.run.options",
    "TrainedRun": "segdata.trainers.run.loaded",
    "evaluate_detections": "segdata.trainers.run.scoring",
    "evaluate_label_maps": "segdata.trainers.run.scoring",
    "load_run": "segdata.trainers.run.loaded",
    "train": "segdata.trainers.run.train",
}
"""Public name -> the module that has it."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'segdata.trainers' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
