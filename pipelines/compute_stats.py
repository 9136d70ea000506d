"""Counting a finished build: in this process where it is small, else by Beam."""

from __future__ import annotations

from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.progress import display
from segdata.shards.manifest import read_manifest
from segdata.statistics.counting import (
    StatsJob,
    count_shard,
    shards_to_count,
    write_counts,
)
from segdata.statistics.stats_file import StatsOptions, read_stats
from segdata.storage.paths import Location

# Starting a worker process costs as much as counting so many records.
_RECORDS_WORTH_A_WORKER = 4000


def compute_stats(
    out: Location,
    options: StatsOptions | None = None,
    runner: RunnerOptions | None = None,
) -> dict[str, object]:
    """Counts a finished build and writes its `stats.json`.

    One worker on this machine is a loop over the shards: to import Beam and wire a
    pipeline takes as long as counting 1,000 records does.

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
    shards = shards_to_count(manifest)
    total = sum(split.num_records for split in manifest.splits.values())
    sized = (runner or RunnerOptions()).sized(
        min(len(shards), total // _RECORDS_WORTH_A_WORKER)
    )
    with display(total, "counting") as advance:
        if not shards or (sized.runner is None and sized.workers == 1):
            write_counts(job, (count_shard(shard, job, advance) for shard in shards))
        else:
            from segdata.pipelines.stats import run_stats

            run_stats(shards, job, sized, advance)
    return read_stats(out)
