"""Paths in a store, against servers of S3 and GCS on loopback."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import pickle
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from segdata.errors import (
    AnnotationError,
    ImageError,
    MissingDependencyError,
    OptionError,
    OutputError,
    StorageError,
)
from segdata.storage import files, stores
from segdata.storage.paths import StorePath, locate


def remote(address: str) -> StorePath:
    path = locate(address)
    assert isinstance(path, StorePath)
    return path


# --- Names.


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://bucket/a/b.json", "s3://bucket/a/b.json"),
        ("S3://bucket/a/", "s3://bucket/a"),
        ("s3a://bucket/a", "s3://bucket/a"),
        ("gcs://bucket", "gs://bucket"),
    ],
)
def test_address_is_a_path_in_a_store(address, expected):
    assert str(remote(address)) == expected


@pytest.mark.parametrize("address", ["a/b", "/a/b", "file:///a/b", "C:/a", "a:/b"])
def test_anything_else_is_a_path_of_this_machine(address):
    assert locate(address) == Path(address.removeprefix("file://"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("abfs://container/a", "abfs:// is not supported: expected .* s3:// or gs://"),
        ("s3://", "names no bucket and folder: expected s3://BUCKET/FOLDER"),
        ("s3:///a", "names no bucket"),
        ("s3://bucket/../other", "names no bucket"),
        (Path("s3://bucket/a"), "s3:/bucket/a lost a slash: pass an address"),
    ],
)
def test_address_that_cannot_be_one_is_refused(address, message):
    with pytest.raises(OptionError, match=message):
        locate(address)


def test_parts_of_a_path_are_those_of_pathlib():
    path = remote("s3://bucket/a") / "b/c.tar.gz"
    assert (path.name, path.stem, path.suffix) == ("c.tar.gz", "c.tar", ".gz")
    assert path.parent == remote("s3://bucket/a/b")
    assert path.with_name("d") == remote("s3://bucket/a/b/d")
    assert path / "." == path
    assert path.below(remote("s3://bucket/a")) == "b/c.tar.gz"
    assert path.below(remote("gs://bucket/a")) is None
    assert path.below(Path("a")) is None
    with pytest.raises(OptionError, match="/x is not below s3://bucket/a/b"):
        _ = path.parent / "/x"


def test_options_travel_with_a_path_and_are_not_shown():
    path = remote("s3://bucket/a").with_options({"secret": "x1y2"}) / "b"
    copy = pickle.loads(pickle.dumps(path))
    assert copy == path
    assert copy._options == {"secret": "x1y2"}
    assert "x1y2" not in f"{path} {path!r} {copy!r}"


# --- Objects.


def test_object_is_written_read_listed_and_removed(store: Any):
    folder = remote(store.address("objects"))
    path = folder / "a/b.bin"
    assert not path.exists()
    assert not folder.is_dir()
    path.write_bytes(b"0123456789")
    (folder / "a/c.txt").write_bytes(b"")
    store.put("objects/marker/", b"")  # as consoles make folders
    assert path.is_file()
    assert not path.is_dir()
    assert folder.is_dir()
    assert (folder / "a").is_dir()
    assert path.read_bytes() == b"0123456789"
    assert path.read_range(3, 4) == b"3456"
    assert (folder / "a/c.txt").read_bytes() == b""
    assert path.read_start(3) == b"012"
    assert (folder / "a/c.txt").read_start(3) == b""
    assert [entry.name for entry in folder.entries()] == ["a", "marker"]
    assert [p.name for p in folder.sorted_glob("*/*.bin")] == ["b.bin"]
    assert path.state()[0] == 10
    path.move_to(folder / "d.bin")
    assert (folder / "d.bin").read_bytes() == b"0123456789"
    assert not path.exists()
    folder.remove_tree()
    # What consoles make, gcsfs takes for objects, and s3fs for folders.
    assert store.keys("objects") == ["marker/"] * (store.scheme == "s3")
    (folder / "a").remove_tree()  # where there is nothing
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("is_listed", [False, True])
def test_listing_says_what_the_store_says(store: Any, is_listed):
    for name in ("x.txt", "train/1.png", "train/deep/2.png", "val/3.png"):
        store.put(f"listed/{name}", name.encode())
    store.put("listed-beside/4.png", b"")
    store.put("listed/marker/", b"")
    folder = remote(store.address("listed"))
    if is_listed:
        folder = folder.listed()
        store.requests.clear()
    names = ["train", "val", "x.txt"]
    assert [e.name for e in folder.entries() if e.name != "marker"] == names
    assert (folder / "train").is_dir()
    assert (folder / "train/deep").is_dir()
    assert (folder / "train/deep/2.png").is_file()
    assert not (folder / "train/2.png").exists()
    assert (folder / "val/3.png").stat().st_size == 9
    assert folder.is_dir()
    assert not (folder / "x.txt").is_dir()
    with pytest.raises(FileNotFoundError):
        (folder / "val").stat()
    assert bool(store.requests) != is_listed


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "fake-gcs-server"], indirect=True)
def test_listing_of_more_than_a_page_is_whole(store: Any):
    names = [f"{number:04}" for number in range(1010)]
    for name in names:
        store.put(f"pages/{name}", b"")
    store.requests.clear()
    folder = remote(store.address("pages"))
    assert [entry.name for entry in folder.entries()] == names
    assert [entry.name for entry in folder.listed().entries()] == names
    assert len(store.requests) == 4


def test_state_is_the_same_for_the_same_bytes_and_another_for_others(store: Any):
    path = remote(store.address("states/a"))
    states = []
    for data in (b"one", b"one", b"two"):
        path.write_bytes(data)
        states.append(path.state())
    assert states[0] == states[1] != states[2]
    assert [size for size, _ in states] == [3, 3, 3]


def test_reader_is_a_file(store: Any):
    data = os.urandom(5 << 20)
    store.put("reader/a", data)
    path = remote(store.address("reader/a"))
    with path.open("rb") as file:
        expected = hashlib.sha256(data).hexdigest()
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        assert file.read(1) == b""
        file.seek(4_000_000)
        assert file.read(500_000) == data[4_000_000:4_500_000]
    store.requests.clear()
    with path.open("rb") as file:
        for place in range(0, 1 << 20, 1 << 14):  # lies in one buffer
            file.seek(place)
            file.read(12)
    assert sum(r.startswith("GET /data/reader/a") for r in store.requests) == 1
    # What gcsfs asks for to know a size is more than one request.
    assert store.scheme == "gs" or len(store.requests) == 2
    with path.open_at(100, 10) as file:
        file.seek(104)
        assert (file.tell(), file.read()) == (10 - 6, data[104:110])


@pytest.fixture
def _small_parts(monkeypatch):
    for scheme in ("s3", "gs"):
        options = stores.store_of(scheme).upload_options
        monkeypatch.setitem(options, "chunksize", 5 << 20)  # S3's smallest


@pytest.mark.usefixtures("_small_parts")
def test_large_object_goes_up_in_parts_and_is_whole(store: Any):
    data = os.urandom(11 << 20)
    path = remote(store.address("large/a"))
    with path.atomic_file() as file:
        file.write(data)
        assert store.keys("large") == []
    assert sum("partNumber" in request for request in store.requests) == 3
    assert store.get("large/a") == data


@pytest.mark.usefixtures("_small_parts")
def test_upload_that_fails_midway_leaves_what_was_there(store: Any):
    path = remote(store.address("torn/a"))
    path.write_bytes(b"before")
    with (
        store.refusing("PUT /data/torn/a.*partNumber=2", 403),
        pytest.raises(OutputError, match=r"cannot write \w+://data/torn/a: .*Check b"),
        path.atomic_file() as file,
    ):
        file.write(bytes(11 << 20))
    assert store.get("torn/a") == b"before"
    # What was sent of it is thrown away.
    assert [r for r in store.requests if re.match("DELETE /data/torn/a.uploadId", r)]


def test_attempts_at_one_object_never_mix_and_it_is_never_gone(store: Any):
    """In one request each, and in parts."""
    path = remote(store.address("doubled/a"))
    sizes = (300_000, 300_001, 6 << 20, (6 << 20) + 1)
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    path.write_bytes(contents[0])
    is_over = threading.Event()

    def write(data: bytes) -> None:
        for _ in range(4):
            with path.atomic_file() as file:
                file.write(data)

    def look() -> set[int]:
        seen = set()
        while not is_over.is_set():
            seen.add(path.stat().st_size)
        return seen

    with ThreadPoolExecutor(5) as pool:
        seen = pool.submit(look)
        try:
            for future in [pool.submit(write, data) for data in contents]:
                future.result()
        finally:
            is_over.set()
        assert seen.result() <= set(sizes)
    assert store.get("doubled/a") in contents
    assert store.keys("doubled") == ["a"]


def test_error_while_writing_leaves_nothing(store: Any):
    with (  # noqa: PT012
        pytest.raises(KeyError),
        remote(store.address("error/a")).atomic_file() as file,
    ):
        file.write(b"half")
        raise KeyError
    assert store.keys("error") == []


# --- What goes wrong.


def test_no_such_object_is_no_such_file(store: Any):
    path = remote(store.address("missing/a"))
    for call in (path.read_bytes, path.stat, path.open, path.unlink):
        if call == path.unlink and store.scheme == "s3":
            call()  # S3 does not tell
        else:
            with pytest.raises(FileNotFoundError, match="No such object"):
                call()


def test_no_such_bucket_is_named(store: Any):
    path = remote(f"{store.scheme}://no-such-bucket/a/b")
    words = rf"^{store.scheme}://no-such-bucket: .*not exist\.$"
    calls = [path.exists, path.entries, path.listed, lambda: path.write_bytes(b"")]
    if store.scheme == "s3":
        calls.append(path.read_bytes)  # gcsfs does not say whether bucket or object
    for call in calls:
        with pytest.raises(StorageError, match=words):
            call()


def test_refusal_is_told_with_its_path(store: Any):
    path = remote(store.address("secret/a"))
    with (
        store.refusing("GET /data/secret", 403),
        pytest.raises(StorageError, match=rf"^{path}: .*Forbidden"),
    ):
        path.read_bytes()


def test_refused_upload_is_told(store: Any):
    path = remote(store.address("secret/b"))
    with (
        store.refusing("PUT /data/secret", 403),
        pytest.raises(OutputError, match=rf"cannot write {path}: Forbidden.*Check b"),
        path.atomic_file() as file,
    ):
        file.write(b"data")


def test_nobody_is_told_where_credentials_are_looked_for(gs: Any):
    path = remote(gs.address("secret/c"))
    words = r"^gs://data: Anonymous caller .*, 401\. They are looked .*docs/storage"
    with gs.refusing("GET", 401), pytest.raises(StorageError, match=words):
        path.read_bytes()


def test_upload_that_gcs_cuts_is_no_success(gs: Any):
    """gcsfs frames small uploads by a line that data may have, too."""
    path = remote(gs.address("framed/a"))
    with pytest.raises(StorageError, match=rf"^{path}: .*MD5"):
        path.write_bytes(b"before\n--==0==--\nafter")


def test_emulator_of_gcs_is_not_asked_by_grpc(gs: Any, monkeypatch):
    """Nor need the environment say so: gcsfs would wait for minutes."""
    monkeypatch.delenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", raising=False)
    gs.put("plain/a", b"data")
    start = time.monotonic()
    assert remote(gs.address("plain/a")).read_bytes() == b"data"
    assert time.monotonic() - start < 20


@pytest.mark.slow  # gcsfs tries for half a minute
def test_server_that_is_not_there_is_told(gs: Any, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    path = remote(gs.address("nowhere/a")).with_options({"skip_instance_cache": True})
    with pytest.raises(StorageError, match=r"^gs://data/nowhere/a: .*127.0.0.1:9"):
        path.read_bytes()


def test_missing_credentials_are_told(s3: Any, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = remote(s3.address("a")).with_options({"skip_instance_cache": True})
    with pytest.raises(StorageError, match=r"^s3://data: .*redentials.*docs/storage"):
        path.read_bytes()


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [("s3://b/a", "s3fs", "s3"), ("gs://b/a", "gcsfs", "gcs")],
)
def test_missing_package_is_told_with_its_extra(address, package, extra, monkeypatch):
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("s3", "gs"):
        monkeypatch.delitem(known, name, raising=False)
    words = rf"needs the package {package}: .*segdata\[{extra}"
    with pytest.raises(MissingDependencyError, match=words):
        remote(address).exists()


def test_missing_fsspec_is_told_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'segdata\[s3\]'"):
        stores.filesystem("s3", {})


# --- As the source of records.


def test_source_files_are_read_by_path_or_address(store: Any):
    store.put("images/a b/\N{SNOWMAN}[1].png", b"image")
    name = "a b/\N{SNOWMAN}[1].png"
    root = store.address("images")
    assert files.read_bytes(root, name, what="image") == b"image"
    assert files.file_state(root, name) == (5, files.file_state(root, name)[1])
    assert files.file_state(root, "missing.png") is None
    with pytest.raises(
        ImageError, match=r"expected a file at \w+://data/images/b\.png"
    ):
        files.read_bytes(store.address("images"), "b.png", what="image")
    with pytest.raises(AnnotationError, match="may leave the image folder"):
        files.read_bytes(store.address("images"), "../secret.png", what="image")


def test_store_that_fails_is_no_fault_of_the_record(store: Any):
    store.put("flaky/a.png", b"image")
    with store.refusing("GET /data/flaky", 403), pytest.raises(StorageError):
        files.read_bytes(store.address("flaky"), "a.png", what="image")


def test_text_is_read_as_python_reads_it(store: Any):
    data = "\ufeffone\r\ntwo\n".encode()
    store.put("text/a.txt", data)
    expected = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig").read()
    assert remote(store.address("text/a.txt")).read_text("utf-8-sig") == expected


def test_listing_leaves_out_what_no_path_leads_to():
    from segdata.storage.listing import Listing

    info = {"type": "file", "size": 1}
    keys = ("b/top//x.png", "b/top/", "b/top", "b/top/a.png")
    found = {key: {"name": key, **info} for key in keys}
    listing = Listing(PurePosixPath("b/top"), found)
    [entry] = listing.entries(PurePosixPath("b/top"))
    assert entry.name == "a.png"
