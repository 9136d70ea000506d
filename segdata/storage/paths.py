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
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, cast

from segdata.errors import OptionError
from segdata.storage import hdfs_address, stores
from segdata.storage.listing import Entry, Listing, entry_of

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_COLLAPSED = re.compile(r"(s3|s3a|gs|gcs|hdfs):/[^/]")
_BUFFER_BYTES = 4 << 20


class RemotePath:
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

    def with_options(self, options: Mapping[str, Any]) -> RemotePath:
        """The same path, reached with other options."""
        return RemotePath(self.scheme, self._path, options, self._listing)

    def listed(self) -> RemotePath:
        """The same folder as it is now: paths below it ask the store no more.

        Takes one request for a thousand objects; one for a folder of a file system.

        Raises:
          OSError: If it cannot be listed.
        """
        with self._plain_errors():
            found = self._store().find(self._key, detail=True)
        listing = Listing(self._place, found)
        return RemotePath(self.scheme, self._path, self._options, listing)

    # --- The name.

    @property
    def is_file_system(self) -> bool:
        """Whether it lies in a file system, with folders and renames, as in HDFS."""
        return stores.store_of(self.scheme).is_file_system

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
    def parent(self) -> RemotePath:
        """The folder that it lies in."""
        return self._at(self._path.parent)

    def with_name(self, name: str) -> RemotePath:
        """The path of another name in the same folder."""
        return self._at(self._path.with_name(name))

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """The path below another one; a `ValueError` where it does not lie there."""
        if other.scheme != self.scheme:
            raise ValueError(f"{self} is not below {other}")
        return self._path.relative_to(other._path)

    def resolve(self) -> RemotePath:
        """The path itself: it is absolute, and there are no links."""
        return self

    def as_posix(self) -> str:
        """The address."""
        return str(self)

    def __truediv__(self, below: str | PurePosixPath) -> RemotePath:
        if str(below).startswith("/"):
            raise OptionError(f"{below} is not below {self}: expected a relative path.")
        return self._at(self._path / below)

    def __str__(self) -> str:
        return f"{self.scheme}://{self._path}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"  # without options: they may be secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: RemotePath) -> bool:
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

    def iterdir(self) -> Iterator[RemotePath]:
        """The paths in a folder."""
        return (self / entry.name for entry in self.entries())

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The paths below that match, folder by folder; `**` is not known."""
        first, _, rest = pattern.partition("/")
        for entry in self.entries():
            if fnmatch.fnmatchcase(entry.name, first):
                if not rest:
                    yield self / entry.name
                elif entry.is_dir:
                    yield from (self / entry.name).glob(rest)

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

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens an object for reading, with a buffer of 4 MiB."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: objects are written whole, see `upload`")
        return io.BufferedReader(_Reader(self), _BUFFER_BYTES)

    def write_bytes(self, data: bytes) -> None:
        """Writes an object, which appears when it is whole."""
        with self._plain_errors():
            self._store().pipe_file(self._key, data)

    def upload(self, file: str) -> None:
        """Writes an object from a file of this machine; it appears when it is whole."""
        options = stores.store_of(self.scheme).upload_options
        with self._plain_errors():
            self._store().put_file(file, self._key, **options)

    def move_to(self, target: RemotePath) -> None:
        """Gives an object another name in the same store, in place of what has it."""
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

    def remove_tree(self) -> None:
        """Removes every object below it."""
        with suppress(FileNotFoundError), self._plain_errors():
            if self.is_file_system:
                self._store().rm(self._key, recursive=True)
            elif found := self._store().find(self._key):
                self._store().rm(found)

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

    def _at(self, path: PurePosixPath) -> RemotePath:
        return RemotePath(self.scheme, path, self._options, self._listing)

    def _plain_errors(self) -> AbstractContextManager[None]:
        return stores.plain_errors(self, f"{self.scheme}://{self._path.parts[0]}")

    def _store(self) -> Any:
        server = self._path.parts[0].strip("/") if self.is_file_system else ""
        return stores.filesystem(self.scheme, self._options, server)


Location = Path | RemotePath
"""Where a file or folder lies: on this machine, or in a store."""

Address = str | os.PathLike[str] | RemotePath
"""What users give: text, a path, or an address such as `s3://bucket/folder`."""


def locate(address: Address) -> Location:
    """The path that text or a path stands for.

    Raises:
      OptionError: If it is of a store that is not supported, or names no bucket or
        no server.
    """
    if isinstance(address, RemotePath):
        return address
    text = os.fspath(address)
    match = _ADDRESS.match(text)
    if match is None:
        if _COLLAPSED.match(text) and not os.path.exists(text):
            raise OptionError(
                f"{text} lost a slash: pass an address such as s3://bucket/folder as "
                "text, not as a pathlib.Path."
            )
        return Path(text)
    name, below = match[1].lower(), match[2]
    if name == "file":
        return Path(below)
    scheme = stores.scheme_of(name)
    path = PurePosixPath(below.strip("/"))
    if stores.store_of(scheme).is_file_system:
        return RemotePath(scheme, _below_server(text, below, path))
    if not path.parts or ".." in path.parts or below.startswith("/"):
        raise OptionError(
            f"{text} names no bucket and folder: expected {scheme}://BUCKET/FOLDER."
        )
    return RemotePath(scheme, path)


def _below_server(text: str, below: str, path: PurePosixPath) -> PurePosixPath:
    """Server and path of an address; the path alone, absolute, of `hdfs:///path`."""
    if not below or ".." in path.parts:
        raise OptionError(
            f"{text} names no server and folder: expected hdfs://HOST:PORT/FOLDER."
        )
    if below.startswith("/"):
        return PurePosixPath("/") / path
    hdfs_address.server_options(path.parts[0])
    return path


class _Reader(io.RawIOBase):
    """Reads an object range by range."""

    def __init__(self, path: RemotePath) -> None:
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
