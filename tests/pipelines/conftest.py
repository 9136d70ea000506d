"""Fixtures for builds through Beam, in this process and by the command line.

- `source`: a tiny CamVid folder in the SegNet layout, one for each test.
- `run_build`: a build by Beam; its manifest is checked.
- `segdata`: runs the command in a process of its own.
- `Pipe`: an image that makes the worker that reads it wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segdata.formats.camvid.format import CamVid
from segdata.shards.manifest import Manifest

COMMAND = [sys.executable, "-P", "-m", "segdata"]
WORKER = "segdata.pipelines.local.worker"
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from segdata.cli import main
main()
"""
"""The same, where no file may be larger than the first argument. Python ignores
SIGXFSZ: writing past the limit is an error, as on a full disk."""


@pytest.fixture
def source(tmp_path: Path, make_segnet: Callable[..., Path]) -> Path:
    return make_segnet(tmp_path / "source", num_train=6)


def _run_build(
    source: Path,
    out: Path,
    *,
    workers: int = 1,
    dataset_format: Any = None,
    **options: Any,
) -> Manifest:
    from segdata.building.build import build
    from segdata.pipelines.on_beam import OnBeam
    from segdata.pipelines.runner_options import RunnerOptions

    return build(
        dataset_format or CamVid(),
        source,
        out,
        **{"num_shards": 2, **options},
        run_shards=OnBeam(RunnerOptions(workers=workers)),
    )


@pytest.fixture(scope="session")
def run_build(check_manifest: Callable[[Path], None]) -> Callable[..., Manifest]:
    def run(source: Path, out: Path, **options: Any) -> Manifest:
        manifest = _run_build(source, out, **options)
        if isinstance(out, Path):  # not in a store
            check_manifest(out)
        return manifest

    return run


PATHS = [str(Path(__file__).parent.parent / "pipes")]
if "PYTHONPATH" in os.environ:  # an empty path would be the current folder
    PATHS.append(os.environ["PYTHONPATH"])


class Command:
    """`segdata` in a session of its own, so that its processes can be counted."""

    def __init__(
        self,
        *arguments: object,
        cwd: Path | None = None,
        max_file_bytes: int | None = None,
    ) -> None:
        command = COMMAND
        if max_file_bytes is not None:
            command = [sys.executable, "-c", LIMITED, str(max_file_bytes)]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
            start_new_session=True,
            # A shell starts what runs behind `&` deaf to Ctrl-C, and tests inherit it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def end(self, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Waits for its end."""
        process = self.process
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def processes(self) -> dict[int, str]:
        """Process id -> command line of all processes of its session."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                state, session = fields[0], int(fields[3])
                if session == self.process.pid and state != "Z":
                    line = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(path.name)] = line.decode()
        return found

    def workers(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if WORKER in line]

    def ends_all(self, seconds: float) -> bool:
        """Whether no process of its session is left after so long."""
        return wait_until(lambda: not self.processes(), seconds)


@pytest.fixture
def segdata() -> Iterator[Callable[..., Command]]:
    """Starts commands; ends those that a failed test left."""
    started: list[Command] = []

    def start(*arguments: object, **options: Any) -> Command:
        started.append(Command(*arguments, **options))
        return started[-1]

    yield start
    for command in started:
        for pid in command.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        command.process.communicate()


class Pipe:
    """A named pipe in the place of an image: its reader waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        self._writer: int | None = None

    def wait_for_reader(self) -> None:
        """Returns when some process reads it, and keeps that process waiting."""

        def is_read() -> bool:
            with contextlib.suppress(OSError):  # ENXIO while nobody reads
                self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return self._writer is not None

        assert wait_until(is_read, 30), "no worker opened the pipe"

    def readers(self, pids: list[int]) -> list[int]:
        """Those of the processes that have it open."""
        found: list[int] = []

        def look() -> bool:
            for pid in pids:
                with contextlib.suppress(OSError):
                    fds = Path(f"/proc/{pid}/fd").iterdir()
                    if str(self.path) in [os.readlink(fd) for fd in fds]:
                        found.append(pid)
            return bool(found)

        # Its `open` returns a moment after ours.
        assert wait_until(look, 5), "no process has the pipe open"
        return found

    def let_go(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def become_a_file(self) -> None:
        """Puts the image back in its place."""
        self.let_go()
        self.path.unlink()
        self.path.write_bytes(self.content)


@pytest.fixture
def pipe(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """The image `train_002` of `source`, as a pipe."""
    monkeypatch.syspath_prepend(PATHS[0])  # workers have the same paths
    made = Pipe(source / "train" / "train_002.png")
    yield made
    made.let_go()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
