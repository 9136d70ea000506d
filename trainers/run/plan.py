"""What a run is about to do, told before its first step."""

from __future__ import annotations

import logging
import math
from typing import Any

from segdata.trainers.run.data import TrainingData
from segdata.trainers.run.placement import Placement

logger = logging.getLogger(__name__)


def tell_plan(
    model: Any, data: TrainingData, placement: Placement, epochs_done: int
) -> None:
    """Says what is learnt from what, in how many steps, and what memory it takes."""
    options = data.options
    if epochs_done:
        logger.info(
            "resuming after epoch %d of %d with learning rate %.2g, schedule %s",
            epochs_done,
            options.epochs,
            float(model.optimizer.learning_rate),
            options.schedule,
        )
    height, width = data.image_size
    logger.info(
        "%s on %s: %d images of split %s, %d high x %d wide, %d classes, %.1f million "
        "weights",
        options.model,
        data.manifest.name,
        data.num_records,
        options.train_split,
        height,
        width,
        data.classes.num_classes,
        model.count_params() / 1e6,
    )
    logger.info(
        "%d epochs of %d steps of %d images; about %.1f GB for the step; %s, %d "
        "device%s on %d host%s",
        options.epochs,
        data.steps_per_epoch,
        options.batch_size,
        step_bytes(model, options.batch_size, options.precision) / 1e9,
        placement.backend,
        placement.num_devices,
        "s" * (placement.num_devices > 1),
        placement.num_hosts,
        "s" * (placement.num_hosts > 1),
    )


def step_bytes(model: Any, batch_size: int, precision: str) -> float:
    """Memory of a training step, roughly: weights and what layers put out.

    Each weight is there four times: with its gradient and the optimiser's two sums.
    Each output stays until the way back, where its gradient stands beside some of them.
    """
    size = 2 if precision == "mixed-bfloat16" else 4
    layers = (x for x in model._flatten_layers() if not getattr(x, "layers", None))
    outputs = sum(_values(layer) for layer in layers)
    weights = int(model.count_params())
    return 16.0 * weights + 1.5 * size * batch_size * outputs


def _values(layer: Any) -> int:
    """Numbers that a layer puts out for one image; 0 where that is not known."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):  # no output, or several
        return 0
    return 0 if None in shape[1:] else math.prod(shape[1:])
