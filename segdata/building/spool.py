"""The lines of a plan, in memory while they are few and in a temporary file otherwise.

COCO's `train2017` makes 400 MB of them.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence

from segdata.errors import OutputError

_MAX_MEMORY = 4 << 20

Place = tuple[int, int]
"""Where a piece lies: offset and size in bytes."""


class Spool:
    """Pieces of bytes, put away one by one and read again in any order."""

    def __init__(self, max_memory: int = _MAX_MEMORY) -> None:
        # Open as long as the plan lives, which is longer than any block.
        self._file = tempfile.SpooledTemporaryFile(max_size=max_memory)  # noqa: SIM115
        self._size = 0
        self._is_at_end = True
        self._lock = threading.Lock()  # a place is sought, then read
        weakref.finalize(self, self._file.close)

    def append(self, piece: bytes) -> Place:
        """Puts a piece away; returns its place.

        Raises:
          OutputError: If the disk is full.
        """
        try:
            if not self._is_at_end:  # what is buffered would be written
                self._file.seek(self._size)
                self._is_at_end = True
            self._file.write(piece)
        except OSError as error:
            raise OutputError(
                f"the plan cannot be kept in {tempfile.gettempdir()}: {error.strerror}."
                " Free space there, or name another folder in TMPDIR.",
                reason="unwritable",
            ) from error
        place = (self._size, len(piece))
        self._size += len(piece)
        return place

    def read(self, place: Place) -> bytes:
        """The piece at a place."""
        offset, size = place
        with self._lock:
            self._is_at_end = False
            self._file.seek(offset)
            return self._file.read(size)


class PlanLines(Mapping[str, bytes]):
    """Shard name -> its plan, JSON lines in record order; put together when asked for.

    A line is `{HEAD,"data":DATA}`: the head is short and stays, the data are spooled.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._shards: dict[str, Sequence[tuple[bytes, Place]]] = {}

    def add(self, shard: str, lines: Sequence[tuple[bytes, Place]]) -> bytes:
        """Adds a shard: a head and the place of the data for each line.

        Returns:
          Its plan.
        """
        self._shards[shard] = lines
        return self[shard]

    def __getitem__(self, shard: str) -> bytes:
        return b"".join(
            b'%b,"data":%b}\n' % (head.removesuffix(b"}"), self._spool.read(place))
            for head, place in self._shards[shard]
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)
