"""Which Beam runner, with which options; how its errors become one line.

What is known of Beam 2.77 and kept out of the way here:

- `DirectRunner` first tries to download a Go binary, without a timeout: local runs use
  `FnApiRunner` by name.
- Its `multi_threading` mode loses records without an error (a one-second flush timer
  in `data_plane.py` races the writer): it is refused.
- A plain multi-processing `FnApiRunner` starts `python -m ...` with the current folder
  first on the path, so a user's own `pipelines/` or `segdata/` could shadow ours, and
  gives workers empty pipeline options: the environment is built here instead.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.job.utils import dict_to_struct
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

_STEP = re.compile(
    r"(?:(?P<kind>[\w.]+): )?(?P<text>.*?)(?: \[while running .*)?", re.S
)

Wiring = Callable[[beam.Pipeline], None]
"""Adds a pipeline's steps to it."""


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
    with tempfile.TemporaryDirectory(prefix="segdata-run-") as folder:
        workers = _WorkerFolder(Path(folder))
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
            raise _one_line(outcome[0], workers) from outcome[0]


class _WorkerFolder:
    """Where worker processes leave their process ids and logs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._missing_since: float | None = None

    @property
    def command(self) -> str:
        """Shell command that starts a worker of this very interpreter and package."""
        log = shlex.quote(str(self.path / "log"))
        paths = [str(Path(p).resolve()) for p in sys.path if p]
        python_path = shlex.quote(os.pathsep.join(paths))
        return (
            f"touch {shlex.quote(str(self.path))}/pid-$$; exec env "
            f"PYTHONPATH={python_path} {shlex.quote(sys.executable)} -P -m "
            f"apache_beam.runners.worker.sdk_worker_main 2>>{log}"
        )

    def kill(self) -> None:
        """Ends all workers at once."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

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
        words = self.last_words()
        return BuildError(
            "a worker process died before its shard was done: killed, or out of "
            f"memory? {f'Its last words: {words!r}. ' if words else ''}Run the same "
            "command again to continue.",
            reason="worker-died",
        )

    def _pids(self) -> list[int]:
        names = (path.name for path in self.path.glob("pid-*"))
        return [int(name.removeprefix("pid-")) for name in names]

    def last_words(self) -> str:
        """The last line of the workers' log, or nothing."""
        try:
            lines = (self.path / "log").read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _run_quietly(
    wiring: Wiring,
    options: RunnerOptions,
    workers: _WorkerFolder,
    outcome: list[BaseException],
) -> None:
    try:
        pipeline = _pipeline(options, workers)
        wiring(pipeline)
        pipeline.run().wait_until_finish()
    except BaseException as error:  # handed to the main thread
        outcome.append(error)


def _pipeline(options: RunnerOptions, workers: _WorkerFolder) -> beam.Pipeline:
    if not options.is_local:
        arguments = [f"--runner={options.runner}", *options.beam_args]
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


def _one_line(error: BaseException, workers: _WorkerFolder) -> SegdataError:
    """The last line of Beam's page, as the error that the step raised."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    last = lines[-1].strip() if lines else ""
    match = _STEP.fullmatch(last)
    kind, text = (match["kind"] or "", match["text"]) if match else ("", last)
    raised = getattr(errors, kind.removeprefix("segdata.errors."), None)
    if isinstance(error, SegdataError):
        raised = type(error)
    if isinstance(raised, type) and issubclass(raised, SegdataError):
        return raised(text)
    if "Channel closed prematurely" in str(error) or "Worker subprocess" in str(error):
        return workers.death()
    return BuildError(
        f"the pipeline failed: {f'{kind}: ' if kind else ''}{text or repr(error)}. Run "
        "with -v for Beam's whole report."
    )
