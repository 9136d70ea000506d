"""Builds whose source or output lies in a store: servers of S3 and GCS on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import segdata as segdata_package
from segdata.cli import cli
from segdata.errors import (
    ImageError,
    OptionError,
    OutputError,
    SourceError,
    StorageError,
)
from segdata.storage.paths import locate


@pytest.fixture(scope="module")
def expected(
    make_segnet: Any, tmp_path_factory: Any, run_build: Any, file_hashes: Any
) -> dict[str, str]:
    """The hashes of a build from `source` on this machine to itself."""
    folder = tmp_path_factory.mktemp("expected")
    run_build(make_segnet(folder / "source", num_train=6), folder / "out")
    hashes: dict[str, str] = file_hashes(folder / "out")
    return hashes


@pytest.fixture
def build(run_build: Any) -> Callable[..., Any]:
    """A build that takes addresses."""

    def run(source: object, out: object, **options: Any) -> Any:
        return run_build(locate(str(source)), locate(str(out)), **options)

    return run


# What stands above the stores is the same on each: one will do in the ordinary suite.
_OTHERS = [pytest.param(x, marks=pytest.mark.slow) for x in ("gs", "fake-gcs-server")]
on_one_store = pytest.mark.parametrize("store", ["s3", *_OTHERS], indirect=True)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def change(path: Path) -> bytes:
    """Writes an image of fewer bytes in the place of one; returns its bytes."""
    pixels = np.random.default_rng(7).integers(0, 4, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


# --- The same bytes from anywhere to anywhere.


def test_source_and_output_may_lie_anywhere(
    store: Any,
    source: Path,
    tmp_path: Path,
    build: Any,
    expected: Any,
    file_hashes: Any,
) -> None:
    remote = store.upload(source, "anywhere/source")
    build(source, store.address("anywhere/up"))
    build(remote, tmp_path / "down")
    build(remote, store.address("anywhere/across"))
    assert store.hashes("anywhere/up") == expected
    assert file_hashes(tmp_path / "down") == expected
    assert store.hashes("anywhere/across") == expected


@on_one_store
def test_workers_get_beams_options(
    store: Any, source: Path, segdata: Any, expected: Any, monkeypatch: Any
) -> None:
    """Two processes, to which nothing else tells how to reach the store."""
    for name in store.replaced_by_beam_args:
        monkeypatch.delenv(name)
    remote = store.upload(source, "workers/source")
    out = store.address("workers/out")
    command = segdata(
        *("build", "camvid", remote, out, "--shards=2", "--workers=2"),
        *("--", *store.beam_args),
    )
    done = command.end(timeout=200)
    assert done.returncode == 0, done.stderr
    assert store.hashes("workers/out") == expected


def test_requests_do_not_grow_with_files_but_by_one_each(
    store: Any, source: Path, build: Any
) -> None:
    """Files are listed together: none is asked for its size or whether it exists."""
    remote = store.upload(source, "requests/source")
    store.requests.clear()
    # Else the starts of up to 256 images are read besides.
    build(remote, store.address("requests/out"), exif="apply")
    of_files = [r for r in store.requests if "/requests/source/" in r]
    assert len(of_files) == len(set(of_files)) == 2 * 9 + 2  # two lists of images
    assert all(r.startswith("GET ") for r in of_files)
    listings = [r for r in store.requests if "prefix=requests%2Fsource" in r]
    assert len(listings) == 1


# --- Interrupted builds.


@on_one_store
def test_killed_between_a_shard_and_its_receipt_it_goes_on(
    store: Any, source: Path, segdata: Any, expected: Any
) -> None:
    out = store.address("killed/out")
    command = ("build", "camvid", source, out, "--shards=2", "--workers=1")
    with store.holding(
        "PUT /data/killed/out/index/camvid-val.*01-of-00002.json"
    ) as held:
        running = segdata(*command)
        assert held.came.wait(60)
        os.kill(running.process.pid, signal.SIGKILL)
        running.end()
        left = store.keys("killed/out")
        held.let_go()
    assert "manifest.json" not in left
    shards = {name for name in left if "/" not in name}
    done = {
        name.removeprefix("index/").removesuffix(".json")
        for name in left
        if name.startswith("index/") and name.endswith(".json")
    }
    assert shards - done == {"camvid-val.tfrecord-00001-of-00002"}
    receipt = "killed/out/index/camvid-val.tfrecord-00001-of-00002.json"
    store.wait_for(receipt)  # written after all, when it was let go
    store.remove(receipt)
    store.requests.clear()
    again = segdata(*command).end()
    assert again.returncode == 0, again.stderr
    assert f"continuing: {len(done)} of 4 shards are there" in again.stderr
    # What is there is known by its ETag: neither read back nor written again.
    moved = {
        r for r in store.requests if "/out/camvid" in r and not r.startswith("HEAD")
    }
    assert store.hashes("killed/out") == expected
    names = {name for name in expected if name.startswith("camvid-")}
    assert moved == {f"PUT /data/killed/out/{name}" for name in names - done}


@on_one_store
def test_killed_attempt_whose_shard_comes_late_leaves_one_whole_shard(
    store: Any, source: Path, segdata: Any, expected: Any
) -> None:
    """Two attempts at one shard: of the first, the store gets all, and acts last."""
    out = store.address("late/out")
    shard = "camvid-val.tfrecord-00001-of-00002"
    command = ("build", "camvid", source, out, "--shards=2", "--workers=1")
    with store.holding(f"PUT /data/late/out/{shard}", only_one=True) as held:
        running = segdata(*command)
        assert held.came.wait(60)
        os.kill(running.process.pid, signal.SIGKILL)
        running.end()
        again = segdata(*command).end()
        assert again.returncode == 0, again.stderr
        assert store.hashes("late/out") == expected
        store.remove(f"late/out/{shard}")  # to see the late one come
        held.let_go()
        store.wait_for(f"late/out/{shard}")
    assert store.hashes("late/out") == expected


def test_upload_that_is_killed_midway_leaves_what_was_there(
    store: Any, tmp_path: Path
) -> None:
    store.put("midway/a", b"before")
    (tmp_path / "large").write_bytes(bytes(40 << 20))  # in parts of 16 MiB
    program = "import sys; from segdata.storage.paths import locate as l; "
    program += "l(sys.argv[1]).upload(sys.argv[2])"
    command = [sys.executable, "-P", "-c", program, store.address("midway/a")]
    with store.holding("PUT /data/midway/a", after=1) as held:
        process = subprocess.Popen([*command, tmp_path / "large"])
        assert held.came.wait(60)
        process.kill()
        process.wait()
        assert store.get("midway/a") == b"before"
        held.let_go()
    assert store.get("midway/a") == b"before"
    assert store.keys("midway") == ["a"]


@on_one_store
def test_shard_that_was_changed_meanwhile_is_built_anew(
    store: Any, source: Path, build: Any, expected: Any
) -> None:
    out = store.address("meddled/out")
    with (
        store.refusing("PUT /data/meddled/out/manifest.json", 403),
        pytest.raises(OutputError, match=r"cannot write \w+://data/meddled/out/man"),
    ):
        build(source, out)
    name = "meddled/out/camvid-train.tfrecord-00000-of-00002"
    data = bytearray(store.get(name))
    data[-1] ^= 1
    store.put(name, bytes(data))
    build(source, out)
    assert store.hashes("meddled/out") == expected


@on_one_store
def test_without_the_note_of_what_is_stored_shards_are_hashed(
    store: Any, source: Path, build: Any, expected: Any
) -> None:
    out = store.address("noteless/out")
    with (
        store.refusing("PUT /data/noteless/out/manifest.json", 403),
        pytest.raises(OutputError),
    ):
        build(source, out)
    for name in store.keys("noteless/out"):
        if name.endswith(".stored"):
            store.remove(f"noteless/out/{name}")
    store.requests.clear()
    build(source, out)
    assert store.hashes("noteless/out") == expected
    assert not [r for r in store.requests if r.startswith("PUT") and "/out/camvid" in r]


@on_one_store
def test_source_object_that_changes_midway_ends_the_build(
    store: Any, source: Path, build: Any, file_hashes: Any, tmp_path: Path, segdata: Any
) -> None:
    remote = store.upload(source, "changing/source")
    out = store.address("changing/out")
    name = "train/train_003.png"
    command = ("build", "camvid", remote, out, "--shards=2", "--workers=1")
    with store.holding(f"GET /data/changing/source/{name}") as held:
        running = segdata(*command)
        assert held.came.wait(60)
        store.put(f"changing/source/{name}", change(source / name))
        held.let_go()
        done = running.end()
    assert done.returncode == 1
    assert "the source of record 'train/train_003' changed during the build" in (
        done.stderr
    )
    again = segdata(*command).end()
    assert again.returncode == 0, again.stderr
    build(source, tmp_path / "fresh")
    assert store.hashes("changing/out") == file_hashes(tmp_path / "fresh")


@on_one_store
def test_source_object_that_vanishes_is_missing(
    store: Any, source: Path, build: Any
) -> None:
    remote = store.upload(source, "vanishing/source")
    key = "vanishing/source/train/train_003.png"
    with store.refusing(f"GET /data/{key}", 404), pytest.raises(ImageError) as caught:
        build(remote, store.address("vanishing/out"))
    assert f"missing: expected a file at {store.address(key)}" in str(caught.value)


def test_refused_source_object_is_not_left_out(
    store: Any, source: Path, build: Any
) -> None:
    remote = store.upload(source, "refused/source")
    with (
        store.refusing("GET /data/refused/source/train/train_003.png", 403),
        pytest.raises(
            StorageError, match=store.address("refused/source/train/train_003.png")
        ),
    ):
        build(
            remote, store.address("refused/out"), on_error="skip", max_reject_share=1.0
        )
    assert "manifest.json" not in store.keys("refused/out")


# --- Updates.


@on_one_store
def test_update_writes_what_changed(
    store: Any, source: Path, build: Any, tmp_path: Path, file_hashes: Any
) -> None:
    store.upload(source, "update/source")
    remote, out = store.address("update/source"), store.address("update/out")
    build(remote, out)
    store.requests.clear()
    build(remote, out, update=True)
    assert not [r for r in store.requests if ".tfrecord-" in r and "PUT" in r]
    name = "val/val_001.png"
    store.put(f"update/source/{name}", change(source / name))
    store.requests.clear()
    build(remote, out, update=True)
    written = {r for r in store.requests if r.startswith("PUT /data/update/out/camvid")}
    assert len(written) == 1
    build(source, tmp_path / "fresh")
    assert store.hashes("update/out") == file_hashes(tmp_path / "fresh")


@on_one_store
def test_update_that_was_cut_off_while_moving_is_completed(
    store: Any, source: Path, build: Any, tmp_path: Path, file_hashes: Any
) -> None:
    out = store.address("moving/out")
    build(source, out)
    change(source / "val/val_001.png")
    with (
        store.refusing("PUT /data/moving/out/index/camvid-val.*json", 403),
        pytest.raises(OutputError, match=f"cannot update {out}"),
    ):
        build(source, out, update=True)
    assert "manifest.json" not in store.keys("moving/out")
    build(source, out, update=True)
    build(source, tmp_path / "fresh")
    assert store.hashes("moving/out") == file_hashes(tmp_path / "fresh")


# --- What a prefix may hold.


@on_one_store
def test_prefix_of_others_is_refused_and_kept(
    store: Any, source: Path, build: Any
) -> None:
    store.put("foreign/out/thesis.txt", b"")
    with pytest.raises(OutputError, match=r"did not write, e.g. 'thesis.txt'"):
        build(source, store.address("foreign/out"), overwrite=True)
    assert store.keys("foreign/out") == ["thesis.txt"]


@on_one_store
def test_finished_build_is_replaced_only_when_asked_to(
    store: Any, source: Path, build: Any, expected: Any
) -> None:
    out = store.address("finished/out")
    build(source, out, num_shards=3)
    store.put("finished/out/notes.txt", b"mine")
    with pytest.raises(OutputError, match="already holds a finished build"):
        build(source, out)
    build(source, out, overwrite=True)
    assert store.get("finished/out/notes.txt") == b"mine"
    found = store.hashes("finished/out")
    del found["notes.txt"]
    assert found == expected


@pytest.mark.parametrize("where", ["source", "out"])
def test_no_such_bucket_is_one_line(
    where: str, store: Any, source: Path, build: Any
) -> None:
    missing = f"{store.scheme}://no-such-bucket/x"
    places = {"source": source, "out": store.address("x"), where: missing}
    with pytest.raises(
        StorageError, match=rf"^{store.scheme}://no-such-bucket: .*does not exist\.$"
    ):
        build(places["source"], places["out"])


def test_source_that_is_nowhere_is_told(store: Any, build: Any) -> None:
    with pytest.raises(SourceError, match="//data/nowhere is not a folder"):
        build(store.address("nowhere"), store.address("nowhere-out"))


# --- What reads a build.


@on_one_store
def test_everything_reads_a_build_in_a_store(
    store: Any, source: Path, build: Any, tmp_path: Path
) -> None:
    out = store.address("read/out")
    build(source, out)
    build(source, tmp_path / "local")
    result = run("verify", out)
    assert "9 records in 4 shards are whole" in result.output, result.output
    assert "have their sizes" in run("verify", "--fast", out).output
    result = run("diff", out, tmp_path / "local")
    assert (result.exit_code, "are equal" in result.output) == (0, True)
    result = run("stats", out, "--pixels=all", f"--html={tmp_path / 'report.html'}")
    assert result.exit_code == 0, result.output
    run("stats", tmp_path / "local", "--pixels=all")
    assert (
        store.get("read/out/stats.json") == (tmp_path / "local/stats.json").read_bytes()
    )
    for command in ("info", "inspect", "show", "export"):
        shard = f"{out}/camvid-train.tfrecord-00000-of-00002"
        rest = {
            "info": (out,),
            "inspect": (shard,),
            "show": (out, "--output", tmp_path / "grid.png"),
            "export": (out, tmp_path / "exported", "--to=png"),
        }[command]
        result = run(command, *rest)
        assert result.exit_code == 0, (command, result.output, result.exception)
    local = segdata_package.open(tmp_path / "local")
    remote = segdata_package.open(out)
    assert len(remote) == len(local) == 9
    assert remote[5].encoded == local[5].encoded
    assert remote.stats == local.stats


@on_one_store
def test_damage_in_a_store_is_found_and_named(
    store: Any, source: Path, build: Any
) -> None:
    out = store.address("damaged/out")
    build(source, out)
    name = "camvid-train.tfrecord-00000-of-00002"
    data = bytearray(store.get(f"damaged/out/{name}"))
    data[100] ^= 1
    store.put(f"damaged/out/{name}", bytes(data))
    store.put("damaged/out/camvid-train.tfrecord-00007-of-00008", b"")
    result = run("verify", out)
    assert f"{name}: record 0" in result.output
    assert "camvid-train.tfrecord-00007-of-00008: not in the manifest" in result.output
    store.remove(f"damaged/out/{name}")
    result = run("verify", out)
    assert f"{name}: cannot be read: No such object" in result.output


def test_one_record_is_read_by_one_request(
    store: Any, source: Path, build: Any
) -> None:
    build(source, store.address("record/out"))
    records = segdata_package.RecordSource(store.address("record/out"), "train")
    expected = records.keys[3]
    store.requests.clear()
    assert records[3].key == expected
    assert len(store.requests) == 1


def test_streams_refuse_stores_that_tensorflow_cannot_read(
    s3: Any, source: Path, build: Any
) -> None:
    build(source, s3.address("stream/out"))
    with pytest.raises(OptionError, match=r"knows .*gs:// only. Copy .*RecordSource"):
        segdata_package.read_semantic(s3.address("stream/out"), "train", batch_size=2)


# --- Real data.


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["s3", "fake-gcs-server"], indirect=True)
@pytest.mark.parametrize("name", ["camvid", "pets", "coco"])
def test_real_data_from_store_to_store_are_the_same_to_the_byte(
    name: str, store: Any, shared_data: Path, real_build: Any, file_hashes: Any
) -> None:
    from segdata.building.build import build as build_dataset
    from segdata.pipelines.on_beam import OnBeam
    from segdata.pipelines.runner_options import RunnerOptions
    from segdata.pipelines.storage_options import with_beam_options

    remote = store.upload(shared_data / name, f"real/{name}")
    out = store.address(f"real/{name}-out")
    runner = RunnerOptions(workers=2, beam_args=store.beam_args)
    source, out = (with_beam_options(locate(x), store.beam_args) for x in (remote, out))
    build_dataset(name, source, out, run_shards=OnBeam(runner))
    assert store.hashes(f"real/{name}-out") == file_hashes(real_build(name))
