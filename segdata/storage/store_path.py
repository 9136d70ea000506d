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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import PurePosixPath
from typing import IO, Any, Literal, TypeVar, cast

from segdata.errors import OptionError, OutputError, StorageError
from segdata.storage import stores
from segdata.storage.inside import checked_parts
from segdata.storage.listing import Entry, Listing, State, entry_of
from segdata.storage.temporary import TEMPORARY_PREFIX, not_written

_BUFFER_BYTES = 4 << 20
# Requests to a store that are under way at once, where the order does not matter.
_REQUESTS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class StorePath:
    """A path such as `s3://bucket/folder/name`. Immutable, hashable, picklable.

    Its methods do what those of `pathlib.Path` do, and raise `OSError` likewise:
    `FileNotFoundError`, and for everything else that a store says `StorageError`.

    Args:
      scheme: `s3`, `gs` or `hdfs`.
      path: Bucket and key; server and path, or the path alone, of a file system.
      options: What the store's fsspec package is opened with beside its defaults;
        they travel with the path to workers.
      listing: What lies below some folder, so that the store need not be asked.
    """

    __slots__ = ("_listing", "_options", "_path", "scheme")
    is_store: Literal[True] = True

    def __init__(
        self,
        scheme: str,
        path: PurePosixPath,
        options: Mapping[str, Any] | None = None,
        listing: Listing | None = None,
    ) -> None:
        self.scheme = scheme
        self._path = path
        self._options = options or {}
        self._listing = listing

    def with_options(self, options: Mapping[str, Any]) -> StorePath:
        """The same path, reached with other options."""
        return StorePath(self.scheme, self._path, options, self._listing)

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

    # --- The name.

    @property
    def is_file_system(self) -> bool:
        """Whether it lies in a file system, with folders and renames, as in HDFS."""
        return stores.store_of(self.scheme).is_file_system

    @property
    def extra(self) -> str:
        """The extra of segdata that reaches it."""
        return stores.store_of(self.scheme).extra

    @property
    def parts(self) -> tuple[str, ...]:
        """Bucket or server and what is below; `/` in place of a server not named."""
        return self._path.parts

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return self._path.suffix

    @property
    def parent(self) -> StorePath:
        """The folder that it lies in."""
        return self._at(self._path.parent)

    def with_name(self, name: str) -> StorePath:
        """The path of another name in the same folder."""
        return self._at(self._path.with_name(name))

    def below(self, folder: object) -> str | None:
        """The path below a folder; None where it does not lie there."""
        if not isinstance(folder, StorePath) or folder.scheme != self.scheme:
            return None
        is_below = self._path.is_relative_to(folder._path)
        return str(self._path.relative_to(folder._path)) if is_below else None

    def resolve(self) -> StorePath:
        """The path itself: it is absolute, and there are no links."""
        return self

    def as_posix(self) -> str:
        """The address."""
        return str(self)

    def inside(self, relative: str) -> StorePath:
        """The path of a file in it, which may not lead out.

        Raises:
          AnnotationError: If it does by its name.
        """
        checked_parts(relative)
        return self / relative

    def __truediv__(self, below: str | PurePosixPath) -> StorePath:
        if str(below).startswith("/"):
            raise OptionError(f"{below} is not below {self}: expected a relative path.")
        return self._at(self._path / below)

    def __str__(self) -> str:
        return f"{self.scheme}://{self._path}"

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"  # without options: they may be secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: StorePath) -> bool:
        return str(self) < str(other)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.scheme, self._path, self._options  # a listing stays where it is

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.scheme, self._path, self._options = state
        self._listing = None

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
        yield _Piece(self.read_range(offset, size), offset)

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens an object for reading, with a buffer of 4 MiB."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: objects are written whole, see `upload`")
        return io.BufferedReader(_Reader(self), _BUFFER_BYTES)

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

    @property
    def _place(self) -> PurePosixPath:
        """What the store itself calls the path."""
        if self.is_file_system:
            return PurePosixPath("/", *self._path.parts[1:])
        return self._path

    @property
    def _key(self) -> str:
        return str(self._place)

    def _at(self, path: PurePosixPath) -> StorePath:
        return StorePath(self.scheme, path, self._options, self._listing)

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


class _Reader(io.RawIOBase):
    """Reads an object range by range."""

    def __init__(self, path: StorePath) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = max(0, start[whence] + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._place)
        data = self._path.read_range(self._place, size)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def readall(self) -> bytes:
        # Not in small pieces, as the base class does: each is a request.
        data = self._path.read_range(self._place, self._size - self._place)
        self._place += len(data)
        return data


class _Piece(io.BytesIO):
    """A stretch of a file at its place."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        self._offset = offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(offset - self._offset, whence) + self._offset
