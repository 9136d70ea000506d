"""Optimisers, and learning rates that follow from the number of the step alone.

So a resumed run goes on at the rate at which it was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from segdata.trainers.run.options import Schedule, TrainOptions

POLY_POWER = 0.9
"""Of DeepLab and PSPNet."""

_register = keras.saving.register_keras_serializable("segdata")


@_register
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a line from 0 to `peak`, then stays, or falls until `total_steps`.

    Attributes:
      peak: Highest rate.
      kind: `constant`; `poly`: the share of steps that are left, to the power of 0.9;
        `cosine`: half a wave; `steps`: a tenth after each of `drops`.
      total_steps: Steps of the whole run.
      warmup_steps: Steps of the rise.
      drops: Numbers of steps.
    """

    def __init__(
        self,
        peak: float,
        kind: Schedule,
        total_steps: int,
        warmup_steps: int = 0,
        drops: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.peak, self.kind = peak, kind
        self.total_steps, self.warmup_steps = total_steps, warmup_steps
        self.drops = tuple(drops)

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        rise = (step + 1.0) / max(self.warmup_steps, 1)
        length = max(self.total_steps - self.warmup_steps, 1)
        done = ops.clip((step - self.warmup_steps) / length, 0.0, 1.0)
        if self.kind == "poly":
            fall = ops.power(1.0 - done, POLY_POWER)
        elif self.kind == "cosine":
            fall = 0.5 * (1.0 + ops.cos(math.pi * done))
        else:
            fall = ops.ones_like(done)
            for drop in self.drops:
                fall = ops.where(step < drop, fall, 0.1 * fall)
        return self.peak * ops.where(step < self.warmup_steps, rise, fall)

    def get_config(self) -> dict[str, Any]:
        """What to build it from again."""
        return {
            "peak": self.peak,
            "kind": self.kind,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "drops": list(self.drops),
        }


def build_optimizer(options: TrainOptions, steps_per_epoch: int) -> Any:
    """The optimiser of a run.

    Weight decay is decoupled (Loshchilov, Hutter 2019) for all of them, and spares
    biases and batch normalisation.
    """
    rate = WarmupSchedule(
        options.learning_rate,
        options.schedule,
        total_steps=options.epochs * steps_per_epoch,
        warmup_steps=round(options.warmup_epochs * steps_per_epoch),
        drops=[round(epoch * steps_per_epoch) for epoch in options.drop_at],
    )
    given: dict[str, Any] = {
        "learning_rate": rate,
        "weight_decay": options.weight_decay or None,
        "global_clipnorm": options.clip_norm,
    }
    if options.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=options.momentum, **given)
    elif options.optimizer == "adamw":
        # Keras's AdamW wants a number.
        given["weight_decay"] = options.weight_decay
        optimizer = keras.optimizers.AdamW(**given)
    else:
        optimizer = keras.optimizers.Adam(**given)
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
