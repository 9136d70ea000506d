"""A process that ends before any of its calls that change a disk.

Each trial forks: the child builds in this process and ends, as if killed, just before
its nth rename, removal, new folder or sync. The same command then has to end well, with
the same bytes and nothing left over. A few points are tried by `make test`, every one
by `make test-crashpoints`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import segdata
from segdata.exports import export_class
from segdata.exports.base import new_folder

CALLS = ("replace", "rename", "unlink", "mkdir", "rmdir", "fsync")
KILLED = 77
FEW = range(1, 400, 9)


def run_and_die(work: Callable[[], Any], at: int) -> bool:
    """Runs it in a child that ends before its nth call; whether it came so far."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        try:
            _die_at(at)
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, KILLED), "the first run failed by itself"
    return code == KILLED


def _die_at(at: int) -> None:
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                os._exit(KILLED)
            return call(*args, **options)

        return made

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def files_below(folder: Path, hashes: Callable[[Path], dict[str, str]]) -> Any:
    """Hashes of all files, and all folders; stray ones are seen."""
    folders = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_dir()}
    return hashes(folder), folders


def trial(
    work: Callable[[], Any],
    reset: Callable[[], None],
    state: Callable[[], Any],
    points: range,
) -> int:
    """Tries every point until the work ends by itself; how many there were."""
    reset()
    work()
    expected = state()
    for tried, at in enumerate(points):
        reset()
        if not run_and_die(work, at):
            return tried
        work()
        assert state() == expected, f"after a crash before call {at}"
    return len(points)


@pytest.fixture
def small(tmp_path: Path, make_segnet: Callable[..., Path]) -> Path:
    return make_segnet(tmp_path / "data")


def build_trial(small: Path, hashes: Any, points: range) -> int:
    out = small.parent / "out"

    def work() -> None:
        segdata.build("camvid", small, out, num_shards=2)

    def reset() -> None:
        shutil.rmtree(out, ignore_errors=True)

    return trial(work, reset, lambda: files_below(out, hashes), points)


def update_trial(small: Path, hashes: Any, points: range) -> int:
    out, before = small.parent / "out", small.parent / "before"
    segdata.build("camvid", small, before, num_shards=2)
    image = next(iter(sorted((small / "train").glob("*.png"))))
    with Image.open(image) as opened:
        pixels = opened.copy()
    pixels.putpixel((0, 0), (1, 2, 3))
    pixels.save(image)

    def work() -> None:
        segdata.build("camvid", small, out, num_shards=2, update=True)

    def reset() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)

    return trial(work, reset, lambda: files_below(out, hashes), points)


def stats_trial(small: Path, hashes: Any, points: range) -> int:
    out, before = small.parent / "out", small.parent / "before"
    segdata.build("camvid", small, before, num_shards=2)

    def work() -> None:
        segdata.stats(out)
        segdata.build(
            "camvid", small, out, num_shards=2
        )  # removes what is half-written

    def reset() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)

    return trial(work, reset, lambda: files_below(out, hashes), points)


def export_trial(small: Path, hashes: Any, points: range) -> int:
    out, parent = small.parent / "out", small.parent / "exports"
    segdata.build("camvid", small, out, num_shards=2)

    def work() -> None:
        for left in parent.glob(".tmp-*"):
            os.utime(left, (0, 0))  # a minute later
        if not (parent / "dest").exists():
            with new_folder(parent / "dest") as dest:
                export_class("png")().write(segdata.open(out), dest, lambda count: None)

    def reset() -> None:
        shutil.rmtree(parent, ignore_errors=True)

    return trial(work, reset, lambda: files_below(parent, hashes), points)


TRIALS = [build_trial, update_trial, stats_trial, export_trial]


@pytest.mark.parametrize("kind", TRIALS)
def test_same_command_goes_on_after_a_crash_anywhere(small, file_hashes, kind):
    assert kind(small, file_hashes, FEW) >= (1 if kind in TRIALS[2:] else 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRIALS)
def test_same_command_goes_on_after_a_crash_everywhere(small, file_hashes, kind):
    count = kind(small, file_hashes, range(1, 1000))
    print(f"{kind.__name__}: {count} crash points")
    assert (2 if kind in TRIALS[2:] else 40) < count < 999
