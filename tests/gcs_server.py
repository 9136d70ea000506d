"""A GCS emulator on loopback, behind a gate that sees its requests.

Two emulators can stand behind it: `gcp-storage-emulator` of the extra `dev`, which runs
in this process and answers one request after the other, and `fake-gcs-server`, which
`make test-gcs` builds and which knows preconditions and pages and answers many at once.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import logging
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from store_server import BUCKET, StoreServer

_OBJECT = re.compile(
    r"(?:/download)?(?:/storage/v1)?/b/([^/]+)/o(?:/([^/]+))?(?:/(.*))?"
)
_UPLOAD = re.compile(r"(?:/upload)?(?:/resumable)?/upload/storage/v1/b/([^/]+)/o.*")
_JSON = {"Content-Type": "application/json"}
_LAST_LINE = b"\n--==0==--"  # of gcsfs's uploads in parts
_NOT_PASSED_ON = {"connection", "content-length", "date", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Emulator:
    """One that runs."""

    port: int
    """Where it listens on loopback."""
    end: Callable[[], None]
    """Ends it."""
    is_mended: bool = True
    """Whether the gate does what it does wrong: of an upload in one request it takes a
    last CR for half of a line end, and uploads in parts cannot be given up."""


class GcsServer(StoreServer):
    """A gate before an emulator.

    Attributes:
      url: The address of the gate.

    Args:
      start: Starts the emulator, told the gate's address.
    """

    scheme = "gs"

    def __init__(self, start: Callable[[str], Emulator]) -> None:
        super().__init__()
        self._uploads: dict[str, _Upload] = {}
        self._gate = _Gate(("127.0.0.1", 0), _Handler)
        self._gate.of = self
        self.url = f"http://127.0.0.1:{self._gate.server_port}"
        self._emulator = start(self.url)
        self._thread = threading.Thread(target=self._gate.serve_forever, daemon=True)
        self._thread.start()
        self._ask(
            "POST", "/storage/v1/b?project=p", json.dumps({"name": BUCKET}).encode()
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which it is found."""
        return {"STORAGE_EMULATOR_HOST": self.url, "FSSPEC_GS_TOKEN": "anon"}

    @property
    def replaced_by_beam_args(self) -> tuple[str, ...]:
        """Those of the variables that Beam's options stand for."""
        return ("FSSPEC_GS_TOKEN",)

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam's options that reach it; none of them names the server."""
        return ("--no_auth",)

    def put(self, key: str, data: bytes) -> None:
        head = json.dumps({"name": key}).encode()
        body = b"--=\r\nContent-Type: application/json\r\n\r\n" + head
        body += b"\r\n--=\r\nContent-Type: image/png\r\n\r\n" + data + b"\r\n--=--"
        kind = {"Content-Type": 'multipart/related; boundary="="'}
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart"
        self._ask("POST", path, body, kind)

    def get(self, key: str) -> bytes:
        return self._ask("GET", f"{_path(key)}?alt=media")

    def remove(self, key: str) -> None:
        self._ask("DELETE", _path(key))

    def all_keys(self) -> list[str]:
        answer = json.loads(self._ask("GET", f"/storage/v1/b/{BUCKET}/o"))
        return sorted(item["name"] for item in answer.get("items", ()))

    def close(self) -> None:
        self._gate.shutdown()
        self._thread.join()
        self._gate.server_close()
        self._emulator.end()

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = _JSON
    ) -> bytes:
        status, _, data = self.pass_on(method, path, headers, body)
        assert status < 300, (method, path, status, data)
        return data

    def pass_on(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The emulator's answer: status, headers, body."""
        is_mended = self._emulator.is_mended
        if is_mended and method == "DELETE" and "upload_id=" in path:
            return 499, [], b""
        if is_mended and body.endswith(_LAST_LINE):
            body = body.removesuffix(_LAST_LINE) + b"\r" + _LAST_LINE
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._emulator.port, timeout=60
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        kept = [h for h in answer.getheaders() if h[0].lower() not in _NOT_PASSED_ON]
        for location in (value for name, value in kept if name == "Location"):
            upload = parse_qs(urlsplit(location).query)["upload_id"][0]
            self._uploads[upload] = _Upload(_name_in(path, body))
        return answer.status, kept, data

    def told(self, method: str, path: str, body: bytes) -> str:
        """A request as S3 has it: `METHOD /bucket/key?query`."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if (match := _UPLOAD.fullmatch(parts.path)) is not None:
            upload = self._uploads.get(query.get("upload_id", [""])[0])
            return _told_upload(method, f"/{match[1]}", upload, path, body)
        match = _OBJECT.fullmatch(parts.path)
        if match is None:
            return f"{method} {path}"
        bucket, key, rest = match.groups()
        if key is None:
            prefix = quote(query.get("prefix", [""])[0], safe="")
            return f"{method} /{bucket}?prefix={prefix}"
        if rest:  # `copyTo` or `rewriteTo`, and where to
            target = _OBJECT.fullmatch("/" + rest.partition("/")[2])
            assert target is not None, path
            return f"PUT /{target[1]}/{unquote(target[2])}"
        is_asked = method == "GET" and query.get("alt") != ["media"]
        return f"{'HEAD' if is_asked else method} /{bucket}/{unquote(key)}"


@dataclass
class _Upload:
    """One in parts."""

    name: str
    number: Iterator[int] = field(default_factory=partial(itertools.count, 1))


def _told_upload(
    method: str, bucket: str, upload: _Upload | None, path: str, body: bytes
) -> str:
    if upload is None:
        is_begun = "uploadType=resumable" in path
        place = f"{bucket}/{_name_in(path, body)}"
        return f"POST {place}?uploads" if is_begun else f"PUT {place}"
    if method == "DELETE":
        return f"DELETE {bucket}/{upload.name}?uploadId"
    return f"PUT {bucket}/{upload.name}?partNumber={next(upload.number)}"


class _Gate(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    of: GcsServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients are killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Gate

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gate = self.server.of
        refused = gate.refusal(gate.told(self.command, self.path, body))
        status, headers, data = (
            (refused, [], _refusal(refused))
            if refused is not None
            else gate.pass_on(self.command, self.path, self._headers(), body)
        )
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _headers(self) -> dict[str, str]:
        return {
            k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)


def start_emulator(url: str) -> Emulator:
    """Starts `gcp-storage-emulator` in this process."""
    from gcp_storage_emulator.server import create_server

    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    logging.getLogger("api").setLevel(logging.CRITICAL)
    port = _free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    return Emulator(port, server.stop)


def start_fake_gcs_server(program: Path, url: str) -> Emulator:
    """Starts `fake-gcs-server`."""
    port = _free_port()
    options = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": port,
        "external-url": url,
        "public-host": urlsplit(url).netloc,
        "log-level": "error",
    }
    process = subprocess.Popen([program, *(f"-{k}={v}" for k, v in options.items())])

    def end() -> None:
        process.terminate()
        process.wait(30)

    for _ in range(600):
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return Emulator(port, end, is_mended=False)
        time.sleep(0.05)
    end()
    raise TimeoutError(f"{program} does not listen at port {port} after 30 s")


def _refusal(status: int) -> bytes:
    """What GCS says when it refuses."""
    message = {401: "Anonymous caller does not have access", 403: "No access"}
    error = {"code": status, "message": message.get(status, "Refused")}
    return json.dumps({"error": error}).encode()


def _path(key: str) -> str:
    return f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"


def _name_in(path: str, body: bytes) -> str:
    """The name that an upload is for: in its query, or in the JSON that comes first."""
    query = parse_qs(urlsplit(path).query)
    if "name" in query:
        return query["name"][0]
    found = json.JSONDecoder().raw_decode(
        body[body.index(b"{") : body.index(b"}") + 1].decode()
    )
    return str(found[0]["name"])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
