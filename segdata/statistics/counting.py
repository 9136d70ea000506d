"""Counting the shards of a build: what `segdata stats` does, wherever it runs."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segdata.images import decode
from segdata.label_map import LabelMap
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.tfrecord import FRAME_BYTES, read_records
from segdata.shards.work import OnRecords, RunShards, ShardWork, in_turn
from segdata.statistics.columns import RecordColumns, read_columns
from segdata.statistics.stats_file import (
    Pixels,
    StatsOptions,
    num_ids,
    read_stats,
    stated_or_before,
    write_stats,
)
from segdata.statistics.tally import SplitTally
from segdata.storage.paths import Address, Location, locate

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
    split_records: int
    """Records in the whole split."""
    num_records: int
    """Records in it."""
    num_bytes: int
    """File size."""


@dataclass(frozen=True, kw_only=True)
class StatsJob:
    """What every worker knows."""

    out: Location
    """Directory of the build."""
    label_map: LabelMap
    """The classes."""
    options: StatsOptions = field(default_factory=StatsOptions)
    """What to count."""


def stats(
    out: Address,
    *,
    pixels: Pixels | None = None,
    sample_size: int | None = None,
    run_shards: RunShards = in_turn,
) -> dict[str, Any]:
    """Counts a finished build and writes its `stats.json`.

    An option that is None is that of the `stats.json` that is there, else that of
    `StatsOptions`.

    Args:
      out: Directory of the build.
      pixels: Which images are decoded for the mean and deviation of the channels.
      sample_size: Images of each split in a sample, about.
      run_shards: How the shards are gone through; the numbers do not depend on it.

    Returns:
      The statistics, as written.

    Raises:
      SegdataError: See its subclasses; the message is one line for the user.
    """
    directory = locate(out)
    manifest = read_manifest(directory)
    job = StatsJob(
        out=directory.resolve(),
        label_map=manifest.label_map,
        options=stated_or_before(directory, pixels, sample_size),
    )
    work = ShardWork(
        do=functools.partial(count_shard, job),
        what="counting",
        out=job.out,
        records_per_worker=4000,
    )
    tallies = _add_up(run_shards(work, _shards_to_count(manifest)))
    write_stats(job.out, tallies, job.options)
    return read_stats(directory)


def _shards_to_count(manifest: Manifest) -> list[CountedShard]:
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
                    split_records=split.num_records,
                    num_records=shard.num_records,
                    num_bytes=shard.num_bytes,
                )
            )
            first += shard.num_records
    return shards


def count_shard(
    job: StatsJob, shard: CountedShard, on_records: OnRecords
) -> SplitCount:
    """Counts one shard.

    Args:
      job: What to count.
      shard: Which.
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
        if job.options.takes(record.key, shard.split_records):
            image = decode.open_rgb(record.encoded, record.key)
            tally.channels.add(np.array(image.histogram()).reshape(3, 256))
        on_records(1)
    tally.add_all(batch)
    return shard.split, tally


def _add_up(counted: Iterable[SplitCount]) -> dict[str, SplitTally]:
    """The counts of all shards by split."""
    tallies: dict[str, SplitTally] = {}
    for split, tally in counted:
        if split not in tallies:
            tallies[split] = SplitTally(tally.classes.num_ids)
        tallies[split].merge(tally)
    return tallies
