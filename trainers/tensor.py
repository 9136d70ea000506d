"""The type of an array of whichever backend Keras runs on."""

from typing import Any

Tensor = Any
