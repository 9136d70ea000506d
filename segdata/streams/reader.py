"""Records as batched `tf.data` streams with static shapes, decoded in graph.

All streams give dicts, which have of each image:

- `image` `[batch, height, width, 3]`, uint8 from 0 to 255 unless asked otherwise;
- `image_id` `[batch] int64`, the number of the image, -1 where a batch is filled up;
- `image_size` `[batch, 2] int32`, height and width of the stored image in pixels;
- `scale` and `offset` `[batch, 2] float32`: the stored point `(y, x)` lies at `scale *
  (y, x) + offset` of the image, in pixels; the scale of a mirrored axis is negative.
"""

from __future__ import annotations

from functools import partial
from typing import Unpack

from segdata.label_map import LabelMap
from segdata.reading.decoding import PADDING_ID as PADDING_ID
from segdata.reading.decoding import Decoding, instances_decoding, semantic_decoding
from segdata.reading.options import (
    Augmentation,
    ImageOptions,
    InstanceOptions,
    OrderOptions,
    Resize,
    Size,
)
from segdata.reading.sampler import Sampler, host_sampler
from segdata.shards.manifest import OpenBuild, open_build
from segdata.storage.paths import Address
from segdata.streams.decode import RecordDecoder
from segdata.streams.index import RecordIndex, read_index
from segdata.streams.order import serialized_records
from segdata.streams.tensorflow import tf


def read_semantic(
    directory: Address | OpenBuild,
    split: str,
    *,
    image_size: Size | None = None,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    sample_weight: bool = False,
    **order: Unpack[OrderOptions],
) -> tf.data.Dataset:
    """Reads images and label maps of a finished build.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      image_size: `(height, width)` of images (bilinear, antialiased) and label maps
        (nearest), or one number for a square. None keeps the stored size, if all are
        alike.
      resize: How images are fitted to it; None stretches them.
      augmentation: What is random about images and label maps; None: nothing.
      image: What pixels are given as; None: uint8.
      sample_weight: Give `(image, label_map, sample_weight)` to Keras's `fit`: weight
        `[batch, height, width] uint8` 0 on padding and what the dataset ignores.
      order: `batch_size`, `shuffle`, `seed`, `repeat` and others that choose which
        sample comes when; see `segdata.reading.options.OrderOptions`.

    Returns:
      A `tf.data.Dataset` of dicts: `label_map` `[batch, height, width] uint8` class
      ids, with `LabelMap.padding_id` on padding; and of the keys above `image` and
      `image_id`; where `resize` is given, all of them.

    Raises:
      OutputError, CorruptionError: If it is no finished build, or a damaged one.
      OptionError: If the split is unknown, has no label maps, or an option is bad.
    """
    build = open_build(directory)
    decoding = semantic_decoding(
        build.manifest,
        split,
        image_size=image_size,
        resize=resize,
        augmentation=augmentation,
        image=image,
        seed=order.get("seed", 0),
    )
    num_records = build.manifest.split(split).num_records
    sampler = host_sampler(num_records, **order)
    weighted = build.manifest.label_map if sample_weight else None
    return _batches(read_index(build, split), decoding, sampler, weighted)


def read_instances(
    directory: Address | OpenBuild,
    split: str,
    *,
    image_size: Size,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    instances: InstanceOptions | None = None,
    label_map: bool = False,
    **order: Unpack[OrderOptions],
) -> tf.data.Dataset:
    """Reads images and objects of a finished build.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      image_size: `(height, width)` of the canvas, or one number for a square.
      resize: How images are fitted to it; None: `Resize(mode="pad")`, letterboxed.
      augmentation: Boxes, masks and keypoints follow the image.
      image: What pixels are given as.
      instances: What is given of the objects; None: 100 slots, mask crops of 112x112.
      label_map: Whether to give the label map too.
      order: As in `read_semantic`.

    Returns:
      Dataset of dicts: the keys above, those of `streams.objects.read_objects`, and
      `label_map` where it is asked for.

    Raises:
      OutputError, CorruptionError: As `read_semantic`.
      OptionError: If the split is unknown, has no objects, or an option is bad.
    """
    build = open_build(directory)
    decoding = instances_decoding(
        build.manifest,
        split,
        image_size=image_size,
        resize=resize,
        augmentation=augmentation,
        image=image,
        instances=instances,
        label_map=label_map,
        seed=order.get("seed", 0),
    )
    num_records = build.manifest.split(split).num_records
    sampler = host_sampler(num_records, **order)
    return _batches(read_index(build, split), decoding, sampler)


def _batches(
    index: RecordIndex,
    decoding: Decoding,
    sampler: Sampler,
    weighted: LabelMap | None = None,
) -> tf.data.Dataset:
    """The stream: records, decoded, filled up, batched; `weighted` for `fit`."""
    decoder = RecordDecoder(index=index, **vars(decoding))
    records = serialized_records(index, sampler)
    dataset = records.map(decoder.decode, tf.data.AUTOTUNE, deterministic=True)
    if num_filled := len(sampler) - sampler.num_real:
        empty = tf.data.Dataset.from_tensors(decoder.empty(dataset.element_spec))
        dataset = dataset.concatenate(empty.repeat(num_filled))
    size, repeats = sampler.host_batch_size, sampler.num_epochs is None
    dataset = dataset.batch(size, drop_remainder=repeats or sampler.remainder != "keep")
    endless = repeats and sampler.num_records > 0
    count = tf.data.INFINITE_CARDINALITY if endless else -(-len(sampler) // size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    dataset = dataset.map(decoder.finish)
    if weighted is not None:
        dataset = dataset.map(partial(_weighted, label_map=weighted))
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options(sampler))


def _options(sampler: Sampler) -> tf.data.Options:
    """A host's part is not shared out again; a whole job's batches are.

    TensorFlow's own choice looks for files to share out, and fails.
    """
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = (
        policy.DATA if sampler.num_shards == 1 else policy.OFF
    )
    return options


def _weighted(
    batch: dict[str, tf.Tensor], label_map: LabelMap
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Image, label and weight, as `fit` takes them."""
    # A label that is no class would give a loss of 0 * NaN, whatever its weight, and
    # metrics such as the mean IoU refuse it.
    label, ignored = batch["label_map"], label_map.padding_id
    counts = tf.not_equal(label, tf.constant(ignored, tf.uint8))
    classes = (item.id for item in label_map.semantic_classes)
    stand_in = min((i for i in classes if i != ignored), default=0)
    label = tf.where(counts, label, tf.constant(stand_in, tf.uint8))
    return batch["image"], label, tf.cast(counts, tf.uint8)
