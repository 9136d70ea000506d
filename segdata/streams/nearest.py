"""Nearest sampling along one axis, as exact rational arithmetic.

Output sample `i` of `count` looks at source pixel `floor((start + step * i) / unit)`.
Runs are resized by the inverse: how many samples lie before a pixel's edge. Numerators
are whole numbers in float64, where division rounds so that floor and ceil of every
quotient below 2**53 are those of the true one; integer division would cost more, and
overflow on wide images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from segdata.reading.geometry import Number, Span
from segdata.streams.tensorflow import tf


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """Where the samples of one axis lie; numbers, or `[n]` tensors of many axes."""

    start: Number
    """Numerator of the first sample's position, whole."""
    step: Number
    """Numerator of the distance of two samples, whole, at least 1."""
    unit: Number
    """Denominator, whole, at least 1: how many steps of the numerator make a pixel."""
    count: Number
    """Number of samples, whole."""

    def samples_before(self, position: tf.Tensor) -> tf.Tensor:
        """Number of samples that look at pixels below `position`, in float64.

        Args:
          position: float64 pixel edges, whole, of any shape.
        """
        before = tf.math.ceil((position * self.unit - self.start) / self.step)
        return tf.minimum(tf.maximum(before, 0.0), self.count)

    def pixels(self, samples: tf.Tensor) -> tf.Tensor:
        """Source pixels that samples look at, in float64."""
        return tf.math.floor((self.start + self.step * samples) / self.unit)

    def of(self, which: tf.Tensor) -> Sampling:
        """Those of many axes that `which`, int32 of any shape, names."""
        start, step, unit, count = gather_axes(which, *self.fields)
        return Sampling(start=start, step=step, unit=unit, count=count)

    @property
    def fields(self) -> tuple[Number, Number, Number, Number]:
        """`start, step, unit, count`."""
        return self.start, self.step, self.unit, self.count

    def without_repeats(self) -> Sampling:
        """Where samples look at a pixel twice: one sample for each pixel they touch."""
        first = _floor(self.start / self.unit)
        last = _floor((self.start + self.step * (self.count - 1)) / self.unit)
        touched = last - first + 1.0
        repeats = touched < self.count
        return Sampling(
            start=_either(repeats, first, self.start),
            step=_either(repeats, 1.0, self.step),
            unit=_either(repeats, 1.0, self.unit),
            count=_either(repeats, touched, self.count),
        )


def gather_axes(which: tf.Tensor, *values: Number) -> list[Number]:
    """Values of many axes -> of those that `which` names, with a single gather.

    Args:
      which: int32 of any shape.
      *values: `[n] float64` tensors; a number is the same for all, and stays as it is.
    """
    vectors = [value for value in values if not isinstance(value, float)]
    picked = tf.gather(tf.stack(vectors), which, axis=1)
    left = iter(tf.unstack(picked, num=len(vectors)))
    return [value if isinstance(value, float) else next(left) for value in values]


def stretched(first: Number, size: Number, count: Number) -> Sampling:
    """`count` samples at half-pixel centres over pixels `first` to `first + size`.

    Those of `tf.image.resize(..., method="nearest")` and of most modern libraries.
    """
    return Sampling(
        start=2.0 * count * first + size,
        step=2.0 * size,
        unit=2.0 * count,
        count=count,
    )


def of_span(span: Span) -> Sampling:
    """Nearest sampling of the pixels that a span shows, before padding and flipping."""
    return stretched(span.low, span.size, span.extent)


def float64(value: Any) -> Number:
    """A Python number as float, a tensor as float64."""
    if isinstance(value, int | float):
        return float(value)
    return tf.cast(value, tf.float64)


def _floor(value: Number) -> Number:
    return math.floor(value) if isinstance(value, float) else tf.math.floor(value)


def _either(condition: bool | tf.Tensor, one: Number, other: Number) -> Number:
    """`tf.where`, decided while tracing where the condition is known."""
    if isinstance(condition, bool):
        return one if condition else other
    # Not `tf.cast`, which would take a Python number through float32.
    one, other = (tf.convert_to_tensor(value, tf.float64) for value in (one, other))
    return tf.where(condition, one, other)
