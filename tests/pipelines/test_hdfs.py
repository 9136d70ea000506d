"""Builds in a real HDFS on loopback: `make test-hdfs` fetches it and runs this."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from killing import kill_all

import segdata as segdata_package
from segdata.building import directory
from segdata.cli import cli
from segdata.errors import OutputError, StorageError
from segdata.storage.paths import locate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent.parent
CLUSTERS = Path(os.environ.get("SEGDATA_CLUSTERS", ROOT / "build" / "clusters"))
SIZES = {"train": 40, "val": 14}
NUM_SHARDS = 4

UPLOAD = """
import sys
from segdata.storage.paths import locate
locate(sys.argv[1]).upload(sys.argv[2])
"""


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server for all tests: each uses names of its own."""
    from hdfs_server import HdfsServer

    jars = CLUSTERS / "hdfs" / "jars"
    if not jars.is_dir():
        pytest.skip(f"{jars} is not there: run `make test-hdfs`")
    server = HdfsServer(jars, tmp_path_factory.mktemp("hdfs"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def camvid(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the real CamVid."""
    folder = tmp_path_factory.mktemp("camvid")
    for split, size in SIZES.items():
        lines = (shared_data / "camvid" / f"{split}.txt").read_text().splitlines()
        (folder / f"{split}.txt").write_text("\n".join(lines[:size]) + "\n")
        for name in {Path(path).name for path in " ".join(lines[:size]).split()}:
            for below in (split, f"{split}annot"):
                (folder / below).mkdir(exist_ok=True)
                shutil.copy(shared_data / "camvid" / below / name, folder / below)
    return folder


@pytest.fixture(scope="module")
def local(
    camvid: Path, tmp_path_factory: pytest.TempPathFactory, run_build: Any
) -> Path:
    """A build of it on this machine."""
    out = tmp_path_factory.mktemp("local") / "out"
    run_build(camvid, out, num_shards=NUM_SHARDS)
    return out


@pytest.fixture(scope="module")
def expected(local: Path, file_hashes: Any) -> dict[str, str]:
    hashes: dict[str, str] = file_hashes(local)
    return hashes


def build_command(source: object, out: object, *more: str) -> tuple[object, ...]:
    shards = f"--shards={NUM_SHARDS}"
    return ("build", "camvid", source, out, shards, "--workers=2", *more)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, list(map(str, arguments)))


# --- The same bytes from anywhere to anywhere.


def test_source_and_output_may_lie_anywhere(
    hdfs: Any,
    camvid: Path,
    segdata: Any,
    expected: Any,
    tmp_path: Path,
    file_hashes: Any,
) -> None:
    """Real CamVid by two workers: up, from HDFS to HDFS, and down."""
    remote = hdfs.upload(camvid, "anywhere/source")
    up, across = hdfs.address("anywhere/up"), hdfs.address("anywhere/across")
    for source, out in ((camvid, up), (remote, across), (remote, tmp_path / "down")):
        done = segdata(*build_command(source, out)).end(timeout=300)
        assert done.returncode == 0, done.stderr
    assert hdfs.hashes("anywhere/up") == expected
    assert hdfs.hashes("anywhere/across") == expected
    assert file_hashes(tmp_path / "down") == expected
    verified = segdata("verify", across, "--workers=2").end(timeout=300)
    assert verified.returncode == 0, verified.stderr
    assert "54 records in 8 shards are whole" in verified.stdout


def test_beams_options_tell_server_and_user(
    hdfs: Any, camvid: Path, segdata: Any, expected: Any, monkeypatch: Any
) -> None:
    """`hdfs://beam/out` is `/beam/out`, and workers write as the user that is given."""
    monkeypatch.setenv("HADOOP_USER_NAME", "nobody-known")
    host, _, port = hdfs.host.partition(":")
    server = ("--", f"--hdfs_host={host}", f"--hdfs_port={port}")
    refused = segdata(*build_command(camvid, "hdfs://beam/out", *server)).end(200)
    assert refused.returncode == 1
    assert "Permission denied: user=nobody-known, access=WRITE" in refused.stderr
    server = (*server, f"--hdfs_user={hdfs.user}")
    done = segdata(*build_command(camvid, "hdfs://beam/out", *server)).end(timeout=300)
    assert done.returncode == 0, done.stderr
    assert hdfs.hashes("beam/out") == expected
    full = ("hdfs://any/beam/out", *server, "--hdfs_full_urls")
    verified = segdata("verify", *full).end(timeout=300)
    assert "54 records in 8 shards are whole" in verified.stdout, verified.stderr


# --- Kills, and attempts that run at once.


def test_killed_builds_go_on_to_the_same_bytes(
    hdfs: Any, camvid: Path, segdata: Any, expected: Any
) -> None:
    remote = hdfs.upload(camvid, "killed/source")
    command = build_command(remote, hdfs.address("killed/out"))
    index = hdfs.path("killed/out/index")
    for num_receipts in (1, 3, 5):
        running = segdata(*command)
        while running.process.poll() is None:
            if len(index.sorted_glob("*.json")) >= num_receipts:
                break
            time.sleep(0.005)
        assert running.process.poll() is None, running.end().stderr
        kill_all(running)
        assert "manifest.json" not in hdfs.names("killed/out")
        # What has a shard's name is that shard, whole.
        for name in hdfs.path("killed/out").glob("camvid-*"):
            digest = directory.file_sha256(name)
            assert digest == expected[name.name]
    done = segdata(*command).end(timeout=300)
    assert done.returncode == 0, done.stderr
    assert "continuing: " in done.stderr
    assert hdfs.hashes("killed/out") == expected


def test_killed_upload_leaves_what_was_there(hdfs: Any, tmp_path: Path) -> None:
    """Half of a file stays under a name of its own, which the next build removes."""
    out = hdfs.path("torn")
    (out / "index/x").write_bytes(b"")
    (out / "a").write_bytes(b"before")
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOAD, str(out / "a"), str(tmp_path / "pipe")]
    )
    with (tmp_path / "pipe").open("wb") as pipe:
        pipe.write(bytes(3 << 20))
        pipe.flush()
        while not list(out.glob(".tmp-a-*")):
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert (out / "a").read_bytes() == b"before"
    assert len(hdfs.names("torn")) == 3
    directory.remove_temporaries(out)
    assert hdfs.names("torn") == ["a", "index/x"]


def test_attempts_at_one_file_never_mix_and_it_is_never_gone(hdfs: Any) -> None:
    path = hdfs.path("doubled/a")
    contents = [bytes([number]) * (300_000 + number) for number in range(4)]
    path.write_bytes(contents[0])
    is_over = threading.Event()

    def write(data: bytes) -> None:
        for _ in range(15):
            with path.atomic_file() as file:
                file.write(data)

    def look() -> set[int]:
        sizes = set()
        while not is_over.is_set():
            sizes.add(path.stat().st_size)
        return sizes

    with ThreadPoolExecutor(5) as pool:
        seen = pool.submit(look)
        for future in [pool.submit(write, data) for data in contents]:
            future.result()
        is_over.set()
        assert seen.result() <= set(map(len, contents))
    assert path.read_bytes() in contents
    assert hdfs.names("doubled") == ["a"]


def test_two_builds_at_once_leave_one_build(
    hdfs: Any, camvid: Path, segdata: Any, expected: Any
) -> None:
    """Zombies of a cluster."""
    command = build_command(camvid, hdfs.address("twice/out"))
    both = [segdata(*command), segdata(*command)]
    for running in both:
        running.end(timeout=300)
    done = segdata(*command).end(timeout=300)
    assert done.returncode == 0, done.stderr
    assert hdfs.hashes("twice/out") == expected


def test_shard_that_was_changed_meanwhile_is_built_anew(
    hdfs: Any, camvid: Path, segdata: Any, expected: Any
) -> None:
    out = hdfs.path("meddled/out")
    command = build_command(camvid, out)
    running = segdata(*command)
    while not (found := (out / "index").sorted_glob("*.json")):
        time.sleep(0.005)
    kill_all(running)
    shard = out / found[0].stem
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    done = segdata(*command).end(timeout=300)
    assert done.returncode == 0, done.stderr
    assert hdfs.hashes("meddled/out") == expected


# --- Updates, and what reads a build.


def test_update_writes_what_changed(
    hdfs: Any,
    camvid: Path,
    run_build: Callable[..., Any],
    tmp_path: Path,
    file_hashes: Any,
) -> None:
    source = tmp_path / "source"
    shutil.copytree(camvid, source)
    remote = locate(hdfs.upload(source, "update/source"))
    out = hdfs.path("update/out")
    run_build(remote, out, num_shards=NUM_SHARDS)
    before = {entry.name: entry.state for entry in out.entries()}
    run_build(remote, out, num_shards=NUM_SHARDS, update=True)
    assert {entry.name: entry.state for entry in out.entries()} == before
    first, second = sorted((source / "val").iterdir())[:2]
    shutil.copy(second, first)
    (remote / f"val/{first.name}").write_bytes(second.read_bytes())
    run_build(remote, out, num_shards=NUM_SHARDS, update=True)
    after = {entry.name: entry.state for entry in out.entries()}
    changed = [name for name in after if after[name] != before[name]]
    assert sum(".tfrecord-" in name for name in changed) == 1
    run_build(source, tmp_path / "fresh", num_shards=NUM_SHARDS)
    assert hdfs.hashes("update/out") == file_hashes(tmp_path / "fresh")


def test_everything_reads_a_build(
    hdfs: Any, local: Path, run_build: Any, camvid: Path, tmp_path: Path
) -> None:
    out = hdfs.address("read/out")
    run_build(camvid, locate(out), num_shards=NUM_SHARDS)
    again = CliRunner().invoke(cli, list(map(str, build_command(camvid, out))))
    assert again.exit_code == 0, again.exception
    run_build(camvid, locate(out), num_shards=NUM_SHARDS, overwrite=True)
    assert "have their sizes" in run("verify", "--fast", out).output
    assert "are equal" in run("diff", out, local).output
    run("stats", local, "--pixels=all")
    result = run("stats", out, "--pixels=all")
    assert result.exit_code == 0, result.output
    stats = (hdfs.path("read/out") / "stats.json").read_bytes()
    assert stats == (local / "stats.json").read_bytes()
    (local / "stats.json").unlink()
    shard = f"{out}/camvid-train.tfrecord-00000-of-00004"
    for arguments in (
        ("info", out),
        ("inspect", shard),
        ("show", out, "--output", tmp_path / "grid.png"),
        ("export", out, tmp_path / "exported", "--to=png"),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
    remote = segdata_package.open(out)
    assert remote[5].encoded == segdata_package.open(local)[5].encoded
    damaged = bytearray(locate(shard).read_bytes())
    damaged[100] ^= 1
    locate(shard).write_bytes(bytes(damaged))
    assert "camvid-train.tfrecord-00000-of-00004: record 0" in run("verify", out).output


def test_build_leaves_a_users_folders_alone(
    hdfs: Any, camvid: Path, run_build: Any
) -> None:
    (hdfs.path("foreign/out") / "notes/thesis.txt").write_bytes(b"")
    with pytest.raises(OutputError, match=r"did not write, e\.g\. 'notes'"):
        run_build(camvid, hdfs.path("foreign/out"), overwrite=True)
    assert hdfs.names("foreign/out") == ["notes/thesis.txt"]


# --- Paths, and what goes wrong.


def test_paths_do_what_those_of_this_machine_do(hdfs: Any) -> None:
    folder = hdfs.path("paths")
    path = folder / "a b/c+%20\N{SNOWMAN}#?&=;[1].png"
    assert not folder.exists()
    assert folder.listed().entries() == folder.entries() == []
    path.write_bytes(b"0123456789")
    (folder / "empty").write_bytes(b"")
    for place in (folder, folder.listed()):
        found = place / path.relative_to(folder)
        assert (found.is_file(), found.parent.is_dir()) == (True, True)
        assert (found.stat().st_size, found.name) == (10, path.name)
        assert [entry.name for entry in place.entries()] == ["a b", "empty"]
        assert [str(p) for p in place.glob("a*/*.png")] == [str(path)]
    assert path.read_bytes() == b"0123456789"
    assert path.read_range(3, 4) == b"3456"
    assert (folder / "empty").read_bytes() == b""
    with pytest.raises(StorageError, match="Directory is not empty"):
        folder.rmdir()
    state = (folder / "empty").state()
    (folder / "empty").move_to(path)  # in place of what is there
    assert path.state() == state
    for call in (path.with_name("d").read_bytes, path.with_name("d").unlink):
        with pytest.raises(FileNotFoundError, match="No such object"):
            call()
    folder.remove_tree()
    folder.remove_tree()
    assert not folder.exists()


def test_large_shard_comes_and_goes_whole(hdfs: Any) -> None:
    data = os.urandom(20 << 20)
    path = hdfs.path("large/a")
    with path.atomic_file() as file:
        file.write(data)
    assert path.read_bytes() == data
    with path.open() as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == data[-5:]


@pytest.mark.parametrize("where", ["source", "out"])
def test_wrong_port_is_one_line(
    where: str, hdfs: Any, camvid: Path, tmp_path: Path, segdata: Any
) -> None:
    """The port that Hadoop's own addresses have, and one where nobody answers."""
    for port, words in (
        (hdfs.rpc_port, f"what answers at 127.0.0.1:{hdfs.rpc_port} is no WebHDFS"),
        (1, "127.0.0.1:1 cannot be reached: Connection refused"),
    ):
        address = f"hdfs://127.0.0.1:{port}/x"
        places = {"source": camvid, "out": tmp_path / "out", where: address}
        done = segdata(*build_command(places["source"], places["out"])).end(200)
        assert done.returncode == 1
        [line] = [x for x in done.stderr.splitlines() if "127.0.0.1" in x]
        assert line.startswith("error: ")
        assert words in line
        assert "not of its RPC (8020, 9000)" in line
        assert "Traceback" not in done.stderr


def test_refusal_of_a_datanode_is_told_not_read(hdfs: Any) -> None:
    """Java's stack stays behind."""
    path = hdfs.path("refused/a").with_options({"user": "nobody-known"})
    words = r"refused/a: Permission denied: user=nobody-known, [^\n]*drwxr-xr-x\.$"
    with pytest.raises(StorageError, match=words):
        path.write_bytes(b"")
