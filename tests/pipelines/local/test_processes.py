from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segdata.errors import BuildError
from segdata.pipelines.local import processes
from segdata.pipelines.local.processes import WorkerProcesses

Command = tuple[str, ...]


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets workers run some code instead of Beam."""

    def set_code(code: str) -> None:
        command = (sys.executable, "-c", code)
        monkeypatch.setattr(processes, "COMMAND", command)

    return set_code


@pytest.fixture
def workers() -> Iterator[WorkerProcesses]:
    with WorkerProcesses() as started:
        yield started


def wait_for_readers(before: set[threading.Thread]) -> None:
    """Until what the workers said is read to its end."""
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_command_leaves_out_the_current_folder() -> None:
    assert processes.COMMAND[1:] == ("-P", "-m", "segdata.pipelines.local.worker")


def test_paths_of_workers_are_absolute(
    workers: WorkerProcesses, python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", "some", *sys.path])
    python("import os; print(os.environ['PYTHONPATH'])")
    before = set(threading.enumerate())
    workers.start(1)
    wait_for_readers(before)
    paths = workers._last_lines[-1].split(":")
    assert paths[0] == str(Path("some").resolve())
    assert all(Path(path).is_absolute() for path in paths)


def test_no_more_are_started_than_asked_for(
    workers: WorkerProcesses, python: Any
) -> None:
    python("input()")
    workers.start(2)
    workers.start(2)
    assert len(workers._all) == 2


def test_what_is_handed_over_reaches_one_worker_after_the_other(
    workers: WorkerProcesses, python: Any
) -> None:
    python("print(input())")
    before = set(threading.enumerate())
    workers.start(1)
    for name in ("first", "second"):  # the second one is started for it
        workers.hand_over({"WORKER_ID": name})
    wait_for_readers(before)
    assert sorted(workers._last_lines) == [
        f'{{"environment": {{"WORKER_ID": "{name}"}}, "is_verbose": false}}'
        for name in ("first", "second")
    ]


def test_all_are_gone_when_the_run_ends(python: Any) -> None:
    python("while True: input()")
    with WorkerProcesses() as workers:
        workers.start(3)
    assert [p.returncode for p in workers._all] == [-signal.SIGKILL] * 3


def test_worker_ends_when_the_process_that_started_it_is_gone() -> None:
    """Its input ends then: before it was told anything."""
    started = subprocess.run(processes.COMMAND, stdin=subprocess.DEVNULL, timeout=60)
    assert started.returncode == 0


def test_death_is_noticed_and_told_with_the_last_words_even_if_it_broke_off(
    workers: WorkerProcesses, python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    python(
        "import os; os.write(1, b'MemoryError: first\\n\\nKilled\\xff in the mid');"
        "os.kill(os.getpid(), 9)"
    )
    monkeypatch.setattr(processes, "_SECONDS_TO_NOTICE", 0.0)
    before = set(threading.enumerate())
    workers.start(1)
    wait_for_readers(before)
    workers._all[0].wait()
    message = (
        r"^a worker process died before its shard was done: killed, or out of memory\? "
        r"Its last words: 'Killed\ufffd in the mid'\. Run the same command again to "
        r"continue\.$"
    )
    workers.check_alive()  # the first time it may be a worker that is done
    with pytest.raises(BuildError, match=message) as caught:
        workers.check_alive()
    assert caught.value.reason == "worker-died"


def test_handing_over_to_a_dead_worker_is_left_to_the_check(
    workers: WorkerProcesses, python: Any
) -> None:
    python("")
    workers.start(1)
    workers._all[0].wait()
    workers.hand_over({})
    assert len(workers._all) == 1
