"""The statistics pipeline: one worker per shard, one sum of small tallies, one file.

shards -> reshuffle -> count -> sum of each split -> stats.json
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
from segdata.record_columns import read_columns
from segdata.remote_path import Location
from segdata.shards import FRAME_BYTES, read_records
from segdata.statistics import StatsOptions, num_ids, read_stats, write_stats
from segdata.tally import SplitTally

# Starting a worker process costs as much as counting so many records.
_RECORDS_WORTH_A_WORKER = 4000

Tallies = dict[str, SplitTally]


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
    for raw in read_records(path):
        where = f"{path.name}: record {raw.index}"
        record = read_columns(raw.data, where)
        tally.add(record, len(raw.data) + FRAME_BYTES, shard.first + raw.index)
        if job.options.takes(record.key, shard.num_records):
            image = images.open_rgb(record.encoded, record.key)
            tally.channels.add(np.array(image.histogram()).reshape(3, 256))
        on_records(1)
    return tally


class CountShards(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """`CountedShard -> {its split: its tally}`."""

    def __init__(self, job: StatsJob, progress_address: str | None) -> None:
        self._job = job
        self._progress_address = progress_address

    def process(self, shard: CountedShard) -> list[Tallies]:
        """Counts one shard."""
        with (
            runners.one_line_errors(),
            progress.Reporter(self._progress_address) as reporter,
        ):
            return [{shard.split: count_shard(shard, self._job, reporter.add)}]


class SumTallies(beam.CombineFn):  # type: ignore[misc]  # Beam has no types
    """Adds up tallies by split; any order gives the same sum."""

    def create_accumulator(self) -> Tallies:
        """Nothing counted."""
        return {}

    def add_input(self, accumulator: Tallies, element: Tallies) -> Tallies:
        """Adds one shard."""
        return self.merge_accumulators([accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[Tallies]) -> Tallies:
        """Adds up sums."""
        merged: Tallies = {}
        for tallies in accumulators:
            for split, tally in tallies.items():
                if split not in merged:
                    merged[split] = SplitTally(tally.classes.num_ids)
                merged[split].merge(tally)
        return merged

    def extract_output(self, accumulator: Tallies) -> Tallies:
        """The sum."""
        return accumulator


class WriteStats(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """Writes `stats.json` once everything is counted."""

    def __init__(self, job: StatsJob) -> None:
        self._job = job

    def process(self, tallies: Tallies) -> None:
        """Writes the file."""
        with runners.one_line_errors():
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
            | "List shards" >> beam.Create(shards)
            | "Spread shards" >> beam.Reshuffle()
            | "Count" >> beam.ParDo(CountShards(job, progress_address))
            | "Sum" >> beam.CombineGlobally(SumTallies())
            | "Write" >> beam.ParDo(WriteStats(job))
        )  # PCollection[None]

    return wiring
