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
    `keras.applications`, of EfficientNet-Lite0 a state dict."""
    load_weights: bool = True
    """Whether to load them; not where trained ones of the same model follow."""
    freeze_encoder: bool = False
    """Whether the encoder stays as its weights have it, batch normalisation too."""
    upsampling: Upsampling | None = None
    """How feature maps grow; None is the paper's way."""
    batch_norm: bool = True
    """Batch normalisation in decoders and heads, and in VGG-16 with random weights.
    The other encoders are as published."""
    batch_norm_momentum: float = 0.9
    """Of all batch normalisation, 0 to 1: the share that running statistics keep in a
    step."""
    width: int | None = None
    """Base number of the decoder's channels; its default stands with each model. FCN
    has no such decoder."""
    fc_width: int | None = None
    """Channels of fc6 and fc7, which only FCN on VGG-16 has; 4096 by default."""
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
        for name in ("width", "fc_width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} is {value}: expected at least 1.")

    def refuse(self, model: str, *names: str) -> None:
        """Refuses options that mean nothing to a model.

        Raises:
          OptionError: If one of them is given; it says to leave it out.
        """
        for name in names:
            if getattr(self, name):
                raise OptionError(
                    f"{name} is {getattr(self, name)!r}, but {model} has nothing that "
                    "it could change: leave it out."
                )
