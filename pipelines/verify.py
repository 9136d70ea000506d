"""The verify pipeline: one worker per shard, its findings in a file of its own.

    shards -> reshuffle -> verify_shard

Findings do not travel through Beam: no runner hands results back to the process that
started it. Each shard's lie in a small file that is read at the end; a shard without
one was not verified, whatever the runner says.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import apache_beam as beam
import orjson

from segdata.checking.verify import Problem, stray_files, verify_shard
from segdata.errors import BuildError
from segdata.label_map import LabelMap
from segdata.pipelines import runners
from segdata.pipelines.local import progress
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.progress import display
from segdata.shards import sidecars
from segdata.shards.manifest import ShardSummary, read_manifest
from segdata.storage import files, operations
from segdata.storage.paths import Location, RemotePath

# Starting a worker process costs as much as checking so many records.
_RECORDS_WORTH_A_WORKER = {True: 50_000, False: 300}
_REPORTS_DIR = ".segdata-verify-"


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """What is to be verified, and where."""

    out: Location
    """A finished build."""
    is_fast: bool = False
    """Sizes, indexes and lengths only; see `verify_shard`."""
    limit: int = 1000
    """Problems kept of each shard; all are counted."""
    runner: RunnerOptions = field(default_factory=RunnerOptions)
    """Where the workers run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What was found."""

    num_records: int
    """Records of all shards."""
    num_shards: int
    """Shards, all of which were looked at."""
    num_problems: int
    """Problems in all of them."""
    problems: tuple[Problem, ...]
    """The first ones of each shard, in the order of the shards."""


class VerifyShards(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """`ShardSummary -> its name`, with a report file as the result."""

    def __init__(
        self,
        request: VerifyRequest,
        label_map: LabelMap,
        reports: Location,
        progress_address: str | None,
    ) -> None:
        self._out, self._is_fast = request.out.resolve(), request.is_fast
        self._limit = request.limit
        self._label_map = label_map
        self._reports = reports
        self._progress_address = progress_address

    def process(self, shard: ShardSummary) -> list[str]:
        """Verifies one shard."""
        kept: list[Problem] = []
        count = 0
        with (
            runners.one_line_errors(),
            progress.Reporter(self._progress_address) as reporter,
        ):
            for problem in verify_shard(
                self._out,
                shard,
                self._label_map,
                reporter.add,
                is_fast=self._is_fast,
            ):
                count += 1
                if count <= self._limit:
                    kept.append(problem)
            report = {"count": count, "problems": [asdict(p) for p in kept]}
            path = self._reports / f"{shard.name}.json"
            files.write_atomic(path, orjson.dumps(report), durable=False)
        return [shard.name]


def verify(request: VerifyRequest) -> Verified:
    """Verifies a finished build, shard by shard, in parallel.

    Raises:
      OutputError: If there is no finished build.
      CorruptionError: If its manifest is damaged.
      BuildError: If a shard was not looked at.
    """
    arguments = request.runner.beam_args
    request = replace(request, out=with_beam_options(request.out, arguments))
    manifest = read_manifest(request.out)
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    num_records = sum(shard.num_records for shard in shards)
    worth = num_records // _RECORDS_WORTH_A_WORKER[request.is_fast]
    listener = progress.Listener()
    with (
        contextlib.closing(listener),
        _reports_folder(request) as reports,
        display(num_records, "verifying") as advance,
    ):

        def wiring(pipeline: beam.Pipeline) -> None:
            ordered = sorted(shards, key=lambda s: (-s.num_bytes, s.name))
            step = VerifyShards(request, manifest.label_map, reports, listener.address)
            _ = (
                pipeline
                | "List shards" >> beam.Create(ordered, reshuffle=False)
                | "Spread shards" >> beam.Reshuffle()
                | "Verify shards" >> beam.ParDo(step)
            )  # PCollection[str]

        runners.run(
            wiring,
            request.runner.sized(min(len(shards), worth)),
            lambda: advance(listener.wait(0.2)),
        )
        found = operations.each(reports, lambda s: _read_report(reports, s), shards)
    strays = [
        Problem(shard=name, message=f"{name}: not in the manifest")
        for name in stray_files(request.out, manifest)
    ]
    strays += [
        Problem(shard=name, message=f"{name}: missing, or not what the manifest gives")
        for name in sidecars.changed_sidecars(request.out, manifest)
    ]
    return Verified(
        num_records=num_records,
        num_shards=len(shards),
        num_problems=len(strays) + sum(count for count, _ in found),
        problems=(*strays, *(problem for _, kept in found for problem in kept)),
    )


@contextlib.contextmanager
def _reports_folder(request: VerifyRequest) -> Iterator[Location]:
    """A folder that all workers see: on this machine, or beside the shards."""
    near = None if request.runner.is_local else request.out.resolve()
    if isinstance(near, RemotePath):
        reports = near / f"{_REPORTS_DIR}{uuid.uuid4().hex[:12]}"
        try:
            yield reports
        finally:
            operations.remove_tree(reports, ignore_errors=True)
        return
    folder = tempfile.mkdtemp(prefix=_REPORTS_DIR, dir=near)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_report(reports: Location, shard: ShardSummary) -> tuple[int, list[Problem]]:
    try:
        report = orjson.loads((reports / f"{shard.name}.json").read_bytes())
    except OSError as error:
        raise BuildError(
            f"shard {shard.name} was not verified: its worker left no report in "
            f"{reports}. Workers need the directory on a file system that they share."
        ) from error
    return report["count"], [Problem(**problem) for problem in report["problems"]]
