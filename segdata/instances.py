"""A record's objects -> a fixed number of slots, moved along the image's geometry."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata import features, instance_ops
from segdata.features import Feature
from segdata.geometry import Geometry
from segdata.instance_ops import ObjectRuns
from segdata.label_map import LabelMap
from segdata.preprocessing import flip, move_masks
from segdata.reading_options import InstanceOptions
from segdata.tensorflow_import import tf

_BOX = (
    features.OBJECT_YMIN,
    features.OBJECT_XMIN,
    features.OBJECT_YMAX,
    features.OBJECT_XMAX,
)
OBJECT_FEATURES = (
    features.OBJECT_COUNT,
    *_BOX,
    features.OBJECT_LABEL,
    features.OBJECT_IS_CROWD,
    features.OBJECT_ID,
    features.OBJECT_AREA,
    features.OBJECT_RUNS,
    features.OBJECT_NUM_RUNS,
)
"""What `read_objects` takes of a record."""
KEYPOINT_FEATURES = (
    features.KEYPOINT_X,
    features.KEYPOINT_Y,
    features.KEYPOINT_VISIBILITY,
)
"""What it takes besides, where keypoints are asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointOrder:
    """How many keypoints objects have, and what is where after mirroring."""

    count: int
    """Keypoints of every object."""
    mirrored: NDArray[np.int32]
    """`[class ids from 0, count]`: the keypoint that a mirrored image shows in the
    place of each, `left_eye` for `right_eye`."""

    @classmethod
    def of(cls, label_map: LabelMap) -> KeypointOrder:
        """Reads the order from the names of the keypoints."""
        classes = label_map.object_classes
        count = max((len(item.keypoints) for item in classes), default=0)
        table = np.tile(np.arange(count, dtype=np.int32), (_num_ids(label_map), 1))
        for item in classes:
            for place, name in enumerate(item.keypoints):
                other = _other_side(name)
                if other in item.keypoints:
                    table[item.id, place] = item.keypoints.index(other)
        return cls(count=count, mirrored=table)


def _num_ids(label_map: LabelMap) -> int:
    return 1 + max((item.id for item in label_map.object_classes), default=0)


def _other_side(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return re.sub("left|right", lambda match: sides[match[0]], name, count=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """Which objects have the slots: the first `count` of `max_objects` are taken."""

    objects: tf.Tensor
    """`[count] int32`, index of each one's object in the record."""
    is_target: tf.Tensor
    """`[count] bool`; the others are crowds."""
    max_objects: int
    """All slots, static."""

    def fill(self, values: tf.Tensor, default: float = 0) -> tf.Tensor:
        """Values of objects, `[objects, ...]` -> of slots, `[max_objects, ...]`."""
        return self.pad(tf.gather(values, self.objects), default)

    def pad(self, values: tf.Tensor, default: float = 0) -> tf.Tensor:
        """`[count, ...]` -> `[max_objects, ...]`."""
        free = self.max_objects - tf.size(self.objects)
        paddings = [[0, free], *[[0, 0]] * (values.shape.rank - 1)]
        value = tf.cast(default, values.dtype)
        padded = tf.pad(values, paddings, constant_values=value)
        return tf.ensure_shape(padded, (self.max_objects, *values.shape[1:]))


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
    stored = _stored_boxes(record, geometry, where)
    runs = instance_ops.read_runs(
        record[features.OBJECT_RUNS],
        record[features.OBJECT_NUM_RUNS],
        geometry.rows.source,
        geometry.columns.source,
        where,
    )
    moved, shown = geometry.move_boxes(stored)
    slots = choose_slots(
        moved,
        _usable(stored, shown, runs, options),
        tf.equal(record[features.OBJECT_IS_CROWD], 1),
        options,
    )
    ids = tf.stack([record[features.OBJECT_LABEL], record[features.OBJECT_ID] + 1], 1)
    labels, object_ids = tf.unstack(slots.fill(ids), axis=1)
    taken = slots.pad(tf.ones_like(slots.is_target), False)
    valid = slots.pad(slots.is_target, False)
    unit = _box_unit(options, geometry)
    result = {
        "boxes": tf.cast(slots.fill(moved) / unit, tf.float32),
        "classes": tf.cast(labels, tf.int32),
        "valid": valid,
        "crowd": taken & ~valid,
        "has_mask": slots.fill(runs.has_mask, False),
        "area": slots.fill(record[features.OBJECT_AREA]),
        "object_id": object_ids - 1,
        "num_objects": tf.cast(record[features.OBJECT_COUNT], tf.int32),
    }
    if options.masks != "none":
        result["masks"] = slots.pad(_masks(runs, shown, geometry, options, slots))
    if keypoints is not None:
        result |= _keypoints(record, geometry, slots, keypoints)
    return result


def choose_slots(
    boxes: tf.Tensor,
    usable: tf.Tensor,
    is_crowd: tf.Tensor,
    options: InstanceOptions,
) -> Slots:
    """Chooses which objects get slots, and in which order.

    Args:
      boxes: `[objects, 4] float64` on the canvas.
      usable: `[objects] bool`, False for what may get no slot.
      is_crowd: `[objects] bool`.
      options: The rule.
    """
    num_objects = tf.size(usable)
    if options.overflow == "largest":
        rank = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    else:
        rank = tf.range(num_objects, 0, -1)
    rank = tf.cast(rank, tf.float64) + 1.0
    # Crowds come after all others: their rank is below 1.
    rank = tf.where(is_crowd, 1.0 - 1.0 / (1.0 + rank), rank)
    if options.crowds == "drop":
        usable &= ~is_crowd
    rank = tf.where(usable, rank, tf.zeros_like(rank))
    count = tf.minimum(
        tf.math.count_nonzero(usable, dtype=tf.int32), options.max_objects
    )
    _, objects = tf.math.top_k(rank, count)
    return Slots(
        objects=objects,
        is_target=~tf.gather(is_crowd, objects),
        max_objects=options.max_objects,
    )


def _stored_boxes(
    record: dict[Feature, tf.Tensor], geometry: Geometry, where: str | tf.Tensor
) -> tf.Tensor:
    """`[objects, 4] float64`, pixels of the stored image."""
    boxes = tf.stack([record[feature] for feature in _BOX], 1)
    count = record[features.OBJECT_COUNT]
    columns = (
        features.OBJECT_YMIN,
        features.OBJECT_LABEL,
        features.OBJECT_IS_CROWD,
        features.OBJECT_ID,
        features.OBJECT_AREA,
        features.OBJECT_NUM_RUNS,
    )
    sizes = tf.stack([tf.size(record[feature], tf.int64) for feature in columns])
    agrees = tf.raw_ops.Assert(
        condition=tf.reduce_all(tf.equal(sizes, count)),
        data=[
            "objects: every list must have one value for each object; number of "
            f"objects, values of {', '.join(feature.key for feature in columns)}, "
            "record",
            count,
            sizes,
            where,
        ],
    )
    size = tf.stack([geometry.rows.source, geometry.columns.source] * 2)
    with tf.control_dependencies([] if agrees is None else [agrees]):
        return tf.cast(boxes, tf.float64) * tf.cast(size, tf.float64)


def _usable(
    stored: tf.Tensor, shown: tf.Tensor, runs: ObjectRuns, options: InstanceOptions
) -> tf.Tensor:
    """`[objects] bool`: enough of its box is shown, and its mask is not empty."""
    before, after = _area(stored), _area(shown)
    usable = (after > 0) & (~runs.has_mask | (runs.areas() > 0))
    if options.min_visible:
        usable &= after >= options.min_visible * before
    return usable


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _box_unit(options: InstanceOptions, geometry: Geometry) -> tf.Tensor:
    size = geometry.size if options.boxes == "normalized" else (1, 1)
    return tf.constant([*size, *size], tf.float64)


def _masks(
    runs: ObjectRuns,
    shown: tf.Tensor,
    geometry: Geometry,
    options: InstanceOptions,
    slots: Slots,
) -> tf.Tensor:
    """`[count, ...] uint8`: crops of the boxes shown, or the canvas."""
    if options.masks == "crops":
        size = (options.mask_size, options.mask_size)
        rows, columns = instance_ops.box_samplings(shown, size, *runs.size)
        crops = instance_ops.sample_masks(runs, rows, columns, size, slots.objects)
        return flip(flip(crops, 1, geometry.rows.flipped), 2, geometry.columns.flipped)
    grid = tuple(
        tf.cast(span.extent, tf.int32) for span in (geometry.rows, geometry.columns)
    )
    rows, columns = (
        instance_ops.for_all(span.sampling(), tf.size(runs.has_mask))
        for span in (geometry.rows, geometry.columns)
    )
    masks = instance_ops.sample_masks(runs, rows, columns, grid, slots.objects)
    return move_masks(masks, geometry)


def _keypoints(
    record: dict[Feature, tf.Tensor],
    geometry: Geometry,
    slots: Slots,
    order: KeypointOrder,
) -> dict[str, tf.Tensor]:
    """Moved keypoints; those outside the canvas count as not labelled."""
    size = tf.stack([geometry.rows.source, geometry.columns.source])
    parts = [record[features.KEYPOINT_Y], record[features.KEYPOINT_X]]
    points = tf.cast(tf.stack(parts, 1), tf.float64) * tf.cast(size, tf.float64)
    points = geometry.move_points(points)
    limits = tf.constant(geometry.size, tf.float64)
    inside = tf.reduce_all((points >= 0) & (points <= limits), 1)
    visibility = tf.where(
        inside, tf.cast(record[features.KEYPOINT_VISIBILITY], tf.int32), 0
    )
    points = tf.reshape(points, [-1, order.count, 2])
    visibility = tf.reshape(visibility, [-1, order.count])
    points = tf.where(visibility[..., tf.newaxis] > 0, points, 0.0)
    mirrored = tf.gather(order.mirrored, record[features.OBJECT_LABEL])
    if geometry.columns.flipped is not False:
        plain = tf.range(order.count)[tf.newaxis]
        index = tf.where(geometry.columns.flipped, mirrored, plain)
        points = tf.gather(points, index, batch_dims=1)
        visibility = tf.gather(visibility, index, batch_dims=1)
    return {
        "keypoints": slots.fill(tf.cast(points, tf.float32)),
        "keypoint_visibility": slots.fill(visibility),
    }
