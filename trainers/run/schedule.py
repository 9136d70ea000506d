"""Optimisers, and learning rates that follow from the number of the step alone.

So a resumed run goes on at the rate at which it was stopped.
"""

from __future__ import annotations

from typing import Any

import keras

from segdata.trainers.models.encoders.encoder import SCOPE
from segdata.trainers.run.option_groups import OptimizerOptions

POLY_POWER = 0.9
"""Of DeepLab and PSPNet."""


@keras.saving.register_keras_serializable("segdata")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a line to what a schedule begins with, then follows it.

    Attributes:
      schedule: One of Keras's; its step 0 is the first after the rise.
      steps: Steps of the rise.
    """

    def __init__(self, schedule: Any, steps: int) -> None:
        super().__init__()
        self.schedule, self.steps = schedule, steps

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        rise = ops.minimum((step + 1.0) / max(self.steps, 1), 1.0)
        return rise * self.schedule(ops.maximum(step - self.steps, 0.0))

    def get_config(self) -> dict[str, Any]:
        """What to build it from again."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Warmup:
        """Reads what `get_config` gave."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"])


def build_schedule(options: OptimizerOptions, steps_per_epoch: int) -> Any:
    """The learning rate of each step of a run."""
    schedules = keras.optimizers.schedules
    rate, warmup = options.learning_rate, round(options.warmup_epochs * steps_per_epoch)
    length = max(options.epochs * steps_per_epoch - warmup, 1)
    if options.schedule == "cosine":
        schedule = schedules.CosineDecay(rate, length)
    elif options.schedule == "poly":
        schedule = schedules.PolynomialDecay(rate, length, 0.0, POLY_POWER)
    else:
        drops = [round(epoch * steps_per_epoch) for epoch in options.drop_at]
        # Keras's boundaries are the last steps before a drop; one far away is none.
        boundaries = [float(step - 1 - warmup) for step in drops] or [1e9]
        values = [rate * 0.1**index for index in range(len(boundaries) + 1)]
        schedule = schedules.PiecewiseConstantDecay(boundaries, values)
    return Warmup(schedule, warmup)


def build_optimizer(options: OptimizerOptions, steps_per_epoch: int) -> Any:
    """The optimiser of a run.

    Weight decay is decoupled (Loshchilov, Hutter 2019) for all of them, and spares
    biases and batch normalisation.
    """
    given: dict[str, Any] = {
        "learning_rate": build_schedule(options, steps_per_epoch),
        "weight_decay": options.weight_decay or None,
        "global_clipnorm": options.clip_norm,
        "gradient_accumulation_steps": (
            options.accumulate if options.accumulate > 1 else None
        ),
    }
    if options.optimizer == "sgd":
        given["momentum"] = options.momentum
    elif options.optimizer == "adamw":
        # Keras's AdamW wants a number.
        given["weight_decay"] = options.weight_decay
    kind = getattr(keras.optimizers, _CLASSES[options.optimizer])
    if options.encoder_rate != 1:
        kind = _with_encoder_rate(kind, options.encoder_rate)
    optimizer = kind(**given)
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


_CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


def _with_encoder_rate(kind: Any, share: float) -> Any:
    """An optimiser whose steps in the encoder are smaller."""

    class Slower(kind):
        def update_step(self, gradient: Any, variable: Any, rate: Any) -> None:
            known = self._trainable_variables[self._get_variable_index(variable)]
            if known.path.split("/")[0] == SCOPE:
                rate = rate * share
            super().update_step(gradient, variable, rate)

    return Slower
