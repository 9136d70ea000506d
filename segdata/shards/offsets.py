"""Where every record lies, in one file that is opened in constant time.

`index/offsets.bin` holds 8 bytes for each record: its byte offset in its shard, as
little-endian int64, shard after shard and split after split, as `manifest.json` lists
them: splits in the order of the alphabet. A reader maps it: nothing is parsed, and
processes of one machine share its pages. Builds of earlier versions lack it; there the
indexes that DALI reads are parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError
from segdata.shards.manifest import Manifest, ShardSummary
from segdata.shards.receipt import INDEX_DIR, ShardReceipt, dali_index_path
from segdata.split_names import SplitSlice
from segdata.storage.paths import Location

OFFSETS_NAME = "offsets.bin"
"""Its name in `INDEX_DIR`."""
_OFFSET = np.dtype("<i8")


def offsets_path(directory: Location) -> Location:
    """Where the offsets of a build lie."""
    return directory / INDEX_DIR / OFFSETS_NAME


def with_offsets(
    receipts: Iterable[ShardReceipt], file: IO[bytes]
) -> Iterator[ShardReceipt]:
    """The same receipts, in the order of splits and shards; each adds its offsets."""
    for receipt in receipts:
        offsets = [entry.offset for entry in receipt.records]
        file.write(np.array(offsets, _OFFSET).tobytes())
        yield receipt


def open_offsets(
    directory: Location, manifest: Manifest, split: str
) -> NDArray[np.int64]:
    """The byte offset in its shard of every record of a split or of a slice of one.

    On this machine the file is mapped, read-only; of one in a store the part of the
    split is read.

    Returns:
      `[records] int64`.

    Raises:
      CorruptionError: If the file is not of this build, or, where there is none, the
        index of a shard is missing or damaged.
    """
    path, part = offsets_path(directory), SplitSlice.parse(split)
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        first, after = part.bounds(manifest.splits[part.name].num_records)
        return _parsed(directory, manifest.splits[part.name].shards)[first:after]
    counts = {name: summary.num_records for name, summary in manifest.splits.items()}
    if size != sum(counts.values()) * _OFFSET.itemsize:
        raise CorruptionError(
            f"{path} has {size} bytes: expected {_OFFSET.itemsize} for each of "
            f"{sum(counts.values())} records, as the manifest says. Remove it, or "
            "restore the index of this build."
        )
    start = sum(count for name, count in counts.items() if name < part.name)
    first, after = part.bounds(counts[part.name])
    return _read(path, start + first, after - first)


def wrong_offsets(directory: Location, manifest: Manifest) -> Iterator[str]:
    """Shards whose records lie elsewhere than the file says; none where it is absent.

    Raises:
      CorruptionError: If the file is not of this build.
    """
    if not offsets_path(directory).is_file():
        return
    for name, split in manifest.splits.items():
        offsets, start = open_offsets(directory, manifest, name), 0
        for shard in split.shards:
            end = start + shard.num_records
            with suppress(CorruptionError):  # its own index: told by its own check
                if (offsets[start:end] != _of_shard(directory, shard)).any():
                    yield shard.name
            start = end


def _read(path: Location, start: int, count: int) -> NDArray[np.int64]:
    """Records `start` to `start + count` of the file."""
    offset, size = start * _OFFSET.itemsize, count * _OFFSET.itemsize
    try:
        if isinstance(path, Path) and count:
            return np.asarray(np.memmap(path, _OFFSET, "r", offset, (count,)))
        with path.open_at(offset, size) as file:
            file.seek(offset)
            return np.frombuffer(file.read(size), _OFFSET)
    except OSError as error:
        raise CorruptionError(f"{path} cannot be read: {error.strerror}.") from error


def _parsed(directory: Location, shards: Sequence[ShardSummary]) -> NDArray[np.int64]:
    found = directory.each(lambda shard: _of_shard(directory, shard), shards)
    return np.concatenate([np.zeros(0, np.int64), *found])


def _of_shard(directory: Location, shard: ShardSummary) -> NDArray[np.int64]:
    path = dali_index_path(directory, shard.name)
    try:
        numbers = np.array(path.read_bytes().split(), np.int64).reshape(-1, 2)
    except OSError as error:
        raise CorruptionError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CorruptionError(f"{path} is damaged: {error}.") from error
    if len(numbers) != shard.num_records:
        raise CorruptionError(
            f"{path} tells of {len(numbers)} records: expected {shard.num_records}, as "
            "the manifest says. Build again, or restore the index of this build."
        )
    return numbers[:, 0]
