"""Progress of a local run: workers send datagrams, the main thread draws.

Beam reports counters only at the end. A datagram on a Unix socket costs a worker
microseconds, needs no answer, and cannot block it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_SEND_EVERY_SECONDS = 0.1
_PRINT_EVERY_SECONDS = 5.0


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


@contextlib.contextmanager
def display(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr: a bar on a terminal, plain lines elsewhere.

    Args:
      total: Records to come.
      what: Verb for the line, e.g. `building`.

    Yields:
      A function to call with the number of records done since the last call.
    """
    if sys.stderr.isatty():
        with _bar(total, what) as advance:
            yield advance
    else:
        yield _Lines(total, what).advance


@contextlib.contextmanager
def _bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, rate="")
        start = time.monotonic()

        def advance(count: int) -> None:
            progress.advance(task, count)
            done = progress.tasks[task].completed
            seconds = max(time.monotonic() - start, 1e-6)
            progress.update(task, rate=f"{done / seconds:.0f} images/s")

        yield advance


class _Lines:
    """Plain progress lines every few seconds."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._start = self._printed_at = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed_at < _PRINT_EVERY_SECONDS:
            return
        self._printed_at = now
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate if rate else float("inf")
        print(
            f"{self._what}: {self._done} of {self._total} images, {rate:.0f} images/s, "
            f"{left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
