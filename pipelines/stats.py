"""The statistics pipeline: one worker per shard, one sum of small tallies, one file.

shards -> reshuffle -> count -> collect -> sum of each split, stats.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np

from segdata import images
from segdata.label_map import LabelMap
from segdata.manifest import Manifest, read_manifest
from segdata.pipelines import progress, runners
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.progress import display
from segdata.record_columns import RecordColumns, read_columns
from segdata.remote_path import Location
from segdata.shards import FRAME_BYTES, read_records
from segdata.statistics import StatsOptions, num_ids, read_stats, write_stats
from segdata.tally import SplitTally

# Starting a worker process costs as much as counting so many records.
_RECORDS_WORTH_A_WORKER = 4000
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


def count_shard(
    shard: CountedShard, job: StatsJob, on_records: Callable[[int], None]
) -> SplitTally:
    """Counts one shard.

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
            image = images.open_rgb(record.encoded, record.key)
            tally.channels.add(np.array(image.histogram()).reshape(3, 256))
        on_records(1)
    tally.add_all(batch)
    return tally


class CountShards(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """`CountedShard -> (None, (its split, its tally))`."""

    def __init__(self, job: StatsJob, progress_address: str | None) -> None:
        self._job = job
        self._progress_address = progress_address

    def process(self, shard: CountedShard) -> list[tuple[None, SplitCount]]:
        """Counts one shard."""
        with (
            runners.one_line_errors(),
            progress.Reporter(self._progress_address) as reporter,
        ):
            tally = count_shard(shard, self._job, reporter.add)
            return [(None, (shard.split, tally))]


class WriteStats(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """Adds up the tallies of all shards, in any order, and writes `stats.json`."""

    def __init__(self, job: StatsJob) -> None:
        self._job = job

    def process(self, counted: tuple[None, Iterable[SplitCount]]) -> None:
        """Writes the file."""
        tallies: dict[str, SplitTally] = {}
        with runners.one_line_errors():
            for split, tally in counted[1]:
                if split not in tallies:
                    tallies[split] = SplitTally(tally.classes.num_ids)
                tallies[split].merge(tally)
            write_stats(self._job.out, tallies, self._job.options)


def compute_stats(
    out: Location,
    options: StatsOptions | None = None,
    runner: RunnerOptions | None = None,
) -> dict[str, object]:
    """Counts a finished build and writes its `stats.json`.

    Returns:
      The statistics, as written.

    Raises:
      SegdataError: See its subclasses; the message is one line for the user.
    """
    out = with_beam_options(out, runner.beam_args if runner else ())
    manifest = read_manifest(out)
    job = StatsJob(
        out=out.resolve(),
        label_map=manifest.label_map,
        options=options or StatsOptions(),
    )
    shards = _shards(manifest)
    total = sum(split.num_records for split in manifest.splits.values())
    sized = (runner or RunnerOptions()).sized(
        min(len(shards), total // _RECORDS_WORTH_A_WORKER)
    )
    if not shards:  # then nothing would reach the step that writes
        write_stats(out, {}, job.options)
        return read_stats(out)
    listener = progress.Listener()
    try:
        with display(total, "counting") as advance:
            runners.run(
                _wiring(shards, job, listener.address),
                sized,
                lambda: advance(listener.wait(0.2)),
            )
    finally:
        listener.close()
    return read_stats(out)


def _shards(manifest: Manifest) -> list[CountedShard]:
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


def _wiring(
    shards: list[CountedShard], job: StatsJob, progress_address: str
) -> Callable[[beam.Pipeline], None]:
    def wiring(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "List shards" >> beam.Create(shards, reshuffle=False)
            | "Spread shards" >> beam.Reshuffle()
            | "Count" >> beam.ParDo(CountShards(job, progress_address))
            # Not a global combine: its eight steps cost more than the sum itself.
            | "Collect" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteStats(job))
        )  # PCollection[None]

    return wiring
