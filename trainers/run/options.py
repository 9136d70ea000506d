"""A training run's options, checked when they are made; `option_groups.py` has them.

A number of 0, or None, is chosen by `settle.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from segdata.errors import OptionError
from segdata.trainers.models import INSTANCE_MODELS, MODELS, check_model
from segdata.trainers.models.options import MIN_SIZE
from segdata.trainers.run.option_groups import (
    AugmentationOptions,
    DataOptions,
    DetectorOptions,
    DeviceOptions,
    ModelChoice,
    OptimizerOptions,
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(
    DeviceOptions,
    DetectorOptions,
    AugmentationOptions,
    OptimizerOptions,
    DataOptions,
    ModelChoice,
):
    """A training run: all groups. What each field means is its help text."""

    def __post_init__(self) -> None:
        check_model(self.model)
        self._check_task()
        for item in fields(self):
            low, high = item.metadata.get("low"), item.metadata.get("high")
            if low is not None and getattr(self, item.name) is not None:
                _check(item.name, getattr(self, item.name), low, high)
        if (self.schedule == "steps") != bool(self.drop_at):
            raise OptionError(
                f"drop_at is {list(self.drop_at)} with schedule {self.schedule!r}: "
                "expected epochs with 'steps', and only there."
            )
        if self.epochs:
            for epoch in self.drop_at:
                _check("drop_at", epoch, 0, self.epochs)
            _check("warmup_epochs", self.warmup_epochs, 0, self.epochs)
        _check("warmup_epochs", self.warmup_epochs, 0, None)
        _check("host_index", self.host_index, 0, self.num_hosts - 1)
        for name in ("image_size", "eval_image_size"):
            _check_size(name, getattr(self, name))
        for name in ("clip_norm", "roi_canonical"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} is {value}: expected more than 0.")
        self.augmentation()
        if self.freeze_encoder and not (self.weights or self.initial_weights):
            raise OptionError(
                "freeze_encoder is True with random weights, which would never learn: "
                "expected weights or initial_weights too."
            )
        if self.num_hosts > 1 and self.coordinator in (None, "auto"):
            raise OptionError(
                f"num_hosts is {self.num_hosts}: expected the first host's address as "
                "coordinator, HOST:PORT."
            )

    def _check_task(self) -> None:
        """Refuses options that mean nothing to the model."""
        others = MODELS if self.task == "instances" else INSTANCE_MODELS
        for item in fields(self):
            value = getattr(self, item.name)
            foreign = item.metadata.get("task") not in (None, self.task)
            if foreign and value != item.default:
                raise OptionError(
                    f"{item.name} is {value!r} with model {self.model!r}: it is an "
                    f"option of {', '.join(others)}. Leave it out."
                )

    def check_effect(self) -> None:
        """Refuses options that others leave without effect.

        Raises:
          OptionError: If there is one; what to do about it is said.
        """
        weighted = self.class_weights != "none"
        needed = {
            "momentum": (self.optimizer == "sgd", "optimizer sgd"),
            "class_weights": (self.loss != "dice", "loss cross-entropy or both"),
            "class_weight_power": (weighted, "class_weights median-frequency"),
            "class_weight_limit": (weighted, "class_weights median-frequency"),
            "auxiliary_weight": (
                self.model == "pspnet" or self.model not in MODELS,
                "model pspnet",
            ),
            "encoder_rate": (not self.freeze_encoder, "an encoder that learns"),
            "score_every": (self.val_split != "none", "a validation split"),
        }
        defaults = {item.name: item.default for item in fields(self)}
        for name, (has_effect, what) in needed.items():
            value = getattr(self, name)
            if not has_effect and value != defaults[name]:
                raise OptionError(
                    f"{name} is {value!r}, which has an effect only with {what}. Leave "
                    "it out, or add that."
                )

    def to_json(self) -> dict[str, Any]:
        """A JSON object of all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainOptions:
        """Reads what `to_json` wrote, also where other versions have other fields."""
        known = {item.name for item in fields(cls)}
        given = {name: value for name, value in data.items() if name in known}
        for name, value in given.items():
            if isinstance(value, list):  # tuples come back from JSON as lists
                given[name] = tuple(value)
        return cls(**given)


def _check(name: str, value: float, low: float, high: float | None) -> None:
    if high is None and not value >= low:
        raise OptionError(f"{name} is {value}: expected at least {low}.")
    if high is not None and not low <= value <= high:
        raise OptionError(f"{name} is {value}: expected {low} to {high}.")


def _check_size(name: str, size: Any) -> None:
    if size is None:
        return
    is_pair = isinstance(size, tuple | list) and len(size) == 2
    if not is_pair or not all(isinstance(side, int) for side in size):
        raise OptionError(f"{name} is {size!r}: expected (height, width) in pixels.")
    if min(size) < MIN_SIZE:
        raise OptionError(
            f"{name} is {size}: expected (height, width), both at least {MIN_SIZE}."
        )
