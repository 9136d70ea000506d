"""Progress of a local run: workers send datagrams to the main thread.

Beam reports counters only at the end. A datagram on a Unix socket costs a worker
microseconds, needs no answer, and cannot block it.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_SEND_EVERY_SECONDS = 0.1


class Reporter:
    """The worker's end: adds up counts and sends them a few times a second."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._pending = 0
        self._sent_at = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def add(self, count: int) -> None:
        """Counts records; sends now and then."""
        self._pending += count
        if time.monotonic() - self._sent_at >= _SEND_EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sends what is pending. A full or closed socket only delays the display."""
        self._sent_at = time.monotonic()
        if self._address is None or not self._pending:
            return
        with contextlib.suppress(OSError):
            self._socket.sendto(str(self._pending).encode(), self._address)
            self._pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flush()
        self._socket.close()


class Listener:
    """The main thread's end.

    Attributes:
      address: What workers pass to `Reporter`.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="segdata-")
        self.address = str(Path(self._folder.name, "progress"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def wait(self, seconds: float) -> int:
        """Waits at most so long for reports; returns the records they add up to."""
        self._socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            return int(self._socket.recv(64))
        return 0

    def close(self) -> None:
        """Frees the socket and its folder."""
        self._socket.close()
        self._folder.cleanup()
