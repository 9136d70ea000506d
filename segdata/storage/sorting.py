"""Rows of bytes in order, on disk where they are many.

The one way in which segdata looks at all records at once: what belongs together
gets rows that begin alike, and meets where they are sorted. Memory is that of one run
of rows, whatever their number.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from segdata.errors import OutputError

_RUN_BYTES = 32 << 20
_ROW_BYTES = 48  # that Python keeps of a row besides what is in it
_MOST_RUNS = 100  # files that are open at once
_LENGTH_BYTES = 4


class Sorter:
    """Takes rows in any order and gives them in theirs, once or several times.

    A context: it ends with its temporary files.

    Args:
      run_bytes: Rows that are in memory at once, in bytes.
    """

    def __init__(self, run_bytes: int = _RUN_BYTES) -> None:
        self._run_bytes = run_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._runs: list[IO[bytes]] = []

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        self._held = []
        for run in self._runs:
            run.close()

    def add(self, row: bytes) -> None:
        """Adds a row.

        Raises:
          OutputError: If the disk is full.
        """
        self._held.append(row)
        self._held_bytes += len(row) + _ROW_BYTES
        if self._held_bytes >= self._run_bytes:
            self._held.sort()
            self._runs.append(_write_run(self._held))
            self._held, self._held_bytes = [], 0
            if len(self._runs) == _MOST_RUNS:
                merged = _write_run(iter(self))
                self.__exit__()
                self._runs = [merged]

    def __iter__(self) -> Iterator[bytes]:
        """All rows in order; to be gone through before it is asked for again."""
        self._held.sort()
        return heapq.merge(*map(_read_run, self._runs), self._held)


def cannot_keep(error: OSError) -> OutputError:
    """The error for a folder for temporary files that does not take what it should."""
    return OutputError(
        f"temporary files cannot be kept in {tempfile.gettempdir()}: {error.strerror}. "
        "Free space there, or name another folder in TMPDIR.",
        reason="unwritable",
    )


def _write_run(rows: Iterable[bytes]) -> IO[bytes]:
    """A temporary file of rows that are sorted."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        for row in rows:
            file.write(len(row).to_bytes(_LENGTH_BYTES, "little"))
            file.write(row)
        file.flush()
    except OSError as error:
        raise cannot_keep(error) from error
    return file


def _read_run(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while head := file.read(_LENGTH_BYTES):
        yield file.read(int.from_bytes(head, "little"))
