"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO


@contextlib.contextmanager
def display(
    total: int, what: str, every: float = 5.0
) -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr: a bar on a terminal, plain lines elsewhere.

    Args:
      total: Records to come.
      what: Verb for the line, e.g. `building`.
      every: Seconds between plain lines.

    Yields:
      A function to call with the number of records done since the last call.
    """
    if sys.stderr.isatty():
        with _bar(total, what) as advance:
            yield advance
    else:
        yield _Lines(total, what, every).advance


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
    before = sys.stderr
    with Progress(*columns, console=Console(stderr=True)) as progress, _logs(before):
        task = progress.add_task(what, total=total, rate="")
        start = time.monotonic()

        def advance(count: int) -> None:
            progress.advance(task, count)
            done = progress.tasks[task].completed
            seconds = max(time.monotonic() - start, 1e-6)
            progress.update(task, rate=f"{_rate(done / seconds)} images/s")

        yield advance


def _rate(rate: float) -> str:
    """A rate with two digits at least: never 0 while something is done."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


@contextlib.contextmanager
def _logs(before: TextIO) -> Iterator[None]:
    """Lets lines of the log appear above the bar, which stands before stderr."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is before
    ]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(before)


class _Lines:
    """Plain progress lines every few seconds."""

    def __init__(self, total: int, what: str, every: float) -> None:
        self._total, self._what, self._every, self._done = total, what, every, 0
        self._start = self._printed_at = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed_at < self._every:
            return
        self._printed_at = now
        line = f"{self._what}: {self._done} of {self._total} images"
        if self._done:
            rate = self._done / (now - self._start)
            left = (self._total - self._done) / rate
            line += f", {_rate(rate)} images/s, {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)
