"""File access: safe joining, reading with our errors, writing that is never half done.

Every path that comes out of an annotation file goes through `join_inside`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from segdata.errors import AnnotationError, ImageError, OutputError, StorageError
from segdata.storage.operations import State, state_of
from segdata.storage.paths import Address, Location, RemotePath, locate
from segdata.storage.temporary import temporary_name

_WINDOWS_DRIVE = re.compile(r"^[A-Za-z]:")


class SourceFolder(os.PathLike[str]):
    """A source folder that remembers what `read_bytes` read from it last.

    It stands for its path wherever a folder is expected, so that whoever builds a
    record can tell afterwards which bytes it was made from, without reading twice.

    Attributes:
      location: The folder.
    """

    def __init__(self, root: Address) -> None:
        self.location = locate(root)
        self._root = str(self.location)
        self._read: dict[str, bytes] = {}
        self._expected: Mapping[str, Future[bytes]] = {}
        self._hashed: list[tuple[bytes, str]] = []

    def __fspath__(self) -> str:
        return self._root

    def remember(self, relative: str, data: bytes) -> None:
        """Notes what a file held."""
        self._read[relative] = data

    def expect(self, fetched: Mapping[str, Future[bytes]]) -> None:
        """Takes what is being fetched of the next record's files, by path."""
        self._expected = fetched

    def fetched(self, relative: str) -> Future[bytes] | None:
        """A file that is being fetched already."""
        return self._expected.get(relative)

    def forget(self) -> None:
        """Lets go of what was read: before the next record."""
        self._read.clear()
        self._hashed.clear()

    def sha256(self, data: bytes) -> str:
        """Hex SHA-256 of bytes; not computed twice before the next `forget`."""
        for known, digest in self._hashed:
            if known is data:
                return digest
        self._hashed.append((data, hashlib.sha256(data).hexdigest()))
        return self._hashed[-1][1]

    def digest(self, relative: str) -> tuple[int, str]:
        """Size and hex SHA-256 of a file as it was read, or is now.

        The size is 0 where it is missing, the hash empty where it cannot be read.
        """
        data = self._read.get(relative)
        if data is None:
            try:
                state = file_state(self, relative)
                data = join(self, relative).read_bytes()
            except (AnnotationError, StorageError):
                return 0, ""
            except OSError:
                return state[0] if state else 0, ""
        return len(data), self.sha256(data)


def sha256(root: Address, data: bytes) -> str:
    """Hex SHA-256 of bytes, looked up where `root` read and hashed just these."""
    if isinstance(root, SourceFolder):
        return root.sha256(data)
    return hashlib.sha256(data).hexdigest()


def join_inside(root: str | os.PathLike[str], relative: str) -> str:
    """Joins a path from an annotation file to its folder, which it may not leave.

    Args:
      root: The folder on this machine that all images lie in.
      relative: Path below it, with forward slashes; may have subfolders, blanks and
        any Unicode.

    Returns:
      The joined path; the file need not exist.

    Raises:
      AnnotationError: For absolute paths, `..`, Windows forms, NUL bytes, text that no
        file name can be, and links that lead out of `root`.
    """
    parts = _checked_parts(relative)
    root = os.fspath(root)
    if _leads_out(root, parts):
        raise AnnotationError(
            f"path {relative!r} is a link that leads out of the image folder. Replace "
            "it by the file itself.",
            reason="unsafe-path",
        )
    return os.path.join(root, relative)


def _checked_parts(relative: str) -> list[str]:
    """The parts of a path, where they may not lead out of a folder by their names."""
    parts = relative.split("/")
    if (
        not relative
        or relative.startswith("/")
        or ".." in parts
        or "\\" in relative
        or "\0" in relative
        or _WINDOWS_DRIVE.match(relative)
    ):
        raise AnnotationError(
            f"path {relative!r} may leave the image folder: expected a relative path "
            "with forward slashes and without '..'.",
            reason="unsafe-path",
        )
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:  # half a surrogate pair, as JSON can spell it
        raise AnnotationError(
            f"path {relative!r} is no file name: it cannot be written as UTF-8.",
            reason="unsafe-path",
        ) from None
    return parts


def _leads_out(root: str, parts: list[str]) -> bool:
    """Whether a link on the way to a file leads out of its folder, or in circles."""
    # os.path, not pathlib: this runs several times for every record.
    path = root
    for part in parts:
        path = os.path.join(path, part)
        if os.path.islink(path):
            break
    else:
        return False
    try:
        target = Path(root, *parts).resolve()
    except RuntimeError:  # a loop of links
        return True
    except OSError:  # such as a name that is too long: opening the file will tell
        return False
    return not target.is_relative_to(Path(root).resolve())


def _remote(root: Address) -> RemotePath | None:
    """The folder as a path in a store; None where it lies on this machine.

    Quick there: it is asked for every file.
    """
    if isinstance(root, SourceFolder):
        location: Location | None = root.location
    elif isinstance(root, Path) or (isinstance(root, str) and "://" not in root):
        location = None
    else:
        location = locate(root)
    return location if isinstance(location, RemotePath) else None


def join(root: Address, relative: str) -> Location:
    """As `join_inside`, for a folder wherever it lies."""
    remote = _remote(root)
    if remote is None:
        return Path(join_inside(cast(os.PathLike[str], root), relative))
    _checked_parts(relative)
    return remote / relative


def read_bytes(root: Address, relative: str, *, what: str) -> bytes:
    """Reads a whole source file.

    Args:
      root: Folder of the source.
      relative: Path below it.
      what: `image` or `label image`: for the message and the reason.

    Raises:
      ImageError: If it is missing, not a file, unreadable or empty.
      AnnotationError: If the path leaves the folder.
      StorageError: If a store cannot be reached, or refuses: no fault of the record.
    """
    path = join(root, relative)
    slug = what.replace(" ", "-")
    try:
        fetched = root.fetched(relative) if isinstance(root, SourceFolder) else None
        data = _read(path) if fetched is None else fetched.result()
    except FileNotFoundError:
        raise missing(root, relative, what=what) from None
    except StorageError:
        raise
    except OSError as error:
        raise ImageError(
            f"{what} {relative!r} cannot be read: {error.strerror} ({path}).",
            reason=f"{slug}-unreadable",
        ) from error
    if isinstance(root, SourceFolder):
        root.remember(relative, data)
    if not data:
        raise ImageError(
            f"{what} {relative!r} is empty: expected an image file, got 0 bytes.",
            reason=f"{slug}-undecodable",
        )
    return data


def _read(path: Location) -> bytes:
    if isinstance(path, RemotePath):
        return path.read_bytes()
    with open(path, "rb", buffering=0) as file:
        return file.read()


def missing(root: Address, relative: str, *, what: str) -> ImageError:
    """The error for a source file that is not there."""
    remote = _remote(root)
    folder = Path(cast(os.PathLike[str], root)) if remote is None else remote
    return ImageError(
        f"{what} {relative!r} is missing: expected a file at {folder / relative}. "
        "Restore it or remove its entry.",
        reason=f"{what.replace(' ', '-')}-missing",
    )


def file_state(root: Address, relative: str) -> State | None:
    """The state of a source file; None where there is no such file.

    Raises:
      AnnotationError: If the path leaves the folder.
      StorageError: If a store cannot be reached, or refuses.
    """
    if _remote(root) is not None:
        try:
            return state_of(join(root, relative))
        except FileNotFoundError:
            return None
    try:
        found = os.stat(join_inside(cast(os.PathLike[str], root), relative))
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@contextmanager
def atomic_file(path: Location, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Opens a file that appears under its name only when it is whole.

    Every attempt writes a file of its own, so two attempts at one file never mix; the
    last to finish stays. On an error nothing appears, and nothing is left over.

    Args:
      path: Its final name. In a store, what is written is gathered in a nameless
        temporary file and then put there in one go.
      durable: Whether it must be on disk before it appears. Syncing costs as much as
        some ten records; what a build can make again does without.

    Raises:
      OutputError: If writing fails (permissions, a full disk).
    """
    if isinstance(path, RemotePath):
        with _gathered(path) as file:
            yield file
        return
    temporary = path.with_name(temporary_name(path.name))
    try:
        with open(temporary, "xb") as local:
            yield local
            local.flush()
            if durable:
                os.fsync(local.fileno())
        os.replace(temporary, path)
    except StorageError:  # of the source, while a record was read
        raise
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        with suppress(OSError):  # would hide the error that is on its way
            temporary.unlink(missing_ok=True)


def write_atomic(path: Location, data: bytes, *, durable: bool = True) -> None:
    """Writes a small file in one go, whole or not at all; see `atomic_file`."""
    if isinstance(path, RemotePath):
        with _as_output_error(path):
            path.write_bytes(data)
        return
    with atomic_file(path, durable=durable) as file:
        file.write(data)


@contextmanager
def _gathered(path: RemotePath) -> Iterator[IO[bytes]]:
    """A temporary file that is uploaded at the end."""
    try:
        with tempfile.TemporaryFile() as file:
            yield cast(IO[bytes], file)
            file.flush()
            file.seek(0)  # systems differ in whether the other opening begins here
            with _as_output_error(path):
                path.upload(f"/dev/fd/{file.fileno()}")
    except StorageError:  # of the source, while a record was read
        raise
    except OSError as error:
        raise OutputError(
            f"{path.name} cannot be gathered in {tempfile.gettempdir()} before it is "
            f"uploaded: {error.strerror}. Free space there, or name another folder in "
            "TMPDIR.",
            reason="unwritable",
        ) from error


@contextmanager
def _as_output_error(path: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Location, error: OSError) -> OutputError:
    why = (error.strerror or str(error)).removeprefix(f"{path}: ").rstrip(".")
    advice = "Free space or check the permissions"
    if isinstance(path, RemotePath):
        place = "server" if path.is_file_system else "bucket"
        advice = f"Check {place}, network and permissions"
    return OutputError(
        f"cannot write {path}: {why}. {advice}, then run the same command again.",
        reason="unwritable",
    )


def sync_folder(folder: Location) -> None:
    """Puts renames and removals in a folder on disk, in the order they were made."""
    if isinstance(folder, RemotePath):
        return  # what a store has answered is done
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
