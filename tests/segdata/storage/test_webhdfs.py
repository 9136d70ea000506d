"""What is made of addresses in HDFS, of options, and of what servers answer.

Against a real HDFS: `tests/pipelines/test_hdfs.py`.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canned_server import CannedServer, remote_error

from segdata.errors import (
    MissingDependencyError,
    OptionError,
    OutputError,
    StorageError,
)
from segdata.pipelines.storage_options import with_beam_options
from segdata.storage.hdfs_address import server_options, user_options
from segdata.storage.paths import StorePath, locate

HOST = "--hdfs_host=nn"


def remote(address: str) -> StorePath:
    path = locate(address)
    assert isinstance(path, StorePath)
    return path


@pytest.fixture
def server() -> Iterator[CannedServer]:
    server = CannedServer()
    yield server
    server.close()


# --- Addresses and options.


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("hdfs://nn:9870/a/b/", "hdfs://nn:9870/a/b"),
        ("HDFS://nn/a", "hdfs://nn/a"),
        ("hdfs:///a/b", "hdfs:///a/b"),
        ("hdfs://[::1]:9870/a", "hdfs://[::1]:9870/a"),
    ],
)
def test_address_names_server_and_path(address: str, expected: str) -> None:
    path = remote(address)
    assert str(path) == expected
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(path / "x" / "y.png") == f"{expected}/x/y.png"
    assert (path / "x/y.png").below(path) == "x/y.png"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hdfs://", "names no server and folder: expected hdfs://HOST:PORT/FOLDER"),
        ("hdfs://nn/../a", "names no server and folder"),
        ("hdfs://nn:rpc/a", "hdfs://nn:rpc names no server"),
        ("hdfs://nn:99999/a", "hdfs://nn:99999 names no server"),
        ("hdfs://me@nn/a", "hdfs://me@nn names no server"),
        (Path("hdfs://nn/a"), "lost a slash"),
    ],
)
def test_address_that_cannot_be_one_is_refused(address: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        locate(address)


def test_port_is_that_of_the_namenodes_web_interface() -> None:
    assert server_options("nn") == {"host": "nn", "port": 9870}
    assert server_options("[::1]:50070") == {"host": "[::1]", "port": 50070}


def test_path_without_a_server_says_how_to_name_one() -> None:
    with pytest.raises(OptionError, match=r"names no server.*--hdfs_host=HOST"):
        remote("hdfs:///a").exists()
    with pytest.raises(OptionError, match="names no server"):
        with_beam_options(locate("hdfs:///a"), ())


@pytest.mark.parametrize(
    ("address", "arguments", "expected"),
    [
        ("hdfs://nn:1/a", (), "hdfs://nn:1/a"),
        ("hdfs://nn/a", ("--hdfs_port=1",), "hdfs://nn:1/a"),
        ("hdfs://nn:2/a", ("--hdfs_port=1",), "hdfs://nn:2/a"),
        ("hdfs:///a/b", (HOST,), "hdfs://nn/a/b"),
        ("hdfs://a/b", (HOST, "--hdfs_port=1"), "hdfs://nn:1/a/b"),
        ("hdfs://x:2/b", (HOST, "--hdfs_full_urls"), "hdfs://nn/b"),
    ],
)
def test_beams_options_tell_the_server(
    address: str, arguments: tuple[str, ...], expected: str
) -> None:
    assert str(with_beam_options(locate(address), arguments)) == expected


def test_two_servers_are_refused() -> None:
    with pytest.raises(OptionError, match="names a server, and so does --hdfs_host=nn"):
        with_beam_options(locate("hdfs://other:1/a"), (HOST,))


def test_user_is_found_as_hadoops_tools_do(monkeypatch: Any) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "ada")
    assert user_options() == {"user": "ada"}
    given = with_beam_options(locate("hdfs://nn/a"), ("--hdfs_user=bob",))
    assert isinstance(given, StorePath)
    assert given._options == {"user": "bob"}
    kerberos = {"webhdfs": {"kerberos": "true"}}
    monkeypatch.setattr("fsspec.config.conf", kerberos)
    assert user_options() == {}


def test_missing_package_is_told_with_its_extra(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    for name in ("segdata.storage.webhdfs", "fsspec.implementations.webhdfs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingDependencyError, match=r"requests: .*segdata\[hdfs\]"):
        remote("hdfs://nn/a").exists()


# --- What servers answer.


@pytest.mark.parametrize("port", [1, None])
def test_server_that_is_none_is_one_line(port: int | None, server: Any) -> None:
    server.answers["GETFILESTATUS"] = (200, b"<html>Welcome</html>")
    host = server.host if port is None else f"127.0.0.1:{port}"
    words = "is no WebHDFS .200 OK" if port is None else "cannot be reached: Connection"
    message = rf"^hdfs://{host}/a: .*{host} {words}.* not of its RPC \(8020, 9000\)\.$"
    with pytest.raises(StorageError, match=message):
        remote(f"hdfs://{host}/a").exists()


def test_file_is_written_under_another_name_then_renamed(server: Any) -> None:
    server.answers = {"CREATE": (307, b""), "TO-CREATE": (201, b"")}
    server.answers["RENAME"] = (200, b"")
    remote(f"hdfs://{server.host}/out/a").write_bytes(b"data")
    names = {request.partition(" ")[2] for request in server.requests}
    [name] = names
    assert name.startswith("/out/.tmp-a-")
    ops = [request.partition(" ")[0] for request in server.requests]
    assert ops == ["CREATE", "TO-CREATE", "RENAME"]


def test_rename_that_was_not_done_is_an_error_and_leaves_nothing(server: Any) -> None:
    """As HttpFS answers, which does not overwrite."""
    server.answers = {"CREATE": (307, b""), "TO-CREATE": (201, b"")}
    server.answers["RENAME"] = (200, b'{"boolean": false}')
    server.answers["DELETE"] = (200, b'{"boolean": true}')
    with pytest.raises(OutputError, match=r"did not rename .* HttpFS.*Check server"):
        remote(f"hdfs://{server.host}/out/a").write_atomic(b"data")
    assert server.requests[-1].startswith("DELETE /out/.tmp-a-")


def test_datanode_that_refuses_is_told_without_javas_stack(server: Any) -> None:
    server.answers["CREATE"] = (307, b"")
    text = r"The quota is exceeded\n\tat org.apache.hadoop.X"
    server.answers["TO-CREATE"] = (403, remote_error("QuotaException", text))
    with pytest.raises(StorageError, match=r"/out/a: The quota is exceeded\.$"):
        remote(f"hdfs://{server.host}/out/a").write_bytes(b"data")


def test_error_of_a_datanode_is_not_taken_for_bytes(server: Any) -> None:
    server.answers["OPEN"] = (307, b"")
    server.answers["TO-OPEN"] = (500, remote_error("IOException", "block is lost"))
    with pytest.raises(StorageError, match=r"/a: block is lost\.$"):
        remote(f"hdfs://{server.host}/a").read_bytes()


def test_folder_that_cannot_be_listed_is_not_an_empty_one(server: Any) -> None:
    inner = b'{"type": "DIRECTORY", "length": 0, "pathSuffix": "train"}'
    listing = b'{"FileStatuses": {"FileStatus": [' + inner + b"]}}"
    server.answers["LISTSTATUS /a"] = (200, listing)
    folder = remote(f"hdfs://{server.host}/a")
    with pytest.raises(FileNotFoundError):  # it is gone meanwhile
        folder.listed()
    refusal = remote_error("AccessControlException", "Permission denied")
    server.answers["LISTSTATUS /a/train"] = (403, refusal)
    with pytest.raises(StorageError, match="Permission denied"):
        folder.listed()
    assert remote(f"hdfs://{server.host}/none").listed().entries() == []
