"""Where the records of a split lie, by the index that the build wrote."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError, OptionError
from segdata.shards.manifest import OpenBuild
from segdata.shards.offsets import open_offsets
from segdata.storage.paths import Location
from segdata.streams.tensorflow import tf


@dataclass(frozen=True, kw_only=True)
class RecordIndex:
    """Where the records of a split lie."""

    files: tuple[str, ...]
    """Path of each file that has records."""
    offsets: NDArray[np.int64]
    """Byte offset of every record in its file, file by file."""
    starts: NDArray[np.int64]
    """Number of the first record of each file, and at last the number of records."""
    sizes: tuple[int, ...]
    """Size of each file in bytes."""

    @property
    def num_records(self) -> int:
        """Records in all files."""
        return int(self.starts[-1])

    @property
    def mean_bytes(self) -> int:
        """Bytes of a record, at least 1."""
        return max(1, sum(self.sizes) // max(1, self.num_records))

    @cached_property
    def tensors(self) -> IndexTensors:
        """The index as tensors that functions of a graph share."""
        with tf.init_scope():  # captured by functions, not copied into their graphs
            return IndexTensors(
                files=tf.constant(self.files, tf.string, [len(self.files)]),
                offsets=tf.constant(self.offsets),
                starts=tf.constant(self.starts),
                sizes=tf.constant(self.sizes, tf.int64, [len(self.files)]),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexTensors:
    """A `RecordIndex` in graph."""

    files: tf.Tensor
    """`[files] string`."""
    offsets: tf.Tensor
    """`[records] int64`."""
    starts: tf.Tensor
    """`[files + 1] int64`."""
    sizes: tf.Tensor
    """`[files] int64`."""

    def number_of_file(self, record: tf.Tensor) -> tf.Tensor:
        """Which file holds each record, by its number: `[n] int64`."""
        # The op itself, without its wrapper's many, as it runs for every record.
        number = tf.raw_ops.UpperBound(
            sorted_inputs=self.starts[tf.newaxis, 1:],
            values=record[tf.newaxis],
            out_type=tf.int64,
        )
        return number[0]

    def file_of(self, record: tf.Tensor) -> tf.Tensor:
        """Path of the file that holds a record, by its number: `[] string`."""
        return tf.gather(self.files, self.number_of_file(record[tf.newaxis])[0])

    def bounds(
        self, file: tf.Tensor, first: tf.Tensor, after: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Bytes that records `first` to `after` take of a file, each `[n] int64`."""
        ends_file = tf.equal(after, tf.gather(self.starts, file + 1))
        following = tf.gather(self.offsets, tf.where(ends_file, first, after))
        end = tf.where(ends_file, tf.gather(self.sizes, file), following)
        return tf.gather(self.offsets, first), end


def read_index(build: OpenBuild, split: str) -> RecordIndex:
    """Reads where the records of a split lie, from the index beside its shards.

    Raises:
      CorruptionError: If an index is missing, damaged or of another build, or a shard
        is not of the size that the manifest says.
      OptionError: If it lies in a store that TensorFlow cannot read.
    """
    root = build.directory
    _check_scheme(root)
    shards = [s for s in build.manifest.split(split).shards if s.num_records]
    root.each(lambda s: _check_size(root / s.name, s.num_bytes), shards)
    starts = np.cumsum([0, *(shard.num_records for shard in shards)], dtype=np.int64)
    return RecordIndex(
        files=tuple(str(root / shard.name) for shard in shards),
        offsets=open_offsets(root, build.manifest, split),
        starts=starts,
        sizes=tuple(shard.num_bytes for shard in shards),
    )


def _check_scheme(root: Location) -> None:
    """Refuses stores that TensorFlow, which reads the shards itself, does not know."""
    known = [s for s in tf.io.gfile.get_registered_schemes() if s not in ("", "ram")]
    if root.scheme not in ("file", *known):
        raise OptionError(
            f"tf.data cannot read {root}: this TensorFlow knows "
            f"{', '.join(f'{s}://' for s in known)} only. Copy the build to a disk, or "
            "read it by segdata.RecordSource, from PyTorch or Grain."
        )


def _check_size(path: Location, expected: int) -> None:
    """Refuses a shard that was cut off or added to: others' records would shift."""
    try:
        found = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        found = None
    if found != expected:
        got = "no such file" if found is None else f"{found} bytes"
        raise CorruptionError(
            f"{path} is not as it was built: expected {expected} bytes, got {got}. "
            "`segdata verify` tells what is damaged."
        )
