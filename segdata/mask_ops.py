"""Run-length masks decoded in graph, whole or straight at the size a model wants.

Eight pixels fill one int64 word. Each run boundary adds `value << 8 * (position & 7)`
to its own word, whole words between two boundaries come from `tf.ragged.range`,
`unsorted_segment_sum` merges all of it and `tf.bitcast` gives uint8 pixels. The cost
follows the number of runs and words, not of pixels; `tf.repeat(values, lengths)`, the
obvious form, would build runs x longest run.

Nearest resizing maps each run boundary to the output grid by counting the output
samples before it and never makes the full-size map. Output sample `i` of `out` looks
at source pixel `floor((i + 0.5) * in / out)`: the half-pixel centres of
`tf.image.resize(..., method="nearest")` and of most modern libraries.

These ops run on the host, in `tf.data` or eagerly; `tf.ragged.range` does not compile
under XLA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segdata.tensorflow_import import tf

# One byte of value 1 in each of the eight pixels of a word.
_ONES = 0x0101010101010101


Size = int | Any
"""A height or width in pixels: a Python int where it is known, else a `[] int` tensor.
Known sizes let the graph fold a good part of the work into constants."""


def decode_label_map(
    values: tf.Tensor, lengths: tf.Tensor, height: Size, width: Size
) -> tf.Tensor:
    """Decodes label-map runs at full size.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run, at least 1, row-major, summing to
        `height * width`.
      height: Height in pixels.
      width: Width in pixels.

    Returns:
      `[height, width] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and size do not agree.
    """
    height, width = _int32(height), _int32(width)
    num_pixels = height * width
    ids, ends = _runs(values, lengths, num_pixels)
    pixels = _paint(ids, ends[:-1], num_pixels, (num_pixels + 7) // 8)
    return tf.reshape(pixels, [height, width])


def resize_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    height: Size,
    width: Size,
    size: tuple[int, int],
) -> tf.Tensor:
    """Decodes label-map runs straight at another size, by nearest sampling.

    Equals nearest sampling of the decoded map exactly.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run, at least 1.
      height: Source height in pixels.
      width: Source width in pixels.
      size: Output `(height, width)` in pixels.

    Returns:
      `[size[0], size[1]] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and source size do not agree.
    """
    height, width = _int32(height), _int32(width)
    out_height, out_width = size
    ids, ends = _runs(values, lengths, height * width)
    bounds = ends[:-1]
    # Upsampling repeats whole rows: paint each source row once and gather, else the
    # boundaries of one row would have to be painted once for every output row.
    rows = _minimum(out_height, height)
    y = tf.truncatediv(bounds, width)
    x = bounds - y * width
    row = _samples_before(y, rows, height)
    next_row = _samples_before(y + 1, rows, height)
    positions = row * out_width + (next_row - row) * _samples_before(
        x, out_width, width
    )
    # Resizing leaves empty runs, also at the very end: their boundaries need a word.
    num_pixels = rows * out_width
    pixels = _paint(ids, positions, num_pixels, num_pixels // 8 + 1)
    pixels = tf.reshape(pixels, [rows, out_width])
    source_row = ((2 * tf.range(out_height) + 1) * height) // (2 * out_height)
    pixels = _where(
        rows < out_height, lambda: tf.gather(pixels, source_row), lambda: pixels
    )
    return tf.ensure_shape(pixels, size)


def _runs(
    values: tf.Tensor, lengths: tf.Tensor, num_pixels: Size
) -> tuple[tf.Tensor, tf.Tensor]:
    """Class ids `[runs] uint8` and ends `[runs] int32` of the runs.

    Checked, because wrong sums would pass in silence. The plain op costs a tenth of
    `tf.debugging.assert_equal`, which builds a branch.
    """
    ids = tf.io.decode_raw(values, tf.uint8)
    ends = tf.cumsum(tf.cast(lengths, tf.int32))
    fits = tf.raw_ops.Assert(
        condition=tf.equal(ends[-1], num_pixels),
        data=["label map: runs do not sum to height * width; they sum to", ends[-1]],
    )
    with tf.control_dependencies([] if fits is None else [fits]):
        return ids, tf.identity(ends)


def _paint(
    ids: tf.Tensor, bounds: tf.Tensor, num_pixels: Size, num_words: Size
) -> tf.Tensor:
    """Fills `[num_pixels] uint8` with `ids[k]` up to `bounds[k]`.

    Args:
      ids: `[runs] uint8`.
      bounds: `[runs - 1] int32`, where a run ends and the next begins; not falling,
        below `8 * num_words`.
      num_pixels: Pixels to fill.
      num_words: Words of eight pixels that cover them.
    """
    colors = tf.cast(ids, tf.int64) * tf.constant(_ONES, tf.int64)
    words = tf.bitwise.right_shift(bounds, 3)
    # Words that begin inside a run hold that run's colour eight times. Ranges count
    # up, hence the colour plus the word's number, which is taken off again ...
    next_words = words + 1
    base = tf.raw_ops.RaggedRange(
        starts=colors + tf.cast(tf.concat([[0], next_words], 0), tf.int64),
        limits=colors + tf.cast(tf.concat([next_words, [num_words]], 0), tf.int64),
        deltas=tf.constant(1, tf.int64),
        Tsplits=tf.int32,
    ).rt_dense_values - _count(num_words)
    # ... and each boundary changes the colour from its byte of the word on.
    steps = tf.bitwise.left_shift(
        colors[1:] - colors[:-1], tf.cast(8 * (bounds & 7), tf.int64)
    )
    change = tf.math.unsorted_segment_sum(steps, words, num_words)
    pixels = tf.reshape(tf.bitcast(base + change, tf.uint8), [-1])
    if isinstance(num_pixels, int) and num_pixels == 8 * num_words:
        return pixels  # slicing would copy all of it
    return pixels[:num_pixels]


def _count(stop: Size) -> tf.Tensor:
    """`[stop] int64`: 0, 1, 2, ...; a constant where the number is known."""
    if isinstance(stop, int):
        return tf.constant(np.arange(stop))
    return tf.range(tf.cast(stop, tf.int64))


def _samples_before(position: tf.Tensor, out: Size, size: Size) -> tf.Tensor:
    """Number of output samples, of `out` over `size` pixels, before a pixel's edge."""
    return tf.truncatediv(2 * out * position + (size - 1), 2 * size)


def _int32(value: Size) -> Size:
    return value if isinstance(value, int) else tf.cast(value, tf.int32)


def _minimum(one: Size, other: Size) -> Size:
    if isinstance(one, int) and isinstance(other, int):
        return min(one, other)
    return tf.minimum(one, other)


def _where(
    condition: bool | tf.Tensor,
    then: Callable[[], tf.Tensor],
    otherwise: Callable[[], tf.Tensor],
) -> tf.Tensor:
    """`tf.cond`, decided while tracing where the condition is known."""
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return tf.cond(condition, then, otherwise)
