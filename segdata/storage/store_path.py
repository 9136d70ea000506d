"""Paths in stores, with those methods of `pathlib.Path` that segdata uses.

A store of objects has no folders, only slashes in names: a folder is there if an object
lies below it. HDFS has some, made with the first file in them. So making one does
nothing.
"""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, Any, Literal, TypeVar, cast

from segdata.errors import OutputError, StorageError
from segdata.storage import stores
from segdata.storage.listing import Entry, Listing, State, entry_of
from segdata.storage.object_reader import ObjectReader, Piece
from segdata.storage.pure_store_path import PureStorePath
from segdata.storage.temporary import TEMPORARY_PREFIX, not_written

_BUFFER_BYTES = 4 << 20
# Requests to a store that are under way at once, where the order does not matter.
_REQUESTS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class StorePath(PureStorePath):
    """A path such as `s3://bucket/folder/name`. Immutable, hashable, picklable.

    Its methods do what those of `pathlib.Path` do, and raise `OSError` likewise:
    `FileNotFoundError`, and for everything else that a store says `StorageError`.
    """

    __slots__ = ()
    is_store: Literal[True] = True

    def listed(self) -> StorePath:
        """The same folder as it is now: paths below it ask the store no more.

        Takes one request for a thousand objects; one for a folder of a file system.

        Raises:
          OSError: If it cannot be listed.
        """
        with self._plain_errors():
            found = self._store().find(self._key, detail=True)
        listing = Listing(self._place, found)
        return StorePath(self.scheme, self._path, self._options, listing)

    # --- Looking.

    def entry(self) -> Entry | None:
        """What lies there; None where nothing does."""
        if self._listing is not None:
            return self._listing.entry(self._place)
        try:
            with self._plain_errors():
                found = self._store().info(self._key)
        except FileNotFoundError:
            return None
        return entry_of(found)

    def exists(self) -> bool:
        """Whether anything lies there."""
        return self.entry() is not None

    def is_file(self) -> bool:
        """Whether an object lies there."""
        found = self.entry()
        return found is not None and not found.is_dir

    def is_dir(self) -> bool:
        """Whether objects lie below it."""
        found = self.entry()
        return found is not None and found.is_dir

    def stat(self) -> Entry:
        """Size and state of an object.

        Raises:
          FileNotFoundError: If there is none.
        """
        found = self.entry()
        if found is None or found.is_dir:
            raise FileNotFoundError(errno.ENOENT, "No such object", str(self))
        return found

    def state(self) -> State:
        """Size, and what tells the object from an earlier version of itself.

        Raises:
          FileNotFoundError: If there is none.
        """
        found = self.stat()
        return found.st_size, found.state

    def state_inside(self, relative: str) -> State:
        """The state of an object below it: `inside(relative).state()`."""
        return self.inside(relative).state()

    def version(self) -> str:
        """What names the very object that the store has now; empty if nothing does."""
        found = self.entry()
        return "" if found is None else found.state

    def entries(self) -> list[Entry]:
        """What lies in a folder, in the order of names; nothing where it is absent."""
        if self._listing is not None:
            return self._listing.entries(self._place)
        try:
            with self._plain_errors():
                found = self._store().ls(self._key, detail=True)
        except FileNotFoundError:
            return []
        entries = (entry_of(item) for item in found if item["name"] != self._key)
        return sorted((e for e in entries if e.name), key=lambda entry: entry.name)

    def iterdir(self) -> Iterator[StorePath]:
        """The paths in a folder."""
        return (self / entry.name for entry in self.entries())

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """The paths below that match, folder by folder; `**` is not known."""
        first, _, rest = pattern.partition("/")
        for entry in self.entries():
            if fnmatch.fnmatchcase(entry.name, first):
                if not rest:
                    yield self / entry.name
                elif entry.is_dir:
                    yield from (self / entry.name).glob(rest)

    def sorted_glob(self, pattern: str) -> list[StorePath]:
        """The paths below that match, sorted."""
        return sorted(self.glob(pattern))

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> list[Result]:
        """The results, in order, of a function that reads or writes files below.

        Several run at once, as each waits for the store's answers.
        """
        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(function, items))

    # --- Reading and writing.

    def read_bytes(self) -> bytes:
        """The whole object."""
        with self._plain_errors():
            return cast(bytes, self._store().cat_file(self._key))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text, line ends as they are in Python."""
        text = self.read_bytes().decode(encoding)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def read_range(self, offset: int, size: int) -> bytes:
        """Some bytes; fewer where the object ends before."""
        if size <= 0:
            return b""
        with self._plain_errors():
            data = self._store().cat_file(self._key, start=offset, end=offset + size)
        return cast(bytes, data)

    def read_start(self, size: int) -> bytes:
        """The first bytes, or all of them where there are no more."""
        return self.read_range(0, min(size, self.stat().st_size))

    @contextmanager
    def open_at(self, offset: int, size: int) -> Iterator[IO[bytes]]:
        """Opens an object to read some of it: no more is fetched."""
        yield Piece(self.read_range(offset, size), offset)

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens an object for reading, with a buffer of 4 MiB."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: objects are written whole, see `upload`")
        return io.BufferedReader(
            ObjectReader(self.read_range, self.stat().st_size), _BUFFER_BYTES
        )

    def write_bytes(self, data: bytes) -> None:
        """Writes an object, which appears when it is whole."""
        with self._plain_errors():
            self._store().pipe_file(self._key, data)

    def write_atomic(self, data: bytes, *, durable: bool = True) -> None:
        """Writes a small object; see `atomic_file`."""
        with self._output_errors():
            self.write_bytes(data)

    @contextmanager
    def atomic_file(self, *, durable: bool = True) -> Iterator[IO[bytes]]:
        """Opens an object that appears when it is whole; on an error nothing does.

        What is written is gathered in a file of this machine, then put there in one go.

        Args:
          durable: No matter here: what a store has answered is done.

        Raises:
          OutputError: If writing fails.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder:
                gathered = os.path.join(folder, self.name)
                with open(gathered, "xb") as file:
                    yield file
                with self._output_errors():
                    self.upload(gathered)
        except StorageError:  # of the source, while a record was read
            raise
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be gathered in {tempfile.gettempdir()} before it "
                f"is uploaded: {error.strerror}. Free space there, or name another "
                "folder in TMPDIR.",
                reason="unwritable",
            ) from error

    def upload(self, file: str) -> None:
        """Writes an object from a file of this machine; it appears when it is whole."""
        options = stores.store_of(self.scheme).upload_options
        with self._plain_errors():
            self._store().put_file(file, self._key, **options)

    def move_to(self, target: object) -> None:
        """Gives an object another name in the same store, in place of what has it.

        In a store of objects it is copied, then removed: seen by others, it is there
        twice meanwhile.
        """
        if not isinstance(target, StorePath):
            raise ValueError(f"{target} is not in the same store as {self}")
        with self._plain_errors():
            if self.is_file_system:
                self._store().mv(self._key, target._key)
                return
            self._store().copy(self._key, target._key)
        self.unlink(missing_ok=True)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes an object."""
        try:
            with self._plain_errors():
                self._store().rm_file(self._key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self, *, ignore_errors: bool = False) -> None:
        """Removes every object below it."""
        ignored = OSError if ignore_errors else FileNotFoundError
        with suppress(ignored), self._plain_errors():
            if self.is_file_system:
                self._store().rm(self._key, recursive=True)
            elif found := self._store().find(self._key):
                self._store().rm(found)

    @contextmanager
    def temporary_folder(self, prefix: str) -> Iterator[StorePath]:
        """A folder in it of another name each time, which is removed afterwards."""
        folder = self / f"{prefix}{uuid.uuid4().hex[:12]}"
        try:
            yield folder
        finally:
            folder.remove_tree(ignore_errors=True)

    def sync(self) -> None:
        """Nothing: what a store has answered is done."""

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders are there when objects are."""

    def rmdir(self) -> None:
        """Removes an empty folder of a file system; elsewhere an empty one is none."""
        if self.is_file_system:
            with self._plain_errors():
                self._store().rmdir(self._key)

    def _plain_errors(self) -> AbstractContextManager[None]:
        return stores.plain_errors(self, f"{self.scheme}://{self._path.parts[0]}")

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = "server" if self.is_file_system else "bucket"
            advice = f"Check {place}, network and permissions"
            raise not_written(self, error, advice) from error

    def _store(self) -> Any:
        server = self._path.parts[0].strip("/") if self.is_file_system else ""
        return stores.filesystem(self.scheme, self._options, server)
