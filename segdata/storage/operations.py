"""What is done with files and folders wherever they lie, on this machine or in a store.

On this machine it is what `os`, `shutil` and `pathlib` do.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TypeVar, cast

from segdata.storage.listing import Entry
from segdata.storage.paths import Location, RemotePath

Item = TypeVar("Item")
Result = TypeVar("Result")

# Requests to a store that are under way at once, where the order does not matter.
_REQUESTS = 16

State = tuple[int, int | str]
"""Size of a file in bytes, and what changes when the file does: the time in ns on a
file system, the ETag, hash, generation or time of an object in a store."""


def state_of(path: Location) -> State:
    """The state of a file.

    Raises:
      OSError: If it is not there.
    """
    found = path.stat()
    if isinstance(found, Entry):
        return found.st_size, found.state
    return found.st_size, found.st_mtime_ns


def read_start(path: Location, size: int) -> bytes:
    """The first bytes of a file, or all of them where it has no more."""
    if isinstance(path, RemotePath):
        return path.read_range(0, min(size, path.stat().st_size))
    with open(path, "rb", buffering=0) as file:
        return file.read(size)


@contextmanager
def open_at(path: Location, offset: int, size: int) -> Iterator[IO[bytes]]:
    """Opens a file to read some of it; of a store no more is fetched."""
    if isinstance(path, RemotePath):
        yield _Piece(path.read_range(offset, size), offset)
        return
    with open(path, "rb") as file:
        yield file


class _Piece(io.BytesIO):
    """A stretch of a file at its place."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        self._offset = offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(offset - self._offset, whence) + self._offset


def move(path: Location, target: Location) -> None:
    """Gives a file another name in the same file system or store.

    Replaces a file that has the name. In a store of objects it is copied, then removed:
    seen by others, it is there twice meanwhile.
    """
    if isinstance(path, RemotePath) and isinstance(target, RemotePath):
        path.move_to(target)
    else:
        os.replace(cast(Path, path), cast(Path, target))


def remove_tree(folder: Location, *, ignore_errors: bool = False) -> None:
    """Removes a folder and all that is below it."""
    if isinstance(folder, RemotePath):
        with suppress(OSError) if ignore_errors else nullcontext():
            folder.remove_tree()
    else:
        shutil.rmtree(folder, ignore_errors=ignore_errors)


def each(
    folder: Location, function: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """The results of a function that reads or writes a folder's files, in order.

    One after the other on this machine; in a store, where each call waits for answers,
    several at once.
    """
    if not isinstance(folder, RemotePath):
        return [function(item) for item in items]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(function, items))


def sorted_glob(folder: Location, pattern: str) -> list[Location]:
    """The paths below a folder that match, sorted."""
    if isinstance(folder, RemotePath):
        return list(sorted(folder.glob(pattern)))
    return list(sorted(folder.glob(pattern)))


def path_below(path: Location, folder: Location) -> str | None:
    """The path below a folder, with forward slashes; None where it is not below it."""
    with contextlib.suppress(ValueError):  # raised where it is not below
        if isinstance(path, RemotePath) and isinstance(folder, RemotePath):
            return path.relative_to(folder).as_posix()
        if isinstance(path, Path) and isinstance(folder, Path):
            return path.relative_to(folder).as_posix()
    return None
