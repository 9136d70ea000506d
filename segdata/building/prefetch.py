"""Fetching the files of the next records from a store while one record is built.

Each request to a store waits some ten milliseconds for its answer, longer than a record
takes to encode. On this machine nothing is read ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from segdata.building.plan import parse_plan_line
from segdata.building.sources import source_files
from segdata.errors import AnnotationError
from segdata.storage.files import SourceFolder, join
from segdata.storage.paths import RemotePath

# Compressed images of so many records are in memory at once.
_RECORDS_AHEAD = 8

Fetched = dict[str, "Future[bytes]"]


def read_ahead(lines: Sequence[bytes], source: SourceFolder) -> Iterator[bytes]:
    """The lines of a shard's plan, one after the other.

    Args:
      lines: One for each record.
      source: Folder of their files; gets what was fetched of each record before its
        line is given out.
    """
    if not isinstance(source.location, RemotePath):
        yield from lines
        return
    left = iter(lines)
    waiting: deque[tuple[bytes, Fetched]] = deque()
    pool = ThreadPoolExecutor(_RECORDS_AHEAD)
    try:
        while True:
            for line in islice(left, _RECORDS_AHEAD + 1 - len(waiting)):
                waiting.append((line, _fetch(line, source, pool)))
            if not waiting:
                return
            line, fetched = waiting.popleft()
            source.expect(fetched)
            yield line
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(line: bytes, source: SourceFolder, pool: ThreadPoolExecutor) -> Fetched:
    fetched: Fetched = {}
    for _, path in source_files(parse_plan_line(line).data):
        try:
            fetched[path] = pool.submit(join(source, path).read_bytes)
        except AnnotationError:  # leads out of the folder: reading it says so
            continue
    return fetched
