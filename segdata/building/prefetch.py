"""Reading what comes next in a thread pool while one record is built."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Items, one after the other, each with what `read` gives of it.

    Args:
      items: What is to be read.
      read: Called in threads. What it raises is raised when its item's turn comes.
      ahead: So many items are read while one is used; 0 reads each in its turn.
    """
    if not ahead:
        yield from ((item, read(item)) for item in items)
        return
    left = iter(items)
    waiting = deque[tuple[Item, Future[Result]]]()
    pool = ThreadPoolExecutor(ahead)
    try:
        while True:
            for item in islice(left, ahead + 1 - len(waiting)):
                waiting.append((item, pool.submit(read, item)))
            if not waiting:
                return
            item, found = waiting.popleft()
            yield item, found.result()
    finally:
        pool.shutdown(cancel_futures=True)
