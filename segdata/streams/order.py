"""Decides where this host reads each record; the order is `segdata.reading.sampler`'s.

The places of many samples are found at once. Neighbours among them, such as the runs of
a shuffled order, are read as one *piece*: one request of just their bytes. Pieces are
read ahead, several at a time.
"""

from __future__ import annotations

from typing import Any

from segdata.reading.order import Order
from segdata.reading.sampler import Sampler
from segdata.streams.index import RecordIndex
from segdata.streams.tensorflow import tf

EPOCH = 1 << 32
"""Draws of two epochs are so far apart: more than a split has records."""
_MAX_EPOCHS = 1 << 30
_PASSES = 3  # salt of the epochs of streams that are not repeated
_SAMPLES = 1024  # whose places are found at once
_PIECE_BYTES = 4 << 20
_READ_BYTES = 1 << 20
_READ_AHEAD = 4


def serialized_records(index: RecordIndex, sampler: Sampler) -> tf.data.Dataset:
    """Serialized records of this host, in order, without any that fill up.

    Returns:
      Dataset of `(record, draw)`: `[] string`, the serialized record, and `[] int64`,
      `epoch << 32` plus the record's number in the split. A stream that is not
      repeated begins with epoch 0, and each pass is another epoch.
    """
    pieces = _Pieces(index, sampler)
    num_chunks = -(-sampler.num_real // _SAMPLES)
    chunks = tf.data.Dataset.range(num_chunks)
    if sampler.num_epochs is None:
        found = chunks.map(lambda chunk: pieces.of_chunk(chunk, tf.zeros_like(chunk)))
    else:
        found = _passes(sampler.seed).flat_map(
            lambda epoch: chunks.map(lambda chunk: pieces.of_chunk(chunk, epoch))
        )
    # A piece ends within its block, so that pieces come one after the other.
    return found.flat_map(tf.data.Dataset.from_tensor_slices).interleave(
        pieces.read,
        cycle_length=_READ_AHEAD,
        block_length=pieces.longest + 1,
        num_parallel_calls=_READ_AHEAD,
        deterministic=True,
    )


def _passes(seed: int) -> tf.data.Dataset:
    """One number: 0, and another one whenever the dataset is iterated again.

    A dataset cannot count how often it is iterated, but draw another number.
    """
    with tf.init_scope():
        first = int(next(iter(_draw(seed))))
    return _draw(seed).map(lambda number: (number - first) % _MAX_EPOCHS)


def _draw(seed: int) -> tf.data.Dataset:
    """One random number, another one whenever the dataset is iterated again."""
    numbers = tf.raw_ops.RandomDatasetV2(
        seed=tf.constant(seed, tf.int64),
        seed2=tf.constant(_PASSES, tf.int64),
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        rerandomize_each_iteration=True,
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    spec = tf.TensorSpec([], tf.int64)
    return tf.data.experimental.from_variant(numbers, spec).take(1)


class _Pieces:
    """What a host reads at once, as graph functions."""

    def __init__(self, index: RecordIndex, sampler: Sampler) -> None:
        self._index, self._sampler = index, sampler
        self._order: Order = sampler.order
        self._places = index.tensors
        self.longest = max(1, min(64, _PIECE_BYTES // index.mean_bytes))

    def of_chunk(
        self, chunk: tf.Tensor, first_epoch: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The pieces of some samples of this host, in order.

        Args:
          chunk: `[] int64`, which `_SAMPLES` of them.
          first_epoch: `[] int64`, added to the number of the epoch.

        Returns:
          `[pieces] int64` each: `file`, `offset` and `size` in bytes, `count` of
          records, and `draw` of the first one.
        """
        start = chunk * _SAMPLES
        stop = tf.minimum(start + _SAMPLES, self._sampler.num_real)
        position = self._sampler.position(tf.range(start, stop))
        epoch = position // self._index.num_records + first_epoch
        within = position % self._index.num_records
        record = self._order.record(epoch, within, _fold)
        file = self._places.number_of_file(record)
        follows = (
            tf.equal(record[1:], record[:-1] + 1)
            & tf.equal(epoch[1:], epoch[:-1])
            & tf.equal(file[1:], file[:-1])
            & (tf.range(1, stop - start) % self.longest > 0)
        )
        first = tf.where(tf.concat([[True], ~follows], 0))[:, 0]
        count = tf.concat([first[1:], [stop - start]], 0) - first
        record, file = tf.gather(record, first), tf.gather(file, first)
        offset, end = self._places.bounds(file, record, record + count)
        return {
            "file": file,
            "offset": offset,
            "size": end - offset,
            "count": count,
            "draw": tf.gather(epoch, first) * EPOCH + record,
        }

    def read(self, piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
        """`(record, draw)` of a piece."""
        # Parts of equal size: nothing behind the piece is read.
        num_parts = -(-piece["size"] // _READ_BYTES)
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=[tf.gather(self._places.files, piece["file"])],
            compression_type="",
            buffer_size=-(-piece["size"] // num_parts),
            byte_offsets=[piece["offset"]],
        )
        spec = tf.TensorSpec([], tf.string)
        dataset = tf.data.experimental.from_variant(records, spec)
        draw, count = piece["draw"], piece["count"]
        return tf.data.Dataset.zip(
            dataset.take(count), tf.data.Dataset.range(draw, draw + count)
        )


def _fold(function: Any, numbers: tuple[int, ...], start: tf.Tensor) -> tf.Tensor:
    """`functools.reduce` as a loop of the graph: unrolled, tracing takes seconds."""
    return tf.foldl(function, tf.constant(numbers, tf.int64), start)
