"""Which Beam runner, with which options; how its errors become one line.

What is known of Beam 2.77 and kept out of the way here:

- `DirectRunner` first tries to download a Go binary, without a timeout: local runs use
  `FnApiRunner` by name.
- Its `multi_threading` mode loses records without an error (a one-second flush timer
  in `data_plane.py` races the writer): it is refused.
- A plain multi-processing `FnApiRunner` starts `python -m ...` with the current folder
  first on the path, so a user's own `pipelines/` or `segdata/` could shadow ours, and
  gives workers empty pipeline options: `local_runner.py` does it instead.
- A job server that Beam starts for Flink or Spark asks for SIGINT, which only the main
  thread may: the pipeline runs on another, so the server's module gets no signals. It
  is ended at exit, and Ctrl-C ends this process.
- A step that fails before all workers have connected leaves Beam waiting for ever for
  the others: what may fail stands behind a `Reshuffle`, which needs them all.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from unittest import mock

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability import job_server

from segdata import errors
from segdata.errors import BuildError, SegdataError
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.local.runner import local_pipeline
from segdata.pipelines.quiet import quiet_logs
from segdata.pipelines.runner_options import LONG_NAMES, RunnerOptions

_CARRIED = re.compile(r'segdata-error:(?={"kind": ")')
_IN_STEP = " [while running"
_TRACEBACK = "Traceback (most recent call last)"

Wiring = Callable[[beam.Pipeline], None]
"""Adds a pipeline's steps to it; those that may fail stand behind a `Reshuffle`."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Around what a step does: lets its `SegdataError` cross Beam whole.

    Beam passes on text only, and drops what an exception carries beside its message.
    """
    try:
        yield
    except SegdataError as error:
        carried = {"kind": type(error).__name__, "reason": error.reason}
        text = json.dumps({**carried, "message": str(error)})
        raise StepError(f"segdata-error:{text}") from error


class StepError(Exception):
    """A `SegdataError` on its way from a worker to the user."""


def run(
    wiring: Wiring,
    options: RunnerOptions,
    on_wait: Callable[[], None],
    started: WorkerProcesses | None = None,
) -> None:
    """Runs a pipeline to its end.

    Args:
      wiring: Adds the steps.
      options: Where to run it.
      on_wait: Called over and over while the pipeline runs, on this thread; it should
        take a fraction of a second.
      started: Workers that were started beforehand. They end with the run.

    Raises:
      SegdataError: What a step raised, as one line, or `BuildError` for anything else
        that went wrong.
    """
    with started or WorkerProcesses() as workers, _quiet_threads(), quiet_logs():
        if options.is_local and options.workers not in (None, 1):
            workers.start(options.workers)
        outcome: list[BaseException] = []
        thread = threading.Thread(
            target=_run_quietly, args=(wiring, options, workers, outcome), daemon=True
        )
        thread.start()
        try:
            while thread.is_alive():
                on_wait()
                workers.check_alive()
        except BaseException:
            # Ctrl-C above all. Beam's threads wait for the workers; without them the
            # process can end, and shards without a receipt do not count.
            workers.kill()
            raise
        if outcome:
            error = _one_line(outcome[0], workers)
            workers.kill()  # one failed, the others would go on with their shards
            raise error from outcome[0]


def _run_quietly(
    wiring: Wiring,
    options: RunnerOptions,
    workers: WorkerProcesses,
    outcome: list[BaseException],
) -> None:
    try:
        with contextlib.nullcontext() if options.is_local else _surroundings():
            if options.is_local:
                pipeline = local_pipeline(options, workers)
            else:
                pipeline = _remote_pipeline(options)
            wiring(pipeline)
            pipeline.run().wait_until_finish()
    except BaseException as error:  # handed to the main thread
        outcome.append(error)


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """What runners on other machines need of this process, as long as they run."""
    # Some of Beam's worker pools start a bare `python`: let it be this one.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    # Dask's logging is set up when it is imported, from this.
    quiet = {"DASK_LOGGING__DISTRIBUTED": "error", **os.environ}
    with (
        mock.patch.object(job_server, "signal", _Signals),
        mock.patch.dict(os.environ, {**quiet, "PATH": os.pathsep.join(folders)}),
    ):
        yield


def _remote_pipeline(options: RunnerOptions) -> beam.Pipeline:
    runner = LONG_NAMES.get(str(options.runner).lower(), options.runner)
    arguments = [f"--runner={runner}", *options.beam_args]
    return beam.Pipeline(options=PipelineOptions(arguments))


class _Signals:
    """What `job_server` may use of the module `signal` on another thread."""

    SIGINT = signal.SIGINT
    getsignal = staticmethod(signal.getsignal)

    @staticmethod
    def signal(number: int, handler: object) -> None:
        """Leaves the handler as it is."""


def _one_line(error: BaseException, workers: WorkerProcesses) -> SegdataError:
    """What a step raised, taken out of Beam's page; else the end of the page."""
    page = str(error)
    if isinstance(error, SegdataError):
        return error
    if carried := _CARRIED.search(page):
        parts, _ = json.JSONDecoder().raw_decode(page, carried.end())
        raised: type[SegdataError] = getattr(errors, parts["kind"], BuildError)
        return raised(parts["message"], reason=parts["reason"])
    if "Channel closed prematurely" in page:
        return workers.death()
    return BuildError(
        f"the pipeline failed: {_last_words(error)}. Run with -v for Beam's whole "
        "report."
    )


def _last_words(error: BaseException) -> str:
    """Kind and message of what a step raised: a worker sends its whole traceback."""
    page = str(error)
    text = page.rpartition(_IN_STEP)[0] or page
    if _TRACEBACK not in text:
        return f"{type(error).__name__}: {text}"
    lines = reversed(text.strip().splitlines())
    after_frames = itertools.takewhile(lambda line: not line.startswith(" "), lines)
    return "\n".join(reversed(list(after_frames)))


@contextlib.contextmanager
def _quiet_threads() -> Iterator[None]:
    """Keeps Beam's threads from printing tracebacks over a failed run's one line."""
    if logging.getLogger("apache_beam").isEnabledFor(logging.INFO):  # -v
        yield
        return
    before = threading.excepthook

    def hook(details: threading.ExceptHookArgs) -> None:
        if not _is_beams(details.exc_traceback):
            before(details)

    threading.excepthook = hook
    yield
    # Not after a failure: Beam's threads outlive it, and fail one after the other.
    threading.excepthook = before


def _is_beams(traceback: TracebackType | None) -> bool:
    """Whether an exception came out of Beam or its transport."""
    while traceback is not None:
        folders = Path(traceback.tb_frame.f_code.co_filename).parts
        if "apache_beam" in folders or "grpc" in folders:
            return True
        traceback = traceback.tb_next
    return False
