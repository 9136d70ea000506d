"""Decides which records each host reads, in which order, and where to resume.

**The order is a pure function** of the seed, the number of the epoch and the number of
hosts, so that a stream can begin at any step.

- A split is one row of records, in the order of its files, cut into *blocks* of
  neighbours (the files' own order is a stable hash's already).
- Each epoch puts the blocks in a new order and hands every host a contiguous part of
  it: hosts get disjoint records that cover the split, and read nothing of each other's.
- A host reads its part in *windows* of `shuffle_buffer` records, from blocks of many
  places, and permutes the records of each.

Unshuffled, the part is a contiguous range of records. Parts differ by at most one
record; those of repeated streams in such a way that no host is ever more than one
record ahead. The index that the build wrote gives each record's offset, so that reading
begins right there: to resume, at most one window is read again, and nothing decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segdata.reading.options import StreamOptions
from segdata.streams.index import RecordIndex
from segdata.streams.tensorflow import tf

_READ_BUFFER_BYTES = 1 << 18  # up to this much is read beyond the end
EPOCH = 1 << 32
"""Draws of two epochs are so far apart: more than a split has records."""
_MAX_EPOCHS = 1 << 30
# Salts of the random numbers, so that no two uses share them.
_BLOCK_ORDER, _RECORD_ORDER, _PASSES = 1, 2, 3


def host_count(position: int, num_shards: int, shard_index: int) -> int:
    """How many of the first `position` records of all epochs are this host's.

    As if records were dealt out one by one: hosts differ by at most one at any time.
    """
    return (position + num_shards - 1 - shard_index) // num_shards


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchCount:
    """How long one pass is."""

    count: int
    """Batches from the first step on; the same on all hosts, unless short batches are
    kept."""
    num_filled: int
    """Records of them that must be filled up."""


def count_batches(num_records: int, options: StreamOptions) -> BatchCount:
    """Counts the batches of one pass."""
    first, last, own = (
        host_count(num_records, options.num_shards, host)
        for host in (0, options.num_shards - 1, options.shard_index)
    )
    size = options.batch_size
    if options.remainder == "drop":
        total = last // size
    else:
        total = -(-(own if options.remainder == "keep" else first) // size)
    count = max(0, total - options.start_step)
    left = max(0, own - options.start_step * size)
    return BatchCount(count=count, num_filled=max(0, count * size - left))


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamStart:
    """Where a stream begins."""

    epoch: int
    """Number of the epoch."""
    record: int
    """Number of the record among those of this host in that epoch."""


def find_start(num_records: int, options: StreamOptions) -> StreamStart:
    """Finds the epoch and record that a step begins with."""
    hosts = (options.num_shards, options.shard_index)
    position = options.start_step * options.batch_size
    if not options.repeat or not num_records:
        return StreamStart(epoch=0, record=position)
    # The last epoch before which the host has no more records than that.
    epoch = position * options.num_shards // num_records + 1
    while host_count(epoch * num_records, *hosts) > position:
        epoch -= 1
    return StreamStart(
        epoch=epoch, record=position - host_count(epoch * num_records, *hosts)
    )


def serialized_records(index: RecordIndex, options: StreamOptions) -> tf.data.Dataset:
    """Serialized records of this host, in order.

    Returns:
      Dataset of `(record, draw)`: `[] string`, the serialized record, and `[] int64`,
      `epoch << 32` plus the record's number in the split. The epoch of a stream that
      is not repeated is a random number, another one in each pass.
    """
    start = find_start(index.num_records, options)
    plan = _Plan(index, options, start)
    if not index.num_records:
        epochs = tf.data.Dataset.range(0)
    elif options.repeat:
        epochs = tf.data.Dataset.range(start.epoch, _MAX_EPOCHS)
    else:
        epochs = _passes(options.seed)
    if not options.shuffle:
        return epochs.flat_map(plan.in_order)
    windows = epochs.flat_map(plan.windows)
    # One after the other, but each is read while the one before it is decoded.
    return windows.interleave(
        plan.records,
        cycle_length=2,
        block_length=plan.window,
        num_parallel_calls=2,
        deterministic=True,
    )


def _passes(seed: int) -> tf.data.Dataset:
    """One number, another one whenever the dataset is iterated again."""
    numbers = tf.raw_ops.RandomDatasetV2(
        seed=tf.constant(seed, tf.int64),
        seed2=tf.constant(_PASSES, tf.int64),
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        rerandomize_each_iteration=True,
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    spec = tf.TensorSpec([], tf.int64)
    one = tf.data.experimental.from_variant(numbers, spec).take(1)
    return one.map(lambda number: number % _MAX_EPOCHS)


class _Plan:
    """The order of one host's records, as graph functions of the epoch."""

    def __init__(
        self, index: RecordIndex, options: StreamOptions, start: StreamStart
    ) -> None:
        self._index, self._options, self._start = index, options, start
        self.window = options.shuffle_buffer
        self._blocks = index.blocks(options.shuffle_buffer)

    def in_order(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """This host's part of an epoch, not shuffled: `(record, draw)`.

        A range of records, read file after file by one op: a stream begins in half the
        time that datasets in functions in functions take.
        """
        low, high = self._part(epoch if self._options.repeat else tf.zeros_like(epoch))
        low = tf.minimum(low + self._skip(epoch), high)
        index, starts = self._index, self._index.starts
        first = tf.minimum(low, index.num_records - 1)  # of none: any will do
        file = index.number_of_file(first)
        begins = tf.constant(index.offsets[starts[:-1]])
        offset = tf.gather(tf.constant(index.offsets), first)
        records = _read_files(
            tf.constant(index.files, tf.string)[file:],
            tf.concat([[offset], begins[file + 1 :]], 0),
        )
        draw = epoch * EPOCH
        return tf.data.Dataset.zip(
            records, tf.data.Dataset.range(draw + low, draw + high)
        )

    def windows(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Windows of this host's part of an epoch.

        Returns:
          Dataset of `(epoch, window, firsts, counts, skip)`: its number, the first
          record and number of records of each of its pieces, how many to leave out.
        """
        blocks = tf.constant(self._blocks)
        low, high = self._part(epoch if self._options.repeat else tf.zeros_like(epoch))
        skip = self._skip(epoch)
        order = self._block_order(epoch)
        firsts = tf.gather(blocks[:-1], order)
        sizes = tf.gather(blocks[1:] - blocks[:-1], order)
        ends = tf.cumsum(sizes)
        begins = ends - sizes
        window = tf.constant(self.window, tf.int64)

        def pieces(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            begin = low + number * window
            end = tf.minimum(begin + window, high)
            one = tf.searchsorted(ends, [begin], side="right")[0]
            last = tf.searchsorted(begins, [end], side="left")[0]
            start = tf.maximum(begins[one:last], begin)
            counts = tf.minimum(ends[one:last], end) - start
            first = firsts[one:last] + start - begins[one:last]
            left_out = tf.where(number == skip // window, skip % window, 0)
            return epoch, number, first, counts, left_out

        num_windows = -((low - high) // window)
        return tf.data.Dataset.range(skip // window, num_windows).map(pieces)

    def records(
        self,
        epoch: tf.Tensor,
        window: tf.Tensor,
        firsts: tf.Tensor,
        counts: tf.Tensor,
        skip: tf.Tensor,
    ) -> tf.data.Dataset:
        """The records of one window, in order."""
        pieces = tf.data.Dataset.from_tensor_slices((firsts, counts))
        records = pieces.flat_map(
            lambda first, count: self._read(first, count, epoch * EPOCH)
        )
        return self._permuted(records, epoch, window).skip(skip)

    def _part(self, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where this host's part of an epoch begins and ends."""
        num_records = self._index.num_records
        num_shards = self._options.num_shards

        def of_hosts_below(host: int) -> tf.Tensor:
            counted = []
            for position in (epoch * num_records, (epoch + 1) * num_records):
                rest = tf.minimum(position % num_shards, host)
                counted.append(position // num_shards * host + rest)
            return counted[1] - counted[0]

        host = self._options.shard_index
        return of_hosts_below(host), of_hosts_below(host + 1)

    def _skip(self, epoch: tf.Tensor) -> tf.Tensor:
        """Records of this host's part that lie before the first step."""
        skip = tf.constant(self._start.record, tf.int64)
        if not self._options.repeat:
            return skip
        return tf.where(epoch == self._start.epoch, skip, tf.zeros_like(skip))

    def _block_order(self, epoch: tf.Tensor) -> tf.Tensor:
        draws = _draws(len(self._blocks) - 1, self._options.seed, epoch, _BLOCK_ORDER)
        return tf.argsort(draws, stable=True)

    def _permuted(
        self, records: tf.data.Dataset, epoch: tf.Tensor, window: tf.Tensor
    ) -> tf.data.Dataset:
        """Shuffles a window; the op itself, as `Dataset.shuffle` adds a global seed."""
        seeds = _draws(2, self._options.seed, epoch, _RECORD_ORDER)
        host = window * self._options.num_shards + self._options.shard_index
        shuffled = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(records),
            buffer_size=tf.constant(self.window, tf.int64),
            seed=seeds[0] + host,
            seed2=tf.bitwise.bitwise_or(seeds[1], 1),  # both 0 would mean any
            reshuffle_each_iteration=False,
            output_types=[tf.string, tf.int64],
            output_shapes=[[], []],
        )
        return tf.data.experimental.from_variant(shuffled, records.element_spec)

    def _read(
        self, first: tf.Tensor, count: tf.Tensor, draw: tf.Tensor
    ) -> tf.data.Dataset:
        """Records `first` to `first + count`, which lie in one file."""
        offset = tf.gather(tf.constant(self._index.offsets), first)
        return tf.data.Dataset.zip(
            _read_files([self._index.file_of(first)], [offset]),
            tf.data.Dataset.range(draw + first, draw + first + count),
        )


def _read_files(files: Any, offsets: Any) -> tf.data.Dataset:
    """Records of files, one after the other, each from its offset on."""
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=files,
        compression_type="",
        buffer_size=tf.constant(_READ_BUFFER_BYTES, tf.int64),
        byte_offsets=offsets,
    )
    return tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))


def _draws(count: int, seed: int, epoch: tf.Tensor, salt: int) -> tf.Tensor:
    """`[count] int64` random numbers that depend on the arguments and nothing else."""
    return tf.random.stateless_uniform(
        [count],
        seed=tf.stack([tf.constant(seed, tf.int64), epoch * 4 + salt]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
