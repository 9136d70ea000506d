"""The build pipeline: scan, plan, one worker per shard, manifest.

    shard names -> reshuffle -> build_shard

is all that Beam sees. Annotations reach the shard's owner through the plan files in
the output directory, pixels are read where they are written: nothing but names is
shuffled, so memory does not grow with the dataset and no runner can lose a record on
the way. What was written is compared with what was planned at the end all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import apache_beam as beam

from segdata.building import directory, output, update
from segdata.building.plan import BuildOptions, Plan, PlannedShard, make_plan
from segdata.building.shard import BuildJob, build_shard
from segdata.errors import AnnotationError, OptionError, SourceError
from segdata.formats.base import Format, Scan
from segdata.masks import compiled
from segdata.pipelines import runners
from segdata.pipelines.local import progress
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.progress import display
from segdata.shards.manifest import About, Manifest
from segdata.shards.receipt import receipt_path
from segdata.storage.paths import Location, RemotePath

logger = logging.getLogger(__name__)

# Starting a worker process costs as much as building so many records.
_RECORDS_WORTH_A_WORKER = 1000
_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_BETWEEN_DRAWS = 0.05  # at most so much is lost when the last shard is done


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """A whole build."""

    format: Format
    """The dataset's format, with its options."""
    source: Location
    """Folder of the source."""
    out: Location
    """Output directory."""
    options: BuildOptions = field(default_factory=BuildOptions)
    """What the bytes depend on."""
    runner: RunnerOptions = field(default_factory=RunnerOptions)
    """What they do not depend on."""
    about: About = field(default_factory=About)
    """What the manifest says of the dataset."""
    overwrite: bool = False
    """Replace an earlier build in `out`."""
    update: bool = False
    """Bring a finished build in `out` up to date with its source."""

    def __post_init__(self) -> None:
        if self.overwrite and self.update:
            raise OptionError(
                "--overwrite and --update contradict each other: expected one of them."
            )


class BuildShards(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """`PlannedShard -> its name`, with the shard and its receipt as the result."""

    def __init__(self, job: BuildJob, progress_address: str | None) -> None:
        self._job = job
        self._progress_address = progress_address

    def process(self, shard: PlannedShard) -> list[str]:
        """Builds one shard."""
        with (
            runners.one_line_errors(),
            progress.Reporter(self._progress_address) as reporter,
        ):
            build_shard(shard, self._job, reporter.add)
        return [shard.name]


def build(request: BuildRequest, started: WorkerProcesses | None = None) -> Manifest:
    """Builds a dataset, or continues an unfinished build.

    Args:
      request: What to build.
      started: Workers that were started beforehand, to save time.

    Returns:
      The manifest, as written.

    Raises:
      SegdataError: See its subclasses; the message is one line for the user.
    """
    request = _reached(request)
    if not request.source.is_dir():
        raise SourceError(
            f"source {request.source} is not a folder: expected the dataset's root.",
            reason="no-source",
        )
    update.complete(request.out)  # of one that was killed in its last moment
    scan = request.format.scan(request.source)
    if scan.problems and request.options.on_error == "fail":
        raise _first_of(scan.problems)
    for warning in scan.warnings:
        logger.warning("%s", warning)
    name = request.format.name
    plan = make_plan(scan, request.source, name, request.options)
    work = _Work(
        request=request,
        scan=scan,
        plan=plan,
        settings=output.settings_fingerprint(name, scan.label_map, request.options),
        started=started,
    )
    logger.info(
        "%s: %d images in %d shards (%s)",
        name,
        plan.num_records,
        len(plan.shards),
        scan.layout,
    )
    if compiled.runs is None:
        logger.info(
            "masks of polygons take longer than they need: segdata was installed where "
            "no C compiler was found"
        )
    is_finished = request.update and directory.recognize(request.out).is_finished
    manifest = _update(work) if is_finished else _build(work)
    update.note_sources(request.out, plan)
    return manifest


def _reached(request: BuildRequest) -> BuildRequest:
    """The request with places as Beam's options reach them; a remote source listed."""
    arguments = request.runner.beam_args
    source = with_beam_options(request.source, arguments)
    if isinstance(source, RemotePath):
        source = source.listed()
    out = with_beam_options(request.out, arguments)
    return replace(request, source=source, out=out)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What is to be done, once the source is scanned."""

    request: BuildRequest
    scan: Scan
    plan: Plan
    settings: str
    started: WorkerProcesses | None


def _build(work: _Work) -> Manifest:
    """Builds every shard that is not there."""
    out, plan = work.request.out, work.plan
    unfinished = output.begin(
        out, plan, work.settings, overwrite=work.request.overwrite
    )
    if len(unfinished) < len(plan.shards):
        logger.info(
            "continuing: %d of %d shards are done",
            len(plan.shards) - len(unfinished),
            len(plan.shards),
        )
    if unfinished:
        _run(work, unfinished, out)
    return _finish(work, out, {})


def _update(work: _Work) -> Manifest:
    """Builds the shards that changed beside a finished build, and moves them in."""
    out, plan = work.request.out, work.plan
    stale = update.outdated(out, plan, work.settings, work.request.source)
    logger.info(
        "updating: %d of %d shards are written anew", len(stale), len(plan.shards)
    )
    staging = update.staging_folder(out, work.settings)
    part = replace(plan, shards=stale)
    unfinished = output.begin(staging, part, work.settings, overwrite=False)
    if unfinished:
        _run(work, unfinished, staging)
    written = {shard.name for shard in stale}
    kept = {s.name: out for s in plan.shards if s.name not in written}
    manifest = _finish(work, staging, kept)
    update.complete(out)
    return manifest


def _finish(work: _Work, out: Location, kept: Mapping[str, Location]) -> Manifest:
    return output.finish(
        out,
        name=work.request.format.name,
        scan=work.scan,
        plan=work.plan,
        settings=work.settings,
        options=work.request.options,
        about=work.request.about,
        kept=kept,
    )


def _first_of(problems: Sequence[AnnotationError]) -> AnnotationError:
    """The first problem, with the number of the others."""
    first, others = problems[0], len(problems) - 1
    if not others:
        return first
    return AnnotationError(
        f"{first} There {'is' if others == 1 else 'are'} {others} more of such "
        "annotations: --on-error skip leaves them out and names each.",
        reason=first.reason,
    )


def _run(work: _Work, shards: list[PlannedShard], out: Location) -> None:
    request = work.request
    job = BuildJob(
        source=request.source.resolve(),
        out=out.resolve(),
        label_map=work.scan.label_map,
        on_error=request.options.on_error,
        masks=request.options.masks,
    )
    num_records = sum(shard.num_records for shard in shards)
    listener = progress.Listener()
    try:
        with display(num_records, "building") as advance:
            receipts = _Receipts(out, shards)

            def draw() -> None:
                count = listener.wait(_SECONDS_BETWEEN_DRAWS)
                # Workers on other machines reach no socket of this one.
                advance(count if request.runner.is_local else receipts.new_records())

            runners.run(
                _wiring(shards, job, listener.address),
                request.runner.sized(
                    min(len(shards), num_records // _RECORDS_WORTH_A_WORKER)
                ),
                draw,
                work.started,
            )
    except BaseException:
        directory.remove_temporaries(out)  # of workers that were ended
        raise
    finally:
        listener.close()


class _Receipts:
    """Progress that every runner can tell: receipts appear in the output."""

    def __init__(self, out: Location, shards: Sequence[PlannedShard]) -> None:
        self._out = out
        self._missing = list(shards)
        self._looked_at = time.monotonic()

    def new_records(self) -> int:
        """Records of the shards that were finished since the last look."""
        if time.monotonic() - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return 0
        self._looked_at = time.monotonic()
        receipts = {path.name for path in receipt_path(self._out, "").parent.iterdir()}
        found = [
            s for s in self._missing if receipt_path(self._out, s.name).name in receipts
        ]
        names = {shard.name for shard in found}
        self._missing = [s for s in self._missing if s.name not in names]
        return sum(shard.num_records for shard in found)


def _wiring(
    shards: list[PlannedShard], job: BuildJob, progress_address: str
) -> Callable[[beam.Pipeline], None]:
    # The largest first: work is dealt out in this order, and a big shard that comes
    # last would leave the other workers waiting.
    ordered = sorted(shards, key=lambda s: (-s.source_bytes, s.name))

    def wiring(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "List shards" >> beam.Create(ordered, reshuffle=False)
            | "Spread shards" >> beam.Reshuffle()
            | "Build shards" >> beam.ParDo(BuildShards(job, progress_address))
        )  # PCollection[str]

    return wiring
