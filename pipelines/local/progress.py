"""Progress of a local run: workers send datagrams to the main thread.

Beam reports counters only at the end. A datagram to 127.0.0.1 costs a worker
microseconds, needs no answer, and cannot block it. Whoever else on this machine sends
one changes what is displayed, nothing more.
"""

from __future__ import annotations

import contextlib
import socket
import time
from types import TracebackType
from typing import Self

Address = tuple[str, int]
_SEND_EVERY_SECONDS = 0.1


class Reporter:
    """The worker's end: adds up counts and sends them a few times a second."""

    def __init__(self, address: Address | None) -> None:
        self._address = address
        self._pending = 0
        self._sent_at = 0.0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
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
            host, port = self._address
            self._socket.sendto(str(self._pending).encode(), (host, port))
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
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: Address = self._socket.getsockname()

    def wait(self, seconds: float) -> int:
        """Waits at most so long for reports; returns the records they add up to."""
        self._socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError, ValueError):
            return int(self._socket.recv(64))
        return 0

    def close(self) -> None:
        """Frees the socket."""
        self._socket.close()
