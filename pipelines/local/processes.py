"""Worker processes of a local run: started early, told by Beam later what to do.

Importing Beam takes a worker as long as building some hundred records. So it begins
while the main process still does the same, scans and plans; this file imports no Beam
for that reason. `worker.py` is what the processes run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from segdata.errors import BuildError

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "segdata.pipelines.local.worker")
"""`-P`: a user's own `pipelines/` in the current folder must not shadow ours."""

_SECONDS_TO_NOTICE = 5.0
_SECONDS_AFTER_GOODBYE = 60.0  # workers that are done end before the pipeline does
_SECONDS_TO_END = 5.0


class WorkerProcesses:
    """The workers of one run; as a context, it ends them."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []
        self._waiting: deque[subprocess.Popen[bytes]] = deque()
        self._lock = threading.Lock()
        self._missing_since: float | None = None
        self._last_lines: deque[str] = deque(maxlen=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()  # they are done, or nobody waits for them any more

    def start(self, count: int) -> None:
        """Starts workers until there are `count`."""
        paths = [str(Path(path).resolve()) for path in sys.path if path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        while len(self._all) < count:
            process = subprocess.Popen(
                COMMAND,
                # Its end tells a worker that this process is gone, however it ended.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            assert process.stdout is not None
            self._all.append(process)
            self._waiting.append(process)
            # Always read: a worker that cannot write its log would stand still.
            threading.Thread(
                target=self._drain, args=(process.stdout,), daemon=True
            ).start()

    def hand_over(self, environment: Mapping[str, str]) -> None:
        """Tells a waiting worker, or a new one, where Beam expects it.

        Args:
          environment: Variables that Beam's `sdk_worker_main` reads.
        """
        with self._lock:
            if not self._waiting:
                self.start(len(self._all) + 1)
            process = self._waiting.popleft()
        is_verbose = logging.getLogger("apache_beam").isEnabledFor(logging.INFO)
        line = {"environment": dict(environment), "is_verbose": is_verbose}
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; `check_alive` will tell
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()

    def kill(self) -> None:
        """Ends all at once and waits until they are gone."""
        for process in self._all:
            process.kill()
        for process in self._all:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()

    def check_alive(self) -> None:
        """Notices a worker that died: Beam waits for ever for one that died early.

        Raises:
          BuildError: If a worker is gone and the pipeline still runs some time later:
            longer if all ended in good order, as they do when there is no more work.
        """
        codes = [process.poll() for process in self._all]
        if all(code is None for code in codes):
            return
        now = time.monotonic()
        self._missing_since = self._missing_since or now
        is_orderly = not any(codes)
        grace = _SECONDS_AFTER_GOODBYE if is_orderly else _SECONDS_TO_NOTICE
        if now - self._missing_since > grace:
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

    def _drain(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._last_lines.append(text)
                    logger.debug("worker: %s", text)
