"""An S3 server on loopback, whose requests can be seen, held back and refused."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from segdata.build_state import NOTES_NAME

KEY, SECRET = "a-key", "a-secret"
BUCKET = "data"


class Held:
    """Requests that wait.

    Attributes:
      came: Set when the first one is there.
    """

    def __init__(self) -> None:
        self.came = threading.Event()
        self._may_go = threading.Event()

    def wait(self) -> None:
        """Called by a request."""
        self.came.set()
        self._may_go.wait(60)

    def let_go(self) -> None:
        self._may_go.set()


class S3Server:
    """moto's S3 with one bucket.

    Attributes:
      url: Its address.
      client: A boto3 client of it.
      requests: `METHOD /bucket/key?query` of everything that was asked for.
    """

    def __init__(self) -> None:
        app = DomainDispatcherApplication(create_backend_app)
        self._app: Callable[..., Iterable[bytes]] = app
        self._rules: list[tuple[re.Pattern[str], Held | int]] = []
        self.requests: list[str] = []
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Silent
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam's options that reach it, without any help of the environment."""
        return (
            f"--s3_endpoint_url={self.url}",
            f"--s3_access_key_id={KEY}",
            f"--s3_secret_access_key={SECRET}",
            "--s3_region_name=us-east-1",
        )

    @contextlib.contextmanager
    def holding(self, pattern: str) -> Iterator[Held]:
        """Lets requests wait that match `METHOD /bucket/key?query`."""
        held = Held()
        with self._rule(pattern, held):
            yield held
        held.let_go()

    @contextlib.contextmanager
    def refusing(self, pattern: str, status: int) -> Iterator[None]:
        """Answers those that match with a status."""
        with self._rule(pattern, status):
            yield

    @contextlib.contextmanager
    def _rule(self, pattern: str, what: Held | int) -> Iterator[None]:
        rule = (re.compile(pattern), what)
        self._rules.append(rule)
        yield
        self._rules.remove(rule)

    def upload(self, folder: Path, prefix: str) -> str:
        """Puts a folder there; returns its address."""
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                self.put(key, path.read_bytes())
        return self.address(prefix)

    def address(self, key: str) -> str:
        return f"s3://{BUCKET}/{key}"

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix, without it."""
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        items = (item for page in found for item in page.get("Contents", ()))
        return [item["Key"].removeprefix(f"{prefix}/") for item in items]

    def hashes(self, prefix: str) -> dict[str, str]:
        """As the fixture `file_hashes`."""
        return {
            key: hashlib.sha256(self.get(f"{prefix}/{key}")).hexdigest()
            for key in self.keys(prefix)
            if key.rpartition("/")[2] != NOTES_NAME
        }

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}" + (
            f"?{query}" if query else ""
        )
        self.requests.append(text)
        for pattern, what in list(self._rules):
            if pattern.search(text):
                if isinstance(what, int):
                    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                    start_response(f"{what} Refused", [("Content-Length", "0")])
                    return [b""]
                what.wait()
        return self._app(environ, start_response)


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass
