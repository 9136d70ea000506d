from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import segdata
from segdata.building import lock
from segdata.building.lock import LOCK_NAME, locked, remove_stale_lock
from segdata.errors import OutputError
from segdata.storage.local_path import LocalPath

HOLD = """
import sys
from segdata.building.lock import locked
from segdata.storage.local_path import LocalPath
with locked(LocalPath(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def out(tmp_path: Path) -> LocalPath:
    return LocalPath(tmp_path / "a" / "out")


@pytest.fixture
def holder(out: LocalPath):
    """Another process that holds the directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, out],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_lock_is_there_while_it_is_held_and_says_who_has_it(out: LocalPath) -> None:
    with locked(out):
        text = (out / LOCK_NAME).read_text()
        assert text.startswith(f"process {os.getpid()} on ")
    assert not any(out.iterdir())


def test_second_build_is_one_line_that_names_the_first(
    out: LocalPath, holder, tiny_source: Path
) -> None:
    expected = rf"is being built by another process \(process {holder.pid} on .*, since"
    with pytest.raises(OutputError, match=expected) as caught:
        segdata.build("camvid", tiny_source, out)
    assert caught.value.reason == "locked"
    assert {path.name for path in out.iterdir()} == {LOCK_NAME}


def test_lock_of_a_killed_process_holds_nobody_up(
    out: LocalPath, holder, tiny_source: Path
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (out / LOCK_NAME).exists()
    segdata.build("camvid", tiny_source, out)
    assert not (out / LOCK_NAME).exists()
    assert segdata.verify(out).problems == ()


def test_lock_left_in_a_finished_build_is_removed_by_the_same_command(
    tiny_source: Path, out: LocalPath
) -> None:
    segdata.build("camvid", tiny_source, out)
    (out / LOCK_NAME).touch()
    segdata.build("camvid", tiny_source, out)
    assert not (out / LOCK_NAME).exists()


def test_what_is_held_is_not_stale(out: LocalPath, holder) -> None:
    remove_stale_lock(out)
    assert (out / LOCK_NAME).exists()


def test_foreign_folder_gets_no_lock(tiny_source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError, match="holds files that segdata did not write"):
        segdata.build("camvid", tiny_source, tmp_path)
    assert LOCK_NAME not in os.listdir(tmp_path)


def test_file_system_without_locks_is_no_reason_to_stop(
    out: LocalPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with locked(out), locked(out):
        assert not any(out.iterdir())
