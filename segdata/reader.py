"""Records as batched `tf.data` streams with static shapes, decoded in graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from segdata import features, mask_ops, parser, preprocessing
from segdata.errors import OptionError
from segdata.label_map import OUTSIDE_IGNORE_ID
from segdata.manifest import Manifest, SplitSummary, read_manifest
from segdata.tensorflow_import import tf

Remainder = Literal["pad", "drop", "keep"]

_READ_BUFFER_BYTES = 1 << 20  # a few images; the default is a quarter of it

PADDING_ID = -1
"""`image_id` of the empty images that fill up a last batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticOptions:
    """How `read_semantic` reads; see there."""

    batch_size: int
    image_size: tuple[int, int] | None = None
    shuffle: bool = False
    seed: int = 0
    repeat: bool = False
    remainder: Remainder = "pad"
    shuffle_buffer: int = 256
    num_shards: int = 1
    shard_index: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError(f"batch_size is {self.batch_size}: expected at least 1.")
        if self.image_size is not None and (
            len(self.image_size) != 2 or min(self.image_size) < 1
        ):
            raise OptionError(
                f"image_size is {self.image_size}: expected (height, width), both at "
                "least 1."
            )
        if self.remainder not in ("pad", "drop", "keep"):
            raise OptionError(
                f"remainder is {self.remainder!r}: expected 'pad', 'drop' or 'keep'."
            )
        if self.shuffle_buffer < 1:
            raise OptionError(
                f"shuffle_buffer is {self.shuffle_buffer}: expected at least 1."
            )
        if not 0 <= self.shard_index < self.num_shards:
            raise OptionError(
                f"shard_index is {self.shard_index} of num_shards {self.num_shards}: "
                "expected 0 to num_shards - 1."
            )


def read_semantic(
    directory: str | os.PathLike[str],
    split: str,
    *,
    batch_size: int,
    image_size: tuple[int, int] | None = None,
    shuffle: bool = False,
    seed: int = 0,
    repeat: bool = False,
    remainder: Remainder = "pad",
    shuffle_buffer: int = 256,
    num_shards: int = 1,
    shard_index: int = 0,
) -> tf.data.Dataset:
    """Reads images and label maps of a finished build.

    Args:
      directory: Output of `segdata build`.
      split: Name of the split.
      batch_size: Records per batch of this host, at least 1.
      image_size: `(height, width)` to stretch images (bilinear) and label maps
        (nearest, straight from the runs) to. None keeps the stored size, which must be
        the same for all records of the split.
      shuffle: Shuffle files and records, differently in each epoch.
      seed: Seed of the shuffle; equal seeds give equal streams.
      repeat: Go on for ever, for training with a fixed number of steps.
      remainder: What becomes of a last batch that is not full: `pad` it with black
        images, labels to ignore and `image_id` -1; `drop` it; or `keep` it short,
        which makes the batch dimension dynamic. With `repeat` no batch is ever short.
      shuffle_buffer: Records that are mixed at a time; the files' own order is random
        already.
      num_shards: Number of hosts that share the split.
      shard_index: This host's place among them, from 0. Hosts get disjoint records
        that cover the split, however many files there are.

    Returns:
      A `tf.data.Dataset` of dicts: `image` `[batch, height, width, 3] uint8`,
      `label_map` `[batch, height, width] uint8` class ids, `image_id` `[batch] int64`.
      All shapes are static unless `remainder` is `keep`.

    Raises:
      OutputError: If `directory` holds no finished build.
      OptionError: If the split is unknown, has no label maps, or an option is bad.
    """
    options = SemanticOptions(
        batch_size=batch_size,
        image_size=image_size,
        shuffle=shuffle,
        seed=seed,
        repeat=repeat,
        remainder=remainder,
        shuffle_buffer=shuffle_buffer,
        num_shards=num_shards,
        shard_index=shard_index,
    )
    root = Path(directory)
    manifest = read_manifest(root)
    summary = _semantic_split(manifest, split)
    stored_size = _stored_size(summary)
    size = image_size or stored_size or _refuse_sizes(summary, split)
    dataset = _records(root, summary, options)
    dataset = dataset.map(_decoder(stored_size, size), tf.data.AUTOTUNE)
    if options.remainder == "pad" and not options.repeat:
        num_records = len(range(shard_index, summary.num_records, num_shards))
        dataset = _pad(dataset, -num_records % batch_size, size, manifest)
    dataset = dataset.batch(batch_size, drop_remainder=options.remainder != "keep")
    return dataset.prefetch(tf.data.AUTOTUNE)


def _semantic_split(manifest: Manifest, split: str) -> SplitSummary:
    if split not in manifest.splits:
        raise OptionError(
            f"split {split!r} is not in this dataset: it has "
            f"{', '.join(manifest.splits)}."
        )
    if not manifest.label_map.semantic_classes:
        raise OptionError(
            f"dataset {manifest.name!r} has no label maps: read_semantic cannot "
            "read it."
        )
    return manifest.splits[split]


def _stored_size(summary: SplitSummary) -> tuple[int, int] | None:
    """Height and width of all images, if they are alike."""
    heights, widths = summary.counts.heights, summary.counts.widths
    if heights is None or widths is None:
        return None
    if heights[0] != heights[1] or widths[0] != widths[1]:
        return None
    return heights[0], widths[0]


def _refuse_sizes(summary: SplitSummary, split: str) -> NoReturn:
    raise OptionError(
        f"images of split {split!r} differ in size (smallest and largest height "
        f"{summary.counts.heights}, width {summary.counts.widths}): pass "
        "image_size=(height, width) to batch them."
    )


def _records(
    root: Path, summary: SplitSummary, options: SemanticOptions
) -> tf.data.Dataset:
    """Serialized records, shuffled and repeated as asked for."""
    files = [str(root / s.name) for s in summary.shards if s.num_records]
    dataset = tf.data.Dataset.from_tensor_slices(files)
    if options.shuffle:
        dataset = dataset.shuffle(len(files), options.seed)
    dataset = dataset.flat_map(
        lambda file: tf.data.TFRecordDataset(file, buffer_size=_READ_BUFFER_BYTES)
    )
    if options.num_shards > 1:
        dataset = dataset.shard(options.num_shards, options.shard_index)
    if options.shuffle:
        dataset = dataset.shuffle(options.shuffle_buffer, options.seed)
    return dataset.repeat() if options.repeat else dataset


def _decoder(
    stored_size: tuple[int, int] | None, size: tuple[int, int]
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Serialized record -> tensors of `size`; a known stored size makes it cheaper."""
    wanted = (
        features.ENCODED,
        features.HEIGHT,
        features.WIDTH,
        features.SOURCE_ID,
        features.LABEL_VALUES,
        features.LABEL_LENGTHS,
    )

    def decode(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = parser.parse_features(serialized, wanted)
        image = parser.decode_image(record[features.ENCODED])
        values, lengths = (
            record[features.LABEL_VALUES],
            record[features.LABEL_LENGTHS],
        )
        height, width = stored_size or (
            record[features.HEIGHT],
            record[features.WIDTH],
        )
        if size == stored_size:
            image = tf.ensure_shape(image, (*size, 3))
            label_map = mask_ops.decode_label_map(values, lengths, *size)
        else:
            image = preprocessing.resize_image(image, size)
            label_map = mask_ops.resize_label_map(values, lengths, height, width, size)
        image_id = tf.strings.to_number(record[features.SOURCE_ID], tf.int64)
        return {"image": image, "label_map": label_map, "image_id": image_id}

    return decode


def _pad(
    dataset: tf.data.Dataset, count: int, size: tuple[int, int], manifest: Manifest
) -> tf.data.Dataset:
    """Appends empty images whose every label is to be ignored."""
    if not count:
        return dataset
    ignore_id = manifest.label_map.ignore_id
    label = OUTSIDE_IGNORE_ID if ignore_id is None else ignore_id
    empty = {
        "image": tf.zeros((*size, 3), tf.uint8),
        "label_map": tf.fill(size, tf.constant(label, tf.uint8)),
        "image_id": tf.constant(PADDING_ID, tf.int64),
    }
    return dataset.concatenate(tf.data.Dataset.from_tensors(empty).repeat(count))
