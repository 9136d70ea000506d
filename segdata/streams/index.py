"""Where the records of a split lie, by the index that the build wrote."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError, OptionError
from segdata.shards.manifest import OpenBuild
from segdata.shards.offsets import open_offsets
from segdata.storage.paths import Location
from segdata.streams.tensorflow import tf

_BLOCK_BYTES = 8 << 20  # large enough to be read at full speed from remote files
_MIN_BLOCKS = 16  # places of the split that a window mixes


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordIndex:
    """Where the records of a split lie."""

    files: tuple[str, ...]
    """Path of each file that has records."""
    offsets: NDArray[np.int64]
    """Byte offset of every record in its file, file by file."""
    starts: NDArray[np.int64]
    """Number of the first record of each file, and at last the number of records."""
    num_bytes: int
    """Size of all files."""

    @property
    def num_records(self) -> int:
        """Records in all files."""
        return int(self.starts[-1])

    def number_of_file(self, record: tf.Tensor) -> tf.Tensor:
        """Which file holds a record, by its number: `[] int32`."""
        # The op itself, without its wrapper's many, as it runs for every record.
        number = tf.raw_ops.UpperBound(
            sorted_inputs=tf.constant(self.starts[np.newaxis, 1:]),
            values=tf.reshape(record, [1, 1]),
            out_type=tf.int32,
        )
        return tf.reshape(number, [])

    def file_of(self, record: tf.Tensor) -> tf.Tensor:
        """Path of the file that holds a record, by its number: `[] string`."""
        return tf.gather(
            tf.constant(self.files, tf.string), self.number_of_file(record)
        )

    def blocks(self, shuffle_buffer: int) -> NDArray[np.int64]:
        """First record of each block, and at last the number of records.

        No block spans two files; all blocks of a file have the same size but for one
        record.
        """
        mean_bytes = max(1, self.num_bytes // max(1, self.num_records))
        most = max(1, min(_BLOCK_BYTES // mean_bytes, shuffle_buffer // _MIN_BLOCKS))
        bounds = [
            np.linspace(start, end, -(-(end - start) // most) + 1).astype(np.int64)[:-1]
            for start, end in itertools.pairwise(self.starts.tolist())
        ]
        return np.concatenate([*bounds, self.starts[-1:]])


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
        num_bytes=sum(shard.num_bytes for shard in shards),
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
