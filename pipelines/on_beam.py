"""Work on shards by Beam: what `segdata.build`, `verify` and `stats` take as an engine.

    segdata.build("coco", "coco/", "records/", run_shards=OnBeam())

Imports no Beam before there is work for it: a few records need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from segdata.pipelines.known_options import check_beam_options
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.quiet import quiet_import
from segdata.pipelines.runner_options import RunnerOptions
from segdata.shards.work import Result, ShardT, ShardWork, in_turn


@dataclass(frozen=True)
class OnBeam:
    """Goes through shards by a Beam pipeline; see `segdata.shards.work.RunShards`.

    Raises:
      OptionError: If Beam does not know one of its options.
    """

    runner: RunnerOptions = field(default_factory=RunnerOptions)
    """Where and how wide."""
    started: WorkerProcesses | None = None
    """Workers that were started beforehand, to save time."""

    def __post_init__(self) -> None:
        check_beam_options(self.runner)

    def __call__(
        self, work: ShardWork[ShardT, Result], shards: Sequence[ShardT], /
    ) -> Iterable[Result]:
        """Goes through the shards.

        Raises:
          SegdataError: What the work raised, or `BuildError` if a shard was not worked
            on.
        """
        total = sum(shard.num_records for shard in shards)
        runner = self.runner.sized(min(len(shards), total // work.records_per_worker))
        # One worker on this machine needs no Beam, whose import takes seconds.
        if not shards or (runner.is_local and runner.workers == 1):
            return in_turn(work, shards)
        with quiet_import():
            from segdata.pipelines.shards import run_pipeline

        return run_pipeline(work, shards, runner, self.started)
