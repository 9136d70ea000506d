"""What every model is told when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segdata.errors import OptionError

Upsampling = Literal["nearest", "bilinear", "transpose"]
UPSAMPLINGS: tuple[Upsampling, ...] = ("nearest", "bilinear", "transpose")

MIN_SIZE = 32
"""Smallest height and width: the encoders halve five times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions:
    """How a model is built; None is the model's own choice, which its paper made."""

    num_classes: int
    """Channels of the logits: the highest class id and one."""
    image_size: tuple[int, int]
    """Height and width of the input in pixels, any from 32, also odd."""
    encoder: str | None = None
    """Name in `encoders.ENCODERS`; None is the model's own."""
    weights: str | None = None
    """Of the encoder: None (random), `imagenet`, or a weights file of
    `keras.applications`."""
    upsampling: Upsampling | None = None
    """How feature maps grow; None is the paper's way."""
    batch_norm: bool = True
    """Batch normalisation in what is ours: decoders, heads, VGG-16. ResNet-50 and
    MobileNetV2 are made with it."""
    batch_norm_momentum: float = 0.9
    """Of all batch normalisation, 0 to 1: the share that running statistics keep in a
    step."""
    width: int | None = None
    """Channels of the model's own part; what it means, and its default, stands with
    each model."""
    dropout: float | None = None
    """Share of values that dropout drops while training; None is the paper's."""
    seed: int = 0
    """Seed of dropout."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_classes <= 255:
            raise OptionError(
                f"num_classes is {self.num_classes}: expected 1 to 255 (255 marks "
                "ignored pixels)."
            )
        if len(self.image_size) != 2 or min(self.image_size) < MIN_SIZE:
            raise OptionError(
                f"image_size is {self.image_size}: expected (height, width), both at "
                f"least {MIN_SIZE}."
            )
        if self.upsampling not in (None, *UPSAMPLINGS):
            raise OptionError(
                f"upsampling is {self.upsampling!r}: expected one of "
                f"{', '.join(UPSAMPLINGS)}, or None."
            )
        if not 0 <= self.batch_norm_momentum < 1:
            raise OptionError(
                f"batch_norm_momentum is {self.batch_norm_momentum}: expected 0 to "
                "below 1."
            )
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise OptionError(f"dropout is {self.dropout}: expected 0 to below 1.")
        if self.width is not None and self.width < 1:
            raise OptionError(f"width is {self.width}: expected at least 1.")
