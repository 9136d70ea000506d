"""An HTTP server that gives the answers it was told to, by WebHDFS's operation.

It is no HDFS: it shows what is made of answers, not which ones HDFS gives. That is what
`make test-hdfs` is for.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

Answer = tuple[int, bytes]


class CannedServer:
    """Answers by operation, or by operation and path; else as HDFS without any file.

    Attributes:
      host: Host and port.
      answers: `OP` or `OP /path` -> status and body; `Location` leads to `TO-OP`.
      requests: `OP /path` of everything that was asked for.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        url = urlsplit(request.path)
        op = parse_qs(url.query)["op"][0]
        asked = f"{op} {unquote(url.path).removeprefix('/webhdfs/v1')}"
        self.requests.append(asked)
        missing = (404, remote_error("FileNotFoundException", "File does not exist"))
        status, body = self.answers.get(asked, self.answers.get(op, missing))
        request.send_response(status)
        if status == 307:
            place = f"http://{self.host}{url.path}?op=TO-{op}"
            request.send_header("Location", place)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def remote_error(name: str, message: str) -> bytes:
    """The body by which WebHDFS tells of an exception."""
    text = f'{{"RemoteException": {{"exception": "{name}", "message": "{message}"}}}}'
    return text.encode()
