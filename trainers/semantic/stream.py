"""Streams of images and labels as Keras's `fit` wants them, from `read_semantic`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segdata.label_map import OUTSIDE_IGNORE_ID
from segdata.streams.reader import PADDING_ID, read_semantic
from segdata.streams.tensorflow import tf
from segdata.trainers.run.data import Classes, TrainingData
from segdata.trainers.run.placement import Placement


def training_stream(
    data: TrainingData,
    placement: Placement,
    outputs: Sequence[str],
    start_step: int = 0,
) -> Any:
    """Batches without end, shuffled anew in every pass.

    Args:
      data: Of the run.
      placement: Hosts among which each batch and the records are divided.
      outputs: Names of the model's outputs, each of which gets the labels; empty for
        a model with one.
      start_step: Number of the first batch, where a run is resumed.

    Returns:
      A `tf.data.Dataset` of `(image, label)`: `[batch, height, width, 3] uint8` and
      `[batch, height, width] uint8`, where 255 is ignored, or a dict of those.
    """
    dataset = read_semantic(**to_learn(data, placement, start_step))
    return _pairs(dataset, data.pixel_classes, outputs)


def validation_stream(
    data: TrainingData,
    placement: Placement,
    outputs: Sequence[str],
) -> Any:
    """One pass over the split to measure on, at the size to measure at.

    Every host gets as many full batches. The last batches are filled up with images
    whose labels are ignored.
    """
    dataset = read_semantic(**to_measure(data, placement))
    dataset = known_length(dataset, data)
    return _pairs(dataset, data.pixel_classes, outputs)


def to_learn(
    data: TrainingData, placement: Placement, start_step: int
) -> dict[str, Any]:
    """Options of the stream to learn from, whatever the task."""
    options = data.options
    return {
        "directory": data.directory,
        "split": options.train_split,
        "batch_size": options.batch_size // placement.num_hosts,
        "image_size": data.image_size,
        "shuffle": True,
        "seed": options.seed,
        "repeat": True,
        "augmentation": options.augmentation(),
        "num_shards": placement.num_hosts,
        "shard_index": placement.host_index,
        "start_step": start_step,
    }


def to_measure(data: TrainingData, placement: Placement) -> dict[str, Any]:
    """Options of the stream to measure on, whatever the task."""
    return {
        "directory": data.directory,
        "split": data.val_split,
        "batch_size": data.options.batch_size // placement.num_hosts,
        "image_size": data.eval_image_size,
        "num_shards": placement.num_hosts,
        "shard_index": placement.host_index,
    }


def known_length(dataset: Any, data: TrainingData) -> Any:
    """A pass over the split to measure on that knows how long it is.

    Where Keras finds the end by itself, it warns and counts one batch too many for the
    next pass.
    """
    assert data.val_split is not None
    num_records = data.manifest.split(data.val_split).num_records
    num_batches = -(-num_records // data.options.batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(num_batches))


def _pairs(dataset: Any, classes: Classes, outputs: Sequence[str]) -> Any:
    ignored = tf.constant(OUTSIDE_IGNORE_ID, tf.uint8)
    left_out = classes.left_out_id

    def pair(batch: dict[str, Any]) -> tuple[Any, Any]:
        label = batch["label_map"]
        leave_out = (batch["image_id"] == PADDING_ID)[:, tf.newaxis, tf.newaxis]
        if left_out is not None:
            leave_out = leave_out | (label == left_out)
        label = tf.where(leave_out, ignored, label)
        return batch["image"], dict.fromkeys(outputs, label) if outputs else label

    return dataset.map(pair, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
