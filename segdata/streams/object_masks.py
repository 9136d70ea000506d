"""Object masks decoded in graph from runs: whole, or straight onto any grid.

The words of `streams.label_maps`, eight pixels each, with one difference: most pixels
are background, so only the words inside a run are written. Each object is sampled onto
a grid of its own (its box, or the canvas) by mapping both ends of every run, so that no
full-size mask is ever made. Equals nearest sampling of the dense mask exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from segdata.reading.geometry import Number
from segdata.streams.nearest import Sampling, float64, gather_axes
from segdata.streams.tensorflow import tf

_ONES = 0x0101010101010101
SUBPIXELS = 64
"""Boxes that crops are sampled from are rounded to this part of a pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRuns:
    """The foreground runs of all objects of an image, checked."""

    starts: tf.Tensor
    """`[runs] float64`, position `y * width + x` of each run's first pixel."""
    ends: tf.Tensor
    """`[runs] float64`, position after its last pixel, up to `height * width`."""
    owner: tf.Tensor
    """`[runs] int32`, the object that each run belongs to."""
    has_mask: tf.Tensor
    """`[objects] bool`, False where the source gives only a box."""
    size: tuple[tf.Tensor, tf.Tensor]
    """Height and width of the image, `[] float64` each."""

    def areas(self) -> tf.Tensor:
        """Number of pixels of each object: `[objects] float64`."""
        return tf.math.unsorted_segment_sum(
            self.ends - self.starts, self.owner, tf.size(self.has_mask)
        )


def read_runs(
    runs: tf.Tensor,
    num_runs: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    where: str | tf.Tensor = "",
) -> ObjectRuns:
    """Takes stored runs apart and checks them.

    Args:
      runs: `[runs of all objects] int64`, row-major, background first.
      num_runs: `[objects] int64`, runs of each object, even; 0 for a box-only object.
      height: Image height in pixels.
      width: Image width in pixels.
      where: Name of the record, for messages.

    Raises:
      tf.errors.InvalidArgumentError: If the runs of an object do not sum to `height *
        width`, one is negative, or there are more or fewer than `num_runs` says.
    """
    runs, num_runs = tf.convert_to_tensor(runs), tf.convert_to_tensor(num_runs)
    height, width = float64(height), float64(width)
    num_pixels = tf.convert_to_tensor(height * width, tf.float64)
    has_mask = num_runs > 0
    with_mask = tf.cast(tf.where(has_mask)[:, 0], tf.int32)
    bounds = tf.cumsum(tf.cast(runs, tf.float64))
    last = tf.cumsum(tf.gather(num_runs, with_mask))
    bounds = _checked(runs, num_runs, bounds, last, num_pixels, where)
    starts, ends = tf.unstack(tf.reshape(bounds, [-1, 2]), axis=1)
    number = tf.math.floor(tf.maximum(ends - 1.0, 0.0) / num_pixels)
    before = number * num_pixels
    return ObjectRuns(
        starts=starts - before,
        ends=ends - before,
        owner=tf.gather(with_mask, tf.cast(number, tf.int32)),
        has_mask=has_mask,
        size=(
            tf.convert_to_tensor(height, tf.float64),
            tf.convert_to_tensor(width, tf.float64),
        ),
    )


def _checked(
    runs: tf.Tensor,
    num_runs: tf.Tensor,
    bounds: tf.Tensor,
    last: tf.Tensor,
    num_pixels: tf.Tensor,
    where: str | tf.Tensor,
) -> tf.Tensor:
    """`bounds`, after the checks: wrong sums would pass in silence."""
    total = tf.size(runs, tf.int64)
    counted = tf.raw_ops.Assert(
        condition=tf.reduce_all(
            tf.stack(
                [
                    tf.equal(tf.reduce_sum(num_runs), total),
                    tf.equal(tf.reduce_sum(tf.bitwise.bitwise_and(num_runs, 1)), 0),
                    tf.reduce_all(runs >= 0),
                ]
            )
        ),
        data=[
            "object masks: runs must be 0 or more, an even number of them for each "
            "object, as many as its length says; number of runs and lengths",
            total,
            num_runs,
            "record",
            where,
        ],
    )
    with tf.control_dependencies([] if counted is None else [counted]):
        ends = tf.gather(bounds, last - 1)
    count = tf.cast(tf.size(last), tf.float64)
    expected = num_pixels * tf.range(1.0, count + 1.0, dtype=tf.float64)
    summed = tf.raw_ops.Assert(
        condition=tf.reduce_all(tf.equal(ends, expected)),
        data=[
            "object masks: runs do not sum to height * width of each object; sums up "
            "to each object and height * width",
            ends,
            num_pixels,
            "record",
            where,
        ],
    )
    with tf.control_dependencies([] if summed is None else [summed]):
        return tf.identity(bounds)


def decode_masks(
    runs: tf.Tensor,
    num_runs: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    where: str | tf.Tensor = "",
) -> tf.Tensor:
    """Decodes the masks of all objects at full size.

    Takes what `read_runs` takes.

    Returns:
      `[objects, height, width] uint8`, 1 on the object; all 0 for a box-only object.

    Raises:
      tf.errors.InvalidArgumentError: As `read_runs`.
    """
    objects = read_runs(runs, num_runs, height, width, where)
    before = tf.cast(objects.owner, tf.float64) * (objects.size[0] * objects.size[1])
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    num_objects = tf.size(num_runs)
    pixels = _fill(
        tf.cast(objects.starts + before, tf.int32),
        tf.cast(objects.ends + before, tf.int32),
        num_objects * height * width,
    )
    return tf.reshape(pixels, [num_objects, height, width])


def sample_masks(
    objects: ObjectRuns,
    rows: Sampling,
    columns: Sampling,
    size: tuple[int | tf.Tensor, int | tf.Tensor],
    slots: tf.Tensor,
    num_slots: int | None = None,
) -> tf.Tensor:
    """Samples the masks of objects onto grids, without dense masks.

    Args:
      objects: From `read_runs`.
      rows: Which pixel rows the samples of each object look at: `[objects] float64`
        fields. No sample may lie outside the image.
      columns: Likewise the pixel columns.
      size: Height and width of a grid: numbers of samples.
      slots: `[slots] int32`, the objects to sample, each at most once.
      num_slots: Number of masks to give, the last ones empty; None: one per slot.

    Returns:
      `[slots, size[0], size[1]] uint8`, 1 on the object, all 0 for one without mask.
    """
    out_height, out_width = size
    asked = _asked(objects.has_mask, slots)
    # Upsampling repeats whole rows: paint each source row once, and gather.
    painted = rows.without_repeats()
    num_painted = tf.where(asked, painted.count, tf.constant(0.0, tf.float64))
    first = tf.cumsum(num_painted, exclusive=True)
    num_rows = tf.cast(tf.reduce_sum(num_painted), tf.int32)
    grids = dataclasses.replace(painted, count=num_painted)
    bounds = _grid_positions(objects, grids, columns, first)
    # One row more, of zeros, for objects without mask and empty slots.
    pixels = _fill(*bounds, (num_rows + 1) * out_width)
    pixels = tf.reshape(pixels, [num_rows + 1, out_width])
    chosen = slots[:, tf.newaxis]
    samples = tf.range(float64(out_height), dtype=tf.float64)
    offset = tf.where(asked, first, tf.cast(num_rows, tf.float64))
    *fields, offset = gather_axes(chosen, *grids.fields, *rows.fields, offset)
    grids, rows = _samplings(fields)
    row = tf.cast(grids.samples_before(rows.pixels(samples)) + offset, tf.int32)
    if num_slots is None:
        return tf.gather(pixels, row)
    # Rows of empty slots are named here, lest all pixels be copied to pad them.
    free = num_slots - tf.size(slots)
    row = tf.pad(row, [[0, free], [0, 0]], constant_values=num_rows)
    row.set_shape((num_slots, None))
    return tf.gather(pixels, row)


def _asked(has_mask: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """`[objects] bool`: which have a mask that somebody wants."""
    wanted = tf.math.unsorted_segment_sum(tf.ones_like(slots), slots, tf.size(has_mask))
    return has_mask & (wanted > 0)


def _grid_positions(
    objects: ObjectRuns, rows: Sampling, columns: Sampling, first: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where runs begin and end on the grids, which lie one below the other: int32."""
    *fields, first = gather_axes(objects.owner, *rows.fields, *columns.fields, first)
    rows, columns = _samplings(fields)
    position = tf.stack([objects.starts, objects.ends])
    width = objects.size[1]
    y = tf.math.floor(position / width)
    x = position - y * width
    row = rows.samples_before(y)
    # 1 where the row is sampled at all: then the run begins or ends inside it.
    sampled = rows.samples_before(y + 1.0) - row
    on_grid = (row + first) * columns.count + sampled * columns.samples_before(x)
    starts, ends = tf.unstack(tf.cast(on_grid, tf.int32), num=2)
    return starts, ends


def _samplings(fields: Sequence[Number]) -> tuple[Sampling, Sampling]:
    """Two samplings of the fields of both, one after the other."""
    names = ("start", "step", "unit", "count")
    one, other = (
        Sampling(**dict(zip(names, part, strict=True)))
        for part in (fields[:4], fields[4:])
    )
    return one, other


def _fill(starts: tf.Tensor, ends: tf.Tensor, num_pixels: tf.Tensor) -> tf.Tensor:
    """`[num_pixels] uint8` with 1 from each start up to its end, `[runs] int32`."""
    ones = tf.constant(_ONES, tf.int64)
    first_word = tf.bitwise.right_shift(starts, 3)
    last_word = tf.bitwise.right_shift(ends, 3)
    # A run fills its words after the first; what is too much at both ends is undone.
    body = tf.raw_ops.RaggedRange(
        starts=first_word + 1, limits=last_word + 1, deltas=1, Tsplits=tf.int32
    ).rt_dense_values
    edges = tf.bitwise.left_shift(
        ones, tf.cast(8 * (tf.concat([starts, ends], 0) & 7), tf.int64)
    )
    opening, closing = tf.split(edges, 2)
    words = tf.math.unsorted_segment_sum(
        tf.concat([tf.fill(tf.shape(body), ones), opening, -closing], 0),
        tf.concat([body, first_word, last_word], 0),
        num_pixels // 8 + 1,
    )
    return tf.slice(tf.reshape(tf.bitcast(words, tf.uint8), [-1]), [0], [num_pixels])


def box_samplings(
    boxes: tf.Tensor, count: tuple[int, int], height: tf.Tensor, width: tf.Tensor
) -> tuple[Sampling, Sampling]:
    """How a grid samples each box: at the centres of its cells.

    Args:
      boxes: `[objects, 4]` or `[objects, 2, 2] float64`, `ymin, xmin, ymax, xmax` in
        pixels of the stored image; rounded to 1 / `SUBPIXELS` of a pixel and cut to
        the image.
      count: Height and width of the grid.
      height: Image height in pixels, `[] float64`.
      width: Image width in pixels, `[] float64`.

    Returns:
      Sampling of the rows and of the columns.
    """
    limits = tf.stack([height, width]) * SUBPIXELS
    corners = tf.reshape(boxes, [-1, 2, 2])
    edges = tf.maximum(tf.minimum(tf.round(corners * SUBPIXELS), limits), 0.0)
    low, high = tf.unstack(edges, axis=1)
    low = tf.minimum(low, limits - 1.0)  # an empty box still needs a pixel to look at
    size = tf.maximum(high - low, 1.0)
    twice = tf.constant([2.0 * part for part in count], tf.float64)
    starts = tf.unstack(twice * low + size, axis=1)
    steps = tf.unstack(2.0 * size, axis=1)
    rows, columns = (
        Sampling(
            start=start,
            step=step,
            unit=2.0 * part * SUBPIXELS,
            count=float(part),
        )
        for start, step, part in zip(starts, steps, count, strict=True)
    )
    return rows, columns


def for_all(sampling: Sampling, num_objects: tf.Tensor) -> Sampling:
    """The same sampling for every object."""
    fields = (sampling.start, sampling.step, sampling.unit, sampling.count)
    start, step, unit, count = (
        tf.fill([num_objects], tf.convert_to_tensor(field, tf.float64))
        for field in fields
    )
    return Sampling(start=start, step=step, unit=unit, count=count)
