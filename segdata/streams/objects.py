"""A record's objects -> a fixed number of slots, moved along the image's geometry."""

from __future__ import annotations

from dataclasses import dataclass

from segdata.reading.geometry import Geometry
from segdata.reading.keypoints import KeypointOrder
from segdata.reading.options import InstanceOptions
from segdata.records import schema
from segdata.records.schema import Feature
from segdata.streams import object_masks
from segdata.streams.nearest import of_span
from segdata.streams.object_masks import ObjectRuns
from segdata.streams.resample import flip, move_masks
from segdata.streams.tensorflow import tf

_BOX = (
    schema.OBJECT_YMIN,
    schema.OBJECT_XMIN,
    schema.OBJECT_YMAX,
    schema.OBJECT_XMAX,
)
OBJECT_FEATURES = (
    schema.OBJECT_COUNT,
    *_BOX,
    schema.OBJECT_LABEL,
    schema.OBJECT_IS_CROWD,
    schema.OBJECT_ID,
    schema.OBJECT_AREA,
    schema.OBJECT_RUNS,
    schema.OBJECT_NUM_RUNS,
)
"""What `read_objects` takes of a record."""
KEYPOINT_FEATURES = (
    schema.KEYPOINT_X,
    schema.KEYPOINT_Y,
    schema.KEYPOINT_VISIBILITY,
)
"""What it takes besides, where keypoints are asked for."""
_COLUMNS = (
    schema.OBJECT_LABEL,
    schema.OBJECT_IS_CROWD,
    schema.OBJECT_ID,
    schema.OBJECT_NUM_RUNS,
)
# Keys of `pack_objects` that no reader gives.
_PACKED_BOXES, _PACKED_COLUMNS, _PACKED_COUNTS = (
    "objects/boxes",
    "objects/columns",
    "objects/counts",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """Which objects have the slots: the first `count` of `max_objects` are taken."""

    objects: tf.Tensor
    """`[count] int32`, index of each one's object in the record."""
    count: tf.Tensor
    """`[] int32`, slots that are taken."""
    max_objects: int
    """All slots, static."""

    def fill(self, values: tf.Tensor) -> tf.Tensor:
        """Values of objects, `[objects, ...]` -> of slots, `[max_objects, ...]`."""
        taken = tf.gather(values, self.objects)
        free = [[0, self.max_objects - self.count], *[[0, 0]] * (values.shape.rank - 1)]
        filled = tf.pad(taken, free)
        filled.set_shape((self.max_objects, *values.shape[1:]))
        return filled


def read_objects(
    record: dict[Feature, tf.Tensor],
    geometry: Geometry,
    options: InstanceOptions,
    keypoints: KeypointOrder | None = None,
    where: str | tf.Tensor = "",
) -> dict[str, tf.Tensor]:
    """Reads the objects of one record.

    Args:
      record: Parsed `OBJECT_FEATURES`, and `KEYPOINT_FEATURES` where asked for.
      geometry: How the image lies on the canvas.
      options: What is given of the objects.
      keypoints: The dataset's; None: leave them out.
      where: Name of the record, for messages.

    Returns:
      Tensors of `n` slots, which `InstanceOptions` tells how to fill:

      - `boxes` `[n, 4] float32`: `ymin, xmin, ymax, xmax`, in pixels of the canvas or
        normalised, cut to what is shown;
      - `classes` `[n] int32`: contiguous ids from 1; 0 in free slots;
      - `valid` `[n] bool`: an object to train on. Never one whose mask is empty or of
        whose box nothing is left;
      - `crowd` `[n] bool`: a region of many objects, never `valid`;
      - `has_mask` `[n] bool`: False for objects that have only a box;
      - `area` `[n] float32`: pixels of the stored image, as the source says;
      - `object_id` `[n] int64`: the source's annotation id, else -1;
      - `num_objects` `[] int32`: all objects of the record, whatever became of them;
      - `masks` `uint8`, 1 on the object: `[n, mask_size, mask_size]`, nearest samples
        at the centres of a grid over `boxes`; or `[n, height, width]` of the canvas;
      - `keypoints` `[n, k, 2] float32` `(y, x)` in pixels of the canvas, and
        `keypoint_visibility` `[n, k] int32`: 0 not labelled or not shown, 1 hidden, 2
        visible. Mirroring swaps left and right.

    Raises:
      tf.errors.InvalidArgumentError: If the parts of the record contradict each other.
    """
    packed = pack_objects(record, geometry, options, keypoints, where)
    return unpack_objects(packed, geometry.size, options)


def pack_objects(
    record: dict[Feature, tf.Tensor],
    geometry: Geometry,
    options: InstanceOptions,
    keypoints: KeypointOrder | None = None,
    where: str | tf.Tensor = "",
) -> dict[str, tf.Tensor]:
    """The part of `read_objects` that must be done record by record.

    Calling an op costs more than its work on a few objects: what is alike for all
    records waits for `unpack_objects`, once a batch, and columns travel together.

    Returns:
      `masks` and the keypoints, as they will be, and

      - `objects/boxes` `[n, 5] float64`: boxes in pixels of the canvas, area;
      - `objects/columns` `[n, 4] int64`: class, is a crowd, id, runs of the mask;
      - `objects/counts` `[2] int64`: objects of the record, slots taken.
    """
    stored = _stored_boxes(record, geometry, where)
    runs = object_masks.read_runs(
        record[schema.OBJECT_RUNS],
        record[schema.OBJECT_NUM_RUNS],
        geometry.rows.source,
        geometry.columns.source,
        where,
    )
    moved, shown = geometry.move_corners(stored, geometry.affine())
    slots = choose_slots(
        _area(moved),
        _usable(stored, shown, runs, options),
        tf.equal(record[schema.OBJECT_IS_CROWD], 1),
        options,
    )
    area = tf.cast(tf.expand_dims(record[schema.OBJECT_AREA], 1), tf.float64)
    columns = tf.stack([record[feature] for feature in _COLUMNS], 1)
    counts = [record[schema.OBJECT_COUNT], tf.cast(slots.count, tf.int64)]
    packed = {
        _PACKED_BOXES: slots.fill(tf.concat([tf.reshape(moved, [-1, 4]), area], 1)),
        _PACKED_COLUMNS: slots.fill(columns),
        _PACKED_COUNTS: tf.stack(counts),
    }
    if options.masks != "none":
        packed["masks"] = _masks(runs, shown, geometry, options, slots)
    if keypoints is not None:
        packed |= _keypoints(record, geometry, slots, keypoints)
    return packed


def unpack_objects(
    packed: dict[str, tf.Tensor], size: tuple[int, int], options: InstanceOptions
) -> dict[str, tf.Tensor]:
    """What `read_objects` returns, of one record or of a batch.

    Args:
      packed: Of `pack_objects`, with any leading dimensions; other keys are kept.
      size: Height and width of the canvas.
      options: What is given of the objects.
    """
    rest = dict(packed)
    floats, columns = rest.pop(_PACKED_BOXES), rest.pop(_PACKED_COLUMNS)
    num_objects, count = tf.unstack(rest.pop(_PACKED_COUNTS), axis=-1)
    labels, is_crowd, object_ids, num_runs = tf.unstack(columns, axis=-1)
    slot = tf.range(options.max_objects, dtype=tf.int64)
    taken = slot < count[..., tf.newaxis]
    crowd = tf.equal(is_crowd, 1)  # never a free slot's, which holds zeros
    unit = _box_unit(options, size)
    return rest | {
        "boxes": tf.cast(floats[..., :4] / unit, tf.float32),
        "classes": tf.cast(labels, tf.int32),
        "valid": taken & ~crowd,
        "crowd": crowd,
        "has_mask": num_runs > 0,
        "area": tf.cast(floats[..., 4], tf.float32),
        "object_id": tf.where(taken, object_ids, -1),
        "num_objects": tf.cast(num_objects, tf.int32),
    }


def choose_slots(
    areas: tf.Tensor,
    usable: tf.Tensor,
    is_crowd: tf.Tensor,
    options: InstanceOptions,
) -> Slots:
    """Chooses which objects get slots, and in which order.

    Args:
      areas: `[objects] float64`, of their boxes on the canvas.
      usable: `[objects] bool`, False for what may get no slot.
      is_crowd: `[objects] bool`.
      options: The rule.
    """
    if options.overflow == "largest":
        rank = areas + 1.0
    else:
        num_objects = tf.cast(tf.size(usable), tf.float64)
        rank = tf.range(num_objects + 1.0, 1.0, -1.0, dtype=tf.float64)
    # Crowds come after all others: their rank is below 1.
    rank = tf.where(is_crowd, 1.0 - 1.0 / (1.0 + rank), rank)
    if options.crowds == "drop":
        usable &= ~is_crowd
    num_usable = tf.reduce_sum(tf.cast(usable, tf.int32))
    count = tf.minimum(num_usable, options.max_objects)
    rank = tf.where(usable, rank, tf.constant(0.0, tf.float64))
    _, objects = tf.math.top_k(rank, count)
    return Slots(objects=objects, count=count, max_objects=options.max_objects)


def _stored_boxes(
    record: dict[Feature, tf.Tensor], geometry: Geometry, where: str | tf.Tensor
) -> tf.Tensor:
    """`[objects, 2, 2] float64`, two corners `(y, x)`, pixels of the stored image."""
    boxes = tf.stack([record[feature] for feature in _BOX], 1)
    count = record[schema.OBJECT_COUNT]
    floats, integers = (schema.OBJECT_YMIN, schema.OBJECT_AREA), _COLUMNS
    shapes = [
        *tf.raw_ops.ShapeN(input=[record[f] for f in floats], out_type=tf.int64),
        *tf.raw_ops.ShapeN(input=[record[f] for f in integers], out_type=tf.int64),
    ]
    sizes = tf.concat(shapes, 0)
    agrees = tf.raw_ops.Assert(
        condition=tf.reduce_all(tf.equal(sizes, count)),
        data=[
            "objects: every list must have one value for each object; number of "
            f"objects, values of {', '.join(f.key for f in (*floats, *integers))}, "
            "record",
            count,
            sizes,
            where,
        ],
    )
    with tf.control_dependencies([] if agrees is None else [agrees]):
        corners = tf.reshape(tf.cast(boxes, tf.float64), [-1, 2, 2])
    return corners * geometry.both("source")


def _usable(
    stored: tf.Tensor, shown: tf.Tensor, runs: ObjectRuns, options: InstanceOptions
) -> tf.Tensor:
    """`[objects] bool`: enough of its box is shown, and its mask is not empty."""
    after = _area(shown)
    usable = (after > 0) & (~runs.has_mask | (runs.areas() > 0))
    if options.min_visible:
        usable &= after >= options.min_visible * _area(stored)
    return usable


def _area(boxes: tf.Tensor) -> tf.Tensor:
    low, high = tf.unstack(boxes, axis=1)
    return tf.reduce_prod(high - low, 1)


def _box_unit(options: InstanceOptions, size: tuple[int, int]) -> tf.Tensor:
    height, width = size if options.boxes == "normalized" else (1, 1)
    return tf.constant([height, width, height, width], tf.float64)


def _masks(
    runs: ObjectRuns,
    shown: tf.Tensor,
    geometry: Geometry,
    options: InstanceOptions,
    slots: Slots,
) -> tf.Tensor:
    """`[max_objects, ...] uint8`: crops of the boxes shown, or the canvas."""
    if options.masks == "crops":
        size = (options.mask_size, options.mask_size)
        rows, columns = object_masks.box_samplings(shown, size, *runs.size)
        crops = object_masks.sample_masks(
            runs, rows, columns, size, slots.objects, slots.max_objects
        )
        return flip(flip(crops, 1, geometry.rows.flipped), 2, geometry.columns.flipped)
    grid = tuple(
        tf.cast(span.extent, tf.int32) for span in (geometry.rows, geometry.columns)
    )
    rows, columns = (
        object_masks.for_all(of_span(span), tf.size(runs.has_mask))
        for span in (geometry.rows, geometry.columns)
    )
    masks = object_masks.sample_masks(
        runs, rows, columns, grid, slots.objects, slots.max_objects
    )
    return move_masks(masks, geometry)


def _keypoints(
    record: dict[Feature, tf.Tensor],
    geometry: Geometry,
    slots: Slots,
    order: KeypointOrder,
) -> dict[str, tf.Tensor]:
    """Moved keypoints; those outside the canvas count as not labelled."""
    parts = [record[schema.KEYPOINT_Y], record[schema.KEYPOINT_X]]
    points = tf.cast(tf.stack(parts, 1), tf.float64) * geometry.both("source")
    points = geometry.move_points(points)
    limits = tf.constant(geometry.size, tf.float64)
    inside = tf.reduce_all((points >= 0) & (points <= limits), 1)
    visibility = tf.where(
        inside, tf.cast(record[schema.KEYPOINT_VISIBILITY], tf.int32), 0
    )
    points = tf.reshape(points, [-1, order.count, 2])
    visibility = tf.reshape(visibility, [-1, order.count])
    points = tf.where(visibility[..., tf.newaxis] > 0, points, 0.0)
    mirrored = tf.gather(order.mirrored, record[schema.OBJECT_LABEL])
    if geometry.columns.flipped is not False:
        plain = tf.range(order.count)[tf.newaxis]
        index = tf.where(geometry.columns.flipped, mirrored, plain)
        points = tf.gather(points, index, batch_dims=1)
        visibility = tf.gather(visibility, index, batch_dims=1)
    return {
        "keypoints": slots.fill(tf.cast(points, tf.float32)),
        "keypoint_visibility": slots.fill(visibility),
    }
