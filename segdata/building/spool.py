"""The lines of a plan, in memory while they are few and in a temporary file otherwise.

COCO's `train2017` makes 400 MB of them.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping

from segdata.storage.sorting import cannot_keep

_MAX_MEMORY = 4 << 20


class PlanLines(Mapping[str, bytes]):
    """Shard name -> its plan, JSON lines in record order; read when asked for."""

    def __init__(self, max_memory: int = _MAX_MEMORY) -> None:
        # Open as long as the plan lives, which is longer than any block.
        self._file = tempfile.SpooledTemporaryFile(max_size=max_memory)  # noqa: SIM115
        self._places: dict[str, tuple[int, int]] = {}  # offset and size in bytes
        self._size = 0
        self._lock = threading.Lock()  # a place is sought, then read
        weakref.finalize(self, self._file.close)

    def add(self, shard: str, lines: bytes) -> None:
        """Adds the lines of a shard.

        Raises:
          OutputError: If the disk is full.
        """
        with self._lock:
            try:
                self._file.seek(self._size)
                self._file.write(lines)
            except OSError as error:
                raise cannot_keep(error) from error
            self._places[shard] = (self._size, len(lines))
            self._size += len(lines)

    def __getitem__(self, shard: str) -> bytes:
        offset, size = self._places[shard]
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
