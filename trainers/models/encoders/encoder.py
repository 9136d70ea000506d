"""What an encoder gives to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segdata.trainers.tensor import Tensor

SCOPE = "encoder"
"""Paths of an encoder's variables begin with it, whatever the model around it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """An encoder's tensors. Keys are strides: 8 is a map of an eighth of the size."""

    name: str
    """Name in `ENCODERS`."""
    input: Tensor
    """`[batch, height, width, 3] uint8`."""
    image: Tensor
    """The preprocessed image."""
    features: Mapping[int, Tensor]
    """The deepest map of each stride, before it is halved: of 1 to 32 in VGG-16, 4 to
    32 in ConvNeXt, 2 to 32 in the others."""
    pooled: Mapping[int, Tensor]
    """What FCN scores: for VGG-16 `pool1` (2) to `pool5` (32), else `features`."""

    def size(self, stride: int) -> tuple[int, int]:
        """Height and width of a map of a stride, also where the encoder has none."""
        height, width = self.input.shape[1:3]
        return -(-height // stride), -(-width // stride)
