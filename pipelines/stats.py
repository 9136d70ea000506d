"""The statistics pipeline: one worker per shard, one sum of small tallies, one file.

shards -> reshuffle -> count -> collect -> sum of each split, stats.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam

from segdata.pipelines import runners
from segdata.pipelines.local import progress
from segdata.pipelines.runner_options import RunnerOptions
from segdata.statistics.counting import (
    CountedShard,
    SplitCount,
    StatsJob,
    count_shard,
    write_counts,
)


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
            return [(None, count_shard(shard, self._job, reporter.add))]


class WriteStats(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """Adds up the tallies of all shards, in any order, and writes `stats.json`."""

    def __init__(self, job: StatsJob) -> None:
        self._job = job

    def process(self, counted: tuple[None, Iterable[SplitCount]]) -> None:
        """Writes the file."""
        with runners.one_line_errors():
            write_counts(self._job, counted[1])


def run_stats(
    shards: Sequence[CountedShard],
    job: StatsJob,
    runner: RunnerOptions,
    on_records: Callable[[int], None],
) -> None:
    """Counts shards, at least one, on a Beam runner and writes `stats.json`.

    Raises:
      SegdataError: See its subclasses; the message is one line for the user.
    """
    listener = progress.Listener()
    try:
        runners.run(
            _wiring(shards, job, listener.address),
            runner,
            lambda: on_records(listener.wait(0.2)),
        )
    finally:
        listener.close()


def _wiring(
    shards: Sequence[CountedShard], job: StatsJob, progress_address: str
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
