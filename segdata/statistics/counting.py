"""Counting the shards of a build: what `segdata stats` does, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from segdata.images import normalize
from segdata.label_map import LabelMap
from segdata.shards.manifest import Manifest
from segdata.shards.tfrecord import FRAME_BYTES, read_records
from segdata.statistics.columns import RecordColumns, read_columns
from segdata.statistics.stats_file import StatsOptions, num_ids, write_stats
from segdata.statistics.tally import SplitTally
from segdata.storage.paths import Location

# Counted at once. They hold their images: no more bytes than a few images may have.
_BATCH_RECORDS = 256
_BATCH_BYTES = 16 << 20

SplitCount = tuple[str, SplitTally]
"""A split and what was counted of it."""


@dataclass(frozen=True, kw_only=True)
class CountedShard:
    """One shard to count."""

    name: str
    """File name."""
    split: str
    """Its split."""
    first: int
    """Position of its first record in the split."""
    num_records: int
    """Records in the whole split."""


@dataclass(frozen=True, kw_only=True)
class StatsJob:
    """What every worker knows."""

    out: Location
    """Directory of the build."""
    label_map: LabelMap
    """The classes."""
    options: StatsOptions = field(default_factory=StatsOptions)
    """What to count."""


def shards_to_count(manifest: Manifest) -> list[CountedShard]:
    """The shards of a build, in its order."""
    shards = []
    for name, split in manifest.splits.items():
        first = 0
        for shard in split.shards:
            shards.append(
                CountedShard(
                    name=shard.name,
                    split=name,
                    first=first,
                    num_records=split.num_records,
                )
            )
            first += shard.num_records
    return shards


def count_shard(
    shard: CountedShard, job: StatsJob, on_records: Callable[[int], None]
) -> SplitCount:
    """Counts one shard.

    Args:
      shard: Which.
      job: What to count.
      on_records: Called with the number of records counted since the last call.

    Raises:
      CorruptionError: If a record is damaged or not ours.
      ImageError: If an image to decode cannot be.
    """
    tally = SplitTally(num_ids(job.label_map))
    path = job.out / shard.name
    batch: list[tuple[RecordColumns, int, int]] = []
    num_bytes = 0
    for raw in read_records(path):
        where = f"{path.name}: record {raw.index}"
        record = read_columns(raw.data, where)
        framed = len(raw.data) + FRAME_BYTES
        batch.append((record, framed, shard.first + raw.index))
        num_bytes += framed
        if len(batch) == _BATCH_RECORDS or num_bytes >= _BATCH_BYTES:
            tally.add_all(batch)
            batch, num_bytes = [], 0
        if job.options.takes(record.key, shard.num_records):
            image = normalize.open_rgb(record.encoded, record.key)
            tally.channels.add(np.array(image.histogram()).reshape(3, 256))
        on_records(1)
    tally.add_all(batch)
    return shard.split, tally


def write_counts(job: StatsJob, counted: Iterable[SplitCount]) -> None:
    """Adds up the counts of all shards, in any order, and writes `stats.json`."""
    tallies: dict[str, SplitTally] = {}
    for split, tally in counted:
        if split not in tallies:
            tallies[split] = SplitTally(tally.classes.num_ids)
        tallies[split].merge(tally)
    write_stats(job.out, tallies, job.options)
