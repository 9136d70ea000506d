"""File access: safe joining, reading with our errors, writing that is never half done.

Every path that comes out of an annotation file goes through `join_inside`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from segdata.errors import AnnotationError, ImageError, OutputError, StorageError
from segdata.storage.operations import State, state_of
from segdata.storage.paths import Address, Location, RemotePath, locate
from segdata.storage.temporary import temporary_name

_WINDOWS_DRIVE = re.compile(r"^[A-Za-z]:")


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
    if isinstance(root, Path) or (isinstance(root, str) and "://" not in root):
        return None
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
      ImageError: If it is missing, not a file or unreadable.
      AnnotationError: If the path leaves the folder.
      StorageError: If a store cannot be reached, or refuses: no fault of the record.
    """
    path = join(root, relative)
    try:
        return _read(path)
    except FileNotFoundError:
        raise missing(root, relative, what=what) from None
    except StorageError:
        raise
    except OSError as error:
        raise ImageError(
            f"{what} {relative!r} cannot be read: {error.strerror} ({path}).",
            reason=f"{what.replace(' ', '-')}-unreadable",
        ) from error


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
