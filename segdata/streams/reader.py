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

from segdata.errors import OptionError
from segdata.label_map import LabelMap
from segdata.reading.options import (
    Augmentation,
    ImageOptions,
    InstanceOptions,
    Remainder,
    Resize,
    Size,
    StreamOptions,
    read_size,
)
from segdata.shards.manifest import Manifest, OpenBuild, SplitSummary, open_build
from segdata.storage.paths import Address
from segdata.streams import order
from segdata.streams.decode import PADDING_ID as PADDING_ID
from segdata.streams.decode import RecordDecoder
from segdata.streams.index import read_index
from segdata.streams.objects import KeypointOrder
from segdata.streams.tensorflow import tf


def read_semantic(
    directory: Address | OpenBuild,
    split: str,
    *,
    batch_size: int,
    image_size: Size | None = None,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    shuffle: bool = False,
    seed: int = 0,
    repeat: bool = False,
    remainder: Remainder = "pad",
    shuffle_buffer: int = 256,
    num_shards: int = 1,
    shard_index: int = 0,
    start_step: int = 0,
    sample_weight: bool = False,
) -> tf.data.Dataset:
    """Reads images and label maps of a finished build.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      batch_size: Records per batch of this host.
      image_size: `(height, width)` of images (bilinear, antialiased) and label maps
        (nearest), or one number for a square. None keeps the stored size, if all are
        alike.
      resize: How images are fitted to it; None stretches them.
      augmentation: What is random about images and label maps; None: nothing.
      image: What pixels are given as; None: uint8.
      shuffle: Shuffle records, differently in each epoch.
      seed: Seed of shuffle and augmentation; equal seeds give equal streams.
      repeat: Go on for ever, for training with a fixed number of steps.
      remainder: What becomes of a last batch that is not full: `pad` it with black
        images, labels to ignore and `image_id` -1; `drop` it; or `keep` it short. Only
        with `keep` the batch dimension is dynamic and hosts' numbers of batches differ.
      shuffle_buffer: Records that are mixed at a time, from 16 places of the split.
      num_shards: Number of hosts that share the split; see `segdata.reading.hosts`.
      shard_index: This host's place among them, from 0: its records are its own.
      start_step: First batch of the stream that begins at 0; skips without decoding.
      sample_weight: Give `(image, label_map, sample_weight)` to Keras's `fit`: weight
        `[batch, height, width] uint8` 0 on padding and what the dataset ignores.

    Returns:
      A `tf.data.Dataset` of dicts: `label_map` `[batch, height, width] uint8` class
      ids, with `LabelMap.padding_id` on padding; and of the keys above `image` and
      `image_id`; where `resize` is given, all of them.

    Raises:
      OutputError, CorruptionError: If it is no finished build, or a damaged one.
      OptionError: If the split is unknown, has no label maps, or an option is bad.
    """
    options = StreamOptions(
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        repeat=repeat,
        remainder=remainder,
        shuffle_buffer=shuffle_buffer,
        num_shards=num_shards,
        shard_index=shard_index,
        start_step=start_step,
    )
    build = open_build(directory)
    label_map, summary = build.manifest.label_map, build.manifest.split(split)
    _check_label_maps(build.manifest)
    decoder = RecordDecoder(
        index=read_index(build, split),
        size=_canvas(image_size, summary, split),
        stored_size=_stored_size(summary),
        resize=resize or Resize(),
        augmentation=augmentation or Augmentation(),
        image=image or ImageOptions(),
        seed=seed,
        with_geometry=resize is not None,
        padding_id=label_map.padding_id,
    )
    return _batches(decoder, options, label_map if sample_weight else None)


def read_instances(
    directory: Address | OpenBuild,
    split: str,
    *,
    batch_size: int,
    image_size: Size,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    instances: InstanceOptions | None = None,
    label_map: bool = False,
    shuffle: bool = False,
    seed: int = 0,
    repeat: bool = False,
    remainder: Remainder = "pad",
    shuffle_buffer: int = 256,
    num_shards: int = 1,
    shard_index: int = 0,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Reads images and objects of a finished build.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      batch_size: As in `read_semantic`, like what is not told here.
      image_size: `(height, width)` of the canvas, or one number for a square.
      resize: How images are fitted to it; None: `Resize(mode="pad")`, letterboxed.
      augmentation: Boxes, masks and keypoints follow the image.
      image: What pixels are given as.
      instances: What is given of the objects; None: 100 slots, mask crops of 112x112.
      label_map: Whether to give the label map too.
      shuffle: Shuffle records.
      seed: Seed of shuffle and augmentation.
      repeat: Go on for ever.
      remainder: What becomes of a short last batch; padding has no objects.
      shuffle_buffer: Records that are mixed at a time.
      num_shards: Number of hosts.
      shard_index: This host's place among them.
      start_step: Number of the first batch.

    Returns:
      Dataset of dicts: the keys above, those of `streams.objects.read_objects`, and
      `label_map` where it is asked for.

    Raises:
      OutputError, CorruptionError: As `read_semantic`.
      OptionError: If the split is unknown, has no objects, or an option is bad.
    """
    options = StreamOptions(
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        repeat=repeat,
        remainder=remainder,
        shuffle_buffer=shuffle_buffer,
        num_shards=num_shards,
        shard_index=shard_index,
        start_step=start_step,
    )
    size = read_size("image_size", image_size)
    instances = instances or InstanceOptions()
    build = open_build(directory)
    manifest = build.manifest
    summary = manifest.split(split)
    _check_objects(manifest, instances, label_map=label_map)
    decoder = RecordDecoder(
        index=read_index(build, split),
        size=size,
        stored_size=_stored_size(summary),
        resize=resize or Resize(mode="pad"),
        augmentation=augmentation or Augmentation(),
        image=image or ImageOptions(),
        seed=seed,
        with_geometry=True,
        padding_id=manifest.label_map.padding_id if label_map else None,
        instances=instances,
        keypoints=KeypointOrder.of(manifest.label_map) if instances.keypoints else None,
    )
    return _batches(decoder, options)


def _batches(
    decoder: RecordDecoder, options: StreamOptions, weighted: LabelMap | None = None
) -> tf.data.Dataset:
    """The stream: records, decoded, filled up, batched; `weighted` for `fit`."""
    records = order.serialized_records(decoder.index, options)
    dataset = records.map(decoder.decode, tf.data.AUTOTUNE, deterministic=True)
    batches = order.count_batches(decoder.index.num_records, options)
    if options.remainder == "pad" and not options.repeat:
        empty = tf.data.Dataset.from_tensors(decoder.empty(dataset.element_spec))
        dataset = dataset.concatenate(empty.repeat(batches.num_filled))
    dataset = dataset.batch(
        options.batch_size, drop_remainder=options.repeat or options.remainder != "keep"
    )
    if not options.repeat:
        # Hosts that have a record more than others must not have a batch more.
        dataset = dataset.take(batches.count)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches.count))
    dataset = dataset.map(decoder.finish)
    if weighted is not None:
        dataset = dataset.map(partial(_weighted, label_map=weighted))
    return dataset.prefetch(tf.data.AUTOTUNE)


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


def _check_label_maps(manifest: Manifest) -> None:
    if not manifest.label_map.semantic_classes:
        raise OptionError(
            f"dataset {manifest.name!r} has no label maps: read_semantic cannot "
            "read it."
        )


def _check_objects(
    manifest: Manifest, instances: InstanceOptions, *, label_map: bool
) -> None:
    classes = manifest.label_map.object_classes
    if not classes:
        raise OptionError(
            f"dataset {manifest.name!r} has no objects: read_instances cannot read it."
        )
    if label_map and not manifest.label_map.semantic_classes:
        raise OptionError(
            f"label_map is True, but dataset {manifest.name!r} has no label maps."
        )
    if instances.keypoints and not any(item.keypoints for item in classes):
        raise OptionError(
            f"keypoints is True, but dataset {manifest.name!r} has no keypoints."
        )


def _stored_size(summary: SplitSummary) -> tuple[int, int] | None:
    """Height and width of all images, if they are alike."""
    heights, widths = summary.counts.heights, summary.counts.widths
    if heights is None or widths is None:
        return None
    if heights[0] != heights[1] or widths[0] != widths[1]:
        return None
    return heights[0], widths[0]


def _canvas(size: Size | None, summary: SplitSummary, split: str) -> tuple[int, int]:
    if size is not None:
        return read_size("image_size", size)
    if stored := _stored_size(summary):
        return stored
    raise OptionError(
        f"images of split {split!r} differ in size (smallest and largest height "
        f"{summary.counts.heights}, width {summary.counts.widths}): pass "
        "image_size=(height, width) to batch them."
    )
