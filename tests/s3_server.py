"""An S3 server on loopback."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from store_server import BUCKET, StoreServer
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = "a-key", "a-secret"


class S3Server(StoreServer):
    """moto's S3.

    Attributes:
      url: Its address.
      client: A boto3 client of it.
    """

    scheme = "s3"

    def __init__(self) -> None:
        super().__init__()
        app = DomainDispatcherApplication(create_backend_app)
        self._app: Callable[..., Iterable[bytes]] = app
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
    def environment(self) -> dict[str, str]:
        """Variables with which it is found."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def replaced_by_beam_args(self) -> tuple[str, ...]:
        """Those of the variables that Beam's options stand for: all."""
        return tuple(self.environment)

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam's options that reach it, without any help of the environment."""
        return (
            f"--s3_endpoint_url={self.url}",
            f"--s3_access_key_id={KEY}",
            f"--s3_secret_access_key={SECRET}",
            "--s3_region_name=us-east-1",
        )

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def all_keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        # Read before it waits: whoever sent it may be dead when it goes on.
        if size := int(environ.get("CONTENT_LENGTH") or 0):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(size))
        query = environ["QUERY_STRING"]
        status = self.refusal(
            f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            + (f"?{query}" if query else "")
        )
        if status is None:
            return self._app(environ, start_response)
        start_response(f"{status} Refused", [("Content-Length", "0")])
        return [b""]


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass
