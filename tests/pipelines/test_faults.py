"""Real builds that are killed, starved, and robbed of their files; then continued.

Long trials are marked slow: `make test-fault` runs them.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from killing import kill_all
from PIL import Image

from segdata.checking.verify import stray_files
from segdata.formats.coco.format import Coco
from segdata.shards.manifest import Manifest, read_manifest

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]

KILLS = int(os.environ.get("SEGDATA_KILLS", "30"))
SHARDS = 8

slow = [pytest.mark.slow, pytest.mark.timeout(3600)]


def arguments(source: Path, out: Path, *more: str) -> list[object]:
    return ["build", "coco", source, out, f"--shards={SHARDS}", *more]


@pytest.fixture(scope="module")
def coco(shared_data: Path) -> Path:
    return shared_data / "coco"


@pytest.fixture(scope="module")
def undisturbed(
    coco: Path, tmp_path_factory: pytest.TempPathFactory, run_build: Build
) -> Path:
    out = tmp_path_factory.mktemp("faults") / "out"
    run_build(coco, out, dataset_format=Coco(), num_shards=SHARDS)
    return out


def assert_same(out: Path, undisturbed: Path, file_hashes: Hashes) -> None:
    """Nothing differs, is lost, doubled or left over."""
    assert file_hashes(out) == file_hashes(undisturbed)
    manifest = read_manifest(out)
    assert stray_files(out, manifest) == []
    keys = [
        key
        for path in sorted((out / "index").glob("*.tfrecord-*.json"))
        for key in orjson.loads(path.read_bytes())["records"]["key"]
    ]
    assert len(keys) == len(set(keys)) == 165


def assert_not_half_finished(out: Path, undisturbed: Path, file_hashes: Hashes) -> None:
    """A manifest is there only if everything else is."""
    if (out / "manifest.json").exists():
        kept = {k: v for k, v in file_hashes(out).items() if ".segdata" not in k}
        assert kept == file_hashes(undisturbed)


def finish(segdata: Any, out: Path, *command: object) -> None:
    """Runs a command again; a build that was finished already says so."""
    is_finished = (out / "manifest.json").exists()
    result = segdata(*command).end(timeout=300)
    assert result.returncode == 0, result.stderr
    assert ("already holds this very build" in result.stderr) == is_finished


@pytest.fixture(scope="module")
def seconds(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the command takes, start and end included."""
    out = tmp_path_factory.mktemp("timed") / "out"
    command = [sys.executable, "-P", "-m", "segdata"]
    command += map(str, arguments(coco, out, "--workers=2"))
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return time.monotonic() - start


class TestKilled:
    pytestmark = slow

    @pytest.mark.parametrize("seed", range(KILLS))
    def test_tree_killed_at_a_random_moment_goes_on_to_the_same_bytes(
        self,
        seed: int,
        seconds: float,
        coco: Path,
        undisturbed: Path,
        tmp_path: Path,
        segdata: Any,
        file_hashes: Hashes,
    ) -> None:
        moment = random.Random(seed)
        command = arguments(coco, tmp_path / "out", "--workers=2")
        running = segdata(*command)
        time.sleep(moment.uniform(0.1, 1.0) * seconds)
        kill_all(running)
        assert_not_half_finished(tmp_path / "out", undisturbed, file_hashes)
        finish(segdata, tmp_path / "out", *command)
        assert_same(tmp_path / "out", undisturbed, file_hashes)

    def test_killed_again_and_again_it_still_comes_to_its_end(
        self,
        seconds: float,
        coco: Path,
        undisturbed: Path,
        tmp_path: Path,
        segdata: Any,
        file_hashes: Hashes,
    ) -> None:
        moment = random.Random(0)
        command = arguments(coco, tmp_path / "out", "--workers=2")
        for _ in range(8):
            running = segdata(*command)
            time.sleep(moment.uniform(0.5, 0.8) * seconds)
            kill_all(running)
            assert_not_half_finished(tmp_path / "out", undisturbed, file_hashes)
        finish(segdata, tmp_path / "out", *command)
        assert_same(tmp_path / "out", undisturbed, file_hashes)

    @pytest.mark.parametrize("seed", range(5))
    def test_one_worker_killed_ends_the_build_with_a_line_and_it_goes_on(
        self,
        seed: int,
        seconds: float,
        coco: Path,
        undisturbed: Path,
        tmp_path: Path,
        segdata: Any,
        file_hashes: Hashes,
    ) -> None:
        moment = random.Random(seed)
        command = arguments(coco, tmp_path / "out", "--workers=2")
        running = segdata(*command)
        while not running.workers() and running.process.poll() is None:
            time.sleep(0.02)
        time.sleep(moment.uniform(0.0, 0.6) * seconds)
        for pid in running.workers()[:1]:
            os.kill(pid, signal.SIGKILL)
        result = running.end(timeout=60)
        if result.returncode:
            assert "error: a worker process died before" in result.stderr
            assert "Traceback" not in result.stderr
        finish(segdata, tmp_path / "out", *command)
        assert_same(tmp_path / "out", undisturbed, file_hashes)

    @pytest.mark.parametrize("seed", range(3))
    def test_workers_whose_main_process_is_killed_end_and_do_no_harm_to_the_next(
        self,
        seed: int,
        seconds: float,
        coco: Path,
        undisturbed: Path,
        tmp_path: Path,
        segdata: Any,
        file_hashes: Hashes,
    ) -> None:
        """The next build starts at once: they may still be writing beside its own."""
        moment = random.Random(seed)
        command = arguments(coco, tmp_path / "out", "--workers=2")
        running = segdata(*command)
        time.sleep(moment.uniform(0.4, 0.8) * seconds)
        running.process.kill()
        finish(segdata, tmp_path / "out", *command)
        assert running.ends_all(5)
        running.end()
        for path in (tmp_path / "out").rglob(".tmp-*"):
            path.unlink()  # of a worker that ended last; the next build removes it
        assert_same(tmp_path / "out", undisturbed, file_hashes)


# --- disks ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of its own; call it again to mount it anew."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        how = f"remount,{options}" if mounted else options
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            if not mounted:
                pytest.skip(f"cannot mount: {done.stderr.strip()}")
            raise OSError(done.stderr)
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_disk_that_fills_up_ends_the_build_and_it_goes_on_when_there_is_room(
    workers: int,
    coco: Path,
    undisturbed: Path,
    small_disk: Callable[[str], Path],
    segdata: Any,
    file_hashes: Hashes,
) -> None:
    out = small_disk("size=12m") / "out"
    command = arguments(coco, out, f"--workers={workers}")
    result = segdata(*command).end(timeout=120)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"error: cannot write {out}/")
    assert "No space left on device. Free space or check the permissions" in line
    assert not (out / "manifest.json").exists()
    assert list(out.rglob(".tmp-*")) == []
    small_disk("size=200m")
    finish(segdata, out, *command)
    assert_same(out, undisturbed, file_hashes)


@pytest.mark.slow
def test_output_that_turns_read_only_ends_the_build_and_it_goes_on_when_it_is_not(
    coco: Path,
    undisturbed: Path,
    small_disk: Callable[[str], Path],
    segdata: Any,
    file_hashes: Hashes,
) -> None:
    out = small_disk("size=200m") / "out"
    command = arguments(coco, out, "--workers=1")
    running = segdata(*command)
    _turn_read_only(small_disk, out, running)
    result = running.end(timeout=120)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"error: cannot write {out}/")
    assert "Read-only file system. Free space or check the permissions" in line
    again = segdata(*command).end(timeout=120)
    assert f"error: cannot write {out}/.segdata/build.json: Read-only" in again.stderr
    small_disk("rw")
    finish(segdata, out, *command)
    assert_same(out, undisturbed, file_hashes)


def _turn_read_only(mount: Callable[[str], Path], out: Path, running: Any) -> None:
    """As soon as a shard is there: the kernel refuses while a file is being written."""
    while running.process.poll() is None:
        if list(out.glob("coco-*")):
            with contextlib.suppress(OSError):
                mount("ro")
                return
    pytest.fail("the build ended before its output could be turned read-only")


# --- sources that change while they are read ---


@pytest.fixture
def later(source: Path, tmp_path: Path, run_build: Build) -> Path:
    """An image that is read after the one of `pipe`."""
    manifest = run_build(source, tmp_path / "whole", num_shards=1)
    shard = manifest.splits["train"].shards[0].name
    receipt = orjson.loads((tmp_path / "whole/index" / f"{shard}.json").read_bytes())
    keys = receipt["records"]["key"]
    position = keys.index("train/train_002")
    assert position < len(keys) - 1, "the fixture's image is the last of its shard"
    return source / f"{keys[position + 1]}.png"


def start_and_wait(segdata: Any, source: Path, out: Path, pipe: Any) -> Any:
    command = segdata("build", "camvid", source, out, "--shards=1", "--workers=1")
    pipe.wait_for_reader()
    return command


def feed(pipe: Any) -> None:
    """Gives the waiting reader its bytes."""
    os.set_blocking(pipe._writer, True)
    os.write(pipe._writer, pipe.content)
    pipe.let_go()


def put_back(pipe: Any) -> None:
    pipe.path.unlink()
    pipe.path.write_bytes(pipe.content)


def test_image_deleted_midway_ends_the_build_and_it_goes_on_when_it_is_back(
    later: Path,
    source: Path,
    tmp_path: Path,
    segdata: Any,
    pipe: Any,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    out = tmp_path / "out"
    command = start_and_wait(segdata, source, out, pipe)
    content = later.read_bytes()
    later.unlink()
    feed(pipe)
    result = command.end()
    assert result.returncode == 1
    name = later.relative_to(source)
    assert f"error: image '{name}' is missing: expected a file" in result.stderr
    assert not (out / "manifest.json").exists()
    put_back(pipe)
    later.write_bytes(content)
    run_build(source, out, num_shards=1)
    assert file_hashes(out) == file_hashes(tmp_path / "whole")


def test_image_that_gets_another_size_midway_is_noticed_and_taken_as_it_is_then(
    later: Path,
    source: Path,
    tmp_path: Path,
    segdata: Any,
    pipe: Any,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    out = tmp_path / "out"
    command = start_and_wait(segdata, source, out, pipe)
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(later)
    feed(pipe)
    result = command.end()
    assert result.returncode == 1
    key = later.relative_to(source).with_suffix("")
    assert f"error: the source of record '{key}' changed during" in result.stderr
    put_back(pipe)
    run_build(source, out, num_shards=1)
    run_build(source, tmp_path / "scratch", num_shards=1)
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")
    assert file_hashes(out) != file_hashes(tmp_path / "whole")


def test_image_that_changes_midway_with_its_size_kept_is_taken_as_it_was_read(
    later: Path,
    source: Path,
    tmp_path: Path,
    segdata: Any,
    pipe: Any,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    out = tmp_path / "out"
    command = start_and_wait(segdata, source, out, pipe)
    other = tmp_path / "other.png"
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(other)
    padding = later.stat().st_size - other.stat().st_size
    assert padding > 12
    _pad_png(other, padding)
    shutil.copy(other, later)
    feed(pipe)
    result = command.end()
    assert result.returncode == 0, result.stderr
    put_back(pipe)
    run_build(source, out, num_shards=1, update=True)
    run_build(source, tmp_path / "scratch", num_shards=1)
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")


def _pad_png(path: Path, count: int) -> None:
    """Makes a PNG larger by a text chunk, 12 bytes at least."""
    import struct
    import zlib

    data = path.read_bytes()
    body = b"tEXt" + b"Comment\0".ljust(count - 12, b"x")
    chunk = struct.pack(">I", count - 12) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert path.stat().st_size == len(data) + count
