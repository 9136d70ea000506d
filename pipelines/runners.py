"""Which Beam runner, with which options; how its errors become one line.

What is known of Beam 2.77 and kept out of the way here:

- `DirectRunner` first tries to download a Go binary, without a timeout: local runs use
  `FnApiRunner` by name.
- Its `multi_threading` mode loses records without an error (a one-second flush timer
  in `data_plane.py` races the writer): it is refused.
- A plain multi-processing `FnApiRunner` starts `python -m ...` with the current folder
  first on the path, so a user's own `pipelines/` or `segdata/` could shadow ours, and
  gives workers empty pipeline options: the environment is built here instead.
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
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.job.utils import dict_to_struct
from apache_beam.runners.portability import job_server
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
)
from apache_beam.transforms.environments import (
    SubprocessSDKEnvironment,
)

from segdata import errors
from segdata.errors import BuildError, SegdataError
from segdata.pipelines.runner_options import RunnerOptions

_SECONDS_TO_NOTICE = 5.0  # workers end a little before the pipeline does

_LONG_NAMES = {"daskrunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}
"""Runners that Beam itself does not know by their short names."""

_END_OF_LOG = b"segdata: the run is over\n"

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


def run(wiring: Wiring, options: RunnerOptions, on_wait: Callable[[], None]) -> None:
    """Runs a pipeline to its end.

    Args:
      wiring: Adds the steps.
      options: Where to run it.
      on_wait: Called over and over while the pipeline runs, on this thread; it should
        take a fraction of a second.

    Raises:
      SegdataError: What a step raised, as one line, or `BuildError` for anything else
        that went wrong.
    """
    with (
        tempfile.TemporaryDirectory(prefix="segdata-run-") as folder,
        _Workers(Path(folder)) as workers,
        _quiet_threads(),
    ):
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


class _Workers:
    """The worker processes of a local run: their ids, and what they say last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._missing_since: float | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        # A pipe, not a file: a worker that cannot write its log, on a full disk, would
        # never report the bundle that failed, and Beam would wait for ever.
        os.mkfifo(path / "log")
        # Opened for both, it neither blocks here nor ends when a worker does.
        self._log = os.fdopen(os.open(path / "log", os.O_RDWR), "rb", buffering=0)
        threading.Thread(target=self._drain, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with open(self._path / "log", "wb", buffering=0) as end:
            end.write(b"\n" + _END_OF_LOG)  # a killed worker may leave half a line

    def _drain(self) -> None:
        with self._log:
            for line in iter(self._log.readline, _END_OF_LOG):
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._last_lines.append(text)

    @property
    def command(self) -> str:
        """Shell command that starts a worker of this very interpreter and package."""
        log = shlex.quote(str(self._path / "log"))
        paths = [str(Path(p).resolve()) for p in sys.path if p]
        python_path = shlex.quote(os.pathsep.join(paths))
        return (
            f"touch {shlex.quote(str(self._path))}/pid-$$; exec env "
            f"PYTHONPATH={python_path} {shlex.quote(sys.executable)} -P -m "
            f"apache_beam.runners.worker.sdk_worker_main 2>>{log}"
        )

    def kill(self) -> None:
        """Ends all workers at once and waits until they are gone."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _SECONDS_TO_NOTICE
        while any(map(_is_alive, self._pids())) and time.monotonic() < deadline:
            time.sleep(0.01)

    def check_alive(self) -> None:
        """Notices a worker that died: Beam waits for ever for one that died early.

        Raises:
          BuildError: If a worker is gone and the pipeline still runs some time later.
        """
        if all(map(_is_alive, self._pids())):
            return
        now = time.monotonic()
        self._missing_since = self._missing_since or now
        if now - self._missing_since > _SECONDS_TO_NOTICE:
            raise self.death()

    def death(self) -> BuildError:
        """The error for a worker that died."""
        words = self._last_lines[-1] if self._last_lines else ""
        return BuildError(
            "a worker process died before its shard was done: killed, or out of "
            f"memory? {f'Its last words: {words!r}. ' if words else ''}Run the same "
            "command again to continue.",
            reason="worker-died",
        )

    def _pids(self) -> list[int]:
        names = (path.name for path in self._path.glob("pid-*"))
        return [int(name.removeprefix("pid-")) for name in names]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _run_quietly(
    wiring: Wiring,
    options: RunnerOptions,
    workers: _Workers,
    outcome: list[BaseException],
) -> None:
    try:
        pipeline = _pipeline(options, workers)
        wiring(pipeline)
        pipeline.run().wait_until_finish()
    except BaseException as error:  # handed to the main thread
        outcome.append(error)


def _pipeline(options: RunnerOptions, workers: _Workers) -> beam.Pipeline:
    if not options.is_local:
        job_server.signal = _Signals
        # Some of Beam's worker pools start a bare `python`: let it be this one.
        folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        os.environ["PATH"] = os.pathsep.join(folders)
        # Its logging is set up when it is imported, from this.
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
        runner = _LONG_NAMES.get(str(options.runner).lower(), options.runner)
        arguments = [f"--runner={runner}", *options.beam_args]
        return beam.Pipeline(options=PipelineOptions(arguments))
    beam_options = PipelineOptions(list(options.beam_args))
    if options.workers in (None, 1):
        return beam.Pipeline(runner=FnApiRunner(), options=beam_options)
    # Protobuf's Struct knows only floats, and "2.0" is no integer to Beam's parser.
    given = {
        name: str(value) if type(value) in (int, float) else value
        for name, value in beam_options.get_all_options(drop_default=True).items()
    }
    beam_options.view_as(DirectOptions).direct_num_workers = options.workers
    provision_info = beam_provision_api_pb2.ProvisionInfo(
        retrieval_token="unused",
        pipeline_options=dict_to_struct(
            {f"beam:option:{name}:v1": value for name, value in given.items()}
        ),
    )
    runner = FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(
            workers.command
        ),
        provision_info=ExtendedProvisionInfo(provision_info),
    )
    return beam.Pipeline(runner=runner, options=beam_options)


class _Signals:
    """What `job_server` may use of the module `signal` on another thread."""

    SIGINT = signal.SIGINT
    getsignal = staticmethod(signal.getsignal)

    @staticmethod
    def signal(number: int, handler: object) -> None:
        """Leaves the handler as it is."""


def _one_line(error: BaseException, workers: _Workers) -> SegdataError:
    """What a step raised, taken out of Beam's page; else the end of the page."""
    page = str(error)
    if isinstance(error, SegdataError):
        return error
    if carried := _CARRIED.search(page):
        parts, _ = json.JSONDecoder().raw_decode(page, carried.end())
        raised: type[SegdataError] = getattr(errors, parts["kind"], BuildError)
        return raised(parts["message"], reason=parts["reason"])
    if "Channel closed prematurely" in page or "Worker subprocess" in page:
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
