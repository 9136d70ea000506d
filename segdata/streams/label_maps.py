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

from segdata.reading.geometry import Number
from segdata.streams.nearest import Sampling, float64, stretched
from segdata.streams.tensorflow import tf

# One byte of value 1 in each of the eight pixels of a word.
_ONES = 0x0101010101010101


Size = int | Any
"""A height or width in pixels: a Python int where it is known, else a `[] int` tensor.
Known sizes let the graph fold a good part of the work into constants."""


def decode_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    height: Size,
    width: Size,
    where: str | tf.Tensor = "",
) -> tf.Tensor:
    """Decodes label-map runs at full size.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run, at least 1, row-major, summing to
        `height * width`.
      height: Height in pixels.
      width: Width in pixels.
      where: Name of the record, for messages.

    Returns:
      `[height, width] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and size do not agree.
    """
    height, width = _int32(height), _int32(width)
    num_pixels = height * width
    ids, ends = _runs(values, lengths, num_pixels, where)
    pixels = _paint(ids, ends[:-1], num_pixels, (num_pixels + 7) // 8)
    return tf.reshape(pixels, [height, width])


def resize_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    height: Size,
    width: Size,
    size: tuple[int, int],
    where: str | tf.Tensor = "",
) -> tf.Tensor:
    """Decodes label-map runs straight at another size, by nearest sampling.

    Equals nearest sampling of the decoded map exactly.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run, at least 1.
      height: Source height in pixels.
      width: Source width in pixels.
      size: Output `(height, width)` in pixels.
      where: Name of the record, for messages.

    Returns:
      `[size[0], size[1]] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and source size do not agree.
    """
    rows = stretched(0.0, float64(height), float(size[0]))
    columns = stretched(0.0, float64(width), float(size[1]))
    sampled = sample_label_map(values, lengths, height, width, rows, columns, where)
    return tf.ensure_shape(sampled, size)


def sample_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    height: Size,
    width: Size,
    rows: Sampling,
    columns: Sampling,
    where: str | tf.Tensor = "",
) -> tf.Tensor:
    """Decodes the samples of a label map straight from its runs.

    Args:
      values: `[runs] uint8`, as one string.
      lengths: `[runs] int64`, pixels of each run, at least 1.
      height: Source height in pixels.
      width: Source width in pixels.
      rows: Which pixel rows the output's rows look at, all inside the map.
      columns: Likewise the columns.
      where: Name of the record, for messages.

    Returns:
      `[rows.count, columns.count] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and source size do not agree.
    """
    height, width = float64(height), float64(width)
    ids, ends = _runs(values, lengths, height * width, where)
    # Upsampling repeats whole rows: paint each source row once and gather, else the
    # boundaries of one row would have to be painted once for every output row.
    painted = rows.without_repeats()
    position = tf.cast(ends[:-1], tf.float64)
    y = tf.math.floor(position / width)
    x = position - y * width
    row = painted.samples_before(y)
    sampled = painted.samples_before(y + 1.0) - row
    on_grid = row * columns.count + sampled * columns.samples_before(x)
    num_rows, num_columns = _int32(painted.count), _int32(columns.count)
    # Sampling leaves empty runs, also at the very end: their boundaries need a word.
    num_pixels = num_rows * num_columns
    pixels = _paint(ids, tf.cast(on_grid, tf.int32), num_pixels, num_pixels // 8 + 1)
    pixels = tf.reshape(pixels, [num_rows, num_columns])

    def gather() -> tf.Tensor:
        samples = tf.range(_float64_tensor(rows.count))
        source = painted.samples_before(rows.pixels(samples))
        return tf.gather(pixels, tf.cast(source, tf.int32))

    return _where(painted.count < rows.count, gather, lambda: pixels)


def _runs(
    values: tf.Tensor, lengths: tf.Tensor, num_pixels: Number, where: str | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Class ids `[runs] uint8` and ends `[runs] int32` of the runs.

    Checked, because wrong sums would pass in silence. The plain op costs a tenth of
    `tf.debugging.assert_equal`, which builds a branch.
    """
    ids = tf.io.decode_raw(values, tf.uint8)
    ends = tf.cumsum(tf.cast(lengths, tf.int32))
    fits = tf.raw_ops.Assert(
        condition=tf.equal(ends[-1], tf.cast(num_pixels, tf.int32)),
        data=[
            "label map: runs do not sum to height * width; they sum to",
            ends[-1],
            "record",
            where,
        ],
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


def _int32(value: Number) -> Size:
    return int(value) if isinstance(value, int | float) else tf.cast(value, tf.int32)


def _float64_tensor(value: Number) -> tf.Tensor:
    return tf.convert_to_tensor(value, tf.float64)


def _where(
    condition: bool | tf.Tensor,
    then: Callable[[], tf.Tensor],
    otherwise: Callable[[], tf.Tensor],
) -> tf.Tensor:
    """`tf.cond`, decided while tracing where the condition is known."""
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return tf.cond(condition, then, otherwise)
