"""The pipeline: one worker per shard, its result in a file of its own.

    shards -> reshuffle -> the work on a shard

Results do not travel through Beam: no runner hands them back to the process that
started it. Each shard's lies in a small file that is read at the end; a shard without
one was not worked on, whatever the runner says.
"""

from __future__ import annotations

import contextlib
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic

import apache_beam as beam

from segdata.errors import BuildError
from segdata.pipelines import runners
from segdata.pipelines.local import progress
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.runner_options import RunnerOptions
from segdata.progress import display
from segdata.shards.work import OnRecords, Result, ShardT, ShardWork
from segdata.storage.local_path import LocalPath
from segdata.storage.paths import Location

_RESULTS_DIR = ".segdata-results-"
_SECONDS_BETWEEN_LOOKS = 2.0
_LOOKS_SHARE = 20  # a look at many results in a store takes long: then there are fewer
_SECONDS_BETWEEN_DRAWS = 0.05  # at most so much is lost when the last shard is done


class WorkOnShards(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """`shard -> its name`, with a file of the result."""

    def __init__(
        self,
        do: Callable[[Any, OnRecords], object],
        results: Location,
        progress_address: progress.Address,
    ) -> None:
        self._do = do
        self._results = results
        self._progress_address = progress_address

    def process(self, shard: Any) -> list[str]:
        """Works on one shard."""
        with (
            runners.one_line_errors(),
            progress.Reporter(self._progress_address) as reporter,
        ):
            result = self._do(shard, reporter.add)
            path = _result_path(self._results, shard.name)
            path.write_atomic(pickle.dumps(result), durable=False)
        return [shard.name]


def run_pipeline(
    work: ShardWork[ShardT, Result],
    shards: Sequence[ShardT],
    runner: RunnerOptions,
    started: WorkerProcesses | None = None,
) -> list[Result]:
    """Works on shards, at least one, on a Beam runner.

    Args:
      work: What is done with each.
      shards: The shards.
      runner: Where.
      started: Workers that were started beforehand.

    Returns:
      The result of each shard, in their order.

    Raises:
      SegdataError: What the work raised, or `BuildError` if a shard was not worked on.
    """
    total = sum(shard.num_records for shard in shards)
    listener = progress.Listener()
    with (
        contextlib.closing(listener),
        _results_folder(work.out, runner) as results,
        display(total, work.what) as advance,
    ):
        appeared = _Appeared(results, shards)

        def draw() -> None:
            count = listener.wait(_SECONDS_BETWEEN_DRAWS)
            # Workers on other machines reach no socket of this one.
            advance(count if runner.is_local else appeared.new_records())

        step = WorkOnShards(work.do, results, listener.address)
        runners.run(_wiring(shards, step), runner, draw, started)
        return results.each(lambda s: _read_result(results, s), shards)


def _wiring(shards: Sequence[ShardT], step: WorkOnShards) -> runners.Wiring:
    # The largest first: work is dealt out in this order, and a big shard that comes
    # last would leave the other workers waiting.
    ordered = sorted(shards, key=lambda s: (-s.num_bytes, s.name))

    def wiring(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "List shards" >> beam.Create(ordered, reshuffle=False)
            | "Spread shards" >> beam.Reshuffle()
            | "Work on shards" >> beam.ParDo(step)
        )  # PCollection[str]

    return wiring


class _Appeared(Generic[ShardT]):
    """Progress that every runner can tell: results appear in their folder."""

    def __init__(self, results: Location, shards: Sequence[ShardT]) -> None:
        self._results = results
        self._missing = list(shards)
        self._look_at = time.monotonic() + _SECONDS_BETWEEN_LOOKS

    def new_records(self) -> int:
        """Records of the shards that were finished since the last look."""
        began = time.monotonic()
        if began < self._look_at:
            return 0
        there = {path.name for path in self._results.glob("*.pickle")}
        took = time.monotonic() - began
        self._look_at = began + max(_SECONDS_BETWEEN_LOOKS, _LOOKS_SHARE * took)
        found = [
            shard
            for shard in self._missing
            if _result_path(self._results, shard.name).name in there
        ]
        names = {shard.name for shard in found}
        self._missing = [s for s in self._missing if s.name not in names]
        return sum(shard.num_records for shard in found)


def _results_folder(
    out: Location, runner: RunnerOptions
) -> AbstractContextManager[Location]:
    """A folder that all workers see: on this machine, or beside the shards."""
    near = LocalPath(tempfile.gettempdir()) if runner.is_local else out
    return near.temporary_folder(_RESULTS_DIR)


def _result_path(results: Location, shard: str) -> Location:
    return results / f"{shard}.pickle"


def _read_result(results: Location, shard: ShardT) -> Any:
    try:
        return pickle.loads(_result_path(results, shard.name).read_bytes())
    except FileNotFoundError as error:
        raise BuildError(
            f"shard {shard.name} was not worked on: its worker left no result in "
            f"{results}. Workers need the directory on a file system that they share."
        ) from error
