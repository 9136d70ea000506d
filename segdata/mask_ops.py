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

from segdata.tensorflow_import import tf

# One byte of value 1 in each of the eight pixels of a word.
_ONES = 0x0101010101010101


def decode_label_map(
    values: tf.Tensor, lengths: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Decodes label-map runs at full size.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run, row-major, summing to
        `height * width`.
      height: `[] int`, height in pixels.
      width: `[] int`, width in pixels.

    Returns:
      `[height, width] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and size do not agree.
    """
    height, width = _int32(height), _int32(width)
    ids, ends = _runs(values, lengths, height * width)
    pixels = _paint(ids, ends, height * width)
    return tf.reshape(pixels, [height, width])


def resize_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    size: tuple[int, int],
) -> tf.Tensor:
    """Decodes label-map runs straight at another size, by nearest sampling.

    Equals nearest sampling of the decoded map exactly.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run.
      height: `[] int`, source height in pixels.
      width: `[] int`, source width in pixels.
      size: Output `(height, width)` in pixels.

    Returns:
      `[size[0], size[1]] uint8` class ids.

    Raises:
      tf.errors.InvalidArgumentError: If runs and source size do not agree.
    """
    height, width = _int32(height), _int32(width)
    out_height, out_width = size
    ids, ends = _runs(values, lengths, height * width)
    # Upsampling repeats whole rows: paint each source row once and gather, else the
    # boundaries of one row would have to be painted once for every output row.
    rows = tf.minimum(out_height, height)
    y, x = ends // width, ends % width
    row = _samples_before(y, rows, height)
    next_row = _samples_before(y + 1, rows, height)
    column = _samples_before(x, out_width, width)
    positions = row * out_width + (next_row - row) * column
    pixels = tf.reshape(_paint(ids, positions, rows * out_width), [rows, out_width])
    source_row = ((2 * tf.range(out_height) + 1) * height) // (2 * out_height)
    pixels = tf.cond(
        rows < out_height, lambda: tf.gather(pixels, source_row), lambda: pixels
    )
    return tf.ensure_shape(pixels, size)


def _runs(
    values: tf.Tensor, lengths: tf.Tensor, num_pixels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Class ids and ends of the runs, checked: wrong sums would pass in silence."""
    ids = tf.io.decode_raw(values, tf.uint8)
    ends = tf.cumsum(tf.cast(lengths, tf.int32))
    checks = [
        tf.debugging.assert_equal(
            tf.size(ids),
            tf.size(ends),
            "label map: values and lengths differ in number",
        ),
        tf.debugging.assert_equal(
            tf.reduce_sum(lengths),
            tf.cast(num_pixels, lengths.dtype),
            "label map: runs do not sum to height * width",
        ),
        tf.debugging.assert_non_negative(lengths, "label map: negative run length"),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(ids), tf.identity(ends)


def _paint(ids: tf.Tensor, ends: tf.Tensor, num_pixels: tf.Tensor) -> tf.Tensor:
    """Fills `[num_pixels] uint8` with `ids[k]` from `ends[k - 1]` to `ends[k]`.

    Args:
      ids: `[runs] uint8`.
      ends: `[runs] int32`, not falling; the last is `num_pixels`.
      num_pixels: `[] int32`.
    """
    num_words = num_pixels // 8 + 1  # resizing can leave empty runs at the very end
    colors = tf.cast(ids, tf.int64) * tf.constant(_ONES, tf.int64)
    bounds = ends[:-1]
    words = tf.bitwise.right_shift(bounds, 3)
    # Words that begin inside a run hold that run's colour eight times ...
    first = tf.concat([[0], words + 1], 0)
    last = tf.concat([words + 1, [num_words]], 0)
    count = tf.range(num_words, dtype=tf.int64)
    base = (
        tf.ragged.range(
            colors + tf.cast(first, tf.int64), colors + tf.cast(last, tf.int64)
        ).values
        - count
    )
    # ... and each boundary changes the colour from its byte of the word on.
    shift = tf.cast(8 * (bounds & 7), tf.int64)
    steps = tf.bitwise.left_shift(colors[1:] - colors[:-1], shift)
    words_of_pixels = base + tf.math.unsorted_segment_sum(steps, words, num_words)
    return tf.reshape(tf.bitcast(words_of_pixels, tf.uint8), [-1])[:num_pixels]


def _samples_before(
    position: tf.Tensor, out: int | tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Number of output samples, of `out` over `size` pixels, before a pixel's edge."""
    return (2 * out * position + size - 1) // (2 * size)


def _int32(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.int32)
