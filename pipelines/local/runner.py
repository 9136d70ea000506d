"""Beam's FnApiRunner on this machine: in this process, or with workers of our own.

Its own ways to start workers are a shell command in the current folder, with empty
pipeline options, that is waited for one after the other at the end. Here Beam's workers
are the processes of `worker_processes.py`, which may have been started long before.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import Environment
from google.protobuf import text_format

from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.runner_options import RunnerOptions

_URN = "segdata:env:worker_processes:v1"

_runs: weakref.WeakValueDictionary[str, _Run] = weakref.WeakValueDictionary()
"""Runs of this process: Beam passes on a name only."""


class _LoopbackGrpc:
    """`grpc` as Beam's servers see it: they listen on this machine only.

    They ask for every interface, without credentials: whoever reaches such a port is
    handed the work.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)

    def server(self, *arguments: Any, **options: Any) -> Any:
        made = grpc.server(*arguments, **options)
        listen = made.add_insecure_port
        made.add_insecure_port = lambda address: listen(
            address.replace("[::]", "127.0.0.1")
        )
        return made


worker_handlers.grpc = _LoopbackGrpc()


def local_pipeline(options: RunnerOptions, workers: WorkerProcesses) -> beam.Pipeline:
    """An empty pipeline that runs on this machine.

    Args:
      options: `workers` of 1 or None: in this process.
      workers: Where worker processes come from.
    """
    beam_options = PipelineOptions(list(options.beam_args))
    if options.workers in (None, 1):
        return beam.Pipeline(runner=FnApiRunner(), options=beam_options)
    given = json.dumps(beam_options.get_all_options(drop_default=True))
    beam_options.view_as(DirectOptions).direct_num_workers = options.workers
    runner = FnApiRunner(default_environment=_LocalEnvironment(_Run(workers, given)))
    return beam.Pipeline(runner=runner, options=beam_options)


class _Run:
    """What the workers of one run are told."""

    def __init__(self, workers: WorkerProcesses, options: str) -> None:
        self.workers, self.options = workers, options
        _runs[str(id(self))] = self


@Environment.register_urn(_URN, bytes)
class _LocalEnvironment(Environment):  # type: ignore[misc]  # Beam has no types
    """Names a run in a pipeline's description."""

    def __init__(self, run: _Run, *others: Iterable[Any]) -> None:
        super().__init__(*others)
        self._run = run

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        return _URN, str(id(self._run)).encode()

    @staticmethod
    def from_runner_api_parameter(payload: bytes, *others: Any) -> _LocalEnvironment:
        *kept, _ = others  # Beam's context
        return _LocalEnvironment(_runs[payload.decode()], *kept)


@WorkerHandler.register_environment(_URN, bytes)
class _LocalWorkerHandler(GrpcWorkerHandler):  # type: ignore[misc]  # no types
    """Beam's view of one worker process."""

    def __init__(self, payload: bytes, *others: Any) -> None:
        super().__init__(*others)
        self._run = _runs[payload.decode()]

    def start_worker(self) -> None:
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        self._run.workers.hand_over(
            {
                "WORKER_ID": self.worker_id,
                "PIPELINE_OPTIONS": self._run.options,
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            }
        )

    def stop_worker(self) -> None:
        """Nothing: closing its connection told it, and the run's end ends it."""
